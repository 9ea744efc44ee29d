//! Listening on the network: which addresses, and with which certificate.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    os::unix::fs::MetadataExt as _,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use clockjack_schedule::manifest::resolved::TlsFiles;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        version::{TLS12, TLS13},
    },
    server::TlsStream,
};
use tracing::{info, warn};

use super::access::door::Peer;

/// How long a handshake may take.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);

/// An address that a host listens on.
pub struct TcpDoor {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
}

impl TcpDoor {
    /// Listens on an address. Must be called inside a runtime.
    ///
    /// # Errors
    /// When somebody else has the address, or it is none of this machine.
    pub async fn open(address: SocketAddr, tls: Option<Arc<Tls>>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, tls })
    }

    /// Where it is reached.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The next connection. Cancel-safe.
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        let (stream, from) = self.listener.accept().await?;
        // One answer is one packet or several in a row; nothing is gained by waiting for more.
        drop(stream.set_nodelay(true));
        let to = stream.local_addr().map_or(self.address.ip(), |address| address.ip());
        Ok(Accepted { stream, from, to, tls: self.tls.clone() })
    }
}

/// A connection before its handshake.
pub(super) struct Accepted {
    stream: TcpStream,
    from: SocketAddr,
    to: IpAddr,
    tls: Option<Arc<Tls>>,
}

impl Accepted {
    pub(super) fn peer(&self) -> Peer {
        Peer::Network { from: self.from, to: self.to, is_tls: self.tls.is_some() }
    }

    /// The connection, where nothing has to be agreed on first.
    pub(super) fn plain(self) -> Option<TcpStream> {
        self.tls.is_none().then_some(self.stream)
    }

    /// The connection, after its handshake.
    pub(super) async fn open(self) -> io::Result<Stream> {
        let Self { stream, tls, .. } = self;
        let Some(tls) = tls else { return Ok(Stream::Plain(stream)) };
        let acceptor = TlsAcceptor::from(tls.config());
        let stream = tokio::time::timeout(HANDSHAKE_TIME_MAX, acceptor.accept(stream)).await;
        Ok(Stream::Tls(Box::new(stream.map_err(|_elapsed| io::Error::from(io::ErrorKind::TimedOut))??)))
    }
}

/// A connection over the network.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A certificate and its key, read again when their files change.
pub struct Tls {
    files: TlsFiles,
    read: Mutex<(Stamps, Arc<ServerConfig>)>,
}

type Stamps = [Option<(SystemTime, u64)>; 2];

impl Tls {
    /// Reads a certificate.
    ///
    /// # Errors
    /// When a file is not there, holds none, or the key is that of another certificate; in words.
    pub fn read(files: &TlsFiles) -> Result<Self, String> {
        let config = config(files)?;
        Ok(Self { files: files.clone(), read: Mutex::new((stamps(files), config)) })
    }

    /// That users of this machine may read the key who have no business with it, in words. A group is somebody's choice.
    #[must_use]
    pub fn open_key(files: &TlsFiles) -> Option<String> {
        let mode = fs::metadata(&files.key).ok()?.mode() & 0o777;
        (mode & 0o007 != 0)
            .then(|| format!("everybody on this machine may read `{}` (mode {mode:o})", files.key.display()))
    }

    /// What the files say now. What is wrong with new ones is told, and the old ones stay.
    fn config(&self) -> Arc<ServerConfig> {
        let now = stamps(&self.files);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.0 != now {
            read.0 = now;
            match config(&self.files) {
                Ok(config) => {
                    if let Some(problem) = Self::open_key(&self.files) {
                        warn!("the key of the control interface is no secret: {problem}; `chmod 600` it");
                    }
                    info!("the certificate of the control interface was read again");
                    read.1 = config;
                }
                Err(problem) => warn!("the certificate of the control interface stays as it was: {problem}"),
            }
        }
        Arc::clone(&read.1)
    }
}

fn stamps(files: &TlsFiles) -> Stamps {
    let stamp = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        Some((found.modified().ok()?, found.len()))
    };
    [stamp(&files.cert), stamp(&files.key)]
}

fn config(files: &TlsFiles) -> Result<Arc<ServerConfig>, String> {
    let wrong = |path: &Path, problem: String| format!("`{}`: {problem}", path.display());
    let read = |path: &Path| fs::read(path).map_err(|error| wrong(path, error.to_string()));
    let (cert, key) = (read(&files.cert)?, read(&files.key)?);
    let certs: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&cert).collect();
    let certs = certs.map_err(|error| wrong(&files.cert, error.to_string()))?;
    if certs.is_empty() {
        return Err(wrong(&files.cert, "there is no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| wrong(&files.key, error.to_string()))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&TLS13, &TLS12]).map_err(|error| error.to_string())?;
    let config = builder.with_no_client_auth().with_single_cert(certs, key);
    let mut config =
        config.map_err(|error| wrong(&files.key, format!("it is not the key of the certificate: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use clockjack_schedule::diagnostic::Span;

    use super::*;

    #[test]
    fn a_key_that_everybody_may_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.pem");
        fs::write(&key, "").unwrap();
        let files = TlsFiles { cert: key.clone(), key: key.clone(), span: Span::default() };
        let told = |mode| {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
            Tls::open_key(&files)
        };
        assert_eq!((told(0o600), told(0o640)), (None, None));
        assert!(told(0o644).unwrap().ends_with("key.pem` (mode 644)"));
    }
}
