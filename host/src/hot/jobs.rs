//! The jobs of a host as others see them: what each is, where it comes from, and whether it is in force.

use std::{collections::BTreeSet, fmt, path::Path, sync::Arc};

use clockjack_schedule::{
    diagnostic::{Severity, Span},
    id::{JobId, PluginName, PoolName},
    job::Job,
};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::set::Set;
use crate::load::{
    FaultyGiven, GivenName,
    given::{Definition, Given},
};

/// All jobs, as they were at one moment. It shares what is in force, so that it costs nothing to have one.
#[derive(Clone, Default)]
pub struct Jobs {
    set: Option<Arc<Set>>,
    given: Arc<Given>,
    uploads: Option<Arc<Path>>,
}

/// A job, where it comes from, and whether it is in force.
#[derive(Clone, Debug)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// What is in force of it; none where nothing is.
    pub job: Option<Arc<Job>>,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether it is in force.
    pub state: JobState,
    /// The job that was made through the API under the same id and is not in force, because a file has the id.
    pub shadows: Option<Arc<Definition>>,
}

/// Where a job comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A manifest.
    Manifest {
        /// Its path, as it was named.
        file: Arc<str>,
        /// The line of its id, from 1.
        line: usize,
    },
    /// The sidecar of a component in a directory of plugins.
    Directory {
        /// The plugin.
        plugin: PluginName,
        /// The path of the sidecar.
        file: Arc<str>,
        /// The line of its id, from 1.
        line: usize,
    },
    /// The API.
    Api(Arc<Definition>),
}

impl Origin {
    /// The stable word.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Manifest { .. } => "manifest",
            Self::Directory { .. } => "directory",
            Self::Api(_) => "api",
        }
    }

    /// Where it is written, for people: `clockjack.yaml:7`.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Manifest { file, line } | Self::Directory { file, line, .. } => format!("{file}:{line}"),
            Self::Api(definition) => format!("revision {}", definition.revision),
        }
    }
}

/// Whether a job is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// As it stands where it comes from.
    InForce,
    /// Something is wrong with it as it stands where it comes from.
    Broken {
        /// The code of what is wrong.
        code: &'static str,
        /// What is wrong.
        reason: String,
        /// What to do about it.
        fix: String,
        /// It goes on as it was before; else nothing of it is in force.
        is_kept: bool,
    },
}

impl JobState {
    /// The stable word.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::InForce => "in_force",
            Self::Broken { .. } => "broken",
        }
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.ids()).finish()
    }
}

impl Jobs {
    pub(super) fn of(set: &Arc<Set>, given: &Arc<Given>, uploads: Option<&Path>) -> Self {
        Self { set: Some(Arc::clone(set)), given: Arc::clone(given), uploads: uploads.map(Into::into) }
    }

    /// The jobs of a manifest alone.
    #[cfg(test)]
    pub(crate) fn of_set(set: Set) -> Self {
        Self { set: Some(Arc::new(set)), ..Self::default() }
    }

    pub(super) fn uploads(&self) -> Option<&Path> {
        self.uploads.as_deref()
    }

    /// What the host was given beside its files.
    #[must_use]
    pub fn given(&self) -> &Arc<Given> {
        &self.given
    }

    /// Whether the runs of a pool have processes of their own.
    #[must_use]
    pub fn is_isolated(&self, pool: &PoolName) -> bool {
        self.set.as_ref().is_some_and(|set| set.loaded.manifest.isolated.contains(pool))
    }

    /// How many jobs are not as they stand where they come from, because something is wrong with them there.
    #[must_use]
    pub fn n_broken(&self) -> usize {
        let faulty = self.set.iter().flat_map(|set| &set.faulty.given);
        faulty.filter(|faulty| matches!(faulty.name, GivenName::Job(_))).count()
    }

    /// The ids of all jobs, in their order, those of which nothing is in force included.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<&JobId> {
        let in_force = self.set.iter().flat_map(|set| set.loaded.manifest.jobs.keys());
        in_force.chain(self.given.definitions.keys()).collect()
    }

    /// A job.
    #[must_use]
    pub fn get(&self, id: &JobId) -> Option<JobView> {
        let set = self.set.as_deref()?;
        let manifest = &set.loaded.manifest;
        let (job, given) = (manifest.jobs.get(id).cloned(), self.given.definitions.get(id));
        let span = manifest.job_span(id, "");
        let is_given = set.loaded.placed.first().is_some_and(|first| first.source <= span.source);
        if job.is_some() && !is_given {
            let (origin, shadows) = (origin(set, span), given.cloned());
            return Some(JobView { id: id.clone(), job, origin, state: JobState::InForce, shadows });
        }
        let faulty = set.faulty.given.iter().find(|faulty| faulty.name == GivenName::Job(id.clone()));
        let (origin, state) = (Origin::Api(Arc::clone(given?)), state(faulty));
        Some(JobView { id: id.clone(), job, origin, state, shadows: None })
    }

    /// What stands under the id of a job where it comes from, with the variables of the host filled in where that is a file.
    #[must_use]
    pub fn definition(&self, view: &JobView) -> Json {
        if let Origin::Api(definition) = &view.origin {
            return definition.json();
        }
        let manifest = self.set.as_deref().map(|set| &set.loaded.manifest);
        manifest.and_then(|manifest| manifest.job_node(&view.id)).map(|node| node.to_json()).unwrap_or_default()
    }

    /// What jobs fall back on that were made through the API, as it is written.
    #[must_use]
    pub fn defaults(&self) -> Json {
        self.set.as_deref().map(|set| set.loaded.manifest.defaults()).unwrap_or_default()
    }

    /// The definition of a job as it stands beside [`Jobs::defaults`], also where its own file has others.
    #[must_use]
    pub fn carried(&self, view: &JobView) -> Json {
        if let Origin::Api(definition) = &view.origin {
            return definition.json();
        }
        let manifest = self.set.as_deref().map(|set| &set.loaded.manifest);
        manifest.and_then(|manifest| manifest.carried(&view.id)).unwrap_or_default()
    }

    /// What changes whenever the definition of a job does: its revision, or what it says where it stands in a file.
    #[must_use]
    pub fn etag(&self, view: &JobView) -> String {
        match &view.origin {
            Origin::Api(definition) => format!("\"{}\"", definition.revision),
            Origin::Manifest { .. } | Origin::Directory { .. } => {
                let digest = Sha256::digest(self.definition(view).to_string());
                let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
                format!("\"file-{hex}\"")
            }
        }
    }
}

fn origin(set: &Set, span: Span) -> Origin {
    let (line, _) = span.position(&set.loaded.sources);
    let file = set.loaded.sources.get(span.source).map(|source| Arc::clone(&source.name)).unwrap_or_default();
    match set.loaded.units.iter().find(|unit| unit.source == span.source) {
        Some(unit) => Origin::Directory { plugin: unit.plugin.clone(), file, line },
        None => Origin::Manifest { file, line },
    }
}

fn state(faulty: Option<&FaultyGiven>) -> JobState {
    let Some(faulty) = faulty else { return JobState::InForce };
    let first = faulty.findings.iter().find(|found| found.severity == Severity::Error);
    JobState::Broken {
        code: first.map_or("job.invalid", |found| found.code),
        reason: first.map(|found| found.message.clone()).unwrap_or_default(),
        fix: first.and_then(|found| found.fix.clone()).unwrap_or_default(),
        is_kept: faulty.is_kept,
    }
}
