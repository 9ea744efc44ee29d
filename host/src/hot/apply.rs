//! Putting in force: the ledger first, then the executor, then the schedule, then what still runs on old code.

use std::{sync::Arc, time::Duration};

use clockjack_sandbox::Prepared;
use clockjack_schedule::{
    id::{JobId, PluginName},
    manifest::{
        diff::diff,
        resolved::{self, Manifest},
    },
    ports::{Change, GenerationRow},
};
use tracing::error;

use super::{
    evaluate::{Choice, Evaluation},
    first::stored,
    line::{Generation, Line},
    plan::{self, Past},
    reloader::{Task, Waiter},
    set::Set,
    view::Plan,
};
use crate::{
    load::{self, PreparedJob},
    shell::{CodeChange, Event, ManifestNews, PluginNews, PluginNewsKind},
};

/// How long the code of a job that was removed is kept for what was claimed of it and has not begun: far longer than that
/// waits for a place.
const REMOVED_FOR: Duration = Duration::from_secs(60);

/// A generation that is to be in force.
struct Coming {
    name: PluginName,
    generation: Arc<Generation>,
    plugin: resolved::Plugin,
    difference: Option<super::Difference>,
}

impl Task {
    /// Puts another manifest in force, with whatever code was chosen for it. Nothing of it is, after an error.
    /// `documents` is kept together with what comes in force.
    pub(super) async fn put_manifest_in_force(
        &mut self,
        set: Arc<Set>,
        evaluation: Evaluation,
        documents: Vec<Change>,
    ) -> Result<Plan, String> {
        let before = Arc::clone(&self.in_force);
        let (old, new) = (&before.loaded.manifest, &set.loaded.manifest);
        let change = diff(old, new);
        if let Some(why) = self.parts.made_for.needs_restart(&change, new) {
            return Err(why);
        }
        let ledger = self.parts.stores.ledger();
        // What can fail comes first: nothing is half in force.
        let loaded = ledger.load().await.map_err(|error| error.to_string())?;
        let past = Past::new(loaded, self.now());
        self.parts.stores.route(new).await.map_err(|error| error.to_string())?;
        let coming = self.coming(new, &evaluation);
        self.keep(&coming, documents).await?;
        self.note_candidates(&evaluation);
        let jobs = self.prepared(new, evaluation.jobs, &coming);
        self.parts.executor.put_all(jobs);
        let definition = |id| new.jobs.get(id).map(Arc::clone);
        let added = change.jobs.added.iter().filter_map(definition).collect();
        let changed = change.jobs.changed.iter().filter_map(definition).collect();
        if !change.pools.is_empty() {
            self.parts.host.resize(new.pools.clone()).await;
        }
        if !change.channels.is_empty() {
            // Before the jobs that name them.
            self.parts.channels.send_replace(Arc::new(new.channels.clone()));
        }
        if !change.jobs.is_empty() {
            let done = self.parts.host.change(added, changed, change.jobs.removed.clone()).await;
            done.map_err(|error| {
                format!("the manifest is in force in part, its jobs are not: {error}; reload it again")
            })?;
        }
        // What was claimed of a job that has just been removed may begin yet.
        let until = self.parts.clock.monotonic() + REMOVED_FOR;
        self.removed.extend(change.jobs.removed.iter().map(|job| (job.clone(), until)));
        let plan = plan::of_manifest(old, new, &change, &past);
        self.leave_out(new);
        self.in_force = Arc::clone(&set);
        let is_asked = self.next.as_ref().is_some_and(|next| next.is_anew);
        if is_asked || !plan.is_empty() || !coming.is_empty() || !set.has_same_texts(&before) {
            self.tell_manifest(&set, &plan, evaluation.diagnostics.all());
        }
        self.come(coming).await;
        self.note_faulty(&set, true);
        self.show();
        Ok(plan)
    }

    /// Gives up the code of jobs that were removed a while ago.
    pub(super) fn forget_removed(&mut self) {
        let now = self.parts.clock.monotonic();
        self.removed.retain(|(_, until)| now < *until);
        let (jobs, removed) = (&self.in_force.loaded.manifest.jobs, &self.removed);
        let is_removed = |job: &JobId| removed.iter().any(|(id, _)| id == job);
        self.parts.executor.retain(|job| jobs.contains_key(job) || is_removed(job));
    }

    /// How long until the next of them is given up.
    pub(super) fn until_forgotten(&self) -> Duration {
        let until = self.removed.iter().map(|(_, until)| *until).min().unwrap_or(Duration::MAX);
        until.saturating_sub(self.parts.clock.monotonic())
    }

    /// Puts new code in force for the manifest that is.
    pub(super) async fn put_code_in_force(&mut self, evaluation: Evaluation) {
        let set = Arc::clone(&self.in_force);
        let manifest = &set.loaded.manifest;
        let coming = self.coming(manifest, &evaluation);
        if let Err(why) = self.keep(&coming, Vec::new()).await {
            // The files are looked at again with the next change, or when somebody asks.
            return error!("new code is not put in force: {why}; `clockjack reload` tries it again");
        }
        self.parts.executor.put_all(self.prepared(manifest, evaluation.jobs, &coming));
        self.come(coming).await;
    }

    /// The generations that come with an evaluation.
    fn coming(&self, manifest: &Manifest, evaluation: &Evaluation) -> Vec<Coming> {
        let now = self.now();
        let mut coming = Vec::new();
        for (name, choice) in &evaluation.choices {
            let (Choice::Take { plugin: code, difference }, Some(plugin)) = (choice, manifest.plugins.get(name)) else {
                continue;
            };
            let history = match self.lines.get(name) {
                Some(line) => line.history.clone(),
                None => self.histories.get(name).cloned().unwrap_or_default(),
            };
            let row = history.row_for(plugin, code, &self.cause, now);
            let generation = Arc::new(Generation { row, plugin: Arc::clone(code) });
            coming.push(Coming {
                name: name.clone(),
                generation,
                plugin: plugin.clone(),
                difference: difference.clone(),
            });
        }
        coming
    }

    /// Keeps the rows of generations together with documents.
    async fn keep(&self, coming: &[Coming], documents: Vec<Change>) -> Result<(), String> {
        let rows = coming.iter().map(|coming| Change::Generation(Arc::new(coming.generation.row.clone())));
        self.keep_all(documents.into_iter().chain(rows).collect()).await
    }

    pub(super) async fn keep_rows(&self, rows: Vec<GenerationRow>) -> Result<(), String> {
        self.keep_all(rows.into_iter().map(|row| Change::Generation(Arc::new(row))).collect()).await
    }

    async fn keep_all(&self, changes: Vec<Change>) -> Result<(), String> {
        if changes.is_empty() {
            return Ok(());
        }
        let kept = self.parts.stores.ledger().commit(changes).await;
        kept.map(drop).map_err(|error| error.to_string())
    }

    /// Jobs for the executor, each with the generation that it runs.
    fn prepared(&self, manifest: &Manifest, jobs: Vec<PreparedJob>, coming: &[Coming]) -> Vec<Prepared> {
        let number = |plugin: &PluginName| {
            let new = coming.iter().find(|coming| coming.name == *plugin).map(|coming| coming.generation.row.number);
            new.or_else(|| self.lines.get(plugin).map(|line| line.current.row.number)).unwrap_or(1)
        };
        let prepared = |job: PreparedJob| {
            let generation = number(&job.job.plugin);
            load::prepared(manifest, job, generation)
        };
        jobs.into_iter().map(prepared).collect()
    }

    /// Counts generations as in force, ends what jobs want ended, and tells of it.
    async fn come(&mut self, coming: Vec<Coming>) {
        let mut changes = Vec::new();
        let mut news = Vec::new();
        for Coming { name, generation, plugin, difference } in coming {
            let number = generation.row.number;
            changes.extend(self.users(&name).map(|job| CodeChange { job, generation: number }));
            let before = self.advance(&name, &generation, &plugin);
            let kind = match before {
                Some(before) => PluginNewsKind::Replaced { before },
                None => PluginNewsKind::Added,
            };
            news.push(PluginNews {
                plugin: name,
                kind,
                digest: Some(Arc::clone(&generation.row.digest)),
                generation: number,
                reason: self.cause.clone(),
                fix: String::new(),
                difference,
            });
        }
        self.listen();
        self.parts.host.code_changed(changes).await;
        news.into_iter().for_each(|news| self.note(news));
    }

    /// The jobs that run a plugin.
    pub(super) fn users(&self, name: &PluginName) -> impl Iterator<Item = JobId> {
        let jobs = self.in_force.loaded.manifest.jobs.values();
        jobs.filter(|job| job.plugin == *name).map(|job| job.id.clone()).collect::<Vec<_>>().into_iter()
    }

    /// Makes a generation the current one; the number of the one before it, of the same place.
    fn advance(&mut self, name: &PluginName, generation: &Arc<Generation>, plugin: &resolved::Plugin) -> Option<u32> {
        let Some(line) = self.lines.get_mut(name) else {
            let history = self.histories.remove(name).unwrap_or_default();
            let line = Line::begin(plugin, Arc::clone(generation), history, stored());
            self.lines.insert(name.clone(), line);
            return None;
        };
        let before = line.current.row.number;
        line.advance(Arc::clone(generation), plugin);
        line.candidate = None;
        Some(before)
    }

    /// Forgets plugins that the manifest does not have any more. Their pasts stay.
    fn leave_out(&mut self, manifest: &Manifest) {
        let gone: Vec<_> = self.lines.keys().filter(|name| !manifest.plugins.contains_key(*name)).cloned().collect();
        for name in gone {
            let Some(line) = self.lines.remove(&name) else { continue };
            let (generation, digest) = (line.current.row.number, Some(Arc::clone(&line.current.row.digest)));
            self.histories.insert(name.clone(), line.history);
            let (kind, reason, fix) = (PluginNewsKind::Removed, self.cause.clone(), String::new());
            self.note(PluginNews { plugin: name, kind, digest, generation, reason, fix, difference: None });
        }
        for (name, line) in &mut self.lines {
            // What the manifest says of canaries and of what is kept counts from now on.
            if let Some(plugin) = manifest.plugins.get(name) {
                line.go_by(plugin);
            }
        }
    }

    fn tell_manifest(&mut self, set: &Set, plan: &Plan, findings: &[clockjack_schedule::diagnostic::Diagnostic]) {
        let jobs = [plan.added.len(), plan.changed.len(), plan.removed.len(), plan.n_untouched];
        let mut all = set.loaded.diagnostics.all().to_vec();
        all.extend_from_slice(findings);
        all.extend(self.parts.made_for.wait_for_restart(&set.loaded.manifest));
        self.parts.host.publish(Event::Manifest(Arc::new(ManifestNews {
            cause: self.cause.clone(),
            refused: None,
            jobs,
            findings: all.clone(),
            sources: set.loaded.sources.clone(),
        })));
        for Waiter { plan: waiting, .. } in &mut self.waiting {
            waiting.added.extend(plan.added.iter().cloned());
            waiting.changed.extend(plan.changed.iter().cloned());
            waiting.removed.extend(plan.removed.iter().cloned());
            waiting.pools.extend(plan.pools.iter().cloned());
            waiting.n_untouched = plan.n_untouched;
            waiting.findings.clone_from(&all);
            waiting.sources.clone_from(&set.loaded.sources);
        }
    }
}
