//! Where policies meet: changes, removals, pauses and sleeps at the wrong moment.

use super::*;

#[test]
fn a_change_or_a_removal_accounts_for_slots_that_are_due() {
    let mut script = Script::default();
    script.add(0, job("a", "every: 2s", Policy::default())).tick(0).told.clear();
    script.input(2_000, Input::Change(job("a", "every: 3s", Policy::default())));
    script.check(expect![[r#"
        2000   START a 2000 (schedule)
        2000   take back
        2000   a counts from 2000
    "#]]);
    script.finish(2_100, "a").input(3_000, Input::Remove("a".parse().unwrap()));
    script.check(expect![[r#"
        3000   plan a 3000 (schedule)
        3000   plan a 6000 (schedule)
        3000   decided until 8000
        3000   START a 3000 (schedule)
        3000   take back
        3000   a is gone
    "#]]);
    // With jitter a slot may have passed without having started.
    let mut script = Script::default();
    script.add(0, job("a", "{ every: 2s, jitter: 1900ms }", Policy::default())).tick(0).told.clear();
    script.input(2_001, Input::Remove("a".parse().unwrap()));
    script.check(expect![[r#"
        2001   skip a 2000 removed
        2001   take back
        2001   a is gone
    "#]]);
}

#[test]
fn slots_that_slept_too_long_are_misfired_before_the_others_are_folded() {
    let policy = |coalesce| Policy { coalesce, misfire_grace: Some(Duration::from_secs(3)), ..Policy::default() };
    let slept = |coalesce| {
        let mut script = Script::default();
        script.add(0, job("a", "every: 1s", policy(coalesce))).tick(0).told.clear();
        script.tick(4_500);
        script
    };
    slept(Coalesce::Earliest).check(expect![[r#"
        4500   plan a 6000 (schedule)
        4500   plan a 7000 (schedule)
        4500   plan a 8000 (schedule)
        4500   plan a 9000 (schedule)
        4500   decided until 9500
        4500   skip a 1000 misfired
        4500   skip a 3000 coalesced
        4500   skip a 4000 coalesced
        4500   take back
        4500   plan a 2000 (catch-up of 3)
        4500   START a 2000 (catch-up of 3)
    "#]]);
    slept(Coalesce::Latest).check(expect![[r#"
        4500   plan a 6000 (schedule)
        4500   plan a 7000 (schedule)
        4500   plan a 8000 (schedule)
        4500   plan a 9000 (schedule)
        4500   decided until 9500
        4500   skip a 1000 misfired
        4500   skip a 2000 coalesced
        4500   skip a 3000 coalesced
        4500   take back
        4500   plan a 4000 (catch-up of 3)
        4500   START a 4000 (catch-up of 3)
    "#]]);
    let mut script = Script::default();
    script.add(0, job("a", "every: 1s", Policy::default())).tick(0).told.clear();
    script.tick(20_000);
    script.check(expect![[r#"
        20000  skip a 1000 coalesced
        20000  skip a 2000 coalesced
        20000  skip a 3000 coalesced
        20000  skip a 4000 coalesced
        20000  skip a 5000 coalesced
        20000  skip a 6000..19000 (14 slots) coalesced
        20000  plan a 20000 (catch-up of 20)
        20000  plan a 21000 (schedule)
        20000  plan a 22000 (schedule)
        20000  plan a 23000 (schedule)
        20000  plan a 24000 (schedule)
        20000  plan a 25000 (schedule)
        20000  decided until 25000
        20000  START a 20000 (catch-up of 20)
    "#]]);
}

#[test]
fn a_paused_job_starts_nothing() {
    let policy = Policy { paused: true, run_on_start: true, overlap: Overlap::Queue, ..Policy::default() };
    let mut script = Script::default();
    script.add(0, job("a", "every: 1h", policy));
    script.check(expect![[r#"
        0      a paused from 0
    "#]]);
    let policy = Policy { overlap: Overlap::Queue, ..Policy::default() };
    let mut script = Script::default();
    script.add(0, job("b", "every: 1h", policy)).fire(0, "b").fire(0, "b").told.clear();
    script.input(10, Input::Pause("b".parse().unwrap())).finish(20, "b");
    script.input(30, Input::Resume { job: "b".parse().unwrap(), from: ResumeFrom::Now });
    script.check(expect![[r#"
        10     b paused from 10
        30     b counts from 30
        30     START b 0 (manual)
    "#]]);
}

#[test]
fn a_run_that_came_from_no_slot_moves_a_fixed_delay() {
    let mut script = Script::default();
    script.add(0, job("a", "{ every: 10s, mode: fixed_delay }", Policy::default())).fire(0, "a").tick(9_000);
    script.finish(9_900, "a").tick(10_000).tick(18_000).tick(19_900);
    script.check(expect![[r#"
        0      a counts from 0
        0      plan a 0 (manual)
        0      START a 0 (manual)
        9000   plan a 10000 (schedule)
        9000   decided until 14000
        9900   take back
        18000  plan a 19900 (schedule)
        18000  decided until 23000
        19900  START a 19900 (schedule)
    "#]]);
}
