//! The clock: the only file that reads the time.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use clockjack_schedule::ports::Clock;

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[expect(clippy::disallowed_methods, reason = "this is the file that the ban points to")]
impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

/// A clock for tests: it stands where it is put, and goes on with tokio's time, which a test can pause.
#[derive(Debug)]
pub struct TestClock {
    start: DateTime<Utc>,
    began: tokio::time::Instant,
}

impl TestClock {
    /// A clock that shows `start` now.
    #[must_use]
    pub fn starting_at(start: DateTime<Utc>) -> Self {
        Self { start, began: tokio::time::Instant::now() }
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        self.start + self.began.elapsed()
    }

    fn monotonic(&self) -> Duration {
        self.began.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contract of the port: monotonic time never goes back, and both clocks go on.
    async fn check(clock: &dyn Clock) {
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(monotonic + Duration::from_millis(19) <= clock.monotonic());
        assert!(wall < clock.now());
    }

    #[tokio::test]
    async fn the_system_clock_passes_the_contract() {
        check(&SystemClock).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_test_clock_passes_the_contract_without_waiting() {
        check(&TestClock::starting_at(DateTime::UNIX_EPOCH)).await;
    }
}
