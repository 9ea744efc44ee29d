//! The bus: events for whoever listens. A slow listener loses events and is told how many; it never slows a run. What is
//! told goes into the journal, too, where nothing is lost and each event has its number.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    id::{JobId, PoolName},
    ports::{Again, Clock, Finish},
    run::{Cut, Run, Skip},
};
use tokio::sync::broadcast;

use super::{
    journal::{Journal, Told},
    live::LiveRuns,
    news::{ManifestNews, PluginNews},
};
use crate::metrics::Meter;

/// How many events a listener may lag behind.
const EVENTS_MAX: usize = 4_096;

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The host began.
    Started,
    /// The host starts nothing more.
    Stopping {
        /// How many runs go on or wait for a place.
        n_unfinished: usize,
    },
    /// The host has ended in good order: every row is written.
    Stopped,
    /// Nothing of any job starts until the host is resumed.
    Paused {
        /// Who asked for it.
        asker: Asker,
    },
    /// Jobs start again.
    Resumed {
        /// Who asked for it, where that is known.
        by: Option<Arc<str>>,
    },
    /// A job starts nothing until it is resumed.
    JobPaused {
        /// Which job.
        job: JobId,
        /// Who asked for it.
        asker: Asker,
    },
    /// A paused job goes on.
    JobResumed {
        /// Which job.
        job: JobId,
        /// Who asked for it, where that is known.
        by: Option<Arc<str>>,
    },
    /// A pool came, went or has another size.
    Pool {
        /// Which pool.
        pool: PoolName,
        /// How many runs of it went on at once before; absent where it came.
        before: Option<NonZeroU32>,
        /// How many do from now on; absent where it is gone.
        size: Option<NonZeroU32>,
    },
    /// A job came in.
    JobAdded {
        /// Which job.
        job: JobId,
        /// The ledger knew it already: it came back with a restart.
        is_known: bool,
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
    /// An attempt waits for its place. Only programs that have the host inside themselves hear of it.
    RunQueued {
        /// Of which run.
        run: Arc<Run>,
        /// Which, counted from 1.
        attempt: u32,
    },
    /// A run says how far it is. Only programs that have the host inside themselves hear of it.
    RunProgress {
        /// Which run.
        run: Arc<Run>,
        /// Which attempt of it.
        attempt: u32,
        /// How much is done.
        done: u64,
        /// Of how much, where that is known.
        total: Option<u64>,
        /// In words of the guest.
        message: Arc<str>,
    },
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

/// Who asked for a pause, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asker {
    /// Why, in words of a person.
    pub note: Option<Arc<str>>,
    /// Until when; absent for a pause without an end.
    pub until: Option<DateTime<Utc>>,
    /// Who, where that is known.
    pub by: Option<Arc<str>>,
}

/// Tells what there is as much of at once as there are slots of one instant. It would drown all else for those who have no
/// use for it, so that it is told only once somebody wants it.
#[derive(Clone)]
pub(super) struct Chatter {
    events: broadcast::Sender<Event>,
    is_wanted: Arc<AtomicBool>,
}

impl Chatter {
    pub(super) fn tell(&self, event: impl FnOnce() -> Event) {
        if self.is_wanted.load(Relaxed) {
            // An error means that nobody listens any more, which is no fault.
            drop(self.events.send(event()));
        }
    }
}

/// The bus. Clones are the same bus.
#[derive(Clone)]
pub struct Bus {
    events: broadcast::Sender<Event>,
    chatter: Chatter,
    journal: Journal,
    live: LiveRuns,
    meter: Meter,
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bus")
    }
}

impl Bus {
    /// A bus on which nothing has been told yet.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let journal = Journal::new(Arc::clone(&clock));
        let events = broadcast::Sender::new(EVENTS_MAX);
        let chatter = Chatter { events: events.clone(), is_wanted: Arc::default() };
        let live = LiveRuns::new(clock, journal.clone(), chatter.clone());
        Self { events, chatter, journal, live, meter: Meter::default() }
    }

    /// Tells everybody who listens.
    pub(crate) fn publish(&self, event: Event) {
        if let Event::AttemptEnded { run, .. } | Event::RunFinished { run, .. } = &event {
            self.live.before_end(run.id);
        }
        let is_wanted = !matches!(event, Event::RunStarted { .. }) || self.journal.wants_starts(1);
        if let Some(told) = is_wanted.then(|| Told::of(&event, self.journal.now())).flatten() {
            self.journal.tell(told);
        }
        match &event {
            Event::AttemptEnded { run, .. } => self.live.attempt_ended(run.id),
            Event::RunFinished { run, .. } => self.live.run_ended(run.id),
            Event::RunCut { cut, is_tried_again: false } => self.live.run_ended(cut.run.id),
            Event::Skipped(Skip { run: Some(run), .. }) => self.live.run_ended(*run),
            _ => {}
        }
        self.broadcast(event);
    }

    /// Tells who listens now, and nobody later.
    pub(crate) fn broadcast(&self, event: Event) {
        self.meter.see(&event);
        // An error means that nobody listens, which is no fault.
        drop(self.events.send(event));
    }

    /// Tells that attempts wait for their places: in the journal, and to those who want to hear of everything.
    pub(crate) fn queued(&self, starts: &[(&Arc<Run>, u32)]) {
        for (run, attempt) in starts {
            self.chatter.tell(|| Event::RunQueued { run: Arc::clone(run), attempt: *attempt });
        }
        if self.journal.wants_starts(starts.len()) {
            let now = self.journal.now();
            self.journal.tell_all(starts.iter().map(|(run, attempt)| Told::queued(run, *attempt, now)));
        }
    }

    /// Tells that more happened to jobs than is told one by one.
    pub(crate) fn more_jobs(&self, n_jobs: u64) {
        self.journal.tell(Told::more_jobs(n_jobs, self.journal.now()));
    }

    /// Whether anybody listens: an event that nobody hears need not be made.
    pub(crate) fn has_listeners(&self) -> bool {
        0 < self.events.receiver_count()
    }

    /// How many listen.
    #[must_use]
    pub fn n_listeners(&self) -> usize {
        self.events.receiver_count()
    }

    /// What counts everything that is told here.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Listens from now on to everything, and from now on it is told.
    #[must_use]
    pub(crate) fn listen_to_all(&self) -> broadcast::Receiver<Event> {
        self.chatter.is_wanted.store(true, Relaxed);
        self.listen()
    }

    /// All that was told, in order.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What runs that go on say.
    #[must_use]
    pub fn live(&self) -> &LiveRuns {
        &self.live
    }
}
