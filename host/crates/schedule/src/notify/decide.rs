//! The decision: what a happening means for somebody who wants to be told of these occasions.

use std::time::Duration;

use super::{Occasion, Occasions};
use crate::outcome::OutcomeCode;

/// What happened to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Its first attempt began, so late.
    Started {
        /// Counted from when it was due.
        late: Duration,
    },
    /// It ended.
    Ended(OutcomeCode),
    /// Its slot became no run although it should have.
    Missed,
    /// It goes on for so long as somebody wanted to know of.
    WentOn,
}

/// What is to be told, in order. `failures` is how many runs of the job had failed one after the other before.
#[must_use]
pub fn decide(on: &Occasions, happening: Happening, failures: u32) -> Vec<Occasion> {
    let wanted = |occasion| on.has(occasion).then_some(occasion);
    match happening {
        Happening::Started { late } => {
            let is_late = on.late.is_some_and(|bound| bound < late);
            let start = wanted(Occasion::Start);
            start.into_iter().chain(is_late.then_some(Occasion::Late)).collect()
        }
        Happening::Ended(OutcomeCode::Cancelled) => wanted(Occasion::Cancelled).into_iter().collect(),
        Happening::Ended(code) if code.is_success() => {
            let recovery = wanted(Occasion::Recovery).filter(|_| told_from(on) <= failures);
            recovery.into_iter().chain(wanted(Occasion::Success)).collect()
        }
        Happening::Ended(_) => {
            let is_the_one = on.failures.is_some_and(|bound| bound.get() == failures.saturating_add(1));
            let failure = wanted(Occasion::Failure).or(is_the_one.then_some(Occasion::Failure));
            failure.into_iter().collect()
        }
        Happening::Missed => wanted(Occasion::Missed).into_iter().collect(),
        Happening::WentOn => wanted(Occasion::TooLong).into_iter().collect(),
    }
}

/// From how many failures in a row on somebody knows of them, so that the end of them is worth telling.
fn told_from(on: &Occasions) -> u32 {
    match on.failures {
        Some(bound) if !on.has(Occasion::Failure) => bound.get(),
        Some(_) | None => 1,
    }
}

/// How many runs of a job have failed one after the other, once one has ended. What somebody cancelled says nothing of the
/// job.
#[must_use]
pub fn next_failures(failures: u32, code: OutcomeCode) -> u32 {
    match code {
        OutcomeCode::Cancelled => failures,
        code if code.is_success() => 0,
        _ => failures.saturating_add(1),
    }
}
