//! Events and logs over a real socket: pages, streams, readers that do not read.

use clockjack_schedule::id::JobId;

use super::*;
use crate::shell::Event;

/// A stream that is being read.
struct Stream {
    socket: UnixStream,
    text: String,
}

impl Stream {
    async fn open(world: &World, path: &str, headers: &str) -> Self {
        let mut socket = world.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        Self { socket, text: String::new() }
    }

    /// Follows events.
    async fn events(world: &World, query: &str, headers: &str) -> Self {
        let mut stream =
            Self::open(world, &format!("/api/v1/events{query}"), &format!("accept: text/event-stream\r\n{headers}"))
                .await;
        // The first frame says from where on it is told.
        stream.until("id: ").await;
        stream
    }

    /// Reads until there is this text, for a minute at the most.
    async fn until(&mut self, text: &str) {
        let read = async {
            while !self.text.contains(text) {
                let mut bytes = vec![0; 4_096];
                let n_bytes = self.socket.read(&mut bytes).await.unwrap();
                assert_ne!(n_bytes, 0, "the stream ended before `{text}`: {}", self.text);
                self.text.push_str(&String::from_utf8_lossy(&bytes[..n_bytes]));
            }
        };
        let read = tokio::time::timeout(Duration::from_secs(60), read).await;
        assert!(read.is_ok(), "no `{text}` within a minute");
    }

    /// Reads to the end.
    async fn finish(&mut self) {
        self.until("\r\n0\r\n\r\n").await;
    }

    /// The events with their data, in order.
    fn frames(&self) -> Vec<(String, Json)> {
        let lines: Vec<_> = self.text.lines().collect();
        let frames = lines.windows(2).filter_map(|pair| {
            let event = pair[0].strip_prefix("event: ")?;
            Some((event.to_owned(), serde_json::from_str(pair[1].strip_prefix("data: ")?).ok()?))
        });
        frames.collect()
    }
}

fn names(frames: &[(String, Json)]) -> Vec<&str> {
    frames.iter().map(|(name, _)| name.as_str()).collect()
}

/// Runs a job and answers with the id of its run when that has ended.
async fn run_to_end(world: &World, job: &str) -> String {
    let asked = world.post(&format!("/api/v1/jobs/{job}/run"), json!({})).await;
    let id = asked.body["id"].as_str().unwrap().to_owned();
    while world.get(&format!("/api/v1/runs/{id}")).await.body["state"] != "ended" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    id
}

#[tokio::test]
async fn what_happened_is_read_page_by_page_and_followed() {
    let world = world().await;
    let mut stream = Stream::events(&world, "?type=run.*", "").await;
    let run = run_to_end(&world, "backup").await;
    stream.until("event: run.finished").await;
    assert_eq!(names(&stream.frames()), ["run.queued", "run.started", "run.finished"]);
    let page = world.get("/api/v1/events?limit=3").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(page.body["events"][0]["type"], "scheduler.started");
    assert_eq!((&page.body["events"][2]["id"], &page.body["next"]), (&json!(3), &json!(3)));
    let rest = world.get(&format!("/api/v1/events?after=3&run={run}&type=run.finished,job.*")).await;
    let events = rest.body["events"].as_array().unwrap();
    assert_eq!(events.len(), 1, "{rest:?}");
    assert_eq!((&events[0]["run"], &events[0]["outcome"]), (&json!(run), &json!("succeeded")));
    assert_eq!((&events[0]["attempts"], &events[0]["error"]), (&json!(1), &Json::Null));
    assert!(events[0]["lateness_ms"].is_number(), "{events:?}");
    // From where another one had been, with the header before the query; and to the end of what is kept.
    let id = events[0]["id"].as_u64().unwrap();
    let headers = format!("last-event-id: {}\r\n", id - 1);
    let mut again = Stream::events(&world, "?follow=false&after=0", &headers).await;
    again.finish().await;
    assert_eq!(again.frames()[0], ("run.finished".to_owned(), events[0].clone()));
    let none = world.get("/api/v1/events?job=nobody").await;
    assert_eq!((none.status, &none.body["events"]), (200, &json!([])));
}

#[tokio::test]
async fn jobs_tell_when_they_are_paused_and_what_is_asked_wrongly_says_why() {
    let world = world().await;
    for word in ["pause", "pause", "resume"] {
        world.post(&format!("/api/v1/jobs/backup/{word}"), json!({})).await;
    }
    let page = world.get("/api/v1/events?job=backup&type=job.*").await;
    let kinds: Vec<_> = page.body["events"].as_array().unwrap().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, ["job.added", "job.paused", "job.resumed"], "{page:?}");
    let mut told = Vec::new();
    for query in ["type=run.finisht", "type=", "after=-1", "limit=0", "run=12", "follow=yes", "since=1h", "job=a&job=b"]
    {
        told.push(world.get(&format!("/api/v1/events?{query}")).await.problem());
    }
    let bad = "GET /api/v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept: text/event-stream\r\nlast-event-id: \
               x\r\n\r\n";
    told.push(world.send(bad).await.problem());
    told.push(world.get("/api/v1/runs/nobody@latest/logs?follow=true").await.problem());
    expect_test::expect![[r#"
        400 events.unknown_type: there are no events of the type `run.finisht`; did you mean `run.finished`?
        400 events.unknown_type: there are no events of the type ``; types are words such as `run.finished`, or all of a family: `run.*`
        400 query.invalid: `after` is `-1`; write a whole number from 0 to 9007199254740991
        400 query.invalid: `limit` is `0`; write a whole number from 1 to 10000
        400 query.invalid: `run` is not the whole id of a run; write the whole id of a run
        400 query.invalid: `follow` is `yes`; write `true`, `false`
        400 query.invalid: `since` is no instant: premature end of input; write it with its offset, such as `2027-01-15T08:00:00Z`; a `+` is written `%2B` here
        400 query.invalid: `job` stands 2 times; say it once
        400 events.bad_id: `Last-Event-ID` is no number of an event; send the `id` of the last event that was received, as it was received
        404 run.unknown: neither the ledger nor the manifest has a job `nobody`; the jobs are backup, minutely, slow, slow-minutely, slow-queue"#]]
    .assert_eq(&told.join("\n"));
}

#[tokio::test]
async fn a_stream_ends_with_as_many_events_as_were_asked_for() {
    let world = world().await;
    for query in ["?after=0&limit=3", "?after=0&limit=3&follow=false"] {
        let mut stream = Stream::events(&world, query, "").await;
        stream.finish().await;
        assert_eq!(stream.frames().len(), 3, "{query}: {}", stream.text);
    }
}

#[tokio::test]
async fn events_are_found_by_their_time_and_from_the_newest_back() {
    let world = world().await;
    let ids = |page: &Answer| -> Vec<u64> {
        let events = page.body["events"].as_array().unwrap();
        events.iter().map(|event| event["id"].as_u64().unwrap()).collect()
    };
    let started = world.get("/api/v1/events?last=1&type=scheduler.started").await;
    assert_eq!((ids(&started), &started.body["looked_back_to"]), (vec![1], &Json::Null), "{started:?}");
    run_to_end(&world, "backup").await;
    let ended = world.get("/api/v1/events?type=run.finished").await;
    let (at, id) = (ended.body["events"][0]["at"].as_str().unwrap(), ids(&ended)[0]);
    let since = world.get(&format!("/api/v1/events?since={at}")).await;
    assert!(ids(&since).contains(&id) && !ids(&since).contains(&1), "{since:?}");
    let never = world.get("/api/v1/events?since=2999-01-01T00:00:00Z").await;
    assert_eq!(ids(&never), [0; 0], "{never:?}");
    let mut stream = Stream::events(&world, &format!("?since={at}&limit=1&type=run.finished"), "").await;
    stream.finish().await;
    assert_eq!(stream.frames(), [("run.finished".to_owned(), ended.body["events"][0].clone())]);
}

/// Who does not read is told so when he reads again, and has cost nobody anything.
#[tokio::test]
async fn a_reader_that_does_not_read_is_dropped() {
    let world = world().await;
    let mut stream = Stream::events(&world, "", "").await;
    let job: JobId = "nobody".parse().unwrap();
    for _ in 0..40_000 {
        world.host.handle().publish(Event::JobRemoved(job.clone()));
        if world.host.bus().journal().newest().is_some_and(|newest| newest % 1_000 == 0) {
            // What is told is read once the ledger has it; before that nobody is slow.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    run_to_end(&world, "backup").await;
    stream.until("event: dropped").await;
    stream.finish().await;
    let frames = stream.frames();
    let (last, before) = (&frames[frames.len() - 1], &frames[frames.len() - 2]);
    assert_eq!((last.0.as_str(), &last.1["code"]), ("dropped", &json!("events.too_slow")));
    let ids: Vec<_> = frames.iter().filter_map(|(_, data)| data["id"].as_u64()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] + 1 == pair[1]), "up to there nothing is missing");
    assert!(ids.len() < 40_000);
    // It comes back with what it has, and misses nothing.
    let id = before.1["id"].as_u64().unwrap();
    let page = world.get(&format!("/api/v1/events?after={id}&limit=1")).await;
    assert_eq!(page.body["events"][0]["id"], id + 1, "{page:?}");
}

#[tokio::test]
async fn there_are_so_many_streams_and_each_frees_its_place() {
    let world = world().await;
    let mut streams = Vec::new();
    for _ in 0..crate::shell::journal::READERS_MAX {
        streams.push(Stream::events(&world, "", "").await);
    }
    let request = "GET /api/v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept: text/event-stream\r\n\r\n";
    let refused = world.send(request).await;
    assert_eq!((refused.status, &refused.body["code"]), (503, &json!("events.too_many")));
    assert_eq!(world.get("/api/v1/events").await.status, 200, "a page needs no place");
    streams.pop();
    // The host notices when it writes, or reads the end.
    while world.host.bus().journal().seat().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_run_is_heard_while_it_goes_on_and_to_its_end() {
    let world = world().await;
    let asked = world.post("/api/v1/jobs/slow/run", json!({})).await;
    let id = asked.body["id"].as_str().unwrap().to_owned();
    let mut stream = Stream::open(&world, &format!("/api/v1/runs/{id}/logs?follow=true"), "").await;
    stream.until("\"half of it\"").await;
    let logs = world.get("/api/v1/runs/slow@latest/logs").await;
    assert_eq!(logs.status, 200, "{logs:?}");
    assert_eq!((&logs.body["attempt"], &logs.body["outcome"]), (&json!(1), &Json::Null));
    assert_eq!((&logs.body["logs"][0]["message"], &logs.body["stdout"]), (&json!("half of it"), &json!("a line\n")));
    world.post(&format!("/api/v1/runs/{id}/cancel"), json!({})).await;
    stream.finish().await;
    let frames = stream.frames();
    let told: Vec<_> = names(&frames).into_iter().filter(|name| !["started", "progress"].contains(name)).collect();
    assert_eq!(told, ["log", "stdout", "end"], "{frames:#?}");
    assert_eq!(frames.last().unwrap().1["outcome"], "cancelled");
    let progress = world.get(&format!("/api/v1/events?run={id}&type=run.progress")).await;
    let event = &progress.body["events"][0];
    assert_eq!((&event["done"], &event["total"], &event["message"]), (&json!(1), &json!(2), &json!("half")));
    // What has ended is in the ledger, and is told from there.
    let mut again = Stream::open(&world, &format!("/api/v1/runs/{id}/logs?follow=true"), "").await;
    again.finish().await;
    assert_eq!(names(&again.frames()), ["log", "end"]);
    let ended = world.get(&format!("/api/v1/runs/{id}/logs?attempt=1")).await;
    assert_eq!((&ended.body["outcome"], &ended.body["job"]), (&json!("cancelled"), &json!("slow")), "{ended:?}");
    let missing = world.get(&format!("/api/v1/runs/{id}/logs?attempt=2")).await;
    assert!(missing.problem().starts_with("404 attempt.unknown: "), "{missing:?}");
}
