//! A type that contains itself.

use clockjack_sdk::Value;

#[derive(Value)]
pub struct Folder {
    pub name: String,
    pub folders: Vec<Folder>, //~ a type of WIT cannot contain itself
}
