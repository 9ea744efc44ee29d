//! The notifier's task: it owns the notes and the outbox. Events come in, deliveries go out, and the ledger keeps both.

mod hearing;

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::{ChannelName, JobId},
    notify::{Channel, Channels},
    ports::{Clock, DocumentKind, Ledger, Vault},
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
    Notice, Undelivered,
    catch_up::Behind,
    deliver,
    going::Going,
    notes::Note,
    outbox::{Outbox, Parcel, Verdict},
    papers::{self, Unkept},
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
        going: Going::default(),
        behind: Behind::default(),
        deliveries: JoinSet::new(),
        unkept: Unkept::default(),
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
    going: Going,
    behind: Behind,
    deliveries: JoinSet<Delivered>,
    unkept: Unkept,
    n_parcels: u64,
    /// When all notes were last kept.
    flushed: Duration,
}

impl Task {
    async fn work(mut self) {
        self.restore().await;
        loop {
            // Before anything is heard: on a busy host there is always something to hear.
            self.look_around();
            self.flush();
            self.catch_up().await;
            self.unkept.keep(&*self.parts.ledger).await;
            self.pump();
            let sleep = self.sleep();
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                event = self.parts.events.recv() => match event {
                    Ok(event) => self.hear_all(event),
                    Err(RecvError::Lagged(n_events)) => self.lagged(n_events),
                    Err(RecvError::Closed) => break,
                },
                Some(delivered) = self.deliveries.join_next() => self.settle(delivered.ok()),
                () = tokio::time::sleep(sleep) => {}
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
        for job in self.parts.host.bus().meter().told_of() {
            self.catch_up_with(&job).await;
        }
        self.flushed = self.parts.clock.monotonic();
        self.keep_dirty(self.parts.clock.now());
    }

    /// Tells of attempts that go on for too long, and drops what waits for channels that are gone.
    fn look_around(&mut self) {
        let now = self.parts.clock.now();
        for (channel, long) in self.watched.take_due(self.parts.clock.monotonic()) {
            let notice = Notice::went_on(&long, now, &self.parts.host_name);
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
        // What was read by then has been heard.
        if self.parts.events.is_empty() {
            self.notes.values_mut().for_each(|note| note.read.clear());
        }
        self.keep_dirty(now);
    }

    fn keep_dirty(&mut self, now: DateTime<Utc>) {
        for (job, note) in self.notes.iter_mut().filter(|(_, note)| note.is_dirty) {
            self.unkept.push(papers::note(job, note, now));
        }
    }

    fn sleep(&self) -> Duration {
        let monotonic = self.parts.clock.monotonic();
        let next = self.outbox.until_next(monotonic);
        let long = self.watched.until_next(monotonic);
        let behind = self.behind.until_next(monotonic);
        long.into_iter().chain(next).chain(behind).min().unwrap_or(SLEEP_MAX).min(SLEEP_MAX)
    }

    /// Delivers what was never tried, for a moment, and keeps the rest for the next start.
    async fn leave(mut self) {
        while let Ok(event) = self.parts.events.try_recv() {
            self.hear(event);
        }
        self.keep_dirty(self.parts.clock.now());
        self.unkept.keep(&*self.parts.ledger).await;
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
        self.unkept.keep(&*self.parts.ledger).await;
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
