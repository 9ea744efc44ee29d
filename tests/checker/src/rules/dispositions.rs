//! Steps 3 and 9: every expected slot became exactly one thing, and nothing stands for what was no slot.

use crate::{
    history::Skip,
    job::{JobView, Slot},
    time::show,
    violation::{Class, Violation},
    world::World,
};

/// What was found for each slot, by its place.
struct Found {
    own: Vec<Vec<String>>,
    gaps: Vec<Vec<String>>,
}

/// Every expected slot is one run, one skip, or lies in one gap.
pub(crate) fn each_slot_has_one(world: &World<'_>, job: &JobView<'_>, out: &mut Vec<Violation>) {
    let n_slots = job.slots.len();
    let mut found = Found { own: vec![Vec::new(); n_slots], gaps: vec![Vec::new(); n_slots] };
    for view in job.runs.iter().filter(|view| view.run.cause.is_slot()) {
        let text = format!("run {} ({})", view.run.id, view.run.outcome.as_deref().unwrap_or("open"));
        match job.slot_at(view.run.slot) {
            Some(place) => found.own[place].push(text),
            None if view.is_planned() && job.is_ahead(world, view.run.slot) => {}
            None => out.push(no_slot(job, view.run.slot, &text)),
        }
    }
    for skip in job.skips.iter().filter(|skip| !is_gap(skip)) {
        if let Some(place) = job.slot_at(skip.first) {
            found.own[place].push(told(skip));
        }
    }
    for skip in job.skips.iter().filter(|skip| is_gap(skip)) {
        fill_gap(job, skip, &mut found, out);
    }
    let last_decided = (0..n_slots).rev().find(|place| !found.own[*place].is_empty() || !found.gaps[*place].is_empty());
    for (place, slot) in job.slots.iter().enumerate() {
        let all: Vec<_> = found.own[place].iter().chain(&found.gaps[place]).cloned().collect();
        match all.len() {
            0 => out.extend(undecided(world, job, slot, last_decided.is_some_and(|last| place < last))),
            1 => {}
            _ => out.push(Violation {
                class: Class::TwoDispositions,
                job: job.name.to_owned(),
                slot: Some(slot.at),
                evidence: all,
            }),
        }
    }
}

pub(crate) fn is_gap(skip: &Skip) -> bool {
    skip.count != 1 || skip.first != skip.last
}

/// Gives the slots of a gap that have nothing of their own to it.
fn fill_gap(job: &JobView<'_>, skip: &Skip, found: &mut Found, out: &mut Vec<Violation>) {
    let within = job.slots_between(skip.first, skip.last);
    let inside: Vec<_> = within.filter(|place| found.own[*place].is_empty()).collect();
    let n_optional = inside.iter().filter(|place| job.slots[**place].is_optional).count();
    let most = u64::try_from(inside.len()).unwrap_or(u64::MAX);
    let least = most.saturating_sub(u64::try_from(n_optional).unwrap_or(u64::MAX));
    let ends_are_slots = [skip.first, skip.last].into_iter().all(|end| job.slot_at(end).is_some());
    if skip.count < least || most < skip.count || !ends_are_slots {
        let ends = if ends_are_slots { "" } else { "; its ends are no slots" };
        let evidence = format!("{}; {least} to {most} slots without anything else lie in it{ends}", told(skip));
        out.push(Violation::new(Class::GapCount, job.name, Some(skip.first), evidence));
    }
    for place in inside {
        // An optional slot may or may not be in a gap; the count alone does not tell.
        if !job.slots[place].is_optional || skip.count == most {
            found.gaps[place].push(told(skip));
        }
    }
}

/// A slot that became nothing is wrong once the host had its chance.
fn undecided(world: &World<'_>, job: &JobView<'_>, slot: &Slot, later_ones_are: bool) -> Option<Violation> {
    if slot.is_optional {
        return None;
    }
    let jitter = job.revisions[slot.revision].jitter_max;
    let chance = world.chance(&job.able, slot.at.saturating_add(jitter), slot.due, world.facts.until)?;
    let class = if later_ones_are { Class::NoDisposition } else { Class::Stuck };
    let evidence =
        format!("due at {}, no run and no skip; the host could act from {}", show(slot.due), show(chance.from));
    Some(Violation::new(class, job.name, Some(slot.at), evidence))
}

/// A run of an instant at which the job has no slot, now or ever.
fn no_slot(job: &JobView<'_>, at: i64, text: &str) -> Violation {
    let (class, why) = if job.is_ever_slot(at) {
        (Class::Resurrected, "is a slot of a trigger that was not in force then")
    } else {
        (Class::Extra, "is no slot")
    };
    Violation::new(class, job.name, Some(at), format!("{text}: {} {why}", show(at)))
}

pub(crate) fn told(skip: &Skip) -> String {
    let (first, at, reason) = (show(skip.first), show(skip.at), &skip.reason);
    let by = skip.by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
    if is_gap(skip) {
        return format!("skip {first} to {} ({} slots) {reason}{by}, decided at {at}", show(skip.last), skip.count);
    }
    format!("skip {first} {reason}{by}, decided at {at}")
}
