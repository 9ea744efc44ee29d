//! Reading `stores`, and the store that a job names.

use std::collections::BTreeMap;

use super::{
    document::Document,
    fields,
    findings::Findings,
    names::Names,
    node::{Entry, Node, Value},
    resolve::{ResolveOptions, folder_of},
    store_url::StoreUrl,
    wording,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Source, Span},
    id::StoreName,
};

/// Most stores: each is a file that stays open with a writer of its own.
const STORES_MAX: usize = 100;

/// All stores of all sources.
pub(super) struct StoreTable {
    pub(super) stores: BTreeMap<StoreName, StoreUrl>,
    /// Where each place stands.
    pub(super) places: BTreeMap<StoreName, Span>,
    names: Names,
}

impl StoreTable {
    pub(super) fn read(
        documents: &[Document<'_>],
        options: &ResolveOptions<'_>,
        sources: &[Source],
        findings: &mut Findings,
    ) -> Self {
        let mut table = Self { stores: BTreeMap::new(), places: BTreeMap::new(), names: Names::new([], false) };
        let mut first_seen: BTreeMap<&str, Span> = BTreeMap::new();
        for (document, entry) in
            documents.iter().flat_map(|document| document.stores.iter().map(move |e| (document, e)))
        {
            let mut diagnostics = Diagnostics::default();
            if let Some(first) = first_seen.get(entry.key.as_str()) {
                diagnostics.push(duplicate(entry, *first, sources));
            } else if first_seen.len() == STORES_MAX {
                diagnostics.push(too_many(entry));
                findings.take(diagnostics);
                break;
            } else {
                first_seen.insert(&entry.key, entry.key_span);
                table.add(entry, document, options, &mut diagnostics);
            }
            findings.take(diagnostics);
        }
        let is_complete = options.has_all(documents, sources);
        let written = documents.iter().flat_map(|document| document.stores).map(|entry| entry.key.as_str());
        table.names = Names::new(written.chain([StoreName::default().as_str()]), is_complete);
        table
    }

    fn add(
        &mut self,
        entry: &Entry,
        document: &Document<'_>,
        options: &ResolveOptions<'_>,
        diagnostics: &mut Diagnostics,
    ) {
        let name = match entry.key.parse::<StoreName>() {
            Ok(name) => Some(name),
            Err(error) => {
                let message = format!("store `{}`: {error}", entry.key);
                diagnostics.reject(Diagnostic::error("manifest.name", entry.key_span, message).fix("rename the store"))
            }
        };
        let url = store_url(entry, diagnostics).map(|url| url.in_folder(folder_of(document.span, options)));
        let (Some(name), Some(url)) = (name, url) else { return };
        let same = self.stores.iter().find(|(_, other)| url != StoreUrl::Memory && **other == url);
        if let Some((other, _)) = same {
            let message = format!("the stores `{other}` and `{name}` are the same file");
            let error = Diagnostic::error("manifest.store", entry.value.span, message);
            diagnostics.push(error.fix(format!("give each its own file, or write `store: {other}` in the jobs")));
            return;
        }
        self.places.insert(name.clone(), entry.value.span);
        self.stores.insert(name, url);
    }

    /// The store that a job names.
    pub(super) fn find(&self, node: &Node, diagnostics: &mut Diagnostics) -> Option<StoreName> {
        let text = fields::text(node, diagnostics)?;
        if self.names.contains(text) {
            // A name that breaks the rule was told where it is defined.
            return text.parse().ok();
        }
        if let Ok(url) = text.parse::<StoreUrl>() {
            let message = format!("`{text}` is a place, and a job names a store");
            let fix = format!("give it a name, as `stores: {{ mine: \"{url}\" }}`, and write `store: mine` here");
            return diagnostics.reject(Diagnostic::error("manifest.unknown_store", node.span, message).fix(fix));
        }
        let or = format!("add it: `stores: {{ {text}: \"sqlite:{text}.db\" }}`");
        self.names.refuse(("manifest.unknown_store", "store"), node, text, or, diagnostics)
    }
}

fn store_url(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<StoreUrl> {
    if let Some(text) = entry.value.as_text() {
        return match text.parse::<StoreUrl>() {
            Ok(url) => Some(url),
            Err(error) => {
                diagnostics.reject(Diagnostic::error("manifest.store", entry.value.span, error.problem).fix(error.fix))
            }
        };
    }
    let message = format!("store `{}` is a place in quotes, not {}", entry.key, entry.value.kind());
    let error = Diagnostic::error("manifest.type", entry.value.span, message);
    let is_memory = match &entry.value.value {
        Value::Map(entries) => entries.iter().any(|entry| entry.key == "memory"),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => false,
    };
    diagnostics.reject(if is_memory {
        error.fix(format!("write `{}: \"memory:\"`, with the quotes", entry.key))
    } else {
        error.fix(format!("write `{}: \"sqlite:{}.db\"` or `{}: \"memory:\"`", entry.key, entry.key, entry.key))
    })
}

fn duplicate(entry: &Entry, first: Span, sources: &[Source]) -> Diagnostic {
    let message = format!("store `{}` is defined twice: here and at {}", entry.key, wording::place(first, sources));
    Diagnostic::error("manifest.duplicate_store", entry.key_span, message)
        .fix("rename or remove one of them; files that are read together share their names")
}

fn too_many(entry: &Entry) -> Diagnostic {
    let message = format!("the manifest has more than {STORES_MAX} stores");
    Diagnostic::error("manifest.range", entry.key_span, message).fix("let several jobs share a store")
}
