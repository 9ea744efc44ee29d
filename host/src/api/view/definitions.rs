//! Jobs as they are written: in files, and through the API.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::{
    ToSchema,
    openapi::{
        Type,
        schema::{AnyOfBuilder, ObjectBuilder, Schema},
    },
};

use super::{Plan, Plugin};
use crate::{cli::rfc3339, hot, load::given};

/// A job as it is written.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Definition {
    /// Its id.
    pub job: String,
    /// Where it comes from: `manifest`, `directory` (the sidecar of a component in a directory of plugins), `api`.
    pub origin: String,
    /// The file that it stands in.
    pub file: Option<String>,
    /// The line of its id in it.
    pub line: Option<usize>,
    /// Grows with each change; of a job that was made through the API.
    pub revision: Option<u64>,
    /// When it was made through the API.
    pub created_at: Option<String>,
    /// Who made it.
    pub created_by: Option<String>,
    /// When it was changed last.
    pub changed_at: Option<String>,
    /// Who changed it last.
    pub changed_by: Option<String>,
    /// `in_force`; `broken` where something is wrong with it as it is written.
    pub state: String,
    /// What is wrong with it, where it is broken.
    pub broken: Option<Broken>,
    /// Whether a job of the same id was made through the API, and is not in force because this one is.
    pub shadows: bool,
    /// What a reload does with it, in words.
    pub on_reload: String,
    /// What `If-Match` is to say.
    pub etag: String,
    /// What stands under its id in a manifest.
    #[schema(value_type = Object)]
    pub definition: Json,
}

/// What is wrong with a job as it is written.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Broken {
    /// The code of what is wrong.
    pub code: String,
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub fix: String,
    /// Whether it goes on as it was before; else nothing of it is in force.
    pub kept: bool,
}

/// Make a job.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JobAsked {
    /// Its id.
    #[schema(required = true, min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    pub id: String,
    /// What would stand under its id in a manifest.
    #[schema(required = true, value_type = Object)]
    pub job: Json,
}

/// Take in jobs.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ImportAsked {
    /// A manifest that has nothing but `version`, `defaults`, `jobs` and `x-plugins`: as an object, or as text in YAML. Where it
    /// has `defaults`, what those of this host say is not meant for its jobs; without, they count.
    #[schema(required = true, schema_with = manifest)]
    pub manifest: Json,
    /// What becomes of jobs that are there already.
    pub mode: ImportMode,
    /// Whether jobs that were made through the API and are not among these are deleted.
    pub prune: bool,
}

fn manifest() -> Schema {
    let of = |kind| ObjectBuilder::new().schema_type(kind);
    let words = "A manifest that has nothing but `version`, `defaults`, `jobs` and `x-plugins`: as an object, or as text in YAML. \
                 Where it has `defaults`, what those of this host say is not meant for its jobs; without, they count.";
    let either = AnyOfBuilder::new().description(Some(words)).item(of(Type::Object)).item(of(Type::String));
    Schema::AnyOf(either.build())
}

/// What becomes of jobs that are there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportMode {
    /// Nothing is taken in where one of them is.
    #[default]
    Create,
    /// They are replaced.
    Replace,
}

/// What came of changes of several jobs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// What became of each job.
    pub jobs: Vec<Done>,
    /// What of it came in force, or would.
    pub plan: Plan,
    /// What is not as it was where the jobs come from: plugins with other code.
    pub notes: Vec<String>,
}

/// What became of a job.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// Which job.
    pub job: String,
    /// What: `created`, `changed`, `unchanged`, `deleted`.
    pub effect: String,
    /// Its revision then.
    pub revision: Option<u64>,
}

/// What came of a change, or what would.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Changed {
    /// The job then.
    Job(Box<Definition>),
    /// What would happen, with `dry_run`.
    Plan(Box<Plan>),
}

/// What came of an upload, or what would.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Uploaded {
    /// The plugin then.
    Plugin(Box<Plugin>),
    /// What would happen, with `dry_run`.
    Plan(Box<Plan>),
}

/// In which words jobs are exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// JSON.
    #[default]
    Json,
    /// YAML.
    Yaml,
}

/// Jobs as a manifest.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Manifest {
    /// The version of the language.
    pub version: u32,
    /// What the jobs fall back on.
    #[schema(value_type = Object)]
    pub defaults: Json,
    /// The plugins that the jobs need, each with the SHA-256 of its code.
    #[serde(rename = "x-plugins")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub plugins: Json,
    /// The jobs by id.
    #[schema(value_type = Object)]
    pub jobs: Json,
}

impl Definition {
    /// Of a job.
    #[must_use]
    pub fn of(jobs: &hot::Jobs, view: &hot::JobView) -> Self {
        let mut definition = Self {
            job: view.id.to_string(),
            origin: view.origin.as_str().to_owned(),
            file: None,
            line: None,
            revision: None,
            created_at: None,
            created_by: None,
            changed_at: None,
            changed_by: None,
            state: view.state.as_str().to_owned(),
            broken: None,
            shadows: view.shadows.is_some(),
            on_reload: on_reload(view).to_owned(),
            etag: jobs.etag(view),
            definition: jobs.definition(view),
        };
        match &view.origin {
            hot::Origin::Manifest { file, line } | hot::Origin::Directory { file, line, .. } => {
                (definition.file, definition.line) = (Some(file.to_string()), Some(*line));
            }
            hot::Origin::Api(written) => {
                let given::Definition { revision, created, changed, .. } = &**written;
                definition.revision = Some(*revision);
                definition.created_at = Some(rfc3339(created.at));
                definition.created_by = Some(created.by.to_string());
                definition.changed_at = Some(rfc3339(changed.at));
                definition.changed_by = Some(changed.by.to_string());
            }
        }
        if let hot::JobState::Broken { code, reason, fix, is_kept } = &view.state {
            let (code, reason, fix) = ((*code).to_owned(), reason.clone(), fix.clone());
            definition.broken = Some(Broken { code, reason, fix, kept: *is_kept });
        }
        definition
    }
}

fn on_reload(view: &hot::JobView) -> &'static str {
    match (&view.origin, &view.state) {
        (hot::Origin::Api(_), hot::JobState::InForce) => "kept",
        (hot::Origin::Api(_), hot::JobState::Broken { .. }) => "tried again",
        (hot::Origin::Manifest { .. } | hot::Origin::Directory { .. }, _) if view.shadows.is_some() => {
            "follows its file; where it goes, the job of the same id that was made through the API comes back"
        }
        (hot::Origin::Manifest { .. } | hot::Origin::Directory { .. }, _) => "follows its file",
    }
}

impl From<hot::Defined> for Imported {
    fn from(defined: hot::Defined) -> Self {
        let done = |done: hot::Done| Done {
            job: done.job.to_string(),
            effect: done.effect.as_str().to_owned(),
            revision: done.revision,
        };
        Self { jobs: defined.done.into_iter().map(done).collect(), plan: defined.plan.into(), notes: Vec::new() }
    }
}
