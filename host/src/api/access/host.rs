//! Whether a request is meant for this host: a page that a browser was led to under another name is not (DNS rebinding).

use std::net::IpAddr;

use axum::http::{HeaderMap, StatusCode, Uri, header};

use super::super::problem::Problem;

/// Names that always mean this machine.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Checks the name that is asked for. `own` is the address that the connection came to; a socket has none, and who reaches
/// it may call it anything.
///
/// # Errors
/// When it is somebody else's name, or none.
pub(super) fn check(uri: &Uri, headers: &HeaderMap, own: Option<IpAddr>, names: &[String]) -> Result<(), Problem> {
    let mut said = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (said.next().and_then(|host| host.to_str().ok()), said.next()) else {
        return Err(unreadable());
    };
    let name = name_of(host).ok_or_else(unreadable)?;
    if let Some(authority) = uri.authority() {
        let agrees = name_of(authority.as_str()).is_some_and(|target| target == name);
        if !agrees {
            return Err(foreign("the address of the request names another host than its header `host`"));
        }
    }
    let Some(own) = own else { return Ok(()) };
    let is_own = |name: &str| {
        let plain = name.trim_start_matches('[').trim_end_matches(']');
        OWN_NAMES.contains(&name)
            || plain.parse::<IpAddr>().is_ok_and(|address| address.to_canonical() == own.to_canonical())
    };
    if is_own(&name) || names.contains(&name) {
        return Ok(());
    }
    Err(foreign("the header `host` names another host"))
}

/// The name without its port, in lower case.
pub(super) fn name_of(authority: &str) -> Option<String> {
    let (name, port) = match authority.strip_prefix('[').and_then(|rest| rest.find(']')) {
        Some(end) => authority.split_at(end + 2),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let has_port = match port.strip_prefix(':') {
        Some(port) => port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    (has_port && !name.is_empty() && name.bytes().all(is_plain)).then(|| name.to_ascii_lowercase())
}

fn unreadable() -> Problem {
    let fix = "send one header `host` with the name of the host, such as `localhost`";
    Problem::new(StatusCode::BAD_REQUEST, "request.host", "the request does not say which host it is for", fix)
}

fn foreign(detail: &str) -> Problem {
    let fix = "ask for `localhost`, or let whoever runs the host write the name under `api: { hosts: [...] }`";
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "access.host", detail, fix)
        .and(header::CONNECTION, axum::http::HeaderValue::from_static("close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(target: &str, hosts: &[&str]) -> u16 {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, host.parse().unwrap());
        }
        let own = Some("192.0.2.7".parse().unwrap());
        let checked = check(&target.parse().unwrap(), &headers, own, &["jobs.acme.dev".to_owned()]);
        checked.err().map_or(200, |problem| problem.line()[..3].parse().unwrap())
    }

    #[test]
    fn only_own_names_are_answered() {
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1:7878", "[::1]", "[::1]:80", "192.0.2.7:80", "jobs.acme.dev"]
        {
            assert_eq!(told("/", &[host]), 200, "{host}");
        }
        for host in ["evil.dev", "localhost.evil.dev", "localhost.", "192.0.2.8", "127.0.0.2", "[::2]", "acme.dev", "0"]
        {
            assert_eq!(told("/", &[host]), 421, "{host}");
        }
        for host in ["", "user@localhost", "localhost:http", "localhost/", "local host", "[::1", "localhost:123456"] {
            assert_eq!(told("/", &[host]), 400, "{host:?}");
        }
        assert_eq!(told("/", &[]), 400);
        assert_eq!(told("/", &["localhost", "localhost"]), 400);
        assert_eq!(told("http://localhost/x", &["localhost:7878"]), 200);
        assert_eq!(told("http://evil.dev/x", &["localhost"]), 421);
        assert_eq!(told("http://localhost/x", &["evil.dev"]), 421);
        assert_eq!(told("http://evil.dev/x", &["evil.dev"]), 421);
    }
}
