//! What a host tells: every end of a run once, over crashes and restarts, and lines of guests before they end.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
};

use serde_json::{Value as Json, json};

use crate::{
    hosted::{Hosted, begins, ends, text, wait, wait_next},
    log::Line,
    program::{Clockjack, PATIENCE, Running, clockjack},
};

/// A command that talks to the host of a scene.
fn ask(hosted: &Hosted, args: &[&str]) -> Clockjack {
    clockjack(args).folder(hosted.scene.folder()).beside_nothing()
}

/// Events as they were printed for programs.
fn events(printed: &str) -> Vec<Json> {
    printed.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

fn ids(events: &[Json]) -> Vec<u64> {
    events.iter().map(|event| event["id"].as_u64().expect("a number")).collect()
}

/// The socket of a host.
#[track_caller]
fn socket_of(host: &mut Running) -> String {
    let says = |line: &Line| line.message.starts_with("commands talk to this host");
    wait(host, "a socket", says);
    let line = host.log.iter().map(|line| Line::read(line)).find(says);
    line.expect("it was waited for").text("socket").to_owned()
}

#[test]
fn every_end_is_told_once_over_a_crash_and_a_restart() {
    let hosted = Hosted::with("jobs:\n  beat: { plugin: typed, call: nothing, every: 100ms }\n");
    let mut host = hosted.up(&[]).start();
    socket_of(&mut host);
    let following = ["events", "--follow", "--after", "0", "--type", "run.finished", "-o", "json"];
    let follower = ask(&hosted, &following).start();
    for _ in 0..5 {
        wait_next(&mut host, "beat", ends("beat"));
    }
    host.signal("KILL");
    host.end();
    let mut host = hosted.up(&[]).start();
    for _ in 0..10 {
        wait_next(&mut host, "beat goes on", ends("beat"));
    }
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    follower.signal("TERM");
    let followed = events(&follower.end().stdout);
    // Another life, to read what the two before have told.
    hosted.put("jobs:\n  later: { plugin: typed, call: nothing, every: 8760h }\n");
    let mut host = hosted.up(&[]).start();
    socket_of(&mut host);
    let all = events(&ask(&hosted, &["events", "--after", "0", "-o", "json"]).ends_with(0).stdout);
    // The last of a type is found behind other events and behind the numbers that the crash has left out.
    let last = |args: &[&str]| events(&ask(&hosted, &[&["events", "-o", "json"], args].concat()).ends_with(0).stdout);
    let stopped = last(&["--type", "scheduler.stopped", "-n", "1"]);
    assert_eq!(
        ids(&stopped),
        all.iter()
            .filter(|event| event["type"] == "scheduler.stopped")
            .map(|event| event["id"].as_u64().expect("a number"))
            .collect::<Vec<_>>()
    );
    assert_eq!(last(&["--type", "run.finished", "-n", "2"]).len(), 2);
    let begun = last(&["--since", "1h", "--type", "scheduler.started"]);
    assert_eq!(begun.len(), 3, "{begun:#?}");
    let at = text(&begun[2], "at");
    assert_eq!(last(&["--since", at, "--type", "scheduler.started"]), begun[2..]);
    let refused = ask(&hosted, &["events", "--since", "yesterday"]).ends_with(1).stderr;
    assert!(refused.contains("--since: `yesterday` is no instant"), "{refused}");
    host.signal("TERM");
    host.end();
    let finished: Vec<_> = all.iter().filter(|event| event["type"] == "run.finished").cloned().collect();
    let told: Vec<_> = finished.iter().map(|event| text(event, "run").to_owned()).collect();
    let kept: BTreeSet<_> = hosted.ended("beat").iter().map(|run| text(run, "id").to_owned()).collect();
    assert_eq!(told.iter().cloned().collect::<BTreeSet<_>>(), kept);
    assert_eq!(told.len(), kept.len(), "none is told twice: {finished:#?}");
    assert!(ids(&all).is_sorted_by(|one, other| one < other), "numbers only grow");
    // The follower has what it could hear, from the first on, without a gap.
    assert!(5 <= followed.len(), "{followed:#?}");
    let heard: Vec<_> = followed.iter().map(|event| text(event, "run")).collect();
    let unique: BTreeSet<_> = heard.iter().collect();
    assert_eq!(unique.len(), heard.len(), "nothing is heard twice: {followed:#?}");
    assert!(heard.iter().all(|run| kept.contains(*run)));
    let lives: Vec<_> =
        all.iter().map(|event| text(event, "type")).filter(|kind| kind.starts_with("scheduler.st")).collect();
    let third =
        ["scheduler.started", "scheduler.started", "scheduler.stopping", "scheduler.stopped", "scheduler.started"];
    assert_eq!(lives, third, "the first ended in a crash");
}

/// A program that writes a line and then sleeps until somebody ends it.
fn talker() -> Vec<u8> {
    let text = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 64) "hello from inside\n")
        (func (export "_start")
          (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 18))
          (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
          (i32.store (i32.const 144) (i32.const 1))
          (i64.store (i32.const 152) (i64.const 3600000000000))
          (drop (call $poll (i32.const 128) (i32.const 256) (i32.const 1) (i32.const 512)))))"#;
    wat::parse_str(text).expect("the program assembles")
}

/// Reads a stream until there is this text.
#[track_caller]
fn read_until(stream: &mut UnixStream, read: &mut String, text: &str) {
    while !read.contains(text) {
        let mut bytes = [0; 4_096];
        let n_bytes = stream.read(&mut bytes).expect("something comes in time");
        assert_ne!(n_bytes, 0, "the stream ended before `{text}`: {read}");
        read.push_str(&String::from_utf8_lossy(&bytes[..n_bytes]));
    }
}

#[test]
fn lines_of_a_guest_are_heard_before_it_ends() {
    let hosted = Hosted::with("");
    hosted.scene.put("talk.wasm", talker());
    let job = |pool: &str| format!("{{ plugin: ./talk.wasm, every: 1h, timeout: 1h, pool: {pool} }}");
    let pools = "pools: { default: { size: 4 }, walled: { size: 2, isolation: process } }";
    let (here, there) = (job("default"), job("walled"));
    hosted.put(&format!("{pools}\njobs:\n  here: {here}\n  there: {there}\n"));
    let mut host = hosted.up(&[]).start();
    let socket = socket_of(&mut host);
    for job in ["here", "there"] {
        let run = ask(&hosted, &["run", job, "-o", "json"]).ends_with(0).json();
        let id = text(&run, "id");
        wait(&mut host, job, begins(job));
        let command = ask(&hosted, &["logs", "--follow", id]).start();
        let mut stream = UnixStream::connect(&socket).expect("the host listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has a timeout");
        let request = format!("GET /api/v1/runs/{id}/logs?follow=true HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a request can be sent");
        let mut read = String::new();
        read_until(&mut stream, &mut read, "hello from inside");
        // The guest sleeps for an hour, so the line came before its end.
        ask(&hosted, &["cancel", id]).ends_with(0);
        read_until(&mut stream, &mut read, "event: end");
        read_until(&mut stream, &mut read, "\"cancelled\"");
        assert_eq!(read.matches("hello from inside").count(), 1, "{read}");
        let ended = command.end();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "hello from inside\n"), "{}", ended.stderr);
        assert!(ended.stderr.contains("cancelled"), "{}", ended.stderr);
        let logs = ask(&hosted, &["logs", "--follow", id, "-o", "json"]).ends_with(0).stdout;
        let told: Vec<_> = events(&logs).iter().map(|event| event["event"].clone()).collect();
        assert_eq!(told, [json!("stdout"), json!("end")], "{logs}");
    }
    host.signal("TERM");
    host.end();
    let nobody = ask(&hosted, &["logs", "--follow", "here"]).ends_with(4).stderr;
    assert!(nobody.contains("no host answers"), "{nobody}");
}
