//! Several named ledgers as one: each job lives in one of them.
//!
//! A batch that touches several is not atomic across them. So the runs of chains go first, to be durable in their stores
//! before the ends that they follow are in theirs; what belongs to one store is kept as a whole. After an `Err` a part of
//! it may be kept, so that it is to be repeated, which every ledger allows. A job that moves to another store leaves its history, and the runs that have not ended, where
//! they are; their ends find them there.

mod jobs;
mod port;
mod state;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::{JobId, RunId, StoreName},
    ports::{
        Change, Committed, JobRow, KeepOf, Ledger, LedgerError, Loaded, PortFuture, Pruned, RunFilter, RunRow,
        RunStory, SkipFilter,
    },
    run::{Cause, Skip},
};

/// Named ledgers, and which job lives where. A job that is not assigned lives in `default`, or in the first one.
pub struct Stores {
    names: Vec<StoreName>,
    ledgers: Vec<Arc<dyn Ledger>>,
    homes: RwLock<Homes>,
}

#[derive(Debug, Default)]
struct Homes {
    default: usize,
    by_job: HashMap<JobId, usize>,
    /// Where else runs of a job may be that have not ended.
    former: HashMap<JobId, Vec<usize>>,
}

/// What of a batch went to former stores of a job beside its own.
#[derive(Debug, Default)]
struct Copies {
    n_ends: usize,
    claims: Vec<RunId>,
    states: Vec<RunId>,
}

/// What of a batch goes to one store.
#[derive(Debug, Default)]
struct Share {
    /// Runs that follow from the ends of others, which may be recorded elsewhere.
    plans: Vec<Change>,
    rest: Vec<Change>,
}

impl Stores {
    /// Puts ledgers together. There is at least one.
    ///
    /// # Errors
    /// `Refused` if a job names a store that is not among them.
    pub fn new(
        ledgers: Vec<(StoreName, Arc<dyn Ledger>)>,
        homes: &HashMap<JobId, StoreName>,
    ) -> Result<Self, LedgerError> {
        assert!(!ledgers.is_empty(), "there is at least one store");
        let (names, ledgers): (Vec<_>, Vec<_>) = ledgers.into_iter().unzip();
        let default = names.iter().position(|name| *name == StoreName::default()).unwrap_or_default();
        let stores = Self { names, ledgers, homes: RwLock::default() };
        let by_job = stores.indexes(homes)?;
        *stores.homes_mut() = Homes { default, by_job, former: HashMap::new() };
        Ok(stores)
    }

    /// Says anew which job lives where. A job that moves takes along what is known of it.
    ///
    /// # Errors
    /// `Refused` if a job names a store that there is not, and whatever reading and writing of a store that a job moves
    /// from or to gives. Nothing changes then, and the same call may be repeated.
    pub async fn assign(&self, homes: &HashMap<JobId, StoreName>) -> Result<(), LedgerError> {
        let by_job = self.indexes(homes)?;
        let moves = self.homes().moves(&by_job);
        for (from, moved) in &moves {
            let mut arrivals: BTreeMap<usize, Vec<Change>> = BTreeMap::new();
            for row in self.ledgers[*from].load().await?.jobs {
                if let Some(to) = moved.get(&row.state.job) {
                    arrivals.entry(*to).or_default().push(Change::Job(row.state));
                }
            }
            for (to, mut states) in arrivals {
                let jobs: Vec<_> = states.iter().filter_map(Change::job).cloned().collect();
                for job in jobs {
                    states.extend(state::whole(&*self.ledgers[*from], &job).await?);
                }
                self.ledgers[to].commit(states).await?;
            }
        }
        let mut homes = self.homes_mut();
        // A job that is not said any more keeps its place: that it was removed is to be kept there.
        homes.by_job.extend(by_job);
        for (from, moved) in moves {
            moved.into_keys().for_each(|job| homes.remember(job, from));
        }
        Ok(())
    }

    /// The stores of jobs by their places.
    fn indexes(&self, homes: &HashMap<JobId, StoreName>) -> Result<HashMap<JobId, usize>, LedgerError> {
        let find = |(job, store): (&JobId, &StoreName)| {
            let found = self.names.iter().position(|name| name == store);
            let index = found.ok_or_else(|| {
                LedgerError::Refused(format!("job `{job}` names the store `{store}`, which is not among `stores:`"))
            })?;
            Ok((job.clone(), index))
        };
        homes.iter().map(find).collect()
    }

    fn homes(&self) -> RwLockReadGuard<'_, Homes> {
        self.homes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn homes_mut(&self) -> RwLockWriteGuard<'_, Homes> {
        self.homes.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn only(&self) -> Option<&Arc<dyn Ledger>> {
        match self.ledgers.as_slice() {
            [only] => Some(only),
            [] | [_, ..] => None,
        }
    }

    /// What touches one store has its place in the order at once, and so have the plans of what touches several; what
    /// follows from them may be overtaken by batches that were called later, and nothing of it was acknowledged then.
    fn commit_all(&self, changes: Vec<Change>) -> PortFuture<'_, Result<Committed, LedgerError>> {
        let (shares, copies) = self.split(changes);
        let is_one = shares.len() < 2;
        let (mut first, mut rests) = (Vec::new(), Vec::new());
        for (index, mut share) in shares {
            let ledger = &self.ledgers[index];
            if is_one {
                // A plan goes before others of its batch only where it has nothing to do with them.
                share.plans.append(&mut share.rest);
            }
            if !share.plans.is_empty() {
                first.push(ledger.commit(share.plans));
            }
            if !share.rest.is_empty() {
                rests.push((ledger, share.rest));
            }
        }
        Box::pin(async move {
            let mut committed = settle(first).await?;
            let rests = rests.into_iter().map(|(ledger, rest)| ledger.commit(rest)).collect();
            let more = settle(rests).await?;
            // Of each end that went to several stores, all but one came to the wrong one.
            committed.n_stale = (committed.n_stale + more.n_stale).saturating_sub(copies.n_ends);
            committed.stale_states.extend(more.stale_states);
            committed.unclaimed.extend(more.unclaimed);
            // State was dropped only where every store found that its run had ended.
            for run in copies.states {
                if let Some(place) = committed.stale_states.iter().position(|stale| *stale == run) {
                    committed.stale_states.swap_remove(place);
                }
            }
            // A claim that went to several stores was refused only where all of them refused it.
            for run in copies.claims {
                if let Some(place) = committed.unclaimed.iter().position(|refused| *refused == run) {
                    committed.unclaimed.swap_remove(place);
                }
            }
            Ok(committed)
        })
    }

    /// What goes where, and what went to more than one store.
    fn split(&self, changes: Vec<Change>) -> (BTreeMap<usize, Share>, Copies) {
        let homes = self.homes();
        let mut shares: BTreeMap<usize, Share> = BTreeMap::new();
        let mut copies = Copies::default();
        // A plan after something else of the same run keeps its place: it may follow a take-back.
        let mut touched = HashSet::new();
        for change in changes {
            if is_of_the_host(&change) {
                // What belongs to no job is in one place.
                shares.entry(homes.default).or_default().rest.push(change);
                continue;
            }
            let Some(job) = change.job() else {
                for index in 0..self.ledgers.len() {
                    shares.entry(index).or_default().rest.push(change.clone());
                }
                continue;
            };
            let home = homes.of(job);
            if let Change::Plan(run) = &change
                && matches!(run.cause, Cause::Upstream(_))
                && !touched.contains(&run.id)
            {
                shares.entry(home).or_default().plans.push(change);
                continue;
            }
            if let Some(run) = run_of(&change) {
                touched.insert(run);
                let is_known_elsewhere = homes.former(job).any(|index| index != home);
                if let Some(change) = state::apart(&change).filter(|_| is_known_elsewhere) {
                    shares.entry(home).or_default().rest.push(change);
                    copies.states.extend(homes.former(job).filter(|index| *index != home).map(|_| run));
                }
                for index in homes.former(job).filter(|index| *index != home) {
                    copies.n_ends += usize::from(can_be_stale(&change));
                    if let Change::Claim(claim) = &change {
                        copies.claims.push(claim.run);
                    }
                    shares.entry(index).or_default().rest.push(change.clone());
                }
            }
            shares.entry(home).or_default().rest.push(change);
        }
        (shares, copies)
    }

    async fn load_all(&self) -> Result<Loaded, LedgerError> {
        let mut all = Vec::new();
        for ledger in &self.ledgers {
            all.push(ledger.load().await?);
        }
        // A store that nothing was ever kept in says nothing. Of the others the earliest is right for all; what is later
        // for a job of one store is said by the job.
        let used = all.iter().filter(|loaded| **loaded != Loaded::default());
        let watermark = used.map(|loaded| loaded.watermark).min().flatten();
        let (rows, homeless) = self.merge(all, watermark);
        for (index, mut changes) in homeless {
            changes.extend(self.states_elsewhere(&changes, index).await?);
            match self.ledgers[index].commit(changes).await {
                // Whoever only reads need not tell a job's store of it; the host will when it starts.
                Ok(_) | Err(LedgerError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Loaded { jobs: rows, watermark })
    }

    /// The jobs of all stores, and what the stores are to be told of jobs that moved to them.
    fn merge(&self, all: Vec<Loaded>, watermark: Option<DateTime<Utc>>) -> (Vec<JobRow>, BTreeMap<usize, Vec<Change>>) {
        let mut homes = self.homes_mut();
        let mut jobs: BTreeMap<JobId, (bool, JobRow)> = BTreeMap::new();
        for (index, loaded) in all.into_iter().enumerate() {
            let later = loaded.watermark.filter(|mark| watermark < Some(*mark));
            for mut row in loaded.jobs {
                let job = row.state.job.clone();
                let is_home = homes.of(&job) == index;
                if !is_home && !row.open.is_empty() {
                    homes.remember(job.clone(), index);
                }
                if let Some(later) = later.filter(|_| !row.state.paused) {
                    row.state.decided_until = row.state.decided_until.max(later);
                }
                let merged = match jobs.remove(&job) {
                    Some((_, other)) if is_home => (true, joined(row, other)),
                    Some((has_home, other)) => (has_home, joined(other, row)),
                    None => (is_home, row),
                };
                jobs.insert(job, merged);
            }
        }
        let mut homeless: BTreeMap<usize, Vec<Change>> = BTreeMap::new();
        for (job, (_, row)) in jobs.iter().filter(|(_, (has_home, _))| !has_home) {
            homeless.entry(homes.of(job)).or_default().push(Change::Job(row.state.clone()));
        }
        (jobs.into_values().map(|(_, row)| row).collect(), homeless)
    }

    async fn runs_of_all(&self, filter: RunFilter) -> Result<Vec<RunRow>, LedgerError> {
        let mut rows = Vec::new();
        for ledger in &self.ledgers {
            rows.append(&mut ledger.runs(filter.clone()).await?);
        }
        rows.sort_by(|a, b| place(b).cmp(&place(a)));
        rows.dedup_by_key(|row| row.run.id);
        rows.truncate(bound(filter.n_max));
        Ok(rows)
    }

    async fn story(&self, id: RunId) -> Result<Option<RunStory>, LedgerError> {
        for ledger in &self.ledgers {
            if let Some(story) = ledger.run(id).await? {
                return Ok(Some(story));
            }
        }
        Ok(None)
    }

    async fn skips_of_all(&self, filter: SkipFilter) -> Result<Vec<Skip>, LedgerError> {
        let mut skips = Vec::new();
        for ledger in &self.ledgers {
            skips.append(&mut ledger.skips(filter.clone()).await?);
        }
        let key = |skip: &Skip| (skip.last, skip.job.clone(), skip.first, skip.run, skip.reason.as_str());
        skips.sort_by_key(|skip| std::cmp::Reverse(key(skip)));
        skips.dedup_by_key(|skip| key(skip));
        skips.truncate(bound(filter.n_max));
        Ok(skips)
    }

    async fn prune_all(&self, keep: Vec<KeepOf>, n_max: usize) -> Result<Pruned, LedgerError> {
        let mut pruned = Pruned::default();
        for ledger in &self.ledgers {
            let n_left = n_max.saturating_sub(pruned.n_runs + pruned.n_skips);
            let more = ledger.prune(keep.clone(), n_left).await?;
            pruned.n_runs += more.n_runs;
            pruned.n_skips += more.n_skips;
            pruned.has_more |= more.has_more;
        }
        Ok(pruned)
    }

    async fn close_all(&self) -> Result<(), LedgerError> {
        let mut closed = Ok(());
        for ledger in &self.ledgers {
            closed = closed.and(ledger.close().await);
        }
        closed
    }
}

impl Homes {
    /// Which jobs leave which store, and where to.
    fn moves(&self, by_job: &HashMap<JobId, usize>) -> BTreeMap<usize, HashMap<JobId, usize>> {
        let mut moves: BTreeMap<usize, HashMap<JobId, usize>> = BTreeMap::new();
        for job in self.by_job.keys().chain(by_job.keys()) {
            // A job that is not said any more has not moved; it is gone, or it was never anywhere else.
            let Some(to) = by_job.get(job).copied() else { continue };
            let from = self.of(job);
            if from != to {
                moves.entry(from).or_default().insert(job.clone(), to);
            }
        }
        moves
    }

    fn of(&self, job: &JobId) -> usize {
        self.by_job.get(job).copied().unwrap_or(self.default)
    }

    fn former(&self, job: &JobId) -> impl Iterator<Item = usize> {
        self.former.get(job).into_iter().flatten().copied()
    }

    fn remember(&mut self, job: JobId, index: usize) {
        let former = self.former.entry(job).or_default();
        if !former.contains(&index) {
            former.push(index);
        }
    }
}

/// Waits for all, and fails with the first failure.
async fn settle(waiting: Vec<PortFuture<'_, Result<Committed, LedgerError>>>) -> Result<Committed, LedgerError> {
    let mut all = Ok(Committed::default());
    for one in waiting {
        all = match (all, one.await) {
            (Ok(mut all), Ok(one)) => {
                all.n_stale += one.n_stale;
                all.stale_states.extend(one.stale_states);
                all.unclaimed.extend(one.unclaimed);
                Ok(all)
            }
            (Ok(_), Err(error)) => Err(error),
            (Err(error), Ok(_) | Err(_)) => Err(error),
        };
    }
    all
}

/// The run that must be there for a change to do anything.
fn run_of(change: &Change) -> Option<RunId> {
    match change {
        Change::Job(_)
        | Change::Plan(_)
        | Change::State { .. }
        | Change::Generation(_)
        | Change::Document(_)
        | Change::DocumentGone { .. }
        | Change::Events(_)
        | Change::EventsGone { .. }
        | Change::Watermark(_) => None,
        Change::TakeBack { run, .. } | Change::Release { run, .. } => Some(*run),
        Change::Skip(skip) => skip.run,
        Change::Claim(claim) => Some(claim.run),
        Change::Again(again) => Some(again.finish.run),
        Change::Finish(finish) => Some(finish.run),
    }
}

/// Whether a change is of the host as a whole, and so of its default store alone.
fn is_of_the_host(change: &Change) -> bool {
    matches!(
        change,
        Change::Generation(_)
            | Change::Document(_)
            | Change::DocumentGone { .. }
            | Change::Events(_)
            | Change::EventsGone { .. }
    )
}

fn can_be_stale(change: &Change) -> bool {
    match change {
        Change::Again(_) | Change::Finish(_) => true,
        Change::Job(_)
        | Change::Plan(_)
        | Change::TakeBack { .. }
        | Change::Skip(_)
        | Change::Claim(_)
        | Change::Release { .. }
        | Change::State { .. }
        | Change::Generation(_)
        | Change::Document(_)
        | Change::DocumentGone { .. }
        | Change::Events(_)
        | Change::EventsGone { .. }
        | Change::Watermark(_) => false,
    }
}

/// A job of which two stores know.
fn joined(home: JobRow, mut other: JobRow) -> JobRow {
    let mut open = home.open;
    open.append(&mut other.open);
    open.sort_by_key(|open| (open.run.scheduled_for, open.run.id));
    open.dedup_by_key(|open| open.run.id);
    JobRow {
        state: home.state,
        last_finished: home.last_finished.max(other.last_finished),
        last_success: home.last_success.max(other.last_success),
        open,
    }
}

type Place<'r> = (DateTime<Utc>, &'r JobId, RunId);

fn place(row: &RunRow) -> Place<'_> {
    (row.run.scheduled_for, &row.run.job, row.run.id)
}

/// A bound of zero is none.
fn bound(n_max: usize) -> usize {
    if n_max == 0 { usize::MAX } else { n_max }
}

#[cfg(test)]
mod tests;
