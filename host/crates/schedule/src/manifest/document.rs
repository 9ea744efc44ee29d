//! Reading the top of one source: its version, and where its parts are.

use std::path::Path;

use super::{
    api, bounds, egress,
    fields::{self, Fields},
    foreign::{self, Place},
    grants,
    node::{Entry, Node, Value},
    resolved::{ApiSettings, HostSettings, Include, Root},
    trusted_keys,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Span},
    job::Ceilings,
};

/// The version of the manifest's language that this build reads.
const VERSION: i128 = 1;

/// What to write where there is nothing yet.
pub(super) const SHORTEST: &str = "the shortest one is:\njobs:\n  hello: { plugin: ./hello.wasm, every: 1m }";

/// One source, opened; its jobs and plugins are still to be read.
pub(super) struct Document<'n> {
    pub(super) span: Span,
    pub(super) defaults: Option<&'n Node>,
    pub(super) calendars: Option<&'n Node>,
    pub(super) pools: &'n [Entry],
    pub(super) stores: &'n [Entry],
    pub(super) secrets: &'n [Entry],
    pub(super) notifications: &'n [Entry],
    pub(super) plugins: &'n [Entry],
    /// Directories of plugins that have no name.
    pub(super) plugin_directories: &'n [Node],
    pub(super) jobs: &'n [Entry],
    /// Whether it says itself that there are none in it: `jobs: {}`, or `api:` without `jobs:`.
    pub(super) says_no_jobs: bool,
    pub(super) host: Option<(Span, HostSettings)>,
    pub(super) api: Option<(Span, ApiSettings)>,
    pub(super) includes: Vec<Include>,
}

impl<'n> Document<'n> {
    /// A source without anything in it.
    pub(super) fn empty(span: Span) -> Self {
        Self {
            span,
            defaults: None,
            calendars: None,
            pools: &[],
            stores: &[],
            secrets: &[],
            notifications: &[],
            plugins: &[],
            plugin_directories: &[],
            jobs: &[],
            says_no_jobs: false,
            host: None,
            api: None,
            includes: Vec::new(),
        }
    }

    /// Opens one source. An empty one is a manifest without anything in it.
    pub(super) fn open(
        root: &'n Node,
        folder: &Path,
        ceilings: &Ceilings,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let mut document = Self::empty(root.span);
        if root.value == Value::Null {
            return Some(document);
        }
        if root.as_map().is_none() {
            let message = format!("a manifest is a map of keys and values, not {}", root.kind());
            let error = Diagnostic::error("manifest.type", root.span, message);
            return diagnostics.reject(error.fix(SHORTEST));
        }
        let mut fields = Fields::open(root, "the manifest", diagnostics)?;
        check_version(&mut fields, diagnostics);
        document.includes = fields.get("include").map_or_else(Vec::new, |node| read_includes(node, diagnostics));
        document.defaults = fields.get("defaults");
        document.calendars = fields.get("calendars");
        document.pools = fields.get("pools").map_or(&[], |node| {
            let fix = "write `pools: { heavy: { size: 2 } }`";
            entries(node, "`pools` is a map from a name to its size", fix, diagnostics)
        });
        document.stores = fields.get("stores").map_or(&[], |node| {
            let fix = "write `stores: { default: \"sqlite:state.db\" }`";
            entries(node, "`stores` is a map from a name to a place", fix, diagnostics)
        });
        document.secrets = fields.get("secrets").map_or(&[], |node| {
            let fix = "write `secrets: { api-key: { env: API_KEY } }`";
            entries(node, "`secrets` is a map from a name to a place", fix, diagnostics)
        });
        document.notifications = fields.get("notifications").map_or(&[], |node| {
            let fix = "write `notifications: { ops: { webhook: \"https://hooks.acme.dev\" } }`";
            entries(node, "`notifications` is a map from a name to a channel", fix, diagnostics)
        });
        if let Some(node) = fields.get("plugins") {
            (document.plugins, document.plugin_directories) = read_plugins(node, diagnostics);
        }
        document.jobs = fields.get("jobs").map_or(&[], |node| {
            let fix = "write `jobs: { hello: { plugin: ./hello.wasm, every: 1m } }`";
            entries(node, "`jobs` is a map from an id to a job", fix, diagnostics)
        });
        document.says_no_jobs = match fields.own("jobs") {
            Some(entry) => entry.value.as_map().is_some_and(<[_]>::is_empty),
            // Whoever says how the host is reached may mean to give it its jobs that way.
            None => fields.own("api").is_some_and(|entry| entry.value.value != Value::Null),
        };
        if let Some(entry) = fields.entry("host").filter(|entry| entry.value.value != Value::Null) {
            document.host = Fields::open(&entry.value, "`host`", diagnostics).map(|mut host| {
                let ceilings = bounds::read_ceilings(&mut host, ceilings, diagnostics);
                let memory = host.get("memory").and_then(|node| bounds::memory(node, diagnostics));
                let roots = host.get("roots").map(|node| read_roots(node, diagnostics));
                let egress = egress::read_policy(&mut host, diagnostics);
                let trusted_keys = trusted_keys::read(&mut host, folder, diagnostics);
                host.finish_translated(|key| foreign::answer(Place::Host, key), diagnostics);
                (entry.key_span, HostSettings { ceilings, memory, roots, egress, trusted_keys })
            });
        }
        if let Some(entry) = fields.entry("api").filter(|entry| entry.value.value != Value::Null) {
            document.api = api::read(entry, folder, diagnostics).map(|api| (entry.key_span, api));
        }
        fields.finish_translated(|key| foreign::answer(Place::Top, key), diagnostics);
        Some(document)
    }
}

/// `plugins` is a map, or a path of a directory, or a list of such.
fn read_plugins<'n>(node: &'n Node, diagnostics: &mut Diagnostics) -> (&'n [Entry], &'n [Node]) {
    if node.as_text().is_none() && node.as_list().is_none() {
        let fix = "write `plugins: { name: ./file.wasm }`, or `plugins: ./plugins.d` for all components of a directory";
        return (entries(node, "`plugins` is a map from a name to a file", fix, diagnostics), &[]);
    }
    let before = diagnostics.n_errors();
    for item in node.as_one_or_many() {
        if item.as_text().is_some_and(|text| text.ends_with(".wasm") || text.ends_with(".wat")) {
            let error = Diagnostic::error("manifest.type", item.span, "a component under `plugins` needs a name");
            diagnostics.push(error.fix("write `plugins: { name: ./file.wasm }`"));
        } else {
            grants::path_in(item, Path::new(""), diagnostics);
        }
    }
    (&[], if before == diagnostics.n_errors() { node.as_one_or_many() } else { &[] })
}

pub(super) fn entries<'n>(node: &'n Node, what: &str, fix: &str, diagnostics: &mut Diagnostics) -> &'n [Entry] {
    node.as_map().unwrap_or_else(|| {
        let message = format!("{what}, not {}", node.kind());
        diagnostics.push(Diagnostic::error("manifest.type", node.span, message).fix(fix));
        &[]
    })
}

/// `version` may be left out only in the two-line form, which has nothing but `jobs`.
pub(super) fn check_version(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) {
    let Some(node) = fields.get("version") else {
        let short = fields.all().all(|entry| entry.key == "jobs" || entry.key.starts_with("x-"));
        if !short {
            let start = Span { end: fields.span().start, ..fields.span() };
            let error = Diagnostic::error("manifest.version", start, "the manifest does not say its version");
            diagnostics.push(error.fix(format!("add `version: {VERSION}` as the first line")));
        }
        return;
    };
    if node.value == Value::Int(VERSION) {
        return;
    }
    let error = |message: String| Diagnostic::error("manifest.version", node.span, message);
    diagnostics.push(match node.value {
        Value::Int(n) if VERSION < n => {
            error(format!("the manifest is of version {n}, and this build reads version {VERSION}"))
                .fix("use a newer build of clockjack")
        }
        Value::Int(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Map(_) => {
            error(format!("`version` is the number {VERSION}")).fix(format!("write `version: {VERSION}`"))
        }
    });
}

/// The paths as they are written; the folder that they start at is not known here.
fn read_roots(node: &Node, diagnostics: &mut Diagnostics) -> Vec<Root> {
    let read = |item: &Node| {
        let path = grants::path_in(item, Path::new(""), diagnostics)?;
        Some(Root { path, span: item.span })
    };
    node.as_one_or_many().iter().filter_map(read).collect()
}

fn read_includes(node: &Node, diagnostics: &mut Diagnostics) -> Vec<Include> {
    let read = |item: &Node| {
        let pattern = fields::text(item, diagnostics)?.to_owned();
        Some(Include { pattern, span: item.span })
    };
    node.as_one_or_many().iter().filter_map(read).collect()
}
