//! A thread of its own for work that takes long: whatever is done here is done one after the other.
//!
//! Not one of the runtime's threads for blocking work: of those there are many under load, each with a heap of its own, and each
//! would keep the memory that loading a plugin once took.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        mpsc::{Sender, channel},
    },
    thread,
};

use tokio::sync::oneshot::{self, Receiver};

type Work = Box<dyn FnOnce() + Send>;

/// A thread that works.
pub(super) struct Bench {
    name: &'static str,
    work: Mutex<Option<Sender<Work>>>,
}

impl Bench {
    /// A thread that starts with its first work.
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, work: Mutex::default() }
    }

    /// Does something after everything before it. Who waits learns nothing where that fails: it panicked, or the system gives
    /// no thread.
    pub(super) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
        let (done, is_done) = oneshot::channel();
        let work: Work = Box::new(move || {
            // What it works on is dropped where it panics, and nobody else sees it.
            if let Ok(result) = catch_unwind(AssertUnwindSafe(work)) {
                drop(done.send(result));
            }
        });
        let mut queue = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.is_none() {
            *queue = start(self.name);
        }
        if queue.as_ref().is_some_and(|queue| queue.send(work).is_err()) {
            *queue = None;
        }
        is_done
    }
}

fn start(name: &str) -> Option<Sender<Work>> {
    let (queue, works) = channel::<Work>();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || works.iter().for_each(|work| work()));
    let started = thread.inspect_err(|error| tracing::error!("no thread to load plugins on: {error}"));
    started.ok().map(|_detached| queue)
}

/// The end of what goes on beside the task; never where nothing does. Cancel-safe.
pub(super) async fn end_of<W: Future + Unpin>(work: &mut Option<W>) -> W::Output {
    let Some(going) = work.as_mut() else { return std::future::pending().await };
    let ended = going.await;
    *work = None;
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_in_order_and_a_panic_ends_only_itself() {
        let bench = Bench::new("test");
        let first = bench.run(|| 1);
        let broken = bench.run(|| -> u32 { panic!("as it should") });
        let threads = [bench.run(|| thread::current().id()), bench.run(|| thread::current().id())];
        assert_eq!(first.await, Ok(1));
        assert!(broken.await.is_err());
        let [one, other] = threads;
        assert_eq!(one.await, other.await);
    }
}
