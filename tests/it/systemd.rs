//! What a service manager hears of a host, over a socket as systemd gives one.

use std::{os::unix::net::UnixDatagram, time::Duration};

use crate::{
    hosted::{Hosted, ends, wait},
    program::{PATIENCE, now},
};

/// What is heard until something is, that included.
#[track_caller]
fn until(socket: &UnixDatagram, word: &str) -> Vec<String> {
    let deadline = now() + PATIENCE;
    let mut heard = Vec::new();
    while now() < deadline {
        let mut bytes = [0; 4_096];
        let Ok(n_bytes) = socket.recv(&mut bytes) else { continue };
        let text = String::from_utf8_lossy(&bytes[..n_bytes]).into_owned();
        heard.push(text);
        if heard.last().is_some_and(|text| text.lines().any(|line| line == word)) {
            return heard;
        }
    }
    panic!("no {word}: {heard:#?}")
}

#[test]
fn it_hears_that_a_host_is_ready_lives_reloads_and_stops() {
    let hosted = Hosted::with("jobs: { beat: { plugin: typed, call: nothing, every: 100ms } }");
    let path = hosted.scene.path("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("a socket can be made");
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a time can be set");
    let host = hosted.up(&[]).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "4000000");
    let mut host = host.start();
    let ready = until(&socket, "READY=1");
    assert_eq!(ready.len(), 1, "it comes first: {ready:?}");
    assert!(ready[0].contains("STATUS=1 jobs, "), "{ready:?}");
    until(&socket, "WATCHDOG=1");
    until(&socket, "WATCHDOG=1");
    wait(&mut host, "beat", ends("beat"));
    host.signal("HUP");
    let reloading = until(&socket, "RELOADING=1");
    let last = reloading.last().expect("it was heard");
    assert!(last.contains("MONOTONIC_USEC="), "systemd 253 wants to know when: {last}");
    until(&socket, "READY=1");
    host.signal("TERM");
    until(&socket, "STOPPING=1");
    assert_eq!(host.end().code, Some(0));
}

/// However short the limit is: a host that has nothing to do shows in time that it lives.
#[test]
fn a_host_that_idles_gives_signs_of_life_as_often_as_they_are_wanted() {
    let hosted = Hosted::with("jobs: { rare: { plugin: typed, call: nothing, every: 1h } }");
    let path = hosted.scene.path("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("a socket can be made");
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a time can be set");
    let _host = hosted.up(&[]).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000").start();
    until(&socket, "READY=1");
    until(&socket, "WATCHDOG=1");
    let mut heard = now();
    let mut gap = || {
        until(&socket, "WATCHDOG=1");
        let before = std::mem::replace(&mut heard, now());
        heard.saturating_duration_since(before)
    };
    // A machine that does ten other things may be late with some of them.
    let shortest = [gap(), gap(), gap(), gap()].into_iter().min().unwrap_or_default();
    assert!(shortest < Duration::from_millis(400), "{shortest:?}");
}

#[test]
fn without_a_watchdog_no_signs_of_life_are_sent() {
    let hosted = Hosted::with("jobs: { beat: { plugin: typed, call: nothing, every: 100ms } }");
    let path = hosted.scene.path("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("a socket can be made");
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a time can be set");
    let host = hosted.up(&["--for", "3s"]).env("NOTIFY_SOCKET", &path).start();
    let heard = until(&socket, "STOPPING=1");
    assert!(!heard.iter().any(|text| text.contains("WATCHDOG")), "{heard:?}");
    assert_eq!(host.end().code, Some(0));
}
