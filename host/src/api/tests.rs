//! The routes over a real socket, before a real ring with a scripted executor and a scripted reloader.

use std::{path::PathBuf, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use clockjack_ledger::MemoryLedger;
use clockjack_schedule::{
    diagnostic::Source,
    id::{JobId, PoolName},
    job::Ceilings,
    manifest::{
        directories::Found,
        resolve::{ResolveOptions, resolve_partial},
    },
    outcome::{Outcome, OutcomeCode},
    ports::{
        ArgsMisfit, Attempt, Clock, DocumentKind, Executor, Ledger, LogLevel, LogLine, PortFuture, Report, RunFilter,
        Said,
    },
    run::Cause,
    zone::Zones,
};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    runtime::Handle,
    sync::{mpsc, watch},
};

use super::{
    About, Api, Server,
    access::Answers,
    router, serve,
    socket::{Place, Socket},
};
use crate::{
    clock::SystemClock,
    hot::{PluginView, Reloader, Wish},
    operate::{self, Ending, OperateParts, Operating, Operator},
    shell::{Host, HostParts},
};

mod of_definitions;
mod of_events;
mod of_jobs;
mod of_operating;
mod of_parameters;
pub(crate) mod of_plugins;
mod of_reads;

const MANIFEST: &str = "
version: 1
jobs:
  backup: { plugin: ./a.wasm, every: 1h, labels: { team: ops } }
  slow: { plugin: ./a.wasm, every: 1h }
  slow-queue: { plugin: ./a.wasm, every: 1h, overlap: queue }
  minutely: { plugin: ./a.wasm, cron: '* * * * *' }
  slow-minutely: { plugin: ./a.wasm, cron: '* * * * *' }
";

/// Runs of slow jobs go on until somebody ends them; all others end at once, with the payload as their output.
struct Scripted;

impl Executor for Scripted {
    fn check_args(&self, _job: &JobId, args: &Json) -> Result<(), ArgsMisfit> {
        match args["dais"] {
            Json::Null => Ok(()),
            _ => Err(ArgsMisfit { path: "args.dais".to_owned(), message: "there is no such parameter".to_owned() }),
        }
    }

    fn execute(&self, attempt: Attempt) -> PortFuture<'static, Report> {
        Box::pin(async move {
            if !attempt.run.job.as_str().starts_with("slow") {
                let payload = attempt.run.payload.as_ref().map(|payload| payload.json().clone());
                return Report::without_guest(Outcome::succeeded(payload));
            }
            let line = LogLine {
                at: attempt.started_at,
                level: LogLevel::Info,
                message: "half of it".to_owned(),
                fields: Vec::new(),
            };
            if let Some(listener) = &attempt.live.0 {
                let half = Said::Progress { done: 1, total: Some(2), message: "half".to_owned() };
                let wrote = Said::Wrote { is_stderr: false, text: "a line".to_owned() };
                for said in [half, Said::Log(line.clone()), wrote] {
                    listener.hear(&attempt.run, attempt.number, said);
                }
            }
            while !attempt.stop.is_requested() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let outcome = Outcome::ended(OutcomeCode::Cancelled, "cancelled on request");
            Report { logs: vec![line], ..Report::without_guest(outcome) }
        })
    }
}

/// A host that answers, with what its reloader is asked and shows.
struct World {
    folder: TempDir,
    host: Host,
    ledger: Arc<dyn Ledger>,
    _operating: Operating,
    operator: Operator,
    server: Server,
    wishes: mpsc::Receiver<Wish>,
    shown: watch::Sender<Arc<[PluginView]>>,
}

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Json,
}

impl Answer {
    /// The status, the code, what is the matter and what to do.
    fn problem(&self) -> String {
        assert!(self.head.contains("application/problem+json"), "{self:?}");
        let text = |key: &str| self.body[key].as_str().unwrap_or_default();
        assert_eq!(self.body["status"], self.status);
        assert_eq!(text("type"), format!("urn:clockjack:problem:{}", text("code")));
        format!("{} {}: {}; {}", self.status, text("code"), text("detail"), text("fix"))
    }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

async fn world() -> World {
    let (zones, folders, ceilings) = (Zones::bundled(), [PathBuf::new()], Ceilings::default());
    let options = ResolveOptions {
        zones: &zones,
        variables: &|_| None,
        folders: &folders,
        ceilings: &ceilings,
        n_named: 1,
        found: Found::default(),
    };
    let (manifest, found) = resolve_partial(&[Source::new("clockjack.yaml", MANIFEST)], &options);
    assert!(!found.has_errors(), "{found:?}");
    let (ledger, clock): (Arc<dyn Ledger>, Arc<dyn Clock>) = (Arc::new(MemoryLedger::default()), Arc::new(SystemClock));
    let host = Host::start(HostParts {
        clock: Arc::clone(&clock),
        ledger: Arc::clone(&ledger),
        executor: Arc::new(Scripted),
        guests: Handle::current(),
        pools: [(PoolName::default(), 8.try_into().unwrap())].into(),
    });
    host.take_in(manifest.jobs.into_values().collect()).await.unwrap();
    let (reloader, wishes, shown) = Reloader::new();
    let about = About {
        started_at: at("2027-01-15T12:00:00Z"),
        files: vec!["clockjack.yaml".into()],
        ledger: "memory:".to_owned(),
    };
    let kept = Arc::clone(&ledger);
    let folder = TempDir::new().unwrap();
    let socket = Socket::open(&Place::Given(folder.path().join("s"))).await.unwrap();
    let parts = OperateParts { clock: Arc::clone(&clock), ledger: Arc::clone(&ledger), host: host.handle() };
    let (operator, operating) = operate::start(parts, Ending::new(Duration::from_secs(10)), &Handle::current());
    let api = Api {
        host: host.handle(),
        ledger,
        clock,
        reloader,
        executor: Arc::new(Scripted),
        operator: operator.clone(),
        about,
        answers: Answers::default(),
    };
    let server = serve(socket, router(api), &Handle::current());
    let world = World { folder, host, ledger: kept, _operating: operating, operator, server, wishes, shown };
    while world.get("/api/v1/scheduler").await.body["jobs"] != 5 {
        tokio::task::yield_now().await;
    }
    world
}

impl World {
    async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.folder.path().join("s")).await.unwrap()
    }

    async fn send(&self, request: &str) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?} for {request}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        let head = head.to_ascii_lowercase();
        Answer { status, head, body: serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}")) }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
    }

    async fn post_text(&self, path: &str, body: &str) -> Answer {
        let head =
            format!("host: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
        self.send(&format!("POST {path} HTTP/1.1\r\n{head}\r\n\r\n{body}")).await
    }

    async fn post(&self, path: &str, body: Json) -> Answer {
        self.post_text(path, &body.to_string()).await
    }
}

#[tokio::test]
async fn the_host_says_what_it_is() {
    let world = world().await;
    while world.get("/api/v1/pools").await.body["items"] == json!([]) {
        tokio::task::yield_now().await;
    }
    let mut told = world.get("/api/v1/scheduler").await;
    assert_eq!(told.status, 200, "{told:?}");
    assert!(told.body["last_reload"].is_string() && told.body["uptime_seconds"].is_u64(), "{told:?}");
    for changing in ["last_reload", "uptime_seconds"] {
        told.body.as_object_mut().unwrap().remove(changing);
    }
    let pool = json!({ "pool": "default", "size": 8, "running": 0, "waiting": 0, "isolation": "none" });
    let expected = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "started_at": "2027-01-15T12:00:00Z",
        "files": ["clockjack.yaml"],
        "ledger": "memory:",
        "jobs": 5,
        "plugins": 0,
        "state": "running",
        "pause": null,
        "jobs_by_state": { "active": 5, "paused": 0, "broken": 0 },
        "runs_running": 0,
        "runs_waiting": 0,
        "runs_ended": 0,
        "ledger_held": false,
        "zone_rules": "",
        "manifest_ok": true,
        "pools": [pool],
    });
    assert_eq!(told.body, expected);
    assert_eq!(world.get("/api/v1/pools").await.body, json!({ "items": [pool] }));
    assert_eq!(world.get("/api/v1/pools/default").await.body, pool);
    let unknown = world.get("/api/v1/pools/defualt").await.problem();
    assert_eq!(unknown, "404 pool.unknown: the host has no pool `defualt`; did you mean `default`?");
}

#[tokio::test]
async fn a_host_that_is_paused_or_busy_says_so() {
    let world = world().await;
    world.post("/api/v1/jobs/slow/pause", json!({})).await;
    let one = world.get("/api/v1/scheduler").await.body;
    assert_eq!(one["jobs_by_state"], json!({ "active": 4, "paused": 1, "broken": 0 }), "{one}");
    world.post("/api/v1/scheduler/pause", json!({ "note": "a move" })).await;
    let all = world.get("/api/v1/scheduler").await.body;
    assert_eq!((&all["state"], &all["pause"]["note"]), (&json!("paused"), &json!("a move")), "{all}");
    assert_eq!(all["jobs_by_state"]["active"], 0, "{all}");
    world.post("/api/v1/scheduler/resume", json!({})).await;
    let run = world.post("/api/v1/jobs/slow-queue/run", json!({})).await.body;
    loop {
        let told = world.get("/api/v1/scheduler").await.body;
        assert_eq!(told["state"], "running", "{told}");
        if told["runs_running"] == 1 && told["pools"][0]["running"] == 1 {
            break;
        }
    }
    world.post(&format!("/api/v1/runs/{}/cancel", run["id"].as_str().unwrap()), json!({})).await;
    while world.get("/api/v1/scheduler").await.body["runs_ended"] != 1 {
        tokio::task::yield_now().await;
    }
}

/// Whatever is wrong with a request: it is a problem with a code, never an empty page, and the host answers the next one.
#[tokio::test]
async fn what_cannot_be_answered_says_why() {
    let world = world().await;
    let mut told = Vec::new();
    told.push(world.get("/api/v1/pluginz").await.problem());
    told.push(world.get("/").await.problem());
    let method = world.get("/api/v1/jobs/backup/pause").await;
    assert!(method.head.contains("\r\nallow: post"), "{method:?}");
    told.push(method.problem());
    told.push(world.post("/api/v1/plugins", json!({})).await.problem());
    told.push(world.post("/api/v1/jobs/backup/resume", json!({ "form": "now" })).await.problem());
    told.push(world.post("/api/v1/jobs/backup/resume", json!({ "from": "then" })).await.problem());
    told.push(world.post("/api/v1/jobs/backup/pause", json!({ "from": "now" })).await.problem());
    told.push(world.post_text("/api/v1/jobs/backup/run", "{ \"key\": ").await.problem());
    told.push(world.post_text("/api/v1/jobs/backup/run", &format!("\"{}\"", "x".repeat(1 << 20))).await.problem());
    let form = "POST /api/v1/plan HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    told.push(world.send(form).await.problem());
    told.push(world.get("/api/v1/runs/%FF").await.problem());
    told.push(world.post("/api/v1/plan", json!({ "files": ["clockjack.yaml"] })).await.problem());
    expect_test::expect![[r#"
        404 route.unknown: there is no route `/api/v1/pluginz`; every route begins with `/api/v1/`, such as `/api/v1/plugins`
        404 route.unknown: there is no route `/`; every route begins with `/api/v1/`, such as `/api/v1/plugins`
        405 method.not_allowed: `/api/v1/jobs/backup/pause` cannot be asked with GET; the header `allow` of this answer names the methods of the route
        405 method.not_allowed: `/api/v1/plugins` cannot be asked with POST; the header `allow` of this answer names the methods of the route
        400 request.invalid: the body of the request cannot be used: unknown field `form`, expected `from` at line 1 column 7; send a JSON object with the keys of this route
        422 resume.invalid: `from` is `then`; write `now`, `last`, or an instant such as `2027-01-15T08:00:00Z`
        400 request.invalid: the body of the request cannot be used: unknown field `from`, expected `note` or `until` at line 1 column 7; send a JSON object with the keys of this route
        400 request.invalid: the body of the request cannot be used: EOF while parsing a value at line 1 column 9; send a JSON object with the keys of this route
        413 request.too_large: the body of the request has more than 1048576 bytes; put what is large into a file that the job may read, and send its name
        415 request.media_type: the body of the request is not said to be JSON; send the body as JSON with the header `Content-Type: application/json`
        400 request.invalid: the path of the request cannot be used: Invalid URL: Invalid UTF-8 in `run`; write names as UTF-8, percent-encoded
        400 request.invalid: `files` names `clockjack.yaml`, and the host does not know from which folder; send whole paths, which begin with `/`"#]].assert_eq(&told.join("\n"));
}

/// Somebody who says nothing does not stay for ever.
#[tokio::test(start_paused = true)]
async fn a_connection_that_asks_for_nothing_is_closed() {
    let world = world().await;
    for begun in ["", "GET /api/v1/plugins HTTP/1.1\r\nhost:"] {
        let mut silent = world.connect().await;
        silent.write_all(begun.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        // Time is paused, so it goes on by itself to the next thing that waits for it.
        let closed = tokio::time::timeout(Duration::from_secs(120), silent.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "{begun:?} is still waited for after two minutes");
    }
    // A body that does not come is given up too, with words.
    let slow = "POST /api/v1/plan HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
                content-length: 2\r\n\r\n{";
    let told = world.send(slow).await;
    assert_eq!((told.status, &told.body["code"]), (408, &json!("request.slow")), "{told:?}");
}

#[tokio::test]
async fn the_end_of_the_server_takes_the_socket_away() {
    let world = world().await;
    let path = world.folder.path().join("s");
    assert!(path.exists());
    let (idle, mut asking) = (world.connect().await, world.connect().await);
    // A reload that nobody answers.
    asking.write_all(b"POST /api/v1/scheduler/reload HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let World { server, mut wishes, .. } = world;
    let wish = wishes.recv().await;
    assert!(matches!(wish, Some(Wish::Reload { .. })), "{wish:?}");
    tokio::time::timeout(Duration::from_secs(60), server.end()).await.expect("no connection holds up the end");
    assert!(!path.exists());
    let mut rest = Vec::new();
    drop(asking.read_to_end(&mut rest).await);
    assert!(rest.is_empty(), "what was not answered is not answered by half");
    drop((idle, wish));
}

#[test]
fn only_the_user_and_the_administrator_may_ask() {
    use super::listen::may_ask;
    assert!(may_ask(1000, 1000) && may_ask(0, 1000));
    assert!(!may_ask(1001, 1000) && !may_ask(1000, 0));
}
