//! Pauses of the whole host, and runs that make up for slots of the past.

use super::*;
use crate::{id::PoolName, ports::OpenRun};

fn id(text: &str) -> JobId {
    text.parse().unwrap()
}

/// One job that is paused by itself, one that is not, and one that comes while all are.
#[test]
fn what_is_paused_by_itself_stays_so_when_all_go_on() {
    let mut script = Script::default();
    script.add(0, job("a", "every: 1s", Policy::default())).add(0, job("b", "every: 1s", Policy::default())).tick(0);
    script.input(500, Input::Pause(id("b"))).told.clear();
    script
        .input(600, Input::PauseAll)
        .add(1_500, job("c", "every: 1s", Policy { run_on_start: true, ..Policy::default() }));
    script.fire(1_600, "a").tick(4_000);
    script.check(expect![[r#"
        600    take back
        600    take back
        600    take back
        600    take back
        600    take back
        600    a paused from 600
        1500   c paused from 1500
        1600   skip a 1600 paused
        4000   decided until 9000
    "#]]);
    script.input(4_500, Input::ResumeAll { from: ResumeFrom::Now }).tick(5_500);
    script.check(expect![[r#"
        4500   skip a 1000..4000 (4 slots) paused
        4500   a counts from 4500
        4500   skip c 2500..4500 (3 slots) paused
        4500   c counts from 4500
        5500   plan a 5000 (schedule)
        5500   plan a 6000 (schedule)
        5500   plan a 7000 (schedule)
        5500   plan a 8000 (schedule)
        5500   plan a 9000 (schedule)
        5500   plan a 10000 (schedule)
        5500   plan c 5500 (schedule)
        5500   plan c 6500 (schedule)
        5500   plan c 7500 (schedule)
        5500   plan c 8500 (schedule)
        5500   plan c 9500 (schedule)
        5500   plan c 10500 (schedule)
        5500   decided until 10500
        5500   START a 5000 (schedule)
        5500   START c 5500 (schedule)
    "#]]);
}

#[test]
fn a_pause_of_one_job_and_that_of_all_end_apart() {
    let mut script = Script::default();
    script.add(0, job("a", "every: 1h", Policy::default())).add(0, job("b", "every: 1h", Policy::default())).tick(0);
    script.input(100, Input::Pause(id("a"))).input(200, Input::PauseAll).told.clear();
    // `a` may go on with all others, and `b` stays behind.
    script.input(300, Input::Resume { job: id("a"), from: ResumeFrom::Now }).input(400, Input::Pause(id("b")));
    script.input(500, Input::ResumeAll { from: ResumeFrom::Now });
    script.check(expect![[r#"
        300    a paused from 100
        400    b paused from 200
        500    a counts from 500
    "#]]);
}

#[test]
fn a_resume_from_an_instant_skips_what_was_before() {
    let mut script = Script::default();
    let policy = Policy { coalesce: Coalesce::All, ..Policy::default() };
    script.add(0, job("a", "every: 1s", policy)).tick(0).input(500, Input::Pause(id("a"))).told.clear();
    script.input(9_500, Input::Resume { job: id("a"), from: ResumeFrom::At(at(7_000)) }).tick(9_500);
    script.check(expect![[r#"
        9500   skip a 1000..6000 (6 slots) paused
        9500   a counts from 9500
        9500   plan a 7000 (schedule)
        9500   plan a 8000 (schedule)
        9500   plan a 9000 (schedule)
        9500   plan a 10000 (schedule)
        9500   plan a 11000 (schedule)
        9500   plan a 12000 (schedule)
        9500   plan a 13000 (schedule)
        9500   plan a 14000 (schedule)
        9500   decided until 14500
        9500   skip a 8000 overlapping
        9500   skip a 9000 overlapping
        9500   START a 7000 (schedule)
    "#]]);
}

/// Whatever instant somebody names: all slots of the pause are made up for, or none.
#[test]
fn a_resume_from_the_end_of_all_time_is_no_fault() {
    for (from, n_skipped) in [(DateTime::<Utc>::MIN_UTC, 0), (DateTime::<Utc>::MAX_UTC, 9)] {
        for all in [true, false] {
            let mut script = Script::default();
            script.add(0, job("a", "every: 1s", Policy::default())).tick(0);
            let (job, from) = (id("a"), ResumeFrom::At(from));
            let (pause, resume) = match all {
                true => (Input::PauseAll, Input::ResumeAll { from }),
                false => (Input::Pause(job.clone()), Input::Resume { job, from }),
            };
            script.input(500, pause).told.clear();
            script.input(9_500, resume);
            let skipped = format!("skip a 1000..9000 ({n_skipped} slots) paused");
            assert_eq!(script.told.contains(&skipped), n_skipped != 0, "{}", script.told);
        }
    }
}

/// A host that starts again into a pause of all, and one whose pause has ended meanwhile.
#[test]
fn a_restart_knows_who_is_paused_with_all() {
    let restarted = |all_paused: bool, with_all: bool, paused: bool| {
        let mut script = Script::default();
        if all_paused {
            script.input(10_000, Input::PauseAll);
        }
        let job = job("a", "every: 4s", Policy::default());
        let mut past = past(&job, at(0), at(1_000));
        past.row.state.paused = paused;
        past.row.state.paused_with_all = with_all;
        past.watermark = Some(at(5_000));
        script.input(10_000, Input::Add { job, past: Some(past) }).tick(10_000);
        script
    };
    restarted(true, false, false).input(13_000, Input::ResumeAll { from: ResumeFrom::Now }).check(expect![[r#"
        10000  a paused from 5000
        13000  skip a 8000..12000 (2 slots) paused
        13000  a counts from 13000
    "#]]);
    restarted(true, true, true).input(13_000, Input::ResumeAll { from: ResumeFrom::Now }).check(expect![[r#"
        13000  skip a 4000..12000 (3 slots) paused
        13000  a counts from 13000
    "#]]);
    restarted(true, false, true).input(13_000, Input::ResumeAll { from: ResumeFrom::Now }).check(expect![[r#""#]]);
    restarted(false, true, true).check(expect![[r#"
        10000  skip a 4000..8000 (2 slots) paused
        10000  a counts from 10000
        10000  plan a 12000 (schedule)
        10000  decided until 15000
    "#]]);
}

impl Script {
    fn make_up(&mut self, millis: i64, job: &str, slot: i64) -> &mut Self {
        let job = id(job);
        let (run, scheduled_for) = (RunId::of_key(&job, &format!("backfill:1:{slot}")), Some(at(slot)));
        self.input(millis, Input::Fire { job, run, cause: Cause::Backfill, payload: None, scheduled_for })
    }
}

#[test]
fn what_makes_up_for_the_past_is_in_nobodys_way() {
    let mut script = Script::default();
    let sizes = [(PoolName::default(), NonZeroU32::new(2).unwrap())].into();
    let policy = Policy { misfire_grace: Some(Duration::from_secs(1)), ..Policy::default() };
    script
        .input(0, Input::Pools(sizes))
        .add(0, job("a", "every: 2s", policy))
        .add(0, job("b", "every: 2s", Policy::default()));
    script.tick(0).told.clear();
    // One of the two places is left; the job itself has all its room.
    script.make_up(100, "a", -4_000).make_up(100, "a", -2_000).make_up(100, "a", -2_000);
    script.tick(2_000);
    script.check(expect![[r#"
        100    plan a -4000 (backfill)
        100    START a -4000 (backfill)
        100    plan a -2000 (backfill)
        2000   START a 2000 (schedule)
    "#]]);
    // What is due comes first, however late the other one is.
    script.finish(2_500, "a").finish(2_600, "a").finish(2_700, "b");
    script.check(expect![[r#"
        2500   START b 2000 (schedule)
        2700   START a -2000 (backfill)
    "#]]);
}

#[test]
fn what_makes_up_for_the_past_waits_while_its_job_is_paused_and_comes_back_after_a_crash() {
    let mut script = Script::default();
    let job = job("a", "every: 1h", Policy::default());
    let run = Arc::new(Run {
        id: RunId::of_key(&id("a"), "backfill:1:0"),
        job: id("a"),
        scheduled_for: at(-5_000),
        due_at: at(-1_000),
        cause: Cause::Backfill,
        payload: None,
    });
    let with = |paused: bool, claimed_at| {
        let mut past = past(&job, at(0), at(1_000));
        past.row.state.paused = paused;
        let run = Arc::clone(&run);
        past.row.open = vec![OpenRun { run, n_attempts: 0, n_interrupted: 0, claimed_at, retry_at: None }];
        Input::Add { job: Arc::clone(&job), past: Some(past) }
    };
    script.input(2_000, with(true, None)).tick(2_000).make_up(2_100, "a", -5_000);
    script.check(expect![[r#"
        2000   take back
    "#]]);
    let mut script = Script::default();
    script.input(2_000, with(false, None)).tick(2_000).check(expect![[r#"
        2000   START a -5000 (backfill)
    "#]]);
    let mut script = Script::default();
    script.input(2_000, with(false, Some(at(-900)))).tick(2_000).fire(2_100, "a").check(expect![[r#"
        2000   a cut, again: the host stopped or crashed during the attempt; it is tried again
        2000   START a -5000 (backfill) attempt 2
        2100   plan a 2100 (manual)
        2100   START a 2100 (manual)
    "#]]);
}

#[test]
fn what_makes_up_for_the_past_and_waits_for_a_place_does_not_begin_in_a_pause() {
    let mut script = Script::default();
    let sizes = [(PoolName::default(), NonZeroU32::new(1).unwrap())].into();
    script.input(0, Input::Pools(sizes)).add(0, job("a", "every: 1h", Policy::default())).tick(0).told.clear();
    script.make_up(100, "a", -4_000).make_up(100, "a", -2_000).input(200, Input::Pause(id("a"))).finish(300, "a");
    script.input(400, Input::Resume { job: id("a"), from: ResumeFrom::Now }).make_up(500, "a", -2_000);
    script.check(expect![[r#"
        100    plan a -4000 (backfill)
        100    START a -4000 (backfill)
        100    plan a -2000 (backfill)
        200    a paused from 200
        300    take back
        400    a counts from 400
        500    plan a -2000 (backfill)
        500    START a -2000 (backfill)
    "#]]);
}

#[test]
fn what_was_due_before_a_pause_is_not_of_the_pause_after_a_crash_either() {
    let mut script = Script::default();
    let job = job("a", "every: 2s", Policy::default());
    let mut past = past(&job, at(0), at(5_000));
    past.row.state.paused = true;
    let planned = |slot: i64| {
        let run = Arc::new(Run {
            id: RunId::of_slot(&id("a"), at(slot)),
            job: id("a"),
            scheduled_for: at(slot),
            due_at: at(slot),
            cause: Cause::Schedule,
            payload: None,
        });
        OpenRun { run, n_attempts: 0, n_interrupted: 0, claimed_at: None, retry_at: None }
    };
    past.row.open = vec![planned(4_000)];
    script.input(7_000, Input::Add { job, past: Some(past) }).tick(7_000);
    script.input(9_000, Input::Resume { job: id("a"), from: ResumeFrom::Now });
    script.check(expect![[r#"
        9000   skip a 6000..8000 (2 slots) paused
        9000   a counts from 9000
        9000   START a 4000 (schedule)
    "#]]);
}
