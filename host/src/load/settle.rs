//! A manifest whose faulty units stand aside: each is kept as it was before, or left out, so that the others can be in force.

use std::path::{Path, PathBuf};

use clockjack_schedule::{
    diagnostic::{Diagnostic, Severity, Source},
    id::PluginName,
    zone::Zones,
};

use super::{
    Loaded, files,
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

/// A manifest without its faulty units.
pub struct Settled {
    /// What is left. If there is an error in it, it is one of the manifest itself, and nothing may be in force.
    pub loaded: Loaded,
    /// The units that are not as they are on disk, in the order in which they were found.
    pub faulty: Vec<FaultyUnit>,
    /// How that was reached: whoever finds more, later, goes on from here.
    pub choices: Choices,
}

/// Reads manifests, and again as long as something is wrong with units. `check` finds what reading does not; it is called once
/// nothing is wrong with units so far, and again after it found something.
///
/// Where something is wrong with the manifest itself, nothing is put aside: all of it is told together.
pub fn settle(paths: &[PathBuf], zones: &Zones, mut choices: Choices, mut check: impl FnMut(&mut Loaded)) -> Settled {
    let mut faulty = Vec::new();
    // Each round takes at least one unit a step further: from what is on disk to what it was, and then out.
    loop {
        let mut loaded = files::load(paths, zones, &choices);
        let mut bad = at_fault(&loaded, loaded.diagnostics.all());
        if bad.is_empty() {
            check(&mut loaded);
            bad = at_fault(&loaded, loaded.diagnostics.all());
        }
        if bad.is_empty() {
            return Settled { loaded, faulty, choices };
        }
        for unit in bad {
            let is_kept = choices.refuse(unit);
            note(&mut faulty, &loaded, loaded.diagnostics.all(), unit, is_kept);
        }
    }
}

/// Puts the units aside that something was found in once their components were known, and says which. Where something is wrong
/// with the manifest itself, nothing is put aside.
pub fn put_aside(loaded: &Loaded, found: &[Diagnostic], choices: &mut Choices) -> Vec<FaultyUnit> {
    let mut faulty = Vec::new();
    for unit in at_fault(loaded, found) {
        let is_kept = choices.refuse(unit);
        note(&mut faulty, loaded, found, unit, is_kept);
    }
    faulty
}

/// The units that something is wrong with, unless something is wrong with the manifest itself.
fn at_fault<'l>(loaded: &'l Loaded, found: &[Diagnostic]) -> Vec<&'l Unit> {
    let errors = || found.iter().filter(|found| found.severity == Severity::Error);
    if errors().any(|error| loaded.unit_of(error).is_none()) {
        return Vec::new();
    }
    loaded.units.iter().filter(|unit| errors().any(|error| error.span.source == unit.source)).collect()
}

fn note(faulty: &mut Vec<FaultyUnit>, loaded: &Loaded, found: &[Diagnostic], unit: &Unit, is_kept: bool) {
    let place = known(faulty, &unit.path).unwrap_or(faulty.len());
    if place == faulty.len() {
        let (plugin, path) = (unit.plugin.clone(), unit.path.clone());
        faulty.push(FaultyUnit { plugin, path, findings: Vec::new(), sources: Vec::new(), is_kept });
    }
    let Some(entry) = faulty.get_mut(place) else { return };
    entry.is_kept = is_kept;
    let own = found.iter().filter(|found| found.span.source == unit.source).cloned();
    let source = entry.sources.len();
    entry.findings.extend(own.map(|mut found| {
        found.span.source = source;
        found
    }));
    entry.sources.extend(loaded.sources.get(unit.source).cloned());
}

fn known(faulty: &[FaultyUnit], path: &Path) -> Option<usize> {
    faulty.iter().position(|unit| unit.path == path)
}

#[cfg(test)]
mod tests;
