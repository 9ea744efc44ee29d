//! A hash of a trigger as it was written, by which a later start of the host knows that it was changed.
//!
//! It is computed from the text and not from what the text was compiled to, so that a new version of the program, whose
//! compiled triggers may look otherwise, does not take every job for a changed one. The form that is hashed is a
//! contract: whoever changes it makes every job of every host forget its late slots once.

use std::collections::BTreeMap;

use super::node::{Entry, Node, Value};
use crate::{id::fnv1a, zone::Zone};

/// Keeps these hashes apart from others.
const SEED: u64 = 0;

/// The named calendars so far, each as the hash of its definition.
#[derive(Default)]
pub(super) struct CalendarHashes {
    by_name: BTreeMap<String, u64>,
}

impl CalendarHashes {
    /// Adds a map of calendars; later ones may name earlier ones.
    pub(super) fn add(&mut self, calendars: &Node) {
        for entry in calendars.as_map().unwrap_or_default() {
            let mut form = Form { calendars: self, bytes: Vec::new() };
            form.exception(&entry.value);
            let hash = fnv1a(&form.bytes, SEED);
            self.by_name.insert(entry.key.clone(), hash);
        }
    }
}

/// The hash of the value of `triggers`.
pub(super) fn of_node(node: &Node, zone: &Zone, calendars: &CalendarHashes) -> u64 {
    of(|form| form.node(node), zone, calendars)
}

/// The hash of a trigger whose keys stand beside others on a job; the same as of a map with these keys.
pub(super) fn of_entries<'n>(entries: impl Iterator<Item = &'n Entry>, zone: &Zone, calendars: &CalendarHashes) -> u64 {
    of(|form| form.map(entries), zone, calendars)
}

fn of(write: impl FnOnce(&mut Form<'_>), zone: &Zone, calendars: &CalendarHashes) -> u64 {
    let mut form = Form { calendars, bytes: Vec::new() };
    form.text(b'z', zone.name());
    write(&mut form);
    // Zero says that there is no trigger.
    fnv1a(&form.bytes, SEED).max(1)
}

/// What is hashed: each value with its kind and length first, so that no two trees have the same form.
struct Form<'c> {
    calendars: &'c CalendarHashes,
    bytes: Vec<u8>,
}

impl Form<'_> {
    fn number(&mut self, kind: u8, number: u64) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn text(&mut self, kind: u8, text: &str) {
        self.number(kind, u64::try_from(text.len()).unwrap_or(u64::MAX));
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn node(&mut self, node: &Node) {
        match &node.value {
            Value::Map(entries) => self.map(entries.iter()),
            Value::List(items) => self.list(items, Self::node),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => self.scalar(node),
        }
    }

    /// What `except` holds: a name of a calendar counts as what the calendar holds.
    fn exception(&mut self, node: &Node) {
        match &node.value {
            Value::Map(entries) => self.map(entries.iter()),
            Value::List(items) => self.list(items, Self::exception),
            Value::Text(text) => match self.calendars.by_name.get(text) {
                Some(hash) => self.number(b'c', *hash),
                None => self.scalar(node),
            },
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => self.scalar(node),
        }
    }

    /// A list of one and its item are written in place of each other everywhere.
    fn list(&mut self, items: &[Node], mut write: impl FnMut(&mut Self, &Node)) {
        if items.len() != 1 {
            self.number(b'l', u64::try_from(items.len()).unwrap_or(u64::MAX));
        }
        items.iter().for_each(|item| write(self, item));
    }

    /// Keys in order; what nobody reads does not count.
    fn map<'n>(&mut self, entries: impl Iterator<Item = &'n Entry>) {
        let counts = |entry: &&Entry| entry.value.value != Value::Null && !entry.key.starts_with("x-");
        let mut entries: Vec<_> = entries.filter(counts).collect();
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        self.number(b'm', u64::try_from(entries.len()).unwrap_or(u64::MAX));
        for entry in entries {
            self.text(b'k', &entry.key);
            if entry.key == "except" { self.exception(&entry.value) } else { self.node(&entry.value) }
        }
    }

    /// Quotes do not count: `5` and `"5"` are the same word.
    fn scalar(&mut self, node: &Node) {
        if let Some(text) = &node.text_before {
            return self.text(b's', text);
        }
        match &node.value {
            Value::Text(text) => self.text(b's', text),
            Value::Int(n) => self.text(b's', &n.to_string()),
            Value::Float(x) => self.text(b's', &x.to_string()),
            Value::Bool(flag) => self.text(b's', if *flag { "true" } else { "false" }),
            Value::Null => self.bytes.push(b'n'),
            Value::List(_) | Value::Map(_) => self.node(node),
        }
    }
}
