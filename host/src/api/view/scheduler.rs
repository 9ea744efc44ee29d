//! A running host and its pools in JSON.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::operate::Pause;

/// A running host.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Scheduler {
    /// Which Clockjack it is.
    pub version: String,
    /// The number of its process.
    pub pid: u32,
    /// Since when it has been there.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// Its manifests, as they were named.
    #[schema(value_type = Vec<String>)]
    pub files: Vec<PathBuf>,
    /// Where its default store is.
    pub ledger: String,
    /// How many jobs it has.
    pub jobs: usize,
    /// How many plugins it has.
    pub plugins: usize,
    /// What it does.
    pub state: SchedulerPhase,
    /// Why it is paused, in the words of who paused it.
    pub pause: Option<Pause>,
    /// For how many seconds it has been there.
    pub uptime_seconds: u64,
    /// How many jobs there are in each state.
    pub jobs_by_state: JobCounts,
    /// How many runs have a place in their pool, those included that are about to begin.
    pub runs_running: usize,
    /// How many runs wait for a place.
    pub runs_waiting: usize,
    /// How many runs have ended since it began.
    pub runs_ended: u64,
    /// Whether nothing starts because the ledger cannot be written.
    pub ledger_held: bool,
    /// Which release of the zone rules it uses.
    pub zone_rules: String,
    /// Whether the manifest that was last read is in force.
    pub manifest_ok: bool,
    /// When a manifest was last put in force; `null` before the first one.
    #[schema(format = DateTime)]
    pub last_reload: Option<String>,
    /// Its pools.
    pub pools: Vec<Pool>,
}

/// What a host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SchedulerPhase {
    /// It fires jobs.
    Running,
    /// It starts nothing until somebody resumes all jobs.
    Paused,
    /// It ends.
    Stopping,
}

/// How many jobs there are in each state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobCounts {
    /// They fire.
    pub active: usize,
    /// They are paused.
    pub paused: usize,
    /// Something is wrong with them as they were last made through the API. Those that go on as they were before are among
    /// the others, too.
    pub broken: usize,
}

/// A pool: how many of its runs may go on at once, and how many do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pool {
    /// Its name.
    pub pool: String,
    /// How many runs may go on at once.
    pub size: usize,
    /// How many have a place, those included that are about to begin.
    pub running: usize,
    /// How many wait for one.
    pub waiting: usize,
    /// Where its runs are.
    pub isolation: Isolation,
}

/// Where the runs of a pool are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// In the process of the host.
    None,
    /// Each in a process of its own.
    Process,
}

/// The pools of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pools {
    /// The pools, by name.
    pub items: Vec<Pool>,
}
