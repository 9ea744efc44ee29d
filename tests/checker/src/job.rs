//! One job: its expected slots, what the history says of it, and when it could run.

use std::collections::HashMap;

use crate::{
    facts::Reload,
    history::{Cause, Run, Skip},
    revision::{Overlap, Revision},
    time::{Load, Micros, Span, Spans},
    world::{RunView, World},
};

/// An expected slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// The nominal instant (wall time).
    pub(crate) at: Micros,
    /// When it came due, in true time.
    pub(crate) due: Micros,
    /// The place of its revision.
    pub(crate) revision: usize,
    /// So near to the edge of its revision that the host may have seen it otherwise.
    pub(crate) is_optional: bool,
}

/// One job.
pub(crate) struct JobView<'a> {
    pub(crate) name: &'a str,
    pub(crate) revisions: Vec<&'a Revision>,
    /// For each revision: when it may have been in force, the times in which the host takes up a change included.
    maybe: Vec<Span>,
    /// For each revision: when it was in force without doubt.
    surely: Vec<Span>,
    pub(crate) runs: Vec<RunView<'a>>,
    pub(crate) skips: Vec<&'a Skip>,
    /// By their instant.
    pub(crate) slots: Vec<Slot>,
    pub(crate) paused: Spans,
    /// When other code was put in force for it, in order.
    reloads: Vec<Micros>,
    /// When it could decide about its slots: the host was settled and the job not paused.
    pub(crate) able: Spans,
    /// When it could decide, and there was room for another run.
    pub(crate) free: Spans,
    /// How many of its runs went on, at the most.
    pub(crate) occupied: Load,
    /// The same with each run a little longer, for what happened at one instant in whatever order.
    pub(crate) crowd: Load,
    /// How many of its slots had come due and neither run nor been skipped.
    pub(crate) waiting: Load,
    /// The places of its runs.
    pub(crate) runs_by_id: HashMap<&'a str, usize>,
    /// The slots of runs that became skips.
    pub(crate) skips_by_run: HashMap<&'a str, Micros>,
    /// When slots became a skip of their own (wall time).
    pub(crate) skips_by_slot: HashMap<Micros, Micros>,
    /// The slots that became a run or a skip into which others may have been folded, in order.
    pub(crate) targets: Vec<Micros>,
}

impl<'a> JobView<'a> {
    pub(crate) fn new(name: &'a str) -> Self {
        Self {
            name,
            revisions: Vec::new(),
            maybe: Vec::new(),
            surely: Vec::new(),
            runs: Vec::new(),
            skips: Vec::new(),
            slots: Vec::new(),
            paused: Spans::default(),
            reloads: Vec::new(),
            able: Spans::default(),
            free: Spans::default(),
            occupied: Load::default(),
            crowd: Load::default(),
            waiting: Load::default(),
            skips_by_slot: HashMap::new(),
            runs_by_id: HashMap::new(),
            skips_by_run: HashMap::new(),
            targets: Vec::new(),
        }
    }

    pub(crate) fn prepare(&mut self, world: &World<'_>, busy_pools: &HashMap<&str, Spans>) {
        let latency = world.tolerance.latency;
        self.revisions.sort_by_key(|revision| revision.in_force);
        self.runs.sort_by_key(|view| view.run.slot);
        self.runs_by_id = self.runs.iter().enumerate().map(|(place, view)| (view.run.id.as_str(), place)).collect();
        let single = self.skips.iter().filter(|skip| skip.count == 1);
        self.skips_by_run = single.clone().filter_map(|skip| Some((skip.run.as_deref()?, skip.first))).collect();
        self.skips_by_slot = single.clone().map(|skip| (skip.first, skip.at)).collect();
        let other = single.filter(|skip| skip.reason != "coalesced").map(|skip| skip.first);
        let runs = self.runs.iter().filter(|view| view.run.cause.is_slot()).map(|view| view.run.slot);
        self.targets = runs.chain(other).collect();
        self.targets.sort_unstable();
        self.expect_slots(world);
        self.paused = world.pauses(self.name);
        let is_own = |reload: &&Reload| reload.job.as_ref().is_none_or(|job| job == self.name);
        self.reloads = world.facts.reloads.iter().filter(is_own).map(|reload| reload.at).collect();
        self.reloads.sort_unstable();
        self.able = world.settled.minus(&self.paused).longer_than(latency);
        let occupancies: Vec<_> = self.runs.iter().filter(counts).filter_map(|view| view.occupancy(world)).collect();
        let longer = world.tolerance.edge().saturating_add(1);
        self.crowd =
            Load::of(self.crowd_spans(world).map(|span| Span::new(span.from, span.until.saturating_add(longer))));
        self.occupied = Load::of(occupancies);
        self.waiting = Load::of(self.waiting_spans(world));
        self.free = self.able.minus(&self.busy(busy_pools)).longer_than(latency);
    }

    /// When each of its runs counted among those that go on: from the instant at which it was due, since one that waits
    /// for a place in its pool counts too. One that became a skip in the end counted until then.
    fn crowd_spans<'j>(&'j self, world: &'j World<'_>) -> impl Iterator<Item = Span> + 'j {
        let clock = &world.facts.clock;
        let due = |slot| clock.instants(slot).into_iter().min();
        let runs = self.runs.iter().filter(counts).filter_map(move |view| {
            let due = due(view.run.slot)?;
            let occupied = view.occupancy(world);
            let is_open = view.run.outcome.is_none();
            let waits = is_open.then_some(Span::new(due, world.facts.until));
            let span = occupied.or(waits)?;
            Some(Span::new(span.from.min(due), span.until))
        });
        let skips = self.skips.iter().filter(|skip| skip.run.is_some()).filter_map(move |skip| {
            let decided = clock.instants(skip.at).into_iter().max()?;
            Some(Span::new(due(skip.first)?, decided))
        });
        runs.chain(skips.filter(|span| span.from < span.until))
    }

    /// When there was no room for a run that waits for it, under the definition that was in force then.
    fn busy(&self, busy_pools: &HashMap<&str, Spans>) -> Spans {
        let may_wait =
            self.revisions.iter().any(|revision| matches!(revision.overlap, Overlap::Queue | Overlap::Replace));
        let mut busy = Vec::new();
        for (revision, force) in self.revisions.iter().zip(&self.maybe) {
            if may_wait && revision.overlap != Overlap::Allow {
                busy.extend(self.occupied.at_least(revision.max_instances).within(*force));
            }
            if let Some(pool) = revision.pool.as_deref().and_then(|pool| busy_pools.get(pool)) {
                busy.extend(pool.within(*force));
            }
        }
        Spans::of(busy)
    }

    /// The slots of each revision that came due while it was in force.
    fn expect_slots(&mut self, world: &World<'_>) {
        let clock = &world.facts.clock;
        let edge = world.tolerance.edge();
        let end = world.facts.until.saturating_sub(edge);
        for (index, revision) in self.revisions.iter().enumerate() {
            let force = revision.in_force;
            let [known, gone] = [force.from, force.until].map(|change| world.takes_effect(change));
            self.maybe.push(Span::new(force.from.saturating_sub(edge), gone));
            self.surely.push(Span::new(known, force.until.saturating_sub(edge)));
            let begin = clock.wall(force.from).saturating_sub(edge);
            let first = revision.slots.partition_point(|slot| *slot < begin);
            for at in revision.slots[first..].iter().copied() {
                let due = clock.first_reaching(at, force.from);
                if gone < due || world.facts.until < due {
                    break;
                }
                let is_optional = due <= known || force.until.saturating_sub(edge) <= due || end <= due;
                self.slots.push(Slot { at, due, revision: index, is_optional });
            }
        }
        self.slots.sort_by_key(|slot| (slot.at, slot.revision));
        // A slot at the edge between two revisions that both have it belongs to one of them.
        self.slots.dedup_by(|later, earlier| {
            let is_same = later.at == earlier.at;
            let [before, after] = [earlier.revision, later.revision].map(|index| self.revisions[index].in_force);
            if is_same && before.until == after.from && earlier.due.saturating_add(edge) < world.facts.until {
                earlier.is_optional = false;
            }
            earlier.is_optional &= !is_same || later.is_optional;
            is_same
        });
    }

    fn waiting_spans(&self, world: &World<'_>) -> Vec<Span> {
        let clock = &world.facts.clock;
        let due = |wall| clock.instants(wall).into_iter().min().unwrap_or(wall);
        let until = world.facts.until;
        let runs = self.runs.iter().filter(counts);
        let runs = runs.map(|view| Span::new(due(view.run.slot), view.first_start(world).unwrap_or(until)));
        let single = self.skips.iter().filter(|skip| skip.count == 1);
        let skips =
            single.map(|skip| Span::new(due(skip.first), clock.instants(skip.at).into_iter().max().unwrap_or(until)));
        runs.chain(skips).filter(|span| span.from <= span.until).collect()
    }

    /// The place of a slot.
    pub(crate) fn slot_at(&self, at: Micros) -> Option<usize> {
        self.slots.binary_search_by_key(&at, |slot| slot.at).ok()
    }

    /// Whether an instant is, or was ever meant to be, a slot.
    pub(crate) fn is_ever_slot(&self, at: Micros) -> bool {
        self.revisions.iter().any(|revision| revision.slots.binary_search(&at).is_ok())
    }

    /// Whether an instant is a slot that lies ahead: the host plans some seconds in advance.
    pub(crate) fn is_ahead(&self, world: &World<'_>, at: Micros) -> bool {
        let now = world.facts.until;
        let is_slot = || self.revisions_at(now).any(|(_, revision)| revision.slots.binary_search(&at).is_ok());
        world.facts.clock.wall(now).saturating_sub(world.tolerance.edge()) < at && is_slot()
    }

    /// The places of the slots between two instants, both included.
    pub(crate) fn slots_between(&self, first: Micros, last: Micros) -> std::ops::Range<usize> {
        let begin = self.slots.partition_point(|slot| slot.at < first);
        begin..self.slots.partition_point(|slot| slot.at <= last).max(begin)
    }

    /// The revisions that may have been in force at an instant.
    pub(crate) fn revisions_at(&self, at: Micros) -> impl Iterator<Item = (usize, &'a Revision)> {
        let all = self.revisions.iter().copied().enumerate().zip(&self.maybe);
        all.filter(move |(_, force)| force.from <= at && at <= force.until).map(|(revision, _)| revision)
    }

    /// When other code was first put in force after an instant.
    pub(crate) fn reload_after(&self, at: Micros) -> Option<Micros> {
        self.reloads.get(self.reloads.partition_point(|reload| *reload <= at)).copied()
    }

    /// The revisions that were in force at an instant without doubt.
    pub(crate) fn surely_at(&self, at: Micros) -> impl Iterator<Item = &'a Revision> {
        let all = self.revisions.iter().copied().zip(&self.surely);
        all.filter(move |(_, force)| force.contains(at)).map(|(revision, _)| revision)
    }

    /// The attempts that took places of a pool, and of which run each is.
    pub(crate) fn attempts_in_pool(&self, world: &World<'_>, pool: &str) -> Vec<(&'a Run, Span)> {
        let lines = self.runs.iter().flat_map(|view| view.lines.iter().map(|line| (view.run, *line)));
        let is_in = |at| self.revisions_at(at).all(|(_, revision)| revision.pool.as_deref() == Some(pool));
        lines.filter(|(_, line)| is_in(line.start)).map(|(run, line)| (run, world.attempt_span(run, line))).collect()
    }
}

/// Whether a run counts for what may go on of its job: one that makes up for the past stands apart.
fn counts(view: &&RunView<'_>) -> bool {
    view.run.cause != Cause::Backfill
}
