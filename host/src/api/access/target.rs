//! Whether what is asked for can be an address of a route at all.

use axum::http::{StatusCode, Uri};

use super::super::problem::Problem;

/// Names under which people put a token into an address, from where it gets into logs and histories.
const TOKEN_NAMES: [&str; 8] =
    ["token", "access_token", "api_key", "apikey", "auth", "authorization", "bearer", "password"];

/// Checks an address.
///
/// # Errors
/// When no route has such a one, or when it holds a token.
pub(super) fn check(uri: &Uri) -> Result<(), Problem> {
    let query = uri.query().unwrap_or_default();
    for (name, value) in query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))) {
        if TOKEN_NAMES.iter().any(|token| token.eq_ignore_ascii_case(name)) || value.contains(super::tokens::PREFIX) {
            let fix =
                "send it as `Authorization: Bearer TOKEN`, and revoke this one: addresses are logged on their way";
            let detail = "a token does not belong into an address";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "access.token_in_query", detail, fix));
        }
    }
    let is_readable = uri.path().starts_with('/') && decoded(uri.path()).is_some();
    let is_text = decoded(query).is_some_and(|bytes| std::str::from_utf8(&bytes).is_ok());
    if is_readable && is_text {
        return Ok(());
    }
    let fix = "write what is not plain as the bytes of its UTF-8, percent-encoded";
    Err(Problem::new(StatusCode::BAD_REQUEST, "request.invalid", "the address of the request cannot be used", fix))
}

/// The bytes that an encoded text stands for; none where it is not encoded as it should be, or holds a zero.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        };
        decoded.push(byte);
    }
    (!decoded.contains(&0)).then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_or_is_refused() {
        let told = |target: &str| {
            let checked = check(&target.parse().unwrap());
            checked.err().map_or_else(String::new, |problem| problem.line().split(':').next().unwrap().to_owned())
        };
        assert_eq!(told("/api/v1/jobs?label=a%3Db&x"), "");
        assert_eq!(told("/a%20b/%FF"), "", "whether it names something is for the route to say");
        for target in ["/a%", "/a%2", "/a%zz", "/a%00", "/?q=%00", "/?q=%FF", "*", "a:1"] {
            assert_eq!(told(target), "400 request.invalid", "{target}");
        }
        for target in ["/?token=x", "/?a=b&Access_Token=x", "/?x=cj_abc", "/?api_key"] {
            assert_eq!(told(target), "400 access.token_in_query", "{target}");
        }
    }
}
