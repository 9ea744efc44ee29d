//! The payload of a run: a value that came with the wish for it, for `${payload.…}` in the arguments of its job.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::outcome::is_deeper;

/// A value that came with the wish for a run: the output of the run before it in a chain, or what somebody gave who asked
/// for the run. Bounded, since it is kept with the run.
///
/// ```
/// use clockjack_schedule::payload::Payload;
///
/// let payload = Payload::new(serde_json::json!({ "pages": [3, 4] })).unwrap();
/// assert_eq!(payload.json()["pages"][0], 3);
/// assert!(Payload::new("x".repeat(70_000).into()).is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    value: Arc<Json>,
    /// Arguments that take the place of those of the job, for this run.
    args: Option<Arc<Json>>,
}

/// Most bytes of a payload, written as JSON: enough for names, places and figures; what is larger belongs into a file.
pub const BYTES_MAX: usize = 64 << 10;

/// How deep a payload may nest, which is what the ledger reads back.
pub const DEPTH_MAX: usize = 64;

/// Why a value is no payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Too many bytes.
    #[error("it has {0} bytes, and a payload has at most {BYTES_MAX}")]
    TooLarge(usize),
    /// Too many lists and maps in each other.
    #[error("it nests deeper than {DEPTH_MAX} levels")]
    TooDeep,
}

impl Payload {
    /// Takes a value that is small enough.
    ///
    /// # Errors
    /// When it is not.
    pub fn new(json: Json) -> Result<Self, PayloadError> {
        Ok(Self { value: Arc::new(bounded(json)?), args: None })
    }

    /// Arguments that take the place of those of the job, for one run: by name for a function, all of them as a list for a
    /// command. With a value or without one, which is null then.
    ///
    /// # Errors
    /// When they are too much for what is kept with a run.
    pub fn with_args(value: Option<Self>, args: Json) -> Result<Self, PayloadError> {
        let value = value.map_or_else(|| Arc::new(Json::Null), |payload| payload.value);
        Ok(Self { value, args: Some(Arc::new(bounded(args)?)) })
    }

    /// The value.
    #[must_use]
    pub fn json(&self) -> &Json {
        &self.value
    }

    /// The arguments that take the place of those of the job.
    #[must_use]
    pub fn args(&self) -> Option<&Json> {
        self.args.as_deref()
    }
}

/// A value that is small enough.
fn bounded(json: Json) -> Result<Json, PayloadError> {
    if is_deeper(&json, DEPTH_MAX) {
        return Err(PayloadError::TooDeep);
    }
    let n_bytes = json.to_string().len();
    if BYTES_MAX < n_bytes { Err(PayloadError::TooLarge(n_bytes)) } else { Ok(json) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_or_too_deep_is_no_payload() {
        let nested = |depth: usize| (0..depth).fold(Json::Null, |inner, _| Json::from(vec![inner]));
        assert!(Payload::new(nested(DEPTH_MAX)).is_ok());
        assert_eq!(Payload::new(nested(DEPTH_MAX + 1)), Err(PayloadError::TooDeep));
        // Two of the bytes are quotes.
        assert!(Payload::new("x".repeat(BYTES_MAX - 2).into()).is_ok());
        assert_eq!(Payload::new("x".repeat(BYTES_MAX - 1).into()), Err(PayloadError::TooLarge(BYTES_MAX + 1)));
    }
}
