//! `clockjack why`: what became of a job's slots, and why, in words.
//!
//! This file finds what is to be explained; the words are in `explain`.

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use clockjack_schedule::{
    id::JobId,
    job::Job,
    ports::{JobRow, Loaded, RunFilter, RunRow, SkipFilter},
    run::Skip,
    trigger::{Basis, Trigger},
};
use serde_json::{Value as Json, json};

use super::{
    Exit, Output,
    explain::{self, Explained},
    jobs, print,
    reading::{self, Answer, Reading, ReadingArgs, Trouble},
    rows,
};

/// Most slots that are explained at once: each may need other runs to be read.
const SLOTS_MAX: u64 = 1_000;

/// How many slots are walked through to find the one before an instant.
const WALK_MAX: usize = 100_000;

/// How far back the slot before an instant is looked for.
const BACK_MAX: TimeDelta = TimeDelta::days(10 * 366);

#[derive(Debug, Args)]
pub(super) struct WhyArgs {
    /// The job.
    job: JobId,
    /// The slot: an instant, or a time in the zone of the job; without it the newest slots.
    #[arg(long, value_name = "INSTANT")]
    at: Option<String>,
    /// How many slots.
    #[arg(short, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=SLOTS_MAX))]
    n: u64,
    #[command(flatten)]
    reading: ReadingArgs,
}

/// A job with all that its slots are explained from.
pub(super) struct Subject<'r> {
    pub(super) reading: &'r Reading,
    pub(super) loaded: &'r Loaded,
    pub(super) id: &'r JobId,
    pub(super) job: Option<&'r Job>,
    pub(super) row: Option<&'r JobRow>,
}

pub(super) fn run(args: &WhyArgs) -> anyhow::Result<Exit> {
    let n_slots = usize::try_from(args.n).unwrap_or(usize::MAX);
    let output = args.reading.output.output;
    reading::answer(&args.reading, async |reading| why(reading, &args.job, args.at.as_deref(), n_slots, output).await)
}

pub(super) async fn why(
    reading: &Reading,
    id: &JobId,
    at: Option<&str>,
    n_slots: usize,
    output: Output,
) -> Result<Answer, Trouble> {
    let loaded = reading.ledger.load().await?;
    let row = reading.known(&loaded, id)?;
    let subject = Subject { reading, loaded: &loaded, id, job: reading.job(id).map(|job| &**job), row };
    let explained = match at {
        Some(text) => {
            let at = reading.moment("--at", text, &reading.zone(Some(id)))?;
            slot(&subject, at).await?
        }
        None => newest(&subject, n_slots).await?,
    };
    match output {
        Output::Json => Answer::json(&explained.iter().map(|explained| json(id, explained)).collect()),
        Output::Table if explained.is_empty() => {
            let explained = explain::nothing(&subject);
            Ok(Answer { data: String::new(), talk: Some(explained) })
        }
        Output::Table => Ok(Answer::of(print::plain(&page(&explained)))),
    }
}

/// The newest slots, runs and skips together.
async fn newest(subject: &Subject<'_>, n_slots: usize) -> Result<Vec<Explained>, Trouble> {
    let (reading, job) = (subject.reading, Some(subject.id.clone()));
    let until = Some(reading.until_now());
    let filter = RunFilter { job: job.clone(), until, n_max: n_slots, ..RunFilter::default() };
    let runs = reading.ledger.runs(filter).await?;
    let skips = reading.ledger.skips(SkipFilter { job, n_max: n_slots, ..SkipFilter::default() }).await?;
    let runs = runs.into_iter().map(|run| (run.run.scheduled_for, Found::Run(run)));
    let skips = skips.into_iter().map(|skip| (skip.last, Found::Skip(skip)));
    let mut found: Vec<_> = runs.chain(skips).collect();
    found.sort_by_key(|(slot, _)| std::cmp::Reverse(*slot));
    let mut explained = Vec::new();
    for (_, found) in found.into_iter().take(n_slots) {
        explained.push(match found {
            Found::Run(row) => explain::run(subject, &row).await?,
            Found::Skip(skip) => explain::skip(subject, &skip).await?,
        });
    }
    Ok(explained)
}

enum Found {
    Run(RunRow),
    Skip(Skip),
}

/// What became of the slot at an instant: what the ledger has, else what the trigger says.
async fn slot(subject: &Subject<'_>, at: DateTime<Utc>) -> Result<Vec<Explained>, Trouble> {
    let (reading, job) = (subject.reading, Some(subject.id.clone()));
    let after = at.checked_add_signed(TimeDelta::microseconds(1));
    let filter = RunFilter { job: job.clone(), since: Some(at), until: after, ..RunFilter::default() };
    let mut explained = Vec::new();
    for row in reading.ledger.runs(filter).await? {
        explained.push(explain::run(subject, &row).await?);
    }
    let around = Around::of(subject, at);
    let skips =
        reading.ledger.skips(SkipFilter { job, since: Some(at), until: after, ..SkipFilter::default() }).await?;
    for skip in skips {
        let is_an_end = skip.first == at || skip.last == at;
        // What lies between two slots of a gap is none of its slots.
        if is_an_end || around.as_ref().is_none_or(|around| around.is_slot) {
            let told = explain::skip(subject, &skip).await?;
            let is_slot = is_an_end || around.is_some();
            explained.push(if skip.count == 1 { told } else { explain::in_gap(told, at, is_slot) });
        }
    }
    if explained.is_empty() {
        let mut absent = explain::absent(subject, at, around.as_ref());
        absent.explanation.push_str(&explain::still_paused(subject).await?);
        explained.push(absent);
    }
    Ok(explained)
}

/// What a trigger says of an instant.
pub(super) struct Around {
    pub(super) is_slot: bool,
    pub(super) before: Option<DateTime<Utc>>,
    pub(super) after: Option<DateTime<Utc>>,
}

impl Around {
    /// None where the job has no trigger, or one whose slots are known only as they come.
    fn of(subject: &Subject<'_>, at: DateTime<Utc>) -> Option<Self> {
        let trigger = subject.job?.trigger.as_ref().filter(|trigger| !trigger.waits_for_finish())?;
        let basis = jobs::basis(subject.reading, subject.row);
        let is_slot = trigger.next_from(at, &basis) == Some(at);
        Some(Self { is_slot, before: before(trigger, at, &basis), after: trigger.next_after(at, &basis) })
    }
}

/// The last slot before an instant: triggers only look ahead, so ever larger steps back are tried.
fn before(trigger: &Trigger, at: DateTime<Utc>, basis: &Basis) -> Option<DateTime<Utc>> {
    let mut step = TimeDelta::seconds(1);
    while step <= BACK_MAX {
        let from = at.checked_sub_signed(step)?;
        let slots = trigger.slots_from(from, basis).take(WALK_MAX).take_while(|slot| *slot < at);
        if let Some(last) = slots.last() {
            return Some(last);
        }
        step = step.checked_mul(2)?;
    }
    None
}

fn page(explained: &[Explained]) -> String {
    let block = |explained: &Explained| {
        let Explained { first, last, count, .. } = explained;
        let slots = match explained.slot {
            Some(slot) => rows::shown(slot),
            None => format!("{} to {} ({count} slots)", rows::shown(*first), rows::shown(*last)),
        };
        let word = match (explained.outcome, explained.reason) {
            (Some(outcome), _) => outcome.to_owned(),
            (None, Some(reason)) => format!("{}: {reason}", explained.disposition),
            (None, None) => explained.disposition.replace('_', " "),
        };
        let run = explained.run.map_or_else(String::new, |run| format!("  {run}"));
        format!("{slots}  {word}{run}\n  {}", explained.explanation)
    };
    explained.iter().map(block).collect::<Vec<_>>().join("\n")
}

fn json(job: &JobId, explained: &Explained) -> Json {
    json!({
        "job": job.as_str(),
        "slot": rows::instant(explained.slot),
        "first": print::rfc3339(explained.first),
        "last": print::rfc3339(explained.last),
        "count": explained.count,
        "disposition": explained.disposition,
        "outcome": explained.outcome,
        "reason": explained.reason,
        "explanation": explained.explanation,
        "run": rows::id(explained.run),
        "by": rows::id(explained.by),
    })
}

#[cfg(test)]
mod tests;
