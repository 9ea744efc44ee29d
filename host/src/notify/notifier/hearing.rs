//! What the notifier makes of what happened: whether it is news, for whom, and what of it the ledger is to keep.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::{ChannelName, JobId},
    job::Job,
    notify::{Channels, Happening, Notify, Occasion, Occasions, decide},
    outcome::OutcomeCode,
    run::{Run, Skip, SkipReason},
};
use tokio::sync::broadcast::error::TryRecvError;
use tracing::{debug, error, warn};

use super::{
    super::{Notice, catch_up, notes::Note, outbox::Parcel, papers, watched::Long},
    Task,
};
use crate::{metrics::Delivery, shell::Event};

/// How many events are heard before anything else is done.
const EVENTS_AT_ONCE: usize = 512;

impl Task {
    /// Looks at the history of a few jobs of which events were lost.
    pub(super) async fn catch_up(&mut self) {
        for id in self.behind.take_due(self.parts.clock.monotonic()) {
            if let Some(job) = self.job(&id) {
                self.catch_up_with(&job).await;
            }
        }
    }

    /// Tells of what a job's history says, and its note does not know.
    pub(super) async fn catch_up_with(&mut self, job: &Arc<Job>) {
        let now = self.parts.clock.now();
        let note = self.notes.entry(job.id.clone()).or_insert_with(|| Note::new(now));
        let missed = match catch_up::since(&*self.parts.ledger, job, note).await {
            Ok(missed) => missed,
            Err(error) => {
                warn!(job = job.id.as_str(), "its history could not be read for notifications: {error}");
                return self.behind.add([job.id.clone()], self.parts.clock.monotonic());
            }
        };
        note.read.clear();
        for (run, finish) in missed.ends {
            let code = finish.report.outcome.code;
            self.watched.ended(run.id);
            self.ended(job, &run, code, finish.finished_at, |occasion, failures, host| {
                Notice::finished(occasion, &run, &finish, failures, host)
            });
            // Its event may still be on its way.
            if let Some(note) = self.notes.get_mut(&job.id) {
                note.read.insert(run.id);
            }
        }
        missed.skips.iter().for_each(|skip| self.skipped(skip));
    }

    /// Events were lost, nobody knows of which jobs.
    pub(super) fn lagged(&mut self, n_events: u64) {
        debug!(n_events, "notifications could not keep up with the events; the ledger knows what happened");
        let told_of = self.parts.host.bus().meter().told_of();
        self.behind.add(told_of.into_iter().map(|job| job.id.clone()), self.parts.clock.monotonic());
        for job in self.going.forget() {
            self.forget(&job);
        }
    }

    pub(super) fn hear_all(&mut self, first: Event) {
        self.hear(first);
        for _ in 1..EVENTS_AT_ONCE {
            match self.parts.events.try_recv() {
                Ok(event) => self.hear(event),
                Err(TryRecvError::Lagged(n_events)) => self.lagged(n_events),
                Err(_empty_or_closed) => return,
            }
        }
    }

    pub(super) fn hear(&mut self, event: Event) {
        match event {
            Event::RunStarted { run, attempt, .. } => self.started(&run, attempt),
            Event::AttemptEnded { run, .. } => self.watched.ended(run.id),
            Event::RunFinished { run, finish } => {
                let code = finish.report.outcome.code;
                self.over(&run, code, finish.finished_at, |occasion, failures, host| {
                    Notice::finished(occasion, &run, &finish, failures, host)
                });
            }
            Event::RunCut { cut, is_tried_again: false } => {
                self.over(&cut.run, cut.outcome.code, cut.at, |occasion, failures, host| {
                    Notice::was_cut(occasion, &cut, failures, host)
                });
            }
            Event::Skipped(skip) => {
                if !self.behind.has(&skip.job) {
                    self.skipped(&skip);
                }
                if skip.run.is_some_and(|run| self.going.ended(run).is_some()) {
                    self.forget_if_over(&skip.job);
                }
            }
            Event::JobAdded { job, .. } | Event::JobChanged { job, .. } => {
                self.going.is_there(&job);
                if let Some(job) = self.job(&job) {
                    self.take_note(&job);
                }
            }
            Event::JobRemoved(job) if self.going.is_gone(&job) => self.forget(&job),
            _ => {}
        }
    }

    /// Forgets what is known of a job.
    fn forget(&mut self, job: &JobId) {
        if self.notes.remove(job).is_some() {
            self.unkept.push(papers::note_gone(job));
        }
    }

    fn forget_if_over(&mut self, job: &JobId) {
        if self.going.is_over(job) {
            self.forget(job);
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
        self.going.began(run.id, &job);
        let (now, monotonic) = (self.parts.clock.now(), self.parts.clock.monotonic());
        let channels = self.parts.channels.borrow().clone();
        let due = wishes(&job, &channels).filter_map(|(name, on)| {
            let after = on.too_long?.after(job.limits.timeout);
            Some((monotonic.saturating_add(after), name.clone()))
        });
        self.watched.began(Long { run: Arc::clone(run), attempt, since: now }, due.collect());
        if attempt == 1 {
            let late = now.signed_duration_since(run.due_at).to_std().unwrap_or_default();
            let host = self.parts.host_name.clone();
            self.tell(&job, Happening::Started { late }, 0, |occasion| Notice::started(occasion, run, now, &host));
        }
    }

    /// A run has ended, also one of a job that is gone by now.
    fn over(
        &mut self,
        run: &Run,
        code: OutcomeCode,
        at: DateTime<Utc>,
        notice: impl Fn(Occasion, u32, &str) -> Notice,
    ) {
        self.watched.ended(run.id);
        let begun = self.going.ended(run.id);
        let now = self.parts.host.bus().meter().job(&run.job);
        // What its history will tell is not told twice; what that leaves out as known is.
        let is_left = |id: &JobId| self.behind.has(id) && self.notes.get(id).is_none_or(|note| note.seen < at);
        let job = now.or(begun).filter(|job| !job.notify.is_empty() && !is_left(&job.id));
        if let Some(job) = job {
            self.ended(&job, run, code, at, notice);
        }
        self.forget_if_over(&run.job);
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

    pub(super) fn put(&mut self, channel: ChannelName, notice: Notice) {
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
}

/// The channels that a job names and that are there, with what it wants of each.
fn wishes<'w>(job: &'w Job, channels: &'w Channels) -> impl Iterator<Item = (&'w ChannelName, Occasions)> {
    job.notify.iter().filter_map(|Notify { channel, on }| {
        let found = channels.get(channel)?;
        Some((channel, found.tells(*on)))
    })
}
