//! A manifest as it was read: with all that can be said of it before its plugins are known.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use chrono::{DateTime, Utc};
use clockjack_sandbox::Sandbox;
use clockjack_schedule::{
    diagnostic::{Diagnostic, Diagnostics, Source},
    id::PluginName,
    manifest::{resolved::Manifest, store_url::StoreUrl},
    zone::Zones,
};

use crate::load::{self, Choices, Faulty, Loaded, Program, Settled, given::Given, provenance::Lock, secrets::Missing};

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
    /// What the program says that the host is a part of.
    pub program: Program,
}

/// A manifest as it was read.
pub struct Set {
    pub(super) loaded: Loaded,
    /// What is not as it is on disk, or as it was given last, because something is wrong with it.
    pub(super) faulty: Faulty,
    /// What the host was given beside its files.
    pub(super) given: Arc<Given>,
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
        Reading::of(sources, &Arc::default(), began)
            .files(Choices::default().with_program(&sources.program), Faulty::default())
    }

    /// Reads a manifest beside one that is in force, which is right where two units do not go together.
    pub(super) fn read_beside(
        sources: &Sources,
        before: &Self,
        given: &Arc<Given>,
        began: DateTime<Utc>,
    ) -> anyhow::Result<Self> {
        let choices = Choices::beside(&before.loaded.units, &before.loaded.placed);
        Reading::of(sources, given, began).files(choices.with_program(&sources.program), Faulty::default())
    }

    /// The same files with something else that the host was given, beside what is in force. The files are not read again.
    ///
    /// # Errors
    /// When the file of pins cannot be read.
    pub fn with_given(&self, sources: &Sources, given: &Arc<Given>, before: Option<&Self>) -> anyhow::Result<Self> {
        let placed = before.map_or(&[][..], |before| &before.loaded.placed);
        let faulty = Faulty { given: Vec::new(), ..self.faulty.clone() };
        let choices = self.choices.with_given_beside(placed);
        let mut set = Reading::of(sources, given, self.began).anew(self, choices, faulty)?;
        if !self.loaded.diagnostics.has_errors() {
            set.loaded.forgive_files();
        }
        Ok(set)
    }

    /// The same with those components aside in which something was found that is wrong. None where something is wrong with
    /// the manifest itself.
    pub(super) fn without_faulty(&self, sources: &Sources, found: &[Diagnostic]) -> Option<anyhow::Result<Self>> {
        let mut choices = self.choices.clone();
        let more = load::put_aside(&self.loaded, found, &mut choices);
        if more.units.is_empty() && more.given.is_empty() {
            return None;
        }
        let has_same_units = more.units.is_empty();
        let mut faulty = self.faulty.clone();
        faulty.add(more);
        let reading = Reading::of(sources, &self.given, self.began);
        Some(if has_same_units { reading.anew(self, choices, faulty) } else { reading.files(choices, faulty) })
    }

    /// The same without those components that are not known yet: each as it was before, or not at all.
    pub(super) fn without(&self, sources: &Sources, plugins: &BTreeSet<PluginName>) -> anyhow::Result<Self> {
        let mut choices = self.choices.clone();
        for unit in self.loaded.units.iter().filter(|unit| plugins.contains(&unit.plugin)) {
            choices.refuse(unit);
        }
        Reading::of(sources, &self.given, self.began).files(choices, self.faulty.clone())
    }

    /// The components in directories that are not as they are on disk.
    #[must_use]
    pub fn faulty(&self) -> &Faulty {
        &self.faulty
    }

    /// Whether it was read with this beside its files.
    #[must_use]
    pub fn has_given(&self, given: &Given) -> bool {
        *self.given == *given
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
        self.has_same_texts(other)
            && self.loaded.lock == other.loaded.lock
            && self.loaded.units == other.loaded.units
            && self.given == other.given
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

/// What a set is read from.
struct Reading<'r> {
    sources: &'r Sources,
    given: &'r Arc<Given>,
    began: DateTime<Utc>,
}

impl<'r> Reading<'r> {
    fn of(sources: &'r Sources, given: &'r Arc<Given>, began: DateTime<Utc>) -> Self {
        Self { sources, given, began }
    }

    /// From the files.
    fn files(self, choices: Choices, faulty: Faulty) -> anyhow::Result<Set> {
        let lock = self.lock()?;
        let Sources { files, zones, .. } = self.sources;
        let settled = load::settle(files, zones, self.given, choices, |loaded| self.check(lock.as_ref(), loaded));
        Ok(self.set(settled, lock, faulty))
    }

    /// From what was read of them.
    fn anew(self, before: &Set, choices: Choices, faulty: Faulty) -> anyhow::Result<Set> {
        let lock = before.loaded.lock.clone();
        let Sources { files, zones, .. } = self.sources;
        let check = |loaded: &mut Loaded| self.check(lock.as_ref(), loaded);
        let settled = load::settle_anew(&before.loaded, files, zones, self.given, choices, check);
        Ok(self.set(settled, lock, faulty))
    }

    fn lock(&self) -> anyhow::Result<Option<Lock>> {
        self.sources.is_locked.then(|| Lock::read(&self.sources.files)).transpose()
    }

    fn check(&self, lock: Option<&Lock>, loaded: &mut Loaded) {
        loaded.lock = lock.cloned();
        loaded.ledger.clone_from(&self.sources.ledger);
        load::check(loaded);
        load::secrets::check(loaded, None, Missing::Error);
        // A host that tells nobody is worth more than none.
        load::channels::check(loaded, Missing::Warning);
    }

    fn set(self, settled: Settled, lock: Option<Lock>, mut faulty: Faulty) -> Set {
        let Settled { mut loaded, faulty: more, choices } = settled;
        // Where nothing could be checked, the pins count all the same.
        (loaded.lock, loaded.ledger) = (lock, self.sources.ledger.clone());
        faulty.add(more);
        Set { loaded, faulty, given: Arc::clone(self.given), choices, began: self.began }
    }
}
