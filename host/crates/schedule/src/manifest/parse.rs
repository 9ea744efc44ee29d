//! From text to the spanned tree: the only place that knows which YAML library is used.
//!
//! Budgets come first. A manifest is small; whatever is deep or large beyond these numbers is a mistake or an
//! attack, and is refused before the parser can be made to work for it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{
    Spanned,
    options::{DuplicateKeyPolicy, NonFiniteFloatPolicy},
};

use super::node::{Entry, Node, Value};
use crate::diagnostic::{Diagnostic, Diagnostics, Span};

#[cfg(test)]
mod tests;

/// Largest source text in bytes: room for about 2,000 jobs, and parsed in a fraction of a second.
pub const SOURCE_BYTES_MAX: usize = 256 * 1024;

/// Deepest nesting of lists and maps: hand-written manifests stay below 12.
pub const DEPTH_MAX: usize = 32;

/// Most keys, values and containers in one source, aliases counted as often as they are used.
pub const NODES_MAX: usize = 50_000;

/// Most keys that are told to stand twice: a text with more of them was put together by mistake.
const DUPLICATES_MAX: usize = 50;

/// Reads one source. The tree is missing only when the text is not YAML at all or breaks a budget.
#[must_use]
pub fn parse(source: usize, text: &str) -> (Option<Node>, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    if SOURCE_BYTES_MAX < text.len() {
        diagnostics.push(too_large(source, text.len()));
        return (None, diagnostics);
    }
    let raw = match read(text, DuplicateKeyPolicy::Error) {
        Ok(raw) => raw,
        Err(error) => {
            let duplicate = matches!(error.without_snippet(), serde_saphyr::Error::DuplicateMappingKey { .. });
            // A key written twice hides nothing else: read on with its first value, so that all faults are told. With
            // this policy the library leaves both values in the map.
            let Some(Ok(mut raw)) = duplicate.then(|| read(text, DuplicateKeyPolicy::LastWins)) else {
                diagnostics.push(explain(source, text, &error));
                return (None, diagnostics);
            };
            let mut duplicates = BTreeMap::new();
            raw.take_duplicates(&mut duplicates);
            if duplicates.is_empty() {
                diagnostics.push(explain(source, text, &error));
            }
            for (key, first) in duplicates.into_values().take(DUPLICATES_MAX) {
                diagnostics.push(written_twice(source, text, &key, first));
            }
            raw
        }
    };
    (Some(raw.into_node(source, text)), diagnostics)
}

/// A key that stands twice in one map, with both places.
fn written_twice(source: usize, text: &str, key: &Spanned<String>, first: Place) -> Diagnostic {
    let n_breaks = text.as_bytes()[..first.span(source, text).start].iter().filter(|byte| **byte == b'\n').count();
    let message = format!("`{}` is written twice in the same map, the first time in line {}", key.value, n_breaks + 1);
    Diagnostic::error("manifest.duplicate_key", Place::from(key.defined).span(source, text), message)
        .fix("rename or remove one of them; ids are unique")
}

fn too_large(source: usize, n_bytes: usize) -> Diagnostic {
    let message = format!("the manifest has {n_bytes} bytes; at most {SOURCE_BYTES_MAX} are read from one file");
    Diagnostic::error("manifest.too_large", Span { source, ..Span::default() }, message)
        .fix("split it into several files and list them under `include:`, or pass each with `-f`")
}

fn too_complex(span: Span) -> Diagnostic {
    let message =
        format!("the manifest is nested deeper than {DEPTH_MAX} levels or holds more than {NODES_MAX} values");
    Diagnostic::error("manifest.too_complex", span, message).fix("flatten it, or split it into several files")
}

fn read(text: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Raw, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_events: 2 * NODES_MAX,
            max_anchors: 256,
            max_aliases: 1_024,
            // One more than is allowed, so that the second one is refused with words of its own.
            max_documents: 2,
        },
        duplicate_keys: duplicate_keys,
        strict_booleans: true,
        with_snippet: false,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
    };
    let spanned: Option<Spanned<Raw>> = serde_saphyr::from_str_with_options(text, options)?;
    Ok(spanned.map_or(Raw { value: RawValue::Null, place: Place::default() }, Raw::placed))
}

/// Puts an error of the YAML library into our words where we know better ones.
fn explain(source: usize, text: &str, error: &serde_saphyr::Error) -> Diagnostic {
    use serde_saphyr::Error;
    let error = error.without_snippet();
    let span = error
        .location()
        .map_or(Span { source, ..Span::default() }, |location| Place::found(location, text).span(source, text));
    match error {
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("(a compound key)");
            Diagnostic::error("manifest.duplicate_key", span, format!("`{key}` is written twice in the same map"))
                .fix("rename or remove one of them; ids are unique")
        }
        Error::UnknownAnchor { .. } => {
            Diagnostic::error("manifest.syntax", span, "`*` begins an alias in YAML, and no anchor of that name exists")
                .fix("put the value in quotes, for example \"*/5 * * * *\"")
        }
        Error::MultipleDocuments { .. } => {
            Diagnostic::error("manifest.syntax", span, "a manifest is one YAML document")
                .fix("remove the `---` line, or move what follows it into a file of its own")
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => too_complex(span),
        other => {
            let message = without_position(&other.to_string());
            // The scanner's nesting guard, and a budget that breaks while an alias is replayed, speak only through
            // their text.
            if message.contains("recursion limit") || message.contains("budget breached") {
                return too_complex(span);
            }
            let (message, fix) = reword(message, &text[..span.start]);
            Diagnostic::error("manifest.syntax", span, message).fix(fix)
        }
    }
}

/// The library's message in words for people who do not know how YAML is scanned, and what to look for.
fn reword(message: String, before: &str) -> (String, &'static str) {
    if message.contains("tab") {
        return ("YAML is indented with spaces, not with tabs".to_owned(), "replace the tab by spaces");
    }
    if before.ends_with('$') {
        let message = "`${...}` without quotes inside `{ }` or `[ ]`, where `{` begins a map".to_owned();
        return (
            message,
            "put it in quotes, for example \"${NAME:-default}\"; where a number is wanted, write each key on a line of its own",
        );
    }
    if message.contains("flow") || message.contains("bracket") {
        return (
            message,
            "look for a `{` or `[` that is not closed, or a comma that is missing, here or in a line above",
        );
    }
    if message.contains("control character") {
        return (message, "remove it");
    }
    if message.contains("mapping values") || message.contains("':'") || message.contains("simple key") {
        return (
            message,
            "look for a value that needs quotes because it holds `: `, or for a line with the wrong indent",
        );
    }
    (message, "look at this line and the one above: the indent, the quotes and the brackets")
}

/// The library ends its messages with the position, which the diagnostic already carries.
fn without_position(message: &str) -> String {
    let end = message.rfind(" at line ").or_else(|| message.rfind("\n")).unwrap_or(message.len());
    message[..end].trim_end_matches([' ', ':', ',']).to_owned()
}

/// Where the library saw a value.
#[derive(Clone, Copy, Default)]
struct Place {
    start: usize,
    length: usize,
}

impl From<serde_saphyr::Location> for Place {
    fn from(location: serde_saphyr::Location) -> Self {
        let span = location.span();
        let usize_of = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
        Self { start: usize_of(span.byte_offset()), length: usize_of(span.byte_len()) }
    }
}

impl Place {
    /// Errors carry line and column but not always the byte offset.
    fn found(location: serde_saphyr::Location, text: &str) -> Self {
        if location.span().byte_offset().is_some() {
            return Self::from(location);
        }
        let usize_of = |n: u64| usize::try_from(n).unwrap_or_default();
        let line = text.split_inclusive('\n').take(usize_of(location.line()).saturating_sub(1));
        let line_start: usize = line.map(str::len).sum();
        let before = text[line_start..].chars().take(usize_of(location.column()).saturating_sub(1));
        Self { start: line_start + before.map(char::len_utf8).sum::<usize>(), length: 0 }
    }

    fn span(self, source: usize, text: &str) -> Span {
        let mut start = self.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let mut end = (start + self.length).min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let written = text[start..end].trim_end();
        Span { source, start, end: start + written.len() }
    }
}

/// The tree as the library gives it, before places are turned into spans.
struct Raw {
    value: RawValue,
    place: Place,
}

enum RawValue {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Raw>),
    Map(Vec<(Spanned<String>, Raw)>),
}

impl Raw {
    /// What comes through an alias stands where its anchor stands: there it is mended, once for all.
    fn placed(spanned: Spanned<Self>) -> Self {
        Self { place: Place::from(spanned.defined), ..spanned.value }
    }

    /// Leaves the first of several values under one key, and notes the further ones by their places, with the place of
    /// the first. What stands behind an anchor is noted once.
    fn take_duplicates(&mut self, duplicates: &mut BTreeMap<usize, (Spanned<String>, Place)>) {
        match &mut self.value {
            RawValue::Map(entries) => {
                let mut seen: HashMap<String, Place> = HashMap::with_capacity(entries.len());
                entries.retain(|(key, _)| {
                    let place = Place::from(key.defined);
                    match seen.get(&key.value) {
                        Some(first) => {
                            duplicates.insert(place.start, (key.clone(), *first));
                            false
                        }
                        None => seen.insert(key.value.clone(), place).is_none(),
                    }
                });
                entries.iter_mut().for_each(|(_, value)| value.take_duplicates(duplicates));
            }
            RawValue::List(items) => items.iter_mut().for_each(|item| item.take_duplicates(duplicates)),
            RawValue::Null | RawValue::Bool(_) | RawValue::Int(_) | RawValue::Float(_) | RawValue::Text(_) => {}
        }
    }

    fn into_node(self, source: usize, text: &str) -> Node {
        let mut span = self.place.span(source, text);
        let mut text_start = None;
        let value = match self.value {
            RawValue::Null => Value::Null,
            RawValue::Bool(b) => Value::Bool(b),
            RawValue::Int(n) => Value::Int(n),
            RawValue::Float(x) => Value::Float(x),
            RawValue::Text(value) => {
                text_start = verbatim_start(&text[span.start..span.end], &value).map(|at| span.start + at);
                Value::Text(value)
            }
            RawValue::List(items) => {
                let items: Vec<_> = items.into_iter().map(|item| item.into_node(source, text)).collect();
                span.end = items.last().map_or(span.end, |last| last.span.end.max(span.end));
                Value::List(items)
            }
            RawValue::Map(entries) => {
                let entries: Vec<_> = entries.into_iter().map(|(key, value)| entry(key, value, source, text)).collect();
                span.end = entries.last().map_or(span.end, |last| last.value.span.end.max(span.end));
                Value::Map(entries)
            }
        };
        Node { value, span, text_start, text_before: None }
    }
}

fn entry(key: Spanned<String>, value: Raw, source: usize, text: &str) -> Entry {
    let key_span = Place::from(key.defined).span(source, text);
    Entry { key: key.value, key_span, value: value.into_node(source, text) }
}

/// Where a text begins in what was written for it, if it stands there letter by letter.
fn verbatim_start(written: &str, value: &str) -> Option<usize> {
    if written == value {
        return Some(0);
    }
    let inner = written.strip_prefix(['"', '\''])?.strip_suffix(['"', '\''])?;
    (inner == value).then_some(1)
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl RawVisitor {
    fn bare<E>(value: RawValue) -> Result<Raw, E> {
        Ok(Raw { value, place: Place::default() })
    }
}

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a map")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Self::bare(RawValue::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Self::bare(RawValue::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Self::bare(RawValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Self::bare(RawValue::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Self::bare(RawValue::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Self::bare(RawValue::Int(value))
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Raw, E> {
        i128::try_from(value).map(RawValue::Int).map_err(E::custom).and_then(Self::bare)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Self::bare(RawValue::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Self::bare(RawValue::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Self::bare(RawValue::Text(value))
    }

    fn visit_bytes<E: serde::de::Error>(self, value: &[u8]) -> Result<Raw, E> {
        std::str::from_utf8(value).map_err(E::custom).and_then(|text| self.visit_str(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Raw>>()? {
            list.push(Raw::placed(item));
        }
        Self::bare(RawValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            if key.value.chars().any(char::is_control) {
                return Err(A::Error::custom("a key holds a control character"));
            }
            let value = entries.next_value::<Spanned<Raw>>()?;
            map.push((key, Raw::placed(value)));
        }
        Self::bare(RawValue::Map(map))
    }
}
