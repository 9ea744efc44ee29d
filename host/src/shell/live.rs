//! What runs that go on say: the newest lines of each, in memory, until the run has ended and all of it is in the ledger.
//!
//! A guest that talks is never held up, and one that nobody listens to costs what its last lines take.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::{RunId, RunMap},
    ports::{Clock, Listen, LogLine, Said},
    run::Run,
};
use tokio::sync::Notify;

use super::{
    Event,
    bus::Chatter,
    journal::{Journal, Told},
};

/// How much of what a run says is kept: some hundred lines.
const TAIL_BYTES_MAX: usize = 64 << 10;

/// How often it is told how far a run is.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// What runs that go on say. Clones are the same.
#[derive(Clone)]
pub struct LiveRuns {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    journal: Journal,
    chatter: Chatter,
    tails: Mutex<RunMap<Arc<Tail>>>,
    /// How many there are; runs that say nothing end without a look at them.
    n_tails: AtomicUsize,
}

/// The newest lines of a run.
#[derive(Default)]
struct Tail {
    lines: Mutex<Lines>,
    news: Notify,
}

#[derive(Default)]
struct Lines {
    lines: VecDeque<LiveLine>,
    /// The number of the first of them.
    first: u64,
    n_bytes: usize,
    n_followers: usize,
    /// When it was last told how far the run is, by the monotonic clock.
    told_at: Option<Duration>,
    /// How far it is, where that is not told yet.
    untold: Option<Step>,
}

/// How far a run is.
struct Step {
    at: DateTime<Utc>,
    run: Arc<Run>,
    attempt: u32,
    done: u64,
    total: Option<u64>,
    message: Arc<str>,
}

/// A line of a run that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveLine {
    /// Which attempt said it.
    pub attempt: u32,
    /// When.
    pub at: DateTime<Utc>,
    /// What it said.
    pub said: Said,
}

impl LiveLine {
    /// About how many bytes it takes.
    fn n_bytes(&self) -> usize {
        let own = match &self.said {
            Said::Log(LogLine { message, fields, .. }) => {
                let fields = fields.iter().map(|(key, value)| key.len() + value.len() + size_of::<(String, String)>());
                message.len() + fields.sum::<usize>()
            }
            Said::Wrote { text, .. } => text.len(),
            Said::Progress { message, .. } => message.len(),
            Said::LeftOut(_) => 0,
        };
        size_of::<Self>() + own
    }
}

impl Tail {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: LiveLine) {
        let mut lines = self.lines();
        lines.n_bytes += line.n_bytes();
        lines.lines.push_back(line);
        while TAIL_BYTES_MAX < lines.n_bytes
            && let Some(oldest) = lines.lines.pop_front()
        {
            lines.n_bytes -= oldest.n_bytes();
            lines.first += 1;
        }
        drop(lines);
        self.news.notify_waiters();
    }
}

impl Listen for LiveRuns {
    fn hear(&self, run: &Arc<Run>, attempt: u32, said: Said) {
        let tail = self.tail(run.id);
        let Said::Progress { done, total, message } = said else {
            let at = match &said {
                Said::Log(line) => line.at,
                Said::Wrote { .. } | Said::Progress { .. } | Said::LeftOut(_) => self.shared.clock.now(),
            };
            return tail.push(LiveLine { attempt, at, said });
        };
        let (at, run) = (self.shared.journal.now(), Arc::clone(run));
        let step = Step { at, run, attempt, done, total, message: message.into() };
        let now = self.shared.clock.monotonic();
        let mut lines = tail.lines();
        if lines.told_at.is_some_and(|at| now.saturating_sub(at) < PROGRESS_EVERY) {
            // The newest is told when the attempt ends, if none follows that may be told before.
            lines.untold = Some(step);
            return;
        }
        (lines.told_at, lines.untold) = (Some(now), None);
        drop(lines);
        self.shared.tell(step);
    }
}

impl Shared {
    fn tell(&self, step: Step) {
        let Step { at, run, attempt, done, total, message } = step;
        self.journal.tell(Told::progress(&run, attempt, (done, total, &message), at));
        self.chatter.tell(|| Event::RunProgress { run, attempt, done, total, message });
    }
}

impl LiveRuns {
    pub(super) fn new(clock: Arc<dyn Clock>, journal: Journal, chatter: Chatter) -> Self {
        let (tails, n_tails) = (Mutex::default(), AtomicUsize::new(0));
        Self { shared: Arc::new(Shared { clock, journal, chatter, tails, n_tails }) }
    }

    fn tails(&self) -> MutexGuard<'_, RunMap<Arc<Tail>>> {
        self.shared.tails.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tail(&self, run: RunId) -> Arc<Tail> {
        let mut tails = self.tails();
        let tail = Arc::clone(tails.entry(run).or_default());
        self.shared.n_tails.store(tails.len(), Relaxed);
        tail
    }

    fn known(&self, run: RunId) -> Option<Arc<Tail>> {
        // An attempt says what it says before it ends, on the thread that tells its end or on one that tells this one.
        if self.shared.n_tails.load(Relaxed) == 0 { None } else { self.tails().get(&run).cloned() }
    }

    /// An attempt is about to be told as ended: tells how far it came.
    pub(super) fn before_end(&self, run: RunId) {
        let untold = self.known(run).and_then(|tail| tail.lines().untold.take());
        untold.into_iter().for_each(|step| self.shared.tell(step));
    }

    /// An attempt has ended, and what it said is in the ledger. Until the next one begins only followers need it.
    pub(super) fn attempt_ended(&self, run: RunId) {
        self.forget(run, false);
    }

    /// A run has ended, or will never begin.
    pub(super) fn run_ended(&self, run: RunId) {
        self.forget(run, true);
    }

    fn forget(&self, run: RunId, has_ended: bool) {
        let Some(tail) = self.known(run) else { return };
        if !has_ended && 0 < tail.lines().n_followers {
            return;
        }
        let mut tails = self.tails();
        tails.remove(&run);
        self.shared.n_tails.store(tails.len(), Relaxed);
        drop(tails);
        tail.news.notify_waiters();
    }

    /// Follows what a run says, with what is kept of it.
    #[must_use]
    pub fn follow(&self, run: RunId) -> Follower {
        let tail = self.tail(run);
        tail.lines().n_followers += 1;
        Follower { live: self.clone(), run, tail, next: 0 }
    }
}

/// One who follows what a run says.
pub struct Follower {
    live: LiveRuns,
    run: RunId,
    tail: Arc<Tail>,
    /// The number of the next line.
    next: u64,
}

impl Follower {
    /// What was said since the last time, and how many lines were missed because that was too long ago.
    pub fn take(&mut self) -> (u64, Vec<LiveLine>) {
        let lines = self.tail.lines();
        let n_missed = lines.first.saturating_sub(self.next);
        let n_seen = usize::try_from(self.next.saturating_sub(lines.first)).unwrap_or(usize::MAX);
        let new: Vec<_> = lines.lines.iter().skip(n_seen).cloned().collect();
        let n_lines = u64::try_from(lines.lines.len()).unwrap_or(u64::MAX);
        self.next = lines.first.saturating_add(n_lines);
        (n_missed, new)
    }

    /// Waits until the run says more. Cancel-safe.
    pub async fn changed(&self) {
        loop {
            let news = self.tail.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            let (first, n_lines) = {
                let lines = self.tail.lines();
                (lines.first, u64::try_from(lines.lines.len()).unwrap_or(u64::MAX))
            };
            if self.next < first.saturating_add(n_lines) {
                return;
            }
            news.await;
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let is_unused = {
            let mut lines = self.tail.lines();
            lines.n_followers -= 1;
            lines.n_followers == 0 && lines.lines.is_empty() && lines.told_at.is_none()
        };
        if is_unused {
            self.live.forget(self.run, true);
        }
    }
}
