//! How commands talk to a running host: one request, one answer, over its socket or over the network.

use std::{io, path::PathBuf, time::Duration};

use chrono::{DateTime, Utc};
use clap::Args;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{HeaderMap, Method, Request, StatusCode, body::Bytes, client::conn::http1, header, http::HeaderValue};
use hyper_util::rt::TokioIo;
use rustix::process::geteuid;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use tokio::{net::UnixStream, runtime::Builder};

use super::{
    Exit, ManifestArgs, Output, OutputArgs, print,
    progress::Progress,
    refusal::{self, Coded},
    remote::{Connection, Remote, RemoteArgs},
    rows,
};
use crate::api::socket::{self, Place};

/// Largest answer that is read: all that is kept of the largest run fits many times.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// How long an answer may take that only needs the record of the host.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// How long an answer may take for which plugins may have to be compiled, one after another.
const LOAD_TIME_MAX: Duration = Duration::from_secs(60 * 60);

/// Which host to talk to.
#[derive(Clone, Debug, Args)]
pub(super) struct HostArgs {
    #[command(flatten)]
    pub(super) manifests: ManifestArgs,
    #[command(flatten)]
    pub(super) socket: SocketArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// Where the socket of a host is.
#[derive(Clone, Debug, Args)]
pub(super) struct SocketArgs {
    /// The socket of the host; without it `CLOCKJACK_SOCKET`, else the one of the host of these manifests.
    #[arg(long, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    #[command(flatten)]
    pub(super) remote: RemoteArgs,
}

/// What a command says, and how it ends.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) data: String,
    pub(super) exit: Exit,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// What was asked for is wrong, is not there or cannot be done now: the code, what is the matter, what to do.
    Refused { code: String, detail: String, fix: String },
    /// No host answers, or it could not do its work.
    Host(anyhow::Error),
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Host(anyhow::Error::from(error).context("failed to read the answer of the host"))
    }
}

impl Said {
    pub(super) fn done(data: impl Into<String>) -> Self {
        Self { data: data.into(), exit: Exit::Done }
    }

    pub(super) fn json(json: &Json) -> Result<Self, Failure> {
        Ok(Self::done(serde_json::to_string_pretty(json)?))
    }
}

/// Talks to a host and prints what came of it; for programs also why nothing did.
pub(super) fn talk(output: Output, ask: impl AsyncFnOnce() -> Result<Said, Failure>) -> anyhow::Result<Exit> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(ask()) {
        Ok(Said { data, exit }) => {
            if !data.is_empty() {
                print::data(&data)?;
            }
            Ok(exit)
        }
        Err(Failure::Refused { code, detail, fix }) => {
            match output {
                Output::Json => refusal::refuse_json(vec![json!({ "code": code, "message": detail, "fix": fix })])?,
                Output::Table => print::talk(&print::plain(&format!("error: {detail}; {fix}"))),
            }
            Ok(Exit::Fault)
        }
        Err(Failure::Host(error)) => Err(error),
    }
}

/// A host that may answer.
#[derive(Debug)]
pub(super) struct Client {
    place: Place,
    /// The host over the network that is meant instead.
    remote: Option<Remote>,
    /// What to do where nobody answers.
    fix: String,
}

impl Client {
    /// The host at a socket, else that of some manifests.
    pub(super) fn new(socket: &SocketArgs, files: &[PathBuf]) -> Self {
        let remote = Remote::of(&socket.remote, socket.socket.as_deref());
        let place = socket::place(socket.socket.as_deref(), files);
        let files: String = files.iter().map(|file| format!(" -f {}", file.display())).collect();
        let socket = match &place {
            Place::Given(path) => format!(" --socket {}", path.display()),
            Place::Derived(_) => String::new(),
        };
        let fix = format!("start one with `clockjack up{files}{socket}`");
        Self { place, remote, fix }
    }

    /// The same, where these manifests may be those of no host.
    pub(super) fn of_candidate(socket: &SocketArgs, files: &[PathBuf]) -> Self {
        let client = Self::new(socket, files);
        let fix = match &client.place {
            Place::Given(path) => format!("start one with `clockjack up --socket {}`", path.display()),
            Place::Derived(_) => "name the manifest that the host was started with: `--of FILE`".to_owned(),
        };
        Self { fix, ..client }
    }

    /// Whether it is reached over the network.
    pub(super) fn is_remote(&self) -> bool {
        self.remote.is_some()
    }

    pub(super) fn of(args: &HostArgs) -> Self {
        Self::new(&args.socket, &args.manifests.files)
    }

    /// Whether a host answers at all.
    pub(super) async fn answers(&self) -> bool {
        self.connect().await.is_ok()
    }

    pub(super) async fn get(&self, route: &str) -> Result<Json, Failure> {
        self.ask(Method::GET, route, Body::Nothing, ANSWER_TIME_MAX).await
    }

    pub(super) async fn post(&self, route: &str, body: &Json) -> Result<Json, Failure> {
        self.ask(Method::POST, route, Body::Json(body), ANSWER_TIME_MAX).await
    }

    /// Asks for something for which plugins may have to be compiled.
    pub(super) async fn post_slow(&self, route: &str, body: &Json) -> Result<Json, Failure> {
        let _told = Progress::begin("the host reads and compiles what is new");
        self.ask(Method::POST, route, Body::Json(body), LOAD_TIME_MAX).await
    }

    /// The same with any method and any body.
    pub(super) async fn ask_slow(&self, method: Method, route: &str, body: Body<'_>) -> Result<Json, Failure> {
        self.ask(method, route, body, LOAD_TIME_MAX).await
    }

    async fn ask(&self, method: Method, route: &str, body: Body<'_>, within: Duration) -> Result<Json, Failure> {
        let mut head = HeaderMap::new();
        self.sign(&mut head)?;
        let stream = self.connect().await?;
        let answer = tokio::time::timeout(within, exchange(stream, method, route, head, body)).await;
        let (status, bytes) = match answer {
            Ok(answered) => answered.map_err(|error| {
                Failure::Host(error.context("the host did not answer to the end; its log may say why"))
            })?,
            Err(_elapsed) => {
                let problem = format!("the host has not answered within {within:?}; its log may say why");
                return Err(Failure::Host(Coded::new("host.silent", problem).into()));
            }
        };
        // Where there is nothing to say, nothing is said.
        let json: Json = if bytes.is_empty() { Json::Null } else { serde_json::from_slice(&bytes)? };
        if status.is_success() { Ok(json) } else { Err(refused(status, &json)) }
    }

    /// Says which host is meant, and who asks.
    pub(super) fn sign(&self, headers: &mut HeaderMap) -> Result<(), Failure> {
        match &self.remote {
            Some(remote) => remote.sign(headers),
            None => {
                headers.insert(header::HOST, HeaderValue::from_static("clockjack"));
                Ok(())
            }
        }
    }

    /// A connection to the host.
    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        if let Some(remote) = &self.remote {
            return remote.connect().await;
        }
        let mut worst = None;
        for path in self.place.paths() {
            match UnixStream::connect(path).await {
                Ok(stream) => {
                    let trusted = trusted(stream).map_err(|problem| self.no_host(Some(problem)));
                    return trusted.map(Connection::Socket);
                }
                Err(error) if is_nobody(&error) => {}
                Err(error) => worst = worst.or(Some(format!("`{}`: {error}", path.display()))),
            }
        }
        Err(self.no_host(worst))
    }

    fn no_host(&self, problem: Option<String>) -> Failure {
        let paths: Vec<_> = self.place.paths().iter().map(|path| format!("`{}`", path.display())).collect();
        let problem = problem.map_or_else(String::new, |problem| format!(" ({problem})"));
        let (paths, fix) = (paths.join(", "), &self.fix);
        let text = format!(
            "no host answers at {paths}{problem}; {fix}, or say where its socket is (its log names it) with \
             `--socket PATH` or `CLOCKJACK_SOCKET`"
        );
        Failure::Host(Coded::new("host.absent", text).into())
    }
}

/// Why a host did not do what it was asked, from its answer.
pub(super) fn refused(status: StatusCode, json: &Json) -> Failure {
    let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
    let (code, detail, fix) = (text("code"), text("detail") + &found(&json["findings"]), text("fix"));
    if status.is_client_error() {
        return Failure::Refused { code, detail, fix };
    }
    Failure::Host(Coded::new(code, print::plain(&format!("{detail}; {fix}"))).into())
}

/// Whether there is simply nobody: no socket, or that of a host that is gone.
fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// A host of the same user, or of the administrator: in a folder for temporary files, anybody may listen.
fn trusted(stream: UnixStream) -> Result<UnixStream, String> {
    let own = geteuid().as_raw();
    match stream.peer_cred() {
        Ok(host) if own == 0 || host.uid() == own || host.uid() == 0 => Ok(stream),
        Ok(host) => Err(format!("who listens there is user {}, not you", host.uid())),
        Err(error) => Err(format!("it is not known who listens there: {error}")),
    }
}

/// What a request carries.
#[derive(Clone, Debug)]
pub(super) enum Body<'b> {
    Nothing,
    Json(&'b Json),
    /// The bytes of a plugin.
    Component(Bytes),
}

/// What was found in what was sent, as the rest of a sentence.
fn found(findings: &Json) -> String {
    /// Whoever has more mends these first.
    const TOLD_MAX: usize = 5;
    let told = |finding: &Json| {
        let text = |key: &str| finding[key].as_str().unwrap_or_default();
        let fix = if text("fix").is_empty() { String::new() } else { format!(" ({})", text("fix")) };
        format!(": {}:{}:{}: {}{fix}", text("file"), finding["line"], finding["column"], text("message"))
    };
    findings.as_array().into_iter().flatten().take(TOLD_MAX).map(told).collect()
}

async fn exchange(
    stream: Connection,
    method: Method,
    route: &str,
    head: HeaderMap,
    body: Body<'_>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::builder().method(method).uri(format!("/api/v1{route}"));
    if let Some(headers) = request.headers_mut() {
        headers.extend(head);
    }
    let body = match body {
        Body::Json(json) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Full::new(Bytes::from(json.to_string()))
        }
        Body::Component(bytes) => {
            request = request.header(header::CONTENT_TYPE, "application/wasm");
            Full::new(bytes)
        }
        Body::Nothing => Full::default(),
    };
    let request = request.body(body)?;
    let answered = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let read = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let bytes = read.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
        Ok((status, bytes))
    };
    tokio::pin!(answered, connection);
    tokio::select! {
        answer = answered.as_mut() => answer,
        // What had come before the end is there.
        _ended = connection.as_mut() => answered.await,
    }
}

/// An answer as what it is.
pub(super) fn read<T: DeserializeOwned>(json: &Json) -> Result<T, Failure> {
    Ok(T::deserialize(json)?)
}

/// An instant of an answer as tables have it.
pub(super) fn instant(text: &str) -> String {
    text.parse::<DateTime<Utc>>().map_or_else(|_| text.to_owned(), rows::shown)
}

/// A name as a part of a path: what is not plain is written as its bytes.
pub(super) fn segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~@:".contains(&byte);
    let shown = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_plain_is_written_as_its_bytes() {
        assert_eq!(segment("report@2027-01-15T08:00:00Z"), "report@2027-01-15T08:00:00Z");
        assert_eq!(segment("a/b c?d#\u{fc}+"), "a%2Fb%20c%3Fd%23%C3%BC%2B");
    }
}
