//! What guests do wrong, and the exact outcome of it; what they may touch, and only with a grant.

use std::fs;

use serde_json::{Value as Json, json};

use crate::{
    cli_exec::{exec, result},
    program::clockjack,
    scene::{Scene, guest},
};

/// Runs a function and checks how it ended; the reason has to name what to change.
#[track_caller]
fn ends(args: &[&str], outcome: &str, reason: &[&str]) -> Json {
    let result = exec("hostile", args);
    assert_eq!(result["outcome"], outcome, "{args:?}: {}", result["error"]);
    let error = result["error"].as_str().unwrap_or_default();
    for word in reason {
        assert!(error.contains(word), "`{word}` in: {error}");
    }
    result
}

#[track_caller]
fn number(result: &Json, key: &str) -> f64 {
    result[key].as_f64().unwrap_or_else(|| panic!("`{key}` is a number: {result}"))
}

#[test]
fn an_endless_loop_ends_by_the_wall_clock() {
    let result = ends(&["spin", "--timeout", "1s"], "timeout.wall", &["1s", "`timeout`"]);
    let took = number(&result, "duration_ms");
    // Other tests keep the machine busy; `up_on_time` looks more closely.
    assert!((1_000.0..2_000.0).contains(&took), "{took} ms");
}

#[test]
fn an_endless_loop_ends_by_its_processor_time() {
    let result = ends(&["spin", "--cpu-time", "200ms"], "timeout.cpu", &["200ms", "`limits.cpu_time`"]);
    let used = number(&result, "cpu_time_ms");
    assert!((200.0..400.0).contains(&used), "{used} ms, however busy the machine is");
}

#[test]
fn an_endless_loop_ends_by_its_fuel() {
    let result = ends(&["spin", "--fuel", "1000000"], "fuel", &["1000000", "`limits.fuel`"]);
    assert_eq!(result["fuel_used"], 1_000_000);
}

#[test]
fn sleep_in_the_host_ends_by_the_wall_clock_and_costs_no_processor_time() {
    let result = ends(&["sleep-ms", "-a", "ms=60000", "--timeout", "300ms"], "timeout.wall", &["300ms", "`timeout`"]);
    assert!(number(&result, "duration_ms") < 2_000.0, "{result}");
    assert!(number(&result, "cpu_time_ms") < 150.0, "{result}");
    ends(&["sleep-ms", "-a", "ms=20"], "succeeded", &[]);
}

#[test]
fn polling_ends_by_the_wall_clock() {
    ends(&["wait-for-cancel", "--timeout", "300ms"], "timeout.wall", &["300ms"]);
}

#[test]
fn memory_ends_at_the_limit() {
    let result = ends(&["grow", "-a", "mib=1000", "--memory", "16MiB"], "memory.limit", &["16MiB", "`limits.memory`"]);
    let peak = number(&result, "memory_peak_bytes");
    assert!((f64::from(12 << 20)..=f64::from(16 << 20)).contains(&peak), "{peak}");
    // The default, without any flag.
    ends(&["grow", "-a", "mib=100"], "memory.limit", &["64MiB"]);
    ends(&["grow", "-a", "mib=100", "--memory", "128MiB"], "succeeded", &[]);
}

#[test]
fn a_call_stack_that_overflows_is_contained() {
    ends(&["recurse", "-a", "n=100000000"], "stack.overflow", &[]);
    ends(&["recurse", "-a", "n=100"], "succeeded", &[]);
}

#[test]
fn a_panic_is_a_trap_with_its_message() {
    let result = ends(&["panic", "-a", "message=out of cheese"], "trap.unreachable", &["out of cheese"]);
    assert!(result["stderr"].as_str().is_some_and(|stderr| stderr.contains("out of cheese")), "{result}");
}

#[test]
fn too_much_output_is_no_fault_and_keeps_head_tail_and_count() {
    let n_bytes = 3_000_000_usize;
    let result = ends(&["print", "-a", &format!("bytes={n_bytes}")], "succeeded", &[]);
    assert_eq!(result["stdout_bytes"], n_bytes);
    assert_eq!(result["stdout_truncated"], true);
    let stdout = result["stdout"].as_str().unwrap_or_default();
    let line = format!("{}\n", "x".repeat(63));
    assert!(stdout.starts_with(&line) && stdout.ends_with(&line), "head and tail are whole");
    let kept = 1 << 20;
    assert!((kept..kept + 100).contains(&stdout.len()), "{}", stdout.len());
    assert!(stdout.contains(&format!("{} bytes left out", n_bytes - kept)), "and it says so in the middle");

    let result = ends(&["print", "-a", "bytes=1000"], "succeeded", &[]);
    assert_eq!((&result["stdout_bytes"], &result["stdout_truncated"]), (&json!(1000), &json!(false)));
    assert_eq!(result["stdout"].as_str().map(str::len), Some(1000));
}

#[test]
fn too_many_log_lines_are_counted() {
    let result = ends(&["flood-log", "-a", "lines=5000", "-a", "bytes=10"], "succeeded", &[]);
    let n_kept = result["logs"].as_array().map_or(0, Vec::len);
    let n_dropped = result["logs_dropped"].as_u64().unwrap_or_default();
    assert!((100..5000).contains(&n_kept), "{n_kept}");
    assert_eq!(n_kept as u64 + n_dropped, 5000, "none vanishes without a trace");
    assert_eq!(result["logs"][0]["fields"]["line"], "0");

    let result = ends(&["flood-log", "-a", "lines=9", "-a", "bytes=100000"], "succeeded", &[]);
    let kept = result["logs"].as_array().map_or(0, Vec::len);
    assert!((1..=2).contains(&kept), "256 KiB are kept of an attempt: {kept} lines of 100 kB");
    assert_eq!(result["logs_dropped"], 9 - kept);
}

#[test]
fn a_huge_result_is_refused_by_its_limit() {
    ends(&["return-bytes", "-a", "mib=40"], "hostcall.limit", &["16MiB"]);
}

#[test]
fn exit_in_the_middle_of_a_call_is_an_outcome() {
    ends(&["exit", "-a", "code=0"], "succeeded", &[]);
    ends(&["exit", "-a", "code=3"], "failed", &["exit code"]);
}

#[test]
fn without_grants_there_is_no_disk_and_no_environment() {
    for path in ["/etc/passwd", "/", "../../etc/passwd", "/proc/self/environ"] {
        let read = ends(&["read-file", "-a", &format!("path={path}")], "failed", &["cannot read"]);
        assert!(!read.to_string().contains("root:"), "{read}");
        ends(&["list-folder", "-a", &format!("path={path}")], "failed", &["cannot list"]);
    }
    ends(&["write-file", "-a", "path=/tmp/x", "-a", "text=x"], "failed", &["cannot write"]);
    let command = clockjack(["exec", "-o", "json", &guest("hostile"), "env"]).env("SECRET", "hunter2");
    assert_eq!(result(&command.end())["output"], json!([]));
}

#[test]
fn only_granted_variables_are_seen() {
    let result = ends(&["env", "--env", "A=1", "-e", "B=two=2", "-e", "C="], "succeeded", &[]);
    assert_eq!(result["output"], json!([["A", "1"], ["B", "two=2"], ["C", ""]]));
}

/// A folder `in` that is granted, beside one that is not.
fn folders() -> Scene {
    let scene = Scene::new();
    for folder in ["in", "in/sub", "beside"] {
        fs::create_dir(scene.path(folder)).expect("a folder");
    }
    scene.put("in/a.txt", "granted");
    scene.put("beside/b.txt", "not granted");
    std::os::unix::fs::symlink(scene.path("beside"), scene.path("in/link")).expect("a link");
    std::os::unix::fs::symlink(scene.path("beside/b.txt"), scene.path("in/link.txt")).expect("a link");
    scene
}

#[test]
fn a_directory_granted_for_reading_is_read_only() {
    let scene = folders();
    for mode in [":read", ""] {
        let dir = format!("{}:/in{mode}", scene.arg("in"));
        let with = |args: &[&str], outcome: &str| ends(&[args, &["--dir", &dir]].concat(), outcome, &[]);
        assert_eq!(with(&["read-file", "-a", "path=/in/a.txt"], "succeeded")["output"], "granted");
        let listed = with(&["list-folder", "-a", "path=/in"], "succeeded");
        assert_eq!(listed["output"], json!(["a.txt", "link", "link.txt", "sub"]));
        for path in ["/in/a.txt", "/in/new.txt", "/in/sub/new.txt"] {
            let write = ["write-file", "-a", &format!("path={path}"), "-a", "text=changed"];
            let error = with(&write, "fs.denied")["error"].to_string();
            assert!(error.contains(&format!("`open` of `{path}` was refused")), "{error}");
            assert!(error.contains("`/in` is granted with `mode: read` (`grants.dirs`); the guest said: "), "{error}");
        }
    }
    assert_eq!(scene.read("in/a.txt"), "granted");
    assert!(!scene.path("in/new.txt").exists() && !scene.path("in/sub/new.txt").exists());
}

#[test]
fn a_directory_granted_for_writing_is_written() {
    let scene = folders();
    let dir = format!("{}:/in:read_write", scene.arg("in"));
    let write = |path: &str| ["write-file", "-a", path, "-a", "text=new", "--dir", &dir].map(str::to_owned);
    let run = |path: &str, outcome: &str| {
        let args = write(path);
        ends(&args.each_ref().map(String::as_str), outcome, &[])
    };
    run("path=/in/sub/new.txt", "succeeded");
    assert_eq!(scene.read("in/sub/new.txt"), "new");
    // Neither dots nor links lead out of it.
    let denied = ["/in/../beside/b.txt", "/in/link/b.txt", "/in/link.txt"].map(|path| (path, "fs.denied"));
    // What lies in no granted directory does not exist for the guest, which never asks for it.
    for (path, outcome) in denied.into_iter().chain([("/beside/b.txt", "failed")]) {
        run(&format!("path={path}"), outcome);
        let read = ["read-file", "-a", &format!("path={path}"), "--dir", &dir].map(str::to_owned);
        ends(&read.each_ref().map(String::as_str), outcome, &[]);
    }
    assert_eq!(scene.read("beside/b.txt"), "not granted");
}
