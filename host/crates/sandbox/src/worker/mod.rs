//! A second wall around a guest: its attempts run in a process of its job, which can do nothing but compute, use what the
//! job was granted and answer. What breaks the engine breaks one attempt, and finds nothing of other jobs or of the host.
//!
//! `pool` keeps workers of the host, `process` is one of them as the host sees it, `serve` is what it runs, `line` is how it
//! asks for state. What goes between the two is in `wire`, written and read by `frames`, values of arguments and results
//! by `values`.

pub(crate) mod frames;
pub(crate) mod inherited;
pub(crate) mod line;
mod pool;
mod process;
mod reach;
mod serve;
mod setup;
pub(crate) mod values;
pub(crate) mod wire;

pub use self::{
    pool::{IsolatedPool, Workers},
    serve::serve,
};
