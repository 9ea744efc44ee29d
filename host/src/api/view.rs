//! How the control interface looks in JSON: what goes out and what comes in. The program's own commands read the same
//! types back.
//!
//! Names are those of the manifest and of the ledger; instants are RFC 3339 in UTC; what is not known is `null`.

pub mod definitions;
pub(super) mod distinct;
pub mod jobs;
pub mod runs;
pub mod scheduler;
pub mod settings;
pub mod slots;

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value as Json;
use utoipa::{
    ToSchema,
    openapi::{
        Type,
        schema::{Array, ArrayBuilder, ObjectBuilder, SchemaType},
    },
};

pub mod operate;

use crate::{
    cli::{diagnostics, rfc3339},
    hot,
};

pub mod events;

/// The plugins of a host.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Plugins {
    /// The plugins, by name.
    pub items: Vec<Plugin>,
}

/// A plugin.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Plugin {
    /// Its name.
    pub plugin: String,
    /// `active` where its file is what runs; else how the file is: `refused`, `held`,
    /// `rolled_back`; `left_out` where nothing of it is in force.
    pub state: String,
    /// Where its file is.
    pub source: String,
    /// What it runs; absent where nothing of it is in force.
    #[serde(flatten)]
    pub current: Option<Generation>,
    /// The jobs that use it.
    pub jobs: Vec<String>,
    /// What it exports.
    pub functions: Vec<String>,
    /// What it imports.
    pub imports: Vec<String>,
    /// A file that is there and is not what runs.
    pub candidate: Option<Candidate>,
    /// The trial of the current generation, while it goes on.
    pub canary: Option<Canary>,
    /// Earlier generations that can be gone back to, newest first.
    pub kept: Vec<Generation>,
}

/// A generation of a plugin.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Generation {
    /// Its number.
    pub generation: u32,
    /// SHA-256 of its file, in hex.
    pub digest: String,
    /// Size of its file.
    pub size_bytes: u64,
    /// When it came into force.
    pub since: String,
    /// Why.
    pub cause: String,
}

/// A file that is not in force.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    /// Why it is not: `refused`, `held`, `rolled_back`.
    pub state: String,
    /// SHA-256 of its bytes.
    pub digest: Option<String>,
    /// Its size.
    pub size_bytes: Option<u64>,
    /// Since when it has been so.
    pub since: String,
    /// The code of what is wrong.
    pub code: Option<String>,
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub fix: String,
    /// How it differs from what runs.
    pub difference: Option<Difference>,
}

/// How two generations differ.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// Functions that only the new one exports.
    pub exports_added: Vec<String>,
    /// Functions that only the old one exports, or that have other types now.
    pub exports_removed: Vec<String>,
    /// Interfaces that only the new one imports.
    pub imports_added: Vec<String>,
    /// Interfaces that only the old one imports.
    pub imports_removed: Vec<String>,
    /// Size of the old file.
    pub size_bytes_before: u64,
    /// Size of the new file.
    pub size_bytes_after: u64,
}

/// How a trial goes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Canary {
    /// How many of the first runs count.
    pub runs: u32,
    /// From how many failures on it is taken back.
    pub failures: u32,
    /// How many runs have ended.
    pub runs_ended: u32,
    /// How many of them failed.
    pub runs_failed: u32,
}

/// What a reload does, did, or would do.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Why all of it is refused, where it is: what is in force stays.
    pub refused: Option<String>,
    /// Jobs that come.
    pub added: Vec<JobChange>,
    /// Jobs with another definition.
    pub changed: Vec<JobChange>,
    /// Jobs that go.
    pub removed: Vec<JobChange>,
    /// How many jobs stay as they are.
    pub untouched: usize,
    /// Plugins that come, go, or run other code.
    pub plugins: Vec<PluginChange>,
    /// Pools that come, go or change, in words.
    pub pools: Vec<String>,
    /// What is to be said of the manifests, each with its place.
    #[schema(value_type = Vec<Object>)]
    pub findings: Vec<Json>,
    /// The same for people: each with its line and a caret under the words in question.
    pub findings_text: String,
}

/// What happens to a job.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct JobChange {
    /// Which job.
    pub job: String,
    /// Which parts of its definition differ.
    pub parts: Vec<String>,
    /// Its next slot as things are.
    pub next_before: Option<String>,
    /// Its next slot then.
    pub next_after: Option<String>,
}

/// What happens to a plugin.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PluginChange {
    /// Which plugin.
    pub plugin: String,
    /// What: `added`, `removed`, `replaced`, `refused`, `held`.
    pub change: String,
    /// What runs now.
    pub generation_before: Option<u32>,
    /// What runs then.
    pub generation_after: Option<u32>,
    /// Why, or what is the matter.
    pub reason: String,
    /// What to do about it.
    pub fix: String,
    /// How the code differs.
    pub difference: Option<Difference>,
}

/// Approve what waits for it.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApproveAsked {
    /// Only if the file has this SHA-256, or one that begins so.
    pub digest: Option<String>,
}

/// Go back to an earlier generation.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RollBackAsked {
    /// Which; else the one before.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 0, maximum = 4_294_967_295_u32)]
    pub generation: Option<u32>,
}

/// Say what a reload would do.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlanAsked {
    /// With these manifests, as whole paths; else with those of the host.
    #[schema(schema_with = whole_paths)]
    pub files: Option<Vec<PathBuf>>,
}

fn whole_paths() -> Array {
    let path = ObjectBuilder::new().schema_type(Type::String).pattern(Some(r"^/[^\u0000]*$"));
    let list = ArrayBuilder::new().schema_type(SchemaType::from_iter([Type::Array, Type::Null])).items(path);
    list.description(Some("With these manifests, as whole paths; else with those of the host.")).build()
}

/// A whole number, also where somebody writes `47.0`: JSON has no other kind of number.
pub(super) fn whole<'de, D: Deserializer<'de>, N: TryFrom<u64>>(json: D) -> Result<Option<N>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(json)? else { return Ok(None) };
    let is_whole = |number: &f64| number.fract() == 0.0 && (0.0..1e15).contains(number);
    let whole = number.as_u64().or_else(|| format!("{:.0}", number.as_f64().filter(is_whole)?).parse().ok());
    let fits = whole.and_then(|whole| N::try_from(whole).ok());
    fits.map(Some).ok_or_else(|| D::Error::custom(format!("{number} is no whole number of this range")))
}

/// Nothing in particular.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NothingAsked {}

/// Run a job now.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunAsked {
    /// Asking again under the same key asks for the same run: with the same `payload` and `args`, or it is refused. It has 1
    /// to 256 characters.
    #[schema(min_length = 1, max_length = 256)]
    pub key: Option<String>,
    /// What `${payload.…}` in the arguments of the job stands for.
    pub payload: Option<Json>,
    /// Arguments that take the place of those of the job, for this run: by name for a function, a list of words for a
    /// command. They are kept with the run and hold for all its attempts.
    pub args: Option<Json>,
    /// Who asks.
    pub cause: AskedBy,
}

/// Run a job again for the slot of a run that has ended.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryAsked {
    /// Who asks.
    pub cause: AskedBy,
}

/// Who asks for a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AskedBy {
    /// A program.
    #[default]
    Api,
    /// A person.
    Manual,
}

impl From<&hot::GenerationView> for Generation {
    fn from(view: &hot::GenerationView) -> Self {
        let hot::GenerationView { number, digest, n_bytes, since, cause } = view.clone();
        Self { generation: number, digest, size_bytes: n_bytes, since: rfc3339(since), cause }
    }
}

impl From<&hot::PluginView> for Plugin {
    fn from(view: &hot::PluginView) -> Self {
        let state = match &view.candidate {
            _ if view.current.is_none() => "left_out",
            Some(candidate) => candidate.state.as_str(),
            None => "active",
        };
        Self {
            plugin: view.name.to_string(),
            state: state.to_owned(),
            source: view.source.clone(),
            current: view.current.as_ref().map(Into::into),
            jobs: view.jobs.iter().map(ToString::to_string).collect(),
            functions: view.functions.clone(),
            imports: view.imports.clone(),
            candidate: view.candidate.as_ref().map(Into::into),
            canary: view.canary.map(Into::into),
            kept: view.kept.iter().map(Into::into).collect(),
        }
    }
}

impl From<&hot::CandidateView> for Candidate {
    fn from(view: &hot::CandidateView) -> Self {
        let hot::CandidateView { state, digest, n_bytes, since, code, reason, fix, difference } = view.clone();
        Self {
            state: state.as_str().to_owned(),
            digest,
            size_bytes: n_bytes,
            since: rfc3339(since),
            code,
            reason,
            fix,
            difference: difference.map(Into::into),
        }
    }
}

impl From<hot::Difference> for Difference {
    fn from(difference: hot::Difference) -> Self {
        let hot::Difference {
            exports_added,
            exports_removed,
            imports_added,
            imports_removed,
            n_bytes_before,
            n_bytes_after,
        } = difference;
        Self {
            exports_added,
            exports_removed,
            imports_added,
            imports_removed,
            size_bytes_before: n_bytes_before,
            size_bytes_after: n_bytes_after,
        }
    }
}

impl From<hot::CanaryView> for Canary {
    fn from(view: hot::CanaryView) -> Self {
        let hot::CanaryView { n_runs, n_failures_max, n_ended, n_failed } = view;
        Self { runs: n_runs, failures: n_failures_max, runs_ended: n_ended, runs_failed: n_failed }
    }
}

impl From<hot::Plan> for Plan {
    fn from(plan: hot::Plan) -> Self {
        let findings = diagnostics::to_json(&plan.findings, &plan.sources);
        let jobs = |changes: Vec<hot::JobChange>| changes.into_iter().map(Into::into).collect();
        Self {
            findings: findings.as_array().cloned().unwrap_or_default(),
            findings_text: diagnostics::render(&plan.findings, &plan.sources, diagnostics::Look::Plain),
            refused: plan.refused,
            added: jobs(plan.added),
            changed: jobs(plan.changed),
            removed: jobs(plan.removed),
            untouched: plan.n_untouched,
            plugins: plan.plugins.into_iter().map(Into::into).collect(),
            pools: plan.pools,
        }
    }
}

impl From<hot::JobChange> for JobChange {
    fn from(change: hot::JobChange) -> Self {
        Self {
            job: change.job.to_string(),
            parts: change.parts.into_iter().map(ToOwned::to_owned).collect(),
            next_before: change.next_before.map(rfc3339),
            next_after: change.next_after.map(rfc3339),
        }
    }
}

impl From<hot::PluginChange> for PluginChange {
    fn from(view: hot::PluginChange) -> Self {
        let hot::PluginChange { plugin, change, generation_before, generation_after, reason, fix, difference } = view;
        Self {
            plugin: plugin.to_string(),
            change: change.as_str().to_owned(),
            generation_before,
            generation_after,
            reason,
            fix,
            difference: difference.map(Into::into),
        }
    }
}
