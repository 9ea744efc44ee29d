//! `clockjack doctor`: whether this machine and this manifest are fit for a host, in words, with what to do.
//!
//! It changes nothing but for files of its own in places where a host writes, which it takes away again. It asks no other
//! machine for anything.

mod disk;
mod machine;
mod setup;

use clap::Args;
use serde_json::{Value as Json, json};

use super::{Exit, ManifestArgs, Output, OutputArgs, client::SocketArgs, print};
use crate::load;

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    manifests: ManifestArgs,
    #[command(flatten)]
    socket: SocketArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// As it should be.
    Ok,
    /// A host runs, and less well than it could.
    Warn,
    /// A host does not run, or loses something.
    Fail,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What was looked at, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Check {
    /// A stable dotted name.
    name: &'static str,
    verdict: Verdict,
    /// What was seen.
    told: String,
    /// What to do; empty where nothing is to be done.
    fix: String,
}

impl Check {
    fn ok(name: &'static str, told: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, told: told.into(), fix: String::new() }
    }

    fn warn(name: &'static str, told: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warn, told: told.into(), fix: fix.into() }
    }

    fn fail(name: &'static str, told: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fail, told: told.into(), fix: fix.into() }
    }

    fn json(&self) -> Json {
        let fix = Some(&self.fix).filter(|fix| !fix.is_empty());
        json!({ "check": self.name, "verdict": self.verdict.as_str(), "message": self.told, "fix": fix })
    }

    /// A line for people, and a second one with what to do.
    fn lines(&self) -> String {
        let line = format!("{:<4}  {:<15} {}", self.verdict.as_str(), self.name, self.told);
        if self.fix.is_empty() { line } else { format!("{line}\n{:22}{}", "", self.fix) }
    }
}

pub(super) fn run(args: &DoctorArgs) -> anyhow::Result<Exit> {
    let zones = load::zones::newest();
    let files = &args.manifests.files;
    let mut loaded = load::manifest(files, &zones);
    let mut checks = machine::checks(&zones);
    checks.extend(disk::checks(&loaded, files));
    checks.extend(setup::checks(&mut loaded, args)?);
    let worst = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok);
    match args.output.output {
        Output::Json => {
            let list: Vec<_> = checks.iter().map(Check::json).collect();
            let all = json!({ "ok": worst != Verdict::Fail, "verdict": worst.as_str(), "checks": list });
            print::data(&serde_json::to_string_pretty(&all)?)?;
        }
        Output::Table => {
            let lines: Vec<_> = checks.iter().map(Check::lines).collect();
            print::data(&print::plain(&lines.join("\n")))?;
        }
    }
    Ok(if worst == Verdict::Fail { Exit::Fault } else { Exit::Done })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_says_what_to_do_below_itself() {
        let check = Check::warn("disk.space", "there is little room", "make some");
        assert_eq!(check.lines(), "warn  disk.space      there is little room\n                      make some");
        assert_eq!(Check::ok("zones", "2026a").lines(), "ok    zones           2026a");
        assert_eq!(Check::ok("zones", "2026a").json()["fix"], Json::Null);
        assert!(Verdict::Ok < Verdict::Warn && Verdict::Warn < Verdict::Fail);
    }
}
