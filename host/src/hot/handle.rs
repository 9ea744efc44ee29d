//! The handle of the reloader: what others ask of it, and what they read.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clockjack_schedule::id::PluginName;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    edit::{Define, Defined, Rejection, Upload},
    jobs::Jobs,
    view::{Plan, PluginView},
};

/// How many wishes may wait. Who asks more waits.
const WISHES_MAX: usize = 64;

/// What somebody asks of the reloader.
#[derive(Debug)]
pub enum Wish {
    /// Look at everything anew, also at files that seem unchanged. Answered when all of it is settled.
    Reload {
        /// Who or what asks: `SIGHUP`, `asked for`.
        cause: String,
        /// What came of it. Nobody needs to listen.
        answer: oneshot::Sender<Plan>,
    },
    /// Say what a reload would do.
    Plan {
        /// With these manifests, or with those of the host.
        files: Option<Vec<PathBuf>>,
        /// What it would do.
        answer: oneshot::Sender<Plan>,
    },
    /// Put a held or rolled-back file in force.
    Approve {
        /// Of which plugin.
        plugin: PluginName,
        /// Only if its bytes have this SHA-256 (or one that begins so).
        digest: Option<String>,
        /// The plugin then.
        answer: oneshot::Sender<Result<PluginView, Refusal>>,
    },
    /// Change jobs that were made through the API, all of them or none.
    Define {
        /// Which, and how.
        asked: Define,
        /// What came of it.
        answer: oneshot::Sender<Result<Defined, Rejection>>,
    },
    /// Take in a plugin.
    Upload {
        /// Which.
        asked: Upload,
        /// The plugin then.
        answer: oneshot::Sender<Result<(PluginView, Plan), Rejection>>,
    },
    /// Forget a plugin that was uploaded and that no job uses.
    Unload {
        /// Which.
        plugin: PluginName,
        /// Only say what would happen.
        is_dry: bool,
        /// What came of it.
        answer: oneshot::Sender<Result<Plan, Rejection>>,
    },
    /// Go back to an earlier generation.
    RollBack {
        /// Of which plugin.
        plugin: PluginName,
        /// Which one; else the one before.
        to: Option<u32>,
        /// The plugin then.
        answer: oneshot::Sender<Result<PluginView, Refusal>>,
    },
}

/// Why a wish is not fulfilled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// `plugin.unknown`, `plugin.not_held`, `plugin.no_such_generation`, `host.stopping`, or the code of a finding.
    pub code: &'static str,
    /// What is the matter.
    pub message: String,
    /// What to do about it.
    pub fix: String,
}

/// The reloader. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Reloader {
    wishes: mpsc::Sender<Wish>,
    plugins: watch::Receiver<Arc<[PluginView]>>,
    jobs: watch::Receiver<Arc<Jobs>>,
}

/// Where the reloader puts what it shows.
pub(super) struct Shown {
    pub(super) plugins: watch::Sender<Arc<[PluginView]>>,
    pub(super) jobs: watch::Sender<Arc<Jobs>>,
}

impl Reloader {
    /// A reloader's handle, what comes in through it, and where the plugins that it shows are put.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Wish>, watch::Sender<Arc<[PluginView]>>) {
        let (reloader, wished, shown) = Self::showing();
        (reloader, wished, shown.plugins)
    }

    /// The same for one that shows jobs, too.
    pub(super) fn showing() -> (Self, mpsc::Receiver<Wish>, Shown) {
        let (wishes, wished) = mpsc::channel(WISHES_MAX);
        let ((shown, plugins), (shown_jobs, jobs)) = (watch::channel(Arc::from([])), watch::channel(Arc::default()));
        (Self { wishes, plugins, jobs }, wished, Shown { plugins: shown, jobs: shown_jobs })
    }

    /// Looks at everything anew and answers when that is settled.
    ///
    /// # Errors
    /// When the host stops.
    pub async fn reload(&self, cause: &str) -> Result<Plan, Refusal> {
        self.ask(|answer| Wish::Reload { cause: cause.to_owned(), answer }).await
    }

    /// Has it look at everything anew, and waits for nothing.
    pub async fn poke(&self, cause: &str) {
        let (answer, _nobody) = oneshot::channel();
        drop(self.wishes.send(Wish::Reload { cause: cause.to_owned(), answer }).await);
    }

    /// What a reload would do, with these manifests or with those of the host.
    ///
    /// # Errors
    /// When the host stops.
    pub async fn plan(&self, files: Option<Vec<PathBuf>>) -> Result<Plan, Refusal> {
        self.ask(|answer| Wish::Plan { files, answer }).await
    }

    /// Puts a held or rolled-back file in force.
    ///
    /// # Errors
    /// When there is none, when it is another one than was meant, or when it does not fit its jobs.
    pub async fn approve(&self, plugin: PluginName, digest: Option<String>) -> Result<PluginView, Refusal> {
        self.ask(|answer| Wish::Approve { plugin, digest, answer }).await?
    }

    /// Goes back to an earlier generation.
    ///
    /// # Errors
    /// When there is none, or when it does not fit the jobs of now.
    pub async fn roll_back(&self, plugin: PluginName, to: Option<u32>) -> Result<PluginView, Refusal> {
        self.ask(|answer| Wish::RollBack { plugin, to, answer }).await?
    }

    /// Changes jobs that were made through the API, all of them or none. Who asks is answered once what came of it is kept and
    /// in force.
    ///
    /// # Errors
    /// When a condition does not hold, when something is wrong with one of them, or when it cannot be kept: nothing changes.
    pub async fn define(&self, asked: Define) -> Result<Defined, Rejection> {
        self.ask(|answer| Wish::Define { asked, answer }).await?
    }

    /// Takes in a plugin, as the next generation where it is known.
    ///
    /// # Errors
    /// When its file cannot be used, or when a manifest has a plugin of that name.
    pub async fn upload(&self, asked: Upload) -> Result<(PluginView, Plan), Rejection> {
        self.ask(|answer| Wish::Upload { asked, answer }).await?
    }

    /// Forgets a plugin that was uploaded.
    ///
    /// # Errors
    /// When it is not known, was not uploaded, or is used.
    pub async fn unload(&self, plugin: PluginName, is_dry: bool) -> Result<Plan, Rejection> {
        self.ask(|answer| Wish::Unload { plugin, is_dry, answer }).await?
    }

    /// Where the files of plugins are put that are uploaded; none where the record of the host is in memory.
    #[must_use]
    pub fn uploads(&self) -> Option<PathBuf> {
        self.jobs.borrow().uploads().map(Path::to_path_buf)
    }

    /// How each plugin is, by name.
    #[must_use]
    pub fn plugins(&self) -> Arc<[PluginView]> {
        Arc::clone(&self.plugins.borrow())
    }

    /// The jobs: what each is, where it comes from, and whether it is in force. Cheap: it is what is in force, shared.
    #[must_use]
    pub fn jobs(&self) -> Arc<Jobs> {
        Arc::clone(&self.jobs.borrow())
    }

    async fn ask<A>(&self, wish: impl FnOnce(oneshot::Sender<A>) -> Wish) -> Result<A, Refusal> {
        let (answer, answered) = oneshot::channel();
        drop(self.wishes.send(wish(answer)).await);
        answered.await.map_err(|_closed| Refusal {
            code: "host.stopping",
            message: "the host stops".to_owned(),
            fix: "ask again when it has been started anew".to_owned(),
        })
    }
}
