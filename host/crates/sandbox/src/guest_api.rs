//! `clockjack:job`: what guests that know us may import, on the state of their attempt.

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    counts::Counts,
    ports::{LogLevel, LogLine},
    run,
};
use wasmtime::component::{HasSelf, Linker};

use self::bindings::clockjack::job::{log, run as run_api, types};
use crate::{
    attempt::{Facts, GuestState},
    random,
};

mod secrets;
mod state;

pub(crate) use state::StateUse;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "clockjack:job/job",
        // What a job remembers may have to be read first.
        imports: { "clockjack:job/state": async },
    });
}

/// Longest message of a progress report that is kept.
const PROGRESS_CHARS_MAX: usize = 500;

/// Most fields of one log line.
const LOG_FIELDS_MAX: usize = 64;

/// The log lines of one attempt.
#[derive(Debug)]
pub(crate) struct Logs {
    pub(crate) lines: Vec<LogLine>,
    pub(crate) n_dropped: u64,
    /// Bytes of what was kept.
    n_bytes: u64,
    /// Bytes of everything.
    pub(crate) n_bytes_all: u64,
    lines_max: u64,
    bytes_max: u64,
}

impl Logs {
    pub(crate) fn new(counts: &Counts) -> Self {
        let (lines_max, bytes_max) = (counts.log_lines_max, counts.log_bytes_max);
        Self { lines: Vec::new(), n_dropped: 0, n_bytes: 0, n_bytes_all: 0, lines_max, bytes_max }
    }

    /// How many lines there were, those included that were not kept.
    pub(crate) fn n_lines(&self) -> u64 {
        self.n_kept().saturating_add(self.n_dropped)
    }

    fn n_kept(&self) -> u64 {
        u64::try_from(self.lines.len()).unwrap_or(u64::MAX)
    }

    pub(crate) fn push(&mut self, line: LogLine) {
        // Empty texts cost the host memory, too.
        let field = |(key, value): &(String, String)| size_of::<(String, String)>() + key.len() + value.len();
        let fields: usize = line.fields.iter().map(field).sum();
        let more = size_of::<LogLine>().saturating_add(line.message.len()).saturating_add(fields);
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        self.n_bytes_all = self.n_bytes_all.saturating_add(more);
        let n_bytes = self.n_bytes.saturating_add(more);
        if self.lines_max <= self.n_kept() || self.bytes_max < n_bytes || LOG_FIELDS_MAX < line.fields.len() {
            self.n_dropped += 1;
            return;
        }
        self.n_bytes = n_bytes;
        self.lines.push(line);
    }
}

pub(crate) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    run_api::add_to_linker::<_, HasSelf<_>>(linker, GuestState::counted)?;
    log::add_to_linker::<_, HasSelf<_>>(linker, GuestState::counted)?;
    state::add_to_linker(linker)?;
    secrets::add_to_linker(linker)?;
    types::add_to_linker::<_, HasSelf<_>>(linker, GuestState::counted)
}

impl types::Host for GuestState {}

impl run_api::Host for GuestState {
    fn context(&mut self) -> types::Context {
        context(&self.facts, self.deadline())
    }

    fn cancel_requested(&mut self) -> bool {
        self.facts.attempt.stop.watch();
        self.facts.attempt.stop.is_requested()
    }

    fn time_left(&mut self) -> u64 {
        u64::try_from(self.remaining().as_millis()).unwrap_or(u64::MAX)
    }

    fn progress(&mut self, done: u64, total: Option<u64>, message: Option<String>) {
        let of = total.map_or_else(String::new, |total| format!(" of {total}"));
        // Each report replaces the one before, and is as short as a person reads.
        let told: String = message.iter().flat_map(|message| message.chars()).take(PROGRESS_CHARS_MAX).collect();
        let told = if told.is_empty() { told } else { format!(": {told}") };
        self.live.progress(done, total, message.as_deref().unwrap_or_default());
        self.progress = Some(format!("{done}{of}{told}"));
    }

    fn heartbeat(&mut self) {}

    fn random_seed(&mut self) -> u64 {
        use std::hash::BuildHasher as _;
        if let Some(seed) = self.random_seed {
            return random::of_run(seed, &self.facts.attempt.run);
        }
        // Keyed by the operating system's randomness, and cut to what a JavaScript number holds.
        std::hash::RandomState::new().hash_one(self.facts.attempt.run.id.as_u128()) >> 11
    }
}

impl log::Host for GuestState {
    fn log(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) {
        let level = match level {
            log::Level::Trace => LogLevel::Trace,
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        let at = self.now();
        self.log(LogLine { at, level, message, fields });
    }
}

fn millis(instant: DateTime<Utc>) -> u64 {
    instant.timestamp_millis().try_into().unwrap_or_default()
}

fn context(facts: &Facts, time_limit: TimeDelta) -> types::Context {
    let attempt = &facts.attempt;
    types::Context {
        run_id: attempt.run.id.to_string(),
        job: attempt.run.job.to_string(),
        attempt: attempt.number,
        max_attempts: attempt.number_max,
        cause: cause(attempt.number, &attempt.run.cause),
        scheduled_for: millis(attempt.run.scheduled_for),
        started_at: millis(attempt.started_at),
        deadline: millis(attempt.started_at.checked_add_signed(time_limit).unwrap_or(attempt.started_at)),
        last_success: attempt.last_success.map(millis),
        time_zone: facts.zone.to_string(),
        labels: facts.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        traceparent: facts.traceparent(),
    }
}

fn cause(attempt: u32, cause: &run::Cause) -> types::Cause {
    if 1 < attempt {
        return types::Cause::Retry;
    }
    match cause {
        run::Cause::Schedule | run::Cause::Start => types::Cause::Schedule,
        run::Cause::CatchUp(n_slots) => types::Cause::CatchUp(u32::try_from(*n_slots).unwrap_or(u32::MAX)),
        run::Cause::Manual => types::Cause::Manual,
        run::Cause::Upstream(job) => types::Cause::Upstream(job.to_string()),
        run::Cause::Api => types::Cause::Api,
        // The contract has no word of its own for it: a slot of the past that is made up for.
        run::Cause::Backfill => types::Cause::CatchUp(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_texts_count_and_fields_are_bounded() {
        let line = |n_fields| LogLine {
            at: DateTime::UNIX_EPOCH,
            level: LogLevel::Info,
            message: String::new(),
            fields: vec![(String::new(), String::new()); n_fields],
        };
        let counts = Counts::default();
        let mut logs = Logs::new(&counts);
        logs.push(line(LOG_FIELDS_MAX + 1));
        assert_eq!((logs.lines.len(), logs.n_dropped), (0, 1));
        for _ in 0..counts.log_lines_max {
            logs.push(line(LOG_FIELDS_MAX));
        }
        assert!(logs.n_bytes <= counts.log_bytes_max);
        assert_eq!(logs.n_lines(), counts.log_lines_max + 1);
        assert!(counts.log_bytes_max < logs.n_bytes_all);
        assert!(logs.lines.len() < 200, "{} lines of {LOG_FIELDS_MAX} empty fields", logs.lines.len());
    }
}
