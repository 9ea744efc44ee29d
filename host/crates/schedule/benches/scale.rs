//! What jobs cost that do nothing: memory and time of the core, for a number of jobs (default 100,000 and 1,000,000).
//!
//! `cargo bench -p clockjack-schedule --bench scale -- 100000`. The jobs are alike but for their ids and triggers, as those of a
//! large host are. `--tiny` only shows that it works.

use std::{num::NonZeroU32, sync::Arc, time::Instant};

use chrono::{DateTime, TimeDelta};
use clockjack_schedule::{
    core::{Core, Input},
    diagnostic::Diagnostics,
    id::{PoolName, StoreName},
    job::{Arguments, Grants, Job, Limits, Policy, Setup},
    manifest::parse::parse,
    trigger::{Trigger, TriggerContext},
    zone::{Zone, Zones},
};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let is_tiny = args.iter().any(|arg| arg == "--tiny" || arg == "--test");
    let asked: Vec<u32> = args.iter().filter_map(|arg| arg.parse().ok()).collect();
    let sizes = if is_tiny {
        vec![1_000]
    } else if asked.is_empty() {
        vec![100_000, 1_000_000]
    } else {
        asked
    };
    for n_jobs in sizes {
        measure(n_jobs);
    }
}

#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench measures time, and its line is what it is for"
)]
fn measure(n_jobs: u32) {
    let now = DateTime::from_timestamp(1_800_000_000, 0).expect("an instant of this century");
    let before = resident();
    let began = Instant::now();
    let jobs: Vec<_> = jobs(n_jobs);
    let (made, with_jobs) = (began.elapsed(), resident());
    let began = Instant::now();
    let mut core = Core::default();
    let mut n_decisions = 0;
    for job in jobs {
        n_decisions += core.handle(now, Input::Add { job, past: None }).len();
    }
    let (added, with_core) = (began.elapsed(), resident());
    let began = Instant::now();
    let n_ticks = 1_000;
    for second in 0..n_ticks {
        n_decisions += core.handle(now + TimeDelta::milliseconds(second), Input::Tick).len();
    }
    let ticked = began.elapsed() / NonZeroU32::new(1_000).map_or(1, NonZeroU32::get);
    let each = |bytes: usize| bytes / usize::try_from(n_jobs).unwrap_or(1);
    println!(
        "{n_jobs} jobs: definitions {} bytes each (made in {made:.1?}), core {} bytes each (added in {added:.1?}), \
         {} MB in all, a tick {ticked:.1?}, {n_decisions} decisions",
        each(with_jobs.saturating_sub(before)),
        each(with_core.saturating_sub(with_jobs)),
        with_core.saturating_sub(before) / 1_000_000
    );
}

fn jobs(n_jobs: u32) -> Vec<Arc<Job>> {
    let (zones, zone) = (Zones::bundled(), Zone::utc());
    let job = |number: u32| {
        let id = format!("job-{number}");
        let text = format!("{{ every: {}h, anchor: \"2026-01-01T00:{:02}:00Z\" }}", 24 + number % 24, number % 60);
        let context = TriggerContext::new(&zones, &zone, &id);
        let mut diagnostics = Diagnostics::default();
        let trigger = parse(0, &text).0.and_then(|node| Trigger::read(&node, context, &mut diagnostics));
        Arc::new(Job {
            id: id.parse().expect("a name"),
            trigger,
            trigger_hash: u64::from(number),
            setup: Arc::new(Setup {
                plugin: "p".parse().expect("a name"),
                call: None,
                args: Arguments::None,
                command: None,
                after: Vec::new(),
                zone: zone.clone(),
                policy: Policy::default(),
                pool: PoolName::default(),
                store: StoreName::default(),
                limits: Limits::default(),
                grants: Grants::default(),
                notify: Arc::default(),
                description: None,
                labels: std::collections::BTreeMap::default(),
            }),
        })
    };
    (0..n_jobs).map(job).collect()
}

/// Resident memory of the process in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or_default() * 4_096
}
