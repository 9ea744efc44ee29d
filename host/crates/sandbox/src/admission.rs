//! The memory that all attempts of a host may have together: an attempt waits for its share before it begins.
//!
//! A share is the limit of the job, not what it uses: what was promised must be there. Whoever came first is served first,
//! so that a large job is not passed by small ones for ever.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll};

use clockjack_schedule::stop::Stop;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What shares are counted in: a page of WebAssembly.
const UNIT_BYTES: u64 = 64 << 10;

/// The memory of a host that attempts share. Clones are the same memory.
#[derive(Clone, Debug)]
pub(crate) struct MemoryBudget {
    free: Arc<Semaphore>,
    n_units: u32,
}

impl MemoryBudget {
    pub(crate) fn new(bytes: u64) -> Self {
        let n_units = u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX).max(1);
        let free = Semaphore::new(usize::try_from(n_units).unwrap_or(Semaphore::MAX_PERMITS));
        Self { free: Arc::new(free), n_units }
    }

    /// Waits for a share. None where somebody asked for the end meanwhile. A share larger than the whole is the whole:
    /// such a job is refused when it is loaded, and one that came otherwise must not wait for ever.
    pub(crate) async fn share(&self, bytes: u64, stop: &Stop) -> Option<OwnedSemaphorePermit> {
        let n_units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.n_units);
        let mut share = pin!(Arc::clone(&self.free).acquire_many_owned(n_units));
        poll_fn(|context| {
            stop.wake(context.waker());
            if stop.is_requested() {
                return Poll::Ready(None);
            }
            share.as_mut().poll(context).map(Result::ok)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[tokio::test]
    async fn shares_are_given_in_order_and_come_back() {
        let budget = MemoryBudget::new(100 * MIB);
        let stop = Stop::default();
        let first = budget.share(60 * MIB, &stop).await;
        assert!(first.is_some());
        let mut large = Box::pin(budget.share(80 * MIB, &stop));
        let small_stop = Stop::default();
        let mut small = Box::pin(budget.share(10 * MIB, &small_stop));
        // The small one would fit, but the large one came first.
        assert!(futures_pending(&mut large).await && futures_pending(&mut small).await);
        drop(first);
        let large = large.await;
        assert!(large.is_some());
        assert!(small.await.is_some());
        drop(large);
        assert!(budget.share(100 * MIB, &stop).await.is_some());
    }

    #[tokio::test]
    async fn a_request_to_stop_ends_the_waiting_and_leaves_nothing_behind() {
        let budget = MemoryBudget::new(MIB);
        let held = budget.share(MIB, &Stop::default()).await;
        let stop = Stop::default();
        let mut waiting = Box::pin(budget.share(MIB, &stop));
        assert!(futures_pending(&mut waiting).await);
        stop.request();
        assert!(waiting.await.is_none());
        drop(held);
        assert!(budget.share(MIB, &Stop::default()).await.is_some());
    }

    #[tokio::test]
    async fn a_share_larger_than_the_whole_is_the_whole() {
        let budget = MemoryBudget::new(MIB);
        let share = budget.share(u64::MAX, &Stop::default()).await;
        assert_eq!(share.map(|share| share.num_permits()), Some(16));
    }

    async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
        poll_fn(|context| Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())).await
    }
}
