//! Step 7: no more runs of a job, and no more attempts in a pool, go on side by side than allowed.

use std::collections::HashMap;

use crate::{
    facts::Pool,
    history::{Cause, Run},
    job::JobView,
    revision::Overlap,
    time::{Load, Span, show},
    violation::{Class, Violation},
    world::World,
};

/// At each start at most `max_instances` attempts of the job go on, this one included.
pub(crate) fn of_one_job(world: &World<'_>, job: &JobView<'_>, out: &mut Vec<Violation>) {
    // What makes up for the past counts for nothing here.
    let counted = job.runs.iter().filter(|view| view.run.cause != Cause::Backfill);
    let lines: Vec<_> = counted.flat_map(|view| view.lines.iter().map(|line| (view.run, *line))).collect();
    let load = Load::of(lines.iter().filter_map(|(run, line)| surely(world, world.attempt_span(run, line))));
    let begun: HashMap<_, _> =
        job.runs.iter().filter_map(|view| Some((&view.run.id, view.first_start(world)?))).collect();
    for (run, line) in lines {
        // A run that began under an earlier definition keeps its place.
        let first = begun.get(&run.id).copied().unwrap_or(line.start);
        let known = job.revisions_at(line.start).chain(job.revisions_at(first));
        let mut revisions: Vec<_> = known.map(|(_, revision)| revision).collect();
        if revisions.is_empty() {
            revisions.clone_from(&job.revisions);
        }
        // What has begun under another definition goes on.
        let n_max = revisions.iter().map(|revision| revision.max_instances).max();
        let is_unbounded = revisions.iter().any(|revision| revision.overlap == Overlap::Allow);
        let n_running = load.at(line.start);
        if let Some(n_max) = n_max.filter(|n_max| !is_unbounded && *n_max < n_running) {
            let evidence = format!("{n_running} go on when run {} begins at {}; {n_max} may", run.id, show(line.start));
            out.push(Violation::new(Class::TooManyInstances, job.name, Some(run.slot), evidence));
        }
    }
}

/// The same for the places of each pool.
pub(crate) fn in_each_pool(world: &World<'_>, out: &mut Vec<Violation>) {
    for pool in &world.facts.pools {
        let attempts: Vec<_> = world.jobs.values().flat_map(|job| job.attempts_in_pool(world, &pool.name)).collect();
        let load = Load::of(attempts.iter().filter_map(|(_, span)| surely(world, *span)));
        for (run, span) in &attempts {
            let n_running = load.at(span.from);
            if pool.size < n_running {
                let (size, at) = (pool.size, show(span.from));
                let evidence = format!("{n_running} go on in pool {} at {at}; it has {size} places", pool.name);
                out.push(Violation::new(Class::TooManyInstances, &run.job, None, evidence));
            }
        }
        let backfills = attempts.iter().filter(|(run, _)| run.cause == Cause::Backfill);
        out.extend(backfills.filter_map(|(run, span)| takes_the_last_place(world, pool, &attempts, run, *span)));
    }
}

/// What makes up for the past leaves the last place of a pool to what is due, where there is more than one. What begins at
/// the same instant may have been decided after it.
fn takes_the_last_place(
    world: &World<'_>,
    pool: &Pool,
    attempts: &[(&Run, Span)],
    run: &Run,
    span: Span,
) -> Option<Violation> {
    let begun = span.from.saturating_sub(world.tolerance.edge());
    let goes_on = |other: &Span| other.from < begun && surely(world, *other).is_some_and(|it| span.from < it.until);
    let n_others = attempts.iter().filter(|(_, other)| goes_on(other)).count();
    let is_right = n_others < pool.size.saturating_sub(1).max(1);
    let evidence = || {
        let (size, at) = (pool.size, show(span.from));
        format!("run {} of the past begins at {at} beside {n_others} others; pool {} has {size}", run.id, pool.name)
    };
    (!is_right).then(|| Violation::new(Class::TooManyInstances, &run.job, Some(run.slot), evidence()))
}

/// The part of an attempt in which it went on whatever the clocks say.
fn surely(world: &World<'_>, span: Span) -> Option<Span> {
    let span = Span::new(span.from, span.until.saturating_sub(world.tolerance.clock));
    (span.from < span.until).then_some(span)
}
