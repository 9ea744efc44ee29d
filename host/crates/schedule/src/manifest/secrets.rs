//! Reading `secrets`, and the secrets that a job's grants name.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    document::Document,
    fields::{self, Fields},
    findings::Findings,
    foreign::{self, Place},
    grants::{path_in, variable_name},
    names::Names,
    node::{Entry, Node},
    resolve::{ResolveOptions, folder_of},
    wording,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Source, Span},
    secret::{SecretName, SecretSource},
};

/// Most secrets of one manifest.
const SECRETS_MAX: usize = 1_000;

/// All secrets of all sources.
pub(super) struct SecretTable {
    pub(super) secrets: BTreeMap<SecretName, SecretSource>,
    /// Where each stands.
    pub(super) places: BTreeMap<SecretName, Span>,
    names: Names,
}

impl SecretTable {
    pub(super) fn read(
        documents: &[Document<'_>],
        options: &ResolveOptions<'_>,
        sources: &[Source],
        findings: &mut Findings,
    ) -> Self {
        let written = || documents.iter().flat_map(|document| document.secrets.iter().map(move |e| (document, e)));
        let names = Names::new(written().map(|(_, entry)| entry.key.as_str()), options.has_all(documents, sources));
        let mut table = Self { secrets: BTreeMap::new(), places: BTreeMap::new(), names };
        let mut first_seen: BTreeMap<&str, Span> = BTreeMap::new();
        for (document, entry) in written() {
            let mut diagnostics = Diagnostics::default();
            if let Some(first) = first_seen.get(entry.key.as_str()) {
                diagnostics.push(duplicate(entry, *first, sources));
            } else if first_seen.len() == SECRETS_MAX {
                let message = format!("the manifest has more than {SECRETS_MAX} secrets");
                let error = Diagnostic::error("manifest.range", entry.key_span, message);
                diagnostics.push(error.fix("let several jobs share a secret"));
                findings.take(diagnostics);
                break;
            } else {
                first_seen.insert(&entry.key, entry.key_span);
                table.add(entry, document, options, &mut diagnostics);
            }
            findings.take(diagnostics);
        }
        table
    }

    fn add(
        &mut self,
        entry: &Entry,
        document: &Document<'_>,
        options: &ResolveOptions<'_>,
        diagnostics: &mut Diagnostics,
    ) {
        let name = match entry.key.parse::<SecretName>() {
            Ok(name) => Some(name),
            Err(error) => {
                let message = format!("secret `{}`: {error}", entry.key);
                let error = Diagnostic::error("manifest.name", entry.key_span, message);
                diagnostics.reject(error.fix("rename the secret"))
            }
        };
        let source = source(entry, document, options, diagnostics);
        let (Some(name), Some(source)) = (name, source) else { return };
        self.places.insert(name.clone(), entry.value.span);
        self.secrets.insert(name, source);
    }

    /// The variables that hold secrets.
    pub(super) fn variables(&self) -> BTreeSet<Arc<str>> {
        let variable = |source: &SecretSource| match source {
            SecretSource::Env(name) => Some(Arc::clone(name)),
            SecretSource::File(_) => None,
        };
        self.secrets.values().filter_map(variable).collect()
    }

    /// The secret that a grant names.
    pub(super) fn find(&self, node: &Node, diagnostics: &mut Diagnostics) -> Option<(SecretName, SecretSource)> {
        let text = fields::text(node, diagnostics)?;
        if self.names.contains(text) {
            // What is wrong with it was told where it is defined.
            return self.secrets.get_key_value(text).map(|(name, source)| (name.clone(), source.clone()));
        }
        let or = format!("add it at the top: `secrets: {{ {text}: {{ env: VARIABLE }} }}`");
        self.names.refuse(("manifest.unknown_secret", "secret"), node, text, or, diagnostics)
    }
}

fn source(
    entry: &Entry,
    document: &Document<'_>,
    options: &ResolveOptions<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<SecretSource> {
    let shape = format!("write `{}: {{ env: VARIABLE }}` or `{}: {{ file: ./path }}`", entry.key, entry.key);
    if entry.value.as_map().is_none() {
        // What stands there may be the value itself, which nobody should see.
        let message = format!("secret `{}` says where its value is, not what it is", entry.key);
        return diagnostics.reject(Diagnostic::error("manifest.type", entry.value.span, message).fix(shape));
    }
    let mut fields = Fields::open(&entry.value, format!("secret `{}`", entry.key), diagnostics)?;
    let (variable, file) = (fields.get("env"), fields.get("file"));
    fields.finish_translated(|key| foreign::answer(Place::Secret, key), diagnostics);
    match (variable, file) {
        (Some(node), None) => {
            let name = fields::text(node, diagnostics)?;
            if let Err(problem) = variable_name(name) {
                let error = Diagnostic::error("manifest.name", node.span, format!("variable `{name}`: {problem}"));
                return diagnostics.reject(error);
            }
            Some(SecretSource::Env(name.into()))
        }
        (None, Some(node)) => {
            let path = path_in(node, folder_of(document.span, options), diagnostics)?;
            Some(SecretSource::File(Arc::new(path)))
        }
        (Some(_), Some(_)) => {
            let message = format!("secret `{}` has two places", entry.key);
            let error = Diagnostic::error("manifest.value", entry.value.span, message);
            diagnostics.reject(error.fix("keep `env` or `file`"))
        }
        (None, None) => {
            let message = format!("secret `{}` has no place", entry.key);
            diagnostics.reject(Diagnostic::error("manifest.missing_key", entry.value.span, message).fix(shape))
        }
    }
}

fn duplicate(entry: &Entry, first: Span, sources: &[Source]) -> Diagnostic {
    let message = format!("secret `{}` is defined twice: here and at {}", entry.key, wording::place(first, sources));
    Diagnostic::error("manifest.duplicate_secret", entry.key_span, message)
        .fix("rename or remove one of them; files that are read together share their names")
}
