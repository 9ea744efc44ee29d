//! Names that a manifest defines in one place and uses in others: jobs, pools, stores.

use std::{cell::Cell, collections::BTreeSet};

use super::node::Node;
use crate::diagnostic::{Diagnostic, Diagnostics, did_you_mean};

/// Most comparisons in search of names that were meant, so that a manifest full of wrong names is answered quickly.
const COMPARISONS_MAX: usize = 20_000;

/// Every name that is written, also of what could not be read: references to that are not a second fault.
pub(super) struct Names {
    known: BTreeSet<String>,
    /// Whether every source could be read: else a name may well stand in the one that could not.
    is_complete: bool,
    comparisons_left: Cell<usize>,
}

impl Names {
    pub(super) fn new<'n>(known: impl IntoIterator<Item = &'n str>, is_complete: bool) -> Self {
        let known = known.into_iter().map(ToOwned::to_owned).collect();
        Self { known, is_complete, comparisons_left: Cell::new(COMPARISONS_MAX) }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.known.contains(name)
    }

    /// Tells that a name is not known: what was meant, or else what to do.
    pub(super) fn refuse<T>(
        &self,
        (code, what): (&'static str, &str),
        node: &Node,
        typed: &str,
        or: String,
        diagnostics: &mut Diagnostics,
    ) -> Option<T> {
        if !self.is_complete {
            return None;
        }
        let error = Diagnostic::error(code, node.span, format!("no {what} is named `{typed}`"));
        diagnostics.reject(error.fix(self.fix(typed, or)))
    }

    fn fix(&self, typed: &str, or: String) -> String {
        let Some(left) = self.comparisons_left.get().checked_sub(self.known.len()) else { return or };
        // Nobody misspells a short name into a long one, and comparing long ones takes time.
        if 64 < typed.len() {
            return or;
        }
        self.comparisons_left.set(left);
        let near = did_you_mean(typed, self.known.iter().map(String::as_str).filter(|name| name.len() <= 64));
        near.map_or(or, |near| format!("did you mean `{near}`?"))
    }
}
