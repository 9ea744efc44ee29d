//! Takes the values of secrets out of what an attempt leaves behind: output, logs, errors.
//!
//! It guards against accidents, not against the job: whoever wants to tell a secret can write it backwards. Found are the
//! value itself, without the white space around it, its form inside JSON text, each long line of it, and the whole of it
//! in base64. Values of less than four bytes are left alone: they would be found in every other word.

use std::collections::BTreeMap;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use clockjack_schedule::{
    ports::{LogLine, Report},
    secret::{SecretName, SecretText},
};
use serde_json::Value as Json;

/// Shortest value that is looked for.
const VALUE_BYTES_MIN: usize = 4;

/// Shortest line of a value of several lines that is looked for by itself.
const LINE_BYTES_MIN: usize = 16;

/// How many values of one report are replaced by their names. What comes after them gets a mark that is no longer than the
/// shortest value, so that no guest makes its output much longer by printing a short secret again and again.
const NAMED_MAX: usize = 1_000;

/// The mark without a name.
const MARK: &str = "[..]";

/// Looks for the values of some secrets.
pub(crate) struct Redactor {
    /// What is looked for and what takes its place, longest first.
    patterns: Vec<(String, String)>,
    n_named_left: usize,
}

/// Where a text was cut, so that a part of a value may stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutAt {
    Nowhere,
    Start,
    End,
}

impl Redactor {
    /// Something that looks for the values, if any of them is long enough.
    pub(crate) fn new<'s>(secrets: impl Iterator<Item = (&'s SecretName, &'s SecretText)>) -> Option<Self> {
        let mut patterns = BTreeMap::new();
        for (name, value) in secrets {
            for form in forms(value.reveal()) {
                patterns.entry(form).or_insert_with(|| format!("[secret {name}]"));
            }
        }
        if patterns.is_empty() {
            return None;
        }
        let mut patterns: Vec<_> = patterns.into_iter().collect();
        patterns.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
        Some(Self { patterns, n_named_left: NAMED_MAX })
    }

    /// Whether a value may stand in several lines of a text.
    pub(crate) fn spans_lines(&self) -> bool {
        self.patterns.iter().any(|(form, _)| form.contains('\n'))
    }

    /// The text without the values. Each is looked for once from left to right, the longest first where several begin.
    pub(crate) fn text(&mut self, text: &mut String, cut: CutAt) {
        // Where each pattern comes next. One that is behind the last replacement is looked for again.
        let mut next: Vec<_> = self.patterns.iter().map(|(form, _)| text.find(form.as_str())).collect();
        let mut cleaned = String::new();
        let mut at = 0;
        while let Some((place, index)) =
            next.iter().enumerate().filter_map(|(index, place)| Some(((*place)?, index))).min()
        {
            cleaned.push_str(&text[at..place]);
            self.n_named_left = self.n_named_left.saturating_sub(1);
            let (form, name) = &self.patterns[index];
            cleaned.push_str(if self.n_named_left == 0 { MARK } else { name });
            at = place + form.len();
            for (place, (form, _)) in next.iter_mut().zip(&self.patterns) {
                if place.is_some_and(|place| place < at) {
                    *place = text[at..].find(form.as_str()).map(|found| at + found);
                }
            }
        }
        if 0 < at {
            cleaned.push_str(&text[at..]);
            *text = cleaned;
        }
        match cut {
            CutAt::Nowhere => {}
            CutAt::Start => self.start(text),
            CutAt::End => self.end(text),
        }
    }

    /// Takes the last part of a value from the start of a text that was cut there.
    fn start(&self, text: &mut String) {
        let rest = text.trim_start_matches(char::REPLACEMENT_CHARACTER);
        let part = |form: &str| {
            (1..form.len())
                .filter(|at| form.is_char_boundary(*at))
                .map(|at| form.len() - at)
                .find(|n| rest.starts_with(&form[form.len() - n..]))
        };
        if let Some((n_bytes, name)) = self.longest(part) {
            *text = format!("{name}{}", &rest[n_bytes..]);
        }
    }

    /// Takes the first part of a value from the end of a text that was cut there.
    fn end(&self, text: &mut String) {
        let rest = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
        let part = |form: &str| {
            (1..form.len()).rev().filter(|at| form.is_char_boundary(*at)).find(|at| rest.ends_with(&form[..*at]))
        };
        if let Some((n_bytes, name)) = self.longest(part) {
            *text = format!("{}{name}", &rest[..rest.len() - n_bytes]);
        }
    }

    /// The longest part of any value that `part` finds, unless it is too short to tell anything.
    fn longest(&self, part: impl Fn(&str) -> Option<usize>) -> Option<(usize, &str)> {
        let found = self.patterns.iter().filter_map(|(form, name)| Some((part(form)?, name.as_str())));
        found.max().filter(|(n_bytes, _)| VALUE_BYTES_MIN <= *n_bytes)
    }

    /// A report without the values. What the guest wrote to stdout and stderr was cleaned when it was taken.
    pub(crate) fn report(&mut self, report: &mut Report) {
        // It may have been cut to its greatest length.
        self.text(&mut report.outcome.message, CutAt::End);
        if let Some(output) = &mut report.outcome.output {
            self.json(output);
        }
        for LogLine { message, fields, .. } in &mut report.logs {
            self.text(message, CutAt::Nowhere);
            for (key, value) in fields {
                self.text(key, CutAt::Nowhere);
                self.text(value, CutAt::Nowhere);
            }
        }
        if let Some(progress) = &mut report.progress {
            self.text(progress, CutAt::End);
        }
    }

    fn json(&mut self, json: &mut Json) {
        match json {
            Json::Null | Json::Bool(_) => {}
            Json::Number(number) => {
                let written = number.to_string();
                let mut cleaned = written.clone();
                self.text(&mut cleaned, CutAt::Nowhere);
                if cleaned != written {
                    *json = Json::String(cleaned);
                }
            }
            Json::String(text) => self.text(text, CutAt::Nowhere),
            Json::Array(items) => items.iter_mut().for_each(|item| self.json(item)),
            Json::Object(entries) => {
                *entries = std::mem::take(entries)
                    .into_iter()
                    .map(|(mut key, mut value)| {
                        self.text(&mut key, CutAt::Nowhere);
                        self.json(&mut value);
                        (key, value)
                    })
                    .collect();
            }
        }
    }
}

/// The forms in which a value is looked for.
fn forms(value: &str) -> Vec<String> {
    let value = value.trim();
    let quoted = Json::from(value).to_string();
    let escaped = quoted[1..quoted.len() - 1].to_owned();
    let lines = value.lines().map(str::trim).filter(|line| LINE_BYTES_MIN <= line.len()).map(str::to_owned);
    let mut forms = vec![value.to_owned(), escaped, STANDARD_NO_PAD.encode(value), URL_SAFE_NO_PAD.encode(value)];
    forms.extend(lines);
    forms.retain(|form| VALUE_BYTES_MIN <= form.len() && VALUE_BYTES_MIN <= value.len());
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(secrets: &[(&str, &str)], text: &str, cut: CutAt) -> String {
        let secrets: Vec<(SecretName, SecretText)> =
            secrets.iter().map(|(name, value)| (name.parse().unwrap(), (*value).to_owned().into())).collect();
        let Some(mut redactor) = Redactor::new(secrets.iter().map(|(name, value)| (name, value))) else {
            return text.to_owned();
        };
        let mut text = text.to_owned();
        redactor.text(&mut text, cut);
        text
    }

    #[test]
    fn every_value_is_replaced_and_the_longest_first() {
        let secrets = [("a", "hunter2"), ("b", "hunter2-long"), ("c", "secret")];
        let text = "hunter2-long hunter2hunter2 hunter secret";
        assert_eq!(
            cleaned(&secrets, text, CutAt::Nowhere),
            "[secret b] [secret a][secret a] hunter [secret c]",
            "a name that holds a value is not replaced again"
        );
        assert_eq!(cleaned(&[("d", "abab")], "ababab", CutAt::Nowhere), "[secret d]ab");
    }

    #[test]
    fn other_forms_of_a_value_are_found() {
        let value = "line one \"quoted\" ?>?\nline two is here\n";
        let forms = [
            Json::from(value.trim()).to_string(),
            STANDARD_NO_PAD.encode(value.trim()),
            URL_SAFE_NO_PAD.encode(value.trim()),
            "x: line two is here".to_owned(),
        ];
        for form in forms {
            let text = cleaned(&[("k", value)], &form, CutAt::Nowhere);
            assert!(text.contains("[secret k]") && !text.contains("two"), "{form} became {text}");
        }
    }

    #[test]
    fn short_values_are_left_alone() {
        assert_eq!(cleaned(&[("a", "abc"), ("b", " ab \n")], "abc ab", CutAt::Nowhere), "abc ab");
    }

    #[test]
    fn parts_at_a_cut_are_replaced() {
        let secrets = [("a", "hunter2-\u{fc}x"), ("b", "2-hunt")];
        assert_eq!(cleaned(&secrets, "it is hunter2-", CutAt::End), "it is [secret a]");
        assert_eq!(cleaned(&secrets, "it is hunter2-\u{fffd}", CutAt::End), "it is [secret a]");
        assert_eq!(cleaned(&secrets, "unter2-\u{fc}x it is", CutAt::Start), "[secret a] it is");
        assert_eq!(cleaned(&secrets, "\u{fffd}hunt it is", CutAt::Start), "[secret b] it is");
        assert_eq!(cleaned(&secrets, "hun", CutAt::End), "hun", "too little to tell anything");
    }

    #[test]
    fn a_secret_that_is_printed_again_and_again_makes_the_text_little_longer() {
        let text = "abcd".repeat(100_000);
        let text = cleaned(&[("a-long-name-of-a-secret", "abcd")], &text, CutAt::Nowhere);
        assert!(text.len() < 400_000 + NAMED_MAX * 40, "{} bytes", text.len());
        assert!(!text.contains("abcd"));
    }
}
