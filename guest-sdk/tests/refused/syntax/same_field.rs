//! Two fields whose names are one in WIT.

use clockjack_sdk::Value;

#[derive(Value)]
#[allow(non_snake_case)]
pub struct Point {
    pub on_x: f64,
    pub onX: f64, //~ `on-x` is there twice
}
