//! A number whose width differs between host and guest.

#[clockjack_sdk::job]
pub fn skip(lines: usize) {} //~ `usize` cannot be an argument or a result of a job
