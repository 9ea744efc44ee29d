//! Passwords, tokens and keys that the manifest names once and grants to jobs by name.
//!
//! ```
//! use clockjack_sdk::{Failure, secrets, testing};
//!
//! fn authorization() -> Result<String, Failure> {
//!     let token = secrets::get("api-key")?;
//!     clockjack_sdk::info!("calling with {token}"); // logs `[secret]`
//!     Ok(format!("Bearer {}", token.expose()))
//! }
//!
//! testing::set_secret("api-key", "s3same");
//! assert_eq!(authorization(), Ok("Bearer s3same".into()));
//! assert_eq!(testing::take_log()[0].message, "calling with [secret]");
//! ```
//!
//! The host replaces the values in whatever it keeps or shows of the job; that the type here does not show them is the
//! second lock on the same door. A plugin that does not use this module does not import the interface.

use std::fmt;

use crate::{Value, rt::imports};

/// The value of a secret. Neither `{}` nor `{:?}` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value itself. Whoever calls this has to know where it goes.
    ///
    /// ```
    /// # clockjack_sdk::testing::set_secret("password", "hunter2");
    /// let password = clockjack_sdk::secrets::get("password")?;
    /// assert_eq!(password.expose(), "hunter2");
    /// assert_eq!(format!("{password} {password:?}"), "[secret] [secret]");
    /// # Ok::<(), clockjack_sdk::secrets::Error>(())
    /// ```
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

const HIDDEN: &str = "[secret]";

/// Why there is no value. With `?` it becomes a [`Failure`](crate::Failure), permanent where the grant is missing, or a
/// `String`, or any boxed error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The job has no grant for this name; whether the host knows the name is not told.
    Denied(String),
    /// The name is granted, and its value cannot be had now.
    Unavailable {
        /// The name of the secret.
        name: String,
        /// Why, as the host tells it.
        reason: String,
    },
}

impl Error {
    /// Whether another attempt can end in another way.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Error::Denied(_) => true,
            Error::Unavailable { .. } => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Denied(name) => write!(
                f,
                "the job has no grant for the secret `{name}`; add it to `grants.secrets` of the job in the manifest"
            ),
            Error::Unavailable { name, reason } => write!(f, "the secret `{name}` cannot be had now: {reason}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for String {
    fn from(error: Error) -> String {
        error.to_string()
    }
}

/// The value of a secret that is granted to the job, read anew for each attempt.
///
/// ```
/// use clockjack_sdk::{secrets, testing};
///
/// assert_eq!(secrets::get("api-key"), Err(secrets::Error::Denied("api-key".into())));
/// testing::set_secret("api-key", "s3same");
/// assert_eq!(secrets::get("api-key")?.expose(), "s3same");
/// # Ok::<(), secrets::Error>(())
/// ```
pub fn get(name: &str) -> Result<Secret, Error> {
    match imports::secrets::get(name) {
        Ok(value) => Ok(Secret(value)),
        Err(RawError::Denied) => Err(Error::Denied(name.to_owned())),
        Err(RawError::Unavailable(reason)) => Err(Error::Unavailable { name: name.to_owned(), reason }),
    }
}

/// An error as WIT has it.
#[derive(Debug, Value)]
pub(crate) enum RawError {
    Denied,
    Unavailable(String),
}
