//! The catalogue of attacks: hostile guests and inputs, one test per row and named after it.
//!
//! A row plays on a host of its own, the built program: the attack comes again and again, beside a canary that fires ten
//! times a second. What is asserted of each row: the exact outcome with the key to change, that nothing of the host crashed,
//! that every slot of the canary became a run that succeeded and began in time, and that memory and open files come back to
//! where they were after the first attack.

mod cpu;
mod isolation;
mod manifest;
mod memory;
mod network;
mod table;

use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use chrono::TimeDelta;
use serde_json::Value as Json;

use crate::{
    hosted::ends,
    log::{Line, Run, lines, of, runs},
    program::{Clockjack, Ended, Running, alone, clockjack},
    scene::{Scene, guest},
};

/// How often a machine that is busy with other things may try again: lateness and memory are not the attack's alone.
const TRIES: usize = 6;

/// How often an attack comes before it is judged.
const N_ATTACKS: usize = 3;

/// How late the canary may begin.
const LATENESS_MAX: TimeDelta = TimeDelta::milliseconds(250);

/// What memory may have grown by beside a twentieth: an allocator keeps pages of threads that were woken once.
const MEMORY_KIB_SLACK: u64 = 12 << 10;

/// Open files that come and go beside any attack: connections of the ledger.
const FILES_SLACK: usize = 6;

const CANARY: &str = r#"(component (core module $m (func (export "run"))) (core instance $i (instantiate $m))
    (func (export "run") (canon lift (core func $i "run"))))"#;

/// One row: a job that does harm, or tries to.
pub(crate) struct Attack {
    plugin: Vec<u8>,
    /// Keys of the job, as they stand in a map of YAML.
    job: String,
    scene: Scene,
    every: &'static str,
}

/// What a row came to.
pub(crate) struct Fought {
    ledger: String,
    pub(crate) attacks: Vec<Run>,
    pub(crate) scene: Scene,
}

impl Attack {
    /// A component in text.
    #[track_caller]
    pub(crate) fn wat(text: &str) -> Self {
        Self::bytes(wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}")))
    }

    /// A component with one function `run`, lifted from the core function of that name of a module.
    #[track_caller]
    pub(crate) fn module(module: &str) -> Self {
        Self::wat(&component(module))
    }

    /// A function of a guest of `tests/guests`.
    pub(crate) fn guest(name: &str, call: &str) -> Self {
        let bytes = fs::read(guest(name)).expect("a guest can be read");
        Self::bytes(bytes).job(&format!("call: {call}"))
    }

    pub(crate) fn bytes(plugin: Vec<u8>) -> Self {
        Self { plugin, job: String::new(), scene: Scene::new(), every: "400ms" }
    }

    /// More keys of the job, such as `limits: { memory: 1MiB }`.
    pub(crate) fn job(mut self, keys: &str) -> Self {
        self.job.push_str(", ");
        self.job.push_str(keys);
        self
    }

    /// For attacks that take longer than the usual period.
    pub(crate) fn every(self, every: &'static str) -> Self {
        Self { every, ..self }
    }

    /// Puts something into the folder of the manifest.
    pub(crate) fn prepare(self, prepare: impl FnOnce(&Scene)) -> Self {
        prepare(&self.scene);
        self
    }

    fn write(&self) {
        self.scene.put("attack.wasm", &self.plugin);
        self.scene.put("canary.wasm", wat::parse_str(CANARY).expect("the canary assembles"));
        let (job, every) = (&self.job, self.every);
        self.scene.put(
            "clockjack.yaml",
            format!(
                "version: 1\nplugins: {{ attack: ./attack.wasm, canary: ./canary.wasm }}\njobs:\n  \
                 canary: {{ plugin: canary, every: 100ms }}\n  \
                 attack: {{ plugin: attack, every: {every}, run_on_start: true{job} }}\n"
            ),
        );
    }

    fn program(&self, args: &[&str]) -> Clockjack {
        clockjack(args).folder(self.scene.folder())
    }

    /// Plays it. Every attack must end with this code, and its reason must hold these words.
    #[track_caller]
    pub(crate) fn ends(self, outcome: &str, words: &[&str]) -> Fought {
        self.write();
        let mut faults = Vec::new();
        for n_tries in 0..TRIES {
            // What others of these tests do to the machine is not the attack's doing: soon nothing goes on beside it.
            let alone = (0 < n_tries).then(alone);
            let (ledger, ended, fault) = self.play(alone.is_some());
            drop(alone);
            ended.is_no_crash();
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            let runs = runs(&lines(&ended.stderr));
            let attacks: Vec<Run> = runs.into_iter().filter(|run| run.job == "attack" && run.ended.is_some()).collect();
            // The last one may have met the end of the host.
            for run in attacks.iter().take(N_ATTACKS) {
                assert_eq!(run.outcome, outcome, "{}: {}", run.outcome, run.reason);
                for word in words {
                    assert!(run.reason.contains(word), "`{word}` in: {}", run.reason);
                }
            }
            match fault {
                None => return Fought { ledger, attacks, scene: self.scene },
                Some(fault) => faults.push(fault),
            }
        }
        panic!("{TRIES} tries: {faults:#?}");
    }

    /// The plugin is refused before anything of it runs.
    #[track_caller]
    pub(crate) fn refused_as(self, code: &str, words: &[&str]) {
        self.write();
        let ended = self.program(&["check", "-o", "json"]).end();
        ended.is_no_crash();
        assert_eq!(ended.code, Some(1), "{}\n{}", ended.stdout, ended.stderr);
        let findings = ended.json();
        let told = findings["diagnostics"].as_array().into_iter().flatten().find(|finding| finding["code"] == code);
        let told = told.unwrap_or_else(|| panic!("no {code}: {findings:#}"));
        for word in words {
            assert!(told.to_string().contains(word), "`{word}` in: {told:#}");
        }
    }

    /// One host from its start to its end, and what was wrong with it beside the outcome.
    fn play(&self, is_alone: bool) -> (String, Ended, Option<String>) {
        static N_PLAYED: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}.db", N_PLAYED.fetch_add(1, Ordering::Relaxed));
        let ledger = format!("sqlite:{}", self.scene.arg(&name));
        let up = self.program(&["up", "--ledger", &ledger, "--log-format", "json"]);
        let mut host = if is_alone { up.beside_nothing() } else { up }.start();
        let mut base = None;
        for n_ended in 1..=N_ATTACKS {
            host.wait_for("the end of an attack", |line| ends("attack")(&Line::read(line)));
            if n_ended == 1 {
                base = Some(Held::by(&host));
            }
        }
        let held = Held::by(&host);
        host.signal("TERM");
        let ended = host.end();
        let log = lines(&ended.stderr);
        let runs = runs(&log);
        let fault = late(&of(&runs, "canary")).or_else(|| base.and_then(|base| held.grew(&base)));
        (ledger, ended, fault)
    }
}

impl Fought {
    /// The first attack, as `runs show` tells it.
    #[track_caller]
    pub(crate) fn shown(&self) -> Json {
        let read = |args: &[&str]| {
            let read = clockjack(args).args(["--ledger", &self.ledger, "-o", "json"]);
            read.folder(self.scene.folder()).ends_with(0).json()
        };
        let mut runs = read(&["runs", "--job", "attack"]);
        let ended = runs.as_array_mut().and_then(|runs| runs.pop()).unwrap_or_default();
        read(&["runs", "show", ended["id"].as_str().expect("there was an attack")])
    }

    /// The longest that an attack took.
    pub(crate) fn longest(&self) -> TimeDelta {
        self.attacks.iter().take(N_ATTACKS).map(Run::took).max().expect("there were attacks")
    }
}

/// A component with one function `run`, lifted from the core function of that name of a module.
pub(crate) fn component(module: &str) -> String {
    format!(
        "(component (core module $m {module}) (core instance $i (instantiate $m))
           (func (export \"run\") (canon lift (core func $i \"run\"))))"
    )
}

/// What is wrong with the runs of the canary.
fn late(runs: &[&Run]) -> Option<String> {
    let begun: Vec<_> = runs.iter().filter(|run| run.started.is_some()).collect();
    let failed = begun.iter().find(|run| run.ended.is_some() && run.outcome != "succeeded");
    assert!(failed.is_none(), "the canary failed: {failed:?}");
    let every = TimeDelta::milliseconds(100);
    if let Some(gap) = begun.windows(2).find(|pair| pair[1].slot - pair[0].slot != every) {
        return Some(format!("the canary missed a slot: {gap:?}"));
    }
    let worst = begun.iter().max_by_key(|run| run.lateness())?;
    (LATENESS_MAX < worst.lateness()).then(|| format!("the canary was late: {worst:?}"))
}

/// What a process holds: memory and open files.
#[derive(Clone, Copy, Debug)]
struct Held {
    memory_kib: u64,
    n_files: usize,
}

impl Held {
    /// The least of a few looks: what another run takes for a moment is not kept.
    #[expect(
        clippy::disallowed_methods,
        reason = "looks from outside have a distance, and there is nothing to wait for"
    )]
    fn by(host: &Running) -> Self {
        let looks = (0..8).map(|_| {
            thread::sleep(Duration::from_millis(15));
            Self::now(host.id())
        });
        looks
            .reduce(|a, b| Self { memory_kib: a.memory_kib.min(b.memory_kib), n_files: a.n_files.min(b.n_files) })
            .expect("there were looks")
    }

    fn now(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the host goes on");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        let memory_kib = line.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
        let n_files = fs::read_dir(format!("/proc/{pid}/fd")).expect("the host goes on").count();
        Self { memory_kib, n_files }
    }

    fn grew(self, base: &Self) -> Option<String> {
        let memory_max = base.memory_kib + base.memory_kib / 20 + MEMORY_KIB_SLACK;
        let is_more = memory_max < self.memory_kib || base.n_files + FILES_SLACK < self.n_files;
        is_more.then(|| format!("from {base:?} to {self:?}"))
    }
}
