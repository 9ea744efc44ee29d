//! Attacks on the API over the network: rows A86 to A100. There are no pages yet and no files to serve, so what a browser
//! would do with them is judged by what it is told: types, headers, statuses.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

use serde_json::{Value as Json, json};

use crate::{
    hosted::{ends, text, wait, wait_next},
    log::Line,
    visitor::{Answer, Visited, Way},
};

const JOBS: &str = "jobs:
  canary: { plugin: typed, call: nothing, every: 1s }
  echo: { plugin: typed, call: echo-string, args: { value: \"${payload.word}\" }, every: 1h }
  idle: { plugin: typed, call: nothing, every: 1h }
";

const PAGES: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "javascript:alert(1)",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "\u{202e}\u{feff}</textarea><iframe srcdoc='<script>alert(1)</script>'>",
];

/// What every answer says, whatever it answers.
const HEADERS: [&str; 7] = [
    "content-security-policy: default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options: nosniff",
    "x-frame-options: deny",
    "referrer-policy: no-referrer",
    "cross-origin-opener-policy: same-origin",
    "cross-origin-resource-policy: same-origin",
    "cache-control: no-store",
];

#[track_caller]
fn guarded(answer: &Answer) {
    for header in HEADERS {
        assert!(answer.says(header), "`{header}` is missing: {answer:?}");
    }
    assert!(answer.head.contains("\r\nx-request-id: "), "{answer:?}");
    assert!(!answer.head.contains("access-control-"), "{answer:?}");
    assert!(!answer.head.contains("set-cookie"), "{answer:?}");
}

/// Runs the job that gives back a word, to its end.
#[track_caller]
fn echo(visited: &mut Visited, word: &str) -> Json {
    let asked = visited.post("/api/v1/jobs/echo/run", &json!({ "payload": { "word": word } }).to_string());
    assert_eq!(asked.status, 202, "{asked:?}");
    let id = text(&asked.json(), "id").to_owned();
    wait_next(&mut visited.host, "the end of echo", ends("echo"));
    visited.get(&format!("/api/v1/runs/{id}")).json()
}

fn is_paused(visited: &Visited) -> bool {
    visited.hosted.job("idle")["state"] == "paused"
}

#[test]
fn a86_pages_in_names_and_values() {
    let mut visited = Visited::with(JOBS);
    for page in PAGES {
        let run = echo(&mut visited, page);
        assert_eq!(run["output"], page, "{run:#}");
        let answer = visited.get(&format!("/api/v1/runs/{}", text(&run, "id")));
        assert!(answer.says("content-type: application/json"), "{answer:?}");
        guarded(&answer);
        let encoded: String = page.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let unknown = visited.post(&format!("/api/v1/jobs/{encoded}/pause"), "");
        assert_eq!(unknown.problem(), (404, "job.unknown".to_owned()));
        guarded(&unknown);
    }
}

#[test]
fn a87_terminals_are_told_nothing() {
    let visited = Visited::with(JOBS);
    for word in
        ["\u{1b}]0;title\u{7}", "\u{1b}]52;c;aGk=\u{7}", "\u{1b}[2J\u{9b}31m", "a\rb", "\u{1b}]8;;http://x\u{7}"]
    {
        let payload = json!({ "word": word }).to_string();
        let run = ["run", "echo", "--wait", "--host", &visited.url, "--payload", &payload];
        let shown = visited.command(&run).ends_with(0).stdout;
        assert!(shown.starts_with("echo succeeded"), "{shown:?}");
        let job = format!("no{word}job");
        let refused = visited.command(&["cancel", &job, "--host", &visited.url]).ends_with(1).stderr;
        for told in [shown, refused] {
            assert!(!told.chars().any(|c| c.is_control() && c != '\n'), "{told:?}");
        }
    }
}

#[test]
fn a88_lines_of_the_log_cannot_be_forged() {
    let mut visited = Visited::with(JOBS);
    let forged = "a%0A%7B%22level%22%3A%22INFO%22%2C%22message%22%3A%22asked%22%7D";
    visited.post(&format!("/api/v1/jobs/{forged}/pause"), "");
    echo(&mut visited, "x\n{\"level\":\"INFO\",\"message\":\"asked\"}\r\n");
    visited.ask("POST", "/api/v1/jobs/idle/pause", &[("user-agent", "x\t{\"message\":\"asked\"}")], "");
    let told = visited.audit(3);
    assert_eq!(told.len(), 3, "{told:#?}");
    assert_eq!(told[0]["path"], format!("/api/v1/jobs/{forged}/pause"));
    // Each line is an object of its own, which reading it shows.
    visited.host.log.iter().for_each(|line| drop(Line::read(line)));
}

/// There is no export for spreadsheets, and nothing is called one.
#[test]
fn a89_spreadsheets_get_nothing_to_run() {
    let mut visited = Visited::with(JOBS);
    let run = echo(&mut visited, "=HYPERLINK(\"http://evil.dev\")");
    let path = format!("/api/v1/runs/{}", text(&run, "id"));
    let answer = visited.ask("GET", &path, &[("accept", "text/csv")], "");
    assert!(answer.says("content-type: application/json") || answer.status == 406, "{answer:?}");
}

#[test]
fn a90_every_route_and_method_asks_for_a_token() {
    let visited = Visited::with(JOBS);
    let document = visited.get("/api/v1/openapi.json").json();
    let paths = document["paths"].as_object().expect("a document has paths");
    assert!(10 < paths.len(), "{document:#}");
    let mut n_open = 0;
    for (path, operations) in paths {
        let path: String =
            path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/");
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let answer = visited.bare(method, &path, &[], "");
            guarded(&answer);
            if path == "/healthz" || path == "/readyz" {
                n_open += usize::from(answer.status == 200);
                assert!([200, 405].contains(&answer.status), "{method} {path}: {answer:?}");
                continue;
            }
            assert_eq!(answer.status, 401, "{method} {path}");
            assert!(answer.says("www-authenticate: Bearer realm=\"clockjack\""), "{answer:?}");
        }
        assert!(operations.as_object().is_some_and(|operations| !operations.is_empty()), "{path}");
    }
    assert_eq!(n_open, 4, "GET and HEAD of two routes are open to all");
    for path in
        ["/", "/api", "/api/v1", "/api/v1/", "//api/v1/jobs", "/healthz/", "/healthz/../api/v1/plugins", "/metrics"]
    {
        assert_eq!(visited.bare("GET", path, &[], "").status, 401, "{path}");
    }
    for authorization in ["", "Bearer", "Bearer ", "Basic YTpi", &visited.token, &format!("Token {}", visited.token)] {
        let answer = visited.bare("GET", "/api/v1/plugins", &[("authorization", authorization)], "");
        assert!([401, 429].contains(&answer.status), "{authorization:?}: {answer:?}");
    }
}

/// Headers of a request.
type Headers = &'static [(&'static str, &'static str)];

#[test]
fn a91_other_sites_change_nothing() {
    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
    let visited = Visited::with(JOBS);
    let path = "/api/v1/jobs/idle/pause";
    let cases: [(&str, Headers, &str, u16); 8] = [
        ("POST", &[("origin", "http://evil.dev"), FORM], "a=b", 403),
        ("POST", &[("origin", "null"), FORM], "a=b", 403),
        ("POST", &[("origin", "http://evil.dev")], "{}", 403),
        ("POST", &[("sec-fetch-site", "cross-site")], "{}", 403),
        ("POST", &[FORM], "a=b", 415),
        ("POST", &[("content-type", "text/plain")], "{}", 415),
        ("POST", &[("content-type", "multipart/form-data; boundary=x")], "--x--", 415),
        ("GET", &[("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "image")], "", 403),
    ];
    for (method, headers, body, status) in cases {
        let answer = visited.ask(method, path, headers, body);
        assert_eq!(answer.status, status, "{headers:?}: {answer:?}");
        guarded(&answer);
    }
    // To read is to change nothing, whatever is read.
    for method in ["GET", "HEAD"] {
        assert_eq!(visited.ask(method, path, &[], "").status, 405);
    }
    assert!(!is_paused(&visited));
    let own = format!("http://{}", visited.address());
    assert_eq!(visited.ask("POST", path, &[("origin", &own), ("sec-fetch-site", "same-origin")], "").status, 200);
    assert!(is_paused(&visited));
}

#[test]
fn a92_other_names_are_not_answered() {
    let visited = Visited::with(&format!("api: {{ hosts: [jobs.acme.dev] }}\n{JOBS}"));
    let port = visited.address().rsplit(':').next().expect("a port").to_owned();
    let with_port = format!("localhost:{port}");
    for host in ["localhost", &with_port, "127.0.0.1:1", "[::1]", "jobs.acme.dev", "JOBS.acme.dev:80"] {
        assert_eq!(visited.ask("GET", "/api/v1/plugins", &[("host", host)], "").status, 200, "{host}");
    }
    let evil = format!("evil.dev:{port}");
    for host in ["evil.dev", &evil, "localhost.evil.dev", "127.0.0.1.evil.dev", "acme.dev", "192.168.0.1", "[::2]"] {
        for path in ["/api/v1/plugins", "/healthz", "/nowhere"] {
            let answer = visited.ask("GET", path, &[("host", host)], "");
            assert_eq!(answer.problem(), (421, "access.host".to_owned()), "{host} {path}");
            guarded(&answer);
        }
    }
    let told = |request: &str| Answer::read(&visited.raw(request.as_bytes())).status;
    assert_eq!(told("GET /healthz HTTP/1.1\r\n\r\n"), 400, "no name at all");
    assert_eq!(told("GET /healthz HTTP/1.0\r\n\r\n"), 400);
    assert_eq!(told("GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: evil.dev\r\n\r\n"), 400, "two names");
    assert_eq!(told("GET /healthz HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n"), 400);
    assert_eq!(told("GET http://evil.dev/healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"), 421);
    assert_eq!(told("GET http://localhost/healthz HTTP/1.1\r\nhost: evil.dev\r\n\r\n"), 421);
    assert_eq!(told("GET http://localhost/healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"), 200);
    assert_eq!(told("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 400, "another language");
}

#[test]
fn a93_other_sites_do_not_listen() {
    let visited = Visited::with(JOBS);
    for headers in [
        &[("origin", "http://evil.dev"), ("accept", "text/event-stream")][..],
        &[("origin", "http://evil.dev"), ("upgrade", "websocket"), ("connection", "upgrade")],
        &[("sec-fetch-site", "same-site"), ("accept", "text/event-stream")],
    ] {
        let answer = visited.ask("GET", "/api/v1/events", headers, "");
        assert_eq!(answer.problem(), (403, "access.origin".to_owned()), "{headers:?}");
        guarded(&answer);
    }
}

/// No file is served at all.
#[test]
fn a94_paths_lead_nowhere() {
    let visited = Visited::with(JOBS);
    for path in [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/%252e%252e%252fetc%252fpasswd",
        "/api/v1/..%2f..%2f..%2fetc%2fpasswd",
        "/static/..%5c..%5cetc%5cpasswd",
        "/api/v1/plugins/..%2f..%2fetc%2fpasswd",
        "/.git/config",
        "/index.html",
        "//etc/passwd",
    ] {
        let answer = visited.get(path);
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        guarded(&answer);
    }
    assert_eq!(visited.get("/%00").problem(), (400, "request.invalid".to_owned()));
}

/// Memory of a process, in KiB.
fn memory(pid: u64) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the host is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn a95_more_than_anybody_sends() {
    let mut visited = Visited::with(JOBS);
    let pid = visited.get("/api/v1/scheduler").json()["pid"].as_u64().expect("a number");
    let host = format!("host: localhost\r\nauthorization: Bearer {}\r\n", visited.token);
    let post = format!("POST /api/v1/jobs/idle/run HTTP/1.1\r\n{host}content-type: application/json\r\n");
    let told = |visited: &Visited, bytes: &str| Answer::read(&visited.raw(bytes.as_bytes())).problem().0;
    let before = memory(pid);
    assert_eq!(told(&visited, &format!("{post}content-length: 10000000000\r\n\r\n{{")), 413);
    assert_eq!(
        told(&visited, &format!("{post}content-length: 2000000\r\nconnection: close\r\n\r\n{}", "x".repeat(2_000_000))),
        413
    );
    let deep = "[".repeat(100_000);
    assert_eq!(told(&visited, &format!("{post}content-length: 100000\r\nconnection: close\r\n\r\n{deep}")), 400);
    assert_eq!(told(&visited, &format!("GET /{} HTTP/1.1\r\n{host}\r\n", "x".repeat(9_000))), 414);
    assert_eq!(told(&visited, &format!("GET / HTTP/1.1\r\n{host}x: {}\r\n\r\n", "x".repeat(20_000))), 431);
    assert_eq!(told(&visited, &format!("GET / HTTP/1.1\r\n{host}{}\r\n", "x: y\r\n".repeat(200))), 431);
    // Who is slow is not waited for.
    assert_eq!(told(&visited, "GET / HTTP/1.1\r\nhost: loc"), 408);
    assert_eq!(told(&visited, &format!("{post}connection: close\r\ncontent-length: 5\r\n\r\n{{")), 408);
    // Many that say little: some are told that there is no place, and none takes one for ever.
    let slow: Vec<TcpStream> = (0..300).map(|_| visited.connect()).collect();
    let busy = slow.iter().filter(|stream| {
        let mut stream = *stream;
        stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a bound can be set");
        let mut bytes = [0; 12];
        stream.read_exact(&mut bytes).is_ok_and(|()| bytes.ends_with(b"503"))
    });
    assert_ne!(busy.count(), 0, "there is a bound");
    drop(slow);
    for round in 0..100 {
        let many: Vec<_> = (0..100).filter_map(|_| TcpStream::connect(visited.address()).ok()).collect();
        for mut stream in many {
            drop(stream.write_all(b"GET /api"));
        }
        assert!(memory(pid) < before + (64 << 10), "after {round} rounds: {} KiB, {before} KiB before", memory(pid));
    }
    let deadline = crate::program::now() + Duration::from_secs(60);
    let again = format!("GET /api/v1/plugins HTTP/1.1\r\n{host}connection: close\r\n\r\n");
    while !visited.raw(again.as_bytes()).starts_with("HTTP/1.1 200") {
        assert!(crate::program::now() < deadline, "the others are let in again");
    }
    wait_next(&mut visited.host, "the canary", ends("canary"));
    let canary = visited.hosted.ended("canary");
    assert!(canary.iter().all(|run| run["outcome"] == "succeeded"), "{canary:#?}");
    assert!(visited.hosted.skips("canary").is_empty(), "no slot of the canary is lost");
}

#[test]
fn a96_tokens_are_neither_guessed_nor_told() {
    let mut visited = Visited::with(JOBS);
    let query = visited.bare("GET", &format!("/api/v1/plugins?token={}", visited.token), &[], "");
    assert_eq!(query.problem(), (400, "access.token_in_query".to_owned()));
    let hidden = visited.bare("GET", &format!("/api/v1/plugins?x={}", visited.token), &[], "");
    assert_eq!(hidden.problem(), (400, "access.token_in_query".to_owned()));
    let guess = |visited: &Visited, n: u32| {
        let guess = format!("Bearer cj_{n:043}");
        visited.bare("GET", "/api/v1/plugins", &[("authorization", &guess)], "")
    };
    let told: Vec<u16> = (0..8).map(|n| guess(&visited, n).status).collect();
    assert_eq!(told[..5], [401; 5], "{told:?}");
    assert!(told[5..].contains(&429), "{told:?}");
    let many = (0..20).map(|n| guess(&visited, n)).find(|answer| answer.status == 429).expect("too many");
    assert!(many.head.contains("\r\nretry-after: "), "{many:?}");
    // Who guesses on the same machine keeps nobody out.
    assert_eq!(visited.get("/api/v1/plugins").status, 200);
    let named = visited.make_token("ci", "operate");
    assert_eq!(visited.ask("POST", "/api/v1/jobs/idle/pause", &[("x-token", &named)], "").status, 200);
    let bearer = format!("Bearer {named}");
    let pause = |visited: &Visited| visited.bare("POST", "/api/v1/jobs/idle/pause", &[("authorization", &bearer)], "");
    assert_eq!(pause(&visited).status, 200);
    visited.command(&["token", "revoke", "ci"]).ends_with(0);
    assert!([401, 429].contains(&pause(&visited).status), "what is revoked ends at once");
    visited.audit(10);
    let log = visited.host.log.join("\n");
    for secret in [visited.token.as_str(), &named, "cj_0000"] {
        assert!(!log.contains(secret), "a token stands in the log");
    }
    let kept = fs::read_to_string(visited.hosted.scene.path("state/clockjack/tokens")).expect("a file of tokens");
    assert!(!kept.contains(&named), "a token is kept");
}

#[test]
fn a97_frames_that_can_be_read_in_two_ways() {
    let visited = Visited::with(JOBS);
    let post = format!(
        "POST /api/v1/jobs/idle/pause HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n",
        visited.token
    );
    let smuggled = format!("{post}\r\n");
    for rest in [
        format!("content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("transfer-encoding: chunked\r\ncontent-length: 6\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("transfer-encoding:\u{b}chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("content-length: 0\r\ncontent-length: 5\r\n\r\n{smuggled}"),
        format!("content-length: 0, 5\r\n\r\n{smuggled}"),
        format!("content-length: -1\r\n\r\n{smuggled}"),
        format!("content-length : 0\r\n\r\n{smuggled}"),
        format!("x: y\r\n folded: z\r\n\r\n{smuggled}"),
        format!("x: y\n\n{smuggled}"),
        format!("x: y\rz: y\r\n\r\n{smuggled}"),
        format!("transfer-encoding: chunked\r\n\r\nzz\r\n\r\n{smuggled}"),
        format!("transfer-encoding: chunked\r\n\r\n-1\r\n\r\n{smuggled}"),
    ] {
        let all = visited.raw(format!("{post}{rest}").as_bytes());
        let answer = Answer::read(&all);
        assert_eq!(answer.status, 400, "{rest:?}: {answer:?}");
        guarded(&answer);
        assert_eq!(all.matches("\r\nx-request-id: ").count(), 1, "the connection ends with the answer: {all:?}");
        assert!(!is_paused(&visited), "{rest:?}");
    }
    // What is framed as it should be is two requests, one behind the other.
    let two = visited.raw(format!("{post}content-length: 2\r\n\r\n{{}}{post}connection: close\r\n\r\n").as_bytes());
    assert_eq!(two.matches("HTTP/1.1 200").count(), 2, "{two:?}");
}

#[test]
fn a98_queries_that_mean_something_else() {
    let visited = Visited::with(JOBS);
    for path in [
        "/api/v1/jobs/%25/pause",
        "/api/v1/jobs/_dle/pause",
        "/api/v1/jobs/idle'%20OR%201=1--/pause",
        "/api/v1/jobs/%FF/pause",
        "/api/v1/jobs/idle%00/pause",
    ] {
        let answer = visited.post(path, "");
        assert!([400, 404].contains(&answer.problem().0), "{path}: {answer:?}");
    }
    for path in
        ["/api/v1/runs/%25", "/api/v1/runs/_", "/api/v1/runs/'", "/api/v1/runs/x?limit=%00", "/api/v1/runs/x?q=%FF%FE"]
    {
        let answer = visited.get(path);
        assert!([400, 404].contains(&answer.problem().0), "{path}: {answer:?}");
    }
    assert!(!is_paused(&visited));
}

#[test]
fn a99_every_answer_has_its_headers() {
    let visited = Visited::with(JOBS);
    let long = "x".repeat(2 << 20);
    let answers = [
        visited.get("/api/v1/plugins"),
        visited.get("/api/v1/openapi.json"),
        visited.ask("HEAD", "/api/v1/plugins", &[], ""),
        visited.ask("OPTIONS", "/api/v1/plugins", &[], ""),
        visited.ask("TRACE", "/api/v1/plugins", &[], ""),
        visited.ask("DELETE", "/api/v1/scheduler", &[], ""),
        visited.get("/nowhere"),
        visited.get("/healthz"),
        visited.get("/readyz"),
        visited.bare("GET", "/api/v1/plugins", &[], ""),
        visited.post("/api/v1/jobs/idle/run", "{"),
        visited.post("/api/v1/jobs/idle/run", &long),
        visited.post("/api/v1/jobs/nobody/run", ""),
        visited.post("/api/v1/jobs/idle/run", ""),
        Answer::read(&visited.raw(b"\x16\x03\x01")),
        Answer::read(&visited.raw(b"nonsense\r\n\r\n")),
    ];
    for answer in &answers {
        guarded(answer);
        let is_refused = answer.status == 405;
        assert_eq!(answer.head.contains("\r\nallow: "), is_refused, "{answer:?}");
    }
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 200, 405, 405, 405, 404, 200, 200, 401, 400, 413, 404, 202, 400, 400]);
    // A method that no route takes says which ones this one does, and only to who may ask.
    let traced = visited.ask("TRACE", "/api/v1/jobs/idle/definition", &[], "");
    assert!(traced.head.contains("\r\nallow: get,head\r\n"), "{traced:?}");
    assert_eq!(visited.bare("TRACE", "/api/v1/jobs/idle/definition", &[], "").status, 401);
}

#[test]
fn a100_the_same_request_again_and_at_once() {
    let mut visited = Visited::with(JOBS);
    let body = json!({ "payload": { "word": "once" } }).to_string();
    let key = [("idempotency-key", "order-7")];
    let answers: Vec<Answer> = thread::scope(|scope| {
        let (way, body, key): (&Way, _, _) = (&visited, &body, &key);
        let asking: Vec<_> =
            (0..8).map(|_| scope.spawn(move || way.ask("POST", "/api/v1/jobs/echo/run", key, body))).collect();
        asking.into_iter().map(|asking| asking.join().expect("an answer")).collect()
    });
    assert!(answers.iter().all(|answer| [202, 409].contains(&answer.status)), "{answers:#?}");
    let first: Vec<_> =
        answers.iter().filter(|answer| answer.status == 202 && !answer.says("idempotency-replayed: true")).collect();
    assert_eq!(first.len(), 1, "one of them is the first: {answers:#?}");
    wait(&mut visited.host, "the end of echo", ends("echo"));
    let again = visited.ask("POST", "/api/v1/jobs/echo/run", &key, &body);
    assert!(again.status == 202 && again.says("idempotency-replayed: true"), "{again:?}");
    assert_eq!(again.body, first[0].body, "the answer that was given before");
    assert_eq!(visited.hosted.ended("echo").len(), 1, "it happened once");
    let other = visited.ask("POST", "/api/v1/jobs/echo/run", &key, "{}");
    assert_eq!(other.problem(), (422, "idempotency.mismatch".to_owned()));
    let long = "k".repeat(257);
    let invalid = visited.ask("POST", "/api/v1/jobs/echo/run", &[("idempotency-key", &long)], &body);
    assert_eq!(invalid.problem(), (400, "idempotency.invalid".to_owned()));
    // What others say at once comes one after the other: the last word counts, and everybody reads it.
    thread::scope(|scope| {
        for n in 0..8 {
            let way: &Way = &visited;
            let verb = if n % 2 == 0 { "pause" } else { "resume" };
            scope.spawn(move || assert_eq!(way.post(&format!("/api/v1/jobs/idle/{verb}"), "").status, 200));
        }
    });
    assert_eq!(visited.post("/api/v1/jobs/idle/pause", "").json()["paused"], true);
    assert!(is_paused(&visited));
    // A restart forgets nothing of it.
    let Visited { hosted, host, .. } = visited;
    host.signal("TERM");
    host.end();
    let visited = Visited::of(hosted, &["--listen", "127.0.0.1:0"]);
    let later = visited.ask("POST", "/api/v1/jobs/echo/run", &key, &body);
    assert!(later.says("idempotency-replayed: true"), "{later:?}");
    assert_eq!(visited.hosted.ended("echo").len(), 1);
}
