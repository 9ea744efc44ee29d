//! Rules of `grants.network`: which ports of which hosts, and which names may be looked up.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use super::{
    Fault,
    address::{Cidr, Reach, reach},
    host::{Host, HostPattern},
    http::{moved, parse_port},
};

/// What `grants.network` holds. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkGrants {
    /// `tcp`: to whom connections may be opened.
    pub tcp: Vec<Endpoint>,
    /// `udp`: to whom datagrams may be sent, and from whom they are taken.
    pub udp: Vec<Endpoint>,
    /// `dns`: which names may be looked up, beside those of the other two.
    pub dns: Vec<NameRule>,
}

impl NetworkGrants {
    /// Whether nothing is granted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tcp.is_empty() && self.udp.is_empty() && self.dns.is_empty()
    }

    /// Whether a name may be looked up; if so, whether private addresses may be told.
    #[must_use]
    pub fn lookup(&self, host: &Host) -> Option<bool> {
        let named = self.tcp.iter().chain(&self.udp).filter(|rule| rule.names(host)).map(|rule| rule.private);
        let asked = self.dns.iter().filter(|rule| rule.pattern.matches(host)).map(|rule| rule.private);
        named.chain(asked).reduce(|a, b| a || b)
    }
}

/// One entry of `grants.network.tcp` or `udp`: `db.internal:5432`, `10.1.0.0/16:8000-8100`, `[fd00::1]:443`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Which hosts.
    pub target: Target,
    /// Which ports of them.
    pub ports: PortRange,
    /// `private: true`: whether names may stand for private addresses. An address that is written needs no leave.
    pub private: bool,
}

/// Which hosts an endpoint has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Hosts by name.
    Named(HostPattern),
    /// Hosts by address.
    Block(Cidr),
}

/// Ports from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The lowest; at least 1.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl PortRange {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self { first: 1, last: u16::MAX });
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = Self { first: parse_port(first)?, last: parse_port(last)? };
        (range.first <= range.last).then_some(range)
    }

    fn has(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (1, u16::MAX) => f.write_str("*"),
            (first, last) if first == last => write!(f, "{first}"),
            (first, last) => write!(f, "{first}-{last}"),
        }
    }
}

impl Endpoint {
    /// Reads `host:port`.
    ///
    /// # Errors
    /// When the text is no endpoint.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.contains("://") {
            let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
            let fix = format!("write `{}`", if rest.is_empty() { "db.internal:5432" } else { rest });
            return Err(Fault::new(text, text, format!("`{text}` is a URL, not a host and a port"), fix));
        }
        let bracket = text.rfind(']').unwrap_or(0);
        let Some(colon) = text[bracket..].rfind(':').map(|colon| bracket + colon) else {
            let fix = format!("write `{text}:5432`, a range such as `{text}:8000-8100`, or `{text}:*`");
            return Err(Fault::new(text, text, format!("`{text}` has no port"), fix));
        };
        let (host_text, port_text) = (&text[..colon], &text[colon + 1..]);
        if host_text.contains(':') && !host_text.starts_with('[') {
            let fix = "write IPv6 addresses in brackets, as in `[fd00::1]:443`";
            return Err(Fault::new(text, host_text, format!("`{host_text}` has more than one `:`"), fix));
        }
        let Some(ports) = PortRange::parse(port_text) else {
            let fix = "write 1 to 65535, a range such as `8000-8100`, or `*` for any";
            return Err(Fault::new(text, port_text, format!("`{port_text}` is no port"), fix));
        };
        let target = target(host_text).map_err(|fault| moved(fault, text, host_text))?;
        Ok(Self { target, ports, private: false })
    }

    /// Whether the rule can mean what it says.
    ///
    /// # Errors
    /// In words: why not, and what to write.
    pub fn check(&self) -> Result<(), (String, String)> {
        let Target::Named(pattern) = &self.target else { return Ok(()) };
        if pattern.reach() == Some(Reach::Private) && !self.private {
            let message = format!("`{pattern}` is this machine, which a job reaches only where that is said");
            return Err((message, format!("write `{{ to: \"{self}\", private: true }}` if that is meant")));
        }
        Ok(())
    }

    /// Whether it covers everything that the other one covers.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let target = match (&self.target, &other.target) {
            (Target::Named(own), Target::Named(other)) => own.covers(other),
            (Target::Block(own), Target::Block(other)) => own.covers(other),
            (Target::Named(_), Target::Block(_)) | (Target::Block(_), Target::Named(_)) => false,
        };
        let ports = self.ports.first <= other.ports.first && other.ports.last <= self.ports.last;
        target && ports && (self.private || !other.private)
    }

    /// Whether it covers an address, of which it is known for which names it was looked up.
    #[must_use]
    pub fn permits<'n>(&self, address: SocketAddr, names: impl IntoIterator<Item = &'n Host>) -> bool {
        let ip = address.ip().to_canonical();
        let reach = reach(ip);
        if !self.ports.has(address.port()) || reach == Reach::Never {
            return false;
        }
        match &self.target {
            Target::Block(block) => block.contains(ip),
            Target::Named(pattern) => {
                (reach == Reach::Public || self.private) && names.into_iter().any(|name| pattern.matches(name))
            }
        }
    }

    fn names(&self, host: &Host) -> bool {
        matches!(&self.target, Target::Named(pattern) if pattern.matches(host))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Named(pattern) => write!(f, "{pattern}:{}", self.ports),
            Target::Block(block) => write!(f, "{block}:{}", self.ports),
        }
    }
}

fn target(text: &str) -> Result<Target, Fault> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if text.contains('/') || inner.is_some() {
        let block = Cidr::parse(inner.unwrap_or(text));
        return block.map(Target::Block).map_err(|(message, fix)| Fault::new(text, text, message, fix));
    }
    match HostPattern::parse(text)? {
        HostPattern::Exact(Host::Address(address)) => {
            if reach(address) == Reach::Never {
                let message = format!("no host has the address `{address}`");
                return Err(Fault::new(text, text, message, "write the address of the host that is meant"));
            }
            Ok(Target::Block(Cidr::one(address)))
        }
        pattern => Ok(Target::Named(pattern)),
    }
}

/// One entry of `grants.network.dns`: `*.acme.dev`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameRule {
    /// Which names.
    pub pattern: HostPattern,
    /// `private: true`: whether private addresses may be told.
    pub private: bool,
}

impl NameRule {
    /// Reads a name, or `*.` and a name.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        match HostPattern::parse(text)? {
            HostPattern::Exact(Host::Address(address)) => {
                let message = format!("`{address}` is an address: there is nothing to look up");
                Err(Fault::new(text, text, message, "remove it, or write a name"))
            }
            pattern => Ok(Self { pattern, private: false }),
        }
    }
}

/// Which of the addresses of a name may be used: those that reach no further than the leave that was given.
pub fn vetted(addresses: impl IntoIterator<Item = IpAddr>, private: bool) -> Vec<IpAddr> {
    let is_fit = |address: &IpAddr| match reach(*address) {
        Reach::Public => true,
        Reach::Private => private,
        Reach::Never => false,
    };
    let mut fit: Vec<IpAddr> = Vec::new();
    for address in addresses.into_iter().map(|address| address.to_canonical()).filter(is_fit) {
        if !fit.contains(&address) {
            fit.push(address);
        }
    }
    fit
}
