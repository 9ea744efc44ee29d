//! Reading the keys of a map: each key is asked for by name, and what nobody asked for is an unknown key.
//!
//! The list of allowed keys is therefore the reading code itself and cannot drift from it.

use std::ops::RangeInclusive;

use super::node::{Entry, Node, Value};
use crate::diagnostic::{Diagnostic, Diagnostics, Span, did_you_mean};

/// The keys of one map while they are being read.
pub struct Fields<'n> {
    entries: &'n [Entry],
    /// What holds where the map itself says nothing; empty but for jobs.
    defaults: &'n [Entry],
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
        Some(Self { entries, defaults: &[], subject, span: node.span, asked: Vec::new() })
    }

    /// Opens a map whose absent keys are looked up in another one. Faults of the other one are not told: whoever
    /// reads it on its own tells them once.
    pub fn open_over(
        node: &'n Node,
        defaults: Option<&'n Node>,
        subject: impl Into<String>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let defaults = defaults.and_then(Node::as_map).unwrap_or_default();
        Self::open(node, subject, diagnostics).map(|fields| Self { defaults, ..fields })
    }

    /// Opens the map under a key, over the map of the same key in the defaults: maps merge key by key.
    pub fn open_inner(&mut self, key: &'static str, diagnostics: &mut Diagnostics) -> Option<Self> {
        let subject = format!("`{key}` of {}", self.subject);
        self.asked.push(key);
        let find = |entries: &'n [Entry]| {
            entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value).filter(|n| n.value != Value::Null)
        };
        match (find(self.entries), find(self.defaults)) {
            (Some(own), inherited) => Self::open_over(own, inherited, subject, diagnostics),
            (None, Some(inherited)) => Self::open(inherited, subject, diagnostics),
            (None, None) => None,
        }
    }

    /// The value under a key. A key that holds nothing counts as absent.
    pub fn get(&mut self, key: &'static str) -> Option<&'n Node> {
        self.asked.push(key);
        let written = |entry: &&Entry| entry.key == key && entry.value.value != Value::Null;
        self.entries.iter().find(written).or_else(|| self.defaults.iter().find(written)).map(|entry| &entry.value)
    }

    /// The key with its value, also where the value is nothing; never from the defaults.
    pub fn entry(&mut self, key: &'static str) -> Option<&'n Entry> {
        self.asked.push(key);
        self.own(key)
    }

    /// The key with its value, without counting it as asked for.
    #[must_use]
    pub fn own(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Every key with its value, those of the defaults first, for maps whose keys are free.
    pub fn all(&self) -> impl Iterator<Item = &'n Entry> + use<'n> {
        self.defaults.iter().chain(self.entries)
    }

    /// The keys that nobody has asked for so far, up to a bound.
    pub fn unasked(&self) -> impl Iterator<Item = &'n Entry> + '_ {
        let is_unasked = |entry: &&Entry| !entry.key.starts_with("x-") && !self.asked.contains(&entry.key.as_str());
        self.entries.iter().filter(is_unasked).take(UNKNOWN_KEYS_MAX)
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
        self.finish_translated(|_| None, diagnostics);
    }

    /// Like [`Fields::finish`], with a better answer than the nearest key where there is one.
    pub fn finish_translated(self, translate: impl Fn(&str) -> Option<String>, diagnostics: &mut Diagnostics) {
        for entry in self.unasked() {
            let message = format!("unknown key `{}` in {}", entry.key, self.subject);
            let fix = translate(&entry.key).unwrap_or_else(|| self.nearest(&entry.key));
            diagnostics.push(Diagnostic::error("manifest.unknown_key", entry.key_span, message).fix(fix));
        }
    }

    fn nearest(&self, key: &str) -> String {
        // Nobody misspells a short key into a long one, and comparing long ones takes time.
        let near = if key.len() <= 64 { did_you_mean(key, self.asked.iter().copied()) } else { None };
        if let Some(near) = near {
            return format!("did you mean `{near}`?");
        }
        let mut known = self.asked.clone();
        known.sort_unstable();
        known.dedup();
        format!("known keys: {}", known.join(", "))
    }
}

/// Most unknown keys that are told of one map: whoever has more has put something else there.
const UNKNOWN_KEYS_MAX: usize = 50;

fn wrong_type(node: &Node, expected: &str) -> Diagnostic {
    Diagnostic::error("manifest.type", node.span, format!("expected {expected}, found {}", node.kind()))
}

/// Reads text. Numbers and booleans are not taken for text, so that `id: 1e3` cannot become `1000`.
pub fn text<'n>(node: &'n Node, diagnostics: &mut Diagnostics) -> Option<&'n str> {
    if let Some(text) = node.as_text().or(node.text_before.as_deref()) {
        return Some(text);
    }
    let error = wrong_type(node, "text");
    diagnostics.reject(match node.value {
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => error.fix("put it in quotes"),
        Value::Null | Value::Text(_) | Value::List(_) | Value::Map(_) => error,
    })
}

/// Reads `true` or `false`.
pub fn boolean(node: &Node, diagnostics: &mut Diagnostics) -> Option<bool> {
    if let Value::Bool(value) = node.value {
        return Some(value);
    }
    let error = wrong_type(node, "`true` or `false`");
    let word = node.as_text().map(str::to_lowercase);
    diagnostics.reject(match word.as_deref() {
        Some("yes" | "on" | "y" | "true") => error.fix("write `true`, in lower case and without quotes"),
        Some("no" | "off" | "n" | "false") => error.fix("write `false`, in lower case and without quotes"),
        Some(_) | None => error,
    })
}

/// Reads a whole number within bounds.
pub fn integer<T>(node: &Node, range: RangeInclusive<T>, diagnostics: &mut Diagnostics) -> Option<T>
where
    T: TryFrom<i128> + Into<i128> + Copy,
{
    let (low, high): (i128, i128) = ((*range.start()).into(), (*range.end()).into());
    // Numbers of twenty digits help nobody.
    let bounds =
        if high < i128::from(u64::MAX) { format!("from {low} to {high}") } else { format!("of at least {low}") };
    match node.value {
        Value::Int(n) if (low..=high).contains(&n) => T::try_from(n).ok(),
        Value::Int(n) => {
            let message = format!("{n} is out of range: expected a whole number {bounds}");
            diagnostics.reject(Diagnostic::error("manifest.range", node.span, message))
        }
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => {
            let error = wrong_type(node, &format!("a whole number {bounds}"));
            diagnostics.reject(match whole(node) {
                Some(n) => error.fix(format!("write `{n}`, digits only and without quotes")),
                None => error,
            })
        }
    }
}

/// The whole number that a text in quotes or a number with an exponent stands for.
fn whole(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => text.replace('_', "").parse::<i64>().ok().map(|n| n.to_string()),
        Value::Float(x) if x.fract() == 0.0 && x.abs() < 1e15 => Some(format!("{x:.0}")),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => None,
    }
}

/// Reads one of several words.
pub fn one_of<T: Copy>(node: &Node, words: &[(&'static str, T)], diagnostics: &mut Diagnostics) -> Option<T> {
    let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
    let expected = names.join(", ");
    let Some(text) = node.as_text() else {
        return diagnostics.reject(wrong_type(node, &format!("one of {expected}")));
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
