//! The schema says of manifests what the readers say, and it knows the keys that they know.

use std::collections::BTreeSet;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value as Json;

use super::*;
use crate::manifest::{parse::parse, schema::manifest_schema};

struct Validator {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Validator {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("manifest.json", manifest_schema()).unwrap();
        let index = compiler.compile("manifest.json", &mut schemas).unwrap();
        Self { schemas, index }
    }

    fn check(&self, text: &str) -> Result<(), String> {
        let json = parse(0, text).0.ok_or("it is no YAML")?.to_json();
        self.schemas.validate(&json, self.index).map_err(|error| format!("{error:#}"))
    }
}

fn golden(ending: &str) -> Vec<(String, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/manifests");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ext| ext == ending));
    files.sort();
    let case = |file: PathBuf| {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, Case::read(&std::fs::read_to_string(file.with_extension("yaml")).unwrap()))
    };
    files.into_iter().map(case).collect()
}

#[test]
fn what_the_readers_take_the_schema_takes() {
    let validator = Validator::new();
    let cases = golden("ok");
    assert!(15 < cases.len());
    for (name, case) in cases {
        // A sidecar need not say what the plugin of its jobs is.
        let is_unit = |index: usize| case.units.iter().any(|(unit, _)| *unit == index);
        let manifests = case.sources.iter().enumerate().filter(|(index, _)| !is_unit(*index));
        for (_, source) in manifests {
            if let Err(error) = validator.check(&source.text) {
                panic!("{name}, {}:\n{error}", source.name);
            }
        }
    }
}

/// The readers refuse more than a schema can say; these faults are of its kind: keys, types, words, ranges.
#[test]
fn what_is_wrong_in_shape_the_schema_refuses() {
    const SHAPES: [&str; 23] = [
        "counts_faults",
        "delivery_faults",
        "egress_faults",
        "grants_faults",
        "jobs_as_list",
        "keep_faults",
        "keys_of_apscheduler",
        "keys_of_compose",
        "keys_of_kubernetes",
        "keys_of_later",
        "keys_of_retry",
        "no_plugin",
        "not_a_map",
        "notifications_faults",
        "pools_not_a_map",
        "reload_faults",
        "retry_faults",
        "types",
        "units",
        "unknown_keys",
        "values",
        "version_missing",
        "version_newer",
    ];
    let validator = Validator::new();
    let cases = golden("err");
    for name in SHAPES {
        let (_, case) = cases.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no case `{name}`"));
        let is_refused = case.sources.iter().any(|source| validator.check(&source.text).is_err());
        assert!(is_refused, "{name}");
    }
}

/// The keys that a reader knows, in its own words: what it answers to a key that is unlike all of them.
fn known_keys(text: &str) -> BTreeSet<String> {
    let case = Case::read(text);
    let (_, diagnostics) = case.resolve_partial();
    let fixes: Vec<_> = diagnostics.all().iter().filter_map(|found| found.fix.as_deref()).collect();
    let keys = fixes.iter().find_map(|fix| fix.strip_prefix("known keys: "));
    keys.unwrap_or_else(|| panic!("{text}: {fixes:?}")).split(", ").map(str::to_owned).collect()
}

fn keys_of(schema: &Json) -> BTreeSet<String> {
    schema["properties"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_schema_knows_the_keys_that_the_readers_know() {
    let schema = manifest_schema();
    let defs = &schema["$defs"];
    let of_job = |key: &str| format!("jobs: {{ a: {{ plugin: ./a.wasm, every: 1h, {key} }} }}");
    let of_trigger = |keys: &str| format!("jobs: {{ a: {{ plugin: ./a.wasm, triggers: {{ {keys} }} }} }}");
    let host = &schema["properties"]["host"]["anyOf"][0];
    let trusted = &host["properties"]["trusted_keys"]["anyOf"][0]["anyOf"][0];
    let alternative = |name: &str| &defs[name]["anyOf"][1];
    let build = &alternative("plugin")["properties"]["build"]["anyOf"][0]["anyOf"][1];
    let canary = &alternative("plugin")["properties"]["canary"]["anyOf"][0];
    let on_reload = &defs["defaults"]["properties"]["on_reload"]["anyOf"][0]["anyOf"][1];
    let dir = &defs["grants"]["properties"]["dirs"]["anyOf"][0]["anyOf"][0];
    let of_grants = |key: &str| &defs["grants"]["properties"][key]["anyOf"][0]["anyOf"][0]["anyOf"][1];
    let network = &defs["grants"]["properties"]["network"]["anyOf"][0];
    let endpoint = &network["properties"]["tcp"]["anyOf"][0]["anyOf"][0]["anyOf"][1];
    let policy = &host["properties"]["egress"]["anyOf"][0]["anyOf"][0]["anyOf"][1];
    for (text, keys) in [
        ("version: 1\nqqqq: 1\njobs: {}".to_owned(), keys_of(&schema)),
        ("version: 1\nhost: { qqqq: 1 }".to_owned(), keys_of(host)),
        ("version: 1\nhost: { ceilings: { qqqq: 1 } }".to_owned(), keys_of(&defs["ceilings"])),
        ("version: 1\nhost: { trusted_keys: { folder: ., keys: [], qqqq: 1 } }".to_owned(), keys_of(trusted)),
        ("version: 1\ndefaults: { qqqq: 1 }".to_owned(), keys_of(&defs["defaults"])),
        ("version: 1\npools: { a: { size: 1, qqqq: 1 } }".to_owned(), keys_of(&defs["pool"])),
        ("version: 1\nplugins: { a: { source: ./a.wasm, qqqq: 1 } }".to_owned(), keys_of(alternative("plugin"))),
        ("version: 1\nplugins: { a: { directory: ./a, qqqq: 1 } }".to_owned(), keys_of(alternative("plugin"))),
        ("version: 1\nplugins: { a: { source: ./a.wasm, build: { run: x, qqqq: 1 } } }".to_owned(), keys_of(build)),
        ("version: 1\nsecrets: { a: { env: A, qqqq: 1 } }".to_owned(), keys_of(&defs["secret"])),
        (of_job("exit_codes: { qqqq: 1 }"), keys_of(&defs["exit_codes"])),
        (of_job("retry: { qqqq: 1 }"), keys_of(&defs["retry"])),
        (of_job("keep: { qqqq: 1 }"), keys_of(&defs["keep"])),
        (of_job("on_reload: { qqqq: 1 }"), keys_of(on_reload)),
        ("version: 1\nplugins: { a: { source: ./a.wasm, canary: { qqqq: 1 } } }".to_owned(), keys_of(canary)),
        (of_job("limits: { qqqq: 1 }"), keys_of(&defs["limits"])),
        (of_job("limits: { logs: { qqqq: 1 } }"), keys_of(&defs["limits"]["properties"]["logs"]["anyOf"][0])),
        (of_job("grants: { qqqq: 1 }"), keys_of(&defs["grants"])),
        (of_job("grants: { dirs: [{ host: ., guest: /a, qqqq: 1 }] }"), keys_of(dir)),
        (of_job("grants: { http: { url: \"https://a.dev\", qqqq: 1 } }"), keys_of(of_grants("http"))),
        (of_job("grants: { network: { qqqq: 1 } }"), keys_of(network)),
        (of_job("grants: { network: { tcp: { to: \"a:1\", qqqq: 1 } } }"), keys_of(endpoint)),
        (of_job("grants: { clock: { qqqq: 1 } }"), keys_of(&defs["grants"]["properties"]["clock"]["anyOf"][0])),
        (of_job("grants: { random: { qqqq: 1 } }"), keys_of(&defs["grants"]["properties"]["random"]["anyOf"][0])),
        ("version: 1\nhost: { egress: { url: \"https://a.dev\", qqqq: 1 } }".to_owned(), keys_of(policy)),
        (of_job("after: { job: a, qqqq: 1 }"), keys_of(alternative("after"))),
        (of_trigger("cron: { hour: 1, qqqq: 1 }"), keys_of(&defs["cron_fields"])),
        (of_trigger("every: { hours: 1, qqqq: 1 }"), keys_of(&defs["every_units"])),
        (of_trigger("calendar: { days: 1, qqqq: 1 }"), keys_of(&defs["calendar"])),
        (of_trigger("every: 1h, dst: { qqqq: 1 }"), keys_of(&defs["dst"])),
    ] {
        assert_eq!(keys, known_keys(&text), "{text}");
    }
    // A reader asks for the keys of one kind of trigger; together they know all of them.
    let kinds = ["cron: \"0 3 * * *\"", "every: 1h", "calendar: { days: 1 }", "at: 2030-01-01T00:00"];
    let known: BTreeSet<_> =
        kinds.iter().flat_map(|kind| known_keys(&of_trigger(&format!("{kind}, qqqq: 1")))).collect();
    assert_eq!(keys_of(&defs["trigger"]), known);
    let job = |kind: &&str| known_keys(&format!("jobs: {{ a: {{ plugin: ./a.wasm, {kind}, qqqq: 1 }} }}"));
    assert_eq!(keys_of(&defs["job"]), kinds.iter().flat_map(job).collect());
}

#[test]
fn every_key_has_words_for_people() {
    fn walk(schema: &Json, path: &str) {
        for (key, value) in schema["properties"].as_object().into_iter().flatten() {
            assert!(value["description"].is_string(), "{path}.{key}");
            walk(&value["anyOf"][0], &format!("{path}.{key}"));
        }
    }
    let schema = manifest_schema();
    walk(&schema, "");
    schema["$defs"].as_object().unwrap().iter().for_each(|(name, schema)| walk(schema, name));
}

#[test]
fn the_schema_knows_the_keys_of_notifications() {
    let schema = manifest_schema();
    let defs = &schema["$defs"];
    for (text, keys) in [
        (
            "version: 1\nnotifications: { a: { webhook: \"https://a.dev\", qqqq: 1 } }".to_owned(),
            keys_of(&defs["channel"]),
        ),
        (
            "version: 1\nnotifications: { a: { webhook: { url: \"https://a.dev\", qqqq: 1 } } }".to_owned(),
            keys_of(&defs["channel"]["properties"]["webhook"]["anyOf"][0]["anyOf"][2]),
        ),
        (
            "version: 1\nnotifications: { a: { webhook: \"https://a.dev\" } }\n\
             jobs: { j: { plugin: ./a.wasm, every: 1h, notify: { a: { qqqq: 1 } } } }"
                .to_owned(),
            keys_of(
                &defs["defaults"]["properties"]["notify"]["anyOf"][0]["anyOf"][1]["additionalProperties"]["anyOf"][0],
            ),
        ),
    ] {
        assert_eq!(keys, known_keys(&text), "{text}");
    }
}
