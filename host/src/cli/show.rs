//! `clockjack runs show`: everything that is kept of one run.

use chrono::{DateTime, Utc};
use clap::Args;
use clockjack_schedule::{
    manifest::scalar::show_size,
    ports::{Captured, Finish, LogLine, Report, RunState, RunStory},
};

use super::{
    Exit, Output, asked, find, print,
    reading::{self, Answer, Reading, ReadingArgs, Trouble},
    rows::{self, ended_attempts},
};
use crate::api::view::runs::RunDetail;

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The run: its id or the first digits of it, `JOB@latest`, or `JOB@INSTANT` for the run of a slot.
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    reading: ReadingArgs,
}

pub(super) fn run(args: &ShowArgs) -> anyhow::Result<Exit> {
    let output = args.reading.output.output;
    if let Some(client) = asked::instead(&args.reading)? {
        return asked::show(&client, &args.run, output);
    }
    reading::answer(&args.reading, async |reading| show(reading, &args.run, output).await)
}

pub(super) async fn show(reading: &Reading, run: &str, output: Output) -> Result<Answer, Trouble> {
    let story = find::run(reading, run).await?;
    match output {
        Output::Json => Answer::view(&RunDetail::from(&story)),
        Output::Table => Ok(Answer::of(print::plain(page(&story).trim_end()))),
    }
}

fn page(story: &RunStory) -> String {
    let row = &story.row;
    let mut text = format!("{}\n\n", headline(story));
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<11} {value}\n"));
    line("run", row.run.id.to_string());
    line("job", row.run.job.to_string());
    line("slot", rows::shown(row.run.scheduled_for));
    line("due", due(story));
    line("cause", rows::cause(&row.run.cause));
    if let Some(finish) = row.finish() {
        line("finished", rows::beside(finish.finished_at, row.run.scheduled_for));
        for (name, value) in consumed(&finish.report) {
            line(name, value);
        }
    }
    text.push_str("\nattempts\n");
    text.push_str(&attempts(story));
    if let Some(payload) = &row.run.payload {
        let part = |name: &str, json: &serde_json::Value| {
            let shown = serde_json::to_string_pretty(json).unwrap_or_default();
            format!("\n{name}\n{}\n", indented(&shown))
        };
        if let Some(args) = payload.args() {
            text.push_str(&part("arguments of this run", args));
        }
        if payload.args().is_none() || !payload.json().is_null() {
            text.push_str(&part("payload", payload.json()));
        }
    }
    if let Some(finish) = row.finish() {
        text.push_str(&output(&finish.report));
        text.push_str(&written(&finish.report));
    }
    text
}

fn headline(story: &RunStory) -> String {
    let run = &story.row.run;
    match &story.row.state {
        RunState::Open { claimed_at: Some(at), n_attempts, .. } => {
            format!("{}: running since {}, attempt {}", run.job, rows::beside(*at, run.scheduled_for), n_attempts + 1)
        }
        RunState::Open { retry_at: Some(at), n_attempts, .. } => {
            let at = rows::beside(*at, run.scheduled_for);
            format!("{}: waits for attempt {}, which is due at {at}", run.job, n_attempts + 1)
        }
        RunState::Open { claimed_at: None, retry_at: None, .. } => format!("{}: planned", run.job),
        RunState::Ended(finish) => {
            let took = rows::took(finish).map_or_else(String::new, |took| format!(" in {}", rows::span(took)));
            let message = &finish.report.outcome.message;
            let message = if message.is_empty() { String::new() } else { format!(": {message}") };
            format!("{}: {}{took}{message}", run.job, finish.report.outcome.code)
        }
    }
}

fn due(story: &RunStory) -> String {
    let run = &story.row.run;
    let due = rows::beside(run.due_at, run.scheduled_for);
    let late = rows::late(&story.row, rows::first_start_of(story));
    late.map_or_else(|| due.clone(), |late| format!("{due}; the first attempt began {} later", rows::span(late)))
}

/// What the last attempt used, and which code it was.
fn consumed(report: &Report) -> Vec<(&'static str, String)> {
    if report.digest.is_empty() {
        return vec![("guest", "none ran".to_owned())];
    }
    let mut lines = vec![("memory", show_size(report.memory_peak_bytes)), ("cpu time", rows::span(report.cpu_time))];
    lines.extend(report.fuel_used.map(|fuel| ("fuel", fuel.to_string())));
    lines.push(("generation", report.generation.to_string()));
    lines.push(("digest", report.digest.to_string()));
    lines.extend(report.progress.clone().map(|progress| ("progress", progress)));
    lines
}

fn attempts(story: &RunStory) -> String {
    let slot = story.row.run.scheduled_for;
    let cells = |finish: &Finish| {
        let outcome = &finish.report.outcome;
        vec![
            format!("  {}", finish.n_attempts),
            outcome.code.to_string(),
            finish.started_at.map_or_else(|| rows::NONE.to_owned(), |at| rows::beside(at, slot)),
            rows::span_or_none(rows::took(finish)),
            outcome.message.lines().next().unwrap_or_default().to_owned(),
        ]
    };
    let mut lines: Vec<_> = ended_attempts(story).into_iter().map(cells).collect();
    if let RunState::Open { n_attempts, claimed_at: Some(at), .. } = &story.row.state {
        let none = rows::NONE.to_owned();
        let number = format!("  {}", n_attempts + 1);
        lines.push(vec![number, "running".to_owned(), rows::beside(*at, slot), none, String::new()]);
    }
    if lines.is_empty() {
        return "  none has begun\n".to_owned();
    }
    format!("{}\n", print::table(&["  no", "outcome", "started", "took", "message"], &lines))
}

/// What a guest returned, with a heading.
fn output(report: &Report) -> String {
    let Some(output) = &report.outcome.output else { return String::new() };
    let output = serde_json::to_string_pretty(output).unwrap_or_default();
    format!("\noutput\n{}\n", indented(&output))
}

/// What a guest logged and wrote, with headings.
pub(super) fn written(report: &Report) -> String {
    [logs(report), captured("stdout", &report.stdout), captured("stderr", &report.stderr)].concat()
}

fn logs(report: &Report) -> String {
    if report.logs.is_empty() && report.n_logs_dropped == 0 {
        return String::new();
    }
    let lines: String = report.logs.iter().map(|line| format!("  {}\n", log_line(line))).collect();
    let dropped = report.n_logs_dropped;
    let dropped =
        if dropped == 0 { String::new() } else { format!(", {} left out", rows::plural(dropped, "more line")) };
    let n_lines = rows::plural(u64::try_from(report.logs.len()).unwrap_or(u64::MAX), "line");
    format!("\nlogs ({n_lines}{dropped})\n{lines}")
}

/// A line that a guest logged, for people.
fn log_line(line: &LogLine) -> String {
    let fields: String = line.fields.iter().map(|(key, value)| format!(" {key}={value}")).collect();
    format!("{} {:<5} {}{fields}", time(line.at), line.level.as_str(), line.message)
}

/// The time of day of a line.
pub(super) fn time(at: DateTime<Utc>) -> String {
    at.format("%H:%M:%S%.3fZ").to_string()
}

fn captured(name: &str, captured: &Captured) -> String {
    if captured.n_bytes == 0 {
        return String::new();
    }
    let n_bytes = rows::plural(captured.n_bytes, "byte");
    let dropped = captured.n_bytes_dropped;
    let dropped = if dropped == 0 { String::new() } else { format!(", {dropped} of them left out of the middle") };
    format!("\n{name} ({n_bytes}{dropped})\n{}\n", indented(captured.text.trim_end()))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
