//! Whether an attempt that ended is followed by another one, and when. Pure: chance is a hash of run and attempt.

use std::time::Duration;

use crate::{
    id::{RunId, fnv1a},
    job::{Delivery, Policy, Retry},
    outcome::{Again, Outcome, OutcomeCode},
};

/// How often a run is tried again after a stop of the host cut it. A run that was there each time is more likely the
/// cause of the stops than their victim.
pub const INTERRUPTIONS_MAX: u32 = 10;

/// Longest `retry-after` of a guest that is respected.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3_600);

/// How many attempts of a run have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// All of them.
    pub n_ended: u32,
    /// Those that a stop of the host cut, or that made way for other code, which do not count against `retry.attempts`.
    pub n_interrupted: u32,
}

impl Attempts {
    fn n_failed(self) -> u32 {
        self.n_ended.saturating_sub(self.n_interrupted)
    }
}

/// How long after the end of an attempt the next one is due; none where the run ends with it.
///
/// A success, a `skipped`, a cancelled attempt and one that the guest calls `permanent` end the run. An attempt that a
/// stop of the host cut is tried again at once under `at_least_once`; one that made way for other code of its job always is,
/// for the host saw its end, and however often that happens. What else fails is tried again as `retry` says.
#[must_use]
pub fn next_after(policy: &Policy, run: RunId, attempts: Attempts, outcome: &Outcome) -> Option<Duration> {
    let code = outcome.code;
    if outcome.is_replaced() {
        return Some(Duration::ZERO);
    }
    if code == OutcomeCode::Interrupted {
        let again = policy.delivery == Delivery::AtLeastOnce && attempts.n_interrupted < INTERRUPTIONS_MAX;
        return again.then_some(Duration::ZERO);
    }
    let is_final = code.is_success() || matches!(code, OutcomeCode::Cancelled | OutcomeCode::Lost);
    let retry = &policy.retry;
    let is_wanted = retry.on.is_empty() || retry.on.contains(&code);
    if is_final || !is_wanted || retry.attempts_max.get() <= attempts.n_failed() {
        return None;
    }
    match outcome.again {
        Again::Never => None,
        Again::AsPolicySays => Some(backoff(retry, run, attempts.n_failed())),
        Again::After(time) => Some(time.min(RETRY_AFTER_MAX).max(backoff(retry, run, attempts.n_failed()))),
    }
}

/// The last attempt that a run may have, as far as is known now.
#[must_use]
pub fn attempts_max(policy: &Policy, n_interrupted: u32) -> u32 {
    policy.retry.attempts_max.get().saturating_add(n_interrupted)
}

/// The time after the n-th failure: doubles with each, is capped, and shortened by chance.
fn backoff(retry: &Retry, run: RunId, n_failed: u32) -> Duration {
    let doublings = n_failed.saturating_sub(1).min(31);
    let whole = retry.backoff.saturating_mul(1 << doublings).min(retry.backoff_max.max(retry.backoff));
    let chance = fnv1a(&run.as_u128().to_le_bytes(), u64::from(n_failed)) % 1_000;
    let less_per_mille_percent = chance * u64::from(retry.jitter_percent.min(100));
    let micros = u64::try_from(whole.as_micros()).unwrap_or(u64::MAX);
    let less = u128::from(micros) * u128::from(less_per_mille_percent) / 100_000;
    Duration::from_micros(micros - u64::try_from(less).unwrap_or(micros))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use expect_test::expect;

    use super::*;

    fn policy(attempts: u32, jitter_percent: u8) -> Policy {
        let attempts_max = NonZeroU32::new(attempts).unwrap();
        let retry = Retry { attempts_max, jitter_percent, backoff_max: Duration::from_secs(10), ..Retry::default() };
        Policy { retry, ..Policy::default() }
    }

    fn delays(policy: &Policy, outcome: &Outcome, n_interrupted: u32) -> String {
        let delay = |n_ended| next_after(policy, RunId::from_u128(7), Attempts { n_ended, n_interrupted }, outcome);
        let told: Vec<_> = (1..=7).map(|n| delay(n).map_or("-".to_owned(), |delay| format!("{delay:?}"))).collect();
        told.join(" ")
    }

    #[test]
    fn the_time_doubles_up_to_its_cap_and_ends_with_the_attempts() {
        let failed = Outcome::ended(OutcomeCode::Failed, "");
        expect!["1s 2s 4s 8s 10s - -"].assert_eq(&delays(&policy(6, 0), &failed, 0));
        expect!["- - - - - - -"].assert_eq(&delays(&policy(1, 0), &failed, 0));
        // Attempts that the host cut do not count.
        expect!["1s 1s 2s 4s - - -"].assert_eq(&delays(&policy(4, 0), &failed, 1));
    }

    #[test]
    fn chance_shortens_the_time_by_its_share_at_the_most() {
        let failed = Outcome::ended(OutcomeCode::Failed, "");
        for bits in 0..1_000 {
            let attempts = Attempts { n_ended: 1, n_interrupted: 0 };
            let delay = next_after(&policy(2, 20), RunId::from_u128(bits), attempts, &failed).unwrap();
            assert!((Duration::from_millis(800)..=Duration::from_secs(1)).contains(&delay), "{delay:?}");
        }
    }

    #[test]
    fn the_guest_has_a_say() {
        let failed = |again| Outcome { again, ..Outcome::ended(OutcomeCode::Failed, "") };
        expect!["- - - - - - -"].assert_eq(&delays(&policy(6, 0), &failed(Again::Never), 0));
        let soon = failed(Again::After(Duration::from_secs(5)));
        expect!["5s 5s 5s 8s 10s - -"].assert_eq(&delays(&policy(6, 0), &soon, 0));
    }

    #[test]
    fn what_ended_otherwise_follows_its_own_rule() {
        let (always, once) = (policy(3, 0), Policy { delivery: Delivery::AtMostOnce, ..policy(3, 0) });
        let ended = |code| Outcome::ended(code, "");
        expect!["- - - - - - -"].assert_eq(&delays(&always, &ended(OutcomeCode::Succeeded), 0));
        expect!["- - - - - - -"].assert_eq(&delays(&always, &ended(OutcomeCode::Cancelled), 0));
        expect!["0ns 0ns 0ns 0ns 0ns 0ns 0ns"].assert_eq(&delays(&always, &ended(OutcomeCode::Interrupted), 1));
        expect!["- - - - - - -"].assert_eq(&delays(&always, &ended(OutcomeCode::Interrupted), INTERRUPTIONS_MAX));
        expect!["- - - - - - -"].assert_eq(&delays(&once, &ended(OutcomeCode::Interrupted), 1));
        for policy in [&always, &once] {
            let replaced = Outcome::replaced("");
            expect!["0ns 0ns 0ns 0ns 0ns 0ns 0ns"].assert_eq(&delays(policy, &replaced, INTERRUPTIONS_MAX + 7));
        }
        let mut picky = policy(3, 0);
        picky.retry.on = vec![OutcomeCode::TimeoutWall];
        expect!["1s 2s - - - - -"].assert_eq(&delays(&picky, &ended(OutcomeCode::TimeoutWall), 0));
        expect!["- - - - - - -"].assert_eq(&delays(&picky, &ended(OutcomeCode::Failed), 0));
    }
}
