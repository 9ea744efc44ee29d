//! A name that WIT does not have.

#[clockjack_sdk::jobs]
mod jobs {
    pub fn count(
        status_2xx: u32, //~ `status_2xx` has no name in WIT, where words are ASCII and start with a letter
    ) {
    }
}
