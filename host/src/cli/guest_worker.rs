//! `clockjack guest-worker`: what hosts start for pools with `isolation: process`. Not for people, and not in the help.

use super::{Exit, print};

pub(super) fn run() -> anyhow::Result<Exit> {
    match clockjack_sandbox::serve_worker() {
        Ok(()) => Ok(Exit::Done),
        Err(error) => {
            print::talk(&format!("error: {error}"));
            Ok(Exit::HostFailed)
        }
    }
}
