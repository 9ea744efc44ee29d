//! `/export` and `/import`: jobs as a manifest that stands for itself.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use clockjack_schedule::manifest::parse::parse;
use serde_json::{Map, Value, json};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    asked::{Asked, By},
    definitions::id,
    problem::{Problem, Problems},
    query::{Dry, Query},
    router::Api,
    view::definitions::{ExportFormat, ImportAsked, ImportMode, Imported, Manifest},
};
use crate::{
    cli::diagnostics,
    hot::{Condition, Define, Edit, EditKind, Jobs, Origin},
};

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(export)).routes(routes!(import))
}

/// Jobs as a manifest: those that were made through the API, or all of them.
#[utoipa::path(get, path = "/export", tag = "jobs", params(("format" = inline(Option<ExportFormat>), Query, description = "Without it `json`."), ("all" = Option<bool>, Query, description = "Also the jobs that stand in files.")), responses((status = 200, content((Manifest = "application/json"), (Manifest = "application/yaml"))), Problems))]
async fn export(State(api): State<Arc<Api>>, mut query: Query) -> Result<Response, Problem> {
    let is_all = query.flag("all")?.unwrap_or_default();
    let format = query.word("format", &[("json", ExportFormat::Json), ("yaml", ExportFormat::Yaml)])?;
    let manifest = manifest_of(&api.reloader.jobs(), is_all);
    match format.unwrap_or_default() {
        ExportFormat::Json => Ok(Json(manifest).into_response()),
        ExportFormat::Yaml => Ok(([(header::CONTENT_TYPE, "application/yaml")], yaml(&manifest)?).into_response()),
    }
}

fn manifest_of(jobs: &Jobs, is_all: bool) -> Value {
    let mut written = Map::new();
    for view in jobs.ids().into_iter().filter_map(|id| jobs.get(id)) {
        if is_all || matches!(view.origin, Origin::Api(_)) {
            written.insert(view.id.to_string(), jobs.definition(&view));
        }
    }
    json!({ "version": 1, "jobs": written })
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
    let jobs = jobs_of(asked.manifest)?;
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
    Ok(Json(defined.into()))
}

/// The jobs of a manifest that has nothing else.
fn jobs_of(manifest: Value) -> Result<Map<String, Value>, Problem> {
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
    if let Some(other) = entries.keys().next() {
        return Err(invalid(format!("the manifest has `{other}`, and only jobs are taken in")));
    }
    match jobs {
        Value::Object(jobs) => Ok(jobs),
        _ => Err(invalid("`jobs` is no map from an id to a job".to_owned())),
    }
}
