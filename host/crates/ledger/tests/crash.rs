//! The process vanishes at each fail point, and the next one finds every acknowledged batch, and each batch whole.
//!
//! Without arguments this is the test, which starts itself once per point; `child POINT N PATH` is who vanishes, at the
//! N-th time that it comes by.

use std::{io::Write as _, path::Path, process::Command, sync::Arc};

use clockjack_ledger::{Owner, SqliteLedger, SqliteOptions};
use clockjack_schedule::{
    id::{JobId, RunId},
    outcome::Outcome,
    ports::{Change, Finish, Ledger, Report, RunFilter},
    run::{Cause, Run},
};

const POINTS: [&str; 5] = [
    "ledger::before_begin",
    "ledger::after_insert",
    "ledger::before_commit",
    "ledger::after_commit",
    "ledger::before_reply",
];

/// How many batches a child tries.
const N_BATCHES: i64 = 20;

fn run(id: &str, number: i64) -> Arc<Run> {
    let job: JobId = id.parse().expect("a name");
    let slot = chrono::DateTime::from_timestamp(1_800_000_000 + number, 0).expect("an instant");
    Arc::new(Run {
        id: RunId::of_slot(&job, slot),
        job,
        scheduled_for: slot,
        due_at: slot,
        cause: Cause::Schedule,
        payload: None,
    })
}

/// Plans two runs and ends the two of the batch before.
fn batch(number: i64) -> Vec<Change> {
    let mut changes: Vec<_> = ["a", "b"].iter().map(|id| Change::Plan(run(id, number))).collect();
    if 0 < number {
        changes.extend(["a", "b"].map(|id| {
            let run = run(id, number - 1);
            Change::Finish(Arc::new(Finish {
                run: run.id,
                job: run.job.clone(),
                started_at: None,
                finished_at: run.due_at,
                duration: std::time::Duration::ZERO,
                n_attempts: 1,
                report: Report::without_guest(Outcome::succeeded(None)),
                state: None,
            }))
        }));
    }
    changes
}

async fn open(path: &Path) -> SqliteLedger {
    let owner = Owner { what: "the crash test".to_owned(), since: chrono::DateTime::UNIX_EPOCH };
    SqliteLedger::open(path, SqliteOptions { owner, pages_max: None }).await.expect("the ledger opens")
}

/// Says it at once: whoever vanishes flushes nothing.
fn tell(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("somebody reads");
}

async fn child(point: &str, nth: &str, path: &Path) {
    let ledger = open(path).await;
    let n_before: i64 = nth.parse().expect("a number");
    fail::cfg(point, &format!("{}*off->return", n_before)).expect("a fail point");
    for number in 0..N_BATCHES {
        ledger.commit(batch(number)).await.expect("a batch is kept");
        tell(&number.to_string());
    }
}

async fn check(point: &str, nth: usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("state.db");
    let program = std::env::current_exe().expect("a program");
    let output = Command::new(program).args(["child", point, &nth.to_string()]).arg(&path).output().expect("a child");
    assert!(!output.status.success(), "{point}: it was to vanish");
    let told = String::from_utf8_lossy(&output.stdout);
    let n_acknowledged = told.lines().count();
    let ledger = open(&path).await;
    let rows = ledger.runs(RunFilter::default()).await.expect("runs can be read");
    let n_ended = rows.iter().filter(|row| row.finish().is_some()).count();
    assert_eq!(rows.len() % 2, 0, "{point}: batches are whole");
    let n_kept = rows.len() / 2;
    assert_eq!(n_ended, 2 * n_kept.saturating_sub(1), "{point}: batches are whole");
    // What was committed and not acknowledged is there; what was not committed is not.
    let is_committed = point == "ledger::after_commit" || point == "ledger::before_reply";
    assert_eq!(n_acknowledged, nth, "{point}");
    assert_eq!(n_kept, nth + usize::from(is_committed), "{point}");
    // The caller, who got no answer, repeats the batch.
    for number in n_acknowledged as i64..N_BATCHES {
        ledger.commit(batch(number)).await.expect("a batch is kept");
    }
    let rows = ledger.runs(RunFilter::default()).await.expect("runs can be read");
    assert_eq!(rows.len() as i64, 2 * N_BATCHES, "{point}: nothing is lost or doubled");
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, point, nth, path] = arguments.as_slice()
        && mode == "child"
    {
        return child(point, nth, Path::new(path)).await;
    }
    for point in POINTS {
        for nth in [0, 1, 7] {
            check(point, nth).await;
        }
        tell(&format!("{point} ... ok"));
    }
}
