//! Whether the head of a request is one, before anything else reads it: what two programs could read in two ways is refused
//! here, so that nobody smuggles a second request behind the first.

use axum::http::{StatusCode, Uri};

use super::problem::Problem;

/// Largest head of a request.
pub(super) const HEAD_BYTES_MAX: usize = 16 << 10;

/// Longest first line: every address that the routes know fits many times.
pub(super) const LINE_BYTES_MAX: usize = 8 << 10;

/// Most headers of a request.
const HEADERS_MAX: usize = 100;

/// Longest word for what is to be done.
const METHOD_BYTES_MAX: usize = 32;

/// Most digits of a length: more would not fit the number.
const LENGTH_DIGITS_MAX: usize = 18;

/// Headers that are said once or not at all: of two, somebody in between may have read the other one.
const ONCE: [&str; 8] = [
    "host",
    "content-length",
    "transfer-encoding",
    "authorization",
    "content-type",
    "origin",
    "idempotency-key",
    "last-event-id",
];

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// A part of a head.
    Begun,
    /// A whole one of so many bytes, and what follows it.
    Whole { n_bytes: usize, body: Body },
}

/// How long the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes; then another head may come.
    Bytes(u64),
    /// As long as its chunks say. Nothing comes after it.
    Chunks,
}

/// Reads the head that bytes begin with.
///
/// # Errors
/// When it is none, or too large: what to answer.
pub(super) fn read(bytes: &[u8]) -> Result<Head, Problem> {
    check_bytes(&bytes[..bytes.len().min(HEAD_BYTES_MAX)])?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
    let first = bytes.windows(2).position(|two| two == b"\r\n").unwrap_or(bytes.len());
    if LINE_BYTES_MAX < first {
        let detail = format!("the first line of the request has more than {LINE_BYTES_MAX} bytes");
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "request.uri_too_long", detail, "ask for less at once"));
    }
    match end {
        Some(n_bytes) if n_bytes <= HEAD_BYTES_MAX => {
            let text = std::str::from_utf8(&bytes[..n_bytes - 4]).map_err(|_bytes| malformed("it is not text"))?;
            Ok(Head::Whole { n_bytes, body: parse(text)? })
        }
        None if bytes.len() < HEAD_BYTES_MAX => Ok(Head::Begun),
        Some(_) | None => Err(too_large(&format!("more than {HEAD_BYTES_MAX} bytes"))),
    }
}

fn malformed(why: &str) -> Problem {
    let detail = format!("the head of the request cannot be used: {why}");
    Problem::new(StatusCode::BAD_REQUEST, "request.malformed", detail, "send HTTP/1.1 as RFC 9112 has it")
}

fn too_large(what: &str) -> Problem {
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Problem::new(status, "request.head_too_large", format!("the head of the request has {what}"), "send fewer headers")
}

/// Lines end with both bytes of a line's end, and hold nothing that is not seen.
fn check_bytes(bytes: &[u8]) -> Result<(), Problem> {
    let mut before = 0;
    for byte in bytes {
        match (before, *byte) {
            (b'\r', b'\n') => {}
            (b'\r', _) | (_, b'\n') => return Err(malformed("a line does not end with CR and LF")),
            (_, b'\r' | b'\t' | 0x20..=0x7e) => {}
            _ => return Err(malformed("it has bytes that are no visible ASCII")),
        }
        if before == b'\n' && *byte == b'\r' {
            // What comes after the head is no business of this.
            return Ok(());
        }
        before = *byte;
    }
    Ok(())
}

fn parse(text: &str) -> Result<Body, Problem> {
    let mut lines = text.split("\r\n");
    let version = request_line(lines.next().unwrap_or_default())?;
    let (mut seen, mut n_headers, mut length, mut is_chunked) = ([0_u8; ONCE.len()], 0, 0, false);
    for line in lines {
        n_headers += 1;
        if HEADERS_MAX < n_headers {
            return Err(too_large(&format!("more than {HEADERS_MAX} headers")));
        }
        if line.starts_with([' ', '\t']) {
            return Err(malformed("a header goes on in a second line"));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed("a header has no colon"))?;
        if !is_token(name) {
            return Err(malformed("a header has a name that is none"));
        }
        let Some(place) = ONCE.iter().position(|once| once.eq_ignore_ascii_case(name)) else { continue };
        seen[place] += 1;
        if 1 < seen[place] {
            return Err(malformed(&format!("`{}` is said twice", ONCE[place])));
        }
        match (ONCE[place], value.trim_matches([' ', '\t'])) {
            ("content-length", digits) => length = content_length(digits)?,
            ("transfer-encoding", coding) if coding.eq_ignore_ascii_case("chunked") => is_chunked = true,
            ("transfer-encoding", _) => return Err(malformed("`transfer-encoding` is `chunked` or absent")),
            _ => {}
        }
    }
    let is_said = |name: &str| ONCE.iter().zip(seen).any(|(once, n)| *once == name && 0 < n);
    if !is_said("host") {
        return Err(malformed("`host` is absent"));
    }
    if is_chunked && (is_said("content-length") || version == "HTTP/1.0") {
        return Err(malformed("`transfer-encoding` stands beside `content-length`, or in HTTP/1.0"));
    }
    Ok(if is_chunked { Body::Chunks } else { Body::Bytes(length) })
}

fn content_length(digits: &str) -> Result<u64, Problem> {
    let is_number = digits.len() <= LENGTH_DIGITS_MAX && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_number { digits.parse().ok() } else { None };
    number.ok_or_else(|| malformed("`content-length` is no number"))
}

/// Checks the first line; gives its version.
fn request_line(line: &str) -> Result<&str, Problem> {
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(malformed("its first line is not a method, an address and a version"));
    };
    if !is_token(method) || METHOD_BYTES_MAX < method.len() {
        return Err(malformed("its first word is no method"));
    }
    if !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        return Err(malformed("its version is neither HTTP/1.1 nor HTTP/1.0"));
    }
    if target.contains(['\t', '#']) || target.parse::<Uri>().is_err() {
        return Err(malformed("its address is none"));
    }
    Ok(version)
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        match read(text.as_bytes()) {
            Ok(head) => format!("{head:?}"),
            Err(problem) => problem.line(),
        }
    }

    #[test]
    fn a_head_is_read_in_one_way_or_not_at_all() {
        let get = |rest: &str| told(&format!("GET / HTTP/1.1\r\n{rest}\r\n\r\n"));
        assert_eq!(get("host: x"), "Whole { n_bytes: 27, body: Bytes(0) }");
        assert_eq!(get("host: x\r\nContent-Length: 12"), "Whole { n_bytes: 47, body: Bytes(12) }");
        assert_eq!(get("host: x\r\ntransfer-encoding: Chunked"), "Whole { n_bytes: 55, body: Chunks }");
        assert_eq!(told("GET / HTTP/1.1\r\nhost: x\r\n"), "Begun");
        assert_eq!(told(""), "Begun");
        let refused = [
            "",
            "host: x\r\nhost: x",
            "host: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked",
            "host: x\r\ntransfer-encoding: chunked\r\ncontent-length: 1",
            "host: x\r\ntransfer-encoding: gzip, chunked",
            "host: x\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked",
            "host: x\r\ncontent-length: 1\r\ncontent-length: 1",
            "host: x\r\ncontent-length: +1",
            "host: x\r\ncontent-length: 1, 1",
            "host: x\r\ncontent-length: 9999999999999999999",
            "host: x\r\n folded: y",
            "host: x\r\na : b",
            "host: x\r\n: b",
            "host: x\r\nab",
            "host: x\r\na: b\nc: d",
            "host: x\r\na: b\rc: d",
            "host: x\r\na: b\0c",
            "host: x\r\na: \u{fc}",
            "host: x\r\nauthorization: a\r\nAuthorization: b",
        ];
        for rest in refused {
            assert!(get(rest).starts_with("400 request.malformed"), "{rest:?}: {}", get(rest));
        }
        for line in [
            "GET /",
            "GET  / HTTP/1.1",
            "GET / x HTTP/1.1",
            "GET / HTTP/2.0",
            "GET / HTTP/1.2",
            "G\u{22}T / HTTP/1.1",
            "GET /#x HTTP/1.1",
            "GET http:// HTTP/1.1",
            " GET / HTTP/1.1",
            "PRI * HTTP/2.0",
        ] {
            let told = told(&format!("{line}\r\nhost: x\r\n\r\n"));
            assert!(told.starts_with("400 request.malformed"), "{line:?}: {told}");
        }
        // What is no HTTP at all is not waited for.
        assert!(told("\u{16}\u{3}\u{1}").starts_with("400"));
        assert!(told("GET / HTTP/1.1\nhost: x\n\n").starts_with("400"));
    }

    #[test]
    fn a_head_has_bounds() {
        assert!(told(&"x".repeat(LINE_BYTES_MAX)).starts_with("Begun"));
        assert!(told(&"x".repeat(LINE_BYTES_MAX + 1)).starts_with("414"));
        let long = format!("GET / HTTP/1.1\r\nhost: x\r\na: {}", "x".repeat(HEAD_BYTES_MAX));
        assert!(told(&long).starts_with("431"));
        let many = "a: b\r\n".repeat(HEADERS_MAX);
        assert!(told(&format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n")).starts_with("431"));
    }

    /// The body is not looked at.
    #[test]
    fn what_follows_may_be_anything() {
        let told = told("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n\0\n\u{fc}");
        assert_eq!(told, "Whole { n_bytes: 47, body: Bytes(3) }");
    }
}
