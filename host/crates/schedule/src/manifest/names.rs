//! Names that a manifest defines in one place and uses in others: jobs, pools, stores.

use std::{cell::Cell, collections::BTreeSet};

use crate::diagnostic::did_you_mean;

/// Most comparisons in search of names that were meant, so that a manifest full of wrong names is answered quickly.
const COMPARISONS_MAX: usize = 20_000;

/// Every name that is written, also of what could not be read: references to that are not a second fault.
pub(super) struct Names {
    known: BTreeSet<String>,
    comparisons_left: Cell<usize>,
}

impl Names {
    pub(super) fn new<'n>(known: impl IntoIterator<Item = &'n str>) -> Self {
        let known = known.into_iter().map(ToOwned::to_owned).collect();
        Self { known, comparisons_left: Cell::new(COMPARISONS_MAX) }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.known.contains(name)
    }

    /// `did you mean …?`, or else what else to do.
    pub(super) fn fix(&self, typed: &str, or: String) -> String {
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
