//! Plugins and manifests change while the host runs, by nothing but a change of their files.

mod asked;
mod dropped;
mod held;
mod restart;
mod rolled_back;
mod running;
mod storm;
mod swap;

use std::{fs, time::Duration};

use chrono::TimeDelta;

use crate::{
    hosted::{Hosted, assert_no_gap, ends, wait_next},
    log::Line,
    program::Running,
};

const EVERY: TimeDelta = TimeDelta::milliseconds(100);

/// A component whose function `answer` gives a number.
fn answers(number: u32) -> Vec<u8> {
    made(&format!("i32.const {number}"), "")
}

/// One that fails.
fn traps(number: u32) -> Vec<u8> {
    made(&format!("i32.const {number} drop unreachable"), "")
}

/// One that asks for what a job has to be granted.
fn asks(number: u32) -> Vec<u8> {
    made(&format!("i32.const {number}"), r#"(import "clockjack:job/state@0.1.0" (instance))"#)
}

fn made(body: &str, imports: &str) -> Vec<u8> {
    let text = format!(
        r#"(component {imports}
            (core module $m (func (export "answer") (result i32) {body}))
            (core instance $i (instantiate $m))
            (func (export "answer") (result u32) (canon lift (core func $i "answer"))))"#
    );
    wat::parse_str(text).expect("a component")
}

/// A host whose job `beat` runs `p.wasm` ten times a second; `keys` are further keys of the plugin, `job` of the job.
fn scene(keys: &str, job: &str) -> Hosted {
    let hosted = Hosted::with("");
    hosted.scene.put("p.wasm", answers(1));
    put(&hosted, keys, job);
    hosted
}

fn put(hosted: &Hosted, keys: &str, job: &str) {
    let plugins = format!("plugins: {{ p: {{ source: ./p.wasm{keys} }} }}");
    let text = format!("version: 1\n{plugins}\njobs:\n  beat: {{ plugin: p, call: answer, every: 100ms{job} }}\n");
    replace(hosted, "clockjack.yaml", text.as_bytes());
}

/// As careful writers replace a file: all of it or nothing.
fn replace(hosted: &Hosted, name: &str, bytes: &[u8]) {
    let beside = format!("{name}.new");
    hosted.scene.put(&beside, bytes);
    fs::rename(hosted.scene.path(&beside), hosted.scene.path(name)).expect("a file can be renamed");
}

/// Waits for the next line of such an event.
#[track_caller]
fn told(host: &mut Running, event: &str) -> Line {
    wait_next(host, event, |line| line.text("event") == event)
}

/// Waits for a run with this output.
#[track_caller]
fn gives(host: &mut Running, output: u32) {
    let output = output.to_string();
    wait_next(host, &format!("the answer {output}"), |line| ends("beat")(line) && line.text("output") == output);
}

/// Ends a host and holds what it recorded against what has to be: no slot is lost, and each became a success.
#[track_caller]
fn all_succeeded(hosted: &Hosted, host: Running) {
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    let slots = hosted.slots("beat", EVERY);
    assert_no_gap(&slots, EVERY);
    // On a busy machine a slot may be due while the one before it goes on, and late ones become one.
    let fine = ["succeeded", "overlapping", "coalesced"];
    let wrong: Vec<_> = slots.iter().filter(|(_, told)| !fine.contains(&&***told)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Lets time pass in which nothing is waited for.
#[expect(
    clippy::disallowed_methods,
    reason = "the writer of a file takes its time, and what does not happen takes as long"
)]
fn pass(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}
