//! The control interface of a running host: HTTP and JSON on a Unix socket that only its user can reach.
//!
//! Reads start at the ledger or at what the reloader shows; writes are inputs of the core or wishes of the reloader.
//! Nothing here decides anything.

mod asked;
mod events;
mod jobs;
mod listen;
mod logs;
mod openapi;
mod plugins;
mod problem;
mod router;
mod runs;
mod scheduler;
pub mod socket;
mod sse;
#[cfg(test)]
pub(crate) mod tests;
pub mod view;

pub use self::{
    listen::{Server, serve},
    router::{About, Api, router},
};
