//! The control interface of a running host: HTTP and JSON on a Unix socket that only its user can reach, and on the
//! addresses of the manifest for those who show a token.
//!
//! Reads start at the ledger or at what the reloader shows; writes are inputs of the core or wishes of the reloader.
//! Nothing here decides anything.

pub mod access;
mod asked;
mod backfills;
mod codes;
mod condition;
mod definitions;
mod described;
mod ending;
mod events;
mod framing;
mod health;
mod instant;
mod job_reads;
mod jobs;
mod listen;
mod logs;
mod metrics;
mod mounted;
mod openapi;
mod operations;
mod pauses;
mod plugins;
mod problem;
mod query;
mod router;
mod run_reads;
mod runs;
mod scheduler;
mod slots;
pub mod socket;
mod sse;
mod stall;
pub mod tcp;
#[cfg(test)]
pub(crate) mod tests;
mod transfer;
mod uploads;
pub mod view;
mod wire;

pub(crate) use self::run_reads::cursor_of;
pub use self::{
    listen::{Doors, Server, serve, serve_all},
    mounted::{Carrier, mounted, mounted_without_tokens},
    router::{About, Api, router},
};
