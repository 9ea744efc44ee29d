//! The meter: it sees what happens and counts it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    core::PoolLoad,
    id::{JobId, PoolName},
    job::Job,
    ports::JobRow,
    run::JobState,
};

use super::figures::{Figures, Histogram};
use crate::shell::Event;

/// Of how many jobs there are figures of their own: some forty lines for each, which is what a scrape every few seconds can
/// carry. All others are counted together.
pub const JOBS_METERED_MAX: usize = 2_000;

/// Bounds of the time that a commit takes, in microseconds.
const COMMITS: &[u64] = &[500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000];

/// Bounds of how many changes one commit has.
const BATCHES: &[u64] = &[1, 4, 16, 64, 256, 1_024, 4_096];

/// What became of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delivery {
    /// It arrived.
    Sent,
    /// It did not arrive this time, and is tried again.
    Retried,
    /// It was given up.
    Failed,
    /// It was dropped because too many others waited.
    Dropped,
}

impl Delivery {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Retried => "retried",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// Counts what a host does. Clones are the same meter.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    jobs: Mutex<Jobs>,
    host: Mutex<OfHost>,
    /// When the scheduler last took a turn, in milliseconds since 1970; zero before the first.
    last_turn: AtomicI64,
    n_turns: AtomicU64,
    /// How many runs have ended.
    n_ended: AtomicU64,
    /// Whether nothing of any job starts.
    is_paused: AtomicBool,
    /// Whether the manifest that was last read is not in force.
    is_manifest_refused: AtomicBool,
}

/// The jobs that are in force.
#[derive(Debug, Default)]
struct Jobs {
    by_id: HashMap<JobId, Arc<Mutex<Figures>>>,
    /// Those beyond the bound.
    others: HashMap<JobId, Arc<Job>>,
    paused: HashSet<JobId>,
    other: Arc<Mutex<Figures>>,
}

impl Jobs {
    fn pause(&mut self, job: &JobId, is_paused: bool) {
        if !is_paused {
            self.paused.remove(job);
        } else if !self.paused.contains(job) {
            self.paused.insert(job.clone());
        }
    }
}

/// How a host is at one moment.
#[derive(Clone, Debug, Default)]
pub struct Glance {
    /// Whether nothing of any job starts until somebody resumes all.
    pub is_paused: bool,
    /// Whether nothing starts because the ledger cannot be written.
    pub is_held: bool,
    /// How many jobs are paused, each by itself or with all others.
    pub n_jobs_paused: usize,
    /// How many runs have ended since the host began.
    pub n_ended: u64,
    /// Whether the manifest that was last read is in force.
    pub is_manifest_ok: bool,
    /// When a manifest was last put in force.
    pub last_reload: Option<DateTime<Utc>>,
    /// Which release of the zone rules is in force.
    pub zone_rules: String,
    /// The pools, by name.
    pub pools: BTreeMap<PoolName, PoolLoad>,
}

/// What is counted of the host as a whole.
#[derive(Clone, Debug)]
pub(super) struct OfHost {
    pub(super) commit_time: Histogram,
    pub(super) commit_size: Histogram,
    pub(super) is_held: bool,
    pub(super) n_held: u64,
    pub(super) n_clock_steps: u64,
    pub(super) n_reloads: u64,
    pub(super) n_refused: u64,
    pub(super) last_reload: Option<DateTime<Utc>>,
    pub(super) plugin_news: BTreeMap<&'static str, u64>,
    pub(super) pools: BTreeMap<PoolName, PoolLoad>,
    pub(super) deliveries: BTreeMap<(Arc<str>, Delivery), u64>,
    pub(super) waiting: BTreeMap<Arc<str>, u64>,
    pub(super) zone_rules: String,
}

impl Default for OfHost {
    fn default() -> Self {
        Self {
            commit_time: Histogram::of_time(COMMITS),
            commit_size: Histogram::of_numbers(BATCHES),
            is_held: false,
            n_held: 0,
            n_clock_steps: 0,
            n_reloads: 0,
            n_refused: 0,
            last_reload: None,
            plugin_news: BTreeMap::new(),
            pools: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            waiting: BTreeMap::new(),
            zone_rules: String::new(),
        }
    }
}

/// All figures at one moment.
pub(super) struct Reading {
    /// By name, those beyond the bound last.
    pub(super) jobs: Vec<(String, Figures)>,
    pub(super) n_jobs: usize,
    pub(super) n_dropped: usize,
    pub(super) host: OfHost,
    pub(super) last_turn: Option<DateTime<Utc>>,
    pub(super) n_turns: u64,
    pub(super) is_manifest_ok: bool,
}

impl Meter {
    /// Counts an event.
    pub(crate) fn see(&self, event: &Event) {
        match event {
            Event::RunFinished { run, finish } => {
                self.inner.n_ended.fetch_add(1, Relaxed);
                self.of_job(&run.job, |job| job.finished(run, finish));
            }
            Event::AttemptEnded { run, again } => self.of_job(&run.job, |job| job.tried(run, &again.finish)),
            Event::RunCut { cut, is_tried_again: true } => self.of_job(&cut.run.job, |job| job.n_retries += 1),
            Event::RunCut { cut, is_tried_again: false } => {
                self.inner.n_ended.fetch_add(1, Relaxed);
                self.of_job(&cut.run.job, |job| job.ended(cut.outcome.code, cut.at));
            }
            Event::Skipped(skip) => self.of_job(&skip.job, |job| job.skipped(skip)),
            Event::LedgerHeld { .. } => {
                let mut host = self.host();
                host.is_held = true;
                host.n_held += 1;
            }
            Event::LedgerBack { .. } => self.host().is_held = false,
            Event::Paused { .. } => self.inner.is_paused.store(true, Relaxed),
            Event::Resumed { .. } => self.inner.is_paused.store(false, Relaxed),
            Event::ClockStepped { .. } => self.host().n_clock_steps += 1,
            Event::Plugin(news) => *self.host().plugin_news.entry(news.kind.as_str()).or_default() += 1,
            Event::Manifest(news) => {
                let now = self.last_turn();
                self.inner.is_manifest_refused.store(news.refused.is_some(), Relaxed);
                let mut host = self.host();
                match news.refused {
                    Some(_) => host.n_refused += 1,
                    None => {
                        host.n_reloads += 1;
                        host.last_reload = now;
                    }
                }
            }
            _ => {}
        }
    }

    /// A job is in force from now on, or has another definition. `row` is what the ledger knows of a job that comes back.
    pub(crate) fn job_in_force(&self, job: &Arc<Job>, row: Option<&JobRow>) {
        let mut jobs = self.jobs();
        if let Some(row) = row {
            jobs.pause(&job.id, row.state.paused);
        }
        let is_known = jobs.by_id.contains_key(&job.id);
        if !is_known && JOBS_METERED_MAX <= jobs.by_id.len() {
            jobs.others.insert(job.id.clone(), Arc::clone(job));
            return;
        }
        let figures = Arc::clone(jobs.by_id.entry(job.id.clone()).or_default());
        drop(jobs);
        let mut figures = locked(&figures);
        figures.job = Some(Arc::clone(job));
        if let Some(row) = row {
            figures.first_seen = Some(row.state.first_seen);
            figures.is_paused = row.state.paused;
            figures.last_run = figures.last_run.or(row.last_finished);
        }
    }

    /// What is known of a job has changed.
    pub(crate) fn job_state(&self, state: &JobState) {
        let mut jobs = self.jobs();
        jobs.pause(&state.job, state.paused);
        if let Some(figures) = jobs.by_id.get(&state.job) {
            let mut figures = locked(figures);
            figures.is_paused = state.paused;
            figures.first_seen = Some(state.first_seen);
        }
    }

    /// A job is gone, and its series with it. What was counted of it is not taken over by anybody.
    pub(crate) fn job_gone(&self, job: &JobId) {
        let mut jobs = self.jobs();
        jobs.paused.remove(job);
        jobs.by_id.remove(job);
        jobs.others.remove(job);
    }

    /// The definition of a job that is in force.
    pub(crate) fn job(&self, job: &JobId) -> Option<Arc<Job>> {
        let jobs = self.jobs();
        let Some(figures) = jobs.by_id.get(job).map(Arc::clone) else { return jobs.others.get(job).cloned() };
        drop(jobs);
        locked(&figures).job.clone()
    }

    /// The jobs that are in force and that somebody wants to be told of.
    pub(crate) fn told_of(&self) -> Vec<Arc<Job>> {
        let jobs = self.jobs();
        let others = jobs.others.values().cloned().collect::<Vec<_>>();
        let own: Vec<_> = jobs.by_id.values().map(Arc::clone).collect();
        drop(jobs);
        let own = own.iter().filter_map(|figures| locked(figures).job.clone());
        own.chain(others).filter(|job| !job.notify.is_empty()).collect()
    }

    /// The scheduler has taken a turn.
    pub(crate) fn turned<'p>(&self, now: DateTime<Utc>, pools: impl Iterator<Item = (&'p PoolName, PoolLoad)> + Clone) {
        self.inner.last_turn.store(now.timestamp_millis(), Relaxed);
        self.inner.n_turns.fetch_add(1, Relaxed);
        let mut host = self.host();
        if host.last_reload.is_none() {
            host.last_reload = Some(now);
        }
        let mut n_pools = 0;
        for (name, load) in pools.clone() {
            n_pools += 1;
            // Most are known already; a clone of the name would be thrown away.
            match host.pools.get_mut(name) {
                Some(known) => *known = load,
                None => drop(host.pools.insert(name.clone(), load)),
            }
        }
        if n_pools < host.pools.len() {
            // Some were taken out of the manifest.
            host.pools.retain(|known, _| pools.clone().any(|(name, _)| name == known));
        }
    }

    /// When the scheduler last took a turn; at most a second ago where all is well.
    #[must_use]
    pub fn last_turn(&self) -> Option<DateTime<Utc>> {
        let millis = Some(self.inner.last_turn.load(Relaxed)).filter(|millis| *millis != 0);
        millis.and_then(DateTime::from_timestamp_millis)
    }

    /// How many turns the scheduler has taken.
    #[must_use]
    pub fn n_turns(&self) -> u64 {
        self.inner.n_turns.load(Relaxed)
    }

    /// Whether nothing starts because the ledger cannot be written.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.host().is_held
    }

    /// How many jobs are in force, and how many runs have a place.
    #[must_use]
    pub fn n_jobs_and_going(&self) -> (usize, usize) {
        let jobs = self.jobs();
        let n_jobs = jobs.by_id.len() + jobs.others.len();
        drop(jobs);
        (n_jobs, self.host().pools.values().map(|pool| pool.n_going).sum())
    }

    /// How the host is now.
    #[must_use]
    pub fn glance(&self) -> Glance {
        let n_jobs_paused = self.jobs().paused.len();
        let host = self.host();
        Glance {
            is_paused: self.inner.is_paused.load(Relaxed),
            is_held: host.is_held,
            n_jobs_paused,
            n_ended: self.inner.n_ended.load(Relaxed),
            is_manifest_ok: self.is_manifest_ok(),
            last_reload: host.last_reload,
            zone_rules: host.zone_rules.clone(),
            pools: host.pools.clone(),
        }
    }

    /// Whether the manifest that was last read is in force.
    #[must_use]
    pub fn is_manifest_ok(&self) -> bool {
        !self.inner.is_manifest_refused.load(Relaxed)
    }

    /// Changes were committed.
    pub(crate) fn committed(&self, n_changes: usize, took: Duration) {
        let mut host = self.host();
        host.commit_time.observe_time(took);
        host.commit_size.observe(u64::try_from(n_changes).unwrap_or(u64::MAX));
    }

    /// Which zone rules are in force.
    pub fn zone_rules(&self, version: &str) {
        version.clone_into(&mut self.host().zone_rules);
    }

    /// Something became of a notification of a channel.
    pub fn delivered(&self, channel: &Arc<str>, delivery: Delivery) {
        *self.host().deliveries.entry((Arc::clone(channel), delivery)).or_default() += 1;
    }

    /// How many notifications wait, by channel.
    pub fn waiting(&self, waiting: BTreeMap<Arc<str>, u64>) {
        self.host().waiting = waiting;
    }

    /// All figures as they are now.
    pub(super) fn read(&self) -> Reading {
        let jobs = self.jobs();
        let own: Vec<_> = jobs.by_id.iter().map(|(id, figures)| (id.to_string(), Arc::clone(figures))).collect();
        let (other, n_dropped) = (Arc::clone(&jobs.other), jobs.others.len());
        drop(jobs);
        let n_jobs = own.len() + n_dropped;
        let mut jobs: Vec<_> = own.into_iter().map(|(id, figures)| (id, locked(&figures).clone())).collect();
        jobs.sort_by(|a, b| a.0.cmp(&b.0));
        if 0 < n_dropped {
            jobs.push(("_other".to_owned(), locked(&other).clone()));
        }
        Reading {
            jobs,
            n_jobs,
            n_dropped,
            host: self.host().clone(),
            last_turn: self.last_turn(),
            n_turns: self.n_turns(),
            is_manifest_ok: self.is_manifest_ok(),
        }
    }

    fn of_job(&self, job: &JobId, count: impl FnOnce(&mut Figures)) {
        let jobs = self.jobs();
        let figures = match jobs.by_id.get(job) {
            Some(figures) => Arc::clone(figures),
            // The last runs of a job that is gone belong to nobody any more.
            None if jobs.others.contains_key(job) => Arc::clone(&jobs.other),
            None => return,
        };
        drop(jobs);
        count(&mut locked(&figures));
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        locked(&self.inner.jobs)
    }

    fn host(&self) -> MutexGuard<'_, OfHost> {
        locked(&self.inner.host)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
