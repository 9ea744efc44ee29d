//! What guests try on the network, one function for each way: the outcome, that no packet arrived where none may, and that
//! the message names the key.

use std::{
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use serde_json::Value as Json;

use crate::{
    cli_exec::result,
    egress_server::{Server, certificates, ok, pause},
    hosted::Hosted,
    program::clockjack,
    scene::{Scene, guest},
};

/// Runs a function of the guest `fetch` in a job with these keys.
#[track_caller]
fn fetch(keys: &str, function: &str, args: &[&str]) -> Json {
    fetch_with(keys, function, args, &[])
}

#[track_caller]
fn fetch_with(keys: &str, function: &str, args: &[&str], env: &[(&str, &str)]) -> Json {
    fetch_in("none", keys, function, args, env)
}

/// The same with or without a process of its own.
fn fetch_in(isolation: &str, keys: &str, function: &str, args: &[&str], env: &[(&str, &str)]) -> Json {
    let plugin = guest("fetch");
    let scene = Scene::new();
    let job = format!("{{ plugin: \"{plugin}\", every: 1h, {keys} }}");
    scene.put("clockjack.yaml", format!("version: 1\ndefaults: {{ timeout: 60s }}\njobs:\n  x: {job}\n"));
    let (file, mut words) = (scene.arg("clockjack.yaml"), vec![plugin.as_str(), function]);
    args.iter().for_each(|arg| words.extend(["--arg", arg]));
    let mut exec =
        clockjack(["exec", "-o", "json", "--isolation", isolation, "--job", "x", "--file", &file]).args(words);
    for (name, value) in env {
        exec = exec.env(name, value);
    }
    result(&exec.end())
}

/// A job's keys with leave for the paths of a server on loopback.
fn leave(server: &Server, path: &str) -> String {
    format!("grants: {{ http: [{{ url: \"{}\", private: true }}] }}", server.url(path))
}

#[track_caller]
fn assert_ended(result: &Json, code: &str, words: &[&str]) {
    assert_eq!(result["outcome"], code, "{result}");
    let message = result["error"].as_str().unwrap_or_default();
    for word in words {
        assert!(message.contains(word), "`{word}` in: {message}");
    }
}

/// URLs of hosts as the list that `each` takes.
fn urls<'h>(hosts: impl IntoIterator<Item = &'h str>, rest: &str) -> String {
    let urls: Vec<_> = hosts.into_iter().map(|host| format!("http://{host}{rest}")).collect();
    format!("urls={}", serde_json::to_string(&urls).expect("texts are JSON"))
}

#[test]
fn a25_headers_are_bounded_and_those_of_the_connection_are_the_hosts() {
    let many = fetch("description: none", "flood-headers", &["n=100000", "bytes=0"]);
    assert_ended(&many, "hostcall.limit", &["16KiB"]);
    let large = fetch("description: none", "flood-headers", &["n=3", "bytes=9000"]);
    assert_ended(&large, "hostcall.limit", &["16KiB"]);
    for name in ["host", "connection", "transfer-encoding", "upgrade", "proxy-authorization", "keep-alive"] {
        let refused = fetch("description: none", "header", &[&format!("name={name}"), "values=[\"x\"]"]);
        assert_ended(&refused, "failed", &["Forbidden"]);
    }
    for (name, value) in [("x-a\r\nhost", "b"), ("x a", "b"), ("x-a", "b\r\nhost: c"), ("", "b")] {
        let values = serde_json::to_string(&[value]).expect("texts are JSON");
        let refused = fetch("description: none", "header", &[&format!("name={name}"), &format!("values={values}")]);
        assert_ended(&refused, "failed", &["InvalidSyntax"]);
    }
    let doubled = fetch("description: none", "header", &["name=x-a", "values=[\"\", \"\", \"1\"]"]);
    assert_eq!(doubled["output"], "3 values", "{doubled}");
}

#[test]
fn a26_requests_that_are_never_sent_are_counted() {
    let held = fetch("description: none", "hold", &["n=10000"]);
    assert_ended(&held, "handles.limit", &[]);
}

#[test]
fn a53_neither_loopback_nor_the_ledger_can_be_reached() {
    let server = Server::hello();
    for keys in ["description: none", "grants: { http: [\"https://*.acme.dev\"] }"] {
        let asked = fetch(keys, "get", &[&format!("url={}", server.url("/api/jobs"))]);
        assert_ended(&asked, "egress.denied", &["`grants.http", "127.0.0.1"]);
    }
    let connected = fetch("description: none", "tcp", &[&format!("address=127.0.0.1:{}", server.port), "text=x"]);
    assert_ended(&connected, "egress.denied", &["`grants.network.tcp"]);
    assert_eq!(server.hits(), 0, "no packet");
    let hosted = Hosted::with("jobs: { a: { plugin: typed, call: facts, every: 1h } }");
    hosted.scene.put("state.db", "secret");
    let read = fetch("description: none", "read-file", &[&format!("path={}", hosted.scene.arg("state.db"))]);
    assert_ne!(read["outcome"], "succeeded", "{read}");
    assert!(!read.to_string().contains("secret"), "{read}");
}

#[test]
fn a54_private_addresses_of_ipv4_need_leave() {
    let server = Server::hello();
    let hosts = [
        "127.0.0.1",
        "127.255.255.254",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
    ];
    let keys = "grants: { http: [\"http://*.acme.dev:*\", \"http://api.acme.dev\"] }";
    let refused = fetch(keys, "each", &[&urls(hosts, &format!(":{}/", server.port))]);
    assert_ended(&refused, "egress.denied", &["`grants.http", "the first of 10"]);
    for address in ["127.0.0.1", "10.0.0.1", "169.254.169.254"] {
        let keys = "grants: { network: { tcp: [\"db.internal:*\", \"8.8.8.8:1-65535\"] } }";
        let connected = fetch(keys, "tcp", &[&format!("address={address}:{}", server.port), "text=x"]);
        assert_ended(&connected, "egress.denied", &["`grants.network.tcp", address]);
    }
    assert_eq!(server.hits(), 0, "no packet");
    // With leave it goes through, and the manifest had to say so.
    let granted = fetch(&leave(&server, ""), "get", &[&format!("url={}", server.url("/"))]);
    assert_eq!(granted["output"], "200 hello", "{granted}");
    assert_eq!(server.hits(), 1);
}

#[test]
fn a55_disguises_of_addresses_are_refused() {
    let server = Server::hello();
    let hosts = [
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "127.0.0.01",
        "0177.0.0.1",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "127.0.0.1.",
    ];
    let keys = "grants: { http: [\"http://*.acme.dev:*\"] }";
    let refused = fetch(keys, "each", &[&urls(hosts, &format!(":{}/", server.port))]);
    assert_ended(&refused, "egress.denied", &[]);
    let answers = refused["output"].as_array().expect("an answer to each").clone();
    assert_eq!(answers.len(), hosts.len());
    for (host, answer) in hosts.iter().zip(&answers) {
        let is_refused = ["HttpRequestDenied", "HttpRequestUriInvalid", "refused"]
            .iter()
            .any(|word| answer.as_str().is_some_and(|answer| answer.contains(word)));
        assert!(is_refused, "{host}: {answer}");
    }
    assert_eq!(server.hits(), 0, "no packet");
}

#[test]
fn a57_each_hop_of_a_redirect_is_judged() {
    let inside = Server::hello();
    let next = inside.url("/metadata");
    let server = Server::start(move |_, stream| {
        let answer =
            format!("HTTP/1.1 302 Found\r\nlocation: {next}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        drop(stream.write_all(answer.as_bytes()));
    });
    let url = format!("url={}", server.url("/"));
    let followed = fetch(&leave(&server, ""), "follow", &[&url, "hops=5"]);
    assert_ended(&followed, "egress.denied", &["`grants.http", &format!(":{}", inside.port)]);
    assert_eq!((server.hits(), inside.hits()), (1, 0), "no packet");
    let asked = fetch(&leave(&server, ""), "get", &[&url]);
    assert_eq!(asked["output"], "302 ", "the host follows nothing by itself: {asked}");
    assert_eq!((server.hits(), inside.hits()), (2, 0));
}

#[test]
fn a58_a_request_line_cannot_be_forged() {
    let server = Server::hello();
    let authority = format!("authority=127.0.0.1:{}", server.port);
    for (method, path) in [
        ("GET", "http://evil.example/"),
        ("GET", "/x HTTP/1.1\r\nevil: 1\r\n\r\nGET /y"),
        ("GET", "evil"),
        ("GET /x HTTP/1.1\r\nx: y", "/"),
        ("GE T", "/"),
    ] {
        let args = [&format!("method={method}"), "scheme=http", authority.as_str(), &format!("path={path}")];
        let refused = fetch(&leave(&server, ""), "raw", &args);
        assert_ended(&refused, "failed", &["was refused"]);
    }
    for method in ["CONNECT", "TRACE", "PROPFIND", "get"] {
        let args = [&format!("method={method}"), "scheme=http", authority.as_str(), "path=/"];
        let refused = fetch(&leave(&server, ""), "raw", &args);
        assert_ended(&refused, "egress.denied", &["`grants.http", "the method"]);
    }
    assert_eq!(server.hits(), 0, "no packet");
}

#[test]
fn a59_a_body_is_as_long_as_it_says() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let server = Server::start(move |request, stream| {
        counted.fetch_max(request.matches("content-length").count(), SeqCst);
        ok(stream, "hello");
    });
    let url = format!("url={}", server.url("/"));
    for (declared, bytes) in
        [("[\"5\", \"6\"]", 5), ("[\"5\", \"5\"]", 5), ("[\"x\"]", 5), ("[\"5\"]", 9), ("[\"+5\"]", 5)]
    {
        let refused = fetch(
            &leave(&server, ""),
            "body-of-length",
            &[&url, &format!("declared={declared}"), &format!("bytes={bytes}")],
        );
        assert_ended(&refused, "failed", &[]);
    }
    assert!(seen.load(SeqCst) <= 1, "never two lengths");
    let sent = fetch(&leave(&server, ""), "body-of-length", &[&url, "declared=[\"5\"]", "bytes=5"]);
    assert_eq!(sent["output"], "200 hello", "{sent}");
}

#[test]
fn a60_host_user_and_port_are_those_of_the_grant() {
    let (server, other) = (Server::hello(), Server::hello());
    for (authority, words) in [
        (format!("user:word@127.0.0.1:{}", server.port), "names a user"),
        (format!("127.0.0.1:{}@evil.example", server.port), ""),
        ("127.0.0.1:0".to_owned(), "no port"),
        (format!("127.0.0.1:{}", other.port), "the port"),
        ("127.0.0.1".to_owned(), "the port 80"),
    ] {
        let args = ["method=GET", "scheme=http", &format!("authority={authority}"), "path=/"];
        let refused = fetch(&leave(&server, ""), "raw", &args);
        assert!(!refused.to_string().contains("user:word"), "{refused}");
        assert_ended(&refused, "egress.denied", &[words]);
    }
    let refused = fetch(&leave(&server, "/v1"), "get", &[&format!("url={}", server.url("/v1/../admin"))]);
    assert_ended(&refused, "egress.denied", &["the path"]);
    assert_eq!((server.hits(), other.hits()), (0, 0), "no packet");
    let echo = Server::start(|request, stream| ok(stream, request));
    let granted = fetch(&leave(&echo, "/v1"), "get", &[&format!("url={}", echo.url("/v1/x?y=1"))]);
    let said = granted["output"].as_str().unwrap_or_default();
    assert!(said.starts_with("200 GET /v1/x?y=1 HTTP/1.1\r\n"), "{granted}");
    assert!(said.contains(&format!("host: 127.0.0.1:{}\r\n", echo.port)), "{granted}");
    assert_eq!(said.to_lowercase().matches("host:").count(), 1, "{granted}");
}

#[test]
fn a61_a_certificate_has_to_be_right() {
    let scene = Scene::new();
    certificates(scene.folder());
    let authority = scene.arg("ca.pem");
    let trusting: &[(&str, &str)] = &[("SSL_CERT_FILE", &authority)];
    let ask_in = |isolation: &str, certificate: &str, host: &str, env: &[(&str, &str)]| {
        let server = Server::tls(scene.folder(), certificate);
        let url = format!("https://{host}:{}/", server.port);
        let keys = format!("grants: {{ http: [{{ url: \"{url}\", private: true }}] }}");
        fetch_in(isolation, &keys, "get", &[&format!("url={url}")], env)
    };
    let ask = |certificate: &str, host: &str, env: &[(&str, &str)]| ask_in("none", certificate, host, env);
    for (isolation, host) in [("none", "localhost"), ("none", "127.0.0.1"), ("process", "localhost")] {
        let good = ask_in(isolation, "good.pem", host, trusting);
        assert_eq!(good["output"], "200 hello", "{good}");
    }
    for (certificate, env) in
        [("other.pem", trusting), ("old.pem", trusting), ("self.pem", trusting), ("good.pem", &[])]
    {
        let refused = ask(certificate, "localhost", env);
        assert_ended(&refused, "failed", &["TlsCertificateError"]);
    }
}

#[test]
fn a62_what_comes_back_is_bounded_in_size_and_time() {
    let endless = Server::start(|_, stream| {
        let part = [b'x'; 64 << 10];
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n"));
        while stream.write_all(&part).is_ok() {}
    });
    let flooded = fetch(&leave(&endless, ""), "get", &[&format!("url={}", endless.url("/"))]);
    assert_ended(&flooded, "hostcall.limit", &["`limits.http_bytes`", "64MiB"]);

    let headers = Server::start(|_, stream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n"));
        for n in 0..1_000_000 {
            if stream.write_all(format!("x-{n}: y\r\n").as_bytes()).is_err() {
                break;
            }
        }
    });
    let flooded = fetch(&leave(&headers, ""), "get", &[&format!("url={}", headers.url("/"))]);
    assert_ended(&flooded, "failed", &["Http"]);

    let silent = Server::start(|_, _| pause(Duration::from_secs(600)));
    let (url, keys) = (format!("url={}", silent.url("/")), leave(&silent, ""));
    let waited = fetch(&format!("timeout: 2s, {keys}"), "get", &[&url]);
    assert_ended(&waited, "timeout.wall", &["`timeout`", "2s"]);
    let hurried = fetch(&keys, "patient", &[&url, "connect=5000", "first=100", "between=100"]);
    assert_ended(&hurried, "failed", &["ConnectionReadTimeout"]);
    let zero = fetch(&keys, "patient", &[&url, "connect=0", "first=0", "between=0"]);
    assert_ended(&zero, "failed", &["Timeout"]);

    let slow = Server::start(|_, stream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"));
        pause(Duration::from_secs(600));
    });
    let url = format!("url={}", slow.url("/"));
    let hurried = fetch(&leave(&slow, ""), "patient", &[&url, "connect=5000", "first=5000", "between=200"]);
    assert_ended(&hurried, "failed", &["after 1 bytes"]);
}

#[test]
fn a63_only_some_requests_of_a_run_go_on_at_once() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, peak) = (Arc::clone(&now), Arc::clone(&most));
    let server = Server::start(move |_, stream| {
        peak.fetch_max(counted.fetch_add(1, SeqCst) + 1, SeqCst);
        pause(Duration::from_millis(50));
        counted.fetch_sub(1, SeqCst);
        ok(stream, "hello");
    });
    let url = format!("url={}", server.url("/"));
    let asked = fetch(&leave(&server, ""), "at-once", &[&url, "n=60"]);
    assert_eq!(asked["output"], 60, "{asked}");
    assert_eq!(server.hits(), 60);
    let most = most.load(SeqCst);
    assert!((2..=8).contains(&most), "{most} at once");
    let flooded = fetch(&leave(&server, ""), "at-once", &[&url, "n=10000"]);
    assert_ended(&flooded, "handles.limit", &[]);
    let hello = Server::hello();
    let counted = fetch(&leave(&hello, ""), "one-by-one", &[&format!("url={}", hello.url("/")), "n=1200"]);
    assert_ended(&counted, "hostcall.limit", &["1000 HTTP requests", "`limits.http_calls`"]);
    assert_eq!(hello.hits(), 1_000);
}

#[test]
fn a64_sockets_are_closed_without_a_grant_and_take_nobody_in_with_one() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a bound can be set");
    let port = socket.local_addr().expect("it is bound").port();
    let address = format!("address=127.0.0.1:{port}");
    for keys in ["description: none", "grants: { network: { udp: [\"10.0.0.1:53\"] } }"] {
        let sent = fetch(keys, "udp", &[&address, "text=x", "wait=false"]);
        assert_ended(&sent, "egress.denied", &["`grants.network.udp"]);
    }
    assert!(socket.recv_from(&mut [0; 10]).is_err(), "no packet");
    let granted = format!("grants: {{ network: {{ udp: [\"127.0.0.1:{port}\"], tcp: [\"127.0.0.1:*\"] }} }}");
    let sent = fetch(&granted, "udp", &[&address, "text=x", "wait=false"]);
    assert_eq!(sent["output"], "sent", "{sent}");
    assert!(socket.recv_from(&mut [0; 10]).is_ok(), "with the grant it arrives");

    for (keys, function, args) in [
        ("description: none", "listen", "address=127.0.0.1:0"),
        ("description: none", "bind-udp", "address=0.0.0.0:0"),
        ("description: none", "resolve", "name=api.acme.dev"),
        ("description: none", "tcp", "address=api.acme.dev:443"),
        (granted.as_str(), "listen", "address=127.0.0.1:0"),
        (granted.as_str(), "listen", "address=0.0.0.0:0"),
        (granted.as_str(), "bind-udp", "address=127.0.0.1:0"),
        (granted.as_str(), "bind-udp", "address=0.0.0.0:5353"),
    ] {
        let args: Vec<_> = if function == "tcp" { vec![args, "text=x"] } else { vec![args] };
        let refused = fetch(keys, function, &args);
        assert_ended(&refused, "egress.denied", &[]);
    }
}

#[test]
fn a65_names_that_no_grant_covers_are_not_asked_for() {
    let keys = "grants: { http: [\"https://*.acme.dev\"], network: { tcp: [\"db.internal:5432\"] } }";
    let asked = fetch(keys, "resolve", &["name=s3cr3t.evil.example"]);
    assert_ended(&asked, "egress.denied", &["look-up", "s3cr3t.evil.example", "`grants.network.dns"]);
    let asked = fetch(keys, "get", &["url=https://s3cr3t.evil.example/"]);
    assert_ended(
        &asked,
        "egress.denied",
        &["s3cr3t.evil.example", "add `grants.http: [\"https://s3cr3t.evil.example\"]`"],
    );
}

#[test]
fn exec_grants_http_by_url_or_by_yaml() {
    let server = Server::hello();
    let (plugin, url) = (guest("fetch"), format!("url={}", server.url("/")));
    let yaml = format!("{{ url: \"{}\", private: true, methods: [GET] }}", server.url(""));
    let exec = |rule: &str| {
        clockjack(["exec", "-o", "json", &plugin, "get", "--arg", &url, "--http", "https://*.acme.dev", "--http", rule])
    };
    assert_eq!(result(&exec(&yaml).end())["output"], "200 hello");
    let told = exec("http://127.0.0.1").ends_with(2).stderr;
    assert!(told.contains("private: true"), "{told}");
    let told = exec("api.acme.dev").ends_with(2).stderr;
    assert!(told.contains("write `https://api.acme.dev`"), "{told}");
}

#[test]
fn inspect_says_what_is_closed_without_a_grant() {
    let plugin = guest("fetch");
    let page = clockjack(["inspect", &plugin]).ends_with(0).stdout;
    assert!(page.contains("wasi:http/outgoing-handler") && page.contains("(closed without `grants.http`)"), "{page}");
    let json = clockjack(["inspect", "-o", "json", &plugin]).ends_with(0).json();
    assert_eq!(
        (&json["may_use"][0], &json["grants"]),
        (&Json::from("grants.http"), &Json::Array(Vec::new())),
        "{json}"
    );
}
