//! What a host is made for at its start and keeps until its end: engines, and the memory that all attempts share. A
//! manifest that is read again and asks for more is for another start.

use clockjack_schedule::{
    core::POOL_SIZE,
    diagnostic::{Diagnostic, Span},
    manifest::{
        PLACES_MAX,
        diff::Diff,
        resolved::{ApiSettings, Manifest},
        scalar::show_size,
    },
};

use crate::load;

/// How many times as many places as at its start a host has room for.
const GROWTH: u32 = 2;

/// How much a host was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeFor {
    /// How many runs go on at once, all pools together.
    pub n_places: u32,
    /// The highest memory limit of any job.
    pub memory_bytes_max: u64,
    /// The memory that all attempts share.
    pub shared_bytes: u64,
    /// What the manifest says of that, where it says something.
    pub memory: Option<u64>,
    /// How it is reached.
    pub api: ApiSettings,
}

impl MadeFor {
    /// What a manifest asks of a host.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            // Room to grow costs addresses and no memory.
            n_places: n_places(manifest).max(POOL_SIZE).saturating_mul(GROWTH).min(PLACES_MAX),
            memory_bytes_max: manifest.host.ceilings.memory_bytes_max,
            shared_bytes: load::memory::budget(manifest),
            memory: manifest.host.memory,
            api: manifest.api.clone(),
        }
    }

    /// Why a manifest needs another start of the host, if it does.
    pub(super) fn needs_restart(&self, change: &Diff, manifest: &Manifest) -> Option<String> {
        let why = match change.stores.is_empty() {
            true => self.too_small_for(manifest)?,
            false => "`stores` has changed".to_owned(),
        };
        Some(format!("{why}, which needs a restart"))
    }

    /// What of a manifest waits for another start of the host, while all else of it is in force.
    pub(super) fn wait_for_restart(&self, manifest: &Manifest) -> Vec<Diagnostic> {
        let waits = |span: Option<Span>, what: String| {
            let found = Diagnostic::warning("host.restart", span.unwrap_or_default(), what);
            found.fix("restart the host to have it so; all else of the manifest counts without that")
        };
        let mut found = Vec::new();
        if !self.api.is_same(&manifest.api) {
            let what = "`api` is not what this host was started with, and it goes on as it was started";
            found.push(waits(manifest.api.span, what.to_owned()));
        }
        if manifest.host.memory != self.memory {
            let now = show_size(self.shared_bytes);
            found.push(waits(
                None,
                format!("`host.memory` has changed, and all attempts of this host go on sharing {now}"),
            ));
        }
        found
    }

    /// Why a manifest is not for this host, if it is not.
    fn too_small_for(&self, manifest: &Manifest) -> Option<String> {
        let (n_places, most) = (n_places(manifest), self.n_places);
        if most < n_places {
            return Some(format!(
                "`pools` has {n_places} places together, and this host was started with room for {most}"
            ));
        }
        let (memory, most) = (manifest.host.ceilings.memory_bytes_max, self.memory_bytes_max);
        if most < memory {
            let (memory, most) = (show_size(memory), show_size(most));
            return Some(format!("`host.ceilings.memory` is {memory}, and this host was started with {most}"));
        }
        // The manifest was held to its own `host.memory` before; the one in force may be less.
        let (id, job) = manifest.jobs.iter().find(|(_, job)| self.shared_bytes < job.limits.memory_bytes_max)?;
        let (asked, most) = (show_size(job.limits.memory_bytes_max), show_size(self.shared_bytes));
        Some(format!(
            "job `{id}`: `memory` of {asked} is more than the {most} that all attempts of this host share (`host.memory`)"
        ))
    }
}

fn n_places(manifest: &Manifest) -> u32 {
    manifest.pools.values().fold(0, |sum: u32, size| sum.saturating_add(size.get()))
}

#[cfg(test)]
mod tests {
    use clockjack_schedule::zone::Zones;

    use super::*;

    fn manifest(keys: &str, memory: &str) -> Manifest {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clockjack.yaml");
        let job = format!("j: {{ plugin: ./p.wasm, every: 1h, limits: {{ memory: {memory} }} }}");
        std::fs::write(&file, format!("version: 1\n{keys}\njobs: {{ {job} }}\n")).unwrap();
        let loaded = load::manifest(&[file], &Zones::bundled());
        assert!(!loaded.diagnostics.has_errors(), "{:?}", loaded.diagnostics);
        loaded.manifest
    }

    #[test]
    fn more_than_a_host_was_made_for_needs_another_start() {
        let start =
            manifest("host: { memory: 128MiB, ceilings: { memory: 256MiB } }\npools: { p: { size: 8 } }", "64MiB");
        let made_for = MadeFor::of(&start);
        let MadeFor { n_places, memory_bytes_max, shared_bytes, .. } = made_for;
        assert_eq!((n_places, memory_bytes_max, shared_bytes), (144, 256 << 20, 128 << 20));
        let told = |keys: &str, memory: &str| made_for.too_small_for(&manifest(keys, memory)).unwrap_or_default();
        // As much or less is put in force; without `pools` there are those of `default`.
        assert_eq!(made_for.too_small_for(&start), None);
        assert_eq!(
            told("host: { ceilings: { memory: 128MiB } }\npools: { p: { size: 1 }, q: { size: 7 } }", "64MiB"),
            ""
        );
        assert_eq!(
            told("host: { ceilings: { memory: 256MiB } }\npools: { p: { size: 81 } }", "64MiB"),
            "`pools` has 145 places together, and this host was started with room for 144"
        );
        assert_eq!(
            told("host: { ceilings: { memory: 512MiB } }", "64MiB"),
            "`host.ceilings.memory` is 512MiB, and this host was started with 256MiB"
        );
        assert_eq!(
            told("host: { memory: 1GiB, ceilings: { memory: 256MiB } }", "200MiB"),
            "job `j`: `memory` of 200MiB is more than the 128MiB that all attempts of this host share (`host.memory`)"
        );
    }
    #[test]
    fn what_waits_for_another_start_is_told_for_as_long_as_it_waits() {
        let made_for = MadeFor::of(&manifest("api: { listen: \"127.0.0.1:7001\", rate: { requests: 9 } }", "64MiB"));
        let told = |keys: &str| {
            let found = made_for.wait_for_restart(&manifest(keys, "64MiB"));
            found.into_iter().map(|found| format!("{}: {}", found.code, found.message)).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(told("pools: { p: { size: 1 } }\napi: { rate: { requests: 9 }, listen: [\"127.0.0.1:7001\"] }"), "");
        let waits = "host.restart: `api` is not what this host was started with, and it goes on as it was started";
        for other in
            ["", "api: { listen: \"127.0.0.1:7002\", rate: { requests: 9 } }", "api: { listen: \"127.0.0.1:7001\" }"]
        {
            assert_eq!(told(other), waits, "{other}");
        }
        let memory = told("api: { listen: \"127.0.0.1:7001\", rate: { requests: 9 } }\nhost: { memory: 128MiB }");
        assert!(
            memory.starts_with("host.restart: `host.memory` has changed, and all attempts of this host go on sharing ")
        );
    }
}
