//! The SQLite ledger: durable, in one file, for one host.
//!
//! One thread writes ([`writer`]) what [`fold`] works out, in one transaction for all who wait; a few connections read
//! ([`reads`]). [`sql`] has every statement. Nothing here decides what a run or a skip is.

mod connection;
mod fault;
mod fold;
mod jobs;
mod ledger;
mod open;
mod owner;
mod reads;
mod sql;
mod transaction;
mod wal;
mod writer;

#[cfg(test)]
mod tests;

pub use ledger::{SqliteLedger, SqliteOptions, SqliteReader};
pub use owner::Owner;
