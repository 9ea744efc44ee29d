//! How a job that cannot do its work says what should happen next.

use std::{fmt, time::Duration};

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
///
/// [`OrFail`] says it at the place of the error: `text.parse().permanent()?`.
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
        Failure::of(&error)
    }
}

impl Failure {
    /// The message with all its causes, and permanent where the SDK knows that trying again does not help.
    fn of(error: &(dyn std::error::Error + 'static)) -> Failure {
        let is_permanent = error.downcast_ref().is_some_and(state::Error::is_permanent)
            || error.downcast_ref().is_some_and(secrets::Error::is_permanent);
        let message = with_causes(error);
        if is_permanent { Failure::Permanent(message) } else { Failure::Retry(message) }
    }

    fn message_mut(&mut self) -> &mut String {
        match self {
            Failure::Permanent(message)
            | Failure::Retry(message)
            | Failure::RetryAfter(_, message)
            | Failure::Skipped(message) => message,
        }
    }
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        source = cause.source();
    }
    message
}

/// A failure on its way through a boxed error, so that [`OrFail`] finds it again.
#[derive(Debug)]
struct Boxed(Failure);

impl fmt::Display for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Boxed {}

impl From<Failure> for Box<dyn std::error::Error> {
    fn from(failure: Failure) -> Self {
        Box::new(Boxed(failure))
    }
}

impl From<Failure> for Box<dyn std::error::Error + Send + Sync> {
    fn from(failure: Failure) -> Self {
        Box::new(Boxed(failure))
    }
}

/// Says at the place of an error what should happen next.
///
/// It is there for every error that can be boxed: errors of the standard library and of others, `&str`, `String`,
/// `Box<dyn Error>`, `anyhow::Error`, and [`Failure`] itself.
///
/// ```
/// use std::{fs, time::Duration};
/// use clockjack_sdk::{Failure, OrFail};
///
/// fn import(path: &str, rows: Option<&str>) -> Result<u64, Failure> {
///     let rows: u64 = rows.ok_or("no rows were named").skipped()?.parse().permanent()?;
///     let _text = fs::read_to_string(path).retry_after(Duration::from_secs(30))?;
///     Ok(rows)
/// }
///
/// assert_eq!(import("/nowhere", None), Err(Failure::skipped("no rows were named")));
/// assert_eq!(import("/nowhere", Some("x")), Err(Failure::permanent("invalid digit found in string")));
/// assert!(matches!(import("/nowhere", Some("7")), Err(Failure::RetryAfter(30_000, _))));
/// ```
pub trait OrFail<T> {
    /// Trying again will not help.
    ///
    /// ```
    /// # use clockjack_sdk::{Failure, OrFail};
    /// let port = "http".parse::<u16>().permanent();
    /// assert_eq!(port, Err(Failure::permanent("invalid digit found in string")));
    /// ```
    fn permanent(self) -> Result<T, Failure>;

    /// Try again as the job's retry policy says. `?` alone does it too for all that is an `Error`; this one is also for
    /// texts and boxed errors.
    ///
    /// ```
    /// # use clockjack_sdk::{Failure, OrFail};
    /// assert_eq!(Err::<(), _>("locked").retry(), Err(Failure::retry("locked")));
    /// ```
    fn retry(self) -> Result<T, Failure>;

    /// Try again, but not earlier than this.
    ///
    /// ```
    /// # use clockjack_sdk::{Failure, OrFail};
    /// # use std::time::Duration;
    /// let wait = Duration::from_secs(2);
    /// assert_eq!(Err::<(), _>("busy").retry_after(wait), Err(Failure::retry_after(wait, "busy")));
    /// ```
    fn retry_after(self, wait: Duration) -> Result<T, Failure>;

    /// There was nothing to do.
    ///
    /// ```
    /// # use clockjack_sdk::{Failure, OrFail};
    /// let newest: Option<&str> = None;
    /// assert_eq!(newest.ok_or("no new files").skipped(), Err(Failure::skipped("no new files")));
    /// ```
    fn skipped(self) -> Result<T, Failure>;

    /// Puts what was being done before the message. What should happen next stays as it is, and for an error that says
    /// nothing about it, it is to try again.
    ///
    /// ```
    /// # use clockjack_sdk::{Failure, OrFail};
    /// let text = std::fs::read_to_string("/nowhere").doing("reading the list");
    /// assert!(text.unwrap_err().to_string().starts_with("reading the list: "));
    /// let row = "x".parse::<u8>().permanent().doing("row 3");
    /// assert_eq!(row, Err(Failure::permanent("row 3: invalid digit found in string")));
    /// ```
    fn doing(self, what: impl fmt::Display) -> Result<T, Failure>;
}

impl<T, E: Into<Box<dyn std::error::Error>>> OrFail<T> for Result<T, E> {
    fn permanent(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::Permanent(unbox(error).to_string()))
    }

    fn retry(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::Retry(unbox(error).to_string()))
    }

    fn retry_after(self, wait: Duration) -> Result<T, Failure> {
        self.map_err(|error| Failure::retry_after(wait, unbox(error).to_string()))
    }

    fn skipped(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::Skipped(unbox(error).to_string()))
    }

    fn doing(self, what: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| {
            let mut failure = unbox(error);
            failure.message_mut().insert_str(0, &format!("{what}: "));
            failure
        })
    }
}

/// The failure that was boxed, or a new one.
fn unbox(error: impl Into<Box<dyn std::error::Error>>) -> Failure {
    match error.into().downcast::<Boxed>() {
        Ok(boxed) => boxed.0,
        Err(error) => Failure::of(&*error),
    }
}
