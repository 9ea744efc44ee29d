//! What is put in force when: the reloader's decisions.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    diagnostic::{Diagnostic, Severity},
    id::PluginName,
};

use super::{
    evaluate::{Candidate, Choice, Evaluation, Question, Standing, evaluate},
    plan::errors,
    reloader::{SETTLES, Task, Waiter},
    set::Set,
    view::{CandidateState, CandidateView},
};
use crate::{
    load::{FaultyGiven, FaultyUnit},
    shell::{Event, ManifestNews, PluginNews, PluginNewsKind},
};

impl Task {
    /// Puts in force what is right by now: the manifest that was read, with whatever code fits it; else new code for the
    /// manifest that is in force.
    pub(super) async fn consider(&mut self) {
        if let Some(next) = &self.next {
            let set = Arc::clone(&next.set);
            let own = std::mem::replace(&mut self.cause, next.cause.clone());
            if self.consider_next(set).await {
                return;
            }
            self.cause = own;
        }
        let set = Arc::clone(&self.in_force);
        let Some(evaluation) = self.evaluate(&set, false).await else { return };
        if !self.is_reading() {
            // Else it is told when it is known whether the file is wanted at all.
            self.note_candidates(&evaluation);
        }
        // What is wrong with one plugin keeps no other one from its new code.
        if evaluation.choices.values().any(Choice::is_new) {
            self.put_code_in_force(evaluation).await;
        }
        self.show();
    }

    /// The manifest that is to be next. Whether it is in force now.
    async fn consider_next(&mut self, mut set: Arc<Set>) -> bool {
        if set.loaded.diagnostics.has_errors() {
            self.refuse_next(&set, Vec::new());
            return false;
        }
        loop {
            let Some(next) = self.next.as_ref().filter(|next| next.awaited.is_empty()) else { return false };
            let Some(evaluation) = self.evaluate(&set, next.is_anew).await else { return false };
            if !evaluation.waiting.is_empty() {
                self.go_on_without(&set, evaluation.waiting).await;
                return false;
            }
            if !evaluation.diagnostics.has_errors() {
                return self.put_next_in_force(set, evaluation).await;
            }
            // What is wrong with components in directories puts those aside; the rest is looked at again.
            match self.without_faulty(&set, &evaluation).await {
                Some(rest) => set = rest,
                None => {
                    // A file that changes this very moment may be what the manifest is waiting for.
                    if self.is_settled() || self.is_overdue() {
                        self.refuse_next(&set, evaluation.diagnostics.all().to_vec());
                    }
                    return false;
                }
            }
        }
    }

    async fn put_next_in_force(&mut self, set: Arc<Set>, evaluation: Evaluation) -> bool {
        match self.put_manifest_in_force(Arc::clone(&set), evaluation, Vec::new()).await {
            Ok(_plan) => {
                self.next = None;
                self.watch_anew();
                true
            }
            Err(why) => {
                self.refuse(&set, why, Vec::new());
                false
            }
        }
    }

    /// The manifest without the components in which something was found; it is the next one from now on.
    async fn without_faulty(&mut self, set: &Arc<Set>, evaluation: &Evaluation) -> Option<Arc<Set>> {
        let (whole, sources) = (Arc::clone(set), self.parts.sources.clone());
        let found = evaluation.diagnostics.all().to_vec();
        let read = self.desk.run(move || whole.without_faulty(&sources, &found)).await.ok()??;
        let rest = Arc::new(read.inspect_err(|error| tracing::error!("a manifest could not be read: {error:#}")).ok()?);
        self.next.as_mut()?.set = Arc::clone(&rest);
        if rest.loaded.diagnostics.has_errors() {
            // The manifest itself needs what was put aside.
            self.refuse_next(&rest, Vec::new());
            return None;
        }
        Some(rest)
    }

    /// A manifest that was read with what the host has been given meanwhile.
    pub(super) async fn with_given(&self, set: Arc<Set>) -> Arc<Set> {
        if set.given == self.given {
            return set;
        }
        let (whole, sources, given) = (Arc::clone(&set), self.parts.sources.clone(), Arc::clone(&self.given));
        let before = Arc::clone(&self.in_force);
        match self.desk.run(move || whole.with_given(&sources, &given, Some(&before))).await {
            Ok(Ok(anew)) => Arc::new(anew),
            Ok(Err(_)) | Err(_) => set,
        }
    }

    /// Whether the next manifest has waited long enough for files to come to rest.
    fn is_overdue(&self) -> bool {
        let now = self.parts.clock.monotonic();
        self.next.as_ref().is_some_and(|next| SETTLES <= now.saturating_sub(next.since))
    }

    /// Where only components in directories are not known yet, the rest does not wait for them.
    async fn go_on_without(&mut self, set: &Arc<Set>, waiting: BTreeSet<PluginName>) {
        let is_unit = |name: &PluginName| set.loaded.units.iter().any(|unit| unit.plugin == *name);
        let Some(next) = self.next.as_mut() else { return };
        if !waiting.iter().all(is_unit) || next.aside == waiting {
            return;
        }
        next.aside.clone_from(&waiting);
        let (is_anew, whole, sources) = (next.is_anew, Arc::clone(set), self.parts.sources.clone());
        let Ok(Ok(rest)) = self.desk.run(move || whole.without(&sources, &waiting)).await else { return };
        if rest.is_same(&self.in_force) || rest.loaded.diagnostics.has_errors() {
            return;
        }
        let rest = Arc::new(rest);
        let Some(evaluation) = self.evaluate(&rest, is_anew).await else { return };
        if evaluation.waiting.is_empty()
            && !evaluation.diagnostics.has_errors()
            && let Err(why) = self.put_manifest_in_force(rest, evaluation, Vec::new()).await
        {
            tracing::warn!("nothing is in force yet of what has changed: {why}");
        }
    }

    /// Notes which components in directories are not as they are on disk, and tells of each once.
    pub(super) fn note_faulty(&mut self, set: &Set, is_told: bool) {
        let now = self.now();
        let before = std::mem::take(&mut self.faulty);
        let mut news = Vec::new();
        for unit in &set.faulty.units {
            let view = unit_view(unit, now);
            let known = before.get(&unit.path).filter(|(_, known)| known.reason == view.reason);
            if known.is_none() && is_told {
                let generation = self.lines.get(&unit.plugin).map_or(0, |line| line.current.row.number);
                news.push(PluginNews {
                    plugin: unit.plugin.clone(),
                    kind: if unit.is_kept { PluginNewsKind::Refused } else { PluginNewsKind::LeftOut },
                    digest: None,
                    generation,
                    reason: format!("{}: {}", view.code.as_deref().unwrap_or_default(), view.reason),
                    fix: view.fix.clone(),
                    difference: None,
                });
            }
            let view = known.map_or(view, |(_, known)| known.clone());
            self.faulty.insert(unit.path.clone(), (unit.plugin.clone(), view));
        }
        news.into_iter().for_each(|news| self.note(news));
        if is_told {
            self.tell_faulty_given(set);
        }
    }

    /// Says what the host was given and is not in force as it was given, once.
    fn tell_faulty_given(&mut self, set: &Set) {
        let reason =
            |given: &FaultyGiven| given.findings.first().map(|found| found.message.clone()).unwrap_or_default();
        let now: BTreeMap<_, _> = set.faulty.given.iter().map(|given| (given.name.clone(), reason(given))).collect();
        for given in &set.faulty.given {
            let reason = reason(given);
            if self.told_given.get(&given.name) != Some(&reason) {
                let what = given.name.to_string();
                let goes_on = if given.is_kept { "it goes on as it was before" } else { "it is left out" };
                tracing::warn!(what, "{goes_on}: {reason}");
            }
        }
        self.told_given = now;
    }

    /// Holds a manifest against what is known of the files. None where the program itself failed.
    pub(super) async fn evaluate(&self, set: &Arc<Set>, is_anew: bool) -> Option<Evaluation> {
        let (set, files, standings) = (Arc::clone(set), self.files.clone(), self.standings());
        let before = Arc::clone(&self.in_force);
        // Arguments may be many, and some are in files.
        let work = move || {
            let before = (!is_anew).then_some(&before.loaded.manifest);
            evaluate(&Question { loaded: &set.loaded, before, files: &files, standings: &standings })
        };
        self.desk.run(work).await.inspect_err(|error| tracing::error!("a manifest could not be held: {error}")).ok()
    }

    pub(super) fn standings(&self) -> BTreeMap<PluginName, Standing> {
        let past = self.histories.iter().map(|(name, history)| (name.clone(), Standing::past(history)));
        past.chain(self.lines.iter().map(|(name, line)| (name.clone(), Standing::of(line)))).collect()
    }

    fn refuse_next(&mut self, set: &Arc<Set>, found: Vec<Diagnostic>) {
        let mut findings = set.loaded.diagnostics.all().to_vec();
        findings.extend(found);
        let n_errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        self.refuse(set, errors(n_errors), findings);
    }

    /// Says that a manifest is refused, once.
    pub(super) fn refuse(&mut self, set: &Arc<Set>, why: String, findings: Vec<Diagnostic>) {
        let Some(next) = self.next.as_mut().filter(|next| Arc::ptr_eq(&next.set, set)) else { return };
        if next.refused.as_ref().is_some_and(|known| *known == (why.clone(), findings.clone())) {
            return;
        }
        next.refused = Some((why.clone(), findings.clone()));
        self.parts.host.publish(Event::Manifest(Arc::new(ManifestNews {
            cause: self.cause.clone(),
            refused: Some(why),
            jobs: [0; 4],
            findings,
            sources: set.loaded.sources.clone(),
        })));
    }

    /// Says that a manifest cannot even be read, and keeps what is in force.
    pub(super) fn unreadable(&mut self, error: &anyhow::Error) {
        self.parts.host.publish(Event::Manifest(Arc::new(ManifestNews {
            cause: self.cause.clone(),
            refused: Some(format!("{error:#}")),
            jobs: [0; 4],
            findings: Vec::new(),
            sources: Vec::new(),
        })));
        for Waiter { plan, .. } in &mut self.waiting {
            plan.refused = Some(format!("{error:#}"));
        }
    }

    /// Notes what files there are that are not in force, and tells of each once.
    pub(super) fn note_candidates(&mut self, evaluation: &Evaluation) {
        let now = self.now();
        let mut news = Vec::new();
        for (name, choice) in &evaluation.choices {
            let (Choice::Stay(candidate), Some(line)) = (choice, self.lines.get_mut(name)) else { continue };
            let before = line.candidate.take();
            let Some(candidate) = candidate else { continue };
            let is_known = before.as_ref().is_some_and(|before| is_same(before, candidate));
            let since = before.filter(|_| is_known).map_or(now, |before| before.since);
            line.candidate = Some(candidate.clone().into_view(since));
            if !is_known {
                news.extend(told(name, candidate, line.current.row.number));
            }
        }
        for news in news {
            self.note(news);
        }
    }

    /// Tells everybody, and those who wait for a reload.
    pub(super) fn note(&mut self, news: PluginNews) {
        let change = super::plan::change_of(&news);
        for Waiter { plan, .. } in &mut self.waiting {
            plan.plugins.retain(|known| known.plugin != news.plugin);
            plan.plugins.push(change.clone());
        }
        self.parts.host.publish(Event::Plugin(Arc::new(news)));
    }
}

/// A component in a directory, as what is wrong with it shows it.
pub(super) fn unit_view(unit: &FaultyUnit, since: DateTime<Utc>) -> CandidateView {
    let errors: Vec<_> = unit.findings.iter().filter(|found| found.severity == Severity::Error).collect();
    let first = errors.first();
    let place = first.map_or_else(String::new, |found| {
        let (line, column) = found.span.position(&unit.sources);
        let file = unit.sources.get(found.span.source).map_or("", |source| &source.name);
        format!("{file}:{line}:{column}: ")
    });
    let others = match errors.len() {
        0 | 1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    CandidateView {
        state: CandidateState::Refused,
        digest: None,
        n_bytes: None,
        since,
        code: first.map(|found| found.code.to_owned()),
        reason: format!("{place}{}{others}", first.map_or("", |found| found.message.as_str())),
        fix: first.and_then(|found| found.fix.clone()).unwrap_or_default(),
        difference: None,
    }
}

fn is_same(view: &CandidateView, candidate: &Candidate) -> bool {
    let digest = candidate.digest.as_deref();
    view.state == candidate.state && view.digest.as_deref() == digest && view.reason == candidate.reason
}

fn told(name: &PluginName, candidate: &Candidate, generation: u32) -> Option<PluginNews> {
    let kind = match candidate.state {
        CandidateState::Refused => PluginNewsKind::Refused,
        CandidateState::Held => PluginNewsKind::Held,
        // Who rolled back has told it.
        CandidateState::RolledBack => return None,
    };
    let code = candidate.code.as_ref().map_or_else(String::new, |code| format!("{code}: "));
    Some(PluginNews {
        plugin: name.clone(),
        kind,
        digest: candidate.digest.clone(),
        generation,
        reason: format!("{code}{}", candidate.reason),
        fix: candidate.fix.clone(),
        difference: candidate.difference.clone(),
    })
}

impl Choice {
    fn is_new(&self) -> bool {
        matches!(self, Self::Take { .. })
    }
}
