//! Reading `pools`, and the pool that a job names.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
};

use super::{
    document::Document,
    fields::{self, Fields},
    findings::Findings,
    foreign::{self, Place},
    names::Names,
    node::{Entry, Node, Value},
    resolve::ResolveOptions,
    wording,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Source, Span},
    id::PoolName,
};

/// Most places of all pools together: each reserves address space for an instance when the host starts.
pub const PLACES_MAX: u32 = 1_000;

/// Places of the pool `default` where the manifest does not say: as many as a host ran before there were pools.
pub(super) const DEFAULT_SIZE: NonZeroU32 = NonZeroU32::new(64).expect("64 is not zero");

/// All pools of all sources.
pub(super) struct PoolTable {
    pub(super) pools: BTreeMap<PoolName, NonZeroU32>,
    /// Those whose runs have processes of their own.
    pub(super) isolated: BTreeSet<PoolName>,
    names: Names,
}

impl PoolTable {
    pub(super) fn read(
        documents: &[Document<'_>],
        options: &ResolveOptions<'_>,
        sources: &[Source],
        findings: &mut Findings,
    ) -> Self {
        let mut pools: BTreeMap<PoolName, NonZeroU32> = BTreeMap::new();
        let mut isolated = BTreeSet::new();
        let mut first_seen: BTreeMap<&str, Span> = BTreeMap::new();
        for entry in documents.iter().flat_map(|document| document.pools) {
            if findings.is_full() {
                break;
            }
            let mut diagnostics = Diagnostics::default();
            if let Some(first) = first_seen.get(entry.key.as_str()) {
                diagnostics.push(duplicate(entry, *first, sources));
            } else {
                first_seen.insert(&entry.key, entry.key_span);
                if let Some((name, pool)) = read_one(entry, &mut diagnostics) {
                    if pool.isolation == Isolation::Process {
                        isolated.insert(name.clone());
                    }
                    pools.insert(name, pool.size);
                }
            }
            findings.take(diagnostics);
        }
        let default = PoolName::default();
        let is_default_broken = first_seen.contains_key(default.as_str()) && !pools.contains_key(&default);
        pools.entry(default).or_insert(DEFAULT_SIZE);
        if !is_default_broken {
            findings.take(check_sum(&pools, &first_seen));
        }
        let is_complete = options.has_all(documents, sources);
        let written = documents.iter().flat_map(|document| document.pools).map(|entry| entry.key.as_str());
        let names = Names::new(written.chain([PoolName::default().as_str()]), is_complete);
        Self { pools, isolated, names }
    }

    /// The pool that a job names.
    pub(super) fn find(&self, node: &Node, diagnostics: &mut Diagnostics) -> Option<PoolName> {
        let text = fields::text(node, diagnostics)?;
        if self.names.contains(text) {
            // A name that breaks the rule was told where it is defined.
            return text.parse().ok();
        }
        let or = format!("add it: `pools: {{ {text}: {{ size: 4 }} }}`");
        self.names.refuse(("manifest.unknown_pool", "pool"), node, text, or, diagnostics)
    }
}

/// What stands behind the name of a pool.
struct Written {
    size: NonZeroU32,
    isolation: Isolation,
}

/// What is between the runs of a pool and the host, beside the sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Isolation {
    /// `none`: they share its process.
    #[default]
    None,
    /// `process`: each attempt is in a process of its job.
    Process,
}

const ISOLATIONS: [(&str, Isolation); 2] = [("none", Isolation::None), ("process", Isolation::Process)];

fn read_one(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<(PoolName, Written)> {
    let subject = format!("pool `{}`", entry.key);
    let name = match entry.key.parse::<PoolName>() {
        Ok(name) => Some(name),
        Err(error) => {
            let error = Diagnostic::error("manifest.name", entry.key_span, format!("{subject}: {error}"));
            diagnostics.reject(error.fix("rename the pool"))
        }
    };
    let write = |size: i128| format!("write `{}: {{ size: {size} }}`", entry.key);
    let written = match entry.value.value {
        Value::Map(_) => read_keys(&entry.value, &subject, entry.key_span, diagnostics),
        Value::Null => {
            let error = Diagnostic::error("manifest.missing_key", entry.key_span, format!("{subject} has no `size`"));
            diagnostics.reject(error.fix(write(8)))
        }
        Value::Int(n) => diagnostics.reject(not_a_map(entry, &subject).fix(write(n))),
        Value::Bool(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => {
            diagnostics.reject(not_a_map(entry, &subject).fix(write(8)))
        }
    };
    Some((name?, written?))
}

fn not_a_map(entry: &Entry, subject: &str) -> Diagnostic {
    let message = format!("{subject} is a map with a `size`, not {}", entry.value.kind());
    Diagnostic::error("manifest.type", entry.value.span, message)
}

fn read_keys(node: &Node, subject: &str, key_span: Span, diagnostics: &mut Diagnostics) -> Option<Written> {
    let mut fields = Fields::open(node, subject, diagnostics)?;
    let size_node = fields.get("size");
    let isolation = match fields.get("isolation") {
        Some(node) => fields::one_of(node, &ISOLATIONS, diagnostics),
        None => Some(Isolation::default()),
    };
    if size_node.is_none() && fields.unasked().all(|entry| foreign::answer(Place::Pool, &entry.key).is_none()) {
        let error = Diagnostic::error("manifest.missing_key", key_span, format!("{subject} has no `size`"));
        diagnostics.push(error.fix("add `size:`, the most runs that go on in it at once, such as `size: 8`"));
    }
    fields.finish_translated(|key| foreign::answer(Place::Pool, key), diagnostics);
    let size = NonZeroU32::new(fields::integer(size_node?, 1..=PLACES_MAX, diagnostics)?)?;
    Some(Written { size, isolation: isolation? })
}

fn check_sum(pools: &BTreeMap<PoolName, NonZeroU32>, written: &BTreeMap<&str, Span>) -> Diagnostics {
    const SHOWN_MAX: usize = 5;
    let mut diagnostics = Diagnostics::default();
    let sum: u64 = pools.values().map(|size| u64::from(size.get())).sum();
    if sum <= u64::from(PLACES_MAX) {
        return diagnostics;
    }
    let mut by_size: Vec<_> = pools.iter().collect();
    by_size.sort_by_key(|(_, size)| std::cmp::Reverse(**size));
    let more = if SHOWN_MAX < by_size.len() { ", …" } else { "" };
    let shown: Vec<_> = by_size.iter().take(SHOWN_MAX).map(|(name, size)| format!("`{name}` {size}")).collect();
    let default =
        if written.contains_key(PoolName::default().as_str()) { "" } else { " (which has 64 unless it is written)" };
    let message =
        format!("the pools have {sum} places together, a host has at most {PLACES_MAX}: {}{more}", shown.join(", "));
    let largest = by_size.iter().find_map(|(name, _)| written.get(name.as_str()));
    let error = Diagnostic::error("manifest.range", largest.copied().unwrap_or_default(), message);
    let too_many = sum - u64::from(PLACES_MAX);
    diagnostics
        .push(error.fix(format!("take away {too_many}, here or from another pool; `default`{default} counts too")));
    diagnostics
}

fn duplicate(entry: &Entry, first: Span, sources: &[Source]) -> Diagnostic {
    let message = format!("pool `{}` is defined twice: here and at {}", entry.key, wording::place(first, sources));
    Diagnostic::error("manifest.duplicate_pool", entry.key_span, message)
        .fix("rename or remove one of them; files that are read together share their names")
}
