//! Steps 9 and 10: the next slot that the host tells never goes back, and lies ahead.

use crate::{
    history::NextSeen,
    job::JobView,
    time::show,
    violation::{Class, Violation},
    world::World,
};

/// Between two answers the next slot goes back only with a reason, and it is never long past.
pub(crate) fn never_goes_back(world: &World<'_>, job: &JobView<'_>, out: &mut Vec<Violation>) {
    let mut before: Option<&NextSeen> = None;
    for seen in world.history.nexts.iter().filter(|seen| seen.job == job.name) {
        out.extend(past(world, job, seen));
        if let (Some(told), Some(next)) = (before.and_then(|before| before.next), seen.next)
            && next < told
            && !before.is_some_and(|before| may_go_back(world, job, before, seen))
        {
            let evidence =
                format!("asked at {}: the next slot is {}, before it was {}", show(seen.asked), show(next), show(told));
            out.push(Violation::new(Class::NextWrong, job.name, Some(next), evidence));
        }
        before = Some(seen);
    }
}

fn past(world: &World<'_>, job: &JobView<'_>, seen: &NextSeen) -> Option<Violation> {
    let edge = world.tolerance.edge();
    let next = seen.next.filter(|_| job.able.contains(seen.asked))?;
    let now = world.facts.clock.wall(seen.asked);
    // A run that waits for its jitter, or for room, is still the next one.
    let slack = job.revisions.iter().map(|revision| revision.jitter_max).max().unwrap_or(0).saturating_add(edge);
    let waits = job.waiting.max_in(seen.asked.saturating_sub(edge), seen.asked);
    let is_past = waits == 0 && next.saturating_add(slack) < now;
    let evidence = || format!("asked at {}: the next slot is {}, which has passed", show(seen.asked), show(next));
    is_past.then(|| Violation::new(Class::NextWrong, job.name, Some(next), evidence()))
}

/// The definition, the clock or a pause changed in between.
fn may_go_back(world: &World<'_>, job: &JobView<'_>, before: &NextSeen, seen: &NextSeen) -> bool {
    let edge = world.tolerance.edge().max(world.tolerance.recovery);
    let span = crate::time::Span::new(before.asked, seen.asked).wider(edge);
    let forces = job.revisions.iter().map(|revision| revision.in_force);
    let pauses = world.facts.pauses.iter().filter(|pause| pause.job == job.name).map(|pause| pause.span);
    let changes = forces.chain(pauses).flat_map(|span| [span.from, span.until]);
    changes.chain(world.facts.clock.steps.iter().map(|step| step.at)).any(|at| span.contains(at))
}
