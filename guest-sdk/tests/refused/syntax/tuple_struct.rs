//! A struct without names of fields.

use clockjack_sdk::Value;

#[derive(Value)]
pub struct Meters(pub f64); //~ a record needs named fields
