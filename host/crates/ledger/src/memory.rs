//! The memory ledger: the reference model for every other one, and the ledger of `exec` and of tests.
//!
//! It survives nothing. What it keeps is bounded: the oldest finished runs and skips make place for new ones.

use std::{
    collections::{BTreeMap, VecDeque},
    future::ready,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::{JobId, RunId, RunMap},
    outcome::OutcomeCode,
    outcome::json_bytes,
    ports::{Change, Committed, Finish, JobRow, Ledger, LedgerError, LogLine, PortFuture, Report, RunFilter, RunRow},
    run::Skip,
};

/// How many finished runs are kept.
pub const FINISHED_RUNS_MAX: usize = 100_000;

/// How many bytes of what finished runs wrote, logged and returned are kept.
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
    jobs: BTreeMap<JobId, JobRow>,
    watermark: Option<DateTime<Utc>>,
    runs: RunMap<RunRow>,
    /// Finished runs in the order of their ends, for making place.
    finished: VecDeque<RunId>,
    /// What the guests of finished runs wrote, logged and returned, in bytes.
    n_finished_bytes: usize,
    skips: VecDeque<Skip>,
}

impl MemoryLedger {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held cannot leave a batch half kept that matters: the process is the store.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger for MemoryLedger {
    fn load(&self) -> PortFuture<'_, Result<Vec<JobRow>, LedgerError>> {
        Box::pin(ready(Ok(self.state().job_rows())))
    }

    fn commit(&self, changes: Vec<Change>) -> PortFuture<'_, Result<Committed, LedgerError>> {
        let mut committed = Committed::default();
        let mut state = self.state();
        for change in changes {
            state.apply(change, &mut committed);
        }
        Box::pin(ready(Ok(committed)))
    }

    fn runs(&self, filter: RunFilter) -> PortFuture<'_, Result<Vec<RunRow>, LedgerError>> {
        Box::pin(ready(Ok(self.state().find_runs(&filter))))
    }

    fn skips(&self, job: Option<JobId>, n_max: usize) -> PortFuture<'_, Result<Vec<Skip>, LedgerError>> {
        let state = self.state();
        let wanted = state.skips.iter().rev().filter(|skip| job.as_ref().is_none_or(|job| skip.job == *job));
        let skips = wanted.take(n_max).cloned().collect();
        Box::pin(ready(Ok(skips)))
    }
}

impl State {
    fn apply(&mut self, change: Change, committed: &mut Committed) {
        match change {
            Change::Seen { job, at } => {
                let row = JobRow {
                    job: job.clone(),
                    first_seen: at,
                    decided_until: at,
                    last_finished: None,
                    last_success: None,
                };
                self.jobs.entry(job).or_insert(row);
            }
            Change::Plan(run) => {
                self.runs.entry(run.id).or_insert(RunRow { run, finish: None });
            }
            Change::TakeBack(run) => {
                if self.runs.get(&run).is_some_and(|row| row.finish.is_none()) {
                    self.runs.remove(&run);
                }
            }
            Change::Skip(skip) => self.skip(skip),
            Change::Finish(finish) => {
                if !self.finish(finish) {
                    committed.n_stale += 1;
                }
            }
            Change::Watermark(at) => self.watermark = self.watermark.max(Some(at)),
        }
    }

    fn skip(&mut self, skip: Skip) {
        // The row of a run that became a skip goes: its slot has one disposition, and that is the skip.
        if let Some(run) = skip.run {
            self.runs.remove(&run);
        }
        if SKIPS_MAX <= self.skips.len() {
            self.skips.pop_front();
        }
        self.skips.push_back(skip);
    }

    fn finish(&mut self, finish: Box<Finish>) -> bool {
        let Some(row) = self.runs.get_mut(&finish.run).filter(|row| row.finish.is_none()) else { return false };
        if let Some(job) = self.jobs.get_mut(&finish.job) {
            job.last_finished = job.last_finished.max(Some(finish.finished_at));
            if finish.report.outcome.code == OutcomeCode::Succeeded {
                job.last_success = job.last_success.max(Some(row.run.scheduled_for));
            }
        }
        self.finished.push_back(finish.run);
        self.n_finished_bytes += n_bytes(&finish.report);
        row.finish = Some(finish);
        self.make_place();
        true
    }

    fn make_place(&mut self) {
        while FINISHED_RUNS_MAX < self.finished.len() || FINISHED_BYTES_MAX < self.n_finished_bytes {
            let Some(oldest) = self.finished.pop_front() else { return };
            let finish = self.runs.remove(&oldest).and_then(|row| row.finish);
            let freed = finish.map_or(0, |finish| n_bytes(&finish.report));
            self.n_finished_bytes = self.n_finished_bytes.saturating_sub(freed);
        }
    }

    fn job_rows(&self) -> Vec<JobRow> {
        let decided =
            |row: &JobRow| self.watermark.map_or(row.decided_until, |watermark| row.decided_until.max(watermark));
        self.jobs.values().map(|row| JobRow { decided_until: decided(row), ..row.clone() }).collect()
    }

    fn find_runs(&self, filter: &RunFilter) -> Vec<RunRow> {
        let code = |row: &RunRow| row.finish.as_ref().map(|finish| finish.report.outcome.code);
        let mut rows: Vec<&RunRow> = self
            .runs
            .values()
            .filter(|row| filter.job.as_ref().is_none_or(|job| row.run.job == *job))
            .filter(|row| filter.outcome.is_none_or(|outcome| code(row) == Some(outcome)))
            .filter(|row| filter.since.is_none_or(|since| since <= row.run.scheduled_for))
            .collect();
        rows.sort_by(|a, b| {
            (b.run.scheduled_for, &b.run.job, b.run.id).cmp(&(a.run.scheduled_for, &a.run.job, a.run.id))
        });
        let n_max = if filter.n_max == 0 { usize::MAX } else { filter.n_max };
        rows.into_iter().take(n_max).cloned().collect()
    }
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
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn passes_the_contract() {
        crate::contract::check(|| Box::pin(ready(Arc::new(MemoryLedger::default()) as Arc<dyn Ledger>))).await;
    }

    #[tokio::test]
    async fn what_guests_write_is_bounded_in_bytes() {
        let ledger = MemoryLedger::default();
        let n_runs = 2 * FINISHED_BYTES_MAX / (8 << 20);
        for number in 0..n_runs {
            let run = crate::contract::run("a", i64::try_from(number).unwrap());
            let mut finish = crate::contract::finish(&run, OutcomeCode::Succeeded);
            if let Change::Finish(finish) = &mut finish {
                finish.report.stdout.text = "x".repeat(8 << 20);
            }
            ledger.commit(vec![Change::Plan(Arc::clone(&run)), finish]).await.unwrap();
        }
        assert_eq!(ledger.runs(RunFilter::default()).await.unwrap().len(), n_runs / 2);
    }

    #[tokio::test]
    async fn the_oldest_finished_runs_make_place() {
        let ledger = MemoryLedger::default();
        let n_runs = FINISHED_RUNS_MAX + 10;
        for chunk in 0..n_runs / 10 {
            let mut changes = Vec::new();
            for number in 0..10 {
                let run = crate::contract::run("a", i64::try_from(chunk * 10 + number).unwrap());
                changes.push(Change::Plan(Arc::clone(&run)));
                changes.push(crate::contract::finish(&run, OutcomeCode::Succeeded));
            }
            ledger.commit(changes).await.unwrap();
        }
        let rows = ledger.runs(RunFilter::default()).await.unwrap();
        assert_eq!(rows.len(), FINISHED_RUNS_MAX);
        assert_eq!(rows.last().unwrap().run.id, crate::contract::run("a", 10).id);
    }
}
