//! What is put right in the OpenAPI document when it is JSON: what the types cannot say of themselves.

use serde_json::{Map, Value as Json, json};

/// Text of an address has any character but the one that no address is read with.
const TEXT: &str = r"^[^\u0000]*$";

/// Tags of jobs, quotes included.
const TAGS: &str = r#"^(W/)?"[!#-~]*"(, (W/)?"[!#-~]*")*$"#;

/// What an answer tells of the next request: the operation with its status, the one that follows, the parameter of that one,
/// and where its value stands.
const LINKS: &[(&str, &str, &str, &str, &str)] = &[
    ("get_jobs", "200", "get_jobs_job", "job", "$response.body#/items/0/job"),
    ("get_jobs", "200", "get_jobs_job_slots", "job", "$response.body#/items/0/job"),
    ("post_jobs", "201", "get_jobs_job", "job", "$response.body#/job"),
    ("post_jobs", "201", "get_jobs_job_definition", "job", "$response.body#/job"),
    ("post_jobs", "201", "post_jobs_job_run", "job", "$response.body#/job"),
    ("post_jobs", "201", "post_jobs_job_pause", "job", "$response.body#/job"),
    ("post_jobs", "201", "patch_jobs_job", "job", "$response.body#/job"),
    ("post_jobs", "201", "delete_jobs_job", "job", "$response.body#/job"),
    ("put_jobs_job", "201", "get_jobs_job", "job", "$response.body#/job"),
    ("put_jobs_job", "201", "delete_jobs_job", "job", "$response.body#/job"),
    ("post_jobs_job_run", "202", "get_runs_run", "run", "$response.body#/id"),
    ("post_jobs_job_run", "202", "get_runs_run_logs", "run", "$response.body#/id"),
    ("post_jobs_job_run", "202", "post_runs_run_cancel", "run", "$response.body#/id"),
    ("post_jobs_job_run", "202", "post_runs_run_retry", "run", "$response.body#/id"),
    ("get_runs", "200", "get_runs_run", "run", "$response.body#/items/0/id"),
    ("get_runs", "200", "post_runs_run_retry", "run", "$response.body#/items/0/id"),
    ("post_jobs_job_backfill", "202", "get_backfills_backfill", "backfill", "$response.body#/id"),
    ("post_jobs_job_backfill", "202", "post_backfills_backfill_cancel", "backfill", "$response.body#/id"),
    ("get_plugins", "200", "get_plugins_name", "name", "$response.body#/items/0/plugin"),
    ("put_plugins_name", "200", "get_plugins_name", "name", "$response.body#/plugin"),
    ("put_plugins_name", "200", "delete_plugins_name", "name", "$response.body#/plugin"),
    ("get_pools", "200", "get_pools_pool", "pool", "$response.body#/items/0/pool"),
];

/// Puts a document right.
pub(super) fn complete(document: &mut Json) {
    any_value(document);
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for operation in paths.values_mut().filter_map(Json::as_object_mut).flat_map(Map::values_mut) {
        for parameter in operation.get_mut("parameters").and_then(Json::as_array_mut).into_iter().flatten() {
            match parameter["name"].as_str() {
                // Each is of one of two forms, and readers of patterns get on better with a form by itself.
                Some("if-match" | "if-none-match") => {
                    parameter["schema"] = json!({ "type": "string", "anyOf": [any_tag(), { "pattern": TAGS }] })
                }
                _ => {
                    let is_query = parameter["in"] == "query";
                    written(&mut parameter["schema"], is_query);
                }
            }
        }
        if let Some(component) = operation.pointer_mut("/requestBody/content/application~1wasm") {
            component["schema"] = json!({ "type": "string", "format": "binary" });
        }
        link(operation);
    }
}

/// A value that may be anything may be `null`, too; that it is one or the other would be a contradiction.
fn any_value(json: &mut Json) {
    match json {
        Json::Array(items) => items.iter_mut().for_each(any_value),
        Json::Object(entries) => {
            let is_any = |one: &&Json| one["$ref"] == "#/components/schemas/Value";
            let any = entries.get("oneOf").and_then(Json::as_array).and_then(|all| all.iter().find(is_any)).cloned();
            if let Some(Json::Object(any)) = any {
                entries.remove("oneOf");
                entries.extend(any);
            }
            entries.values_mut().for_each(any_value);
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// A parameter that need not be there is left out, and never written as `null`.
fn written(schema: &mut Json, is_query: bool) {
    let one = schema.get("oneOf").and_then(Json::as_array).and_then(|all| all.iter().find(|one| one["type"] != "null"));
    if let Some(one) = one.cloned() {
        *schema = one;
    }
    if let Some(items) = schema.get_mut("items") {
        written(items, is_query);
    }
    let Json::Object(schema) = schema else { return };
    if let Some(Json::Array(kinds)) = schema.get("type") {
        let kind = kinds.iter().find(|kind| *kind != "null").cloned().unwrap_or_default();
        schema.insert("type".to_owned(), kind);
    }
    let is_free = !["pattern", "format", "enum"].iter().any(|key| schema.contains_key(*key));
    if is_query && is_free && schema.get("type").is_some_and(|kind| kind == "string") {
        schema.insert("pattern".to_owned(), TEXT.into());
    }
}

fn any_tag() -> Json {
    json!({ "type": "string", "enum": ["*"] })
}

fn link(operation: &mut Json) {
    let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
    for (_, status, next, parameter, value) in LINKS.iter().filter(|(of, ..)| *of == id) {
        if let Some(response) = operation.pointer_mut(&format!("/responses/{status}")) {
            response["links"][next] = json!({ "operationId": next, "parameters": { *parameter: value } });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::openapi, *};

    fn document() -> Json {
        serde_json::from_str(openapi::text().unwrap()).unwrap()
    }

    #[test]
    fn links_lead_from_answers_to_operations() {
        let document = document();
        let operations: Vec<_> = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|item| item.as_object().unwrap().values())
            .collect();
        for (of, status, next, parameter, _) in LINKS {
            let named = |id: &str| operations.iter().find(|operation| operation["operationId"] == id);
            let (Some(of), Some(next)) = (named(of), named(next)) else { panic!("{of} or {next} is no operation") };
            assert!(of["responses"][status]["links"].is_object(), "{of}");
            let parameters = next["parameters"].as_array().unwrap();
            assert!(parameters.iter().any(|known| known["name"] == *parameter), "{parameter} of {next}");
        }
    }

    #[test]
    fn no_parameter_is_null_and_no_value_is_twice_null() {
        let document = document();
        let text = document.to_string();
        assert!(!text.contains(r##"{"$ref":"#/components/schemas/Value"},{"type":"null"}"##));
        for item in document["paths"].as_object().unwrap().values() {
            for parameter in
                item.as_object().unwrap().values().filter_map(|operation| operation["parameters"].as_array()).flatten()
            {
                assert!(!parameter["schema"].to_string().contains("\"null\""), "{parameter}");
            }
        }
        let args = &document["components"]["schemas"]["RunDetail"]["allOf"][2]["properties"]["args"];
        assert_eq!(args["$ref"], "#/components/schemas/Value", "{args}");
        assert!(args["oneOf"].is_null(), "{args}");
    }
}
