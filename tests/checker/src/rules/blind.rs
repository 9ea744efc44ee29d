//! Step 5: forget the ids, and match starts to windows by time alone.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{
    job::JobView,
    time::{Micros, show},
    violation::{Class, Violation},
    world::World,
};

/// Every start that claims a slot finds a window of its own. Windows are intervals, so taking for each start the
/// window that closes first is a largest matching.
pub(crate) fn starts_fit_the_slots(world: &World<'_>, job: &JobView<'_>, out: &mut Vec<Violation>) {
    let tolerance = world.tolerance;
    let slack = tolerance.recovery.max(tolerance.latency).saturating_add(tolerance.clock);
    let mut windows: Vec<(Micros, Micros)> = Vec::with_capacity(job.slots.len());
    for slot in &job.slots {
        let graces = job.revisions.iter().map(|revision| {
            revision.misfire_grace.map(|grace| grace.saturating_add(revision.jitter_max).saturating_add(slack))
        });
        let grace = graces.reduce(|a, b| Some(a?.max(b?))).flatten();
        let close = grace.map_or(Micros::MAX, |grace| slot.at.saturating_add(grace));
        windows.push((slot.at.saturating_sub(tolerance.clock), close));
    }
    let clock = &world.facts.clock;
    let claimed = job.runs.iter().filter(|view| view.run.cause.is_slot());
    let starts = claimed.filter_map(|view| view.lines.iter().find(|line| line.attempt == 1));
    // What was decided just before the clock was set back is seen just after it.
    let shown = starts.map(|line| {
        (clock.range(line.start.saturating_sub(tolerance.latency), line.start.saturating_add(tolerance.clock)).1, line)
    });
    let mut starts: Vec<_> = shown.collect();
    starts.sort_by_key(|(shown, _)| *shown);
    let mut open = BinaryHeap::new();
    let mut next = windows.iter().peekable();
    for (shown, line) in starts {
        while let Some((_, close)) = next.next_if(|(begin, _)| *begin <= shown) {
            open.push(Reverse(*close));
        }
        while open.peek().is_some_and(|Reverse(close)| *close < shown && !world.strained.contains(line.start)) {
            open.pop();
        }
        if open.pop().is_none() {
            let evidence = format!("run {} began at {} and fits no slot that is left", line.run, show(line.start));
            out.push(Violation::new(Class::TimesDoNotMatch, job.name, Some(line.slot), evidence));
        }
    }
}
