//! Random jobs and faults: what a good history is made for.

use clockjack_checker::{
    After, AfterOn, Coalesce, Delivery, Ending, Facts, History, Micros, Overlap, Pause, Request, Resume, Revision,
    SECOND, Span, Step, Tolerance, Up, Witness, slots,
};

/// The first instant of every scene.
pub(crate) const DAWN: Micros = 1_800_000_000 * SECOND;

/// How long a scene is.
pub(crate) const LENGTH: Micros = 120 * SECOND;

/// One step of the reference scheduler.
pub(crate) const TICK: Micros = 10_000;

/// What the reference scheduler keeps.
pub(crate) const TOLERANCE: Tolerance = Tolerance { latency: 100_000, recovery: SECOND, clock: 0 };

/// All that a checker gets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    pub(crate) facts: Facts,
    pub(crate) revisions: Vec<Revision>,
    pub(crate) witness: Vec<Witness>,
    pub(crate) history: History,
}

/// Chance with a seed (xorshift).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number from 0 up to this one, itself excluded.
    pub(crate) fn below(&mut self, bound: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bits = i64::try_from(self.0 >> 16).expect("48 bits fit");
        bits % bound.max(1)
    }

    /// Whether a chance of one in so many came true.
    pub(crate) fn one_in(&mut self, n: i64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let place = self.below(i64::try_from(all.len()).expect("few"));
        all.get(usize::try_from(place).expect("not negative"))
    }
}

/// Jobs and faults, before anything has run.
pub(crate) fn random(seed: u64) -> Story {
    let mut dice = Dice::new(seed);
    let mut story = Story { facts: faults(&mut dice), ..Story::default() };
    for number in 0..5 {
        let name = format!("job-{number}");
        let mut revision = random_job(&mut dice, &name);
        if number == 4 {
            revision.slots.clear();
            revision.after.push(After { job: "job-0".to_owned(), on: AfterOn::Success });
            revision.run_on_start = true;
        }
        let edge = quiet(&mut dice, &story.facts);
        match dice.below(4) {
            0 => {
                revision.in_force.until = edge;
                let mut next = random_job(&mut dice, &name);
                next.in_force.from = edge;
                story.revisions.push(next);
            }
            1 => revision.in_force.until = edge,
            _ => {}
        }
        story.revisions.insert(0, revision);
        if number < 3 && dice.one_in(2) {
            let mut ends = [quiet(&mut dice, &story.facts), quiet(&mut dice, &story.facts)];
            ends.sort_unstable();
            let resume = if dice.one_in(2) { Resume::Now } else { Resume::Last };
            story.facts.pauses.push(Pause { job: name.clone(), span: Span::new(ends[0], ends[1]), resume });
        }
        for _ in 0..dice.below(3) {
            // Between the slots, which are on a grid of 100 ms: without its id a request is told by its time.
            let at = quiet(&mut dice, &story.facts) / 100_000 * 100_000 + 50_000;
            let request = Request { job: name.clone(), at, key: None, run: None, acknowledged: true };
            story.facts.requests.push(request);
        }
    }
    story.revisions.sort_by_key(|revision| (revision.job.clone(), revision.in_force));
    // A pause that meets the end of a definition is for scenes written by hand.
    let revisions = &story.revisions;
    story.facts.pauses.retain(|pause| {
        let mut ends =
            revisions.iter().filter(|revision| revision.job == pause.job).map(|revision| revision.in_force.until);
        ends.all(|end| end < pause.span.from - SECOND || pause.span.until + SECOND < end)
    });
    story.facts.requests.retain(|request| {
        let mut all = revisions.iter().filter(|revision| revision.job == request.job);
        all.any(|revision| revision.in_force.wider(-SECOND).contains(request.at))
    });
    story
}

fn random_job(dice: &mut Dice, name: &str) -> Revision {
    let seconds = u32::try_from(1 + dice.below(5)).expect("small");
    let anchor = DAWN + dice.below(10) * 100_000;
    let mut revision = Revision::new(name, slots::every(anchor, seconds, DAWN, DAWN + 2 * LENGTH));
    revision.in_force = Span::new(DAWN, DAWN + 4 * LENGTH);
    revision.misfire_grace = [None, Some(2 * SECOND), Some(7 * SECOND)][usize::try_from(dice.below(3)).expect("small")];
    revision.coalesce = *dice.pick(&[Coalesce::Latest, Coalesce::Earliest, Coalesce::All]).expect("three");
    revision.max_backlog = usize::try_from(1 + dice.below(4)).expect("small");
    let overlaps = [Overlap::Skip, Overlap::Queue, Overlap::Replace, Overlap::Allow];
    revision.overlap = *dice.pick(&overlaps).expect("four");
    revision.max_instances = usize::try_from(1 + dice.below(3)).expect("small");
    revision.attempts_max = u32::try_from(1 + dice.below(3)).expect("small");
    revision.backoff_max = 500_000;
    revision.delivery = if dice.one_in(2) { Delivery::AtMostOnce } else { Delivery::AtLeastOnce };
    revision
}

fn faults(dice: &mut Dice) -> Facts {
    let mut facts = Facts { until: DAWN + LENGTH, ..Facts::default() };
    let mut from = DAWN;
    for _ in 0..1 + dice.below(3) {
        // Close after a full second, where slots begin.
        let until = from + (8 + dice.below(30)) * SECOND + dice.below(8) * 5_000 + 1;
        if facts.until - 10 * SECOND < until {
            break;
        }
        let ending = if dice.one_in(3) { Ending::Stopped } else { Ending::Killed };
        facts.up.push(Up { span: Span::new(from, until), ending });
        from = until + dice.below(12_000) * 1_000;
    }
    facts.up.push(Up { span: Span::new(from, facts.until), ending: Ending::StillUp });
    let outage = |dice: &mut Dice| {
        let from = DAWN + dice.below(100) * SECOND + dice.below(1_000) * 1_000;
        Span::new(from, from + dice.below(9_000) * 1_000)
    };
    if dice.one_in(2) {
        facts.unreachable.push(outage(dice));
    }
    if dice.one_in(2) {
        facts.saturated.push(outage(dice));
    }
    if dice.one_in(3) {
        let at = DAWN + (10 + dice.below(90)) * SECOND;
        facts.clock.steps.push(Step { at, offset: (dice.below(40) - 20) * 500_000 });
    }
    facts
}

/// An instant with no fault near it.
fn quiet(dice: &mut Dice, facts: &Facts) -> Micros {
    let lives = facts.up.iter().flat_map(|up| [up.span.from, up.span.until]);
    let spans = facts.unreachable.iter().chain(&facts.saturated);
    let edges: Vec<_> = lives.chain(facts.clock.steps.iter().map(|step| step.at)).collect();
    for _ in 0..1_000 {
        let at = DAWN + (2 + dice.below(110)) * SECOND + dice.below(100) * TICK;
        let is_up = facts.up.iter().any(|up| up.span.contains(at));
        let is_near = |edge: &Micros| (edge - at).abs() < 2 * SECOND;
        if is_up && !edges.iter().any(is_near) && !spans.clone().any(|span| span.wider(2 * SECOND).contains(at)) {
            return at;
        }
    }
    DAWN + SECOND
}
