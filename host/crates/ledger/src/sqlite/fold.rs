//! What a batch changes, worked out in memory: of each run only the difference between before and after is written, so
//! a run that is planned, claimed and finished in one transaction is one row.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::{JobId, PluginName, RunId, RunMap},
    outcome::OutcomeCode,
    ports::{Again, Change, Claim, Committed, Document, DocumentKind, EventBatch, Finish, GenerationRow, OpenRun},
    run::{JobState, Run, Skip},
    state::{StateChange, StateWrite},
};

/// What the writer knows without asking: the runs that have not ended, and the watermark.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    pub(super) open: RunMap<OpenRun>,
    pub(super) watermark: Option<DateTime<Utc>>,
    /// The greatest id of a run that has ended. A plan with a greater one is new for sure.
    pub(super) newest: Option<RunId>,
    /// The greatest version of the state of each job that has any.
    pub(super) state_versions: HashMap<JobId, u64>,
}

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Runs that were touched, as they were before.
    touched: RunMap<Option<OpenRun>>,
    /// Runs that have ended.
    pub(super) ended: Vec<Ended>,
    /// The same by id, together with those that had ended before.
    known: RunMap<()>,
    /// Runs that are new and have a payload.
    pub(super) payloads: Vec<Arc<Run>>,
    /// Runs whose payloads go.
    pub(super) payloads_gone: Vec<RunId>,
    /// Attempts after which another one follows.
    pub(super) attempts: Vec<Finish>,
    /// Runs whose earlier attempts go.
    pub(super) forgotten: Vec<RunId>,
    pub(super) skips: Vec<Skip>,
    pub(super) jobs: HashMap<JobId, JobState>,
    /// When the last run of a job ended, and the slot of its last success.
    pub(super) lasts: HashMap<JobId, (DateTime<Utc>, Option<DateTime<Utc>>)>,
    pub(super) watermark: Option<DateTime<Utc>>,
    /// What jobs remember from now on, by key.
    pub(super) states: HashMap<JobId, StateOf>,
    /// Code of plugins, by plugin and number.
    pub(super) generations: BTreeMap<(PluginName, u32), Arc<GenerationRow>>,
    /// Documents, by kind and key; nothing for those that go.
    pub(super) documents: BTreeMap<(DocumentKind, Arc<str>), Option<Arc<Document>>>,
    /// Events, by their last number.
    pub(super) events: BTreeMap<u64, Arc<EventBatch>>,
    /// Up to which number events go, before those above are written.
    pub(super) events_gone: Option<u64>,
}

/// How the state of a job changes.
#[derive(Debug, Default)]
pub(super) struct StateOf {
    /// The greatest version that was ever kept.
    pub(super) version: u64,
    pub(super) writes: BTreeMap<String, StateWrite>,
}

/// A run that has ended, after so many earlier attempts.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) run: Arc<Run>,
    pub(super) finish: Arc<Finish>,
    pub(super) n_earlier: usize,
}

/// How the rows of open runs change.
#[derive(Debug, Default)]
pub(super) struct OpenChanges {
    /// Rows to write.
    pub(super) put: Vec<OpenRun>,
    /// Rows whose claim alone is to be written, by its instant.
    pub(super) claimed: BTreeMap<DateTime<Utc>, Vec<RunId>>,
    /// Rows that go.
    pub(super) gone: Vec<RunId>,
}

/// The runs that are planned, and of which the mirror cannot say that they are new.
pub(super) fn doubtful(mirror: &Mirror, batches: &[Vec<Change>]) -> Vec<RunId> {
    let plans = batches.iter().flatten().filter_map(|change| match change {
        Change::Plan(run) => Some(run.id),
        Change::Job(_)
        | Change::TakeBack { .. }
        | Change::Skip(_)
        | Change::Claim(_)
        | Change::Release { .. }
        | Change::Again(_)
        | Change::Finish(_)
        | Change::State { .. }
        | Change::Generation(_)
        | Change::Document(_)
        | Change::DocumentGone { .. }
        | Change::Events(_)
        | Change::EventsGone { .. }
        | Change::Watermark(_) => None,
    });
    plans.filter(|id| Some(*id) <= mirror.newest && !mirror.open.contains_key(id)).collect()
}

/// Applies batches to the mirror. `ended` are those of the doubtful runs that have ended.
pub(super) fn fold(
    mirror: &mut Mirror,
    batches: Vec<Vec<Change>>,
    ended: impl IntoIterator<Item = RunId>,
) -> (Effects, Vec<Committed>) {
    let mut effects = Effects { known: ended.into_iter().map(|id| (id, ())).collect(), ..Effects::default() };
    let apply_all = |changes: Vec<Change>| {
        let mut committed = Committed::default();
        for change in changes {
            let is_stale = apply(mirror, &mut effects, change, &mut committed);
            committed.n_stale += usize::from(is_stale);
        }
        committed
    };
    let committed = batches.into_iter().map(apply_all).collect();
    (effects, committed)
}

/// Applies one change, and says whether it is an end that came too late.
fn apply(mirror: &mut Mirror, effects: &mut Effects, change: Change, committed: &mut Committed) -> bool {
    match change {
        Change::Job(state) => drop(effects.jobs.insert(state.job.clone(), state)),
        Change::Plan(run) => plan(mirror, effects, run),
        Change::TakeBack { job: _, run } => {
            if mirror.open.get(&run).is_some_and(|open| open.n_attempts == 0 && open.claimed_at.is_none()) {
                remove(mirror, effects, run);
            }
        }
        Change::Skip(skip) => {
            if let Some(run) = skip.run {
                remove(mirror, effects, run);
            }
            effects.skips.push(skip);
        }
        Change::Claim(claim) => {
            if !self::claim(mirror, effects, &claim) {
                committed.unclaimed.push(claim.run);
            }
        }
        Change::Release { job: _, run } => {
            if let Some(open) = touch(mirror, effects, run) {
                open.claimed_at = None;
            }
        }
        Change::Again(finish) => return !again(mirror, effects, Arc::unwrap_or_clone(finish)),
        Change::Finish(finish) => return end(mirror, effects, finish, committed),
        Change::State { job, change } => remember(mirror, effects, job, Arc::unwrap_or_clone(change)),
        Change::Generation(row) => drop(effects.generations.insert((row.plugin.clone(), row.number), row)),
        Change::Document(document) => {
            let key = (document.kind, Arc::clone(&document.key));
            effects.documents.insert(key, Some(document));
        }
        Change::DocumentGone { kind, key } => drop(effects.documents.insert((kind, key), None)),
        Change::Events(batch) => drop(effects.events.insert(batch.last, batch)),
        Change::EventsGone { until } => {
            effects.events.retain(|last, _| until < *last);
            effects.events_gone = effects.events_gone.max(Some(until));
        }
        Change::Watermark(at) => {
            if mirror.watermark < Some(at) {
                mirror.watermark = Some(at);
                effects.watermark = Some(at);
            }
        }
    }
    false
}

/// An open run that is about to change.
fn touch<'m>(mirror: &'m mut Mirror, effects: &mut Effects, run: RunId) -> Option<&'m mut OpenRun> {
    let open = mirror.open.get_mut(&run)?;
    effects.touched.entry(run).or_insert_with(|| Some(open.clone()));
    Some(open)
}

fn remove(mirror: &mut Mirror, effects: &mut Effects, run: RunId) -> Option<OpenRun> {
    let open = mirror.open.remove(&run)?;
    if open.n_attempts != 0 {
        effects.forgotten.push(run);
        effects.attempts.retain(|attempt| attempt.run != run);
    }
    if open.run.payload.is_some() {
        effects.payloads.retain(|planned| planned.id != run);
        effects.payloads_gone.push(run);
    }
    effects.touched.entry(run).or_insert_with(|| Some(open.clone()));
    Some(open)
}

fn plan(mirror: &mut Mirror, effects: &mut Effects, run: Arc<Run>) {
    let id = run.id;
    if mirror.open.contains_key(&id) || effects.known.contains_key(&id) {
        return;
    }
    effects.touched.entry(id).or_insert(None);
    if run.payload.is_some() {
        effects.payloads.push(Arc::clone(&run));
    }
    mirror.open.insert(id, OpenRun { run, n_attempts: 0, n_interrupted: 0, claimed_at: None, retry_at: None });
}

fn claim(mirror: &mut Mirror, effects: &mut Effects, claim: &Claim) -> bool {
    let Some(open) = touch(mirror, effects, claim.run) else { return false };
    if claim.attempt != open.n_attempts + 1 {
        return false;
    }
    open.claimed_at.get_or_insert(claim.at);
    true
}

fn again(mirror: &mut Mirror, effects: &mut Effects, again: Again) -> bool {
    let Some(open) = touch(mirror, effects, again.finish.run) else { return false };
    if again.finish.n_attempts != open.n_attempts + 1 {
        return false;
    }
    open.n_attempts += 1;
    open.claimed_at = None;
    open.retry_at = Some(again.retry_at);
    if again.finish.report.outcome.code == OutcomeCode::Interrupted {
        open.n_interrupted += 1;
    }
    effects.attempts.push(again.finish);
    true
}

/// Ends a run, with what it wrote to the state of its job. Says whether it came too late.
fn end(mirror: &mut Mirror, effects: &mut Effects, finish: Arc<Finish>, committed: &mut Committed) -> bool {
    let Some(state) = finish.state.clone() else { return !self::finish(mirror, effects, finish) };
    let (run, job) = (finish.run, finish.job.clone());
    let is_stale = !self::finish(mirror, effects, finish);
    if is_stale {
        committed.stale_states.push(run);
    } else {
        remember(mirror, effects, job, *state);
    }
    is_stale
}

/// Keeps a change of state, unless it came before or too late.
fn remember(mirror: &mut Mirror, effects: &mut Effects, job: JobId, change: StateChange) {
    let version = mirror.state_versions.entry(job.clone()).or_default();
    if change.version <= *version {
        return;
    }
    *version = change.version;
    let state = effects.states.entry(job).or_default();
    state.version = change.version;
    state.writes.extend(change.writes.into_iter().map(|write| (write.key.clone(), write)));
}

fn finish(mirror: &mut Mirror, effects: &mut Effects, finish: Arc<Finish>) -> bool {
    let Some(open) = mirror.open.remove(&finish.run) else { return false };
    let run = Arc::clone(&open.run);
    let n_earlier = usize::try_from(open.n_attempts).unwrap_or(usize::MAX);
    effects.touched.entry(run.id).or_insert(Some(open));
    effects.known.insert(run.id, ());
    mirror.newest = mirror.newest.max(Some(run.id));
    let success = (finish.report.outcome.code == OutcomeCode::Succeeded).then_some(run.scheduled_for);
    let last = effects.lasts.entry(run.job.clone()).or_insert((finish.finished_at, None));
    *last = (last.0.max(finish.finished_at), last.1.max(success));
    effects.ended.push(Ended { run, finish, n_earlier });
    true
}

impl Effects {
    /// How the rows of open runs change, in the order of their keys.
    pub(super) fn open_changes(&mut self, mirror: &Mirror) -> OpenChanges {
        let mut changes = OpenChanges::default();
        for (id, before) in self.touched.drain() {
            match (before, mirror.open.get(&id)) {
                (None, None) => {}
                (Some(_), None) => changes.gone.push(id),
                (None, Some(now)) => changes.put.push(now.clone()),
                (Some(before), Some(now)) if before == *now => {}
                (Some(before), Some(now)) => match now.claimed_at {
                    Some(at) if before == (OpenRun { claimed_at: before.claimed_at, ..now.clone() }) => {
                        changes.claimed.entry(at).or_default().push(id);
                    }
                    Some(_) | None => changes.put.push(now.clone()),
                },
            }
        }
        changes.gone.sort_unstable();
        changes.put.sort_unstable_by_key(|open| open.run.id);
        changes.claimed.values_mut().for_each(|ids| ids.sort_unstable());
        changes
    }
}
