//! A manifest whose faulty units stand aside: each is kept as it was before, or left out, so that the others can be in force.
//! What a host was given beside its files is treated in the same way.

use std::path::{Path, PathBuf};

use clockjack_schedule::{
    diagnostic::{Diagnostic, Severity, Source},
    id::PluginName,
    zone::Zones,
};

use super::{
    Loaded, files,
    given::Given,
    placed::{FaultyGiven, Placed},
    units::{Choices, Unit},
};

/// A unit that is not in force as it is on disk.
#[derive(Clone, Debug)]
pub struct FaultyUnit {
    /// The name of its plugin.
    pub plugin: PluginName,
    /// Its directory and its name.
    pub path: PathBuf,
    /// What is wrong with it.
    pub findings: Vec<Diagnostic>,
    /// The texts that the findings are about.
    pub sources: Vec<Source>,
    /// It stays as it was before; else it is left out.
    pub is_kept: bool,
}

/// What stands aside, in the order in which it was found.
#[derive(Clone, Debug, Default)]
pub struct Faulty {
    /// The units that are not as they are on disk.
    pub units: Vec<FaultyUnit>,
    /// What the host was given and is not as it was given last.
    pub given: Vec<FaultyGiven>,
}

/// A manifest without its faulty units.
pub struct Settled {
    /// What is left. If there is an error in it, it is one of the manifest itself, and nothing may be in force.
    pub loaded: Loaded,
    /// What stands aside.
    pub faulty: Faulty,
    /// How that was reached: whoever finds more, later, goes on from here.
    pub choices: Choices,
}

/// Reads manifests, and again as long as something is wrong with units. `check` finds what reading does not; it is called once
/// nothing is wrong with units so far, and again after it found something.
///
/// Where something is wrong with the manifest itself, nothing is put aside: all of it is told together.
pub fn settle(
    paths: &[PathBuf],
    zones: &Zones,
    given: &Given,
    choices: Choices,
    check: impl FnMut(&mut Loaded),
) -> Settled {
    settle_with(|choices| files::load(paths, zones, given, choices), choices, check)
}

/// The same files with something else that the host was given. They are not read again, unless a unit that was right is not
/// any more.
pub fn settle_anew(
    before: &Loaded,
    paths: &[PathBuf],
    zones: &Zones,
    given: &Given,
    choices: Choices,
    check: impl FnMut(&mut Loaded),
) -> Settled {
    let start = choices.clone();
    let read = |choices: &Choices| match choices.has_same_units(&start) {
        true => files::resolve(&before.texts, zones, given, choices),
        false => files::load(paths, zones, given, choices),
    };
    settle_with(read, choices, check)
}

fn settle_with(read: impl Fn(&Choices) -> Loaded, mut choices: Choices, mut check: impl FnMut(&mut Loaded)) -> Settled {
    let mut faulty = Faulty::default();
    // Each round takes at least one of them a step further: from what it is to what it was, and then out.
    loop {
        let mut loaded = read(&choices);
        let mut bad = at_fault(&loaded, loaded.diagnostics.all());
        if bad.is_empty() {
            check(&mut loaded);
            bad = at_fault(&loaded, loaded.diagnostics.all());
        }
        if bad.is_empty() {
            return Settled { loaded, faulty, choices };
        }
        for piece in bad {
            piece.refuse(&loaded, loaded.diagnostics.all(), &mut choices, &mut faulty);
        }
    }
}

/// Puts the units aside that something was found in once their components were known, and says which. Where something is wrong
/// with the manifest itself, nothing is put aside.
pub fn put_aside(loaded: &Loaded, found: &[Diagnostic], choices: &mut Choices) -> Faulty {
    let mut faulty = Faulty::default();
    for piece in at_fault(loaded, found) {
        piece.refuse(loaded, found, choices, &mut faulty);
    }
    faulty
}

/// What stands for itself.
#[derive(Clone, Copy)]
enum Piece<'l> {
    Unit(&'l Unit),
    Given(&'l Placed),
}

/// The pieces that something is wrong with, unless something is wrong with the manifest itself.
fn at_fault<'l>(loaded: &'l Loaded, found: &[Diagnostic]) -> Vec<Piece<'l>> {
    let errors = || found.iter().filter(|found| found.severity == Severity::Error);
    if errors().any(|error| loaded.unit_of(error).is_none() && loaded.placed_of(error).is_none()) {
        return Vec::new();
    }
    let units = loaded.units.iter().filter(|unit| errors().any(|error| error.span.source == unit.source));
    let mut given: Vec<&Placed> = errors().filter_map(|error| loaded.placed_of(error)).collect();
    given.sort_by_key(|placed| placed.source);
    given.dedup_by_key(|placed| placed.source);
    units.map(Piece::Unit).chain(given.into_iter().map(Piece::Given)).collect()
}

impl Piece<'_> {
    /// Has what it was before read in its place, or nothing, and notes why.
    fn refuse(self, loaded: &Loaded, found: &[Diagnostic], choices: &mut Choices, faulty: &mut Faulty) {
        match self {
            Self::Unit(unit) => {
                let is_kept = choices.refuse(unit);
                note(&mut faulty.units, loaded, found, unit, is_kept);
            }
            Self::Given(placed) => {
                let is_kept = choices.given.refuse(placed);
                let name = placed.name();
                let place = faulty.given.iter().position(|given| given.name == name).unwrap_or(faulty.given.len());
                if place == faulty.given.len() {
                    faulty.given.push(FaultyGiven { name, findings: Vec::new(), sources: Vec::new(), is_kept });
                }
                let Some(entry) = faulty.given.get_mut(place) else { return };
                entry.is_kept = is_kept;
                take(&mut entry.findings, &mut entry.sources, loaded, found, placed.source);
            }
        }
    }
}

impl Faulty {
    /// Takes over what else stands aside; what is known already was told.
    pub fn add(&mut self, more: Self) {
        for unit in more.units {
            if !self.units.iter().any(|known| known.path == unit.path) {
                self.units.push(unit);
            }
        }
        for given in more.given {
            if !self.given.iter().any(|known| known.name == given.name) {
                self.given.push(given);
            }
        }
    }
}

fn note(faulty: &mut Vec<FaultyUnit>, loaded: &Loaded, found: &[Diagnostic], unit: &Unit, is_kept: bool) {
    let place = known(faulty, &unit.path).unwrap_or(faulty.len());
    if place == faulty.len() {
        let (plugin, path) = (unit.plugin.clone(), unit.path.clone());
        faulty.push(FaultyUnit { plugin, path, findings: Vec::new(), sources: Vec::new(), is_kept });
    }
    let Some(entry) = faulty.get_mut(place) else { return };
    entry.is_kept = is_kept;
    take(&mut entry.findings, &mut entry.sources, loaded, found, unit.source);
}

/// Takes over what was found in one source, with its text.
fn take(
    findings: &mut Vec<Diagnostic>,
    sources: &mut Vec<Source>,
    loaded: &Loaded,
    found: &[Diagnostic],
    own_source: usize,
) {
    let own = found.iter().filter(|found| found.span.source == own_source).cloned();
    let source = sources.len();
    findings.extend(own.map(|mut found| {
        found.span.source = source;
        found
    }));
    sources.extend(loaded.sources.get(own_source).cloned());
}

fn known(faulty: &[FaultyUnit], path: &Path) -> Option<usize> {
    faulty.iter().position(|unit| unit.path == path)
}

#[cfg(test)]
mod tests;
