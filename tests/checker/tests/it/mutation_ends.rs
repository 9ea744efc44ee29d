//! Mutants of attempts, ends, requests and chains.

use clockjack_checker::{Cause, Delivery, Micros, Revision, Run, SECOND, Witness};

use crate::{
    mutations::{is_solid, remove, shift, some_run, succeeded},
    scene::{Dice, Story},
};

const MILLISECOND: Micros = 1_000;

pub(crate) fn attempt_gap(story: &mut Story, dice: &mut Dice) -> bool {
    let Some(run) = some_run(story, dice, |run, _, r| succeeded(run) && 1 < r.attempts_max) else { return false };
    for row in story.history.runs.iter_mut().filter(|row| row.id == run.id) {
        row.n_attempts = 2;
        row.attempts.iter_mut().for_each(|attempt| attempt.number = 2);
    }
    story.witness.iter_mut().filter(|line| line.run == run.id).for_each(|line| line.attempt = 2);
    true
}

pub(crate) fn double_start(story: &mut Story, dice: &mut Dice) -> bool {
    let has_line = |run: &&Run| story.witness.iter().any(|line| line.run == run.id);
    let lost = story.history.runs.iter().filter(|run| run.outcome.as_deref() == Some("lost"));
    let lost: Vec<_> = lost.filter(has_line).cloned().collect();
    let Some(run) = dice.pick(&lost).cloned() else { return false };
    let line = story.witness.iter().find(|line| line.run == run.id && line.attempt == run.n_attempts).cloned();
    let Some(last) = line else { return false };
    let start = run.finished.unwrap_or(0);
    if story.facts.clock.wall(start) != start || story.facts.clock.wall(last.start) != last.start {
        return false;
    }
    let host = story.facts.up.iter().position(|up| up.span.contains(start)).unwrap_or(0);
    story.witness.push(Witness { attempt: last.attempt + 1, host, start, end: None, ..last });
    true
}

pub(crate) fn other_end(story: &mut Story, dice: &mut Dice, from: &str, to: &str) -> bool {
    let clock = story.facts.clock.clone();
    let is_once = |r: &Revision| to != "lost" || r.delivery == Delivery::AtMostOnce;
    let fits = |run: &Run, line: &Witness, r: &Revision| {
        let is_clear = run.finished.is_some_and(|finished| clock.instants(finished).len() == 1);
        line.end.is_some() && run.outcome.as_deref() == Some(from) && is_once(r) && is_clear
    };
    let Some(run) = some_run(story, dice, fits) else { return false };
    for row in story.history.runs.iter_mut().filter(|row| row.id == run.id) {
        row.outcome = Some(to.to_owned());
        row.attempts.iter_mut().for_each(|attempt| attempt.outcome = to.to_owned());
    }
    true
}

pub(crate) fn start_after_end(story: &mut Story, dice: &mut Dice) -> bool {
    let clock = story.facts.clock.clone();
    let is_clear = |run: &Run| run.finished.is_some_and(|finished| clock.instants(finished).len() == 1);
    let Some(run) = some_run(story, dice, |run, line, _| line.end.is_some() && succeeded(run) && is_clear(run)) else {
        return false;
    };
    let finished = run.finished.unwrap_or(run.slot);
    shift(story, &run, finished + MILLISECOND - run.slot);
    true
}

pub(crate) fn unrecorded(story: &mut Story, dice: &mut Dice) -> bool {
    let Some(run) = some_run(story, dice, |_, _, _| true) else { return false };
    story.history.runs.retain(|other| other.id != run.id);
    true
}

/// A manual run that has ended well away from everything.
fn some_manual(story: &Story, dice: &mut Dice) -> Option<Run> {
    let is_alone =
        |at: Micros| story.facts.requests.iter().filter(|request| (request.at - at).abs() < 5 * SECOND).count() == 1;
    let manual = story.history.runs.iter().filter(|run| run.cause == Cause::Manual && is_alone(run.slot));
    let all: Vec<_> = manual.filter(|run| is_solid(story, &run.job, run.slot)).cloned().collect();
    dice.pick(&all).cloned()
}

pub(crate) fn nobody_asked(story: &mut Story, dice: &mut Dice) -> bool {
    let Some(run) = some_manual(story, dice) else { return false };
    story.facts.requests.retain(|request| request.job != run.job || SECOND < (request.at - run.slot).abs());
    true
}

pub(crate) fn lost_request(story: &mut Story, dice: &mut Dice) -> bool {
    some_manual(story, dice).map(|run| remove(story, &run)).is_some()
}

pub(crate) fn attempt_order(story: &mut Story, dice: &mut Dice) -> bool {
    let second = story.witness.iter().filter(|line| line.attempt == 2);
    let first = |line: &Witness| story.witness.iter().position(|other| other.run == line.run && other.attempt == 1);
    let pairs: Vec<_> = second.filter_map(|line| Some((first(line)?, line.start))).collect();
    let Some((place, start)) = dice.pick(&pairs).copied() else { return false };
    let line = &mut story.witness[place];
    line.end = line.end.map(|_| start + MILLISECOND);
    line.end.is_some()
}

pub(crate) fn too_many_attempts(story: &mut Story, _: &mut Dice) -> bool {
    let count = |run: &Run| {
        run.attempts.iter().filter(|attempt| !matches!(attempt.outcome.as_str(), "interrupted" | "lost")).count()
    };
    let Some(run) = story.history.runs.iter().find(|run| 1 < count(run)).cloned() else { return false };
    story.revisions.iter_mut().filter(|r| r.job == run.job).for_each(|revision| revision.attempts_max = 1);
    true
}

pub(crate) fn stays_open(story: &mut Story, dice: &mut Dice) -> bool {
    let until = story.facts.until;
    let Some(run) = some_run(story, dice, |run, line, _| succeeded(run) && line.start < until - 20 * SECOND) else {
        return false;
    };
    for row in story.history.runs.iter_mut().filter(|row| row.id == run.id) {
        row.outcome = None;
        row.finished = None;
        row.n_attempts = 0;
        row.attempts.clear();
    }
    true
}

pub(crate) fn break_chain(story: &mut Story, dice: &mut Dice) -> bool {
    let followers = story.history.runs.iter().filter(|run| matches!(run.cause, Cause::Upstream(_)));
    let all: Vec<_> = followers.filter(|run| is_solid(story, &run.job, run.slot)).cloned().collect();
    dice.pick(&all).cloned().map(|run| remove(story, &run)).is_some()
}

pub(crate) fn host_down(story: &mut Story, dice: &mut Dice) -> bool {
    let Some(up) = story.facts.up.windows(2).find(|up| up[0].span.until + SECOND < up[1].span.from) else {
        return false;
    };
    let start = up[0].span.until + SECOND / 2;
    let Some(run) = some_run(story, dice, |_, _, _| true) else { return false };
    shift(story, &run, start - run.slot);
    true
}

pub(crate) fn next_back(story: &mut Story, dice: &mut Dice) -> bool {
    let mut steady = story.revisions.clone();
    steady.retain(|revision| {
        let is_whole = story.revisions.iter().filter(|other| other.job == revision.job).count() == 1;
        is_whole && story.facts.pauses.iter().all(|pause| pause.job != revision.job)
    });
    let Some(job) = dice.pick(&steady).map(|revision| revision.job.clone()) else { return false };
    let mut nexts: Vec<_> =
        story.history.nexts.iter_mut().filter(|seen| seen.job == job && seen.next.is_some()).collect();
    let [.., before, last] = nexts.as_mut_slice() else { return false };
    std::mem::swap(&mut before.next, &mut last.next);
    story.facts.clock.steps.is_empty()
}
