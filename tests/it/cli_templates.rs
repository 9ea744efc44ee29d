//! Templates in arguments: what `exec` fills in, what it says where that cannot be done, and how a payload goes down a
//! chain of jobs.

use serde_json::{Value as Json, json};

use crate::{
    cli_exec::{exec, result},
    hosted::{Hosted, ends, wait},
    program::clockjack,
    scene::{Scene, guest},
};

const MANIFEST: &str = r#"
version: 1
plugins: { typed: { source: typed.wasm }, command: { source: command.wasm } }
defaults: { labels: { team: ops } }
jobs:
  text: { plugin: typed, call: echo-string, every: 1h, args: { value: "job ${run.job}, try ${run.attempt}/${run.max_attempts}" } }
  whole: { plugin: typed, call: echo-u32, every: 1h, args: { value: "${payload.n}" } }
  instant: { plugin: typed, call: echo-string, every: 1h, args: { value: "${run.scheduled_for}" } }
  millis: { plugin: typed, call: echo-u64, every: 1h, args: { value: "${run.scheduled_for}" } }
  number: { plugin: typed, call: echo-string, every: 1h, args: { value: "${run.attempt}" } }
  escaped: { plugin: typed, call: echo-string, every: 1h, args: { value: "$${run.id} $${HOME}" } }
  nothing: { plugin: typed, call: echo-option, every: 1h, args: { value: "${payload.none:-}" } }
  default: { plugin: typed, call: echo-s64, every: 1h, args: { value: "${payload.limit:--5}" } }
  last: { plugin: typed, call: echo-string, every: 1h, args: { value: "${run.last_success:-never}" } }
  record:
    plugin: typed
    call: echo-items
    every: 1h
    args: { value: [{ name: "${payload.items[0].name}!", count: "${payload.items[0].count}" }, { name: plain, count: 1 }] }
  flags: { plugin: typed, call: echo-flags, every: 1h, args: { value: ["${payload.mark}", insured] } }
  case: { plugin: typed, call: echo-enum, every: 1h, args: { value: "very-${payload.level}" } }
  variant: { plugin: typed, call: echo-variant, every: 1h, args: { value: "${payload.ship}" } }
  bytes: { plugin: typed, call: echo-bytes, every: 1h, args: { value: "${payload.bytes}" } }
  file: { plugin: typed, call: echo-bytes, every: 1h, args: { value: { file: data/bytes.bin } } }
  words: { plugin: command, every: 1h, args: ["--exit=0", "of ${payload.n}", plain] }
"#;

fn scene() -> Scene {
    let scene = Scene::with(MANIFEST, &["typed", "command"]);
    std::fs::create_dir(scene.path("data")).expect("a folder");
    scene.put("data/bytes.bin", [1, 2, 255]);
    scene
}

fn run(scene: &Scene, job: &str, payload: &Json) -> Json {
    let elsewhere = Scene::new();
    // Paths start at the manifest, wherever the program runs.
    let manifest = scene.arg("clockjack.yaml");
    let args = ["exec", "-o", "json", "-f", &manifest, "--job", job, "--payload", &payload.to_string()];
    result(&clockjack(args).folder(elsewhere.folder()).end())
}

#[test]
fn values_come_in_the_types_of_their_parameters() {
    let scene = scene();
    let payload = json!({
        "n": 7, "items": [{ "name": "bolt", "count": 3 }], "mark": "fragile", "level": "high", "ship": { "days": 3 },
        "bytes": "AQL/",
    });
    let output = |job: &str| {
        let result = run(&scene, job, &payload);
        assert_eq!(result["outcome"], "succeeded", "{job}: {result:#}");
        result["output"].clone()
    };
    assert_eq!(output("text"), "job text, try 1/1");
    assert_eq!(output("whole"), 7);
    let instant = output("instant");
    let instant: chrono::DateTime<chrono::Utc> = instant.as_str().and_then(|text| text.parse().ok()).expect("RFC 3339");
    let millis = output("millis").as_i64().expect("milliseconds");
    assert!((instant.timestamp_millis() - millis).abs() < 600_000, "{instant} {millis}");
    assert_eq!(output("number"), "1");
    assert_eq!(output("escaped"), "${run.id} ${HOME}");
    assert_eq!(output("default"), -5);
    assert_eq!(output("last"), "never");
    assert_eq!(output("record"), json!([{ "name": "bolt!", "count": 3 }, { "name": "plain", "count": 1 }]));
    assert_eq!(output("flags"), json!(["fragile", "insured"]));
    assert_eq!(output("case"), "very-high");
    assert_eq!(output("variant"), json!({ "days": 3 }));
    assert_eq!(output("bytes"), "AQL/");
    assert_eq!(output("file"), "AQL/");
    let words = run(&scene, "words", &payload);
    assert!(words["stdout"].as_str().is_some_and(|text| text.contains("of 7") && text.contains("plain")), "{words:#}");
}

#[test]
fn what_cannot_be_filled_in_fails_with_its_path() {
    let scene = scene();
    for (job, payload, told) in [
        ("whole", json!({}), "args.value: `${payload.n}` cannot be filled in: the payload has no `n`"),
        ("whole", json!({ "n": "7" }), "args.value: ${payload.n}: expected u32, found `\"7\"`"),
        ("whole", json!({ "n": 4_294_967_296_u64 }), "args.value: ${payload.n}: 4294967296 is out of range for u32"),
        (
            "record",
            json!({ "items": [{ "name": "a" }] }),
            "args.value[0].count: `${payload.items[0].count}` cannot be filled in: item 0 has no `count`",
        ),
        (
            "flags",
            json!({ "mark": "soft" }),
            "args.value[0]: expected one of fragile, this-side-up, insured, found `soft`",
        ),
        ("case", json!({ "level": "low" }), "args.value: expected one of low, normal, very-high, found `very-low`"),
        (
            "bytes",
            json!({ "bytes": { "file": "/etc/hostname" } }),
            "args.value.file: ${payload.bytes}: a file can be named in the manifest only",
        ),
        ("words", json!([]), "args[1]: `${payload.n}` cannot be filled in: the payload has no `n`"),
    ] {
        let result = run(&scene, job, &payload);
        assert_eq!(result["outcome"], "failed", "{job}: {result:#}");
        let error = result["error"].as_str().unwrap_or_default();
        assert!(error.starts_with(told), "{job}: {error}");
    }
    let ended = clockjack(["exec", &guest("typed"), "nothing", "--payload", "{"]).ends_with(2);
    assert!(ended.stderr.contains("it is no JSON"), "{}", ended.stderr);
    let large = Json::from("x".repeat(70_000)).to_string();
    let ended = clockjack(["exec", &guest("typed"), "nothing", "--payload", &large]).ends_with(2);
    assert!(ended.stderr.contains("a payload has at most 65536"), "{}", ended.stderr);
}

/// What stands on a command line is meant as it stands there.
#[test]
fn arguments_of_a_command_line_are_no_templates() {
    assert_eq!(exec("typed", &["echo-string", "--arg", "value=${run.id}"])["output"], "${run.id}");
    assert_eq!(
        exec("typed", &["echo-lists", "--arg", "value=[['${payload}', '$${x}']]"])["output"],
        json!([["${payload}", "$${x}"]])
    );
}

const CHAIN: &str = r#"
jobs:
  first: { plugin: typed, call: echo-items, every: 1h, run_on_start: true, args: { value: [{ name: bolt, count: 3 }] } }
  second: { plugin: typed, call: echo-string, after: first, args: { value: "${payload[0].name} at ${run.scheduled_for}" } }
  third: { plugin: typed, call: echo-string, after: second, args: { value: "${payload}" } }
  wrong:
    plugin: typed
    call: echo-u8
    after: first
    args: { value: "${payload[1].count}" }
    retry: { attempts: 3, backoff: 1ms }
  large: { plugin: typed, call: echo-string, every: 1h, run_on_start: true, args: { value: "LARGE" } }
  small: { plugin: typed, call: echo-string, after: large, args: { value: "${payload:-none}" } }
"#;

#[test]
fn the_output_of_a_run_is_the_payload_of_those_after_it() {
    let hosted = Hosted::with(&CHAIN.replace("LARGE", &"x".repeat(70_000)));
    let mut host = hosted.up(&[]).start();
    for job in ["third", "wrong", "small"] {
        wait(&mut host, job, ends(job));
    }
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    let items = json!([{ "name": "bolt", "count": 3 }]);
    let shown = |job: &str| hosted.json(&["runs", "show", &format!("{job}@latest")]);
    let second = shown("second");
    assert_eq!(second["payload"], items, "{second:#}");
    let text = second["output"].as_str().expect("text");
    let slot = second["scheduled_for"].as_str().expect("text");
    assert!(text.starts_with("bolt at ") && text.ends_with('Z') && text[8..18] == slot[..10], "{text} {slot}");
    assert_eq!((&shown("third")["output"], &shown("third")["payload"]), (&json!(text), &json!(text)));
    assert_eq!(shown("first")["payload"], Json::Null);
    let wrong = shown("wrong");
    assert_eq!(
        (&wrong["outcome"], &wrong["attempts"]),
        (&json!("failed"), &json!(1)),
        "another attempt would be given the same"
    );
    assert!(wrong["error"].as_str().is_some_and(|error| error.contains("the payload has no item 1")), "{wrong:#}");
    // What is too large for those after it is said of the run that gave it.
    let large = shown("large");
    assert_eq!(large["outcome"], "succeeded");
    assert!(
        large.to_string().contains("the runs after it get no payload from its output: it has 70002 bytes"),
        "{large:#}"
    );
    assert_eq!((&shown("small")["payload"], &shown("small")["output"]), (&Json::Null, &json!("none")));
    let page = hosted.read(&["runs", "show", "second@latest"]).ends_with(0).stdout;
    assert!(page.contains("\npayload\n  [\n    {\n"), "{page}");
}
