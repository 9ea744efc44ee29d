//! A field without a WIT type.

use clockjack_sdk::Value;

#[derive(Value)] //~ `PathBuf` cannot be an argument or a result of a job
pub struct Source {
    pub name: String,
    pub path: std::path::PathBuf, //~ `PathBuf` cannot be an argument or a result of a job
}
