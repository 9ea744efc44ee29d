//! Zone rules for this machine: the newest of what the build carries and what the system has.

use std::path::Path;

use clockjack_schedule::zone::Zones;
use jiff::tz::TimeZoneDatabase;

/// Where systems keep their zone rules.
const SYSTEM_FOLDER: &str = "/usr/share/zoneinfo";

/// The newest zone rules that this machine can offer.
#[must_use]
pub fn newest() -> Zones {
    let folder = Path::new(SYSTEM_FOLDER);
    match (system_version(folder), TimeZoneDatabase::from_dir(folder)) {
        (Some(version), Ok(system)) => Zones::newest(&version, system),
        (_, _) => Zones::bundled(),
    }
}

/// The version of the system's rules, which stands in the first line of the compact form beside them.
fn system_version(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("tzdata.zi")).ok()?;
    let version = text.lines().next()?.strip_prefix("# version ")?;
    Some(version.trim().to_owned())
}
