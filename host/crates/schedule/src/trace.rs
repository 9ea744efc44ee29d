//! The numbers of traces: what they are can be said from a run and an attempt alone, on every host and after every crash.

use crate::id::{RunId, fnv1a};

/// Keeps the spans of attempts and of runs apart.
const RUN_SEED: u64 = 3;
const ATTEMPT_SEED: u64 = 4;

/// The span of a run. The number of its trace is its id.
#[must_use]
pub fn run_span(run: RunId) -> u64 {
    // Zero means that there is none.
    fnv1a(&run.as_u128().to_le_bytes(), RUN_SEED).max(1)
}

/// The span of an attempt, counted from 1.
#[must_use]
pub fn attempt_span(run: RunId, attempt: u32) -> u64 {
    fnv1a(&run.as_u128().to_le_bytes(), ATTEMPT_SEED + u64::from(attempt)).max(1)
}

/// What an attempt passes on, as W3C Trace Context has it.
///
/// ```
/// use clockjack_schedule::{id::RunId, trace};
///
/// let run = RunId::from_u128(0x0190_0000_0000_8000_8000_0000_0000_0001);
/// let told = trace::traceparent(run, 1);
/// assert_eq!(told.len(), 55);
/// assert!(told.starts_with("00-01900000000080008000000000000001-") && told.ends_with("-01"));
/// assert_ne!(told, trace::traceparent(run, 2));
/// ```
#[must_use]
pub fn traceparent(run: RunId, attempt: u32) -> String {
    format!("00-{:032x}-{:016x}-01", run.as_u128(), attempt_span(run, attempt))
}
