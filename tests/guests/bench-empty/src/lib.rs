//! The smallest job: what remains when it runs is the cost of the host. Imports nothing.

#[clockjack_sdk::jobs]
pub mod jobs {
    /// Does nothing.
    pub fn run() {}
}
