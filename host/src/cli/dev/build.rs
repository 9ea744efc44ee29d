//! Builds, as the manifest names them.

use std::path::Path;

use anyhow::Context as _;
use clockjack_schedule::{
    manifest::{resolved::Build, scalar::show_duration},
    ports::Clock as _,
};
use tokio::process::Command;

use super::say;
use crate::{cli::print, clock::SystemClock};

/// Runs builds one after the other. Whether all of them succeeded; after the first that does not, none is begun.
pub(super) async fn all(builds: Vec<&Build>) -> anyhow::Result<bool> {
    for build in builds {
        if !one(build).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn one(build: &Build) -> anyhow::Result<bool> {
    let folder = if build.folder == Path::new("") { Path::new(".") } else { build.folder.as_path() };
    say(&format!("building: {}", build.command));
    let began = SystemClock.monotonic();
    let mut command = Command::new("sh");
    command.args(["-c", &build.command]).current_dir(folder).kill_on_drop(true);
    let status = command.status().await;
    let status = status.with_context(|| format!("failed to start a build in `{}`", folder.display()))?;
    let took = show_duration(print::rounded(SystemClock.monotonic().saturating_sub(began)));
    if status.success() {
        say(&format!("built in {took}"));
    } else {
        say(&format!("the build ended with {status} after {took}; what runs stays as it is until it succeeds"));
    }
    Ok(status.success())
}
