//! Step 4, attempts: numbered 1, 2, 3, one after the other, no more than allowed.

use super::reloads;
use crate::{
    facts::Ending,
    history::{Said, Witness},
    job::JobView,
    revision::Delivery,
    time::{Micros, show},
    violation::{Class, Violation},
    world::{RunView, World},
};

/// Any end of the host.
pub(crate) const ANY_END: [Ending; 2] = [Ending::Killed, Ending::Stopped];

/// Each attempt is the one after the one before it, and begins after its end.
pub(crate) fn each_follows_the_one_before(world: &World<'_>, job: &JobView<'_>, out: &mut Vec<Violation>) {
    for view in &job.runs {
        let mut wrong = Vec::new();
        let mut before: Option<&Witness> = None;
        for line in &view.lines {
            wrong.extend(numbered(world, job, view, before, line));
            wrong.extend(before.and_then(|before| after(world, job, view, before, line)));
            before = Some(line);
        }
        wrong.extend(told_in_order(view));
        wrong.extend(not_too_many(world, job, view));
        out.extend(wrong.into_iter().map(|(class, evidence)| {
            let evidence = format!("run {}: {evidence}", view.run.id);
            Violation::new(class, job.name, Some(view.run.slot), evidence)
        }));
    }
}

type Wrong = Option<(Class, String)>;

fn numbered(
    world: &World<'_>,
    job: &JobView<'_>,
    view: &RunView<'_>,
    before: Option<&Witness>,
    line: &Witness,
) -> Wrong {
    let last = before.map_or(0, |before| before.attempt);
    let number = line.attempt;
    if number == last {
        return Some((
            Class::DoubleStart,
            format!("attempt {number} began twice, the second time at {}", show(line.start)),
        ));
    }
    if number < last {
        return Some((Class::AttemptOrder, format!("attempt {number} began after attempt {last}")));
    }
    let since = before.map_or(Micros::MIN, |before| before.start);
    let silent = |number| match view.run.outcome_of(number) {
        // Claimed, and the host died before the guest began; or the ledger's list of attempts is not there.
        Some("interrupted") if reloads::may_have_ended(world, job, [since, line.start], reloads::is_replaced) => true,
        None | Some("interrupted" | "lost") => world.end_of_host(since, line.start, &ANY_END).is_some(),
        // The guest itself says how these end.
        Some("succeeded" | "failed" | "skipped") => false,
        // A limit or a cancellation may end an attempt before its guest begins.
        Some(_) => true,
    };
    let missing = (last.saturating_add(1)..number).find(|number| !silent(*number))?;
    Some((Class::AttemptGap, format!("attempt {number} without attempt {missing}")))
}

fn after(world: &World<'_>, job: &JobView<'_>, view: &RunView<'_>, before: &Witness, line: &Witness) -> Wrong {
    let end = world.attempt_span(view.run, before).until;
    let [this, last] = [line.attempt, before.attempt];
    if line.start.saturating_add(world.tolerance.clock) < end {
        let evidence = format!("attempt {this} began at {}, attempt {last} ended at {}", show(line.start), show(end));
        return Some((Class::AttemptOrder, evidence));
    }
    let told = view.run.outcome_of(last);
    let crash = world.end_of_host(before.start, line.start, &ANY_END);
    let mut deliveries = job.revisions_at(before.start).map(|(_, revision)| revision.delivery);
    let is_once = deliveries.next().is_some_and(|first| first == Delivery::AtMostOnce)
        && deliveries.all(|delivery| delivery == Delivery::AtMostOnce);
    // The host saw the end of what it replaced.
    let is_replaced = told == Some("interrupted")
        && reloads::may_have_ended(world, job, [before.start, line.start], reloads::is_replaced);
    let is_known = is_replaced || !matches!(told, None | Some("interrupted" | "lost"));
    if let Some(crash) = crash.filter(|_| is_once && !is_known) {
        let evidence = format!("at most once, but began again after the host ended at {}", show(crash));
        return Some((Class::DoubleStart, evidence));
    }
    let has_succeeded = before.end.is_some() && before.said == Said::Succeeded;
    // The success may not have reached the ledger.
    let is_unheard = match told {
        None | Some("interrupted" | "lost") => crash.is_some() || is_replaced,
        Some("succeeded" | "failed" | "skipped") => false,
        Some(_) => true,
    };
    if has_succeeded && !is_unheard {
        return Some((Class::TooManyAttempts, format!("attempt {this} after attempt {last} had succeeded")));
    }
    None
}

/// The ledger numbers them 1, 2, 3 as well.
fn told_in_order(view: &RunView<'_>) -> Wrong {
    let told = &view.run.attempts;
    let is_counted = told.is_empty() || u32::try_from(told.len()) == Ok(view.run.n_attempts);
    let is_numbered = told.iter().zip(1..).all(|(attempt, number)| attempt.number == number);
    if is_counted && is_numbered {
        return None;
    }
    let numbers: Vec<_> = told.iter().map(|attempt| attempt.number).collect();
    Some((Class::AttemptGap, format!("the ledger tells of {} attempts: {numbers:?}", view.run.n_attempts)))
}

/// Attempts that a stop of the host or other code cut do not count.
fn not_too_many(world: &World<'_>, job: &JobView<'_>, view: &RunView<'_>) -> Wrong {
    let n_seen = view.lines.iter().map(|line| line.attempt).max().unwrap_or(0);
    let n_all = n_seen.max(view.run.n_attempts);
    let is_cut = |number: u32| match view.run.outcome_of(number) {
        Some(outcome) => matches!(outcome, "interrupted" | "lost"),
        None => {
            let line = view.lines.iter().find(|line| line.attempt == number);
            line.is_none_or(|line| world.end_of_host(line.start, Micros::MAX, &ANY_END).is_some())
        }
    };
    let n_counted = (1..=n_all).filter(|number| !is_cut(*number)).count();
    let n_max = attempts_max(world, job, view);
    if u32::try_from(n_counted).is_ok_and(|n_counted| n_counted <= n_max) {
        return None;
    }
    Some((Class::TooManyAttempts, format!("{n_counted} attempts count, {n_max} are allowed")))
}

/// How many attempts the revisions allow that the run may have known.
pub(crate) fn attempts_max(world: &World<'_>, job: &JobView<'_>, view: &RunView<'_>) -> u32 {
    let last = view.lines.last().map_or(Micros::MAX, |line| line.start.saturating_add(world.tolerance.edge()));
    let known = job.revisions.iter().filter(|revision| revision.in_force.from <= last);
    known.map(|revision| revision.attempts_max).max().unwrap_or(1)
}
