//! How a job that cannot do its work says what should happen next.

use std::{any::Any, fmt, time::Duration};

use crate::{Value, secrets, state};

/// How a job that cannot do its work says what should happen next.
///
/// A job may return any error type, most simply a `String`. With this one it decides between trying again and giving
/// up. Errors of other libraries become [`Failure::Retry`] by `?`; those of this one also [`Failure::Permanent`], where
/// another attempt cannot end in another way, as without a grant.
///
/// ```
/// use clockjack_sdk::Failure;
///
/// fn import(path: &str) -> Result<usize, Failure> {
///     if !path.ends_with(".csv") {
///         return Err(Failure::permanent(format!("`{path}` is not a CSV file")));
///     }
///     Ok(std::fs::read_to_string(path)?.lines().count())
/// }
///
/// assert!(matches!(import("a.txt"), Err(Failure::Permanent(_))));
/// assert!(matches!(import("/nowhere/a.csv"), Err(Failure::Retry(_))));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Value)]
pub enum Failure {
    /// Trying again will not help.
    Permanent(String),
    /// Try again as the job's retry policy says.
    Retry(String),
    /// Try again, but not before this many milliseconds have passed.
    RetryAfter(u64, String),
    /// There was nothing to do; neither a success nor an alarm.
    Skipped(String),
}

impl Failure {
    /// Trying again will not help.
    ///
    /// ```
    /// # use clockjack_sdk::Failure;
    /// assert_eq!(Failure::permanent("no such table").to_string(), "no such table");
    /// ```
    pub fn permanent(message: impl Into<String>) -> Failure {
        Failure::Permanent(message.into())
    }

    /// Try again as the job's retry policy says.
    ///
    /// ```
    /// # use clockjack_sdk::Failure;
    /// assert_eq!(Failure::retry("locked"), Failure::Retry("locked".into()));
    /// ```
    pub fn retry(message: impl Into<String>) -> Failure {
        Failure::Retry(message.into())
    }

    /// Try again, but not earlier than this.
    ///
    /// ```
    /// # use clockjack_sdk::Failure;
    /// # use std::time::Duration;
    /// let failure = Failure::retry_after(Duration::from_secs(30), "the service asked to wait");
    /// assert_eq!(failure, Failure::RetryAfter(30_000, "the service asked to wait".into()));
    /// ```
    pub fn retry_after(wait: Duration, message: impl Into<String>) -> Failure {
        Failure::RetryAfter(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), message.into())
    }

    /// There was nothing to do.
    ///
    /// ```
    /// # use clockjack_sdk::Failure;
    /// assert_eq!(Failure::skipped("no new files").to_string(), "no new files");
    /// ```
    pub fn skipped(message: impl Into<String>) -> Failure {
        Failure::Skipped(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Permanent(message)
            | Failure::Retry(message)
            | Failure::RetryAfter(_, message)
            | Failure::Skipped(message) => f.write_str(message),
        }
    }
}

// `Failure` itself is deliberately no `Error`: that is what lets every error become one.
impl<E: std::error::Error + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        let own: &dyn Any = &error;
        let is_permanent = own.downcast_ref().is_some_and(state::Error::is_permanent)
            || own.downcast_ref().is_some_and(secrets::Error::is_permanent);
        if is_permanent { Failure::Permanent(message) } else { Failure::Retry(message) }
    }
}
