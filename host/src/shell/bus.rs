//! The bus: events for whoever listens. A slow listener loses events and is told how many; it never slows a run.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::JobId,
    ports::Finish,
    run::{Run, Skip},
};
use tokio::sync::broadcast;

/// How many events a listener may lag behind.
const EVENTS_MAX: usize = 4_096;

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A job came in.
    JobAdded {
        /// Which job.
        job: JobId,
        /// When its next slot is.
        next: Option<DateTime<Utc>>,
        /// Its trigger in words.
        trigger: Arc<str>,
    },
    /// When the host next has something to start.
    NextWake {
        /// When.
        at: DateTime<Utc>,
        /// How far away that is.
        wait: std::time::Duration,
        /// For which job.
        job: JobId,
    },
    /// An attempt began.
    RunStarted(Arc<Run>),
    /// A run has ended, and its row says so.
    RunFinished {
        /// Which run.
        run: Arc<Run>,
        /// How.
        finish: Arc<Finish>,
    },
    /// Slots became no run.
    Skipped(Skip),
}

/// The bus. Clones are the same bus.
#[derive(Clone, Debug)]
pub struct Bus {
    events: broadcast::Sender<Event>,
}

impl Default for Bus {
    fn default() -> Self {
        Self { events: broadcast::Sender::new(EVENTS_MAX) }
    }
}

impl Bus {
    /// Tells everybody who listens.
    pub(crate) fn publish(&self, event: Event) {
        // An error means that nobody listens, which is no fault.
        drop(self.events.send(event));
    }

    /// Whether anybody listens: an event that nobody hears need not be made.
    pub(crate) fn has_listeners(&self) -> bool {
        0 < self.events.receiver_count()
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}
