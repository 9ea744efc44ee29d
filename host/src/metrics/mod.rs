//! Metrics: what a host counts of itself, and how that looks to Prometheus.
//!
//! The [`Meter`] sees every event that is told on the bus, before it is told: nothing is lost, however far listeners lag
//! behind. It counts in memory and keeps no lock while anybody reads: a reader copies the figures of one job after the
//! other, and whoever counts waits for a copy of a few hundred bytes at the most.
//!
//! Labels have bounded sets of values. Jobs beyond [`JOBS_METERED_MAX`] share the series of the job `_other`, a name that
//! no job can have.

mod figures;
mod meter;
mod process;
#[cfg(test)]
mod tests;
mod text;

pub use self::{
    meter::{Delivery, Glance, JOBS_METERED_MAX, Meter},
    text::{CONTENT_TYPE, Scene, text},
};
