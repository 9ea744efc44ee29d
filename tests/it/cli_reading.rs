//! `clockjack jobs`, `runs`, `logs` and `why`: what a host wrote is read while it runs, after it was killed, and without
//! its manifest.

use serde_json::Value as Json;

use crate::{
    hosted::Hosted,
    log::Line,
    program::{Clockjack, Running, clockjack},
    scene::Scene,
};

const MANIFEST: &str = "
version: 1
jobs:
  asleep: { plugin: ./typed.wasm, call: nothing, every: 1s, paused: true }
  divide: { plugin: ./typed.wasm, call: divide, args: { dividend: 6, divisor: 2 }, every: 1h, run_on_start: true }
  refuse: { plugin: ./typed.wasm, call: refuse, every: 1h, run_on_start: true, retry: { attempts: 2, backoff: 10ms } }
  endless: { plugin: ./hostile.wasm, call: spin, every: 1s, timeout: 1500ms }
  never: { plugin: ./typed.wasm, call: nothing, cron: '@yearly' }
";

/// A command that reads the ledger of the scene.
fn read(scene: &Scene, args: &[&str]) -> Clockjack {
    let ledger = format!("sqlite:{}", scene.arg("state.db"));
    clockjack(args).args(["-f", &scene.arg("clockjack.yaml"), "--ledger", &ledger]).beside_nothing()
}

fn json(scene: &Scene, args: &[&str]) -> Vec<Json> {
    let ended = read(scene, &[args, &["-o", "json"]].concat()).ends_with(0);
    ended.json().as_array().expect("a list").clone()
}

/// A host that has recorded a run of each kind and a skip. But for `endless`, nothing new begins while it is looked at.
fn host(scene: &Scene) -> Running {
    let ledger = format!("sqlite:{}", scene.arg("state.db"));
    let manifest = scene.arg("clockjack.yaml");
    let mut host = clockjack(["up", "-f", &manifest, "--ledger", &ledger, "--log-format", "json"]).start();
    for job in ["divide", "refuse", "endless"] {
        let ended = |line: &str| {
            let line = Line::read(line);
            line.text("job") == job && line.outcome().is_some() && !line.message.contains("tried again")
        };
        if !host.log.iter().any(|line| ended(line)) {
            host.wait_for(&format!("end of `{job}`"), ended);
        }
    }
    let skipped = |line: &str| line.contains("skipped: overlapping");
    if !host.log.iter().any(|line| skipped(line)) {
        host.wait_for("skip", skipped);
    }
    host
}

fn find<'l>(list: &'l [Json], key: &str, value: &str) -> &'l Json {
    list.iter().find(|item| item[key] == value).unwrap_or_else(|| panic!("no {key} {value} in {list:#?}"))
}

#[test]
fn a_ledger_is_read_while_its_host_runs_and_after_it_was_killed() {
    let scene = Scene::with(MANIFEST, &["typed", "hostile"]);
    let host = host(&scene);
    check(&scene);
    host.signal("KILL");
    drop(host);
    check(&scene);
    // The manifest only adds to what the ledger knows.
    scene.put("clockjack.yaml", "jobs: {");
    let jobs = read(&scene, &["jobs", "-o", "json"]).ends_with(0);
    assert!(jobs.stderr.contains("the manifest cannot be read"), "{}", jobs.stderr);
    assert_eq!(find(jobs.json().as_array().expect("a list"), "job", "divide")["trigger"], Json::Null);
    assert!(!json(&scene, &["why", "divide"]).is_empty());
}

fn check(scene: &Scene) {
    check_jobs(scene);
    check_runs(scene);
    check_why(scene);
}

fn check_jobs(scene: &Scene) {
    let jobs = json(scene, &["jobs"]);
    assert_eq!(jobs.len(), 5, "{jobs:#?}");
    assert_eq!(find(&jobs, "job", "asleep")["state"], "paused");
    let divide = find(&jobs, "job", "divide");
    assert_eq!((&divide["state"], &divide["last_run"]["outcome"]), (&"active".into(), &"succeeded".into()));
    assert_eq!(find(&jobs, "job", "never")["last_run"], Json::Null);
    let table = read(scene, &["jobs", "refuse"]).ends_with(0);
    assert_eq!(table.stdout.lines().count(), 2, "{}", table.stdout);
    let unknown = read(scene, &["jobs", "divid"]).ends_with(1);
    assert!(unknown.stderr.contains("did you mean `divide`?"), "{}", unknown.stderr);
}

fn check_runs(scene: &Scene) {
    let all = json(scene, &["runs", "-n", "1000"]);
    let endless = json(scene, &["runs", "--outcome", "timeout", "--job", "endless"]);
    assert_eq!((&endless[0]["outcome"], &endless[0]["state"]), (&"timeout.wall".into(), &"ended".into()));
    let refused = json(scene, &["runs", "--outcome", "failed", "-n", "1"]);
    let id = refused[0]["id"].as_str().expect("an id");
    assert_eq!(find(&all, "id", id)["attempts"], 2);
    let shown = read(scene, &["runs", "show", id, "-o", "json"]).ends_with(0).json();
    assert_eq!(shown["attempt_list"].as_array().map(Vec::len), Some(2), "{shown:#}");
    let divided = json(scene, &["runs", "--job", "divide", "--outcome", "succeeded", "-n", "1"]);
    let slot = format!("divide@{}", divided[0]["scheduled_for"].as_str().expect("an instant"));
    let shown = read(scene, &["runs", "show", &slot, "-o", "json"]).ends_with(0).json();
    assert_eq!((&shown["output"], &shown["id"]), (&3.into(), &divided[0]["id"]));
    let page = read(scene, &["runs", "-n", "2"]).ends_with(0);
    assert!(page.stderr.contains("more: clockjack runs "), "{}", page.stderr);
    let skips = json(scene, &["runs", "--skips", "--job", "endless", "-n", "1000"]);
    let skip = find(&skips, "reason", "overlapping");
    assert_eq!((&skip["state"], &skip["count"]), (&"skipped".into(), &1.into()));
    let logs = read(scene, &["logs", "refuse", "-o", "json"]).ends_with(0).json();
    assert_eq!((&logs["outcome"], &logs["attempt"]), (&"failed".into(), &2.into()));
    read(scene, &["logs", slot.as_str()]).ends_with(0);
    assert!(read(scene, &["runs", "--outcome", "timout"]).ends_with(1).stderr.contains("`timeout`"));
    read(scene, &["runs", "show", "ffffffffffff"]).ends_with(1);
}

fn check_why(scene: &Scene) {
    let slots = json(scene, &["why", "endless", "-n", "100"]);
    let skip = find(&slots, "reason", "overlapping");
    assert!(skip["explanation"].as_str().is_some_and(|text| text.contains("max_instances")), "{skip:#}");
    let again = json(scene, &["why", "endless", "--at", skip["slot"].as_str().expect("a slot")]);
    assert_eq!(again, std::slice::from_ref(skip));
    let none = json(scene, &["why", "endless", "--at", "2026-01-01T00:00:00.250Z"]);
    assert_eq!(none[0]["disposition"], "no_slot");
    let ahead = json(scene, &["why", "never", "--at", "2090-01-01"]);
    assert_eq!(ahead[0]["disposition"], "undecided");
}

/// The manifest is the key: whoever names the same one reads what its host wrote, from whatever folder.
#[test]
fn a_manifest_finds_its_ledger_again() {
    let scene = Scene::with(
        "jobs: { once: { plugin: ./typed.wasm, call: nothing, every: 1h, run_on_start: true } }",
        &["typed"],
    );
    let state = scene.path("state");
    clockjack(["up", "-f", &scene.arg("clockjack.yaml"), "--for", "1s"]).env("XDG_STATE_HOME", &state).ends_with(0);
    let read = |args: &[&str]| clockjack(args).folder(scene.folder()).env("XDG_STATE_HOME", &state).ends_with(0);
    let runs = read(&["runs", "-o", "json"]).json();
    let run = find(runs.as_array().expect("a list"), "job", "once");
    assert_eq!((&run["cause"], &run["outcome"]), (&"start".into(), &"succeeded".into()));
    assert!(read(&["why", "once"]).stdout.contains("`run_on_start`"));
    assert!(read(&["logs", "once"]).stderr.contains("logged and wrote nothing"));
}

#[test]
fn what_cannot_be_read_says_what_to_do() {
    let scene = Scene::with(MANIFEST, &[]);
    let manifest = scene.arg("clockjack.yaml");
    for command in
        [["jobs"].as_slice(), &["runs"], &["runs", "show", "divide@latest"], &["logs", "divide"], &["why", "divide"]]
    {
        let memory = clockjack(command).args(["-f", &manifest, "--ledger", "memory:"]).ends_with(1);
        assert!(memory.stderr.contains("gone when the host stops"), "{}", memory.stderr);
        let missing = read(&scene, command).ends_with(4);
        assert!(missing.stderr.contains("no ledger at"), "{}", missing.stderr);
        let nowhere = clockjack(command).folder(scene.folder()).args(["-f", "nowhere.yaml"]).ends_with(1);
        assert!(nowhere.stderr.contains("--ledger sqlite:PATH"), "{}", nowhere.stderr);
    }
    scene.put("state.db", "this is no ledger");
    let other = read(&scene, &["runs"]).ends_with(4);
    assert_eq!(other.stdout, "", "{}", other.stderr);
}

/// Programs get one object on stdout, whatever is wrong and whoever finds it out; the exit code says whose fault it is.
#[test]
fn what_is_wrong_is_one_object_for_programs() {
    let jobs = "stores: { default: \"sqlite:state.db\" }\njobs: { a: { plugin: typed, call: nothing, every: 1h } }\n";
    let hosted = Hosted::with(jobs);
    let ask = |args: &[&str], exit: u8, code: &str| {
        let ended =
            clockjack(args.iter().copied().chain(["-o", "json"])).folder(hosted.scene.folder()).beside_nothing();
        let ended = ended.ends_with(exit.into());
        let error = &ended.json()["error"];
        assert_eq!(error["code"], code, "{args:?}: {error}");
        let is_text = |key: &str| error[key].as_str().is_some_and(|text| !text.is_empty());
        assert!(is_text("message") && is_text("fix"), "{args:?}: {error}");
        assert_eq!(ended.stderr, "", "{args:?}");
    };
    for command in ["status", "events", "plugins"] {
        ask(&[command], 4, "host.absent");
    }
    ask(&["pause", "a"], 4, "host.absent");
    ask(&["logs", "a"], 4, "ledger.unavailable");
    ask(&["next", "nope"], 1, "job.unknown");
    ask(&["notify", "test"], 1, "notify.no_channel");
    ask(&["explain", "nope"], 1, "code.unknown");
    clockjack(["up", "--for", "10ms", "--no-watch"]).folder(hosted.scene.folder()).ends_with(0);
    for command in ["jobs", "why", "logs"] {
        ask(&[command, "nope"], 1, "job.unknown");
    }
    ask(&["runs", "--since", "soon"], 1, "request.invalid");
    ask(&["runs", "show", "0123456789ab"], 1, "run.unknown");
}
