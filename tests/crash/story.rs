//! One ledger and everything that happens to it, from the first start of its host to the verdict.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clockjack_checker::{
    self as checker, Ending, Facts, History, Micros, Revision, SECOND, Span, Tolerance, Up, Witness,
};
use tempfile::TempDir;

use crate::{
    fleet::{Fleet, MS},
    machine,
    process::{End, Host, PATIENCE, Question, Setup, ask, now, sleep},
    told,
};

/// Two cores that others use too: what could be done for so long must have been done. Neither of the two hides a slot
/// that is lost or doubled; they only say how late things may be.
const TOLERANCE: Tolerance = Tolerance { latency: 2 * SECOND, recovery: 5 * SECOND, clock: 2 * MS };

/// How long a host has to live to be held to its promises in full, and a bit.
const SETTLES: Duration = Duration::from_millis(7_500);

/// How often that is tried on a machine that stands still now and then.
const SETTLES_TRIES: usize = 8;

/// How many holes are looked for in what is told of one story.
const N_HOLES: usize = 8;

const LEDGER: &str = "sqlite:state.db";

/// What the guests write into, beside the manifest.
const SEEN: &str = "seen";

/// A story that goes on.
pub(crate) struct Story {
    name: String,
    folder: TempDir,
    fleet: Fleet,
    pub(crate) facts: Facts,
    /// How late things may be.
    pub(crate) tolerance: Tolerance,
    /// What happened, for whoever looks for a fault.
    told: String,
}

/// How a story ended.
pub(crate) struct Verdict {
    pub(crate) name: String,
    pub(crate) n_kills: usize,
    pub(crate) n_dispositions: usize,
    pub(crate) n_attempts: usize,
    /// What is wrong; empty is best.
    pub(crate) wrong: String,
}

/// What there is to judge, for tests that look at more than the checker does.
pub(crate) struct Told {
    pub(crate) history: History,
    pub(crate) witnesses: Vec<Witness>,
}

/// Lets a host live until it has to keep all its promises.
pub(crate) fn settle() {
    for _ in 0..SETTLES_TRIES {
        let began = now();
        sleep(SETTLES);
        if machine::standstills(began).is_empty() {
            return;
        }
    }
}

impl Story {
    pub(crate) fn new(name: &str, fleet: Fleet) -> Self {
        let folder = TempDir::with_prefix("clockjack-crash-").expect("a temporary folder");
        let host = Path::new(env!("CARGO_MANIFEST_DIR"));
        let guest = host.parent().expect("a repository").join("tests/guests/witness.wasm");
        fs::copy(guest, folder.path().join("witness.wasm")).expect("the guest can be copied");
        fs::create_dir(folder.path().join(SEEN)).expect("a folder");
        fs::write(folder.path().join("clockjack.yaml"), fleet.manifest(SEEN)).expect("the manifest can be written");
        let facts = Facts { pools: Fleet::pools(), ..Facts::default() };
        Self { name: name.to_owned(), folder, fleet, facts, tolerance: TOLERANCE, told: String::new() }
    }

    pub(crate) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    /// Starts the host.
    pub(crate) fn up(&self, setup: &Setup) -> Host {
        Host::start(self.folder.path(), &["up", "--ledger", LEDGER, "--log-format", "json"], setup)
    }

    /// Starts the host and lets it live until everything that it promises holds.
    pub(crate) fn up_and_settled(&self) -> Host {
        let mut host = self.up(&Setup::default());
        self.must_run(&mut host);
        settle();
        host
    }

    /// Waits for the first run of a host.
    pub(crate) fn must_run(&self, host: &mut Host) {
        let runs = host.says("\"running\"", PATIENCE);
        assert!(runs, "{}: nothing runs after the start:\n{}\n{}", self.name, self.told, host.log.join("\n"));
    }

    /// Notes the end of a life.
    pub(crate) fn note(&mut self, began: Micros, end: &End, ending: Ending, how: &str) {
        let span = Span::new(began, end.at);
        let log = format!("life-{}.log", self.facts.up.len());
        fs::write(self.folder.path().join(log), &end.log).expect("a log can be kept");
        let (from, until) = (checker::show(span.from), checker::show(span.until));
        writeln!(self.told, "  life {} from {from} to {until}: {how}", self.facts.up.len()).unwrap();
        self.facts.up.push(Up { span, ending });
    }

    /// Stops the host in good order.
    pub(crate) fn stop(&mut self, host: Host) -> End {
        let (began, asked) = (host.began, now());
        host.signal("TERM");
        let end = host.end();
        // While it stops it starts nothing.
        self.facts.saturated.push(Span::new(asked, end.at));
        self.note(began, &end, Ending::Stopped, "SIGTERM");
        end
    }

    /// Stops the host in good order, which must succeed.
    pub(crate) fn stop_well(&mut self, host: Host) {
        let end = self.stop(host);
        assert_eq!(end.status.code(), Some(0), "{}: {}", self.name, end.log);
    }

    /// A last life that is long enough for everything to be made good, then the verdict.
    pub(crate) fn conclude(mut self) -> Verdict {
        let host = self.up_and_settled();
        self.stop_well(host);
        let told = self.read();
        self.judge(&told)
    }

    /// How many lives had a sudden end.
    pub(crate) fn n_killed(&self) -> usize {
        self.facts.up.iter().filter(|up| up.ending == Ending::Killed).count()
    }

    /// What the ledger tells.
    pub(crate) fn history(&self) -> History {
        let jobs: Vec<_> = self.fleet.members.iter().map(|member| member.revision.job.as_str()).collect();
        told::history(self.folder.path(), &jobs, &["--ledger", LEDGER])
    }

    /// Somebody who reads the ledger.
    pub(crate) fn reader(&self) -> Question {
        ask(self.folder.path(), &["runs", "--skips", "-n", "500", "-o", "json", "--ledger", LEDGER])
    }

    /// What ledger and guests tell.
    pub(crate) fn read(&mut self) -> Told {
        let begin = self.facts.up.first().map_or(0, |up| up.span.from);
        let known = self.facts.saturated.clone();
        let standstills = machine::standstills(begin).into_iter().filter(|span| !known.contains(span));
        self.facts.saturated.extend(standstills);
        self.facts.until = self.facts.up.last().map_or(0, |up| up.span.until);
        Told { history: self.history(), witnesses: told::witnesses(&self.folder.path().join(SEEN), &self.facts.up) }
    }

    /// That the facts leave no hole: a run that is taken away and a start that is doubled are noticed. Says where not.
    fn holes(&self, revisions: &[Revision], told: &Told) -> String {
        let Told { history, witnesses } = told;
        let is_unnoticed = |history: &History, witnesses: &[Witness]| {
            checker::check(&self.facts, revisions, witnesses, history, &self.tolerance).is_empty()
        };
        let mut holes = String::new();
        for part in 0..N_HOLES {
            let mut less = history.clone();
            let run = less.runs.remove(history.runs.len() * part / N_HOLES);
            // What nobody saw at the very end may be there or not.
            if witnesses.iter().any(|witness| witness.run == run.id) && is_unnoticed(&less, witnesses) {
                writeln!(holes, "nobody would notice that run {} of {} is gone", run.id, run.job).unwrap();
            }
            let twin = &witnesses[witnesses.len() * part / N_HOLES];
            let twin = Witness { start: twin.start + MS, ..twin.clone() };
            let (run, job) = (twin.run.clone(), twin.job.clone());
            if is_unnoticed(history, &[witnesses.as_slice(), &[twin]].concat()) {
                writeln!(holes, "nobody would notice that run {run} of {job} began twice").unwrap();
            }
        }
        holes
    }

    /// Asks the checker.
    pub(crate) fn judge(self, told: &Told) -> Verdict {
        let begin = self.facts.up.first().map_or(0, |up| up.span.from);
        let known = Span::new(begin, i64::MAX / 8);
        let revisions = self.fleet.members.iter();
        let revisions: Vec<_> =
            revisions.map(|member| Revision { in_force: known, ..member.revision.clone() }).collect();
        let Told { history, witnesses } = told;
        let violations = checker::check(&self.facts, &revisions, witnesses, history, &self.tolerance);
        let mut wrong = self.holes(&revisions, told);
        if !violations.is_empty() {
            let kept = self.folder.keep();
            let n_wrong = violations.len();
            writeln!(wrong, "{n_wrong} violations; the files are in {}\n{}", kept.display(), self.told).unwrap();
            for span in machine::standstills(begin) {
                let (from, until) = (checker::show(span.from), checker::show(span.until));
                writeln!(wrong, "  the machine stood still from {from} to {until}").unwrap();
            }
        }
        violations.iter().for_each(|violation| writeln!(wrong, "{violation}").unwrap());
        for violation in violations.iter().take(3) {
            writeln!(wrong, "{}", violation.picture(&self.facts, &revisions, witnesses, history)).unwrap();
        }
        let n_kills = self.facts.up.iter().filter(|up| up.ending == Ending::Killed).count();
        let n_skipped: u64 = history.skips.iter().map(|skip| skip.count).sum();
        Verdict {
            name: self.name,
            n_kills,
            n_dispositions: history.runs.len() + usize::try_from(n_skipped).expect("few skips"),
            n_attempts: witnesses.len(),
            wrong,
        }
    }
}
