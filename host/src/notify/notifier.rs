//! The notifier's task: it owns the notes and the outbox. Events come in, deliveries go out, and the ledger keeps both.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::{ChannelName, JobId},
    job::Job,
    notify::{Channel, Channels, Happening, Notify, Occasion, Occasions, decide},
    outcome::OutcomeCode,
    ports::{Change, Clock, DocumentKind, Ledger, LedgerError, Vault},
    run::{Run, Skip, SkipReason},
};
use tokio::{
    runtime::Handle,
    sync::{
        broadcast::{self, error::RecvError},
        watch,
    },
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    Notice, Undelivered, catch_up, deliver,
    notes::Note,
    outbox::{Outbox, Parcel, Verdict},
    papers,
    watched::Watched,
};
use crate::{
    metrics::Delivery,
    shell::{Event, HostHandle},
};

/// Longest sleep: notes that changed are kept this often at the least, and what could not be kept is tried again.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// How long a note may be newer than what the ledger has of it, where nothing was told meanwhile.
const FLUSH_AFTER: Duration = Duration::from_secs(30);

/// How many events are heard before anything else is done.
const EVENTS_AT_ONCE: usize = 512;

/// How many changes may wait for a ledger that cannot be written.
const UNKEPT_MAX: usize = 10_000;

/// How long what was never tried may still be delivered when the host stops.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What a notifier is made of.
pub struct NotifierParts {
    /// Whose events it listens to.
    pub host: HostHandle,
    /// The record.
    pub ledger: Arc<dyn Ledger>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where secrets are.
    pub vault: Arc<dyn Vault>,
    /// The channels that are in force.
    pub channels: watch::Receiver<Arc<Channels>>,
    /// How this host is called in what it tells.
    pub host_name: String,
    /// What was told on the bus since before the first job came in.
    pub events: broadcast::Receiver<Event>,
}

/// A running notifier.
#[derive(Debug)]
pub struct Notifier {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Notifier {
    /// Tells what can be told at once, and ends. What is left is told after the next start.
    pub async fn end(self) {
        self.stop.cancel();
        drop(self.task.await);
    }
}

/// How this machine is called.
#[must_use]
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Starts a notifier.
#[must_use]
pub fn start(parts: NotifierParts, runtime: &Handle) -> Notifier {
    let stop = CancellationToken::new();
    let task = Task {
        parts,
        runtime: runtime.clone(),
        stop: stop.clone(),
        notes: HashMap::new(),
        outbox: Outbox::default(),
        watched: Watched::default(),
        deliveries: JoinSet::new(),
        unkept: Vec::new(),
        n_parcels: 0,
        flushed: Duration::ZERO,
    };
    Notifier { stop, task: runtime.spawn(task.work()) }
}

type Delivered = (ChannelName, Result<String, Undelivered>);

struct Task {
    parts: NotifierParts,
    runtime: Handle,
    stop: CancellationToken,
    notes: HashMap<JobId, Note>,
    outbox: Outbox,
    watched: Watched,
    deliveries: JoinSet<Delivered>,
    /// What the ledger is still to keep, in order.
    unkept: Vec<Change>,
    n_parcels: u64,
    /// When all notes were last kept.
    flushed: Duration,
}

impl Task {
    async fn work(mut self) {
        self.restore().await;
        loop {
            self.flush();
            self.keep().await;
            self.pump();
            let sleep = self.sleep();
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                event = self.parts.events.recv() => match event {
                    Ok(event) => self.hear_all(event).await,
                    Err(RecvError::Lagged(n_events)) => self.lagged(n_events).await,
                    Err(RecvError::Closed) => break,
                },
                Some(delivered) = self.deliveries.join_next() => self.settle(delivered.ok()),
                () = tokio::time::sleep(sleep) => self.look_around(),
            }
        }
        self.leave().await;
    }

    /// Takes up what an earlier life left, and looks at what happened since.
    async fn restore(&mut self) {
        match self.parts.ledger.documents(DocumentKind::Notice).await {
            Ok(documents) => {
                let (notes, parcels) = papers::read(&documents);
                if !parcels.is_empty() {
                    info!(notices = parcels.len(), "notices that had not arrived are delivered now");
                }
                self.notes = notes;
                parcels.into_iter().for_each(|parcel| drop(self.outbox.push(parcel)));
            }
            Err(error) => warn!("what is still to be told is not known: {error}"),
        }
        // The jobs are known once everything is decided that was asked for at the start.
        drop(self.parts.host.settle().await);
        self.catch_up().await;
        self.flushed = self.parts.clock.monotonic();
        self.keep_dirty(self.parts.clock.now());
    }

    /// Looks at the history of each job that somebody wants to know of.
    async fn catch_up(&mut self) {
        for job in self.parts.host.bus().meter().told_of() {
            let now = self.parts.clock.now();
            let note = self.notes.entry(job.id.clone()).or_insert_with(|| Note::new(now));
            let missed = match catch_up::since(&*self.parts.ledger, &job, note).await {
                Ok(missed) => missed,
                Err(error) => {
                    warn!(job = job.id.as_str(), "its history could not be read for notifications: {error}");
                    continue;
                }
            };
            for (run, finish) in missed.ends {
                let code = finish.report.outcome.code;
                self.ended(&job, &run, code, finish.finished_at, |occasion, failures, host| {
                    Notice::finished(occasion, &run, &finish, failures, host)
                });
                // Its event may still be on its way.
                if let Some(note) = self.notes.get_mut(&job.id) {
                    note.read.insert(run.id);
                }
            }
            missed.skips.iter().for_each(|skip| self.skipped(skip));
        }
    }

    async fn lagged(&mut self, n_events: u64) {
        debug!(n_events, "notifications could not keep up with the events; the ledger knows what happened");
        self.catch_up().await;
    }

    async fn hear_all(&mut self, first: Event) {
        self.hear(first);
        for _ in 1..EVENTS_AT_ONCE {
            match self.parts.events.try_recv() {
                Ok(event) => self.hear(event),
                Err(broadcast::error::TryRecvError::Lagged(n_events)) => self.lagged(n_events).await,
                Err(_empty_or_closed) => return,
            }
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::RunStarted { run, attempt, .. } => self.started(&run, attempt),
            Event::AttemptEnded { run, .. } => self.watched.ended(run.id),
            Event::RunFinished { run, finish } => {
                self.watched.ended(run.id);
                let Some(job) = self.job(&run.job) else { return };
                let code = finish.report.outcome.code;
                self.ended(&job, &run, code, finish.finished_at, |occasion, failures, host| {
                    Notice::finished(occasion, &run, &finish, failures, host)
                });
            }
            Event::RunCut { cut, is_tried_again: false } => {
                let Some(job) = self.job(&cut.run.job) else { return };
                self.ended(&job, &cut.run, cut.outcome.code, cut.at, |occasion, failures, host| {
                    Notice::was_cut(occasion, &cut, failures, host)
                });
            }
            Event::Skipped(skip) => self.skipped(&skip),
            Event::JobAdded { job, .. } | Event::JobChanged { job, .. } => {
                if let Some(job) = self.job(&job) {
                    self.take_note(&job);
                }
            }
            Event::JobRemoved(job) if self.notes.remove(&job).is_some() => self.unkept.push(papers::note_gone(&job)),
            _ => {}
        }
    }

    /// The definition of a job, where somebody wants to be told of it.
    fn job(&self, job: &JobId) -> Option<Arc<Job>> {
        self.parts.host.bus().meter().job(job).filter(|job| !job.notify.is_empty())
    }

    /// Begins to know of a job that somebody wants to be told of, so that nothing is lost that ends after a crash.
    fn take_note(&mut self, job: &Job) {
        let now = self.parts.clock.now();
        if !self.notes.contains_key(&job.id) {
            let mut note = Note::new(now);
            self.unkept.push(papers::note(&job.id, &mut note, now));
            self.notes.insert(job.id.clone(), note);
        }
    }

    fn started(&mut self, run: &Arc<Run>, attempt: u32) {
        let Some(job) = self.job(&run.job) else { return };
        let (now, monotonic) = (self.parts.clock.now(), self.parts.clock.monotonic());
        let channels = self.parts.channels.borrow().clone();
        let due = wishes(&job, &channels).filter_map(|(name, on)| {
            let after = on.too_long?.after(job.limits.timeout);
            Some((monotonic.saturating_add(after), name.clone()))
        });
        self.watched.began(run, now, due.collect());
        if attempt == 1 {
            let late = now.signed_duration_since(run.due_at).to_std().unwrap_or_default();
            let host = self.parts.host_name.clone();
            self.tell(&job, Happening::Started { late }, 0, |occasion| Notice::started(occasion, run, now, &host));
        }
    }

    fn ended(
        &mut self,
        job: &Arc<Job>,
        run: &Run,
        code: OutcomeCode,
        at: DateTime<Utc>,
        notice: impl Fn(Occasion, u32, &str) -> Notice,
    ) {
        let note = self.notes.entry(job.id.clone()).or_insert_with(|| Note::new(at));
        let Some(before) = note.ended(run.id, code, at) else { return };
        let failures = note.failures;
        let host = self.parts.host_name.clone();
        self.tell(job, Happening::Ended(code), before, |occasion| {
            // A recovery says how many failures it ends.
            notice(occasion, if occasion == Occasion::Recovery { before } else { failures }, &host)
        });
    }

    fn skipped(&mut self, skip: &Skip) {
        let is_missed = match skip.reason {
            SkipReason::Misfired | SkipReason::Overloaded => true,
            // These are what its owner has written or asked for.
            SkipReason::Coalesced
            | SkipReason::Overlapping
            | SkipReason::Paused
            | SkipReason::Removed
            | SkipReason::Cancelled => false,
        };
        let Some(job) = self.job(&skip.job).filter(|_| is_missed) else { return };
        let note = self.notes.entry(job.id.clone()).or_insert_with(|| Note::new(skip.at));
        if note.skipped(skip.at) {
            let (failures, host) = (note.failures, self.parts.host_name.clone());
            self.tell(&job, Happening::Missed, failures, |_| Notice::missed(skip, failures, &host));
        }
    }

    /// Puts what is to be told into the outbox of each channel that wants it.
    fn tell(&mut self, job: &Job, happening: Happening, failures: u32, notice: impl Fn(Occasion) -> Notice) {
        let channels = self.parts.channels.borrow().clone();
        let mut is_told = false;
        for (channel, on) in wishes(job, &channels) {
            for occasion in decide(&on, happening, failures) {
                is_told = true;
                self.put(channel.clone(), notice(occasion));
            }
        }
        if let Some(note) = self.notes.get_mut(&job.id).filter(|_| is_told) {
            // The note and what came of it are kept together: a crash tells nothing twice that it need not.
            self.unkept.push(papers::note(&job.id, note, self.parts.clock.now()));
        }
    }

    fn put(&mut self, channel: ChannelName, notice: Notice) {
        let at = self.parts.clock.now();
        self.n_parcels += 1;
        let parcel = Parcel { key: papers::key(at, self.n_parcels), channel, notice: Arc::new(notice), at };
        self.unkept.push(papers::parcel(&parcel));
        if let Some(oldest) = self.outbox.push(parcel) {
            let (channel, job) = (oldest.channel.as_str(), oldest.notice.job());
            error!(channel, job, notice = oldest.notice.id, "too many notices wait; the oldest was dropped");
            self.count(&oldest.channel, Delivery::Dropped);
            self.unkept.push(papers::parcel_gone(&oldest));
        }
    }

    /// Tells of attempts that go on for too long, and drops what waits for channels that are gone.
    fn look_around(&mut self) {
        let now = self.parts.clock.now();
        for (channel, run, since) in self.watched.take_due(self.parts.clock.monotonic()) {
            let notice = Notice::went_on(&run, since, now, &self.parts.host_name);
            self.put(channel, notice);
        }
        let channels = self.parts.channels.borrow().clone();
        for parcel in self.outbox.retain(|channel| channels.contains_key(channel)) {
            let (channel, job) = (parcel.channel.as_str(), parcel.notice.job());
            warn!(channel, job, notice = parcel.notice.id, "not told: the manifest has no such channel any more");
            self.unkept.push(papers::parcel_gone(&parcel));
        }
    }

    /// Starts what can go now.
    fn pump(&mut self) {
        let channels = self.parts.channels.borrow().clone();
        while let Some(parcel) = self.outbox.next(self.parts.clock.monotonic()) {
            let name = parcel.channel.clone();
            let Some(channel) = channels.get(&name).cloned() else {
                self.settle(Some((name, Err(no_channel()))));
                continue;
            };
            let (clock, vault) = (Arc::clone(&self.parts.clock), Arc::clone(&self.parts.vault));
            let delivery = async move { (name, attempt(&channel, &parcel, &*clock, &*vault).await) };
            self.deliveries.spawn_on(delivery, &self.runtime);
        }
        self.parts.host.bus().meter().waiting(self.outbox.waiting());
    }

    /// Notes what came of a delivery.
    fn settle(&mut self, delivered: Option<Delivered>) {
        // A delivery whose own code panics is a fault of the host; its channel waits for the next start.
        let Some((channel, result)) = delivered else {
            return error!("a delivery has failed in the host itself; please report it");
        };
        let now = (self.parts.clock.now(), self.parts.clock.monotonic());
        let undelivered = match result {
            Ok(told) => {
                let Some(parcel) = self.outbox.arrived(&channel) else { return };
                let (job, notice) = (parcel.notice.job(), parcel.notice.id.as_str());
                debug!(channel = channel.as_str(), job, notice, "told: {told}");
                self.count(&channel, Delivery::Sent);
                return self.unkept.push(papers::parcel_gone(&parcel));
            }
            Err(undelivered) => undelivered,
        };
        let why = &undelivered.why;
        match self.outbox.failed(&channel, now, &undelivered) {
            Some(Verdict::Later(pause)) => {
                self.count(&channel, Delivery::Retried);
                warn!(channel = channel.as_str(), "a notice has not arrived and is sent again in {pause:.0?}: {why}");
            }
            Some(Verdict::GivenUp(parcel)) => {
                self.count(&channel, Delivery::Failed);
                let (job, notice) = (parcel.notice.job(), parcel.notice.id.as_str());
                error!(channel = channel.as_str(), job, notice, "a notice was given up: {why}");
                self.unkept.push(papers::parcel_gone(&parcel));
            }
            None => {}
        }
    }

    fn count(&self, channel: &ChannelName, delivery: Delivery) {
        self.parts.host.bus().meter().delivered(&channel.as_str().into(), delivery);
    }

    /// Has notes kept that have changed a while ago.
    fn flush(&mut self) {
        let (now, monotonic) = (self.parts.clock.now(), self.parts.clock.monotonic());
        if monotonic.saturating_sub(self.flushed) < FLUSH_AFTER {
            return;
        }
        self.flushed = monotonic;
        self.keep_dirty(now);
    }

    fn keep_dirty(&mut self, now: DateTime<Utc>) {
        let dirty = self.notes.iter_mut().filter(|(_, note)| note.is_dirty);
        self.unkept.extend(dirty.map(|(job, note)| papers::note(job, note, now)));
    }

    /// Has the ledger keep what it does not know yet. Where it cannot, that is tried again; deliveries go on.
    async fn keep(&mut self) {
        if self.unkept.is_empty() {
            return;
        }
        match self.parts.ledger.commit(self.unkept.clone()).await {
            Ok(_) => self.unkept.clear(),
            Err(LedgerError::Unavailable(why)) if self.unkept.len() < UNKEPT_MAX => {
                debug!("what is to be told is not kept yet: {why}");
            }
            Err(error) => {
                error!("what is to be told is not kept, and would be lost with a crash: {error}");
                self.unkept.clear();
            }
        }
    }

    fn sleep(&self) -> Duration {
        let monotonic = self.parts.clock.monotonic();
        let next = self.outbox.until_next(monotonic);
        let long = self.watched.until_next(monotonic);
        long.into_iter().chain(next).min().unwrap_or(SLEEP_MAX).min(SLEEP_MAX)
    }

    /// Delivers what was never tried, for a moment, and keeps the rest for the next start.
    async fn leave(mut self) {
        while let Ok(event) = self.parts.events.try_recv() {
            self.hear(event);
        }
        self.keep_dirty(self.parts.clock.now());
        self.keep().await;
        let last_words = async {
            while !self.outbox.is_fresh_empty() {
                self.pump();
                match self.deliveries.join_next().await {
                    Some(delivered) => self.settle(delivered.ok()),
                    None => break,
                }
            }
        };
        // What does not arrive in time is still in the ledger.
        drop(tokio::time::timeout(LAST_WORDS, last_words).await);
        self.deliveries.abort_all();
        self.keep().await;
    }
}

async fn attempt(
    channel: &Channel,
    parcel: &Parcel,
    clock: &dyn Clock,
    vault: &dyn Vault,
) -> Result<String, Undelivered> {
    deliver(channel, &parcel.notice, clock.now(), vault).await
}

fn no_channel() -> Undelivered {
    let why = "the manifest has no such channel any more".to_owned();
    Undelivered { why, is_final: true, retry_after: None }
}

/// The channels that a job names and that are there, with what it wants of each.
fn wishes<'w>(job: &'w Job, channels: &'w Channels) -> impl Iterator<Item = (&'w ChannelName, Occasions)> {
    job.notify.iter().filter_map(|Notify { channel, on }| {
        let found = channels.get(channel)?;
        Some((channel, on.unwrap_or(found.on)))
    })
}
