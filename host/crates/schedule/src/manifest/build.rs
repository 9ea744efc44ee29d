//! Reading `build`: how a plugin's file is made from its sources.

use std::path::Path;

use super::{
    fields::{self, Fields},
    foreign::{self, Place},
    grants,
    node::Node,
    resolved::Build,
};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Reads `build: COMMAND`, or `build: { run: COMMAND, folder: PATH }`.
pub(super) fn read(node: &Node, folder: &Path, diagnostics: &mut Diagnostics) -> Option<Build> {
    if node.as_map().is_none() {
        return Some(Build { command: command(node, diagnostics)?, folder: folder.to_path_buf() });
    }
    let mut fields = Fields::open(node, "`build`", diagnostics)?;
    let run = fields.get("run");
    let inside = fields.get("folder");
    if run.is_none() && fields.unasked().next().is_none() {
        let error = Diagnostic::error("manifest.missing_key", node.span, "`build` has no `run`");
        diagnostics.push(error.fix("write the command, such as `build: { run: make, folder: ./src }`"));
    }
    fields.finish_translated(|key| foreign::answer(Place::Build, key), diagnostics);
    let command = command(run?, diagnostics)?;
    let folder =
        inside.map_or_else(|| Some(folder.to_path_buf()), |node| grants::path_in(node, folder, diagnostics))?;
    Some(Build { command, folder })
}

fn command(node: &Node, diagnostics: &mut Diagnostics) -> Option<String> {
    let text = fields::text(node, diagnostics)?;
    if text.trim().is_empty() {
        let error = Diagnostic::error("manifest.range", node.span, "a command has at least one word");
        return diagnostics.reject(error.fix("write what a shell would run, such as `make`, or remove `build`"));
    }
    Some(text.to_owned())
}
