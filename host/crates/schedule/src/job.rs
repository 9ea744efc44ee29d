//! What a job is: which function of which plugin, when, with which arguments, within which bounds.
//!
//! A `Job` cannot be built wrong: the manifest's `resolve` step is where conversion may fail.

use std::{collections::BTreeMap, num::NonZeroU32, ops::Deref, path::PathBuf, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

use crate::{
    command::Command,
    counts::Counts,
    egress::{HttpRule, NetworkGrants},
    id::{JobId, PluginName, PoolName, StoreName},
    notify::Notify,
    outcome::OutcomeCode,
    secret::SecretGrants,
    trigger::{Basis, Trigger},
    zone::Zone,
};

mod reload;

pub use reload::{DRAIN_DEADLINE_MAX, OnReload, RetryOn};

/// The definition of one job: what is its own, and what many jobs of a large host share.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its id, unique on the host.
    pub id: JobId,
    /// When. Absent for a job that runs only after others, or when it is asked to.
    pub trigger: Option<Trigger>,
    /// A hash of the trigger as it was written, by which a later start of the host knows that it was changed.
    pub trigger_hash: u64,
    /// Everything else; the job's fields read through to it.
    pub setup: Arc<Setup>,
}

impl Deref for Job {
    type Target = Setup;

    fn deref(&self) -> &Setup {
        &self.setup
    }
}

/// What jobs may have in common. Jobs with equal setups share one, so that a million of them fit into a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// Whose function runs.
    pub plugin: PluginName,
    /// Which function, as written; absent where the plugin has just one.
    pub call: Option<Arc<str>>,
    /// What the function gets.
    pub args: Arguments,
    /// With which input and exit codes, where it is a command; absent means the defaults.
    pub command: Option<Arc<Command>>,
    /// Whose ends make it run; any of them.
    pub after: Vec<After>,
    /// Its time zone, for triggers that name none and for display.
    pub zone: Zone,
    /// What happens when slots are late or meet a run that still goes on.
    pub policy: Policy,
    /// Which pool's places its runs take, by its name under `pools:`; default `default`.
    pub pool: PoolName,
    /// Where its slots and runs are recorded, by its name under `stores:`; default `default`.
    pub store: StoreName,
    /// What an attempt may consume.
    pub limits: Limits,
    /// What an attempt may touch.
    pub grants: Grants,
    /// Who is told of its runs, and of what; default nobody.
    pub notify: Arc<[Notify]>,
    /// Free words for people.
    pub description: Option<Arc<str>>,
    /// Free words for filters.
    pub labels: BTreeMap<String, String>,
}

impl Job {
    /// When it runs, in words.
    #[must_use]
    pub fn describe(&self) -> String {
        let after = self.after.iter().map(|after| {
            let on = match after.on {
                AfterOn::Success => "succeeded",
                AfterOn::Failure => "failed",
                AfterOn::Always => "ended",
            };
            format!("after `{}` has {on}", after.job)
        });
        let parts: Vec<_> = self.trigger.as_ref().map(Trigger::describe).into_iter().chain(after).collect();
        let text = parts.join("; ");
        text.strip_prefix("after").map_or_else(|| text.clone(), |rest| format!("After{rest}"))
    }

    /// Its first slot after an instant; none where it has no trigger, or no further slot.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>, basis: &Basis) -> Option<DateTime<Utc>> {
        self.trigger.as_ref()?.next_after(after, basis)
    }
}

/// What a function gets. Texts in it may be templates, and `$${` stands for `${` ([`crate::template`]).
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
    /// What happens after an attempt that failed.
    pub retry: Retry,
    /// What happens to a run that a crash cut.
    pub delivery: Delivery,
    /// Among the runs that wait for a place in the pool the highest priority comes first; -1000 to 1000, default 0.
    pub priority: i32,
    /// How long finished runs and skips are kept.
    pub keep: Keep,
    /// What happens to attempts that go on when other code is put in force for the job.
    pub on_reload: OnReload,
    /// Which code a further attempt of a run takes.
    pub retry_on: RetryOn,
}

/// What happens after an attempt that failed.
///
/// ```yaml
/// retry: { attempts: 3, backoff: 2s, max_backoff: 1m, jitter: 20%, on: [timeout.wall, failed] }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// `attempts`: how many there are in all, the first one included, 1 to 100; default 1. Attempts that a stop of the
    /// host cut do not count.
    pub attempts_max: NonZeroU32,
    /// `backoff`: how long after the first failure the second attempt begins, at most 24 h; doubles with each further
    /// one. Default 1 s.
    pub backoff: Duration,
    /// `max_backoff`: longest such time, at most 24 h and never below `backoff`; default 5 min. A guest's own
    /// `retry-after` may be longer.
    pub backoff_max: Duration,
    /// `jitter`: how many percent of the time are left to chance, 0 to 100: at 20 it is between 80 % and 100 % of the
    /// backoff. Default 20.
    pub jitter_percent: u8,
    /// `on`: which outcomes are tried again, written as codes or as the class before the dot (`timeout`, `trap`); empty,
    /// which is the default and is written `all`, means every one that is a failure.
    pub on: Vec<OutcomeCode>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts_max: NonZeroU32::MIN,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(5 * 60),
            // Enough that jobs that failed together do not come back together.
            jitter_percent: 20,
            on: Vec::new(),
        }
    }
}

/// What happens to a run that a crash cut. Default `at_least_once`.
///
/// It says nothing of failures that the host saw: with `at_most_once`, too, an attempt that failed is followed by
/// another one where `retry` says so, because then it is known that the first one has ended.
///
/// ```yaml
/// delivery: at_most_once
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// It is tried again; its job may see a slot twice.
    #[default]
    AtLeastOnce,
    /// It ends as `lost`; no slot is begun twice.
    AtMostOnce,
}

/// How long finished runs and skips are kept. Whatever breaks one of the bounds goes.
///
/// ```yaml
/// keep: { age: 30d, count: 1000 }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// `age`: how old they may be, counted from the slot, 1 min to 10 years; default 30 days.
    pub age_max: Duration,
    /// `count`: how many runs, and as many skips, of the job, 1 to 1,000,000,000; default 10,000.
    pub n_max: NonZeroU32,
}

impl Default for Keep {
    fn default() -> Self {
        // A month of what runs every five minutes; a job that runs every second fills it in three hours.
        Self {
            age_max: Duration::from_secs(30 * 24 * 3_600),
            n_max: NonZeroU32::new(10_000).expect("10,000 is not zero"),
        }
    }
}

/// Whose end makes a job run.
///
/// ```yaml
/// after: render                          # after each success of it
/// after: { job: render, on: failure }
/// after: [render, { job: fetch, on: always }]   # any of them
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// The other job.
    pub job: JobId,
    /// Which ends of it.
    pub on: AfterOn,
}

/// Which ends of another job make a job run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterOn {
    /// `succeeded`.
    #[default]
    Success,
    /// Every end but `succeeded` and `skipped`.
    Failure,
    /// Every end.
    Always,
}

impl AfterOn {
    /// Whether this end of the other job makes the job run.
    #[must_use]
    pub fn matches(self, code: OutcomeCode) -> bool {
        match self {
            Self::Success => code == OutcomeCode::Succeeded,
            Self::Failure => !code.is_success(),
            Self::Always => true,
        }
    }
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
            retry: Retry::default(),
            delivery: Delivery::default(),
            priority: 0,
            keep: Keep::default(),
            on_reload: OnReload::default(),
            retry_on: RetryOn::default(),
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
    /// Instructions of an attempt; absent means unmetered, which is faster. An instruction is one unit; those that fill or
    /// copy memory cost one more for each byte, those that fill or copy tables one more for each element.
    pub fuel: Option<u64>,
    /// `state`: the sum of all keys and values that the job remembers, in bytes; at most 16 MiB, default 1 MiB.
    pub state_bytes_max: u64,
    /// `startup`: wall-clock time of the instantiation; absent means that only the timeout of the attempt bounds it.
    pub startup: Option<Duration>,
    /// What is counted: calls, handles, log lines, files, requests.
    pub counts: Counts,
}

/// Most that `limits.state` may say: the state of a job is in memory as a whole while a run of it uses it.
pub const STATE_BYTES_MAX: u64 = 16 << 20;

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
            state_bytes_max: 1 << 20,
            startup: None,
            counts: Counts::default(),
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
    /// For `limits.startup`.
    pub startup: Duration,
    /// For `limits.table_elements`. A manifest may lower this and what follows, not raise it.
    pub table_elements_max: u64,
    /// For `limits.instances`.
    pub instances_max: u32,
    /// For `limits.state`.
    pub state_bytes_max: u64,
    /// For what is counted.
    pub counts: Counts,
    /// Processor time that compiling one plugin may take; lower than what is built in, or it changes nothing.
    pub compile_cpu_time: Option<Duration>,
    /// Memory that compiling one plugin may take; lower than what is built in, or it changes nothing.
    pub compile_memory_bytes: Option<u64>,
}

impl Default for Ceilings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(24 * 3_600),
            cpu_time: Duration::from_secs(3_600),
            memory_bytes_max: 1 << 30,
            output_bytes_max: 16 << 20,
            startup: Duration::from_secs(24 * 3_600),
            table_elements_max: TABLE_ELEMENTS_MAX,
            instances_max: INSTANCES_MAX,
            state_bytes_max: STATE_BYTES_MAX,
            counts: Counts::ceilings(),
            compile_cpu_time: None,
            compile_memory_bytes: None,
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
    /// `state: true`: remember things from run to run, in a state of the job's own.
    pub state: bool,
    /// `secrets: [api-key]`: secrets that the manifest names.
    pub secrets: SecretGrants,
    /// `http: ["https://*.acme.dev"]`: to whom requests may be sent. Shared, because attempts take it along.
    pub http: Arc<[HttpRule]>,
    /// `network: { tcp: ["db.internal:5432"] }`: to whom connections may be opened; absent means to nobody.
    pub network: Option<Arc<NetworkGrants>>,
    /// `clock: { resolution: 1ms }`: in which steps the clocks of the guest go, at most 1 s; absent means as they are.
    pub clock_resolution: Option<Duration>,
    /// `random: { seed: 42 }`: the same slot sees the same random numbers; absent means that nobody can foresee them.
    pub random_seed: Option<u64>,
}

/// The longest step that `grants.clock.resolution` may say: beyond it, sleeping for a moment looks like no time at all.
pub const CLOCK_RESOLUTION_MAX: Duration = Duration::from_secs(1);

/// One directory of the host that a guest sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirGrant {
    /// Which entry of the list it is, for findings: those that cannot be read are left out.
    pub index: usize,
    /// Where it is on the host; relative paths start at the manifest's folder. Loading resolves its links: one that comes to
    /// be later is not followed.
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
