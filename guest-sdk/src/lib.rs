//! Write [Clockjack](https://docs.rs/clockjack) jobs in Rust: plain functions become typed exports of a component.
//!
//! ```
//! #[clockjack_sdk::jobs]
//! mod jobs {
//!     use clockjack_sdk::{Value, info};
//!
//!     #[derive(Debug, PartialEq, Value)]
//!     pub struct Count {
//!         pub lines: u64,
//!         pub longest: Option<u32>,
//!     }
//!
//!     /// Counts the lines of a file.
//!     pub fn count_lines(path: String, max: Option<u32>) -> Result<Count, String> {
//!         let text = std::fs::read_to_string(&path).map_err(|e| format!("cannot read `{path}`: {e}"))?;
//!         let lines = text.lines().take(max.unwrap_or(u32::MAX) as usize);
//!         let longest = lines.clone().map(|line| line.len() as u32).max();
//!         let count = Count { lines: lines.count() as u64, longest };
//!         info!(lines = count.lines, "counted {path}");
//!         Ok(count)
//!     }
//! }
//! # assert!(jobs::count_lines("/nowhere".into(), None).is_err());
//! ```
//!
//! In a crate with `crate-type = ["cdylib"]`, built with `cargo build --release --target wasm32-wasip2`, this exports
//! `count-lines: func(path: string, max: option<u32>) -> result<count, string>`, which a manifest calls by its name:
//! `call: count-lines` with `args: {path: /logs/a.log}`. There is no WIT file and no generator, the crate has no
//! dependency but its own macros, and the functions stay ordinary Rust: `cargo test` calls them, with the stand-ins of
//! [`testing`] in place of the host.
//!
//! A single function anywhere in the crate is exported by `#[clockjack_sdk::job]`. Doc comments of jobs, their parameters,
//! types, fields and cases are kept in the component: `clockjack inspect` shows them.
//!
//! ```
//! /// Doubles a number.
//! #[clockjack_sdk::job]
//! pub fn double(
//!     /// The number to double.
//!     n: u32,
//! ) -> Result<u32, String> {
//!     n.checked_mul(2).ok_or_else(|| format!("{n} is too large"))
//! }
//! # assert_eq!(double(4), Ok(8));
//! ```
//!
//! # What a job has
//!
//! | | |
//! |---|---|
//! | [`context()`] | run id, attempt, slot, deadline, last success, zone, labels |
//! | [`log`], [`info!`] and its neighbours | structured lines, kept with the run |
//! | [`state`] | values under keys that are kept with the success of the run |
//! | [`secrets`] | values that the manifest grants by name |
//! | [`progress()`], [`heartbeat`], [`cancel_requested`], [`time_left`] | what the run and its people know of each other |
//! | [`Failure`], [`OrFail`] | whether to try again, when, or not |
//! | [`testing`] | stand-ins for all of it in `cargo test` |
//!
//! # Features
//!
//! `log` and `tracing`, both off by default, bring lines of those facades to the host: see [`log`](mod@log).
//!
//! What cannot be a job is refused where it is written: types without a WIT type, borrowed arguments, generic or async
//! functions, names that WIT does not have. Functions that are not `pub` stay private.
//!
//! ```compile_fail
//! #[clockjack_sdk::jobs]
//! mod jobs {
//!     pub fn forget(names: std::collections::HashSet<String>) {} // has no WIT type: take a `Vec<String>`
//! }
//! ```
//!
//! ```compile_fail
//! #[clockjack_sdk::jobs]
//! mod jobs {
//!     pub fn greet(name: &str) {} // an argument of a job must be owned: take a `String`
//! }
//! ```
//!
//! It deliberately does not hide the standard library: files that the manifest grants are opened with `std::fs`.

// The derive names this crate as a plugin does.
extern crate self as clockjack_sdk;

mod context;
#[cfg(any(feature = "log", feature = "tracing"))]
mod facade;
mod failure;
pub mod log;
mod run;
pub mod secrets;
pub mod state;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod value;

#[doc(hidden)]
pub mod rt;

pub use clockjack_sdk_macros::{Value, job, jobs};

pub use context::{Cause, Context, context};
pub use failure::{Failure, OrFail};
pub use log::Level;
pub use run::{cancel_requested, heartbeat, progress, progress_with, random_seed, time_left};
pub use value::{Payload, Value};
