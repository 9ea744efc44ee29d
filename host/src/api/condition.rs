//! `If-Match` and `If-None-Match` as in RFC 9110, section 13.1: what a request wants of the tag of what it is about.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{operations, problem::Problem};
use crate::hot::{Tag, Tags, When};

/// What the headers of a request want.
pub(super) fn read(headers: &HeaderMap) -> Result<When, Problem> {
    Ok(When { matches: tags(headers, &header::IF_MATCH)?, matches_none: tags(headers, &header::IF_NONE_MATCH)? })
}

/// Refuses `If-Match` where nothing has a tag: it holds for nothing there, so nothing may be done.
pub(super) async fn refuse_untagged(request: Request, next: Next) -> Response {
    let has_tag = operations::of(&request).is_some_and(|operation| operation.has_tag);
    if has_tag || !request.headers().contains_key(header::IF_MATCH) {
        return next.run(request).await;
    }
    let detail = "`If-Match` cannot hold: what this route is about has no tag";
    let fix = "leave `If-Match` out; `GET /jobs/{job}/definition` has a tag, by which PUT, PATCH and DELETE of jobs go";
    Problem::new(StatusCode::PRECONDITION_FAILED, "condition.no_tag", detail, fix).into_response()
}

/// The tags of a header. Several lines of it are one list.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, Problem> {
    let lines: Result<Vec<_>, _> = headers.get_all(name).iter().map(|value| value.to_str()).collect();
    let lines = lines.map_err(|_not_text| unreadable(name))?;
    if lines.is_empty() {
        return Ok(None);
    }
    let text = lines.join(",");
    if text.trim_matches(is_blank) == "*" {
        return Ok(Some(Tags::Any));
    }
    listed(&text).filter(|tags| !tags.is_empty()).map(|tags| Some(Tags::These(tags))).ok_or_else(|| unreadable(name))
}

/// The tags of a list; none where something in it is no tag. A tag may hold commas.
fn listed(mut text: &str) -> Option<Vec<Tag>> {
    let mut tags = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        if text.is_empty() {
            return Some(tags);
        }
        let (tag, rest) = first(text)?;
        tags.push(tag);
        text = rest;
    }
}

/// The tag that a text begins with, and what follows it, with its comma.
fn first(text: &str) -> Option<(Tag, &str)> {
    let strong = text.strip_prefix("W/").unwrap_or(text);
    let n_bytes = strong.strip_prefix('"')?.find('"')? + 2;
    let (tag, rest) = strong.split_at(n_bytes);
    let is_plain = tag.bytes().all(|byte| (b'!'..=b'~').contains(&byte));
    let rest = rest.trim_start_matches(is_blank);
    let tag = Tag { is_weak: strong.len() < text.len(), text: tag.to_owned() };
    (is_plain && (rest.is_empty() || rest.starts_with(','))).then_some((tag, rest))
}

fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t')
}

fn unreadable(name: &HeaderName) -> Problem {
    let detail = format!("the header `{name}` cannot be used");
    let fix = "send the tag of the header `ETag`, quotes included, several of them with commas between, or `*`";
    Problem::new(StatusCode::BAD_REQUEST, "request.invalid", detail, fix)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// What becomes of a job with the tag `"7"`, and of one that is not there.
    fn told(lines: &[(HeaderName, &'static str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_static(value));
        }
        let when = match read(&headers) {
            Ok(when) => when,
            Err(problem) => return problem.line().chars().take(19).collect(),
        };
        let job = "job".parse().unwrap();
        let [there, absent] = [Some("\"7\""), None].map(|etag| when.check(&job, etag).is_ok());
        format!("{there} {absent}")
    }

    #[test]
    fn conditions_hold_as_their_standard_says() {
        let (is, is_not) = (header::IF_MATCH, header::IF_NONE_MATCH);
        for (lines, expected) in [
            (vec![], "true true"),
            (vec![(&is, "\"7\"")], "true false"),
            (vec![(&is, "\"6\"")], "false false"),
            (vec![(&is, "*")], "true false"),
            (vec![(&is, "\"6\" ,, \"7\",")], "true false"),
            (vec![(&is, "\"6\""), (&is, "\"7\"")], "true false"),
            (vec![(&is, "\"6,\"7\"")], "400 request.invalid"),
            (vec![(&is, "\"6,7\"")], "false false"),
            (vec![(&is, "W/\"7\"")], "false false"),
            (vec![(&is, "W/\"7\", \"7\"")], "true false"),
            (vec![(&is_not, "\"7\"")], "false true"),
            (vec![(&is_not, "W/\"7\"")], "false true"),
            (vec![(&is_not, "\"6\"")], "true true"),
            (vec![(&is_not, "*")], "false true"),
            (vec![(&is, "*"), (&is_not, "*")], "false false"),
            (vec![(&is, "\"7\""), (&is_not, "\"6\"")], "true false"),
        ] {
            let lines: Vec<_> = lines.into_iter().map(|(name, value)| (name.clone(), value)).collect();
            assert_eq!(told(&lines), expected, "{lines:?}");
        }
        for wrong in ["7", "", ",", "\"7", "7\"", "w/\"7\"", "\"7\" \"8\"", "\"7\"8", "*, \"7\"", "\" 7\""] {
            assert_eq!(told(&[(is.clone(), wrong)]), "400 request.invalid", "{wrong}");
            assert_eq!(told(&[(is_not.clone(), wrong)]), "400 request.invalid", "{wrong}");
        }
    }
}
