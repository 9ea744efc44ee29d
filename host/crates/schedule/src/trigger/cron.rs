//! A civil pattern in a zone: from sets of wall-clock times to instants, with a policy for clock changes.
//!
//! The search walks through stretches of one offset. Within a stretch it is a lookup in the pattern; where a stretch
//! ends, the local times between the clocks before and after are a gap or a fold, and the policy decides. What comes
//! out is strictly increasing by construction, since only instants are compared, never wall clocks.

use super::{
    dst::{Dst, Fold, Gap},
    pattern::{DAY, Pattern},
};
use crate::zone::{CYCLE, FOR_EVER, OFFSET_MAX, Segment, Zone};

/// 1 January 2100: every zone follows a recurring rule from here on, so 400 years past it show everything.
pub(crate) const RECURRING_FROM: i64 = 4_102_444_800;

/// Before this instant no trigger fires: local times begin with the year 1970 wherever one is.
pub(crate) const EARLIEST: i64 = -2 * DAY;

/// A compiled `cron:` trigger.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cron {
    pub(crate) pattern: Pattern,
    pub(crate) zone: Zone,
    pub(crate) dst: Dst,
    /// Whether the hour field is a wildcard or a step, so that nobody waits for a particular hour.
    pub(crate) any_hour: bool,
    /// Where patterns were merged: an instant after a gap belongs to all of them if each names a time in the gap,
    /// which need not be the same time.
    pub(crate) merged: Option<Box<[Pattern]>>,
}

impl Cron {
    /// The first slot at or after an instant, both in seconds.
    pub(crate) fn next(&self, at: i64) -> Option<i64> {
        let mut at = at.max(EARLIEST);
        let horizon = at.max(RECURRING_FROM) + CYCLE + 400 * DAY;
        let mut segment = self.zone.segment(at);
        let mut known = Known { from: i64::MAX, found: None };
        loop {
            if at == segment.start && self.fires_after_gap(&segment) {
                return Some(at);
            }
            // A fold can show again what lies up to this long back.
            let settled = 2 * OFFSET_MAX <= segment.end - at;
            let found = known.next(&self.pattern, at + segment.offset);
            match found {
                Some(local) if local - segment.offset < segment.end => match self.repeated_until(local, &segment) {
                    None => return Some(local - segment.offset),
                    Some(resume) if resume < segment.end => {
                        at = resume;
                        continue;
                    }
                    Some(_) => at = segment.end,
                },
                Some(local) if settled && self.merged.is_none() => at = segment.end.max(local - OFFSET_MAX),
                None if settled && self.merged.is_none() => return None,
                Some(_) | None => at = segment.end,
            }
            if FOR_EVER <= at || horizon < at {
                return None;
            }
            segment = self.zone.segment(at);
        }
    }

    /// Whether the pattern names a time that the clock jumped over when the stretch began.
    fn fires_after_gap(&self, segment: &Segment) -> bool {
        if self.dst.gap == Gap::Skip || segment.offset <= segment.before {
            return false;
        }
        let (low, high) = (segment.start + segment.before, segment.start + segment.offset);
        match &self.merged {
            None => self.pattern.meets(low, high),
            // The first moment after the gap is theirs in its own right, too.
            Some(patterns) => patterns.iter().all(|each| each.meets(low, high + 1)),
        }
    }

    /// For a local time whose other appearance counts: the instant from which to look on.
    fn repeated_until(&self, local: i64, segment: &Segment) -> Option<i64> {
        match self.dst.fold {
            Fold::Both => None,
            Fold::First => {
                let shown_until = segment.start + segment.before;
                (local < shown_until && segment.offset < segment.before).then(|| shown_until - segment.offset)
            }
            Fold::Second => {
                let shown_from = segment.end + segment.after;
                (shown_from <= local && segment.after < segment.offset).then_some(segment.end)
            }
        }
    }

    /// One trigger for the instants that belong to both, where that can be said in one pattern.
    pub(crate) fn and(&self, other: &Self) -> Option<Self> {
        if self.zone != other.zone || self.dst != other.dst {
            return None;
        }
        let own = |cron: &Self| match &cron.merged {
            Some(patterns) => patterns.to_vec(),
            None => vec![cron.pattern.clone()],
        };
        // Without gaps that count, the instants that belong to both are those of the times that belong to both.
        let merged = (self.dst.gap == Gap::RunAfter).then(|| [own(self), own(other)].concat().into());
        Some(Self {
            pattern: self.pattern.and(&other.pattern),
            zone: self.zone.clone(),
            dst: self.dst,
            any_hour: self.any_hour && other.any_hour,
            merged,
        })
    }
}

impl Cron {
    /// How many slots lie between two slots, both counted; none where that would take one search per slot.
    pub(crate) fn count(&self, first: i64, last: i64) -> Option<u64> {
        if self.merged.is_some() {
            return None;
        }
        let mut count = 1;
        let mut at = first;
        while at < last {
            let segment = self.zone.segment(at);
            // Whole days of the stretch that no clock change is near to are counted at once.
            let local = at + segment.offset;
            let from_day = local.div_euclid(DAY) + 1;
            let until = (segment.end - OFFSET_MAX).min(last) + segment.offset;
            let to_day = until.div_euclid(DAY);
            if segment.start + OFFSET_MAX <= at && from_day < to_day {
                let n_left = self.pattern.n_until(local + 1, from_day * DAY);
                let n_days = self.pattern.n_days(from_day, to_day);
                count += n_left + n_days * self.pattern.n_per_day();
                // One second before the first slot of the next day, which is counted by itself.
                at = to_day * DAY - segment.offset - 1;
                continue;
            }
            at = self.next(at + 1)?;
            count += u64::from(at <= last);
        }
        Some(count)
    }
}

/// The last answer of the pattern. A merged pattern is asked again after every clock change, and the answer seldom
/// changes.
struct Known {
    from: i64,
    found: Option<i64>,
}

impl Known {
    fn next(&mut self, pattern: &Pattern, local: i64) -> Option<i64> {
        let still_true = self.from <= local && self.found.is_none_or(|found| local <= found);
        if !still_true {
            *self = Self { from: local, found: pattern.next(local) };
        }
        self.found
    }
}
