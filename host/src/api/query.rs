//! The parameters after the `?` of a request. One that a route does not know is refused: a filter with a misspelled name
//! would answer everything.

use std::{fmt::Display, str::FromStr};

use axum::{
    extract::{FromRequestParts, Query as Parameters},
    http::{StatusCode, request::Parts},
};
use chrono::{DateTime, Utc};

use super::{instant, problem::Problem};

/// Most parameters of one request.
const PARAMETERS_MAX: usize = 64;

/// How much of a word that is not understood is told back.
const CHARS_MAX: usize = 64;

/// Most items of one page, and how many there are where nobody says it.
pub(super) const ITEMS_MAX: usize = 1_000;
pub(super) const ITEMS: usize = 100;

/// The parameters of a request. Whoever has taken all that it knows calls [`Query::done`].
pub(super) struct Query {
    left: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let read = Parameters::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Parameters(left) =
            read.map_err(|rejection| invalid(&rejection.body_text(), "percent-encode what is no letter or digit"))?;
        if PARAMETERS_MAX < left.len() {
            let detail = format!("the request has {} parameters", left.len());
            return Err(invalid(&detail, &format!("send at most {PARAMETERS_MAX} of them")));
        }
        Ok(Self { left, known: Vec::new() })
    }
}

fn invalid(detail: &str, fix: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "query.invalid", detail, fix)
}

impl Query {
    /// Every value of a parameter that may be repeated.
    pub(super) fn many(&mut self, name: &'static str) -> Vec<String> {
        self.known.push(name);
        self.left.extract_if(.., |(key, _)| key == name).map(|(_, value)| value).collect()
    }

    /// The value of a parameter that may stand once.
    pub(super) fn one(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        let mut values = self.many(name);
        if 1 < values.len() {
            let detail = format!("`{name}` stands {} times", values.len());
            return Err(invalid(&detail, "say it once"));
        }
        Ok(values.pop())
    }

    /// Every value of a parameter that may be repeated so many times, each with at most so many characters.
    pub(super) fn texts(&mut self, name: &'static str, n_max: usize, chars_max: usize) -> Result<Vec<String>, Problem> {
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
    pub(super) fn text(&mut self, name: &'static str, chars_max: usize) -> Result<Option<String>, Problem> {
        Ok(self.texts(name, 1, chars_max)?.pop())
    }

    /// The same as what it stands for.
    pub(super) fn read<T: FromStr<Err: Display>>(
        &mut self,
        name: &'static str,
        form: &str,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|error| invalid(&format!("`{name}`: {error}"), form))
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.map(Some).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            invalid(&format!("`{name}` is not what `{}` says", shown(&text)), &format!("write {}", words.join(", ")))
        })
    }

    /// An instant.
    pub(super) fn instant(&mut self, name: &'static str) -> Result<Option<DateTime<Utc>>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let read = instant::read(&text).map(Some);
        read.map_err(|error| {
            let fix = format!("{}; a `+` is written `%2B` here", instant::FORM);
            invalid(&format!("`{name}` is no instant: {error}"), &fix)
        })
    }

    /// How many items are asked for.
    pub(super) fn limit(&mut self) -> Result<usize, Problem> {
        self.count("limit", ITEMS, ITEMS_MAX)
    }

    /// How many of something are asked for.
    pub(super) fn count(&mut self, name: &'static str, default: usize, max: usize) -> Result<usize, Problem> {
        let fix = format!("write a whole number from 1 to {max}");
        let n = self.read(name, &fix)?.unwrap_or(default);
        if (1..=max).contains(&n) { Ok(n) } else { Err(invalid(&format!("`{name}` is {n}"), &fix)) }
    }

    /// That nothing is left that the route does not know.
    pub(super) fn done(self) -> Result<(), Problem> {
        let Some((name, _)) = self.left.first() else { return Ok(()) };
        let known: Vec<_> = self.known.iter().map(|name| format!("`{name}`")).collect();
        let fix = if known.is_empty() { "it knows none".to_owned() } else { format!("it knows {}", known.join(", ")) };
        Err(invalid(&format!("this route knows no parameter `{}`", shown(name)), &fix))
    }
}

/// The beginning of what somebody wrote, for a message.
fn shown(text: &str) -> String {
    text.chars().take(CHARS_MAX).collect()
}
