//! The processor time of one attempt.
//!
//! A guest yields at every tick, so its time is the sum over its polls. The first poll is timed with the monotonic
//! clock, which costs 25 ns; an attempt that outlives a tick is worth the 260 ns of the thread's own clock, which a
//! busy machine cannot distort.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use clockjack_schedule::{manifest::scalar::show_duration, stop::Stop};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Sleep;

/// The processor time of one attempt so far.
#[derive(Debug, Default)]
pub(crate) struct CpuMeter {
    used_nanos: AtomicU64,
    poll_start_nanos: AtomicU64,
    /// Whether the attempt has outlived a tick.
    long: AtomicBool,
}

impl CpuMeter {
    /// The time up to the end of the last poll.
    pub(crate) fn used(&self) -> Duration {
        Duration::from_nanos(self.used_nanos.load(Relaxed))
    }

    /// The time up to now, asked from inside a poll.
    pub(crate) fn used_in_poll(&self) -> Duration {
        let in_poll = self.now().saturating_sub(self.poll_start_nanos.load(Relaxed));
        self.used() + Duration::from_nanos(in_poll)
    }

    /// Says that the attempt has outlived a tick.
    pub(crate) fn is_long(&self) {
        self.long.store(true, Relaxed);
    }

    fn now(&self) -> u64 {
        if self.long.load(Relaxed) { thread_nanos() } else { monotonic_nanos() }
    }
}

/// The processor-time limit was used up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guest used up its processor time of {} (`limits.cpu_time`)", show_duration(*.limit))]
pub(crate) struct CpuSpent {
    pub(crate) limit: Duration,
}

/// How long a guest may go on after a request to stop that looks for such requests: enough to see `cancel-requested` and to
/// put things in order.
const STOP_GRACE: Duration = Duration::from_millis(250);

/// How long one may go on that has not looked for requests until then. Most never do, and whoever cancels a run sees its end
/// within a tenth of a second.
const UNWATCHED_GRACE: Duration = Duration::from_millis(30);

/// Somebody asked the attempt to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped;

/// A guest's future: its polls are timed, and it ends when somebody asks for it.
pub(crate) struct Supervised<F> {
    inner: F,
    meter: Arc<CpuMeter>,
    stop: Stop,
    /// Runs from the request on.
    grace: Option<Pin<Box<Sleep>>>,
    /// What runs is the time of a guest that looks for requests.
    is_longer: bool,
}

impl<F> Supervised<F> {
    pub(crate) fn new(inner: F, meter: Arc<CpuMeter>, stop: Stop) -> Self {
        Self { inner, meter, stop, grace: None, is_longer: false }
    }

    /// Whether the time after a request to stop is over.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let grace = self.grace.get_or_insert_with(|| Box::pin(tokio::time::sleep(UNWATCHED_GRACE)));
        if grace.as_mut().poll(context).is_pending() {
            return false;
        }
        if self.is_longer || !self.stop.is_watched() {
            return true;
        }
        self.is_longer = true;
        grace.as_mut().set(tokio::time::sleep(STOP_GRACE.saturating_sub(UNWATCHED_GRACE)));
        grace.as_mut().poll(context).is_ready()
    }
}

impl<F: Future + Unpin> Future for Supervised<F> {
    type Output = Result<F::Output, Stopped>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // First the waker, then the flag: a request between the two wakes us again.
        self.stop.wake(context.waker());
        if self.stop.is_requested() && self.is_over(context) {
            return Poll::Ready(Err(Stopped));
        }
        let exact = self.meter.long.load(Relaxed);
        let now = if exact { thread_nanos } else { monotonic_nanos };
        let start = now();
        self.meter.poll_start_nanos.store(start, Relaxed);
        let polled = Pin::new(&mut self.inner).poll(context);
        // The clock that began the poll ends it, also where the attempt became long in between.
        self.meter.used_nanos.fetch_add(now().saturating_sub(start), Relaxed);
        polled.map(Ok)
    }
}

fn thread_nanos() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    u64::try_from(nanos).unwrap_or_default()
}

fn monotonic_nanos() -> u64 {
    thread_local! {
        #[expect(clippy::disallowed_methods, reason = "a stopwatch, not the time: no decision depends on it")]
        static START: Instant = Instant::now();
    }
    START.with(|start| u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
}
