//! `clockjack schema`: the manifest as JSON Schema, so that an editor completes and checks it.
//!
//! With `-f`, what the plugins of a manifest export is in it: the names of functions, and the types of their arguments.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use clap::Args;
use clockjack_sandbox::{Function, Plugin, SchemaOf};
use clockjack_schedule::manifest::{resolved::Manifest, schema::manifest_schema};
use serde_json::{Value as Json, json};

use super::{Exit, print};
use crate::load;

/// Which JSON Schema is written.
pub(super) const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// A manifest whose plugins are looked into; may be repeated. Without it the schema says what holds for every manifest.
    #[arg(long = "file", short, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &SchemaArgs) -> anyhow::Result<Exit> {
    let mut schema = manifest_schema();
    if !args.files.is_empty() {
        let mut loaded = load::manifest(&args.files, &load::zones::newest());
        let sandbox = load::sandbox_for(&loaded.manifest.host.ceilings, 1)?;
        let (plugins, _) = load::jobs(&mut loaded, &sandbox);
        // A manifest that is being written has faults; what can be known of it helps all the same.
        if loaded.diagnostics.has_errors() {
            loaded.diagnostics.sort();
            print::findings(loaded.diagnostics.all(), &loaded.sources);
        }
        if plugins.is_empty() && loaded.diagnostics.has_errors() {
            return Ok(Exit::Fault);
        }
        let plugins = plugins.into_iter().map(|(name, plugin)| (name.to_string(), plugin)).collect();
        complete(&mut schema, &loaded.manifest, &plugins);
    }
    print::data(&serde_json::to_string_pretty(&schema)?)?;
    Ok(Exit::Done)
}

/// Puts into the schema of a job what the plugins export.
fn complete(schema: &mut Json, manifest: &Manifest, plugins: &BTreeMap<String, Arc<Plugin>>) {
    let mut written: BTreeMap<String, Arc<Plugin>> = plugins.clone();
    // Jobs may also name a plugin by its path.
    let jobs = manifest.jobs.values().map(|job| (&job.id, &job.plugin));
    for (job, plugin) in jobs.chain(manifest.broken.iter().map(|job| (&job.id, &job.plugin))) {
        let text = manifest.job_node(job).and_then(|node| node.get("plugin")).and_then(|node| node.as_text());
        if let (Some(text), Some(plugin)) = (text, plugins.get(plugin.as_str())) {
            written.insert(text.to_owned(), Arc::clone(plugin));
        }
    }
    let names: Vec<_> = written.keys().collect();
    let job = &mut schema["$defs"]["job"];
    job["properties"]["plugin"]["anyOf"] = json!([{ "enum": names }, { "type": "string", "pattern": "[./]|\\$\\{" }]);
    job["allOf"] = written.iter().flat_map(|(name, plugin)| rules(name, plugin)).collect();
}

/// What follows from the plugin that a job names, and from the function of it.
fn rules(name: &str, plugin: &Plugin) -> Vec<Json> {
    let mut listed: Vec<_> = plugin.functions.iter().flat_map(documented).collect();
    listed.push(json!({ "type": "null" }));
    let names_it = json!({ "properties": { "plugin": { "const": name } }, "required": ["plugin"] });
    let mut then = json!({ "properties": { "call": { "anyOf": listed } } });
    if plugin.find(None).is_none() && !plugin.functions.is_empty() {
        then["required"] = json!(["call"]);
    }
    let mut rules = vec![json!({ "if": names_it, "then": then })];
    for function in &plugin.functions {
        let mut condition = names_it.clone();
        condition["properties"]["call"] = json!({ "enum": calls_of(function) });
        condition["required"] = json!(["plugin", "call"]);
        rules.push(json!({ "if": condition, "then": arguments(function) }));
    }
    if let Some(only) = plugin.find(None) {
        let without_call = json!({ "not": { "required": ["call"] } });
        let condition = json!({ "allOf": [names_it, without_call] });
        rules.push(json!({ "if": condition, "then": arguments(only) }));
    }
    rules
}

fn arguments(function: &Function) -> Json {
    let mut then = json!({ "properties": { "args": function.arguments_schema(SchemaOf::Written) } });
    if function.needs_arguments() {
        then["required"] = json!(["args"]);
    }
    then
}

/// How a manifest may call a function: as it is named, without the version of its interface.
fn calls_of(function: &Function) -> Vec<String> {
    let mut calls = vec![function.name.clone()];
    if let Some((interface, name)) = function.name.split_once('#') {
        let interface = interface.split_once('@').map_or(interface, |(interface, _)| interface);
        calls.push(format!("{interface}#{name}"));
        if function.is_command() {
            calls.push(interface.to_owned());
        }
    }
    calls.dedup();
    calls
}

fn documented(function: &Function) -> Vec<Json> {
    let call = |call: String| match &function.docs {
        Some(docs) => json!({ "const": call, "description": docs }),
        None => json!({ "const": call }),
    };
    calls_of(function).into_iter().map(call).collect()
}
