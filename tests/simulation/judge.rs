//! Tells a seed's story and asks the checker about it.

use std::{
    fmt::Write as _,
    sync::{Arc, PoisonError},
};

use clockjack_checker::{self as checker, Attempt, Facts, History, Revision, SECOND, Tolerance, Violation, Witness};
use clockjack_schedule::{
    ports::{Finish, Ledger as _, RunFilter, RunRow, RunState, SkipFilter},
    run::{Cause, Skip},
};

use crate::{
    Size,
    chance::Chance,
    faults,
    jobs::{self, Density},
    ledger::SimLedger,
    life::Story,
};

/// 2027-01-04T00:00:00Z, a Monday.
const FROM: i64 = 1_799_020_800 * SECOND;

/// What came of a seed.
pub(crate) struct Verdict {
    pub(crate) violations: Vec<Violation>,
    pub(crate) n_dispositions: usize,
    told: String,
    pictures: String,
}

impl Verdict {
    pub(crate) fn print(&self, seed: u64, in_full: bool) {
        if in_full {
            print!("{}", self.told);
        }
        if !self.violations.is_empty() {
            println!("seed {seed}: {} violations\n{}{}", self.violations.len(), self.told, self.pictures);
        }
    }
}

/// Tells a seed's story.
pub(crate) fn seed(seed: u64, size: &Size) -> Verdict {
    let mut chance = Chance::new(seed);
    let until = FROM + i64::from(size.days) * 86_400 * SECOND;
    let density = if 7 < size.days { Density::Year } else { Density::Day };
    // Wall time may run ahead of true time by some hours.
    let jobs = jobs::all(&mut chance, size.n_jobs, density, FROM - 86_400 * SECOND, until + 2 * 86_400 * SECOND);
    let faults = faults::all(&mut chance, size.n_faults, &jobs, FROM, until);
    let mut story = Story::new(seed, jobs, faults, until);
    story.tell(FROM);
    let history = history(&story.ledger);
    let revisions: Vec<Revision> = story
        .jobs
        .iter()
        .map(|job| Revision { in_force: checker::Span::new(FROM, i64::MAX / 8), ..job.revision.clone() })
        .collect();
    let witness: Vec<Witness> = story.notes.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let tolerance = Tolerance { latency: SECOND / 20, recovery: 5 * SECOND, clock: 0 };
    let violations = checker::check(&story.facts, &revisions, &witness, &history, &tolerance);
    let n_dispositions =
        history.runs.len() + history.skips.iter().map(|skip| usize::try_from(skip.count).unwrap()).sum::<usize>();
    let pictures = pictures(&violations, &story.facts, &revisions, &witness, &history);
    Verdict { violations, n_dispositions, told: told(&story), pictures }
}

fn told(story: &Story) -> String {
    let mut told = String::new();
    for fault in &story.faults {
        writeln!(told, "  {}  {:?}", checker::show(fault.at), fault.kind).unwrap();
    }
    for up in &story.facts.up {
        let (from, until) = (checker::show(up.span.from), checker::show(up.span.until));
        writeln!(told, "  up {from} to {until}: {:?}", up.ending).unwrap();
    }
    told
}

fn pictures(
    violations: &[Violation],
    facts: &Facts,
    revisions: &[Revision],
    witness: &[Witness],
    history: &History,
) -> String {
    let mut pictures = String::new();
    for violation in violations.iter().take(5) {
        writeln!(pictures, "{violation}\n{}", violation.picture(facts, revisions, witness, history)).unwrap();
    }
    pictures
}

/// The history as the ledger tells it.
fn history(ledger: &Arc<SimLedger>) -> History {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut runs = Vec::new();
        for row in ledger.runs(RunFilter::default()).await.unwrap() {
            let story = ledger.run(row.run.id).await.unwrap().unwrap();
            runs.push(run(&row, &story.attempts));
        }
        let skips = ledger.skips(SkipFilter::default()).await.unwrap();
        History { runs, skips: skips.iter().map(skip).collect(), nexts: Vec::new() }
    })
}

fn run(row: &RunRow, earlier: &[Finish]) -> checker::Run {
    let mut attempts: Vec<_> = earlier.iter().map(attempt).collect();
    let (outcome, started, finished) = match &row.state {
        RunState::Open { claimed_at, .. } => (None, claimed_at.map(|at| at.timestamp_micros()), None),
        RunState::Ended(finish) => {
            if attempts.len() < usize::try_from(finish.n_attempts).unwrap() {
                attempts.push(attempt(finish));
            }
            let code = finish.report.outcome.code.as_str().to_owned();
            let started = finish.started_at.map(|at| at.timestamp_micros());
            (Some(code), started, Some(finish.finished_at.timestamp_micros()))
        }
    };
    checker::Run {
        id: row.run.id.to_string(),
        job: row.run.job.to_string(),
        slot: row.run.scheduled_for.timestamp_micros(),
        cause: match &row.run.cause {
            Cause::Schedule => checker::Cause::Schedule,
            Cause::CatchUp(n_slots) => checker::Cause::CatchUp(*n_slots),
            Cause::Manual | Cause::Api => checker::Cause::Manual,
            Cause::Backfill => checker::Cause::Backfill,
            Cause::Upstream(job) => checker::Cause::Upstream(job.to_string()),
            Cause::Start => checker::Cause::Start,
        },
        outcome,
        n_attempts: u32::try_from(attempts.len()).unwrap(),
        started,
        finished,
        attempts,
    }
}

fn attempt(finish: &Finish) -> Attempt {
    Attempt {
        number: finish.n_attempts,
        outcome: finish.report.outcome.code.as_str().to_owned(),
        started: finish.started_at.map(|at| at.timestamp_micros()),
        finished: finish.finished_at.timestamp_micros(),
    }
}

fn skip(skip: &Skip) -> checker::Skip {
    checker::Skip {
        job: skip.job.to_string(),
        run: skip.run.map(|run| run.to_string()),
        first: skip.first.timestamp_micros(),
        last: skip.last.timestamp_micros(),
        count: skip.count,
        reason: skip.reason.as_str().to_owned(),
        at: skip.at.timestamp_micros(),
        by: skip.by.map(|run| run.to_string()),
    }
}
