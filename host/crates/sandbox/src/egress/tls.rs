//! TLS with the certificates that the machine trusts, and with nothing less.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use clockjack_schedule::egress::Host;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{self, ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};
use wasmtime_wasi_http::Error;

/// Read once: a host that is to trust others is started anew.
static CONFIG: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();

/// Speaks TLS over a connection. The certificate has to be for the host of the URL.
pub(super) async fn over(stream: TcpStream, host: &Host) -> Result<TlsStream<TcpStream>, Error> {
    let config = CONFIG.get_or_init(config).as_ref().map_err(|error| Error::InternalError(Some(error.clone())))?;
    let name = match host {
        Host::Name(name) => ServerName::try_from(name.to_string()).map_err(|_invalid| Error::TlsCertificateError)?,
        Host::Address(address) => ServerName::from(*address),
    };
    TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(|error| tls_error(&error))
}

fn config() -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        // A machine without a list of its own, such as a small container.
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn tls_error(error: &io::Error) -> Error {
    match error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Error::TlsCertificateError
        }
        Some(_) => Error::TlsProtocolError,
        None => Error::ConnectionTerminated,
    }
}
