//! Runs after runs: retries of one job, followers of another, requests with a key.

use super::*;
use crate::{
    job::{After, AfterOn, Delivery},
    outcome::OutcomeCode,
    ports::OpenRun,
};

fn after(id: &str, upstream: &str, on: AfterOn) -> Arc<Job> {
    let job = job(id, "every: 1h", Policy::default());
    let after = vec![After { job: upstream.parse().unwrap(), on }];
    let setup = Arc::new(Setup { after, ..Setup::clone(&job.setup) });
    Arc::new(Job { trigger: None, trigger_hash: 0, setup, ..Job::clone(&job) })
}

#[test]
fn a_retry_keeps_the_place_of_its_run() {
    let mut script = Script::default();
    script.add(0, job("a", "every: 2s", Policy::default())).tick(2_000).told.clear();
    script.fail(2_100, "a", 1, 4_500).tick(4_000).tick(4_500).finish(4_600, "a").tick(6_000);
    script.check(expect![[r#"
        4000   skip a 4000 overlapping
        4500   START a 2000 (schedule) attempt 2
        6000   plan a 8000 (schedule)
        6000   plan a 10000 (schedule)
        6000   decided until 11000
        6000   START a 6000 (schedule)
    "#]]);
}

#[test]
fn a_retry_of_a_job_that_goes_or_is_cancelled_ends() {
    let mut script = Script::default();
    script.add(0, job("a", "every: 2s", Policy::default())).tick(2_000);
    let run = script.running[0].id;
    script.fail(2_100, "a", 1, 9_000).told.clear();
    script.input(2_200, Input::Cancel(run));
    script.check(expect![[r#"
        2200   a ends as cancelled: cancelled on request while the run waited for its next attempt
    "#]]);
    script.tick(4_000).fail(4_100, "a", 1, 9_000).told.clear();
    script.input(4_200, Input::Remove("a".parse().unwrap()));
    script.check(expect![[r#"
        4200   take back
        4200   a ends as cancelled: the job was removed while the run waited for its next attempt
        4200   a is gone
    "#]]);
    // The job goes while the attempt does; when it fails there is nobody to try again for.
    let mut script = Script::default();
    script.add(0, job("a", "every: 2s", Policy::default())).tick(2_000);
    script.input(2_050, Input::Remove("a".parse().unwrap())).told.clear();
    script.fail(2_100, "a", 1, 9_000);
    script.check(expect![[r#"
        2100   a ends as cancelled: the job was removed while the run waited for its next attempt
    "#]]);
}

#[test]
fn a_follower_gets_the_slot_and_its_own_policy() {
    let mut script = Script::default();
    script.add(0, job("a", "every: 2s", Policy::default())).add(0, after("b", "a", AfterOn::Success)).tick(2_000);
    script.told.clear();
    let run = script.running.remove(0);
    let follower = Follower { job: "b".parse().unwrap(), on: AfterOn::Success };
    assert_eq!(followers_of(&run, OutcomeCode::Failed, None, std::slice::from_ref(&follower), at(2_500)), []);
    let followers = followers_of(&run, OutcomeCode::Succeeded, None, &[follower], at(2_500));
    let ended = Ended { run, finished_at: at(2_500), succeeded: true, followers };
    script.input(2_500, Input::Ended(ended.clone()));
    // Told twice it starts once.
    script.input(2_501, Input::Ended(ended));
    script.check(expect![[r#"
        2500   START b 2000 (upstream a)
    "#]]);
}

#[test]
fn starts_know_their_followers() {
    let mut core = Core::default();
    let b = after("b", "a", AfterOn::Always);
    core.handle(at(0), Input::Add { job: job("a", "every: 2s", Policy::default()), past: None });
    core.handle(at(0), Input::Add { job: Arc::clone(&b), past: None });
    let n_followers = |core: &mut Core, millis| {
        let decisions = core.handle(at(millis), Input::Tick);
        let starts = decisions.into_iter().filter_map(|decision| match decision {
            Decision::Start(start) => Some(start),
            _ => None,
        });
        let start = starts.last().unwrap();
        core.handle(
            at(millis),
            Input::Ended(Ended { run: start.run, finished_at: at(millis), succeeded: true, followers: Vec::new() }),
        );
        start.followers.len()
    };
    assert_eq!(n_followers(&mut core, 2_000), 1);
    core.handle(at(2_500), Input::Change(after("b", "c", AfterOn::Always)));
    assert_eq!(n_followers(&mut core, 4_000), 0);
    core.handle(at(4_500), Input::Change(b));
    assert_eq!(n_followers(&mut core, 6_000), 1);
    core.handle(at(6_500), Input::Remove("b".parse().unwrap()));
    assert_eq!(n_followers(&mut core, 8_000), 0);
}

#[test]
fn a_run_that_is_lost_has_followers_too() {
    let a = job("a", "every: 1h", Policy { delivery: Delivery::AtMostOnce, ..Policy::default() });
    let run = Arc::new(Run {
        id: RunId::of_slot(&a.id, at(2_000)),
        job: a.id.clone(),
        scheduled_for: at(2_000),
        due_at: at(2_000),
        cause: Cause::Schedule,
        payload: None,
    });
    let open = OpenRun { run, n_attempts: 0, n_interrupted: 0, claimed_at: Some(at(2_000)), retry_at: None };
    let mut past = past(&a, at(0), at(5_000));
    past.row.open = vec![open];
    let mut script = Script::default();
    script.input(9_000, Input::Add { job: a, past: Some(past) }).add(9_000, after("b", "a", AfterOn::Failure));
    script.tick(9_000);
    script.check(expect![[r#"
        9000   a ends as lost: the host stopped or crashed during the attempt; it is not started twice (`delivery: at_most_once`)
        9000   b counts from 9000
        9000   plan b 2000 (upstream a)
        9000   START b 2000 (upstream a)
    "#]]);
}

#[test]
fn a_paused_follower_skips() {
    let mut script = Script::default();
    let b = after("b", "a", AfterOn::Always);
    script.add(0, job("a", "every: 2s", Policy::default())).add(0, b).tick(2_000);
    script.input(2_100, Input::Pause("b".parse().unwrap())).told.clear();
    let run = script.running.remove(0);
    let followers =
        vec![Arc::new(Run { job: "b".parse().unwrap(), cause: Cause::Upstream(run.job.clone()), ..Run::clone(&run) })];
    script.input(2_500, Input::Ended(Ended { run, finished_at: at(2_500), succeeded: true, followers }));
    script.check(expect![[r#"
        2500   skip b 2000 paused
    "#]]);
}

#[test]
fn one_key_is_one_run() {
    let mut script = Script::default();
    script.add(0, job("a", "every: 1h", Policy { overlap: Overlap::Allow, ..Policy::default() })).told.clear();
    let job: JobId = "a".parse().unwrap();
    let fire = || Input::Fire {
        job: job.clone(),
        run: RunId::of_key(&job, "invoice-7"),
        cause: Cause::Api,
        payload: None,
        scheduled_for: None,
    };
    script.input(10, fire()).input(20, fire());
    script.check(expect![[r#"
        10     plan a 10 (api)
        10     START a 10 (api)
    "#]]);
}
