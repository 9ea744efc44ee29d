//! `clockjack jobs`: what there is, how it goes and when it goes on; from the manifest and the ledger together.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use clockjack_schedule::{
    id::JobId,
    job::Job,
    ports::{JobRow, RunFilter, RunRow},
    trigger::Basis,
};

use super::{
    Exit, Output, asked, print,
    reading::{self, Answer, Reading, ReadingArgs, Trouble},
    rows,
};
use crate::{
    api::view::jobs::{self as view, JobPhase, Known},
    operate::{Pauses, pause_of},
};

#[derive(Debug, Args)]
pub(super) struct JobsArgs {
    /// Only these jobs.
    jobs: Vec<JobId>,
    #[command(flatten)]
    reading: ReadingArgs,
}

pub(super) fn run(args: &JobsArgs) -> anyhow::Result<Exit> {
    let output = args.reading.output.output;
    if let Some(client) = asked::instead(&args.reading)? {
        return asked::jobs(&client, &args.jobs, output);
    }
    reading::answer(&args.reading, async |reading| list(reading, &args.jobs, output).await)
}

/// What is told beside such a job.
const OF_NEW: &str = "note: what is `new` is not in force yet: `clockjack reload` puts it in force or tells why not; \
                      where no host runs, `clockjack up` does";

pub(super) async fn list(reading: &Reading, wanted: &[JobId], output: Output) -> Result<Answer, Trouble> {
    let loaded = reading.ledger.load().await?;
    for id in wanted {
        reading.known(&loaded, id)?;
    }
    let notes: BTreeMap<_, _> = Pauses::all(&*reading.ledger).await?.into_iter().collect();
    let rows: BTreeMap<&JobId, &JobRow> = loaded.jobs.iter().map(|row| (&row.state.job, row)).collect();
    let known = reading.manifest.jobs.keys().chain(rows.keys().copied());
    let ids: BTreeSet<_> = known.filter(|id| wanted.is_empty() || wanted.contains(id)).collect();
    let mut lasts = Vec::with_capacity(ids.len());
    for id in &ids {
        lasts.push(last_run(reading, rows.get(id).copied()).await?);
    }
    let known = ids.into_iter().zip(&lasts).map(|(id, last)| {
        let (job, row) = (reading.job(id).map(|job| &**job), rows.get(id).copied());
        let state = if is_new(reading, job, row, &rows) { JobPhase::New } else { state(reading, job, row) };
        let pause = pause_of(&notes, row);
        Known { id, job, row, last: last.as_ref(), pause, state, now: reading.now }
    });
    let lines: Vec<_> = known.collect();
    match output {
        Output::Json => Answer::view(&lines.iter().map(view::Job::from).collect::<Vec<_>>()),
        Output::Table if lines.is_empty() => {
            Ok(Answer { data: String::new(), talk: Some("no job is known yet: start `clockjack up`".to_owned()) })
        }
        Output::Table => {
            let rows: Vec<_> = lines.iter().map(|line| cells(reading, line)).collect();
            let data = print::table(&["job", "state", "next", "last run", "running", "trigger"], &rows);
            Ok(Answer { data, talk: lines.iter().any(|line| line.state == JobPhase::New).then(|| OF_NEW.to_owned()) })
        }
    }
}

/// Whether a host has been at work with this ledger and has never had a job that is in the manifest. Before the first
/// start all jobs are as they will be.
fn is_new(reading: &Reading, job: Option<&Job>, row: Option<&JobRow>, rows: &BTreeMap<&JobId, &JobRow>) -> bool {
    let can_be_read = job.is_some_and(|job| !reading.unread.contains(&job.store));
    can_be_read && row.is_none() && !rows.is_empty()
}

fn state(reading: &Reading, job: Option<&Job>, row: Option<&JobRow>) -> JobPhase {
    let is_removed = row.is_some_and(|row| row.state.removed_at.is_some());
    let is_paused = match (row, job) {
        (Some(row), _) => row.state.paused,
        (None, Some(job)) => job.policy.paused,
        (None, None) => false,
    };
    match job {
        _ if is_removed => JobPhase::Removed,
        None if reading.knows_all_jobs => JobPhase::NotInTheManifest,
        Some(_) | None if is_paused => JobPhase::Paused,
        Some(_) | None => JobPhase::Active,
    }
}

/// What a job's slots count from.
pub(super) fn basis(reading: &Reading, row: Option<&JobRow>) -> Basis {
    Basis {
        first_seen: row.map_or(reading.now, |row| row.state.first_seen),
        last_finished: row.and_then(|row| row.last_finished),
    }
}

/// The newest run of a job that has ended.
pub(super) async fn last_run(reading: &Reading, row: Option<&JobRow>) -> Result<Option<RunRow>, Trouble> {
    let Some(row) = row.filter(|row| row.last_finished.is_some()) else { return Ok(None) };
    // Whatever else is newer has not ended.
    let n_max = row.open.len() + 1;
    let filter = RunFilter { job: Some(row.state.job.clone()), n_max, ..RunFilter::default() };
    Ok(reading.ledger.runs(filter).await?.into_iter().find(|run| run.finish().is_some()))
}

fn cells(reading: &Reading, known: &Known<'_>) -> Vec<String> {
    let last = known.last.and_then(|last| last.finish()).map(|finish| {
        let ago = rows::span(rows::distance(reading.now, finish.finished_at));
        format!("{} {ago} ago", finish.report.outcome.code)
    });
    let state = known.state.as_str();
    vec![
        known.id.to_string(),
        known.pause.map_or_else(|| state.to_owned(), |note| format!("{state}{}", note.told())),
        rows::shown_or_none(known.next()),
        last.unwrap_or_else(|| rows::NONE.to_owned()),
        known.n_running().to_string(),
        known.job.map_or_else(|| rows::NONE.to_owned(), Job::describe),
    ]
}

#[cfg(test)]
mod tests;
