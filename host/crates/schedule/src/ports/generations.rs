//! What the record keeps of plugins: which code came into force when, and what was taken back.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::id::PluginName;

/// How many generations of one plugin the record keeps. Runs name the digest of their code themselves, so that this is
/// for people who look back, and for knowing what was taken back; a deployment a day fills it in a quarter.
pub const GENERATIONS_MAX: usize = 100;

/// One load of a plugin that came into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerationRow {
    /// Of which plugin.
    pub plugin: PluginName,
    /// Its number, which only grows.
    pub number: u32,
    /// SHA-256 of its file, in hex.
    pub digest: Arc<str>,
    /// Size of its file.
    pub n_bytes: u64,
    /// Where its file was, as the manifest has it.
    pub source: Arc<str>,
    /// When it came into force.
    pub since: DateTime<Utc>,
    /// Why it did.
    pub cause: Arc<str>,
    /// A person approved what it imports, though no grant covers that.
    pub approved: bool,
    /// It came into force on trial, and has not passed that: nobody knows whether it is good.
    pub unproven: bool,
    /// It was taken back: its digest is not to be loaded again by itself.
    pub left: Option<Left>,
}

/// How a generation was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// When.
    pub at: DateTime<Utc>,
    /// By whom, or why.
    pub because: Arc<str>,
}
