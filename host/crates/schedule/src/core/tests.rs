//! Scripts of inputs and the decisions that follow, as text.

use std::{num::NonZeroU32, time::Duration};

use expect_test::{Expect, expect};

use super::*;
use crate::{
    diagnostic::Diagnostics,
    id::RunId,
    job::{Arguments, Coalesce, Grants, Limits, Overlap, Policy, Setup},
    manifest::parse::parse,
    ports::JobRow,
    run::{Cause, JobState, Start},
    trigger::{Trigger, TriggerContext},
    zone::{Zone, Zones},
};

mod chains;
mod edges;
mod oracle;
mod pauses;
mod places;
mod recovery;

/// Instants in the scripts are milliseconds after this one.
fn at(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_800_000_000_000 + millis).unwrap()
}

fn job(id: &str, trigger: &str, policy: Policy) -> Arc<Job> {
    let (node, diagnostics) = parse(0, trigger);
    assert_eq!(diagnostics.all(), []);
    let (zones, zone) = (Zones::bundled(), Zone::utc());
    let mut diagnostics = Diagnostics::default();
    let context = TriggerContext::new(&zones, &zone, id);
    let node = node.unwrap();
    let trigger = Trigger::read(&node, context, &mut diagnostics).unwrap();
    Arc::new(Job {
        id: id.parse().unwrap(),
        trigger: Some(trigger),
        trigger_hash: trigger_hash(&node),
        setup: Arc::new(Setup {
            plugin: "p".parse().unwrap(),
            call: None,
            args: Arguments::None,
            command: None,
            after: Vec::new(),
            zone: Zone::utc(),
            policy,
            pool: Default::default(),
            store: Default::default(),
            limits: Limits::default(),
            grants: Grants::default(),
            notify: Arc::default(),
            description: None,
            labels: Default::default(),
        }),
    })
}

fn trigger_hash(node: &crate::manifest::node::Node) -> u64 {
    crate::id::fnv1a(format!("{:?}", node.to_json()).as_bytes(), 0)
}

/// What the ledger knows of a job that was seen at the first instant and decided until the second one.
fn past(job: &Job, first_seen: DateTime<Utc>, decided_until: DateTime<Utc>) -> Box<Past> {
    let state = JobState {
        job: job.id.clone(),
        first_seen,
        decided_until,
        paused: job.policy.paused,
        paused_with_all: false,
        paused_in_manifest: job.policy.paused,
        trigger_hash: job.trigger_hash,
        removed_at: None,
    };
    Box::new(Past { row: JobRow { state, last_finished: None, last_success: None, open: Vec::new() }, watermark: None })
}

/// A core with the runs that it started, so that a script can end them by job.
#[derive(Default)]
struct Script {
    core: Core,
    told: String,
    running: Vec<Arc<Run>>,
    n_requests: u64,
}

impl Core {
    fn first_planned(&self) -> RunId {
        let (_, job) = self.due.first().unwrap();
        let key = self.entry(self.by_id[job]).unwrap().planned().next().unwrap();
        self.due.get(key).unwrap().id
    }
}

impl Script {
    fn input(&mut self, millis: i64, input: Input) -> &mut Self {
        let decisions = self.core.handle(at(millis), input);
        self.tell(millis, decisions);
        self
    }

    fn tick(&mut self, millis: i64) -> &mut Self {
        self.input(millis, Input::Tick)
    }

    fn add(&mut self, millis: i64, job: Arc<Job>) -> &mut Self {
        self.input(millis, Input::Add { job, past: None })
    }

    fn fire(&mut self, millis: i64, id: &str) -> &mut Self {
        self.n_requests += 1;
        let job: JobId = id.parse().unwrap();
        let run = RunId::of_request(&job, at(millis), self.n_requests);
        self.input(millis, Input::Fire { job, run, cause: Cause::Manual, payload: None, scheduled_for: None })
    }

    fn finish(&mut self, millis: i64, id: &str) -> &mut Self {
        let place = self.running.iter().position(|run| run.job.as_str() == id).unwrap();
        let run = self.running.remove(place);
        self.input(millis, Input::Ended(Ended { run, finished_at: at(millis), succeeded: true, followers: Vec::new() }))
    }

    /// An attempt of a job's run ends, and another one follows.
    fn fail(&mut self, millis: i64, id: &str, n_attempts: u32, retry_at: i64) -> &mut Self {
        let place = self.running.iter().position(|run| run.job.as_str() == id).unwrap();
        let run = self.running.remove(place);
        self.input(millis, Input::Again { run, n_attempts, n_interrupted: 0, retry_at: at(retry_at), code: None })
    }

    fn tell(&mut self, millis: i64, decisions: Vec<Decision>) {
        let rel = |instant: DateTime<Utc>| instant.signed_duration_since(at(0)).num_milliseconds();
        for decision in decisions {
            let line = match decision {
                Decision::Job(JobState { job, removed_at: Some(_), .. }) => format!("{job} is gone"),
                Decision::Job(JobState { job, decided_until, paused, .. }) => {
                    let how = if paused { "paused" } else { "counts" };
                    format!("{job} {how} from {}", rel(decided_until))
                }
                Decision::Again(cut) => format!("{} cut, again: {}", cut.run.job, cut.outcome.message),
                Decision::End(cut) => format!("{} ends as {}: {}", cut.run.job, cut.outcome.code, cut.outcome.message),
                Decision::Plan(run) => format!("plan {} {} ({})", run.job, rel(run.scheduled_for), run.cause),
                Decision::TakeBack { .. } => "take back".to_owned(),
                Decision::Skip(skip) if skip.count == 1 => {
                    format!("skip {} {} {}", skip.job, rel(skip.first), skip.reason)
                }
                Decision::Skip(skip) => {
                    format!(
                        "skip {} {}..{} ({} slots) {}",
                        skip.job,
                        rel(skip.first),
                        rel(skip.last),
                        skip.count,
                        skip.reason
                    )
                }
                Decision::Start(start) => {
                    let Start { run, attempt, .. } = *start;
                    let number = if attempt == 1 { String::new() } else { format!(" attempt {attempt}") };
                    let line = format!("START {} {} ({}){number}", run.job, rel(run.scheduled_for), run.cause);
                    self.running.push(run);
                    line
                }
                Decision::Cancel { reason, .. } => format!("{reason}"),
                Decision::Watermark(until) => format!("decided until {}", rel(until)),
            };
            self.told.push_str(&format!("{millis:<6} {line}\n"));
        }
    }

    fn check(&mut self, expected: Expect) {
        expected.assert_eq(&self.told);
        self.told.clear();
    }
}

#[test]
fn slots_are_planned_ahead_and_start_on_time() {
    let mut script = Script::default();
    script
        .add(0, job("a", "every: 2s", Policy::default()))
        .tick(0)
        .tick(1_999)
        .tick(2_000)
        .finish(2_010, "a")
        .tick(4_000);
    script.check(expect![[r#"
        0      a counts from 0
        0      plan a 2000 (schedule)
        0      plan a 4000 (schedule)
        0      decided until 5000
        2000   START a 2000 (schedule)
        4000   plan a 6000 (schedule)
        4000   plan a 8000 (schedule)
        4000   decided until 9000
        4000   START a 4000 (schedule)
    "#]]);
    assert_eq!(script.core.next_wake(), Some(at(6_000)));
}

#[test]
fn a_slot_that_meets_a_run_is_skipped_queued_replaces_or_joins() {
    let overlapping = |overlap| {
        let mut script = Script::default();
        script.add(0, job("a", "every: 1s", Policy { overlap, ..Policy::default() }));
        script.tick(0).told.clear();
        script.tick(1_000).tick(2_000).tick(2_500).finish(2_600, "a").tick(3_000);
        script
    };
    overlapping(Overlap::Skip).check(expect![[r#"
        1000   START a 1000 (schedule)
        2000   skip a 2000 overlapping
        3000   START a 3000 (schedule)
    "#]]);
    overlapping(Overlap::Queue).check(expect![[r#"
        1000   START a 1000 (schedule)
        2600   START a 2000 (schedule)
    "#]]);
    overlapping(Overlap::Replace).check(expect![[r#"
        1000   START a 1000 (schedule)
        2000   cancelled because a newer slot of the job takes its place (`overlap: replace`)
        2600   START a 2000 (schedule)
        3000   cancelled because a newer slot of the job takes its place (`overlap: replace`)
    "#]]);
    overlapping(Overlap::Allow).check(expect![[r#"
        1000   START a 1000 (schedule)
        2000   START a 2000 (schedule)
        3000   START a 3000 (schedule)
    "#]]);
}

#[test]
fn max_instances_bounds_runs_side_by_side_and_the_queue_is_bounded() {
    let policy = Policy {
        max_instances: NonZeroU32::new(2).unwrap(),
        max_backlog: NonZeroU32::MIN,
        overlap: Overlap::Queue,
        ..Policy::default()
    };
    let mut script = Script::default();
    script.add(0, job("a", "every: 1h", policy)).fire(0, "a").fire(0, "a").fire(0, "a").fire(0, "a").finish(10, "a");
    script.check(expect![[r#"
        0      a counts from 0
        0      plan a 0 (manual)
        0      START a 0 (manual)
        0      plan a 0 (manual)
        0      START a 0 (manual)
        0      plan a 0 (manual)
        0      plan a 0 (manual)
        0      skip a 0 overlapping
        10     START a 0 (manual)
    "#]]);
}

#[test]
fn a_downtime_becomes_one_run_or_the_newest_few() {
    let after_downtime = |policy| {
        let job = job("a", "every: 10s", policy);
        let past = past(&job, at(0), at(0));
        let mut script = Script::default();
        script.input(60_400, Input::Add { job, past: Some(past) });
        script.tick(60_400);
        script
    };
    let with = |coalesce| Policy {
        coalesce,
        overlap: Overlap::Allow,
        max_backlog: NonZeroU32::new(3).unwrap(),
        ..Policy::default()
    };
    after_downtime(with(Coalesce::Latest)).check(expect![[r#"
        60400  skip a 10000..50000 (5 slots) coalesced
        60400  plan a 60000 (catch-up of 6)
        60400  decided until 65400
        60400  START a 60000 (catch-up of 6)
    "#]]);
    after_downtime(with(Coalesce::Earliest)).check(expect![[r#"
        60400  skip a 20000..60000 (5 slots) coalesced
        60400  plan a 10000 (catch-up of 6)
        60400  decided until 65400
        60400  START a 10000 (catch-up of 6)
    "#]]);
    after_downtime(with(Coalesce::All)).check(expect![[r#"
        60400  skip a 10000..30000 (3 slots) coalesced
        60400  plan a 40000 (schedule)
        60400  plan a 50000 (schedule)
        60400  plan a 60000 (schedule)
        60400  decided until 65400
        60400  START a 40000 (schedule)
        60400  START a 50000 (schedule)
        60400  START a 60000 (schedule)
    "#]]);
    let graceful = Policy { misfire_grace: Some(Duration::from_secs(15)), ..with(Coalesce::All) };
    after_downtime(graceful).check(expect![[r#"
        60400  skip a 10000..40000 (4 slots) misfired
        60400  plan a 50000 (schedule)
        60400  plan a 60000 (schedule)
        60400  decided until 65400
        60400  START a 50000 (schedule)
        60400  START a 60000 (schedule)
    "#]]);
}

#[test]
fn planned_runs_that_slept_are_folded() {
    let mut script = Script::default();
    script.add(0, job("a", "every: 1s", Policy::default())).tick(0).told.clear();
    script.tick(4_500);
    script.check(expect![[r#"
        4500   plan a 6000 (schedule)
        4500   plan a 7000 (schedule)
        4500   plan a 8000 (schedule)
        4500   plan a 9000 (schedule)
        4500   decided until 9500
        4500   skip a 1000 coalesced
        4500   skip a 2000 coalesced
        4500   skip a 3000 coalesced
        4500   take back
        4500   plan a 4000 (catch-up of 4)
        4500   START a 4000 (catch-up of 4)
    "#]]);
}

#[test]
fn a_pause_takes_planned_runs_back_and_a_resume_accounts_for_its_slots() {
    let paused = |from| {
        let mut script = Script::default();
        script.add(0, job("a", "every: 1s", Policy::default())).tick(0).tick(1_000).finish(1_001, "a").told.clear();
        script.input(1_500, Input::Pause("a".parse().unwrap())).tick(9_000);
        script.input(9_500, Input::Resume { job: "a".parse().unwrap(), from }).tick(9_500);
        script
    };
    paused(ResumeFrom::Now).check(expect![[r#"
        1500   take back
        1500   take back
        1500   take back
        1500   take back
        1500   a paused from 1500
        9000   decided until 14000
        9500   skip a 2000..9000 (8 slots) paused
        9500   a counts from 9500
        9500   plan a 10000 (schedule)
        9500   plan a 11000 (schedule)
        9500   plan a 12000 (schedule)
        9500   plan a 13000 (schedule)
        9500   plan a 14000 (schedule)
        9500   decided until 14500
    "#]]);
    paused(ResumeFrom::Last).check(expect![[r#"
        1500   take back
        1500   take back
        1500   take back
        1500   take back
        1500   a paused from 1500
        9000   decided until 14000
        9500   a counts from 9500
        9500   skip a 2000..8000 (7 slots) coalesced
        9500   plan a 9000 (catch-up of 8)
        9500   plan a 10000 (schedule)
        9500   plan a 11000 (schedule)
        9500   plan a 12000 (schedule)
        9500   plan a 13000 (schedule)
        9500   plan a 14000 (schedule)
        9500   decided until 14500
        9500   START a 9000 (catch-up of 8)
    "#]]);
}

#[test]
fn a_change_keeps_planned_runs_unless_the_trigger_is_another_one() {
    let mut script = Script::default();
    script.add(0, job("a", "every: 2s", Policy::default())).tick(0).told.clear();
    let same_trigger = Policy { overlap: Overlap::Allow, ..Policy::default() };
    script.input(1_000, Input::Change(job("a", "every: 2s", same_trigger)));
    script.check(expect![[r#""#]]);
    script.input(1_000, Input::Change(job("a", "every: 3s", Policy::default()))).tick(1_000);
    script.check(expect![[r#"
        1000   take back
        1000   take back
        1000   a counts from 1000
        1000   plan a 3000 (schedule)
        1000   plan a 6000 (schedule)
        1000   decided until 6000
    "#]]);
    script.input(1_500, Input::Remove("a".parse().unwrap())).tick(9_000);
    script.check(expect![[r#"
        1500   take back
        1500   take back
        1500   a is gone
        9000   decided until 14000
    "#]]);
    assert_eq!(script.core.next_wake(), None);
}

#[test]
fn a_clock_that_goes_back_starts_nothing_twice() {
    let mut script = Script::default();
    script.add(0, job("a", "every: 1s", Policy::default())).tick(0).tick(1_000).finish(1_100, "a").told.clear();
    script.tick(-3_600_000).tick(1_000).tick(2_000);
    script.check(expect![[r#"
        2000   START a 2000 (schedule)
    "#]]);
}

#[test]
fn a_cancelled_plan_never_starts() {
    let mut script = Script::default();
    script.add(0, job("a", "every: 1s", Policy::default())).tick(0).told.clear();
    let planned = script.core.first_planned();
    script.input(500, Input::Cancel(planned)).tick(1_000).tick(2_000);
    script.check(expect![[r#"
        500    skip a 1000 cancelled
        2000   START a 2000 (schedule)
    "#]]);
}

#[test]
fn a_run_on_start_comes_only_the_first_time() {
    let policy = Policy { run_on_start: true, ..Policy::default() };
    let mut script = Script::default();
    script.add(0, job("a", "every: 1h", policy.clone())).tick(0);
    script.check(expect![[r#"
        0      a counts from 0
        0      plan a 0 (start)
        0      START a 0 (start)
    "#]]);
    let mut script = Script::default();
    let job = job("a", "every: 1h", policy);
    let past = past(&job, at(0), at(0));
    script.input(60_000, Input::Add { job, past: Some(past) });
    script.check(expect![""]);
}

#[test]
fn a_trigger_that_waits_for_the_end_counts_from_there() {
    let fixed_delay = "{ every: 1s, mode: fixed_delay }";
    let mut script = Script::default();
    script.add(0, job("a", fixed_delay, Policy::default())).tick(0).tick(1_000).tick(2_000).tick(3_000);
    script.finish(3_500, "a").tick(3_500).tick(4_500).finish(4_600, "a").tick(4_600);
    script.check(expect![[r#"
        0      a counts from 0
        0      plan a 1000 (schedule)
        0      decided until 5000
        1000   START a 1000 (schedule)
        3500   plan a 4500 (schedule)
        3500   decided until 8500
        4500   START a 4500 (schedule)
        4600   plan a 5600 (schedule)
        4600   decided until 9600
    "#]]);
    // A slot that becomes no run does not end the job.
    let planned = script.core.first_planned();
    script.input(5_000, Input::Cancel(planned)).tick(5_000).tick(6_000).tick(7_000);
    script.check(expect![[r#"
        5000   skip a 5600 cancelled
        5000   plan a 6600 (schedule)
        5000   decided until 10000
        7000   START a 6600 (schedule)
    "#]]);
    let mut script = Script::default();
    let job = job("a", fixed_delay, Policy::default());
    let mut past = past(&job, at(0), at(9_000));
    past.row.last_finished = Some(at(5_000));
    script.input(60_000, Input::Add { job, past: Some(past) }).tick(60_000);
    script.check(expect![[r#"
        60000  plan a 10000 (schedule)
        60000  decided until 65000
        60000  START a 10000 (schedule)
    "#]]);
}
