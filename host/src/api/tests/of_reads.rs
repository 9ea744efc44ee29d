//! What is read of jobs, runs and slots, by pages.

use super::*;

/// Checks that a cursor fits what the host's own description says of it.
fn assert_is_promised(path: &str, next: &str) {
    let document: Json = serde_json::from_str(crate::api::openapi::text().unwrap()).unwrap();
    let route = path.split('?').next().unwrap().replace("/slow/", "/{job}/");
    let parameters = document["paths"][format!("/api/v1/{route}")]["get"]["parameters"].as_array().unwrap();
    let cursor = parameters.iter().find(|parameter| parameter["name"] == "cursor").unwrap();
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("cursor.json", cursor["schema"].clone()).unwrap();
    let schema = compiler.compile("cursor.json", &mut schemas).unwrap();
    assert!(schemas.validate(&json!(next), schema).is_ok(), "{next}: {}", cursor["schema"]);
}

/// All pages of a list, one by one.
async fn pages(world: &World, path: &str, name: &str) -> Vec<Vec<String>> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/api/v1/{path}{cursor}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        let items = page.body["items"].as_array().unwrap();
        pages.push(items.iter().map(|item| item[name].as_str().unwrap().to_owned()).collect());
        match page.body["next"].as_str() {
            Some(next) => {
                assert_is_promised(path, next);
                cursor = format!("&cursor={next}");
            }
            None => return pages,
        }
    }
}

#[tokio::test]
async fn jobs_are_listed_by_pages() {
    let world = world().await;
    assert_eq!(
        pages(&world, "jobs?limit=2", "job").await,
        [vec!["backup", "minutely"], vec!["slow", "slow-minutely"], vec!["slow-queue"]]
    );
    assert_eq!(
        pages(&world, "jobs?limit=3", "job").await,
        [vec!["backup", "minutely", "slow"], vec!["slow-minutely", "slow-queue"]]
    );
    assert_eq!(pages(&world, "jobs?q=SLOW&limit=1", "job").await, [["slow"], ["slow-minutely"], ["slow-queue"]]);
    assert_eq!(pages(&world, "jobs?label=team:ops", "job").await, [["backup"]]);
    assert_eq!(pages(&world, "jobs?label=team", "job").await, [["backup"]]);
    assert_eq!(pages(&world, "jobs?label=team:dev", "job").await, [[""; 0]]);
    assert_eq!(
        pages(&world, "jobs?pool=default&limit=4", "job").await,
        [vec!["backup", "minutely", "slow", "slow-minutely"], vec!["slow-queue"]]
    );
    assert_eq!(pages(&world, "jobs?plugin=nothing", "job").await, [[""; 0]]);
    let paused = world.post("/api/v1/jobs/slow/pause", json!({})).await;
    assert_eq!(paused.status, 200, "{paused:?}");
    assert_eq!(pages(&world, "jobs?state=paused", "job").await, [["slow"]]);
    assert_eq!(
        pages(&world, "jobs?state=active&limit=1", "job").await,
        [["backup"], ["minutely"], ["slow-minutely"], ["slow-queue"]]
    );
    assert_eq!(pages(&world, "jobs?state=removed", "job").await, [[""; 0]]);
    let told = [
        world.get("/api/v1/jobs?limit=0").await.problem(),
        world.get("/api/v1/jobs?limit=ten").await.problem(),
        world.get("/api/v1/jobs?limit=1&limit=2").await.problem(),
        world.get("/api/v1/jobs?stat=paused").await.problem(),
        world.get("/api/v1/jobs?state=asleep").await.problem(),
        world.get("/api/v1/jobs?cursor=%2F").await.problem(),
        world.get("/api/v1/jobs/slo").await.problem(),
        world.get("/api/v1/jobs/slow?verbose=1").await.problem(),
    ];
    expect_test::expect![[r#"
        400 query.invalid: `limit` is `0`; write a whole number from 1 to 1000
        400 query.invalid: `limit` is `ten`; write a whole number from 1 to 1000
        400 query.invalid: `limit` stands 2 times; say it once
        400 query.invalid: this route knows no parameter `stat`; it knows `label`, `q`, `plugin`, `pool`, `origin`, `state`, `limit`, `cursor`
        400 query.invalid: `state` is `asleep`; write `active`, `paused`, `new`, `removed`, `not_in_the_manifest`, `broken`
        400 query.invalid: `cursor`: `/` may not stand in a name: use letters, digits, `.`, `_` and `-`, and begin with a letter or a digit; write `next` of the page before, as it stands
        404 job.unknown: the host has no job `slo`; did you mean `slow`?
        400 query.invalid: this route knows no parameter `verbose`; it knows none"#]].assert_eq(&told.join("\n"));
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "the whole answer stands in it")]
async fn a_job_is_shown_with_all_that_holds_for_it() {
    let world = world().await;
    let run = world.post("/api/v1/jobs/backup/run", json!({})).await;
    of_jobs::ended(&world, run.body["id"].as_str().unwrap()).await;
    let listed = world.get("/api/v1/jobs?q=backup").await;
    let mut shown = world.get("/api/v1/jobs/backup").await;
    assert_eq!(shown.status, 200, "{shown:?}");
    let job = shown.body.as_object_mut().unwrap();
    for (name, value) in listed.body["items"][0].as_object().unwrap() {
        assert_eq!(job[name], *value, "a list tells the same");
    }
    assert_eq!(job["last_run"]["id"], run.body["id"]);
    for changing in ["next", "first_seen", "last_run"] {
        assert!(job.remove(changing).is_some_and(|value| !value.is_null()), "{changing}");
    }
    expect_test::expect![[r#"
        {
          "job": "backup",
          "state": "active",
          "paused": false,
          "paused_with_all": false,
          "pause": null,
          "settings": {
            "misfire_grace": null,
            "coalesce": "latest",
            "max_backlog": 24,
            "overlap": "skip",
            "max_instances": 1,
            "run_on_start": false,
            "retry": {
              "attempts": 1,
              "backoff": "1s",
              "max_backoff": "5m",
              "jitter_percent": 20,
              "on": []
            },
            "delivery": "at_least_once",
            "priority": 0,
            "keep": {
              "age": "30d",
              "count": 10000
            },
            "on_reload": "drain",
            "drain_deadline": null,
            "retry_on": "latest",
            "timeout": "1m",
            "limits": {
              "cpu_time": "10s",
              "memory": "64MiB",
              "table_elements": 100000,
              "instances": 64,
              "output": "1MiB",
              "fuel": null,
              "state": "1MiB",
              "startup": null,
              "host_calls": 1000000,
              "handles": 4096,
              "logs.lines": 1000,
              "logs.bytes": "256KiB",
              "files": 1000,
              "file_bytes": "1GiB",
              "http_calls": 1000,
              "http_bytes": "64MiB"
            },
            "grants": {
              "env": [],
              "dirs": [],
              "state": false,
              "secrets": [],
              "http": [],
              "network": [],
              "clock_resolution": null,
              "random_seed": null
            }
          },
          "args": null,
          "running": 0,
          "open": 0,
          "trigger": "Every 1h since the job was first seen",
          "plugin": "a",
          "call": null,
          "pool": "default",
          "store": "default",
          "after": [],
          "removed_at": null,
          "timezone": "UTC",
          "description": null,
          "labels": {
            "team": "ops"
          },
          "origin": null,
          "place": null,
          "etag": null,
          "fault": null
        }"#]]
    .assert_eq(&format!("{:#}", shown.body));
}

#[tokio::test]
async fn runs_are_listed_by_pages_the_newest_first() {
    let world = world().await;
    let mut ids = Vec::new();
    for job in ["backup", "backup", "slow", "backup"] {
        let run = world.post(&format!("/api/v1/jobs/{job}/run"), json!({})).await;
        assert_eq!(run.status, 202, "{run:?}");
        let id = run.body["id"].as_str().unwrap().to_owned();
        if job == "backup" {
            of_jobs::ended(&world, &id).await;
        }
        ids.push(id);
    }
    ids.reverse();
    assert_eq!(pages(&world, "runs?limit=3", "id").await, [&ids[..3], &ids[3..]]);
    assert_eq!(pages(&world, "runs?limit=4", "id").await, [&ids[..]]);
    assert_eq!(pages(&world, "runs?job=slow", "id").await, [&ids[1..2]]);
    assert_eq!(pages(&world, "runs?state=running", "id").await, [&ids[1..2]]);
    assert_eq!(
        pages(&world, "runs?state=ended&job=backup&limit=2", "id").await.concat(),
        [ids[0].clone(), ids[2].clone(), ids[3].clone()]
    );
    assert_eq!(pages(&world, "runs?outcome=succeeded&outcome=failed&limit=3", "id").await.len(), 1);
    assert_eq!(pages(&world, "runs?outcome=failed", "id").await, [[""; 0]]);
    assert_eq!(pages(&world, "runs?until=2020-01-01T00:00:00Z", "id").await, [[""; 0]]);
    let told = [
        world.get("/api/v1/runs?outcome=fine").await.problem(),
        world.get("/api/v1/runs?since=yesterday").await.problem(),
        world.get("/api/v1/runs?cursor=abc").await.problem(),
        world.get("/api/v1/runs?job=a%20b").await.problem(),
    ];
    expect_test::expect![[r#"
        400 query.invalid: `outcome`: `fine` is no outcome; write one of the outcomes of the documentation, such as `failed`
        400 query.invalid: `since` is no instant: premature end of input; write it with its offset, such as `2027-01-15T08:00:00Z`; a `+` is written `%2B` here
        400 query.invalid: `cursor`: it is no cursor of runs; write `next` of the page before, as it stands
        400 query.invalid: `job`: ` ` may not stand in a name: use letters, digits, `.`, `_` and `-`, and begin with a letter or a digit; write the id of a job"#]].assert_eq(&told.join("\n"));
    let again = world.post("/api/v1/jobs/slow/run", json!({})).await;
    assert_eq!(again.body["code"], "run.skipped", "{again:?}");
    let skips = world.get("/api/v1/jobs/slow/skips").await;
    assert_eq!((skips.status, &skips.body["items"][0]["reason"]), (200, &json!("overlapping")), "{skips:?}");
    assert_eq!(skips.body["items"][0]["by"], json!(ids[1]));
    for _ in 0..3 {
        world.post("/api/v1/jobs/slow/run", json!({})).await;
    }
    assert_eq!(pages(&world, "jobs/slow/skips?limit=3", "job").await.concat(), ["slow"; 4]);
}

#[tokio::test]
async fn slots_are_told_before_they_come() {
    let world = world().await;
    let slots = world.get("/api/v1/jobs/backup/slots?n=3&from=2027-01-15T12:00:00Z").await;
    assert_eq!((slots.status, slots.body["items"].as_array().map(Vec::len)), (200, Some(3)), "{slots:?}");
    let asked = json!({
        "trigger": { "cron": "30 2 * * *" },
        "timezone": "Europe/Berlin",
        "from": "2027-03-27T12:00:00Z",
        "n": 2,
    });
    let told = world.post("/api/v1/triggers/preview", asked).await;
    assert_eq!(told.status, 200, "{told:?}");
    expect_test::expect![[r#"
        {
          "trigger": "At 02:30, every day, Europe/Berlin; runs at 03:00 on 28 March 2027, when 02:30 does not exist",
          "timezone": "Europe/Berlin",
          "items": [
            {
              "at": "2027-03-28T01:00:00Z",
              "local": "2027-03-28T03:00:00+02:00",
              "note": "02:30 does not exist in Europe/Berlin on 2027-03-28; runs at 03:00"
            },
            {
              "at": "2027-03-29T00:30:00Z",
              "local": "2027-03-29T02:30:00+02:00",
              "note": null
            }
          ],
          "findings": []
        }"#]]
    .assert_eq(&format!("{:#}", told.body));
    let asked = json!({ "triggers": [{ "every": "1h", "anchor": "2027-01-15T00:00:00Z" }, { "at": "2027-01-15T12:30:00Z" }],
        "from": "2027-01-15T12:00:00Z", "until": "2027-01-15T14:00:00Z" });
    let told = world.post("/api/v1/triggers/preview", asked).await;
    let at: Vec<_> = told.body["items"].as_array().unwrap().iter().map(|slot| slot["at"].as_str().unwrap()).collect();
    assert_eq!(at, ["2027-01-15T12:00:00Z", "2027-01-15T12:30:00Z", "2027-01-15T13:00:00Z"]);
    let refused = world
        .post("/api/v1/triggers/preview", json!({ "triggers": [{ "every": "1h" }, { "cron": "61 * * * *" }] }))
        .await;
    let finding = &refused.body["findings"][0];
    let told = [
        refused.problem(),
        format!("{} {} {}", finding["path"], finding["code"], finding["severity"]),
        world.post("/api/v1/triggers/preview", json!({})).await.problem(),
        world
            .post("/api/v1/triggers/preview", json!({ "trigger": { "every": "1h" }, "timezone": "Berlin" }))
            .await
            .problem(),
        world.post("/api/v1/triggers/preview", json!({ "trigger": { "every": "1h" }, "n": 0 })).await.problem(),
        world.post("/api/v1/triggers/preview", json!({ "trigger": { "every": "1h" }, "from": "now" })).await.problem(),
        world.post("/api/v1/triggers/preview", json!({ "trigger": "x".repeat(70_000) })).await.problem(),
    ];
    expect_test::expect![[r#"
        422 trigger.invalid: the trigger is refused: 61 is out of range for the minute: 0 to 59; write 0 to 59
        "/triggers/1/cron" "trigger.syntax" "error"
        422 trigger.invalid: the body has to say either `trigger` or `triggers`; write one trigger, such as `{"trigger": {"every": "1h"}}`
        422 trigger.invalid: `timezone`: unknown time zone `Berlin`: did you mean `Europe/Berlin`?; write the name of a zone of the IANA
        422 trigger.invalid: `n` is 0; write a whole number from 1 to 1000
        422 trigger.invalid: `from` is no instant: premature end of input; write it with its offset, such as `2027-01-15T08:00:00Z`
        422 trigger.invalid: the trigger has 70002 bytes; a trigger has at most 65536"#]].assert_eq(&told.join("\n"));
}

#[tokio::test]
async fn a_run_that_has_ended_is_tried_again_for_the_same_slot() {
    let world = world().await;
    let first = world.post("/api/v1/jobs/backup/run", json!({ "payload": { "day": 3 } })).await;
    let id = first.body["id"].as_str().unwrap();
    of_jobs::ended(&world, id).await;
    let again = world.post(&format!("/api/v1/runs/{id}/retry"), json!({ "cause": "manual" })).await;
    assert_eq!(again.status, 202, "{again:?}");
    assert_ne!(again.body["id"], first.body["id"], "it is a run of its own");
    let run = of_jobs::ended(&world, again.body["id"].as_str().unwrap()).await;
    assert_eq!((&run["scheduled_for"], &run["cause"]), (&first.body["scheduled_for"], &json!("manual")), "{run:#}");
    assert_eq!((&run["payload"], &run["output"]), (&json!({ "day": 3 }), &json!({ "day": 3 })), "{run:#}");
    let slow = world.post("/api/v1/jobs/slow/run", json!({})).await;
    let going = world.post(&format!("/api/v1/runs/{}/retry", slow.body["id"].as_str().unwrap()), json!({})).await;
    assert_eq!((going.status, &going.body["code"]), (409, &json!("run.going")), "{going:?}");
}

/// Names of operations are those of functions in clients that are made from the document.
#[tokio::test]
async fn each_operation_has_a_name_of_its_own() {
    let document = world().await.get("/api/v1/openapi.json").await.body;
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let mut names: Vec<_> = operations.filter_map(|operation| operation["operationId"].as_str()).collect();
    let n_names = names.len();
    assert!(20 < n_names, "{names:?}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), n_names, "{names:?}");
}

/// RFC 3339 writes no later year than 9999, so no slot is told of one, neither in UTC nor as the clocks of its zone show it.
#[tokio::test]
async fn slots_are_told_up_to_the_year_9999() {
    let world = world().await;
    let coming = world.get("/api/v1/jobs/backup/slots?from=9999-12-31T23:30:00Z").await;
    let items = coming.body["items"].as_array().unwrap().len();
    assert!(coming.status == 200 && items <= 1, "{coming:?}");
    let asked = json!({ "trigger": { "every": "1h", "anchor": "2027-01-15T00:00:00Z" }, "timezone": "Asia/Tokyo",
        "from": "9999-12-31T22:30:00Z" });
    let told = world.post("/api/v1/triggers/preview", asked).await;
    let slot = json!({ "at": "9999-12-31T23:00:00Z", "local": "9999-12-31T23:00:00Z", "note": null });
    assert_eq!(told.body["items"], json!([slot]), "{told:?}");
    for text in ["10000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "+10000-01-01T00:00:00Z"] {
        let refused =
            world.post("/api/v1/triggers/preview", json!({ "trigger": { "every": "1h" }, "from": text })).await;
        assert_eq!((refused.status, &refused.body["code"]), (422, &json!("trigger.invalid")), "{refused:?}");
    }
}
