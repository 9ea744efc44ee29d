//! The port to the values of secrets.

use crate::secret::{SecretSource, SecretText};

/// Reads the values of secrets: for each attempt anew, so that a changed one needs no restart.
pub trait Vault: Send + Sync {
    /// The value. Fails with words for a person, which never hold anything of it.
    fn read(&self, source: &SecretSource) -> Result<SecretText, String>;
}
