//! Loading: files become a manifest, plugins become calls. All findings are collected; nothing runs yet.

pub mod components;
mod dirs;
mod files;
pub mod memory;
mod oci;
pub mod origin;
mod plugins;
pub mod provenance;
pub mod secrets;
pub mod stores;
pub mod zones;

use std::{collections::BTreeMap, sync::Arc};

use clockjack_sandbox::{Plugin, Sandbox};
use clockjack_schedule::{
    diagnostic::{Diagnostics, Source},
    id::{JobId, PluginName},
    manifest::{resolved::Manifest, store_url::StoreUrl},
    zone::Zones,
};

use self::{origin::Image, provenance::Lock};

pub use self::origin::plugin_file;
pub use self::plugins::{
    PreparedJob, compile_budget, isolated_pool, job_findings, pinned, plugin_finding, prepare_job, prepare_jobs,
    prepared, sandbox_for, sandbox_with, slow, workers,
};

/// What came of the files that a person named.
pub struct Loaded {
    /// The texts, for showing places in them.
    pub sources: Vec<Source>,
    /// What could be read; complete only where there is no error.
    pub manifest: Manifest,
    /// Everything that is wrong.
    pub diagnostics: Diagnostics,
    /// The only bytes that plugins may be, where that was asked for.
    pub lock: Option<Lock>,
    /// Where the host was told to keep its default store, whatever the manifest says.
    pub ledger: Option<StoreUrl>,
    /// The images that plugins came out of, as far as they are loaded and came from registries.
    pub images: BTreeMap<PluginName, Image>,
}

impl Loaded {
    /// The files and folders that say what the manifest is; when one of them changes, it may be another one.
    #[must_use]
    pub fn watched(&self) -> Vec<std::path::PathBuf> {
        self.sources.iter().map(|source| std::path::PathBuf::from(&*source.name)).collect()
    }

    /// Holds plugins to their pins, where that was asked for.
    ///
    /// # Errors
    /// When the file with pins cannot be read.
    pub fn held_to_pins(mut self, locked: bool, files: &[std::path::PathBuf]) -> anyhow::Result<Self> {
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

/// Reads manifests and the files that they include.
#[must_use]
pub fn manifest(paths: &[std::path::PathBuf], zones: &Zones) -> Loaded {
    files::load(paths, zones)
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
