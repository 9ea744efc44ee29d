//! Asking a registry: the manifest of an image, and the bytes of its layer, each within bounds of size and time.
//!
//! Only a registry on this very machine is asked without TLS.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use clockjack_sandbox::{LoadCode, LoadError, shown_name};
use clockjack_schedule::manifest::{oci_reference::OciReference, scalar::show_duration};
use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol},
    errors::{OciDistributionError, OciEnvelope, OciErrorCode},
    manifest::{
        IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE,
    },
};
use tokio::io::AsyncWrite;

use super::{
    super::{components::sha256, crypto},
    credentials::Credentials,
    image::Layer,
};

/// Whatever the registry has is taken, so that what it is can be told.
const MANIFESTS: [&str; 4] =
    [OCI_IMAGE_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE];

/// Largest manifest, as registries have it.
const MANIFEST_BYTES_MAX: usize = 4 << 20;

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For a connection.
    pub(super) connect: Duration,
    /// For the next byte.
    pub(super) silence: Duration,
    /// For a manifest, with all that leads to it.
    pub(super) manifest: Duration,
    /// For a layer.
    pub(super) layer: Duration,
}

/// Why a registry did not give what was asked for.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) error: LoadError,
    /// Whether the registry was not reached or could not answer, so that it has said nothing about the image.
    pub(super) is_unreachable: bool,
}

impl Trouble {
    /// The registry was reached, and the answer is what it is.
    pub(super) fn final_(code: LoadCode, message: String, fix: &str) -> Self {
        Self { error: LoadError { code, message, fix: fix.to_owned() }, is_unreachable: false }
    }
}

impl From<LoadError> for Trouble {
    fn from(error: LoadError) -> Self {
        Self { error, is_unreachable: false }
    }
}

/// A registry with the image that it is asked for.
pub(super) struct Registry<'r> {
    client: Client,
    image: Reference,
    reference: &'r OciReference,
    credentials: Credentials,
    patience: Patience,
}

impl<'r> Registry<'r> {
    /// Nothing is sent yet.
    pub(super) fn new(
        reference: &'r OciReference,
        credentials: Credentials,
        patience: Patience,
    ) -> Result<Self, Trouble> {
        crypto::choose();
        let client = Client::try_from(config(reference, patience)).map_err(|error| {
            let message = format!("`{reference}` cannot be pulled: no client can be set up: {}", reason(&error));
            Trouble::final_(LoadCode::Unreachable, message, "look whether `SSL_CERT_FILE` names certificates")
        })?;
        Ok(Self { client, image: image(reference), reference, credentials, patience })
    }

    /// The manifest, which has the digest that the reference names, if it names one.
    pub(super) async fn manifest(&self) -> Result<Vec<u8>, Trouble> {
        let asked = self.client.pull_manifest_raw(&self.image, &self.credentials.auth, &MANIFESTS);
        let answer = tokio::time::timeout(self.patience.manifest, asked).await;
        let answer = answer.map_err(|_elapsed| self.too_slow("manifest", self.patience.manifest))?;
        let (bytes, _) = answer.map_err(|error| self.trouble(error))?;
        let reference = self.reference;
        if MANIFEST_BYTES_MAX < bytes.len() {
            let message = format!("`{reference}` has a manifest of more than 4 MiB");
            return Err(Trouble::final_(LoadCode::TooLarge, message, "name another image: this is no component"));
        }
        if let Some(digest) = reference.digest().filter(|digest| **digest != sha256(&bytes)) {
            let message = format!("the registry gave another image than the one with sha256:{digest}");
            return Err(Trouble::final_(LoadCode::Digest, format!("`{reference}`: {message}"), DO_NOT_RUN));
        }
        Ok(bytes.to_vec())
    }

    /// The bytes of a layer, which have the digest and the size that the manifest names.
    pub(super) async fn layer(&self, layer: &Layer) -> Result<Vec<u8>, Trouble> {
        let n_bytes = usize::try_from(layer.n_bytes).unwrap_or(usize::MAX);
        let mut sink = Sink { bytes: Vec::new(), n_bytes_max: n_bytes, is_full: false };
        let digest = format!("sha256:{}", layer.digest);
        // Other places that a manifest names for its layers are not asked.
        let asked = self.client.pull_blob(&self.image, digest.as_str(), &mut sink);
        let answer = tokio::time::timeout(self.patience.layer, asked).await;
        let answer = answer.map_err(|_elapsed| self.too_slow("layer", self.patience.layer))?;
        let reference = self.reference;
        let changed = |what: &str| {
            let message = format!("`{reference}`: the registry gave {what} than its manifest says");
            Trouble::final_(LoadCode::Digest, message, DO_NOT_RUN)
        };
        if sink.is_full {
            return Err(changed("more bytes"));
        }
        answer.map_err(|error| self.trouble(error))?;
        if sha256(&sink.bytes) != layer.digest || sink.bytes.len() != n_bytes {
            return Err(changed("other bytes"));
        }
        Ok(sink.bytes)
    }

    fn too_slow(&self, what: &str, limit: Duration) -> Trouble {
        self.unreachable(&format!("no {what} within {}", show_duration(limit)))
    }

    fn unreachable(&self, reason: &str) -> Trouble {
        unreachable(self.reference, reason)
    }

    fn denied(&self) -> Trouble {
        let (reference, host) = (self.reference, self.reference.registry());
        let message = format!(
            "`{reference}` cannot be pulled: the registry `{host}` does not let this host read it; {}",
            self.credentials.note
        );
        let fix = "log in with a tool that writes `auths` into `~/.docker/config.json` (or into the folder that \
                   `DOCKER_CONFIG` names), or check the name: some registries say this of what is not there";
        Trouble::final_(LoadCode::Unreachable, message, fix)
    }

    fn absent(&self) -> Trouble {
        let (reference, host) = (self.reference, self.reference.registry());
        let message = format!("the registry `{host}` has no `{reference}`");
        Trouble::final_(LoadCode::NotFound, message, "check the name, the tag and the digest, or push the image first")
    }

    fn odd(&self, reason: &str) -> Trouble {
        let (reference, host) = (self.reference, self.reference.registry());
        let message = format!("`{reference}` cannot be pulled: `{host}` does not answer as a registry does: {reason}");
        Trouble::final_(LoadCode::Unreachable, message, "check the host and the port, and whether a proxy answers")
    }

    fn trouble(&self, error: OciDistributionError) -> Trouble {
        use OciDistributionError as E;
        match error {
            E::RequestError(_) | E::IoError(_) => self.unreachable(&reason(&error)),
            E::UnauthorizedError { .. } | E::AuthenticationFailure(_) => self.denied(),
            E::ImageManifestNotFoundError(_) => self.absent(),
            E::RegistryError { envelope, .. } => self.refused(&envelope),
            E::ServerError { code: 401 | 403, .. } => self.denied(),
            E::ServerError { code: 404, .. } => self.absent(),
            E::ServerError { code: code @ (408 | 429 | 500..), .. } => self.unreachable(&format!("it answers {code}")),
            E::ServerError { code, .. } => self.odd(&format!("it answers {code}")),
            E::DigestError(_) => {
                let message = format!("`{}`: the registry gave other bytes than were asked for", self.reference);
                Trouble::final_(LoadCode::Digest, message, DO_NOT_RUN)
            }
            error => self.odd(&reason(&error)),
        }
    }

    fn refused(&self, envelope: &OciEnvelope) -> Trouble {
        use OciErrorCode as C;
        let Some(first) = envelope.errors.first() else { return self.odd("it refuses, and says nothing more") };
        match &first.code {
            C::ManifestUnknown | C::NameUnknown | C::NotFound | C::BlobUnknown | C::ManifestBlobUnknown => {
                self.absent()
            }
            C::Unauthorized | C::Denied => self.denied(),
            C::Toomanyrequests => self.unreachable("it has too many requests"),
            _ => self.odd(&shown_name(&first.message)),
        }
    }
}

/// The registry has said nothing about the image.
pub(super) fn unreachable(reference: &OciReference, reason: &str) -> Trouble {
    let host = reference.registry();
    let message = format!("`{reference}` cannot be pulled: the registry `{host}` is not reached: {reason}");
    let fix = "look whether the registry runs and this machine reaches it; what was pulled once with a tag or a digest is \
               used without it";
    let error = LoadError { code: LoadCode::Unreachable, message, fix: fix.to_owned() };
    Trouble { error, is_unreachable: true }
}

const DO_NOT_RUN: &str = "somebody changed it on its way or in the registry: find out who, and push the image again";

fn config(reference: &OciReference, patience: Patience) -> ClientConfig {
    let is_here = reference.is_loopback();
    // With a proxy of its own, which nothing goes through, the client does not look for those of the environment: none of
    // them reaches this machine's own registry.
    let no_proxy = is_here.then(|| "0.0.0.0/0, ::/0, *".to_owned());
    let http_proxy = is_here.then(|| "http://127.0.0.1:9".to_owned());
    ClientConfig {
        protocol: if is_here { ClientProtocol::Http } else { ClientProtocol::Https },
        connect_timeout: Some(patience.connect),
        read_timeout: Some(patience.silence),
        user_agent: concat!("clockjack/", env!("CARGO_PKG_VERSION")),
        http_proxy,
        no_proxy,
        ..ClientConfig::default()
    }
}

fn image(reference: &OciReference) -> Reference {
    let (registry, repository) = (reference.registry().to_owned(), reference.repository().to_owned());
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => Reference::with_digest(registry, repository, format!("sha256:{digest}")),
        (None, tag) => Reference::with_tag(registry, repository, tag.unwrap_or_default().to_owned()),
    }
}

/// The innermost cause: what is around it repeats the address.
fn reason(error: &OciDistributionError) -> String {
    let mut cause: &dyn std::error::Error = match error {
        OciDistributionError::RequestError(request) if request.is_timeout() => {
            return "it does not answer in time".to_owned();
        }
        OciDistributionError::RequestError(request) => request,
        error => error,
    };
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    shown_name(&cause.to_string())
}

/// Takes so many bytes and no more.
struct Sink {
    bytes: Vec<u8>,
    n_bytes_max: usize,
    is_full: bool,
}

impl AsyncWrite for Sink {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.n_bytes_max.saturating_sub(self.bytes.len()) < bytes.len() {
            self.is_full = true;
            return Poll::Ready(Err(io::Error::other("more bytes than were told")));
        }
        self.bytes.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
