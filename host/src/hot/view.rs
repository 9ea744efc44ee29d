//! What the reloader tells: how each plugin is, what a reload would do or did.

use std::path::Path;

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    diagnostic::{Diagnostic, Source},
    id::{JobId, PluginName},
};

/// A plugin as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginView {
    /// Its name.
    pub name: PluginName,
    /// Where its file is, as the manifest has it: a path or an OCI reference.
    pub source: String,
    /// What it runs; absent where nothing of it is in force.
    pub current: Option<GenerationView>,
    /// Earlier generations that can be gone back to, newest first.
    pub kept: Vec<GenerationView>,
    /// A file that is there and is not what runs.
    pub candidate: Option<CandidateView>,
    /// The trial of the current generation, while it goes on.
    pub canary: Option<CanaryView>,
    /// What it exports.
    pub functions: Vec<String>,
    /// What it imports.
    pub imports: Vec<String>,
    /// The jobs that use it.
    pub jobs: Vec<JobId>,
}

impl PluginView {
    /// A component in a directory of which nothing is in force.
    pub(super) fn left_out(name: PluginName, path: &Path, fault: CandidateView) -> Self {
        Self {
            name,
            source: path.display().to_string(),
            current: None,
            kept: Vec::new(),
            candidate: Some(fault),
            canary: None,
            functions: Vec::new(),
            imports: Vec::new(),
            jobs: Vec::new(),
        }
    }
}

/// One generation of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerationView {
    /// Its number.
    pub number: u32,
    /// SHA-256 of its file, in hex.
    pub digest: String,
    /// Size of its file.
    pub n_bytes: u64,
    /// When it came into force.
    pub since: DateTime<Utc>,
    /// Why: `start`, `file changed`, `reload`, `approved`, `rolled back from 4`.
    pub cause: String,
}

/// A file that is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateView {
    /// Why it is not.
    pub state: CandidateState,
    /// SHA-256 of its bytes, where they could be read.
    pub digest: Option<String>,
    /// Size, where it could be read.
    pub n_bytes: Option<u64>,
    /// Since when it has been so.
    pub since: DateTime<Utc>,
    /// The code of the finding (`load.invalid`, `load.import`, …), where it is refused or held.
    pub code: Option<String>,
    /// What is the matter.
    pub reason: String,
    /// What to do about it.
    pub fix: String,
    /// How it differs from what runs, where it could be loaded.
    pub difference: Option<Difference>,
}

/// Why a file is not in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandidateState {
    /// It cannot be used.
    Refused,
    /// It asks for more than is granted; somebody has to approve it.
    Held,
    /// It was in force and was taken back.
    RolledBack,
}

impl CandidateState {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Held => "held",
            Self::RolledBack => "rolled_back",
        }
    }
}

/// How two generations differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Functions that only the new one exports.
    pub exports_added: Vec<String>,
    /// Functions that only the old one exports, or that have other types now.
    pub exports_removed: Vec<String>,
    /// Interfaces that only the new one imports, beyond those that every language runtime does.
    pub imports_added: Vec<String>,
    /// Interfaces that only the old one imports.
    pub imports_removed: Vec<String>,
    /// Size of the old file.
    pub n_bytes_before: u64,
    /// Size of the new file.
    pub n_bytes_after: u64,
}

/// How a trial goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanaryView {
    /// How many of its first runs count.
    pub n_runs: u32,
    /// From how many failures on it is taken back.
    pub n_failures_max: u32,
    /// How many runs have ended.
    pub n_ended: u32,
    /// How many of them failed.
    pub n_failed: u32,
}

/// What a reload does, or would do.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Jobs that only the new manifest has.
    pub added: Vec<JobChange>,
    /// Jobs with another definition.
    pub changed: Vec<JobChange>,
    /// Jobs that only the old manifest has.
    pub removed: Vec<JobChange>,
    /// How many jobs stay as they are.
    pub n_untouched: usize,
    /// Plugins that come, go, or run other code.
    pub plugins: Vec<PluginChange>,
    /// Pools that come, go or change, in words.
    pub pools: Vec<String>,
    /// Why all of it is refused, where it is: what is in force stays.
    pub refused: Option<String>,
    /// All findings.
    pub findings: Vec<Diagnostic>,
    /// The texts that the findings are about.
    pub sources: Vec<Source>,
}

impl Plan {
    /// Whether nothing changes and nothing is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let jobs = [&self.added, &self.changed, &self.removed];
        jobs.iter().all(|list| list.is_empty())
            && self.plugins.is_empty()
            && self.pools.is_empty()
            && self.refused.is_none()
    }
}

/// What happens to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobChange {
    /// Which job.
    pub job: JobId,
    /// Its next slot as things are.
    pub next_before: Option<DateTime<Utc>>,
    /// Its next slot then.
    pub next_after: Option<DateTime<Utc>>,
    /// Which parts of its definition differ: `triggers`, `args`, `limits`; empty for one that comes or goes.
    pub parts: Vec<&'static str>,
}

/// What happens to a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginChange {
    /// Which plugin.
    pub plugin: PluginName,
    /// What.
    pub change: PluginChangeKind,
    /// What runs now.
    pub generation_before: Option<u32>,
    /// What runs then.
    pub generation_after: Option<u32>,
    /// Why, or what is the matter.
    pub reason: String,
    /// What to do about it, where it is not in force.
    pub fix: String,
    /// How the code differs.
    pub difference: Option<Difference>,
}

/// What may happen to a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginChangeKind {
    /// Only the new manifest has it.
    Added,
    /// Only the old manifest has it.
    Removed,
    /// It runs other code.
    Replaced,
    /// Its new file is refused; the old code goes on.
    Refused,
    /// Its new file waits for approval; the old code goes on.
    Held,
}

impl PluginChangeKind {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Replaced => "replaced",
            Self::Refused => "refused",
            Self::Held => "held",
        }
    }
}
