//! What the machine gives: its clock, its memory, its kernel.

use std::{fs, path::Path};

use chrono::{DateTime, Datelike as _, Utc};
use clockjack_schedule::{manifest::scalar::show_size, ports::Clock as _, zone::Zones};
use rustix::process::{Resource, getrlimit};

use super::Check;
use crate::{clock::SystemClock, load, settings};

/// The year in which this program was made: no clock that is right shows an earlier one.
const YEAR_MIN: i32 = 2026;

/// Enough open files for a host with full pools: ledger, socket, and some for each guest.
const FILES_MIN: u64 = 4_096;

/// Less memory than that, and a few jobs of common runtimes fill it.
const MEMORY_MIN: u64 = 256 << 20;

/// From this version on the kernel says which pages a guest has touched (`PAGEMAP_SCAN`).
const PAGEMAP_SCAN_SINCE: (u32, u32) = (6, 7);

/// Where a client of network time leaves a file once the clock is right.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

pub(super) fn checks(zones: &Zones) -> Vec<Check> {
    let version = format!("clockjack {}, wasmtime {}", env!("CARGO_PKG_VERSION"), clockjack_sandbox::ENGINE_VERSION);
    let mut checks = vec![Check::ok("version", version), zone_rules(zones), clock(SystemClock.now()), sync()];
    checks.extend([memory(), overcommit(), addresses(), open_files(), kernel()]);
    checks.extend([power("landlock", has_landlock()), power("seccomp", has_seccomp()), service()]);
    checks
}

fn zone_rules(zones: &Zones) -> Check {
    let (newest, own) = (zones.version(), Zones::bundled());
    let told = format!("zone rules {newest} ({})", zones.source());
    if newest == own.version() {
        return Check::ok("zones", told);
    }
    Check::ok("zones", format!("{told}; this program carries {}, which is older", own.version()))
}

fn clock(now: DateTime<Utc>) -> Check {
    let told = format!("it is {} by the clock of this machine", now.format("%Y-%m-%d %H:%M:%SZ"));
    if now.year() < YEAR_MIN {
        let fix = "set the clock before a host starts: slots that are decided ahead of time are not run again";
        return Check::fail("clock", told, fix);
    }
    Check::ok("clock", told)
}

fn sync() -> Check {
    let file = Path::new(SYNCHRONIZED);
    let knows = file.parent().is_some_and(Path::exists);
    let chrony = Path::new("/run/chrony").exists() || Path::new("/run/chronyd.pid").exists();
    match (file.exists(), knows, chrony) {
        (true, _, _) => Check::ok("clock.sync", "the clock is kept right over the network"),
        (false, true, _) => {
            let fix = "see `timedatectl status`; slots come when this clock says so";
            Check::warn("clock.sync", "the client of network time has not set the clock yet", fix)
        }
        (false, false, true) => Check::ok("clock.sync", "chrony keeps the clock"),
        // In a container the clock is that of the machine around it.
        (false, false, false) => Check::ok("clock.sync", "it is not known here whether anything keeps the clock right"),
    }
}

fn memory() -> Check {
    let bytes = load::memory::of_this_machine();
    let told = format!("{} for this process: the machine's, or what its control group may have", show_size(bytes));
    if bytes < MEMORY_MIN {
        let fix = "jobs of most languages want 64MiB at the least; give the control group more";
        return Check::warn("memory", told, fix);
    }
    Check::ok("memory", told)
}

fn overcommit() -> Check {
    let mode = fs::read_to_string("/proc/sys/vm/overcommit_memory").ok();
    match mode.as_deref().map(str::trim) {
        Some("2") => {
            let fix = "with `vm.overcommit_memory=2` the addresses that a host reserves for guests count as memory; 0 is the \
                       default of Linux";
            Check::warn("memory.commit", "the kernel counts what is only reserved", fix)
        }
        Some(_) => Check::ok("memory.commit", "what is only reserved costs nothing"),
        None => Check::ok("memory.commit", "the kernel does not say how it counts what is only reserved"),
    }
}

fn addresses() -> Check {
    match getrlimit(Resource::As).current {
        None => Check::ok("memory.space", "addresses have no limit"),
        Some(bytes) => {
            let told = format!("addresses are limited to {} (`ulimit -v`)", show_size(bytes));
            Check::warn(
                "memory.space",
                told,
                "a host reserves addresses for guests; without them it runs guests slower",
            )
        }
    }
}

fn open_files() -> Check {
    let most = getrlimit(Resource::Nofile).maximum;
    match most.filter(|most| *most < FILES_MIN) {
        Some(most) => {
            let fix = format!("raise the hard limit to {FILES_MIN} or more: `LimitNOFILE=` of the unit, `ulimit -Hn`");
            Check::warn("open_files", format!("at most {most} open files"), fix)
        }
        None => {
            Check::ok("open_files", most.map_or("no limit".to_owned(), |most| format!("at most {most} open files")))
        }
    }
}

fn kernel() -> Check {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let version = (numbers.next().and_then(Result::ok), numbers.next().and_then(Result::ok));
    let is_old = matches!(version, (Some(major), Some(minor)) if (major, minor) < PAGEMAP_SCAN_SINCE);
    if is_old {
        let fix = "from Linux 6.7 on a guest that has ended is cleaned up in less time";
        return Check::warn("kernel", format!("Linux {release} cannot say which pages a guest has touched"), fix);
    }
    Check::ok("kernel", format!("Linux {release}"))
}

fn power(name: &'static str, has: Option<bool>) -> Check {
    match has {
        Some(true) => Check::ok(name, "the kernel has it: compilers and workers give up what they do not need"),
        Some(false) => {
            let fix = "a kernel with it puts a second wall around compilers and isolated guests";
            Check::warn(name, "the kernel does not have it", fix)
        }
        None => Check::ok(name, "the kernel does not say whether it has it"),
    }
}

fn has_landlock() -> Option<bool> {
    let modules = fs::read_to_string("/sys/kernel/security/lsm").ok()?;
    Some(modules.split(',').any(|module| module.trim() == "landlock"))
}

fn has_seccomp() -> Option<bool> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some(status.lines().any(|line| line.starts_with("Seccomp:")))
}

fn service() -> Check {
    let is_told = settings::variable("NOTIFY_SOCKET").is_some();
    match (is_told, settings::variable("WATCHDOG_USEC")) {
        (true, Some(_)) => Check::ok("systemd", "a service manager wants to be told, and watches"),
        (true, None) => Check::ok("systemd", "a service manager wants to be told; `WatchdogSec=` would have it watch"),
        (false, _) => {
            Check::ok("systemd", "no service manager wants to be told; under systemd that takes `Type=notify`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    #[test]
    fn a_clock_of_long_ago_is_wrong() {
        assert_eq!(clock("1970-01-01T00:00:05Z".parse().unwrap()).verdict, Verdict::Fail);
        assert_eq!(clock("2027-01-01T00:00:00Z".parse().unwrap()).verdict, Verdict::Ok);
    }

    #[test]
    fn a_power_that_is_missing_is_told_with_what_it_is_for() {
        assert_eq!(power("landlock", Some(true)).verdict, Verdict::Ok);
        assert_eq!(power("landlock", None).verdict, Verdict::Ok);
        let missing = power("landlock", Some(false));
        assert!(missing.verdict == Verdict::Warn && !missing.fix.is_empty());
    }
}
