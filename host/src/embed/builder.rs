//! How a program says what its scheduler is to be.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use clockjack_sandbox::Compiler;
use serde_json::{Map, Value as Json, json};
use tokio::runtime::Handle;

use super::{
    Error, Job, Scheduler,
    native::Functions,
    ring::{self, Order},
    scheduler::Own,
};
use crate::{
    cli::is_child_process,
    hot::Sources,
    load::{Program, zones},
    settings,
};

/// Where components are compiled, and which program the processes of pools with `isolation: process` are.
///
/// Compiling a hostile component can cost gigabytes and minutes, and a fault of the compiler can end the process; so it is
/// done in a child with bounds. The child is this very program or `clockjack`, started with a hidden command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Compile {
    /// In a child of this program where `main` begins with [`child_process`](crate::child_process), else in this process.
    #[default]
    Auto,
    /// In this process, without bounds: for components that one trusts as one trusts the program.
    InProcess,
    /// By the program `clockjack` of the very same version, at this path.
    Program(PathBuf),
}

impl Compile {
    /// The program that children are; none where there are none.
    fn program(&self) -> Option<PathBuf> {
        match self {
            Self::Auto => is_child_process().then(settings::program),
            Self::InProcess => None,
            Self::Program(path) => Some(path.clone()),
        }
    }
}

/// What a scheduler is to be. Nothing of it is read or checked before [`Builder::start`].
#[derive(Debug, Default)]
pub struct Builder {
    ledger: Option<String>,
    manifests: Vec<PathBuf>,
    folder: Option<PathBuf>,
    settings: Map<String, Json>,
    jobs: Vec<Job>,
    compile: Compile,
    guest_threads: Option<NonZeroUsize>,
    is_unwatched: bool,
}

impl Builder {
    /// Where slots and runs are recorded: `sqlite:PATH`, or `memory:` to keep nothing. Without it what the manifest says
    /// under `stores.default`, else `memory:`. One process at a time has a file; a second one does not start.
    #[must_use]
    pub fn ledger(mut self, url: impl Into<String>) -> Self {
        self.ledger = Some(url.into());
        self
    }

    /// A manifest, or a folder of them; may be said several times. Its files are watched, and changes come into force as they
    /// do under `clockjack up`.
    #[must_use]
    pub fn manifest(mut self, path: impl Into<PathBuf>) -> Self {
        self.manifests.push(path.into());
        self
    }

    /// The time zone of jobs of the program that name none; default UTC.
    #[must_use]
    pub fn timezone(self, name: &str) -> Self {
        self.default_of("timezone", name)
    }

    /// A default for the jobs of the program: any key under `defaults:` of a manifest.
    #[must_use]
    pub fn default_of(mut self, key: &str, value: impl Into<Json>) -> Self {
        self.settings.entry("defaults").or_insert_with(|| json!({}))[key] = value.into();
        self
    }

    /// A pool, and how many of its runs go on at once.
    #[must_use]
    pub fn pool(mut self, name: &str, size: u32) -> Self {
        self.settings.entry("pools").or_insert_with(|| json!({}))[name] = json!({ "size": size });
        self
    }

    /// Any other key at the top of a manifest, such as `secrets`, `plugins` or `host`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Json>) -> Self {
        self.settings.insert(key.to_owned(), value.into());
        self
    }

    /// A job that is there from the start, so that its slots of a downtime count as its policies say.
    #[must_use]
    pub fn job(mut self, job: Job) -> Self {
        self.jobs.push(job);
        self
    }

    /// The folder at which relative paths of the program's jobs begin; default the one in which the program was started.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Where components are compiled.
    #[must_use]
    pub fn compile(mut self, compile: Compile) -> Self {
        self.compile = compile;
        self
    }

    /// How many threads components run on, which are the scheduler's own; default one for each processor.
    #[must_use]
    pub fn guest_threads(mut self, n_threads: NonZeroUsize) -> Self {
        self.guest_threads = Some(n_threads);
        self
    }

    /// Does not watch the files of manifests and plugins; changes count after [`Scheduler::reload`].
    #[must_use]
    pub fn unwatched(mut self) -> Self {
        self.is_unwatched = true;
        self
    }

    /// Starts the scheduler on threads of its own. Functions of the program run on the runtime in which this is called.
    ///
    /// # Errors
    /// When something is wrong with a manifest or a job, or the ledger cannot be opened.
    ///
    /// # Panics
    /// When it is called outside of a tokio runtime.
    pub async fn start(self) -> Result<Scheduler, Error> {
        let named = self.ledger.as_deref().map(str::parse).transpose();
        let ledger = named.map_err(|why| Error::NotStarted(format!("`ledger`: {why}")))?;
        let folder = std::path::absolute(self.folder.as_deref().unwrap_or(Path::new(".")))
            .map_err(|error| Error::NotStarted(format!("the folder of the program is not known: {error}")))?;
        let (program, functions) = (Program::default(), Functions::default());
        let own = Own { program: program.clone(), functions: functions.clone(), folder, settings: self.settings };
        let mut jobs: Vec<Job> = Vec::new();
        for job in self.jobs {
            if jobs.iter().any(|known| known.id == job.id) {
                return Err(Error::Exists(job.id));
            }
            jobs.push(job);
        }
        own.say(&jobs);
        let children = self.compile.program();
        let sources = Sources { files: self.manifests, zones: zones::newest(), is_locked: false, ledger, program };
        let ring = ring::start(Order {
            sources,
            compiler: children.clone().map_or(Compiler::InProcess, Compiler::Child),
            children,
            functions,
            caller: Handle::current(),
            guest_threads: self.guest_threads,
            is_watching: !self.is_unwatched,
        });
        Ok(Scheduler::new(ring.await?, own, jobs))
    }
}
