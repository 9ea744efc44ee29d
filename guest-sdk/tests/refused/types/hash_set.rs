//! An argument without a WIT type.

#[clockjack_sdk::jobs]
mod jobs {
    pub fn forget(
        keep: u32,
        names: std::collections::HashSet<String>, //~ `HashSet<String>` cannot be an argument or a result of a job
    ) {
    }
}
