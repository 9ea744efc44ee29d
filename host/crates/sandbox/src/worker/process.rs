//! One worker, as its host sees it: a child process with a line to it.

use std::{
    future::poll_fn,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use clockjack_schedule::{
    id::JobId,
    job::Limits,
    outcome::{Outcome, OutcomeCode},
    ports::{Attempt, Report},
    stop::Stop,
};
use rustix::pipe::fcntl_setpipe_size;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

use super::{
    frames::{self, Frames},
    setup,
    wire::{Begin, CallSetup, Setup, ToHost, ToWorker},
};
use crate::{call::Call, classify, guest_api::StateUse, live::LiveOut, scratch::Scratch};

/// The hidden command of the program that is a worker.
const COMMAND: &str = "guest-worker";

/// How long a worker may take until it can run attempts: to load a large language runtime on a machine that is busy.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How long after a request to stop a worker may take to answer, its guest's own quarter of a second included.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// How long after its `timeout` an attempt may take to say that it was ended. The worker keeps the time; this is for one
/// that does not any more.
const LATE_WITHIN: Duration = Duration::from_secs(5);

/// How long a process may take to be gone after it has closed its line, before it is killed.
const GONE_WITHIN: Duration = Duration::from_millis(500);

/// How much of a worker's last words is read.
const WORDS_BYTES_MAX: u64 = 4 << 10;

/// Longest frame from a worker, beside what its guest printed, returned and logged: values of the state, in base64.
const FRAME_BYTES_MAX: u64 = 32 << 20;

/// Room of the pipe to a worker: compiled code is megabytes.
const PIPE_BYTES: usize = 1 << 20;

/// A worker of a job.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    stdin: ChildStdin,
    frames: Frames<ChildStdout>,
    stderr: ChildStderr,
    /// The folder in which its attempts have theirs.
    folder: Option<Scratch>,
    n_attempts: u32,
    /// What it is for, as it was told.
    pub(super) key: Arc<str>,
    pub(super) job: JobId,
    /// When it ended its last attempt.
    pub(super) idle_since: Instant,
    /// Which parts of the wall the system does not have.
    pub(super) missing: Vec<String>,
}

/// What a worker is started with.
pub(super) struct Wanted<'w> {
    pub(super) program: &'w Path,
    pub(super) call: CallSetup,
    pub(super) key: Arc<str>,
    pub(super) job: JobId,
    pub(super) code: Vec<u8>,
    pub(super) folder: Option<Scratch>,
}

/// Why an attempt came back without a report.
pub(super) enum Lost {
    /// The process is gone.
    Died(Outcome),
    /// It was stopped, or its time was up, and it did not answer any more.
    Silent(OutcomeCode),
}

impl Worker {
    /// Starts a process and waits until it can run attempts.
    pub(super) async fn start(wanted: Wanted<'_>) -> Result<Self, String> {
        let Wanted { program, call, key, job, code, folder } = wanted;
        let n_bytes_max = frame_bytes_max(&call.limits.limits());
        let mut child = Command::new(program)
            .arg0("clockjack")
            .arg(COMMAND)
            .env_clear()
            .envs(&call.reach.certificates)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("`{}` cannot be started: {error}", program.display()))?;
        let lines = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = lines else {
            return Err("it has no pipes".to_owned());
        };
        if let Err(error) = fcntl_setpipe_size(&stdin, PIPE_BYTES) {
            tracing::debug!(%error, "the pipe to a worker stays small");
        }
        let frames = Frames::new(stdout, n_bytes_max);
        let (missing, idle_since) = (Vec::new(), Instant::now());
        let mut worker = Self { child, stdin, frames, stderr, folder, n_attempts: 0, key, job, idle_since, missing };
        let ready = timeout(READY_WITHIN, worker.ready(call, &code)).await;
        match ready.unwrap_or_else(|_elapsed| Err(format!("it was not ready within {} s", READY_WITHIN.as_secs()))) {
            Ok(missing) => Ok(Self { missing, ..worker }),
            Err(why) => {
                let (how, words) = worker.end().await;
                let words = if words.is_empty() { words } else { format!(": {words}") };
                Err(format!("{why}; the process {how}{words}"))
            }
        }
    }

    async fn ready(&mut self, call: CallSetup, code: &[u8]) -> Result<Vec<String>, String> {
        let told = |error: std::io::Error| format!("it ended while it was set up ({error})");
        let n_code_bytes = u64::try_from(code.len()).unwrap_or(u64::MAX);
        let scratch = self.folder.as_ref().map(|folder| setup::path(folder.path().to_path_buf()));
        let setup = Setup { call, n_code_bytes, scratch, host: std::process::id() };
        frames::send(&mut self.stdin, &ToWorker::Setup(Box::new(setup))).await.map_err(told)?;
        self.stdin.write_all(code).await.map_err(told)?;
        self.stdin.flush().await.map_err(told)?;
        match self.frames.next().await.map_err(told)? {
            Some(ToHost::Ready(missing)) => Ok(missing),
            Some(ToHost::Unusable(why)) => Err(why),
            Some(ToHost::State(_) | ToHost::Live(_) | ToHost::Ended(_)) => {
                Err("it said something else than that it was ready".to_owned())
            }
            None => Err("it ended while it was set up".to_owned()),
        }
    }

    /// A folder for its next attempt, where it has one itself.
    pub(super) fn scratch(&self) -> Result<Option<Scratch>, String> {
        let made = self.folder.as_ref().map(|folder| folder.inner(self.n_attempts)).transpose();
        made.map_err(|error| crate::scratch::refused(&error))
    }

    /// Runs one attempt to its end. Without a report the worker is of no use any more, and neither is it where the future
    /// is dropped.
    pub(super) async fn run(
        &mut self,
        begin: Begin,
        attempt: &Attempt,
        call: &Call,
        state: &mut StateUse,
    ) -> Result<Report, Lost> {
        self.n_attempts += 1;
        let Self { stdin, frames, .. } = self;
        let stdin = Mutex::new(stdin);
        let ended = tokio::select! {
            biased;
            served = serve(&stdin, frames, begin, attempt, call, state) => served,
            code = silence(&stdin, &attempt.stop, call.limits.timeout) => return Err(Lost::Silent(code)),
        };
        match ended {
            Ok(report) => Ok(report),
            Err(why) => {
                let (how, words) = self.end().await;
                tracing::warn!(job = %self.job, how, why, stderr = words, "a worker process was lost");
                Err(Lost::Died(classify::worker_died(&how, &words)))
            }
        }
    }

    /// How many attempts it has begun.
    pub(super) fn n_attempts(&self) -> u32 {
        self.n_attempts
    }

    /// Whether it is still there.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it, and says how it ended and what it said last.
    pub(super) async fn end(&mut self) -> (String, String) {
        // One that has closed its line is about to be gone by itself, and how is worth knowing.
        let status = match self.child.try_wait() {
            Ok(None) => self.status().await,
            Ok(Some(status)) => Some(status),
            Err(_unknown) => None,
        };
        let mut words = Vec::new();
        // Only what is there: somebody else may hold the other end open.
        let mut stderr = (&mut self.stderr).take(WORDS_BYTES_MAX);
        drop(timeout(GONE_WITHIN, stderr.read_to_end(&mut words)).await);
        let words = String::from_utf8_lossy(&words).trim().to_owned();
        (status.map_or_else(|| "was ended".to_owned(), how), words)
    }

    /// Waits for its end, and helps where it does not come.
    async fn status(&mut self) -> Option<ExitStatus> {
        if let Ok(status) = timeout(GONE_WITHIN, self.child.wait()).await {
            return status.ok();
        }
        self.kill().await;
        None
    }

    /// Ends it at once. Nothing of what it holds is worth keeping.
    pub(super) async fn kill(&mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::debug!(job = %self.job, %error, "a worker process could not be ended");
        }
    }
}

/// Longest frame from a worker of a job.
fn frame_bytes_max(limits: &Limits) -> usize {
    // Bytes that are no text become three, base64 makes four of three, and there are two streams and a result.
    let output = limits.output_bytes_max.saturating_mul(12);
    // A character may take six in JSON, and a line has its time and level, too.
    let logs = limits.counts.log_bytes_max.saturating_mul(6);
    let lines = limits.counts.log_lines_max.saturating_mul(128);
    let sum = [output, logs, lines].into_iter().fold(FRAME_BYTES_MAX, u64::saturating_add);
    usize::try_from(sum).unwrap_or(usize::MAX)
}

/// Serves an attempt from its beginning to its report. Fails with why there is none.
async fn serve(
    stdin: &Mutex<&mut ChildStdin>,
    frames: &mut Frames<ChildStdout>,
    begin: Begin,
    attempt: &Attempt,
    call: &Call,
    state: &mut StateUse,
) -> Result<Report, String> {
    let told = |error: std::io::Error| error.to_string();
    let live = LiveOut::new(attempt, None);
    frames::send(&mut **stdin.lock().await, &ToWorker::Begin(Box::new(begin))).await.map_err(told)?;
    loop {
        match frames.next().await.map_err(told)? {
            Some(ToHost::State(asked)) => {
                let answer = state.ask(asked, attempt, call.limits.state_bytes_max).await;
                frames::send(&mut **stdin.lock().await, &ToWorker::State(answer)).await.map_err(told)?;
            }
            // It is bounded and without secrets already; a worker that was taken over is bounded here.
            Some(ToHost::Live(said)) => live.say(said.said()?),
            Some(ToHost::Ended(ended)) => return ended.report(&call.limits),
            Some(ToHost::Ready(_) | ToHost::Unusable(_)) => return Err("it began anew".to_owned()),
            None => return Err("it closed its line".to_owned()),
        }
    }
}

/// Passes a request to stop on. Ends when the worker has not answered in time to that, or to the end of its time.
async fn silence(stdin: &Mutex<&mut ChildStdin>, stop: &Stop, limit: Duration) -> OutcomeCode {
    tokio::select! {
        () = requested(stop) => {
            let told = async { frames::send(&mut **stdin.lock().await, &ToWorker::Stop).await };
            // Where it takes nothing any more, it gets no further.
            drop(timeout(STOP_WITHIN, told).await);
            sleep(STOP_WITHIN).await;
            OutcomeCode::Cancelled
        }
        () = sleep(limit.saturating_add(LATE_WITHIN)) => OutcomeCode::TimeoutWall,
    }
}

/// Waits until somebody asks for the end.
pub(super) async fn requested(stop: &Stop) {
    poll_fn(|context| {
        // First the waker, then the flag: a request between the two wakes us again.
        stop.wake(context.waker());
        if stop.is_requested() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// How a process ended, in words.
fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("died of {} (signal {signal})", name(signal)),
        (None, Some(code)) => format!("ended by itself with exit code {code}"),
        (None, None) => "ended".to_owned(),
    }
}

/// What signals are called that end processes, and what the most common cause is.
fn name(signal: i32) -> &'static str {
    match signal {
        4 => "SIGILL, an invalid instruction",
        6 => "SIGABRT, as it does where it gets no more memory",
        7 => "SIGBUS, a broken memory access",
        8 => "SIGFPE, a broken calculation",
        9 => "SIGKILL, which somebody sent, or the system because it ran out of memory",
        11 => "SIGSEGV, a memory access out of bounds",
        15 => "SIGTERM, which somebody sent",
        31 => "SIGSYS, a forbidden system call",
        _ => "a signal",
    }
}
