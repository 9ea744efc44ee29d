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
        let ends = grace.map(|grace| world.facts.clock.instants(slot.at.saturating_add(grace)));
        let close = ends.map_or(Micros::MAX, |ends| ends.into_iter().max().unwrap_or(Micros::MAX));
        windows.push((slot.due.saturating_sub(tolerance.clock), close));
    }
    windows.sort_unstable();
    let claimed = job.runs.iter().filter(|view| view.run.cause.is_slot());
    let mut starts: Vec<_> = claimed.filter_map(|view| view.lines.iter().find(|line| line.attempt == 1)).collect();
    starts.sort_by_key(|line| line.start);
    let mut open = BinaryHeap::new();
    let mut next = windows.iter().peekable();
    for line in starts {
        let start = line.start;
        while let Some((_, close)) = next.next_if(|(begin, _)| *begin <= start) {
            open.push(Reverse(*close));
        }
        while open.peek().is_some_and(|Reverse(close)| *close < start && !world.strained.contains(start)) {
            open.pop();
        }
        if open.pop().is_none() {
            let evidence = format!("run {} began at {} and fits no slot that is left", line.run, show(start));
            out.push(Violation::new(Class::TimesDoNotMatch, job.name, Some(line.slot), evidence));
        }
    }
}
