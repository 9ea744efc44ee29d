//! What a job is: which function of which plugin, when, with which arguments, within which bounds.
//!
//! A `Job` cannot be built wrong: the manifest's `resolve` step is where conversion may fail.

use std::{collections::BTreeMap, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use crate::{
    id::{JobId, PluginName},
    trigger::Trigger,
    zone::Zone,
};

/// The definition of one job.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its id, unique on the host.
    pub id: JobId,
    /// Whose function runs.
    pub plugin: PluginName,
    /// Which function, as written; absent where the plugin has just one.
    pub call: Option<Arc<str>>,
    /// What the function gets.
    pub args: Arguments,
    /// When.
    pub trigger: Trigger,
    /// Its time zone, for triggers that name none and for display.
    pub zone: Zone,
    /// What happens when slots are late or meet a run that still goes on.
    pub policy: Policy,
    /// What an attempt may consume.
    pub limits: Limits,
    /// What an attempt may touch.
    pub grants: Grants,
    /// Free words for people.
    pub description: Option<Arc<str>>,
    /// Free words for filters.
    pub labels: BTreeMap<String, String>,
}

/// What a function gets.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Arguments {
    /// Nothing.
    #[default]
    None,
    /// Values by parameter name.
    Named(serde_json::Map<String, serde_json::Value>),
    /// Values in the order of the parameters; the command line of a command job.
    Listed(Vec<serde_json::Value>),
}

/// What happens when slots are late or meet a run that still goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How late a slot may start; absent means any time.
    pub misfire_grace: Option<Duration>,
    /// Which slot of a backlog runs.
    pub coalesce: Coalesce,
    /// With `coalesce: all`, how many slots of a backlog run at most; older ones are skipped.
    pub max_backlog: NonZeroU32,
    /// What happens to a slot that is due while `max_instances` runs go on.
    pub overlap: Overlap,
    /// How many runs of the job go on at once.
    pub max_instances: NonZeroU32,
    /// Whether the job starts paused.
    pub paused: bool,
    /// Whether the job runs once when the host first sees it.
    pub run_on_start: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            misfire_grace: None,
            coalesce: Coalesce::Latest,
            // A day of hourly slots: enough to catch up a night, too few to flood a host.
            max_backlog: NonZeroU32::new(24).expect("24 is not zero"),
            overlap: Overlap::Skip,
            max_instances: NonZeroU32::MIN,
            paused: false,
            run_on_start: false,
        }
    }
}

/// Which slot of a backlog runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coalesce {
    /// The newest; the others are skipped as coalesced.
    Latest,
    /// The oldest; the others are skipped as coalesced.
    Earliest,
    /// Each, up to `max_backlog`.
    All,
}

/// What happens to a slot that is due while `max_instances` runs of its job go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// It is skipped, with the reason `overlapping`.
    Skip,
    /// It waits for its turn; at most `max_backlog` wait.
    Queue,
    /// The oldest run is cancelled, and the slot runs when that one has ended.
    Replace,
    /// It runs beside the others, without regard to `max_instances`.
    Allow,
}

/// Most table elements that any job may ask for, each of which costs the host eight bytes.
pub const TABLE_ELEMENTS_MAX: u64 = 1_000_000;

/// Most core instances that any job may ask for: four times what the language runtime with the most (Python) has.
pub const INSTANCES_MAX: u32 = 64;

/// What one attempt may consume. Every bound has a default; a manifest may move it up to the host's ceiling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wall-clock time of an attempt, instantiation included.
    pub timeout: Duration,
    /// Processor time of an attempt.
    pub cpu_time: Duration,
    /// Sum of all linear memories, in bytes.
    pub memory_bytes_max: u64,
    /// Sum of all table elements.
    pub table_elements_max: u64,
    /// Core instances of one attempt.
    pub instances_max: u32,
    /// Bytes of stdout, and as many of stderr, that are kept (head and tail).
    pub output_bytes_max: u64,
    /// Instructions of an attempt; absent means unmetered, which is faster.
    pub fuel: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            cpu_time: Duration::from_secs(10),
            // The largest language runtime measured (Python) starts with 12.3 MiB.
            memory_bytes_max: 64 << 20,
            // The largest language runtime measured (StarlingMonkey) has 7,689 elements.
            table_elements_max: 100_000,
            // The language runtime with the most core instances (Python) has 14.
            instances_max: 64,
            output_bytes_max: 1 << 20,
            fuel: None,
        }
    }
}

/// The highest bounds that jobs on this host may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceilings {
    /// For `timeout`.
    pub timeout: Duration,
    /// For `limits.cpu_time`.
    pub cpu_time: Duration,
    /// For `limits.memory`.
    pub memory_bytes_max: u64,
    /// For `limits.output`.
    pub output_bytes_max: u64,
}

impl Default for Ceilings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(24 * 3_600),
            cpu_time: Duration::from_secs(3_600),
            memory_bytes_max: 1 << 30,
            output_bytes_max: 16 << 20,
        }
    }
}

/// What one attempt may touch. The default is nothing at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Environment variables, by name.
    pub env: BTreeMap<String, String>,
    /// Directories of the host.
    pub dirs: Vec<DirGrant>,
}

/// One directory of the host that a guest sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirGrant {
    /// Where it is on the host; relative paths start at the manifest's folder.
    pub host: PathBuf,
    /// What the guest calls it.
    pub guest: String,
    /// What the guest may do there.
    pub mode: DirMode,
}

/// What a guest may do in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirMode {
    /// List and read.
    Read,
    /// List, read, write, create and remove.
    ReadWrite,
}
