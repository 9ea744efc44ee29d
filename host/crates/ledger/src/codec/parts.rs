//! What an attempt wrote, returned and logged, as rows of their own: most attempts have none of it.

use clockjack_schedule::{
    id::RunId,
    outcome::is_deeper,
    ports::{Captured, Finish, LogLevel, LogLine, Report},
};
use serde_json::Value as Json;

use super::{
    report::is_empty,
    value::{Fields, Undecodable, Value, seal},
};

/// The number under which the parts of the last attempt of a run are kept. Earlier attempts count from 1.
pub(crate) const LAST_ATTEMPT: u32 = 0;

/// How deep JSON may nest to be stored as such. The parser ends at 128.
const JSON_DEPTH_MAX: usize = 100;

/// Which part of a report.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    /// What the function returned.
    Output(Json),
    /// What the guest wrote to stdout.
    Stdout(Captured),
    /// What the guest wrote to stderr.
    Stderr(Captured),
}

impl Part {
    /// Puts it where it belongs.
    pub(crate) fn place(self, report: &mut Report) {
        match self {
            Self::Output(output) => report.outcome.output = Some(output),
            Self::Stdout(captured) => report.stdout = captured,
            Self::Stderr(captured) => report.stderr = captured,
        }
    }
}

/// Adds the rows of what an attempt wrote and returned, where it did.
pub(crate) fn part_values(values: &mut Vec<Value>, finish: &Finish, attempt: u32) {
    if let Some(output) = &finish.report.outcome.output {
        let captured = Captured { text: json_text(output), ..Captured::default() };
        push_part(values, finish.run, attempt, "output", &captured);
    }
    for (name, captured) in [("stdout", &finish.report.stdout), ("stderr", &finish.report.stderr)] {
        if !is_empty(captured) {
            push_part(values, finish.run, attempt, name, captured);
        }
    }
}

fn push_part(values: &mut Vec<Value>, run: RunId, attempt: u32, name: &str, captured: &Captured) {
    let start = values.len();
    values.extend([
        run.into(),
        attempt.into(),
        name.into(),
        captured.text.as_str().into(),
        captured.n_bytes.into(),
        captured.n_bytes_dropped.into(),
    ]);
    seal(values, start);
}

/// Reads what [`part_values`] wrote: of which attempt, and what.
pub(crate) fn read_part(values: Vec<Value>) -> Result<(u32, Part), Undecodable> {
    let mut fields = Fields::sealed(values)?;
    fields.run_id()?;
    let attempt = fields.u32()?;
    let name = fields.text()?;
    let captured = Captured { text: fields.text()?, n_bytes: fields.u64()?, n_bytes_dropped: fields.u64()? };
    let part = match name.as_str() {
        "output" => Part::Output(
            serde_json::from_str(&captured.text).map_err(|error| Undecodable(format!("an output: {error}")))?,
        ),
        "stdout" => Part::Stdout(captured),
        "stderr" => Part::Stderr(captured),
        _ => return Err(Undecodable(format!("`{name}` is no part of a report"))),
    };
    Ok((attempt, part))
}

/// Adds the rows of what an attempt logged.
pub(crate) fn log_values(values: &mut Vec<Value>, finish: &Finish, attempt: u32) {
    for (number, line) in (0_u64..).zip(&finish.report.logs) {
        let start = values.len();
        let fields = if line.fields.is_empty() { Value::Null } else { Value::Text(fields_text(&line.fields)) };
        values.extend([
            finish.run.into(),
            attempt.into(),
            number.into(),
            line.at.into(),
            line.level.as_str().into(),
            line.message.as_str().into(),
            fields,
        ]);
        seal(values, start);
    }
}

/// Reads what [`log_values`] wrote: of which attempt, and what.
pub(crate) fn read_log(values: Vec<Value>) -> Result<(u32, LogLine), Undecodable> {
    let mut columns = Fields::sealed(values)?;
    columns.run_id()?;
    let attempt = columns.u32()?;
    columns.u64()?;
    let at = columns.at()?;
    let level = read_level(&columns.text()?)?;
    let message = columns.text()?;
    let fields = columns.maybe_text()?.map_or_else(|| Ok(Vec::new()), |text| read_fields(&text))?;
    Ok((attempt, LogLine { at, level, message, fields }))
}

fn fields_text(fields: &[(String, String)]) -> String {
    fields.iter().map(|(key, value)| Json::from(vec![key.as_str(), value.as_str()])).collect::<Json>().to_string()
}

fn read_fields(text: &str) -> Result<Vec<(String, String)>, Undecodable> {
    serde_json::from_str(text).map_err(|error| Undecodable(format!("the fields of a log line: {error}")))
}

fn read_level(text: &str) -> Result<LogLevel, Undecodable> {
    let levels = [LogLevel::Trace, LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
    let level = levels.into_iter().find(|level| level.as_str() == text);
    level.ok_or_else(|| Undecodable(format!("`{text}` is no level of a log line")))
}

/// A value as text that the parser takes back: what nests deeper than it reads becomes a string.
fn json_text(json: &Json) -> String {
    if is_deeper(json, JSON_DEPTH_MAX) { Json::String(json.to_string()).to_string() } else { json.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_that_nests_too_deep_is_kept_as_text() {
        let nested = |depth: usize| (0..depth).fold(Json::Null, |inner, _| Json::from(vec![inner]));
        for depth in [0, 1, 99, 100, 101, 5_000] {
            let text = json_text(&nested(depth));
            let back: Json = serde_json::from_str(&text).unwrap();
            assert_eq!(back.is_string(), 100 < depth, "{depth}");
        }
    }
}
