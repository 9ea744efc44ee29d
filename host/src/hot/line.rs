//! One plugin over time: what it runs, what it ran, and what would be next.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use clockjack_sandbox::Plugin;
use clockjack_schedule::{
    id::PluginName,
    manifest::{
        resolved::{Canary, Manifest},
        source::Source,
    },
    ports::{GenerationRow, Left},
};

use super::view::{CanaryView, CandidateView, GenerationView, PluginView};

/// Code that is, or was, in force.
pub(super) struct Generation {
    pub(super) row: GenerationRow,
    pub(super) plugin: Arc<Plugin>,
}

impl Generation {
    fn view(&self) -> GenerationView {
        let GenerationRow { number, digest, n_bytes, since, cause, .. } = &self.row;
        GenerationView {
            number: *number,
            digest: digest.to_string(),
            n_bytes: *n_bytes,
            since: *since,
            cause: cause.to_string(),
        }
    }
}

/// One plugin over time.
pub(super) struct Line {
    /// Where its file is. A plugin that moves to another place keeps its numbers, and nothing else.
    pub(super) source: Source,
    pub(super) current: Arc<Generation>,
    /// Earlier ones, newest first.
    pub(super) kept: VecDeque<Arc<Generation>>,
    /// What was seen and is not in force.
    pub(super) candidate: Option<CandidateView>,
    pub(super) trial: Option<Trial>,
    /// Numbers that were replaced before their trial had ended: nobody knows whether they are good.
    unproven: BTreeSet<u32>,
    pub(super) history: History,
}

/// What the ledger knows of a plugin's generations.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// The greatest number that was given.
    pub(super) last: u32,
    /// Digests that a person approved although they ask for more than is granted.
    pub(super) approved: BTreeSet<Arc<str>>,
    /// Digests that were rolled back.
    pub(super) left: BTreeSet<Arc<str>>,
    /// The rows, oldest first.
    pub(super) rows: Vec<GenerationRow>,
}

impl History {
    /// Takes a row in, or its change.
    pub(super) fn note(&mut self, row: GenerationRow) {
        self.last = self.last.max(row.number);
        if row.approved {
            self.approved.insert(Arc::clone(&row.digest));
        }
        if row.left.is_some() {
            self.left.insert(Arc::clone(&row.digest));
        } else {
            self.left.remove(&row.digest);
        }
        self.rows.retain(|known| known.number != row.number);
        let place = self.rows.partition_point(|known| known.number < row.number);
        self.rows.insert(place, row);
    }

    /// The generation that was in force last: going back to one makes it that again.
    pub(super) fn newest_good(&self) -> Option<&GenerationRow> {
        self.rows.iter().filter(|row| row.left.is_none()).max_by_key(|row| (row.since, row.number))
    }

    /// What a generation of that code is called.
    pub(super) fn number_for(&self, digest: &str) -> u32 {
        let known = self.newest_good().filter(|row| *row.digest == *digest);
        known.map_or(self.last + 1, |row| row.number)
    }

    /// The row for a digest that comes into force: the newest one where it is that already, else the next.
    pub(super) fn row_for(
        &self,
        name: &PluginName,
        plugin: &Plugin,
        source: &Source,
        cause: &str,
        now: DateTime<Utc>,
    ) -> GenerationRow {
        let known = self.newest_good().filter(|row| row.digest == plugin.digest);
        known.cloned().unwrap_or_else(|| GenerationRow {
            plugin: name.clone(),
            number: self.number_for(&plugin.digest),
            digest: Arc::clone(&plugin.digest),
            n_bytes: plugin.n_bytes,
            source: source.to_string().into(),
            since: now,
            cause: cause.into(),
            approved: self.approved.contains(&plugin.digest),
            left: None,
        })
    }
}

/// The first runs of a new generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trial {
    pub(super) canary: Canary,
    pub(super) n_ended: u32,
    pub(super) n_failed: u32,
}

/// What a trial says after another run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    GoesOn,
    Passed,
    Failed,
}

impl Trial {
    pub(super) fn begin(canary: Canary) -> Self {
        Self { canary, n_ended: 0, n_failed: 0 }
    }

    /// Counts a run that has ended.
    pub(super) fn count(&mut self, has_failed: bool) -> Verdict {
        self.n_ended += 1;
        self.n_failed += u32::from(has_failed);
        let n_left = self.canary.n_runs.saturating_sub(self.n_ended);
        match self.n_failed {
            n_failed if self.canary.n_failures_max <= n_failed => Verdict::Failed,
            // What is left cannot make it fail any more.
            n_failed if n_failed + n_left < self.canary.n_failures_max => Verdict::Passed,
            _ => Verdict::GoesOn,
        }
    }

    fn view(self) -> CanaryView {
        CanaryView {
            n_runs: self.canary.n_runs,
            n_failures_max: self.canary.n_failures_max,
            n_ended: self.n_ended,
            n_failed: self.n_failed,
        }
    }
}

impl Line {
    /// The first generation that a plugin has in this life of the host.
    pub(super) fn begin(source: Source, current: Arc<Generation>, mut history: History) -> Self {
        history.note(current.row.clone());
        let (kept, unproven) = (VecDeque::new(), BTreeSet::new());
        Self { source, current, kept, candidate: None, trial: None, unproven, history }
    }

    /// Puts another generation in force; the one before it is kept, as the last of `n_kept` in all.
    pub(super) fn advance(&mut self, next: Arc<Generation>, n_kept: u32) {
        self.history.note(next.row.clone());
        if self.trial.take().is_some() {
            self.unproven.insert(self.current.row.number);
        }
        let before = std::mem::replace(&mut self.current, next);
        self.kept.retain(|kept| kept.row.number != self.current.row.number);
        if before.row.number != self.current.row.number {
            self.kept.push_front(before);
        }
        self.shorten(n_kept);
    }

    /// Puts an earlier generation in force again. What ran is not kept: its file is there to be approved.
    pub(super) fn go_back(&mut self, to: Arc<Generation>, left: GenerationRow) {
        self.history.note(left);
        self.history.note(to.row.clone());
        self.unproven.remove(&to.row.number);
        self.kept.retain(|kept| kept.row.number != to.row.number);
        (self.current, self.trial) = (to, None);
    }

    /// Whether nothing speaks against going back to a generation.
    pub(super) fn is_good(&self, number: u32) -> bool {
        let is_left = self.history.rows.iter().any(|row| row.number == number && row.left.is_some());
        !is_left && !self.unproven.contains(&number)
    }

    /// Lets go of what is more than is to be kept: first of what nobody knows to be good, then of the oldest.
    pub(super) fn shorten(&mut self, n_kept: u32) {
        let n_kept = usize::try_from(n_kept.saturating_sub(1)).unwrap_or(usize::MAX);
        while n_kept < self.kept.len() {
            let unproven = self.kept.iter().rposition(|kept| self.unproven.contains(&kept.row.number));
            self.kept.remove(unproven.unwrap_or(self.kept.len() - 1));
        }
        let kept = &self.kept;
        self.unproven.retain(|number| kept.iter().any(|kept| kept.row.number == *number));
    }

    /// The row of what is in force, rolled back.
    pub(super) fn left(&self, because: &str, at: DateTime<Utc>) -> GenerationRow {
        GenerationRow { left: Some(Left { at, because: because.into() }), ..self.current.row.clone() }
    }

    pub(super) fn view(&self, name: &PluginName, manifest: &Manifest) -> PluginView {
        let plugin = &self.current.plugin;
        let jobs = manifest.jobs.values().filter(|job| job.plugin == *name).map(|job| job.id.clone()).collect();
        PluginView {
            name: name.clone(),
            source: self.source.to_string(),
            current: Some(self.current.view()),
            kept: self.kept.iter().map(|kept| kept.view()).collect(),
            candidate: self.candidate.clone(),
            canary: self.trial.map(Trial::view),
            functions: plugin.functions.iter().map(|function| function.name.to_string()).collect(),
            imports: plugin.imports.clone(),
            jobs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(n_runs: u32, n_failures_max: u32, ends: &[bool]) -> Vec<Verdict> {
        let mut trial = Trial::begin(Canary { n_runs, n_failures_max });
        ends.iter().map(|failed| trial.count(*failed)).collect()
    }

    #[test]
    fn a_trial_ends_as_soon_as_it_is_decided() {
        use Verdict::{Failed, GoesOn, Passed};
        assert_eq!(counted(5, 3, &[true, true, true]), [GoesOn, GoesOn, Failed]);
        assert_eq!(counted(5, 3, &[false, false, false]), [GoesOn, GoesOn, Passed]);
        assert_eq!(counted(5, 3, &[true, false, true, false, false]), [GoesOn, GoesOn, GoesOn, GoesOn, Passed]);
        assert_eq!(counted(5, 3, &[true, false, true, false, true]), [GoesOn, GoesOn, GoesOn, GoesOn, Failed]);
        assert_eq!(counted(1, 1, &[false]), [Passed]);
        assert_eq!(counted(1, 1, &[true]), [Failed]);
    }

    fn row(number: u32, digest: &str, is_left: bool) -> GenerationRow {
        let at = DateTime::UNIX_EPOCH;
        GenerationRow {
            plugin: "p".parse().unwrap(),
            number,
            digest: digest.into(),
            n_bytes: 1,
            source: "p.wasm".into(),
            since: at,
            cause: "start".into(),
            approved: number == 2,
            left: is_left.then(|| Left { at, because: "it failed".into() }),
        }
    }

    #[test]
    fn the_newest_word_on_a_digest_counts() {
        let mut history = History::default();
        history.note(row(1, "a", false));
        history.note(row(2, "b", true));
        assert_eq!((history.last, history.newest_good().unwrap().number), (2, 1));
        assert!(history.left.contains("b") && history.approved.contains("b"));
        // The same file is put in force again: somebody says so.
        history.note(row(3, "b", false));
        assert!(!history.left.contains("b"));
        assert_eq!(history.newest_good().unwrap().number, 3);
        history.note(row(3, "b", true));
        assert_eq!((history.rows.len(), history.newest_good().unwrap().number), (3, 1));
    }
}
