//! Places of pools: sizes, priorities, claims ahead, and what happens to those that wait too long for one.

use super::*;
use crate::{id::PoolName, job::Delivery};

fn sized(size: u32) -> Script {
    let mut script = Script::default();
    let sizes = [(PoolName::default(), size), ("small".parse().unwrap(), 1)];
    let sizes = sizes.into_iter().map(|(name, size)| (name, NonZeroU32::new(size).unwrap())).collect();
    script.input(0, Input::Pools(sizes));
    script
}

fn with(id: &str, policy: Policy) -> Arc<Job> {
    job(id, "every: 2s", policy)
}

#[test]
fn the_highest_priority_comes_first_and_then_the_oldest() {
    let mut script = sized(1);
    for (id, priority) in [("low", -1), ("b", 0), ("a", 0), ("high", 9)] {
        script.add(0, with(id, Policy { priority, ..Policy::default() }));
    }
    script.tick(0).told.clear();
    script.tick(2_000).finish(2_050, "high").finish(2_100, "b").finish(2_150, "a");
    script.check(expect![[r#"
        2000   START high 2000 (schedule)
        2050   START b 2000 (schedule)
        2050   START a 2000 (schedule)
        2050   START low 2000 (schedule)
    "#]]);
}

#[test]
fn pools_do_not_take_each_others_places() {
    let mut script = sized(1);
    let small = |id| {
        let job = with(id, Policy::default());
        let setup = Setup { pool: "small".parse().unwrap(), ..Setup::clone(&job.setup) };
        Arc::new(Job { setup: Arc::new(setup), ..Job::clone(&job) })
    };
    script.add(0, with("a", Policy::default())).add(0, small("b")).add(0, small("c")).tick(0).told.clear();
    script.tick(2_000).finish(2_100, "b");
    script.check(expect![[r#"
        2000   START a 2000 (schedule)
        2000   START b 2000 (schedule)
        2100   START c 2000 (schedule)
    "#]]);
}

#[test]
fn waiting_for_a_place_counts_as_lateness() {
    let mut script = sized(1);
    let graced = Policy { misfire_grace: Some(Duration::from_secs(1)), ..Policy::default() };
    script.add(0, with("a", Policy::default())).add(0, with("b", graced)).tick(0).tick(2_000).told.clear();
    script.finish(3_001, "a");
    script.check(expect![[r#"
        3001   skip b 2000 misfired
    "#]]);
}

#[test]
fn short_runs_are_claimed_ahead_unless_they_may_not_begin_twice() {
    let burst = |delivery| {
        let mut script = sized(2);
        for n in 0..8 {
            script.add(0, with(&format!("j{n}"), Policy { delivery, ..Policy::default() }));
        }
        script.tick(0).tick(2_000).told.clear();
        // Two end at once: two take their places, and two more are claimed, since as many ended a moment ago.
        script.finish(2_001, "j0").finish(2_001, "j1");
        script
    };
    burst(Delivery::AtLeastOnce).check(expect![[r#"
        2001   START j2 2000 (schedule)
        2001   START j3 2000 (schedule)
        2001   START j4 2000 (schedule)
        2001   START j5 2000 (schedule)
        2001   START j6 2000 (schedule)
        2001   START j7 2000 (schedule)
    "#]]);
    burst(Delivery::AtMostOnce).check(expect![[r#"
        2001   START j2 2000 (schedule)
        2001   START j3 2000 (schedule)
    "#]]);
}

#[test]
fn what_waits_for_a_place_can_be_cancelled_paused_and_removed() {
    let mut script = sized(1);
    for id in ["a", "b", "c", "d"] {
        script.add(0, with(id, Policy::default()));
    }
    script.tick(0).tick(2_000).told.clear();
    let run = RunId::of_slot(&"b".parse().unwrap(), at(2_000));
    script.input(2_100, Input::Cancel(run));
    script.input(2_200, Input::Pause("c".parse().unwrap()));
    script.input(2_300, Input::Remove("d".parse().unwrap()));
    script.finish(2_400, "a").input(2_500, Input::Resume { job: "c".parse().unwrap(), from: ResumeFrom::Now });
    script.check(expect![[r#"
        2100   skip b 2000 cancelled
        2200   take back
        2200   c paused from 2200
        2300   take back
        2300   skip d 2000 removed
        2300   d is gone
        2500   c counts from 2500
        2500   START c 2000 (schedule)
    "#]]);
}
