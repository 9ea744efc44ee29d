//! Two jobs whose names are one in WIT.

#[clockjack_sdk::jobs]
mod jobs {
    pub fn check_it() {}
    #[allow(non_snake_case)]
    pub fn checkIt() {} //~ two jobs are called `check-it` in WIT
}
