//! The ring: inbox → core → ledger → dispatcher → executor → recorder → bus, and back as an input.

mod books;
mod bus;
mod crash;
mod dispatcher;
mod handle;
mod host;
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
    handle::{CodeChange, HostHandle},
    host::{Host, HostError, HostParts},
    news::{ManifestNews, PluginNews, PluginNewsKind},
    recorder::Summary,
};
