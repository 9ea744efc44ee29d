//! The pure core of Clockjack: nouns, triggers, policies, manifest, decisions.
//!
//! Nothing here reads a clock, does I/O, draws a random number or waits: time and input are arguments, decisions
//! are return values, so a year can be simulated in seconds and every decision can be repeated.

pub mod command;
pub mod core;
pub mod counts;
pub mod diagnostic;
pub mod egress;
pub mod id;
pub mod job;
pub mod manifest;
pub mod notify;
pub mod outcome;
pub mod payload;
pub mod ports;
pub mod retry;
pub mod run;
pub mod secret;
pub mod state;
pub mod stop;
pub mod template;
pub mod trace;
pub mod trigger;
pub mod zone;
