//! A manifest as written: an untyped tree in which each key and value knows its place in the text.
//!
//! The tree stands where serde structs would: serde stops at the first fault, and a manifest's faults are told
//! all at once.

use crate::diagnostic::Span;

/// One value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What was written.
    pub value: Value,
    /// Where; for quoted text the quotes are inside.
    pub span: Span,
    /// Where the first character of a text stands in the source, if the text stands there letter by letter
    /// (no escapes, no folding), so that a column inside the text can be pointed at.
    pub(crate) text_start: Option<usize>,
    /// The text that a `${VAR}` gave, where it now counts as a number or a boolean: readers of text take this.
    pub(crate) text_before: Option<Box<str>>,
}

/// The kinds of value that YAML and JSON share.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// Exactly `true` or `false`; `yes` and `no` are text.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number with a fraction or an exponent.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map in the order in which it was written.
    Map(Vec<Entry>),
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// What it holds.
    pub value: Node,
}

impl Node {
    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The entries, if it is a map.
    #[must_use]
    pub fn as_map(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => None,
        }
    }

    /// The items, if it is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(items) => Some(items),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Map(_) => None,
        }
    }

    /// The items of a list, or the value itself as a list of one: `at: X` and `at: [X]` mean the same.
    #[must_use]
    pub fn as_one_or_many(&self) -> &[Self] {
        self.as_list().unwrap_or(std::slice::from_ref(self))
    }

    /// The value under a key of a map.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The node at a path such as `filters[2].op`, as deep as the path can be followed.
    #[must_use]
    pub fn at_path(&self, path: &str) -> &Self {
        path.split(['.', '[', ']']).filter(|step| !step.is_empty()).try_fold(self, Self::step).unwrap_or_else(|n| n)
    }

    fn step<'n>(&'n self, step: &str) -> Result<&'n Self, &'n Self> {
        let child = match &self.value {
            Value::Map(_) => self.get(step),
            Value::List(items) => step.parse().ok().and_then(|index: usize| items.get(index)),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => None,
        };
        child.ok_or(self)
    }

    /// The place of a byte range of the text, or of the whole value where the text was written with escapes.
    #[must_use]
    pub fn span_within(&self, start: usize, end: usize) -> Span {
        match self.text_start {
            Some(text_start) => Span { start: text_start + start, end: text_start + end.max(start), ..self.span },
            None => self.span,
        }
    }

    /// Whether it is text without quotes on one line, standing in the source letter by letter.
    pub(crate) fn is_plain(&self) -> bool {
        self.text_start == Some(self.span.start)
    }

    /// How many values the tree holds, itself included.
    pub(crate) fn n_values(&self) -> usize {
        match &self.value {
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => 1,
            Value::List(items) => 1 + items.iter().map(Self::n_values).sum::<usize>(),
            Value::Map(entries) => 1 + entries.iter().map(|entry| entry.value.n_values()).sum::<usize>(),
        }
    }

    /// What kind of value it is, for "expected X, found Y".
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// The value as JSON, for arguments and labels; numbers beyond 64 bits become floats.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Int(n) => i64::try_from(*n)
                .map(Json::from)
                .or_else(|_| u64::try_from(*n).map(Json::from))
                .unwrap_or_else(|_| float_to_json(&n.to_string())),
            Value::Float(x) => {
                serde_json::Number::from_f64(*x).map_or_else(|| Json::String(x.to_string()), Json::Number)
            }
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect(),
        }
    }
}

fn float_to_json(digits: &str) -> serde_json::Value {
    digits.parse::<f64>().map_or(serde_json::Value::Null, serde_json::Value::from)
}
