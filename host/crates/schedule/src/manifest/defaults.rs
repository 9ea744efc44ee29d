//! What jobs fall back on: the defaults of their source over those of the first one.

use std::collections::{HashMap, HashSet};

use super::{
    document::Document,
    findings::Findings,
    jobs::JobReader,
    node::{Entry, Node, Value},
};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Most values that defaults may add to all jobs together, so that a short text cannot become a huge manifest.
const DEFAULTED_VALUES_MAX: usize = 400_000;

/// What the jobs of a source fall back on, checked.
pub(super) fn read(
    document: &Document<'_>,
    shared: Option<&Node>,
    reader: &JobReader<'_>,
    findings: &mut Findings,
) -> Option<Node> {
    let mut diagnostics = Diagnostics::default();
    if let Some(own) = document.defaults {
        reader.check_defaults(own, &mut diagnostics);
    }
    let merged = match (document.defaults, shared) {
        (Some(own), Some(shared)) => Some(merge(own, shared)),
        (Some(one), None) | (None, Some(one)) => Some(merge(one, one)),
        (None, None) => None,
    };
    let merged = merged.filter(|merged| {
        let n_values = merged.n_values().saturating_mul(document.jobs.len());
        if DEFAULTED_VALUES_MAX < n_values {
            diagnostics.push(too_many_defaults(document, merged));
        }
        n_values <= DEFAULTED_VALUES_MAX
    });
    findings.take(diagnostics);
    merged
}

fn too_many_defaults(document: &Document<'_>, merged: &Node) -> Diagnostic {
    let (n_values, n_jobs) = (merged.n_values(), document.jobs.len());
    let message = format!("`defaults` adds {n_values} values to each of {n_jobs} jobs, which is too much");
    Diagnostic::error("manifest.too_complex", document.defaults.map_or(document.span, |node| node.span), message)
        .fix("shorten the defaults")
}

/// Maps merge key by key, anything else replaces; empty values drop out.
pub(super) fn merge(over: &Node, under: &Node) -> Node {
    let (Some(over_entries), Some(under_entries)) = (over.as_map(), under.as_map()) else { return over.clone() };
    let mut entries: Vec<Entry> = Vec::new();
    let counts = |entry: &&Entry| entry.value.value != Value::Null;
    let below: HashMap<&str, &Entry> = under_entries.iter().map(|entry| (entry.key.as_str(), entry)).collect();
    let mut seen = HashSet::new();
    for entry in over_entries.iter().filter(counts) {
        seen.insert(entry.key.as_str());
        let value = match below.get(entry.key.as_str()) {
            Some(below) => merge(&entry.value, &below.value),
            None => entry.value.clone(),
        };
        entries.push(Entry { value, ..entry.clone() });
    }
    entries.extend(under_entries.iter().filter(counts).filter(|entry| !seen.contains(entry.key.as_str())).cloned());
    Node { value: Value::Map(entries), ..over.clone() }
}
