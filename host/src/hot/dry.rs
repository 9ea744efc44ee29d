//! A reload that changes nothing: what a plan is answered with.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use clockjack_sandbox::{Plugin, Sandbox};
use clockjack_schedule::{id::PluginName, manifest::diff::diff};

use super::{
    MadeFor,
    decide::unit_view,
    evaluate::{Evaluation, Question, Standing, evaluate},
    files::{Errand, Files},
    line::History,
    plan::{self, Past},
    set::{Set, Sources},
    view::{Plan, PluginChange, PluginChangeKind},
};
use crate::load::{FaultyUnit, given::Given};

/// What a reload would be made of.
pub(super) struct Dry {
    pub(super) sources: Sources,
    /// The manifests that are meant instead of those of the host.
    pub(super) asked: Option<Vec<PathBuf>>,
    pub(super) sandbox: Sandbox,
    pub(super) before: Arc<Set>,
    /// What the host was given beside its files.
    pub(super) given: Arc<Given>,
    pub(super) known: Vec<Arc<Plugin>>,
    pub(super) standings: BTreeMap<PluginName, Standing>,
    /// Also of plugins that run nothing now: one that comes back goes on counting.
    pub(super) histories: BTreeMap<PluginName, History>,
    pub(super) made_for: MadeFor,
    pub(super) now: DateTime<Utc>,
}

/// A plan of which nothing comes.
pub(super) fn refused(why: String) -> Plan {
    Plan { refused: Some(why), ..Plan::default() }
}

impl Dry {
    /// Reads and compiles, and takes as long as that does.
    pub(super) fn run(mut self, past: &Past) -> Plan {
        if let Some(asked) = self.asked.take() {
            self.sources.files = asked.iter().map(|file| spelled(file, &self.sources.files)).collect();
        }
        let read = Set::read_beside(&self.sources, &self.before, &self.given, self.now);
        match read.and_then(|set| self.settle(set)) {
            Ok((set, evaluation)) => self.plan(&set, evaluation, past),
            Err(error) => refused(format!("{error:#}")),
        }
    }

    /// Holds a manifest against its plugins, and once more without the components in directories that something is
    /// wrong with. There is no evaluation where something is wrong with the manifest itself.
    fn settle(&self, mut set: Set) -> anyhow::Result<(Set, Option<Evaluation>)> {
        let mut files = Files::default();
        while !set.loaded.diagnostics.has_errors() {
            self.read(&set, &mut files);
            let question = Question { loaded: &set.loaded, before: None, files: &files, standings: &self.standings };
            let evaluation = evaluate(&question);
            match set.without_faulty(&self.sources, evaluation.diagnostics.all()) {
                Some(rest) => set = rest?,
                None => return Ok((set, Some(evaluation))),
            }
        }
        Ok((set, None))
    }

    /// Reads the files of plugins that were not read yet.
    fn read(&self, set: &Set, files: &mut Files) {
        let (manifest, sandbox) = (&set.loaded.manifest, set.sandbox(&self.sandbox));
        for plugin in manifest.plugins.values() {
            let errand = Errand::of(manifest, plugin);
            if files.get(&plugin.source).is_none() || files.lacks_metering(&plugin.source, errand.is_metered) {
                files.put(plugin.source.clone(), errand.run(&sandbox, &self.known));
            }
        }
    }

    fn plan(&self, set: &Set, evaluation: Option<Evaluation>, past: &Past) -> Plan {
        let (old, new) = (&self.before.loaded.manifest, &set.loaded.manifest);
        let mut findings = set.loaded.diagnostics.clone();
        let mut plan = Plan::default();
        if let Some(evaluation) = evaluation {
            let change = diff(old, new);
            plan = plan::of_manifest(old, new, &change, past);
            plan.plugins = self.plugins(&evaluation);
            plan.refused = self.made_for.needs_restart(&change, new);
            findings.append(evaluation.diagnostics);
            findings.extend(self.made_for.wait_for_restart(new));
        }
        findings.sort();
        if findings.has_errors() {
            plan.refused = Some(plan::errors(findings.n_errors()));
        }
        // A unit that is told as refused, or a manifest that is, takes nothing away.
        let is_refused = plan.refused.is_some();
        let is_faulty = |name: &PluginName| set.faulty.units.iter().any(|unit| unit.plugin == *name);
        plan.plugins
            .retain(|change| change.change != PluginChangeKind::Removed || !(is_refused || is_faulty(&change.plugin)));
        plan.plugins.extend(set.faulty.units.iter().map(|unit| self.faulty(set, unit)));
        plan.findings = findings.all().to_vec();
        plan.sources.clone_from(&set.loaded.sources);
        plan
    }

    fn plugins(&self, evaluation: &Evaluation) -> Vec<PluginChange> {
        let number = |name: &PluginName, digest: &str| {
            let history = self.histories.get(name);
            history.map_or(1, |history| history.number_for(digest))
        };
        let mut changes = plan::of_plugins(evaluation, &self.standings, number);
        // The same code out of a file in another place replaces nothing.
        let is_same = |change: &PluginChange| {
            change.change == PluginChangeKind::Replaced && change.generation_before == change.generation_after
        };
        changes.retain(|change| !is_same(change));
        changes
    }

    /// A component in a directory that would not be in force as it is on disk.
    fn faulty(&self, set: &Set, unit: &FaultyUnit) -> PluginChange {
        let standing = self.standings.get(&unit.plugin);
        let before = standing.and_then(|standing| standing.current.as_ref()).map(|(_, current)| current.row.number);
        let stays = set.loaded.manifest.plugins.contains_key(&unit.plugin);
        let view = unit_view(unit, self.now);
        let code = view.code.map_or_else(String::new, |code| format!("{code}: "));
        PluginChange {
            plugin: unit.plugin.clone(),
            change: PluginChangeKind::Refused,
            generation_before: before,
            generation_after: before.filter(|_| stays),
            reason: format!("{code}{}", view.reason),
            fix: view.fix,
            difference: None,
        }
    }
}

/// A path that somebody asks for as the host would have spelled it. What a manifest names by relative paths counts from
/// the manifest's own, so that two spellings of one file would name different plugins, stores and secrets.
fn spelled(asked: &Path, own: &[PathBuf]) -> PathBuf {
    let whole = real(asked);
    if let Some(same) = own.iter().find(|own| real(own) == whole) {
        return same.clone();
    }
    let below = |folder: &Path| {
        let around = here(folder).canonicalize().ok()?;
        let rest = whole.strip_prefix(around).ok().filter(|rest| !rest.as_os_str().is_empty())?;
        Some(folder.join(rest))
    };
    // A folder of manifests, the folder around a manifest, and where the host was started.
    let folders = |own: &PathBuf| {
        let start = own.is_relative().then(|| PathBuf::from(""));
        [Some(own.clone()), own.parent().map(Path::to_path_buf), start].into_iter().flatten()
    };
    own.iter().flat_map(folders).find_map(|folder| below(&folder)).unwrap_or_else(|| asked.to_owned())
}

/// The whole path of a file, whether or not it is there. One that is a link stays so: where it lies is what counts.
fn real(path: &Path) -> PathBuf {
    let whole = match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => here(folder).canonicalize().map(|folder| folder.join(name)),
        (None, _) | (_, None) => here(path).canonicalize(),
    };
    whole.or_else(|_| std::path::absolute(here(path))).unwrap_or_else(|_| path.to_owned())
}

/// A path that can be asked for: the empty one means this folder.
fn here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn paths_are_spelled_as_the_host_does() {
        let temp = tempfile::TempDir::with_prefix("clockjack-").unwrap();
        let root = temp.path();
        for folder in ["real/conf", "other"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        symlink(root.join("real"), root.join("link")).unwrap();
        let at = |path: &str| root.join(path);
        let own = [at("link/clockjack.yaml")];
        let told = |asked: &str| spelled(&at(asked), &own);
        assert_eq!(told("real/clockjack.yaml"), at("link/clockjack.yaml"));
        assert_eq!(told("real/../link/clockjack.yaml"), at("link/clockjack.yaml"));
        assert_eq!(told("real/next.yaml"), at("link/next.yaml"));
        assert_eq!(told("real/conf/next.yaml"), at("link/conf/next.yaml"));
        assert_eq!(told("other/next.yaml"), at("other/next.yaml"));
        assert_eq!(told("missing/next.yaml"), at("missing/next.yaml"));
        // What lies where the host was started is spelled from there, if the host spells its own so.
        let start = real(Path::new("."));
        let relative = |asked: &str, own: &str| spelled(&start.join(asked), &[PathBuf::from(own)]);
        assert_eq!(relative("next.yaml", "clockjack.yaml"), Path::new("next.yaml"));
        assert_eq!(relative("k2/next.yaml", "clockjack.yaml"), Path::new("k2/next.yaml"));
        assert_eq!(relative("clockjack.yaml", "./clockjack.yaml"), Path::new("./clockjack.yaml"));
        assert_eq!(relative("src/next.yaml", "./src"), Path::new("./src/next.yaml"));
        assert_eq!(relative("next.yaml", "src/clockjack.yaml"), Path::new("next.yaml"));
        let absolute = start.join("clockjack.yaml");
        assert_eq!(relative("next.yaml", absolute.to_str().unwrap()), start.join("next.yaml"));
    }
}
