//! The host's JSON log, read as a program would: lines, and what they tell about runs.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value as Json;

/// One line.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) at: DateTime<Utc>,
    pub(crate) message: String,
    json: Json,
}

/// What the log tells about one run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) job: String,
    pub(crate) slot: DateTime<Utc>,
    pub(crate) cause: String,
    pub(crate) started: Option<DateTime<Utc>>,
    pub(crate) ended: Option<DateTime<Utc>>,
    pub(crate) outcome: String,
    pub(crate) reason: String,
    pub(crate) output: String,
}

impl Line {
    /// Reads a line, which must be a JSON object with time, level and message.
    #[track_caller]
    pub(crate) fn read(line: &str) -> Self {
        let json: Json = serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON: {error}\n{line}"));
        let text = |key: &str| json[key].as_str().unwrap_or_else(|| panic!("no text in `{key}`: {line}")).to_owned();
        assert!(["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&&*text("level")), "{line}");
        Self { at: instant(&text("timestamp")), message: text("message"), json }
    }

    /// A field, empty where it is absent.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.json[key].as_str().unwrap_or_default()
    }

    /// A number, if it is there.
    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        self.json[key].as_f64()
    }

    /// How the run that this line is about ended, if it did.
    pub(crate) fn outcome(&self) -> Option<&str> {
        self.json["outcome"].as_str()
    }
}

impl Run {
    /// From the slot to the start.
    pub(crate) fn lateness(&self) -> TimeDelta {
        self.started.expect("the run has begun") - self.slot
    }

    /// From the start to the end.
    pub(crate) fn took(&self) -> TimeDelta {
        self.ended.expect("the run has ended") - self.started.expect("the run has begun")
    }
}

#[track_caller]
pub(crate) fn instant(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap_or_else(|error| panic!("no instant: {error}: {text}")).to_utc()
}

/// All lines; each must be JSON.
#[track_caller]
pub(crate) fn lines(log: &str) -> Vec<Line> {
    log.lines().map(Line::read).collect()
}

/// The runs that began or ended, by their ids.
pub(crate) fn runs(lines: &[Line]) -> Vec<Run> {
    let mut runs: BTreeMap<&str, Run> = BTreeMap::new();
    for line in lines.iter().filter(|line| !line.text("run").is_empty()) {
        let run = runs.entry(line.text("run")).or_insert_with(|| Run {
            job: line.text("job").to_owned(),
            slot: instant(line.text("slot")),
            cause: line.text("cause").to_owned(),
            started: None,
            ended: None,
            outcome: String::new(),
            reason: String::new(),
            output: String::new(),
        });
        match line.outcome() {
            None => run.started = Some(line.at),
            Some(outcome) => {
                assert!(line.json["duration_ms"].as_f64().is_some_and(|ms| 0.0 < ms), "{line:?}");
                assert!(run.ended.is_none(), "a run ended twice: {line:?}");
                run.ended = Some(line.at);
                run.outcome = outcome.to_owned();
                run.reason = line.text("reason").to_owned();
                run.output = line.text("output").to_owned();
            }
        }
    }
    let mut runs: Vec<_> = runs.into_values().collect();
    runs.sort_by_key(|run| run.slot);
    runs
}

/// The runs of one job, in the order of their slots.
pub(crate) fn of<'r>(runs: &'r [Run], job: &str) -> Vec<&'r Run> {
    runs.iter().filter(|run| run.job == job).collect()
}
