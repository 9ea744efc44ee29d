//! What a change does, in the words of the plan that people read before it and of the log that tells it after.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::{JobId, PluginName},
    job::{Job, Limits},
    manifest::{
        diff::{Changes, Diff},
        resolved::Manifest,
    },
    ports::{self, JobRow},
    trigger::{Basis, Trigger},
};

use super::{
    evaluate::{Candidate, Choice, Evaluation, Standing},
    view::{CandidateState, CandidateView, Difference, JobChange, Plan, PluginChange, PluginChangeKind},
};
use crate::shell::{PluginNews, PluginNewsKind};

/// What is known of the jobs' pasts, for saying when they go on.
pub(super) struct Past {
    rows: BTreeMap<JobId, JobRow>,
    now: DateTime<Utc>,
}

impl Past {
    pub(super) fn new(loaded: ports::Loaded, now: DateTime<Utc>) -> Self {
        Self { rows: loaded.jobs.into_iter().map(|row| (row.state.job.clone(), row)).collect(), now }
    }

    /// The next slot of a job with that definition; none while it is paused, or while a run goes on from whose end it counts.
    fn next(&self, job: &Job) -> Option<DateTime<Utc>> {
        let row = self.rows.get(&job.id).filter(|row| row.state.removed_at.is_none());
        if row.map_or(job.policy.paused, |row| row.state.paused) {
            return None;
        }
        let waits = job.trigger.as_ref().is_some_and(Trigger::waits_for_finish);
        if waits && row.is_some_and(|row| row.open.iter().any(|open| open.run.scheduled_for <= self.now)) {
            return None;
        }
        let basis = Basis {
            first_seen: row.map_or(self.now, |row| row.state.first_seen),
            last_finished: row.and_then(|row| row.last_finished),
        };
        job.next_after(self.now, &basis)
    }
}

/// Why a manifest with so many errors is refused.
pub(super) fn errors(n_errors: usize) -> String {
    if n_errors == 1 { "1 error".to_owned() } else { format!("{n_errors} errors") }
}

/// What comes of putting a manifest in force.
pub(super) fn of_manifest(before: &Manifest, after: &Manifest, diff: &Diff, past: &Past) -> Plan {
    let change = |id: &JobId| {
        let (old, new) = (before.jobs.get(id), after.jobs.get(id));
        JobChange {
            job: id.clone(),
            next_before: old.and_then(|job| past.next(job)),
            next_after: new.and_then(|job| past.next(job)),
            parts: old.zip(new).map(|(old, new)| parts(old, new)).unwrap_or_default(),
        }
    };
    Plan {
        added: diff.jobs.added.iter().map(change).collect(),
        changed: diff.jobs.changed.iter().map(change).collect(),
        removed: diff.jobs.removed.iter().map(change).collect(),
        n_untouched: diff.jobs.untouched.len(),
        pools: pools(before, after, diff),
        ..Plan::default()
    }
}

/// Which parts of a definition differ, by their keys in the manifest.
fn parts(old: &Arc<Job>, new: &Arc<Job>) -> Vec<&'static str> {
    let (p, q) = (&old.policy, &new.policy);
    let differs = [
        ("triggers", old.trigger != new.trigger),
        ("plugin", old.plugin != new.plugin),
        ("call", old.call != new.call),
        ("args", old.args != new.args),
        ("stdin, exit_codes", old.command != new.command),
        ("after", old.after != new.after),
        ("timezone", old.zone.name() != new.zone.name()),
        ("misfire_grace", p.misfire_grace != q.misfire_grace),
        ("coalesce", p.coalesce != q.coalesce || p.max_backlog != q.max_backlog),
        ("overlap", p.overlap != q.overlap || p.max_instances != q.max_instances),
        ("paused", p.paused != q.paused),
        ("run_on_start", p.run_on_start != q.run_on_start),
        ("retry", p.retry != q.retry || p.retry_on != q.retry_on),
        ("on_reload", p.on_reload != q.on_reload),
        ("delivery", p.delivery != q.delivery),
        ("priority", p.priority != q.priority),
        ("keep", p.keep != q.keep),
        ("pool", old.pool != new.pool),
        ("store", old.store != new.store),
        ("timeout", old.limits.timeout != new.limits.timeout),
        ("limits", Limits { timeout: new.limits.timeout, ..old.limits.clone() } != new.limits),
        ("grants", old.grants != new.grants),
        ("description", old.description != new.description),
        ("labels", old.labels != new.labels),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| part).collect()
}

fn pools(before: &Manifest, after: &Manifest, diff: &Diff) -> Vec<String> {
    let Changes { added, changed, removed, .. } = &diff.pools;
    let size = |manifest: &Manifest, name| manifest.pools.get(name).map_or(0, |size| size.get());
    let kind = |name| if after.isolated.contains(name) { ", isolated" } else { "" };
    let came = added.iter().map(|name| format!("+ {name}: {} places{}", size(after, name), kind(name)));
    let other = changed
        .iter()
        .map(|name| format!("~ {name}: {} -> {} places{}", size(before, name), size(after, name), kind(name)));
    let gone = removed.iter().map(|name| format!("- {name}"));
    came.chain(other).chain(gone).collect()
}

/// What would happen to plugins. `number` is what a generation of that code would be called.
pub(super) fn of_plugins(
    evaluation: &Evaluation,
    standings: &BTreeMap<PluginName, Standing>,
    number: impl Fn(&PluginName, &str) -> u32,
) -> Vec<PluginChange> {
    let runs = |name: &PluginName| Some(standings.get(name)?.current.as_ref()?.1.row.number);
    let mut changes = Vec::new();
    for (name, choice) in &evaluation.choices {
        let before = runs(name);
        let change = |kind, after, reason: &str, fix: &str, difference: &Option<Difference>| PluginChange {
            plugin: name.clone(),
            change: kind,
            generation_before: before,
            generation_after: after,
            reason: reason.to_owned(),
            fix: fix.to_owned(),
            difference: difference.clone(),
        };
        changes.extend(match choice {
            Choice::Take { plugin, difference } => {
                let kind = if before.is_some() { PluginChangeKind::Replaced } else { PluginChangeKind::Added };
                Some(change(kind, Some(number(name, &plugin.digest)), "", "", difference))
            }
            Choice::Stay(Some(candidate)) => {
                let Candidate { reason, fix, difference, .. } = candidate;
                Some(change(kind_of(candidate.state), before, reason, fix, difference))
            }
            Choice::Stay(None) => None,
        });
    }
    let gone = standings.keys().filter(|name| !evaluation.choices.contains_key(*name));
    changes.extend(gone.filter_map(|name| Some((name, runs(name)?))).map(|(name, number)| PluginChange {
        plugin: name.clone(),
        change: PluginChangeKind::Removed,
        generation_before: Some(number),
        generation_after: None,
        reason: String::new(),
        fix: String::new(),
        difference: None,
    }));
    changes
}

/// A file that is not in force, as the answer to who asked for a reload.
pub(super) fn of_candidate(name: &PluginName, view: &CandidateView, runs: Option<u32>) -> PluginChange {
    let code = view.code.as_ref().map_or_else(String::new, |code| format!("{code}: "));
    PluginChange {
        plugin: name.clone(),
        change: kind_of(view.state),
        generation_before: runs,
        generation_after: runs,
        reason: format!("{code}{}", view.reason),
        fix: view.fix.clone(),
        difference: view.difference.clone(),
    }
}

fn kind_of(state: CandidateState) -> PluginChangeKind {
    match state {
        CandidateState::Held => PluginChangeKind::Held,
        CandidateState::Refused | CandidateState::RolledBack => PluginChangeKind::Refused,
    }
}

/// What happened to a plugin, as the answer to who asked for a reload.
pub(super) fn change_of(news: &PluginNews) -> PluginChange {
    let (change, before, after) = match news.kind {
        PluginNewsKind::Added => (PluginChangeKind::Added, None, Some(news.generation)),
        PluginNewsKind::Replaced { before } | PluginNewsKind::RolledBack { before } => {
            (PluginChangeKind::Replaced, Some(before), Some(news.generation))
        }
        PluginNewsKind::Refused => (PluginChangeKind::Refused, Some(news.generation), Some(news.generation)),
        PluginNewsKind::LeftOut => (PluginChangeKind::Refused, None, None),
        PluginNewsKind::Held => (PluginChangeKind::Held, Some(news.generation), Some(news.generation)),
        PluginNewsKind::Passed => (PluginChangeKind::Replaced, Some(news.generation), Some(news.generation)),
        PluginNewsKind::Removed => (PluginChangeKind::Removed, Some(news.generation), None),
    };
    PluginChange {
        plugin: news.plugin.clone(),
        change,
        generation_before: before,
        generation_after: after,
        reason: news.reason.clone(),
        fix: news.fix.clone(),
        difference: news.difference.clone(),
    }
}
