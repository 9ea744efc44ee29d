//! The network of an attempt, with a resolver that says what a test wants. Servers are on loopback, which the grants of
//! these tests name as private where a guest is to reach it.

use std::{
    future::ready,
    io::{self, Read as _, Write as _},
    net::{IpAddr, TcpListener},
    pin::Pin,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use clockjack_schedule::{
    egress::{Endpoint, HttpRule, NameRule, NetworkGrants},
    job::CLOCK_RESOLUTION_MAX,
};
use serde_json::{Value as Json, json};

use super::*;
use crate::egress::Resolve;

const FETCH: &[u8] = include_bytes!("../../../../../tests/guests/fetch.wasm");

static PLUGIN: LazyLock<Arc<Plugin>> = LazyLock::new(|| match Plugin::from_bytes(&SANDBOX, FETCH, None, false) {
    Ok(plugin) => Arc::new(plugin),
    Err(error) => panic!("{}", error.message),
});

/// Answers each look-up with the next of its answers, and the last one for ever.
struct Answers {
    answers: Vec<Vec<IpAddr>>,
    asked: Mutex<Vec<String>>,
}

impl Answers {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |addresses: &&[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect();
        Arc::new(Self { answers: answers.iter().map(parse).collect(), asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Resolve for Answers {
    fn resolve(&self, name: &str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        let mut asked = self.asked.lock().unwrap();
        let answer = self.answers[asked.len().min(self.answers.len() - 1)].clone();
        asked.push(name.to_owned());
        Box::pin(ready(Ok(answer)))
    }
}

/// A server on loopback that answers everybody with `hello`; counts its connections.
struct Server {
    port: u16,
    hits: Arc<AtomicUsize>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, hits) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&hits);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                counted.fetch_add(1, SeqCst);
                let mut request = [0; 4_096];
                drop(stream.read(&mut request));
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"));
            }
        });
        Self { port, hits }
    }

    fn hits(&self) -> usize {
        self.hits.load(SeqCst)
    }
}

/// What no test here is about.
fn unhurried() -> Limits {
    Limits { timeout: Duration::from_secs(60), cpu_time: Duration::from_secs(20), ..Limits::default() }
}

fn rule(url: &str, private: bool) -> HttpRule {
    HttpRule { private, ..HttpRule::parse(url).unwrap() }
}

fn http(rules: impl IntoIterator<Item = HttpRule>) -> Grants {
    Grants { http: rules.into_iter().collect(), ..Grants::default() }
}

async fn run(resolver: &Arc<Answers>, grants: &Grants, function: &str, args: Json) -> Report {
    let args = Arguments::Named(args.as_object().unwrap().clone());
    let call = Call::prepare(&PLUGIN, Some(function), &args, &unhurried(), grants);
    let call = call.map_err(|problems| format!("{problems:?}")).unwrap();
    let resolver: Arc<dyn Resolve> = Arc::clone(resolver) as Arc<dyn Resolve>;
    SANDBOX.clone().with_resolver(resolver).run(&call, facts()).await
}

#[track_caller]
fn assert_denied(report: &Report, words: &[&str]) {
    let message = &report.outcome.message;
    assert_eq!(report.outcome.code, OutcomeCode::EgressDenied, "{message}");
    for word in words {
        assert!(message.contains(word), "`{word}` in: {message}");
    }
}

#[tokio::test]
async fn a56_a_name_is_judged_by_the_addresses_that_are_connected_to() {
    let server = Server::start();
    let port = server.port;
    let url = format!("http://api.acme.dev:{port}/");
    let open = http([rule(&url, false)]);
    // It stands for the internet at first, and for loopback a moment later: each connection asks anew, and is judged anew.
    let resolver = Answers::new(&[&["127.0.0.1"], &["10.0.0.1", "::1", "169.254.169.254"], &["::ffff:127.0.0.1"]]);
    for address in ["127.0.0.1", "10.0.0.1", "127.0.0.1"] {
        let report = run(&resolver, &open, "get", json!({ "url": url })).await;
        assert_denied(&report, &["`api.acme.dev`", address, "no public address", "`private: true`", "`grants.http`"]);
    }
    assert_eq!(server.hits(), 0, "no packet");
    assert_eq!(resolver.asked(), ["api.acme.dev"; 3]);

    // Among several addresses only those that may be used are connected to, and the name is not asked for again.
    let resolver = Answers::new(&[&["0.0.0.0", "255.255.255.255", "127.0.0.1"], &["10.0.0.1"]]);
    let report = run(&resolver, &http([rule(&url, true)]), "get", json!({ "url": url })).await;
    assert_eq!(report.outcome.output, Some(json!("200 hello")), "{}", report.outcome.message);
    assert_eq!((server.hits(), resolver.asked().len()), (1, 1));
}

#[tokio::test]
async fn a54_and_a55_no_dress_of_an_address_gets_through_a_granted_name() {
    let server = Server::start();
    let url = format!("http://api.acme.dev:{}/", server.port);
    for address in [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001::1",
    ] {
        let resolver = Answers::new(&[&[address]]);
        let report = run(&resolver, &http([rule(&url, false)]), "get", json!({ "url": url })).await;
        assert_denied(&report, &["no public address"]);
    }
    // Those that no host has stay closed with leave for private ones, too.
    for address in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "::127.0.0.1", "2001::1", "ff02::1"] {
        let resolver = Answers::new(&[&[address]]);
        let report = run(&resolver, &http([rule(&url, true)]), "get", json!({ "url": url })).await;
        assert_denied(&report, &["no public address"]);
    }
    assert_eq!(server.hits(), 0, "no packet");
}

#[tokio::test]
async fn a65_a_name_is_looked_up_only_where_a_grant_covers_it() {
    let resolver = Answers::new(&[&["127.0.0.1"]]);
    let network = NetworkGrants {
        tcp: vec![Endpoint::parse("db.internal:5432").unwrap()],
        dns: vec![NameRule { private: true, ..NameRule::parse("*.acme.dev").unwrap() }],
        ..NetworkGrants::default()
    };
    let grants = Grants { network: Some(Arc::new(network)), ..http([rule("https://*.acme.dev", true)]) };
    let told = "s3cr3t.evil.example";
    let report = run(&resolver, &grants, "resolve", json!({ "name": told })).await;
    assert_denied(&report, &["look-up", told, "`grants.network.dns: [\"s3cr3t.evil.example\"]`"]);
    let report = run(&resolver, &grants, "get", json!({ "url": format!("https://{told}/") })).await;
    assert_denied(&report, &["`grants.http`", "s3cr3t.evil.example"]);
    let report = run(&resolver, &Grants::default(), "resolve", json!({ "name": "db.internal" })).await;
    assert_denied(&report, &["`grants.network.dns"]);
    assert_eq!(resolver.asked(), Vec::<String>::new(), "nobody was asked");

    let report = run(&resolver, &grants, "resolve", json!({ "name": "db.acme.dev" })).await;
    assert_eq!(report.outcome.output, Some(json!(["127.0.0.1"])), "{}", report.outcome.message);
    let report = run(&resolver, &grants, "resolve", json!({ "name": "db.internal" })).await;
    assert_denied(&report, &["`db.internal`", "127.0.0.1", "`private: true`", "`grants.network`"]);
    assert_eq!(resolver.asked(), ["db.acme.dev", "db.internal"]);
}

#[tokio::test]
async fn a_connection_is_traced_to_the_name_that_was_granted() {
    let server = Server::start();
    let port = server.port;
    let resolver = Answers::new(&[&["127.0.0.1"]]);
    let endpoint = |text: String| Endpoint { private: true, ..Endpoint::parse(&text).unwrap() };
    let granted = |tcp: Vec<Endpoint>| {
        let dns = vec![NameRule { private: true, ..NameRule::parse("other.internal").unwrap() }];
        Grants { network: Some(Arc::new(NetworkGrants { tcp, dns, ..NetworkGrants::default() })), ..Grants::default() }
    };
    let by_name = granted(vec![endpoint(format!("db.internal:{port}"))]);
    let args = |host: &str, port: u16| json!({ "address": format!("{host}:{port}"), "text": "GET / HTTP/1.0\r\n\r\n" });
    let report = run(&resolver, &by_name, "tcp", args("db.internal", port)).await;
    let output = report.outcome.output.clone().unwrap_or_default();
    assert!(output.as_str().is_some_and(|text| text.starts_with("HTTP/1.1 200")), "{}", report.outcome.message);
    assert_eq!(server.hits(), 1);
    // The same address, but not by that name; the same name, but another port; a name that may only be looked up.
    let other_port = if port == 1 { 2 } else { port - 1 };
    for (host, port) in [("127.0.0.1", port), ("db.internal", other_port), ("other.internal", port)] {
        let report = run(&resolver, &by_name, "tcp", args(host, port)).await;
        assert_denied(&report, &["`grants.network.tcp`", &format!("127.0.0.1:{port}")]);
    }
    // An address that is written is leave enough.
    let by_block = granted(vec![Endpoint::parse(&format!("127.0.0.0/8:{port}")).unwrap()]);
    assert_eq!(run(&resolver, &by_block, "tcp", args("127.0.0.1", port)).await.outcome.code, OutcomeCode::Succeeded);
    assert_eq!(server.hits(), 2);
}

#[tokio::test]
async fn the_same_slot_sees_the_same_random_numbers() {
    let resolver = Answers::new(&[&[]]);
    let seeded = |seed| Grants { random_seed: Some(seed), ..Grants::default() };
    let numbers = async |grants: &Grants| match run(&resolver, grants, "random", json!({})).await.outcome.output {
        Some(Json::Array(numbers)) => numbers,
        other => panic!("{other:?}"),
    };
    let (first, again) = (numbers(&seeded(42)).await, numbers(&seeded(42)).await);
    assert_eq!(first, again, "also those of the standard library");
    assert_eq!(first.len(), 6);
    let (other, free, free_again) =
        (numbers(&seeded(43)).await, numbers(&Grants::default()).await, numbers(&Grants::default()).await);
    for n in 0..5 {
        assert_ne!(first[n], other[n], "another seed: {n}");
        assert_ne!(free[n], free_again[n], "no seed: {n}");
    }
    assert_eq!(
        first.iter().map(Json::to_string).collect::<std::collections::BTreeSet<_>>().len(),
        6,
        "each purpose has its own: {first:?}"
    );
}

#[tokio::test]
async fn a51_the_clocks_of_a_guest_go_in_steps() {
    let resolver = Answers::new(&[&[]]);
    for step in [Duration::from_millis(1), CLOCK_RESOLUTION_MAX] {
        let grants = Grants { clock_resolution: Some(step), ..Grants::default() };
        let nanos = u64::try_from(step.as_nanos()).unwrap();
        let report = run(&resolver, &grants, "clocks", json!({ "n": 20_000, "step": nanos })).await;
        let output = report.outcome.output.unwrap_or_default();
        assert_eq!(output[1], json!(true), "{} {output}", report.outcome.message);
        assert!(output[0].as_u64().is_some_and(|smallest| nanos <= smallest), "{output}");
    }
}

#[tokio::test]
async fn a_success_after_a_refusal_says_so_in_the_log() {
    let resolver = Answers::new(&[&[]]);
    let report =
        run(&resolver, &Grants::default(), "one-by-one", json!({ "url": "https://acme.dev/?key=1", "n": 3 })).await;
    assert_eq!(report.outcome.output, Some(json!(0)));
    let line = report.logs.last().unwrap();
    assert!(
        line.message.contains("GET https://acme.dev/`") && line.message.contains("the first of 3"),
        "{}",
        line.message
    );
    assert!(line.message.contains("add `grants.http: [\"https://acme.dev\"]`"), "{}", line.message);
}
