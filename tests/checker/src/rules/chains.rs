//! Step 6, chains: each end of a run that another job waits for makes that job run once.

use std::collections::HashMap;

use super::dispositions::is_gap;
use crate::{
    history::Cause,
    job::JobView,
    revision::Revision,
    time::{Micros, show},
    violation::{Class, Violation},
    world::{RunView, World},
};

/// Each matching end has one follower, and each follower one end.
pub(crate) fn each_end_has_its_followers(world: &World<'_>, out: &mut Vec<Violation>) {
    for job in world.jobs.values() {
        let named = job.revisions.iter().flat_map(|revision| revision.after.iter().map(|after| after.job.as_str()));
        let told = job.runs.iter().filter_map(|view| match &view.run.cause {
            Cause::Upstream(upstream) => Some(upstream.as_str()),
            Cause::Schedule | Cause::CatchUp(_) | Cause::Manual | Cause::Start | Cause::Backfill => None,
        });
        let mut upstreams: Vec<_> = named.chain(told).collect();
        upstreams.sort_unstable();
        upstreams.dedup();
        upstreams.into_iter().for_each(|upstream| of_pair(world, job, upstream, out));
    }
}

fn of_pair(world: &World<'_>, job: &JobView<'_>, upstream: &str, out: &mut Vec<Violation>) {
    let is_follower = |cause: &Cause| matches!(cause, Cause::Upstream(name) if name == upstream);
    // A follower keeps the slot of the run that it follows.
    let mut followers: HashMap<Micros, Vec<Option<&RunView<'_>>>> = HashMap::new();
    for view in job.runs.iter().filter(|view| is_follower(&view.run.cause)) {
        followers.entry(view.run.slot).or_default().push(Some(view));
    }
    for skip in job.skips.iter().filter(|skip| !is_gap(skip)) {
        followers.entry(skip.first).or_default().push(None);
    }
    // One slot may have several ends, where somebody made up for it once more: the first end has the first follower.
    let begun =
        |view: &Option<&RunView<'_>>| view.and_then(|view| view.lines.first()).map_or(Micros::MAX, |it| it.start);
    followers.values_mut().for_each(|found| found.sort_by_key(|view| (view.is_none(), begun(view))));
    let ends = world.jobs.get(upstream).map(|job| job.runs.as_slice()).unwrap_or_default();
    let mut ends: Vec<_> = ends.iter().collect();
    ends.sort_by_key(|end| end.lines.last().and_then(|line| line.end).or(end.run.finished));
    for end in ends {
        let Some(is_due) = expects(world, job, upstream, end) else { continue };
        let found = followers.get_mut(&end.run.slot).and_then(|found| {
            // Runs first: a skip may stand for something else at the same instant.
            let place = found.iter().position(Option::is_some).or(found.len().checked_sub(1))?;
            Some(found.remove(place))
        });
        match found {
            Some(view) => out.extend(view.and_then(|view| too_early(world, job, end, view))),
            None if is_due => {
                let evidence = format!("run {} of {upstream} ended, and no run follows it", end.run.id);
                out.push(Violation::new(Class::Chain, job.name, Some(end.run.slot), evidence));
            }
            None => {}
        }
    }
    for view in followers.into_values().flatten().flatten() {
        let evidence = format!("run {} follows no end of {upstream}", view.run.id);
        out.push(Violation::new(Class::Extra, job.name, Some(view.run.slot), evidence));
    }
}

/// Whether an end of the other job makes this one run: surely, perhaps, or (none) not.
fn expects(world: &World<'_>, job: &JobView<'_>, upstream: &str, end: &RunView<'_>) -> Option<bool> {
    let (outcome, finished) = (end.run.outcome.as_deref()?, end.run.finished?);
    let wants =
        |revision: &Revision| revision.after.iter().any(|after| after.job == upstream && after.on.matches(outcome));
    let instants = world.facts.clock.instants(finished);
    let perhaps = instants.iter().any(|at| job.revisions_at(*at).any(|(_, revision)| wants(revision)));
    perhaps.then(|| instants.iter().all(|at| job.surely_at(*at).any(wants)))
}

fn too_early(world: &World<'_>, job: &JobView<'_>, end: &RunView<'_>, view: &RunView<'_>) -> Option<Violation> {
    let start = view.lines.first()?.start;
    let ended = end.lines.last()?.end?;
    let is_early = start.saturating_add(world.tolerance.clock) < ended;
    let evidence =
        || format!("run {} began at {}, before its upstream ended at {}", view.run.id, show(start), show(ended));
    is_early.then(|| Violation::new(Class::Chain, job.name, Some(view.run.slot), evidence()))
}
