//! Who may ask a host for what. Every request goes through the [`door`] before any route sees it: whether it is meant for
//! this host, whether a page of somebody else sent it, who asks, what they may do, and how often.
//!
//! The user of the host needs no token on its socket; everybody else shows one.

mod answers;
mod audit;
pub(in crate::api) mod door;
mod headers;
mod host;
pub(in crate::api) mod idempotency;
mod origin;
mod rate;
pub(in crate::api) mod role;
mod target;
pub mod tokens;

pub(in crate::api) use self::role::Caller;
pub use self::{
    answers::Answers,
    door::{Access, AccessOptions},
    role::Role,
};
