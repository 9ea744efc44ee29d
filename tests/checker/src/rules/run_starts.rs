//! Step 4, runs: each began in the window of its slot, while its job was there and not paused.

use crate::{
    facts::Resume,
    history::Cause,
    job::{JobView, Slot},
    time::{Micros, show},
    violation::{Class, Violation},
    world::{RunView, World},
};

/// Each run of a slot began not before it, not past its grace, and not later than needed.
pub(crate) fn each_is_in_its_window(world: &World<'_>, job: &JobView<'_>, out: &mut Vec<Violation>) {
    for view in &job.runs {
        let slot = job.slot_at(view.run.slot).filter(|_| view.run.cause.is_slot()).map(|place| &job.slots[place]);
        for line in &view.lines {
            out.extend(up_then(world, job, view, line.host, line.start));
        }
        let Some(start) = view.first_start(world) else {
            out.extend(slot.and_then(|slot| not_begun(world, job, view, slot)));
            continue;
        };
        if view.run.cause == Cause::Backfill && is_paused(world, job, start) {
            let evidence = format!("run {} of the past began at {}: the job was paused", view.run.id, show(start));
            out.push(Violation::new(Class::RanWhilePaused, job.name, Some(view.run.slot), evidence));
        }
        let Some(slot) = slot else { continue };
        let wrong = early(world, slot, start)
            .or_else(|| past_grace(world, job, view, slot, start))
            .or_else(|| while_removed(job, start))
            .or_else(|| while_paused(world, job, slot, start))
            .or_else(|| late(world, job, slot, start));
        out.extend(wrong.map(|(class, evidence)| {
            let evidence = format!("run {} began at {}: {evidence}", view.run.id, show(start));
            Violation::new(class, job.name, Some(slot.at), evidence)
        }));
    }
}

type Wrong = Option<(Class, String)>;

/// A slot that has come due may begin, also where the clock was set back while it waited.
fn early(world: &World<'_>, slot: &Slot, start: Micros) -> Wrong {
    let before = slot.due.saturating_sub(world.tolerance.clock).saturating_sub(start);
    (0 < before).then(|| (Class::EarlyStart, format!("{before} us before its slot")))
}

fn past_grace(world: &World<'_>, job: &JobView<'_>, view: &RunView<'_>, slot: &Slot, start: Micros) -> Wrong {
    let tolerance = world.tolerance;
    let revisions = [slot.revision].into_iter().chain(job.revisions_at(start).map(|(index, _)| index));
    let graces = revisions.map(|index| (job.revisions[index].misfire_grace, job.revisions[index].jitter_max));
    let longest =
        graces.map(|(grace, jitter)| grace.map(|grace| grace.saturating_add(jitter))).reduce(|a, b| Some(a?.max(b?)));
    let grace = longest??;
    if world.strained.contains(start) {
        return None;
    }
    let slack =
        if world.settled.contains(start) { tolerance.latency } else { tolerance.recovery.max(tolerance.latency) };
    let (shown, _) = world.facts.clock.range(start.saturating_sub(slack), start.saturating_add(tolerance.clock));
    let past = shown.saturating_sub(view.run.slot).saturating_sub(grace).saturating_sub(tolerance.clock);
    (0 < past).then(|| (Class::PastGrace, format!("{past} us after its grace, all allowances made")))
}

fn while_removed(job: &JobView<'_>, start: Micros) -> Wrong {
    let there = job.revisions_at(start).next().is_some();
    (!there).then(|| (Class::Resurrected, "the job was not there".to_owned()))
}

/// Whether the job was paused at an instant without doubt.
fn is_paused(world: &World<'_>, job: &JobView<'_>, at: Micros) -> bool {
    let edge = world.tolerance.edge();
    [at.saturating_sub(edge), at, at.saturating_add(edge)].into_iter().all(|at| job.paused.contains(at))
}

fn while_paused(world: &World<'_>, job: &JobView<'_>, slot: &Slot, start: Micros) -> Wrong {
    let edge = world.tolerance.edge();
    if is_paused(world, job, start) {
        return Some((Class::RanWhilePaused, "the job was paused".to_owned()));
    }
    let clock = &world.facts.clock;
    let passed =
        world.facts.pauses.iter().filter(|pause| pause.job == job.name && pause.resume == Resume::Now).any(|pause| {
            // Where the clock was set back in the pause, the slot may lie ahead once more.
            pause.span.wider(-edge).contains(slot.due)
                && slot.at <= clock.range(pause.span.until - edge, pause.span.until).0
        });
    let began_at_its_edge = start <= slot.due.saturating_add(edge);
    (passed && !began_at_its_edge).then(|| (Class::RanWhilePaused, "its slot belongs to a pause".to_owned()))
}

fn late(world: &World<'_>, job: &JobView<'_>, slot: &Slot, start: Micros) -> Wrong {
    let jitter = job.revisions[slot.revision].jitter_max;
    let chance = world.chance(&job.free, slot.at.saturating_add(jitter), slot.due, start)?;
    Some((Class::LateStart, format!("nothing kept it from beginning at {}", show(chance.from))))
}

/// A planned run whose slot is due begins once it can.
fn not_begun(world: &World<'_>, job: &JobView<'_>, view: &RunView<'_>, slot: &Slot) -> Option<Violation> {
    if view.run.outcome.is_some() {
        return None;
    }
    let revision = job.revisions[slot.revision];
    let wall = slot.at.saturating_add(revision.jitter_max);
    let chance = world.chance(&job.free, wall, slot.due, world.facts.until)?;
    let evidence =
        format!("run {} has not begun; nothing kept it from beginning at {}", view.run.id, show(chance.from));
    Some(Violation::new(Class::Stuck, job.name, Some(slot.at), evidence))
}

fn up_then(world: &World<'_>, job: &JobView<'_>, view: &RunView<'_>, host: usize, start: Micros) -> Option<Violation> {
    let up = world.facts.up.get(host);
    if up.is_some_and(|up| up.span.wider(world.tolerance.clock.saturating_add(1)).contains(start)) {
        return None;
    }
    let evidence = format!("run {}: its guest began at {} in life {host} of the host", view.run.id, show(start));
    Some(Violation::new(Class::HostDown, job.name, Some(view.run.slot), evidence))
}
