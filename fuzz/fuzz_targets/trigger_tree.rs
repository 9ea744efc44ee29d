//! Any tree of triggers: built from the bytes by a small grammar, so that most inputs are triggers and not just noise.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "walk.rs"]
mod walk;

const LEAVES: [&str; 12] = [
    "{cron: '30 2 * * mon-fri', timezone: Europe/Berlin}",
    "{cron: '*/A B * * *', timezone: America/New_York}",
    "{cron: 'A B L * friL'}",
    "{cron: {day: '3rd fri', hour: 'B'}, compat: apscheduler, timezone: Africa/Casablanca}",
    "{cron: '* * * * * *'}",
    "{every: As, anchor: 2026-01-01T00:0B:00Z}",
    "{every: Bm}",
    "{every: Ah, mode: fixed_delay}",
    "{calendar: {months: 1, days: B, from: 2020-01-31}}",
    "{calendar: {months: B, day: last, at: '02:30'}, timezone: Australia/Lord_Howe}",
    "{at: 2026-03-1BT00:00}",
    "{cron: '0 0 29 2 *', dst: {gap: skip, fold: second}}",
];

fn tree(bytes: &mut impl Iterator<Item = u8>, depth: usize) -> String {
    let byte = bytes.next().unwrap_or(0);
    let leaf = usize::from(byte) % 16;
    if leaf < LEAVES.len() || depth == 5 {
        let (a, b) = (bytes.next().unwrap_or(1) % 58 + 1, bytes.next().unwrap_or(1) % 9 + 1);
        return LEAVES[leaf % LEAVES.len()].replace('A', &a.to_string()).replace('B', &b.to_string());
    }
    let n_children = usize::from(bytes.next().unwrap_or(0)) % 4 + 1;
    let children: Vec<_> = (0..n_children).map(|_| tree(bytes, depth + 1)).collect();
    let children = children.join(", ");
    match leaf {
        12 | 13 => format!("{{any: [{children}]}}"),
        14 => format!("{{all: [{children}]}}"),
        _ => format!("{{any: [{children}], except: [weekends, {}], jitter: 5s}}", tree(bytes, depth + 1)),
    }
}

fuzz_target!(|bytes: &[u8]| walk::read_and_walk(&tree(&mut bytes.iter().copied(), 0)));
