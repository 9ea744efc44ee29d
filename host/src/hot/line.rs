//! One plugin over time: what it runs, what it ran, and what would be next.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use clockjack_sandbox::Plugin;
use clockjack_schedule::{
    id::PluginName,
    manifest::{
        resolved::{self, Canary, Manifest},
        source::Source,
    },
    ports::{GENERATIONS_MAX, GenerationRow, Left},
};

use super::view::{CanaryView, CandidateView, GenerationView, PluginView};

/// Code that is, or was, in force.
pub(super) struct Generation {
    pub(super) row: GenerationRow,
    pub(super) plugin: Arc<Plugin>,
}

fn view(row: &GenerationRow) -> GenerationView {
    let GenerationRow { number, digest, n_bytes, since, cause, .. } = row;
    GenerationView {
        number: *number,
        digest: digest.to_string(),
        n_bytes: *n_bytes,
        since: *since,
        cause: cause.to_string(),
    }
}

/// One plugin over time.
pub(super) struct Line {
    /// Where its file is. A plugin that moves to another place keeps its numbers, and nothing else.
    pub(super) source: Source,
    pub(super) current: Arc<Generation>,
    /// Other ones, newest first.
    pub(super) kept: VecDeque<Arc<Generation>>,
    /// What was in force in another life of the host, was good, and whose bytes were kept: newest first, after all of `kept`.
    stored: Vec<GenerationRow>,
    /// What was seen and is not in force.
    pub(super) candidate: Option<CandidateView>,
    pub(super) trial: Option<Trial>,
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
    /// The rows, oldest first: as many as the ledger keeps.
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
        while GENERATIONS_MAX < self.rows.len() {
            let forgotten = self.rows.remove(0).digest;
            if !self.rows.iter().any(|row| row.digest == forgotten) {
                self.approved.remove(&forgotten);
                self.left.remove(&forgotten);
            }
        }
    }

    /// The generations against which nothing speaks, the one that was in force last first.
    pub(super) fn good(&self) -> Vec<&GenerationRow> {
        let mut good: Vec<_> = self.rows.iter().filter(|row| row.left.is_none() && !row.unproven).collect();
        good.sort_by_key(|row| Reverse((row.since, row.number)));
        good
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

    /// The row for code that comes into force: the newest one where it is that already, else the next. What is new is on
    /// trial where the plugin wants that and anything ran before.
    pub(super) fn row_for(
        &self,
        plugin: &resolved::Plugin,
        code: &Plugin,
        cause: &str,
        now: DateTime<Utc>,
    ) -> GenerationRow {
        self.new_row(plugin, Arc::clone(&code.digest), code.n_bytes, cause, now)
    }

    fn new_row(
        &self,
        plugin: &resolved::Plugin,
        digest: Arc<str>,
        n_bytes: u64,
        cause: &str,
        now: DateTime<Utc>,
    ) -> GenerationRow {
        let source = plugin.source.to_string().into();
        let newest = self.newest_good();
        if let Some(known) = newest.filter(|row| row.digest == digest) {
            return GenerationRow { source, ..known.clone() };
        }
        GenerationRow {
            plugin: plugin.name.clone(),
            number: self.number_for(&digest),
            approved: self.approved.contains(&digest),
            digest,
            n_bytes,
            source,
            since: now,
            cause: cause.into(),
            unproven: plugin.canary.is_some() && newest.is_some(),
            left: None,
        }
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
    /// The first generation that a plugin has in this life of the host, with those before it whose bytes were kept.
    pub(super) fn begin(
        plugin: &resolved::Plugin,
        current: Arc<Generation>,
        mut history: History,
        is_stored: impl Fn(&str) -> bool,
    ) -> Self {
        history.note(current.row.clone());
        let is_other = |row: &&&GenerationRow| row.digest != current.row.digest && is_stored(&row.digest);
        let n_kept = usize::try_from(plugin.keep).unwrap_or(usize::MAX);
        let stored = history.good().iter().filter(is_other).take(n_kept).map(|row| GenerationRow::clone(row)).collect();
        let (source, kept) = (plugin.source.clone(), VecDeque::new());
        let mut line = Self { source, current, kept, stored, candidate: None, trial: None, history };
        line.go_by(plugin);
        line
    }

    /// Puts another generation in force; the one before it is kept. The same code again is no news to a trial.
    pub(super) fn advance(&mut self, next: Arc<Generation>, plugin: &resolved::Plugin) {
        self.history.note(next.row.clone());
        let before = std::mem::replace(&mut self.current, next);
        self.kept.retain(|kept| kept.row.number != self.current.row.number);
        if before.row.number != self.current.row.number {
            self.trial = None;
            self.kept.push_front(before);
        }
        self.source = plugin.source.clone();
        self.go_by(plugin);
    }

    /// Does what the manifest says of trials and of what is kept. Only what is new is tried: a trial goes on under other
    /// rules, ends where there are none, and begins anew where it could not end.
    pub(super) fn go_by(&mut self, plugin: &resolved::Plugin) {
        let trial = self.trial.take();
        let canary = plugin.canary.filter(|_| self.current.row.unproven);
        self.trial = canary.map(|canary| trial.map_or(Trial::begin(canary), |trial| Trial { canary, ..trial }));
        self.shorten(plugin.keep);
    }

    /// Notes that what is in force has passed its trial.
    pub(super) fn prove(&mut self) {
        let row = GenerationRow { unproven: false, ..self.current.row.clone() };
        self.history.note(row.clone());
        self.current = Arc::new(Generation { row, plugin: Arc::clone(&self.current.plugin) });
        self.trial = None;
    }

    /// Puts an earlier generation in force again. What ran is not kept: its file is there to be approved.
    pub(super) fn go_back(&mut self, to: Arc<Generation>, left: GenerationRow) {
        self.history.note(left);
        self.history.note(to.row.clone());
        self.kept.retain(|kept| kept.row.number != to.row.number);
        self.stored.retain(|stored| stored.number != to.row.number);
        (self.current, self.trial) = (to, None);
    }

    /// The generations that can be put in force again.
    fn others(&self) -> impl Iterator<Item = &GenerationRow> {
        self.kept.iter().map(|kept| &kept.row).chain(&self.stored)
    }

    /// What a rollback goes to: the one with that number, else the newest one before what is in force that is good.
    pub(super) fn target(&self, to: Option<u32>) -> Option<&GenerationRow> {
        let is_before = |row: &&GenerationRow| row.number < self.current.row.number && self.is_good(row.number);
        match to {
            Some(number) => self.others().find(|row| row.number == number),
            None => self.others().filter(is_before).max_by_key(|row| (row.since, row.number)),
        }
    }

    /// Whether nothing speaks against going back to a generation.
    fn is_good(&self, number: u32) -> bool {
        let row = self.history.rows.iter().find(|row| row.number == number);
        row.is_some_and(|row| row.left.is_none() && !row.unproven)
    }

    /// Lets go of what is more than is to be kept, the one in force included: first of what nobody knows to be good, then
    /// of the oldest. As long as a trial goes on there is something to go back to.
    fn shorten(&mut self, n_kept: u32) {
        let n_others = usize::try_from(n_kept.saturating_sub(1)).unwrap_or(usize::MAX);
        let n_others = n_others.max(usize::from(self.trial.is_some()));
        while n_others < self.kept.len() + self.stored.len() {
            let doubtful = self.kept.iter().rposition(|kept| !self.is_good(kept.row.number));
            if let Some(place) = doubtful {
                self.kept.remove(place);
            } else if self.stored.pop().is_none() {
                self.kept.pop_back();
            }
        }
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
            current: Some(view(&self.current.row)),
            kept: self.others().map(view).collect(),
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
            unproven: false,
            left: is_left.then(|| Left { at, because: "it failed".into() }),
        }
    }

    fn canary() -> resolved::Plugin {
        let source = Source::File("p.wasm".into());
        let canary = Some(Canary { n_runs: 5, n_failures_max: 3 });
        resolved::Plugin { canary, ..resolved::Plugin::of_file("p".parse().unwrap(), source) }
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

    #[test]
    fn what_is_good_was_neither_taken_back_nor_left_unproven() {
        let mut history = History::default();
        let later =
            |row: GenerationRow, seconds| GenerationRow { since: DateTime::from_timestamp(seconds, 0).unwrap(), ..row };
        history.note(later(row(1, "a", false), 9));
        history.note(later(row(2, "b", false), 2));
        history.note(GenerationRow { unproven: true, ..later(row(3, "c", false), 3) });
        history.note(later(row(4, "d", true), 4));
        let numbers = |history: &History| history.good().iter().map(|row| row.number).collect::<Vec<_>>();
        // The first one was put in force again.
        assert_eq!(numbers(&history), [1, 2]);
        history.note(later(row(3, "c", false), 3));
        assert_eq!(numbers(&history), [1, 3, 2], "it has passed");
    }

    #[test]
    fn a_past_has_a_bound() {
        let mut history = History::default();
        let most = u32::try_from(GENERATIONS_MAX).unwrap();
        for number in 1..=most {
            history.note(row(number, &number.to_string(), number == 1));
        }
        assert!(history.left.contains("1") && history.approved.contains("2"));
        history.note(row(most + 1, "2", false));
        assert_eq!((history.rows.len(), history.rows[0].number), (GENERATIONS_MAX, 2));
        assert!(!history.left.contains("1"), "who knows it no more does not keep it away");
        history.note(row(most + 2, "new", false));
        assert!(history.approved.contains("2"), "the same code came once more");
        history.note(row(most + 3, "newer", false));
        assert_eq!((history.last, history.rows.len()), (most + 3, GENERATIONS_MAX));
    }

    #[test]
    fn what_is_new_is_on_trial_where_something_ran_before() {
        let (plugin, mut history) = (canary(), History::default());
        let mut come = |digest: &str| {
            let row = history.new_row(&plugin, digest.into(), 1, "reload", DateTime::UNIX_EPOCH);
            history.note(row.clone());
            (row.number, row.unproven)
        };
        assert_eq!([come("a"), come("a"), come("b"), come("b")], [(1, false), (1, false), (2, true), (2, true)]);
        let freely = resolved::Plugin { canary: None, ..plugin };
        let row = history.new_row(&freely, "c".into(), 1, "reload", DateTime::UNIX_EPOCH);
        assert_eq!((row.number, row.unproven), (3, false));
    }
}
