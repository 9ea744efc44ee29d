//! The parameters after the `?` of a request. One that a route does not know is refused before anything is done: a filter
//! with a misspelled name would answer everything, and a misspelled `dry_run` would carry the thing out.

use std::{fmt::Display, str::FromStr};

use axum::{
    extract::{FromRequestParts, Query as Parameters, Request},
    http::{StatusCode, Uri, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};

use super::{
    instant,
    operations::{self, Known},
    problem::Problem,
};

/// Most parameters of one request.
const PARAMETERS_MAX: usize = 64;

/// How much of a word that is not understood is told back.
const CHARS_MAX: usize = 64;

/// Most items of one page, and how many there are where nobody says it.
pub(super) const ITEMS_MAX: usize = 1_000;
pub(super) const ITEMS: usize = 100;

/// Refuses a request with a parameter that its route does not know, or that stands twice. It goes by the description, so no
/// route can forget it; one that is not described knows none.
pub(super) async fn refuse_unknown(request: Request, next: Next) -> Response {
    let known = operations::of(&request).map(|operation| operation.parameters.as_slice()).unwrap_or_default();
    match Query::of(request.uri()).and_then(|query| query.check(known)) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// The parameters of a request.
pub(super) struct Query {
    left: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Self::of(&parts.uri)
    }
}

/// `?dry_run=true`: only say what would happen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dry(pub(super) bool);

impl<S: Send + Sync> FromRequestParts<S> for Dry {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Ok(Self(Query::of(&parts.uri)?.flag("dry_run")?.unwrap_or_default()))
    }
}

pub(super) fn invalid(detail: &str, fix: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "query.invalid", detail, fix)
}

impl Query {
    fn of(uri: &Uri) -> Result<Self, Problem> {
        let read = Parameters::<Vec<(String, String)>>::try_from_uri(uri);
        let Parameters(left) =
            read.map_err(|rejection| invalid(&rejection.body_text(), "percent-encode what is no letter or digit"))?;
        if PARAMETERS_MAX < left.len() {
            let detail = format!("the request has {} parameters", left.len());
            return Err(invalid(&detail, &format!("send at most {PARAMETERS_MAX} of them")));
        }
        Ok(Self { left })
    }

    /// That there is nothing that the route does not know, and nothing twice that may stand once.
    fn check(&self, known: &[Known]) -> Result<(), Problem> {
        for (name, _) in &self.left {
            let Some(parameter) = known.iter().find(|known| known.name == *name) else {
                let known: Vec<_> = known.iter().map(|known| format!("`{}`", known.name)).collect();
                let fix = if known.is_empty() {
                    "it knows none".to_owned()
                } else {
                    format!("it knows {}", known.join(", "))
                };
                return Err(invalid(&format!("this route knows no parameter `{}`", shown(name)), &fix));
            };
            let n_times = self.left.iter().filter(|(other, _)| other == name).count();
            if !parameter.may_be_repeated && 1 < n_times {
                return Err(invalid(&format!("`{name}` stands {n_times} times"), "say it once"));
            }
        }
        Ok(())
    }

    /// Every value of a parameter that may be repeated.
    pub(super) fn many(&mut self, name: &str) -> Vec<String> {
        self.left.extract_if(.., |(key, _)| key == name).map(|(_, value)| value).collect()
    }

    /// The value of a parameter that stands once.
    pub(super) fn one(&mut self, name: &str) -> Option<String> {
        self.many(name).pop()
    }

    /// Every value of a parameter that may be repeated so many times, each with at most so many characters.
    pub(super) fn texts(&mut self, name: &str, n_max: usize, chars_max: usize) -> Result<Vec<String>, Problem> {
        let values = self.many(name);
        if n_max < values.len() {
            let detail = format!("`{name}` stands {} times", values.len());
            return Err(invalid(&detail, &format!("say it at most {n_max} times")));
        }
        match values.iter().find(|value| chars_max < value.chars().count()) {
            Some(_) => Err(invalid(&format!("`{name}` is too long"), &format!("write at most {chars_max} characters"))),
            None => Ok(values),
        }
    }

    /// The value of a parameter that may stand once, with at most so many characters.
    pub(super) fn text(&mut self, name: &str, chars_max: usize) -> Result<Option<String>, Problem> {
        Ok(self.texts(name, 1, chars_max)?.pop())
    }

    /// The same as what it stands for.
    pub(super) fn read<T: FromStr<Err: Display>>(&mut self, name: &str, form: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.one(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|error| invalid(&format!("`{name}`: {error}"), form))
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let Some(text) = self.one(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.map(Some).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            invalid(&format!("`{name}` is `{}`", shown(&text)), &format!("write {}", words.join(", ")))
        })
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Problem> {
        self.word(name, &[("true", true), ("false", false)])
    }

    /// An instant.
    pub(super) fn instant(&mut self, name: &str) -> Result<Option<DateTime<Utc>>, Problem> {
        let Some(text) = self.one(name) else { return Ok(None) };
        instant::read(&text).map(Some).map_err(|error| {
            let fix = format!("{}; a `+` is written `%2B` here", instant::FORM);
            invalid(&format!("`{name}` is no instant: {error}"), &fix)
        })
    }

    /// How many items are asked for.
    pub(super) fn limit(&mut self) -> Result<usize, Problem> {
        self.count("limit", ITEMS, ITEMS_MAX)
    }

    /// How many of something are asked for.
    pub(super) fn count(&mut self, name: &str, default: usize, max: usize) -> Result<usize, Problem> {
        let n_max = u64::try_from(max).unwrap_or(u64::MAX);
        Ok(self.number(name, 1, n_max)?.and_then(|n| usize::try_from(n).ok()).unwrap_or(default))
    }

    /// A whole number with its bounds.
    pub(super) fn number(&mut self, name: &str, min: u64, max: u64) -> Result<Option<u64>, Problem> {
        let Some(text) = self.one(name) else { return Ok(None) };
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| is_plain && (min..=max).contains(number));
        let fix = || format!("write a whole number from {min} to {max}");
        number.map(Some).ok_or_else(|| invalid(&format!("`{name}` is `{}`", shown(&text)), &fix()))
    }
}

/// The beginning of what somebody wrote, for a message.
fn shown(text: &str) -> String {
    text.chars().take(CHARS_MAX).collect()
}
