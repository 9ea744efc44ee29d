//! One function that writes and one that reads for each kind of row.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::{JobId, RunId},
    payload::Payload,
    ports::{Finish, OpenRun, RunRow, RunState},
    run::{Cause, JobState, Run, Skip, SkipReason},
};

use super::{
    report::{Belongings, push_end, read_end},
    value::{Fields, Undecodable, Value, checksum, micros, seal},
};

/// A prime: no flipped bit of a number is a multiple of it.
const LAST_MODULUS: i64 = 1_000_000_007;

/// Adds the row of a run that has not ended. Claiming touches the last two columns only, which are equal and so guard
/// each other.
pub(crate) fn open_values(values: &mut Vec<Value>, open: &OpenRun) {
    let start = values.len();
    push_run(values, &open.run);
    values.extend([open.n_attempts.into(), open.n_interrupted.into(), open.retry_at.into()]);
    seal(values, start);
    values.extend([open.claimed_at.into(), open.claimed_at.into()]);
}

/// Reads what [`open_values`] wrote.
pub(crate) fn read_open(mut values: Vec<Value>) -> Result<OpenRun, Undecodable> {
    let mut claims = Fields::new(values.split_off(values.len().saturating_sub(2)));
    let claimed_at = claims.maybe_at()?;
    if claimed_at != claims.maybe_at()? {
        return Err(Undecodable("the instant of a claim does not fit its copy".into()));
    }
    let mut fields = Fields::sealed(values)?;
    let run = Arc::new(read_plan(&mut fields)?);
    let (n_attempts, n_interrupted, retry_at) = (fields.u32()?, fields.u32()?, fields.maybe_at()?);
    Ok(OpenRun { run, n_attempts, n_interrupted, claimed_at, retry_at })
}

/// Adds the row of a run that has ended, after so many earlier attempts.
pub(crate) fn run_values(values: &mut Vec<Value>, run: &Run, finish: &Finish, n_earlier: usize) {
    let start = values.len();
    push_run(values, run);
    push_end(values, finish, n_earlier);
    seal(values, start);
}

/// Reads what [`run_values`] wrote.
pub(crate) fn read_run(values: Vec<Value>) -> Result<(RunRow, Belongings), Undecodable> {
    let mut fields = Fields::sealed(values)?;
    let run = read_plan(&mut fields)?;
    let (finish, belongings) = read_end(&mut fields, run.id, run.job.clone())?;
    Ok((RunRow { run: Arc::new(run), state: RunState::Ended(Arc::new(finish)) }, belongings))
}

/// Adds the row of an attempt after which another one followed.
pub(crate) fn attempt_values(values: &mut Vec<Value>, finish: &Finish) {
    let start = values.len();
    values.extend([finish.run.into(), finish.n_attempts.into()]);
    push_end(values, finish, 0);
    seal(values, start);
}

/// Reads what [`attempt_values`] wrote.
pub(crate) fn read_attempt(values: Vec<Value>, job: &JobId) -> Result<(Finish, Belongings), Undecodable> {
    let mut fields = Fields::sealed(values)?;
    let run = fields.run_id()?;
    let number = fields.u32()?;
    let (finish, belongings) = read_end(&mut fields, run, job.clone())?;
    if finish.n_attempts != number {
        return Err(Undecodable(format!("attempt {number} of run {run} says that it is {}", finish.n_attempts)));
    }
    Ok((finish, belongings))
}

/// Adds the row of a skip.
pub(crate) fn skip_values(values: &mut Vec<Value>, skip: &Skip) {
    let start = values.len();
    let run = skip.run.map_or(Value::Blob(Vec::new()), Value::from);
    values.extend([
        skip.last.into(),
        (&skip.job).into(),
        skip.first.into(),
        run,
        skip.reason.as_str().into(),
        skip.count.into(),
        skip.at.into(),
        skip.by.into(),
    ]);
    seal(values, start);
}

/// Reads what [`skip_values`] wrote.
pub(crate) fn read_skip(values: Vec<Value>) -> Result<Skip, Undecodable> {
    let mut fields = Fields::sealed(values)?;
    let last = fields.at()?;
    let job = fields.job_id()?;
    let first = fields.at()?;
    let run = fields.maybe_run_id()?;
    let reason = read_reason(&fields.text()?)?;
    let count = fields.u64()?;
    let at = fields.at()?;
    let by = fields.maybe_run_id()?;
    Ok(Skip { job, run, first, last, count, reason, at, by })
}

/// Adds the row of a job.
pub(crate) fn job_values(values: &mut Vec<Value>, state: &JobState) {
    let start = values.len();
    values.extend([
        (&state.job).into(),
        state.first_seen.into(),
        state.decided_until.into(),
        Value::Int(pause_number(state)),
        state.paused_in_manifest.into(),
        state.trigger_hash.into(),
        state.removed_at.into(),
    ]);
    seal(values, start);
}

/// Reads what [`job_values`] wrote.
pub(crate) fn read_job(values: Vec<Value>) -> Result<JobState, Undecodable> {
    let mut fields = Fields::sealed(values)?;
    let (job, first_seen, decided_until) = (fields.job_id()?, fields.at()?, fields.at()?);
    let (paused, paused_with_all) = read_pause(fields.int()?)?;
    Ok(JobState {
        job,
        first_seen,
        decided_until,
        paused,
        paused_with_all,
        paused_in_manifest: fields.bool()?,
        trigger_hash: fields.u64()?,
        removed_at: fields.maybe_at()?,
    })
}

/// Zero where a job is not paused, one where it is, two where it is only with the whole host.
fn pause_number(state: &JobState) -> i64 {
    i64::from(state.paused) + i64::from(state.paused && state.paused_with_all)
}

fn read_pause(number: i64) -> Result<(bool, bool), Undecodable> {
    match number {
        0 => Ok((false, false)),
        1 => Ok((true, false)),
        2 => Ok((true, true)),
        _ => Err(Undecodable(format!("{number} does not say whether a job is paused"))),
    }
}

/// Adds the row of the last end and the last success of a job. The database itself takes the later of two instants, so
/// their sum is one that a database can compute: the instants modulo [`LAST_MODULUS`], the second one threefold.
pub(crate) fn last_values(
    values: &mut Vec<Value>,
    job: &JobId,
    finished: DateTime<Utc>,
    success: Option<DateTime<Utc>>,
) {
    let job = Value::from(job);
    let check = checksum(std::slice::from_ref(&job));
    let sum = last_sum(micros(finished), success.map(micros));
    values.extend([job, Value::Int(check), finished.into(), success.into(), Value::Int(sum)]);
}

/// Whose, when its last run ended, and the slot of its last success.
pub(crate) type Last = (JobId, DateTime<Utc>, Option<DateTime<Utc>>);

/// Reads what [`last_values`] wrote.
pub(crate) fn read_last(values: Vec<Value>) -> Result<Last, Undecodable> {
    let check = values.first().map(|job| checksum(std::slice::from_ref(job)));
    let mut fields = Fields::new(values);
    let job = fields.job_id()?;
    if check != Some(fields.int()?) {
        return Err(Undecodable(format!("the checksum of `{job}` does not fit its name")));
    }
    let (finished, success) = (fields.at()?, fields.maybe_at()?);
    if fields.int()? != last_sum(micros(finished), success.map(micros)) {
        return Err(Undecodable(format!("the checksum of the last end of `{job}` does not fit")));
    }
    Ok((job, finished, success))
}

fn last_sum(finished: i64, success: Option<i64>) -> i64 {
    finished % LAST_MODULUS + 3 * (success.unwrap_or_default() % LAST_MODULUS)
}

/// Adds the row of the watermark.
pub(crate) fn mark_values(values: &mut Vec<Value>, watermark: DateTime<Utc>) {
    let start = values.len();
    values.extend([Value::Int(0), watermark.into()]);
    seal(values, start);
}

/// Reads what [`mark_values`] wrote.
pub(crate) fn read_mark(values: Vec<Value>) -> Result<DateTime<Utc>, Undecodable> {
    let mut fields = Fields::sealed(values)?;
    fields.int()?;
    fields.at()
}

/// Adds the row of what came with the wish for a run, where something did.
pub(crate) fn payload_values(values: &mut Vec<Value>, run: &Run) {
    let Some(payload) = &run.payload else { return };
    let start = values.len();
    values.extend([run.id.into(), Value::Text(payload_text(payload))]);
    seal(values, start);
}

/// Reads what [`payload_values`] wrote.
pub(crate) fn read_payload(values: Vec<Value>) -> Result<(RunId, Payload), Undecodable> {
    let mut fields = Fields::sealed(values)?;
    let (run, text) = (fields.run_id()?, fields.text()?);
    let undecodable = |error: &dyn std::fmt::Display| Undecodable(format!("the payload of run {run}: {error}"));
    let json = |text: &str| serde_json::from_str(text).map_err(|error| undecodable(&error));
    let (value, args) = match text.strip_prefix(WITH_ARGS).map(|both| both.split_once('\n').unwrap_or((both, "null"))) {
        Some((args, value)) => (json(value)?, Some(json(args)?)),
        None => (json(&text)?, None),
    };
    let payload = Payload::new(value).map_err(|error| undecodable(&error))?;
    let payload = match args {
        Some(args) => Payload::with_args(Some(payload), args).map_err(|error| undecodable(&error))?,
        None => payload,
    };
    Ok((run, payload))
}

/// What no JSON begins with: the arguments of the run stand before its value, each on a line of its own.
const WITH_ARGS: &str = "args ";

fn payload_text(payload: &Payload) -> String {
    match payload.args() {
        None => payload.json().to_string(),
        Some(args) => format!("{WITH_ARGS}{args}\n{}", payload.json()),
    }
}

fn push_run(values: &mut Vec<Value>, run: &Run) {
    let cause = cause_text(&run.cause);
    values.extend([run.id.into(), (&run.job).into(), run.scheduled_for.into(), run.due_at.into(), Value::Text(cause)]);
}

fn read_plan(fields: &mut Fields) -> Result<Run, Undecodable> {
    let id: RunId = fields.run_id()?;
    let job = fields.job_id()?;
    let scheduled_for = fields.at()?;
    let due_at = fields.at()?;
    let cause = read_cause(&fields.text()?)?;
    // What came with it stands in a table of its own.
    Ok(Run { id, job, scheduled_for, due_at, cause, payload: None })
}

fn cause_text(cause: &Cause) -> String {
    match cause {
        Cause::Schedule => "schedule".to_owned(),
        Cause::CatchUp(n_slots) => format!("catch-up:{n_slots}"),
        Cause::Manual => "manual".to_owned(),
        Cause::Upstream(job) => format!("upstream:{job}"),
        Cause::Api => "api".to_owned(),
        Cause::Start => "start".to_owned(),
        Cause::Backfill => "backfill".to_owned(),
    }
}

fn read_cause(text: &str) -> Result<Cause, Undecodable> {
    let unknown = || Undecodable(format!("`{text}` is no cause"));
    match text.split_once(':') {
        Some(("catch-up", n_slots)) => n_slots.parse().map(Cause::CatchUp).map_err(|_error| unknown()),
        Some(("upstream", job)) => job.parse().map(Cause::Upstream).map_err(|_error| unknown()),
        Some(_) => Err(unknown()),
        None => match text {
            "schedule" => Ok(Cause::Schedule),
            "manual" => Ok(Cause::Manual),
            "api" => Ok(Cause::Api),
            "start" => Ok(Cause::Start),
            "backfill" => Ok(Cause::Backfill),
            _ => Err(unknown()),
        },
    }
}

fn read_reason(text: &str) -> Result<SkipReason, Undecodable> {
    let reason = SkipReason::ALL.into_iter().find(|reason| reason.as_str() == text);
    reason.ok_or_else(|| Undecodable(format!("`{text}` is no reason of a skip")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_read_back() {
        let upstream = Cause::Upstream("a-job".parse().unwrap());
        for cause in
            [Cause::Schedule, Cause::CatchUp(7), Cause::Manual, upstream, Cause::Api, Cause::Start, Cause::Backfill]
        {
            assert_eq!(read_cause(&cause_text(&cause)).unwrap(), cause);
        }
        for text in ["", "catch-up", "catch-up:x", "upstream:", "whim", "whim:1"] {
            assert!(read_cause(text).is_err(), "{text}");
        }
    }
}
