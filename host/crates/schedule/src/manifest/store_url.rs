//! Where a store is, as the manifest and the command line write it: `memory:` or `sqlite:PATH`.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::grants::join;

/// What to write.
const FORMS: &str = "write `sqlite:PATH` for a file, or `memory:` for a store that is lost when the host stops";

/// Kinds of store that a later version will know.
const LATER: [&str; 7] = ["postgres", "postgresql", "mysql", "mariadb", "redis", "mongodb", "nats"];

/// Where a store is.
///
/// ```
/// use clockjack_schedule::manifest::store_url::StoreUrl;
///
/// assert_eq!("memory:".parse(), Ok(StoreUrl::Memory));
/// assert_eq!("sqlite:state.db".parse(), Ok(StoreUrl::Sqlite("state.db".into())));
/// assert_eq!("sqlite:///var/lib/state.db".parse(), Ok(StoreUrl::Sqlite("/var/lib/state.db".into())));
/// assert!("state.db".parse::<StoreUrl>().unwrap_err().to_string().contains("`sqlite:state.db`"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// In the host's own memory; lost when it stops.
    Memory,
    /// An SQLite file.
    Sqlite(PathBuf),
}

/// Why a text does not say where a store is, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {fix}")]
pub struct StoreUrlError {
    /// What is wrong. Never quotes what may hold a password.
    pub problem: String,
    /// What to write.
    pub fix: String,
}

impl StoreUrl {
    /// The same with a relative path joined to a folder.
    #[must_use]
    pub fn in_folder(self, folder: &Path) -> Self {
        match self {
            Self::Memory => Self::Memory,
            Self::Sqlite(path) => Self::Sqlite(join(folder, &path)),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, StoreUrlError> {
        let refuse = |problem: String, fix: &str| Err(StoreUrlError { problem, fix: fix.to_owned() });
        if text.chars().any(char::is_control) {
            return refuse("the place of a store may not hold control characters".to_owned(), "remove them");
        }
        if text.trim().is_empty() {
            return refuse("the place of a store is empty".to_owned(), FORMS);
        }
        if text == "memory:" {
            return Ok(Self::Memory);
        }
        if matches!(text.to_ascii_lowercase().as_str(), "memory" | "memory://" | ":memory:" | "sqlite::memory:") {
            return refuse(format!("`{text}` is not how a store in memory is written"), "write `memory:`");
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            return sqlite_path(path.strip_prefix("//").unwrap_or(path)).map(Self::Sqlite);
        }
        let Some((scheme, _)) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
            return refuse(format!("`{text}` does not say what kind of store it is"), &bare_path_fix(text));
        };
        let lower = scheme.to_ascii_lowercase();
        if LATER.contains(&lower.as_str()) {
            return refuse(format!("stores in `{lower}:` are not supported by this version yet"), FORMS);
        }
        refuse(format!("`{scheme}:` is not a kind of store"), FORMS)
    }
}

fn is_scheme(text: &str) -> bool {
    // One letter is a drive, not a scheme.
    1 < text.len() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn bare_path_fix(text: &str) -> String {
    // What holds an `@` may hold a password.
    if text.contains(['@', '`']) { FORMS.to_owned() } else { format!("write `sqlite:{text}` for a file, or `memory:`") }
}

fn sqlite_path(path: &str) -> Result<PathBuf, StoreUrlError> {
    let refuse = |problem: &str, fix: String| Err(StoreUrlError { problem: problem.to_owned(), fix });
    if path.is_empty() {
        return refuse("`sqlite:` names no file", "write `sqlite:state.db`".to_owned());
    }
    if path == ":memory:" {
        return refuse("a store in memory is not an SQLite file", "write `memory:`".to_owned());
    }
    if let Some((file, _)) = path.split_once('?') {
        return refuse("settings after `?` are not read", format!("write `sqlite:{file}` alone"));
    }
    if path == "~" || path.starts_with("~/") {
        return refuse("`~` is not filled in here, only a shell does that", "write `${HOME}` in its place".to_owned());
    }
    if path.ends_with('/') || Path::new(path).file_name().is_none() {
        let folder = path.trim_end_matches('/');
        return refuse(
            &format!("`sqlite:{path}` is a folder, not a file"),
            format!("write `sqlite:{folder}/state.db`"),
        );
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_stores_are_read_or_answered() {
        let texts = [
            "memory:",
            "sqlite:state.db",
            "sqlite:./a/../state.db",
            "sqlite:/var/lib/state.db",
            "sqlite:///var/lib/state.db",
            "sqlite://state.db",
            "",
            "memory",
            "sqlite::memory:",
            "sqlite://:memory:",
            "sqlite:",
            "sqlite://",
            "sqlite:data/",
            "sqlite:..",
            "sqlite:~/state.db",
            "sqlite:state.db?mode=rwc",
            "state.db",
            "C:\\state.db",
            "postgres://me:secret@host/db",
            "me:secret@host",
            "file:state.db",
            "SQLite:state.db",
        ];
        let told = texts.map(|text| match text.parse::<StoreUrl>() {
            Ok(url) => format!("{text} -> {url}"),
            Err(error) => format!("{text} !! {error}"),
        });
        expect_test::expect![[r#"
            memory: -> memory:
            sqlite:state.db -> sqlite:state.db
            sqlite:./a/../state.db -> sqlite:./a/../state.db
            sqlite:/var/lib/state.db -> sqlite:/var/lib/state.db
            sqlite:///var/lib/state.db -> sqlite:/var/lib/state.db
            sqlite://state.db -> sqlite:state.db
             !! the place of a store is empty; write `sqlite:PATH` for a file, or `memory:` for a store that is lost when the host stops
            memory !! `memory` is not how a store in memory is written; write `memory:`
            sqlite::memory: !! `sqlite::memory:` is not how a store in memory is written; write `memory:`
            sqlite://:memory: !! a store in memory is not an SQLite file; write `memory:`
            sqlite: !! `sqlite:` names no file; write `sqlite:state.db`
            sqlite:// !! `sqlite:` names no file; write `sqlite:state.db`
            sqlite:data/ !! `sqlite:data/` is a folder, not a file; write `sqlite:data/state.db`
            sqlite:.. !! `sqlite:..` is a folder, not a file; write `sqlite:../state.db`
            sqlite:~/state.db !! `~` is not filled in here, only a shell does that; write `${HOME}` in its place
            sqlite:state.db?mode=rwc !! settings after `?` are not read; write `sqlite:state.db` alone
            state.db !! `state.db` does not say what kind of store it is; write `sqlite:state.db` for a file, or `memory:`
            C:\state.db !! `C:\state.db` does not say what kind of store it is; write `sqlite:C:\state.db` for a file, or `memory:`
            postgres://me:secret@host/db !! stores in `postgres:` are not supported by this version yet; write `sqlite:PATH` for a file, or `memory:` for a store that is lost when the host stops
            me:secret@host !! `me:` is not a kind of store; write `sqlite:PATH` for a file, or `memory:` for a store that is lost when the host stops
            file:state.db !! `file:` is not a kind of store; write `sqlite:PATH` for a file, or `memory:` for a store that is lost when the host stops
            SQLite:state.db !! `SQLite:` is not a kind of store; write `sqlite:PATH` for a file, or `memory:` for a store that is lost when the host stops"#]].assert_eq(&told.join("\n"));
        assert_eq!(StoreUrl::Sqlite("./a.db".into()).in_folder(Path::new("x")), StoreUrl::Sqlite("x/a.db".into()));
        assert_eq!(StoreUrl::Sqlite("/a.db".into()).in_folder(Path::new("x")), StoreUrl::Sqlite("/a.db".into()));
    }
}
