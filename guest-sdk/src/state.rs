//! What a job remembers from run to run: small values under keys, of this job alone.
//!
//! Writes are seen by this attempt at once, and by nobody else until the run succeeds: the host keeps them in the same
//! transaction as the success, and drops them with a failure. So a job that reads a mark, works, and writes the mark
//! again neither leaves work out nor does it twice in its own books, and it need not clean up when it fails. A long job
//! that wants to keep a part of its work whatever becomes of the rest calls [`commit`].
//!
//! ```
//! use clockjack_sdk::{Failure, state};
//!
//! fn import_new(rows: &[u64]) -> Result<u64, Failure> {
//!     let mark: u64 = state::parse("mark")?.unwrap_or(0);
//!     let new = rows.iter().filter(|row| mark < **row).count() as u64;
//!     if let Some(last) = rows.iter().max() {
//!         state::set("mark", last)?;
//!     }
//!     Ok(new)
//! }
//!
//! assert_eq!(import_new(&[1, 2, 3]), Ok(3));
//! assert_eq!(import_new(&[2, 3, 4]), Ok(1));
//! ```
//!
//! Needs the grant `state`; the sum of all keys and values is bounded by the job's limit `state`. A plugin that does
//! not use this module does not import the interface, so it needs no grant. Numbers are kept as decimal text: people
//! can read them, and jobs in other languages as well.
//!
//! Outside a component [`testing`](crate::testing) stands in, with an empty store for each thread.

use std::{borrow::Cow, fmt, str::FromStr};

use crate::{Value, rt::imports};

/// A value and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    key: String,
    value: Vec<u8>,
    version: u64,
}

impl Entry {
    /// The value as it was written.
    ///
    /// ```
    /// # use clockjack_sdk::state;
    /// state::set("digest", [0xca, 0xfe])?;
    /// assert_eq!(state::get("digest")?.unwrap().bytes(), [0xca, 0xfe]);
    /// # Ok::<(), state::Error>(())
    /// ```
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.value
    }

    /// The value, without copying it.
    ///
    /// ```
    /// # use clockjack_sdk::state;
    /// state::set("digest", b"ab")?;
    /// assert_eq!(state::get("digest")?.unwrap().into_bytes(), vec![b'a', b'b']);
    /// # Ok::<(), state::Error>(())
    /// ```
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.value
    }

    /// The value as text; an error where it is not UTF-8.
    ///
    /// ```
    /// # use clockjack_sdk::state;
    /// state::set("cursor", "page-7")?;
    /// assert_eq!(state::get("cursor")?.unwrap().text()?, "page-7");
    /// # Ok::<(), state::Error>(())
    /// ```
    pub fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.value).map_err(|_| Error::Malformed {
            key: self.key.clone(),
            reason: "it is not UTF-8 text; read it with `bytes`".to_owned(),
        })
    }

    /// The value as whatever is written in its text, most often a number.
    ///
    /// ```
    /// # use clockjack_sdk::state;
    /// state::set("rate", 0.25)?;
    /// assert_eq!(state::get("rate")?.unwrap().parse::<f64>()?, 0.25);
    /// assert!(state::get("rate")?.unwrap().parse::<u32>().is_err());
    /// # Ok::<(), state::Error>(())
    /// ```
    pub fn parse<T: FromStr<Err: fmt::Display>>(&self) -> Result<T, Error> {
        self.text()?.parse().map_err(|error: T::Err| Error::Malformed {
            key: self.key.clone(),
            reason: format!("it is no `{}`: {error}", std::any::type_name::<T>()),
        })
    }

    /// The version, for [`compare_and_set`]. It grows with each write and never comes back.
    ///
    /// ```
    /// # use clockjack_sdk::state;
    /// state::set("a", "one")?;
    /// let first = state::get("a")?.unwrap().version();
    /// state::set("a", "two")?;
    /// assert!(first < state::get("a")?.unwrap().version());
    /// # Ok::<(), state::Error>(())
    /// ```
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }
}

/// Why a value could not be read or written. With `?` it becomes a [`Failure`](crate::Failure), permanent where trying
/// again cannot help, or a `String`, or any boxed error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The job has no grant `state`.
    Denied,
    /// The key is empty or longer than 256 bytes.
    InvalidKey(String),
    /// With this write the job would have more than this many bytes: its limit `state`.
    Quota(u64),
    /// Somebody else wrote the key; this is its version now, absent where there is none.
    Conflict(Option<u64>),
    /// The host cannot reach its store now, or has another reason that it tells.
    Unavailable(String),
    /// The value is there and is not what the job expects.
    Malformed {
        /// The key of the value.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// Whether another attempt can end in another way.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Error::Denied | Error::InvalidKey(_) | Error::Quota(_) | Error::Malformed { .. } => true,
            Error::Conflict(_) | Error::Unavailable(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Denied => f.write_str("the job has no grant `state`; add it to `grants` of the job in the manifest"),
            Error::InvalidKey(reason) => write!(f, "this cannot be a key of the job's state: {reason}"),
            Error::Quota(bytes) => {
                write!(f, "the job's state would be larger than {bytes} bytes, which is its limit `state`")
            }
            Error::Conflict(Some(version)) => {
                write!(f, "another run changed the job's state: the key is at version {version} now")
            }
            Error::Conflict(None) => f.write_str("another run changed the job's state: the key is gone"),
            Error::Unavailable(reason) => write!(f, "the job's state cannot be reached: {reason}"),
            Error::Malformed { key, reason } => {
                write!(f, "the value of `{key}` in the job's state cannot be used: {reason}")
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for String {
    fn from(error: Error) -> String {
        error.to_string()
    }
}

/// What can be written: bytes, text, and numbers, which are kept as decimal text.
pub trait Bytes {
    /// The bytes to keep.
    fn to_bytes(&self) -> Cow<'_, [u8]>;
}

impl Bytes for [u8] {
    fn to_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self)
    }
}

impl<const N: usize> Bytes for [u8; N] {
    fn to_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self)
    }
}

impl Bytes for Vec<u8> {
    fn to_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self)
    }
}

impl Bytes for str {
    fn to_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.as_bytes())
    }
}

impl Bytes for String {
    fn to_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.as_bytes())
    }
}

impl<T: Bytes + ?Sized> Bytes for &T {
    fn to_bytes(&self) -> Cow<'_, [u8]> {
        (**self).to_bytes()
    }
}

macro_rules! as_text {
    ($($type:ty)+) => {$(
        impl Bytes for $type {
            fn to_bytes(&self) -> Cow<'_, [u8]> {
                Cow::Owned(self.to_string().into_bytes())
            }
        }
    )+};
}

as_text!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize f32 f64 bool);

/// Reads a value; `None` where there is none.
///
/// ```
/// use clockjack_sdk::state;
///
/// assert_eq!(state::get("mark")?, None);
/// state::set("mark", "2026-11-21")?;
/// assert_eq!(state::get("mark")?.unwrap().text()?, "2026-11-21");
/// # Ok::<(), state::Error>(())
/// ```
pub fn get(key: &str) -> Result<Option<Entry>, Error> {
    let entry = imports::state::get(key)?;
    Ok(entry.map(|RawEntry { value, version }| Entry { key: key.to_owned(), value, version }))
}

/// Reads a value and what is written in its text: [`get`] and [`Entry::parse`].
///
/// ```
/// use clockjack_sdk::state;
///
/// state::set("rows", 12)?;
/// assert_eq!(state::parse("rows")?, Some(12_u32));
/// assert_eq!(state::parse::<u32>("files")?, None);
/// # Ok::<(), state::Error>(())
/// ```
pub fn parse<T: FromStr<Err: fmt::Display>>(key: &str) -> Result<Option<T>, Error> {
    get(key)?.map(|entry| entry.parse()).transpose()
}

/// Writes a value, whatever was there before.
///
/// ```
/// use clockjack_sdk::state;
///
/// state::set("cursor", "page-7")?;
/// state::set("rows", 12)?;
/// state::set("digest", [0xca_u8, 0xfe])?;
/// # Ok::<(), state::Error>(())
/// ```
pub fn set(key: &str, value: impl Bytes) -> Result<(), Error> {
    imports::state::set(key, &value.to_bytes())
}

/// Writes a value if the key still has the version that was read; `None` says that there must be no value yet.
///
/// What is true now is looked at again when the writes are kept: where another run of the job came between, the attempt
/// fails, and its retry policy decides.
///
/// ```
/// use clockjack_sdk::state;
///
/// state::compare_and_set("owner", None, "me")?;
/// let owner = state::get("owner")?.unwrap();
/// assert_eq!(state::compare_and_set("owner", None, "you"), Err(state::Error::Conflict(Some(owner.version()))));
/// state::compare_and_set("owner", Some(owner.version()), "you")?;
/// # Ok::<(), state::Error>(())
/// ```
pub fn compare_and_set(key: &str, expected: Option<u64>, value: impl Bytes) -> Result<(), Error> {
    imports::state::compare_and_set(key, expected, &value.to_bytes())
}

/// Deletes a value; nothing happens where there is none.
///
/// ```
/// use clockjack_sdk::state;
///
/// state::set("mark", 1)?;
/// state::delete("mark")?;
/// state::delete("mark")?;
/// assert_eq!(state::get("mark")?, None);
/// # Ok::<(), state::Error>(())
/// ```
pub fn delete(key: &str) -> Result<(), Error> {
    imports::state::delete(key)
}

/// The keys that begin with `prefix` and come after `after`, in order of their bytes: at most `limit`, and never more
/// than 1,000. [`keys`] has them all.
///
/// ```
/// use clockjack_sdk::state;
///
/// for name in ["file/a", "file/b", "file/c", "mark"] {
///     state::set(name, "")?;
/// }
/// assert_eq!(state::list("file/", Some("file/a"), 1)?, ["file/b"]);
/// # Ok::<(), state::Error>(())
/// ```
pub fn list(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, Error> {
    imports::state::list(prefix, after, limit)
}

/// All keys that begin with `prefix`, in order of their bytes.
///
/// ```
/// use clockjack_sdk::state;
///
/// state::set("seen/b", "")?;
/// state::set("seen/a", "")?;
/// assert_eq!(state::keys("seen/")?, ["seen/a", "seen/b"]);
/// # Ok::<(), state::Error>(())
/// ```
pub fn keys(prefix: &str) -> Result<Vec<String>, Error> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let page = list(prefix, keys.last().map(String::as_str), PAGE_KEYS)?;
        if page.is_empty() {
            return Ok(keys);
        }
        keys.extend(page);
    }
}

/// What the interface gives at once at most.
const PAGE_KEYS: u32 = 1_000;

/// Adds to a number and returns the sum; where there is no value it is 0. Nothing that another run of the job adds beside
/// this one is lost: where the two meet, one of the attempts fails and is tried again as its job's retry policy says.
///
/// ```
/// use clockjack_sdk::state;
///
/// assert_eq!(state::add("imported", 5)?, 5);
/// assert_eq!(state::add("imported", -2)?, 3);
/// # Ok::<(), state::Error>(())
/// ```
pub fn add(key: &str, amount: i64) -> Result<i64, Error> {
    let version = get(key)?.map(|entry| entry.version());
    let old: i64 = parse(key)?.unwrap_or(0);
    let sum = old.checked_add(amount).ok_or_else(|| Error::Malformed {
        key: key.to_owned(),
        reason: format!("{old} and {amount} are more than 64 bits hold"),
    })?;
    compare_and_set(key, version, sum)?;
    Ok(sum)
}

/// Keeps what was written so far, whatever becomes of the run: the checkpoint of a long job. Returns once it is durable.
///
/// ```
/// use clockjack_sdk::{Failure, state, testing};
///
/// fn import(files: &[&str]) -> Result<(), Failure> {
///     for file in files {
///         if *file == "broken" {
///             return Err(Failure::permanent("cannot read `broken`"));
///         }
///         state::set("last-file", file)?;
///         state::commit()?;
///     }
///     Ok(())
/// }
///
/// assert!(testing::attempt(|| import(&["a", "broken", "c"])).is_err());
/// assert_eq!(state::get("last-file").unwrap().unwrap().text(), Ok("a"));
/// ```
pub fn commit() -> Result<(), Error> {
    imports::state::commit()
}

/// An entry as WIT has it.
#[derive(Debug, Clone, Value)]
pub(crate) struct RawEntry {
    pub(crate) value: Vec<u8>,
    pub(crate) version: u64,
}

/// An error as WIT has it.
#[derive(Debug, Value)]
pub(crate) enum RawError {
    Denied,
    InvalidKey(String),
    Quota(u64),
    Conflict(Option<u64>),
    Unavailable(String),
}

impl From<RawError> for Error {
    fn from(raw: RawError) -> Error {
        match raw {
            RawError::Denied => Error::Denied,
            RawError::InvalidKey(reason) => Error::InvalidKey(reason),
            RawError::Quota(bytes) => Error::Quota(bytes),
            RawError::Conflict(version) => Error::Conflict(version),
            RawError::Unavailable(reason) => Error::Unavailable(reason),
        }
    }
}
