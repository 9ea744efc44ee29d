//! A plugin's file that was read once: whatever happens to the file meanwhile, what is hashed, checked and shown is what is
//! compiled.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::{
    engine::Sandbox,
    error::LoadError,
    file,
    plugin::{self, Plugin},
    signature,
};

/// The bytes of a plugin.
pub struct PluginFile {
    bytes: Vec<u8>,
    digest: String,
}

impl PluginFile {
    /// Reads a file. With keys one of them must have signed it.
    ///
    /// # Errors
    /// When it cannot be read, or is not signed as it has to be.
    pub fn read(path: &Path, keys: Option<&[String]>) -> Result<Self, LoadError> {
        let file = Self::of_bytes(file::read(path)?);
        if let Some(keys) = keys {
            signature::check(path, &file.bytes, keys)?;
        }
        Ok(file)
    }

    /// The same of bytes that came from elsewhere.
    #[must_use]
    pub fn of_bytes(bytes: Vec<u8>) -> Self {
        let digest = plugin::hex(&Sha256::digest(&bytes));
        Self { bytes, digest }
    }

    /// SHA-256 of the bytes, in hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Compiles and links them; `is_metered` says whether any job counts instructions.
    ///
    /// # Errors
    /// Says what is wrong with the file and what to do about it.
    pub fn load(&self, sandbox: &Sandbox, is_metered: bool) -> Result<Plugin, LoadError> {
        Plugin::from_bytes(sandbox, &self.bytes, None, is_metered)
    }
}
