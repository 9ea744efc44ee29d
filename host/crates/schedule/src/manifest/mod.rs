//! The manifest: text in, jobs or diagnostics out.
//!
//! A text is parsed into a tree in which each value knows its place (`parse`), variables are filled in
//! (`interpolate`), and the tree is read into plugins and jobs (`resolve`), which collects every fault. `diff`
//! compares two results.
//!
//! | Code | Meaning |
//! |---|---|
//! | `manifest.syntax` | the text is not YAML |
//! | `manifest.too_large` | a source has too many bytes, as written or with its variables filled in |
//! | `manifest.too_complex` | nested too deep, too many values, or too many values through defaults or aliases |
//! | `manifest.too_many_jobs` | more jobs than a manifest may have |
//! | `manifest.too_many_findings` | the list of findings was cut |
//! | `manifest.version` | the version is missing or not one that this build reads |
//! | `manifest.empty` | there are no jobs; a warning where the manifest says so itself |
//! | `manifest.duplicate_key` | a key stands twice in one map |
//! | `manifest.duplicate_job`, `manifest.duplicate_plugin`, `manifest.duplicate_pool`, `manifest.duplicate_store`, `manifest.duplicate_channel`, `manifest.duplicate_setting` | two sources define the same |
//! | `manifest.unknown_key` | nobody knows this key here |
//! | `manifest.missing_key` | a key that must be there is not |
//! | `manifest.name` | a job, plugin, label or variable has a name that breaks the rule |
//! | `manifest.type` | a list where text is expected, and the like |
//! | `manifest.value` | not one of the words that stand here |
//! | `manifest.range` | a number or size outside its bounds |
//! | `manifest.duration`, `manifest.size` | not a duration or a size, or without its unit |
//! | `manifest.variable` | a `${…}` cannot be filled in |
//! | `manifest.template` | a `${…}` in `args` names nothing that is known when a job fires |
//! | `manifest.timezone` | no such zone |
//! | `manifest.no_trigger` | a job would never run |
//! | `manifest.trigger_forms` | triggers written in two ways at once |
//! | `manifest.unknown_plugin` | a job names a plugin that is not there |
//! | `manifest.unknown_pool`, `manifest.unknown_store` | a job names a pool or a store that is not there |
//! | `manifest.unknown_channel`, `manifest.url` | a job names a channel that is not there; a channel leads nowhere that it may |
//! | `manifest.unknown_job`, `manifest.duplicate_after` | `after` names a job that is not there, or one twice |
//! | `manifest.cycle` | jobs run after each other in a circle |
//! | `manifest.store` | not a place of a store, or one that another store has |
//! | `manifest.path` | not a path that can be used |
//! | `manifest.sidecar` | a sidecar without its component, or two files where one is meant |
//! | `manifest.oci` | not a reference to a registry |
//! | `manifest.sha256` | not a digest |
//! | `manifest.guest_path` | a guest path that is not absolute, climbs, or is given twice |
//! | `manifest.ceiling` | a limit above what the host allows |
//! | `manifest.egress` | an entry of `grants.http`, `grants.network` or `host.egress` that is none, or cannot mean what it says |
//! | `manifest.denied` | a grant that is more than `host.egress` lets jobs have, or a key in a file that may not have it |
//! | `manifest.no_effect` | warning: a key that changes nothing |
//! | `job.shadowed` | warning: a job that was also made through the API, which is not in force |
//!
//! Codes that begin with `trigger.` come from the triggers.

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
