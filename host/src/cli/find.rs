//! Which run a person means: a whole id, the beginning of one, `JOB@latest` or `JOB@INSTANT`.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use clockjack_schedule::{
    id::{JobId, RunId},
    manifest::resolved::Manifest,
    ports::{Ledger, RunFilter, RunRow, RunStory},
    zone::Zones,
};

use super::{
    reading::{Reading, Trouble},
    rows,
};

/// Fewest digits of a run's id that say which one is meant.
const DIGITS_MIN: usize = 6;

/// How many digits of an id are its time, in milliseconds.
const TIME_DIGITS: usize = 12;

/// How many runs are looked at for the beginning of an id.
const CANDIDATES_MAX: usize = 100_000;

/// How many of several runs a message names.
const SHOWN_MAX: usize = 8;

/// How many runs of a job may be planned ahead of one that has begun: more than the look-ahead of a job of every 10 ms.
const PLANNED_MAX: usize = 1_000;

const FORMS: &str = "write its whole id, at least the first 6 digits of it, `JOB@latest` or `JOB@INSTANT`";

/// The run that is meant, with all that is kept of it.
pub(super) async fn run(reading: &Reading, text: &str) -> Result<RunStory, Trouble> {
    if let Some((job, at)) = text.split_once('@') {
        return of_job(reading, job, at).await;
    }
    let digits = text.replace('-', "");
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(Trouble::Asked("request.invalid", format!("`{text}` is no run; {FORMS}")));
    }
    match digits.len() {
        32 => {
            let id = digits
                .parse()
                .map_err(|error| Trouble::Asked("request.invalid", format!("`{text}` is no run: {error}; {FORMS}")))?;
            story(reading, id).await?.ok_or_else(|| unknown(text))
        }
        DIGITS_MIN..32 => of_digits(reading, text, &digits.to_ascii_lowercase()).await,
        n_digits => {
            let than = if n_digits < DIGITS_MIN { "fewer" } else { "more" };
            Err(Trouble::Asked(
                "request.invalid",
                format!("`{text}` has {than} digits than say which run is meant; {FORMS}"),
            ))
        }
    }
}

/// The run that is meant where there is no manifest to ask; `Err` inside says why there is none. Times are in UTC.
pub(crate) async fn find_run(
    ledger: Arc<dyn Ledger>,
    now: DateTime<Utc>,
    text: &str,
) -> anyhow::Result<Result<RunStory, String>> {
    let (manifest, zones) = (Manifest::default(), Zones::bundled());
    let reading =
        Reading { ledger, manifest, knows_all_jobs: false, unread: BTreeSet::new(), zones, now: now.trunc_subsecs(6) };
    match run(&reading, text).await {
        Ok(story) => Ok(Ok(story)),
        Err(Trouble::Asked(_, why)) => Ok(Err(why)),
        Err(Trouble::Host(error)) => Err(error),
    }
}

/// The newest run of a job that has begun, or else that is planned.
pub(super) async fn latest(reading: &Reading, job: &JobId) -> Result<Option<RunRow>, Trouble> {
    let filter = RunFilter { job: Some(job.clone()), n_max: PLANNED_MAX, ..RunFilter::default() };
    let rows = reading.ledger.runs(filter).await?;
    let begun = rows.iter().position(|row| rows::state(row) != "planned");
    Ok(rows.into_iter().nth(begun.unwrap_or_default()))
}

/// All that is kept of a run.
pub(super) async fn story(reading: &Reading, id: RunId) -> Result<Option<RunStory>, Trouble> {
    Ok(reading.ledger.run(id).await?)
}

fn unknown(text: &str) -> Trouble {
    Trouble::Asked(
        "run.unknown",
        format!(
            "the ledger has no run `{text}`; `clockjack runs` lists what there is. Runs go when they are older or more than \
         `keep` of their job says"
        ),
    )
}

async fn of_job(reading: &Reading, job: &str, at: &str) -> Result<RunStory, Trouble> {
    let job: JobId =
        job.parse().map_err(|error| Trouble::Asked("request.invalid", format!("`{job}` is no job: {error}")))?;
    reading.check_job(&job).await?;
    if at == "latest" {
        let row = latest(reading, &job).await?;
        let row = row.ok_or_else(|| {
            Trouble::Asked("run.unknown", format!("job `{job}` has no run yet; ask `clockjack why {job}`"))
        })?;
        return story(reading, row.run.id).await?.ok_or_else(|| unknown(&row.run.id.to_string()));
    }
    let slot = reading.moment("the slot", at, &reading.zone(Some(&job)))?;
    if let Some(story) = story(reading, RunId::of_slot(&job, slot)).await? {
        return Ok(story);
    }
    // A start that somebody asked for, or that follows another job, has another id.
    let until = slot.checked_add_signed(TimeDelta::microseconds(1));
    let filter = RunFilter { job: Some(job.clone()), since: Some(slot), until, n_max: 1, ..RunFilter::default() };
    let found = match reading.ledger.runs(filter).await?.first() {
        Some(row) => story(reading, row.run.id).await?,
        None => None,
    };
    found.ok_or_else(|| {
        let slot = super::print::rfc3339(slot);
        Trouble::Asked(
            "run.unknown",
            format!("job `{job}` has no run of {slot}; `clockjack why {job} --at {slot}` says what became of it"),
        )
    })
}

/// The run whose id begins so. The first digits are the time, so that only runs of that time are looked at.
async fn of_digits(reading: &Reading, text: &str, digits: &str) -> Result<RunStory, Trouble> {
    let (since, until) = times(digits);
    let mut filter = RunFilter { n_max: CANDIDATES_MAX, ..RunFilter::default() };
    // The ids of idempotency keys have no time.
    if !digits.starts_with("000000") {
        (filter.since, filter.until) = (since, until);
    }
    let rows = reading.ledger.runs(filter).await?;
    let begins = |row: &&RunRow| format!("{:032x}", row.run.id.as_u128()).starts_with(digits);
    let found: Vec<_> = rows.iter().filter(begins).collect();
    match found.as_slice() {
        [] => Err(unknown(text)),
        [only] => story(reading, only.run.id).await?.ok_or_else(|| unknown(text)),
        [_, _, ..] => {
            let line =
                |row: &&RunRow| format!("\n  {}  {}  {}", row.run.id, rows::shown(row.run.scheduled_for), row.run.job);
            let lines: String = found.iter().take(SHOWN_MAX).map(line).collect();
            let more = found.len().saturating_sub(SHOWN_MAX);
            let more = if more == 0 { String::new() } else { format!("\n  and {more} more") };
            Err(Trouble::Asked(
                "run.ambiguous",
                format!("`{text}` begins {} ids; write more of it:{lines}{more}", found.len()),
            ))
        }
    }
}

/// The slots that an id may have that begins so, with room for a request that was noted a moment after it was made.
fn times(digits: &str) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
    let room = TimeDelta::minutes(1);
    let n_digits = digits.len().min(TIME_DIGITS);
    let filled = |with: &str| {
        let text = format!("{}{}", &digits[..n_digits], with.repeat(TIME_DIGITS - n_digits));
        i64::from_str_radix(&text, 16).ok().and_then(DateTime::from_timestamp_millis)
    };
    let since = filled("0").and_then(|at| at.checked_sub_signed(room));
    (since, filled("f").and_then(|at| at.checked_add_signed(room)))
}
