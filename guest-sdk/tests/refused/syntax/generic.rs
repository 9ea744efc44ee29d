//! A generic function.

#[clockjack_sdk::jobs]
mod jobs {
    pub fn first<T>(items: Vec<T>) {} //~ a job cannot be generic: its WIT signature is fixed
}
