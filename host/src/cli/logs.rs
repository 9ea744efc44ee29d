//! `clockjack logs`: what a run's guest logged and wrote.

use clap::Args;
use clockjack_schedule::{
    id::JobId,
    ports::{Finish, RunStory},
};
use serde_json::{Value as Json, json};

use super::{
    Exit, Output, find, jobs, print,
    reading::{self, Answer, Reading, ReadingArgs, Trouble},
    rows, show,
};
use crate::api::view::runs::Written;

#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// A job, for its last run that has ended; or a run: its id or the first digits of it, `JOB@latest`, `JOB@INSTANT`.
    #[arg(value_name = "RUN|JOB")]
    subject: String,
    /// Which attempt of the run; without it the last one that has ended.
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    #[command(flatten)]
    reading: ReadingArgs,
}

pub(super) fn run(args: &LogsArgs) -> anyhow::Result<Exit> {
    let output = args.reading.output.output;
    reading::answer(&args.reading, async |reading| logs(reading, &args.subject, args.attempt, output).await)
}

pub(super) async fn logs(
    reading: &Reading,
    subject: &str,
    attempt: Option<u32>,
    output: Output,
) -> Result<Answer, Trouble> {
    let story = story(reading, subject).await?;
    let finish = chosen(&story, attempt)?;
    match output {
        Output::Json => Answer::json(&json(&story, finish)?),
        Output::Table => {
            let text = show::written(&finish.report);
            let outcome = &finish.report.outcome;
            let message = if outcome.message.is_empty() { String::new() } else { format!(": {}", outcome.message) };
            let heading = format!(
                "{} of {}, attempt {}: {}{message}",
                story.row.run.job,
                rows::shown(story.row.run.scheduled_for),
                finish.n_attempts,
                outcome.code
            );
            // What was kept is data; which run it is, is talk.
            let talk = if text.is_empty() { format!("{heading}; it logged and wrote nothing") } else { heading };
            Ok(Answer { data: print::plain(text.trim()), talk: Some(print::plain(&talk)) })
        }
    }
}

/// The run that is meant; the last one that has ended where a job is named.
async fn story(reading: &Reading, subject: &str) -> Result<RunStory, Trouble> {
    let Ok(job) = subject.parse::<JobId>() else { return find::run(reading, subject).await };
    let loaded = reading.ledger.load().await?;
    let row = match reading.known(&loaded, &job) {
        Ok(row) => row,
        // What is all digits is more likely a run than a job.
        Err(_) if subject.bytes().all(|c| c.is_ascii_hexdigit() || c == b'-') => {
            return find::run(reading, subject).await;
        }
        Err(trouble) => return Err(trouble),
    };
    let last = jobs::last_run(reading, row).await?;
    let none = || Trouble::Asked(format!("no run of job `{job}` has ended yet; `clockjack why {job}` says more"));
    let id = last.ok_or_else(none)?.run.id;
    find::story(reading, id).await?.ok_or_else(none)
}

/// The attempt that is meant.
fn chosen(story: &RunStory, number: Option<u32>) -> Result<&Finish, Trouble> {
    let ended = rows::ended_attempts(story);
    let chosen = match number {
        Some(number) => ended.iter().find(|finish| finish.n_attempts == number).copied(),
        None => ended.last().copied(),
    };
    chosen.ok_or_else(|| {
        let run = story.row.run.id;
        Trouble::Asked(match (number, ended.as_slice()) {
            (_, []) => format!(
                "no attempt of run {run} has ended yet (it is {}); what a guest writes is kept when its attempt ends",
                rows::state(&story.row)
            ),
            (Some(number), [.., last]) => {
                format!("attempt {number} of run {run} is not among those that have ended: 1 to {}", last.n_attempts)
            }
            (None, [.., _]) => format!("nothing is kept of run {run}"),
        })
    })
}

fn json(story: &RunStory, finish: &Finish) -> Result<Json, serde_json::Error> {
    let mut object = json!({
        "run": story.row.run.id.to_string(),
        "job": story.row.run.job.as_str(),
        "scheduled_for": rows::instant(Some(story.row.run.scheduled_for)),
        "attempt": finish.n_attempts,
        "outcome": finish.report.outcome.code.as_str(),
    });
    if let (Json::Object(object), Json::Object(written)) =
        (&mut object, serde_json::to_value(Written::from(&finish.report))?)
    {
        object.extend(written);
    }
    Ok(object)
}

#[cfg(test)]
mod tests;
