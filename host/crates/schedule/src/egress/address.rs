//! How far an address reaches, whatever it is dressed up as, and blocks of addresses.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A host of the internet.
    Public,
    /// This machine, or the networks that it stands in: loopback, private, shared and link-local addresses.
    Private,
    /// No host at all: multicast, broadcast, reserved, documentation, and tunnels that hide where they lead.
    Never,
}

/// Whether an address belongs to a host of the internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    reach(address) == Reach::Public
}

/// How far an address reaches. An IPv4 address inside of an IPv6 address is judged as the IPv4 address that it is.
///
/// ```
/// use clockjack_schedule::egress::{Reach, reach};
///
/// assert_eq!(reach("1.1.1.1".parse().unwrap()), Reach::Public);
/// assert_eq!(reach("169.254.169.254".parse().unwrap()), Reach::Private);
/// assert_eq!(reach("::ffff:127.0.0.1".parse().unwrap()), Reach::Private);
/// assert_eq!(reach("255.255.255.255".parse().unwrap()), Reach::Never);
/// ```
#[must_use]
pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_4(address),
        IpAddr::V6(address) => reach_6(address),
    }
}

fn reach_4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        // This network, protocol assignments, documentation, the relay of 6to4, multicast, reserved, broadcast.
        [0 | 224..=255, ..] | [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] => {
            Reach::Never
        }
        [10 | 127, ..]
        | [192, 168, ..]
        | [169, 254, ..]
        | [172, 16..=31, ..]
        | [100, 64..=127, ..]
        | [198, 18 | 19, ..] => Reach::Private,
        _ => Reach::Public,
    }
}

fn reach_6(address: Ipv6Addr) -> Reach {
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        reach_4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Private,
        // IPv4 in IPv6 (mapped), and as a translating gateway takes it.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => inner(high, low),
        // The translating gateway of a local network.
        [0x64, 0xff9b, 1, ..] => Reach::Private,
        [0x2002, high, low, ..] => inner(high, low),
        // Teredo, benchmarks, identifiers; documentation, twice.
        [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Reach::Never,
        [0x2000..=0x3fff, ..] => Reach::Public,
        // Unique local, link-local, and site-local, which some networks still have.
        [0xfc00..=0xfdff | 0xfe80..=0xfeff, ..] => Reach::Private,
        // What is not given to anybody: `::`, compatible addresses, discard, segment routing, multicast and the rest.
        _ => Reach::Never,
    }
}

/// A block of addresses: `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// The block of one address.
    #[must_use]
    pub fn one(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { network: address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// Reads a block or an address, without brackets.
    ///
    /// # Errors
    /// In words: why it is none, and what to write.
    pub fn parse(text: &str) -> Result<Self, (String, String)> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return Err((format!("`{address}` is no IP address"), "write `10.1.2.3` or `10.1.0.0/16`".to_owned()));
        };
        let Some(prefix) = prefix else { return Ok(Self::one(address)) };
        let bits_max: u8 = if address.is_ipv4() { 32 } else { 128 };
        let is_number = prefix.bytes().all(|byte| byte.is_ascii_digit()) && !prefix.starts_with('0');
        let parsed = prefix.parse::<u8>().ok().filter(|bits| is_number && (1..=bits_max).contains(bits));
        let Some(prefix) = parsed else {
            let message = format!("`/{prefix}` is no length of a block of addresses");
            return Err((message, format!("write `/1` to `/{bits_max}`; name what the job needs, not everything")));
        };
        let block = Self { network: address, prefix };
        let network = block.masked(address);
        if network == address {
            Ok(block)
        } else {
            Err((format!("`{text}` is not the beginning of its block"), format!("write `{network}/{prefix}`")))
        }
    }

    /// Whether an address is in the block.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4() && self.masked(address) == self.network
    }

    /// Whether every address of the other block is in this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.network)
    }

    fn masked(&self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32))).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix.min(128))).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.network, self.prefix) {
            (IpAddr::V4(address), 32) => write!(f, "{address}"),
            (IpAddr::V4(address), prefix) => write!(f, "{address}/{prefix}"),
            (IpAddr::V6(address), 128) => write!(f, "[{address}]"),
            (IpAddr::V6(address), prefix) => write!(f, "[{address}/{prefix}]"),
        }
    }
}
