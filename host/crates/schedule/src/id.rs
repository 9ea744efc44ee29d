//! Names and numbers that identify things, each with its rule checked when it is made.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hasher},
    str::FromStr,
    sync::Arc,
};

use chrono::{DateTime, Utc};

/// Longest name of a job, plugin, pool, store, secret or label, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// Keep the numbers of keys and of upstream runs apart.
const KEY_SEED: u64 = 1;
const UPSTREAM_SEED: u64 = 2;

/// What a name may not be, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was written.
    #[error("a name has at least one character")]
    Empty,
    /// More than [`NAME_BYTES_MAX`].
    #[error("a name has at most {NAME_BYTES_MAX} characters, this one has {0}")]
    TooLong(usize),
    /// A character that would need quoting in a shell, a URL or a file name.
    #[error("`{0}` may not stand in a name: use letters, digits, `.`, `_` and `-`, and begin with a letter or a digit")]
    Character(char),
}

fn check_name(text: &str) -> Result<Arc<str>, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if NAME_BYTES_MAX < text.len() {
        return Err(NameError::TooLong(text.len()));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if let Some(misfit) = text.chars().find(|c| !fits(*c)) {
        return Err(NameError::Character(misfit));
    }
    match text.chars().next() {
        Some(first) if !first.is_ascii_alphanumeric() => Err(NameError::Character(first)),
        Some(_) | None => Ok(text.into()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check_name(text).map(Self)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The id of a job, unique on a host.
    ///
    /// ```
    /// use clockjack_schedule::id::JobId;
    ///
    /// assert_eq!("morning-report".parse::<JobId>().unwrap().as_str(), "morning-report");
    /// assert!("morning report".parse::<JobId>().is_err());
    /// ```
    JobId
}

name! {
    /// The name of a plugin, unique in a manifest.
    PluginName
}

impl PluginName {
    /// What stands in place of a plugin where a job is a function of the program that the host is a part of. No plugin can
    /// be called so.
    pub const NATIVE: &str = "(native)";

    /// The name of no plugin: the job is a function of the program itself.
    #[must_use]
    pub fn native() -> Self {
        Self(Self::NATIVE.into())
    }

    /// Whether a job is a function of the program itself.
    #[must_use]
    pub fn is_native(&self) -> bool {
        &*self.0 == Self::NATIVE
    }
}

name! {
    /// The name of a pool, unique in a manifest.
    PoolName
}

impl Default for PoolName {
    /// The pool of jobs that name none.
    fn default() -> Self {
        Self("default".into())
    }
}

name! {
    /// The name of a store, unique in a manifest.
    StoreName
}

name! {
    /// The name of a channel of notifications, unique in a manifest.
    ChannelName
}

name! {
    /// The name of a secret, unique in a manifest.
    SecretName
}

impl std::borrow::Borrow<str> for SecretName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl Default for StoreName {
    /// The store of jobs that name none.
    fn default() -> Self {
        Self("default".into())
    }
}

/// The identity of a run, the same on every host and after every crash: for a slot it is computed from the job and
/// the nominal instant, so a slot that is materialised twice is the same run.
///
/// Shown as a UUID of version 8: 48 bits of time in milliseconds first, so that runs sort by time, the rest a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(u128);

impl RunId {
    /// The run of a slot.
    #[must_use]
    pub fn of_slot(job: &JobId, slot: DateTime<Utc>) -> Self {
        Self::hashed(slot, job.as_str(), slot.timestamp_micros().cast_unsigned())
    }

    /// A run that a person or a program asked for; `request` tells two of them at one instant apart.
    #[must_use]
    pub fn of_request(job: &JobId, at: DateTime<Utc>, request: u64) -> Self {
        // A slot's number is its instant in microseconds; the high bit keeps requests out of that range.
        Self::hashed(at, job.as_str(), request | 1 << 63)
    }

    /// The run that somebody asked for under an idempotency key: the same job and key are the same run.
    #[must_use]
    pub fn of_key(job: &JobId, key: &str) -> Self {
        Self::hashed(DateTime::UNIX_EPOCH, job.as_str(), fnv1a(key.as_bytes(), KEY_SEED) | 1 << 63)
    }

    /// The run that follows a run of another job, for the slot that is passed on.
    #[must_use]
    pub fn of_upstream(job: &JobId, slot: DateTime<Utc>, upstream: Self) -> Self {
        Self::hashed(slot, job.as_str(), fnv1a(&upstream.0.to_le_bytes(), UPSTREAM_SEED) | 1 << 63)
    }

    /// The 128 bits.
    #[must_use]
    pub fn as_u128(self) -> u128 {
        self.0
    }

    /// A run id that was stored.
    #[must_use]
    pub fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    fn hashed(at: DateTime<Utc>, job: &str, number: u64) -> Self {
        const VERSION_8: u128 = 8 << 76;
        const VARIANT: u128 = 0b10 << 62;
        let millis = u128::from(at.timestamp_millis().max(0).cast_unsigned() & 0xffff_ffff_ffff);
        let high = fnv1a(job.as_bytes(), number);
        let low = u128::from(fnv1a(&number.to_le_bytes(), high));
        Self(millis << 80 | VERSION_8 | u128::from(high & 0xfff) << 64 | VARIANT | (low & 0x3fff_ffff_ffff_ffff))
    }
}

/// A map by run id.
pub type RunMap<V> = HashMap<RunId, V, BuildHasherDefault<RunIdHasher>>;

/// The hasher of [`RunMap`]: half of a run id is a hash already. Nobody outside can choose ids that collide, since they
/// are computed here.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunIdHasher(u64);

impl Hasher for RunIdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = fnv1a(bytes, self.0);
    }

    fn write_u128(&mut self, bits: u128) {
        let low = bits & u128::from(u64::MAX);
        self.0 = u64::try_from(low).unwrap_or_default();
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

impl FromStr for RunId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(&text.replace('-', ""), 16).map(Self)
    }
}

/// FNV-1a with a final mix: small, stable across versions and machines, which the standard hasher does not promise.
#[must_use]
pub(crate) fn fnv1a(bytes: &[u8], seed: u64) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_which_rule_they_break() {
        let told = |text: &str| text.parse::<JobId>().map_or_else(|error| error.to_string(), |id| format!("ok {id}"));
        expect_test::expect![[r#"
            ok a.b_c-9
            a name has at least one character
            ` ` may not stand in a name: use letters, digits, `.`, `_` and `-`, and begin with a letter or a digit
            `-` may not stand in a name: use letters, digits, `.`, `_` and `-`, and begin with a letter or a digit
            `ü` may not stand in a name: use letters, digits, `.`, `_` and `-`, and begin with a letter or a digit"#]]
        .assert_eq(&["a.b_c-9", "", "a b", "-a", "ünder"].map(told).join("\n"));
    }

    #[test]
    fn run_ids_are_stable_sorted_by_time_and_read_back() {
        let job: JobId = "report".parse().unwrap();
        let at = |micros| DateTime::from_timestamp_micros(micros).unwrap();
        let id = RunId::of_slot(&job, at(1_790_000_000_000_000));
        assert_eq!(id, RunId::of_slot(&job, at(1_790_000_000_000_000)));
        assert!(id < RunId::of_slot(&job, at(1_790_000_000_001_000)));
        assert_ne!(id, RunId::of_request(&job, at(1_790_000_000_000_000), 0));
        let (upstream, key) = (RunId::of_upstream(&job, at(1_790_000_000_000_000), id), RunId::of_key(&job, "a"));
        assert_ne!(id, upstream);
        assert_eq!(key, RunId::of_key(&job, "a"));
        assert_ne!(key, RunId::of_key(&job, "b"));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().chars().nth(14), Some('8'));
    }
}
