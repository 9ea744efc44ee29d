//! From Rust's names to WIT's.

use proc_macro::Ident;

use crate::tokens::Error;

/// `check_errors` and `CheckErrors` both become `check-errors`; `r#type` becomes `type`.
pub(crate) fn kebab(ident: &Ident) -> Result<String, Error> {
    let text = ident.to_string();
    let text = text.strip_prefix("r#").unwrap_or(&text);
    let name = kebab_text(text);
    let words_start_with_letters =
        name.split('-').all(|word| word.starts_with(|c: char| c.is_ascii_lowercase()) && word.is_ascii());
    if words_start_with_letters {
        return Ok(name);
    }
    Err(Error::new(
        ident.span(),
        format!(
            "`{text}` has no name in WIT, where words are ASCII and start with a letter; \
             write for example `status2xx` instead of `status_2xx`"
        ),
    ))
}

/// Refuses two names that are one in WIT.
pub(crate) fn check_distinct<'a>(names: impl Iterator<Item = (&'a Ident, &'a String)>) -> Result<(), Error> {
    let mut known: Vec<&String> = Vec::new();
    for (ident, name) in names {
        if known.contains(&name) {
            return Err(Error::new(
                ident.span(),
                format!("`{name}` is there twice: two names here are the same in WIT"),
            ));
        }
        known.push(name);
    }
    Ok(())
}

/// The name of the plugin's world, from the name of its package, in which anything may stand.
pub(crate) fn world(package: &str) -> String {
    let words: Vec<String> = package
        .split(|c: char| !c.is_ascii_alphanumeric())
        .map(|word| word.trim_start_matches(|c: char| c.is_ascii_digit()).to_ascii_lowercase())
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() { "plugin".to_owned() } else { words.join("-") }
}

fn kebab_text(text: &str) -> String {
    let mut name = String::new();
    let mut after_lower = false;
    let mut chars = text.trim_matches('_').chars().peekable();
    while let Some(c) = chars.next() {
        if c == '_' {
            if !name.ends_with('-') {
                name.push('-');
            }
            after_lower = false;
            continue;
        }
        // A word starts at a capital after a small letter, and at the last capital of `HTTPStatus`.
        let starts_word = c.is_ascii_uppercase()
            && (after_lower || chars.peek().is_some_and(char::is_ascii_lowercase))
            && !name.is_empty()
            && !name.ends_with('-');
        if starts_word {
            name.push('-');
        }
        after_lower = !c.is_ascii_uppercase();
        name.push(c.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::{kebab_text, world};

    #[test]
    fn names_become_kebab_case() {
        for (rust, wit) in [
            ("check_errors", "check-errors"),
            ("CheckErrors", "check-errors"),
            ("HTTPStatus", "http-status"),
            ("p50", "p50"),
            ("status2xx", "status2xx"),
            ("A", "a"),
            ("_unused", "unused"),
        ] {
            assert_eq!(kebab_text(rust), wit, "{rust}");
        }
    }

    #[test]
    fn any_package_name_gives_a_world() {
        assert_eq!(world("my_jobs-2"), "my-jobs");
        assert_eq!(world("42"), "plugin");
    }
}
