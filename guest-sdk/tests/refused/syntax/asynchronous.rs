//! An async function.

#[clockjack_sdk::jobs]
mod jobs {
    pub async fn wait() {} //~ a job is a plain `pub fn`, without `async`
}
