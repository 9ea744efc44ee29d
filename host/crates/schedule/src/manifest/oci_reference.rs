//! Where a component lies in a registry, as the manifest and the command line write it:
//! `oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:DIGEST]`.
//!
//! Only the text is looked at here. Nothing asks whether the registry is there.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use super::resolved::Sha256;

/// What the text begins with.
pub const SCHEME: &str = "oci://";

/// The tag that is meant where neither a tag nor a digest is written, as everywhere in the world of registries.
const DEFAULT_TAG: &str = "latest";

/// Longest tag, as registries have it.
const TAG_BYTES_MAX: usize = 128;

/// Longest name of registry and repository together, as registries have it.
const NAME_BYTES_MAX: usize = 255;

/// How a digest of an image begins.
const DIGEST_PREFIX: &str = "sha256:";

/// Where a component lies in a registry.
///
/// It has a tag, a digest, or both; where neither is written, it is the tag `latest`. The digest is that of the image's
/// manifest, and with it always the same image is meant. It is not the digest of the component's bytes.
///
/// ```
/// use clockjack_schedule::manifest::oci_reference::OciReference;
///
/// let reference: OciReference = "oci://ghcr.io/acme/scraper:1.4.2".parse().unwrap();
/// assert_eq!((reference.registry(), reference.repository()), ("ghcr.io", "acme/scraper"));
/// assert_eq!((reference.tag(), reference.digest()), (Some("1.4.2"), None));
///
/// let reference: OciReference = "oci://localhost:5000/scraper".parse().unwrap();
/// assert_eq!(reference.to_string(), "oci://localhost:5000/scraper:latest");
/// assert!(reference.is_loopback());
///
/// let fault = "oci://ghcr.io/Acme/scraper".parse::<OciReference>().unwrap_err();
/// assert_eq!((fault.start, fault.end), (14, 15));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OciReference {
    registry: String,
    repository: String,
    /// Never absent together with the digest.
    tag: Option<String>,
    digest: Option<Sha256>,
}

/// What is wrong with the text of a reference, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {fix}")]
pub struct ReferenceFault {
    /// Where it begins, in bytes of the text.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// What is wrong. Never quotes what may be a password.
    pub message: String,
    /// What to write.
    pub fix: String,
}

impl OciReference {
    /// The host of the registry, with its port where one is written: `localhost:5000`.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The name in the registry: `acme/scraper`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag. Absent only where a digest is written without one.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// What the manifest of the image must hash to.
    #[must_use]
    pub fn digest(&self) -> Option<&Sha256> {
        self.digest.as_ref()
    }

    /// Whether the registry is on this very machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = match self.registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => self.registry.split_once(':').map_or(self.registry.as_str(), |(host, _)| host),
        };
        matches!(host, "localhost" | "127.0.0.1" | "::1")
    }
}

impl fmt::Display for OciReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registry, repository, tag, digest } = self;
        write!(f, "{SCHEME}{registry}/{repository}")?;
        tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        digest.iter().try_for_each(|digest| write!(f, "@{DIGEST_PREFIX}{digest}"))
    }
}

/// A piece of the text that knows where it stands.
#[derive(Clone, Copy)]
struct Piece<'t> {
    text: &'t str,
    start: usize,
}

impl<'t> Piece<'t> {
    /// What stands before and after the first such character.
    fn split(self, at: char) -> (Self, Option<Self>) {
        match self.text.split_once(at) {
            Some((before, after)) => {
                let start = self.start + before.len() + at.len_utf8();
                (Self { text: before, start: self.start }, Some(Self { text: after, start }))
            }
            None => (self, None),
        }
    }

    fn fault<T>(self, message: impl Into<String>, fix: impl Into<String>) -> Result<T, ReferenceFault> {
        let end = self.start + self.text.len();
        Err(ReferenceFault { start: self.start, end, message: message.into(), fix: fix.into() })
    }

    /// The first character that does not fit, as a piece.
    fn misfit(self, fits: impl Fn(char) -> bool) -> Option<Self> {
        let (at, misfit) = self.text.char_indices().find(|(_, c)| !fits(*c))?;
        Some(Piece { text: &self.text[at..at + misfit.len_utf8()], start: self.start + at })
    }
}

impl FromStr for OciReference {
    type Err = ReferenceFault;

    fn from_str(text: &str) -> Result<Self, ReferenceFault> {
        let whole = Piece { text, start: 0 };
        let Some(rest) = text.strip_prefix(SCHEME) else {
            return whole.fault("a component in a registry begins with `oci://`", FORM);
        };
        if let Some(misfit) = whole.misfit(|c| !c.is_control() && !c.is_whitespace()) {
            return misfit.fault("a reference to a registry holds neither blanks nor control characters", "remove it");
        }
        let rest = Piece { text: rest, start: SCHEME.len() };
        let (authority, path) = rest.split('/');
        let registry = registry(authority)?;
        let Some(path) = path else {
            return rest.fault(format!("`{text}` names a registry and nothing in it"), FORM);
        };
        let (name, digest) = path.split('@');
        let (repository_piece, tag) = name.split(':');
        let repository = repository(repository_piece)?;
        if NAME_BYTES_MAX < registry.len() + 1 + repository.len() {
            let message = format!("the name has more than the {NAME_BYTES_MAX} characters that registries allow");
            return repository_piece.fault(message, "use a shorter one");
        }
        let tag = tag.map(self::tag).transpose()?;
        let digest = digest.map(self::digest).transpose()?;
        let tag = tag.or_else(|| digest.is_none().then(|| DEFAULT_TAG.to_owned()));
        Ok(Self { registry, repository, tag, digest })
    }
}

/// What to write.
const FORM: &str = "write `oci://HOST/REPOSITORY:TAG`, with `@sha256:DIGEST` behind it where it must never change";

/// `HOST` or `HOST:PORT`, in small letters.
fn registry(piece: Piece<'_>) -> Result<String, ReferenceFault> {
    if piece.text.contains('@') {
        return piece.fault(
            "a reference holds no user and no password",
            "remove what stands before `@`, and log in with a tool that writes `~/.docker/config.json`",
        );
    }
    let (host, port) = match piece.text.find(']').filter(|_| piece.text.starts_with('[')) {
        Some(end) => {
            let (host, after) = piece.text.split_at(end + 1);
            let after = Piece { text: after, start: piece.start + host.len() };
            match after.split(':') {
                (Piece { text: "", .. }, port) => (Piece { text: host, start: piece.start }, port),
                (misfit, _) => return misfit.fault("behind the `]` of an address comes `:PORT` or `/`", FORM),
            }
        }
        None => piece.split(':'),
    };
    check_host(host)?;
    // Neither `0`, `+1` nor `007`: the text is part of the name by which things are found again.
    let is_port = |text: &str| text.parse::<u16>().is_ok_and(|port| port != 0 && port.to_string() == text);
    if let Some(port) = port.filter(|port| !is_port(port.text)) {
        return port.fault(format!("`{}` is not a port", port.text), "write a number from 1 to 65535, such as `:5000`");
    }
    Ok(piece.text.to_ascii_lowercase())
}

fn check_host(host: Piece<'_>) -> Result<(), ReferenceFault> {
    if host.text.is_empty() {
        return host.fault("the reference names no registry", FORM);
    }
    if let Some(address) = host.text.strip_prefix('[') {
        let address = address.strip_suffix(']').unwrap_or(address);
        return match address.parse::<Ipv6Addr>() {
            Ok(_) => Ok(()),
            Err(_) => host.fault(format!("`{}` is not an address of IPv6", host.text), "write it as `[::1]`"),
        };
    }
    if let Some(misfit) = host.misfit(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')) {
        let message = format!("`{}` does not stand in the name of a host", misfit.text);
        return misfit.fault(message, FORM);
    }
    let is_label = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    if !host.text.split('.').all(is_label) {
        return host.fault(format!("`{}` is not the name of a host", host.text), FORM);
    }
    Ok(())
}

/// One or more steps with `/` between them: small letters and digits, with `.`, `_`, `__` or any number of `-` inside.
fn repository(piece: Piece<'_>) -> Result<String, ReferenceFault> {
    if piece.text.is_empty() {
        return piece.fault("the reference names a registry and nothing in it", FORM);
    }
    if let Some(capital) = piece.misfit(|c| !c.is_ascii_uppercase()) {
        let fix = format!("write `{}`", piece.text.to_ascii_lowercase());
        return capital.fault("names in a registry have no capitals", fix);
    }
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-' | '/');
    if let Some(misfit) = piece.misfit(fits) {
        return misfit.fault(format!("`{}` does not stand in a name in a registry", misfit.text), FORM);
    }
    let mut rest = Some(piece);
    while let Some(steps) = rest {
        let (step, further) = steps.split('/');
        if !is_step(step.text) {
            let message = match step.text {
                "" => "a name in a registry has no empty step".to_owned(),
                step => format!("`{step}` is not a step of a name in a registry"),
            };
            let fix = "begin and end each step with a letter or a digit, and put `.`, `_`, `__` or `-` only inside";
            return step.fault(message, fix);
        }
        rest = further;
    }
    Ok(piece.text.to_owned())
}

fn is_step(step: &str) -> bool {
    let is_separator = |c: char| matches!(c, '.' | '_' | '-');
    let may_separate = |text: &str| matches!(text, "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    let ends_well = !step.starts_with(is_separator) && !step.ends_with(is_separator);
    let between = step.split(|c: char| !is_separator(c)).filter(|run| !run.is_empty());
    !step.is_empty() && ends_well && between.into_iter().all(may_separate)
}

fn tag(piece: Piece<'_>) -> Result<String, ReferenceFault> {
    if piece.text.is_empty() {
        return piece.fault("behind the `:` there is no tag", "write one, such as `:1.4.2`, or remove the `:`");
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if let Some(misfit) = piece.misfit(fits) {
        let message = format!("`{}` does not stand in a tag", misfit.text);
        return misfit.fault(message, "use letters, digits, `.`, `_` and `-`");
    }
    if piece.text.starts_with(['.', '-']) || TAG_BYTES_MAX < piece.text.len() {
        let message = format!("a tag begins with a letter, a digit or `_`, and has at most {TAG_BYTES_MAX} characters");
        return piece.fault(message, "use another tag");
    }
    Ok(piece.text.to_owned())
}

fn digest(piece: Piece<'_>) -> Result<Sha256, ReferenceFault> {
    const FIX: &str = "write `@sha256:` and the 64 hexadecimal digits that the registry shows for the image";
    let Some(hex) = piece.text.strip_prefix(DIGEST_PREFIX) else {
        return piece.fault("the digest of an image begins with `sha256:`", FIX);
    };
    // The rest of a second prefix must not slip through the digest's own reading.
    let digest =
        if hex.starts_with(DIGEST_PREFIX) { Err("`:` is not a hexadecimal digit".to_owned()) } else { hex.parse() };
    digest.or_else(|problem| Piece { text: hex, start: piece.start + DIGEST_PREFIX.len() }.fault(problem, FIX))
}

#[cfg(test)]
mod tests;
