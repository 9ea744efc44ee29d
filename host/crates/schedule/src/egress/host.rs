//! Hosts of URLs, and patterns of them.
//!
//! A host is a name or an address, and there is one way to write each: a number in disguise (`0x7f.1`, `2130706433`,
//! `127.1`) is neither, because some resolvers take it for an address and others for a name.

use std::{fmt, net::IpAddr};

use super::{
    Fault,
    address::{Reach, reach},
};

/// Longest name, and longest part of one, as DNS has it.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// A host, read strictly.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name, in lower case.
    Name(Box<str>),
    /// An address; an IPv4 address in IPv6 clothes is the IPv4 address.
    Address(IpAddr),
}

impl Host {
    /// Reads a host as it stands in a URL: IPv6 addresses in brackets.
    ///
    /// # Errors
    /// When it is neither a name nor an address in its usual form.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |part: &str, message: String, fix: String| Err(Fault::new(text, part, message, fix));
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']').and_then(|inner| inner.parse().ok());
            return match address {
                Some(address) => Ok(Self::Address(IpAddr::V6(address).to_canonical())),
                None => {
                    fault(text, format!("`{text}` is no IPv6 address"), "write it as in `[2001:db8::1]`".to_owned())
                }
            };
        }
        if text.is_empty() {
            return fault(text, "there is no host".to_owned(), "write it, as in `https://api.acme.dev`".to_owned());
        }
        if !text.is_ascii() {
            let fix = "write the name as DNS has it, with `xn--`";
            return fault(text, format!("the host `{text}` has letters beyond ASCII"), fix.to_owned());
        }
        if let Some(without) = text.strip_suffix('.') {
            return fault(text, format!("the host `{text}` ends with a point"), format!("write `{without}`"));
        }
        if let Some(misfit) = text.split('.').find(|label| !is_label(label)) {
            let message = if misfit.is_empty() {
                format!("the host `{text}` has an empty part")
            } else {
                format!("`{misfit}` cannot be a part of the name of a host")
            };
            let fix = "names have letters, digits and `-`, in parts of up to 63 between points";
            return fault(if misfit.is_empty() { text } else { misfit }, message, fix.to_owned());
        }
        if NAME_BYTES_MAX < text.len() {
            let fix = format!("names have up to {NAME_BYTES_MAX} bytes");
            return fault(text, "the name of the host is too long".to_owned(), fix);
        }
        let lower = text.to_ascii_lowercase();
        if !lower.rsplit('.').next().is_some_and(is_number) {
            return Ok(Self::Name(lower.into()));
        }
        match lower.parse() {
            Ok(address) => Ok(Self::Address(IpAddr::V4(address))),
            Err(_disguised) => {
                let message = format!("the host `{text}` is a number, and resolvers differ over what it means");
                fault(text, message, "write the address as four decimal numbers, such as `192.0.2.1`".to_owned())
            }
        }
    }

    /// Whether the name is one that always means this machine.
    #[must_use]
    pub fn is_local_name(&self) -> bool {
        match self {
            Self::Name(name) => **name == *"localhost" || name.ends_with(".localhost"),
            Self::Address(_) => false,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

fn is_label(label: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(fits)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Whether some resolver would take a name that ends like this for an address.
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hexadecimal || label.bytes().all(|byte| byte.is_ascii_digit())
}

/// Which hosts a rule covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This one.
    Exact(Host),
    /// `*.acme.dev`: every name below it, at any depth, and not the name itself.
    Below(Box<str>),
}

impl HostPattern {
    /// Reads a host, or `*.` and a name.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text == "*" {
            let fix = "name the hosts: `api.acme.dev`, or `*.acme.dev` for all below a name";
            return Err(Fault::new(text, text, "`*` alone would cover every host there is", fix));
        }
        let Some(below) = text.strip_prefix("*.") else {
            if text.contains('*') {
                let fix = "write `*.` and the rest of the name, such as `*.acme.dev`";
                return Err(Fault::new(text, text, format!("`{text}` has a `*` inside of a name"), fix));
            }
            return Host::parse(text).map(Self::Exact);
        };
        match Host::parse(below) {
            Ok(Host::Name(name)) => Ok(Self::Below(name)),
            Ok(Host::Address(_)) => {
                let fix = "write the address, or under `network` a block such as `10.1.0.0/16`";
                Err(Fault::new(text, text, format!("nothing is below the address `{below}`"), fix))
            }
            Err(fault) => Err(Fault { start: fault.start + 2, end: fault.end + 2, ..fault }),
        }
    }

    /// Whether it covers a host.
    #[must_use]
    pub fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Exact(own), host) => own == host,
            (Self::Below(suffix), Host::Name(name)) => is_below(name, suffix),
            (Self::Below(_), Host::Address(_)) => false,
        }
    }

    /// Whether it covers every host that the other one covers.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exact(host)) => self.matches(host),
            (Self::Below(own), Self::Below(other)) => own == other || is_below(other, own),
            (Self::Exact(_), Self::Below(_)) => false,
        }
    }

    /// How far it reaches, where that is known without asking anybody.
    #[must_use]
    pub fn reach(&self) -> Option<Reach> {
        match self {
            Self::Exact(Host::Address(address)) => Some(reach(*address)),
            Self::Exact(host) => host.is_local_name().then_some(Reach::Private),
            Self::Below(suffix) => Host::Name(suffix.clone()).is_local_name().then_some(Reach::Private),
        }
    }
}

fn is_below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|rest| 1 < rest.len() && rest.ends_with('.'))
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => write!(f, "{host}"),
            Self::Below(suffix) => write!(f, "*.{suffix}"),
        }
    }
}
