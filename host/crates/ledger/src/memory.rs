//! The memory ledger: the reference model for every other one, and the ledger of `exec` and of tests.
//!
//! It survives nothing. What it keeps is bounded: the oldest finished runs and skips make place for new ones.

mod documents;
mod generations;
mod reads;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque, hash_map::Entry::Vacant},
    future::ready,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::{JobId, RunId, RunMap},
    outcome::{OutcomeCode, json_bytes},
    ports::{
        Again, Change, Claim, Committed, Document, DocumentKind, EventBatch, EventMark, Finish, GenerationRow,
        JobFilter, JobStory, KeepOf, Ledger, LedgerError, Loaded, LogLine, PortFuture, Pruned, Report, RunFilter,
        RunRow, RunState, RunStory, SkipFilter, SkipPlace,
    },
    run::{JobState, Run, Skip},
    state::{Entry as StateEntry, Kept, StateChange},
};

use self::{
    documents::{Documents, Events},
    generations::Generations,
};

/// How many finished runs are kept.
pub const FINISHED_RUNS_MAX: usize = 100_000;

/// How many bytes of what runs wrote, logged and returned are kept: of all attempts that have ended.
const FINISHED_BYTES_MAX: usize = 256 << 20;

/// How many skips are kept.
const SKIPS_MAX: usize = 100_000;

/// A ledger in memory.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    jobs: BTreeMap<JobId, JobState>,
    /// The last end and the last success of each job, which may be known before the job is.
    last: BTreeMap<JobId, Last>,
    watermark: Option<DateTime<Utc>>,
    runs: RunMap<Entry>,
    /// Their places in the order of [`Ledger::runs`], the other way round.
    by_slot: BTreeSet<(DateTime<Utc>, JobId, RunId)>,
    /// The runs of each job, oldest slot first.
    by_job: HashMap<JobId, BTreeSet<(DateTime<Utc>, RunId)>>,
    /// Finished runs in the order of their ends, for making place. Some may have been pruned.
    finished: VecDeque<RunId>,
    /// How many of `runs` have ended.
    n_finished: usize,
    /// What the guests of ended attempts wrote, logged and returned, in bytes.
    n_bytes: usize,
    /// By their place in the order of [`Ledger::skips`], the other way round.
    skips: BTreeMap<SkipKey, Skip>,
    /// What jobs remember.
    states: HashMap<JobId, Kept>,
    generations: Generations,
    documents: Documents,
    events: Events,
}

/// What tells skips apart, in their order.
type SkipKey = (DateTime<Utc>, JobId, DateTime<Utc>, Option<RunId>, &'static str);

/// The ended runs and the skips of a job, oldest first.
#[derive(Debug, Default)]
struct History {
    runs: Vec<(DateTime<Utc>, RunId)>,
    skips: Vec<SkipKey>,
}

/// What of a history is not to be kept: the oldest beyond the number, and what is too old.
fn surplus<'h, T>(history: &'h [T], slot: impl Fn(&T) -> DateTime<Utc>, keep: &KeepOf) -> Vec<&'h T> {
    let n_kept = usize::try_from(keep.n_max.get()).unwrap_or(usize::MAX);
    let n_surplus = history.len().saturating_sub(n_kept);
    history
        .iter()
        .enumerate()
        .filter(|(place, row)| *place < n_surplus || slot(row) < keep.since)
        .map(|(_, row)| row)
        .collect()
}

#[derive(Clone, Copy, Debug, Default)]
struct Last {
    finished: Option<DateTime<Utc>>,
    success: Option<DateTime<Utc>>,
}

/// A run with all that is kept of it.
#[derive(Debug)]
struct Entry {
    run: Arc<Run>,
    n_interrupted: u32,
    progress: Progress,
    /// Its earlier attempts.
    attempts: Vec<Finish>,
}

/// How far a run is.
#[derive(Debug)]
enum Progress {
    Open { n_attempts: u32, claimed_at: Option<DateTime<Utc>>, retry_at: Option<DateTime<Utc>> },
    Ended(Arc<Finish>),
}

impl MemoryLedger {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held cannot leave a batch half kept that matters: the process is the store.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger for MemoryLedger {
    fn load(&self) -> PortFuture<'_, Result<Loaded, LedgerError>> {
        Box::pin(ready(Ok(self.lock().load())))
    }

    fn jobs(&self, filter: JobFilter) -> PortFuture<'_, Result<Vec<JobStory>, LedgerError>> {
        Box::pin(ready(Ok(self.lock().find_jobs(&filter))))
    }

    fn commit(&self, changes: Vec<Change>) -> PortFuture<'_, Result<Committed, LedgerError>> {
        let mut committed = Committed::default();
        let mut state = self.lock();
        for change in changes {
            state.apply(change, &mut committed);
        }
        Box::pin(ready(Ok(committed)))
    }

    fn runs(&self, filter: RunFilter) -> PortFuture<'_, Result<Vec<RunRow>, LedgerError>> {
        Box::pin(ready(Ok(self.lock().find_runs(&filter))))
    }

    fn run(&self, id: RunId) -> PortFuture<'_, Result<Option<RunStory>, LedgerError>> {
        let state = self.lock();
        let story = state.runs.get(&id).map(|entry| RunStory { row: entry.row(), attempts: entry.attempts.clone() });
        Box::pin(ready(Ok(story)))
    }

    fn skips(&self, filter: SkipFilter) -> PortFuture<'_, Result<Vec<Skip>, LedgerError>> {
        let state = self.lock();
        let found = state.skips.values().rev().filter(|skip| {
            filter.job.as_ref().is_none_or(|job| skip.job == *job)
                && filter.since.is_none_or(|since| since <= skip.last)
                && filter.until.is_none_or(|until| skip.first < until)
                && filter.beyond.as_ref().is_none_or(|beyond| SkipPlace::of(skip) < *beyond)
        });
        let skips = found.take(bound(filter.n_max)).cloned().collect();
        Box::pin(ready(Ok(skips)))
    }

    fn documents(&self, kind: DocumentKind) -> PortFuture<'_, Result<Vec<Document>, LedgerError>> {
        Box::pin(ready(Ok(self.lock().documents.of(kind))))
    }

    fn events(&self, after: u64, n_max: usize) -> PortFuture<'_, Result<Vec<EventBatch>, LedgerError>> {
        Box::pin(ready(Ok(self.lock().events.after(after, n_max))))
    }

    fn event_marks(&self) -> PortFuture<'_, Result<Vec<EventMark>, LedgerError>> {
        Box::pin(ready(Ok(self.lock().events.marks())))
    }

    fn generations(&self) -> PortFuture<'_, Result<Vec<GenerationRow>, LedgerError>> {
        Box::pin(ready(Ok(self.lock().generations.all())))
    }

    fn state(&self, job: &JobId) -> PortFuture<'_, Result<Kept, LedgerError>> {
        Box::pin(ready(Ok(self.lock().states.get(job).cloned().unwrap_or_default())))
    }

    fn prune(&self, keep: Vec<KeepOf>, n_max: usize) -> PortFuture<'_, Result<Pruned, LedgerError>> {
        Box::pin(ready(Ok(self.lock().prune(&keep, n_max))))
    }

    fn close(&self) -> PortFuture<'_, Result<(), LedgerError>> {
        Box::pin(ready(Ok(())))
    }
}

impl State {
    fn apply(&mut self, change: Change, committed: &mut Committed) {
        match change {
            Change::Job(state) => {
                self.jobs.insert(state.job.clone(), state);
            }
            Change::Plan(run) => self.plan(run),
            Change::TakeBack { job: _, run } => {
                if self.runs.get(&run).is_some_and(Entry::is_untouched) {
                    self.forget(run);
                }
            }
            Change::Skip(skip) => self.skip(skip),
            Change::Claim(claim) => {
                if !self.claim(&claim) {
                    committed.unclaimed.push(claim.run);
                }
            }
            Change::Release { job: _, run } => {
                if let Some(Progress::Open { claimed_at, .. }) = self.progress(run) {
                    *claimed_at = None;
                }
            }
            Change::Again(again) => {
                if !self.again(Arc::unwrap_or_clone(again)) {
                    committed.n_stale += 1;
                }
            }
            Change::Finish(finish) => self.end(finish, committed),
            Change::State { job, change } => remember(self.states.entry(job).or_default(), &change),
            Change::Generation(row) => self.generations.put(row),
            Change::Document(document) => self.documents.put(document),
            Change::DocumentGone { kind, key } => self.documents.remove(kind, key),
            Change::Events(batch) => self.events.put(batch),
            Change::EventsGone { until } => self.events.remove(until),
            Change::Watermark(at) => self.watermark = self.watermark.max(Some(at)),
        }
    }

    fn progress(&mut self, run: RunId) -> Option<&mut Progress> {
        self.runs.get_mut(&run).map(|entry| &mut entry.progress)
    }

    fn plan(&mut self, run: Arc<Run>) {
        let progress = Progress::Open { n_attempts: 0, claimed_at: None, retry_at: None };
        let Vacant(place) = self.runs.entry(run.id) else { return };
        self.by_slot.insert((run.scheduled_for, run.job.clone(), run.id));
        match self.by_job.get_mut(&run.job) {
            Some(runs) => drop(runs.insert((run.scheduled_for, run.id))),
            None => drop(self.by_job.insert(run.job.clone(), [(run.scheduled_for, run.id)].into())),
        }
        place.insert(Entry { run, n_interrupted: 0, progress, attempts: Vec::new() });
    }

    fn claim(&mut self, claim: &Claim) -> bool {
        let Some(Progress::Open { n_attempts, claimed_at, .. }) = self.progress(claim.run) else { return false };
        if claim.attempt != *n_attempts + 1 {
            return false;
        }
        claimed_at.get_or_insert(claim.at);
        true
    }

    fn again(&mut self, again: Again) -> bool {
        let Some(entry) = self.runs.get_mut(&again.finish.run) else { return false };
        let Progress::Open { n_attempts, claimed_at, retry_at } = &mut entry.progress else { return false };
        if again.finish.n_attempts != *n_attempts + 1 {
            return false;
        }
        *n_attempts += 1;
        *claimed_at = None;
        *retry_at = Some(again.retry_at);
        if again.finish.report.outcome.code == OutcomeCode::Interrupted {
            entry.n_interrupted += 1;
        }
        self.n_bytes += n_bytes(&again.finish.report);
        entry.attempts.push(again.finish);
        self.make_place();
        true
    }

    fn skip(&mut self, skip: Skip) {
        // The row of a run that became a skip goes: its slot has one disposition, and that is the skip.
        if let Some(run) = skip.run
            && self.runs.get(&run).is_some_and(Entry::is_open)
        {
            self.remove(run);
        }
        self.skips.entry(skip_key(&skip)).or_insert(skip);
        while SKIPS_MAX < self.skips.len() {
            self.skips.pop_first();
        }
    }

    /// Ends a run. Its state is kept apart from its end.
    fn end(&mut self, mut finish: Arc<Finish>, committed: &mut Committed) {
        let state = if finish.state.is_some() { Arc::make_mut(&mut finish).state.take() } else { None };
        let (run, job) = (finish.run, state.is_some().then(|| finish.job.clone()));
        let is_stale = !self.finish(finish);
        committed.n_stale += usize::from(is_stale);
        match (state, job) {
            (Some(_), _) if is_stale => committed.stale_states.push(run),
            (Some(change), Some(job)) => remember(self.states.entry(job).or_default(), &change),
            (_, _) => {}
        }
    }

    fn finish(&mut self, finish: Arc<Finish>) -> bool {
        let Some(entry) = self.runs.get_mut(&finish.run).filter(|entry| entry.is_open()) else { return false };
        let last = self.last.entry(entry.run.job.clone()).or_default();
        last.finished = last.finished.max(Some(finish.finished_at));
        if finish.report.outcome.code == OutcomeCode::Succeeded {
            last.success = last.success.max(Some(entry.run.scheduled_for));
        }
        self.n_bytes += n_bytes(&finish.report) + payload_bytes(&entry.run);
        self.finished.push_back(finish.run);
        self.n_finished += 1;
        entry.progress = Progress::Ended(finish);
        self.make_place();
        true
    }

    /// Takes a run out of everything that leads to it.
    fn forget(&mut self, run: RunId) -> Option<Entry> {
        let entry = self.runs.remove(&run)?;
        let Run { scheduled_for, job, .. } = &*entry.run;
        self.by_slot.remove(&(*scheduled_for, job.clone(), run));
        if let Some(runs) = self.by_job.get_mut(job) {
            runs.remove(&(*scheduled_for, run));
            if runs.is_empty() {
                self.by_job.remove(job);
            }
        }
        Some(entry)
    }

    /// Forgets a run with all that its attempts wrote.
    fn remove(&mut self, run: RunId) {
        let Some(entry) = self.forget(run) else { return };
        let ended = match &entry.progress {
            Progress::Open { .. } => None,
            Progress::Ended(finish) => Some(&**finish),
        };
        self.n_finished -= usize::from(ended.is_some());
        let freed: usize = entry.attempts.iter().chain(ended).map(|finish| n_bytes(&finish.report)).sum();
        let freed = freed + if ended.is_some() { payload_bytes(&entry.run) } else { 0 };
        self.n_bytes = self.n_bytes.saturating_sub(freed);
    }

    fn make_place(&mut self) {
        while FINISHED_RUNS_MAX < self.n_finished || FINISHED_BYTES_MAX < self.n_bytes {
            let Some(oldest) = self.finished.pop_front() else { return };
            self.remove(oldest);
        }
    }

    fn prune(&mut self, keep: &[KeepOf], n_max: usize) -> Pruned {
        let mut pruned = Pruned::default();
        for (keep, kept) in keep.iter().zip(self.history_of(keep)) {
            let runs = surplus(&kept.runs, |(slot, _)| *slot, keep);
            let skips = surplus(&kept.skips, |(last, ..)| *last, keep);
            let n_left = n_max - pruned.n_runs - pruned.n_skips;
            pruned.has_more |= n_left < runs.len() + skips.len();
            for (_, run) in runs.into_iter().take(n_left) {
                self.remove(*run);
                pruned.n_runs += 1;
            }
            for key in skips.into_iter().take(n_max - pruned.n_runs - pruned.n_skips) {
                self.skips.remove(key);
                pruned.n_skips += 1;
            }
        }
        if pruned.n_runs != 0 {
            self.finished.retain(|run| self.runs.contains_key(run));
        }
        pruned
    }
}

impl Entry {
    fn is_open(&self) -> bool {
        match &self.progress {
            Progress::Open { .. } => true,
            Progress::Ended(_) => false,
        }
    }

    /// Nothing has come of it yet, so that it can be taken back.
    fn is_untouched(&self) -> bool {
        match &self.progress {
            Progress::Open { n_attempts, claimed_at, retry_at: _ } => *n_attempts == 0 && claimed_at.is_none(),
            Progress::Ended(_) => false,
        }
    }

    fn code(&self) -> Option<OutcomeCode> {
        match &self.progress {
            Progress::Open { .. } => None,
            Progress::Ended(finish) => Some(finish.report.outcome.code),
        }
    }

    fn row(&self) -> RunRow {
        let state = match &self.progress {
            Progress::Open { n_attempts, claimed_at, retry_at } => {
                RunState::Open { n_attempts: *n_attempts, claimed_at: *claimed_at, retry_at: *retry_at }
            }
            Progress::Ended(finish) => RunState::Ended(finish.clone()),
        };
        RunRow { run: Arc::clone(&self.run), state }
    }
}

/// Keeps a change of state, unless it came before or too late.
fn remember(kept: &mut Kept, change: &StateChange) {
    if change.version <= kept.version {
        return;
    }
    kept.version = change.version;
    for write in &change.writes {
        match &write.value {
            Some(value) => {
                let entry = StateEntry { value: Arc::clone(value), version: write.version };
                kept.entries.insert(write.key.clone(), entry);
            }
            None => drop(kept.entries.remove(&write.key)),
        }
    }
}

/// About how many bytes the payload of a run holds.
fn payload_bytes(run: &Run) -> usize {
    run.payload.as_ref().map_or(0, |payload| json_bytes(payload.json()))
}

/// A bound of zero is none.
fn bound(n_max: usize) -> usize {
    if n_max == 0 { usize::MAX } else { n_max }
}

fn skip_key(skip: &Skip) -> SkipKey {
    (skip.last, skip.job.clone(), skip.first, skip.run, skip.reason.as_str())
}

/// What a report holds of a guest's own words.
fn n_bytes(report: &Report) -> usize {
    let line = |line: &LogLine| {
        let fields: usize = line.fields.iter().map(|(key, value)| key.len() + value.len()).sum();
        size_of::<LogLine>() + line.message.len() + fields
    };
    let logs: usize = report.logs.iter().map(line).sum();
    let progress = report.progress.as_ref().map_or(0, String::len);
    let output = report.outcome.output.as_ref().map_or(0, json_bytes);
    report.stdout.text.len() + report.stderr.text.len() + report.outcome.message.len() + logs + progress + output
}

#[cfg(test)]
mod tests;
