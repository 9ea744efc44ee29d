//! Components from registries: pulled once, kept by their digests, and found again without the network.
//!
//! A reference with a digest means one image for ever: once it is kept, nobody is asked. A tag is asked for each time; where
//! the registry cannot be reached, it means what it meant last. What is kept is the manifest of the image and its only layer,
//! each under the SHA-256 of its bytes, so that what was pulled with a digest is checked against it on every load.

mod away;
mod credentials;
mod image;
mod refs;
mod registry;

use std::time::Duration;

use clockjack_sandbox::{LoadCode, LoadError};
use clockjack_schedule::{
    manifest::{oci_reference::OciReference, resolved::Sha256},
    ports::Clock as _,
};

use self::{
    away::Away,
    credentials::Credentials,
    refs::Refs,
    registry::{Patience, Registry, Trouble},
};
use super::components::{Components, sha256};
use crate::{clock::SystemClock, settings};

/// How long the parts of a pull may take. Whoever waits for it is a person, or a host that starts.
const PATIENCE: Patience = Patience {
    // A registry that answers at all does so within a second or two.
    connect: Duration::from_secs(10),
    silence: Duration::from_secs(20),
    manifest: Duration::from_secs(30),
    // The largest component over a line of 2 Mbit/s.
    layer: Duration::from_secs(300),
};

/// The registries that this process need not wait for.
static AWAY: Away = Away::new();

/// What was pulled.
pub(super) struct Pulled {
    /// The component.
    pub(super) bytes: Vec<u8>,
    /// Out of which image.
    pub(super) image: Image,
}

/// The image that a component came out of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// What its reference is.
    pub reference: OciReference,
    /// The SHA-256 of its manifest, which pins it as `@sha256:…`.
    pub digest: Sha256,
    /// Why it may not be what its tag means by now: the registry could not be reached.
    pub stale: Option<String>,
}

/// Gets the component that a reference means. Blocks while the registry is asked; not to be called where a runtime goes on.
///
/// # Errors
/// When it is neither kept nor to be had, or is no component.
pub(super) fn pull(reference: &OciReference) -> Result<Pulled, LoadError> {
    let components = Components::open();
    let kept = Kept { components: components.as_ref(), refs: components.as_ref().and_then(|_| Refs::open()) };
    let image = |digest, stale| Image { reference: reference.clone(), digest, stale };
    if let Some(digest) = reference.digest()
        && let Some(bytes) = kept.component(digest)
    {
        return Ok(Pulled { bytes, image: image(*digest, None) });
    }
    match ask_unless_away(reference, &kept) {
        Ok((digest, bytes)) => Ok(Pulled { bytes, image: image(digest, None) }),
        Err(trouble) if trouble.is_unreachable => {
            let last = kept.refs.as_ref().and_then(|refs| refs.get(reference));
            let found = last.and_then(|digest| Some((digest, kept.component(&digest)?)));
            let Some((digest, bytes)) = found else { return Err(trouble.error) };
            Ok(Pulled { bytes, image: image(digest, Some(trouble.error.message)) })
        }
        Err(trouble) => Err(trouble.error),
    }
}

/// Asks the registry, unless it has kept somebody waiting a moment ago.
fn ask_unless_away(reference: &OciReference, kept: &Kept<'_>) -> Result<(Sha256, Vec<u8>), Trouble> {
    let (registry, began) = (reference.registry(), SystemClock.monotonic());
    if AWAY.has(registry, began) {
        return Err(registry::unreachable(reference, "it was not reached a moment ago"));
    }
    let asked = ask(reference, kept);
    if asked.as_ref().is_err_and(|trouble| trouble.is_unreachable) {
        AWAY.note(registry, began, SystemClock.monotonic());
    }
    asked
}

/// Asks the registry, and keeps what it gives.
fn ask(reference: &OciReference, kept: &Kept<'_>) -> Result<(Sha256, Vec<u8>), Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        let message = format!("`{reference}` cannot be pulled: {error}");
        Trouble::final_(LoadCode::Unreachable, message, "look whether this machine has memory and descriptors left")
    })?;
    let credentials = Credentials::find(reference.registry());
    let registry = Registry::new(reference, credentials, PATIENCE)?;
    let asked: Result<_, Trouble> = runtime.block_on(async {
        let manifest = registry.manifest().await?;
        let layer = image::layer_of(&manifest, reference)?;
        let bytes = match kept.components.and_then(|components| components.get(&layer.digest)) {
            Some(bytes) => bytes,
            None => registry.layer(&layer).await?,
        };
        Ok((manifest, bytes))
    });
    // A name that is still being looked up holds up nobody.
    runtime.shutdown_background();
    let (manifest, bytes) = asked?;
    if let Some(components) = kept.components {
        components.put(&manifest);
        components.put(&bytes);
    }
    let digest = sha256(&manifest);
    if let Some(refs) = &kept.refs {
        refs.put(reference, &digest);
    }
    Ok((digest, bytes))
}

/// What this machine keeps of registries.
struct Kept<'c> {
    components: Option<&'c Components>,
    refs: Option<Refs>,
}

impl Kept<'_> {
    /// The component of an image whose manifest has this digest.
    fn component(&self, image: &Sha256) -> Option<Vec<u8>> {
        let components = self.components?;
        let layer = image::layer(&components.get(image)?).ok()?;
        components.get(&layer.digest)
    }
}

/// The file with what a person told the tools of registries.
fn config_file() -> Option<std::path::PathBuf> {
    settings::docker_config()
}
