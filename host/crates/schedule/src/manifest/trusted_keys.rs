//! Reading `host: { trusted_keys: … }`: folders whose plugins must be signed, and by whom.

use std::path::Path;

use super::{
    fields::{self, Fields},
    grants,
    node::Node,
    resolved::TrustedKeys,
};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Characters of a public key, and what each begins with.
const KEY_CHARS: usize = 56;
const KEY_PREFIX: &str = "RW";

/// Reads the list, or its only entry.
pub(super) fn read(host: &mut Fields<'_>, folder: &Path, diagnostics: &mut Diagnostics) -> Vec<TrustedKeys> {
    let nodes = host.get("trusted_keys").map(Node::as_one_or_many).unwrap_or_default();
    nodes.iter().filter_map(|node| entry(node, folder, diagnostics)).collect()
}

fn entry(node: &Node, folder: &Path, diagnostics: &mut Diagnostics) -> Option<TrustedKeys> {
    let mut fields = Fields::open(node, "an entry of `trusted_keys`", diagnostics)?;
    let place = fields.get("folder").and_then(|node| grants::path_in(node, folder, diagnostics));
    let written = fields.get("keys");
    let is_whole = place.is_some() && written.is_some();
    let span = fields.span();
    fields.finish(diagnostics);
    if !is_whole {
        let message = "an entry of `trusted_keys` has a `folder` and its `keys`";
        let fix = "write `trusted_keys: [{ folder: ./plugins, keys: [RWQ...] }]`";
        return diagnostics.reject(Diagnostic::error("manifest.missing_key", span, message).fix(fix));
    }
    let nodes = written.map(Node::as_one_or_many).unwrap_or_default();
    let keys: Vec<_> = nodes.iter().filter_map(|node| key(node, diagnostics)).collect();
    Some(TrustedKeys { folder: place?, keys })
}

fn key(node: &Node, diagnostics: &mut Diagnostics) -> Option<String> {
    let text = fields::text(node, diagnostics)?;
    let is_base64 = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='));
    if text.len() == KEY_CHARS && text.starts_with(KEY_PREFIX) && is_base64 {
        return Some(text.to_owned());
    }
    let message = format!("a public key of minisign has {KEY_CHARS} characters and begins with `{KEY_PREFIX}`");
    let error = Diagnostic::error("manifest.value", node.span, message);
    diagnostics.reject(error.fix("write the last line of the file `minisign.pub`"))
}
