//! Command jobs from outside: programs of WASI preview 1 as they come out of a compiler, what they read, and how their
//! exit codes steer.

use serde_json::json;

use crate::{
    cli_exec::result,
    hosted::{Hosted, ends, wait},
    program::clockjack,
    scene::{Scene, guest},
};

/// A program that copies standard input to standard output and to `/out/result.json`, and ends with a code.
pub(crate) fn copying(code: u8) -> Vec<u8> {
    let text = format!(
        r#"(module
             (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
             (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "path_open"
               (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
             (memory (export "memory") 2)
             (data (i32.const 256) "result.json")
             (func (export "_start") (local $size i32)
               (i32.store (i32.const 0) (i32.const 4096)) (i32.store (i32.const 4) (i32.const 65536))
               (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
               (i32.store (i32.const 4) (i32.load (i32.const 8)))
               (if (i32.load (i32.const 4)) (then
                 (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                 (drop (call $open (i32.const 3) (i32.const 0) (i32.const 256) (i32.const 11) (i32.const 1)
                   (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 16)))
                 (drop (call $write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 8)))))
               (call $exit (i32.const {code}))))"#
    );
    wat::parse_str(text).expect("the program assembles")
}

fn scene(code: u8) -> Scene {
    let scene = Scene::new();
    scene.put("copy.wasm", copying(code));
    scene
}

#[test]
fn a_program_of_preview_1_runs_as_it_is() {
    let scene = scene(3);
    let exec = |args: &[&str]| result(&clockjack(["exec", "-o", "json", &scene.arg("copy.wasm")]).args(args).end());
    let ended = exec(&[]);
    assert_eq!((&ended["outcome"], &ended["output"]), (&json!("failed"), &json!({ "exit_code": 3 })));
    assert_eq!(ended["error"], "the command ended with exit code 3");
    let told = exec(&["--stdin", "{\"rows\": 12}"]);
    assert_eq!((&told["stdout"], &told["output"]), (&json!("{\"rows\": 12}"), &json!({ "rows": 12 })));
    scene.put("names.json", "[\"Zoë\"]");
    let file = exec(&["--stdin", &format!("@{}", scene.arg("names.json"))]);
    assert_eq!(file["output"], json!(["Zoë"]));
    let view = clockjack(["inspect", "-o", "json", &scene.arg("copy.wasm")]).ends_with(0).json();
    assert_eq!((&view["form"], &view["exports"][0]["kind"]), (&json!("program"), &json!("command")));
    let page = clockjack(["inspect", &scene.arg("copy.wasm")]).ends_with(0).stdout;
    assert!(page.contains("_start (a command: arguments, environment, exit code)"), "{page}");
}

#[test]
fn input_for_what_is_no_command_is_refused() {
    let refused = clockjack(["exec", "-o", "json", &guest("typed"), "nothing", "--stdin", "x"]).ends_with(1).json();
    assert_eq!(refused["error"]["code"], "load.type", "{refused}");
    let scene = scene(0);
    let missing = clockjack(["exec", "-o", "json", &scene.arg("copy.wasm"), "--stdin", "@/absent"]).ends_with(1).json();
    assert_eq!(missing["error"]["code"], "load.not_found", "{missing}");
}

const JOBS: &str = "
plugins: { done: ./done.wasm, again: ./again.wasm, never: ./never.wasm, none: ./none.wasm }
defaults: { run_on_start: true, retry: { attempts: 3, backoff: 1ms }, exit_codes: { permanent: [64], skipped: [66] } }
jobs:
  done: { plugin: done, every: 1h, stdin: { total: 7 } }
  again: { plugin: again, every: 1h }
  never: { plugin: never, every: 1h, stdin: '\"no use\"' }
  none: { plugin: none, every: 1h }
  reversed: { plugin: again, every: 1h, exit_codes: { success: [75] } }
";

#[test]
fn exit_codes_steer_runs() {
    let scene = Scene::new();
    for (name, code) in [("done", 0), ("again", 75), ("never", 64), ("none", 66)] {
        scene.put(&format!("{name}.wasm"), copying(code));
    }
    scene.put("clockjack.yaml", format!("version: 1\n{JOBS}"));
    let hosted = Hosted { scene };
    let mut host = hosted.up(&[]).start();
    for job in ["done", "again", "never", "none", "reversed"] {
        wait(&mut host, job, ends(job));
    }
    drop(host);
    for (job, outcome, n_attempts, output) in [
        ("done", "succeeded", 1, json!({ "total": 7 })),
        ("again", "failed", 3, json!({ "exit_code": 75 })),
        ("never", "failed", 1, json!("no use")),
        ("none", "skipped", 1, json!({ "exit_code": 66 })),
        ("reversed", "succeeded", 1, json!({ "exit_code": 75 })),
    ] {
        let run = hosted.only(job);
        assert_eq!((&run["outcome"], &run["attempts"]), (&json!(outcome), &json!(n_attempts)), "{run:#}");
        assert_eq!(run["output"], output, "{run:#}");
    }
}
