//! The bus: events for whoever listens. A slow listener loses events and is told how many; it never slows a run.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    id::JobId,
    ports::{Again, Finish},
    run::{Cut, Run, Skip},
};
use tokio::sync::broadcast;

use super::news::{ManifestNews, PluginNews};

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
        wait: Duration,
        /// For which job.
        job: JobId,
    },
    /// A job has another definition.
    JobChanged {
        /// Which job.
        job: JobId,
        /// When its next slot was.
        before: Option<DateTime<Utc>>,
        /// When its next slot is.
        next: Option<DateTime<Utc>>,
    },
    /// A job is gone; its history stays.
    JobRemoved(JobId),
    /// An attempt waits until others give back the memory that it needs; it has a place and has not begun.
    RunHeld {
        /// Of which run.
        run: Arc<Run>,
        /// How much it needs.
        memory_bytes: u64,
    },
    /// An attempt began.
    RunStarted {
        /// Of which run.
        run: Arc<Run>,
        /// Which, counted from 1.
        attempt: u32,
        /// Which generation of its plugin it runs, where that is known by now.
        generation: Option<u32>,
    },
    /// An attempt has ended, and another one follows.
    AttemptEnded {
        /// Of which run.
        run: Arc<Run>,
        /// How, and when the next one is due.
        again: Arc<Again>,
    },
    /// A run has ended, and its row says so.
    RunFinished {
        /// Which run.
        run: Arc<Run>,
        /// How.
        finish: Arc<Finish>,
    },
    /// A run that an earlier life of the host left unfinished has ended or is tried again.
    RunCut {
        /// What is known of it.
        cut: Box<Cut>,
        /// Whether another attempt follows.
        is_tried_again: bool,
    },
    /// The wall clock and the monotonic clock went apart: the clock was set, or the machine slept.
    ClockStepped {
        /// How far the wall clock is ahead of where it should be; negative where it was set back.
        by: TimeDelta,
    },
    /// The ledger has decided every slot until then: the clock was ahead when it did, or is behind now.
    WatermarkAhead {
        /// Until when.
        until: DateTime<Utc>,
    },
    /// The ledger cannot be written; nothing new starts until it can.
    LedgerHeld {
        /// Why.
        why: String,
    },
    /// The ledger can be written again.
    LedgerBack {
        /// After how long.
        after: Duration,
    },
    /// A commit took long.
    LedgerSlow {
        /// How long.
        took: Duration,
    },
    /// Slots became no run.
    Skipped(Skip),
    /// Something happened to a plugin.
    Plugin(Arc<PluginNews>),
    /// A manifest was read again.
    Manifest(Arc<ManifestNews>),
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
