//! Pools: how many runs go on at once, and which of those that are ready comes next.
//!
//! A pool lets as many runs start as it has places. On top of that it lets runs of `at_least_once` jobs be claimed ahead,
//! some for each short run that has ended in the last moment: a burst of short runs then does not wait for the ledger
//! between two of them, and long runs keep nothing claimed that has no place.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    num::NonZeroU32,
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Index, entry::Pending};
use crate::{
    id::{PoolName, RunId, RunMap},
    job::{Delivery, Job},
};

/// How many places a pool has whose size nobody wrote. Guests that sleep cost nothing but their memory; those that
/// compute share the processors.
pub const POOL_SIZE: u32 = 64;

/// How many runs may be ready in all pools: a burst of a hundred thousand slots, at 100 bytes each.
pub(super) const READY_MAX: usize = 100_000;

/// For how long runs are claimed ahead: what two commits of the ledger take, with room for a slow disk.
const AHEAD: TimeDelta = TimeDelta::milliseconds(20);

/// How many runs are claimed ahead for each that has ended: the burst after the first one is four times as large.
const AHEAD_PER_END: usize = 4;

/// How long a run goes on at the most that counts as short.
const SHORT: TimeDelta = TimeDelta::milliseconds(50);

/// How many runs are claimed ahead at the most. What a crash leaves claimed counts as interrupted.
const AHEAD_MAX: usize = 2_048;

/// The order in which ready runs start: what makes up for slots of the past after all else, then by priority, then by the
/// instant at which they were due, then by arrival.
type ReadyKey = (bool, Reverse<i32>, DateTime<Utc>, u64);

/// How full a pool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolLoad {
    /// How many runs may go on at once.
    pub size: usize,
    /// How many have a place, those included that were claimed ahead of one.
    pub n_going: usize,
    /// How many wait for one.
    pub n_ready: usize,
}

/// All pools.
#[derive(Debug)]
pub(super) struct Pools {
    by_name: BTreeMap<PoolName, usize>,
    pools: Vec<Pool>,
    /// Which pool's place a run holds, and since when.
    going: RunMap<(usize, DateTime<Utc>)>,
    /// Where a ready run stands.
    places: RunMap<(usize, ReadyKey)>,
    next_number: u64,
}

#[derive(Debug)]
struct Pool {
    size: usize,
    n_going: usize,
    ready: BTreeMap<ReadyKey, (Index, Pending)>,
    /// How many runs ended at which of the last instants.
    recent: VecDeque<(DateTime<Utc>, usize)>,
    n_recent: usize,
}

impl Pool {
    fn new(size: u32) -> Self {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        Self { size, n_going: 0, ready: BTreeMap::new(), recent: VecDeque::new(), n_recent: 0 }
    }

    fn note_end(&mut self, now: DateTime<Utc>) {
        self.forget_old(now);
        match self.recent.back_mut() {
            Some((at, n_ended)) if *at == now => *n_ended += 1,
            Some(_) | None => self.recent.push_back((now, 1)),
        }
        self.n_recent += 1;
    }

    /// How many runs may be claimed beyond the places.
    fn n_ahead(&mut self, now: DateTime<Utc>) -> usize {
        self.forget_old(now);
        (AHEAD_PER_END * self.n_recent).min(AHEAD_MAX)
    }

    fn forget_old(&mut self, now: DateTime<Utc>) {
        // An instant ahead of now is one from before the clock was set back.
        let is_old = |(at, _): &mut (DateTime<Utc>, usize)| *at < now - AHEAD || now < *at;
        while let Some((_, n_ended)) = self.recent.pop_front_if(is_old) {
            self.n_recent -= n_ended;
        }
    }
}

impl Default for Pools {
    fn default() -> Self {
        let by_name = BTreeMap::from([(PoolName::default(), 0)]);
        let pools = vec![Pool::new(POOL_SIZE)];
        let (going, places) = (RunMap::default(), RunMap::default());
        Self { by_name, pools, going, places, next_number: 0 }
    }
}

impl Pools {
    /// Gives pools their sizes. A pool that is not named any more stays for the runs that are in it.
    pub(super) fn resize(&mut self, sizes: &BTreeMap<PoolName, NonZeroU32>) {
        for (name, size) in sizes {
            let pool = Pool::new(size.get());
            match self.by_name.get(name) {
                Some(place) => self.pools[*place].size = pool.size,
                None => {
                    self.by_name.insert(name.clone(), self.pools.len());
                    self.pools.push(pool);
                }
            }
        }
    }

    /// How full each is, by name.
    pub(super) fn loads(&self) -> impl Iterator<Item = (&PoolName, PoolLoad)> + Clone {
        self.by_name.iter().filter_map(|(name, place)| {
            let Pool { size, n_going, ready, .. } = self.pools.get(*place)?;
            Some((name, PoolLoad { size: *size, n_going: *n_going, n_ready: ready.len() }))
        })
    }

    pub(super) fn n_ready(&self) -> usize {
        self.places.len()
    }

    pub(super) fn is_going(&self, run: RunId) -> bool {
        self.going.contains_key(&run)
    }

    /// Lets a run wait for a place.
    pub(super) fn push(&mut self, index: Index, job: &Job, pending: Pending) {
        let place = self.by_name.get(&job.pool).copied().unwrap_or_default();
        let run = &pending.run;
        let key = (run.is_backfill(), Reverse(job.policy.priority), run.due_at, self.next_number);
        self.next_number += 1;
        self.places.insert(pending.run.id, (place, key));
        self.pools[place].ready.insert(key, (index, pending));
    }

    /// Takes the next run for which there is a place. `delivery` tells that of a job.
    pub(super) fn pop(
        &mut self,
        now: DateTime<Utc>,
        delivery: impl Fn(Index) -> Delivery,
    ) -> Option<(usize, Index, Pending)> {
        if self.places.is_empty() {
            return None;
        }
        for (place, pool) in self.pools.iter_mut().enumerate() {
            let Some(first) = pool.ready.first_entry() else { continue };
            let n_places = match delivery(first.get().0) {
                // The last place is left to what is due now.
                _ if first.get().1.run.is_backfill() => pool.size.saturating_sub(1).max(1),
                Delivery::AtMostOnce => pool.size,
                Delivery::AtLeastOnce if pool.n_going < pool.size => pool.size,
                Delivery::AtLeastOnce => pool.size + pool.n_ahead(now),
            };
            if pool.n_going < n_places {
                let (index, pending) = pool.ready.pop_first()?.1;
                self.places.remove(&pending.run.id);
                return Some((place, index, pending));
            }
        }
        None
    }

    /// Gives a run a place.
    pub(super) fn occupy(&mut self, place: usize, run: RunId, now: DateTime<Utc>) {
        self.pools[place].n_going += 1;
        self.going.insert(run, (place, now));
    }

    /// A run or an attempt has ended; its place is free.
    pub(super) fn ended(&mut self, run: RunId, now: DateTime<Utc>) {
        let Some((place, since)) = self.going.remove(&run) else { return };
        self.pools[place].n_going -= 1;
        if now - since <= SHORT {
            self.pools[place].note_end(now);
        }
    }

    /// A run that was started has not begun; its place is free.
    pub(super) fn withdraw(&mut self, run: RunId) {
        if let Some((place, _)) = self.going.remove(&run) {
            self.pools[place].n_going -= 1;
        }
    }

    /// Takes a run that is ready.
    pub(super) fn take_ready(&mut self, run: RunId) -> Option<Pending> {
        let (place, key) = self.places.remove(&run)?;
        self.pools[place].ready.remove(&key).map(|(_, pending)| pending)
    }
}
