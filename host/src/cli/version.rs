//! `--version`: what this build is, and with `--verbose` what it stands on.

use super::{Exit, print};
use crate::load::zones;

pub(super) fn print(verbose: bool) -> anyhow::Result<Exit> {
    print::data(concat!("clockjack ", env!("CARGO_PKG_VERSION")))?;
    if verbose {
        let zones = zones::newest();
        print::data(&format!("zone rules {} ({})", zones.version(), zones.source()))?;
        print::data(&format!("wasmtime {}", clockjack_sandbox::ENGINE_VERSION))?;
        print::data("guest interface clockjack:job@0.1.0")?;
    }
    Ok(Exit::Done)
}
