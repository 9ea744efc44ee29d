//! The ledger: the record of slots, runs and schedule state.
//!
//! The port and its contract are `clockjack_schedule::ports::Ledger`. Here are its implementations, and the contract
//! suite that each of them passes. It decides nothing and knows nothing of guests.

mod codec;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod crash;
#[cfg(any(test, feature = "contract"))]
pub mod faulty;
mod memory;
mod route;
mod sqlite;

pub use memory::{FINISHED_RUNS_MAX, MemoryLedger};
pub use route::Stores;
pub use sqlite::{Owner, SqliteLedger, SqliteOptions, SqliteReader};
