//! Each rule by small scripts, some after Jepsen's for Chronos: late before any fault, nothing after one.

use expect_test::expect;

use crate::script::judge;

#[test]
fn slots_that_ran_on_time_are_right() {
    judge(
        "up 0 31000
         job a every 10
         run r1 a 10000 schedule 1 0 10000 10500 succeeded
         run r2 a 20000 schedule 1 0 20050 20500 failed
         run r3 a 30000 schedule 1 0 30000 30500 trap.unreachable",
        expect![[""]],
    );
}

#[test]
fn a_slot_that_became_nothing_is_told_from_a_schedule_that_stopped() {
    judge(
        "up 0 41000
         job a every 10
         run r2 a 20000 schedule 1 0 20000 20500 succeeded",
        expect![[r#"
            no_disposition a slot 00:10.000
                due at 00:10.000, no run and no skip; the host could act from 00:10.000
            stuck a slot 00:30.000
                due at 00:30.000, no run and no skip; the host could act from 00:30.000
            stuck a slot 00:40.000
                due at 00:40.000, no run and no skip; the host could act from 00:40.000
        "#]],
    );
}

#[test]
fn the_window_of_a_slot_has_two_ends() {
    judge(
        "up 0 41000
         job a every 10 grace 2000
         run r1 a 10000 schedule 1 0 9999 10500 succeeded
         run r2 a 20000 schedule 1 0 22101 22500 succeeded
         run r3 a 30000 schedule 1 0 30101 30500 succeeded
         run r4 a 40000 schedule 1 0 40000 40500 succeeded",
        expect![[r#"
            early_start a slot 00:10.000
                run r1 began at 00:09.999: 1000 us before its slot
            times_do_not_match a slot 00:10.000
                run r1 began at 00:09.999 and fits no slot that is left
            past_grace a slot 00:20.000
                run r2 began at 00:22.101: 1000 us after its grace, all allowances made
            late_start a slot 00:30.000
                run r3 began at 00:30.101: nothing kept it from beginning at 00:30.000
        "#]],
    );
}

#[test]
fn a_miss_needs_a_host_that_had_no_chance() {
    judge(
        "up 0 15000 killed
         up 33000 51000
         job a every 10 grace 2000
         run r1 a 10000 schedule 1 0 10000 10500 succeeded
         skip a 20000 30000 2 misfired 33500
         skip a 40000 40000 1 misfired 43000
         skip a 50000 50000 1 misfired 50500",
        expect![[r#"
            unjustified_miss a slot 00:40.000
                skip 00:40.000 misfired, decided at 00:43.000
                slot 00:40.000 could have run from 00:40.000 on
            unjustified_miss a slot 00:50.000
                skip 00:50.000 misfired, decided at 00:50.500
                1500000 us of the grace were left
        "#]],
    );
}

#[test]
fn a_backlog_is_folded_into_the_right_one() {
    let story = |job: &str, rest: &str| {
        format!(
            "up 0 15000 killed
             up 45000 48000
             job a every 10 {job}
             run r1 a 10000 schedule 1 0 10000 10500 succeeded
             {rest}"
        )
    };
    let newest = "run r4 a 40000 catch-up:3 1 1 45500 45600 succeeded
                  skip a 20000 30000 2 coalesced 45500 r4";
    let oldest = "run r2 a 20000 catch-up:3 1 1 45500 45600 succeeded
                  skip a 30000 40000 2 coalesced 45500 r2";
    judge(&story("", newest), expect![[""]]);
    judge(&story("coalesce earliest", oldest), expect![[""]]);
    judge(
        &story("", oldest),
        expect![[r#"
        wrong_coalesce a slot 00:30.000
            skip 00:30.000 to 00:40.000 (2 slots) coalesced by r2, decided at 00:45.500
            folded into 00:20.000, which is not newer
    "#]],
    );
    judge(
        &story("coalesce earliest", newest),
        expect![[r#"
        wrong_coalesce a slot 00:20.000
            skip 00:20.000 to 00:30.000 (2 slots) coalesced by r4, decided at 00:45.500
            folded into 00:40.000, which is not older
    "#]],
    );
    judge(&story("coalesce all backlog 1", newest), expect![[""]]);
    judge(
        &story("coalesce all backlog 2", newest),
        expect![[r#"
        wrong_coalesce a slot 00:20.000
            skip 00:20.000 to 00:30.000 (2 slots) coalesced by r4, decided at 00:45.500
            only 1 newer slots were due, and 2 may run
    "#]],
    );
}

#[test]
fn a_gap_holds_as_many_slots_as_it_says() {
    judge(
        "up 0 11000
         job a every 1
         pause a 2500 9500 now
         run r1 a 1000 schedule 1 0 1000 1100 succeeded
         run r2 a 2000 schedule 1 0 2000 2100 succeeded
         skip a 3000 9000 6 paused 9500
         run r10 a 10000 schedule 1 0 10000 10100 succeeded",
        expect![[r#"
            gap_count a slot 00:03.000
                skip 00:03.000 to 00:09.000 (6 slots) paused, decided at 00:09.500; 7 to 7 slots without anything else lie in it
        "#]],
    );
}

#[test]
fn overlapping_needs_somebody_in_the_way() {
    judge(
        "up 0 41000
         job a every 10
         run r1 a 10000 schedule 1 0 10000 25000 succeeded
         skip a 20000 20000 1 overlapping 20000 r1
         skip a 30000 30000 1 overlapping 30000 r1
         run r4 a 40000 schedule 1 0 40000 40100 succeeded",
        expect![[r#"
            unjustified_overlap a slot 00:30.000
                skip 00:30.000 overlapping by r1, decided at 00:30.000
                0 runs went on; the policy is Skip of 1
        "#]],
    );
    judge(
        "up 0 31000
         job a every 10
         run r1 a 10000 schedule 1 0 10000 25000 succeeded
         run r2 a 20000 schedule 1 0 20000 21000 succeeded
         run r3 a 30000 schedule 1 0 30000 30100 succeeded",
        expect![[r#"
            too_many_instances a slot 00:20.000
                2 go on when run r2 begins at 00:20.000; 1 may
        "#]],
    );
}

#[test]
fn a_crash_cuts_an_attempt_and_another_one_follows_unless_it_must_not() {
    let story = |job: &str, rest: &str| {
        format!(
            "up 0 12000 killed
             up 13000 19000
             job a every 10 {job}
             {rest}"
        )
    };
    let again = "line r1 a 10000 schedule 1 0 10000 - cut
                 row r1 a 10000 schedule 1 0 10000 13500 interrupted
                 run r1 a 10000 schedule 2 1 13500 14000 succeeded";
    let lost = "line r1 a 10000 schedule 1 0 10000 - cut
                row r1 a 10000 schedule 1 0 10000 13500 lost";
    let silent = "row r1 a 10000 schedule 1 0 10000 13500 interrupted
                  run r1 a 10000 schedule 2 1 13500 14000 succeeded";
    let forgotten = "line r1 a 10000 schedule 1 0 10000 - cut
                     row r1 a 10000 schedule 1 0 10000 - open";
    judge(&story("", again), expect![[""]]);
    judge(&story("delivery once", lost), expect![[""]]);
    judge(&story("", silent), expect![[""]]);
    judge(
        &story("delivery once", again),
        expect![[r#"
        double_start a slot 00:10.000
            run r1: at most once, but began again after the host ended at 00:12.000
    "#]],
    );
    judge(
        &story("", lost),
        expect![[r#"
        unjustified_end a slot 00:10.000
            run r1: lost, although it is to be tried again
    "#]],
    );
    judge(
        &story("", &forgotten.replace("10000 - open", "10000 0 open")),
        expect![[r#"
        stuck a slot 00:10.000
            run r1: open since 00:12.000, though nothing goes on; the host could act from 00:14.000
    "#]],
    );
}

#[test]
fn ledger_and_guest_tell_the_same() {
    judge(
        "up 0 51000
         job a every 10
         row r1 a 10000 schedule 1 0 10000 10500 succeeded
         line r2 a 20000 schedule 1 0 20000 20500 succeeded
         row r3 a 30000 schedule 1 0 30000 30500 succeeded
         line r3 a 30000 schedule 1 0 30000 30500 failed
         row r4 a 40000 schedule 1 0 40000 40500 succeeded
         line r4 a 50000 schedule 1 0 40000 40500 succeeded
         run r5 a 50000 schedule 1 0 50000 50500 interrupted",
        expect![[r#"
            ghost a slot 00:10.000
                run r1: attempt 1 ended as succeeded, but no guest began it
            no_disposition a slot 00:20.000
                due at 00:20.000, no run and no skip; the host could act from 00:20.000
            unrecorded a slot 00:20.000
                run r2, attempt 1, began at 00:20.000
            outcome_disagrees a slot 00:30.000
                run r3: attempt 1: the ledger tells succeeded, the guest failed
            identity a slot 00:40.000
                run r4: its guest was told job a and slot 00:50.000
            unjustified_end a slot 00:50.000
                run r5: attempt 1 is interrupted, but neither did the host end in it nor was its code replaced
            unjustified_end a slot 00:50.000
                run r5: ended as interrupted, although it is to be tried again
        "#]],
    );
}

#[test]
fn requests_and_chains_make_one_run_each() {
    judge(
        "up 0 9000
         job a every 0
         job b every 0 after a
         request a 1000 k
         request a 1500 k
         request a 5000
         run m1 a 1000 manual 1 0 1000 1200 succeeded
         run m2 a 3000 manual 1 0 3000 3200 succeeded
         run f1 b 1000 upstream:a 1 0 1200 1300 succeeded
         run f2 b 1000 upstream:a 1 0 1250 1300 succeeded",
        expect![[r#"
            request a
                request 2, accepted at 00:05.000, is no run; the host could act from 00:05.000
            extra a slot 00:03.000
                nobody asked for run m2
            extra b slot 00:01.000
                run f2 follows no end of a
            too_many_instances b slot 00:01.000
                2 go on when run f2 begins at 00:01.250; 1 may
            chain b slot 00:03.000
                run m2 of a ended, and no run follows it
        "#]],
    );
}

#[test]
fn a_clock_that_is_set_moves_what_is_due_and_repeats_nothing() {
    judge(
        "up 0 31000
         step 15000 20000
         job a every 10
         run r1 a 10000 schedule 1 0 10000 10500 succeeded
         skip a 20000 20000 1 coalesced 35500 r3
         run r3 a 30000 catch-up:2 1 0 15500 15600 succeeded
         run r4 a 40000 schedule 1 0 20000 20100 succeeded
         run r5 a 50000 schedule 1 0 30000 30100 succeeded",
        expect![[""]],
    );
    judge(
        "up 0 31000
         step 15000 -10000
         job a every 10
         run r1 a 10000 schedule 1 0 10000 10500 succeeded
         run r1b a 10000 schedule 1 0 20000 20500 succeeded
         run r2 a 20000 schedule 1 0 30000 30500 succeeded",
        expect![[r#"
            two_dispositions a slot 00:10.000
                run r1 (succeeded)
                run r1b (succeeded)
            late_start a slot 00:10.000
                run r1b began at 00:20.000: nothing kept it from beginning at 00:10.000
        "#]],
    );
}

#[test]
fn a_removed_job_stays_removed_and_the_next_slot_lies_ahead() {
    judge(
        "up 0 31000
         job a every 10 until 15000
         job b every 10 from 12000
         run r1 a 10000 schedule 1 0 10000 10500 succeeded
         run r2 a 20000 schedule 1 0 20000 20500 succeeded
         run b2 b 20000 schedule 1 0 20000 20500 succeeded
         run b3 b 30000 schedule 1 0 30000 30500 succeeded
         next b 13000 20000
         next b 21000 30000
         next b 22000 20000",
        expect![[r#"
            resurrected a slot 00:20.000
                run r2 (succeeded): 00:20.000 is a slot of a trigger that was not in force then
            next_wrong b slot 00:20.000
                asked at 00:22.000: the next slot is 00:20.000, which has passed
            next_wrong b slot 00:20.000
                asked at 00:22.000: the next slot is 00:20.000, before it was 00:30.000
        "#]],
    );
}

#[test]
fn what_is_planned_ahead_is_no_run_yet() {
    judge(
        "up 0 28000
         job a every 10
         run r1 a 10000 schedule 1 0 10000 10500 succeeded
         run r2 a 20000 schedule 1 0 20000 20500 succeeded
         plan r3 a 30000
         plan r4 a 35000",
        expect![[r#"
            extra a slot 00:35.000
                run r4 (open): 00:35.000 is no slot
        "#]],
    );
    judge(
        "up 0 28000
         job a every 10
         run r1 a 10000 schedule 1 0 10000 10500 succeeded
         plan r2 a 20000",
        expect![[r#"
            stuck a slot 00:20.000
                run r2 has not begun; nothing kept it from beginning at 00:20.000
        "#]],
    );
}

#[test]
fn other_code_ends_attempts_as_their_jobs_say_and_no_others() {
    let story = |reload: &str, job: &str, rest: &str| {
        format!(
            "up 0 19000
             {reload}
             job a every 10 {job}
             {rest}"
        )
    };
    let reload = "reload 12000";
    let again = "run r1 a 10000 schedule 1 0 10000 12001 interrupted
                 run r1 a 10000 schedule 2 0 12002 15000 succeeded";
    let cancelled = "run r1 a 10000 schedule 1 0 10000 12001 cancelled";
    let later = "run r1 a 10000 schedule 1 0 10000 14001 cancelled";
    let done = "run r1 a 10000 schedule 1 0 10000 15000 succeeded";
    for right in [
        story(reload, "reload replace", again),
        story(reload, "reload replace delivery once", again),
        story(reload, "reload cancel", cancelled),
        story(reload, "reload 2000", later),
        story(reload, "", done),
        story(reload, "reload 4000", done),
        // It began on the new code.
        story("reload 9000", "reload replace", done),
    ] {
        judge(&right, expect![[""]]);
    }
    let unjustified = "attempt 1 is interrupted, but neither did the host end in it nor was its code replaced";
    for wrong in
        [story("", "reload replace", again), story(reload, "", again), story("reload 9000", "reload replace", again)]
    {
        let found = crate::script::verdict(&wrong);
        assert!(found.contains(unjustified), "{found}");
    }
    judge(
        &story(reload, "", cancelled),
        expect![[r#"
            unjustified_end a slot 00:10.000
                run r1: cancelled, but nobody asked for it
        "#]],
    );
    let for_good = crate::script::verdict(&story(
        reload,
        "reload replace delivery once",
        "run r1 a 10000 schedule 1 0 10000 12001 interrupted",
    ));
    assert!(for_good.contains("ended as interrupted, although it is to be tried again"), "{for_good}");
    for mode in ["replace", "cancel", "2000"] {
        let found = crate::script::verdict(&story(reload, &format!("reload {mode}"), done));
        assert!(
            found.starts_with("old_code a slot 00:10.000\n    run r1: attempt 1 went on until 00:15.000"),
            "{found}"
        );
    }
}

/// Each slot of the past that somebody wants is one run, beside those that are due and after them.
#[test]
fn what_makes_up_for_the_past_stands_apart() {
    judge(
        "up 0 31000
         pool few 2
         job a every 10 pool few
         request a 9000 k1 b1
         request a 12000 k2 b2
         request a 13000 k3 b3
         run b1 a 0 backfill 1 0 9000 14000 succeeded
         run r1 a 10000 schedule 1 0 10000 14000 succeeded
         run b2 a 1000 backfill 1 0 12000 12500 succeeded
         run b4 a 2000 backfill 1 0 15000 15500 succeeded
         run r2 a 20000 schedule 1 0 20000 20500 succeeded
         run r3 a 30000 schedule 1 0 30000 30500 succeeded",
        expect![[r#"
            too_many_instances a
                3 go on in pool few at 00:12.000; it has 2 places
            request a
                key k3, accepted at 00:13.000, is no run; the host could act from 00:13.000
            too_many_instances a slot 00:01.000
                run b2 of the past begins at 00:12.000 beside 2 others; pool few has 2
            extra a slot 00:02.000
                nobody asked for run b4
        "#]],
    );
    judge(
        "up 0 21000
         job a every 10
         pause a 5000 15000 now
         request a 4000 k1 b1
         run b1 a 0 backfill 1 0 9000 9500 succeeded
         skip a 10000 10000 1 paused 15000
         run r2 a 20000 schedule 1 0 20000 20500 succeeded",
        expect![[r#"
            ran_while_paused a slot 00:00.000
                run b1 of the past began at 00:09.000: the job was paused
        "#]],
    );
}
