//! What a host was given beside its files, as it is read: each as it was given last, as it was when it was last right, or not at
//! all. Each stands for itself, as components in directories do.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::Arc,
};

use clockjack_schedule::{
    diagnostic::{self, Diagnostic},
    id::{JobId, PluginName},
    manifest::source::Source,
};

use super::given::{Definition, Given, Upload};

/// One thing that a host was given, with the source that stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// What it is.
    pub kind: PlacedKind,
    /// Which of the sources that were read together is its own.
    pub source: usize,
}

/// What a host may be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacedKind {
    /// A job.
    Definition(Arc<Definition>),
    /// A plugin.
    Upload(Arc<Upload>),
}

/// The name of what a host was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GivenName {
    /// Of a job.
    Job(JobId),
    /// Of a plugin.
    Plugin(PluginName),
}

impl fmt::Display for GivenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(job) => write!(f, "job `{job}`"),
            Self::Plugin(plugin) => write!(f, "plugin `{plugin}`"),
        }
    }
}

/// Something that was given and is not in force as it was given last.
#[derive(Clone, Debug)]
pub struct FaultyGiven {
    /// What.
    pub name: GivenName,
    /// What is wrong with it.
    pub findings: Vec<Diagnostic>,
    /// The texts that the findings are about.
    pub sources: Vec<diagnostic::Source>,
    /// It stays as it was before; else it is left out.
    pub is_kept: bool,
}

impl Placed {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> GivenName {
        match &self.kind {
            PlacedKind::Definition(definition) => GivenName::Job(definition.job.clone()),
            PlacedKind::Upload(upload) => GivenName::Plugin(upload.plugin.clone()),
        }
    }

    pub(super) fn as_source(&self) -> diagnostic::Source {
        match &self.kind {
            PlacedKind::Definition(definition) => definition.source(),
            PlacedKind::Upload(upload) => upload.source(),
        }
    }

    /// The jobs of all definitions, in the order of their sources.
    pub(super) fn jobs(placed: &[Self]) -> Vec<JobId> {
        let job = |placed: &Self| match &placed.kind {
            PlacedKind::Definition(definition) => Some(definition.job.clone()),
            PlacedKind::Upload(_) => None,
        };
        placed.iter().filter_map(job).collect()
    }

    /// The plugins that were uploaded, in the order of their sources, and where their files are.
    pub(super) fn plugins(placed: &[Self]) -> Vec<(PluginName, PathBuf)> {
        let plugin = |placed: &Self| match &placed.kind {
            PlacedKind::Upload(upload) => Some((upload.plugin.clone(), upload.file.clone())),
            PlacedKind::Definition(_) => None,
        };
        placed.iter().filter_map(plugin).collect()
    }
}

/// What was uploaded as a plugin, where that is what its name means.
#[must_use]
pub fn upload_of<'p>(placed: &'p [Placed], name: &PluginName, source: &Source) -> Option<&'p Upload> {
    placed.iter().find_map(|placed| match &placed.kind {
        PlacedKind::Upload(upload) => {
            (upload.plugin == *name && source.file() == Some(&upload.file)).then_some(&**upload)
        }
        PlacedKind::Definition(_) => None,
    })
}

/// How what was given is read.
#[derive(Clone, Debug, Default)]
pub(super) struct GivenChoices {
    /// The definitions that are in force.
    in_force: BTreeMap<JobId, Arc<Definition>>,
    /// Those that are read as they were before.
    kept: BTreeMap<JobId, Arc<Definition>>,
    left_out: BTreeSet<GivenName>,
}

impl GivenChoices {
    pub(super) fn beside(in_force: &[Placed]) -> Self {
        let definition = |placed: &Placed| match &placed.kind {
            PlacedKind::Definition(definition) => Some((definition.job.clone(), Arc::clone(definition))),
            PlacedKind::Upload(_) => None,
        };
        Self { in_force: in_force.iter().filter_map(definition).collect(), ..Self::default() }
    }

    /// Something is wrong with what was read: from now on what it was before is read in its place, or nothing. Answers whether
    /// it is what it was before.
    pub(super) fn refuse(&mut self, placed: &Placed) -> bool {
        if let PlacedKind::Definition(definition) = &placed.kind
            && let Some(before) = self.in_force.get(&definition.job).filter(|before| *before != definition)
            && !self.kept.contains_key(&definition.job)
        {
            self.kept.insert(definition.job.clone(), Arc::clone(before));
            return true;
        }
        self.left_out.insert(placed.name());
        false
    }

    /// The order is that of units: what is in force as it is, what is in force otherwise, what is new; in each of them by name.
    /// Who comes later is at fault.
    pub(super) fn placed(&self, given: &Given, first_source: usize) -> Vec<Placed> {
        let read = |definition: &Arc<Definition>| {
            let name = GivenName::Job(definition.job.clone());
            let chosen = self.kept.get(&definition.job).unwrap_or(definition);
            (!self.left_out.contains(&name)).then(|| Arc::clone(chosen))
        };
        let mut definitions: Vec<_> = given.definitions.values().filter_map(read).collect();
        definitions.sort_by_key(|definition| match self.in_force.get(&definition.job) {
            Some(before) if before == definition => 0,
            Some(_) => 1,
            None => 2,
        });
        let is_read = |upload: &&Arc<Upload>| !self.left_out.contains(&GivenName::Plugin(upload.plugin.clone()));
        let uploads = given.uploads.values().filter(is_read).map(|upload| PlacedKind::Upload(Arc::clone(upload)));
        let kinds = definitions.into_iter().map(PlacedKind::Definition).chain(uploads);
        (first_source..).zip(kinds).map(|(source, kind)| Placed { kind, source }).collect()
    }
}
