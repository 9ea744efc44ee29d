//! Secrets: where their values come from, who may have them, and a text that does not show itself.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

pub use crate::id::SecretName;

/// Largest value of a secret that is read, in bytes: a key or a certificate, not a file of data.
pub const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Where the value of a secret is.
///
/// ```yaml
/// secrets:
///   api-key: { env: API_KEY }
///   token: { file: ./token }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretSource {
    /// `env`: in this variable of the host's environment.
    Env(Arc<str>),
    /// `file`: in this file, whose last newline does not count. At most 64 KiB of UTF-8; a relative path starts at the
    /// manifest's folder.
    File(Arc<PathBuf>),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the environment variable `{name}`"),
            Self::File(path) => write!(f, "the file `{}`", path.display()),
        }
    }
}

/// Which secrets a job may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretGrants {
    /// `secrets: [api-key]`: those that it may ask for by name.
    pub by_name: BTreeMap<SecretName, SecretSource>,
    /// `env: { TOKEN: { secret: api-key } }`: those that stand in its environment, by the name of the variable.
    pub by_variable: BTreeMap<String, (SecretName, SecretSource)>,
}

impl SecretGrants {
    /// Every secret once.
    #[must_use]
    pub fn all(&self) -> BTreeMap<&SecretName, &SecretSource> {
        self.by_name.iter().chain(self.by_variable.values().map(|(name, source)| (name, source))).collect()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.by_variable.is_empty()
    }
}

/// The value of a secret. It shows itself to nobody who does not ask for it by [`SecretText::reveal`].
///
/// ```
/// use clockjack_schedule::secret::SecretText;
///
/// assert_eq!(format!("{:?}", SecretText::from("hunter2".to_owned())), "[secret]");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Arc<str>);

impl SecretText {
    /// The value.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(value: String) -> Self {
        Self(value.into())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
