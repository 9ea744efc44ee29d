//! `isolation: process`: attempts in worker processes end as they do in the host, and what happens to a worker happens to
//! one attempt.

use std::{fs, path::Path, process::Command, thread};

use serde_json::{Value as Json, json};

use crate::{
    cli_commands::copying,
    cli_exec::result,
    hosted::{Hosted, begins, ends, text, wait, wait_next},
    program::{PATIENCE, Running, clockjack, now},
    scene::{Scene, guest, root},
};

/// How a run ended, without what differs from one to the next.
fn exec(isolation: &str, scene: &Scene, args: &[&str]) -> Json {
    let exec = clockjack(["exec", "-o", "json", "--isolation", isolation]).args(args).folder(scene.folder());
    let mut ended = result(&exec.end());
    for key in ["duration_ms", "cpu_time_ms"] {
        ended[key] = Json::Null;
    }
    if let Some(usage) = ended["usage"].as_object_mut() {
        usage.remove("startup_ms");
    }
    for line in ended["logs"].as_array_mut().into_iter().flatten() {
        line["at"] = Json::Null;
    }
    ended
}

/// A guest that is kept as text.
fn assembled(name: &str) -> Vec<u8> {
    let text = fs::read_to_string(root().join("tests/guests").join(name).with_extension("wat"));
    wat::parse_str(text.expect("the guest's text can be read")).expect("the guest's text assembles")
}

/// That a function ends in both isolations in the same way, and how.
#[track_caller]
fn same(scene: &Scene, args: &[&str]) -> Json {
    let [here, there] = ["none", "process"].map(|isolation| exec(isolation, scene, args));
    assert_eq!(here, there, "{args:?}");
    there
}

#[track_caller]
fn ends_as(scene: &Scene, args: &[&str], outcome: &str) -> Json {
    let ended = same(scene, args);
    assert_eq!(ended["outcome"], outcome, "{args:?}: {ended}");
    ended
}

#[test]
fn guests_end_in_a_process_of_their_own_as_they_do_in_the_hosts() {
    let scene = Scene::with("version: 1\n", &["typed", "hostile", "state", "command"]);
    let typed = |args: &[&str]| ends_as(&scene, &[&["typed.wasm"], args].concat(), "succeeded")["output"].clone();
    assert_eq!(typed(&["echo-u64", "-a", "value=18446744073709551615"]), u64::MAX);
    assert_eq!(typed(&["echo-f64", "-a", "value=0.30000000000000004"]), 0.1 + 0.2);
    assert_eq!(typed(&["echo-option-of-option", "-a", "value=null"]), Json::Null);
    assert_eq!(typed(&["echo-lists", "-a", "value=[[a, ü], []]"]), json!([["a", "ü"], []]));
    assert_eq!(typed(&["echo-bytes", "-a", "value=AAH/"]), "AAH/");
    typed(&["nothing"]);
    let hostile = |outcome: &str, args: &[&str]| ends_as(&scene, &[&["hostile.wasm"], args].concat(), outcome);
    hostile("timeout.wall", &["sleep-ms", "-a", "ms=60000", "--timeout", "300ms"]);
    hostile("memory.limit", &["grow", "-a", "mib=100", "--memory", "16MiB"]);
    hostile("succeeded", &["grow", "-a", "mib=50"]);
    hostile("stack.overflow", &["recurse", "-a", "n=100000000"]);
    hostile("trap.unreachable", &["panic", "-a", "message=out of cheese"]);
    hostile("hostcall.limit", &["return-bytes", "-a", "mib=40"]);
    hostile("failed", &["exit", "-a", "code=3"]);
    hostile("failed", &["fail", "-a", "kind=permanent", "-a", "message=no use"]);
    hostile("skipped", &["fail", "-a", "kind=skipped", "-a", "message=empty"]);
    hostile("succeeded", &["print", "-a", "bytes=3000000"]);
    hostile("succeeded", &["flood-log", "-a", "lines=5000", "-a", "bytes=10"]);
    let spun = hostile("fuel", &["spin", "--fuel", "1000000"]);
    assert_eq!(spun["fuel_used"], 1_000_000);
    // Its figures differ.
    let spun = exec("process", &scene, &["hostile.wasm", "spin", "--cpu-time", "200ms"]);
    assert_eq!(spun["outcome"], "timeout.cpu", "{spun}");
    // Each run is told its own id and time.
    let [here, there] = ["none", "process"].map(|isolation| {
        let args = ["command.wasm", "--stdin", "some text", "-e", "A=1", "--", "--exit=7"];
        let mut ended = exec(isolation, &scene, &args);
        let stdout = text(&ended, "stdout").to_owned();
        let lines: Vec<_> = stdout.lines().filter(|line| !line.contains("_RUN_ID=") && !line.contains("Z")).collect();
        assert!(lines.contains(&"env A=1") && lines.contains(&"stdin some text"), "{stdout}");
        (ended["stdout"], ended["stdout_bytes"]) = (json!(lines), Json::Null);
        ended
    });
    assert_eq!(here, there);
    assert_eq!(there["output"], json!({ "exit_code": 1 }), "components know no other codes");
    // A program of preview 1, with what it reads, and what it leaves in its folder.
    scene.put("copy.wasm", copying(3));
    let copied = ends_as(&scene, &["copy.wasm", "--stdin", "{\"rows\": 12}"], "failed");
    assert_eq!((&copied["stdout"], &copied["output"]), (&json!("{\"rows\": 12}"), &json!({ "rows": 12 })));
    assert_eq!(ends_as(&scene, &["copy.wasm"], "failed")["output"], json!({ "exit_code": 3 }));
    scene.put("copy.wasm", copying(0));
    let broken = ends_as(&scene, &["copy.wasm", "--stdin", "no JSON"], "failed");
    assert!(text(&broken, "error").contains("/out/result.json"), "{broken}");
    scene.put("remember.wasm", assembled("remember"));
    let counted = ends_as(&scene, &["remember.wasm", "count", "--state"], "succeeded");
    assert_eq!(counted["output"], 1);
    // Without the grant nothing is run.
    let [here, there] = ["none", "process"].map(|isolation| exec(isolation, &scene, &["remember.wasm", "count"]));
    assert_eq!(here, there);
}

#[test]
fn granted_folders_are_seen_and_no_others() {
    let scene = Scene::with("version: 1\n", &["hostile"]);
    for folder in ["in", "out", "other"] {
        fs::create_dir(scene.path(folder)).expect("a folder can be made");
    }
    scene.put("in/text", "granted");
    scene.put("other/text", "not granted");
    std::os::unix::fs::symlink(scene.path("other/text"), scene.path("in/link")).expect("a link can be made");
    let grants = ["--dir", "in:/in:read", "--dir", "out:/out-of-it:read_write"];
    let exec = |args: &[&str]| same(&scene, &[&["hostile.wasm"], args, &grants].concat());
    assert_eq!(exec(&["read-file", "-a", "path=/in/text"])["output"], "granted");
    assert_eq!(exec(&["read-file", "-a", "path=/in/link"])["outcome"], "fs.denied");
    assert_eq!(exec(&["write-file", "-a", "path=/in/text", "-a", "text=x"])["outcome"], "fs.denied");
    assert_eq!(exec(&["write-file", "-a", "path=/out-of-it/text", "-a", "text=written"])["outcome"], "succeeded");
    assert_eq!(exec(&["list-folder", "-a", "path=/out-of-it"])["output"], json!(["text"]));
    assert_eq!((scene.read("in/text").as_str(), scene.read("out/text").as_str()), ("granted", "written"));
    let missing = self::exec("process", &scene, &["hostile.wasm", "env", "--dir", "in:/in:read"]);
    assert_eq!(missing["outcome"], "succeeded", "{missing}");
}

/// What stands in a file of a process.
fn proc(pid: u32, name: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default()
}

/// The value of a line in `/proc/PID/status`.
fn status(pid: u32, key: &str) -> String {
    let status = proc(pid, "status");
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap_or_default().trim().to_owned()
}

/// The processes that a process has started, those included that nobody has taken note of the end of.
fn children(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("the system has /proc").filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|child| status(*child, "PPid") == pid.to_string()).collect()
}

/// Waits for something that happens soon.
#[track_caller]
fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(now() < deadline, "no {what} within {PATIENCE:?}");
        thread::yield_now();
    }
}

/// A worker of a host that has given up everything and listens.
#[track_caller]
fn worker(host: &Running) -> u32 {
    until("worker", || children(host.id()).into_iter().find(|child| threads(*child).contains(&"host".to_owned())))
}

/// The names of the threads of a process.
fn threads(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| fs::read_to_string(entry.path().join("comm")).unwrap_or_default().trim().to_owned()).collect()
}

fn kill(pid: u32, signal: &str) {
    // It may be gone already.
    drop(Command::new("sh").args(["-c", &format!("kill -{signal} {pid} 2>&-")]).status());
}

fn n_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

const UNTRUSTED: &str = "pools: { untrusted: { size: 2, isolation: process } }\n";

#[test]
fn a_killed_worker_is_one_failed_attempt_and_nothing_else() {
    // A SIGSEGV that somebody sends is no crash: the handler of the engine finds no fault and goes on.
    for (signal, told) in [("KILL", "SIGKILL"), ("ABRT", "SIGABRT")] {
        let hosted = Hosted::with(&format!(
            "{UNTRUSTED}jobs:\n  \
               victim: {{ plugin: hostile, call: sleep-ms, args: {{ ms: 2000 }}, every: 1h, run_on_start: true, \
                          pool: untrusted, retry: {{ attempts: 2, backoff: 1ms }} }}\n  \
               canary: {{ plugin: typed, call: nothing, every: 100ms }}\n"
        ));
        let mut host = hosted.up(&[]).start();
        wait(&mut host, "the start of the victim", begins("victim"));
        kill(worker(&host), signal);
        wait(&mut host, "its end", ends("victim"));
        wait_next(&mut host, "another run of the canary", ends("canary"));
        host.signal("TERM");
        assert_eq!(host.end().code, Some(0));
        let story = hosted.only("victim");
        let attempts = story["attempt_list"].as_array().expect("a list").clone();
        assert_eq!(attempts.len(), 2, "{story:#}");
        assert_eq!(
            (&attempts[0]["outcome"], &story["outcome"]),
            (&json!("trap.other"), &json!("succeeded")),
            "{story:#}"
        );
        let message = attempts[0].to_string();
        assert!(message.contains(told) && message.contains("the host goes on"), "{message}");
        assert!(hosted.ended("canary").iter().all(|run| run["outcome"] == "succeeded"), "the canary noticed nothing");
    }
}

#[test]
fn a_worker_that_does_not_answer_is_ended_by_its_host() {
    let hosted = Hosted::with(&format!(
        "{UNTRUSTED}jobs: {{ a: {{ plugin: hostile, call: spin, every: 1h, run_on_start: true, timeout: 1s, \
         pool: untrusted }} }}\n"
    ));
    let mut host = hosted.up(&[]).start();
    wait(&mut host, "the start", begins("a"));
    let worker = worker(&host);
    kill(worker, "STOP");
    wait(&mut host, "its end", ends("a"));
    until("end of the worker", || status(worker, "State").is_empty().then_some(()));
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    assert_eq!(hosted.only("a")["outcome"], "timeout.wall");
}

#[test]
fn a_worker_has_nothing_but_its_job() {
    let hosted = Hosted::with(&format!(
        "{UNTRUSTED}jobs: {{ a: {{ plugin: hostile, call: sleep-ms, args: {{ ms: 60000 }}, every: 1h, \
         run_on_start: true, pool: untrusted }} }}\n"
    ));
    let mut host = hosted.up(&["--grace", "1ms"]).env("HOST_SECRET", "c0rrect-h0rse").start();
    wait(&mut host, "the start", begins("a"));
    let worker = worker(&host);
    assert_eq!(proc(worker, "environ"), "", "its environment is empty");
    assert_eq!(proc(worker, "cmdline"), "clockjack\0guest-worker\0", "nothing stands on its command line");
    assert_eq!((status(worker, "NoNewPrivs"), status(worker, "Seccomp")), ("1".to_owned(), "2".to_owned()));
    assert_eq!(status(worker, "CapPrm").trim_start_matches('0'), "", "nothing is left of what root may do");
    let limits = proc(worker, "limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("limits are told");
    assert!(core.contains(" 0 "), "{core}");
    let data = limits.lines().find(|line| line.starts_with("Max data size")).expect("limits are told");
    assert!(!data.contains("unlimited"), "{data}");
    for entry in fs::read_dir(format!("/proc/{worker}/fd")).expect("its files are told").filter_map(Result::ok) {
        let target = fs::read_link(entry.path()).unwrap_or_default().display().to_string();
        let is_own = ["pipe:", "anon_inode:", "socket:"].iter().any(|kind| target.starts_with(kind));
        let is_page_map = target.ends_with("/pagemap") || target.starts_with("/memfd:");
        assert!(is_own || is_page_map, "it has `{target}` open");
    }
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    until("end of the worker", || (!Path::new(&format!("/proc/{worker}/environ")).exists()).then_some(()));
}

#[test]
fn a_worker_ends_with_a_host_that_is_killed() {
    let hosted = Hosted::with(&format!(
        "{UNTRUSTED}jobs: {{ a: {{ plugin: hostile, call: spin, every: 1h, run_on_start: true, pool: untrusted }} }}\n"
    ));
    let mut host = hosted.up(&[]).start();
    wait(&mut host, "the start", begins("a"));
    let worker = worker(&host);
    host.signal("KILL");
    drop(host);
    until("end of the worker", || {
        let is_gone = matches!(status(worker, "State").chars().next(), None | Some('Z'));
        is_gone.then_some(())
    });
}

#[test]
fn workers_are_kept_for_the_next_attempt_and_go_when_there_is_none() {
    let hosted = Hosted::with(&format!(
        "{UNTRUSTED}jobs:\n  often: {{ plugin: typed, call: nothing, every: 50ms, pool: untrusted }}\n"
    ));
    let mut host = hosted.up(&[]).start();
    wait(&mut host, "the first end", ends("often"));
    let first = worker(&host);
    for _ in 0..20 {
        wait_next(&mut host, "another end", ends("often"));
    }
    assert_eq!(children(host.id()), [first], "one worker did it all");
    hosted.put(&format!(
        "{UNTRUSTED}jobs: {{ often: {{ plugin: typed, call: nothing, every: 1h, pool: untrusted }} }}\n"
    ));
    host.signal("HUP");
    wait_next(&mut host, "the reload", |line| line.message == "manifest reloaded");
    until("end of the idle worker", || children(host.id()).is_empty().then_some(()));
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    assert!(hosted.ended("often").iter().all(|run| run["outcome"] == "succeeded"));
}

#[test]
fn a_wish_to_stop_reaches_a_worker() {
    let hosted = Hosted::with(&format!(
        "{UNTRUSTED}jobs: {{ a: {{ plugin: hostile, call: spin, every: 3s, overlap: replace, pool: untrusted }} }}\n"
    ));
    let mut host = hosted.up(&["--grace", "1ms"]).start();
    wait(&mut host, "the end of the first", ends("a"));
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    let first = &hosted.ended("a")[0];
    assert_eq!(first["outcome"], "cancelled", "{first:#}");
    assert!(first["cpu_time_ms"].as_f64().is_some_and(|ms| 0.0 < ms), "its figures came back: {first:#}");
}

#[test]
fn jobs_of_a_full_pool_make_room_for_each_other() {
    let hosted = Hosted::with(
        "pools: { untrusted: { size: 1, isolation: process } }\n\
         jobs:\n  \
           a: { plugin: typed, call: nothing, every: 100ms, pool: untrusted }\n  \
           b: { plugin: typed, call: echo-u8, args: { value: 7 }, every: 100ms, pool: untrusted }\n",
    );
    let mut host = hosted.up(&[]).start();
    for job in ["a", "b", "a", "b", "a", "b"] {
        wait_next(&mut host, job, ends(job));
        assert!(children(host.id()).len() <= 1, "{:?}", children(host.id()));
    }
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    let runs = [hosted.ended("a"), hosted.ended("b")].concat();
    assert!(runs.iter().all(|run| run["outcome"] == "succeeded"), "{runs:#?}");
}

/// A component whose function `value` returns a number.
fn returning(number: u32) -> Vec<u8> {
    let text = format!(
        r#"(component
             (core module $m (func (export "value") (result i32) (i32.const {number})))
             (core instance $i (instantiate $m))
             (func (export "value") (result u32) (canon lift (core func $i "value"))))"#
    );
    wat::parse_str(text).expect("the component assembles")
}

#[test]
fn a_reload_runs_the_new_code() {
    let hosted = Hosted::with(&format!(
        "{UNTRUSTED}jobs: {{ a: {{ plugin: ./value.wasm, call: value, every: 100ms, pool: untrusted }} }}\n"
    ));
    hosted.scene.put("value.wasm", returning(1));
    let mut host = hosted.up(&[]).start();
    wait(&mut host, "the first end", ends("a"));
    hosted.scene.put("value.wasm", returning(2));
    host.signal("HUP");
    wait_next(&mut host, "the reload", |line| line.message == "manifest reloaded");
    wait_next(&mut host, "an end", ends("a"));
    wait_next(&mut host, "another end", ends("a"));
    host.signal("TERM");
    host.end();
    let runs = hosted.ended("a");
    let output = |run: &Json| hosted.json(&["runs", "show", text(run, "id")])["output"].clone();
    let (first, last) = (&runs[0], &runs[runs.len() - 1]);
    assert_eq!((output(first), output(last)), (json!(1), json!(2)));
}

#[test]
fn state_secrets_and_results_go_through_the_wall() {
    let secret = "c0rrect-h0rse-battery";
    let hosted = Hosted::with(&format!(
        "{UNTRUSTED}secrets: {{ api-key: {{ file: ./key }} }}\n\
         defaults: {{ pool: untrusted }}\n\
         jobs:\n  \
           count: {{ plugin: ./state.wasm, call: count, args: {{ fail: false }}, every: 100ms, \
                     grants: {{ state: true, secrets: [api-key] }} }}\n  \
           drop: {{ plugin: ./state.wasm, call: count, args: {{ fail: true }}, every: 100ms, \
                    grants: {{ state: true, secrets: [api-key] }} }}\n  \
           slip: {{ plugin: ./reveal.wasm, call: slip, args: {{ name: api-key }}, every: 1h, run_on_start: true, \
                    grants: {{ secrets: [api-key] }} }}\n  \
           print: {{ plugin: command, every: 1h, run_on_start: true, stdin: from the manifest, \
                     grants: {{ env: {{ TOKEN: {{ secret: api-key }} }} }} }}\n"
    ));
    hosted.scene.put("key", secret);
    fs::copy(guest("state"), hosted.scene.path("state.wasm")).expect("a guest can be copied");
    hosted.scene.put("reveal.wasm", assembled("reveal"));
    let mut host = hosted.up(&[]).start();
    for job in ["count", "drop", "slip", "print"] {
        wait(&mut host, job, ends(job));
    }
    for _ in 0..4 {
        wait_next(&mut host, "another end", ends("count"));
    }
    host.signal("TERM");
    let ended = host.end();
    assert!(!ended.stderr.contains(secret), "{}", ended.stderr);
    let counted = hosted.ended("count");
    let outputs: Vec<_> =
        counted.iter().map(|run| hosted.json(&["runs", "show", text(run, "id")])["output"].clone()).collect();
    let expected: Vec<Json> = (1..=outputs.len()).map(Json::from).collect();
    assert_eq!(outputs, expected, "each success is kept once");
    assert!(hosted.ended("drop").iter().all(|run| run["outcome"] == "failed"));
    let slipped = hosted.only("slip");
    assert_eq!((&slipped["outcome"], &slipped["output"]), (&json!("failed"), &json!("[secret api-key]")));
    let printed = hosted.only("print");
    let stdout = text(&printed, "stdout");
    assert!(stdout.contains("env TOKEN=[secret api-key]") && stdout.contains("stdin from the manifest"), "{stdout}");
}

#[test]
fn many_workers_that_are_killed_leave_nothing_behind() {
    const KILLS: usize = 50;
    let hosted = Hosted::with(&format!(
        "{UNTRUSTED}jobs:\n  \
           victim: {{ plugin: hostile, call: sleep-ms, args: {{ ms: 60000 }}, every: 10ms, pool: untrusted, \
                      overlap: allow, max_instances: 2 }}\n"
    ));
    let mut host = hosted.up(&["--grace", "1ms"]).start();
    wait(&mut host, "a start", begins("victim"));
    let before = n_files(host.id());
    for _ in 0..KILLS {
        let worker = worker(&host);
        kill(worker, "KILL");
        until("end of the worker", || (status(worker, "State").is_empty()).then_some(()));
        wait_next(&mut host, "the end of its attempt", ends("victim"));
    }
    assert!(children(host.id()).len() <= 2, "no more than the pool has places: {:?}", children(host.id()));
    let after = n_files(host.id());
    // Each worker that lives has three pipes, and there are two at the most.
    assert!(after <= before + 8, "{before} files before, {after} after {KILLS} ends");
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
}
