//! Who gets into a host over the network: addresses, certificates, tokens and roles, and the commands that come that way.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::json;

use crate::{
    egress_server::certificates,
    hosted::{Hosted, wait},
    program::{Ended, clockjack},
    visitor::{Answer, Visited},
};

const JOBS: &str = "jobs:
  idle: { plugin: typed, call: nothing, every: 1h }
  other: { plugin: typed, call: nothing, every: 1h }
";

#[test]
fn other_machines_are_listened_to_only_with_tls_or_on_ones_own_word() {
    let exposed = "api: { listen: \"0.0.0.0:0\" }\n";
    let hosted = Hosted::with(&format!("{exposed}{JOBS}"));
    let refused = hosted.up(&["--for", "1s"]).ends_with(1).stderr;
    for word in ["api.exposed", "0.0.0.0:0", "--insecure", "tls"] {
        assert!(refused.contains(word), "{refused}");
    }
    let refused = Hosted::with(JOBS).up(&["--listen", "192.0.2.1:80", "--for", "1s"]).ends_with(1).stderr;
    assert!(refused.contains("api.exposed"), "{refused}");
    let mut loud = Visited::of(hosted, &["--insecure"]);
    wait(&mut loud.host, "a warning", |line| line.message.starts_with("INSECURE"));
    let missing = Hosted::with(&format!("api: {{ tls: {{ cert: ./no.pem, key: ./no.key }} }}\n{JOBS}"));
    let refused = missing.up(&["--for", "1s"]).ends_with(1).stderr;
    assert!(refused.contains("api.tls") && refused.contains("no.pem"), "{refused}");
}

#[test]
fn a_token_opens_what_its_role_says() {
    let visited = Visited::with(JOBS);
    let mode =
        fs::metadata(visited.hosted.scene.path("state/clockjack/token")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let requests = [
        ("GET", "/api/v1/plugins", 0),
        ("GET", "/api/v1/scheduler", 0),
        ("POST", "/api/v1/jobs/idle/pause", 1),
        ("POST", "/api/v1/jobs/idle/resume", 1),
        ("POST", "/api/v1/plan", 2),
        ("POST", "/api/v1/scheduler/reload", 2),
        ("DELETE", "/api/v1/jobs/idle", 2),
        ("PUT", "/api/v1/plugins/x", 2),
    ];
    for (level, role) in ["read", "operate"].iter().enumerate() {
        let bearer = format!("Bearer {}", visited.make_token(role, role));
        for (method, path, need) in requests {
            let answer = visited.bare(method, path, &[("authorization", &bearer)], "");
            if need <= level {
                assert_eq!(answer.status, 200, "{role}: {method} {path}: {answer:?}");
            } else {
                assert_eq!(answer.problem(), (403, "access.role".to_owned()), "{role}: {method} {path}");
            }
        }
    }
    let list = visited.command(&["token", "list", "-o", "json"]).ends_with(0).json();
    assert_eq!((&list[0]["name"], &list[1]["role"]), (&json!("read"), &json!("operate")), "{list:#}");
    let again = visited.command(&["token", "create", "read"]).ends_with(1).stderr;
    assert!(again.contains("there is a token `read` already"), "{again}");
    visited.command(&["token", "revoke", "nobody"]).ends_with(1);
}

#[test]
fn every_write_and_every_refusal_is_told_with_who_and_what() {
    let mut visited = Visited::with(JOBS);
    let named = format!("Bearer {}", visited.make_token("ci", "operate"));
    let paused = visited.bare("POST", "/api/v1/jobs/idle/pause", &[("authorization", &named)], "");
    assert_eq!(paused.status, 200, "{paused:?}");
    visited.bare("POST", "/api/v1/plan?x=secret", &[("authorization", &named)], "");
    visited.bare("GET", "/api/v1/plugins", &[], "");
    visited.command(&["resume", "idle"]).ends_with(0);
    visited.get("/api/v1/plugins");
    let told = visited.audit(4);
    let shown: Vec<_> = told.iter().map(|line| [&line["who"], &line["path"], &line["status"], &line["code"]]).collect();
    assert_eq!(shown[0], [&json!("ci"), &json!("/api/v1/jobs/idle/pause"), &json!(200), &json!("")]);
    assert_eq!(shown[1], [&json!("ci"), &json!("/api/v1/plan"), &json!(403), &json!("access.role")]);
    assert_eq!(shown[2][3], &json!("access.token"));
    assert!(shown[3][0].as_str().is_some_and(|who| who.starts_with("socket:")), "{shown:?}");
    let id = told[0]["request"].as_str().expect("a request has a name");
    assert!(paused.head.contains(&format!("x-request-id: {id}")), "{paused:?}");
    assert!(!visited.host.log.join("\n").contains("secret"), "what is asked for is not told");
}

#[test]
fn commands_reach_a_host_over_the_network() {
    let visited = Visited::with(JOBS);
    let ask = |args: &[&str]| visited.command(args).args(["--host", &visited.url]);
    // On this machine, the token of the user is found by itself.
    assert_eq!(ask(&["pause", "idle", "-o", "json"]).ends_with(0).json()["paused"], true);
    let token = visited.make_token("watch", "read");
    let with = |args: &[&str], token: &str| -> Ended { ask(args).env("CLOCKJACK_TOKEN", token).end() };
    assert_eq!(with(&["plugins"], &token).code, Some(0));
    let refused = with(&["resume", "idle"], &token);
    assert!(refused.code == Some(1) && refused.stderr.contains("needs the role `operate`"), "{refused:?}");
    let unknown = with(&["plugins"], "cj_nonsense");
    assert!(unknown.code == Some(1) && unknown.stderr.contains("no token that counts"), "{unknown:?}");
    visited.hosted.scene.put("token", format!("{token}\n"));
    assert_eq!(ask(&["plugins", "--token-file", "token"]).end().code, Some(0));
    let nobody = visited.command(&["plugins", "--host", "http://127.0.0.1:1"]).ends_with(4).stderr;
    assert!(nobody.contains("no host answers at `http://127.0.0.1:1`"), "{nobody}");
    let far = visited.command(&["plugins", "--host", "http://192.0.2.1:80", "--token", &token]).ends_with(1).stderr;
    assert!(far.contains("without TLS") && !far.contains(&token), "{far}");
    let wrong = visited.command(&["plugins", "--host", "ftp://localhost"]).ends_with(1).stderr;
    assert!(wrong.contains("is not the address of a host"), "{wrong}");
    let named = visited.command(&["plugins"]).env("CLOCKJACK_HOST", &visited.url).end();
    assert_eq!(named.code, Some(0), "{named:?}");
}

#[test]
fn a_host_proves_its_name() {
    let hosted = Hosted::with(&format!("api: {{ tls: {{ cert: ./good.pem, key: ./leaf.key }} }}\n{JOBS}"));
    certificates(hosted.scene.folder());
    let visited = Visited::of(hosted, &["--listen", "127.0.0.1:0"]);
    assert!(visited.url.starts_with("https://"), "{}", visited.url);
    let url = visited.url.replace("127.0.0.1", "localhost");
    let plugins = ["plugins", "--host", &url, "-o", "json"];
    let strange = visited.command(&plugins).ends_with(4).stdout;
    assert!(strange.contains("does not prove its name") && strange.contains("--cacert"), "{strange}");
    let told = visited.command(&plugins).args(["--cacert", "ca.pem"]).ends_with(0).json();
    assert_eq!(told.as_array().map(Vec::len), Some(3), "{told:#}");
    // Who does not speak TLS is told nothing.
    assert!(!visited.raw(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").contains("HTTP/1.1"));
}

#[test]
fn whether_a_host_lives_and_is_ready_is_open_to_all() {
    let visited = Visited::with(JOBS);
    let told = |path: &str| -> Answer { visited.bare("GET", path, &[], "") };
    assert_eq!((told("/healthz").status, told("/healthz").json()), (200, json!({ "status": "ok" })));
    assert_eq!((told("/readyz").status, told("/readyz").json()), (200, json!({ "status": "ready" })));
    assert_eq!(visited.bare("POST", "/healthz", &[], "").status, 405);
}

#[test]
fn a_host_that_listens_nowhere_answers_on_its_socket() {
    for off in ["api: { listen: [] }\n", ""] {
        let hosted = Hosted::with(&format!("{off}{JOBS}"));
        let args: &[&str] = if off.is_empty() { &["--listen", "off"] } else { &[] };
        let mut host = hosted.up(args).start();
        wait(&mut host, "a socket", |line| line.message.starts_with("commands talk to this host"));
        assert!(!host.log.iter().any(|line| line.contains("listens for those")), "{:#?}", host.log);
        clockjack(["plugins"]).folder(hosted.scene.folder()).beside_nothing().ends_with(0);
    }
}
