//! Attempts that wait for leave: what they ask for is held by another one.

use clockjack_schedule::job::Delivery;

use super::*;

const AT: &str = "at: \"2027-01-15T08:00:01Z\"";

fn at_most_once() -> Policy {
    Policy { delivery: Delivery::AtMostOnce, ..Policy::default() }
}

/// A host in which `first` goes on and `large-second-10` waits for it.
async fn waiting(first: &str, second: Policy) -> World {
    let world = world(4);
    world.host.handle().send(vec![add(first, AT)]).await;
    world.pass(900).await;
    world.host.handle().send(vec![Input::Add { job: job("large-second-10", AT, second), past: None }]).await;
    world.pass(600).await;
    assert_eq!(world.host.n_unfinished(), 2);
    assert_eq!(world.executor.began.lock().unwrap().as_slice(), [first]);
    world
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_leave_at_shutdown_begins_in_the_next_life() {
    for (first, grace) in [("large-first-2000", 5), ("large-first-60000", 2)] {
        let World { ledger, executor, host, .. } = waiting(first, at_most_once()).await;
        host.shut_down(Duration::from_secs(grace), std::future::pending()).await.unwrap();
        assert_eq!(executor.began.lock().unwrap().as_slice(), [first], "it is free before the host ends, or not");
        let open: Vec<_> = ledger.load().await.unwrap().jobs.into_iter().flat_map(|row| row.open).collect();
        let second = open.iter().find(|open| open.run.job.as_str() == "large-second-10").expect("it is still to begin");
        assert_eq!((second.n_attempts, second.claimed_at), (0, None));
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_leave_can_be_cancelled_and_stays_so() {
    let world = waiting("large-first-60000", at_most_once()).await;
    let rows = world.ledger.runs(of("large-second-10")).await.unwrap();
    world.host.handle().send(vec![Input::Cancel(rows[0].run.id)]).await;
    world.pass(100).await;
    let told = world.told().await;
    assert!(told.contains("1000 large-second-10 cancelled -1.."), "{told}");
    assert_eq!(world.host.n_unfinished(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_leave_is_told_and_skipped_where_it_becomes_too_late() {
    let policy = Policy { misfire_grace: Some(Duration::from_secs(4)), ..at_most_once() };
    let world = waiting("large-first-10000", policy).await;
    let mut events = world.host.bus().listen();
    let mut n_held = async |millis: u64| {
        world.pass(millis).await;
        let events = std::iter::from_fn(|| events.try_recv().ok());
        events.filter(|event| matches!(event, Event::RunHeld { .. })).count()
    };
    assert_eq!([n_held(300).await, n_held(400).await, n_held(2_500).await], [0, 1, 0], "after a second, once");
    // At 4.7 seconds it is not yet too late, a second later it is, long before there is leave.
    assert!(world.told().await.contains("1000 large-second-10 planned"), "{}", world.told().await);
    world.pass(1_000).await;
    let told = world.told().await;
    assert!(told.contains("1000 large-second-10 skipped misfired of 1"), "{told}");
    world.pass(10_000).await;
    assert_eq!((world.host.n_unfinished(), world.executor.began.lock().unwrap().len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_leave_longer_than_others_for_a_place_keeps_its_turn_and_begins() {
    let world = waiting("large-first-3000", at_most_once()).await;
    world.pass(4_000).await;
    let told = world.told().await;
    assert!(told.contains("1000 large-second-10 succeeded 40"), "{told}");
}
