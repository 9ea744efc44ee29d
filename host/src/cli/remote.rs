//! A host that is reached over the network: where it is, the token that it is shown, and the certificate that it shows.

use std::{
    fs, io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use clap::Args;
use hyper::{Uri, header, http::HeaderValue};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

use super::{client::Failure, refusal::Coded};
use crate::{
    api::access::tokens::{self, Places},
    settings,
};

/// How long a host may take to take a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// Where a host is that is reached over the network.
#[derive(Clone, Debug, Args)]
pub(super) struct RemoteArgs {
    /// The address of the host, such as `https://jobs.acme.dev:7878`; without it `CLOCKJACK_HOST`, else its socket.
    #[arg(long, value_name = "URL", conflicts_with = "socket")]
    pub(super) host: Option<String>,
    /// The token that it is shown. Others see it in the list of processes: `CLOCKJACK_TOKEN` and `--token-file` hide it.
    /// Without any, on this machine, that of the user.
    #[arg(long, value_name = "TOKEN")]
    pub(super) token: Option<String>,
    /// A file with the token.
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub(super) token_file: Option<PathBuf>,
    /// Certificates to trust beside those of the machine, as PEM.
    #[arg(long, value_name = "FILE")]
    pub(super) cacert: Option<PathBuf>,
}

/// A host over the network.
#[derive(Clone)]
pub(super) struct Remote {
    url: String,
    args: RemoteArgs,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.url)
    }
}

/// Where exactly, and how.
struct Target {
    is_tls: bool,
    name: String,
    port: u16,
}

impl Remote {
    /// The host that a person named, if they named one and no socket.
    pub(super) fn of(args: &RemoteArgs, socket: Option<&Path>) -> Option<Self> {
        if socket.is_some() {
            return None;
        }
        let url = args.host.clone().or_else(settings::remote_host)?;
        Some(Self { url, args: args.clone() })
    }

    fn target(&self) -> Result<Target, Failure> {
        let url = if self.url.contains("://") { self.url.clone() } else { format!("http://{}", self.url) };
        let wrong = || {
            let detail = format!("`{}` is not the address of a host", self.url);
            refused("host.address", detail, "write `http://127.0.0.1:7878` or `https://jobs.acme.dev:7878`")
        };
        let uri: Uri = url.parse().map_err(|_not_an_address| wrong())?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let has_path = !matches!(uri.path(), "" | "/") || uri.query().is_some();
        let authority = uri.authority().filter(|authority| !has_path && !authority.as_str().contains('@'));
        let authority = authority.ok_or_else(wrong)?;
        let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Target { is_tls, name, port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }) })
    }

    /// What the header `host` says.
    pub(super) fn host(&self) -> Result<HeaderValue, Failure> {
        let Target { name, port, .. } = self.target()?;
        let name = if name.contains(':') { format!("[{name}]") } else { name };
        HeaderValue::from_str(&format!("{name}:{port}")).map_err(|error| Failure::Host(error.into()))
    }

    /// What the header `authorization` says, where there is a token. A token goes only to where nobody reads along.
    pub(super) fn authorization(&self) -> Result<Option<HeaderValue>, Failure> {
        let target = self.target()?;
        let is_here = is_here(&target.name);
        let given = match &self.args.token_file {
            Some(file) => {
                let read = fs::read_to_string(file).map_err(|error| {
                    let detail = format!("`{}` cannot be read: {error}", file.display());
                    refused("token.file", detail, "name a file that holds a token and nothing else")
                })?;
                Some(read.trim().to_owned())
            }
            None => self.args.token.clone().or_else(settings::remote_token),
        };
        let own = || Places::of(None).filter(|_| is_here).and_then(|places| tokens::read_local(&places.local).ok());
        let Some(token) = given.or_else(own) else { return Ok(None) };
        if !target.is_tls && !is_here {
            let detail = format!("without TLS, everybody on the way to `{}` could read the token", self.url);
            return Err(refused("host.insecure", detail, "ask for `https://...`, or on the machine itself"));
        }
        let value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_not_visible| {
            refused("token.invalid", "the token has characters that none has".to_owned(), "copy it again")
        });
        value.map(|mut value| {
            value.set_sensitive(true);
            Some(value)
        })
    }

    /// A connection to it.
    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        let Target { is_tls, name, port } = self.target()?;
        let lost = |error: io::Error| {
            let text = format!(
                "no host answers at `{}`: {error}; say where it listens (its log names it) with `--host URL` or \
                 `CLOCKJACK_HOST`",
                self.url
            );
            Failure::Host(Coded::new("host.absent", text).into())
        };
        let connected = async {
            let stream = TcpStream::connect((name.as_str(), port)).await.map_err(lost)?;
            drop(stream.set_nodelay(true));
            if !is_tls {
                return Ok(Connection::Plain(stream));
            }
            let config = self.trusted()?;
            let server = ServerName::try_from(name.clone()).map_err(|error| Failure::Host(error.into()))?;
            let stream = TlsConnector::from(config).connect(server, stream).await.map_err(|error| {
                let text = format!(
                    "`{}` does not prove its name: {error}; name the certificate that vouches for it with `--cacert FILE`",
                    self.url
                );
                Failure::Host(Coded::new("host.untrusted", text).into())
            })?;
            Ok(Connection::Tls(Box::new(stream)))
        };
        let connected = tokio::time::timeout(CONNECT_TIME_MAX, connected).await;
        connected.unwrap_or_else(|_elapsed| Err(lost(io::ErrorKind::TimedOut.into())))
    }

    /// Whose certificates count.
    fn trusted(&self) -> Result<Arc<ClientConfig>, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(file) = &self.args.cacert {
            let wrong = |problem: String| {
                let detail = format!("`{}` cannot be used: {problem}", file.display());
                refused("host.cacert", detail, "name a PEM file with the certificates to trust")
            };
            let text = fs::read(file).map_err(|error| wrong(error.to_string()))?;
            for cert in CertificateDer::pem_slice_iter(&text) {
                let cert = cert.map_err(|error| wrong(error.to_string()))?;
                roots.add(cert).map_err(|error| wrong(error.to_string()))?;
            }
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| Failure::Host(error.into()))?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// The head of a request to it.
    pub(super) fn sign(&self, headers: &mut hyper::HeaderMap) -> Result<(), Failure> {
        headers.insert(header::HOST, self.host()?);
        if let Some(authorization) = self.authorization()? {
            headers.insert(header::AUTHORIZATION, authorization);
        }
        Ok(())
    }
}

fn refused(code: &str, detail: String, fix: &str) -> Failure {
    Failure::Refused { code: code.to_owned(), detail, fix: fix.to_owned() }
}

/// Whether a name is this machine's, beyond doubt.
fn is_here(name: &str) -> bool {
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// A connection to a host.
pub(super) enum Connection {
    Socket(UnixStream),
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Socket(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Socket(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Socket(stream) => Pin::new(stream).poll_flush(cx),
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Socket(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
