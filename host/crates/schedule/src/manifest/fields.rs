//! Reading the keys of a map: each key is asked for by name, and what nobody asked for is an unknown key.
//!
//! The list of allowed keys is therefore the reading code itself and cannot drift from it.

use std::ops::RangeInclusive;

use super::node::{Entry, Node, Value};
use crate::diagnostic::{Diagnostic, Diagnostics, Span, did_you_mean};

/// The keys of one map while they are being read.
pub struct Fields<'n> {
    entries: &'n [Entry],
    /// What the map is, for messages: "job `nightly`".
    subject: String,
    span: Span,
    asked: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// Opens a map. Anything else is an error that names `subject`.
    pub fn open(node: &'n Node, subject: impl Into<String>, diagnostics: &mut Diagnostics) -> Option<Self> {
        let subject = subject.into();
        let Some(entries) = node.as_map() else {
            let message = format!("{subject} is a map of keys and values, not {}", node.kind());
            return diagnostics.reject(Diagnostic::error("manifest.type", node.span, message));
        };
        Some(Self { entries, subject, span: node.span, asked: Vec::new() })
    }

    /// The value under a key. A key that holds nothing counts as absent.
    pub fn get(&mut self, key: &'static str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value).filter(|node| node.value != Value::Null)
    }

    /// The key with its value, also where the value is nothing.
    pub fn entry(&mut self, key: &'static str) -> Option<&'n Entry> {
        self.asked.push(key);
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Where the whole map stands.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }

    /// What the map is.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Ends the reading: every key that was not asked for is an error, but for the free `x-…` keys.
    pub fn finish(self, diagnostics: &mut Diagnostics) {
        for entry in self.entries.iter().filter(|entry| !entry.key.starts_with("x-")) {
            if self.asked.contains(&entry.key.as_str()) {
                continue;
            }
            let message = format!("unknown key `{}` in {}", entry.key, self.subject);
            let fix = match did_you_mean(&entry.key, self.asked.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys: {}", self.asked.join(", ")),
            };
            diagnostics.push(Diagnostic::error("manifest.unknown_key", entry.key_span, message).fix(fix));
        }
    }
}

fn wrong_type<T>(node: &Node, expected: &str, diagnostics: &mut Diagnostics) -> Option<T> {
    let message = format!("expected {expected}, found {}", node.kind());
    diagnostics.reject(Diagnostic::error("manifest.type", node.span, message))
}

/// Reads text. Numbers and booleans are not taken for text, so that `id: 1e3` cannot become `1000`.
pub fn text<'n>(node: &'n Node, diagnostics: &mut Diagnostics) -> Option<&'n str> {
    match node.as_text() {
        Some(text) => Some(text),
        None => wrong_type(node, "text (put it in quotes)", diagnostics),
    }
}

/// Reads `true` or `false`.
pub fn boolean(node: &Node, diagnostics: &mut Diagnostics) -> Option<bool> {
    match node.value {
        Value::Bool(value) => Some(value),
        Value::Null | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => {
            wrong_type(node, "`true` or `false`", diagnostics)
        }
    }
}

/// Reads a whole number within bounds.
pub fn integer<T>(node: &Node, range: RangeInclusive<T>, diagnostics: &mut Diagnostics) -> Option<T>
where
    T: TryFrom<i128> + Into<i128> + Copy,
{
    let (low, high): (i128, i128) = ((*range.start()).into(), (*range.end()).into());
    match node.value {
        Value::Int(n) if (low..=high).contains(&n) => T::try_from(n).ok(),
        Value::Int(n) => {
            let message = format!("{n} is out of range: expected {low} to {high}");
            diagnostics.reject(Diagnostic::error("manifest.range", node.span, message))
        }
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => {
            wrong_type(node, &format!("a whole number from {low} to {high}"), diagnostics)
        }
    }
}

/// Reads one of several words.
pub fn one_of<T: Copy>(node: &Node, words: &[(&'static str, T)], diagnostics: &mut Diagnostics) -> Option<T> {
    let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
    let expected = names.join(", ");
    let Some(text) = node.as_text() else {
        return wrong_type(node, &format!("one of {expected}"), diagnostics);
    };
    if let Some((_, value)) = words.iter().find(|(name, _)| *name == text) {
        return Some(*value);
    }
    let error = Diagnostic::error("manifest.value", node.span, format!("`{text}` is not one of {expected}"));
    let near = did_you_mean(text, names);
    diagnostics.reject(match near {
        Some(near) => error.fix(format!("did you mean `{near}`?")),
        None => error,
    })
}

/// Reads a list of text, or one text as a list of one.
pub fn texts<'n>(node: &'n Node, diagnostics: &mut Diagnostics) -> Vec<&'n str> {
    node.as_one_or_many().iter().filter_map(|item| text(item, diagnostics)).collect()
}
