//! The recorder: finishes rows, in batches, and only then tells anybody.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use clockjack_schedule::{
    core::{self, Input, followers_of},
    id::JobId,
    job::RetryOn,
    outcome::OutcomeCode,
    payload::Payload,
    ports::{Again, Change, Finish, LedgerError, LogLevel, LogLine},
    retry::{self, Attempts},
    run::{Skip, SkipReason, Start},
};
use tokio::sync::mpsc;

use super::{
    Bus, Event,
    books::{self, FLUSHES_MAX, Flush},
    crash::crash_point,
    keeper::Keeper,
    pruner::Jobs,
    scheduler::Message,
};

/// How many ended runs one commit takes at the most.
const BATCH_MAX: usize = 1_024;

/// From how many ended runs at once on the next ones are gathered.
const BUSY: usize = 8;

/// How long they are gathered: below what a person or a lateness goal notices.
const GATHER: Duration = Duration::from_millis(1);

/// How many ended runs may wait for the recorder before workers wait too.
pub(super) const ENDED_MAX: usize = 4_096;

/// An attempt that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) start: Start,
    pub(super) finish: Finish,
}

/// What follows from the end of an attempt.
struct Verdict {
    changes: Vec<Change>,
    event: Event,
    input: Input,
    /// How the run counts, or the attempt that a stop cut.
    counted: Option<(JobId, OutcomeCode)>,
}

/// What happened since the host started, by job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Runs by job and outcome.
    pub runs: BTreeMap<JobId, BTreeMap<OutcomeCode, u64>>,
    /// Skipped slots by job and reason.
    pub skips: BTreeMap<JobId, BTreeMap<&'static str, u64>>,
}

/// The counts, shared by those who count and those who read.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    summary: Arc<Mutex<Summary>>,
    n_finished: Arc<AtomicUsize>,
}

impl Counts {
    fn summary(&self) -> MutexGuard<'_, Summary> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read(&self) -> Summary {
        self.summary().clone()
    }

    pub(super) fn n_finished(&self) -> usize {
        self.n_finished.load(Relaxed)
    }

    pub(super) fn skipped(&self, skip: &Skip) {
        let reason: SkipReason = skip.reason;
        *self.summary().skips.entry(skip.job.clone()).or_default().entry(reason.as_str()).or_default() += skip.count;
    }

    /// Counts runs that have ended, and the attempts that were cut, whose runs end in another life of the host.
    pub(super) fn finished(&self, job: &JobId, code: OutcomeCode) {
        let mut summary = self.summary();
        // Most runs are of a job that is known already; a clone of its id would be thrown away.
        match summary.runs.get_mut(job) {
            Some(outcomes) => *outcomes.entry(code).or_default() += 1,
            None => *summary.runs.entry(job.clone()).or_default().entry(code).or_default() += 1,
        }
    }
}

/// The recorder's task.
pub(super) struct Recorder {
    pub(super) keeper: Keeper,
    pub(super) bus: Bus,
    pub(super) counts: Counts,
    pub(super) jobs: Jobs,
    pub(super) ended: mpsc::Receiver<Ended>,
    pub(super) flushes: mpsc::Receiver<Flush>,
    pub(super) inbox: mpsc::Sender<Message>,
}

impl Recorder {
    /// Records until every worker is gone.
    pub(super) async fn work(mut self) -> Result<(), LedgerError> {
        let (mut batch, mut flushes) = (Vec::new(), Vec::new());
        loop {
            let n_ended = tokio::select! {
                n_ended = self.ended.recv_many(&mut batch, BATCH_MAX) => Some(n_ended),
                1.. = self.flushes.recv_many(&mut flushes, FLUSHES_MAX) => None,
            };
            let Some(n_ended) = n_ended else {
                books::keep(&*self.keeper.ledger, std::mem::take(&mut flushes)).await?;
                continue;
            };
            if n_ended == 0 {
                return Ok(());
            }
            self.record(std::mem::take(&mut batch)).await?;
            if BUSY <= n_ended {
                // Under load the next runs are gathered into one commit instead of waking this task for each.
                tokio::time::sleep(GATHER).await;
            }
        }
    }

    async fn record(&self, batch: Vec<Ended>) -> Result<(), LedgerError> {
        let n_attempts = batch.len();
        let (mut changes, mut events, mut counted, mut kept) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut inputs, mut settled) = (Vec::with_capacity(n_attempts), Vec::new());
        for mut ended in batch {
            settled.extend(books::settle(&mut ended.finish));
            kept.push(Arc::clone(&ended.start.job));
            let verdict = judge(ended);
            changes.extend(verdict.changes);
            events.push(verdict.event);
            inputs.push(verdict.input);
            counted.extend(verdict.counted);
        }
        crash_point!("recorder::before_commit");
        let committed = self.keeper.commit(changes).await?;
        crash_point!("recorder::after_commit");
        settled.into_iter().for_each(|settled| settled.conclude(&committed.stale_states));
        self.counts.n_finished.fetch_add(n_attempts, Relaxed);
        counted.iter().for_each(|(job, code)| self.counts.finished(job, *code));
        self.jobs.grew(kept.iter().map(|job| (&job.id, job.policy.keep)));
        if 0 < committed.n_stale {
            tracing::warn!(n_runs = committed.n_stale, "runs ended that had ended before; their results were dropped");
        }
        // Who hears of the end of a run may ask for another one at once, which the end is to reach first. After shutdown
        // nobody reads the inbox any more; the rows are finished all the same.
        if let Ok(place) = self.inbox.reserve().await {
            place.send(Message::Inputs(inputs));
        }
        events.into_iter().for_each(|event| self.bus.publish(event));
        Ok(())
    }
}

/// Whether the run ends with this attempt, and what follows from it. The runs of a chain are planned in the commit that
/// ends the run that they follow: a crash leaves both or neither.
fn judge(ended: Ended) -> Verdict {
    let Ended { start, mut finish } = ended;
    let Start { run, attempt, n_interrupted, job, followers, .. } = start;
    let code = finish.report.outcome.code;
    let is_cut = code == OutcomeCode::Interrupted && !finish.report.outcome.is_replaced();
    // It is nothing to record. What was cut goes on with what is in force.
    let pin = finish.report.code.take();
    let pin = pin.filter(|_| job.policy.retry_on == RetryOn::Same && code != OutcomeCode::Interrupted);
    let n_interrupted = n_interrupted + u32::from(code == OutcomeCode::Interrupted);
    let attempts = Attempts { n_ended: attempt, n_interrupted };
    let next = retry::next_after(&job.policy, run.id, attempts, &finish.report.outcome);
    if let Some(delay) = next {
        let retry_at = finish.finished_at + delay;
        let again = Arc::new(Again { finish, retry_at });
        return Verdict {
            changes: vec![Change::Again(Arc::clone(&again))],
            event: Event::AttemptEnded { run: Arc::clone(&run), again },
            counted: is_cut.then(|| (run.job.clone(), code)),
            input: Input::Again { run, n_attempts: attempt, n_interrupted, retry_at, code: pin },
        };
    }
    let is_followed = followers.iter().any(|follower| follower.on.matches(code));
    let payload = if is_followed { payload_of(&mut finish) } else { None };
    let finish = Arc::new(finish);
    let followers = followers_of(&run, code, payload.as_ref(), &followers, finish.finished_at);
    let plans = followers.iter().map(|run| Change::Plan(Arc::clone(run)));
    let input = core::Ended {
        run: Arc::clone(&run),
        finished_at: finish.finished_at,
        succeeded: code == OutcomeCode::Succeeded,
        followers: followers.clone(),
    };
    Verdict {
        changes: plans.chain([Change::Finish(Arc::clone(&finish))]).collect(),
        counted: Some((run.job.clone(), code)),
        event: Event::RunFinished { run, finish },
        input: Input::Ended(input),
    }
}

/// What a run returned, for the runs that follow. What is too large for them is said in the log of the run.
fn payload_of(finish: &mut Finish) -> Option<Payload> {
    match Payload::new(finish.report.outcome.output.clone()?) {
        Ok(payload) => Some(payload),
        Err(error) => {
            let message = format!("the runs after it get no payload from its output: {error}");
            let (at, level) = (finish.finished_at, LogLevel::Warn);
            finish.report.logs.push(LogLine { at, level, message, fields: Vec::new() });
            None
        }
    }
}
