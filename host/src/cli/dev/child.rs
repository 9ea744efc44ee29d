//! The program's own commands as processes.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use clockjack_schedule::id::JobId;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::say;

/// How long the host may take to end: its own grace and a bit.
const END_MAX: Duration = Duration::from_secs(15);

/// `clockjack up` beside us. It is killed when this is dropped.
pub(super) struct HostChild {
    child: Child,
}

impl HostChild {
    pub(super) fn start(files: &[PathBuf]) -> anyhow::Result<Self> {
        let mut command = clockjack("up", files)?;
        // Ctrl-C at the terminal reaches us alone; we end the host in good order.
        command.args(["--ledger", "memory:", "--no-watch"]).process_group(0).kill_on_drop(true);
        Ok(Self { child: command.spawn().context("failed to start the host")? })
    }

    /// Whether it has not ended.
    pub(super) fn goes_on(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Makes it read its manifest and its plugins again.
    pub(super) fn reload(&self) -> anyhow::Result<()> {
        self.signal(Signal::HUP).context("failed to tell the host to reload")
    }

    /// Ends it in good order.
    pub(super) async fn end(mut self) {
        if self.signal(Signal::TERM).is_ok() && tokio::time::timeout(END_MAX, self.child.wait()).await.is_err() {
            say("the host does not end and is killed");
        }
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        // Where it has ended, there is nobody to tell.
        pid.map_or(Ok(()), |pid| Ok(kill_process(pid, signal)?))
    }
}

/// Runs a job once. What it says goes to the terminal; its failure is its developer's news, not ours.
pub(super) async fn exec(files: &[PathBuf], job: &JobId) -> anyhow::Result<()> {
    say(&format!("running `{job}`"));
    let mut command = clockjack("exec", files)?;
    command.args(["--job", job.as_str()]).kill_on_drop(true);
    command.status().await.with_context(|| format!("failed to run the job `{job}`"))?;
    Ok(())
}

fn clockjack(command: &str, files: &[PathBuf]) -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("failed to find the program itself")?;
    let mut child = Command::new(program);
    child.arg(command);
    for file in files {
        child.args([Path::new("-f"), file.as_path()]);
    }
    child.stdin(std::process::Stdio::null());
    Ok(child)
}
