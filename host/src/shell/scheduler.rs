//! The scheduler's task: it owns the core. One turn at a time, commit before act, and a sleep that is capped.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    core::{self, Core, Input, LATE_AFTER, Past},
    id::JobId,
    job::Job,
    ports::{self, Clock, LedgerError, Loaded},
    run::{Decision, SkipReason, Start},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    Bus, Event,
    crash::crash_point,
    dispatcher::{Dispatcher, STALE_AFTER, reload::NewCode},
    handle::{CodeChange, Definition, Pausing},
    keeper::Keeper,
    notices::News,
    pruner::Jobs,
    recorder::Counts,
};

/// Longest sleep. The wall clock is read again at least this often, so that suspend and clock steps heal themselves.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// How many batches of inputs may wait.
pub(super) const INBOX_MAX: usize = 1_024;

/// From how far on a step of the clock is told; below it a clock that is kept right by small corrections is meant.
const STEP_MIN: TimeDelta = TimeDelta::seconds(1);

/// What comes into the inbox.
#[derive(Debug)]
pub(super) enum Message {
    /// Inputs for the core, in their order.
    Inputs(Vec<Input>),
    /// The wish that something is paused or goes on.
    Pausing(Box<Pausing>),
    /// Another set of jobs.
    Change(Change),
    /// Other code for jobs.
    Code(NewCodes),
    /// The wish to know how a job is defined.
    Define {
        /// Which.
        job: JobId,
        /// Told what is known of it.
        answer: oneshot::Sender<Option<Definition>>,
    },
}

/// Other code for jobs, which the executor has by now.
#[derive(Debug)]
pub(super) struct NewCodes {
    /// The generation that each of them runs.
    pub(super) generations: Vec<CodeChange>,
    /// Told when their attempts that go on are told.
    pub(super) done: oneshot::Sender<()>,
}

/// Another set of jobs.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) added: Vec<Arc<Job>>,
    pub(super) changed: Vec<Arc<Job>>,
    pub(super) removed: Vec<JobId>,
    /// Told when it is done, or why it cannot be done; then nothing has changed.
    pub(super) done: oneshot::Sender<Result<(), LedgerError>>,
}

/// What a ledger knows, by job.
pub(super) fn pasts(loaded: Loaded) -> HashMap<JobId, Box<Past>> {
    let Loaded { jobs, watermark } = loaded;
    jobs.into_iter().map(|row| (row.state.job.clone(), Box::new(Past { row, watermark }))).collect()
}

/// The scheduler's task.
pub(super) struct Scheduler {
    pub(super) core: Core,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) keeper: Keeper,
    pub(super) bus: Bus,
    pub(super) counts: Counts,
    pub(super) dispatcher: Dispatcher,
    pub(super) jobs: Jobs,
    pub(super) inbox: mpsc::Receiver<Message>,
    /// A change of the set of jobs that waits for a turn of its own.
    pub(super) change: Option<Change>,
    pub(super) stop: CancellationToken,
    pub(super) told_wake: Option<DateTime<Utc>>,
    /// Both clocks at the last turn.
    pub(super) last_turn: Option<(DateTime<Utc>, Duration)>,
    /// Inputs that came of the last turn itself.
    pub(super) left_over: Vec<Input>,
    /// What is told of the turn when it is kept.
    pub(super) news: News,
}

impl Scheduler {
    /// Schedules until it is told to stop.
    pub(super) async fn work(mut self) -> Result<(), LedgerError> {
        loop {
            if let Some(change) = self.change.take() {
                self.change_jobs(change).await?;
                continue;
            }
            let sleep = self.sleep();
            let message = tokio::select! {
                biased;
                () = self.stop.cancelled() => return self.release().await,
                message = self.inbox.recv() => message,
                () = tokio::time::sleep(sleep) => None,
            };
            self.keeper.free().await;
            if self.stop.is_cancelled() {
                return self.release().await;
            }
            let inputs = self.inputs_of(message);
            self.turn(inputs).await?;
        }
    }

    /// The inputs of a message; a change of the jobs is put by for a turn of its own.
    fn inputs_of(&mut self, message: Option<Message>) -> Vec<Input> {
        match message {
            Some(Message::Inputs(inputs)) => inputs,
            Some(Message::Pausing(wish)) => {
                let Pausing { input, asker, is_news } = *wish;
                self.news.asks(asker, is_news);
                vec![input]
            }
            Some(Message::Change(change)) => {
                self.change = Some(change);
                Vec::new()
            }
            Some(Message::Code(codes)) => {
                self.replace_code(codes);
                Vec::new()
            }
            Some(Message::Define { job, answer }) => {
                // Whoever asked may not wait for it.
                let _listened = answer.send(self.definition(&job));
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn definition(&self, job: &JobId) -> Option<Definition> {
        let (first_seen, is_paused) = self.core.known(job)?;
        let job = Arc::clone(self.core.job(job)?);
        Some(Definition { job, first_seen, is_paused })
    }

    /// Changes the set of jobs. What the ledger knows of jobs that come back is read here, where every earlier decision
    /// is durable and none is made meanwhile.
    async fn change_jobs(&mut self, change: Change) -> Result<(), LedgerError> {
        let Change { added, changed, removed, done } = change;
        let loaded = if added.is_empty() { Ok(Loaded::default()) } else { self.keeper.ledger.load().await };
        let mut pasts = match loaded {
            Ok(loaded) => pasts(loaded),
            Err(error) => {
                drop(done.send(Err(error)));
                return Ok(());
            }
        };
        let removals = removed.into_iter().map(Input::Remove);
        let changes = changed.into_iter().map(Input::Change);
        let additions = added.into_iter().map(|job| {
            let past = pasts.remove(&job.id);
            Input::Add { job, past }
        });
        let inputs = removals.chain(changes).chain(additions).collect();
        let turned = self.turn(inputs).await;
        drop(done.send(Ok(())));
        turned
    }

    /// Has done to attempts that go on what their jobs, as they are by now, want for other code.
    fn replace_code(&self, codes: NewCodes) {
        let NewCodes { generations, done } = codes;
        let new = |CodeChange { job, generation }| {
            let on_reload = self.core.job(&job)?.policy.on_reload;
            Some((job, NewCode { generation, on_reload }))
        };
        self.dispatcher.replace_code(&generations.into_iter().filter_map(new).collect());
        // Whoever asked may not wait for it.
        let _listened = done.send(());
    }

    /// Gives back what was claimed and has not begun, so that the next start of the host knows that it has not.
    async fn release(&self) -> Result<(), LedgerError> {
        let changes: Vec<_> = self.dispatcher.drain().iter().map(released).collect();
        if !changes.is_empty() {
            self.keeper.commit(changes).await?;
        }
        Ok(())
    }

    /// How long until the core wants its next turn, by the wall clock of now.
    fn sleep(&mut self) -> Duration {
        if !self.left_over.is_empty() {
            return Duration::ZERO;
        }
        let now = self.clock.now();
        self.tell_next_wake(now);
        let wait = self
            .core
            .next_wake()
            .map_or(SLEEP_MAX, |wake| wake.signed_duration_since(now).to_std().unwrap_or_default());
        let drained = self.dispatcher.end_drained().unwrap_or(SLEEP_MAX);
        wait.min(drained).min(if self.dispatcher.has_waiting() { STALE_AFTER } else { SLEEP_MAX })
    }

    fn tell_next_wake(&mut self, now: DateTime<Utc>) {
        let Some((at, job)) = self.core.next_due() else { return };
        if self.told_wake == Some(at) || !self.bus.has_listeners() {
            return;
        }
        self.told_wake = Some(at);
        let wait = at.signed_duration_since(now).to_std().unwrap_or_default();
        self.bus.publish(Event::NextWake { at, wait, job: job.clone() });
    }

    /// Compares the two clocks since the last turn.
    fn look_at_clocks(&mut self, now: DateTime<Utc>) {
        let monotonic = self.clock.monotonic();
        if let Some((wall_before, monotonic_before)) = self.last_turn {
            let passed = TimeDelta::from_std(monotonic.saturating_sub(monotonic_before)).unwrap_or(TimeDelta::MAX);
            let by = now.signed_duration_since(wall_before) - passed;
            if STEP_MIN <= by.abs() {
                self.bus.publish(Event::ClockStepped { by });
            }
        }
        self.last_turn = Some((now, monotonic));
    }

    async fn turn(&mut self, mut inputs: Vec<Input>) -> Result<(), LedgerError> {
        let now = self.clock.now();
        self.look_at_clocks(now);
        let mut decisions = Vec::new();
        let stale = self.dispatcher.take_stale(|start| is_too_late(start, now));
        let changes = stale.iter().map(released).collect();
        self.news.wait_again(&stale);
        inputs.append(&mut self.left_over);
        inputs.extend(stale.into_iter().map(|start| Input::Unstarted(Box::new(start))));
        let mut batch = Some(inputs);
        while let Some(inputs) = batch {
            for input in inputs {
                self.enter(now, input, &mut decisions);
            }
            // What comes after a change of the jobs waits until that is done.
            let message = if self.change.is_none() { self.inbox.try_recv().ok() } else { None };
            batch = message.map(|message| self.inputs_of(Some(message)));
        }
        decisions.extend(self.core.handle(now, Input::Tick));
        self.bus.meter().turned(now, self.core.pools());
        self.carry_out(now, changes, decisions).await
    }

    fn enter(&mut self, now: DateTime<Utc>, input: Input, decisions: &mut Vec<Decision>) {
        let mark = self.news.mark(&self.core, &input, decisions.len());
        let told = match &input {
            Input::Add { job, .. } | Input::Change(job) => {
                self.jobs.add(Arc::clone(job));
                let row = if let Input::Add { past: Some(past), .. } = &input { Some(&past.row) } else { None };
                self.bus.meter().job_in_force(job, row);
                let known = self.core.job(&job.id);
                let is_told = known.is_none_or(|known| known != job);
                is_told.then(|| (job.id.clone(), known.is_none(), self.core.next_slot(&job.id)))
            }
            Input::Remove(job) => {
                self.jobs.gone(job);
                self.bus.meter().job_gone(job);
                self.news.of_job(&self.bus, || Event::JobRemoved(job.clone()));
                None
            }
            Input::Forget(past) => {
                self.jobs.gone(&past.row.state.job);
                None
            }
            Input::Pools(pools) => {
                self.dispatcher.resize(pools);
                self.news.pools(pools);
                None
            }
            _ => None,
        };
        decisions.extend(self.core.handle(now, input));
        self.news.pauses(&self.core, &mark, decisions);
        let Some((job, is_new, before)) = told else { return };
        if mark.is_known && !self.bus.has_listeners() {
            return;
        }
        let (core, is_known) = (&self.core, mark.is_known);
        let next = core.next_slot(&job);
        let event = || match is_new {
            true => {
                let trigger = core.job(&job).map(|job| job.describe()).unwrap_or_default().into();
                Event::JobAdded { job, is_known, next, trigger }
            }
            false => Event::JobChanged { job, before, next },
        };
        if is_known { self.bus.publish(event()) } else { self.news.of_job(&self.bus, event) }
    }

    /// Commits what was decided, and only then acts on it.
    async fn carry_out(
        &mut self,
        now: DateTime<Utc>,
        mut changes: Vec<ports::Change>,
        decisions: Vec<Decision>,
    ) -> Result<(), LedgerError> {
        changes.extend(decisions.iter().filter_map(|decision| ports::Change::of_decision(decision, now)));
        let mut unclaimed = Vec::new();
        if !changes.is_empty() {
            crash_point!("scheduler::before_commit");
            unclaimed = self.keeper.commit(changes).await?.unclaimed;
            crash_point!("scheduler::after_commit");
        }
        self.news.tell(&self.bus);
        let (mut starts, mut cancels) = (Vec::new(), Vec::new());
        for decision in decisions {
            match decision {
                // What the ledger knows to have ended, or to belong to another attempt, does not begin again: a slot that
                // comes back after the clock was set back, a request under a key that was answered.
                Decision::Start(start) if unclaimed.contains(&start.run.id) => self.left_over.push(ended(*start, now)),
                Decision::Start(start) => starts.push(*start),
                Decision::Cancel { run, reason } => cancels.push((run, reason)),
                Decision::Skip(skip) => {
                    let keep = self.core.job(&skip.job).map(|job| job.policy.keep);
                    self.jobs.grew(keep.map(|keep| (&skip.job, keep)).into_iter());
                    self.counts.skipped(&skip);
                    self.bus.publish(Event::Skipped(skip));
                }
                Decision::Again(cut) => self.bus.publish(Event::RunCut { cut, is_tried_again: true }),
                Decision::End(cut) => {
                    self.counts.finished(&cut.run.job, cut.outcome.code);
                    self.bus.publish(Event::RunCut { cut, is_tried_again: false });
                }
                Decision::Job(state) => self.bus.meter().job_state(&state),
                Decision::Plan(_) | Decision::TakeBack { .. } | Decision::Watermark(_) => {}
            }
        }
        let starts = self.give_up_late(now, starts).await?;
        if !starts.is_empty() {
            let new = starts.iter().filter(|start| self.news.is_queued_now(start));
            self.bus.queued(&new.map(|start| (&start.run, start.attempt)).collect::<Vec<_>>());
            self.dispatcher.submit(starts);
        }
        // After the starts: a run may be started and replaced in one turn.
        cancels.into_iter().for_each(|(run, reason)| self.dispatcher.cancel(run, reason));
        Ok(())
    }

    /// Where the commit itself took long, some runs are too late by now: those are skipped, for the same reason as if they
    /// had waited anywhere else.
    async fn give_up_late(&mut self, decided_at: DateTime<Utc>, starts: Vec<Start>) -> Result<Vec<Start>, LedgerError> {
        let now = self.clock.now();
        if now - decided_at <= LATE_AFTER {
            return Ok(starts);
        }
        let (late, starts): (Vec<_>, Vec<_>) = starts.into_iter().partition(|start| is_too_late(start, now));
        if late.is_empty() {
            return Ok(starts);
        }
        let skips: Vec<_> = late.iter().map(|start| start.run.skipped(SkipReason::Misfired, now)).collect();
        self.keeper.commit(skips.iter().cloned().map(ports::Change::Skip).collect()).await?;
        for skip in skips {
            self.counts.skipped(&skip);
            self.bus.publish(Event::Skipped(skip));
        }
        // For the core they have ended; what follows from that is the business of the next turn.
        self.left_over.extend(late.into_iter().map(|start| ended(start, now)));
        Ok(starts)
    }
}

/// That a run that was started has ended without having begun.
fn ended(start: Start, now: DateTime<Utc>) -> Input {
    Input::Ended(core::Ended { run: start.run, finished_at: now, succeeded: false, followers: Vec::new() })
}

/// That an attempt has not begun and will not now.
fn released(start: &Start) -> ports::Change {
    ports::Change::Release { job: start.run.job.clone(), run: start.run.id }
}

fn is_too_late(start: &Start, now: DateTime<Utc>) -> bool {
    let grace = start.job.policy.misfire_grace.and_then(|grace| TimeDelta::from_std(grace).ok());
    start.attempt == 1 && !start.run.is_backfill() && grace.is_some_and(|grace| grace < now - start.run.due_at)
}
