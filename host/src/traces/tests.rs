//! A collector that is sent spans, and reads as much of them as the tests want to know.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    id::RunId,
    outcome::{Outcome, OutcomeCode},
    ports::{Again, Finish, Report},
    run::{Cause, Run},
    trace,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    runtime::Handle,
    sync::broadcast,
};

use super::start;
use crate::shell::Event;

/// A field of a message of protocol buffers.
enum Field<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

fn number(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (first, rest) = bytes.split_first().expect("a number ends");
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        shift += 7;
        if first & 0x80 == 0 {
            return value;
        }
    }
}

/// The fields of a message, by their numbers.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = number(&mut bytes);
        let mut take = |n: usize| {
            let (taken, rest) = bytes.split_at(n);
            bytes = rest;
            taken
        };
        let field = match tag & 7 {
            0 => Field::Number(number(&mut bytes)),
            1 => Field::Number(u64::from_le_bytes(take(8).try_into().unwrap())),
            2 => {
                let n = usize::try_from(number(&mut bytes)).unwrap();
                let (taken, rest) = bytes.split_at(n);
                bytes = rest;
                Field::Bytes(taken)
            }
            5 => Field::Number(u32::from_le_bytes(take(4).try_into().unwrap()).into()),
            other => panic!("no wire type: {other}"),
        };
        fields.push((tag >> 3, field));
    }
    fields
}

fn messages<'b>(bytes: &'b [u8], wanted: u64) -> Vec<&'b [u8]> {
    let of = |(number, field): (u64, Field<'b>)| match field {
        Field::Bytes(bytes) if number == wanted => Some(bytes),
        Field::Bytes(_) | Field::Number(_) => None,
    };
    fields(bytes).into_iter().filter_map(of).collect()
}

#[derive(Debug)]
struct Span {
    trace: u128,
    id: u64,
    parent: Option<u64>,
    times: (u64, u64),
    attributes: BTreeMap<String, String>,
    /// 1 is fine, 2 is an error.
    status: u64,
}

fn whole(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}

fn span(bytes: &[u8]) -> (String, Span) {
    let one = |number| messages(bytes, number).first().copied().unwrap_or_default();
    let time = |wanted| {
        let found = fields(bytes).into_iter().find_map(|(number, field)| match field {
            Field::Number(value) if number == wanted => Some(value),
            Field::Number(_) | Field::Bytes(_) => None,
        });
        found.unwrap()
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let attribute = |bytes: &[u8]| {
        let value = messages(bytes, 2).first().map(|value| messages(value, 1).first().map(|value| text(value)));
        (text(messages(bytes, 1)[0]), value.flatten().unwrap_or_default())
    };
    let status = fields(one(15)).into_iter().find_map(|(number, field)| match field {
        Field::Number(value) if number == 3 => Some(value),
        Field::Number(_) | Field::Bytes(_) => None,
    });
    let parent = one(4);
    let span = Span {
        trace: u128::from_be_bytes(one(1).try_into().unwrap()),
        id: whole(one(2)),
        parent: (!parent.is_empty()).then(|| whole(parent)),
        times: (time(7), time(8)),
        attributes: messages(bytes, 9).into_iter().map(attribute).collect(),
        status: status.unwrap_or_default(),
    };
    (text(one(5)), span)
}

/// Takes one request and gives its body.
async fn collect(listener: TcpListener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4_096];
        let n = stream.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..n]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap().parse().unwrap();
        if bytes.len() == end + 4 + length {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            return bytes.split_off(end + 4);
        }
    }
}

fn finish(run: &Run, code: OutcomeCode, number: u32, began: DateTime<Utc>) -> Finish {
    Finish {
        run: run.id,
        job: run.job.clone(),
        started_at: Some(began),
        finished_at: began + TimeDelta::milliseconds(70),
        duration: Duration::from_millis(70),
        n_attempts: number,
        report: Report::without_guest(Outcome::ended(code, "why")),
        state: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_a_trace_and_its_attempts_are_spans_below_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let (sender, events) = broadcast::channel(16);
    let traces = start(events, &Handle::current(), Some(endpoint)).unwrap();
    let slot: DateTime<Utc> = "2026-11-22T10:00:00Z".parse().unwrap();
    let job = "report".parse().unwrap();
    let id = RunId::of_slot(&job, slot);
    let run = Run { id, job, scheduled_for: slot, due_at: slot, cause: Cause::Schedule, payload: None };
    let run = Arc::new(run);
    let began = slot + TimeDelta::milliseconds(5);
    let again = Again { finish: finish(&run, OutcomeCode::Failed, 1, began), retry_at: began };
    sender.send(Event::AttemptEnded { run: Arc::clone(&run), again: Arc::new(again) }).unwrap();
    let done = finish(&run, OutcomeCode::Succeeded, 2, slot + TimeDelta::seconds(1));
    sender.send(Event::RunFinished { run: Arc::clone(&run), finish: Arc::new(done) }).unwrap();
    let body = tokio::time::timeout(Duration::from_secs(60), collect(listener)).await.unwrap();
    traces.end().await;
    let scopes = messages(&body, 1).into_iter().flat_map(|resource| messages(resource, 2));
    let spans: BTreeMap<_, _> = scopes.flat_map(|scope| messages(scope, 2)).map(span).collect();
    let names: Vec<_> = spans.keys().map(String::as_str).collect();
    assert_eq!(names, ["report", "report attempt 1", "report attempt 2"]);
    let (whole, first, second) = (&spans["report"], &spans["report attempt 1"], &spans["report attempt 2"]);
    assert!(spans.values().all(|span| span.trace == id.as_u128()));
    assert_eq!((whole.id, whole.parent), (trace::run_span(id), None));
    assert_eq!((first.id, first.parent), (trace::attempt_span(id, 1), Some(whole.id)));
    assert_eq!((second.id, second.parent), (trace::attempt_span(id, 2), Some(whole.id)));
    let nanos = |at: DateTime<Utc>| u64::try_from(at.timestamp_nanos_opt().unwrap()).unwrap();
    assert_eq!(whole.times, (nanos(slot), nanos(slot + TimeDelta::milliseconds(1_070))));
    assert_eq!(first.times.0, nanos(began));
    assert_eq!([first.status, second.status, whole.status], [2, 1, 1]);
    assert_eq!(first.attributes["clockjack.outcome"], "failed");
    assert_eq!(whole.attributes["clockjack.scheduled_for"], "2026-11-22T10:00:00.000Z");
    // What a guest passes on leads to its span.
    assert_eq!(trace::traceparent(id, 2), format!("00-{:032x}-{:016x}-01", second.trace, second.id));
}
