//! `/plugins`: how each plugin is, and what a person decides about it.

use std::sync::Arc;

use axum::{Json, extract::State};
use clockjack_schedule::id::PluginName;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    asked::{Asked, Named},
    problem::{Problem, Problems},
    router::{Api, near},
    view::{ApproveAsked, Plugin, Plugins, RollBackAsked},
};
use crate::hot::PluginView;

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(approve)).routes(routes!(roll_back))
}

#[utoipa::path(get, path = "/plugins", tag = "plugins", responses((status = 200, body = Plugins), Problems))]
pub(super) async fn list(State(api): State<Arc<Api>>) -> Json<Plugins> {
    Json(Plugins { items: api.reloader.plugins().iter().map(Plugin::from).collect() })
}

#[utoipa::path(get, path = "/plugins/{name}", tag = "plugins", params(("name" = String, Path)), responses((status = 200, body = Plugin), Problems))]
pub(super) async fn show(State(api): State<Arc<Api>>, Named(name): Named) -> Result<Json<Plugin>, Problem> {
    Ok(Json((&find(&api, &name)?).into()))
}

#[utoipa::path(post, path = "/plugins/{name}/approve", tag = "plugins", params(("name" = String, Path)), request_body = Option<ApproveAsked>, responses((status = 200, body = Plugin), Problems))]
pub(super) async fn approve(
    State(api): State<Arc<Api>>,
    Named(name): Named,
    Asked(asked): Asked<ApproveAsked>,
) -> Result<Json<Plugin>, Problem> {
    let plugin = known(&api, &name)?;
    let then = api.reloader.approve(plugin, asked.digest).await?;
    Ok(Json((&then).into()))
}

#[utoipa::path(post, path = "/plugins/{name}/rollback", tag = "plugins", params(("name" = String, Path)), request_body = Option<RollBackAsked>, responses((status = 200, body = Plugin), Problems))]
pub(super) async fn roll_back(
    State(api): State<Arc<Api>>,
    Named(name): Named,
    Asked(asked): Asked<RollBackAsked>,
) -> Result<Json<Plugin>, Problem> {
    let plugin = known(&api, &name)?;
    let then = api.reloader.roll_back(plugin, asked.generation).await?;
    Ok(Json((&then).into()))
}

fn known(api: &Api, name: &str) -> Result<PluginName, Problem> {
    find(api, name).map(|plugin| plugin.name)
}

fn find(api: &Api, name: &str) -> Result<PluginView, Problem> {
    let plugins = api.reloader.plugins();
    let found = plugins.iter().find(|plugin| plugin.name.as_str() == name).cloned();
    found.ok_or_else(|| {
        let fix = near(name, plugins.iter().map(|plugin| plugin.name.as_str()), "`clockjack plugins` lists them");
        Problem::unknown("plugin.unknown", format!("the host has no plugin `{name}`"), fix)
    })
}
