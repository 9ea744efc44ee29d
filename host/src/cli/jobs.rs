//! `clockjack jobs`: what there is, how it goes and when it goes on; from the manifest and the ledger together.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use clap::Args;
use clockjack_schedule::{
    id::JobId,
    job::Job,
    ports::{JobRow, RunFilter, RunRow},
    trigger::{Basis, Trigger},
};
use serde_json::{Value as Json, json};

use super::{
    Exit, Output, print,
    reading::{self, Answer, Reading, ReadingArgs, Trouble},
    rows,
};
use crate::operate::{PauseNote, Pauses, Whose};

#[derive(Debug, Args)]
pub(super) struct JobsArgs {
    /// Only these jobs.
    jobs: Vec<JobId>,
    #[command(flatten)]
    reading: ReadingArgs,
}

pub(super) fn run(args: &JobsArgs) -> anyhow::Result<Exit> {
    let output = args.reading.output.output;
    reading::answer(&args.reading, async |reading| list(reading, &args.jobs, output).await)
}

/// The state of a job that stands in the manifest and is in force nowhere yet.
const NEW: &str = "new";

/// What is told beside such a job.
const OF_NEW: &str = "note: what is `new` is not in force yet: `clockjack reload` puts it in force or tells why not; \
                      where no host runs, `clockjack up` does";

/// A job with what is known of it.
struct Line<'l> {
    id: JobId,
    job: Option<&'l Job>,
    row: Option<&'l JobRow>,
    state: &'static str,
    next: Option<DateTime<Utc>>,
    last: Option<RunRow>,
    pause: Option<PauseNote>,
}

pub(super) async fn list(reading: &Reading, wanted: &[JobId], output: Output) -> Result<Answer, Trouble> {
    let loaded = reading.ledger.load().await?;
    for id in wanted {
        reading.known(&loaded, id)?;
    }
    let notes: BTreeMap<_, _> = Pauses::all(&*reading.ledger).await?.into_iter().collect();
    let rows: BTreeMap<&JobId, &JobRow> = loaded.jobs.iter().map(|row| (&row.state.job, row)).collect();
    let known = reading.manifest.jobs.keys().chain(rows.keys().copied());
    let ids: BTreeSet<_> = known.filter(|id| wanted.is_empty() || wanted.contains(id)).collect();
    let mut lines = Vec::with_capacity(ids.len());
    for id in ids {
        let (job, row) = (reading.job(id).map(|job| &**job), rows.get(id).copied());
        let state = if is_new(reading, job, row, &rows) { NEW } else { state(reading, job, row) };
        let next = job.filter(|_| state == "active").and_then(|job| next(reading, job, row));
        let pause = if state == "paused" { pause_of(&notes, row) } else { None };
        lines.push(Line { id: id.clone(), job, row, state, next, last: last_run(reading, row).await?, pause });
    }
    match output {
        Output::Json => Answer::json(&lines.iter().map(Line::json).collect()),
        Output::Table if lines.is_empty() => {
            Ok(Answer { data: String::new(), talk: Some("no job is known yet: start `clockjack up`".to_owned()) })
        }
        Output::Table => {
            let rows: Vec<_> = lines.iter().map(|line| line.cells(reading)).collect();
            let data = print::table(&["job", "state", "next", "last run", "running", "trigger"], &rows);
            Ok(Answer { data, talk: lines.iter().any(|line| line.state == NEW).then(|| OF_NEW.to_owned()) })
        }
    }
}

/// Whether a host has been at work with this ledger and has never had a job that is in the manifest. Before the first
/// start all jobs are as they will be.
fn is_new(reading: &Reading, job: Option<&Job>, row: Option<&JobRow>, rows: &BTreeMap<&JobId, &JobRow>) -> bool {
    let can_be_read = job.is_some_and(|job| !reading.unread.contains(&job.store));
    can_be_read && row.is_none() && !rows.is_empty()
}

fn state(reading: &Reading, job: Option<&Job>, row: Option<&JobRow>) -> &'static str {
    let is_removed = row.is_some_and(|row| row.state.removed_at.is_some());
    let is_paused = match (row, job) {
        (Some(row), _) => row.state.paused,
        (None, Some(job)) => job.policy.paused,
        (None, None) => false,
    };
    match job {
        _ if is_removed => "removed",
        None if reading.knows_all_jobs => "not in the manifest",
        Some(_) | None if is_paused => "paused",
        Some(_) | None => "active",
    }
}

/// Why a job is paused, where somebody said so.
pub(super) fn pause_of(notes: &BTreeMap<Whose, PauseNote>, row: Option<&JobRow>) -> Option<PauseNote> {
    let state = &row?.state;
    let whose = if state.paused_with_all { Whose::All } else { Whose::Job(state.job.clone()) };
    notes.get(&whose).filter(|_| state.paused).cloned()
}

fn pause_json(note: &PauseNote) -> Json {
    json!({
        "note": note.note,
        "until": rows::instant(note.until),
        "by": note.by,
        "at": print::rfc3339(note.at),
    })
}

/// Its next slot. One that counts from the end of the last run is known only when that has ended.
fn next(reading: &Reading, job: &Job, row: Option<&JobRow>) -> Option<DateTime<Utc>> {
    let basis = basis(reading, row);
    let goes_on = row.is_some_and(|row| row.open.iter().any(|open| open.run.scheduled_for <= reading.now));
    if goes_on && job.trigger.as_ref().is_some_and(Trigger::waits_for_finish) {
        return None;
    }
    job.next_after(reading.now, &basis)
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

impl Line<'_> {
    fn n_running(&self) -> usize {
        self.row.map_or(0, |row| row.open.iter().filter(|open| open.claimed_at.is_some()).count())
    }

    fn cells(&self, reading: &Reading) -> Vec<String> {
        let last = self.last.as_ref().and_then(|last| Some((last.finish()?, last))).map(|(finish, _)| {
            let ago = rows::span(rows::distance(reading.now, finish.finished_at));
            format!("{} {ago} ago", finish.report.outcome.code)
        });
        vec![
            self.id.to_string(),
            self.pause.as_ref().map_or_else(|| self.state.to_owned(), |note| format!("{}{}", self.state, note.told())),
            rows::shown_or_none(self.next),
            last.unwrap_or_else(|| rows::NONE.to_owned()),
            self.n_running().to_string(),
            self.job.map_or_else(|| rows::NONE.to_owned(), Job::describe),
        ]
    }

    fn json(&self) -> Json {
        let last = self.last.as_ref().and_then(|last| Some((last, last.finish()?))).map(|(last, finish)| {
            json!({
                "id": last.run.id.to_string(),
                "scheduled_for": print::rfc3339(last.run.scheduled_for),
                "outcome": finish.report.outcome.code.as_str(),
                "started_at": rows::instant(finish.started_at),
                "finished_at": print::rfc3339(finish.finished_at),
            })
        });
        let paused = self.row.map(|row| row.state.paused).or(self.job.map(|job| job.policy.paused));
        json!({
            "job": self.id.as_str(),
            "state": self.state.replace(' ', "_"),
            "paused": paused.unwrap_or_default(),
            "paused_with_all": self.row.is_some_and(|row| row.state.paused_with_all),
            "pause": self.pause.as_ref().map(pause_json),
            "next": rows::instant(self.next),
            "last_run": last,
            "running": self.n_running(),
            "open": self.row.map_or(0, |row| row.open.len()),
            "trigger": self.job.map(Job::describe),
            "plugin": self.job.map(|job| job.plugin.as_str()),
            "call": self.job.and_then(|job| job.call.as_deref()),
            "pool": self.job.map(|job| job.pool.as_str()),
            "store": self.job.map(|job| job.store.as_str()),
            "first_seen": rows::instant(self.row.map(|row| row.state.first_seen)),
            "removed_at": rows::instant(self.row.and_then(|row| row.state.removed_at)),
        })
    }
}

#[cfg(test)]
mod tests;
