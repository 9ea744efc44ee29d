//! Stories as text: one fact, row or line of a guest in each line. Times are milliseconds, true but for slots and skips;
//! life 0 is the first.

use clockjack_checker::{
    After, AfterOn, Attempt, Cancel, Cause, Coalesce, Delivery, Ending, Facts, History, Micros, NextSeen, OnReload,
    Overlap, Pause, Pool, Reload, Request, Resume, Revision, Run, Said, Skip, Span, Step, Tolerance, Up, Witness,
    check, slots,
};
use expect_test::Expect;

const MILLISECOND: Micros = 1_000;

/// Far beyond the end of every script.
const END: Micros = 1_000_000 * MILLISECOND;

const TOLERANCE: Tolerance = Tolerance { latency: 100 * MILLISECOND, recovery: 1_000 * MILLISECOND, clock: 0 };

#[derive(Default)]
struct Script {
    facts: Facts,
    revisions: Vec<Revision>,
    witness: Vec<Witness>,
    history: History,
}

/// What the checker says of a script.
#[track_caller]
pub(crate) fn judge(script: &str, expected: Expect) {
    expected.assert_eq(&verdict(script));
}

/// The same as text.
pub(crate) fn verdict(script: &str) -> String {
    let mut story = Script::default();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<_> = line.split_whitespace().collect();
        story.add(&words);
    }
    let violations = check(&story.facts, &story.revisions, &story.witness, &story.history, &TOLERANCE);
    let told: Vec<_> = violations.iter().map(|violation| format!("{violation}\n")).collect();
    told.concat().replace("1970-01-01T00:", "").replace("000Z", "")
}

fn at(word: &str) -> Micros {
    word.parse::<Micros>().expect("milliseconds") * MILLISECOND
}

impl Script {
    fn add(&mut self, words: &[&str]) {
        let text = |place: usize| words.get(place).map(|word| (*word).to_owned()).expect("a word");
        let time = |place: usize| at(words[place]);
        match words[0] {
            "until" => self.facts.until = time(1),
            "up" => {
                let ending = match words.get(3) {
                    Some(&"killed") => Ending::Killed,
                    Some(&"stopped") => Ending::Stopped,
                    _ => Ending::StillUp,
                };
                self.facts.up.push(Up { span: Span::new(time(1), time(2)), ending });
                self.facts.until = time(2);
            }
            "step" => self.facts.clock.steps.push(Step { at: time(1), offset: time(2) }),
            "saturated" => self.facts.saturated.push(Span::new(time(1), time(2))),
            "pause" => {
                let resume = if words[4] == "now" { Resume::Now } else { Resume::Last };
                self.facts.pauses.push(Pause { job: text(1), span: Span::new(time(2), time(3)), resume });
            }
            "request" => {
                let key = words.get(3).map(|key| (*key).to_owned());
                let run = words.get(4).map(|run| (*run).to_owned());
                let request = Request { job: text(1), at: time(2), key, run, acknowledged: true };
                self.facts.requests.push(request);
            }
            "cancel" => self.facts.cancels.push(Cancel { job: text(1), run: None, at: time(2) }),
            "reload" => self.facts.reloads.push(Reload { job: None, at: time(1) }),
            "pool" => self.facts.pools.push(Pool { name: text(1), size: words[2].parse().expect("a size") }),
            "job" => self.revisions.push(revision(words)),
            "next" => {
                let next = words.get(3).map(|word| at(word));
                self.history.nexts.push(NextSeen { job: text(1), asked: time(2), next });
            }
            "skip" => self.history.skips.push(Skip {
                job: text(1),
                run: None,
                first: time(2),
                last: time(3),
                count: words[4].parse().expect("a count"),
                reason: text(5),
                at: time(6),
                by: words.get(7).map(|by| (*by).to_owned()),
            }),
            // run ID JOB SLOT CAUSE ATTEMPT LIFE START END OUTCOME, of ledger and guest
            "run" => {
                self.row(words);
                self.line(words);
            }
            "row" => self.row(words),
            "plan" => self.history.runs.push(planned(words, "schedule")),
            "line" => self.line(words),
            other => unreachable!("`{other}` is no word of scripts"),
        }
    }

    fn line(&mut self, words: &[&str]) {
        let code = words[9];
        let has_end = matches!(code, "succeeded" | "failed");
        self.witness.push(Witness {
            run: words[1].to_owned(),
            job: words[2].to_owned(),
            slot: at(words[3]),
            attempt: words[5].parse().expect("an attempt"),
            host: words[6].parse().expect("a life"),
            start: at(words[7]),
            end: has_end.then(|| at(words[8])),
            said: if code == "succeeded" { Said::Succeeded } else { Said::Failed },
            cause: None,
        });
    }

    /// A row of a run; a further row of the same run is its next attempt.
    fn row(&mut self, words: &[&str]) {
        let outcome = Some(words[9].to_owned()).filter(|code| code != "open");
        let wall = |word| self.facts.clock.wall(at(word));
        let (started, finished) = (Some(wall(words[7])), wall(words[8]));
        let known = self.history.runs.iter().position(|run| run.id == words[1]);
        let place = known.unwrap_or_else(|| {
            self.history.runs.push(planned(words, words[4]));
            self.history.runs.len() - 1
        });
        let run = &mut self.history.runs[place];
        run.started = started;
        run.outcome = outcome.clone();
        if let Some(outcome) = outcome {
            run.n_attempts += 1;
            run.finished = Some(finished);
            let number = words[5].parse().expect("an attempt");
            run.attempts.push(Attempt { number, outcome, started, finished });
        }
    }
}

/// A run before its first attempt.
fn planned(words: &[&str], word: &str) -> Run {
    Run {
        id: words[1].to_owned(),
        job: words[2].to_owned(),
        slot: at(words[3]),
        cause: cause(word),
        outcome: None,
        n_attempts: 0,
        started: None,
        finished: None,
        attempts: Vec::new(),
    }
}

fn cause(word: &str) -> Cause {
    match word.split_once(':') {
        Some(("catch-up", n)) => Cause::CatchUp(n.parse().expect("a count")),
        Some(("upstream", job)) => Cause::Upstream(job.to_owned()),
        _ if word == "manual" => Cause::Manual,
        _ if word == "start" => Cause::Start,
        _ if word == "backfill" => Cause::Backfill,
        _ => Cause::Schedule,
    }
}

/// `job NAME every SECONDS key value …`; `every 0` has no slots.
fn revision(words: &[&str]) -> Revision {
    let seconds: u32 = words[3].parse().expect("seconds");
    let slots = if seconds == 0 { Vec::new() } else { slots::every(0, seconds, 0, END) };
    let mut revision = Revision::new(words[1], slots);
    revision.in_force = Span::new(0, END);
    for pair in words[4..].chunks(2) {
        let number = || pair[1].parse::<u32>().expect("a number");
        let size = || usize::try_from(number()).expect("small");
        match (pair[0], pair[1]) {
            ("from", time) => revision.in_force.from = at(time),
            ("until", time) => revision.in_force.until = at(time),
            ("grace", time) => revision.misfire_grace = Some(at(time)),
            ("jitter", time) => revision.jitter_max = at(time),
            ("coalesce", "earliest") => revision.coalesce = Coalesce::Earliest,
            ("coalesce", "all") => revision.coalesce = Coalesce::All,
            ("backlog", _) => revision.max_backlog = size(),
            ("overlap", "queue") => revision.overlap = Overlap::Queue,
            ("overlap", "replace") => revision.overlap = Overlap::Replace,
            ("overlap", "allow") => revision.overlap = Overlap::Allow,
            ("instances", _) => revision.max_instances = size(),
            ("attempts", _) => revision.attempts_max = number(),
            ("delivery", "once") => revision.delivery = Delivery::AtMostOnce,
            ("reload", "cancel") => revision.on_reload = OnReload::Cancel,
            ("reload", "replace") => revision.on_reload = OnReload::Replace,
            ("reload", time) => revision.on_reload = OnReload::Drain { deadline: Some(at(time)) },
            ("pool", name) => revision.pool = Some(name.to_owned()),
            ("after", job) => revision.after.push(After { job: job.to_owned(), on: AfterOn::Success }),
            (key, value) => unreachable!("`{key} {value}` is nothing that a job has"),
        }
    }
    revision
}
