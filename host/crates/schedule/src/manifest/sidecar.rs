//! Reading a sidecar: the jobs of a component in a directory of plugins, which stand beside it.
//!
//! It has jobs and what they fall back on. What belongs to the whole host stands in the manifest that names the directory,
//! so that dropping a file into it changes nothing for anybody else.

use super::{
    document::{Document, check_version, entries},
    fields::Fields,
    foreign::{self, Place},
    node::{Node, Value},
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    id::PluginName,
};

/// What a sidecar does not have, and what to do instead.
const ELSEWHERE: [(&str, &str); 7] = [
    ("host", "settings of the host are for who starts it: move it to a file that is named with `-f`"),
    ("pools", "move it to the manifest that names this directory; jobs here say `pool: NAME`"),
    ("stores", "move it to the manifest that names this directory; jobs here say `store: NAME`"),
    ("secrets", "move it to the manifest that names this directory; jobs here say `grants: { secrets: [NAME] }`"),
    ("calendars", "move it to the manifest that names this directory; triggers here use its names"),
    (
        "plugins",
        "put further components into the directory: each `NAME.wasm` in it is a plugin, with its jobs in `NAME.yaml`",
    ),
    ("include", "each component has one sidecar: write its jobs here"),
];

/// Opens the sidecar of a plugin.
pub(super) fn open<'n>(root: &'n Node, plugin: &PluginName, diagnostics: &mut Diagnostics) -> Option<Document<'n>> {
    let mut document = Document::empty(root.span);
    if root.value == Value::Null {
        return diagnostics.reject(no_jobs(root, plugin));
    }
    let subject = format!("the sidecar of plugin `{plugin}`");
    let mut fields = Fields::open(root, subject.as_str(), diagnostics)?;
    check_version(&mut fields, diagnostics);
    document.defaults = fields.get("defaults");
    let jobs = fields.get("jobs");
    for (key, instead) in ELSEWHERE {
        if fields.own(key).is_none() {
            continue;
        }
        if let Some(entry) = fields.entry(key) {
            let message = format!("{subject} has `{key}`, which holds for more than its jobs");
            diagnostics.push(Diagnostic::error("manifest.denied", entry.key_span, message).fix(instead));
        }
    }
    if let Some(node) = jobs {
        let fix = "write `jobs: { hello: { every: 1m } }`";
        document.jobs = entries(node, "`jobs` is a map from an id to a job", fix, diagnostics);
    }
    let has_none = jobs.is_none_or(|node| node.as_map().is_some_and(<[_]>::is_empty));
    if has_none && fields.unasked().next().is_none() {
        diagnostics.push(no_jobs(root, plugin));
    }
    fields.finish_translated(|key| foreign::answer(Place::Sidecar, key), diagnostics);
    Some(document)
}

/// A file that is being written is empty for a moment; taking that for the wish to remove all jobs would be a pity.
fn no_jobs(root: &Node, plugin: &PluginName) -> Diagnostic {
    let message = format!("the sidecar of plugin `{plugin}` has no jobs");
    Diagnostic::error("manifest.empty", root.span, message).fix(format!(
        "write `jobs: {{ {plugin}: {{ every: 1h }} }}`; or remove the file, and the plugin is there for jobs elsewhere"
    ))
}
