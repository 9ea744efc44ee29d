//! The control interface of a running host: HTTP and JSON on a Unix socket that only its user can reach.
//!
//! Reads start at the ledger or at what the reloader shows; writes are inputs of the core or wishes of the reloader.
//! Nothing here decides anything.

mod asked;
mod backfills;
mod definitions;
mod ending;
mod events;
mod job_reads;
mod jobs;
mod listen;
mod logs;
mod metrics;
mod openapi;
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
#[cfg(test)]
pub(crate) mod tests;
mod transfer;
mod uploads;
pub mod view;

pub use self::{
    listen::{Server, serve},
    router::{About, Api, router},
};
