//! The attribute before something else.

#[clockjack_sdk::job] //~ `#[job]` stands before a function
pub struct Cleanup;
