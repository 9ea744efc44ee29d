//! What all rules look at: the input, put in order once.

use std::collections::{BTreeMap, HashMap};

use crate::{
    facts::{Ending, Facts, Tolerance},
    history::{History, Run, Witness},
    job::JobView,
    revision::Revision,
    time::{Load, Micros, Span, Spans},
};

/// The input, put in order.
pub(crate) struct World<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) tolerance: &'a Tolerance,
    pub(crate) history: &'a History,
    /// When the host is itself and acts within the latency.
    pub(crate) settled: Spans,
    /// When saturation, with the recovery after it, is to be reckoned with.
    pub(crate) strained: Spans,
    pub(crate) jobs: BTreeMap<&'a str, JobView<'a>>,
    /// Guests of which the ledger tells nothing.
    pub(crate) strays: Vec<&'a Witness>,
}

/// A run with what its guests wrote down, in the order of their starts.
pub(crate) struct RunView<'a> {
    pub(crate) run: &'a Run,
    pub(crate) lines: Vec<&'a Witness>,
}

impl<'a> World<'a> {
    pub(crate) fn new(
        facts: &'a Facts,
        revisions: &'a [Revision],
        witness: &'a [Witness],
        history: &'a History,
        tolerance: &'a Tolerance,
    ) -> Self {
        let mut world = Self {
            facts,
            tolerance,
            history,
            settled: settled(facts, tolerance),
            strained: Spans::of(facts.saturated.iter().map(|span| Span {
                from: span.from.saturating_sub(tolerance.edge()),
                until: span.until.saturating_add(tolerance.recovery.max(tolerance.latency)),
            })),
            jobs: BTreeMap::new(),
            strays: Vec::new(),
        };
        let mut by_job: BTreeMap<&str, JobView<'_>> = BTreeMap::new();
        let known = revisions.iter().map(|revision| &revision.job);
        let told = history.runs.iter().map(|run| &run.job).chain(history.skips.iter().map(|skip| &skip.job));
        for name in known.chain(told) {
            by_job.entry(name).or_insert_with(|| JobView::new(name));
        }
        for revision in revisions {
            by_job.entry(&revision.job).and_modify(|job| job.revisions.push(revision));
        }
        for skip in &history.skips {
            by_job.entry(&skip.job).and_modify(|job| job.skips.push(skip));
        }
        world.add_runs(&mut by_job, witness);
        let busy_pools = world.busy_pools(&by_job);
        for job in by_job.values_mut() {
            job.prepare(&world, &busy_pools);
        }
        world.jobs = by_job;
        world
    }

    fn add_runs(&mut self, by_job: &mut BTreeMap<&'a str, JobView<'a>>, witness: &'a [Witness]) {
        let mut lines: HashMap<&str, Vec<&Witness>> = HashMap::new();
        for line in witness {
            lines.entry(&line.run).or_default().push(line);
        }
        for run in &self.history.runs {
            let mut lines = lines.remove(run.id.as_str()).unwrap_or_default();
            lines.sort_by_key(|line| (line.start, line.attempt));
            by_job.entry(&run.job).and_modify(|job| job.runs.push(RunView { run, lines }));
        }
        self.strays = lines.into_values().flatten().collect();
        self.strays.sort_by_key(|line| (line.start, &line.run));
    }

    /// When each pool had no free place.
    fn busy_pools(&self, by_job: &BTreeMap<&'a str, JobView<'a>>) -> HashMap<&'a str, Spans> {
        let busy = self.facts.pools.iter().map(|pool| {
            let attempts = by_job.values().flat_map(|job| job.attempts_in_pool(self, &pool.name));
            let load = Load::of(attempts.map(|(_, span)| span));
            (pool.name.as_str(), load.at_least(pool.size))
        });
        busy.collect()
    }

    /// The first end of a life of the host between two instants, of one of these kinds.
    pub(crate) fn end_of_host(&self, from: Micros, until: Micros, endings: &[Ending]) -> Option<Micros> {
        let clock = self.tolerance.clock;
        let first = self.facts.up.partition_point(|up| up.span.until < from.saturating_sub(clock));
        let ends = self.facts.up[first..].iter().take_while(|up| up.span.until <= until.saturating_add(clock));
        ends.filter(|up| endings.contains(&up.ending)).map(|up| up.span.until).next()
    }

    /// When an attempt stopped to go on: its own end, or what cut it.
    pub(crate) fn attempt_span(&self, run: &Run, line: &Witness) -> Span {
        let told = run.finish_of(line.attempt).map(|wall| self.facts.clock.instants(wall));
        let told = told.into_iter().flatten().filter(|at| line.start <= at.saturating_add(self.tolerance.clock)).min();
        let cut = self.end_of_host(line.start, Micros::MAX, &[Ending::Killed, Ending::Stopped]);
        let until = line.end.or_else(|| [told, cut].into_iter().flatten().min()).unwrap_or(self.facts.until);
        Span::new(line.start, until)
    }

    /// When a change that the harness made has reached the host for sure.
    pub(crate) fn takes_effect(&self, change: Micros) -> Micros {
        self.settled.first_from(change).unwrap_or(change).saturating_add(self.tolerance.edge())
    }

    /// The first stretch longer than the latency, between two instants, in which the wall clock showed at least this.
    pub(crate) fn chance(&self, spans: &Spans, wall: Micros, from: Micros, until: Micros) -> Option<Span> {
        let clock = &self.facts.clock;
        let latency = self.tolerance.latency;
        let mut from = clock.first_reaching(wall, from);
        for step in &clock.steps {
            // The clock was set back before the slot: it is not due any more.
            if from < step.at && step.at < until && clock.wall(step.at) < wall {
                let before = spans.stretch(from, step.at, latency);
                if before.is_some() {
                    return before;
                }
                from = clock.first_reaching(wall, step.at);
            }
        }
        spans.stretch(from, until, latency)
    }

    /// When a job was paused.
    pub(crate) fn pauses(&self, job: &str) -> Spans {
        Spans::of(self.facts.pauses.iter().filter(|pause| pause.job == job).map(|pause| pause.span))
    }
}

fn settled(facts: &Facts, tolerance: &Tolerance) -> Spans {
    let recovers = |span: &Span| Span { from: span.from, until: span.until.saturating_add(tolerance.recovery) };
    let steps = facts.clock.steps.iter().map(|step| recovers(&Span::new(step.at, step.at)));
    let faults = facts.unreachable.iter().chain(&facts.saturated).map(recovers).chain(steps);
    let up = facts.up.iter().map(|up| Span { from: up.span.from.saturating_add(tolerance.recovery), ..up.span });
    Spans::of(up).minus(&Spans::of(faults)).longer_than(tolerance.latency)
}

impl Run {
    /// When an attempt ended, by the ledger.
    pub(crate) fn finish_of(&self, attempt: u32) -> Option<Micros> {
        let told = self.attempts.iter().find(|told| told.number == attempt).map(|told| told.finished);
        told.or(self.finished.filter(|_| attempt == self.n_attempts))
    }

    /// How an attempt ended, by the ledger.
    pub(crate) fn outcome_of(&self, attempt: u32) -> Option<&str> {
        let told = self.attempts.iter().find(|told| told.number == attempt).map(|told| told.outcome.as_str());
        told.or(self.outcome.as_deref().filter(|_| attempt == self.n_attempts))
    }

    /// When its first attempt began or was claimed, by the ledger.
    pub(crate) fn first_claim(&self) -> Option<Micros> {
        let first = self.attempts.iter().find(|told| told.number == 1).and_then(|told| told.started);
        first.or(self.started.filter(|_| self.n_attempts <= 1 && self.attempts.len() <= 1))
    }
}

impl RunView<'_> {
    /// Whether nothing has come of it yet.
    pub(crate) fn is_planned(&self) -> bool {
        self.run.outcome.is_none() && self.run.started.is_none() && self.lines.is_empty()
    }

    /// When its first attempt began, in true time: by the guest, or by the ledger where a crash kept the guest silent.
    pub(crate) fn first_start(&self, world: &World<'_>) -> Option<Micros> {
        let seen = self.lines.first().filter(|line| line.attempt == 1).map(|line| line.start);
        seen.or_else(|| {
            let claimed = self.run.first_claim()?;
            world.facts.clock.instants(claimed).into_iter().min()
        })
    }

    /// From its first claim to its end: while it may take a place of its job.
    pub(crate) fn occupancy(&self, world: &World<'_>) -> Option<Span> {
        let clock = &world.facts.clock;
        let told = [self.run.started, self.run.first_claim()].into_iter().flatten();
        let claims = told.filter_map(|wall| clock.instants(wall).into_iter().min());
        let from = claims.chain(self.lines.first().map(|line| line.start)).min()?;
        let ends = self.lines.iter().filter_map(|line| line.end);
        let told = self.run.finished.and_then(|wall| clock.instants(wall).into_iter().max());
        let until = if self.run.outcome.is_some() { ends.chain(told).max() } else { None };
        Some(Span::new(from, until.unwrap_or(world.facts.until)))
    }
}
