//! An error without a WIT type.

#[clockjack_sdk::job]
pub fn touch(name: String) -> Result<(), std::io::Error> { //~ cannot be an argument or a result of a job
    std::fs::File::create(name).map(drop)
}
