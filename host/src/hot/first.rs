//! What a host starts with: the manifest's plugins, loaded, with the generations that the ledger knows.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use clockjack_sandbox::{Plugin, PluginFile, Prepared, Sandbox};
use clockjack_schedule::{
    id::PluginName,
    manifest::{resolved, source::Source},
    ports::{Change, GenerationRow, Ledger, LedgerError},
};
use tracing::warn;

use super::{
    evaluate::{Choice, Evaluation, Question, Standing, evaluate},
    files::{Errand, Examined, Files},
    line::{Generation, History, Line},
    set::{Set, Sources},
    view::{CandidateState, CandidateView},
};
use crate::load::{self, PreparedJob, components::Components};

/// What a host starts with.
pub struct First {
    /// The manifest, with everything that is wrong with it.
    pub set: Set,
    /// What the executor is to be given, with the generation of each.
    jobs: Vec<(PreparedJob, u32)>,
    pub(super) lines: BTreeMap<PluginName, Line>,
    pub(super) histories: BTreeMap<PluginName, History>,
    pub(super) files: Files,
}

impl First {
    /// Loads the plugins of a manifest. All that is wrong comes to what is wrong with the manifest; what is wrong with
    /// components in directories puts those aside.
    ///
    /// # Errors
    /// When the file of pins cannot be read.
    pub fn load(
        mut set: Set,
        sources: &Sources,
        sandbox: &Sandbox,
        rows: Vec<GenerationRow>,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Self> {
        let histories = by_plugin(rows);
        let mut files = Files::default();
        let mut standings = BTreeMap::new();
        loop {
            let sandbox = set.sandbox(sandbox);
            read(&set, &sandbox, &histories, &mut files, &mut standings);
            let question = Question { loaded: &set.loaded, before: None, files: &files, standings: &standings };
            let evaluation = evaluate(&question);
            if fall_back(&set, &sandbox, &histories, &files, &evaluation, &mut standings) {
                continue;
            }
            match set.without_faulty(sources, evaluation.diagnostics.all()) {
                Some(next) => set = next?,
                None => return Ok(Self::of(set, files, standings, histories, evaluation, now)),
            }
        }
    }

    fn of(
        mut set: Set,
        files: Files,
        mut standings: BTreeMap<PluginName, Standing>,
        histories: BTreeMap<PluginName, History>,
        evaluation: Evaluation,
        now: DateTime<Utc>,
    ) -> Self {
        let manifest = &set.loaded.manifest;
        let mut lines = BTreeMap::new();
        for (name, choice) in evaluation.choices {
            let Some(plugin) = manifest.plugins.get(&name) else { continue };
            let history = histories.get(&name).cloned().unwrap_or_default();
            let (generation, candidate) = match choice {
                Choice::Take { plugin: code, .. } => {
                    let row = history.row_for(plugin, &code, "start", now);
                    (Arc::new(Generation { row, plugin: code }), None)
                }
                Choice::Stay(candidate) => {
                    let current = standings.get_mut(&name).and_then(|standing| standing.current.take());
                    let Some((_, generation)) = current else { continue };
                    (generation, candidate)
                }
            };
            let mut line = Line::begin(plugin, generation, history, stored());
            line.candidate = candidate.map(|candidate| candidate.into_view(now));
            lines.insert(name, line);
        }
        let number = |job: &PreparedJob| lines.get(&job.job.plugin).map_or(1, |line| line.current.row.number);
        let jobs = evaluation.jobs.into_iter().map(|job| (number(&job), job)).map(|(n, job)| (job, n)).collect();
        set.loaded.diagnostics.append(evaluation.diagnostics);
        Self { set, jobs, lines, histories, files }
    }

    /// The plugins with what runs of each: name, code, generation.
    pub fn plugins(&self) -> impl Iterator<Item = (&PluginName, &Arc<Plugin>, u32)> {
        self.lines.iter().map(|(name, line)| (name, &line.current.plugin, line.current.row.number))
    }

    /// The plugins that do not run the file that is there, because it cannot be used: name, what runs, what is the matter.
    pub fn fallen_back(&self) -> impl Iterator<Item = (&PluginName, u32, &CandidateView)> {
        self.lines.iter().filter_map(|(name, line)| {
            let candidate = line.candidate.as_ref().filter(|found| found.state != CandidateState::RolledBack)?;
            Some((name, line.current.row.number, candidate))
        })
    }

    /// What the executor is to be given, once.
    pub fn prepared(&mut self) -> Vec<Prepared> {
        let manifest = &self.set.loaded.manifest;
        let jobs = std::mem::take(&mut self.jobs).into_iter();
        jobs.map(|(job, generation)| load::prepared(manifest, job, generation)).collect()
    }

    /// Keeps the generations that this start put in force.
    ///
    /// # Errors
    /// When the ledger cannot keep them.
    pub async fn keep(&self, ledger: &dyn Ledger) -> Result<(), LedgerError> {
        let rows: Vec<_> = self.rows().map(|row| Change::Generation(Arc::new(row.clone()))).collect();
        if rows.is_empty() { Ok(()) } else { ledger.commit(rows).await.map(drop) }
    }

    fn rows(&self) -> impl Iterator<Item = &GenerationRow> {
        let is_new = |line: &&Line| {
            let known = self.histories.get(&line.current.row.plugin);
            !known.is_some_and(|history| history.rows.contains(&line.current.row))
        };
        self.lines.values().filter(is_new).map(|line| &line.current.row)
    }
}

/// Reads the files of plugins that were not read yet.
fn read(
    set: &Set,
    sandbox: &Sandbox,
    histories: &BTreeMap<PluginName, History>,
    files: &mut Files,
    standings: &mut BTreeMap<PluginName, Standing>,
) {
    let manifest = &set.loaded.manifest;
    for (name, plugin) in &manifest.plugins {
        let errand = Errand::of(manifest, plugin);
        if files.get(&plugin.source).is_some() && !files.lacks_metering(&plugin.source, errand.is_metered) {
            continue;
        }
        let examined = errand.run(sandbox, &[]);
        let mut standing = histories.get(name).map(Standing::past).unwrap_or_default();
        if let (Examined::Ready(found), Some(history)) = (&examined, histories.get(name)) {
            standing.current = earlier(name, &errand, found, history, sandbox);
        }
        if standing.current.is_none() {
            // There is nothing to go back to.
            standing.left.clear();
        }
        standings.insert(name.clone(), standing);
        files.put(plugin.source.clone(), examined);
    }
}

/// The code that ran before a file which was rolled back, where that is the file that is there.
fn earlier(
    name: &PluginName,
    errand: &Errand,
    found: &Plugin,
    history: &History,
    sandbox: &Sandbox,
) -> Option<(Source, Arc<Generation>)> {
    if !history.left.contains(&found.digest) {
        return None;
    }
    let row = history.newest_good()?;
    let plugin = from_store(&row.digest, errand.is_metered, sandbox);
    if plugin.is_none() {
        warn!(
            plugin = %name,
            "its file was rolled back to generation {}, whose code is not kept any more: the file runs again", row.number
        );
    }
    let generation = Generation { row: row.clone(), plugin: Arc::new(plugin?) };
    Some((errand.plugin.source.clone(), Arc::new(generation)))
}

/// Where the file that is there cannot be used, what ran last is, where its bytes were kept: a host that went on with it
/// comes back with it. Whether anything is to be held against each other anew.
fn fall_back(
    set: &Set,
    sandbox: &Sandbox,
    histories: &BTreeMap<PluginName, History>,
    files: &Files,
    evaluation: &Evaluation,
    standings: &mut BTreeMap<PluginName, Standing>,
) -> bool {
    let manifest = &set.loaded.manifest;
    let mut is_new = false;
    for (name, plugin) in manifest.plugins.iter().filter(|(name, _)| !evaluation.choices.contains_key(*name)) {
        let (Some(standing), Some(history)) = (standings.get_mut(name), histories.get(name)) else { continue };
        let Some(row) = history.newest_good().filter(|row| *row.source == *plugin.source.to_string()) else { continue };
        if standing.current.is_some() || files.get(&plugin.source).is_some_and(|file| file.is_of(&row.digest)) {
            continue;
        }
        let is_metered = Errand::of(manifest, plugin).is_metered;
        let Some(code) = from_store(&row.digest, is_metered, &set.sandbox(sandbox)) else { continue };
        let generation = Generation { row: row.clone(), plugin: Arc::new(code) };
        standing.current = Some((plugin.source.clone(), Arc::new(generation)));
        is_new = true;
    }
    is_new
}

/// Code whose bytes were kept.
pub(super) fn from_store(digest: &str, is_metered: bool, sandbox: &Sandbox) -> Option<Plugin> {
    let file = PluginFile::of_bytes(Components::open()?.get(&digest.parse().ok()?)?);
    file.load(sandbox, is_metered).inspect_err(|error| warn!(digest, "kept code cannot be loaded: {error}")).ok()
}

/// Says which code can be loaded again, by its digest.
pub(super) fn stored() -> impl Fn(&str) -> bool {
    let components = Components::open();
    move |digest| components.as_ref().is_some_and(|kept| digest.parse().is_ok_and(|digest| kept.has(&digest)))
}

fn by_plugin(rows: Vec<GenerationRow>) -> BTreeMap<PluginName, History> {
    let mut histories: BTreeMap<PluginName, History> = BTreeMap::new();
    for row in rows {
        histories.entry(row.plugin.clone()).or_default().note(row);
    }
    histories
}

impl Errand {
    /// What reading a plugin of a manifest takes.
    pub(super) fn of(manifest: &resolved::Manifest, plugin: &resolved::Plugin) -> Self {
        let uses = |job: &clockjack_schedule::job::Job| job.plugin == plugin.name && job.limits.fuel.is_some();
        let is_metered = manifest.jobs.values().any(|job| uses(job));
        Self { plugin: plugin.clone(), host: manifest.host.clone(), is_metered }
    }
}
