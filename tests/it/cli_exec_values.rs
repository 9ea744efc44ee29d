//! Every WIT value type, in and out: what `--arg` or a manifest gives is what `output` shows.

use serde_json::{Value as Json, json};

use crate::{
    cli_exec::{exec, result},
    program::clockjack,
    scene::Scene,
};

/// What an echo makes of a value that stands on the command line.
#[track_caller]
fn echo(ty: &str, text: &str) -> Json {
    let result = exec("typed", &[&format!("echo-{ty}"), "--arg", &format!("value={text}")]);
    assert_eq!(result["outcome"], "succeeded", "{ty} {text}: {result}");
    result["output"].clone()
}

#[track_caller]
fn round(ty: &str, value: &Json) {
    assert_eq!(&echo(ty, &value.to_string()), value, "{ty}");
}

#[test]
fn booleans_and_integers_to_their_edges() {
    round("bool", &json!(true));
    round("bool", &json!(false));
    for (ty, low, high) in [
        ("u8", json!(0), json!(u8::MAX)),
        ("u16", json!(0), json!(u16::MAX)),
        ("u32", json!(0), json!(u32::MAX)),
        ("u64", json!(0), json!(u64::MAX)),
        ("s8", json!(i8::MIN), json!(i8::MAX)),
        ("s16", json!(i16::MIN), json!(i16::MAX)),
        ("s32", json!(i32::MIN), json!(i32::MAX)),
        ("s64", json!(i64::MIN), json!(i64::MAX)),
    ] {
        round(ty, &low);
        round(ty, &high);
    }
}

#[test]
fn floats_and_those_that_json_cannot_hold() {
    round("f64", &json!(0.1));
    round("f64", &json!(-1.797_693_134_862_315_7e308));
    assert_eq!(echo("f64", "3"), json!(3.0), "a whole number is a float too");
    assert_eq!(echo("f32", "0.1"), json!(0.1), "the shortest form of an f32, not its neighbour");
    assert_eq!(echo("f64", ".inf"), ".inf");
    assert_eq!(echo("f64", "-.inf"), "-.inf");
    assert_eq!(echo("f32", ".nan"), ".nan");
}

#[test]
fn texts_and_characters() {
    for text in ["", "plain", "yes", "007", "null", "{a: 1}", "a=b=c", " spaces ", "line\nbreak", "naïve 日本 🦀"]
    {
        assert_eq!(echo("string", text), text, "a text parameter takes the text as it is");
    }
    assert_eq!(echo("char", "x"), "x");
    assert_eq!(echo("char", "🦀"), "🦀");
    assert_eq!(echo("char", "7"), "7", "a digit is a character where one is wanted");
}

#[test]
fn lists_and_bytes() {
    assert_eq!(echo("bytes", "[1, 2, 255]"), "AQL/");
    assert_eq!(echo("bytes", "AQL/"), "AQL/", "base64 is taken as well");
    assert_eq!(echo("bytes", "'AQ\n L/ '"), "AQL/", "folded as well");
    round("numbers", &json!([0.5, -2.0, 1e300]));
    round("numbers", &json!([]));
    round("lists", &json!([["a", "b"], [], [""]]));
    round("items", &json!([{"name": "bolt", "count": 65535}, {"name": "", "count": 0}]));
}

#[test]
fn options_results_and_tuples() {
    assert_eq!(echo("option", "text"), "text", "an optional text takes the text as it is, too");
    assert_eq!(exec("typed", &["echo-option"])["output"], Json::Null, "an option may be left out");
    round("option-of-option", &Json::Null);
    round("option-of-option", &json!({ "some": null }));
    round("option-of-option", &json!({ "some": 7 }));
    assert_eq!(echo("option-of-option", "7"), json!({ "some": 7 }), "the value stands for itself in both");
    round("tuple", &json!([-3, "text", true]));
    assert_eq!(echo("result", "{ok: 7}"), json!([{"ok": 7}]));
    assert_eq!(echo("result", "{err: broken}"), json!([{"err": "broken"}]));
    assert_eq!(echo("empty-result", "{ok: null}"), json!([{"ok": null}]));
    assert_eq!(echo("empty-result", "{err: null}"), json!([{"err": null}]));
    assert_eq!(echo("empty-result", "ok"), json!([{"ok": null}]), "a word will do where there is no value");
}

#[test]
fn variants_enums_and_flags() {
    for value in [
        json!("pick-up"),
        json!({"days": 3}),
        json!({"distance": 2.5}),
        json!({"courier": "pigeon"}),
        json!({"gift": {"name": "Ada", "initials": ["A", "L"]}}),
        json!({"between": [1, 255]}),
    ] {
        round("variant", &value);
    }
    assert_eq!(echo("enum", "very-high"), "very-high");
    round("flags", &json!([]));
    round("flags", &json!(["fragile", "insured"]));
}

fn order() -> Json {
    json!({
        "id": u64::MAX,
        "customer": {"name": "Zoë", "initials": ["Z", "🦀"]},
        "items": [{"name": "bolt", "count": 3}, {"name": "nut", "count": 0}],
        "shipping": {"gift": {"name": "Ada", "initials": []}},
        "priority": "very-high",
        "remark": "handle with care",
        "location": [52.5, -13.25],
        "marks": ["this-side-up"],
    })
}

#[test]
fn a_record_with_everything_in_it() {
    round("record", &order());
    let mut order = order();
    order.as_object_mut().expect("an object").remove("remark");
    let mut expected = order.clone();
    expected["remark"] = Json::Null;
    let out = echo("record", &order.to_string());
    assert_eq!(out["remark"], Json::Null, "an optional field may be left out");
    assert_eq!(out.as_object().map(serde_json::Map::len), expected.as_object().map(serde_json::Map::len));
    assert_eq!(out["id"], json!(u64::MAX));
}

#[test]
fn many_parameters_in_any_order() {
    let args = ["h=9", "g=text", "f=!", "e=0.5", "d=-7", "c=65535", "b=-8", "a=true"];
    let args = args.iter().flat_map(|arg| ["--arg", *arg]);
    let args: Vec<_> = ["join"].into_iter().chain(args).collect();
    assert_eq!(exec("typed", &args)["output"], "true -8 65535 -7 0.5 ! text Some(9)");
    let words = "one=a two=b three=c four=d five=e six=f seven=g eight=h n=5";
    let args: Vec<_> = ["count-words"].into_iter().chain(words.split(' ').flat_map(|arg| ["-a", arg])).collect();
    assert_eq!(exec("typed", &args)["output"], 13);
    assert_eq!(exec("typed", &["nothing"])["output"], Json::Null);
}

#[test]
fn arguments_of_a_manifest_are_yaml() {
    let manifest = "
version: 1
plugins: { typed: { source: typed.wasm } }
jobs:
  record:
    plugin: typed
    call: echo-record
    every: 1h
    args:
      value:
        id: 18446744073709551615
        customer: { name: Zoë, initials: [Z, 🦀] }
        items:
          - { name: bolt, count: 3 }
          - { name: nut, count: 0 }
        shipping: { gift: { name: Ada, initials: [] } }
        priority: very-high
        remark: handle with care
        location: [52.5, -13.25]
        marks: [this-side-up]
  listed:
    plugin: typed
    call: join
    every: 1h
    args: [true, -8, 65535, -7, 0.5, '!', text, null]
";
    let scene = Scene::with(manifest, &["typed"]);
    let run = |job: &str| result(&clockjack(["exec", "-o", "json", "--job", job]).folder(scene.folder()).end());
    assert_eq!(run("record")["output"], order());
    assert_eq!(run("listed")["output"], "true -8 65535 -7 0.5 ! text None");
}
