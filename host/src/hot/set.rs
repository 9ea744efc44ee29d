//! A manifest as it was read: with all that can be said of it before its plugins are known.

use std::{collections::BTreeSet, path::PathBuf};

use chrono::{DateTime, Utc};
use clockjack_sandbox::Sandbox;
use clockjack_schedule::{
    diagnostic::{Diagnostic, Diagnostics, Source},
    id::PluginName,
    manifest::{resolved::Manifest, store_url::StoreUrl},
    zone::Zones,
};

use crate::load::{self, Choices, FaultyUnit, Loaded, Settled, provenance::Lock, secrets::Missing};

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
    /// The components in directories that are not as they are on disk, because something is wrong with them.
    pub(super) faulty: Vec<FaultyUnit>,
    /// How they are read.
    choices: Choices,
    /// Before this instant nothing of it was read: what changed since may be something else by now.
    pub(super) began: DateTime<Utc>,
}

impl Set {
    /// Reads a manifest. `began` is now.
    ///
    /// # Errors
    /// When the file of pins cannot be read.
    pub fn read(sources: &Sources, began: DateTime<Utc>) -> anyhow::Result<Self> {
        Self::read_with(sources, Choices::default(), Vec::new(), began)
    }

    /// Reads a manifest beside one that is in force, which is right where two units do not go together.
    pub(super) fn read_beside(sources: &Sources, before: &Self, began: DateTime<Utc>) -> anyhow::Result<Self> {
        Self::read_with(sources, Choices::beside(&before.loaded.units), Vec::new(), began)
    }

    fn read_with(
        sources: &Sources,
        choices: Choices,
        mut faulty: Vec<FaultyUnit>,
        began: DateTime<Utc>,
    ) -> anyhow::Result<Self> {
        let lock = sources.is_locked.then(|| Lock::read(&sources.files)).transpose()?;
        let settled = load::settle(&sources.files, &sources.zones, choices, |loaded| {
            loaded.lock.clone_from(&lock);
            loaded.ledger.clone_from(&sources.ledger);
            load::check(loaded);
            load::secrets::check(loaded, None, Missing::Error);
        });
        let Settled { mut loaded, faulty: more, choices } = settled;
        // Where nothing could be checked, the pins count all the same.
        (loaded.lock, loaded.ledger) = (lock, sources.ledger.clone());
        let is_told = |unit: &FaultyUnit, faulty: &[FaultyUnit]| faulty.iter().any(|known| known.path == unit.path);
        for unit in more {
            if !is_told(&unit, &faulty) {
                faulty.push(unit);
            }
        }
        Ok(Self { loaded, faulty, choices, began })
    }

    /// The same with those components aside in which something was found that is wrong. None where something is wrong with
    /// the manifest itself.
    pub(super) fn without_faulty(&self, sources: &Sources, found: &[Diagnostic]) -> Option<anyhow::Result<Self>> {
        let mut choices = self.choices.clone();
        let more = load::put_aside(&self.loaded, found, &mut choices);
        if more.is_empty() {
            return None;
        }
        let faulty = self.faulty.iter().cloned().chain(more).collect();
        Some(Self::read_with(sources, choices, faulty, self.began))
    }

    /// The same without those components that are not known yet: each as it was before, or not at all.
    pub(super) fn without(&self, sources: &Sources, plugins: &BTreeSet<PluginName>) -> anyhow::Result<Self> {
        let mut choices = self.choices.clone();
        for unit in self.loaded.units.iter().filter(|unit| plugins.contains(&unit.plugin)) {
            choices.refuse(unit);
        }
        Self::read_with(sources, choices, self.faulty.clone(), self.began)
    }

    /// The components in directories that are not as they are on disk.
    #[must_use]
    pub fn faulty(&self) -> &[FaultyUnit] {
        &self.faulty
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

    /// Whether the same was read: every file, the pins, and the components in directories.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.has_same_texts(other) && self.loaded.lock == other.loaded.lock && self.loaded.units == other.loaded.units
    }

    /// Whether every file says the same.
    pub(super) fn has_same_texts(&self, other: &Self) -> bool {
        let texts = |set: &Self| -> Vec<_> {
            set.loaded.sources.iter().map(|source| (source.name.clone(), source.text.clone())).collect()
        };
        texts(self) == texts(other)
    }

    /// A sandbox that spends on a plugin what this manifest lets it.
    pub(super) fn sandbox(&self, sandbox: &Sandbox) -> Sandbox {
        sandbox.clone().with_compile_budget(load::compile_budget(&self.loaded.manifest.host.ceilings))
    }
}
