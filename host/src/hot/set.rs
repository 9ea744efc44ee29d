//! A manifest as it was read: with all that can be said of it before its plugins are known.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clockjack_sandbox::Sandbox;
use clockjack_schedule::{
    diagnostic::{Diagnostics, Source},
    manifest::{resolved::Manifest, store_url::StoreUrl},
    zone::Zones,
};

use crate::load::{self, Loaded, secrets::Missing};

/// Where a manifest is read from, and how.
#[derive(Clone)]
pub struct Sources {
    /// What a person named with `-f`.
    pub files: Vec<PathBuf>,
    /// The rules of all zones.
    pub zones: Zones,
    /// Whether plugins are held to their pins.
    pub is_locked: bool,
    /// Where the command line puts the default store.
    pub ledger: Option<StoreUrl>,
}

/// A manifest as it was read.
pub struct Set {
    pub(super) loaded: Loaded,
    /// Before this instant nothing of it was read: what changed since may be something else by now.
    pub(super) began: DateTime<Utc>,
}

impl Set {
    /// Reads a manifest. `began` is now.
    ///
    /// # Errors
    /// When the file of pins cannot be read.
    pub fn read(sources: &Sources, began: DateTime<Utc>) -> anyhow::Result<Self> {
        let loaded = load::manifest(&sources.files, &sources.zones).held_to_pins(sources.is_locked, &sources.files)?;
        let mut loaded = loaded.recorded_in(sources.ledger.as_ref());
        load::check(&mut loaded);
        load::secrets::check(&mut loaded, None, Missing::Error);
        Ok(Self { loaded, began })
    }

    /// What it says.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.loaded.manifest
    }

    /// Its texts.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.loaded.sources
    }

    /// Everything that was found in it, in order, with what `more` finds.
    pub fn findings(&mut self, more: impl FnOnce(&Manifest, &mut Diagnostics)) -> Diagnostics {
        let Loaded { manifest, diagnostics, .. } = &mut self.loaded;
        more(manifest, diagnostics);
        diagnostics.sort();
        diagnostics.clone()
    }

    /// Whether the same was read: every file, and the pins.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let texts = |set: &Self| -> Vec<_> {
            set.loaded.sources.iter().map(|source| (source.name.clone(), source.text.clone())).collect()
        };
        texts(self) == texts(other) && self.loaded.lock == other.loaded.lock
    }

    /// A sandbox that spends on a plugin what this manifest lets it.
    pub(super) fn sandbox(&self, sandbox: &Sandbox) -> Sandbox {
        sandbox.clone().with_compile_budget(load::compile_budget(&self.loaded.manifest.host.ceilings))
    }
}
