//! `host.egress`: what jobs on a host may be granted at most, whoever writes their part of the manifest.

use std::fmt;

use super::{
    Fault,
    http::{HttpRule, moved},
    network::{Endpoint, NameRule, NetworkGrants, Target},
};

/// One entry of `host.egress`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EgressRule {
    /// `https://*.acme.dev`
    Http(HttpRule),
    /// `tcp://db.internal:5432`
    Tcp(Endpoint),
    /// `udp://10.0.0.53:53`
    Udp(Endpoint),
}

impl EgressRule {
    /// Reads a rule of `grants.http`, or `tcp://` or `udp://` and one of `grants.network`.
    ///
    /// # Errors
    /// When the text is none.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let endpoint = |rest: &str| Endpoint::parse(rest).map_err(|fault| moved(fault, text, rest));
        if let Some(rest) = text.strip_prefix("tcp://") {
            return endpoint(rest).map(Self::Tcp);
        }
        if let Some(rest) = text.strip_prefix("udp://") {
            return endpoint(rest).map(Self::Udp);
        }
        HttpRule::parse(text).map(Self::Http)
    }

    /// The same with leave to reach private addresses.
    #[must_use]
    pub fn with_private(self, private: bool) -> Self {
        match self {
            Self::Http(rule) => Self::Http(HttpRule { private, ..rule }),
            Self::Tcp(rule) => Self::Tcp(Endpoint { private, ..rule }),
            Self::Udp(rule) => Self::Udp(Endpoint { private, ..rule }),
        }
    }

    /// Whether the rule can mean what it says.
    ///
    /// # Errors
    /// In words: why not, and what to write.
    pub fn check(&self) -> Result<(), (String, String)> {
        match self {
            Self::Http(rule) => rule.check(),
            Self::Tcp(rule) | Self::Udp(rule) => rule.check(),
        }
    }
}

impl fmt::Display for EgressRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(rule) => write!(f, "{rule}"),
            Self::Tcp(rule) => write!(f, "tcp://{rule}"),
            Self::Udp(rule) => write!(f, "udp://{rule}"),
        }
    }
}

/// Whether a host whose `host.egress` this is lets a job have an entry of `grants.http`.
#[must_use]
pub fn allows_http(policy: &[EgressRule], wanted: &HttpRule) -> bool {
    policy.iter().any(|rule| matches!(rule, EgressRule::Http(rule) if rule.covers(wanted)))
}

/// The first part of `grants.network` that a host does not let a job have.
#[must_use]
pub fn first_refused(policy: &[EgressRule], wanted: &NetworkGrants) -> Option<String> {
    let of = |is_tcp: bool| {
        policy.iter().filter_map(move |rule| match rule {
            EgressRule::Tcp(rule) => is_tcp.then_some(rule),
            EgressRule::Udp(rule) => (!is_tcp).then_some(rule),
            EgressRule::Http(_) => None,
        })
    };
    let refused = |wanted: &Endpoint, is_tcp: bool| !of(is_tcp).any(|rule| rule.covers(wanted));
    // Who may connect to a name may look it up.
    let names = |rule: &Endpoint, wanted: &NameRule| match &rule.target {
        Target::Named(pattern) => pattern.covers(&wanted.pattern) && (rule.private || !wanted.private),
        Target::Block(_) => false,
    };
    let tcp = wanted.tcp.iter().find(|rule| refused(rule, true)).map(|rule| format!("tcp://{rule}"));
    let udp = || wanted.udp.iter().find(|rule| refused(rule, false)).map(|rule| format!("udp://{rule}"));
    let is_unnamed = |wanted: &&NameRule| !of(true).chain(of(false)).any(|rule| names(rule, wanted));
    let dns = || wanted.dns.iter().find(is_unnamed).map(|rule| format!("tcp://{}:*", rule.pattern));
    tcp.or_else(udp).or_else(dns)
}
