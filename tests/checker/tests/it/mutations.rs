//! The kinds of mutants: each makes one thing wrong, far from every edge at which it might be right.

use clockjack_checker::{
    Attempt, Cause, Class, Coalesce, Micros, Overlap, Pool, Resume, Revision, Run, SECOND, Said, Skip, Witness,
};

use crate::{
    mutants::Mutate,
    mutation_ends::{
        attempt_gap, attempt_order, break_chain, double_start, host_down, lost_request, next_back, nobody_asked,
        other_end, start_after_end, stays_open, too_many_attempts, unrecorded,
    },
    scene::{Dice, Story, TOLERANCE},
};

const MILLISECOND: Micros = 1_000;

/// Every kind with the classes of which one must be found.
pub(crate) const ALL: [(&str, &[Class], Mutate); 42] = [
    ("drop a run", &[Class::NoDisposition, Class::Stuck], drop_run),
    ("duplicate a run", &[Class::TwoDispositions], duplicate_run),
    ("duplicate a witness line", &[Class::DoubleStart], duplicate_line),
    ("start early by 1 ms", &[Class::EarlyStart], start_early),
    ("start past the grace", &[Class::PastGrace], start_past_grace),
    ("start late without grace", &[Class::LateStart], start_late),
    ("wrong coalesce target", &[Class::WrongCoalesce], wrong_target),
    ("coalesced without need", &[Class::WrongCoalesce], |s, d| skip_instead(s, d, "coalesced", 0)),
    ("overlap beyond max_instances", &[Class::TooManyInstances], overlap),
    ("too many in a pool", &[Class::TooManyInstances], small_pool),
    ("ghost success", &[Class::Ghost], ghost),
    ("swapped slots in the witness", &[Class::Identity], |s, d| swap(s, d, false)),
    ("swapped slots everywhere", &[Class::EarlyStart], |s, d| swap(s, d, true)),
    ("unjustified miss", &[Class::UnjustifiedMiss], unjustified_miss),
    ("misfired within the grace", &[Class::UnjustifiedMiss], |s, d| skip_instead(s, d, "misfired", 0)),
    ("stuck schedule", &[Class::Stuck], stuck),
    ("resurrected job", &[Class::Resurrected], resurrect),
    ("attempt gap", &[Class::AttemptGap], attempt_gap),
    ("double start under at_most_once", &[Class::DoubleStart], double_start),
    ("gap with one too many", &[Class::GapCount], |s, d| gap_count(s, d, 1)),
    ("gap with one too few", &[Class::GapCount], |s, d| gap_count(s, d, -1)),
    ("skip and run", &[Class::TwoDispositions], skip_and_run),
    ("success of a failed guest", &[Class::OutcomeDisagrees], |s, d| other_end(s, d, "failed", "succeeded")),
    ("failure of a guest that succeeded", &[Class::OutcomeDisagrees], |s, d| other_end(s, d, "succeeded", "failed")),
    ("lost without a crash", &[Class::UnjustifiedEnd], |s, d| other_end(s, d, "succeeded", "lost")),
    ("interrupted without a stop", &[Class::UnjustifiedEnd], |s, d| other_end(s, d, "succeeded", "interrupted")),
    ("unknown outcome", &[Class::UnknownWord], |s, d| other_end(s, d, "succeeded", "abandoned")),
    ("unrecorded run", &[Class::Unrecorded], unrecorded),
    ("run of no slot", &[Class::Extra], no_slot),
    ("run that nobody asked for", &[Class::Extra], nobody_asked),
    ("request without a run", &[Class::Request], lost_request),
    ("overlapping with nobody", &[Class::UnjustifiedOverlap], overlapping_nobody),
    ("paused without a pause", &[Class::UnjustifiedSkip], |s, d| skip_instead(s, d, "paused", 0)),
    ("overloaded without load", &[Class::UnjustifiedSkip], |s, d| skip_instead(s, d, "overloaded", 0)),
    ("ran while paused", &[Class::RanWhilePaused], run_in_pause),
    ("start after its end", &[Class::OutcomeDisagrees], start_after_end),
    ("guest while the host is down", &[Class::HostDown], host_down),
    ("next slot that goes back", &[Class::NextWrong], next_back),
    ("attempts that overlap", &[Class::AttemptOrder], attempt_order),
    ("too many attempts", &[Class::TooManyAttempts], too_many_attempts),
    ("run that stays open", &[Class::Stuck], stays_open),
    ("chain that breaks", &[Class::Chain], break_chain),
];

/// Whether nothing that could excuse anything is near.
pub(crate) fn is_solid(story: &Story, job: &str, at: Micros) -> bool {
    let facts = &story.facts;
    let lives = facts.up.iter().flat_map(|up| [up.span.from, up.span.until]);
    let pauses = facts.pauses.iter().filter(|pause| pause.job == job).map(|pause| pause.span);
    let forces = story.revisions.iter().filter(|revision| revision.job == job).map(|revision| revision.in_force);
    let edges = lives.chain(forces.flat_map(|span| [span.from, span.until]));
    let edges = edges.chain(facts.clock.steps.iter().map(|step| step.at));
    let mut faults = facts.unreachable.iter().chain(&facts.saturated).copied().chain(pauses);
    let is_up = facts.up.iter().any(|up| up.span.contains(at));
    let gaps = story.history.skips.iter().filter(|skip| skip.job == job && skip.count != 1);
    let is_in_gap = gaps.into_iter().any(|gap| gap.first <= at && at <= gap.last);
    is_up
        && !is_in_gap
        && !edges.into_iter().any(|edge| (edge - at).abs() < 3 * SECOND)
        && !faults.any(|fault| fault.wider(3 * SECOND).contains(at))
        && facts.clock.wall(at) == at
}

pub(crate) fn revision<'s>(story: &'s Story, job: &str, at: Micros) -> Option<&'s Revision> {
    story.revisions.iter().find(|revision| revision.job == job && revision.in_force.contains(at))
}

pub(crate) fn line(story: &Story, run: &Run) -> Option<Witness> {
    story.witness.iter().find(|line| line.run == run.id).cloned()
}

/// A run that began and succeeded at its slot in its first attempt, far from everything, and that fits.
pub(crate) fn some_run(
    story: &Story,
    dice: &mut Dice,
    fits: impl Fn(&Run, &Witness, &Revision) -> bool,
) -> Option<Run> {
    let is_good = |run: &&Run| {
        let Some(line) = line(story, run) else { return false };
        let is_whole = run.cause == Cause::Schedule && run.n_attempts == 1 && line.start == run.slot;
        let end = line.end.unwrap_or(line.start);
        is_whole
            && is_solid(story, &run.job, run.slot)
            && is_solid(story, &run.job, end)
            && revision(story, &run.job, run.slot).is_some_and(|revision| fits(run, &line, revision))
    };
    let all: Vec<_> = story.history.runs.iter().filter(is_good).cloned().collect();
    dice.pick(&all).cloned()
}

pub(crate) fn succeeded(run: &Run) -> bool {
    run.outcome.as_deref() == Some("succeeded")
}

pub(crate) fn remove(story: &mut Story, run: &Run) {
    story.history.runs.retain(|other| other.id != run.id);
    story.witness.retain(|line| line.run != run.id);
}

fn drop_run(story: &mut Story, dice: &mut Dice) -> bool {
    some_run(story, dice, |_, _, _| true).map(|run| remove(story, &run)).is_some()
}

/// Adds a run with one attempt that began then and succeeded.
fn add_run(story: &mut Story, like: &Run, slot: Micros, start: Micros) {
    let host = story.facts.up.iter().position(|up| up.span.contains(start)).unwrap_or(0);
    let (id, end) = (format!("{}-more", like.id), start + 5 * MILLISECOND);
    let attempt = Attempt { number: 1, outcome: "succeeded".to_owned(), started: Some(start), finished: end };
    story.history.runs.push(Run {
        id: id.clone(),
        slot,
        cause: Cause::Schedule,
        outcome: Some("succeeded".to_owned()),
        n_attempts: 1,
        started: Some(start),
        finished: Some(end),
        attempts: vec![attempt],
        ..like.clone()
    });
    let (job, cause) = (like.job.clone(), Some("schedule".to_owned()));
    let said = Said::Succeeded;
    story.witness.push(Witness { run: id, job, slot, attempt: 1, host, start, end: Some(end), said, cause });
}

fn duplicate_run(story: &mut Story, dice: &mut Dice) -> bool {
    let run = some_run(story, dice, |_, _, _| true);
    run.map(|run| add_run(story, &run, run.slot, run.slot + MILLISECOND)).is_some()
}

fn duplicate_line(story: &mut Story, dice: &mut Dice) -> bool {
    let Some(run) = some_run(story, dice, |_, _, _| true) else { return false };
    let again = line(story, &run).map(|line| Witness { start: line.start + 7 * MILLISECOND, ..line });
    story.witness.extend(again);
    true
}

/// Moves the first attempt of a run by so much, and its end where it must.
pub(crate) fn shift(story: &mut Story, run: &Run, by: Micros) {
    for line in story.witness.iter_mut().filter(|line| line.run == run.id) {
        line.start += by;
        line.end = line.end.map(|end| end.max(line.start));
    }
}

fn start_early(story: &mut Story, dice: &mut Dice) -> bool {
    some_run(story, dice, |_, _, _| true).map(|run| shift(story, &run, -MILLISECOND)).is_some()
}

fn start_past_grace(story: &mut Story, dice: &mut Dice) -> bool {
    let copy = story.clone();
    let is_far = |run: &Run, grace| is_solid(&copy, &run.job, run.slot + grace + TOLERANCE.latency);
    let fits = |run: &Run, _: &Witness, r: &Revision| r.misfire_grace.is_some_and(|grace| is_far(run, grace));
    let Some(run) = some_run(story, dice, fits) else { return false };
    let grace = revision(story, &run.job, run.slot).and_then(|revision| revision.misfire_grace).unwrap_or(0);
    shift(story, &run, grace + TOLERANCE.latency + MILLISECOND);
    true
}

/// Whether runs of the job ever wait for room.
fn may_wait(story: &Story, run: &Run) -> bool {
    let mut overlaps = story.revisions.iter().filter(|r| r.job == run.job).map(|r| r.overlap);
    overlaps.any(|overlap| matches!(overlap, Overlap::Queue | Overlap::Replace))
}

fn start_late(story: &mut Story, dice: &mut Dice) -> bool {
    let copy = story.clone();
    let run = some_run(story, dice, |run, _, _| !may_wait(&copy, run));
    run.map(|run| shift(story, &run, TOLERANCE.latency + MILLISECOND)).is_some()
}

/// Another one of the group ran: the oldest under `latest`, the newest under `earliest`.
fn wrong_target(story: &mut Story, dice: &mut Dice) -> bool {
    let rows = story.history.skips.iter().enumerate().filter(|(_, skip)| skip.reason == "coalesced");
    let rows: Vec<_> = rows.filter(|(_, skip)| skip.by.is_some()).map(|(place, skip)| (place, skip.clone())).collect();
    let Some((place, skip)) = dice.pick(&rows).cloned() else { return false };
    let Some(by) = skip.by else { return false };
    let Some(run) = story.history.runs.iter().position(|run| run.id == by) else { return false };
    let slot = story.history.runs[run].slot;
    let revisions = story.revisions.iter().filter(|revision| revision.job == skip.job);
    let within = |at: &Micros| (skip.first.min(slot)..=skip.last.max(slot)).contains(at);
    let mut group: Vec<_> = revisions.flat_map(|revision| revision.slots.iter().copied()).filter(within).collect();
    group.sort_unstable();
    group.dedup();
    if u64::try_from(group.len()) != Ok(skip.count + 1) {
        return false;
    }
    let chosen = if skip.last < slot { group.remove(0) } else { group.remove(group.len() - 1) };
    story.history.runs[run].slot = chosen;
    story.witness.iter_mut().filter(|line| line.run == by).for_each(|line| line.slot = chosen);
    let row = &mut story.history.skips[place];
    (row.first, row.last) = (group[0], group[group.len() - 1]);
    true
}

/// A skip stands where a run was.
fn skip_instead(story: &mut Story, dice: &mut Dice, reason: &str, after: Micros) -> bool {
    let copy = story.clone();
    let is_new = |run: &Run, _: &Witness, r: &Revision| match reason {
        "coalesced" => r.coalesce != Coalesce::All && run.slot + 9 * SECOND < story.facts.until,
        _ => after == 0 || r.misfire_grace == Some(after - MILLISECOND) && !may_wait(&copy, run),
    };
    let Some(run) = some_run(story, dice, is_new) else { return false };
    remove(story, &run);
    let (first, at, reason) = (run.slot, run.slot + after, reason.to_owned());
    story.history.skips.push(Skip { job: run.job, run: None, first, last: first, count: 1, reason, at, by: None });
    true
}

fn unjustified_miss(story: &mut Story, dice: &mut Dice) -> bool {
    let grace = if dice.one_in(2) { 2 * SECOND } else { 7 * SECOND };
    skip_instead(story, dice, "misfired", grace + MILLISECOND)
}

fn overlap(story: &mut Story, dice: &mut Dice) -> bool {
    let single = |_: &Run, line: &Witness, r: &Revision| {
        r.max_instances == 1 && r.overlap != Overlap::Allow && line.end.is_some()
    };
    let Some(run) = some_run(story, dice, single) else { return false };
    let is_next = |line: &&Witness| line.job == run.job && run.slot < line.start && line.run != run.id;
    let Some(next) = story.witness.iter().filter(is_next).map(|line| line.start).min() else { return false };
    if !is_solid(story, &run.job, next) {
        return false;
    }
    let lines = story.witness.iter_mut().filter(|line| line.run == run.id);
    lines.for_each(|line| line.end = Some(next + MILLISECOND));
    true
}

fn small_pool(story: &mut Story, _: &mut Dice) -> bool {
    story.facts.pools.push(Pool { name: "small".to_owned(), size: 1 });
    story.revisions.iter_mut().for_each(|revision| revision.pool = Some("small".to_owned()));
    let lines: Vec<_> = story.witness.iter().filter_map(|line| Some((line.start, line.end?))).collect();
    lines.iter().enumerate().any(|(place, (from, until))| {
        lines[..place].iter().any(|(other, end)| other.max(from) + MILLISECOND < *end.min(until))
    })
}

fn ghost(story: &mut Story, dice: &mut Dice) -> bool {
    let Some(run) = some_run(story, dice, |run, _, _| succeeded(run)) else { return false };
    story.witness.retain(|line| line.run != run.id);
    true
}

fn swap(story: &mut Story, dice: &mut Dice, everywhere: bool) -> bool {
    let Some(run) = some_run(story, dice, |_, _, _| true) else { return false };
    let Some(other) = some_run(story, dice, |other, _, _| other.job == run.job && other.id != run.id) else {
        return false;
    };
    let slot_of = |id: &str| if id == run.id { Some(other.slot) } else { (id == other.id).then_some(run.slot) };
    for line in &mut story.witness {
        line.slot = slot_of(&line.run).unwrap_or(line.slot);
    }
    for row in story.history.runs.iter_mut().filter(|_| everywhere) {
        row.slot = slot_of(&row.id).unwrap_or(row.slot);
    }
    true
}

fn stuck(story: &mut Story, dice: &mut Dice) -> bool {
    let until = story.facts.until;
    let fits = |run: &Run, _: &Witness, _: &Revision| run.slot < until - 20 * SECOND;
    let Some(run) = some_run(story, dice, fits) else { return false };
    story.history.runs.retain(|row| row.job != run.job || row.slot < run.slot);
    story.history.skips.retain(|row| row.job != run.job || row.last < run.slot);
    story.witness.retain(|line| line.job != run.job || line.slot < run.slot);
    true
}

fn resurrect(story: &mut Story, dice: &mut Dice) -> bool {
    if !story.facts.clock.steps.is_empty() {
        return false;
    }
    let ends = |job: &str| story.revisions.iter().filter(|r| r.job == job).map(|r| r.in_force.until).max();
    let runs = story.history.runs.iter().filter(|run| run.cause == Cause::Schedule);
    let gone: Vec<_> =
        runs.filter(|run| ends(&run.job).is_some_and(|end| end < story.facts.until - 10 * SECOND)).cloned().collect();
    let Some(run) = dice.pick(&gone).cloned() else { return false };
    let after = ends(&run.job).unwrap_or(0) + 5 * SECOND;
    let mut slots = story.revisions.iter().filter(|r| r.job == run.job).flat_map(|r| r.slots.clone());
    let Some(slot) = slots.find(|slot| after < *slot) else { return false };
    add_run(story, &run, slot, slot);
    true
}

fn gap_count(story: &mut Story, dice: &mut Dice, by: i64) -> bool {
    let is_solid = |skip: &&mut Skip| {
        let forces = story.revisions.iter().filter(|r| r.job == skip.job).map(|r| r.in_force);
        let mut edges = forces.flat_map(|span| [span.from, span.until]);
        let spread = skip.first - 15 * SECOND..=skip.last + 15 * SECOND;
        1 < skip.count
            && !edges.any(|edge| spread.contains(&edge))
            && story.facts.clock.steps.is_empty()
            && skip.last < story.facts.until - 3 * SECOND
    };
    let mut gaps: Vec<_> = story.history.skips.iter_mut().filter(is_solid).collect();
    let place = usize::try_from(dice.below(i64::try_from(gaps.len()).unwrap_or(0))).unwrap_or(0);
    let Some(gap) = gaps.get_mut(place) else { return false };
    gap.count = gap.count.saturating_add_signed(by);
    true
}

fn skip_and_run(story: &mut Story, dice: &mut Dice) -> bool {
    let Some(run) = some_run(story, dice, |_, _, _| true) else { return false };
    let (first, reason) = (run.slot, "overlapping".to_owned());
    story.history.skips.push(Skip {
        job: run.job,
        run: None,
        first,
        last: first,
        count: 1,
        reason,
        at: first,
        by: None,
    });
    true
}

fn no_slot(story: &mut Story, dice: &mut Dice) -> bool {
    let Some(run) = some_run(story, dice, |_, _, _| true) else { return false };
    add_run(story, &run, run.slot + 77, run.slot + 77);
    true
}

fn overlapping_nobody(story: &mut Story, dice: &mut Dice) -> bool {
    let near = |run: &Run| {
        let others = story.history.runs.iter().filter(|other| other.job == run.job && other.id != run.id);
        others
            .filter(|other| other.started.is_some_and(|start| start <= run.slot + SECOND))
            .any(|other| other.finished.is_none_or(|end| run.slot - SECOND <= end))
    };
    let Some(run) = some_run(story, dice, |run, _, _| !near(run)) else { return false };
    remove(story, &run);
    let (first, reason) = (run.slot, "overlapping".to_owned());
    story.history.skips.push(Skip {
        job: run.job,
        run: None,
        first,
        last: first,
        count: 1,
        reason,
        at: first,
        by: None,
    });
    true
}

fn run_in_pause(story: &mut Story, dice: &mut Dice) -> bool {
    let facts = &story.facts;
    let pauses = facts.pauses.iter().filter(|pause| pause.resume == Resume::Now).cloned().collect::<Vec<_>>();
    let Some(pause) = dice.pick(&pauses).cloned() else { return false };
    let of_job = story.revisions.iter().filter(|revision| revision.job == pause.job);
    let is_up = |at: Micros| facts.up.iter().any(|up| up.span.contains(at)) && facts.clock.wall(at) == at;
    let inside = |slot: &Micros| pause.span.wider(-SECOND).contains(*slot) && is_up(*slot);
    let slot = of_job.flat_map(|r| r.slots.iter().copied().filter(|slot| r.in_force.contains(*slot))).find(inside);
    let like = story.history.runs.iter().find(|run| run.job == pause.job).cloned();
    let (Some(slot), Some(like)) = (slot, like) else { return false };
    add_run(story, &like, slot, slot);
    true
}
