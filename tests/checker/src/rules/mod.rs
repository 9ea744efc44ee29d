//! The rules, one function each, in the order of the specification.

mod agreement;
mod attempts;
mod blind;
mod chains;
mod dispositions;
mod next;
mod reloads;
mod requests;
mod run_ends;
mod run_starts;
mod side_by_side;
mod skips;

pub(crate) use self::dispositions::told;
use crate::{job::JobView, violation::Violation, world::World};

/// A rule about one job.
type Rule = fn(&World<'_>, &JobView<'_>, &mut Vec<Violation>);

const OF_JOBS: [Rule; 11] = [
    dispositions::each_slot_has_one,
    run_starts::each_is_in_its_window,
    skips::each_has_its_reason,
    blind::starts_fit_the_slots,
    attempts::each_follows_the_one_before,
    run_ends::each_has_its_reason,
    reloads::each_attempt_gives_way,
    side_by_side::of_one_job,
    agreement::guests_and_ledger_tell_the_same,
    requests::each_is_one_run,
    next::never_goes_back,
];

/// Everything that is wrong, by job and slot.
pub(crate) fn all(world: &World<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for job in world.jobs.values() {
        OF_JOBS.iter().for_each(|rule| rule(world, job, &mut found));
    }
    agreement::no_guest_is_unrecorded(world, &mut found);
    side_by_side::in_each_pool(world, &mut found);
    chains::each_end_has_its_followers(world, &mut found);
    found.sort_by(|a, b| (&a.job, a.slot, a.class).cmp(&(&b.job, b.slot, b.class)));
    found
}
