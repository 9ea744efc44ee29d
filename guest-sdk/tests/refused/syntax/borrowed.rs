//! A borrowed argument.

#[clockjack_sdk::jobs]
mod jobs {
    pub fn greet(
        name: &str, //~ an argument of a job must be owned: write `String` instead of `&str`
    ) {
    }
}
