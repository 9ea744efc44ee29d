//! `clockjack schema` and the schemas of `inspect`: they take what `check` takes, and refuse what it refuses.

use std::fs;

use boon::{Compiler, Schemas};
use serde_json::{Value as Json, json};

use crate::{
    program::clockjack,
    scene::{Scene, guest, root},
};

const PLUGINS: &str = "version: 1\nplugins: { typed: ./typed.wasm, command: ./command.wasm }\n";

/// Why a value does not fit a schema.
fn misfit(schema: &Json, value: &Json) -> Option<String> {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("schema.json", schema.clone()).expect("a schema");
    let index = compiler.compile("schema.json", &mut schemas).expect("a schema of draft 2020-12");
    schemas.validate(value, index).err().map(|error| format!("{error:#}"))
}

#[test]
fn the_general_schema_needs_no_manifest() {
    let elsewhere = Scene::new();
    let schema = clockjack(["schema"]).folder(elsewhere.folder()).ends_with(0).json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let job = |job: Json| json!({ "jobs": { "a": job } });
    assert_eq!(misfit(&schema, &job(json!({ "plugin": "./a.wasm", "every": "1h" }))), None);
    assert!(misfit(&schema, &job(json!({ "plugin": "./a.wasm", "evry": "1h" }))).is_some());
    assert!(misfit(&schema, &job(json!({ "plugin": "./a.wasm", "every": 5 }))).is_some());
}

/// The same job through both: what `check` takes the schema takes, and what one of them refuses the other does too.
#[test]
fn functions_and_arguments_are_checked_as_check_does() {
    let scene = Scene::with(
        &format!("{PLUGINS}jobs: {{ a: {{ plugin: typed, call: nothing, every: 1h }} }}"),
        &["typed", "command"],
    );
    let schema = clockjack(["schema", "-f", "clockjack.yaml"]).folder(scene.folder()).ends_with(0).json();
    let long = "{ id: 1, customer: { name: Z, initials: [Z] }, items: [{ name: a, count: 1 }], shipping: { between: [1, 2] }, \
                priority: low, location: [1, 2.5], marks: [fragile] }";
    let cases = [
        (true, "call: nothing".to_owned()),
        (true, "call: nothing, args: {}".to_owned()),
        (true, "call: echo-u8, args: { value: 255 }".to_owned()),
        (true, "call: echo-u8, args: [255]".to_owned()),
        (true, "call: echo-u8, args: { value: \"${payload.n}\" }".to_owned()),
        (true, "call: echo-u64, args: { value: 18446744073709551615 }".to_owned()),
        (true, "call: echo-option".to_owned()),
        (true, "call: echo-option, args: { value: null }".to_owned()),
        (true, "call: echo-option-of-option, args: { value: { some: null } }".to_owned()),
        (true, "call: echo-f64, args: { value: \".nan\" }".to_owned()),
        (true, "call: echo-bytes, args: { value: AQL/ }".to_owned()),
        (true, "call: echo-bytes, args: { value: [1, 2] }".to_owned()),
        (true, "call: echo-variant, args: { value: pick-up }".to_owned()),
        (true, "call: echo-variant, args: { value: { days: 3 } }".to_owned()),
        (true, "call: echo-enum, args: { value: \"very-${payload.level}\" }".to_owned()),
        (true, "call: echo-result, args: { value: { err: broken } }".to_owned()),
        (true, format!("call: echo-record, args: {{ value: {long} }}")),
        (false, format!("call: echo-record, args: {{ value: {} }}", long.replace("count: 1", "count: 70000"))),
        (false, format!("call: echo-record, args: {{ value: {} }}", long.replace("low", "urgent"))),
        (false, format!("call: echo-record, args: {{ value: {} }}", long.replace("name: Z", "nmae: Z"))),
        (false, format!("call: echo-record, args: {{ value: {} }}", long.replace("1, 2.5", "1"))),
        (false, "call: nothng".to_owned()),
        (false, "call: echo-u8".to_owned()),
        (false, "call: echo-u8, args: { vlaue: 1 }".to_owned()),
        (false, "call: echo-u8, args: { value: 256 }".to_owned()),
        (false, "call: echo-u8, args: [1, 2]".to_owned()),
        (false, "call: echo-u8, args: { value: \"$${payload.n}\" }".to_owned()),
        (false, "call: echo-bool, args: { value: \"true\" }".to_owned()),
        (false, "call: echo-variant, args: { value: { dayz: 3 } }".to_owned()),
        (false, "call: echo-variant, args: { value: days }".to_owned()),
        (false, "call: echo-char, args: { value: xy }".to_owned()),
        (false, "args: {}".to_owned()),
    ];
    let typed = cases.into_iter().map(|(fits, rest)| (fits, format!("plugin: typed, {rest}")));
    let more = [
        (true, "plugin: ./typed.wasm, call: nothing".to_owned()),
        (true, "plugin: command, args: [--days, 30]".to_owned()),
        (true, "plugin: command".to_owned()),
        (false, "plugin: command, args: { days: 30 }".to_owned()),
        (false, "plugin: typd, call: nothing".to_owned()),
    ];
    for (fits, job) in typed.chain(more) {
        let text = format!("{PLUGINS}jobs: {{ a: {{ {job}, every: 1h }} }}");
        scene.put("case.yaml", &text);
        let ended = clockjack(["check", "-f", "case.yaml"]).folder(scene.folder()).end();
        assert_eq!(ended.code, Some(i32::from(!fits)), "{job}\n{}", ended.stderr);
        let misfit = misfit(&schema, &yaml(&text));
        assert_eq!(misfit.is_none(), fits, "{job}: {misfit:?}");
    }
}

/// A text as JSON, as an editor sees it.
fn yaml(text: &str) -> Json {
    serde_saphyr::from_str(text).expect("YAML")
}

#[test]
fn the_schema_of_the_quickstart_takes_it() {
    let folder = root().join("examples/quickstart");
    let schema = clockjack(["schema", "-f", "clockjack.yaml"]).folder(&folder).ends_with(0).json();
    let text = fs::read_to_string(folder.join("clockjack.yaml")).expect("the manifest");
    assert_eq!(misfit(&schema, &yaml(&text)), None);
}

#[test]
fn inspect_tells_what_a_function_takes_and_gives() {
    let view = clockjack(["inspect", &guest("typed"), "-o", "json"]).ends_with(0).json();
    let function =
        |name: &str| view["exports"].as_array().and_then(|all| all.iter().find(|f| f["name"] == name)).expect(name);
    let items = &function("echo-items")["arguments_schema"];
    let good = json!({ "value": [{ "name": "bolt", "count": 3 }] });
    assert_eq!(misfit(items, &good), None);
    assert!(misfit(items, &json!({ "value": [{ "name": "bolt" }] })).is_some());
    assert!(misfit(items, &json!({ "value": "${payload}" })).is_some(), "these are the values at last");
    let gives = &function("echo-items")["output_schema"];
    assert_eq!(misfit(gives, &good["value"]), None);
    let divide = function("divide");
    assert_eq!(
        (&divide["output_schema"]["type"], &divide["result"]),
        (&json!("integer"), &json!("result<s64, string>"))
    );
    assert_eq!(function("nothing")["output_schema"], Json::Null);
    assert_eq!(view["grants"], json!([]));
}

/// Docs stand in a section of their own, as WIT tools write them.
#[test]
fn inspect_tells_the_docs_of_a_component() {
    let scene = Scene::new();
    let docs = r#"{"worlds":{"root":{"funcs":{"run":{"docs":"Sweeps the floor.\nTwice."}}}}}"#.replace('"', "\\22").replace("\\n", "\\5cn");
    let text = format!(
        "(component (core module $m (func (export \"run\"))) (core instance $i (instantiate $m))
           (func (export \"run\") (canon lift (core func $i \"run\")))
           (@custom \"package-docs\" \"\\01{docs}\"))"
    );
    scene.put("docs.wasm", wat::parse_str(text).expect("a component"));
    let page = clockjack(["inspect", &scene.arg("docs.wasm")]).ends_with(0).stdout;
    assert!(page.contains("  run()\n      Sweeps the floor.\n      Twice.\n"), "{page}");
    scene.put("clockjack.yaml", "jobs: { a: { plugin: ./docs.wasm, every: 1h } }");
    let schema = clockjack(["schema", "-f", "clockjack.yaml"]).folder(scene.folder()).ends_with(0).stdout;
    assert!(schema.contains("\"description\": \"Sweeps the floor.\\nTwice.\""), "{schema}");
}
