//! The ledger: the record of slots, runs and schedule state.
//!
//! The port and its contract are `clockjack_schedule::ports::Ledger`. Here are its implementations, and the contract
//! suite that each of them passes. It decides nothing and knows nothing of guests.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod memory;

pub use memory::{FINISHED_RUNS_MAX, MemoryLedger};
