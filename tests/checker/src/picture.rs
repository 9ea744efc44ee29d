//! The seconds around a violation, as text.

use crate::{
    clock::Clock,
    facts::Facts,
    history::{History, Witness},
    revision::Revision,
    rules::told,
    time::{Micros, SECOND, show},
    violation::Violation,
};

/// How far around the slot the picture goes.
const MARGIN: Micros = 5 * SECOND;

/// Most lines in the middle of a picture; more are no picture any more.
const LINES_MAX: usize = 60;

impl Violation {
    /// What happened around the slot, in the order of true time; times are seconds from the slot.
    #[must_use]
    pub fn picture(&self, facts: &Facts, revisions: &[Revision], witness: &[Witness], history: &History) -> String {
        let clock = &facts.clock;
        let Some(slot) = self.slot else { return format!("{self}\n") };
        let due = clock.first_reaching(slot, Micros::MIN / 8);
        let mut events: Vec<(Micros, String)> = Vec::new();
        of_harness(facts, &self.job, &mut events);
        for revision in revisions.iter().filter(|revision| revision.job == self.job) {
            events.push((revision.in_force.from, "definition begins".to_owned()));
            events.push((revision.in_force.until, "definition ends".to_owned()));
            let near = revision.slots.iter().filter(|at| **at != slot && (*at - slot).abs() <= MARGIN);
            events.extend(near.map(|at| (clock.first_reaching(*at, Micros::MIN / 8), format!("slot {}", show(*at)))));
        }
        for line in witness.iter().filter(|line| line.job == self.job) {
            let name = format!("run {} attempt {} of slot {}", line.run, line.attempt, show(line.slot));
            events.push((line.start, format!("GUEST BEGINS {name}")));
            events.extend(line.end.map(|end| (end, format!("GUEST ENDS {name}: {:?}", line.said))));
        }
        of_ledger(clock, &self.job, history, &mut events);
        events.push((due, format!("==== SLOT {} ====", show(slot))));
        events.retain(|(at, _)| (at.saturating_sub(due)).abs() <= MARGIN);
        events.sort();
        events.dedup();
        let n_dropped = events.len().saturating_sub(LINES_MAX);
        let mut text = format!("{self}\n");
        let lines = events.into_iter().take(LINES_MAX);
        lines.for_each(|(at, event)| text.push_str(&format!("{:>+12.6}  {event}\n", seconds(at - due))));
        if 0 < n_dropped {
            text.push_str(&format!("              and {n_dropped} more\n"));
        }
        text
    }
}

fn of_harness(facts: &Facts, job: &str, events: &mut Vec<(Micros, String)>) {
    for (life, up) in facts.up.iter().enumerate() {
        events.push((up.span.from, format!("HOST UP (life {life})")));
        events.push((up.span.until, format!("HOST DOWN ({:?})", up.ending)));
    }
    events.extend(facts.clock.steps.iter().map(|step| (step.at, format!("clock set, offset {} us", step.offset))));
    let named = [("ledger unreachable", &facts.unreachable), ("host saturated", &facts.saturated)];
    for (name, span) in named.into_iter().flat_map(|(name, spans)| spans.iter().map(move |span| (name, span))) {
        events.push((span.from, format!("{name}: begins")));
        events.push((span.until, format!("{name}: ends")));
    }
    for pause in facts.pauses.iter().filter(|pause| pause.job == job) {
        events.push((pause.span.from, "pause".to_owned()));
        events.push((pause.span.until, format!("resume from {:?}", pause.resume).to_lowercase()));
    }
    let reloads = facts.reloads.iter().filter(|reload| reload.job.as_deref().is_none_or(|other| other == job));
    events.extend(reloads.map(|reload| (reload.at, "other code".to_owned())));
    let requests = facts.requests.iter().filter(|request| request.job == job);
    events.extend(requests.map(|request| (request.at, "a run is asked for".to_owned())));
    let cancels = facts.cancels.iter().filter(|cancel| cancel.job == job);
    events.extend(cancels.map(|cancel| (cancel.at, "a run is cancelled".to_owned())));
}

fn of_ledger(clock: &Clock, job: &str, history: &History, events: &mut Vec<(Micros, String)>) {
    let true_time = |wall| clock.instants(wall).into_iter().min().unwrap_or(wall);
    for run in history.runs.iter().filter(|run| run.job == job) {
        for attempt in &run.attempts {
            let name = format!("ledger: run {} attempt {}", run.id, attempt.number);
            events.extend(attempt.started.map(|at| (true_time(at), format!("{name} claimed"))));
            events.push((true_time(attempt.finished), format!("{name} {}", attempt.outcome)));
        }
        if !run.attempts.is_empty() && run.outcome.is_some() {
            continue;
        }
        let name = format!("ledger: run {} ({})", run.id, run.cause.word());
        events.extend(run.started.map(|at| (true_time(at), format!("{name} last attempt claimed"))));
        let outcome = run.outcome.as_deref().unwrap_or("open");
        events.extend(run.finished.map(|at| (true_time(at), format!("{name} ended: {outcome}"))));
    }
    let skips = history.skips.iter().filter(|skip| skip.job == job);
    events.extend(skips.map(|skip| (true_time(skip.at), format!("ledger: {}", told(skip)))));
}

/// Microseconds as seconds, for people: what is lost in the conversion is not shown.
fn seconds(micros: Micros) -> f64 {
    std::time::Duration::from_micros(micros.unsigned_abs()).as_secs_f64().copysign(if micros < 0 { -1.0 } else { 1.0 })
}
