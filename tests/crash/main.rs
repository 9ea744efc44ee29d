//! The built program is killed again and again, at random moments and at each of its fail points, stopped, starved of
//! disk and given broken ledgers; then the history that it tells its users is held against what its guests wrote down,
//! by a checker that knows none of its code.
//!
//! `cargo test -p clockjack --test crash` does a moderate part. `-- --kills 200 --points 5` does more: so many kills, and
//! each fail point so many times. `--reloads 1000` replaces a plugin so many times under load. `--seed 7` begins with another seed. What fails prints its seed, what is wrong and the
//! time around it, and leaves its files behind.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]
#![expect(clippy::print_stdout, reason = "what a test tells")]

mod disk;
mod fleet;
mod kills;
mod machine;
mod points;
mod process;
mod reloads;
mod story;
mod suspend;
mod told;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::{Mutex, PoisonError},
};

use clockjack_checker::Delivery;
use story::Verdict;

/// How many kills one ledger suffers: long enough a past, and several ledgers side by side.
const KILLS_PER_LEDGER: usize = 25;

/// How many stories go on at once. They mostly wait.
const N_THREADS: usize = 5;

/// How much is done.
#[derive(Clone, Copy, Debug)]
struct Size {
    n_kills: usize,
    n_points: usize,
    n_reloads: usize,
    seed: u64,
}

impl Size {
    fn from_args() -> Option<Self> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let number = |name: &str| {
            let place = args.iter().position(|arg| arg == name)?;
            args.get(place + 1)?.parse::<usize>().ok()
        };
        // What the test runner of cargo says to all its programs: names to choose, or the wish for a list.
        let is_chosen =
            args.iter().all(|arg| arg.starts_with('-') || arg.parse::<u64>().is_ok() || "crash".contains(arg));
        if !is_chosen || args.iter().any(|arg| arg == "--list") {
            return None;
        }
        Some(Self {
            n_kills: number("--kills").unwrap_or(40),
            n_points: number("--points").unwrap_or(1),
            n_reloads: number("--reloads").unwrap_or(40),
            seed: number("--seed").and_then(|seed| u64::try_from(seed).ok()).unwrap_or(1),
        })
    }
}

/// A story that has not been told yet.
type Teller = Box<dyn FnOnce() -> Verdict + Send>;

/// All stories, the long ones first.
fn stories(size: Size) -> Vec<(String, Teller)> {
    let mut stories: Vec<(String, Teller)> = Vec::new();
    let mut add = |name: String, teller: Teller| stories.push((name, teller));
    let n_ledgers = size.n_kills.div_ceil(KILLS_PER_LEDGER);
    for index in 0..n_ledgers {
        let seed = size.seed + index as u64;
        let n_kills = (size.n_kills + index) / n_ledgers;
        add(format!("kills, seed {seed}"), Box::new(move || kills::story(seed, n_kills)));
    }
    for limit in [disk::Limit::Pages, disk::Limit::FileSizeForAWhile, disk::Limit::FileSize] {
        add(format!("disk full: {limit:?}"), Box::new(move || disk::full(limit)));
    }
    let n_points = size.n_points;
    if 0 < n_points {
        for (name, delivery) in [("least", Delivery::AtLeastOnce), ("most", Delivery::AtMostOnce)] {
            add(format!("fail points, at {name} once"), Box::new(move || points::story(delivery, n_points)));
        }
    }
    add("SIGSTOP and SIGCONT".to_owned(), Box::new(suspend::story));
    add("no room for a ledger".to_owned(), Box::new(disk::no_room));
    add("ledgers that nobody can trust".to_owned(), Box::new(disk::refused));
    add("list of fail points".to_owned(), Box::new(points::list));
    stories
}

fn main() -> ExitCode {
    let Some(size) = Size::from_args() else { return ExitCode::SUCCESS };
    let began = process::now();
    machine::watch();
    let left = Mutex::new(stories(size).into_iter());
    let verdicts = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..N_THREADS {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((name, teller)) = next else { return };
                    let verdict = tell(name, teller);
                    verdicts.lock().unwrap_or_else(PoisonError::into_inner).push(verdict);
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
    if 0 < size.n_reloads {
        // Alone: its load would make the others late.
        verdicts.push(tell("changes under load".to_owned(), Box::new(move || reloads::story(size.n_reloads))));
    }
    let sum = |count: fn(&Verdict) -> usize| verdicts.iter().map(count).sum::<usize>();
    println!(
        "{} sudden deaths: {} slots and runs accounted for, {} attempts witnessed, {} standstills of the machine, in {:.1} s",
        sum(|verdict| verdict.n_kills),
        sum(|verdict| verdict.n_dispositions),
        sum(|verdict| verdict.n_attempts),
        machine::standstills(began).len(),
        (process::now() - began) as f64 / 1e6
    );
    let n_failed = sum(|verdict| usize::from(!verdict.wrong.is_empty()));
    let word = if n_failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {word}. {} passed; {n_failed} failed;", verdicts.len() - n_failed);
    if n_failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tells one story and prints what came of it. What panics has failed.
fn tell(name: String, teller: Teller) -> Verdict {
    let began = process::now();
    let verdict = catch_unwind(AssertUnwindSafe(teller)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let wrong = text.unwrap_or_else(|| "it panicked".to_owned());
        Verdict { name, n_kills: 0, n_dispositions: 0, n_attempts: 0, wrong }
    });
    let seconds = (process::now() - began) as f64 / 1e6;
    let Verdict { name, n_kills, n_dispositions, n_attempts, wrong } = &verdict;
    let word = if wrong.is_empty() { "ok" } else { "FAILED" };
    println!(
        "{name} ... {word}: {n_kills} sudden deaths, {n_dispositions} slots and runs, {n_attempts} attempts, {seconds:.1} s"
    );
    if !wrong.is_empty() {
        println!("{wrong}");
    }
    verdict
}
