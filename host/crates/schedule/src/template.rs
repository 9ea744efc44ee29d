//! Templates in arguments: `${run.id}` and `${payload.x}`, read when the manifest is loaded and filled in when a job fires.
//!
//! A text that is exactly one template takes the value as it is; in any other text values are inserted as text. `$${` stands
//! for `${`. What a value holds is never looked at again.

use chrono::{DateTime, SecondsFormat, SubsecRound as _, Utc};
use serde_json::Value as Json;

use crate::{diagnostic::did_you_mean, manifest::scalar::show_size, outcome::json_bytes, ports::Attempt};

/// A text with places that are filled in when a job fires.
///
/// ```
/// use clockjack_schedule::template::Template;
///
/// assert!(Template::parse("report of ${run.scheduled_for}").unwrap().literal().is_none());
/// assert_eq!(Template::parse("$${run.id}").unwrap().literal(), Some("${run.id}"));
/// let fault = Template::parse("${run.schedule_for}").unwrap_err();
/// assert_eq!(fault.fix, "did you mean `${run.scheduled_for}`?");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Reference),
}

/// What stands between the braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    what: What,
    /// What stands behind `:-`: the value where there is none.
    default: Option<String>,
    written: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Fact(Fact),
    Payload(Vec<Step>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// What is known of every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    Id,
    Job,
    Cause,
    Attempt,
    MaxAttempts,
    ScheduledFor,
    StartedAt,
    LastSuccess,
}

const FACTS: [(&str, Fact); 8] = [
    ("run.id", Fact::Id),
    ("run.job", Fact::Job),
    ("run.cause", Fact::Cause),
    ("run.attempt", Fact::Attempt),
    ("run.max_attempts", Fact::MaxAttempts),
    ("run.scheduled_for", Fact::ScheduledFor),
    ("run.started_at", Fact::StartedAt),
    ("run.last_success", Fact::LastSuccess),
];

/// What kind of value a reference has, as far as that is known before a job fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A small whole number.
    Number,
    /// An instant.
    Instant,
    /// An instant, or nothing.
    MaybeInstant,
    /// Whatever the payload holds.
    Anything,
}

/// The value of a reference.
#[derive(Clone, Debug, PartialEq)]
pub enum Filled {
    /// As JSON has it.
    Json(Json),
    /// An instant, which is text or a number, as the parameter wants it.
    Instant(DateTime<Utc>),
    /// A default, as it was written.
    Default(String),
}

/// What is wrong with a template, and where in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFault {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub fix: String,
}

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// When a `${…}` in it names nothing.
    pub fn parse(text: &str) -> Result<Self, TemplateFault> {
        let (mut parts, mut literal, mut at) = (Vec::new(), String::new(), 0);
        while let Some(start) = text[at..].find("${").map(|n| at + n) {
            if text[at..start].ends_with('$') {
                literal.push_str(&text[at..start - 1]);
                literal.push_str("${");
                at = start + 2;
                continue;
            }
            literal.push_str(&text[at..start]);
            let fault = |end, (message, fix)| TemplateFault { start, end, message, fix };
            let Some(close) = text[start..].find('}').map(|n| start + n) else {
                let told =
                    ("`${` has no closing `}`".to_owned(), "close it; for the plain characters write `$${`".into());
                return Err(fault(text.len(), told));
            };
            let reference = Reference::parse(&text[start + 2..close]).map_err(|told| fault(close + 1, told))?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Value(reference));
            at = close + 1;
        }
        literal.push_str(&text[at..]);
        if !literal.is_empty() || parts.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    /// The text, where nothing in it is to be filled in.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The only reference, where the text is nothing else.
    #[must_use]
    pub fn whole(&self) -> Option<&Reference> {
        match self.parts.as_slice() {
            [Part::Value(reference)] => Some(reference),
            _ => None,
        }
    }

    /// The text with all values in it.
    ///
    /// # Errors
    /// When a value is not there, or the text becomes too large.
    pub fn text(&self, attempt: &Attempt) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Value(reference) => match reference.value(attempt)? {
                    Filled::Json(Json::Null) => {}
                    Filled::Json(Json::String(value)) | Filled::Default(value) => text.push_str(&value),
                    Filled::Json(value) => text.push_str(&value.to_string()),
                    Filled::Instant(at) => text.push_str(&rfc3339(at)),
                },
            }
            if FILLED_BYTES_MAX < text.len() {
                return Err(too_large());
            }
        }
        Ok(text)
    }
}

/// An instant as text.
#[must_use]
pub fn rfc3339(at: DateTime<Utc>) -> String {
    at.trunc_subsecs(6).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Writes a text so that nothing in it counts as a template.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

/// A value with every template in it filled in. A text that is nothing but one takes the type of its value; an instant is
/// text.
///
/// # Errors
/// When a value is not there, or all of them together become too large.
pub fn fill(json: &Json, attempt: &Attempt) -> Result<Json, String> {
    let mut n_bytes_left = FILLED_BYTES_MAX;
    fill_within(json, attempt, &mut n_bytes_left)
}

fn fill_within(json: &Json, attempt: &Attempt, n_bytes_left: &mut usize) -> Result<Json, String> {
    Ok(match json {
        Json::Null | Json::Bool(_) | Json::Number(_) => json.clone(),
        Json::String(text) => {
            let filled = fill_text(text, attempt)?;
            *n_bytes_left = n_bytes_left.checked_sub(json_bytes(&filled)).ok_or_else(too_large)?;
            filled
        }
        Json::Array(items) => {
            let filled = items.iter().map(|item| fill_within(item, attempt, n_bytes_left));
            Json::Array(filled.collect::<Result<_, _>>()?)
        }
        Json::Object(entries) => {
            let filled =
                entries.iter().map(|(key, value)| Ok((key.clone(), fill_within(value, attempt, n_bytes_left)?)));
            Json::Object(filled.collect::<Result<_, String>>()?)
        }
    })
}

/// Most bytes that a text or a value has once everything is filled in.
const FILLED_BYTES_MAX: usize = 4 << 20;

fn too_large() -> String {
    format!("what is filled in has more than {}", show_size(u64::try_from(FILLED_BYTES_MAX).unwrap_or(u64::MAX)))
}

fn fill_text(text: &str, attempt: &Attempt) -> Result<Json, String> {
    let template = Template::parse(text).map_err(|fault| fault.message)?;
    let Some(reference) = template.whole() else { return Ok(template.text(attempt)?.into()) };
    Ok(match reference.value(attempt)? {
        Filled::Json(json) => json,
        Filled::Instant(at) => rfc3339(at).into(),
        Filled::Default(text) => text.into(),
    })
}

/// Writes every text in a value so that nothing in it counts as a template.
pub fn escape_all(json: &mut Json) {
    match json {
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
        Json::String(text) if text.contains("${") => *text = escape(text),
        Json::String(_) => {}
        Json::Array(items) => items.iter_mut().for_each(escape_all),
        Json::Object(entries) => entries.values_mut().for_each(escape_all),
    }
}

impl Reference {
    fn parse(inner: &str) -> Result<Self, (String, String)> {
        let written = format!("${{{inner}}}");
        let (path, default) = match inner.split_once(":-") {
            Some((path, default)) => (path, Some(default.to_owned())),
            None => (inner, None),
        };
        let what = match path.strip_prefix("payload") {
            Some(rest) if rest.is_empty() || rest.starts_with(['.', '[']) => {
                let told = || (format!("`{written}` is no path into the payload"), PATH_FORM.to_owned());
                What::Payload(steps(rest).ok_or_else(told)?)
            }
            Some(_) | None => match FACTS.iter().find(|(name, _)| *name == path) {
                Some((_, fact)) => What::Fact(*fact),
                None => return Err((format!("`{written}` names nothing"), nearest(path))),
            },
        };
        Ok(Self { what, default, written })
    }

    /// What kind of value it has.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.what {
            What::Payload(_) => Kind::Anything,
            What::Fact(Fact::Id | Fact::Job | Fact::Cause) => Kind::Text,
            What::Fact(Fact::Attempt | Fact::MaxAttempts) => Kind::Number,
            What::Fact(Fact::ScheduledFor | Fact::StartedAt) => Kind::Instant,
            What::Fact(Fact::LastSuccess) => Kind::MaybeInstant,
        }
    }

    /// What stands behind `:-`.
    #[must_use]
    pub fn default(&self) -> Option<&str> {
        self.default.as_deref()
    }

    /// As it was written, with the braces.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The value, when the job fires.
    ///
    /// # Errors
    /// When there is none, and no default either.
    pub fn value(&self, attempt: &Attempt) -> Result<Filled, String> {
        let run = &attempt.run;
        let fact = match &self.what {
            What::Payload(steps) => return self.of_payload(steps, run.payload.as_ref().map(|payload| payload.json())),
            What::Fact(fact) => fact,
        };
        Ok(match fact {
            Fact::Id => Filled::Json(run.id.to_string().into()),
            Fact::Job => Filled::Json(run.job.to_string().into()),
            Fact::Cause => Filled::Json(run.cause.to_string().into()),
            Fact::Attempt => Filled::Json(attempt.number.into()),
            Fact::MaxAttempts => Filled::Json(attempt.number_max.into()),
            Fact::ScheduledFor => Filled::Instant(run.scheduled_for),
            Fact::StartedAt => Filled::Instant(attempt.started_at),
            Fact::LastSuccess => match (attempt.last_success, &self.default) {
                (Some(at), _) => Filled::Instant(at),
                (None, Some(default)) => Filled::Default(default.clone()),
                (None, None) => Filled::Json(Json::Null),
            },
        })
    }

    fn of_payload(&self, steps: &[Step], payload: Option<&Json>) -> Result<Filled, String> {
        let found = payload.ok_or_else(|| "the run has no payload".to_owned()).and_then(|json| follow(json, steps));
        match (found, &self.default) {
            (Ok(json), _) => Ok(Filled::Json(json.clone())),
            (Err(_), Some(default)) => Ok(Filled::Default(default.clone())),
            (Err(why), None) => Err(format!("`{}` cannot be filled in: {why}", self.written)),
        }
    }
}

const PATH_FORM: &str = "write `${payload}`, `${payload.name}` or `${payload.list[0].name}`";

fn nearest(path: &str) -> String {
    // `payload` has no names of its own; what is like it is meant to be it.
    let first = path.split(['.', '[']).next().unwrap_or_default();
    if let Some(near) = did_you_mean(path, FACTS.iter().map(|(name, _)| *name)).filter(|_| first != "payload") {
        return format!("did you mean `${{{near}}}`?");
    }
    if did_you_mean(first, ["payload"]).is_some() {
        return format!("did you mean `${{payload{}}}`?", &path[first.len()..]);
    }
    let names: Vec<_> = FACTS.iter().map(|(name, _)| *name).collect();
    format!("it may be one of {} or payload.…; for the plain characters write `$${{`", names.join(", "))
}

/// Reads `.x.y[0]`.
fn steps(path: &str) -> Option<Vec<Step>> {
    let (mut steps, mut rest) = (Vec::new(), path);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let key = Some(&after[..end]).filter(|key| !key.is_empty() && !key.contains([']', '"', ' ']))?;
            steps.push(Step::Key(key.to_owned()));
            rest = &after[end..];
        } else {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            rest = after;
        }
    }
    Some(steps)
}

fn follow<'j>(mut json: &'j Json, steps: &[Step]) -> Result<&'j Json, String> {
    let mut path = "the payload".to_owned();
    for step in steps {
        let (next, shown) = match step {
            Step::Key(key) => (json.get(key), format!("`{key}`")),
            Step::Index(index) => (json.get(index), format!("item {index}")),
        };
        json = next.ok_or_else(|| format!("{path} has no {shown}"))?;
        path = shown;
    }
    Ok(json)
}

#[cfg(test)]
mod tests;
