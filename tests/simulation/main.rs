//! The real core, dispatcher and recorder through days of faults in seconds: virtual time, a scripted executor, the
//! memory ledger with a fault at any of its calls, and a checker that knows none of their code.
//!
//! `cargo test -p clockjack --test simulation -- --seed 7` repeats one seed and tells what it did;
//! `--seeds 1000 --days 1 --jobs 50 --faults 5` says how much. What fails prints its seed, what is wrong, and the time
//! around it.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test program without the test harness: it says what it did, and ends with a panic where it is wrong itself"
)]

mod chance;
mod clock;
mod executor;
mod faults;
mod jobs;
mod judge;
mod ledger;
mod life;

use std::{
    process::ExitCode,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
};

/// How much is simulated.
#[derive(Clone, Debug)]
pub(crate) struct Size {
    pub(crate) first_seed: u64,
    pub(crate) n_seeds: u64,
    pub(crate) days: u32,
    pub(crate) n_jobs: usize,
    pub(crate) n_faults: usize,
}

impl Size {
    fn from_args() -> Option<Self> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let number = |name: &str| {
            let place = args.iter().position(|arg| arg == name)?;
            args.get(place + 1)?.parse::<u64>().ok()
        };
        // What the test runner of cargo says to all its programs: names to choose, or the wish for a list.
        let is_chosen =
            args.iter().all(|arg| arg.starts_with('-') || arg.parse::<u64>().is_ok() || "simulation".contains(arg));
        if !is_chosen || args.iter().any(|arg| arg == "--list") {
            return None;
        }
        let small = |number: Option<u64>, or: u32| number.and_then(|number| u32::try_from(number).ok()).unwrap_or(or);
        let seed = number("--seed");
        Some(Self {
            first_seed: seed.unwrap_or(1),
            n_seeds: if seed.is_some() { 1 } else { number("--seeds").unwrap_or(500) },
            days: small(number("--days"), 1),
            n_jobs: usize::try_from(small(number("--jobs"), 50)).unwrap_or(50),
            n_faults: usize::try_from(small(number("--faults"), 5)).unwrap_or(5),
        })
    }
}

fn main() -> ExitCode {
    let Some(size) = Size::from_args() else { return ExitCode::SUCCESS };
    let (next, n_slots, n_failed) = (AtomicU64::new(size.first_seed), AtomicUsize::new(0), AtomicUsize::new(0));
    let began = std::time::Instant::now();
    let n_threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    std::thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, SeqCst);
                    if size.first_seed + size.n_seeds <= seed || 25 < n_failed.load(SeqCst) {
                        return;
                    }
                    let verdict = judge::seed(seed, &size);
                    n_slots.fetch_add(verdict.n_dispositions, SeqCst);
                    n_failed.fetch_add(usize::from(!verdict.violations.is_empty()), SeqCst);
                    verdict.print(seed, size.n_seeds == 1);
                }
            });
        }
    });
    let (n_failed, n_slots) = (n_failed.into_inner(), n_slots.into_inner());
    println!(
        "simulated {} seeds of {} jobs, {} days and {} faults: {n_slots} slots and runs accounted for in {:.1?}",
        size.n_seeds,
        size.n_jobs,
        size.days,
        size.n_faults,
        began.elapsed()
    );
    println!(
        "test result: {}. {} passed; {n_failed} failed;",
        if n_failed == 0 { "ok" } else { "FAILED" },
        size.n_seeds - n_failed as u64
    );
    if n_failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
