//! A disk that is full, and ledgers that nobody can trust.

use std::{fs, time::Duration};

use chrono::DateTime;
use clockjack_checker::{Ending, Micros, SECOND, Span, Witness};
use serde_json::Value as Json;

use crate::{
    fleet::Fleet,
    process::{End, Host, PATIENCE, Setup, now, sleep},
    story::{Story, Verdict, settle},
};

/// The exit code of a host that could not do its work.
const HOST_FAILED: i32 = 4;

/// What the host says when its ledger cannot be written, and when it can be again.
const HELD: &str = "nothing new starts until the ledger can be written";
const BACK: &str = "the ledger can be written again";

/// How long the host stands before a full disk.
const FULL: Duration = Duration::from_secs(3);

/// How much fits before the disk is full, so that runs go on at that moment.
const ROOM_BYTES: u64 = 128 << 10;

/// The size of a page of the ledger's file.
const PAGE_BYTES: u64 = 2_048;

/// What keeps the ledger from growing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// A bound of the program itself, on the file of the ledger.
    Pages,
    /// A bound of the system, on all files of the process.
    FileSize,
    /// The same, and it goes away while the host goes on.
    FileSizeForAWhile,
}

/// Nothing starts that the ledger does not know of; what goes on ends; afterwards all is made good.
pub(crate) fn full(limit: Limit) -> Verdict {
    let mut story = Story::new(&format!("disk full: {limit:?}"), Fleet::mixed(now()));
    let first = story.up_and_settled();
    story.stop_well(first);
    let n_bytes = fs::metadata(story.ledger()).expect("a ledger").len();
    let setup = match limit {
        Limit::Pages => {
            let n_pages = (n_bytes + ROOM_BYTES) / PAGE_BYTES;
            Setup { env: vec![("CLOCKJACK_LEDGER_PAGES_MAX", n_pages.to_string())], ..Setup::default() }
        }
        Limit::FileSize | Limit::FileSizeForAWhile => {
            // What is written goes into a file of its own first.
            let blocks = u32::try_from(n_bytes.max(2 * ROOM_BYTES) / 512).expect("a small ledger");
            Setup { file_blocks_max: Some(blocks), ..Setup::default() }
        }
    };
    let mut host = story.up(&setup);
    let is_told = host.says(HELD, PATIENCE);
    assert!(is_told, "{limit:?}: the disk was full and nobody said so:\n{}", host.log.join("\n"));
    let told = now();
    sleep(FULL);
    if limit == Limit::FileSizeForAWhile {
        return recovered(story, host, told);
    }
    let (end, began) = stop(&mut story, host);
    assert_eq!(end.status.code(), Some(HOST_FAILED), "{limit:?}: {}", end.log);
    assert!(end.log.contains("state.db"), "{limit:?}: the log names the file:\n{}", end.log);
    nothing_began(&mut story, &held(&end), began);
    story.conclude()
}

/// There is room again: the host goes on by itself.
fn recovered(mut story: Story, mut host: Host, told: Micros) -> Verdict {
    let there_is_room = now();
    host.lift_file_limit();
    let is_told = host.says(BACK, PATIENCE);
    assert!(is_told, "there is room again and nobody says so:\n{}", host.log.join("\n"));
    story.facts.unreachable.push(Span::new(told - SECOND, there_is_room));
    story.must_run(&mut host);
    settle();
    let began = host.began;
    story.stop_well(host);
    nothing_began(&mut story, &[Span::new(told, there_is_room)], began);
    story.conclude()
}

fn stop(story: &mut Story, host: Host) -> (End, Micros) {
    let began = host.began;
    host.signal("TERM");
    let end = host.end();
    let life = Span::new(began, end.at);
    story.facts.unreachable.push(life);
    // It says so itself: what the ledger does not know to have ended counts as interrupted, as after a crash.
    story.note(began, &end, Ending::Killed, "disk full, then SIGTERM");
    (end, began)
}

/// When the ledger could not be written, by the host's own words. Where pages become free again, because rows are taken
/// back, a full ledger takes a small batch now and then, and what that batch claims begins.
fn held(end: &End) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut since = None;
    for line in end.log.lines() {
        let Ok(line) = serde_json::from_str::<Json>(line) else { continue };
        let at = line["timestamp"].as_str().and_then(|at| DateTime::parse_from_rfc3339(at).ok());
        let (Some(message), Some(at)) = (line["message"].as_str(), at) else { continue };
        if message.contains(HELD) {
            since = Some(at.timestamp_micros());
        } else if message.contains(BACK) {
            spans.extend(since.take().map(|since| Span::new(since, at.timestamp_micros())));
        }
    }
    spans.extend(since.map(|since| Span::new(since, end.at)));
    assert!(!spans.is_empty(), "the log does not say when the disk was full:\n{}", end.log);
    spans
}

/// No guest of a life began while the disk was full, and all those that had begun came to their end.
fn nothing_began(story: &mut Story, full: &[Span], life: Micros) {
    let witnesses = story.read().witnesses;
    let name = |witness: &Witness| format!("attempt {} of {} of {}", witness.attempt, witness.run, witness.job);
    // What was claimed before may begin a moment later.
    let is_full = |at: Micros| full.iter().any(|full| (full.from + SECOND..full.until).contains(&at));
    let begun: Vec<_> = witnesses.iter().filter(|witness| is_full(witness.start)).map(name).collect();
    assert!(begun.is_empty(), "these began although nothing could be written down: {begun:?}");
    let of_life = witnesses.iter().filter(|witness| life <= witness.start);
    assert!(0 < of_life.clone().count(), "nothing ran before the disk was full");
    // What the policy `replace` cut was cut while all was well.
    let cut = of_life.filter(|witness| witness.end.is_none() && !witness.job.starts_with("replace"));
    let cut: Vec<_> = cut.map(name).collect();
    assert!(cut.is_empty(), "these were cut: {cut:?}");
}

/// Where there is no room for a ledger to begin with, the host says so, and begins when there is.
pub(crate) fn no_room() -> Verdict {
    let story = Story::new("no room for a ledger", Fleet::mixed(now()));
    // From no room for a page to none for the tables.
    for blocks in [1, 8, 16, 32] {
        let setup = Setup { file_blocks_max: Some(blocks), ..Setup::default() };
        let end = story.up(&setup).end();
        assert_eq!(end.status.code(), Some(HOST_FAILED), "{blocks} blocks: {}\n{}", end.status, end.log);
        for word in ["not started", "state.db"] {
            assert!(end.log.contains(word), "{blocks} blocks: no `{word}` in\n{}", end.log);
        }
    }
    story.conclude()
}

/// A ledger that is broken, or newer than the program, is refused, with a way out, and left as it is.
pub(crate) fn refused() -> Verdict {
    let mut story = Story::new("ledgers that nobody can trust", Fleet::mixed(now()));
    let first = story.up_and_settled();
    story.stop_well(first);
    let sound = fs::read(story.ledger()).expect("a ledger");
    let mut no_database = sound.clone();
    no_database[..16].fill(0);
    let mut flipped = sound.clone();
    flipped[4_096..].iter_mut().step_by(997).for_each(|byte| *byte ^= 0x55);
    let half = sound[..sound.len() / 2].to_vec();
    let mut newer = sound.clone();
    // Where SQLite keeps `user_version`.
    newer[60..64].copy_from_slice(&99_u32.to_be_bytes());
    let way_out = ["restore", ".recover", "another path"].as_slice();
    let cases = [
        ("no database", no_database, way_out),
        ("flipped bytes", flipped, way_out),
        ("half a file", half, way_out),
        ("a newer schema", newer, &["schema version 99", "newer build", "another path"]),
    ];
    for (what, bytes, words) in cases {
        fs::write(story.ledger(), &bytes).expect("a file");
        let end = story.up(&Setup::default()).end();
        assert_eq!(end.status.code(), Some(HOST_FAILED), "{what}: {}", end.log);
        for word in words.iter().chain(&["state.db"]) {
            assert!(end.log.contains(word), "{what}: no `{word}` in\n{}", end.log);
        }
        assert!(fs::read(story.ledger()).expect("a file") == bytes, "{what}: the file was changed");
    }
    fs::write(story.ledger(), sound).expect("a file");
    story.conclude()
}
