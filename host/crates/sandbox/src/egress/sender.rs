//! Requests of the host itself: one message to one URL, with the care that guests' requests get. The name is looked up
//! once, addresses that may not be used are left out, the connection goes to one of the others as a number, no redirect is
//! followed, and what comes back is bounded.

use std::{io, net::IpAddr, time::Duration};

use bytes::Bytes;
use clockjack_schedule::{
    egress::{Host, Scheme, vetted},
    notify::WebUrl,
};
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::Builder;
use wasmtime_wasi_http::{Error, io::TokioIo};

use super::{
    connect::{self, Wire},
    tls,
};

/// Most bytes of an answer that are read.
const REPLY_BYTES_MAX: usize = 64 << 10;

/// Most that a connection buffers, which bounds the headers of an answer, too.
const BUFFER_BYTES_MAX: usize = 32 << 10;

/// Longest part of an answer that is shown, in characters.
const REPLY_CHARS_MAX: usize = 300;

/// A message to a URL.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Whom it is for.
    pub url: WebUrl,
    /// Whether that may be a private, loopback or link-local address.
    pub private: bool,
    /// In lower case, beside those that every request has.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: String,
    /// How long all of it may take.
    pub timeout: Duration,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// After what time it wants to be asked again, where it says so in seconds.
    pub retry_after: Option<Duration>,
    /// The beginning of what it says, on one line.
    pub text: String,
}

/// Why a message has not arrived.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The name stands for no address.
    #[error("the host `{host}` was not found: {source}")]
    Unknown {
        /// The name.
        host: Host,
        /// What the system said.
        source: io::Error,
    },
    /// Every address that the name stands for is one that may not be used.
    #[error("the host `{host}` stands for {address}, which is no public address; add `private: true` if that is meant")]
    Private {
        /// The name.
        host: Host,
        /// The first of its addresses.
        address: String,
    },
    /// Nobody listens there.
    #[error("no connection with `{host}`: {source}")]
    Connect {
        /// The name.
        host: Host,
        /// What the system said.
        source: io::Error,
    },
    /// TLS failed, or the certificate is not one for the host.
    #[error("no secure connection with `{host}`: {what}")]
    Tls {
        /// The name.
        host: Host,
        /// What went wrong.
        what: String,
    },
    /// It took longer than it may.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// A header that cannot be sent.
    #[error("the value of the header `{0}` cannot be sent: it is no line of ASCII")]
    Header(String),
    /// What came back is no HTTP, or too large.
    #[error("the answer makes no sense: {0}")]
    Http(String),
}

/// Sends a message with POST and waits for the answer.
///
/// # Errors
/// When no answer comes. An answer that is a refusal is an answer.
pub async fn send(message: Outgoing) -> Result<Reply, SendError> {
    let timeout = message.timeout;
    match tokio::time::timeout(timeout, Box::pin(exchange(message))).await {
        Ok(reply) => reply,
        Err(_elapsed) => Err(SendError::Timeout(timeout)),
    }
}

async fn exchange(message: Outgoing) -> Result<Reply, SendError> {
    let request = request(&message)?;
    let wire = open(&message.url, message.private).await?;
    let mut builder = Builder::new();
    builder.max_buf_size(BUFFER_BYTES_MAX).max_headers(100);
    let http = |error: hyper::Error| SendError::Http(error.to_string());
    let (mut sender, connection) = builder.handshake(TokioIo::new(wire)).await.map_err(http)?;
    let reply = async move {
        let answer = sender.send_request(request).await.map_err(http)?;
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        // What a refusal says is for people; that it cannot be read is no fault.
        let text = Limited::new(answer.into_body(), REPLY_BYTES_MAX).collect().await;
        let text = text.map(|body| shown(&body.to_bytes())).unwrap_or_default();
        Ok(Reply { status, retry_after: retry_after.map(Duration::from_secs), text })
    };
    let (mut reply, mut connection) = (std::pin::pin!(reply), std::pin::pin!(connection));
    tokio::select! {
        biased;
        reply = &mut reply => return reply,
        ended = &mut connection => ended.map_err(http)?,
    }
    // The other side has closed; what it said before is still to be read.
    reply.await
}

fn request(message: &Outgoing) -> Result<Request<Full<Bytes>>, SendError> {
    let Outgoing { url, headers, body, .. } = message;
    let invalid = |error: http::Error| SendError::Http(error.to_string());
    let uri: Uri = url.path_and_query().parse().map_err(|error: http::uri::InvalidUri| invalid(error.into()))?;
    let port = url.authority.port.map_or_else(String::new, |port| format!(":{port}"));
    let request = Request::builder().method(Method::POST).uri(uri);
    let request = request.header(header::HOST, format!("{}{port}", url.authority.host));
    let request = request.header(header::USER_AGENT, concat!("clockjack/", env!("CARGO_PKG_VERSION")));
    let mut request = request.body(Full::new(Bytes::from(body.clone()))).map_err(invalid)?;
    for (name, value) in headers {
        let header = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
        let (name, value) = header.ok_or_else(|| SendError::Header(name.clone()))?;
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

async fn open(url: &WebUrl, private: bool) -> Result<Box<dyn Wire>, SendError> {
    let host = &url.authority.host;
    let unknown = |source| SendError::Unknown { host: host.clone(), source };
    let found = match host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => connect::looked_up(name.to_string(), ()).await.map_err(unknown)?,
    };
    let fit = vetted(found.iter().copied(), private);
    if fit.is_empty() {
        let address = found.first().map_or_else(|| "no address".to_owned(), IpAddr::to_string);
        return Err(SendError::Private { host: host.clone(), address });
    }
    let stream = connect::first_that_answers(&fit, url.port()).await;
    let stream = stream.map_err(|source| SendError::Connect { host: host.clone(), source })?;
    match url.scheme {
        Scheme::Http => Ok(Box::new(stream)),
        Scheme::Https => match tls::over(stream, host).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(SendError::Tls { host: host.clone(), what: tls_fault(&error) }),
        },
    }
}

fn tls_fault(error: &Error) -> String {
    match error {
        Error::TlsCertificateError => {
            "its certificate is not one for this host that this machine trusts; `SSL_CERT_FILE` names further ones"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// What a server says, as it may be shown.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REPLY_CHARS_MAX).collect();
    plain.trim().to_owned()
}
