//! The scheduler's task: it owns the core. One input at a time, commit before act, and a sleep that is capped.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    core::{Core, Input},
    ports::{Change, Clock, Ledger, LedgerError},
    run::{Decision, Run, SkipReason},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Bus, Event, dispatcher::Dispatcher, recorder::Counts};

/// Longest sleep. The wall clock is read again at least this often, so that suspend and clock steps heal themselves.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// How many batches of inputs may wait.
pub(super) const INBOX_MAX: usize = 1_024;

/// The scheduler's task.
pub(super) struct Scheduler {
    pub(super) core: Core,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) bus: Bus,
    pub(super) counts: Counts,
    pub(super) dispatcher: Dispatcher,
    pub(super) inbox: mpsc::Receiver<Vec<Input>>,
    pub(super) stop: CancellationToken,
    pub(super) told_wake: Option<DateTime<Utc>>,
    /// Inputs that came of the last turn itself.
    pub(super) left_over: Vec<Input>,
}

impl Scheduler {
    /// Schedules until it is told to stop.
    pub(super) async fn work(mut self) -> Result<(), LedgerError> {
        loop {
            let sleep = self.sleep();
            let inputs = tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    self.dispatcher.drain(self.core.take_waiting());
                    return Ok(());
                }
                inputs = self.inbox.recv() => inputs.unwrap_or_default(),
                () = tokio::time::sleep(sleep) => Vec::new(),
            };
            self.turn(inputs).await?;
        }
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
        wait.min(SLEEP_MAX)
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

    async fn turn(&mut self, mut inputs: Vec<Input>) -> Result<(), LedgerError> {
        let now = self.clock.now();
        let mut decisions = Vec::new();
        inputs.append(&mut self.left_over);
        let mut batch = Some(inputs);
        while let Some(inputs) = batch {
            for input in inputs {
                self.enter(now, input, &mut decisions);
            }
            batch = self.inbox.try_recv().ok();
        }
        decisions.extend(self.core.handle(now, Input::Tick));
        self.carry_out(decisions).await
    }

    fn enter(&mut self, now: DateTime<Utc>, input: Input, decisions: &mut Vec<Decision>) {
        let added = match &input {
            Input::Add { job, .. } => Some(Arc::clone(job)),
            _ => None,
        };
        decisions.extend(self.core.handle(now, input));
        if let Some(job) = added {
            let next = self.core.next_slot(&job.id);
            self.bus.publish(Event::JobAdded { job: job.id.clone(), next, trigger: job.trigger.describe().into() });
        }
    }

    /// Commits what was decided, and only then acts on it.
    async fn carry_out(&mut self, decisions: Vec<Decision>) -> Result<(), LedgerError> {
        let changes: Vec<_> = decisions.iter().filter_map(Change::of_decision).collect();
        if !changes.is_empty() {
            self.ledger.commit(changes).await?;
        }
        let (mut starts, mut cancels) = (Vec::new(), Vec::new());
        for decision in decisions {
            match decision {
                Decision::Start(run) => starts.push(run),
                Decision::Cancel { run, reason } => cancels.push((run, reason)),
                Decision::Skip(skip) => {
                    self.counts.skipped(&skip);
                    self.bus.publish(Event::Skipped(skip));
                }
                Decision::Seen { .. } | Decision::Plan(_) | Decision::TakeBack(_) | Decision::Watermark(_) => {}
            }
        }
        let overflow = if starts.is_empty() { Vec::new() } else { self.dispatcher.submit(starts) };
        // After the starts: a run may be started and replaced in one turn.
        cancels.into_iter().for_each(|(run, reason)| self.dispatcher.cancel(run, reason));
        self.give_up(overflow).await
    }

    /// Skips runs for which the host has no place. Nothing is lost without a reason.
    async fn give_up(&mut self, runs: Vec<Arc<Run>>) -> Result<(), LedgerError> {
        if runs.is_empty() {
            return Ok(());
        }
        let skips: Vec<_> = runs.iter().map(|run| run.skipped(SkipReason::Overloaded)).collect();
        self.ledger.commit(skips.iter().cloned().map(Change::Skip).collect()).await?;
        for skip in skips {
            self.counts.skipped(&skip);
            self.bus.publish(Event::Skipped(skip));
        }
        // For the core they have ended; what follows from that is the business of the next turn.
        self.left_over.extend(runs.iter().map(|run| Input::Finished { job: run.job.clone(), run: run.id }));
        Ok(())
    }
}
