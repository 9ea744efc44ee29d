//! `clockjack inspect`: what a plugin exports, imports and needs.

use clap::Args;
use clockjack_sandbox::{
    Form, Function, FunctionKind, Plugin, SchemaOf, Wanted, grant_of, is_base_line, opened_by, shown_name, type_name,
};
use clockjack_schedule::{
    job::Ceilings,
    manifest::{scalar::show_size, source::Source},
};
use serde_json::json;

use super::{
    Exit, Output, OutputArgs, print,
    refusal::{refuse, tell_stale},
};
use crate::load::{
    self,
    origin::{self, Origin},
};

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// The component file, or `oci://HOST/REPOSITORY:TAG`.
    #[arg(value_parser = super::plugin_source())]
    plugin: Source,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &InspectArgs) -> anyhow::Result<Exit> {
    let sandbox = load::sandbox_for(&Ceilings::default(), 1)?;
    let Origin { plugin, image } = match origin::load(&sandbox, &args.plugin, Wanted::default(), false) {
        Ok(loaded) => loaded,
        Err(error) => return refuse(&error, args.output.output),
    };
    tell_stale(image.as_ref());
    match args.output.output {
        Output::Json => {
            let mut view = view(&plugin);
            view["image"] = image.map_or(serde_json::Value::Null, |image| format!("sha256:{}", image.digest).into());
            print::data(&serde_json::to_string_pretty(&view)?)?;
        }
        Output::Table => {
            let image = image.map_or_else(String::new, |image| format!("image    sha256:{}\n", image.digest));
            print::data(&format!("{image}{}", page(&plugin)))?;
        }
    }
    Ok(Exit::Done)
}

fn view(plugin: &Plugin) -> serde_json::Value {
    let function = |function: &Function| {
        let parameters: Vec<_> = function
            .parameters
            .iter()
            .map(|parameter| json!({ "name": parameter.name, "type": type_name(&parameter.ty) }))
            .collect();
        json!({
            "name": function.name,
            "kind": kind(function),
            "docs": function.docs,
            "parameters": parameters,
            "result": function.result.as_ref().map(type_name),
            "arguments_schema": whole(function.arguments_schema(SchemaOf::Given)),
            "output_schema": function.output_schema().map(whole),
        })
    };
    json!({
        "sha256": &*plugin.digest,
        "size_bytes": plugin.n_bytes,
        "form": form(plugin).0,
        "memory_bytes_min": plugin.memory_bytes_min,
        "exports": plugin.functions.iter().map(function).collect::<Vec<_>>(),
        "imports": plugin.imports,
        "grants": grants(plugin),
        "may_use": may_use(plugin),
    })
}

/// A schema that stands alone.
fn whole(schema: serde_json::Value) -> serde_json::Value {
    let mut whole = serde_json::Map::from_iter([("$schema".to_owned(), json!(super::schema::DRAFT))]);
    whole.extend(schema.as_object().cloned().unwrap_or_default());
    whole.into()
}

/// The manifest keys that grant what the plugin asks for, each once.
fn grants(plugin: &Plugin) -> Vec<&'static str> {
    let keys: std::collections::BTreeSet<_> = plugin.imports.iter().filter_map(|import| grant_of(import)).collect();
    keys.into_iter().collect()
}

/// The manifest keys that open what the plugin may or may not use, each once.
fn may_use(plugin: &Plugin) -> Vec<&'static str> {
    let keys: std::collections::BTreeSet<_> = plugin.imports.iter().filter_map(|import| opened_by(import)).collect();
    keys.into_iter().collect()
}

/// What kind of file a plugin is, for programs and for people.
fn form(plugin: &Plugin) -> (&'static str, &'static str) {
    match plugin.form {
        Form::Component => ("component", "a component"),
        Form::Adapted => ("adapted", "a core module with a WIT world, made a component when it is loaded"),
        Form::Program => ("program", "a WASI preview-1 program, run as it is"),
    }
}

fn kind(function: &Function) -> &'static str {
    match function.kind {
        FunctionKind::Function => "function",
        FunctionKind::Command => "command",
    }
}

fn page(plugin: &Plugin) -> String {
    let mut page = format!("sha256   {}\nsize     {}\n", plugin.digest, show_size(plugin.n_bytes));
    page.push_str(&format!("form     {}\n", form(plugin).1));
    if let Some(memory) = plugin.memory_bytes_min {
        page.push_str(&format!("memory   {} at the start\n", show_size(memory)));
    }
    page.push_str("\nexports\n");
    if plugin.functions.is_empty() {
        page.push_str("  nothing that can be called\n");
    }
    for function in &plugin.functions {
        page.push_str(&format!("  {}\n", function.signature()));
        for line in function.docs.iter().flat_map(|docs| docs.lines()) {
            page.push_str(&format!("      {line}\n"));
        }
    }
    let (base_line, own): (Vec<_>, Vec<_>) = plugin.imports.iter().partition(|import| is_base_line(import));
    page.push_str("\nimports\n");
    for import in &own {
        let needs = grant_of(import).map(|key| format!(" (needs `{key}`)"));
        let needs =
            needs.or_else(|| opened_by(import).map(|key| format!(" (closed without `{key}`)"))).unwrap_or_default();
        page.push_str(&format!("  {}{needs}\n", shown_name(import)));
    }
    page.push_str(&format!("  {} interfaces of WASI, which every language runtime asks for\n", base_line.len()));
    let keys = grants(plugin);
    let needs = if keys.is_empty() { "no grant".to_owned() } else { keys.join(", ") };
    page.push_str(&format!("\nneeds {needs} to load; directories and variables are granted per job under `grants:`"));
    print::plain(&page)
}
