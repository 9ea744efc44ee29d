//! Step 6: runs without a slot. Each has somebody who asked for it, once.

use std::collections::BTreeMap;

use super::dispositions::{is_gap, told};
use crate::{
    facts::Request,
    history::{Cause, Run, Skip},
    job::JobView,
    time::{Micros, Span, show},
    violation::{Class, Violation},
    world::{RunView, World},
};

/// What came of requests: runs, and skips of what is no slot.
struct Answers<'a> {
    runs: Vec<Option<&'a Run>>,
    skips: Vec<Option<&'a Skip>>,
}

/// Each request that the host accepted is one run or one skip, and nothing runs that nobody asked for.
pub(crate) fn each_is_one_run(world: &World<'_>, job: &JobView<'_>, out: &mut Vec<Violation>) {
    let is_asked_for = |view: &&RunView<'_>| matches!(view.run.cause, Cause::Manual | Cause::Backfill);
    let manual = job.runs.iter().filter(is_asked_for).map(|view| Some(view.run));
    let loose = job.skips.iter().filter(|skip| !is_gap(skip) && job.slot_at(skip.first).is_none());
    let mut answers = Answers { runs: manual.collect(), skips: loose.copied().map(Some).collect() };
    first_runs(world, job, &mut answers, out);
    let mut by_key: BTreeMap<String, Vec<&Request>> = BTreeMap::new();
    for (number, request) in world.facts.requests.iter().enumerate().filter(|(_, request)| request.job == job.name) {
        let key = request.key.as_ref().map_or_else(|| format!("request {number}"), |key| format!("key {key}"));
        by_key.entry(key).or_default().push(request);
    }
    // Those whose run is known are answered first, so that they are not taken for others.
    let (known, unknown): (Vec<_>, Vec<_>) =
        by_key.into_iter().partition(|(_, requests)| requests.iter().any(|request| request.run.is_some()));
    for (key, requests) in known.into_iter().chain(unknown) {
        out.extend(unanswered(world, job, &key, &requests, &mut answers));
    }
    for run in answers.runs.into_iter().flatten() {
        out.push(Violation::new(Class::Extra, job.name, Some(run.slot), format!("nobody asked for run {}", run.id)));
    }
    let is_follower = job.revisions.iter().any(|revision| !revision.after.is_empty());
    for skip in answers.skips.into_iter().flatten().filter(|_| !is_follower) {
        let ever = job.is_ever_slot(skip.first);
        // Planned in advance, and taken back with a reason.
        let is_taken_back =
            ever && skip.reason == "removed" || skip.reason == "cancelled" && job.is_ahead(world, skip.first);
        if !is_taken_back {
            let class = if ever { Class::Resurrected } else { Class::Extra };
            out.push(Violation::new(class, job.name, Some(skip.first), format!("{}: no slot, no request", told(skip))));
        }
    }
}

fn unanswered(
    world: &World<'_>,
    job: &JobView<'_>,
    key: &str,
    requests: &[&Request],
    answers: &mut Answers<'_>,
) -> Option<Violation> {
    let slack = world.tolerance.edge().saturating_add(world.tolerance.recovery);
    let ids: Vec<_> = requests.iter().filter_map(|request| request.run.as_deref()).collect();
    let windows: Vec<_> = requests.iter().map(|request| window(world, request.at, slack)).collect();
    let fits = |id: Option<&str>, slot: Micros| match id.filter(|_| !ids.is_empty()) {
        Some(id) => ids.contains(&id),
        None => ids.is_empty() && windows.iter().any(|window| window.contains(slot)),
    };
    let runs = answers.runs.iter_mut().find(|run| run.is_some_and(|run| fits(Some(&run.id), run.slot)));
    if runs.and_then(Option::take).is_some() {
        return None;
    }
    let fits = |skip: &Skip| fits(skip.run.as_deref(), skip.first);
    if answers.skips.iter_mut().find(|skip| skip.is_some_and(fits)).and_then(Option::take).is_some() {
        return None;
    }
    let first = requests.iter().filter(|request| request.acknowledged).map(|request| request.at).min()?;
    let chance = world.settled.stretch(first, world.facts.until, world.tolerance.latency)?;
    let evidence =
        format!("{key}, accepted at {}, is no run; the host could act from {}", show(first), show(chance.from));
    Some(Violation::new(Class::Request, job.name, None, evidence))
}

/// What the wall clock may have shown when the host saw a request.
fn window(world: &World<'_>, at: Micros, slack: Micros) -> Span {
    let clock = world.tolerance.clock;
    let (low, high) = world.facts.clock.range(at.saturating_sub(clock), at.saturating_add(slack));
    Span::new(low, high.saturating_add(1))
}

/// A job with `run_on_start` runs once when it is first seen; the others do not.
fn first_runs(world: &World<'_>, job: &JobView<'_>, answers: &mut Answers<'_>, out: &mut Vec<Violation>) {
    let runs: Vec<_> = job.runs.iter().filter(|view| view.run.cause == Cause::Start).map(|view| view.run).collect();
    let wanted = job.revisions.first().filter(|revision| revision.run_on_start);
    let n_allowed = if wanted.is_some() { 1 } else { 0 };
    for run in runs.iter().skip(n_allowed) {
        let evidence = format!("run {} on a start that is none", run.id);
        out.push(Violation::new(Class::Extra, job.name, Some(run.slot), evidence));
    }
    let Some(wanted) = wanted.filter(|_| runs.is_empty()) else { return };
    let from = wanted.in_force.from.max(world.facts.up.first().map_or(0, |up| up.span.from));
    let near = window(world, from, world.tolerance.edge().saturating_add(world.tolerance.recovery));
    let skipped = answers.skips.iter_mut().find(|skip| skip.is_some_and(|skip| near.contains(skip.first)));
    if skipped.and_then(Option::take).is_none()
        && let Some(chance) = job.able.stretch(from, world.facts.until, world.tolerance.latency)
    {
        let evidence = format!("it never ran on its start; the host could act from {}", show(chance.from));
        out.push(Violation::new(Class::Request, job.name, None, evidence));
    }
}
