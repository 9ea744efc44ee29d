//! `clockjack logs`: what a run's guest logged and wrote.

use std::ops::ControlFlow;

use chrono::{DateTime, Utc};
use clap::Args;
use clockjack_schedule::{
    id::JobId,
    ports::{Finish, LogLine, RunStory},
};
use serde_json::{Value as Json, json};

use super::{
    Exit, Output, asked,
    client::{self, Client, Failure, Said, segment},
    find, jobs, print,
    reading::{self, Answer, Reading, ReadingArgs, Trouble},
    rows, show,
    stream::Frame,
};
use crate::api::view::runs::{LogLine as LogView, Written};

#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// A job, for its last run that has ended; or a run: its id or the first digits of it, `JOB@latest`, `JOB@INSTANT`.
    #[arg(value_name = "RUN|JOB")]
    subject: String,
    /// Which attempt of the run; without it the last one that has ended.
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    /// Follow a run of a running host: what it has said, then each line as it comes, until the run has ended. Of a job it is
    /// the newest run that has begun.
    #[arg(long, short = 'F', conflicts_with_all = ["attempt", "ledger"])]
    follow: bool,
    #[command(flatten)]
    reading: ReadingArgs,
}

pub(super) fn run(args: &LogsArgs) -> anyhow::Result<Exit> {
    let output = args.reading.output.output;
    if args.follow {
        return client::talk(output, async || {
            follow(args).await?;
            Ok(Said::done(String::new()))
        });
    }
    if let Some(client) = asked::instead(&args.reading)? {
        return asked::logs(&client, &args.subject, args.attempt, output);
    }
    reading::answer(&args.reading, async |reading| logs(reading, &args.subject, args.attempt, output).await)
}

/// Prints what a run says until it has ended.
async fn follow(args: &LogsArgs) -> Result<(), Failure> {
    let output = args.reading.output.output;
    let client = Client::new(&args.reading.socket, &args.reading.manifests.files);
    // What is all digits is more likely a run than a job.
    let is_run = args.subject.contains('@') || args.subject.bytes().all(|c| c.is_ascii_hexdigit() || c == b'-');
    let subject = if is_run { args.subject.clone() } else { format!("{}@latest", args.subject) };
    let route = format!("/runs/{}/logs?follow=true", segment(&subject));
    client.follow(&route, None, |frame| tell(frame, output)).await
}

fn tell(frame: &Frame, output: Output) -> anyhow::Result<ControlFlow<()>> {
    let mut data: Json = serde_json::from_str(&frame.data)?;
    let is_end = ["end", "dropped", "error"].contains(&frame.event.as_str());
    let is_read = match (output, told(&frame.event, &data)) {
        (Output::Json, _) => {
            data["event"] = json!(frame.event);
            print::line(&data.to_string())?
        }
        (Output::Table, Told::Line(line)) => print::line(&print::plain(&line))?,
        (Output::Table, Told::Talk(talk)) => {
            print::talk(&print::plain(&talk));
            true
        }
        (Output::Table, Told::Nothing) => true,
    };
    Ok(if is_end || !is_read { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
}

/// What people are told of a frame.
enum Told {
    Line(String),
    Talk(String),
    Nothing,
}

fn told(event: &str, data: &Json) -> Told {
    let text = |key: &str| data[key].as_str().unwrap_or_default();
    let time = || text("at").parse::<DateTime<Utc>>().map_or_else(|_| String::new(), show::time);
    let detail = |word: &str| if text(word).is_empty() { String::new() } else { format!(": {}", text(word)) };
    match event {
        "log" => {
            let fields = data["fields"].as_object().into_iter().flatten();
            let fields: String =
                fields.map(|(key, value)| format!(" {key}={}", value.as_str().unwrap_or_default())).collect();
            Told::Line(format!("{} {:<5} {}{fields}", time(), text("level"), text("message")))
        }
        "stdout" | "stderr" => Told::Line(text("text").to_owned()),
        "left_out" => Told::Talk(format!("note: {} more lines are left out here", data["lines"])),
        "retrying" => Told::Talk(format!(
            "attempt {}: {}{}; the next one is due at {}",
            data["attempt"],
            text("outcome"),
            detail("error"),
            text("retry_at")
        )),
        "end" if data["outcome"].is_null() => Told::Talk(text("detail").to_owned()),
        "end" => Told::Talk(format!("run {}: {}{}", text("run"), text("outcome"), detail("error"))),
        "dropped" | "error" => Told::Talk(format!("note: the host ended the stream{}", detail("detail"))),
        _ => Told::Nothing,
    }
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
        Output::Json => Answer::json(&logs_json(&story, Some(finish))),
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
    let none = || {
        Trouble::Asked("run.unknown", format!("no run of job `{job}` has ended yet; `clockjack why {job}` says more"))
    };
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
        Trouble::Asked("attempt.unknown", match (number, ended.as_slice()) {
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

/// A line that a guest logged, for programs.
pub(crate) fn log_json(line: &LogLine) -> Json {
    // Texts alone: they can be written as JSON.
    serde_json::to_value(LogView::from(line)).unwrap_or_default()
}

/// What an attempt logged and wrote, for programs.
pub(crate) fn logs_json(story: &RunStory, finish: Option<&Finish>) -> Json {
    let report = finish.map(|finish| &finish.report);
    let mut object = json!({
        "run": story.row.run.id.to_string(),
        "job": story.row.run.job.as_str(),
        "scheduled_for": rows::instant(Some(story.row.run.scheduled_for)),
        "attempt": finish.map(|finish| finish.n_attempts),
        "outcome": report.map(|report| report.outcome.code.as_str()),
    });
    let written: Written = report.map(Into::into).unwrap_or_default();
    // Texts and numbers: they can be written as JSON.
    if let (Json::Object(object), Ok(Json::Object(written))) = (&mut object, serde_json::to_value(written)) {
        object.extend(written);
    }
    object
}

#[cfg(test)]
mod tests;
