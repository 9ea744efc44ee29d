//! The one question that this crate answers.

use crate::{
    facts::{Facts, Tolerance},
    history::{History, Witness},
    revision::Revision,
    rules,
    violation::Violation,
    world::World,
};

/// Everything that is wrong with a history, by job and slot. Nothing is the best answer.
#[must_use]
pub fn check(
    facts: &Facts,
    revisions: &[Revision],
    witness: &[Witness],
    history: &History,
    tolerance: &Tolerance,
) -> Vec<Violation> {
    rules::all(&World::new(facts, revisions, witness, history, tolerance))
}
