//! The ring: inbox → core → ledger → dispatcher → executor → recorder → bus, and back as an input.

mod bus;
mod dispatcher;
mod host;
mod recorder;
mod scheduler;
#[cfg(test)]
mod tests;

pub use self::{
    bus::{Bus, Event},
    host::{Host, HostError, HostParts},
    recorder::Summary,
};
