//! The figures of one job, and histograms.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    job::Job,
    outcome::OutcomeCode,
    ports::{Finish, Report},
    run::{Run, Skip},
    trigger::Basis,
};

/// Bounds of the time that an attempt takes, in microseconds: from a millisecond to two hours.
const DURATIONS: &[u64] = &[
    1_000,
    5_000,
    25_000,
    100_000,
    500_000,
    2_500_000,
    10_000_000,
    60_000_000,
    300_000_000,
    1_800_000_000,
    7_200_000_000,
];

/// Bounds of how late a first attempt begins, in microseconds: what a person does not notice, up to an hour.
const LATENESSES: &[u64] =
    &[1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 30_000_000, 300_000_000, 3_600_000_000];

/// How often values lay within bounds. Values are whole numbers of a small unit.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    bounds: &'static [u64],
    /// How many of the unit are one of what is shown: a million where microseconds are shown as seconds.
    per_shown: f64,
    /// One for each bound, and one for what lies beyond the last.
    counts: Vec<u64>,
    sum: u64,
}

impl Histogram {
    /// One whose values are microseconds, shown in seconds.
    pub(super) fn of_time(bounds: &'static [u64]) -> Self {
        Self { bounds, per_shown: 1e6, counts: vec![0; bounds.len() + 1], sum: 0 }
    }

    /// One whose values are plain numbers.
    pub(super) fn of_numbers(bounds: &'static [u64]) -> Self {
        Self { per_shown: 1.0, ..Self::of_time(bounds) }
    }

    pub(super) fn observe(&mut self, value: u64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.counts[place] += 1;
        self.sum = self.sum.saturating_add(value);
    }

    pub(super) fn observe_time(&mut self, time: Duration) {
        self.observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn n_values(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all values, as it is shown.
    #[expect(clippy::cast_precision_loss, reason = "a sum is shown as a float, as Prometheus has it")]
    pub(super) fn sum(&self) -> f64 {
        self.sum as f64 / self.per_shown
    }

    /// Each bound, as it is shown, with how many values lie between it and the one before it.
    #[expect(clippy::cast_precision_loss, reason = "bounds are far below 2^53")]
    pub(super) fn buckets(&self) -> Vec<(f64, u64)> {
        let shown = self.bounds.iter().map(|bound| *bound as f64 / self.per_shown).chain([f64::INFINITY]);
        shown.zip(self.counts.iter().copied()).collect()
    }
}

/// What is known of one job.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    /// Runs that ended, by outcome.
    pub(super) runs: BTreeMap<OutcomeCode, u64>,
    /// Slots that became no run, by reason.
    pub(super) skips: BTreeMap<&'static str, u64>,
    pub(super) n_attempts: u64,
    pub(super) n_retries: u64,
    pub(super) duration: Histogram,
    pub(super) lateness: Histogram,
    pub(super) cpu_time: Duration,
    pub(super) fuel: u64,
    /// Of the last attempt.
    pub(super) memory_peak_bytes: u64,
    pub(super) last_run: Option<DateTime<Utc>>,
    pub(super) last_success: Option<DateTime<Utc>>,
    /// Whether the last run that ended here did what it was there for.
    pub(super) last_was_success: Option<bool>,
    pub(super) is_paused: bool,
    /// The definition that is in force, with what its triggers count from.
    pub(super) job: Option<Arc<Job>>,
    pub(super) first_seen: Option<DateTime<Utc>>,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            runs: BTreeMap::new(),
            skips: BTreeMap::new(),
            n_attempts: 0,
            n_retries: 0,
            duration: Histogram::of_time(DURATIONS),
            lateness: Histogram::of_time(LATENESSES),
            cpu_time: Duration::ZERO,
            fuel: 0,
            memory_peak_bytes: 0,
            last_run: None,
            last_success: None,
            last_was_success: None,
            is_paused: false,
            job: None,
            first_seen: None,
        }
    }
}

impl Figures {
    /// An attempt has ended, and another one follows.
    pub(super) fn tried(&mut self, run: &Run, finish: &Finish) {
        self.attempt(run, finish);
        self.n_retries += 1;
    }

    /// A run has ended.
    pub(super) fn finished(&mut self, run: &Run, finish: &Finish) {
        self.attempt(run, finish);
        self.ended(finish.report.outcome.code, finish.finished_at);
    }

    pub(super) fn ended(&mut self, code: OutcomeCode, at: DateTime<Utc>) {
        *self.runs.entry(code).or_default() += 1;
        self.last_run = Some(at);
        self.last_was_success = Some(code.is_success());
        if code.is_success() {
            self.last_success = Some(at);
        }
    }

    pub(super) fn skipped(&mut self, skip: &Skip) {
        *self.skips.entry(skip.reason.as_str()).or_default() += skip.count;
    }

    fn attempt(&mut self, run: &Run, finish: &Finish) {
        // What never began took no time and was not late.
        let Some(started_at) = finish.started_at else { return };
        self.n_attempts += 1;
        self.duration.observe_time(finish.duration);
        if finish.n_attempts == 1 {
            self.lateness.observe_time(started_at.signed_duration_since(run.due_at).to_std().unwrap_or_default());
        }
        let Report { cpu_time, memory_peak_bytes, fuel_used, .. } = &finish.report;
        self.cpu_time = self.cpu_time.saturating_add(*cpu_time);
        self.fuel = self.fuel.saturating_add(fuel_used.unwrap_or_default());
        self.memory_peak_bytes = *memory_peak_bytes;
    }

    /// The next slot after now; none while it is paused.
    pub(super) fn next_slot(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let job = self.job.as_ref().filter(|_| !self.is_paused)?;
        job.next_after(now, &Basis { first_seen: self.first_seen.unwrap_or(now), last_finished: self.last_run })
    }
}
