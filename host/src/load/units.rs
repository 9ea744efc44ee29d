//! Components in directories of plugins, each with its sidecar of jobs: what of them is read, and in which order.
//!
//! A unit stands for itself: whatever is wrong with one is told of that one, and the others go on. So it can be read as it is
//! on disk, kept as it was when it was last right, or left out.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use clockjack_schedule::{
    diagnostic::{Diagnostic, Span},
    id::PluginName,
    manifest::directories::UnitSource,
};

use super::{
    Program,
    given::Given,
    placed::{GivenChoices, Placed},
};

/// A component in a directory of plugins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its name.
    pub plugin: PluginName,
    /// What tells it from all others: its directory and its name, without an ending.
    pub path: PathBuf,
    /// Where its file is. One that is in force has one.
    pub component: Option<PathBuf>,
    /// Where its jobs are, if it has any.
    pub sidecar: Option<PathBuf>,
    /// What its sidecar says.
    pub text: Option<Arc<str>>,
    /// Which of the sources that were read with it is its own.
    pub source: usize,
    /// Where its directory is named.
    pub directory: Span,
}

impl Unit {
    /// Whether both say the same of the same file.
    fn is_same(&self, other: &Self) -> bool {
        (&self.component, &self.sidecar, &self.text) == (&other.component, &other.sidecar, &other.text)
    }

    /// Its beginning, for what is said of all of it.
    #[must_use]
    pub fn span(&self) -> Span {
        Span { source: self.source, ..Span::default() }
    }

    /// What the reader of manifests wants to know of it.
    pub(super) fn as_source(&self) -> UnitSource {
        UnitSource {
            plugin: self.plugin.clone(),
            component: self.component.clone(),
            source: self.source,
            has_sidecar: self.text.is_some(),
            directory: self.directory,
        }
    }

    /// The name of its source: its sidecar, or the component where it has none.
    pub(super) fn shown(&self) -> String {
        let file = self.sidecar.as_deref().or(self.component.as_deref()).unwrap_or(&self.path);
        file.display().to_string()
    }
}

/// What is to be read of units. Without a word about one it is read as it is on disk.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    in_force: BTreeMap<PathBuf, Unit>,
    by_path: BTreeMap<PathBuf, Choice>,
    /// The same for what the host was given beside its files.
    pub(super) given: GivenChoices,
    /// What is read beside the files that were named.
    pub(super) program: Program,
}

/// What is read of a unit instead of what is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Nothing.
    LeftOut,
    /// What it was before.
    Kept(Unit),
}

impl Choices {
    /// Everything as it is on disk, beside these units that are in force: of two that do not go together the one that is
    /// in force is right.
    #[must_use]
    pub fn beside(in_force: &[Unit], given: &[Placed]) -> Self {
        let in_force = in_force.iter().map(|unit| (unit.path.clone(), unit.clone())).collect();
        Self { in_force, by_path: BTreeMap::new(), given: GivenChoices::beside(given), program: Program::default() }
    }

    /// The same, and with what the program says that the host is a part of.
    #[must_use]
    pub fn with_program(self, program: &Program) -> Self {
        Self { program: program.clone(), ..self }
    }

    /// The same units, and what the host was given as it is now.
    #[must_use]
    pub fn with_given_beside(&self, given: &[Placed]) -> Self {
        Self { given: GivenChoices::beside(given), ..self.clone() }
    }

    /// Whether units are read as in other choices.
    #[must_use]
    pub(super) fn has_same_units(&self, other: &Self) -> bool {
        self.by_path == other.by_path
    }

    /// What the host was given, as it is to be read.
    pub(super) fn placed(&self, given: &Given, first_source: usize) -> Vec<Placed> {
        self.given.placed(given, first_source)
    }

    /// What was said of a unit.
    #[must_use]
    pub fn of(&self, path: &Path) -> Option<&Choice> {
        self.by_path.get(path)
    }

    /// Something is wrong with a unit as it was read: from now on what it was before is read in its place, or nothing.
    /// Answers whether it is what it was before.
    pub fn refuse(&mut self, unit: &Unit) -> bool {
        // Also where it says the same as before: what is wrong may be with its files.
        let next = match (self.by_path.get(&unit.path), self.in_force.get(&unit.path)) {
            (None, Some(before)) => Choice::Kept(before.clone()),
            (None, None) | (Some(Choice::Kept(_) | Choice::LeftOut), _) => Choice::LeftOut,
        };
        let is_kept = matches!(next, Choice::Kept(_));
        self.by_path.insert(unit.path.clone(), next);
        is_kept
    }

    /// The order of units: what is in force as it is, what is in force otherwise, what is new; in each of them by name. Who
    /// comes later is at fault.
    pub(super) fn rank(&self, unit: &Unit) -> (u8, PluginName, PathBuf) {
        let rank = match self.in_force.get(&unit.path) {
            Some(before) if before.is_same(unit) => 0,
            Some(_) => 1,
            None => 2,
        };
        (rank, unit.plugin.clone(), unit.path.clone())
    }
}

/// What is wrong with the files of a unit, whatever stands in them.
pub(super) struct Fault {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) fix: String,
}

impl Fault {
    pub(super) fn diagnostic(self, unit: &Unit) -> Diagnostic {
        let message = format!("plugin `{}`: {}", unit.plugin, self.message);
        Diagnostic::error(self.code, unit.span(), message).fix(self.fix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str, text: &str) -> Unit {
        Unit {
            plugin: name.parse().unwrap(),
            path: Path::new("d").join(name),
            component: Some(Path::new("d").join(name).with_extension("wasm")),
            sidecar: Some(Path::new("d").join(name).with_extension("yaml")),
            text: Some(text.into()),
            source: 0,
            directory: Span::default(),
        }
    }

    #[test]
    fn what_is_refused_goes_back_to_what_was_and_then_out() {
        let (old, new) = (unit("a", "old"), unit("a", "new"));
        let mut choices = Choices::beside(std::slice::from_ref(&old), &[]);
        assert_eq!(choices.of(&old.path), None);
        assert!(choices.refuse(&new));
        assert_eq!(choices.of(&old.path), Some(&Choice::Kept(old.clone())));
        assert!(!choices.refuse(&old));
        assert_eq!(choices.of(&old.path), Some(&Choice::LeftOut));
        assert!(Choices::beside(std::slice::from_ref(&old), &[]).refuse(&old), "its files may be what is wrong");
        assert!(!Choices::default().refuse(&new));
    }

    #[test]
    fn what_is_in_force_comes_before_what_is_new() {
        let choices = Choices::beside(&[unit("y", "as it was"), unit("z", "as it was")], &[]);
        let mut units = [unit("a", "new"), unit("y", "changed"), unit("z", "as it was"), unit("b", "new")];
        units.sort_by_key(|unit| choices.rank(unit));
        assert_eq!(units.map(|unit| unit.plugin.to_string()), ["z", "y", "a", "b"]);
    }
}
