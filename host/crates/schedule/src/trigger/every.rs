//! Elapsed time: a fixed grid of instants that no clock change and no late run moves.

use super::rule::Past;

/// Shortest period. A run costs more than this; a shorter grid is a mistake or an attack.
pub(crate) const PERIOD_MICROS_MIN: i64 = 1_000;

/// From where the periods are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// From the anchor, whatever the runs do.
    FixedRate,
    /// From the end of the last run.
    FixedDelay,
}

/// A compiled `every:` trigger. All numbers are microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Every {
    pub(crate) period: i64,
    /// The first slot where one was written; otherwise the job's first sight plus one period is the first slot.
    pub(crate) anchor: Option<i64>,
    pub(crate) mode: Mode,
}

impl Every {
    /// The first slot.
    pub(crate) fn first(&self, past: &Past) -> i64 {
        let first = self.anchor.unwrap_or_else(|| past.first_seen.saturating_add(self.period));
        match (self.mode, past.last_finished) {
            (Mode::FixedDelay, Some(finished)) => finished.saturating_add(self.period).max(first),
            (Mode::FixedDelay, None) | (Mode::FixedRate, _) => first,
        }
    }

    /// The first slot at or after an instant. With a fixed delay, a slot that was passed over without a run is
    /// followed by others one period apart, so that a skipped slot cannot end the job.
    pub(crate) fn next(&self, at: i64, past: &Past) -> Option<i64> {
        let first = self.first(past);
        if at <= first {
            return Some(first);
        }
        let behind = at.checked_sub(first)? % self.period;
        if behind == 0 { Some(at) } else { at.checked_add(self.period - behind) }
    }

    /// How many slots lie from `from` to `until`, both inside.
    pub(crate) fn count(&self, from: i64, until: i64, past: &Past) -> u64 {
        let Some(first) = self.next(from, past).filter(|first| *first <= until) else {
            return 0;
        };
        (until.saturating_sub(first) / self.period).unsigned_abs() + 1
    }

    /// One grid for the slots of both, where that does not hang on the job's past; `None` inside where there is none.
    pub(crate) fn and(&self, other: &Self) -> Option<Option<Self>> {
        const NOBODY_ASKS: Past = Past { first_seen: 0, last_finished: None };
        match (self.anchor, other.anchor) {
            (Some(_), Some(_)) => self.meet(other, &NOBODY_ASKS),
            // Both are counted from the same instant, which is no slot of either.
            (None, None) => {
                let meet = self.meet(other, &NOBODY_ASKS)?;
                Some(meet.map(|both| Self { anchor: None, ..both }))
            }
            (Some(_), None) | (None, Some(_)) => None,
        }
    }

    /// The grid of the instants that two fixed grids share; `None` inside where they never meet.
    ///
    /// The greatest common divisor tells whether the grids meet at all; where they do, they meet within the product
    /// of the periods, and the extended Euclidean algorithm says where.
    pub(crate) fn meet(&self, other: &Self, past: &Past) -> Option<Option<Self>> {
        if self.mode != Mode::FixedRate || other.mode != Mode::FixedRate {
            return None;
        }
        let (a, b) = (i128::from(self.first(past)), i128::from(other.first(past)));
        let (p, q) = (i128::from(self.period), i128::from(other.period));
        let (divisor, inverse) = extended_gcd(p, q);
        if (b - a) % divisor != 0 {
            return Some(None);
        }
        let period = p / divisor * q;
        // a + p*k = b (mod q)  =>  k = (b - a)/divisor * inverse (mod q/divisor)
        let k = ((b - a) / divisor % (q / divisor) * inverse).rem_euclid(q / divisor);
        let meeting = a + p * k;
        // Both grids have begun.
        let late = a.max(b) - meeting;
        let first = if 0 < late { meeting + (late + period - 1).div_euclid(period) * period } else { meeting };
        let grid = i64::try_from(first).ok().zip(i64::try_from(period).ok());
        Some(grid.map(|(anchor, period)| Self { period, anchor: Some(anchor), mode: Mode::FixedRate }))
    }
}

/// The greatest common divisor of two numbers, and a factor of the first one that gives it modulo the second one.
fn extended_gcd(p: i128, q: i128) -> (i128, i128) {
    let (mut rest, mut next_rest) = (p, q);
    let (mut factor, mut next_factor) = (1, 0);
    while next_rest != 0 {
        let quotient = rest / next_rest;
        (rest, next_rest) = (next_rest, rest - quotient * next_rest);
        (factor, next_factor) = (next_factor, factor - quotient * next_factor);
    }
    (rest, factor)
}
