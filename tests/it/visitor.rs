//! A host that is reached over the network, as strangers reach it: bytes in, bytes out, one connection each.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    ops::Deref,
    time::Duration,
};

use serde_json::Value as Json;

use crate::{
    hosted::{Hosted, wait},
    log::Line,
    program::{Clockjack, Running, clockjack},
};

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host that listens, and what it takes to get in.
pub(crate) struct Visited {
    pub(crate) hosted: Hosted,
    pub(crate) host: Running,
    way: Way,
}

/// The way to a host, which many may take at once.
pub(crate) struct Way {
    pub(crate) url: String,
    /// The token of the local user.
    pub(crate) token: String,
}

impl Deref for Visited {
    type Target = Way;

    fn deref(&self) -> &Way {
        &self.way
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Reads the first answer of what came.
    #[track_caller]
    pub(crate) fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {text:?}"));
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}: {self:?}"))
    }

    /// The status and the code of a problem.
    #[track_caller]
    pub(crate) fn problem(&self) -> (u16, String) {
        assert!(self.head.contains("content-type: application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], self.status, "{self:?}");
        let request = json["request"].as_str().expect("a problem names its request");
        assert!(self.head.contains(&format!("x-request-id: {request}")), "{self:?}");
        (self.status, json["code"].as_str().expect("a code").to_owned())
    }

    pub(crate) fn says(&self, header: &str) -> bool {
        self.head.lines().any(|line| line == header.to_ascii_lowercase())
    }
}

impl Visited {
    /// A host with these jobs, and whatever other keys stand beside them.
    #[track_caller]
    pub(crate) fn with(rest: &str) -> Self {
        Self::of(Hosted::with(rest), &["--listen", "127.0.0.1:0"])
    }

    /// A host that is started with these arguments.
    #[track_caller]
    pub(crate) fn of(hosted: Hosted, args: &[&str]) -> Self {
        let state = hosted.scene.path("state");
        let mut host = hosted.up(args).env("XDG_STATE_HOME", &state).start();
        let listens = |line: &Line| line.message.starts_with("listens for those");
        wait(&mut host, "an address", listens);
        wait(&mut host, "a socket", |line| line.message.starts_with("commands talk to this host"));
        let line = host.log.iter().map(|line| Line::read(line)).find(listens).expect("it was waited for");
        let token = std::fs::read_to_string(line.text("token")).expect("the token can be read").trim().to_owned();
        let url = line.text("url").to_owned();
        Self { hosted, host, way: Way { url, token } }
    }

    /// A command that talks to the host, over the network where `--host` says so.
    pub(crate) fn command(&self, args: &[&str]) -> Clockjack {
        let state = self.hosted.scene.path("state");
        clockjack(args).folder(self.hosted.scene.folder()).env("XDG_STATE_HOME", state).beside_nothing()
    }

    /// Makes a named token.
    #[track_caller]
    pub(crate) fn make_token(&self, name: &str, role: &str) -> String {
        self.command(&["token", "create", name, "--role", role]).ends_with(0).stdout.trim().to_owned()
    }

    /// The lines of the log that say who did what.
    pub(crate) fn audit(&mut self, n_lines: usize) -> Vec<Json> {
        let is_told = |line: &str| Line::read(line).text("target") == "clockjack::audit";
        while self.host.log.iter().filter(|line| is_told(line)).count() < n_lines {
            self.host.wait_for("a line of the audit", is_told);
        }
        let told = self.host.log.iter().filter(|line| is_told(line));
        told.map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }
}

impl Way {
    pub(crate) fn address(&self) -> &str {
        self.url.rsplit('/').next().expect("a url")
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a bound can be set");
        stream
    }

    /// Sends bytes and reads all that comes back until the connection ends.
    #[track_caller]
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // Who is refused early may not want the rest.
        drop(stream.write_all(bytes));
        let mut answer = Vec::new();
        // Who is cut off has what came before.
        if let Err(error) = stream.read_to_end(&mut answer) {
            let is_open = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            assert!(!is_open, "the connection does not end: {:?}", String::from_utf8_lossy(&answer));
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Asks with these headers and nothing else but `host`.
    #[track_caller]
    pub(crate) fn bare(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head += &format!("host: {}\r\n", self.address());
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            head += &format!("content-length: {}\r\n", body.len());
        }
        Answer::read(&self.raw(format!("{head}\r\n{body}").as_bytes()))
    }

    /// Asks as the local user.
    #[track_caller]
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut all = vec![("authorization", bearer.as_str())];
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
            all.push(("content-type", "application/json"));
        }
        all.extend_from_slice(headers);
        self.bare(method, path, &all, body)
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, &[], body)
    }
}
