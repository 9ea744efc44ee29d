//! A result without a WIT type.

#[clockjack_sdk::jobs]
mod jobs {
    pub fn find(name: String) -> Result<std::path::PathBuf, String> { //~ `PathBuf` cannot be an argument or a result of a job
        Ok(name.into())
    }
}
