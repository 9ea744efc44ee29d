//! Functions of the program as jobs: an executor in front of the sandbox's.
//!
//! A function runs on the runtime of the program and not in a sandbox: it may do whatever the program may. What the host
//! does for it is the rest: slots, retries, timeouts, requests to stop, its log, its output, and a panic that stays its own.

use std::{
    collections::HashMap,
    fmt,
    future::{poll_fn, ready},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, RwLock},
    task::Poll,
    time::Duration,
};

use chrono::{DateTime, Utc};
use clockjack_sandbox::SandboxExecutor;
use clockjack_schedule::{
    id::{JobId, RunId},
    job::Limits,
    manifest::scalar::{parse_duration, show_duration, show_size},
    outcome::{Again, Outcome, OutcomeCode, json_bytes},
    payload::Payload,
    ports::{Admission, Attempt, Clock, Executor, LogLevel, LogLine, PortFuture, Report, Said, Usage},
    stop::Stop,
};
use serde_json::Value as Json;
use tokio::{
    runtime::Handle,
    task::{JoinError, JoinHandle},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::job::Job;
use crate::clock::SystemClock;

/// How long a function that is asked to stop may take to end by itself; a guest has as long.
const STOP_GRACE: Duration = Duration::from_millis(250);

/// Most log lines of an attempt that are kept; the first ones.
const LOG_LINES_MAX: usize = 1_000;

/// Longest log line, and longest message of progress, in bytes.
const LINE_BYTES_MAX: usize = 8 << 10;

/// Longest message of an error or of a panic, in bytes.
const MESSAGE_BYTES_MAX: usize = 2_000;

/// What a function of the program gives back: its output, or why it failed.
pub type JobResult = Result<Json, JobError>;

/// A function of the program.
pub(super) type Function = Arc<dyn Fn(Context) -> Pin<Box<dyn Future<Output = JobResult> + Send>> + Send + Sync>;

/// Why a function of the program did not succeed. Any error becomes one with `?`.
///
/// ```
/// use std::time::Duration;
/// use clockjack::JobError;
///
/// fn read() -> Result<String, JobError> {
///     let text = std::fs::read_to_string("a-file-that-is-not-there")?;
///     if text.is_empty() {
///         return Err(JobError::retry_after("nothing there yet", Duration::from_secs(30)));
///     }
///     Ok(text)
/// }
/// assert!(read().is_err());
/// ```
#[derive(Clone, Debug)]
pub struct JobError {
    code: OutcomeCode,
    message: String,
    again: Again,
}

impl JobError {
    /// A failure; `retry` of the job says whether it is tried again.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self { code: OutcomeCode::Failed, message: message.to_string(), again: Again::AsPolicySays }
    }

    /// A failure that trying again does not mend.
    pub fn permanent(message: impl fmt::Display) -> Self {
        Self { again: Again::Never, ..Self::failed(message) }
    }

    /// A failure that is not to be tried again before this time has passed.
    pub fn retry_after(message: impl fmt::Display, time: Duration) -> Self {
        Self { again: Again::After(time), ..Self::failed(message) }
    }

    /// There was nothing to do. The run counts as `skipped`, which is no failure.
    pub fn skipped(message: impl fmt::Display) -> Self {
        Self { code: OutcomeCode::Skipped, ..Self::failed(message) }
    }

    fn into_outcome(self) -> Outcome {
        Outcome { again: self.again, ..Outcome::ended(self.code, cut(&self.message, MESSAGE_BYTES_MAX)) }
    }
}

impl<E: std::error::Error> From<E> for JobError {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Self::failed(message)
    }
}

/// What a function of the program is told of its run, and through which it tells how it goes on. Clones are the same.
#[derive(Clone, Debug)]
pub struct Context {
    attempt: Attempt,
    args: Arc<Json>,
    deadline: DateTime<Utc>,
    cancelled: CancellationToken,
    notes: Arc<Mutex<Notes>>,
}

/// What a function has said so far.
#[derive(Debug, Default)]
struct Notes {
    lines: Vec<LogLine>,
    n_lines: u64,
    n_bytes: u64,
    progress: Option<String>,
}

impl Context {
    /// The job.
    #[must_use]
    pub fn job(&self) -> &JobId {
        &self.attempt.run.job
    }

    /// The run; the same for all its attempts.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.attempt.run.id
    }

    /// The slot: the nominal instant, never "now".
    #[must_use]
    pub fn scheduled_for(&self) -> DateTime<Utc> {
        self.attempt.run.scheduled_for
    }

    /// Why it runs: `schedule`, `catch-up of 3`, `api`, and so on.
    #[must_use]
    pub fn cause(&self) -> String {
        self.attempt.run.cause.to_string()
    }

    /// Which attempt, counted from 1, and after which there is no other.
    #[must_use]
    pub fn attempt(&self) -> (u32, u32) {
        (self.attempt.number, self.attempt.number_max)
    }

    /// When the attempt began.
    #[must_use]
    pub fn started_at(&self) -> DateTime<Utc> {
        self.attempt.started_at
    }

    /// When it is ended, if it has not by then.
    #[must_use]
    pub fn deadline(&self) -> DateTime<Utc> {
        self.deadline
    }

    /// The slot of the last run of the job that succeeded.
    #[must_use]
    pub fn last_success(&self) -> Option<DateTime<Utc>> {
        self.attempt.last_success
    }

    /// The arguments of the job; null where it has none.
    #[must_use]
    pub fn args(&self) -> &Json {
        &self.args
    }

    /// What came with the wish for this run, or from the run before it in a chain.
    #[must_use]
    pub fn payload(&self) -> Option<&Json> {
        self.attempt.run.payload.as_ref().map(Payload::json)
    }

    /// Whether somebody wants the run to end. It has a quarter of a second to do so by itself.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    /// Waits until somebody wants the run to end.
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    /// Says how far it is: how much is done, of how much where that is known, and what there is to say to it.
    pub fn progress(&self, done: u64, total: Option<u64>, message: impl fmt::Display) {
        let message = cut(&message.to_string(), LINE_BYTES_MAX);
        let of = total.map_or_else(String::new, |total| format!(" of {total}"));
        let told = if message.is_empty() { String::new() } else { format!(": {message}") };
        self.notes().progress = Some(format!("{done}{of}{told}"));
        self.say(Said::Progress { done, total, message });
    }

    /// Writes a line into the log of the run, with values that belong to it. The first thousand lines are kept.
    pub fn log(&self, level: LogLevel, message: impl fmt::Display, fields: &[(&str, &dyn fmt::Display)]) {
        let message = cut(&message.to_string(), LINE_BYTES_MAX);
        let shown = |(name, value): &(&str, &dyn fmt::Display)| {
            (cut(name, LINE_BYTES_MAX), cut(&value.to_string(), LINE_BYTES_MAX))
        };
        let fields: Vec<_> = fields.iter().map(shown).collect();
        let n_bytes = fields.iter().fold(message.len(), |sum, (name, value)| sum + name.len() + value.len());
        let line = LogLine { at: SystemClock.now(), level, message, fields };
        let mut notes = self.notes();
        notes.n_lines += 1;
        notes.n_bytes += u64::try_from(n_bytes).unwrap_or(u64::MAX);
        if notes.lines.len() < LOG_LINES_MAX {
            notes.lines.push(line.clone());
        }
        drop(notes);
        self.say(Said::Log(line));
    }

    /// Writes a line of level `info`.
    pub fn info(&self, message: impl fmt::Display) {
        self.log(LogLevel::Info, message, &[]);
    }

    /// Writes a line of level `warn`.
    pub fn warn(&self, message: impl fmt::Display) {
        self.log(LogLevel::Warn, message, &[]);
    }

    /// Tells whoever listens while the run goes on.
    fn say(&self, said: Said) {
        if let Some(listener) = &self.attempt.live.0 {
            listener.hear(&self.attempt.run, self.attempt.number, said);
        }
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A function with what it is called with.
#[derive(Clone)]
struct Registered {
    function: Function,
    args: Arc<Json>,
    timeout: Duration,
}

/// The functions that the program has given to jobs. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Functions {
    by_job: Arc<RwLock<HashMap<JobId, Registered>>>,
}

impl Functions {
    /// The functions are those of these jobs from now on. Attempts that go on finish with what they began.
    pub(super) fn put(&self, jobs: &[Job]) {
        let registered = jobs.iter().filter_map(|job| Some((job.id.parse().ok()?, Registered::of(job)?)));
        *self.by_job.write().unwrap_or_else(PoisonError::into_inner) = registered.collect();
    }

    fn get(&self, job: &JobId) -> Option<Registered> {
        self.by_job.read().unwrap_or_else(PoisonError::into_inner).get(job).cloned()
    }
}

impl Registered {
    fn of(job: &Job) -> Option<Self> {
        let timeout = job.keys.get("timeout").and_then(Json::as_str).and_then(|text| parse_duration(text).ok());
        Some(Self {
            function: Arc::clone(job.function.as_ref()?),
            args: Arc::new(job.keys.get("args").cloned().unwrap_or_default()),
            timeout: timeout.unwrap_or(Limits::default().timeout),
        })
    }
}

/// Runs functions of the program, and everything else in the sandbox.
pub(super) struct NativeExecutor {
    pub(super) sandbox: SandboxExecutor,
    pub(super) functions: Functions,
    /// Where functions run: the runtime of the program.
    pub(super) program: Handle,
}

impl Executor for NativeExecutor {
    fn admit(&self, job: &JobId, stop: &Stop) -> PortFuture<'static, Option<Admission>> {
        match self.functions.get(job) {
            Some(_) => Box::pin(ready(Some(Admission::default()))),
            None => self.sandbox.admit(job, stop),
        }
    }

    fn execute(&self, attempt: Attempt) -> PortFuture<'static, Report> {
        match self.functions.get(&attempt.run.job) {
            Some(registered) => Box::pin(conduct(registered, attempt, self.program.clone())),
            // Where the program took the function away meanwhile, the sandbox knows no such job and says so.
            None => self.sandbox.execute(attempt),
        }
    }
}

/// How the call of a function ended.
enum Ending {
    ByItself(Result<JobResult, JoinError>),
    Timeout,
    Stopped,
}

async fn conduct(registered: Registered, attempt: Attempt, program: Handle) -> Report {
    let Registered { function, args, timeout } = registered;
    let context = Context {
        args,
        deadline: attempt.started_at.checked_add_signed(delta(timeout)).unwrap_or(DateTime::<Utc>::MAX_UTC),
        cancelled: CancellationToken::new(),
        notes: Arc::default(),
        attempt: attempt.clone(),
    };
    let own = context.clone();
    let mut task = AbortOnDropHandle::new(program.spawn(async move { function(own).await }));
    let ending = tokio::select! {
        ended = &mut task => Ending::ByItself(ended),
        () = tokio::time::sleep(timeout) => Ending::Timeout,
        () = requested(&attempt.stop) => {
            context.cancelled.cancel();
            let ended = tokio::time::timeout(STOP_GRACE, &mut task).await;
            ended.map_or(Ending::Stopped, Ending::ByItself)
        }
    };
    end(task).await;
    let is_stopped = context.cancelled.is_cancelled();
    // What goes on in spite of everything, on a thread that it blocks, is asked to end too.
    context.cancelled.cancel();
    report(bounded(outcome(ending, is_stopped, timeout)), &context)
}

/// Ends a function that has not ended by itself, and waits a moment until it has, so that the next attempt does not meet it.
async fn end(task: AbortOnDropHandle<JobResult>) {
    if task.is_finished() {
        return;
    }
    task.abort();
    let task: JoinHandle<JobResult> = task.detach();
    drop(tokio::time::timeout(STOP_GRACE, task).await);
}

/// Waits for a request to stop.
async fn requested(stop: &Stop) {
    poll_fn(|context| {
        stop.wake(context.waker());
        if stop.is_requested() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn outcome(ending: Ending, is_stopped: bool, timeout: Duration) -> Outcome {
    match ending {
        Ending::ByItself(Ok(Ok(output))) => Outcome::succeeded(Some(output).filter(|output| !output.is_null())),
        Ending::ByItself(Ok(Err(error))) if is_stopped => {
            Outcome::ended(OutcomeCode::Cancelled, error.into_outcome().message)
        }
        Ending::ByItself(Ok(Err(error))) => error.into_outcome(),
        Ending::ByItself(Err(error)) => match error.try_into_panic() {
            Ok(panic) => {
                let message = cut(&words(&*panic), MESSAGE_BYTES_MAX);
                Outcome::ended(OutcomeCode::Failed, format!("the function panicked: {message}"))
            }
            Err(_cancelled) => {
                Outcome::ended(OutcomeCode::Interrupted, "the runtime of the program ended, and the function with it")
            }
        },
        Ending::Timeout => {
            let message = format!("ran longer than `timeout: {}`; it may be set higher", show_duration(timeout));
            Outcome::ended(OutcomeCode::TimeoutWall, message)
        }
        Ending::Stopped => Outcome::ended(OutcomeCode::Cancelled, "cancelled on request"),
    }
}

/// What a panic said.
fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without words".to_owned())
}

/// Drops an output that is larger than is kept, as the sandbox does.
fn bounded(outcome: Outcome) -> Outcome {
    let n_bytes = outcome.output.as_ref().map_or(0, json_bytes);
    let (n_bytes, n_bytes_max) = (u64::try_from(n_bytes).unwrap_or(u64::MAX), Limits::default().output_bytes_max);
    if n_bytes <= n_bytes_max {
        return outcome;
    }
    let (size, limit) = (show_size(n_bytes), show_size(n_bytes_max));
    Outcome { output: None, message: format!("the result of {size} was not kept; its limit is {limit}"), ..outcome }
}

fn report(outcome: Outcome, context: &Context) -> Report {
    let mut notes = context.notes();
    let logs = std::mem::take(&mut notes.lines);
    let n_kept = u64::try_from(logs.len()).unwrap_or(u64::MAX);
    let usage = Usage { log_lines: notes.n_lines, log_bytes: notes.n_bytes, ..Usage::default() };
    Report {
        usage,
        n_logs_dropped: notes.n_lines.saturating_sub(n_kept),
        logs,
        progress: notes.progress.take(),
        ..Report::without_guest(outcome)
    }
}

/// A text that has at most so many bytes, cut between characters.
fn cut(text: &str, n_bytes_max: usize) -> String {
    let end = (0..=n_bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text[..end].to_owned()
}

fn delta(duration: Duration) -> chrono::TimeDelta {
    chrono::TimeDelta::from_std(duration).unwrap_or(chrono::TimeDelta::MAX)
}
