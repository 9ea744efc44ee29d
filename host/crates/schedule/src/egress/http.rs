//! Rules of `grants.http`: `https://*.acme.dev`, `https://api.acme.dev:8443/v1/`.

use std::fmt;

use super::{
    Fault,
    address::{Reach, reach},
    host::{Host, HostPattern},
};

/// The methods that a rule may name, and has where it names none.
pub const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// How the bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// As they are.
    Http,
    /// Under TLS.
    Https,
}

impl Scheme {
    /// As it stands in a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Where it is spoken unless a port is written.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Http, Self::Https].into_iter().find(|scheme| scheme.as_str() == text)
    }
}

/// Which of [`METHODS`] a rule covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Methods(u8);

impl Methods {
    /// Every one.
    pub const ALL: Self = Self((1 << METHODS.len()) - 1);

    /// None, to be filled.
    pub const NONE: Self = Self(0);

    /// These and one more; absent where that is no method of ours.
    #[must_use]
    pub fn with(self, method: &str) -> Option<Self> {
        let index = METHODS.iter().position(|known| *known == method)?;
        Some(Self(self.0 | 1 << index))
    }

    /// Whether a method is among them.
    #[must_use]
    pub fn has(self, method: &str) -> bool {
        METHODS.iter().position(|known| *known == method).is_some_and(|index| self.0 & (1 << index) != 0)
    }

    /// The methods as text.
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        METHODS.into_iter().filter(move |method| self.has(method))
    }

    fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// One entry of `grants.http`.
///
/// Its text form and [`HttpRule::parse`] are each other's reverse; methods and `private` stand beside the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRule {
    /// With or without TLS.
    pub scheme: Scheme,
    /// Which hosts.
    pub host: HostPattern,
    /// Which port; absent means any (`:*`).
    pub port: Option<u16>,
    /// What paths begin with, without a closing slash; empty means every path.
    pub path: Box<str>,
    /// Which methods.
    pub methods: Methods,
    /// `private: true`: whether the host may have a private, loopback or link-local address.
    pub private: bool,
}

impl HttpRule {
    /// Reads `scheme://host[:port][/path]`, for all methods and public addresses.
    ///
    /// ```
    /// use clockjack_schedule::egress::HttpRule;
    ///
    /// assert_eq!(HttpRule::parse("https://API.acme.dev:443/v1/").unwrap().to_string(), "https://api.acme.dev/v1");
    /// let fault = HttpRule::parse("api.acme.dev").unwrap_err();
    /// assert_eq!(fault.fix, "write `https://api.acme.dev`");
    /// ```
    ///
    /// # Errors
    /// When the text is no rule.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |part: &str, message: String, fix: &str| Err(Fault::new(text, part, message, fix));
        if let Some((at, misfit)) = text.char_indices().find(|(_, c)| c.is_whitespace() || c.is_control() || *c == '\\')
        {
            let part = &text[at..at + misfit.len_utf8()];
            return fault(part, format!("`{}` cannot stand in a URL", misfit.escape_debug()), "remove it");
        }
        let Some((scheme_text, rest)) = text.split_once("://") else { return Err(without_scheme(text)) };
        let Some(scheme) = Scheme::parse(scheme_text) else {
            let message = format!("`{scheme_text}` is not one of http, https");
            return fault(scheme_text, message, "write `https://` and the host, or `http://` for one without TLS");
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            let fix = "remove what stands before the `@`; a job sends a password in a header";
            return fault(authority, format!("`{authority}` names a user"), fix);
        }
        let (host_text, port_text) = split_port(authority)
            .map_err(|fix| Fault::new(text, authority, format!("`{authority}` has more than one `:`"), fix))?;
        let host = HostPattern::parse(host_text).map_err(|fault| moved(fault, text, host_text))?;
        let port = match port_text {
            None => Some(scheme.default_port()),
            Some("*") => None,
            Some(port) => Some(parse_port(port).ok_or_else(|| {
                Fault::new(text, port, format!("`{port}` is no port"), "write 1 to 65535, or `*` for any")
            })?),
        };
        let path = rule_path(text, path)?;
        Ok(Self { scheme, host, port, path, methods: Methods::ALL, private: false })
    }

    /// Whether the rule can mean what it says: addresses that are not public need `private: true`.
    ///
    /// # Errors
    /// In words: why not, and what to write.
    pub fn check(&self) -> Result<(), (String, String)> {
        match self.host.reach() {
            Some(Reach::Never) => Err((
                format!("no host has the address `{}`", self.host),
                "write the address of the host that is meant".to_owned(),
            )),
            Some(Reach::Private) if !self.private => Err((
                format!(
                    "`{}` is this machine or its own network, which a job reaches only where that is said",
                    self.host
                ),
                format!("write `{{ url: \"{self}\", private: true }}` if that is meant"),
            )),
            Some(Reach::Private | Reach::Public) | None => Ok(()),
        }
    }

    /// Whether it covers a request. What the host's name resolves to is another question.
    #[must_use]
    pub fn matches(&self, scheme: Scheme, host: &Host, port: u16, method: &str, path: &str) -> bool {
        self.misfit(&HttpRequest { scheme, host, port, method, path }).is_none()
    }

    /// Whether it covers everything that the other one covers.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && self.host.covers(&other.host)
            && (self.port.is_none() || self.port == other.port)
            && is_at_or_below(&other.path, &self.path)
            && self.methods.covers(other.methods)
            && (self.private || !other.private)
    }

    /// The first part in which a request differs.
    fn misfit(&self, request: &HttpRequest<'_>) -> Option<Misfit> {
        if !self.host.matches(request.host) {
            return Some(Misfit::Host);
        }
        if self.scheme != request.scheme {
            return Some(Misfit::Scheme);
        }
        if self.port.is_some_and(|port| port != request.port) {
            return Some(Misfit::Port);
        }
        if !self.path.is_empty() && (is_ambiguous(request.path) || !is_at_or_below(request.path, &self.path)) {
            return Some(Misfit::Path);
        }
        (!self.methods.has(request.method)).then_some(Misfit::Method)
    }
}

impl fmt::Display for HttpRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host)?;
        match self.port {
            None => f.write_str(":*")?,
            Some(port) if port == self.scheme.default_port() => {}
            Some(port) => write!(f, ":{port}")?,
        }
        f.write_str(&self.path)
    }
}

/// What a guest wants to send.
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    /// With or without TLS.
    pub scheme: Scheme,
    /// To whom.
    pub host: &'a Host,
    /// Where.
    pub port: u16,
    /// In capitals, as HTTP has them.
    pub method: &'a str,
    /// Without the query.
    pub path: &'a str,
}

/// The parts of a rule, in the order in which requests come nearer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Misfit {
    Host,
    Scheme,
    Port,
    Path,
    Method,
}

/// What a request that is covered may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    /// Whether it may go to private addresses.
    pub private: bool,
}

/// Whether one of the rules covers a request.
///
/// # Errors
/// In words: what is missing, told of the rule that comes nearest.
pub fn judge(rules: &[HttpRule], request: &HttpRequest<'_>) -> Result<Permit, String> {
    let mut nearest: Option<(Misfit, &HttpRule)> = None;
    let mut permit: Option<Permit> = None;
    for rule in rules {
        match rule.misfit(request) {
            None => permit = Some(Permit { private: rule.private || permit.is_some_and(|permit| permit.private) }),
            Some(misfit) if nearest.is_none_or(|(best, _)| best < misfit) => nearest = Some((misfit, rule)),
            Some(_) => {}
        }
    }
    permit.ok_or_else(|| {
        let reason = match nearest {
            None => "the job has no `grants.http`".to_owned(),
            Some((Misfit::Host, _)) => format!("no entry of `grants.http` covers the host `{}`", request.host),
            Some((Misfit::Scheme, rule)) => {
                format!("`{rule}` of `grants.http` does not cover `{}`", request.scheme.as_str())
            }
            Some((Misfit::Port, rule)) => format!("`{rule}` of `grants.http` does not cover the port {}", request.port),
            Some((Misfit::Path, rule)) => format!("`{rule}` of `grants.http` does not cover the path"),
            Some((Misfit::Method, rule)) => format!("`{rule}` of `grants.http` does not cover the method"),
        };
        format!("{reason}; {}", advice(nearest.map(|(misfit, _)| misfit), request))
    })
}

/// What would allow a request, if anything does, and no more than that.
fn advice(misfit: Option<Misfit>, request: &HttpRequest<'_>) -> String {
    if misfit == Some(Misfit::Method) {
        return if METHODS.contains(&request.method) {
            format!("to allow it, add `{}` to its `methods`", request.method)
        } else {
            "no entry can cover that method".to_owned()
        };
    }
    let is_about_the_path = misfit == Some(Misfit::Path);
    if is_about_the_path && is_ambiguous(request.path) {
        return "servers differ over what it means, so no entry with a path covers it".to_owned();
    }
    let port = if request.port == request.scheme.default_port() { String::new() } else { format!(":{}", request.port) };
    let path = if is_about_the_path { request.path } else { "" };
    let url = format!("{}://{}{port}{path}", request.scheme.as_str(), request.host);
    match request.host {
        Host::Address(address) if reach(*address) == Reach::Never => "no host has that address".to_owned(),
        Host::Address(address) if reach(*address) == Reach::Private => {
            format!("to allow it, add `grants.http: [{{ url: \"{url}\", private: true }}]`")
        }
        Host::Address(_) | Host::Name(_) => format!("to allow it, add `grants.http: [\"{url}\"]`"),
    }
}

/// Whether a rule, as text, covers a GET of a URL, as text. For tests and fuzzing: any text is an answer or a fault.
///
/// ```
/// use clockjack_schedule::egress::permits;
///
/// assert_eq!(permits("https://*.acme.dev/v1", "https://api.acme.dev/v1/users"), Ok(true));
/// assert_eq!(permits("https://*.acme.dev/v1", "https://api.acme.dev/v1/../admin"), Ok(false));
/// assert_eq!(permits("https://*.acme.dev", "https://acme.dev.evil.example/"), Ok(false));
/// assert!(permits("https://*.acme.dev", "https://0x7f.1/").is_err());
/// ```
///
/// # Errors
/// When either is not what it should be.
pub fn permits(rule: &str, url: &str) -> Result<bool, Fault> {
    let rule = HttpRule::parse(rule)?;
    let fault = |message: &str| Fault::new(url, url, message, "write `https://host/path`");
    let (scheme, rest) = url.split_once("://").ok_or_else(|| fault("there is no scheme"))?;
    let scheme = Scheme::parse(scheme).ok_or_else(|| fault("the scheme is unknown"))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let authority = Authority::parse(authority)?;
    let path = rest.split(['?', '#']).next().filter(|path| !path.is_empty()).unwrap_or("/");
    let port = authority.port.unwrap_or_else(|| scheme.default_port());
    Ok(rule.matches(scheme, &authority.host, port, "GET", path))
}

/// The authority of a request, read strictly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// To whom.
    pub host: Host,
    /// Where; absent means the port of the scheme.
    pub port: Option<u16>,
}

impl Authority {
    /// Reads `host[:port]`.
    ///
    /// # Errors
    /// When it names a user, or a host or port that is none.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.contains('@') {
            return Err(Fault::new(text, text, "the URL names a user", "send a password in a header"));
        }
        let split = split_port(text);
        let (host_text, port) =
            split.map_err(|fix| Fault::new(text, text, format!("`{text}` has more than one `:`"), fix))?;
        let host = Host::parse(host_text).map_err(|fault| moved(fault, text, host_text))?;
        let port = match port {
            None => None,
            Some(port) => Some(
                parse_port(port)
                    .ok_or_else(|| Fault::new(text, port, format!("`{port}` is no port"), "write 1 to 65535"))?,
            ),
        };
        Ok(Self { host, port })
    }
}

/// A fault of a part, told of the whole text.
pub(super) fn moved(fault: Fault, text: &str, part: &str) -> Fault {
    let base = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len());
    Fault { start: base + fault.start, end: base + fault.end, ..fault }
}

/// Host and port, apart. Fails with the fix where it is an IPv6 address without brackets.
pub(super) fn split_port(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    if authority.starts_with('[') {
        let end = authority.find(']').map_or(authority.len(), |end| end + 1);
        let (host, rest) = authority.split_at(end);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Ok((authority, None)),
        };
    }
    match authority.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Err("write IPv6 addresses in brackets, as in `[2001:db8::1]:443`"),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

/// A port as digits without a sign or leading zeros. Zero is none.
pub(super) fn parse_port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_number)
}

fn without_scheme(text: &str) -> Fault {
    if text == "*" {
        let fix = "name the hosts: `https://api.acme.dev`, or `https://*.acme.dev` for all below a name";
        return Fault::new(text, text, "`*` alone would cover every host there is", fix);
    }
    let rest = text.trim_start_matches(['/', ':']);
    let host = if rest.is_empty() { "api.acme.dev" } else { rest };
    Fault::new(text, text, format!("`{text}` does not say how it is reached"), format!("write `https://{host}`"))
}

/// The path of a rule in its one form.
fn rule_path(text: &str, path: &str) -> Result<Box<str>, Fault> {
    let fault = |part: &str, message: String, fix: String| Err(Fault::new(text, part, message, fix));
    if let Some(at) = path.find(['?', '#']) {
        let fix = "remove it: a rule is about paths".to_owned();
        return fault(&path[at..], format!("`{}` is no part of a path", &path[at..]), fix);
    }
    if let Some(at) = path.find('*') {
        let before = path[..at].rfind('/').map_or("/", |slash| &path[..=slash]);
        return fault(
            &path[at..],
            "a path takes no `*`".to_owned(),
            format!("write `{before}`: it counts for all below"),
        );
    }
    if !path.is_ascii() {
        return fault(path, format!("the path `{path}` has letters beyond ASCII"), "write them as `%C3%A4`".to_owned());
    }
    let trimmed = path.strip_suffix('/').unwrap_or(path);
    if is_ambiguous(trimmed) || trimmed.contains("//") || trimmed.ends_with('/') {
        let fix = "write the path that is meant, without `..`, `//` and encoded points and slashes".to_owned();
        return fault(path, format!("servers differ over what the path `{path}` means"), fix);
    }
    Ok(trimmed.into())
}

/// Whether a path is a prefix, or below it.
fn is_at_or_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || prefix.is_empty() || rest.starts_with('/'))
}

/// Whether servers differ over what a path means: steps up, and points or slashes in disguise, also twice disguised.
fn is_ambiguous(path: &str) -> bool {
    let mut plain = path.to_ascii_lowercase();
    while plain.contains("%25") {
        plain = plain.replace("%25", "%");
    }
    // A server may cut what follows a semicolon off a step.
    let is_step = |step: &str| matches!(step.split(';').next(), Some("." | ".."));
    plain.contains('\\')
        || ["%2e", "%2f", "%5c", "%00", "%3b", "%u"].iter().any(|disguise| plain.contains(disguise))
        // Letters in more bytes than they need: some servers read slashes and points out of them.
        || !is_text(&plain)
        || plain.split('/').any(is_step)
}

/// Whether the escapes of a path are whole, and what they stand for is UTF-8.
fn is_text(path: &str) -> bool {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let escape = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let Some(byte) = escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else { return false };
        bytes.push(byte);
        rest = &rest[2..];
    }
    std::str::from_utf8(&bytes).is_ok()
}
