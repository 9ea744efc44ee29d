//! The end of an attempt as columns: when, how, and what it used. What it wrote stands elsewhere.

use std::{sync::Arc, time::Duration};

use clockjack_schedule::{
    id::{JobId, RunId},
    outcome::{Again, Outcome},
    ports::{Captured, Finish, Report, Usage},
};
use serde_json::{Map, Value as Json};

use super::value::{Fields, Undecodable, Value};

/// The length of a digest that is stored as bytes.
const DIGEST_BYTES: usize = 32;

/// Says that a digest follows as bytes, or as text.
const AS_BYTES: u8 = 1;
const AS_TEXT: u8 = 0;

/// How many rows elsewhere belong to a row, so that one that is lost is missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Belongings {
    /// Attempts before this one; told of a run's last one only.
    pub(crate) n_earlier: usize,
    /// What it returned and wrote.
    pub(crate) n_parts: usize,
    /// Lines that it logged.
    pub(crate) n_logs: usize,
}

impl Belongings {
    /// What an end brings along.
    pub(super) fn of(report: &Report, n_earlier: usize) -> Self {
        let has = [report.outcome.output.is_some(), !is_empty(&report.stdout), !is_empty(&report.stderr)];
        Self { n_earlier, n_parts: has.into_iter().map(usize::from).sum(), n_logs: report.logs.len() }
    }
}

/// Adds the columns of an end. `n_earlier` attempts came before it.
pub(super) fn push_end(values: &mut Vec<Value>, finish: &Finish, n_earlier: usize) {
    let report = &finish.report;
    let message = Some(report.outcome.message.as_str()).filter(|message| !message.is_empty());
    values.extend([
        finish.started_at.into(),
        finish.finished_at.into(),
        nanos(finish.duration),
        finish.n_attempts.into(),
        report.outcome.code.as_str().into(),
        message.into(),
        nanos(report.cpu_time),
        report.memory_peak_bytes.into(),
        report.generation.into(),
        digest_value(&report.digest),
        extra_value(report, Belongings::of(report, n_earlier)),
    ]);
}

/// Reads the columns of an end; output, stdout, stderr and log lines stay empty.
pub(super) fn read_end(fields: &mut Fields, run: RunId, job: JobId) -> Result<(Finish, Belongings), Undecodable> {
    let started_at = fields.maybe_at()?;
    let finished_at = fields.at()?;
    let duration = read_nanos(fields)?;
    let n_attempts = fields.u32()?;
    let code = fields.text()?;
    let code = code.parse().map_err(|error| Undecodable(format!("{error}")))?;
    let outcome = Outcome::ended(code, fields.maybe_text()?.unwrap_or_default());
    let cpu_time = read_nanos(fields)?;
    let memory_peak_bytes = fields.u64()?;
    let generation = fields.u32()?;
    let digest = read_digest(fields)?;
    let mut report = Report { cpu_time, memory_peak_bytes, generation, digest, ..Report::without_guest(outcome) };
    let belongings = match fields.maybe_text()? {
        Some(extra) => read_extra(&extra, &mut report)?,
        None => Belongings::default(),
    };
    Ok((Finish { run, job, started_at, finished_at, duration, n_attempts, report, state: None }, belongings))
}

/// What most reports do not have, as one JSON object.
fn extra_value(report: &Report, belongings: Belongings) -> Value {
    let mut extra = Map::new();
    match report.outcome.again {
        Again::AsPolicySays => {}
        Again::Never => drop(extra.insert("again".into(), "never".into())),
        Again::After(delay) => drop(extra.insert("again_after_ns".into(), saturated(delay).into())),
    }
    if let Some(fuel) = report.fuel_used {
        extra.insert("fuel_used".into(), fuel.into());
    }
    if let Some(usage) = usage_json(report.usage) {
        extra.insert("usage".into(), usage);
    }
    if let Some(progress) = &report.progress {
        extra.insert("progress".into(), progress.as_str().into());
    }
    if report.n_logs_dropped != 0 {
        extra.insert("n_logs_dropped".into(), report.n_logs_dropped.into());
    }
    let Belongings { n_earlier, n_parts, n_logs } = belongings;
    for (key, number) in [("n_earlier", n_earlier), ("n_parts", n_parts), ("n_logs", n_logs)] {
        if number != 0 {
            extra.insert(key.into(), number.into());
        }
    }
    if extra.is_empty() { Value::Null } else { Value::Text(Json::Object(extra).to_string()) }
}

/// What was used, without zeros; nothing where there is nothing else.
fn usage_json(usage: Usage) -> Option<Json> {
    let used = usage.figures().filter(|(_, figure)| *figure != 0);
    let object: Map<String, Json> = used.map(|(name, figure)| (name.to_owned(), figure.into())).collect();
    (!object.is_empty()).then_some(Json::Object(object))
}

/// Figures that an older host did not write are zero; those of a newer one are left out.
fn read_usage(object: Option<&Json>) -> Usage {
    let mut usage = Usage::default();
    for (name, place) in Usage::FIGURES {
        *place(&mut usage) = object.and_then(|object| object.get(name)?.as_u64()).unwrap_or_default();
    }
    usage
}

fn read_extra(text: &str, report: &mut Report) -> Result<Belongings, Undecodable> {
    let extra: Map<String, Json> =
        serde_json::from_str(text).map_err(|error| Undecodable(format!("what is said of a report: {error}")))?;
    let number = |key: &str| extra.get(key).and_then(Json::as_u64);
    report.outcome.again = match (extra.get("again"), number("again_after_ns")) {
        (Some(_), _) => Again::Never,
        (None, Some(delay)) => Again::After(Duration::from_nanos(delay)),
        (None, None) => Again::AsPolicySays,
    };
    report.fuel_used = number("fuel_used");
    report.usage = read_usage(extra.get("usage"));
    report.progress = extra.get("progress").and_then(Json::as_str).map(str::to_owned);
    report.n_logs_dropped = number("n_logs_dropped").unwrap_or_default();
    let count = |key: &str| usize::try_from(number(key).unwrap_or_default()).unwrap_or(usize::MAX);
    Ok(Belongings { n_earlier: count("n_earlier"), n_parts: count("n_parts"), n_logs: count("n_logs") })
}

/// Half the size of the hex form, which each run has.
fn digest_value(digest: &str) -> Value {
    if digest.is_empty() {
        return Value::Null;
    }
    if let Some(bytes) = bytes_of_hex(digest) {
        return Value::Blob([&[AS_BYTES], bytes.as_slice()].concat());
    }
    Value::Blob([&[AS_TEXT], digest.as_bytes()].concat())
}

fn read_digest(fields: &mut Fields) -> Result<Arc<str>, Undecodable> {
    let Some(bytes) = fields.maybe_blob()? else { return Ok(Arc::from("")) };
    match bytes.split_first() {
        Some((&AS_BYTES, bytes)) => {
            let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
            Ok(digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect::<String>().into())
        }
        Some((&AS_TEXT, text)) => {
            let text = str::from_utf8(text).map_err(|error| Undecodable(format!("a digest: {error}")))?;
            Ok(text.into())
        }
        Some(_) | None => Err(Undecodable("a digest is written in an unknown way".into())),
    }
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 2 * DIGEST_BYTES || text.contains(|c: char| c.is_ascii_uppercase()) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// A duration as it is stored; what is longer than 584 years counts as that.
fn nanos(duration: Duration) -> Value {
    saturated(duration).into()
}

fn saturated(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn read_nanos(fields: &mut Fields) -> Result<Duration, Undecodable> {
    fields.u64().map(Duration::from_nanos)
}

/// Whether nothing of it was written, kept or dropped.
pub(super) fn is_empty(captured: &Captured) -> bool {
    *captured == Captured::default()
}
