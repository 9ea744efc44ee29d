//! The ring: inbox → core → ledger → dispatcher → executor → recorder → bus, and back as an input.

mod books;
mod bus;
mod crash;
mod dispatcher;
mod handle;
mod history;
mod host;
mod in_force;
pub mod journal;
mod keeper;
pub mod live;
mod news;
mod notices;
mod pruner;
mod recorder;
mod scheduler;
#[cfg(test)]
mod tests;

pub use self::{
    bus::{Asker, Bus, Event},
    handle::{CodeChange, Definition, HostHandle, Pausing},
    history::History,
    host::{Drained, Host, HostError, HostParts},
    in_force::InForce,
    news::{ManifestNews, PluginNews, PluginNewsKind},
    recorder::Summary,
};
