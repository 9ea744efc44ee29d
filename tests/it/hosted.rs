//! A scene whose host keeps its ledger in it: hosts one after another, and the commands that read what they wrote.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value as Json;

use crate::{
    log::{Line, instant},
    program::{Clockjack, Ended, Running, clockjack},
    scene::Scene,
};

/// A manifest, its guests and its ledger.
pub(crate) struct Hosted {
    pub(crate) scene: Scene,
}

impl Hosted {
    /// A manifest whose jobs may name the plugins `typed`, `hostile` and `command`.
    pub(crate) fn with(jobs: &str) -> Self {
        let hosted = Self { scene: Scene::with("", &["typed", "hostile", "command"]) };
        hosted.put(jobs);
        hosted
    }

    /// Writes the manifest anew: the jobs and whatever other keys stand beside them.
    pub(crate) fn put(&self, rest: &str) {
        let plugins = "plugins: { typed: ./typed.wasm, hostile: ./hostile.wasm, command: ./command.wasm }";
        self.scene.put("clockjack.yaml", format!("version: 1\n{plugins}\n{rest}"));
    }

    fn ledger(&self) -> String {
        format!("sqlite:{}", self.scene.arg("state.db"))
    }

    /// A host, which is to be started. It does not watch its files, so that a test says when they are read.
    pub(crate) fn up(&self, args: &[&str]) -> Clockjack {
        self.up_watching(args).args(["--no-watch"])
    }

    /// A host that watches its files.
    pub(crate) fn up_watching(&self, args: &[&str]) -> Clockjack {
        let up = ["up", "--ledger", &self.ledger(), "--log-format", "json"];
        clockjack(up).args(args).folder(self.scene.folder())
    }

    /// A host from its start to its end by itself after a time.
    #[track_caller]
    pub(crate) fn up_for(&self, time: &str) -> Ended {
        self.up(&["--for", time]).ends_with(0)
    }

    /// Lets time pass in which no host runs: more than a slot may be late without being called so.
    pub(crate) fn pass_two_seconds(&self) {
        let plugin = self.scene.arg("hostile.wasm");
        clockjack(["exec", plugin.as_str(), "sleep-ms", "--arg", "ms=2000"]).ends_with(0);
    }

    /// A command that reads the ledger.
    pub(crate) fn read(&self, args: &[&str]) -> Clockjack {
        clockjack(args).args(["--ledger", &self.ledger()]).folder(self.scene.folder()).beside_nothing()
    }

    /// What a command that reads the ledger gives to programs.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Json {
        self.read(args).args(["-o", "json"]).ends_with(0).json()
    }

    /// What is known of a job.
    #[track_caller]
    pub(crate) fn job(&self, job: &str) -> Json {
        self.json(&["jobs", job])[0].clone()
    }

    /// All runs of a job, the oldest slot first.
    #[track_caller]
    pub(crate) fn runs(&self, job: &str) -> Vec<Json> {
        let mut runs = list(&self.json(&["runs", "--job", job, "-n", "100000"]));
        runs.reverse();
        runs
    }

    /// The runs of a job that have ended, the oldest slot first.
    #[track_caller]
    pub(crate) fn ended(&self, job: &str) -> Vec<Json> {
        let mut runs = self.runs(job);
        runs.retain(|run| run["state"] == "ended");
        runs
    }

    /// All that is kept of the only run of a job.
    #[track_caller]
    pub(crate) fn only(&self, job: &str) -> Json {
        let runs = self.ended(job);
        assert_eq!(runs.len(), 1, "{job}: {runs:#?}");
        self.json(&["runs", "show", text(&runs[0], "id")])
    }

    /// The skips of a job, the oldest slot first.
    #[track_caller]
    pub(crate) fn skips(&self, job: &str) -> Vec<Json> {
        let mut rows = list(&self.json(&["runs", "--skips", "--job", job, "-n", "100000"]));
        rows.retain(|row| row["state"] == "skipped");
        rows.reverse();
        rows
    }

    /// What became of each slot of a job that fires every so often, by the slot; a slot that is there twice fails, and so
    /// does one that is not on the grid of the job. Slots that are planned are left out.
    #[track_caller]
    pub(crate) fn slots(&self, job: &str, every: TimeDelta) -> BTreeMap<DateTime<Utc>, String> {
        let first_seen = at(&self.job(job), "first_seen");
        let mut slots = BTreeMap::new();
        let mut add = |slot: DateTime<Utc>, told: &Json| {
            let from_anchor = (slot - first_seen).num_microseconds().expect("a short time");
            let step = every.num_microseconds().expect("a short time");
            assert_eq!(from_anchor % step, 0, "{slot} is not on the grid from {first_seen}");
            let twice = slots.insert(slot, told.as_str().expect("a word").to_owned());
            assert_eq!(twice, None, "{job}: {slot} is told twice");
        };
        for run in self.ended(job) {
            add(at(&run, "scheduled_for"), &run["outcome"]);
        }
        for skip in self.skips(job) {
            let (mut slot, last, mut n_slots) = (at(&skip, "first"), at(&skip, "last"), 0);
            while slot <= last {
                add(slot, &skip["reason"]);
                (slot, n_slots) = (slot + every, n_slots + 1);
            }
            assert_eq!(skip["count"], n_slots, "{skip:#}");
        }
        slots
    }
}

/// That no slot between the first and the last one is without its row.
#[track_caller]
pub(crate) fn assert_no_gap(slots: &BTreeMap<DateTime<Utc>, String>, every: TimeDelta) {
    let keys: Vec<_> = slots.keys().collect();
    let gap = keys.windows(2).find(|pair| *pair[1] - *pair[0] != every);
    assert!(gap.is_none(), "nothing is told between {gap:?}: {slots:#?}");
}

/// Waits for a line about a job, among those that came already or those to come.
#[track_caller]
pub(crate) fn wait(host: &mut Running, what: &str, fits: impl Fn(&Line) -> bool) {
    if !host.log.iter().any(|line| fits(&Line::read(line))) {
        host.wait_for(what, |line| fits(&Line::read(line)));
    }
}

/// Waits for a line that comes from now on.
#[track_caller]
pub(crate) fn wait_next(host: &mut Running, what: &str, fits: impl Fn(&Line) -> bool) -> Line {
    Line::read(&host.wait_for(what, |line| fits(&Line::read(line))))
}

/// A line that tells the end of a run of a job.
pub(crate) fn ends(job: &str) -> impl Fn(&Line) -> bool {
    move |line| line.text("job") == job && line.outcome().is_some() && !line.message.contains("tried again")
}

/// A line that tells the start of an attempt of a job.
pub(crate) fn begins(job: &str) -> impl Fn(&Line) -> bool {
    move |line| line.text("job") == job && line.message == "running"
}

#[track_caller]
pub(crate) fn list(json: &Json) -> Vec<Json> {
    json.as_array().unwrap_or_else(|| panic!("no list: {json:#}")).clone()
}

#[track_caller]
pub(crate) fn text<'j>(json: &'j Json, key: &str) -> &'j str {
    json[key].as_str().unwrap_or_else(|| panic!("no text in `{key}`: {json:#}"))
}

#[track_caller]
pub(crate) fn at(json: &Json, key: &str) -> DateTime<Utc> {
    instant(text(json, key))
}

/// The words under one key of a list.
#[track_caller]
pub(crate) fn each<'j>(list: &'j [Json], key: &str) -> Vec<&'j str> {
    list.iter().map(|item| text(item, key)).collect()
}
