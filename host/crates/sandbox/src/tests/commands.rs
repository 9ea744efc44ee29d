//! What only commands have: standard input, exit codes that steer, and a scratch folder with a result.

use clockjack_schedule::{
    command::{Command, ExitCodes, Stdin},
    job::{DirGrant, DirMode},
    outcome::Again,
};
use serde_json::json;

use super::*;
use crate::command::CommandInput;

/// A program whose functions are given, with what it needs to read, write, link and end.
fn program(start: &str) -> String {
    format!(
        r#"(module
             (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
             (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "path_open"
               (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "path_symlink" (func $link (param i32 i32 i32 i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
             (memory (export "memory") 32)
             (data (i32.const 256) "result.json")
             (data (i32.const 320) "lock")
             ;; Reads standard input to 4096 and gives its length, up to 64 KiB.
             (func $input (result i32)
               (i32.store (i32.const 0) (i32.const 4096)) (i32.store (i32.const 4) (i32.const 65536))
               (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
               (i32.load (i32.const 8)))
             (func $say (param $to i32) (param $from i32) (param $size i32)
               (i32.store (i32.const 0) (local.get $from)) (i32.store (i32.const 4) (local.get $size))
               (drop (call $write (local.get $to) (i32.const 0) (i32.const 1) (i32.const 8))))
             ;; Creates `result.json` in the first directory; gives its descriptor.
             (func $result (result i32)
               (drop (call $open (i32.const 3) (i32.const 0) (i32.const 256) (i32.const 11) (i32.const 1)
                   (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 16)))
               (i32.load (i32.const 16)))
             (func (export "_start") (local $size i32) (local $file i32) {start}))"#
    )
}

fn with(plugin: &Arc<Plugin>, command: &Command, limits: &Limits, grants: &Grants) -> Result<Call, String> {
    let problems = |problems: Vec<crate::CallProblem>| {
        let told =
            problems.iter().map(|p| format!("at {}: {}: {}; {}", p.path, p.error.code, p.error.message, p.error.fix));
        told.collect::<Vec<_>>().join("\n")
    };
    let call = Call::prepare(plugin, None, &Arguments::None, limits, grants).map_err(problems)?;
    Ok(call.with_command(CommandInput::read(plugin, None, command).map_err(problems)?))
}

async fn run(start: &str, stdin: Stdin) -> Report {
    let plugin = load(&program(start), false).unwrap();
    let command = Command { stdin, ..Command::default() };
    SANDBOX.run(&with(&plugin, &command, &quick(), &Grants::default()).unwrap(), facts()).await
}

/// Copies standard input to `result.json` and ends with a code.
fn keeping(code: u8) -> String {
    format!(
        "(local.set $size (call $input)) (local.set $file (call $result))
         (call $say (local.get $file) (i32.const 4096) (local.get $size)) (call $exit (i32.const {code}))"
    )
}

#[tokio::test]
async fn standard_input_is_what_the_job_says() {
    let copy = "(local.set $size (call $input)) (call $say (i32.const 1) (i32.const 4096) (local.get $size))";
    assert_eq!(run(copy, Stdin::Empty).await.stdout.text, "");
    assert_eq!(run(copy, Stdin::Text("two\nlines".into())).await.stdout.text, "two\nlines");
    assert_eq!(
        run(copy, Stdin::Json(json!({"days": 30, "of": ["a"]}))).await.stdout.text,
        "{\"days\":30,\"of\":[\"a\"]}\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names.csv");
    std::fs::write(&path, "name\nZoë\n").unwrap();
    assert_eq!(run(copy, Stdin::File(path)).await.stdout.text, "name\nZoë\n");
}

#[test]
fn input_that_cannot_be_passed_is_refused_at_load() {
    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("large.bin");
    std::fs::File::create(&large).unwrap().set_len(crate::STDIN_BYTES_MAX + 1).unwrap();
    let plugin = load(&program(""), false).unwrap();
    let function = load(&component("(func (export \"run\"))"), false).unwrap();
    let told = |plugin: &Arc<Plugin>, stdin: Stdin| {
        let command = Command { stdin, ..Command::default() };
        let told =
            with(plugin, &command, &quick(), &Grants::default()).map(|_| "ok".to_owned()).unwrap_or_else(|told| told);
        told.replace(&folder.path().display().to_string(), "FOLDER")
    };
    let size = usize::try_from(crate::STDIN_BYTES_MAX).unwrap() + 1;
    let cases = [
        told(&plugin, Stdin::File(large)),
        told(&plugin, Stdin::File(folder.path().to_owned())),
        told(&plugin, Stdin::File(folder.path().join("absent"))),
        told(&plugin, Stdin::File("/dev/zero".into())),
        told(&plugin, Stdin::Text("x".repeat(size).into())),
        told(&function, Stdin::Text("x".into())),
        told(&function, Stdin::Empty),
    ];
    expect![[r#"
        at stdin.file: load.too_large: the file `FOLDER/large.bin` has more than 4MiB, the most that is passed; put the data into a folder and grant it: `grants: { dirs: [{ host: ./data, guest: /data }] }`
        at stdin.file: load.invalid: `FOLDER` is no regular file; name a regular file
        at stdin.file: load.not_found: the file `FOLDER/absent` cannot be read: No such file or directory (os error 2); check the path; relative paths start at the manifest's folder
        at stdin.file: load.invalid: `/dev/zero` is no regular file; name a regular file
        at stdin: load.too_large: the standard input has 4MiB; at most 4MiB are passed; put the data into a folder and grant it: `grants: { dirs: [{ host: ./data, guest: /data }] }`
        at stdin: load.type: `run` is a function, and only a command reads standard input; pass it as an argument, under `args:`
        ok"#]].assert_eq(&cases.join("\n"));
}

#[tokio::test]
async fn exit_codes_mean_what_the_job_says() {
    let codes = ExitCodes { success: vec![0, 2], retry: vec![75], permanent: vec![64], skipped: vec![3] };
    let command = Command { exit_codes: codes, ..Command::default() };
    let mut told = Vec::new();
    for code in [0, 2, 75, 64, 3, 1] {
        let plugin = load(&program(&format!("(call $exit (i32.const {code}))")), false).unwrap();
        let outcome =
            SANDBOX.run(&with(&plugin, &command, &quick(), &Grants::default()).unwrap(), facts()).await.outcome;
        told.push(format!("{}: {}, {:?}, {}", outcome.code, outcome.message, outcome.again, outcome.output.unwrap()));
    }
    expect![[r#"
        succeeded: , AsPolicySays, {"exit_code":0}
        succeeded: , AsPolicySays, {"exit_code":2}
        failed: the command ended with exit code 75 (`exit_codes.retry`), AsPolicySays, {"exit_code":75}
        failed: the command ended with exit code 64 (`exit_codes.permanent`), Never, {"exit_code":64}
        skipped: the command ended with exit code 3 (`exit_codes.skipped`), AsPolicySays, {"exit_code":3}
        failed: the command ended with exit code 1, AsPolicySays, {"exit_code":1}"#]]
    .assert_eq(&told.join("\n"));
    assert_eq!(ExitCodes::default().meaning(1), clockjack_schedule::command::ExitMeaning::Unlisted);
    assert_eq!(Again::default(), Again::AsPolicySays);
}

#[tokio::test]
async fn the_file_in_out_becomes_the_output() {
    let told = async |code, text: &str| {
        let outcome = run(&keeping(code), Stdin::Text(text.into())).await.outcome;
        format!("{}: {}: {}", outcome.code, outcome.message, outcome.output.unwrap_or_default())
    };
    let cases = [
        told(0, "{\"rows\": 12}").await,
        told(0, "\"text\"").await,
        told(0, "{\"rows\": 12,\n \"sum\": }").await,
        told(0, "").await,
        told(0, &"[".repeat(1_000)).await,
        told(0, "\"\u{fffd}").await,
        told(9, "{\"reason\": \"no rows\"}").await,
        told(9, "oops").await,
    ];
    expect![[r#"
        succeeded: : {"rows":12}
        succeeded: : "text"
        failed: `/out/result.json` is not valid JSON: expected value at line 2 column 9: {"exit_code":0}
        failed: `/out/result.json` is not valid JSON: EOF while parsing a value at line 1 column 0: {"exit_code":0}
        failed: `/out/result.json` is not valid JSON: recursion limit exceeded at line 1 column 128: {"exit_code":0}
        failed: `/out/result.json` is not valid JSON: EOF while parsing a string at line 1 column 4: {"exit_code":0}
        failed: the command ended with exit code 9: {"reason":"no rows"}
        failed: `/out/result.json` is not valid JSON: expected value at line 1 column 1; the command ended with exit code 9: {"exit_code":9}"#]].assert_eq(&cases.join("\n"));
}

#[tokio::test]
async fn a_result_has_its_limit_and_no_links_are_followed() {
    let told = async |start: &str, limits: Limits| {
        let plugin = load(&program(start), false).unwrap();
        let command = Command { stdin: Stdin::Text(format!("[{}0]", "0,".repeat(1_000)).into()), ..Command::default() };
        let outcome =
            SANDBOX.run(&with(&plugin, &command, &limits, &Grants::default()).unwrap(), facts()).await.outcome;
        format!("{}: {}", outcome.code, outcome.message)
    };
    let cases = [
        told(&keeping(0), Limits { output_bytes_max: 2_000, ..quick() }).await,
        // Two bytes each in the file, and the weight of a value in the host.
        told(&keeping(0), Limits { output_bytes_max: 2_004, ..quick() }).await,
        told("(drop (call $link (i32.const 320) (i32.const 4) (i32.const 3) (i32.const 256) (i32.const 11)))", quick())
            .await,
        told("(drop (call $mkdir (i32.const 3) (i32.const 256) (i32.const 11)))", quick()).await,
    ];
    expect![[r#"
        failed: `/out/result.json` has 2KiB; its limit is 2KiB (`limits.output`)
        failed: `/out/result.json` has 70.5KiB; its limit is 2KiB (`limits.output`)
        failed: `/out/result.json` is a symbolic link, which is not followed
        failed: `/out/result.json` is no regular file"#]]
    .assert_eq(&cases.join("\n"));
}

#[tokio::test]
async fn the_folder_is_fresh_for_each_attempt() {
    // Opens without creating: only what is there already can be opened.
    let look = "(if (call $open (i32.const 3) (i32.const 0) (i32.const 256) (i32.const 11) (i32.const 0)
            (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 16)) (then (call $exit (i32.const 44))))";
    for _ in 0..2 {
        assert_eq!(run(&keeping(0), Stdin::Text("1".into())).await.outcome.output, Some(json!(1)));
        assert_eq!(run(look, Stdin::Empty).await.outcome.output, Some(json!({"exit_code": 44})));
    }
}

#[tokio::test]
async fn a_folder_that_grows_too_large_ends_the_attempt() {
    let limits = Limits { timeout: Duration::from_secs(60), cpu_time: Duration::from_secs(50), ..Limits::default() };
    let told = async |start: &str| {
        let plugin = load(&program(start), false).unwrap();
        let call = with(&plugin, &Command::default(), &limits, &Grants::default()).unwrap();
        let outcome = SANDBOX.run(&call, facts()).await.outcome;
        format!("{}: {}", outcome.code, outcome.message)
    };
    let filling = "(local.set $file (call $result)) (loop $more (call $say (local.get $file) (i32.const 65536) (i32.const 1048576)) (br $more))";
    let unlinked = format!(
        "(local.set $file (call $result)) (drop (call $unlink (i32.const 3) (i32.const 256) (i32.const 11))) {}",
        &filling[filling.find("(loop").unwrap()..]
    );
    // The name of each is its number in two letters of 64.
    let many = "(loop $more
        (i32.store8 (i32.const 512) (i32.add (i32.const 48) (i32.and (local.get $size) (i32.const 63))))
        (i32.store8 (i32.const 513) (i32.add (i32.const 48) (i32.shr_u (local.get $size) (i32.const 6))))
        (drop (call $mkdir (i32.const 3) (i32.const 512) (i32.const 2)))
        (local.set $size (i32.add (local.get $size) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $size) (i32.const 1100)))) (loop (br 0))";
    let cases = [told(filling).await, told(&unlinked).await, told(many).await];
    expect![[r#"
        fs.denied: the attempt keeps more than 64MiB in `/out`, and no key changes that; grant a directory under `grants.dirs` for more
        fs.denied: the attempt keeps more than 64MiB in `/out`, and no key changes that; grant a directory under `grants.dirs` for more
        fs.denied: the guest made more than 1000 files, folders and links (`limits.files`)"#]].assert_eq(&cases.join("\n"));
}

#[tokio::test]
async fn a_directory_of_the_job_at_out_is_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let dir = DirGrant { index: 0, host: folder.path().to_owned(), guest: "/out".to_owned(), mode: DirMode::ReadWrite };
    let grants = Grants { dirs: vec![dir], ..Grants::default() };
    let plugin = load(&program(&keeping(0)), false).unwrap();
    let command = Command { stdin: Stdin::Text("[1]".into()), ..Command::default() };
    let report = SANDBOX.run(&with(&plugin, &command, &quick(), &grants).unwrap(), facts()).await;
    assert_eq!(report.outcome.output, Some(json!({"exit_code": 0})), "a file that stays is no result of this attempt");
    assert_eq!(std::fs::read_to_string(folder.path().join("result.json")).unwrap(), "[1]");
}

#[tokio::test]
async fn folders_go_with_their_attempts_and_with_hosts_that_are_gone() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let settings = EngineSettings {
        n_slots: 1,
        memory_bytes_max: 64 << 20,
        table_elements_max: 100_000,
        scratch: parent.path().to_owned(),
        compile: crate::CompileSettings::default(),
    };
    let n_left = || std::fs::read_dir(parent.path()).unwrap().count();
    // What a crash leaves: a folder with a lock that nobody holds; and what is none of ours.
    let crashed = parent.path().join("clockjack-scratch-1-0");
    std::fs::create_dir_all(crashed.join("0/deep")).unwrap();
    std::fs::write(crashed.join("lock"), "").unwrap();
    std::fs::create_dir(parent.path().join("clockjack-scratch-notes")).unwrap();
    let alive = Sandbox::new(settings.clone()).unwrap();
    let root = alive.scratch_root().unwrap();
    let scratch = root.folder().unwrap();
    let mode = std::fs::metadata(scratch.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert_eq!(n_left(), 3);
    assert_eq!(Sandbox::new(settings).unwrap().clear_leftovers(), 1, "that of a live host stays");
    assert!(!crashed.exists() && scratch.path().exists());
    std::fs::write(scratch.path().join("left"), "x").unwrap();
    let path = scratch.path().to_owned();
    drop(scratch);
    assert!(!path.exists());
    drop(alive);
    assert_eq!(n_left(), 1, "only what is none of ours");
}
