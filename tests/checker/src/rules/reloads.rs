//! Step 9, other code: attempts that go on give way to it as their jobs say, and nothing else does.

use crate::{
    job::JobView,
    revision::OnReload,
    time::{Micros, show},
    violation::{Class, Violation},
    world::World,
};

/// Each attempt that ran other code ends by the time that its job gives it.
pub(crate) fn each_attempt_gives_way(world: &World<'_>, job: &JobView<'_>, out: &mut Vec<Violation>) {
    for view in &job.runs {
        for line in &view.lines {
            let Some(reload) = job.reload_after(line.start.saturating_add(world.tolerance.edge())) else { continue };
            let Some(time) = time_left(job, reload) else { continue };
            let due = world.takes_effect(reload).saturating_add(time);
            let until = world.attempt_span(view.run, line).until;
            if let Some(chance) = world.settled.stretch(due, until, world.tolerance.latency) {
                let (number, reload, chance) = (line.attempt, show(reload), show(chance.from));
                let evidence = format!(
                    "run {}: attempt {number} went on until {}, on code that was replaced at {reload}; the host could act from \
                     {chance}",
                    view.run.id,
                    show(until)
                );
                out.push(Violation::new(Class::OldCode, job.name, Some(view.run.slot), evidence));
            }
        }
    }
}

/// How long an attempt may go on, where all definitions that it may have known bound that.
fn time_left(job: &JobView<'_>, at: Micros) -> Option<Micros> {
    let times = job.revisions_at(at).map(|(_, revision)| match revision.on_reload {
        OnReload::Drain { deadline } => deadline,
        OnReload::Cancel | OnReload::Replace => Some(0),
    });
    times.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// Whether other code may have ended something that went on from one instant to another one, in one of these ways.
pub(crate) fn may_have_ended(
    world: &World<'_>,
    job: &JobView<'_>,
    [from, until]: [Micros; 2],
    is_way: impl Fn(OnReload) -> bool,
) -> bool {
    let edge = world.tolerance.edge();
    let reload = job.reload_after(from.saturating_sub(edge));
    let is_there = reload.is_some_and(|at| at <= until.saturating_add(edge));
    is_there && job.revisions.iter().any(|revision| is_way(revision.on_reload))
}

/// That an attempt is tried again on other code.
pub(crate) fn is_replaced(on_reload: OnReload) -> bool {
    on_reload == OnReload::Replace
}

/// That a run ends with the attempt that other code meets, at once or after a time.
pub(crate) fn is_cancelled(on_reload: OnReload) -> bool {
    matches!(on_reload, OnReload::Cancel | OnReload::Drain { deadline: Some(_) })
}
