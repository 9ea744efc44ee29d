//! What the service manager hears: that the host is ready, that it reloads, that it stops, and that it is alive.
//!
//! The sign of life comes from the thread of the ring, and only where the scheduler has taken a turn since the last one: a
//! scheduler that hangs is restarted, whatever else still answers. A ledger that cannot be written holds the scheduler up
//! without a fault of its own, and a restart would not help.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{hot::Reloader, settings, shell::HostHandle};

/// How often the state is told where nobody waits for signs of life.
const BEAT: Duration = Duration::from_secs(5);

/// How long a sign of life is away from the next at the least.
const BEAT_MIN: Duration = Duration::from_millis(100);

/// What is told from outside of the task.
#[derive(Debug)]
enum Word {
    Reload,
}

/// The connection with the service manager. Without one that listens it does nothing.
#[derive(Debug)]
pub struct Service {
    stop: CancellationToken,
    words: mpsc::Sender<Word>,
    task: Option<JoinHandle<()>>,
}

/// Says that the host is ready, and goes on telling how it is. Must be called on the thread of the ring.
#[expect(clippy::disallowed_methods, reason = "it has to live on the ring's own thread; `end` waits for it")]
#[must_use]
pub fn start(host: HostHandle, reloader: Reloader) -> Service {
    let (stop, (words, heard)) = (CancellationToken::new(), mpsc::channel(1));
    let task = settings::notify_socket().map(|_| {
        let beat = sd_notify::watchdog_enabled().map(|limit| (limit / 2).max(BEAT_MIN));
        let manager = Manager { host, reloader, beat, heard, stop: stop.clone(), n_turns: 0, status: String::new() };
        tokio::spawn(manager.work())
    });
    Service { stop, words, task }
}

impl Service {
    /// Reloads, and tells that. Whether somebody listens; else the reload is the caller's business.
    pub fn reload(&self) -> bool {
        // One that waits already is as good.
        self.task.is_some() && !matches!(self.words.try_send(Word::Reload), Err(mpsc::error::TrySendError::Closed(_)))
    }

    /// Says that the host stops. Signs of life go on until [`Service::end`].
    pub fn stopping(&self) {
        if self.task.is_some() {
            tell(&[NotifyState::Stopping, NotifyState::Status("stopping: runs that go on may end")]);
        }
    }

    /// Says nothing more.
    pub async fn end(self) {
        self.stop.cancel();
        if let Some(task) = self.task {
            drop(task.await);
        }
    }
}

struct Manager {
    host: HostHandle,
    reloader: Reloader,
    /// How often a sign of life is wanted, if at all.
    beat: Option<Duration>,
    heard: mpsc::Receiver<Word>,
    stop: CancellationToken,
    n_turns: u64,
    status: String,
}

impl Manager {
    async fn work(mut self) {
        // What was asked for at the start is decided: the ring goes round.
        drop(self.host.settle().await);
        self.status = self.shown();
        tell(&[NotifyState::Ready, NotifyState::Status(&self.status)]);
        let beat = self.beat.unwrap_or(BEAT);
        loop {
            self.tell_state().await;
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                Some(word) = self.heard.recv() => match word {
                    Word::Reload => self.reload(beat).await,
                },
                () = tokio::time::sleep(beat) => {}
            }
        }
    }

    /// Reloads, with signs of life meanwhile.
    async fn reload(&mut self, beat: Duration) {
        let now = NotifyState::monotonic_usec_now();
        match &now {
            Ok(now) => tell(&[NotifyState::Reloading, now.clone(), NotifyState::Status("reloading")]),
            Err(_unknown) => tell(&[NotifyState::Reloading, NotifyState::Status("reloading")]),
        }
        let reloader = self.reloader.clone();
        let reload = reloader.reload("SIGHUP");
        tokio::pin!(reload);
        loop {
            tokio::select! {
                _plan = &mut reload => break,
                () = tokio::time::sleep(beat) => self.tell_life().await,
            }
        }
        self.status = self.shown();
        tell(&[NotifyState::Ready, NotifyState::Status(&self.status)]);
    }

    async fn tell_state(&mut self) {
        self.tell_life().await;
        let status = self.shown();
        if status != self.status {
            tell(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    async fn tell_life(&mut self) {
        let Some(beat) = self.beat else { return };
        if !self.is_alive() {
            // A scheduler that has nothing to do takes a turn once a second, which may be too seldom; asked, it takes one now.
            drop(tokio::time::timeout(beat, self.host.settle()).await);
        }
        if self.is_alive() {
            tell(&[NotifyState::Watchdog]);
        }
        self.n_turns = self.host.bus().meter().n_turns();
    }

    /// Whether the scheduler has taken a turn since the last sign of life, or cannot by no fault of its own.
    fn is_alive(&self) -> bool {
        let meter = self.host.bus().meter();
        meter.n_turns() != self.n_turns || meter.is_held()
    }

    /// How the host is, in a line.
    fn shown(&self) -> String {
        let meter = self.host.bus().meter();
        let (n_jobs, n_going) = meter.n_jobs_and_going();
        let manifest =
            if meter.is_manifest_ok() { "" } else { "; the manifest was refused, and the one before it is in force" };
        let held = if meter.is_held() { "; nothing starts: the ledger cannot be written" } else { "" };
        format!("{n_jobs} jobs, {n_going} runs go on{manifest}{held}")
    }
}

fn tell(states: &[NotifyState<'_>]) {
    match sd_notify::notify(states) {
        Ok(()) => debug!("told the service manager: {states:?}"),
        Err(error) => warn!("the service manager cannot be told anything: {error}"),
    }
}
