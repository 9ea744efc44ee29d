//! What is refused before anything runs, and what is told of it.

use serde_json::json;

use super::*;

/// A component that exports a function of the given parameters, which is never run.
fn taking(types: &str, parameters: &str, core: &str) -> String {
    format!(
        "(component (core module $m (memory (export \"mem\") 1)
             (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 0))
             (func (export \"run\") {core}))
           (core instance $i (instantiate $m))
           {types}
           (func (export \"purge\") {parameters} (canon lift (core func $i \"run\") (memory (core memory $i \"mem\")) (realloc (core func $i \"realloc\")))))"
    )
}

fn tell(wat: &str, call: Option<&str>, args: serde_json::Value) -> String {
    let plugin = load(wat, false).unwrap();
    let args = match args {
        serde_json::Value::Object(map) => Arguments::Named(map),
        serde_json::Value::Array(list) => Arguments::Listed(list),
        _ => Arguments::None,
    };
    match Call::prepare(&plugin, call, &args, &Limits::default(), &Grants::default()) {
        Ok(call) => format!("{:?}", call.values),
        Err(problems) => {
            let lines: Vec<_> = problems
                .iter()
                .map(|p| format!("at {}: {}: {}; {}", p.path, p.error.code, p.error.message, p.error.fix))
                .collect();
            lines.join("\n")
        }
    }
}

#[test]
fn arguments_are_checked_by_name_and_type() {
    let wat = taking(
        "",
        "(param \"days\" u32) (param \"dry-run\" bool) (param \"note\" (option string))",
        "(param i32 i32 i32 i32 i32)",
    );
    let cases = [
        json!({"days": 30, "dry-run": true}),
        json!([30, true, "x"]),
        json!({"days": "30", "dry-run": true}),
        json!({"days": -1, "dry_run": true}),
        json!({"days": 5_000_000_000_u64, "dry-run": true, "note": 7}),
        json!([1, true, null, 4]),
        json!(null),
    ];
    expect![[r#"
        [U32(30), Bool(true), Option(None)]
        [U32(30), Bool(true), Option(Some(String("x")))]
        at args.days: load.type: args.days: expected u32, found `"30"`; the parameter is a u32
        at args.dry_run: load.type: `purge` has no parameter `dry_run`; did you mean `dry-run`?
        at args.days: load.type: args.days: -1 is out of range for u32, which holds 0 to 4294967295; the parameter is a u32
        at args: load.type: the argument `dry-run` of `purge` is missing; it is a bool; add `dry-run: …` under `args:`
        at args.days: load.type: args.days: 5000000000 is out of range for u32, which holds 0 to 4294967295; the parameter is a u32
        at args.note: load.type: args.note: expected string, found `7`; the parameter is a option<string>
        at args: load.type: `purge` takes 3 arguments, and 4 are given; remove the last ones, or write them by name
        at args: load.type: the argument `days` of `purge` is missing; it is a u32; add `days: …` under `args:`
        at args: load.type: the argument `dry-run` of `purge` is missing; it is a bool; add `dry-run: …` under `args:`"#]].assert_eq(&cases.map(|args| tell(&wat, None, args)).join("\n"));
}

#[test]
fn deep_types_tell_the_path() {
    let types = "(type $op' (enum \"eq\" \"ne\" \"lt\"))";
    let wat = format!(
        "(component (core module $m (memory (export \"mem\") 1)
             (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 0)) (func (export \"run\") (param i32 i32)))
           (core instance $i (instantiate $m))
           {types} (export $op \"op\" (type $op'))
           (type $filter' (record (field \"op\" $op) (field \"value\" s8))) (export $filter \"filter\" (type $filter'))
           (func (export \"purge\") (param \"filters\" (list $filter)) (canon lift (core func $i \"run\") (memory (core memory $i \"mem\")) (realloc (core func $i \"realloc\")))))"
    );
    let cases = [
        json!({"filters": [{"op": "eq", "value": 1}]}),
        json!({"filters": [{"op": "eq", "value": 1}, {"op": "gt", "value": 1}]}),
        json!({"filters": [{"op": "eq", "value": 300}]}),
        json!({"filters": [{"op": "eq", "vlaue": 3}]}),
        json!({"filters": [{"op": "eq"}]}),
        json!({"filters": {"op": "eq"}}),
    ];
    expect![[r#"
        [List([Record([("op", Enum("eq")), ("value", S8(1))])])]
        at args.filters[1].op: load.type: args.filters[1].op: expected one of eq, ne, lt, found `gt`; the parameter is a list<record { op: enum { eq, ne, lt }, value: s8 }>
        at args.filters[0].value: load.type: args.filters[0].value: 300 is out of range for s8, which holds -128 to 127; the parameter is a list<record { op: enum { eq, ne, lt }, value: s8 }>
        at args.filters[0].vlaue: load.type: args.filters[0].vlaue: unknown field `vlaue`; did you mean `value`?; the parameter is a list<record { op: enum { eq, ne, lt }, value: s8 }>
        at args.filters[0]: load.type: args.filters[0]: `value` is missing; it is a s8; the parameter is a list<record { op: enum { eq, ne, lt }, value: s8 }>
        at args.filters: load.type: args.filters: expected list<record { op: enum { eq, ne, lt }, value: s8 }>, found `{"op":"eq"}`; the parameter is a list<record { op: enum { eq, ne, lt }, value: s8 }>"#]].assert_eq(&cases.map(|args| tell(&wat, Some("purge"), args)).join("\n"));
}

#[test]
fn functions_are_found_or_the_nearest_is_named() {
    let wat = taking("", "", "");
    let cases = [Some("purge"), Some("purg"), Some("Purge_"), Some("summarize"), None];
    expect![[r#"
        []
        at call: load.type: the plugin exports no function `purg`; did you mean `purge`?
        at call: load.type: the plugin exports no function `Purge_`; did you mean `purge`?
        at call: load.type: the plugin exports no function `summarize`; it exports `purge`
        []"#]]
    .assert_eq(&cases.map(|call| tell(&wat, call, json!(null))).join("\n"));
    let none = "(component)";
    expect!["at call: load.type: the component exports no function; export a function from the component's world, or build it as a command (`wasi:cli/run`)"].assert_eq(&tell(none, None, json!(null)));
}
