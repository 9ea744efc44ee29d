//! A case with named fields.

use clockjack_sdk::Value;

#[derive(Value)]
pub enum Shape {
    Circle { radius: f64 }, //~ a case of a WIT variant has no named fields
}
