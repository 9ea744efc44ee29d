//! What a running host tells: a log line per event, and a summary at the end.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    manifest::scalar::{show_duration, show_size},
    outcome::OutcomeCode,
    ports::{Again, Finish},
    run::{Cause, Cut, Run, Skip},
};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{print, reloads};
use crate::{
    logging::{Log, LogFormat},
    shell::{Event, Summary},
};

/// Longest output that a log line shows; the whole of it stays with the run.
const OUTPUT_CHARS_MAX: usize = 160;

/// Listens until it is told to stop, and until then logs what it hears.
#[expect(clippy::disallowed_methods, reason = "the log's own task; its handle is awaited at the end")]
pub(super) fn tell(
    mut events: broadcast::Receiver<Event>,
    format: LogFormat,
    stop: CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut is_first_wake = true;
        loop {
            let event = tokio::select! {
                biased;
                event = events.recv() => event,
                () = stop.cancelled() => return,
            };
            match event {
                Ok(event) => log(event, format, &mut is_first_wake),
                Err(RecvError::Lagged(n_events)) => {
                    warn!(n_events, "the log could not keep up; these events are not in it")
                }
                Err(RecvError::Closed) => return,
            }
        }
    })
}

fn log(event: Event, format: LogFormat, is_first_wake: &mut bool) {
    match event {
        Event::JobAdded { job, next, trigger, .. } => {
            let next = slot(next);
            info!(job = job.as_str(), trigger = &*trigger, next, "job added");
        }
        Event::NextWake { at, wait, job } => {
            let at = at.format("%H:%M:%S%.3fZ").to_string();
            let wait = show_duration(print::rounded(wait));
            if std::mem::take(is_first_wake) {
                info!("next wake-up in {wait}, at {at}, for {job}");
            } else {
                debug!("next wake-up in {wait}, at {at}, for {job}");
            }
        }
        Event::JobChanged { job, before, next } => {
            let (before, next) = (slot(before), slot(next));
            let next = if before == next { next } else { format!("{before} -> {next}") };
            info!(job = job.as_str(), next, "job changed");
        }
        Event::JobRemoved(job) => info!(job = job.as_str(), "job removed; its history stays"),
        Event::RunHeld { run, memory_bytes } => held(&run, memory_bytes),
        Event::RunStarted { run, attempt, generation } => started(&run, attempt, generation),
        Event::AttemptEnded { run, again } => tried(&run, &again),
        Event::RunFinished { run, finish } => finished(&run, &finish),
        Event::RunCut { cut, is_tried_again } => was_cut(&cut, is_tried_again),
        Event::Skipped(skip) => skipped(&skip),
        Event::Plugin(news) => reloads::plugin(&news),
        Event::Manifest(news) => reloads::manifest(&news, format),
        // What the log has said already, or what whoever asked for it is told.
        Event::Started
        | Event::Stopping { .. }
        | Event::Stopped
        | Event::Paused { .. }
        | Event::Resumed { .. }
        | Event::JobPaused { .. }
        | Event::JobResumed { .. }
        | Event::Pool { .. }
        // These are for programs, and for the journal.
        | Event::RunQueued { .. }
        | Event::RunProgress { .. } => {}
        Event::WatermarkAhead { .. }
        | Event::ClockStepped { .. }
        | Event::LedgerHeld { .. }
        | Event::LedgerBack { .. }
        | Event::LedgerSlow { .. } => {
            of_the_host(&event);
        }
    }
}

/// A slot as it is told of jobs, for people.
fn slot(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "never".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// What happened to the host itself.
fn of_the_host(event: &Event) {
    match event {
        Event::ClockStepped { by } => {
            let (size, where_to) =
                (by.abs().to_std().unwrap_or_default(), if by.num_milliseconds() < 0 { "back" } else { "ahead" });
            let size = show_duration(print::rounded(size));
            warn!("the wall clock went {where_to} by {size}: it was set, or the machine slept; no slot runs twice");
        }
        Event::WatermarkAhead { until } => {
            let until = print::rfc3339(*until);
            warn!(
                until,
                "the ledger has decided every slot until then, so jobs that it knows start nothing before: the clock was ahead \
                 when it was written, or is behind now; if it was wrong then, start with another ledger (`--ledger sqlite:PATH`)"
            );
        }
        Event::LedgerHeld { why } => {
            error!("nothing new starts until the ledger can be written; runs that go on, go on: {why}");
        }
        Event::LedgerBack { after } => {
            let after = show_duration(print::rounded(*after));
            warn!("the ledger can be written again after {after}; what was due meanwhile is treated as late");
        }
        Event::LedgerSlow { took } => {
            let took = show_duration(print::rounded(*took));
            warn!("a commit of the ledger took {took}; slots start late while it does");
        }
        _ => {}
    }
}

fn started(run: &Run, attempt: u32, generation: Option<u32>) {
    let slot = print::rfc3339(run.scheduled_for);
    let cause = if run.cause == Cause::Schedule { String::new() } else { run.cause.to_string() };
    let attempt = if attempt == 1 { String::new() } else { attempt.to_string() };
    // Of most plugins there is but one.
    let generation = generation.filter(|generation| *generation != 1);
    info!(job = run.job.as_str(), run = %run.id, slot, cause, attempt, generation, "running");
}

fn held(run: &Run, memory_bytes: u64) {
    let (slot, memory) = (print::rfc3339(run.scheduled_for), show_size(memory_bytes));
    let message = "waits for its memory, which other runs have: raise `host.memory`, or lower `limits.memory` of jobs";
    warn!(job = run.job.as_str(), run = %run.id, slot, memory, "{message}");
}

fn tried(run: &Run, again: &Again) {
    let Again { finish, retry_at } = again;
    let (slot, retry_at) = (print::rfc3339(run.scheduled_for), print::rfc3339(*retry_at));
    let (outcome, reason) = (finish.report.outcome.code.as_str(), cut(&finish.report.outcome.message));
    let (duration_ms, number) = (print::millis(finish.duration), finish.n_attempts);
    let job = run.job.as_str();
    warn!(job, run = %run.id, slot, outcome, duration_ms, retry_at, reason, "attempt {number}: {outcome}; tried again");
}

fn was_cut(cut: &Cut, is_tried_again: bool) {
    let (job, run, slot) = (cut.run.job.as_str(), cut.run.id.to_string(), print::rfc3339(cut.run.scheduled_for));
    let (outcome, reason) = (cut.outcome.code.as_str(), cut.outcome.message.as_str());
    let number = cut.n_attempts;
    if is_tried_again {
        warn!(job, run, slot, reason, "attempt {number}: {outcome}; tried again");
    } else {
        warn!(job, run, slot, outcome, reason, "{outcome}");
    }
}

fn finished(run: &Run, finish: &Finish) {
    let report = &finish.report;
    let code = report.outcome.code;
    let output = report.outcome.output.as_ref().map_or_else(String::new, |output| cut(&output.to_string()));
    let memory = show_size(report.memory_peak_bytes);
    let took = show_duration(print::rounded(finish.duration));
    let (job, id, slot) = (run.job.as_str(), run.id.to_string(), print::rfc3339(run.scheduled_for));
    let outcome = code.as_str();
    let duration_ms = print::millis(finish.duration);
    match code {
        OutcomeCode::Succeeded | OutcomeCode::Skipped => {
            info!(job, run = id, slot, outcome, duration_ms, memory, output, "{outcome} in {took}");
        }
        _ => {
            // The message says it already where the output is the error itself.
            let reason = cut(&report.outcome.message);
            warn!(job, run = id, slot, outcome, duration_ms, memory, reason, "{outcome} after {took}");
        }
    }
}

fn skipped(skip: &Skip) {
    let reason = skip.reason.as_str();
    let first = print::rfc3339(skip.first);
    if skip.count == 1 {
        warn!(job = skip.job.as_str(), slot_skipped = first, "skipped: {reason}");
    } else {
        let last = print::rfc3339(skip.last);
        warn!(job = skip.job.as_str(), first, last, "skipped {} slots: {reason}", skip.count);
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(OUTPUT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Tells what came of it all.
pub(super) fn conclude(summary: &Summary, ran_for: Duration, format: LogFormat, log: &Log) {
    let n_runs: u64 = summary.runs.values().flat_map(|outcomes| outcomes.values()).sum();
    let n_skips: u64 = summary.skips.values().flat_map(|reasons| reasons.values()).sum();
    let ran_for = show_duration(print::rounded(ran_for));
    let jobs: BTreeSet<_> = summary.runs.keys().chain(summary.skips.keys()).collect();
    let mut rows = Vec::new();
    for job in jobs {
        let outcomes = summary.runs.get(job).into_iter().flatten().map(|(code, n)| format!("{n} {code}"));
        let skips = summary.skips.get(job).into_iter().flatten().map(|(reason, n)| format!("{n} {reason}"));
        let (outcomes, skips) = (outcomes.collect::<Vec<_>>().join(", "), skips.collect::<Vec<_>>().join(", "));
        if format != LogFormat::Text {
            info!(job = job.as_str(), runs = outcomes, skips, "summary of a job");
        }
        rows.push(vec![job.to_string(), outcomes, skips]);
    }
    info!("stopped after {ran_for}: {n_runs} runs, {n_skips} slots skipped");
    if format == LogFormat::Text && !rows.is_empty() {
        log.tell(&format!("\n{}", print::table(&["job", "runs", "skipped"], &rows)));
    }
}
