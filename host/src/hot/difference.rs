//! How two generations differ, for people who decide about the new one.

use std::collections::BTreeSet;

use clockjack_sandbox::{Plugin, is_base_line};

use super::view::Difference;

/// What changes from one to the other.
pub(super) fn difference(before: &Plugin, after: &Plugin) -> Difference {
    let (exports_added, exports_removed) = apart(&exports(before), &exports(after));
    let (imports_added, imports_removed) = apart(&imports(before), &imports(after));
    let (n_bytes_before, n_bytes_after) = (before.n_bytes, after.n_bytes);
    Difference { exports_added, exports_removed, imports_added, imports_removed, n_bytes_before, n_bytes_after }
}

/// Functions with their types: one that takes something else now is another function.
fn exports(plugin: &Plugin) -> BTreeSet<String> {
    plugin.functions.iter().map(|function| function.signature()).collect()
}

/// What a language runtime drags in says nothing about what the plugin wants.
fn imports(plugin: &Plugin) -> BTreeSet<String> {
    plugin.imports.iter().filter(|import| !is_base_line(import)).cloned().collect()
}

fn apart(before: &BTreeSet<String>, after: &BTreeSet<String>) -> (Vec<String>, Vec<String>) {
    (after.difference(before).cloned().collect(), before.difference(after).cloned().collect())
}
