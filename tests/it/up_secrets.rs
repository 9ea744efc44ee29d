//! Secrets reach the job and nothing else: not the ledger, not the log, not what commands show.

use std::fs;

use crate::{
    hosted::{Hosted, ends, wait},
    program::clockjack,
    scene::root,
};

/// A value that nothing else holds.
const VALUE: &str = "c0rrect-h0rse-battery";

/// Everything that our own code, the database and the WASI layer could say. The compiler sees no secret and says a lot.
const LOUD: &str = "clockjack=trace,clockjack_sandbox=trace,clockjack_ledger=trace,wasmtime_wasi=trace,sqlx=trace";

/// A folder with a guest that lets its secret slip everywhere, and one that prints its environment.
fn slipping(secrets: &str) -> Hosted {
    let hosted = Hosted::with(&format!(
        "secrets: {secrets}\n\
         jobs:\n  \
           slip: {{ plugin: ./reveal.wasm, call: slip, args: {{ name: api-key }}, every: 1h, run_on_start: true, \
                    grants: {{ secrets: [api-key] }} }}\n  \
           print: {{ plugin: command, every: 1h, run_on_start: true, grants: {{ env: {{ TOKEN: {{ secret: api-key }} }} }} }}\n"
    ));
    let text = fs::read_to_string(root().join("tests/guests/reveal.wat")).expect("the guest's text can be read");
    hosted.scene.put("reveal.wasm", wat::parse_str(text).expect("the guest's text assembles"));
    hosted
}

#[test]
fn a47_a_secret_stands_nowhere_but_in_the_job() {
    let hosted = slipping("{ api-key: { env: API_KEY } }");
    let mut host = hosted.up(&[]).env("API_KEY", VALUE).env("CLOCKJACK_LOG", LOUD).start();
    wait(&mut host, "the end of one", ends("slip"));
    wait(&mut host, "the end of the other", ends("print"));
    host.signal("TERM");
    let ended = host.end();
    assert!(!ended.stderr.contains(VALUE), "{}", ended.stderr);
    let slipped = hosted.only("slip");
    assert_eq!((&slipped["outcome"], &slipped["output"]), (&"failed".into(), &"[secret api-key]".into()));
    let printed = hosted.only("print");
    assert!(printed["stdout"].as_str().is_some_and(|text| text.contains("env TOKEN=[secret api-key]")), "{printed:#}");
    let mut n_files = 0;
    for file in fs::read_dir(hosted.scene.folder()).expect("the folder can be read").filter_map(Result::ok) {
        if file.file_name().to_string_lossy().starts_with("state.db") {
            n_files += 1;
            let bytes = fs::read(file.path()).expect("the ledger can be read");
            let found = bytes.windows(VALUE.len()).any(|window| window == VALUE.as_bytes());
            assert!(!found, "{:?} holds the secret", file.file_name());
        }
    }
    assert!(0 < n_files, "there is a ledger");
}

#[test]
fn a_changed_file_is_read_by_the_next_attempt() {
    let hosted = slipping("{ api-key: { file: ./token } }");
    let length = || {
        let exec = ["exec", "--file", "clockjack.yaml", "--job", "slip", "reveal.wasm", "length", "-o", "json"];
        clockjack(exec).folder(hosted.scene.folder()).ends_with(0).json()["output"].clone()
    };
    hosted.scene.put("token", format!("{VALUE}\n"));
    assert_eq!(length(), VALUE.len());
    hosted.scene.put("token", "four");
    assert_eq!(length(), 4);
}

#[test]
fn a_value_that_is_not_there_keeps_the_host_from_starting_and_is_told_by_a_check() {
    let hosted = slipping("{ api-key: { env: API_KEY } }");
    let check = clockjack(["check", "-f", "clockjack.yaml"]).folder(hosted.scene.folder()).ends_with(0);
    let told = "secret `api-key`: the environment variable `API_KEY` is not set";
    assert!(check.stderr.contains("warning[manifest.secret]") && check.stderr.contains(told), "{}", check.stderr);
    let refused = hosted.up(&[]).ends_with(1);
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
    let refused = clockjack(["exec", "--job", "slip"]).folder(hosted.scene.folder()).ends_with(1);
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
}
