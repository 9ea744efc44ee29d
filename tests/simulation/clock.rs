//! The clock of a simulated host: true time goes on with tokio's paused time, wall time differs from it by steps.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use clockjack_checker::Micros;
use clockjack_schedule::ports::Clock;
use tokio::time::Instant;

/// A clock of one life of a host.
#[derive(Clone, Debug)]
pub(crate) struct SimClock {
    /// True time at the beginning of the life.
    base: Micros,
    began: Instant,
    /// Wall minus true; goes on through all lives.
    offset: Arc<AtomicI64>,
}

impl SimClock {
    pub(crate) fn new(base: Micros, offset: Arc<AtomicI64>) -> Self {
        Self { base, began: Instant::now(), offset }
    }

    /// True time.
    pub(crate) fn truth(&self) -> Micros {
        self.base + i64::try_from(self.began.elapsed().as_micros()).unwrap()
    }

    /// When an instant of true time is, on tokio's clock.
    pub(crate) fn instant(&self, truth: Micros) -> Instant {
        self.began + Duration::from_micros(u64::try_from(truth - self.base).unwrap_or_default())
    }

    pub(crate) fn step(&self, by: Micros) -> Micros {
        self.offset.fetch_add(by, SeqCst) + by
    }
}

impl Clock for SimClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.truth() + self.offset.load(SeqCst)).unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.began.elapsed()
    }
}
