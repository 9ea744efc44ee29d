//! What a job can say to and ask of the run it is in.

use std::time::Duration;

use crate::rt::imports;

/// Whether somebody wants this attempt to end. A job that asks now and then can stop in good order.
///
/// ```
/// # fn work_on(_: u32) {}
/// for batch in 0..10 {
///     if clockjack_sdk::cancel_requested() {
///         break;
///     }
///     work_on(batch);
/// }
/// ```
#[must_use]
pub fn cancel_requested() -> bool {
    imports::cancel_requested()
}

/// How long until the attempt is stopped.
///
/// ```
/// use std::time::Duration;
///
/// if clockjack_sdk::time_left() < Duration::from_secs(2) {
///     // Leave the rest to the next run.
/// }
/// ```
#[must_use]
pub fn time_left() -> Duration {
    Duration::from_millis(imports::time_left())
}

/// Says how far the job is. Shown to people; the last report stays with the run.
///
/// ```
/// clockjack_sdk::progress(3, Some(10));
/// clockjack_sdk::progress(4, None);
/// ```
pub fn progress(done: u64, total: Option<u64>) {
    imports::progress(done, total, None);
}

/// [`progress`] with a few words.
///
/// ```
/// clockjack_sdk::progress_with(3, Some(10), "third file");
/// ```
pub fn progress_with(done: u64, total: Option<u64>, message: &str) {
    imports::progress(done, total, Some(message));
}

/// Says that the job is alive, for work whose progress cannot be counted.
///
/// ```
/// clockjack_sdk::heartbeat();
/// ```
pub fn heartbeat() {
    imports::heartbeat();
}

/// 53 random bits from the host, different in every attempt: a seed for generators.
///
/// ```
/// let port = 40_000 + clockjack_sdk::random_seed() % 1_000;
/// assert!((40_000..41_000).contains(&port));
/// ```
#[must_use]
pub fn random_seed() -> u64 {
    imports::random_seed()
}
