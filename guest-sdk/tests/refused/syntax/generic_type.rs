//! A type with parameters.

use clockjack_sdk::Value;

#[derive(Value)]
pub struct Page<T> { //~ a type of WIT cannot be generic; write one type per use
    pub items: Vec<T>,
}
