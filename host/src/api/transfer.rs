//! `/export` and `/import`: jobs as a manifest that stands for itself. It has the defaults that its jobs fall back on, and names the
//! plugins that they need; an import sees to it that they mean the same beside other defaults.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use clockjack_schedule::manifest::{carry::carry, parse::parse};
use serde_json::{Map, Value, json};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    asked::{Asked, By},
    definitions::id,
    problem::{Problem, Problems},
    query::{Dry, Query},
    router::Api,
    uploads,
    view::definitions::{ExportFormat, ImportAsked, ImportMode, Imported, Manifest},
};
use crate::{
    cli::diagnostics,
    hot::{Condition, Define, Edit, EditKind, Origin, PluginView},
};

/// Where an export names the plugins that its jobs need. What begins with `x-` is free in a manifest.
const PLUGINS: &str = "x-plugins";

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(export)).routes(routes!(import))
}

/// Jobs as a manifest: those that were made through the API, or all of them.
#[utoipa::path(get, path = "/export", tag = "jobs", params(("format" = inline(Option<ExportFormat>), Query, description = "Without it `json`."), ("all" = Option<bool>, Query, description = "Also the jobs that stand in files.")), responses((status = 200, content((Manifest = "application/json"), (Manifest = "application/yaml"))), Problems))]
async fn export(State(api): State<Arc<Api>>, mut query: Query) -> Result<Response, Problem> {
    let is_all = query.flag("all")?.unwrap_or_default();
    let format = query.word("format", &[("json", ExportFormat::Json), ("yaml", ExportFormat::Yaml)])?;
    let manifest = manifest_of(&api, is_all);
    match format.unwrap_or_default() {
        ExportFormat::Json => Ok(Json(manifest).into_response()),
        ExportFormat::Yaml => Ok(([(header::CONTENT_TYPE, "application/yaml")], yaml(&manifest)?).into_response()),
    }
}

/// Jobs with what they mean only here: the defaults they fall back on, and which plugins they need.
fn manifest_of(api: &Api, is_all: bool) -> Value {
    let (jobs, running) = (api.reloader.jobs(), running(api));
    let (mut written, mut plugins) = (Map::new(), Map::new());
    for view in jobs.ids().into_iter().filter_map(|id| jobs.get(id)) {
        if !is_all && !matches!(view.origin, Origin::Api(_)) {
            continue;
        }
        if let Some((name, digest)) = view.job.as_ref().and_then(|job| running.get_key_value(job.plugin.as_str())) {
            plugins.insert(name.clone(), digest.clone().into());
        }
        written.insert(view.id.to_string(), jobs.carried(&view));
    }
    json!({ "version": 1, "defaults": jobs.defaults(), PLUGINS: plugins, "jobs": written })
}

/// The code that runs, by the name of its plugin.
fn running(api: &Api) -> BTreeMap<String, String> {
    let plugins = api.reloader.plugins();
    let digest = |plugin: &PluginView| Some((plugin.name.to_string(), plugin.current.as_ref()?.digest.clone()));
    plugins.iter().filter_map(digest).collect()
}

fn yaml(manifest: &Value) -> Result<String, Problem> {
    serde_saphyr::to_string(manifest).map_err(|error| {
        let fix = "ask for it as JSON, which is YAML, too";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "host.fault", error.to_string(), fix)
    })
}

/// Takes in jobs, all of them or none.
#[utoipa::path(post, path = "/import", tag = "jobs", params(("dry_run" = Option<bool>, Query, description = "Only say what would happen.")), request_body = ImportAsked, responses((status = 200, body = Imported), Problems))]
async fn import(
    State(api): State<Arc<Api>>,
    Dry(is_dry): Dry,
    by: By,
    Asked(asked): Asked<ImportAsked>,
) -> Result<Json<Imported>, Problem> {
    let Sent { mut jobs, defaults, plugins } = jobs_of(asked.manifest)?;
    let notes = compare(&plugins, &running(&api))?;
    if let Some(defaults) = defaults {
        let here = api.reloader.jobs().defaults();
        jobs.values_mut().for_each(|job| carry(job, &defaults, &here));
    }
    let condition = match asked.mode {
        ImportMode::Create => Condition::New,
        ImportMode::Replace => Condition::Any,
    };
    let mut edits = BTreeMap::new();
    for (name, job) in jobs {
        edits.insert(id(&name)?, Edit { kind: EditKind::Put(job), condition: condition.clone() });
    }
    if asked.prune {
        for job in api.reloader.jobs().given().definitions.keys() {
            let edit = || Edit { kind: EditKind::Delete, condition: Condition::Any };
            edits.entry(job.clone()).or_insert_with(edit);
        }
    }
    let defined = api.reloader.define(Define { edits, by: by.name(), is_dry }).await?;
    if !is_dry {
        api.settle().await?;
    }
    Ok(Json(Imported { notes, ..defined.into() }))
}

/// That there are the plugins that somebody else's jobs need. It answers which of them are others here than there.
fn compare(needed: &BTreeMap<String, String>, here: &BTreeMap<String, String>) -> Result<Vec<String>, Problem> {
    let (mut missing, mut notes) = (Vec::new(), Vec::new());
    // A job that names a file or a registry needs no name that this host has.
    for (name, there) in needed.iter().filter(|(name, _)| uploads::plugin(name).is_ok()) {
        match here.get(name) {
            None => missing.push(format!("`{name}` (sha256 {there})")),
            Some(here) if !here.eq_ignore_ascii_case(there) => {
                notes.push(format!(
                    "plugin `{name}` has other code here ({here}) than where the jobs come from ({there})"
                ));
            }
            Some(_) => {}
        }
    }
    if missing.is_empty() {
        return Ok(notes);
    }
    let detail = format!("the jobs need plugins that this host does not have: {}", missing.join(", "));
    let fix = "upload each first, `clockjack plugins upload NAME FILE`, or name it under `plugins:` in the manifest of the host; \
               then import the jobs again";
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "import.plugin_missing", detail, fix))
}

/// What is taken in of a manifest.
struct Sent {
    jobs: Map<String, Value>,
    /// What its jobs fall back on, where it says so.
    defaults: Option<Value>,
    /// The plugins that they need.
    plugins: BTreeMap<String, String>,
}

/// The jobs of a manifest that has nothing else but what they mean.
fn jobs_of(manifest: Value) -> Result<Sent, Problem> {
    let invalid = |detail: String| {
        let fix = "send `{ \"manifest\": { \"version\": 1, \"jobs\": { … } } }`; what is not a job stands in the manifest \
                   of the host";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "import.invalid", detail, fix)
    };
    let manifest = match manifest {
        Value::String(text) => {
            let (node, found) = parse(0, &text);
            if found.has_errors() {
                let sources = [clockjack_schedule::diagnostic::Source::new("import", text)];
                let findings = diagnostics::to_json(found.all(), &sources);
                return Err(invalid("the manifest cannot be read".to_owned()).with("findings", &findings));
            }
            node.map(|node| node.to_json()).unwrap_or_default()
        }
        other => other,
    };
    let Value::Object(mut entries) = manifest else { return Err(invalid("the manifest is no object".to_owned())) };
    match entries.remove("version") {
        None => {}
        Some(version) if version == 1 => {}
        Some(version) => return Err(invalid(format!("this host reads manifests of version 1, not {version}"))),
    }
    let jobs = entries.remove("jobs").unwrap_or_default();
    let defaults = match entries.remove("defaults") {
        None | Some(Value::Null) => None,
        Some(defaults @ Value::Object(_)) => Some(defaults),
        Some(_) => return Err(invalid("`defaults` is no map of keys and values".to_owned())),
    };
    let plugins = match entries.remove(PLUGINS).map(serde_json::from_value) {
        None => BTreeMap::new(),
        Some(plugins) => plugins.map_err(|error| invalid(format!("`{PLUGINS}`: {error}")))?,
    };
    if let Some(other) = entries.keys().find(|key| !key.starts_with("x-")) {
        return Err(invalid(format!("the manifest has `{other}`, and only jobs are taken in")));
    }
    match jobs {
        Value::Object(jobs) => Ok(Sent { jobs, defaults, plugins }),
        _ => Err(invalid("`jobs` is no map from an id to a job".to_owned())),
    }
}
