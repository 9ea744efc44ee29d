//! A tiny scheduler of its own, tick by tick, which writes good histories.

use std::collections::VecDeque;

use clockjack_checker::{
    Attempt, Cause, Coalesce, Delivery, Ending, Micros, NextSeen, Overlap, Resume, Revision, Run, SECOND, Said, Skip,
    Witness,
};

use crate::scene::{DAWN, Dice, LENGTH, Story, TICK, random};

/// A guest that goes on.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) run: usize,
    pub(crate) line: usize,
    pub(crate) claimed: Micros,
    pub(crate) ends: Micros,
    /// What the ledger will call its end.
    pub(crate) code: &'static str,
    /// Its host has died.
    pub(crate) is_cut: bool,
}

/// A job as the scheduler sees it.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) name: String,
    /// The place of its definition; none after its removal.
    pub(crate) revision: Option<usize>,
    /// Every slot up to here is decided.
    pub(crate) decided: Micros,
    pub(crate) live: Vec<Live>,
    pub(crate) queue: VecDeque<usize>,
    /// Run and instant of the next attempt.
    pub(crate) retries: Vec<(usize, Micros)>,
    pub(crate) has_started: bool,
}

pub(crate) struct Reference {
    pub(crate) story: Story,
    pub(crate) dice: Dice,
    pub(crate) desks: Vec<Desk>,
    pub(crate) life: Option<usize>,
    /// When the host, after its start, begins to act.
    ready: Micros,
    requests: VecDeque<(Micros, String)>,
    pub(crate) n_runs: usize,
}

/// A good history of a random scene.
pub(crate) fn good(seed: u64) -> Story {
    play(random(seed), seed)
}

/// A good history of a scene.
pub(crate) fn play(story: Story, seed: u64) -> Story {
    let mut names: Vec<_> = story.revisions.iter().map(|revision| revision.job.clone()).collect();
    names.dedup();
    let desks = names.into_iter().map(|name| Desk { name, decided: DAWN, ..Desk::default() });
    let mut requests: Vec<_> = story.facts.requests.iter().map(|request| (request.at, request.job.clone())).collect();
    requests.sort();
    let mut reference = Reference {
        desks: desks.collect(),
        dice: Dice::new(seed ^ 0xabcd),
        life: None,
        ready: DAWN,
        requests: requests.into(),
        n_runs: 0,
        story,
    };
    for number in 0..=(LENGTH / TICK) {
        reference.tick(DAWN + number * TICK);
    }
    // Rows that became skips, and lines that were never written, were only emptied.
    reference.story.history.runs.retain(|run| !run.job.is_empty());
    reference.story.witness.retain(|line| !line.run.is_empty());
    reference.story
}

impl Reference {
    pub(crate) fn wall(&self, now: Micros) -> Micros {
        self.story.facts.clock.wall(now)
    }

    pub(crate) fn definition(&self, desk: usize) -> Option<&Revision> {
        self.desks[desk].revision.map(|place| &self.story.revisions[place])
    }

    fn tick(&mut self, now: Micros) {
        let life = self.story.facts.up.iter().position(|up| up.span.contains(now));
        if self.life != life {
            self.story
                .facts
                .up
                .clone()
                .iter()
                .skip(self.life.unwrap_or(usize::MAX))
                .take(1)
                .for_each(|up| self.ended(up));
            self.life = life;
            self.ready = now + self.dice.below(80) * TICK;
            if life.is_none() {
                return;
            }
        }
        self.guests_end(now);
        let facts = &self.story.facts;
        let is_faulty = facts.unreachable.iter().chain(&facts.saturated).any(|span| span.contains(now));
        if life.is_none() || now < self.ready || is_faulty {
            return;
        }
        for desk in 0..self.desks.len() {
            self.recover(desk, now);
            self.record(desk, now);
            self.decide(desk, now);
            self.define(desk, now);
            self.next_attempts(desk, now);
        }
        while self.requests.front().is_some_and(|(at, _)| *at <= now) {
            let (_, job) = self.requests.pop_front().expect("looked at");
            let desk = self.desks.iter().position(|desk| desk.name == job).expect("a job");
            self.plan_and_start(desk, now, self.wall(now), Cause::Manual);
        }
    }

    /// The definition that is in force now.
    fn define(&mut self, desk: usize, now: Micros) {
        let wall = self.wall(now);
        let name = &self.desks[desk].name;
        let current = self.story.revisions.iter().position(|r| r.job == *name && r.in_force.contains(now));
        let is_changed = self.desks[desk].revision != current;
        if is_changed {
            let waiting: Vec<_> =
                if current.is_none() { self.desks[desk].queue.drain(..).collect() } else { Vec::new() };
            waiting.into_iter().for_each(|run| self.skip_run(run, now, "removed", None));
            self.desks[desk].revision = current;
            self.desks[desk].decided = wall;
        }
        if self.definition(desk).is_some_and(|r| r.run_on_start) && !self.desks[desk].has_started {
            self.plan_and_start(desk, now, wall, Cause::Start);
        }
        self.desks[desk].has_started = true;
    }

    /// Decides about the slots that have come due.
    fn decide(&mut self, desk: usize, now: Micros) {
        let wall = self.wall(now);
        let Some(revision) = self.definition(desk) else { return };
        let name = revision.job.clone();
        let pauses = &self.story.facts.pauses;
        if pauses.iter().any(|pause| pause.job == name && pause.span.contains(now)) {
            return;
        }
        let decided = self.desks[desk].decided;
        let first = revision.slots.partition_point(|slot| *slot <= decided);
        let mut due: Vec<_> = revision.slots[first..].iter().copied().take_while(|slot| *slot <= wall).collect();
        let next = revision.slots.get(first + due.len()).copied();
        self.desks[desk].decided = decided.max(wall);
        let resumed = pauses.iter().find(|pause| pause.job == name && pause.span.until == now).cloned();
        if resumed.is_some_and(|pause| pause.resume == Resume::Now) {
            return self.skip_slots(&name, &due, now, "paused", None);
        }
        if (now - DAWN) % (10 * SECOND) == 0 {
            self.story.history.nexts.push(NextSeen { job: name.clone(), asked: now, next });
        }
        let Some(revision) = self.definition(desk).filter(|_| !due.is_empty()).cloned() else { return };
        let is_misfired = |slot: &Micros| revision.misfire_grace.is_some_and(|grace| grace < wall - slot);
        let misfired: Vec<_> = due.iter().copied().filter(is_misfired).collect();
        due.retain(|slot| !is_misfired(slot));
        self.skip_slots(&name, &misfired, now, "misfired", None);
        let is_late = due.first().is_some_and(|first| 50_000 < wall - first) && 1 < due.len();
        if is_late {
            let n_runs = if revision.coalesce == Coalesce::All { revision.max_backlog.min(due.len()) } else { 1 };
            let is_earliest = revision.coalesce == Coalesce::Earliest;
            let folded = if is_earliest { due.split_off(1) } else { due.drain(..due.len() - n_runs).collect() };
            let cause = Cause::CatchUp(u64::try_from(folded.len() + 1).expect("few"));
            let by = (revision.coalesce != Coalesce::All).then(|| format!("run-{}", self.n_runs));
            self.skip_slots(&name, &folded, now, "coalesced", by);
            let cause = if revision.coalesce == Coalesce::All { Cause::Schedule } else { cause };
            due.iter().for_each(|slot| self.plan_and_start(desk, now, *slot, cause.clone()));
        } else {
            due.iter().for_each(|slot| self.plan_and_start(desk, now, *slot, Cause::Schedule));
        }
    }

    pub(crate) fn plan_and_start(&mut self, desk: usize, now: Micros, slot: Micros, cause: Cause) {
        if self.desks[desk].revision.is_none() {
            return;
        }
        let run = Run {
            id: format!("run-{}", self.n_runs),
            job: self.desks[desk].name.clone(),
            slot,
            cause,
            outcome: None,
            n_attempts: 0,
            started: None,
            finished: None,
            attempts: Vec::new(),
        };
        self.n_runs += 1;
        self.story.history.runs.push(run);
        self.start_or_hold(desk, self.story.history.runs.len() - 1, now);
    }

    fn start_or_hold(&mut self, desk: usize, run: usize, now: Micros) {
        let Some(revision) = self.definition(desk) else { return };
        let (overlap, n_max, n_wait) = (revision.overlap, revision.max_instances, revision.max_backlog);
        if self.n_under_way(desk) < n_max || overlap == Overlap::Allow {
            return self.begin(desk, run, now);
        }
        match overlap {
            Overlap::Queue if self.desks[desk].queue.len() < n_wait => self.desks[desk].queue.push_back(run),
            Overlap::Queue | Overlap::Skip | Overlap::Allow => self.skip_run(run, now, "overlapping", None),
            // With more going on than allowed, from an earlier definition, one that ends makes no room.
            Overlap::Replace if n_max < self.n_under_way(desk) => self.skip_run(run, now, "overlapping", None),
            Overlap::Replace => match self.desks[desk].live.first().cloned() {
                None => self.skip_run(run, now, "overlapping", None),
                Some(oldest) => {
                    self.desks[desk].live.remove(0);
                    self.story.witness[oldest.line].end = None;
                    self.attempt_ended(&oldest, "cancelled", now);
                    self.run_ended(desk, oldest.run, "cancelled", now);
                    self.begin(desk, run, now);
                }
            },
        }
    }

    /// Runs that have begun and not ended.
    fn n_under_way(&self, desk: usize) -> usize {
        self.desks[desk].live.len() + self.desks[desk].retries.len()
    }

    /// Starts another attempt of a run.
    fn begin(&mut self, desk: usize, run: usize, now: Micros) {
        let claimed = self.wall(now);
        let row = &mut self.story.history.runs[run];
        row.started = Some(claimed);
        let (code, said) = match self.dice.below(20) {
            0 => ("trap.unreachable", Said::Failed),
            1..=4 => ("failed", Said::Failed),
            _ => ("succeeded", Said::Succeeded),
        };
        let ends = now + (1 + self.dice.below(if self.dice.clone().one_in(5) { 600 } else { 90 })) * TICK + 1_234;
        self.story.witness.push(Witness {
            run: row.id.clone(),
            job: row.job.clone(),
            slot: row.slot,
            attempt: row.n_attempts + 1,
            host: self.life.expect("the host is up"),
            start: now,
            end: None,
            said,
            cause: Some(row.cause.word().to_owned()),
        });
        let line = self.story.witness.len() - 1;
        self.desks[desk].live.push(Live { run, line, claimed, ends, code, is_cut: false });
    }

    fn next_attempts(&mut self, desk: usize, now: Micros) {
        let pauses = &self.story.facts.pauses;
        let is_paused = pauses.iter().any(|pause| pause.job == self.desks[desk].name && pause.span.contains(now));
        let all = std::mem::take(&mut self.desks[desk].retries);
        let (due, later): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, at)| *at <= now && !is_paused);
        self.desks[desk].retries = later;
        due.into_iter().for_each(|(run, _)| self.begin(desk, run, now));
        while let Some(revision) = self.definition(desk).filter(|_| !is_paused) {
            let (grace, n_max) = (revision.misfire_grace, revision.max_instances);
            if revision.overlap != Overlap::Allow && n_max <= self.n_under_way(desk) {
                return;
            }
            let Some(run) = self.desks[desk].queue.pop_front() else { return };
            let late = self.wall(now) - self.story.history.runs[run].slot;
            if self.story.history.runs[run].outcome.is_none() && grace.is_some_and(|grace| grace < late) {
                self.skip_run(run, now, "misfired", None);
            } else {
                self.begin(desk, run, now);
            }
        }
    }

    /// Notes one row for slots that become no run.
    fn skip_slots(&mut self, job: &str, slots: &[Micros], now: Micros, reason: &str, by: Option<String>) {
        let (Some(first), Some(last)) = (slots.first(), slots.last()) else { return };
        let at = self.wall(now);
        let count = u64::try_from(slots.len()).expect("few");
        let reason = reason.to_owned();
        self.story.history.skips.push(Skip {
            job: job.to_owned(),
            run: None,
            first: *first,
            last: *last,
            count,
            reason,
            at,
            by,
        });
    }

    /// A planned run becomes a skip; its row is emptied, and taken away at the end.
    fn skip_run(&mut self, run: usize, now: Micros, reason: &str, by: Option<String>) {
        let at = self.wall(now);
        let row = &mut self.story.history.runs[run];
        let (job, slot, reason) = (std::mem::take(&mut row.job), row.slot, reason.to_owned());
        let id = Some(row.id.clone());
        self.story.history.skips.push(Skip { job, run: id, first: slot, last: slot, count: 1, reason, at, by });
    }

    pub(crate) fn attempt_ended(&mut self, live: &Live, code: &str, now: Micros) {
        let finished = self.wall(now);
        let row = &mut self.story.history.runs[live.run];
        row.n_attempts += 1;
        let (number, outcome) = (row.n_attempts, code.to_owned());
        row.attempts.push(Attempt { number, outcome, started: Some(live.claimed), finished });
    }

    pub(crate) fn run_ended(&mut self, desk: usize, run: usize, code: &str, now: Micros) {
        let wall = self.wall(now);
        let row = &mut self.story.history.runs[run];
        row.outcome = Some(code.to_owned());
        row.finished = Some(wall);
        let slot = row.slot;
        let name = self.desks[desk].name.clone();
        for follower in 0..self.desks.len() {
            let afters = self.definition(follower).map(|revision| revision.after.clone()).unwrap_or_default();
            if afters.iter().any(|after| after.job == name) && code == "succeeded" {
                self.plan_and_start(follower, now, slot, Cause::Upstream(name.clone()));
            }
        }
    }

    /// Guests write down their ends whether the host listens or not.
    fn guests_end(&mut self, now: Micros) {
        for live in self.desks.iter().flat_map(|desk| &desk.live) {
            if live.ends <= now && !live.is_cut && live.code != "trap.unreachable" {
                self.story.witness[live.line].end = Some(live.ends);
            }
        }
    }

    /// What the delivery was when an attempt began.
    pub(crate) fn delivery(&self, desk: usize, live: &Live) -> Delivery {
        let job = &self.desks[desk].name;
        let at = self.story.witness[live.line].start;
        let mut all = self.story.revisions.iter().filter(|revision| revision.job == *job);
        all.find(|revision| revision.in_force.contains(at)).map_or(Delivery::AtLeastOnce, |revision| revision.delivery)
    }

    fn ended(&mut self, up: &clockjack_checker::Up) {
        self.guests_end(up.span.until);
        match up.ending {
            Ending::Killed | Ending::StillUp => self.killed(up.span.until),
            Ending::Stopped => self.stopped(up.span.until),
        }
    }
}
