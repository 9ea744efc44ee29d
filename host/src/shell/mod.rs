//! The ring: inbox → core → ledger → dispatcher → executor → recorder → bus, and back as an input.

mod books;
mod bus;
mod crash;
mod dispatcher;
mod handle;
mod host;
mod in_force;
mod keeper;
mod news;
mod pruner;
mod recorder;
mod scheduler;
#[cfg(test)]
mod tests;

pub use self::{
    bus::{Bus, Event},
    handle::{CodeChange, Definition, HostHandle},
    host::{Drained, Host, HostError, HostParts},
    in_force::InForce,
    news::{ManifestNews, PluginNews, PluginNewsKind},
    recorder::Summary,
};
