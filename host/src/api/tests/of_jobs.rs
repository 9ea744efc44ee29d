//! What is asked of jobs and runs.

use super::*;

/// Waits until a run has ended.
pub(super) async fn ended(world: &World, id: &str) -> Json {
    loop {
        let run = world.get(&format!("/api/v1/runs/{id}")).await;
        assert_eq!(run.status, 200, "{run:?}");
        if run.body["state"] == "ended" {
            return run.body;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn id(answer: &Answer) -> String {
    answer.body["id"].as_str().unwrap_or_else(|| panic!("no run: {answer:?}")).to_owned()
}

#[tokio::test]
async fn jobs_are_paused_and_go_on() {
    let world = world().await;
    for (word, body, paused) in [
        ("pause", json!({}), true),
        ("pause", json!({}), true),
        ("resume", json!({ "from": "last" }), false),
        ("resume", json!({}), false),
    ] {
        let answer = world.post(&format!("/api/v1/jobs/backup/{word}"), body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!((&answer.body["job"], &answer.body["paused"]), (&json!("backup"), &json!(paused)));
    }
    let told = [
        world.post("/api/v1/jobs/bakup/pause", json!({})).await.problem(),
        world.post("/api/v1/jobs/x/resume", json!({})).await.problem(),
        world.post("/api/v1/jobs/slov/run", json!({})).await.problem(),
    ];
    expect_test::expect![[r#"
        404 job.unknown: the host has no job `bakup`; did you mean `backup`?
        404 job.unknown: the host has no job `x`; `clockjack jobs` lists them
        404 job.unknown: the host has no job `slov`; did you mean `slow`?"#]]
    .assert_eq(&told.join("\n"));
}

#[tokio::test]
async fn a_run_is_asked_for_once_under_a_key() {
    let world = world().await;
    let asked = world.post("/api/v1/jobs/backup/run", json!({ "payload": { "day": 3 }, "cause": "manual" })).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let run = ended(&world, &id(&asked)).await;
    assert_eq!((&run["outcome"], &run["cause"]), (&json!("succeeded"), &json!("manual")), "{run:#}");
    assert_eq!((&run["payload"], &run["output"]), (&json!({ "day": 3 }), &json!({ "day": 3 })), "{run:#}");
    let other = world.post("/api/v1/jobs/backup/run", json!({})).await;
    assert_ne!(id(&asked), id(&other), "without a key each is a run of its own");
    assert_eq!(ended(&world, &id(&other)).await["cause"], "api");
    let order = json!({ "key": "order 7", "payload": { "day": 0.1, "of": null }, "args": [2] });
    let first = world.post("/api/v1/jobs/backup/run", order.clone()).await;
    ended(&world, &id(&first)).await;
    let again = world.post("/api/v1/jobs/backup/run", order).await;
    assert_eq!((first.status, again.status), (202, 200), "{again:?}");
    assert_eq!(id(&first), id(&again));
    assert_eq!((&again.body["state"], &again.body["payload"]), (&json!("ended"), &json!({ "day": 0.1, "of": null })));
    for other in [json!({ "key": "order 7" }), json!({ "key": "order 7", "payload": { "day": 0.1 }, "args": [3] })] {
        let other = world.post("/api/v1/jobs/backup/run", other).await.problem();
        let expected = format!(
            "422 idempotency.mismatch: `key` stands for run {} already, which has another `payload` or other `args`; send a \
             new key with each new run, and the same only with the same `payload` and `args`",
            id(&first)
        );
        assert_eq!(other, expected);
    }
    let short = world.get(&format!("/api/v1/runs/{}", &id(&asked)[..18])).await;
    assert_eq!(short.status, 200, "the first digits of an id are enough: {short:?}");
    let told = [
        world.post("/api/v1/jobs/backup/run", json!({ "key": "" })).await.problem(),
        world.post("/api/v1/jobs/backup/run", json!({ "key": "k".repeat(257) })).await.problem(),
        world.post("/api/v1/jobs/backup/run", json!({ "payload": "x".repeat(70_000) })).await.problem(),
    ];
    expect_test::expect![[r#"
        422 key.invalid: `key` has 0 characters; a key has 1 to 256; send a shorter one, or none where every request is to be a run of its own
        422 key.invalid: `key` has 257 characters; a key has 1 to 256; send a shorter one, or none where every request is to be a run of its own
        422 payload.invalid: `payload`: it has 70002 bytes, and a payload has at most 65536; put what is large into a file that the job may read, and send its name"#]].assert_eq(&told.join("\n"));
}

#[tokio::test]
async fn a_run_ends_when_somebody_wants_it() {
    let world = world().await;
    let slow = world.post("/api/v1/jobs/slow/run", json!({})).await;
    assert_eq!(slow.status, 202, "{slow:?}");
    let second = world.post("/api/v1/jobs/slow/run", json!({})).await;
    assert_eq!(second.body["code"], "run.skipped", "{second:?}");
    let detail = format!("job `slow` does not run now: overlapping, for run {} goes on", id(&slow));
    assert_eq!((second.status, &second.body["detail"]), (409, &json!(detail)));
    let cancelled = world.post("/api/v1/runs/slow@latest/cancel", json!({})).await;
    assert_eq!((cancelled.status, id(&cancelled)), (202, id(&slow)), "{cancelled:?}");
    let run = ended(&world, &id(&slow)).await;
    assert_eq!(run["outcome"], "cancelled", "{run:#}");
    let again = world.post(&format!("/api/v1/runs/{}/cancel", id(&slow)), json!({})).await;
    assert_eq!((again.status, &again.body["code"]), (409, &json!("run.ended")), "{again:?}");
    let told = [
        world.post("/api/v1/runs/00000000-0000-8000-8000-000000000000/cancel", json!({})).await.problem(),
        world.get("/api/v1/runs/soon").await.problem(),
        world.get("/api/v1/runs/slow@2027-01-15T08:00").await.problem(),
        world.get("/api/v1/runs/slo@latest").await.problem(),
    ];
    expect_test::expect![[r#"
        404 run.unknown: the ledger has no run `00000000-0000-8000-8000-000000000000`; `clockjack runs` lists what there is. Runs go when they are older or more than `keep` of their job says
        404 run.unknown: `soon` is no run; write its whole id, at least the first 6 digits of it, `JOB@latest` or `JOB@INSTANT`
        404 run.unknown: `slow@2027-01-15T08:00` does not say of which zone its time is; write the slot with its offset, such as `JOB@2027-01-15T08:00:00Z`, or the id of the run
        404 run.unknown: neither the ledger nor the manifest has a job `slo`; did you mean `slow`?"#]].assert_eq(&told.join("\n"));
}

/// What waits for the end of another run becomes a skip.
#[tokio::test]
async fn a_run_that_has_not_begun_can_be_cancelled() {
    let world = world().await;
    let first = world.post("/api/v1/jobs/slow-queue/run", json!({})).await;
    let second = world.post("/api/v1/jobs/slow-queue/run", json!({})).await;
    assert_eq!((first.status, second.status, &second.body["state"]), (202, 202, &json!("planned")), "{second:?}");
    let cancelled = world.post(&format!("/api/v1/runs/{}/cancel", id(&second)), json!({})).await;
    let expected = json!({
        "id": id(&second),
        "job": "slow-queue",
        "scheduled_for": second.body["scheduled_for"],
        "state": "skipped",
        "reason": "cancelled",
    });
    assert_eq!((cancelled.status, &cancelled.body), (202, &expected));
    assert_eq!(world.get(&format!("/api/v1/runs/{}", id(&second))).await.status, 404);
    assert_eq!(world.get(&format!("/api/v1/runs/{}", id(&first))).await.body["state"], "running");
}

/// A POST with a key, whose client does not wait for the answer.
async fn ask_and_go(world: &World, path: &str) {
    let mut stream = world.connect().await;
    stream.write_all(keyed(path).as_bytes()).await.unwrap();
}

fn keyed(path: &str) -> String {
    let head = "host: x\r\nidempotency-key: k\r\ncontent-type: application/json\r\ncontent-length: 2";
    format!("POST {path} HTTP/1.1\r\n{head}\r\nconnection: close\r\n\r\n{{}}")
}

/// Whoever loses the connection asks again, for which a key is there.
#[tokio::test]
async fn what_was_asked_is_carried_out_once_also_where_nobody_waits_for_it() {
    let mut world = world().await;
    let mut wishes = std::mem::replace(&mut world.wishes, mpsc::channel(1).1);
    let path = "/api/v1/scheduler/reload";
    ask_and_go(&world, path).await;
    let Some(Wish::Reload { answer, .. }) = wishes.recv().await else { panic!("no reload") };
    let mut told = Vec::new();
    let same = keyed(path);
    for _ in 0..10 {
        tokio::select! {
            busy = world.send(&same) => told.push(busy.body["code"].clone()),
            wish = wishes.recv() => panic!("it is carried out twice: {wish:?}"),
        }
    }
    assert_eq!(told, vec![json!("idempotency.busy"); 10]);
    answer.send(of_plugins::some_plan()).unwrap();
    let again = loop {
        let again = world.send(&same).await;
        if again.status != 409 {
            break again;
        }
    };
    assert!(again.status == 200 && again.head.contains("idempotency-replayed: true"), "{again:?}");
}

#[tokio::test]
async fn a_run_is_asked_for_once_by_clients_that_go_away() {
    let world = world().await;
    let path = "/api/v1/jobs/slow-queue/run";
    ask_and_go(&world, path).await;
    let again = loop {
        let again = world.send(&keyed(path)).await;
        if again.status != 409 {
            break again;
        }
    };
    assert_eq!(again.status, 202, "{again:?}");
    let runs = world.get("/api/v1/runs?job=slow-queue").await.body;
    assert_eq!(runs["items"].as_array().map(Vec::len), Some(1), "{runs}");
}
