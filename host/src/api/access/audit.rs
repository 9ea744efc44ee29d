//! Who did what: a line in the log for each request that was to change something, and for each that was turned away.
//! Never what it held: no token, no body, no query.

use axum::http::{Method, StatusCode};
use tracing::{info, warn};

/// What is told of a request.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    /// From where, in words.
    pub(super) from: String,
}

/// Longest part of an address that is told.
const PATH_BYTES_MAX: usize = 500;

impl Asked {
    pub(super) fn new(method: &Method, path: &str, from: String) -> Self {
        // What is encoded stays so, and everything else is plain: one request, one line.
        Self { method: method.clone(), path: path.chars().take(PATH_BYTES_MAX).collect(), from }
    }

    /// Writes the line. `who` is the caller, where it is known.
    pub(super) fn tell(&self, who: Option<&str>, status: StatusCode, code: Option<&str>, request: &str) {
        let Self { method, path, from } = self;
        let (status, code) = (status.as_u16(), code.unwrap_or_default());
        let who = who.unwrap_or("nobody");
        if matches!(status, 401 | 403 | 421 | 429) {
            warn!(target: "clockjack::audit", who, %method, path, from, status, code, request, "turned away");
        } else if !method.is_safe() {
            info!(target: "clockjack::audit", who, %method, path, from, status, code, request, "asked");
        }
    }
}
