//! Values both ways at the edges that no guest is needed for.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use chrono::DateTime;
use clockjack_schedule::{
    id::{JobId, RunId},
    job::{Arguments, Grants, Limits},
    outcome::{Again, OutcomeCode},
    payload::Payload,
    ports::{Attempt, Report},
    run::{Cause, Run},
};
use serde_json::{Value as Json, json};
use wasmtime::component::Type;

use super::{
    from_json::Reader,
    schema::{SchemaOf, type_schema},
    templates::Texts,
    to_json::to_json,
};
use crate::{Call, EngineSettings, Facts, Plugin, Sandbox};

fn sandbox() -> Sandbox {
    let scratch = std::env::temp_dir();
    Sandbox::new(EngineSettings {
        n_slots: 2,
        memory_bytes_max: 64 << 20,
        table_elements_max: 10_000,
        scratch,
        compile: crate::CompileSettings::default(),
    })
    .unwrap()
}

/// A component whose function `run` takes `x` of a type; `types` come before it.
fn taking(types: &str, ty: &str, core: &str) -> String {
    format!(
        "(component (core module $m (memory (export \"mem\") 1)
             (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 0))
             (func (export \"run\") (param {core})))
           (core instance $i (instantiate $m)) {types}
           (func (export \"run\") (param \"x\" {ty}) (canon lift (core func $i \"run\") (memory (core memory $i \"mem\"))
             (realloc (core func $i \"realloc\")))))"
    )
}

fn plugin(wat: &str) -> Arc<Plugin> {
    Arc::new(Plugin::from_bytes(&sandbox(), &wat::parse_str(wat).unwrap(), None, false).unwrap())
}

fn type_of(types: &str, ty: &str, core: &str) -> Type {
    plugin(&taking(types, ty, core)).functions[0].parameters[0].ty.clone()
}

fn round(ty: &Type, json: &Json) -> Json {
    let reader = Reader { texts: Texts::Checked, folder: Some(Path::new("")) };
    match reader.read(ty, json) {
        Ok(value) => to_json(&value),
        Err(misfit) => format!("{}: {}", misfit.path, misfit.message).into(),
    }
}

#[test]
fn options_in_options_are_told_apart() {
    let three = type_of("", "(option (option (option u8)))", "i32 i32 i32 i32");
    let innermost = json!({ "some": { "some": 7 } });
    for value in [Json::Null, json!({ "some": null }), json!({ "some": { "some": null } }), innermost.clone()] {
        assert_eq!(round(&three, &value), value);
    }
    assert_eq!(round(&three, &json!(7)), innermost, "a value stands for itself in all of them");
    assert_eq!(round(&three, &json!({ "some": 7 })), innermost);
    assert_eq!(
        round(&three, &json!({ "some": { "some": 256 } })),
        "some.some: 256 is out of range for u8, which holds 0 to 255"
    );
}

#[test]
fn numbers_are_exact_or_refused() {
    let (u64, s64) = (type_of("", "u64", "i64"), type_of("", "s64", "i64"));
    for value in [0, (1 << 53) + 1, u64::MAX] {
        assert_eq!(round(&u64, &json!(value)), json!(value));
    }
    for value in [i64::MIN, -(1 << 53) - 1, i64::MAX] {
        assert_eq!(round(&s64, &json!(value)), json!(value));
    }
    assert_eq!(
        round(&u64, &json!(18_446_744_073_709_551_616.0)),
        ": 1.8446744073709552e+19 is out of range for u64, which holds 0 to 18446744073709551615"
    );
    assert_eq!(round(&s64, &json!(1.5)), ": expected s64, found `1.5`");
    let f32 = type_of("", "f32", "f32");
    for text in [".nan", ".inf", "-.inf"] {
        assert_eq!(round(&f32, &json!(text)), text);
    }
    assert_eq!(round(&f32, &json!(1e39)), ": `1e+39` is out of range for f32");
    assert_eq!(round(&f32, &json!("1")), ": expected f32, found `\"1\"`");
}

#[test]
fn resources_are_refused_with_their_path() {
    let types = "(type $r' (resource (rep i32))) (export $r \"items\" (type $r'))
                 (type $box' (record (field \"name\" u8) (field \"items\" (own $r)))) (export $box \"box\" (type $box'))";
    let refused = |args: &Arguments| {
        let plugin = plugin(&taking(types, "(list $box)", "i32 i32"));
        let problems = Call::prepare(&plugin, Some("run"), args, &Limits::default(), &Grants::default());
        let problems = problems.err().expect("it is refused");
        assert_eq!(problems.len(), 1);
        format!("{}: {}", problems[0].path, problems[0].error.message)
    };
    let told = "call: args.x[].items: a resource cannot be written in a manifest, and `run` takes one";
    assert_eq!(refused(&Arguments::None), told);
    assert_eq!(refused(&Arguments::Listed(vec![json!([])])), told);
}

#[test]
fn schemas_have_no_end_that_is_too_far() {
    // 3^10 numbers: each level has three of the one below.
    let levels: String = (1..=10)
        .map(|n| format!("(type $t{n}' (tuple $t{0} $t{0} $t{0})) (export $t{n} \"t{n}\" (type $t{n}'))", n - 1))
        .collect();
    let ty = type_of(&format!("(type $t0' (tuple u8)) (export $t0 \"t0\" (type $t0')) {levels}"), "$t10", "i32");
    let schema = type_schema(&ty, SchemaOf::Written).to_string();
    assert!(schema.len() < 4_000_000, "{} bytes", schema.len());
}

async fn run(args: Json, payload: Option<Json>) -> Report {
    let sandbox = sandbox();
    let wat = taking("", "(option u8)", "i32 i32");
    let plugin = Arc::new(Plugin::from_bytes(&sandbox, &wat::parse_str(wat).unwrap(), None, false).unwrap());
    let args = Arguments::Listed(vec![args]);
    let call = Call::prepare(&plugin, None, &args, &Limits::default(), &Grants::default());
    let call = call.map_err(|problems| format!("{problems:?}")).unwrap();
    let job: JobId = "test".parse().unwrap();
    let slot = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let (id, payload) = (RunId::of_slot(&job, slot), payload.map(|json| Payload::new(json).unwrap()));
    let run = Run { id, job, scheduled_for: slot, due_at: slot, cause: Cause::Manual, payload };
    let attempt = Attempt { number_max: 3, ..Attempt::only(Arc::new(run), slot) };
    sandbox.run(&call, Facts { attempt, zone: "UTC".into(), labels: Arc::new(BTreeMap::new()), is_traced: false }).await
}

#[tokio::test]
async fn a_template_that_cannot_be_filled_in_is_no_reason_to_try_again() {
    for (payload, code) in [
        (Some(json!({ "x": 7 })), OutcomeCode::Succeeded),
        (Some(json!({ "x": null })), OutcomeCode::Succeeded),
        (Some(json!({ "x": 256 })), OutcomeCode::Failed),
        (Some(json!({})), OutcomeCode::Failed),
        (None, OutcomeCode::Failed),
    ] {
        let outcome = run(json!("${payload.x}"), payload.clone()).await.outcome;
        assert_eq!(outcome.code, code, "{payload:?}: {}", outcome.message);
        let again = if code == OutcomeCode::Failed { Again::Never } else { Again::AsPolicySays };
        assert_eq!(outcome.again, again, "{payload:?}");
    }
}
