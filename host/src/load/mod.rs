//! Loading: files become a manifest, plugins become calls. All findings are collected; nothing runs yet.

pub mod channels;
pub mod components;
pub mod crypto;
mod directories;
mod dirs;
mod files;
pub mod given;
pub mod memory;
mod oci;
pub mod origin;
mod placed;
mod plugins;
mod program;
pub mod provenance;
pub mod secrets;
mod settle;
pub mod stores;
mod units;
pub mod zones;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use clockjack_sandbox::{Plugin, Sandbox};
use clockjack_schedule::{
    diagnostic::{Diagnostic, Diagnostics, Severity, Source},
    id::{JobId, PluginName},
    manifest::{resolved::Manifest, store_url::StoreUrl},
    zone::Zones,
};

use self::{given::Given, origin::Image, provenance::Lock};

pub use self::origin::plugin_file;
pub use self::plugins::{
    PreparedJob, compile_budget, isolated_pool, job_findings, pinned, plugin_finding, prepare_job, prepare_jobs,
    prepared, sandbox_for, sandbox_with, slow, workers,
};
pub use self::{
    directories::COMPONENTS_MAX,
    placed::{FaultyGiven, GivenName, Placed, PlacedKind, upload_of},
    program::Program,
    settle::{Faulty, FaultyUnit, Settled, put_aside, settle, settle_anew},
    units::{Choice, Choices, Unit},
};

/// What came of the files that a person named.
pub struct Loaded {
    /// The texts, for showing places in them.
    pub sources: Vec<Source>,
    /// What could be read; complete only where there is no error.
    pub manifest: Manifest,
    /// Everything that is wrong.
    pub diagnostics: Diagnostics,
    /// The components in directories of plugins. Their sources come after all others.
    pub units: Vec<Unit>,
    /// What the host was given beside its files, as far as it is read. Their sources come after those of units.
    pub placed: Vec<Placed>,
    /// The source that is the word of the program which the host is a part of.
    pub(crate) program: Option<usize>,
    /// What was read from files.
    texts: Arc<files::Texts>,
    /// The only bytes that plugins may be, where that was asked for.
    pub lock: Option<Lock>,
    /// Where the host was told to keep its default store, whatever the manifest says.
    pub ledger: Option<StoreUrl>,
    /// The images that plugins came out of, as far as they are loaded and came from registries.
    pub images: BTreeMap<PluginName, Image>,
    /// Folders whose files say what the host runs, also those that are not there yet.
    folders: BTreeSet<PathBuf>,
    watched: BTreeSet<PathBuf>,
}

impl Loaded {
    /// Holds plugins to their pins, where that was asked for.
    ///
    /// # Errors
    /// When the file with pins cannot be read.
    pub fn held_to_pins(mut self, locked: bool, files: &[PathBuf]) -> anyhow::Result<Self> {
        self.lock = locked.then(|| Lock::read(files)).transpose()?;
        Ok(self)
    }

    /// Says where the command line puts the default store: no job is granted its folder.
    #[must_use]
    pub fn recorded_in(mut self, ledger: Option<&StoreUrl>) -> Self {
        self.ledger = ledger.cloned();
        self
    }
}

impl Loaded {
    /// The unit that something was found in; none where it is about the manifest itself.
    #[must_use]
    pub fn unit_of(&self, found: &Diagnostic) -> Option<&Unit> {
        self.units.iter().find(|unit| unit.source == found.span.source)
    }

    /// What the host was given in which something was found.
    #[must_use]
    pub fn placed_of(&self, found: &Diagnostic) -> Option<&Placed> {
        self.placed.get(found.span.source.checked_sub(self.placed.first()?.source)?)
    }

    /// Whether something is wrong that a job has to do with: with the manifest itself, or with the unit that has the job.
    /// What is wrong with other units is not its business.
    #[must_use]
    pub fn has_errors_for(&self, job: &JobId) -> bool {
        let own = self.manifest.jobs.contains_key(job).then(|| self.manifest.job_span(job, "").source);
        let concerns = |found: &Diagnostic| match (self.unit_of(found), own) {
            (Some(unit), Some(own)) => unit.source == own,
            (None, _) | (_, None) => true,
        };
        self.diagnostics.all().iter().any(|found| found.severity == Severity::Error && concerns(found))
    }

    /// Forgets what is wrong with what stands in files, where that was right when it was read: what became of them since is
    /// told by the next reload, and not to who gives the host something.
    pub fn forgive_files(&mut self) {
        let found = std::mem::take(&mut self.diagnostics).into_iter();
        let is_told = |found: &Diagnostic| {
            found.severity == Severity::Warning || self.unit_of(found).is_some() || self.placed_of(found).is_some()
        };
        let told: Vec<_> = found.filter(is_told).collect();
        self.diagnostics.extend(told);
    }

    /// The files with texts of the manifest.
    pub fn texts(&self) -> impl Iterator<Item = &Path> {
        let n_files = self.sources.len() - self.placed.len();
        let is_file = |index: usize| self.program != Some(index);
        let has_text = |index: usize| self.units.iter().all(|unit| unit.source != index || unit.text.is_some());
        let texts = self.sources.iter().enumerate().take(n_files);
        let texts = texts.filter(move |(index, _)| is_file(*index) && has_text(*index));
        texts.map(|(_, source)| Path::new(&*source.name))
    }

    /// What says what the manifest is: its files, those that are missing included, and the folders in which more of them may
    /// appear. The files of plugins are not among them.
    #[must_use]
    pub fn watched(&self) -> Vec<PathBuf> {
        self.watched.iter().cloned().collect()
    }
}

/// Reads manifests, the files that they include and the sidecars in their directories of plugins, all of it as it is on disk.
#[must_use]
pub fn manifest(paths: &[PathBuf], zones: &Zones) -> Loaded {
    files::load(paths, zones, &Given::default(), &Choices::default())
}

/// Checks where the directories lie that jobs are granted, for whoever loads no plugins.
pub fn check_dirs(loaded: &mut Loaded, only: Option<&JobId>) {
    dirs::check(loaded, only);
}

/// Checks what can be checked without the plugins: granted directories, memory, and images that nothing pins.
pub fn check(loaded: &mut Loaded) {
    dirs::check(loaded, None);
    memory::check(loaded);
    origin::check(loaded);
}

/// Loads every plugin of a manifest and prepares the call of every job.
pub fn jobs(loaded: &mut Loaded, sandbox: &Sandbox) -> (Vec<(PluginName, Arc<Plugin>)>, Vec<PreparedJob>) {
    check(loaded);
    plugins::prepare(loaded, sandbox)
}
