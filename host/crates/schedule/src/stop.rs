//! A request to stop, seen by a guest that computes and by one that sleeps.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::Waker,
};

/// A flag that wakes whoever waits on it. Clones share the flag.
///
/// ```
/// use clockjack_schedule::stop::Stop;
///
/// let stop = Stop::default();
/// let seen_elsewhere = stop.clone();
/// stop.request();
/// assert!(seen_elsewhere.is_requested());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    requested: AtomicBool,
    is_watched: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Stop {
    /// Asks for the end. Asking twice is the same as asking once.
    pub fn request(&self) {
        self.shared.requested.store(true, SeqCst);
        let waker = self.shared.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        waker.into_iter().for_each(Waker::wake);
    }

    /// Whether somebody asked.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.shared.requested.load(SeqCst)
    }

    /// Notes that the guest itself looks whether somebody asked, and so may end by itself.
    pub fn watch(&self) {
        self.shared.is_watched.store(true, SeqCst);
    }

    /// Whether the guest itself looks whether somebody asked.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.shared.is_watched.load(SeqCst)
    }

    /// Says whom to wake. One waits at a time: the last one who said so.
    pub fn wake(&self, waker: &Waker) {
        let mut place = self.shared.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !place.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *place = Some(waker.clone());
        }
    }
}
