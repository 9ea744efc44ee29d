//! How much memory all attempts may have together: what the manifest says, else a part of what the machine gives us.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clockjack_schedule::{
    diagnostic::Diagnostic,
    manifest::{resolved::Manifest, scalar::show_size},
};

use super::Loaded;

/// How much of the machine's memory attempts may have where the manifest says nothing; the rest is for the host, its
/// ledger and everybody else.
const SHARE_PERCENT: u64 = 80;

/// The memory that attempts share.
#[must_use]
pub fn budget(manifest: &Manifest) -> u64 {
    manifest.host.memory.unwrap_or_else(|| of_machine(machine()))
}

fn of_machine(bytes: u64) -> u64 {
    bytes / 100 * SHARE_PERCENT
}

/// Refuses jobs that could never have their memory.
pub(super) fn check(loaded: &mut Loaded) {
    let manifest = &loaded.manifest;
    let budget = budget(manifest);
    for (id, job) in manifest.jobs.iter().filter(|(_, job)| budget < job.limits.memory_bytes_max) {
        let (asked, most) = (show_size(job.limits.memory_bytes_max), show_size(budget));
        let whose = match manifest.host.memory {
            Some(_) => "(`host.memory`)".to_owned(),
            None => format!("({SHARE_PERCENT} % of this machine's memory, as `host.memory` is not written)"),
        };
        let message =
            format!("job `{id}`: `memory` of {asked} is more than the {most} of all attempts together {whose}");
        let error = Diagnostic::error("manifest.ceiling", manifest.job_span(id, "limits.memory"), message);
        loaded
            .diagnostics
            .push(error.fix(format!("lower `limits.memory` to `{most}` or less, or raise `host.memory`")));
    }
}

/// What this process may have of the machine's memory.
#[must_use]
pub fn of_this_machine() -> u64 {
    machine()
}

/// What the machine has, or the control group of the process where that has less.
fn machine() -> u64 {
    let info = rustix::system::sysinfo();
    let physical = info.totalram.saturating_mul(u64::from(info.mem_unit));
    let group = fs::read_to_string("/proc/self/cgroup").ok();
    let limit = group.and_then(|text| limit_of(&text, Path::new("/sys/fs/cgroup")));
    limit.map_or(physical, |limit| limit.min(physical))
}

/// The lowest memory limit of a control group (version 2) and of those that it lies in.
fn limit_of(membership: &str, mount: &Path) -> Option<u64> {
    let group = membership.lines().find_map(|line| line.strip_prefix("0::"))?;
    let group = mount.join(group.trim_start_matches('/'));
    let read = |folder: &Path| -> Option<u64> {
        // `max` says that there is none.
        fs::read_to_string(folder.join("memory.max")).ok()?.trim().parse().ok()
    };
    let folders: Vec<PathBuf> =
        group.ancestors().take_while(|path| path.starts_with(mount)).map(Path::to_owned).collect();
    folders.iter().filter_map(|folder| read(folder)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_limit_of_the_groups_counts() {
        let mount = tempfile::tempdir().unwrap();
        let inner = mount.path().join("outer/inner");
        fs::create_dir_all(&inner).unwrap();
        assert_eq!(limit_of("0::/outer/inner\n", mount.path()), None);
        fs::write(inner.join("memory.max"), "max\n").unwrap();
        fs::write(mount.path().join("outer/memory.max"), "1048576\n").unwrap();
        assert_eq!(limit_of("0::/outer/inner\n", mount.path()), Some(1_048_576));
        fs::write(inner.join("memory.max"), "4096\n").unwrap();
        assert_eq!(limit_of("0::/outer/inner\n", mount.path()), Some(4_096));
        assert_eq!(limit_of("12:memory:/outer/inner\n", mount.path()), None, "version 1 says nothing");
    }

    #[test]
    fn a_machine_has_memory() {
        assert!(of_machine(machine()) < machine());
        assert!((64 << 20) < of_machine(machine()));
    }
}
