//! The URL of a channel, read as strictly as those of grants.

use std::fmt;

use crate::egress::{Authority, Fault, Host, Reach, Scheme, reach};

/// Longest URL.
const BYTES_MAX: usize = 4_096;

/// Where a channel leads, with path and query. It is shown without them: both may hold what only its owner is to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebUrl {
    /// With or without TLS.
    pub scheme: Scheme,
    /// Which host and port.
    pub authority: Authority,
    /// Begins with a slash; without a query.
    pub path: Box<str>,
    /// What follows the question mark.
    pub query: Option<Box<str>>,
}

impl WebUrl {
    /// Reads `https://host[:port][/path][?query]`.
    ///
    /// ```
    /// use clockjack_schedule::notify::WebUrl;
    ///
    /// let url = WebUrl::parse("https://hooks.acme.dev/T0/x?y=1").unwrap();
    /// assert_eq!(url.to_string(), "https://hooks.acme.dev/…");
    /// assert_eq!(url.path_and_query(), "/T0/x?y=1");
    /// assert!(WebUrl::parse("hooks.acme.dev").is_err());
    /// ```
    ///
    /// # Errors
    /// When it is none. The fault never repeats path or query.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |message: &str, fix: &str| Fault {
            start: 0,
            end: text.len(),
            message: message.to_owned(),
            fix: fix.to_owned(),
        };
        if BYTES_MAX < text.len() {
            return Err(fault("the URL is too long", "a URL has at most 4096 bytes"));
        }
        if text.bytes().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'\\' | b'"' | b'<' | b'>' | b'`')) {
            let fix = "write such characters as `%20`, and names as DNS has them";
            return Err(fault("a character cannot stand in a URL", fix));
        }
        let (scheme, rest) = match text.split_once("://") {
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(_) => return Err(fault("a channel speaks http and https only", "write `https://` and the host")),
            None => return Err(fault("the URL does not say how it is reached", "begin it with `https://`")),
        };
        if rest.contains('#') {
            return Err(fault("a `#` is for browsers, and is never sent", "remove it and what follows it"));
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let authority = Authority::parse(authority)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query.into())),
            None => (rest, None),
        };
        let path = if path.is_empty() { "/".into() } else { path.into() };
        Ok(Self { scheme, authority, path, query })
    }

    /// Whether a channel may lead there, as far as that is known without asking anybody.
    ///
    /// # Errors
    /// In words: why not, and what to write.
    pub fn check(&self, private: bool) -> Result<(), (String, String)> {
        let host = &self.authority.host;
        let reach = match host {
            Host::Address(address) => Some(reach(*address)),
            Host::Name(_) => host.is_local_name().then_some(Reach::Private),
        };
        match reach {
            Some(Reach::Never) => {
                let fix = "write the address of the host that is meant".to_owned();
                Err((format!("no host has the address `{host}`"), fix))
            }
            Some(Reach::Private) if !private => Err((
                format!("`{host}` is this machine or its own network, which a channel reaches only where that is said"),
                "add `private: true` to the channel if that is meant".to_owned(),
            )),
            Some(Reach::Private | Reach::Public) | None if self.scheme == Scheme::Http && !private => Err((
                "over `http` everybody on the way reads what is told, and can change it".to_owned(),
                "write `https://`, or add `private: true` to the channel for a host of your own network".to_owned(),
            )),
            Some(Reach::Private | Reach::Public) | None => Ok(()),
        }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.authority.port.unwrap_or_else(|| self.scheme.default_port())
    }

    /// What a server sees of it.
    #[must_use]
    pub fn path_and_query(&self) -> String {
        self.query.as_ref().map_or_else(|| self.path.to_string(), |query| format!("{}?{query}", self.path))
    }

    /// The same with a step more at the end of its path, and with one more entry of its query.
    #[must_use]
    pub fn with(&self, step: &str, entry: Option<(&str, &str)>) -> Self {
        let path = match step {
            "" => self.path.clone(),
            step => format!("{}/{step}", self.path.trim_end_matches('/')).into(),
        };
        let entry = entry.map(|(key, value)| format!("{key}={value}"));
        let parts: Vec<_> = self.query.iter().map(ToString::to_string).chain(entry).collect();
        let query = (!parts.is_empty()).then(|| parts.join("&").into());
        Self { path, query, ..self.clone() }
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority.host)?;
        if let Some(port) = self.authority.port {
            write!(f, ":{port}")?;
        }
        f.write_str(if *self.path == *"/" && self.query.is_none() { "/" } else { "/…" })
    }
}
