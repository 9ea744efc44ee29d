//! Instants, spans of time, and sets of spans. All in microseconds.

use chrono::{DateTime, SecondsFormat};

/// An instant: microseconds since 1970-01-01T00:00:00Z. A duration is the difference of two.
pub type Micros = i64;

/// One second.
pub const SECOND: Micros = 1_000_000;

/// An instant as people read it.
#[must_use]
pub fn show(instant: Micros) -> String {
    DateTime::from_timestamp_micros(instant)
        .map_or_else(|| format!("{instant} us"), |time| time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// A span of time: `from` belongs to it, `until` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Its first instant.
    pub from: Micros,
    /// The first instant after it.
    pub until: Micros,
}

impl Span {
    /// The span between two instants.
    #[must_use]
    pub fn new(from: Micros, until: Micros) -> Self {
        Self { from, until }
    }

    /// Whether an instant lies in it.
    #[must_use]
    pub fn contains(self, instant: Micros) -> bool {
        self.from <= instant && instant < self.until
    }

    /// The span made longer at both ends; shorter with a negative number.
    #[must_use]
    pub fn wider(self, by: Micros) -> Self {
        Self { from: self.from.saturating_sub(by), until: self.until.saturating_add(by) }
    }

    pub(crate) fn length(self) -> Micros {
        self.until.saturating_sub(self.from)
    }
}

/// A set of instants: disjoint spans in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spans(Vec<Span>);

impl Spans {
    /// The union of spans.
    pub(crate) fn of(spans: impl IntoIterator<Item = Span>) -> Self {
        let mut all: Vec<_> = spans.into_iter().filter(|span| span.from < span.until).collect();
        all.sort_unstable();
        let mut union: Vec<Span> = Vec::with_capacity(all.len());
        for span in all {
            match union.last_mut().filter(|last| span.from <= last.until) {
                Some(last) => last.until = last.until.max(span.until),
                None => union.push(span),
            }
        }
        Self(union)
    }

    /// What is left without others.
    pub(crate) fn minus(&self, others: &Self) -> Self {
        let mut left = Vec::new();
        let mut others = others.0.iter().peekable();
        for span in &self.0 {
            let mut from = span.from;
            while others.next_if(|other| other.until <= from).is_some() {}
            while let Some(other) = others.peek().filter(|other| other.from < span.until) {
                left.push(Span::new(from, other.from));
                from = from.max(other.until);
                if span.until < other.until {
                    break;
                }
                others.next();
            }
            left.push(Span::new(from, span.until));
        }
        left.retain(|span| span.from < span.until);
        Self(left)
    }

    /// Only the spans longer than this.
    pub(crate) fn longer_than(mut self, length: Micros) -> Self {
        self.0.retain(|span| length < span.length());
        self
    }

    pub(crate) fn contains(&self, instant: Micros) -> bool {
        let after = self.0.partition_point(|span| span.until <= instant);
        self.0.get(after).is_some_and(|span| span.contains(instant))
    }

    /// The parts of it in a span.
    pub(crate) fn within(&self, bounds: Span) -> impl Iterator<Item = Span> {
        let first = self.0.partition_point(|span| span.until <= bounds.from);
        let met = self.0[first..].iter().take_while(move |span| span.from < bounds.until);
        met.map(move |span| Span::new(span.from.max(bounds.from), span.until.min(bounds.until)))
    }

    /// The first instant in it that is not before another.
    pub(crate) fn first_from(&self, from: Micros) -> Option<Micros> {
        let after = self.0.partition_point(|span| span.until <= from);
        self.0.get(after).map(|span| span.from.max(from))
    }

    /// The first stretch longer than `length` between two instants. The spans themselves must all be longer.
    pub(crate) fn stretch(&self, from: Micros, until: Micros, length: Micros) -> Option<Span> {
        let first = self.0.partition_point(|span| span.until.saturating_sub(from) <= length);
        let span = self.0.get(first)?;
        let stretch = Span::new(span.from.max(from), span.until.min(until));
        (length < stretch.length()).then_some(stretch)
    }
}

/// How many of some spans an instant lies in, over time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load(Vec<(Micros, usize)>);

impl Load {
    pub(crate) fn of(spans: impl IntoIterator<Item = Span>) -> Self {
        // At one instant ends come before beginnings: what follows at once is not beside.
        let mut edges: Vec<(Micros, bool)> = Vec::new();
        for span in spans {
            // What was too short to measure was there nevertheless.
            edges.push((span.from, true));
            edges.push((span.until.max(span.from.saturating_add(1)), false));
        }
        edges.sort_unstable();
        let mut level = 0_usize;
        let levels = edges.into_iter().map(|(instant, begins)| {
            level = if begins { level.saturating_add(1) } else { level.saturating_sub(1) };
            (instant, level)
        });
        Self(levels.collect())
    }

    /// The level at an instant.
    pub(crate) fn at(&self, instant: Micros) -> usize {
        let after = self.0.partition_point(|(edge, _)| *edge <= instant);
        after.checked_sub(1).and_then(|last| self.0.get(last)).map_or(0, |(_, level)| *level)
    }

    /// The highest level at, shortly before, or between two instants.
    pub(crate) fn max_in(&self, from: Micros, until: Micros) -> usize {
        let first = self.0.partition_point(|(instant, _)| *instant < from);
        let before = first.checked_sub(1).and_then(|last| self.0.get(last)).map_or(0, |(_, level)| *level);
        let within = self.0[first..].iter().take_while(|(instant, _)| *instant <= until).map(|(_, level)| *level);
        within.max().unwrap_or(0).max(before)
    }

    /// When the level is at least this.
    pub(crate) fn at_least(&self, level: usize) -> Spans {
        let ends = self.0.iter().skip(1).map(|(instant, _)| *instant).chain([Micros::MAX]);
        let high = self.0.iter().zip(ends).filter(|((_, reached), _)| level <= *reached);
        Spans::of(high.map(|((from, _), until)| Span::new(*from, until)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        prop::collection::vec((0..60_i64, 0..9_i64).prop_map(|(from, length)| Span::new(from, from + length)), 0..12)
    }

    fn holds(spans: &[Span], instant: Micros) -> bool {
        spans.iter().any(|span| span.contains(instant))
    }

    proptest! {
        #[test]
        fn sets_are_what_they_are_instant_by_instant(some in spans(), others in spans()) {
            let left = Spans::of(some.clone()).minus(&Spans::of(others.clone()));
            for instant in 0..80 {
                prop_assert_eq!(left.contains(instant), holds(&some, instant) && !holds(&others, instant));
            }
        }

        #[test]
        fn a_stretch_is_found_where_there_is_one(some in spans(), from in 0..70_i64, more in 0..30_i64, length in 0..6_i64) {
            let set = Spans::of(some.clone());
            let until = from + more;
            let is_free = |begin: &Micros| (*begin..=begin + length).all(|instant| holds(&some, instant));
            let expected = (from..until - length).find(is_free);
            let found = set.longer_than(length).stretch(from, until, length);
            prop_assert_eq!(found.map(|stretch| stretch.from), expected);
        }

        #[test]
        fn a_load_is_counted_instant_by_instant(some in spans(), from in 0..70_i64, more in 0..9_i64) {
            let some: Vec<_> = some.into_iter().filter(|span| span.from < span.until).collect();
            let count = |instant: Micros| some.iter().filter(|span| span.contains(instant)).count();
            let load = Load::of(some.iter().copied());
            prop_assert_eq!(load.at(from), count(from));
            prop_assert_eq!(load.max_in(from, from + more), (from - 1..=from + more).map(count).max().unwrap_or(0));
            for instant in 0..80 {
                prop_assert_eq!(load.at_least(2).contains(instant), 2 <= count(instant));
            }
        }
    }
}
