//! Where the bytes of a plugin come from: a file, or a registry; and what is to be told of that.

use clockjack_sandbox::{LoadCode, LoadError, Plugin, PluginFile, Sandbox, Wanted, check_digest};
use clockjack_schedule::{
    diagnostic::Diagnostic,
    id::PluginName,
    manifest::{
        resolved::{self, HostSettings, Manifest},
        source::Source,
    },
};

use super::{Loaded, oci, provenance::keys_for};

pub use super::oci::Image;

/// Bytes that were fetched.
pub struct Fetched {
    /// The bytes.
    pub file: PluginFile,
    /// The image that they came out of, where it was a registry.
    pub image: Option<Image>,
}

/// Gets the bytes of a plugin, once. With keys one of them must have signed its file. Blocks while a registry is asked; not to
/// be called on a thread of a runtime.
///
/// # Errors
/// When they cannot be had, or are not signed as they have to be.
pub fn fetch(source: &Source, keys: Option<&[String]>) -> Result<Fetched, LoadError> {
    match source {
        Source::File(path) => Ok(Fetched { file: PluginFile::read(path, keys)?, image: None }),
        Source::Oci(reference) if keys.is_some() => Err(LoadError {
            code: LoadCode::Signature,
            message: format!(
                "`{reference}` is in a registry, and keys hold for files, which have a signature beside them"
            ),
            fix: "leave the key out, and pin the image: write `@sha256:` and its digest behind the reference"
                .to_owned(),
        }),
        Source::Oci(reference) => {
            let pulled = oci::pull(reference)?;
            let file = PluginFile::of_bytes(pulled.bytes);
            let image = &pulled.image.digest;
            tracing::info!(%reference, %image, sha256 = &file.digest()[..12], "component taken from an image");
            Ok(Fetched { file, image: Some(pulled.image) })
        }
    }
}

/// The bytes of a plugin of a manifest, for a host that runs: that an image may be an old one is logged.
///
/// # Errors
/// As `fetch`.
pub fn plugin_file(plugin: &resolved::Plugin, host: &HostSettings) -> Result<PluginFile, LoadError> {
    let Fetched { file, image } = fetch(&plugin.source, keys_of(host, &plugin.source))?;
    if let Some(Image { reference, digest, stale: Some(reason) }) = image {
        tracing::warn!(plugin = %plugin.name, %reference, image = %digest, "what the tag meant last is used: {reason}");
    }
    Ok(file)
}

/// A plugin that was loaded.
pub struct Origin {
    /// The image that it came out of, where it was a registry.
    pub image: Option<Image>,
    /// The plugin.
    pub plugin: Plugin,
}

/// Gets the bytes of a plugin, holds them to what they have to be, compiles and links them.
///
/// # Errors
/// Says what is wrong and what to do about it.
pub fn load(sandbox: &Sandbox, source: &Source, wanted: Wanted<'_>, is_metered: bool) -> Result<Origin, LoadError> {
    let Fetched { file, image } = fetch(source, wanted.keys)?;
    check_digest(file.digest(), wanted.sha256)?;
    Ok(Origin { image, plugin: file.load(sandbox, is_metered)? })
}

/// The keys that may have signed a plugin, where the manifest asks for a signature. Keys hold for folders; what is in a
/// registry lies in none.
#[must_use]
pub fn keys_of<'h>(host: &'h HostSettings, source: &Source) -> Option<&'h [String]> {
    keys_for(host, source.file()?)
}

/// That an image may not be what its tag means by now.
pub fn stale(manifest: &Manifest, name: &PluginName, image: &Image) -> Option<Diagnostic> {
    let Image { reference, digest, stale } = image;
    let message =
        format!("plugin `{name}`: what `{reference}` meant last is used (sha256:{digest}): {}", stale.as_ref()?);
    let warning = Diagnostic::warning("load.stale", manifest.plugin_span(name, "source"), message);
    let fix =
        "look whether the registry can be reached; write the digest behind the reference where it must not change";
    Some(warning.fix(fix))
}

/// Tells of images that nothing pins, where other plugins have to be signed.
pub(super) fn check(loaded: &mut Loaded) {
    let manifest = &loaded.manifest;
    if manifest.host.trusted_keys.is_empty() {
        return;
    }
    for (name, plugin) in &manifest.plugins {
        let Some(reference) = plugin.source.oci() else { continue };
        let in_lock = loaded.lock.as_ref().is_some_and(|lock| lock.pin(name.as_str()).is_some());
        if reference.digest().is_some() || plugin.sha256.is_some() || in_lock {
            continue;
        }
        let message = format!(
            "plugin `{name}`: `host.trusted_keys` hold for files in folders, so nothing says whose `{reference}` is"
        );
        let fix =
            format!("pin it: write `@sha256:` and the digest behind it that `clockjack inspect {reference}` shows");
        let span = manifest.plugin_span(name, "source");
        loaded.diagnostics.push(Diagnostic::warning("load.unpinned", span, message).fix(fix));
    }
}
