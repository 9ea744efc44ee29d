//! Events as JSON, one object in a line. Written by hand: under load there are tens of thousands of them in a second.

use std::{
    fmt::{Display, Write as _},
    time::Duration,
};

use chrono::{DateTime, Datelike as _, SecondsFormat, SubsecRound as _, Timelike as _, Utc};

/// An object that is being written.
#[derive(Debug)]
pub(super) struct Object(String);

impl Object {
    /// The beginning of an event: what stands in all of them.
    pub(super) fn event(kind: &str, at: DateTime<Utc>) -> Self {
        let mut object = Self(String::with_capacity(320));
        object.kind(kind, at);
        object
    }

    /// What stands in all events.
    pub(super) fn kind(&mut self, kind: &str, at: DateTime<Utc>) -> &mut Self {
        self.text("type", kind).instant("at", at)
    }

    /// The beginning of an event behind what stands in a text already, with its number.
    pub(super) fn onto(text: &mut String, id: u64) -> Self {
        let mut text = std::mem::take(text);
        let _never_fails = write!(text, "{{\"id\":{id}");
        Self(text)
    }

    /// The end of what was begun so.
    pub(super) fn close(mut self, text: &mut String) {
        self.0.push('}');
        *text = self.0;
    }

    fn key(&mut self, key: &str) {
        self.0.push_str(",\"");
        self.0.push_str(key);
        self.0.push_str("\":");
    }

    /// A text of anybody's.
    pub(super) fn text(&mut self, key: &str, value: &str) -> &mut Self {
        self.key(key);
        let is_plain = value.bytes().all(|byte| byte != b'"' && byte != b'\\' && 0x20 <= byte);
        if is_plain {
            self.0.push('"');
            self.0.push_str(value);
            self.0.push('"');
        } else {
            self.0.push_str(&serde_json::Value::from(value).to_string());
        }
        self
    }

    /// A word of ours, in which nothing needs to be escaped.
    pub(super) fn word(&mut self, key: &str, value: impl Display) -> &mut Self {
        self.key(key);
        let _never_fails = write!(self.0, "\"{value}\"");
        self
    }

    pub(super) fn text_or_null(&mut self, key: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(key, value),
            None => self.null(key),
        }
    }

    pub(super) fn null(&mut self, key: &str) -> &mut Self {
        self.raw(key, "null")
    }

    /// JSON as it is.
    pub(super) fn raw(&mut self, key: &str, value: &str) -> &mut Self {
        self.key(key);
        self.0.push_str(value);
        self
    }

    pub(super) fn number(&mut self, key: &str, value: impl Into<u64>) -> &mut Self {
        self.key(key);
        let _never_fails = write!(self.0, "{}", value.into());
        self
    }

    pub(super) fn number_or_null(&mut self, key: &str, value: Option<impl Into<u64>>) -> &mut Self {
        match value {
            Some(value) => self.number(key, value),
            None => self.null(key),
        }
    }

    /// Milliseconds, to the microsecond.
    pub(super) fn millis(&mut self, key: &str, value: Duration) -> &mut Self {
        self.key(key);
        let micros = value.as_micros();
        let _never_fails = write!(self.0, "{}.{:03}", micros / 1_000, micros % 1_000);
        self
    }

    pub(super) fn millis_or_null(&mut self, key: &str, value: Option<Duration>) -> &mut Self {
        match value {
            Some(value) => self.millis(key, value),
            None => self.null(key),
        }
    }

    pub(super) fn instant(&mut self, key: &str, at: DateTime<Utc>) -> &mut Self {
        self.key(key);
        self.0.push('"');
        push_instant(&mut self.0, at);
        self.0.push('"');
        self
    }

    pub(super) fn instant_or_null(&mut self, key: &str, at: Option<DateTime<Utc>>) -> &mut Self {
        match at {
            Some(at) => self.instant(key, at),
            None => self.null(key),
        }
    }

    /// What was written, without the number of the event and without braces.
    pub(super) fn into_body(self) -> String {
        self.0
    }
}

/// Appends the event with its number.
pub(super) fn number(id: u64, body: &str, text: &mut String) {
    let _never_fails = write!(text, "{{\"id\":{id}{body}}}");
}

/// RFC 3339 in UTC, with as many digits as the instant has: none, three or six. The ledger keeps microseconds, and an event
/// that is told anew after a crash is to say the same.
fn push_instant(text: &mut String, at: DateTime<Utc>) {
    if !(1..=9_999).contains(&at.year()) {
        return text.push_str(&at.trunc_subsecs(6).to_rfc3339_opts(SecondsFormat::AutoSi, true));
    }
    // Each look at an instant with a zone goes by way of the local time.
    let at = at.naive_utc();
    digits(text, at.year().unsigned_abs(), 4);
    for (mark, number) in [('-', at.month()), ('-', at.day()), ('T', at.hour()), (':', at.minute()), (':', at.second())]
    {
        text.push(mark);
        digits(text, number, 2);
    }
    // A leap second has more nanoseconds than a second.
    let micros = at.nanosecond() % 1_000_000_000 / 1_000;
    if micros != 0 {
        text.push('.');
        match micros {
            micros if micros % 1_000 == 0 => digits(text, micros / 1_000, 3),
            micros => digits(text, micros, 6),
        }
    }
    text.push('Z');
}

/// A number with so many digits.
fn digits(text: &mut String, number: u32, n_digits: u32) {
    for place in (0..n_digits).rev() {
        let digit = number / 10_u32.pow(place) % 10;
        text.push(char::from_digit(digit, 10).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    #[test]
    fn instants_are_written_as_everywhere_else() {
        for (seconds, nanos) in
            [(0, 0), (1_800_000_000, 1), (1_800_000_059, 120_000_000), (951_782_399, 999_999_000), (4_102_444_800, 7)]
        {
            let at = DateTime::from_timestamp(seconds, nanos).unwrap();
            let mut text = String::new();
            push_instant(&mut text, at);
            assert_eq!(text, crate::cli::rfc3339(at));
        }
        let mut text = String::new();
        push_instant(&mut text, DateTime::from_timestamp(0, 950_758_130).unwrap());
        assert_eq!(text, "1970-01-01T00:00:00.950758Z", "the ledger keeps no more");
    }

    #[test]
    fn what_anybody_says_stays_one_line_of_json() {
        let mut object = Object::event("run.progress", DateTime::UNIX_EPOCH);
        object.text("a", "line\nline \"quoted\" \\ \u{7}\u{fc}").null("b").number("c", 7_u64);
        object.millis("d", Duration::from_micros(1_500_007)).instant_or_null("e", None);
        let mut text = String::new();
        number(12, &object.into_body(), &mut text);
        assert!(!text.contains('\n'), "{text}");
        let read: Json = serde_json::from_str(&text).unwrap();
        let expected = json!({
            "id": 12, "type": "run.progress", "at": "1970-01-01T00:00:00Z",
            "a": "line\nline \"quoted\" \\ \u{7}\u{fc}", "b": null, "c": 7, "d": 1500.007, "e": null,
        });
        assert_eq!(read, expected);
    }
}
