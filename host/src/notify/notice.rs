//! What is told: one thing that happened, as text that programs read.

use chrono::{DateTime, SecondsFormat, Utc};
use clockjack_schedule::{
    id::RunId,
    notify::Occasion,
    outcome::OutcomeCode,
    ports::{Finish, LogLine},
    run::{Cut, Run, Skip},
};
use serde_json::{Map, Value as Json, json};

use super::watched::Long;

/// Longest message of an outcome that is told, in characters.
const ERROR_CHARS_MAX: usize = 4_000;

/// How many of the last log lines go along, and how many characters of each. Healthchecks keeps 100 kB.
const LOGS_MAX: usize = 50;
const LOG_CHARS_MAX: usize = 400;

/// Something to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The same for every attempt to tell it, and after a restart: the occasion, and the run or the slot. It has no point,
    /// which is what stands between the id and the rest of what is signed.
    pub id: String,
    /// What it is; absent for a test.
    pub occasion: Option<Occasion>,
    /// Which run it is about, if one.
    pub run: Option<RunId>,
    /// The last lines of its log, for receivers that show them to its owner.
    pub logs: String,
    /// The rest, as it is sent.
    pub fields: Map<String, Json>,
}

pub(super) fn instant(at: DateTime<Utc>) -> Json {
    at.to_rfc3339_opts(SecondsFormat::Millis, true).into()
}

fn cut(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

impl Notice {
    /// The fields that every notice has, in the order in which they are read.
    fn of(id: String, kind: &str, occasion: Option<Occasion>, at: DateTime<Utc>, job: &str, host: &str) -> Self {
        let mut fields = Map::new();
        for (name, value) in [
            ("type", kind.into()),
            ("id", Json::from(id.as_str())),
            ("at", instant(at)),
            ("host", host.into()),
            ("job", job.into()),
            ("run", Json::Null),
            ("scheduled_for", Json::Null),
            ("outcome", Json::Null),
            ("error", Json::Null),
            ("attempts", Json::Null),
            ("consecutive_failures", Json::Null),
        ] {
            fields.insert(name.to_owned(), value);
        }
        Self { id, occasion, run: None, logs: String::new(), fields }
    }

    fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    fn of_run(occasion: Occasion, run: &Run, at: DateTime<Utc>, host: &str) -> Self {
        let id = format!("{}-{}", occasion.as_str(), run.id);
        let notice = Self::of(id, &occasion.event_type(), Some(occasion), at, run.job.as_str(), host);
        let notice = notice.with("run", run.id.to_string()).with("scheduled_for", instant(run.scheduled_for));
        Self { run: Some(run.id), ..notice }
    }

    /// A run began.
    #[must_use]
    pub fn started(occasion: Occasion, run: &Run, at: DateTime<Utc>, host: &str) -> Self {
        let late_ms = at.signed_duration_since(run.due_at).num_milliseconds().max(0);
        Self::of_run(occasion, run, at, host).with("late_ms", late_ms)
    }

    /// An attempt of a run goes on. Each has an id of its own: the next one may go on for as long.
    #[must_use]
    pub(super) fn went_on(long: &Long, at: DateTime<Utc>, host: &str) -> Self {
        let running_ms = at.signed_duration_since(long.since).num_milliseconds().max(0);
        let notice = Self::of_run(Occasion::TooLong, &long.run, at, host);
        let id = format!("{}-{}", notice.id, long.attempt);
        let notice = notice.with("id", id.as_str()).with("attempts", long.attempt);
        Self { id, ..notice.with("started_at", instant(long.since)).with("running_ms", running_ms) }
    }

    /// A run ended. `failures` counts this one.
    #[must_use]
    pub fn finished(occasion: Occasion, run: &Run, finish: &Finish, failures: u32, host: &str) -> Self {
        let report = &finish.report;
        let notice = Self::of_run(occasion, run, finish.finished_at, host)
            .outcome(report.outcome.code, &report.outcome.message)
            .with("attempts", finish.n_attempts)
            .with("consecutive_failures", failures)
            .with("started_at", finish.started_at.map_or(Json::Null, instant))
            .with("duration_ms", u64::try_from(finish.duration.as_millis()).unwrap_or(u64::MAX));
        Self { logs: logs(&report.logs), ..notice }
    }

    /// A run ended that nobody saw end.
    #[must_use]
    pub fn was_cut(occasion: Occasion, cut: &Cut, failures: u32, host: &str) -> Self {
        Self::of_run(occasion, &cut.run, cut.at, host)
            .outcome(cut.outcome.code, &cut.outcome.message)
            .with("attempts", cut.n_attempts)
            .with("consecutive_failures", failures)
    }

    fn outcome(self, code: OutcomeCode, message: &str) -> Self {
        let error = if code.is_success() { Json::Null } else { cut(message, ERROR_CHARS_MAX).into() };
        self.with("outcome", code.as_str()).with("error", error)
    }

    /// Slots became no run.
    #[must_use]
    pub fn missed(skip: &Skip, failures: u32, host: &str) -> Self {
        let occasion = Occasion::Missed;
        // Job and slot, as the run would have had them: ids of jobs may have points.
        let id = format!("{}-{}", occasion.as_str(), RunId::of_slot(&skip.job, skip.first));
        let kind = occasion.event_type();
        let notice = Self::of(id, &kind, Some(occasion), skip.at, skip.job.as_str(), host);
        let notice = notice
            .with("scheduled_for", instant(skip.first))
            .with("last", instant(skip.last))
            .with("count", skip.count)
            .with("reason", skip.reason.as_str())
            .with("error", format!("{} of its slots became no run: {}", skip.count, skip.reason))
            .with("consecutive_failures", failures);
        match skip.run {
            Some(run) => Self { run: Some(run), ..notice.with("run", run.to_string()) },
            None => notice,
        }
    }

    /// That a channel works.
    #[must_use]
    pub fn test(channel: &str, at: DateTime<Utc>, host: &str) -> Self {
        let id = format!("test-{}", at.timestamp_micros());
        let message = format!("a test of the channel `{channel}`; nothing happened");
        Self::of(id, "test", None, at, "clockjack-test", host).with("error", Json::Null).with("message", message)
    }

    /// The job.
    #[must_use]
    pub fn job(&self) -> &str {
        self.text("job")
    }

    /// A field that is text, empty where it is none.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Json::as_str).unwrap_or_default()
    }

    /// What programs get.
    #[must_use]
    pub fn body(&self) -> String {
        Json::Object(self.fields.clone()).to_string()
    }

    /// What people get.
    #[must_use]
    pub fn words(&self) -> String {
        let lines = [
            format!("{}: {}", self.text("type"), self.job()),
            field("outcome", self.text("outcome")),
            field("error", self.text("error")),
            field("scheduled for", self.text("scheduled_for")),
            field("run", self.text("run")),
            field("host", self.text("host")),
            if self.logs.is_empty() { String::new() } else { format!("\n{}", self.logs) },
        ];
        lines.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// As it is kept in the ledger.
    pub(super) fn to_json(&self) -> Json {
        json!({
            "id": self.id,
            "occasion": self.occasion.map(Occasion::as_str),
            "run": self.run.map(|run| run.to_string()),
            "logs": self.logs,
            "fields": self.fields,
        })
    }

    /// As it was kept.
    pub(super) fn from_json(json: &Json) -> Option<Self> {
        let text = |name: &str| json.get(name)?.as_str();
        let occasion = |word: &str| Occasion::ALL.into_iter().find(|occasion| occasion.as_str() == word);
        Some(Self {
            id: text("id")?.to_owned(),
            occasion: text("occasion").and_then(occasion),
            run: text("run").and_then(|run| run.parse().ok()),
            logs: text("logs").unwrap_or_default().to_owned(),
            fields: json.get("fields")?.as_object()?.clone(),
        })
    }
}

fn field(name: &str, value: &str) -> String {
    if value.is_empty() { String::new() } else { format!("{name}: {value}") }
}

/// The last lines of a log, for people. A guest wrote them: each stays one line.
fn logs(lines: &[LogLine]) -> String {
    let from = lines.len().saturating_sub(LOGS_MAX);
    let line = |line: &LogLine| {
        let message: String =
            line.message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LOG_CHARS_MAX).collect();
        format!("{} {} {message}", line.at.to_rfc3339_opts(SecondsFormat::Millis, true), line.level.as_str())
    };
    lines[from..].iter().map(line).collect::<Vec<_>>().join("\n")
}
