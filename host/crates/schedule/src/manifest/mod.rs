//! The manifest: text in, jobs or diagnostics out.
//!
//! A text is parsed into a tree in which each value knows its place (`parse`), variables are filled in
//! (`interpolate`), and the tree is read into plugins and jobs (`resolve`), which collects every fault. `diff`
//! compares two results.
//!
//! Each finding has a code:
//!
#![doc = include_str!("codes.md")]

/// The codes of findings and what they mean, as a table: `| CODES | MEANING |`.
pub const CODES: &str = include_str!("codes.md");

pub mod node;
pub mod parse;

pub mod interpolate;

pub mod fields;
pub mod scalar;

mod document;
mod egress;
mod findings;
mod foreign;
mod names;
mod wording;

pub mod oci_reference;
pub mod source;
pub mod store_url;

mod after;
mod api;
mod bounds;
mod build;
pub mod carry;
mod command;
mod counts;
mod defaults;
pub mod definitions;
pub mod directories;
mod grants;
mod jobs;
mod notifications;
mod plugins;
mod policy;
mod pools;
mod reload;
mod retry;
mod secrets;
mod sidecar;
mod stores;
mod trigger_hash;
mod trusted_keys;
mod when;

pub mod resolve;
pub mod resolved;

pub use self::{api::parse_listen, egress::parse_http_rule, pools::PLACES_MAX};

pub mod diff;
pub mod schema;

#[cfg(test)]
mod tests;
