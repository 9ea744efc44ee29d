//! A compiled trigger and its search: the first slot at or after an instant.
//!
//! All instants in here are microseconds since 1970; only the outside sees `DateTime<Utc>`. A search has a budget of
//! steps, so that no trigger, however it is composed, can hold up the scheduler: what is not found within the budget
//! counts as never. Only `all` of unlike children and `except` with triggers can come near it.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{calendar::Calendar, cron::Cron, every::Every, except::Except, instant::MICROS};
use crate::zone::Zone;

/// Steps of one search for each leaf of the trigger, and the steps that every search has. A step costs 50 to 100 ns,
/// so a search ends within some milliseconds. The number is large because a search that is broken off ends a job: it
/// reaches the year 9999 for whatever meets once a year, and 27 years ahead for whatever meets once a day.
const STEPS: u32 = 40_000;
const STEPS_PER_LEAF: u32 = 20;

/// What a trigger needs to know about its job's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    /// When the job was first seen: the anchor of `every` where none is written.
    pub first_seen: DateTime<Utc>,
    /// When the last run ended, for `mode: fixed_delay`.
    pub last_finished: Option<DateTime<Utc>>,
}

/// The basis in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    pub(crate) first_seen: i64,
    pub(crate) last_finished: Option<i64>,
}

impl From<&Basis> for Past {
    fn from(basis: &Basis) -> Self {
        Self {
            first_seen: basis.first_seen.timestamp_micros(),
            last_finished: basis.last_finished.map(|at| at.timestamp_micros()),
        }
    }
}

/// One search: what it may know and how long it may take.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) past: Past,
    steps_left: u32,
}

impl Search {
    /// Takes one step; none where the last one has been taken, from which on no answer can be trusted.
    fn spend(&mut self) -> Option<()> {
        self.spend_many(1)
    }

    fn spend_many(&mut self, n_steps: u32) -> Option<()> {
        self.steps_left = self.steps_left.saturating_sub(n_steps);
        (self.steps_left != 0).then_some(())
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.steps_left == 0
    }
}

/// A compiled trigger: a pure rule that gives the next slot after an instant.
///
/// ```
/// use clockjack_schedule::{diagnostic::Diagnostics, manifest::parse, trigger::*, zone::*};
///
/// let (node, _) = parse::parse(0, "{cron: '30 2 * * mon-fri', timezone: Europe/Berlin}");
/// let (zones, calendars) = (Zones::bundled(), Calendars::default());
/// let context = TriggerContext { zones: &zones, zone: &Zone::utc(), job: "report", calendars: &calendars };
/// let trigger = Trigger::read(&node.unwrap(), context, &mut Diagnostics::default()).unwrap();
/// let basis = Basis { first_seen: "2026-11-21T00:00:00Z".parse().unwrap(), last_finished: None };
/// let next = trigger.next_after(basis.first_seen, &basis).unwrap();
/// assert_eq!(next.to_rfc3339(), "2026-11-23T01:30:00+00:00");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    pub(crate) rule: Rule,
    /// Inclusive bounds.
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) except: Option<Arc<Except>>,
    pub(crate) jitter: Option<Jitter>,
    /// The zone of dates in `except` and in descriptions.
    pub(crate) zone: Zone,
    pub(crate) n_leaves: u32,
}

/// What kind of trigger it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Rule {
    Cron(Box<Cron>),
    Every(Every),
    Calendar(Box<Calendar>),
    /// Sorted, without doubles.
    At(Arc<[i64]>),
    Any(Arc<[Trigger]>),
    All(Arc<All>),
}

/// An intersection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct All {
    /// The children as written.
    pub(crate) children: Vec<Trigger>,
    /// The children as searched: patterns of one zone are merged into one.
    pub(crate) searched: Vec<Trigger>,
}

/// How far runs start after their slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Jitter {
    pub(crate) max_micros: i64,
    /// Hash of the job's id.
    pub(crate) seed: u64,
}

impl Trigger {
    /// The first slot strictly after an instant.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>, basis: &Basis) -> Option<DateTime<Utc>> {
        let from = after.timestamp_micros().checked_add(1)?;
        self.first_from(from, basis).and_then(DateTime::from_timestamp_micros)
    }

    /// The first slot at or after an instant.
    #[must_use]
    pub fn next_from(&self, from: DateTime<Utc>, basis: &Basis) -> Option<DateTime<Utc>> {
        let micros = from.timestamp_micros();
        let inside = !from.timestamp_subsec_nanos().is_multiple_of(1_000);
        self.first_from(micros.checked_add(i64::from(inside))?, basis).and_then(DateTime::from_timestamp_micros)
    }

    /// The slots at or after an instant, in order.
    pub fn slots_from<'t>(
        &'t self,
        from: DateTime<Utc>,
        basis: &Basis,
    ) -> impl Iterator<Item = DateTime<Utc>> + use<'t> {
        let basis = *basis;
        std::iter::successors(self.next_from(from, &basis), move |slot| self.next_after(*slot, &basis))
    }

    /// The zone in which the trigger's slots are best shown.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Whether slots are counted from the end of the last run, so that the next one is known only after it.
    #[must_use]
    pub fn waits_for_finish(&self) -> bool {
        match &self.rule {
            Rule::Every(every) => every.mode == super::every::Mode::FixedDelay,
            Rule::Any(children) => children.iter().any(Self::waits_for_finish),
            Rule::All(all) => all.children.iter().any(Self::waits_for_finish),
            Rule::Cron(_) | Rule::Calendar(_) | Rule::At(_) => false,
        }
    }

    /// Whether slots are counted from when the job was first seen or last finished, here or inside.
    pub(crate) fn depends_on_past(&self) -> bool {
        let mine = match &self.rule {
            Rule::Every(every) => every.anchor.is_none() || every.mode == super::every::Mode::FixedDelay,
            Rule::Calendar(calendar) => calendar.from.is_none(),
            Rule::Any(children) => children.iter().any(Self::depends_on_past),
            Rule::All(all) => all.children.iter().any(Self::depends_on_past),
            Rule::Cron(_) | Rule::At(_) => false,
        };
        mine || self.except.iter().flat_map(|except| &except.triggers).any(Self::depends_on_past)
    }

    pub(crate) fn first_from(&self, from: i64, basis: &Basis) -> Option<i64> {
        self.next(from, &mut self.search(basis.into()))
    }

    pub(crate) fn search(&self, past: Past) -> Search {
        Search { past, steps_left: STEPS + STEPS_PER_LEAF.saturating_mul(self.n_leaves) }
    }

    pub(crate) fn next(&self, at: i64, search: &mut Search) -> Option<i64> {
        let mut at = at.max(self.start);
        loop {
            let slot = self.rule.next(at, search)?;
            if self.end.min(LATEST) < slot {
                return None;
            }
            let Some(except) = &self.except else {
                return Some(slot);
            };
            let excluded = except.excluded_until(slot, &self.rule, &self.zone, search);
            search.spend()?;
            at = match excluded {
                None => return Some(slot),
                Some(until) => until,
            };
        }
    }

    /// How long after its slot a run starts: a hash of job and slot, no more than the jitter and always less than the
    /// distance to the next slot. The slot stays what it is.
    #[must_use]
    pub fn start_delay(&self, slot: DateTime<Utc>, basis: &Basis) -> std::time::Duration {
        let micros = slot.timestamp_micros();
        let Some(jitter) = self.jitter_at(micros, basis) else {
            return std::time::Duration::ZERO;
        };
        let next = self.next_after(slot, basis).map_or(i64::MAX, |next| next.timestamp_micros());
        let max = jitter.max_micros.min(next.saturating_sub(micros) - 1);
        let drawn = crate::id::fnv1a(&micros.to_le_bytes(), jitter.seed) % (max.unsigned_abs() + 1);
        std::time::Duration::from_micros(drawn)
    }

    /// The jitter of the outermost trigger that has one and owns the slot.
    fn jitter_at(&self, slot: i64, basis: &Basis) -> Option<Jitter> {
        let of_children = |children: &[Self]| {
            let mut owners = children.iter().filter(|child| child.first_from(slot, basis) == Some(slot));
            owners.find_map(|child| child.jitter_at(slot, basis))
        };
        self.jitter.or_else(|| match &self.rule {
            Rule::Any(children) => of_children(children),
            Rule::All(all) => of_children(&all.children),
            Rule::Cron(_) | Rule::Every(_) | Rule::Calendar(_) | Rule::At(_) => None,
        })
    }
}

impl Rule {
    fn next(&self, at: i64, search: &mut Search) -> Option<i64> {
        match self {
            Self::Cron(cron) => {
                search.spend()?;
                let second = at.div_euclid(MICROS) + i64::from(at.rem_euclid(MICROS) != 0);
                cron.next(second).map(|second| second * MICROS)
            }
            Self::Every(every) => {
                search.spend()?;
                every.next(at, &search.past)
            }
            Self::Calendar(calendar) => {
                search.spend_many(calendar.cost(at, &search.past))?;
                calendar.next(at, &search.past)
            }
            Self::At(instants) => {
                search.spend()?;
                instants.get(instants.partition_point(|instant| *instant < at)).copied()
            }
            Self::Any(children) => {
                let first = children.iter().filter_map(|child| child.next(at, search)).min();
                first.filter(|_| !search.is_spent())
            }
            Self::All(all) => all.next(at, search),
        }
    }
}

/// The last microsecond of the year 9999 in UTC: the end of all slots, for RFC 3339 writes no later year.
pub(crate) const LATEST: i64 = 253_402_300_800 * MICROS - 1;

impl All {
    /// Children of one zone become one pattern where they can; the rest is searched by turns.
    pub(crate) fn new(children: Vec<Trigger>) -> Self {
        let mut searched: Vec<Trigger> = Vec::new();
        'next: for child in &children {
            for known in &mut searched {
                if let Some(merged) = known.and(child) {
                    *known = merged;
                    continue 'next;
                }
            }
            searched.push(child.clone());
        }
        Self { children, searched }
    }

    /// Each child in turn is asked for its first slot from where the last one stood, until all stand at one instant.
    fn next(&self, at: i64, search: &mut Search) -> Option<i64> {
        if self.grids_never_meet(search) {
            return None;
        }
        let (mut at, mut n_agreed) = (at, 0);
        for child in self.searched.iter().cycle() {
            search.spend()?;
            let slot = child.next(at, search)?;
            n_agreed = if slot == at { n_agreed + 1 } else { 1 };
            at = slot;
            if n_agreed == self.searched.len() {
                return Some(at);
            }
        }
        None
    }

    fn grids_never_meet(&self, search: &Search) -> bool {
        let mut grids = self.searched.iter().filter_map(|child| match &child.rule {
            Rule::Every(every) => Some(*every),
            Rule::Cron(_) | Rule::Calendar(_) | Rule::At(_) | Rule::Any(_) | Rule::All(_) => None,
        });
        let Some(first) = grids.next() else {
            return false;
        };
        let mut shared = first;
        for grid in grids {
            match shared.meet(&grid, &search.past) {
                Some(Some(both)) => shared = both,
                Some(None) => return true,
                None => {}
            }
        }
        false
    }
}

impl Trigger {
    /// One trigger for the slots of both, where both are patterns that can be merged.
    fn and(&self, other: &Self) -> Option<Self> {
        if self.except.is_some() || other.except.is_some() {
            return None;
        }
        let rule = match (&self.rule, &other.rule) {
            (Rule::Cron(mine), Rule::Cron(theirs)) => Rule::Cron(Box::new(mine.and(theirs)?)),
            (Rule::Every(mine), Rule::Every(theirs)) => match mine.and(theirs)? {
                Some(every) => Rule::Every(every),
                None => Rule::At([].into()),
            },
            _ => return None,
        };
        Some(Self { rule, start: self.start.max(other.start), end: self.end.min(other.end), ..self.clone() })
    }
}
