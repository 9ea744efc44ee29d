//! The door: what every request passes, in this order, before a route sees it.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    BoxError, Router,
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header},
    response::IntoResponse as _,
};
use clockjack_schedule::manifest::resolved::Rate;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use rustix::rand::{GetRandomFlags, getrandom};

use super::{
    Role,
    audit::Asked,
    headers, host, origin,
    rate::Limits,
    role::{self, Caller},
    target,
    tokens::{Known, Places},
};
use crate::api::problem::{Problem, Told};

/// Routes that need no token: they say in a word or two how the process is.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// Largest body that any route takes; each says itself how much of that it wants.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// What decides who may ask.
#[derive(Clone, Debug, Default)]
pub struct AccessOptions {
    /// The names of this host, beside its addresses.
    pub hosts: Vec<String>,
    /// Where tokens are; without, nobody is let in but on the socket.
    pub tokens: Option<Places>,
    /// How much a client may ask for.
    pub rate: Rate,
}

/// Decides who may ask.
pub struct Access {
    hosts: Vec<String>,
    known: Option<Known>,
    limits: Limits,
    /// What the names of requests begin with, so that no other host has the same.
    prefix: u32,
    n_requests: AtomicU64,
}

impl Access {
    /// The access that a host gives.
    #[must_use]
    pub fn new(options: AccessOptions) -> Self {
        let AccessOptions { hosts, tokens, rate } = options;
        let mut prefix = [0; 4];
        // Where there is no chance, the names of two hosts may be alike; nothing depends on it.
        let _n_bytes = getrandom(&mut prefix, GetRandomFlags::empty());
        let prefix = u32::from_ne_bytes(prefix);
        Self { hosts, known: tokens.map(Known::new), limits: Limits::new(rate), prefix, n_requests: AtomicU64::new(0) }
    }

    /// A name for a request, which its answer and the log have too.
    fn next_id(&self) -> String {
        let number = self.n_requests.fetch_add(1, Ordering::Relaxed);
        format!("{:08x}-{number:08x}", self.prefix)
    }

    /// Who shows the token of the headers.
    fn caller(&self, headers: &HeaderMap, from: IpAddr) -> Result<Caller, Problem> {
        let Some(said) = headers.get(header::AUTHORIZATION) else { return Err(unknown_caller()) };
        let said = said.to_str().unwrap_or_default();
        let token = match said.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => "",
        };
        match self.known.as_ref().and_then(|known| known.find(token)) {
            Some((name, role)) => Ok(Caller { name, role }),
            None => {
                self.limits.fail(from)?;
                Err(unknown_caller())
            }
        }
    }
}

/// Whether a route needs no token.
pub(super) fn is_open(path: &str) -> bool {
    OPEN.contains(&path)
}

pub(super) fn unknown_caller() -> Problem {
    let fix = "send a token as `Authorization: Bearer TOKEN`; `clockjack token create NAME` makes one, and the user of the \
               host finds their own in the file `token` of its state directory";
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "access.token", "the request shows no token that counts", fix);
    problem.and(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"clockjack\""))
}

/// At which end a connection came in.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) enum Peer {
    /// On the socket, from this user.
    Socket { user: u32 },
    /// In a service of the program that the host is a part of, which lets in whom it likes.
    Program {
        /// Whether its service has TLS, as far as that is known.
        is_tls: bool,
    },
    /// Over the network: from where, to which address.
    Network { from: SocketAddr, to: IpAddr, is_tls: bool },
}

impl Peer {
    fn shown(self) -> String {
        match self {
            Self::Socket { user } => format!("socket:{user}"),
            Self::Program { .. } => "program".to_owned(),
            Self::Network { from, .. } => from.ip().to_canonical().to_string(),
        }
    }

    fn is_tls(self) -> bool {
        matches!(self, Self::Network { is_tls: true, .. } | Self::Program { is_tls: true })
    }

    fn address(self) -> Option<IpAddr> {
        match self {
            Self::Socket { .. } => None,
            // To which address is not known: the names of this machine are those that always mean it.
            Self::Program { .. } => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            Self::Network { to, .. } => Some(to),
        }
    }
}

/// The routes behind their door. Clones are the same.
#[derive(Clone)]
pub(in crate::api) struct Door {
    routes: Router,
    access: Arc<Access>,
}

impl Door {
    pub(in crate::api) fn new(routes: Router, access: Arc<Access>) -> Self {
        Self { routes, access }
    }

    /// Answers a request; every answer is complete, also one that says no.
    pub(in crate::api) async fn answer<B>(
        self,
        mut request: Request<B>,
        peer: Peer,
    ) -> Result<Response<Body>, Infallible>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let id = self.access.next_id();
        let asked = Asked::new(request.method(), request.uri().path(), peer.shown());
        let is_last = headers::is_last(&request);
        let mut who = None;
        let mut response = match self.admit(&request, peer, &mut who) {
            Ok(caller) => {
                if let Some(caller) = caller {
                    request.extensions_mut().insert(caller);
                }
                let Ok(response) = TowerToHyperService::new(self.routes.clone()).call(request).await;
                response
            }
            Err(problem) => problem.into_response(),
        };
        if is_last {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let code = response.extensions().get::<Told>().and_then(|told| told.0["code"].as_str().map(ToOwned::to_owned));
        asked.tell(who.as_deref(), response.status(), code.as_deref(), &id);
        headers::complete(&mut response, &id, peer.is_tls());
        Ok(response)
    }

    /// Who asks; nobody in particular where the route is open to all. `who` is told also of those who may not.
    fn admit<B>(&self, request: &Request<B>, peer: Peer, who: &mut Option<String>) -> Result<Option<Caller>, Problem> {
        let Self { access, .. } = self;
        let headers = request.headers();
        host::check(request.uri(), headers, peer.address(), &access.hosts)?;
        target::check(request.uri())?;
        origin::check(headers, peer.is_tls())?;
        if !request.method().is_safe() {
            origin::check_body(headers)?;
        }
        let Peer::Network { from, .. } = peer else {
            check_length(headers)?;
            *who = Some(peer.shown());
            return Ok(Some(Caller { name: peer.shown(), role: Role::Admin }));
        };
        if is_open(request.uri().path()) {
            access.limits.ask(&peer.shown())?;
            return Ok(None);
        }
        let caller = access.caller(headers, from.ip())?;
        *who = Some(caller.name.clone());
        role::check(&caller, request.method(), request.uri().path())?;
        access.limits.ask(&caller.name)?;
        check_length(headers)?;
        Ok(Some(caller))
    }

    /// What was no request at all is answered as completely, in the bytes that go out.
    pub(in crate::api) fn refuse(&self, problem: Problem, peer: Peer) -> Vec<u8> {
        let id = self.access.next_id();
        let mut response = problem.into_response();
        let told = response.extensions().get::<Told>().map(|told| (*told.0).clone());
        headers::complete(&mut response, &id, peer.is_tls());
        let mut told = told.unwrap_or_default();
        told["request"] = id.into();
        let body = told.to_string();
        let status = response.status();
        let mut bytes = format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
        for (name, value) in response.headers() {
            if let Ok(value) = value.to_str() {
                bytes += &format!("{name}: {value}\r\n");
            }
        }
        bytes += &format!("content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        bytes.into_bytes()
    }
}

/// What no route takes is not waited for.
fn check_length(headers: &HeaderMap) -> Result<(), Problem> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_none_or(|length| length <= BODY_BYTES_MAX) {
        return Ok(());
    }
    let detail = format!("the body of the request has more than {BODY_BYTES_MAX} bytes");
    let fix = "put what is large into a file that the job may read, and send its name";
    let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "request.too_large", detail, fix);
    Err(problem.and(header::CONNECTION, HeaderValue::from_static("close")))
}
