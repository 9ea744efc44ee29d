//! Plugins and manifests change again and again while five hundred runs a second go on, and none of them notices.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use clockjack_checker::SECOND;

use crate::{
    fleet::Fleet,
    process::{Host, PATIENCE, Setup, now},
    story::{Story, Verdict, settle},
};

/// After so many changes the host has all that it keeps: its generations, its buffers, and the places of its instances, each
/// of which keeps the pages of the last guest that was in it.
const N_WARM: usize = 150;

/// How much more memory the host may have at the end than when it was warm, in percent. What an allocator keeps varies.
const GROWTH_PERCENT: u64 = 15;

/// One plugin that is replaced so many times, and a manifest that changes with every tenth of them.
pub(crate) fn story(n_changes: usize) -> Verdict {
    let mut story = Story::new(&format!("{n_changes} changes under load"), Fleet::busy(now()));
    // So many runs of a program that nobody optimised keep a machine busy.
    story.tolerance.latency = 5 * SECOND;
    let plugin = story.folder().join("witness.wasm");
    let bytes = fs::read(&plugin).expect("the guest");
    let mut host = story.up(&Setup::default());
    story.must_run(&mut host);
    settle();
    let (mut warm, mut n_edits) = (0, 0);
    for change in 1..=n_changes {
        put(&plugin, &tagged(&bytes, change));
        let generation = format!("\"generation\":{},", change + 1);
        must_say(&story, &mut host, "plugin.replaced", &generation);
        if change % 10 == 0 {
            n_edits += 1;
            put(&story.folder().join("clockjack.yaml"), edited(story.fleet(), n_edits).as_bytes());
            must_say(&story, &mut host, "manifest.reloaded", "");
        }
        if change == N_WARM {
            warm = memory(&host);
        }
    }
    let base = memory(&host);
    settle();
    let (after, n_files) = (memory(&host), open_files(&host));
    story.stop_well(host);
    let told = story.read();
    let outcomes: BTreeMap<_, usize> = told.history.runs.iter().fold(BTreeMap::new(), |mut counts, run| {
        // Those that were planned for after the end have none.
        if let Some(outcome) = &run.outcome {
            *counts.entry(outcome.clone()).or_default() += 1;
        }
        counts
    });
    let n_runs: usize = outcomes.values().sum();
    println!(
        "  {n_changes} new files and {n_edits} edits: {n_runs} runs, memory {} MiB warm, {} at the last change, {} after it, \
         {n_files} open files",
        warm >> 10,
        base >> 10,
        after >> 10
    );
    let mut verdict = story.judge(&told);
    if outcomes.keys().any(|outcome| outcome != "succeeded") {
        writeln!(verdict.wrong, "not all runs succeeded: {outcomes:?}").unwrap();
    }
    if warm + warm * GROWTH_PERCENT / 100 < after && N_WARM < n_changes {
        writeln!(verdict.wrong, "old code is not freed: {warm} KiB when it was warm, {after} KiB at the end").unwrap();
    }
    verdict
}

fn must_say(story: &Story, host: &mut Host, event: &str, word: &str) {
    let says = host.says_both(event, word, PATIENCE);
    assert!(
        says,
        "no {event} {word}:\n{}\n{:?}",
        host.log.iter().rev().take(40).cloned().collect::<Vec<_>>().join("\n"),
        story.folder()
    );
}

/// The manifest of a fleet, changed in what no slot depends on; every other one has one job more.
fn edited(fleet: &Fleet, n: usize) -> String {
    let mut text =
        fleet.manifest("seen").replace("timeout: 20s", &format!("timeout: {}s, labels: {{ n: \"{n}\" }}", 20 + n % 5));
    if n % 2 == 1 {
        text.push_str("  extra: { plugin: witness, call: attest, args: { folder: /seen, sleep-ms: 0, failures: 0 }, every: 24h }\n");
    }
    text
}

/// The same component with other bytes: a custom section more.
fn tagged(bytes: &[u8], n: usize) -> Vec<u8> {
    let name = b"change";
    let body =
        [&[u8::try_from(name.len()).expect("a short name")], name.as_slice(), format!("{n:08}").as_bytes()].concat();
    [bytes, &[0, u8::try_from(body.len()).expect("a short section")], &body].concat()
}

fn put(path: &Path, bytes: &[u8]) {
    let beside = path.with_extension("new");
    fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path)).expect("a file can be replaced");
}

/// What the host has of memory now, in KiB.
fn memory(host: &Host) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", host.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim_end_matches("kB").trim().parse().unwrap_or_default()
}

fn open_files(host: &Host) -> usize {
    fs::read_dir(format!("/proc/{}/fd", host.id())).map_or(0, Iterator::count)
}
