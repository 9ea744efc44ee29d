//! Steps 4 and 9, ends: each has what it needs, and no run stays open for nothing.

use super::{
    attempts::{ANY_END, attempts_max},
    reloads,
};
use crate::{
    facts::Ending,
    history::Said,
    job::JobView,
    revision::{Delivery, Overlap, Revision},
    time::{Micros, show},
    violation::{Class, Violation},
    world::{RunView, World},
};

/// How many interruptions end a run although it is to be tried again.
const INTERRUPTIONS_MAX: usize = 10;

/// Each end of an attempt is justified, and what has not ended still goes on.
pub(crate) fn each_has_its_reason(world: &World<'_>, job: &JobView<'_>, out: &mut Vec<Violation>) {
    for view in &job.runs {
        let mut wrong = Vec::new();
        for number in 1..=view.run.n_attempts {
            wrong.extend(view.run.outcome_of(number).and_then(|code| ended(world, job, view, number, code)));
        }
        match view.run.outcome.as_deref() {
            Some("cancelled") if view.run.n_attempts == 0 => wrong.extend(cancelled(world, job, view)),
            Some("interrupted") => wrong.extend(interrupted_for_good(world, job, view)),
            Some(_) => {}
            None => wrong.extend(still_open(world, job, view)),
        }
        out.extend(wrong.into_iter().map(|(class, evidence)| {
            let evidence = format!("run {}: {evidence}", view.run.id);
            Violation::new(class, job.name, Some(view.run.slot), evidence)
        }));
    }
}

type Wrong = Option<(Class, String)>;

fn ended(world: &World<'_>, job: &JobView<'_>, view: &RunView<'_>, number: u32, code: &str) -> Wrong {
    let is_limit = ["timeout.", "trap.", "load."].iter().any(|start| code.starts_with(start))
        || [".limit", ".denied"].iter().any(|end| code.ends_with(end))
        || matches!(code, "fuel" | "stack.overflow");
    match code {
        "succeeded" | "failed" | "skipped" => None,
        "lost" => {
            let why = || (Class::UnjustifiedEnd, format!("attempt {number} is lost, but the host did not die in it"));
            let is_once = revisions(world, job, view).iter().any(|revision| revision.delivery == Delivery::AtMostOnce);
            if !is_once {
                return Some((Class::UnjustifiedEnd, "lost, although it is to be tried again".to_owned()));
            }
            (!host_ended_in(world, view, number, &[Ending::Killed])).then(why)
        }
        "interrupted" => {
            let why = || {
                let told = "is interrupted, but neither did the host end in it nor was its code replaced";
                (Class::UnjustifiedEnd, format!("attempt {number} {told}"))
            };
            (!is_replaced(world, job, view, number) && !host_ended_in(world, view, number, &ANY_END)).then(why)
        }
        "cancelled" => cancelled(world, job, view),
        _ if is_limit => None,
        _ => Some((Class::UnknownWord, format!("`{code}` is no outcome"))),
    }
}

fn revisions<'w>(world: &World<'_>, job: &'w JobView<'_>, view: &RunView<'_>) -> Vec<&'w Revision> {
    let start = view.lines.first().map(|line| line.start).or_else(|| view.first_start(world));
    start.map_or_else(|| job.revisions.clone(), |start| job.revisions_at(start).map(|(_, revision)| revision).collect())
}

/// The beginning of an attempt, and what the ledger calls its end.
fn span_of(world: &World<'_>, view: &RunView<'_>, number: u32) -> Option<[Micros; 2]> {
    let clock = &world.facts.clock;
    let line = view.lines.iter().find(|line| line.attempt == number);
    let told = view.run.attempts.iter().find(|attempt| attempt.number == number).and_then(|attempt| attempt.started);
    let claimed = told.or(view.run.started.filter(|_| number == view.run.n_attempts));
    let claimed = claimed.and_then(|wall| clock.instants(wall).into_iter().min());
    let from = [line.map(|line| line.start), claimed].into_iter().flatten().min()?;
    let noted = view.run.finish_of(number).and_then(|wall| clock.instants(wall).into_iter().max());
    Some([from, noted.unwrap_or(Micros::MAX)])
}

/// Whether the host ended between the beginning of an attempt and what the ledger calls its end.
fn host_ended_in(world: &World<'_>, view: &RunView<'_>, number: u32, endings: &[Ending]) -> bool {
    let Some([from, noted]) = span_of(world, view, number) else { return false };
    // A host that stops in good order notes the end before it is gone.
    let until = noted.saturating_add(world.tolerance.recovery.max(world.tolerance.latency));
    world.end_of_host(from.saturating_sub(world.tolerance.edge()), until, endings).is_some()
}

fn cancelled(world: &World<'_>, job: &JobView<'_>, view: &RunView<'_>) -> Wrong {
    let is_asked = world
        .facts
        .cancels
        .iter()
        .any(|cancel| cancel.job == job.name && cancel.run.as_ref().is_none_or(|run| *run == view.run.id));
    let is_replaced = || job.revisions.iter().any(|revision| revision.overlap == Overlap::Replace);
    let gave_way = || {
        let spans = (1..=view.run.n_attempts).filter_map(|number| span_of(world, view, number));
        spans.into_iter().any(|span| reloads::may_have_ended(world, job, span, reloads::is_cancelled))
    };
    let why = || (Class::UnjustifiedEnd, "cancelled, but nobody asked for it".to_owned());
    (!is_asked && !is_replaced() && !gave_way()).then(why)
}

/// Whether an attempt was cut by other code: that came while it went on, and the host did not end.
fn is_replaced(world: &World<'_>, job: &JobView<'_>, view: &RunView<'_>, number: u32) -> bool {
    let is_there = |span| reloads::may_have_ended(world, job, span, reloads::is_replaced);
    span_of(world, view, number).is_some_and(is_there) && !host_ended_in(world, view, number, &ANY_END)
}

/// Under `at_least_once` an interruption is no end, unless the job is gone or there were too many. One by other code never
/// is, unless the job is gone.
fn interrupted_for_good(world: &World<'_>, job: &JobView<'_>, view: &RunView<'_>) -> Wrong {
    // The attempts of one run may have begun under several definitions.
    let is_again = job.revisions.iter().all(|revision| revision.delivery == Delivery::AtLeastOnce);
    let finished = view.run.finished?;
    let instants = world.facts.clock.instants(finished);
    let is_gone = instants.iter().any(|at| job.surely_at(*at).next().is_none());
    let n_cut = view.run.attempts.iter().filter(|attempt| attempt.outcome == "interrupted").count();
    let is_known = !view.run.attempts.is_empty();
    let may_end = !is_again || !is_known || INTERRUPTIONS_MAX <= n_cut;
    if is_gone || may_end && !is_replaced(world, job, view, view.run.n_attempts) {
        return None;
    }
    Some((Class::UnjustifiedEnd, "ended as interrupted, although it is to be tried again".to_owned()))
}

/// A run that began stays open only while it goes on or waits for its next attempt.
fn still_open(world: &World<'_>, job: &JobView<'_>, view: &RunView<'_>) -> Wrong {
    let begun = view.lines.last().map(|line| line.start).or_else(|| view.first_start(world))?;
    let last = view.lines.last();
    let cut = world.end_of_host(begun, Micros::MAX, &ANY_END);
    let told = last.and_then(|line| view.run.finish_of(line.attempt));
    let told = told.and_then(|wall| world.facts.clock.instants(wall).into_iter().max());
    let since = last.and_then(|line| line.end).or(told).or(cut);
    let since = match since {
        Some(since) => since,
        // It goes on, unless no guest ever began.
        None if last.is_some() => return None,
        None => begun,
    };
    let is_done = last.is_some_and(|line| line.end.is_some() && line.said == Said::Succeeded);
    let may_retry = !is_done && 1 < attempts_max(world, job, view);
    let backoff = job.revisions.iter().map(|revision| revision.backoff_max).max().filter(|_| may_retry);
    let from = since.saturating_add(backoff.unwrap_or(0));
    let (until, latency) = (world.facts.until, world.tolerance.latency);
    // An end needs no room; another attempt does.
    let spans = if is_done { &world.settled } else { &job.free };
    let chance = spans.stretch(from, until, latency);
    let why = |at| format!("open since {}, though nothing goes on; the host could act from {}", show(since), show(at));
    chance.map(|chance| (Class::Stuck, why(chance.from)))
}
