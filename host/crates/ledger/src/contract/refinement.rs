//! A ledger against the model: the same random batches, and the same answers to every question.

use std::{num::NonZeroU32, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    id::RunId,
    outcome::OutcomeCode,
    ports::{
        Change, Document, DocumentKind, EventBatch, GenerationRow, JobFilter, JobStory, KeepOf, Ledger, Left, Loaded,
        RunFilter, RunPhase, RunPlace, RunRow, RunStory, SkipFilter, SkipPlace,
    },
    run::{Cause, JobState, Run, Skip, SkipReason},
    state::{Kept, StateChange, StateWrite},
};

use super::{again, at, claim, end, full_report, job, payload, plan, release, state, take_back};

const JOBS: [&str; 4] = ["a", "b", "ba", "c"];

/// All that can be asked of a ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// What it loads.
    pub loaded: Loaded,
    /// Its jobs, each with its newest run that has ended.
    pub jobs: Vec<JobStory>,
    /// Its runs.
    pub runs: Vec<RunRow>,
    /// The same with everything.
    pub stories: Vec<RunStory>,
    /// Its skips.
    pub skips: Vec<Skip>,
    /// What the jobs of the dice remember.
    pub states: Vec<Kept>,
    /// Which code came into force.
    pub generations: Vec<GenerationRow>,
    /// Its documents.
    pub documents: Vec<Document>,
    /// Its events.
    pub events: Vec<EventBatch>,
}

/// Asks a ledger everything.
pub async fn seen(ledger: &dyn Ledger) -> Seen {
    let loaded = ledger.load().await.expect("a ledger can be loaded");
    let jobs = ledger.jobs(JobFilter::default()).await.expect("jobs can be read");
    let runs = ledger.runs(RunFilter::default()).await.expect("runs can be read");
    let mut stories = Vec::new();
    for row in &runs {
        stories.push(ledger.run(row.run.id).await.expect("a run can be read").expect("a listed run is there"));
    }
    let skips = ledger.skips(SkipFilter::default()).await.expect("skips can be read");
    let mut states = Vec::new();
    for id in JOBS {
        states.push(ledger.state(&job(id)).await.expect("the state of a job can be read"));
    }
    let generations = ledger.generations().await.expect("generations can be read");
    let mut documents = Vec::new();
    for kind in DocumentKind::ALL {
        documents.append(&mut ledger.documents(kind).await.expect("documents can be read"));
    }
    let events = ledger.events(0, 0).await.expect("events can be read");
    Seen { loaded, jobs, runs, stories, skips, states, generations, documents, events }
}

/// Does the same random things with a model and a ledger, and compares after each. A failure names the seed.
pub async fn check(model: &dyn Ledger, ledger: &dyn Ledger, seed: u64, n_batches: usize) {
    let mut dice = Dice::new(seed);
    for number in 0..n_batches {
        let what = format!("seed {seed}, batch {number}");
        if dice.one_in(12) {
            let keep = dice.keep();
            let n_max = dice.below(6);
            let wanted = model.prune(keep.clone(), n_max).await.expect("the model can be pruned");
            assert_eq!(ledger.prune(keep, n_max).await.expect("a ledger can be pruned"), wanted, "{what}");
        }
        let changes: Vec<_> = (0..1 + dice.below(12)).map(|_| dice.change()).collect();
        for _ in 0..1 + dice.below(2) {
            let wanted = model.commit(changes.clone()).await.expect("the model keeps a batch");
            assert_eq!(ledger.commit(changes.clone()).await.expect("a batch is kept"), wanted, "{what}");
        }
        if dice.one_in(4) {
            let (wanted, found) = (seen(model).await, seen(ledger).await);
            assert_eq!(found.loaded, wanted.loaded, "{what}");
            assert_eq!(found, wanted, "{what}");
            let (runs, skips) = (wanted.runs, wanted.skips);
            let filter = dice.filter(&runs);
            let wanted = model.runs(filter.clone()).await.expect("runs can be read");
            assert_eq!(ledger.runs(filter).await.expect("runs can be read"), wanted, "{what}");
            let filter = dice.job_filter();
            let wanted = model.jobs(filter.clone()).await.expect("jobs can be read");
            assert_eq!(ledger.jobs(filter).await.expect("jobs can be read"), wanted, "{what}");
            let filter = dice.skip_filter(&skips);
            let wanted = model.skips(filter.clone()).await.expect("skips can be read");
            assert_eq!(ledger.skips(filter).await.expect("skips can be read"), wanted, "{what}");
        }
    }
    assert_eq!(seen(ledger).await, seen(model).await, "seed {seed}, at the end");
}

/// Numbers that look random and are the same for the same seed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall the same way for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let mixed = (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize;
        mixed % bound.max(1)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn seconds(&mut self, bound: usize) -> i64 {
        i64::try_from(self.below(bound)).unwrap_or_default()
    }

    fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())].clone()
    }

    fn number(&mut self, bound: usize) -> u32 {
        u32::try_from(self.below(bound)).unwrap_or_default()
    }

    fn maybe_at(&mut self) -> Option<DateTime<Utc>> {
        self.one_in(3).then(|| at(self.seconds(14)))
    }

    /// One of few runs, so that changes meet.
    fn run(&mut self) -> Arc<Run> {
        let id = self.pick(&JOBS);
        let run = super::run(id, self.seconds(12));
        match self.below(8) {
            0 => Arc::new(Run {
                id: RunId::of_key(&job(id), "key"),
                cause: Cause::Api,
                payload: payload(),
                ..Run::clone(&run)
            }),
            1 => Arc::new(Run { id: RunId::of_request(&job(id), at(0), 7), cause: Cause::Manual, ..Run::clone(&run) }),
            _ => run,
        }
    }

    fn code(&mut self) -> OutcomeCode {
        self.pick(&[OutcomeCode::Succeeded, OutcomeCode::Failed, OutcomeCode::Interrupted, OutcomeCode::Fuel])
    }

    /// Any change of any run.
    pub fn change(&mut self) -> Change {
        let run = self.run();
        match self.below(21) {
            0..=3 => plan(&run),
            4 | 5 => claim(&run, 1 + self.number(3), self.seconds(5)),
            6 => release(&run),
            7 => take_back(&run),
            8 | 9 => self.again(&run),
            10 | 11 => self.finish(&run),
            12 => Change::Skip(self.skip(&run)),
            13 => Change::Job(self.job_state()),
            14 | 15 => Change::State { job: run.job.clone(), change: Arc::new(self.state_change()) },
            16 => Change::Generation(Arc::new(self.generation(run.job.as_str()))),
            17 => Change::Document(Arc::new(super::documents::document(
                self.pick(&DocumentKind::ALL),
                run.job.as_str(),
                self.number(9).into(),
            ))),
            18 => Change::DocumentGone { kind: self.pick(&DocumentKind::ALL), key: run.job.as_str().into() },
            19 if self.one_in(4) => Change::EventsGone { until: self.number(30).into() },
            19 => {
                let first = u64::from(self.number(30));
                Change::Events(Arc::new(super::documents::batch(first, first + u64::from(self.number(9)))))
            }
            _ => Change::Watermark(at(self.seconds(50))),
        }
    }

    fn generation(&mut self, plugin: &str) -> GenerationRow {
        let left = self.one_in(3).then(|| Left { at: at(self.seconds(14)), because: "the canary".into() });
        let (approved, unproven) = (self.one_in(2), self.one_in(2));
        GenerationRow { approved, unproven, left, ..super::generation(plugin, self.number(6), self.seconds(50)) }
    }

    fn again(&mut self, run: &Run) -> Change {
        let number = 1 + self.number(3);
        let mut change = again(run, self.code(), number);
        if let Change::Again(again) = &mut change
            && self.one_in(2)
        {
            Arc::make_mut(again).finish.report = full_report(again.finish.report.outcome.code, number);
        }
        change
    }

    fn finish(&mut self, run: &Run) -> Change {
        let number = self.number(4);
        let mut finish = end(run, self.code(), number);
        finish.finished_at += TimeDelta::seconds(self.seconds(30));
        if self.one_in(2) {
            finish.report = full_report(finish.report.outcome.code, number);
        }
        finish.state = self.one_in(2).then(|| Box::new(self.state_change()));
        Change::Finish(Arc::new(finish))
    }

    /// Writes to few keys, with versions that are often too old.
    fn state_change(&mut self) -> StateChange {
        let first = 1 + self.below(40) as u64;
        let keys: Vec<_> = ["k", "", "k\u{fc}"].into_iter().filter(|_| self.one_in(2)).collect();
        let write = |(key, version): (&str, u64)| StateWrite {
            key: key.to_owned(),
            version,
            value: (!self.one_in(3)).then(|| b"abcde"[..self.below(5)].into()),
        };
        let writes: Vec<_> = keys.into_iter().zip(first..).map(write).collect();
        StateChange { version: writes.last().map_or(first, |write| write.version), writes }
    }

    fn skip(&mut self, run: &Run) -> Skip {
        let reason = self.pick(&[SkipReason::Misfired, SkipReason::Cancelled, SkipReason::Overloaded]);
        if self.one_in(2) {
            return run.skipped(reason, at(self.seconds(20)));
        }
        let first = self.seconds(12);
        let skip = super::skip(run.job.as_str(), first, first + self.seconds(5), reason);
        skip.because_of(self.one_in(2).then_some(run.id))
    }

    fn job_state(&mut self) -> JobState {
        let (id, paused) = (self.pick(&JOBS), self.one_in(2));
        JobState {
            paused,
            paused_with_all: paused && self.one_in(2),
            paused_in_manifest: self.one_in(2),
            trigger_hash: self.below(usize::MAX) as u64,
            removed_at: self.maybe_at(),
            decided_until: at(self.seconds(50)),
            ..state(id, self.seconds(5))
        }
    }

    fn keep(&mut self) -> Vec<KeepOf> {
        let keep = |dice: &mut Self, id: &&str| KeepOf {
            job: job(id),
            since: at(dice.seconds(8)),
            n_max: NonZeroU32::MIN.saturating_add(dice.number(8)),
        };
        let n_jobs = 1 + self.below(JOBS.len());
        JOBS.iter().take(n_jobs).map(|id| keep(self, id)).collect()
    }

    fn filter(&mut self, runs: &[RunRow]) -> RunFilter {
        let outcome = self.one_in(3).then(|| self.code());
        let beyond = if self.one_in(2) || runs.is_empty() {
            None
        } else {
            Some(RunPlace::of(&runs[self.below(runs.len())].run))
        };
        let job_wanted = self.one_in(2).then(|| job(self.pick(&JOBS)));
        let (since, until, n_max) = (self.maybe_at(), self.maybe_at(), self.below(9));
        let phase = self.one_in(3).then(|| self.pick(&RunPhase::ALL));
        RunFilter { job: job_wanted, outcome, phase, since, until, beyond, n_max }
    }

    fn job_filter(&mut self) -> JobFilter {
        let only = self.one_in(2).then(|| (0..self.below(4)).map(|_| job(self.pick(&JOBS))).collect());
        JobFilter { only, beyond: self.one_in(2).then(|| job(self.pick(&JOBS))), n_max: self.below(4) }
    }

    fn skip_filter(&mut self, skips: &[Skip]) -> SkipFilter {
        let job_wanted = self.one_in(2).then(|| job(self.pick(&JOBS)));
        SkipFilter {
            job: job_wanted,
            since: self.maybe_at(),
            until: self.maybe_at(),
            beyond: if self.one_in(2) || skips.is_empty() {
                None
            } else {
                Some(SkipPlace::of(&skips[self.below(skips.len())]))
            },
            n_max: self.below(9),
        }
    }
}
