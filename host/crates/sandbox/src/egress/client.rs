//! Sending a request: judge it, connect to an address that may be used, speak HTTP/1.1, bound what comes back.
//!
//! Redirects are answers like any other: a guest that follows one sends a new request, which is judged anew.

use std::{pin::Pin, sync::Arc, time::Duration};

use clockjack_schedule::egress::{Authority, HttpRequest, Scheme, judge};
use http::{HeaderValue, Request, Response, Uri, header::HOST};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1::{Builder, Connection};
use tokio::time::timeout;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpHooks, io::TokioIo, p2::bindings::http::types::ErrorCode,
};

use super::{
    Network,
    body::Bounded,
    connect::{self, Wire},
    shown,
};

/// How long opening a connection may take, the look-up and TLS included, where the guest says nothing else.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// Most that a connection buffers, which bounds the headers of a response, too.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// Most headers of a response.
const HEADERS_MAX: usize = 128;

/// Most bytes that a guest may write to a request's body at once.
const CHUNK_BYTES_MAX: usize = 64 << 10;

/// What is left to do for a request when its response has begun.
type Rest = Box<dyn Future<Output = Result<(), Error>> + Send>;

type Answer = Result<(Response<WasiBody>, Rest), Error>;

/// What `wasi:http` asks us.
pub(super) struct Hooks {
    network: Arc<Network>,
}

impl Hooks {
    pub(super) fn new(network: Arc<Network>) -> Self {
        Self { network }
    }
}

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        match self.network.admit(&request) {
            Ok(to) => Box::new(send(Arc::clone(&self.network), to, request, options.unwrap_or_default())),
            Err(error) => Box::new(std::future::ready(Err(error))),
        }
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        1
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES_MAX
    }

    // The library's own would write a line into the host's log for each, which a guest could flood.
    fn p2_error_from_hyper(&mut self, error: &hyper::Error) -> ErrorCode {
        let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Error>());
        match source {
            Some(Error::HttpRequestBodySize(size)) => ErrorCode::HttpRequestBodySize(*size),
            Some(_) | None if error.is_incomplete_message() => ErrorCode::HttpResponseIncomplete,
            Some(_) | None if error.is_parse_too_large() => ErrorCode::HttpResponseHeaderSectionSize(None),
            Some(_) | None if error.is_closed() || error.is_canceled() => ErrorCode::ConnectionTerminated,
            Some(_) | None => ErrorCode::HttpProtocolError,
        }
    }
}

/// Where a request goes that a grant covers.
pub(super) struct Destination {
    pub(super) authority: Authority,
    pub(super) port: u16,
    pub(super) scheme: Scheme,
    /// Whether it may be a private address.
    pub(super) private: bool,
    /// For messages: method and URL without the query, which may hold secrets.
    pub(super) told: String,
}

impl Network {
    /// Whether a request may be sent.
    fn admit(&self, request: &Request<WasiBody>) -> Result<Destination, Error> {
        if !self.may_call() {
            return Err(Error::HttpRequestDenied);
        }
        let uri = request.uri();
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            other => {
                let scheme = shown(other.unwrap_or_default());
                self.refuse(|| {
                    format!(
                        "a request with the scheme `{scheme}` was refused: `grants.http` knows `http` and `https` only"
                    )
                });
                return Err(Error::HttpProtocolError);
            }
        };
        let written = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        // Whatever stands before an `@` is somebody's password.
        let host = written.rsplit('@').next().unwrap_or_default();
        let told = shown(&format!("{} {}://{host}{}", request.method(), scheme.as_str(), uri.path()));
        let authority = Authority::parse(written).map_err(|fault| {
            self.refuse(|| format!("the request `{told}` was refused: {}", shown(&fault.to_string())));
            Error::HttpRequestUriInvalid
        })?;
        let port = authority.port.unwrap_or_else(|| scheme.default_port());
        let asked =
            HttpRequest { scheme, host: &authority.host, port, method: request.method().as_str(), path: uri.path() };
        match judge(&self.http, &asked) {
            Ok(permit) => Ok(Destination { port, scheme, private: permit.private, told, authority }),
            Err(reason) => {
                self.refuse(|| format!("the request `{told}` was refused: {}", shown(&reason)));
                Err(Error::HttpRequestDenied)
            }
        }
    }
}

async fn send(network: Arc<Network>, to: Destination, request: Request<WasiBody>, options: RequestOptions) -> Answer {
    let closed = |_closed| Error::ConnectionLimitReached;
    let place = Arc::clone(&network.places).acquire_owned().await.map_err(closed)?;
    let within = |asked: Option<Duration>, most: Duration| asked.unwrap_or(most).min(network.remaining());
    let time = within(options.connect_timeout, CONNECT_TIME_MAX);
    let opened = timeout(time, connect::open(&network, &to)).await;
    let stream = opened.map_err(|_elapsed| Error::ConnectionTimeout)??;
    let request = on_the_wire(request, &to)?;

    let mut builder = Builder::new();
    builder.max_buf_size(BUFFER_BYTES_MAX).max_headers(HEADERS_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(Error::Hyper)?;
    let mut connection = Some(Box::pin(connection));
    let time = within(options.first_byte_timeout, network.remaining());
    let head = timeout(time, head(sender.send_request(request), &mut connection)).await;
    let response = head.map_err(|_elapsed| Error::ConnectionReadTimeout)??;
    // Not held for the body: a guest that waits for all answers before it reads the first one would wait for ever.
    drop(place);
    let pause = within(options.between_bytes_timeout, network.remaining());
    let response = response.map(|incoming| Bounded::new(incoming, Arc::clone(&network), pause).boxed_unsync());
    let rest: Rest = Box::new(async move {
        if let Some(connection) = connection {
            // What goes wrong from here on is seen in the body.
            drop(connection.await);
        }
        Ok(())
    });
    Ok((response, rest))
}

type Driven = Option<Pin<Box<Connection<TokioIo<Box<dyn Wire>>, WasiBody>>>>;

/// Waits for the head of the response, and drives the connection meanwhile. It is none any more when it has ended.
async fn head(
    response: impl Future<Output = hyper::Result<Response<hyper::body::Incoming>>>,
    connection: &mut Driven,
) -> Result<Response<hyper::body::Incoming>, Error> {
    let mut response = std::pin::pin!(response);
    if let Some(driven) = connection.as_mut() {
        tokio::select! {
            biased;
            head = &mut response => return head.map_err(Error::Hyper),
            ended = driven => {
                *connection = None;
                ended.map_err(Error::Hyper)?;
            }
        }
    }
    response.await.map_err(Error::Hyper)
}

/// The request as a server expects it: without scheme and host in its first line, and with the host that was judged.
fn on_the_wire(mut request: Request<WasiBody>, to: &Destination) -> Result<Request<WasiBody>, Error> {
    let invalid = |_invalid| Error::HttpRequestUriInvalid;
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    *request.uri_mut() = path.parse::<Uri>().map_err(invalid)?;
    let port = to.authority.port.map_or_else(String::new, |port| format!(":{port}"));
    let host = HeaderValue::from_str(&format!("{}{port}", to.authority.host));
    request.headers_mut().insert(HOST, host.map_err(|_invalid| Error::HttpRequestUriInvalid)?);
    Ok(request)
}
