//! Commands that talk to a running host over its socket: what they ask for happens, and whom nobody answers learns what to
//! do.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::Path,
};

use serde_json::{Value as Json, json};

use crate::{
    hosted::{Hosted, begins, ends, text, wait, wait_next},
    log::Line,
    program::{Clockjack, Running, clockjack},
};

const JOBS: &str = "jobs:
  beat: { plugin: typed, call: nothing, every: 100ms }
  echo: { plugin: typed, call: echo-string, args: { value: \"${payload.word}\" }, every: 1h }
  nap: { plugin: hostile, call: sleep-ms, args: { ms: 600000 }, timeout: 15m, every: 1h }
  trap: { plugin: hostile, call: panic, args: { message: oh }, every: 1h }
";

/// A command that talks to the host of a scene.
fn ask(hosted: &Hosted, args: &[&str]) -> Clockjack {
    clockjack(args).folder(hosted.scene.folder()).beside_nothing()
}

#[track_caller]
fn told(hosted: &Hosted, args: &[&str]) -> Json {
    ask(hosted, args).args(["-o", "json"]).ends_with(0).json()
}

/// Waits until a host answers, and says where.
#[track_caller]
fn socket_of(host: &mut Running) -> String {
    let says = |line: &Line| line.message.starts_with("commands talk to this host");
    wait(host, "a socket", says);
    let line = host.log.iter().map(|line| Line::read(line)).find(says);
    line.expect("it was waited for").text("socket").to_owned()
}

/// Which process answers on a socket.
fn pid_at(socket: &str) -> Json {
    let mut stream = UnixStream::connect(socket).expect("somebody listens");
    let request = "GET /api/v1/scheduler HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("a request can be sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer comes");
    let (_, body) = answer.split_once("\r\n\r\n").expect("an answer has a body");
    serde_json::from_str::<Json>(body).expect("the body is JSON")["pid"].clone()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn jobs_are_paused_run_and_ended_from_outside() {
    let hosted = Hosted::with(JOBS);
    let mut host = hosted.up(&[]).start();
    let socket = socket_of(&mut host);
    assert_eq!((mode(Path::new(&socket)), mode(Path::new(&socket).parent().expect("a folder"))), (0o600, 0o700));
    wait(&mut host, "beat", ends("beat"));
    let paused = told(&hosted, &["pause", "beat"]);
    assert_eq!((&paused["job"], &paused["paused"]), (&json!("beat"), &json!(true)), "{paused}");
    let by = paused["pause"]["by"].as_str().expect("somebody");
    assert!(by.starts_with("socket:"), "{by}");
    assert_eq!(hosted.job("beat")["state"], "paused", "whoever reads next reads it");
    let resumed = told(&hosted, &["resume", "beat", "--from", "last"]);
    assert_eq!((&resumed["job"], &resumed["paused"]), (&json!("beat"), &json!(false)), "{resumed}");
    wait_next(&mut host, "beat goes on", ends("beat"));
    // A run of its own, which ends when somebody wants it.
    let nap = told(&hosted, &["run", "nap"]);
    wait(&mut host, "nap", begins("nap"));
    let refused = ask(&hosted, &["run", "nap"]).ends_with(1).stderr;
    assert!(refused.contains("job `nap` does not run now: overlapping"), "{refused}");
    let cancelled = ask(&hosted, &["cancel", &text(&nap, "id")[..18]]).ends_with(0).stdout;
    assert!(cancelled.contains(text(&nap, "id")), "{cancelled}");
    wait(&mut host, "the end of nap", ends("nap"));
    let run = hosted.only("nap");
    assert_eq!((&run["id"], &run["outcome"], &run["cause"]), (&nap["id"], &json!("cancelled"), &json!("manual")));
    let again = ask(&hosted, &["cancel", "nap@latest"]).ends_with(1).stderr;
    assert!(again.contains("ended as cancelled"), "{again}");
    for (args, words) in [
        (["pause", "baet"], "the host has no job `baet`; did you mean `beat`?"),
        (["run", "ehco"], "the host has no job `ehco`; did you mean `echo`?"),
        (["cancel", "ehco@latest"], "has a job `ehco`; did you mean `echo`?"),
        (["plugins", "tyqed"], "the host has no plugin `tyqed`"),
    ] {
        let error = ask(&hosted, &args).ends_with(1).stderr;
        assert!(error.starts_with("error: ") && error.contains(words), "{args:?}: {error}");
    }
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    assert!(!Path::new(&socket).exists(), "the socket goes with its host");
}

#[test]
fn a_run_is_waited_for_and_its_end_is_the_exit_code() {
    let hosted = Hosted::with(JOBS);
    let mut host = hosted.up(&[]).start();
    socket_of(&mut host);
    let word = ["run", "echo", "--wait", "--payload", "{ \"word\": \"hello\" }", "--key", "one"];
    let run = told(&hosted, &word);
    assert_eq!((&run["outcome"], &run["output"]), (&json!("succeeded"), &json!("hello")), "{run:#}");
    let same = told(&hosted, &word);
    assert_eq!((&same["id"], &same["output"]), (&run["id"], &json!("hello")), "one key, one run");
    let other = ["run", "echo", "--wait", "--payload", "{ \"word\": \"other\" }", "--key", "one"];
    let refused = ask(&hosted, &other).ends_with(1).stderr;
    assert!(refused.contains(&format!("`key` stands for run {} already", text(&run, "id"))), "{refused}");
    let shown = ask(&hosted, &["run", "echo", "--wait", "--payload", "{ \"word\": \"two\" }"]).ends_with(0).stdout;
    assert!(shown.starts_with("echo succeeded") && shown.ends_with("\n\"two\"\n"), "{shown}");
    let failed = ask(&hosted, &["run", "trap", "--wait"]).ends_with(3).stdout;
    assert!(failed.starts_with("trap trap.unreachable"), "{failed}");
    // Who is waited for may be cancelled by somebody else.
    let waiting = ask(&hosted, &["run", "nap", "--wait", "-o", "json"]).start();
    wait(&mut host, "nap", begins("nap"));
    ask(&hosted, &["cancel", "nap@latest"]).ends_with(0);
    let ended = waiting.end();
    assert_eq!((ended.code, &ended.json()["outcome"]), (Some(3), &json!("cancelled")), "{}", ended.stderr);
}

#[test]
fn where_no_host_answers_it_says_so_and_how_to_start_one() {
    let hosted = Hosted::with(JOBS);
    for args in [
        &["plugins"][..],
        &["plugins", "approve", "typed"],
        &["plugins", "rollback", "typed", "--to", "1"],
        &["reload"],
        &["plan"],
        &["plan", "-f", "other.yaml"],
        &["pause", "beat"],
        &["resume", "beat"],
        &["run", "beat", "--wait"],
        &["cancel", "beat@latest"],
    ] {
        let error = ask(&hosted, args).ends_with(4).stderr;
        assert!(error.starts_with("error: no host answers at `"), "{args:?}: {error}");
        // What is planned may be no host's manifest, and is not to be started beside it.
        let advice = if args.contains(&"-f") { "`--of FILE`" } else { "start one with `clockjack up" };
        assert!(error.contains(advice) && error.contains("--socket PATH"), "{args:?}: {error}");
        assert_eq!(error.contains("clockjack up"), !args.contains(&"-f"), "{args:?}: {error}");
    }
    // A host that is not to be talked to makes no socket.
    let mut host = hosted.up(&["--no-api"]).start();
    wait(&mut host, "beat", ends("beat"));
    ask(&hosted, &["pause", "beat"]).ends_with(4);
    host.signal("TERM");
    let ended = host.end();
    assert!(ended.code == Some(0) && !ended.stderr.contains("socket"), "{}", ended.stderr);
}

#[test]
fn a_socket_that_is_left_over_is_taken_and_one_that_lives_is_not() {
    let hosted = Hosted::with(JOBS);
    let path = hosted.scene.arg("here.sock");
    let with_socket = |args: &[&str]| ask(&hosted, args).env("CLOCKJACK_SOCKET", "here.sock");
    let mut host = hosted.up(&["--socket", "here.sock"]).start();
    assert_eq!(socket_of(&mut host), path);
    ask(&hosted, &["pause", "beat", "--socket", "here.sock"]).ends_with(0);
    host.signal("KILL");
    drop(host);
    assert!(fs::metadata(&path).is_ok_and(|found| found.file_type().is_socket()), "nobody could remove it");
    let error = with_socket(&["resume", "beat"]).ends_with(4).stderr;
    assert!(error.contains(&format!("no host answers at `{path}`")), "{error}");
    let mut host = hosted.up(&[]).env("CLOCKJACK_SOCKET", "here.sock").start();
    assert_eq!(socket_of(&mut host), path);
    assert_eq!(pid_at(&path), host.id());
    // The job was paused by the host before, and goes on here.
    with_socket(&["resume", "beat"]).ends_with(0);
    wait_next(&mut host, "beat", ends("beat"));
    // A second host with a ledger of its own does its work, and leaves the first one its socket.
    let mut other = clockjack(["up", "--ledger", "memory:", "--log-format", "json", "--socket", "here.sock"])
        .folder(hosted.scene.folder())
        .beside_nothing()
        .start();
    wait(&mut other, "a warning", |line| line.message.contains(&format!("another host answers on `{path}`")));
    wait(&mut other, "beat", ends("beat"));
    other.signal("TERM");
    assert_eq!(other.end().code, Some(0));
    assert_eq!(pid_at(&path), host.id());
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    assert!(!Path::new(&path).exists());
    // What is no socket is nobody's to remove.
    hosted.scene.put("here.sock", "mine");
    let mut host = hosted.up(&["--socket", "here.sock"]).start();
    wait(&mut host, "a warning", |line| line.message.contains("is there already and is no socket"));
    wait(&mut host, "beat", ends("beat"));
    drop(host);
    assert_eq!(hosted.scene.read("here.sock"), "mine");
}

/// Folders that others may use are not trusted: the next place is taken, and those who ask find it; where there is none, the
/// jobs run all the same.
#[test]
fn folders_that_others_may_use_are_passed_over() {
    let hosted = Hosted::with(JOBS);
    let scene = &hosted.scene;
    for folder in ["run/clockjack", "state/clockjack/control", "tmp"] {
        fs::create_dir_all(scene.path(folder)).expect("a folder");
    }
    let open = |folder: &str| fs::set_permissions(scene.path(folder), fs::Permissions::from_mode(0o777));
    let with_folders = |command: Clockjack| {
        command
            .env("XDG_RUNTIME_DIR", scene.path("run"))
            .env("XDG_STATE_HOME", scene.path("state"))
            .env("TMPDIR", scene.path("tmp"))
    };
    open("run/clockjack").expect("a mode");
    fs::set_permissions(scene.path("state/clockjack/control"), fs::Permissions::from_mode(0o700)).expect("a mode");
    let mut host = with_folders(hosted.up(&[])).start();
    let socket = socket_of(&mut host);
    assert!(Path::new(&socket).starts_with(scene.path("state/clockjack/control")), "{socket}");
    with_folders(ask(&hosted, &["pause", "beat"])).ends_with(0);
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    open("state/clockjack/control").expect("a mode");
    let mut host = with_folders(hosted.up(&[])).start();
    let socket = socket_of(&mut host);
    assert!(Path::new(&socket).starts_with(scene.path("tmp")), "{socket}");
    with_folders(ask(&hosted, &["resume", "beat"])).ends_with(0);
    wait(&mut host, "beat", ends("beat"));
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    let own = Path::new(&socket).parent().expect("a folder").to_path_buf();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).expect("a mode");
    let mut host = with_folders(hosted.up(&[])).start();
    wait(&mut host, "a warning", |line| {
        line.message.starts_with("commands cannot talk to this host")
            && line.message.contains("others may use (mode 777)")
    });
    wait(&mut host, "beat", ends("beat"));
}
