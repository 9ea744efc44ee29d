//! What is asked of the reloader, and what it shows.

use clockjack_schedule::diagnostic::{Diagnostic, Span};

use super::*;
use crate::{
    api::view,
    hot::{
        CanaryView, CandidateState, CandidateView, Difference, GenerationView, JobChange, Plan, PluginChange,
        PluginChangeKind, Refusal,
    },
};

fn generation(number: u32, digit: &str, cause: &str) -> GenerationView {
    let since = at("2027-01-15T12:00:00Z");
    GenerationView { number, digest: digit.repeat(64), n_bytes: 1_000, since, cause: cause.to_owned() }
}

fn difference() -> Difference {
    Difference {
        exports_added: vec!["prune".to_owned()],
        imports_added: vec!["wasi:http/outgoing-handler".to_owned()],
        n_bytes_before: 1_000,
        n_bytes_after: 2_000,
        ..Difference::default()
    }
}

pub(crate) fn plugin() -> PluginView {
    PluginView {
        name: "weblog".parse().unwrap(),
        source: "./weblog.wasm".to_owned(),
        current: Some(generation(3, "c", "file changed")),
        kept: vec![generation(2, "b", "start")],
        candidate: Some(CandidateView {
            state: CandidateState::Held,
            digest: Some("d".repeat(64)),
            n_bytes: Some(2_000),
            since: at("2027-01-15T12:30:00Z"),
            code: Some("load.import".to_owned()),
            reason: "it asks for `wasi:http`".to_owned(),
            fix: "grant it, or approve it".to_owned(),
            difference: Some(difference()),
        }),
        canary: Some(CanaryView { n_runs: 5, n_failures_max: 3, n_ended: 2, n_failed: 1 }),
        functions: vec!["summarize".to_owned()],
        imports: Vec::new(),
        jobs: vec!["backup".parse().unwrap()],
    }
}

#[tokio::test]
async fn plugins_are_shown_with_what_does_not_run() {
    let world = world().await;
    world.shown.send_replace([plugin()].into());
    let all = world.get("/api/v1/plugins").await;
    let one = world.get("/api/v1/plugins/weblog").await;
    assert_eq!((all.status, one.status, &all.body["items"][0]), (200, 200, &one.body));
    expect_test::expect![[r#"
        {
          "plugin": "weblog",
          "state": "held",
          "source": "./weblog.wasm",
          "generation": 3,
          "digest": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
          "size_bytes": 1000,
          "since": "2027-01-15T12:00:00Z",
          "cause": "file changed",
          "jobs": [
            "backup"
          ],
          "functions": [
            "summarize"
          ],
          "imports": [],
          "candidate": {
            "state": "held",
            "digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
            "size_bytes": 2000,
            "since": "2027-01-15T12:30:00Z",
            "code": "load.import",
            "reason": "it asks for `wasi:http`",
            "fix": "grant it, or approve it",
            "difference": {
              "exports_added": [
                "prune"
              ],
              "exports_removed": [],
              "imports_added": [
                "wasi:http/outgoing-handler"
              ],
              "imports_removed": [],
              "size_bytes_before": 1000,
              "size_bytes_after": 2000
            }
          },
          "canary": {
            "runs": 5,
            "failures": 3,
            "runs_ended": 2,
            "runs_failed": 1
          },
          "kept": [
            {
              "generation": 2,
              "digest": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
              "size_bytes": 1000,
              "since": "2027-01-15T12:00:00Z",
              "cause": "start"
            }
          ]
        }"#]]
    .assert_eq(&format!("{:#}", one.body));
    let told = world.get("/api/v1/plugins/weblg").await.problem();
    assert_eq!(told, "404 plugin.unknown: the host has no plugin `weblg`; did you mean `weblog`?");
}

#[tokio::test]
async fn what_a_person_decides_reaches_the_reloader() {
    let mut world = world().await;
    world.shown.send_replace([plugin()].into());
    let mut wishes = std::mem::replace(&mut world.wishes, mpsc::channel(1).1);
    let scripted = async {
        let mut told = Vec::new();
        for _ in 0..4 {
            let (line, answer, answered) = match wishes.recv().await.expect("a wish") {
                Wish::Approve { plugin: name, digest, answer } => {
                    let answered = if digest.is_some() { Ok(plugin()) } else { Err("plugin.not_held") };
                    (format!("approve {name} {digest:?}"), answer, answered)
                }
                Wish::RollBack { plugin: name, to, answer } => {
                    let answered = if to.is_some() { Ok(plugin()) } else { Err("load.type") };
                    (format!("roll back {name} {to:?}"), answer, answered)
                }
                other => panic!("{other:?}"),
            };
            let refused = |code| Refusal { code, message: "it cannot be".to_owned(), fix: "leave it".to_owned() };
            answer.send(answered.map_err(refused)).unwrap();
            told.push(line);
        }
        told.join("\n")
    };
    let asking = async {
        let approved = world.post("/api/v1/plugins/weblog/approve", json!({ "digest": "dddd" })).await;
        assert_eq!((approved.status, &approved.body["generation"]), (200, &json!(3)), "{approved:?}");
        let refused = world.post_text("/api/v1/plugins/weblog/approve", "").await.problem();
        assert_eq!(refused, "409 plugin.not_held: it cannot be; leave it");
        let back = world.post("/api/v1/plugins/weblog/rollback", json!({ "generation": 2 })).await;
        assert_eq!((back.status, &back.body["plugin"]), (200, &json!("weblog")), "{back:?}");
        let refused = world.post("/api/v1/plugins/weblog/rollback", json!({})).await.problem();
        assert_eq!(refused, "422 load.type: it cannot be; leave it");
        // Of what is not there nobody asks the reloader.
        let unknown = world.post("/api/v1/plugins/other/approve", json!({})).await;
        assert_eq!((unknown.status, &unknown.body["code"]), (404, &json!("plugin.unknown")));
    };
    let (told, ()) = tokio::join!(scripted, asking);
    expect_test::expect![[r#"
        approve weblog Some("dddd")
        approve weblog None
        roll back weblog Some(2)
        roll back weblog None"#]]
    .assert_eq(&told);
    // Where the reloader has gone, the host is about to.
    drop(wishes);
    let told = world.post("/api/v1/plugins/weblog/rollback", json!({})).await.problem();
    assert_eq!(told, "503 host.stopping: the host stops; ask again when it has been started anew");
}

pub(crate) fn some_plan() -> Plan {
    let text = "version: 1\njobs:\n  report: { plugin: weblog, evry: 1h }\n";
    let at_word = text.find("evry").unwrap();
    let span = Span { source: 0, start: at_word, end: at_word + 4 };
    let job = |id: &str, before: Option<&str>, after: Option<&str>, parts: Vec<&'static str>| JobChange {
        job: id.parse().unwrap(),
        next_before: before.map(at),
        next_after: after.map(at),
        parts,
    };
    Plan {
        added: vec![job("new", None, Some("2027-01-15T13:00:00Z"), Vec::new())],
        changed: vec![job("report", Some("2027-01-15T13:00:00Z"), None, vec!["triggers", "args"])],
        removed: vec![job("old", Some("2027-01-15T13:00:00Z"), None, Vec::new())],
        n_untouched: 7,
        plugins: vec![PluginChange {
            plugin: "weblog".parse().unwrap(),
            change: PluginChangeKind::Held,
            generation_before: Some(3),
            generation_after: Some(3),
            reason: "it asks for `wasi:http`".to_owned(),
            fix: "grant it, or approve it".to_owned(),
            difference: Some(difference()),
        }],
        pools: vec!["`small`: 1 place, 2 before".to_owned()],
        refused: Some("1 error".to_owned()),
        findings: vec![
            Diagnostic::error("manifest.unknown_key", span, "unknown key `evry`").fix("did you mean `every`?"),
        ],
        sources: vec![Source::new("clockjack.yaml", text)],
    }
}

#[tokio::test]
async fn plans_and_reloads_say_what_becomes_of_each_job() {
    let mut world = world().await;
    let mut wishes = std::mem::replace(&mut world.wishes, mpsc::channel(1).1);
    let scripted = async {
        let mut told = Vec::new();
        for _ in 0..4 {
            let (line, answer) = match wishes.recv().await.expect("a wish") {
                Wish::Reload { cause, answer } => (format!("reload: {cause}"), answer),
                Wish::Plan { files, answer } => (format!("plan: {files:?}"), answer),
                other => panic!("{other:?}"),
            };
            answer.send(some_plan()).unwrap();
            told.push(line);
        }
        told.join("\n")
    };
    let asking = async {
        let planned = world.post("/api/v1/plan", json!({ "files": ["/a/b.yaml"] })).await;
        assert_eq!(planned.status, 200, "{planned:?}");
        for (path, body) in [("plan", json!({ "files": null })), ("plan", json!({})), ("scheduler/reload", json!({}))] {
            let same = world.post(&format!("/api/v1/{path}"), body).await;
            assert_eq!((same.status, &same.body), (200, &planned.body));
        }
        assert_eq!(planned.body, serde_json::to_value(view::Plan::from(some_plan())).unwrap());
    };
    let (told, ()) = tokio::join!(scripted, asking);
    expect_test::expect![[r#"
        plan: Some(["/a/b.yaml"])
        plan: None
        plan: None
        reload: asked for"#]]
    .assert_eq(&told);
}

#[test]
fn a_plan_has_every_field() {
    let body = serde_json::to_value(view::Plan::from(some_plan())).unwrap();
    let lines: Vec<_> = body.as_object().unwrap().iter().map(|(key, value)| format!("{key}: {value}")).collect();
    expect_test::expect![[r#"
        refused: "1 error"
        added: [{"job":"new","parts":[],"next_before":null,"next_after":"2027-01-15T13:00:00Z"}]
        changed: [{"job":"report","parts":["triggers","args"],"next_before":"2027-01-15T13:00:00Z","next_after":null}]
        removed: [{"job":"old","parts":[],"next_before":"2027-01-15T13:00:00Z","next_after":null}]
        untouched: 7
        plugins: [{"plugin":"weblog","change":"held","generation_before":3,"generation_after":3,"reason":"it asks for `wasi:http`","fix":"grant it, or approve it","difference":{"exports_added":["prune"],"exports_removed":[],"imports_added":["wasi:http/outgoing-handler"],"imports_removed":[],"size_bytes_before":1000,"size_bytes_after":2000}}]
        pools: ["`small`: 1 place, 2 before"]
        findings: [{"file":"clockjack.yaml","line":3,"column":29,"end_line":3,"end_column":33,"severity":"error","code":"manifest.unknown_key","message":"unknown key `evry`","fix":"did you mean `every`?"}]
        findings_text: "error[manifest.unknown_key]: unknown key `evry`\n --> clockjack.yaml:3:29\n  |\n3 |   report: { plugin: weblog, evry: 1h }\n  |                             ^^^^ did you mean `every`?\n\n""#]].assert_eq(&lines.join("\n"));
}
