//! `/plugins`: how each plugin is, and what a person decides about it.

use std::sync::Arc;

use axum::{Json, extract::State};
use clockjack_schedule::id::PluginName;

use super::{
    asked::{Asked, Named},
    problem::Problem,
    router::{Api, near},
    view::{ApproveAsked, Plugin, RollBackAsked},
};
use crate::hot::PluginView;

pub(super) async fn list(State(api): State<Arc<Api>>) -> Json<Vec<Plugin>> {
    Json(api.reloader.plugins().iter().map(Plugin::from).collect())
}

pub(super) async fn show(State(api): State<Arc<Api>>, Named(name): Named) -> Result<Json<Plugin>, Problem> {
    Ok(Json((&find(&api, &name)?).into()))
}

pub(super) async fn approve(
    State(api): State<Arc<Api>>,
    Named(name): Named,
    Asked(asked): Asked<ApproveAsked>,
) -> Result<Json<Plugin>, Problem> {
    let plugin = known(&api, &name)?;
    let then = api.reloader.approve(plugin, asked.digest).await?;
    Ok(Json((&then).into()))
}

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
