//! What a job may reach over the network: rules that are written as text, and the question whether one of them covers
//! what a guest asks for.
//!
//! Everything here is decided from texts and numbers alone. Who resolves names and opens connections has to ask twice:
//! whether a rule covers the request ([`judge`]), and, for each address that a name gave, how far that address reaches
//! ([`reach`]).

mod address;
mod host;
mod http;
mod network;
mod policy;
#[cfg(test)]
mod tests;

use std::fmt;

pub use self::{
    address::{Cidr, Reach, is_public, reach},
    host::{Host, HostPattern},
    http::{Authority, HttpRequest, HttpRule, METHODS, Methods, Permit, Scheme, judge, permits},
    network::{Endpoint, NameRule, NetworkGrants, PortRange, Target, vetted},
    policy::{EgressRule, allows_http, first_refused},
};

/// Why a text is no rule, with the place of what is wrong in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// First byte of what is wrong.
    pub start: usize,
    /// One past its last byte.
    pub end: usize,
    /// What is wrong: a lower-case fragment.
    pub message: String,
    /// What to write in its place.
    pub fix: String,
}

impl Fault {
    fn new(text: &str, part: &str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        // The part is a slice of the text in all but hand-made cases; those point at the whole.
        let start = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize);
        let start = start.filter(|start| start + part.len() <= text.len());
        let (start, end) = start.map_or((0, text.len()), |start| (start, start + part.len()));
        Self { start, end, message: message.into(), fix: fix.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.fix)
    }
}

impl std::error::Error for Fault {}
