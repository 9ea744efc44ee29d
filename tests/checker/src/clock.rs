//! The wall clock of the host: how it differs from true time.

use crate::time::Micros;

/// From one instant on the wall clock differs from true time by another amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, in true time.
    pub at: Micros,
    /// Wall minus true from then on.
    pub offset: Micros,
}

/// The wall clock of the host as a function of true time. Before the first step the two are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// Before everything, with room to add to it.
const DAWN: Micros = Micros::MIN / 4;

/// After everything.
const DUSK: Micros = Micros::MAX / 4;

impl Clock {
    /// What the wall clock shows.
    #[must_use]
    pub fn wall(&self, at: Micros) -> Micros {
        let n_steps = self.steps.partition_point(|step| step.at <= at);
        at.saturating_add(self.offset_after(n_steps))
    }

    /// The first instant, not before `from`, at which the wall clock shows at least this.
    #[must_use]
    pub fn first_reaching(&self, wall: Micros, from: Micros) -> Micros {
        let n_passed = self.steps.partition_point(|step| step.at <= from);
        for n_steps in n_passed..=self.steps.len() {
            let begin = if n_steps == n_passed { from } else { self.steps[n_steps - 1].at };
            let at = begin.max(wall.saturating_sub(self.offset_after(n_steps)));
            if self.steps.get(n_steps).is_none_or(|next| at < next.at) {
                return at;
            }
        }
        DUSK
    }

    /// Every instant at which the wall clock showed this: several after a step back; where a step forward left it out,
    /// the instant of the step.
    #[must_use]
    pub fn instants(&self, wall: Micros) -> Vec<Micros> {
        let mut instants = Vec::new();
        for n_steps in 0..=self.steps.len() {
            let at = wall.saturating_sub(self.offset_after(n_steps));
            let begin = n_steps.checked_sub(1).map_or(DAWN, |last| self.steps[last].at);
            if begin <= at && self.steps.get(n_steps).is_none_or(|next| at < next.at) {
                instants.push(at);
            }
        }
        if instants.is_empty() {
            instants.push(self.first_reaching(wall, DAWN));
        }
        instants
    }

    /// The lowest and the highest that the wall clock showed between two instants.
    pub(crate) fn range(&self, from: Micros, until: Micros) -> (Micros, Micros) {
        let steps = self.steps.iter().filter(|step| from < step.at && step.at <= until);
        let shown = steps.flat_map(|step| [self.wall(step.at - 1), self.wall(step.at)]);
        let ends = [self.wall(from), self.wall(until)];
        shown.fold((ends[0].min(ends[1]), ends[0].max(ends[1])), |(low, high), wall| (low.min(wall), high.max(wall)))
    }

    fn offset_after(&self, n_steps: usize) -> Micros {
        n_steps.checked_sub(1).map_or(0, |last| self.steps[last].offset)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn true_time_is_found_instant_by_instant(
            steps in prop::collection::vec((1..20_i64, -30..30_i64), 0..4),
            wall in -40..120_i64,
            from in 0..60_i64,
        ) {
            let mut at = 0;
            let steps = steps.into_iter().map(|(later, offset)| { at += later; Step { at, offset } });
            let clock = Clock { steps: steps.collect() };
            let reached = (from..300).find(|at| wall <= clock.wall(*at));
            prop_assert_eq!(Some(clock.first_reaching(wall, from)), reached);
            let shown: Vec<_> = (-300..300).filter(|at| clock.wall(*at) == wall).collect();
            let expected = if shown.is_empty() { vec![clock.first_reaching(wall, -300)] } else { shown };
            prop_assert_eq!(clock.instants(wall), expected);
            let range: Vec<_> = (from..from + 30).map(|at| clock.wall(at)).collect();
            let expected = (range.iter().copied().min().unwrap_or(0), range.iter().copied().max().unwrap_or(0));
            prop_assert_eq!(clock.range(from, from + 29), expected);
        }
    }
}
