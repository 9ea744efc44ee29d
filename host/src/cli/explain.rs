//! What became of a slot, in words that a person understands, with what to change where it was not wanted.
//!
//! What the ledger has is told as it was; what the manifest says is told as it is now, for that is what can be changed.

mod absent;
mod skips;

use std::time::Duration;

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::RunId,
    job::{Coalesce, Job, Overlap},
    outcome::OutcomeCode,
    ports::{Finish, RunFilter, RunRow, RunState},
    run::Cause,
};

pub(super) use self::{
    absent::{absent, nothing},
    skips::{in_gap, skip, still_paused},
};
use super::{find, reading::Trouble, rows, why::Subject};

/// From when on a start is worth being called late: below it the host was just busy for a moment.
const LATE: Duration = Duration::from_secs(1);

/// How much longer than its timeout a run may stand as begun in the ledger: what a slow commit of its end takes.
const TIMEOUT_SLACK: Duration = Duration::from_secs(10);

/// How many runs of a job are looked at for the one that was in the way.
const NEIGHBOURS_MAX: usize = 50;

/// What became of a slot, or of a gap of many.
pub(super) struct Explained {
    /// The slot; absent for a gap of several.
    pub(super) slot: Option<DateTime<Utc>>,
    pub(super) first: DateTime<Utc>,
    pub(super) last: DateTime<Utc>,
    pub(super) count: u64,
    /// One word: `ran`, `planned`, `running`, `retrying`, `skipped`, `undecided`, `forgotten`, `no_slot`.
    pub(super) disposition: &'static str,
    pub(super) outcome: Option<&'static str>,
    pub(super) reason: Option<&'static str>,
    pub(super) explanation: String,
    pub(super) run: Option<RunId>,
    pub(super) by: Option<RunId>,
}

impl Explained {
    fn of_slot(slot: DateTime<Utc>, disposition: &'static str, explanation: String) -> Self {
        Self {
            slot: Some(slot),
            first: slot,
            last: slot,
            count: 1,
            disposition,
            outcome: None,
            reason: None,
            explanation,
            run: None,
            by: None,
        }
    }
}

/// A run and how far it came.
pub(super) async fn run(subject: &Subject<'_>, row: &RunRow) -> Result<Explained, Trouble> {
    let finish = row.finish();
    let disposition = if finish.is_some() { "ran" } else { rows::state(row) };
    let mut parts = Vec::new();
    parts.extend(cause(&row.run.cause, subject.job));
    match finish {
        Some(finish) => {
            parts.push(ended(finish));
            parts.extend(late(subject, row, first_start(subject, row).await?).await?);
            parts.extend(advice(finish, row.run.id, subject.job));
        }
        None => parts.extend(open(subject, row)),
    }
    Ok(Explained {
        outcome: finish.map(|finish| finish.report.outcome.code.as_str()),
        run: Some(row.run.id),
        ..Explained::of_slot(row.run.scheduled_for, disposition, parts.join("; "))
    })
}

/// Why there was a run, where it was not just a slot whose time had come.
fn cause(cause: &Cause, job: Option<&Job>) -> Option<String> {
    match cause {
        Cause::Schedule => None,
        Cause::CatchUp(n_slots) => {
            let coalesce = match job.map(|job| job.policy.coalesce) {
                Some(Coalesce::Latest) => ", the newest of them (`coalesce: latest`)",
                Some(Coalesce::Earliest) => ", the oldest of them (`coalesce: earliest`)",
                Some(Coalesce::All) | None => "",
            };
            Some(format!("{n_slots} slots were late together, and this run stands for all of them{coalesce}"))
        }
        Cause::Manual => Some("somebody asked for this run".to_owned()),
        Cause::Upstream(job) => Some(format!("a run of `{job}` had ended (`after`)")),
        Cause::Api => Some("a program asked for this run".to_owned()),
        Cause::Start => Some("the host saw the job for the first time (`run_on_start`)".to_owned()),
        Cause::Backfill => Some("somebody asked to make up for this slot (`clockjack backfill`)".to_owned()),
    }
}

fn ended(finish: &Finish) -> String {
    let outcome = &finish.report.outcome;
    let how = match outcome.code {
        OutcomeCode::Succeeded => "it ran and succeeded".to_owned(),
        OutcomeCode::Skipped => "it ran and said that there was nothing to do".to_owned(),
        OutcomeCode::Failed => "it ran and failed".to_owned(),
        OutcomeCode::Cancelled => "it was cancelled".to_owned(),
        OutcomeCode::Interrupted => "the host stopped before it had ended".to_owned(),
        OutcomeCode::Lost => "the host vanished while it ran".to_owned(),
        OutcomeCode::TimeoutWall
        | OutcomeCode::TimeoutCpu
        | OutcomeCode::Fuel
        | OutcomeCode::MemoryLimit
        | OutcomeCode::TableLimit
        | OutcomeCode::InstanceLimit
        | OutcomeCode::StackOverflow
        | OutcomeCode::HostcallLimit
        | OutcomeCode::HandlesLimit
        | OutcomeCode::EgressDenied
        | OutcomeCode::FsDenied
        | OutcomeCode::Trap(_) => format!("it ran and was stopped: `{}`", outcome.code),
    };
    let attempt = if finish.n_attempts < 2 { String::new() } else { format!(" on attempt {}", finish.n_attempts) };
    let took = rows::took(finish).map_or_else(String::new, |took| format!(" after {}", rows::span(took)));
    let message = if outcome.message.is_empty() { String::new() } else { format!(" ({})", outcome.message) };
    format!("{how}{attempt}{took}{message}")
}

/// When the first attempt of a run began. A row tells only of the last one.
async fn first_start(subject: &Subject<'_>, row: &RunRow) -> Result<Option<DateTime<Utc>>, Trouble> {
    if rows::n_attempts(row) < 2 {
        return Ok(rows::first_start(row));
    }
    let story = find::story(subject.reading, row.run.id).await?;
    Ok(story.and_then(|story| rows::first_start_of(&story)))
}

/// That a run began late, and what was in the way as far as the ledger tells.
async fn late(
    subject: &Subject<'_>,
    row: &RunRow,
    first_start: Option<DateTime<Utc>>,
) -> Result<Option<String>, Trouble> {
    let late = rows::late(row, first_start).filter(|late| LATE <= *late);
    let Some((late, first)) = late.zip(first_start) else { return Ok(None) };
    let told = format!("it began {} after it was due", rows::span(late));
    if let Cause::CatchUp(_) = row.run.cause {
        return Ok(Some(format!("{told}, for nothing was decided meanwhile: the host was not running, or slept")));
    }
    let filter = RunFilter {
        job: Some(subject.id.clone()),
        until: Some(row.run.due_at),
        n_max: NEIGHBOURS_MAX,
        ..RunFilter::default()
    };
    let before = subject.reading.ledger.runs(filter).await?;
    let went_on = |other: &&RunRow| {
        let finish = other.finish().filter(|_| other.run.id != row.run.id);
        finish.is_some_and(|finish| row.run.due_at < finish.finished_at && finish.finished_at <= first)
    };
    if let Some(other) = before.iter().find(went_on) {
        let slot = rows::shown(other.run.scheduled_for);
        return Ok(Some(format!("{told}: it waited for the run of {slot} to end (`overlap`, `max_instances`)")));
    }
    Ok(Some(format!("{told}: the host was not running or busy, or it waited for a place in {}", pool(subject))))
}

/// The pool of a job with its places.
fn pool(subject: &Subject<'_>) -> String {
    let Some(job) = subject.job else { return "its pool".to_owned() };
    match subject.reading.manifest.pools.get(&job.pool) {
        Some(size) => {
            format!("the pool `{}`, which has {} (`pools`)", job.pool, rows::plural(size.get().into(), "place"))
        }
        None => format!("the pool `{}` (`pools`)", job.pool),
    }
}

/// What could be done about an end that was not wanted. Messages of limits name their key themselves.
fn advice(finish: &Finish, run: RunId, job: Option<&Job>) -> Option<String> {
    let attempts_max = job.map(|job| job.policy.retry.attempts_max.get());
    let last = match attempts_max {
        Some(1) => "; no attempt follows a failed one (`retry.attempts` is 1)".to_owned(),
        Some(n) if n <= finish.n_attempts => format!("; that was the last of {n} attempts (`retry.attempts`)"),
        Some(_) | None => String::new(),
    };
    match finish.report.outcome.code {
        OutcomeCode::Succeeded | OutcomeCode::Skipped | OutcomeCode::Cancelled => None,
        OutcomeCode::Interrupted => {
            Some("a longer `clockjack up --grace` lets runs end before the host does".to_owned())
        }
        OutcomeCode::Lost => Some("`delivery: at_least_once` would have tried it again".to_owned()),
        OutcomeCode::Failed
        | OutcomeCode::TimeoutWall
        | OutcomeCode::TimeoutCpu
        | OutcomeCode::Fuel
        | OutcomeCode::MemoryLimit
        | OutcomeCode::TableLimit
        | OutcomeCode::InstanceLimit
        | OutcomeCode::StackOverflow
        | OutcomeCode::HostcallLimit
        | OutcomeCode::HandlesLimit
        | OutcomeCode::EgressDenied
        | OutcomeCode::FsDenied
        | OutcomeCode::Trap(_) => Some(format!("`clockjack logs {run}` has what it said{last}")),
    }
}

/// What a run waits for that has not ended.
fn open(subject: &Subject<'_>, row: &RunRow) -> Option<String> {
    let (now, due) = (subject.reading.now, row.run.due_at);
    match &row.state {
        RunState::Ended(_) => None,
        RunState::Open { claimed_at: Some(at), n_attempts, .. } => {
            Some(goes_on(subject.job, n_attempts + 1, rows::distance(now, *at)))
        }
        RunState::Open { claimed_at: None, retry_at: Some(at), n_attempts } if now < *at => Some(format!(
            "attempt {n_attempts} did not succeed; it waits for the next one at {}, in {} (`retry.backoff`)",
            rows::shown(*at),
            rows::span(rows::distance(*at, now))
        )),
        RunState::Open { .. } if now < due => {
            Some(format!("it begins at {}, in {}", rows::shown(due), rows::span(rows::distance(due, now))))
        }
        RunState::Open { .. } => Some(waits(subject, row)),
    }
}

/// An attempt that has begun and not ended, as far as the ledger knows.
fn goes_on(job: Option<&Job>, number: u32, since: Duration) -> String {
    let began = format!("attempt {number} began {} ago", rows::span(since));
    let timeout = job.map(|job| job.limits.timeout);
    match timeout.filter(|timeout| timeout.saturating_add(TIMEOUT_SLACK) < since) {
        Some(timeout) => format!(
            "{began}, longer than its `timeout` ({} now) allows: the host is gone, and its next start says what becomes of \
             it (`delivery`)",
            rows::span(timeout)
        ),
        None => {
            format!("{began} and goes on; should the host be gone, its next start says what becomes of it (`delivery`)")
        }
    }
}

/// What a run waits for whose time has come.
fn waits(subject: &Subject<'_>, row: &RunRow) -> String {
    let since = rows::span(rows::distance(subject.reading.now, row.run.due_at));
    let going = |job: &clockjack_schedule::ports::JobRow| {
        job.open.iter().filter(|open| open.claimed_at.is_some() && open.run.id != row.run.id).count()
    };
    let n_own = subject.row.map_or(0, going);
    let fits = |id| subject.reading.job(id).map(|job| &job.pool) == subject.job.map(|job| &job.pool);
    let n_pool: usize = subject.loaded.jobs.iter().filter(|job| fits(&job.state.job)).map(going).sum();
    let paused = subject.row.is_some_and(|row| row.state.paused);
    if paused {
        return format!("it has been due for {since}, and its job is paused: it begins when that is resumed");
    }
    let bounded = subject.job.filter(|job| job.policy.overlap != Overlap::Allow);
    let n_max = bounded.and_then(|job| usize::try_from(job.policy.max_instances.get()).ok());
    if let Some(n_max) = n_max.filter(|n_max| *n_max <= n_own) {
        return format!(
            "it has been due for {since} and waits for an earlier run of the job to end: `max_instances` is {n_max}, and \
             as many go on"
        );
    }
    let size = subject.job.and_then(|job| subject.reading.manifest.pools.get(&job.pool));
    let is_full = size.is_none_or(|size| usize::try_from(size.get()).is_ok_and(|size| size <= n_pool));
    let since_due = rows::distance(subject.reading.now, row.run.due_at);
    if !is_full && since_due < LATE {
        return format!("it has been due for {since} and is about to begin, if the host is running");
    }
    if n_pool == 0 || !is_full {
        return format!(
            "it has been due for {since}, and nothing that the ledger knows keeps it from beginning: the host is not \
             running, or cannot write its ledger"
        );
    }
    format!("it has been due for {since} and waits for a place in {}; as many runs go on there", pool(subject))
}
