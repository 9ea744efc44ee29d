//! A sudden death at each place where the code says that one would hurt most.

use std::{fs, path::Path};

use clockjack_checker::{Delivery, Ending};

use crate::{
    fleet::Fleet,
    process::{Setup, now},
    story::{Story, Verdict},
};

/// All of them. A test of this list compares it with the sources.
const POINTS: [&str; 11] = [
    "dispatcher::after_attempt",
    "dispatcher::before_attempt",
    "ledger::after_commit",
    "ledger::after_insert",
    "ledger::before_begin",
    "ledger::before_commit",
    "ledger::before_reply",
    "recorder::after_commit",
    "recorder::before_commit",
    "scheduler::after_commit",
    "scheduler::before_commit",
];

/// How often a point is passed before the process dies there. The first passages belong to the recovery of the last
/// death.
const PASSAGES: [u32; 5] = [1, 0, 2, 7, 30];

/// One ledger whose host dies at each point, so many times.
pub(crate) fn story(delivery: Delivery, n_rounds: usize) -> Verdict {
    let name = match delivery {
        Delivery::AtLeastOnce => "fail points, at least once",
        Delivery::AtMostOnce => "fail points, at most once",
    };
    let mut story = Story::new(name, Fleet::of(delivery, now()));
    let first = story.up_and_settled();
    story.stop_well(first);
    for round in 0..n_rounds {
        let n_passages = PASSAGES[round % PASSAGES.len()];
        for point in POINTS {
            die(&mut story, point, n_passages);
        }
    }
    story.conclude()
}

fn die(story: &mut Story, point: &str, n_passages: u32) {
    let action = if n_passages == 0 { "return".to_owned() } else { format!("{n_passages}*off->return") };
    let env = vec![("FAILPOINTS", format!("{point}={action}"))];
    let host = story.up(&Setup { env, ..Setup::default() });
    let began = host.began;
    let end = host.end();
    assert!(end.is_abort(), "`{point}` after {n_passages} passages: {}\n{}", end.status, end.log);
    assert!(!end.log.contains("panicked at "), "`{point}` after {n_passages} passages: {}", end.log);
    story.note(began, &end, Ending::Killed, &format!("died at {point} after {n_passages} passages"));
}

/// Every point of the sources stands in the list, and the other way round.
pub(crate) fn list() -> Verdict {
    let host = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![host.join("src"), host.join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                let names = text.split("crash_point!(\"").skip(1).filter_map(|rest| rest.split('"').next());
                found.extend(names.map(str::to_owned));
            }
        }
    }
    found.sort();
    let wrong =
        if found == POINTS { String::new() } else { format!("the sources have {found:#?}\nknown are {POINTS:#?}") };
    Verdict { name: "list of fail points".to_owned(), n_kills: 0, n_dispositions: 0, n_attempts: 0, wrong }
}
