//! What a registry is told of who asks: the user and password that a login has written into Docker's `config.json`.
//!
//! Programs that keep passwords elsewhere (`credsStore`, `credHelpers`) are not started: whatever is in that file would say
//! which program the host runs.

use std::{
    fmt,
    fs::File,
    io::{ErrorKind, Read as _},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use oci_client::secrets::RegistryAuth;
use serde_json::Value as Json;

/// Largest `config.json` that is read: a few thousand registries.
const BYTES_MAX: u64 = 1 << 20;

/// The names that Docker's own registry has in that file and elsewhere.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// Who asks.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) auth: RegistryAuth,
    /// What to say of them where the registry does not let anybody in.
    pub(super) note: String,
}

/// Without the password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("auth", &self.auth).field("note", &self.note).finish()
    }
}

impl Credentials {
    /// Those for a registry.
    pub(super) fn find(registry: &str) -> Self {
        let Some(path) = super::config_file() else {
            return Self::nobody("no user is known, because neither `DOCKER_CONFIG` nor `HOME` is set".to_owned());
        };
        let shown = path.display();
        match read(&path) {
            Ok(None) => Self::nobody(format!("no user is known, because there is no `{shown}`")),
            Ok(Some(text)) => Self::of_text(&text, registry, &shown.to_string()),
            Err(problem) => Self::nobody(format!("no user is known, because `{shown}` {problem}")),
        }
    }

    fn nobody(note: String) -> Self {
        Self { auth: RegistryAuth::Anonymous, note }
    }

    fn of_text(text: &str, registry: &str, shown: &str) -> Self {
        let Ok(json) = serde_json::from_str::<Json>(text) else {
            return Self::nobody(format!("no user is known, because `{shown}` is no JSON"));
        };
        let is_meant = |name: &str| {
            let name = host(name);
            name == registry || DOCKER_HUB.contains(&name) && DOCKER_HUB.contains(&registry)
        };
        let entries = json["auths"].as_object();
        let entry = entries.and_then(|entries| entries.iter().find(|(name, _)| is_meant(name)));
        if let Some((user, password)) = entry.and_then(|(_, entry)| user_and_password(entry)) {
            let note = format!("the user `{user}` is that of `{shown}`");
            return Self { auth: RegistryAuth::Basic(user, password), note };
        }
        let has_helper =
            json["credsStore"].is_string() || json["credHelpers"].as_object().is_some_and(|all| !all.is_empty());
        let helper = if has_helper { "; the helper programs that it names are not asked" } else { "" };
        Self::nobody(format!("no user is known, because `{shown}` has none for `{registry}` under `auths`{helper}"))
    }
}

/// The host in a name such as `https://index.docker.io/v1/`.
fn host(name: &str) -> &str {
    let name = name.split_once("://").map_or(name, |(_, rest)| rest);
    name.split('/').next().unwrap_or_default()
}

/// `auth` is both in one, `user:password`; some tools write them apart.
fn user_and_password(entry: &Json) -> Option<(String, String)> {
    let text = |key: &str| entry[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let Some(both) = text("auth") else { return Some((text("username")?, text("password")?)) };
    let both = String::from_utf8(STANDARD.decode(both.trim()).ok()?).ok()?;
    both.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

fn read(path: &Path) -> Result<Option<String>, String> {
    let metadata = match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(|error| format!("cannot be read: {error}"))?,
    };
    if !metadata.is_file() {
        return Err("is no regular file".to_owned());
    }
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
    read.map(|_| Some(text)).map_err(|error| format!("cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, registry: &str) -> (RegistryAuth, String) {
        let Credentials { auth, note } = Credentials::of_text(text, registry, "config.json");
        (auth, note)
    }

    fn anna() -> RegistryAuth {
        RegistryAuth::Basic("anna".to_owned(), "s3cret:x".to_owned())
    }

    #[test]
    fn the_entry_of_the_registry_counts_and_no_other() {
        let auth = STANDARD.encode("anna:s3cret:x");
        let text = format!(r#"{{ "auths": {{ "ghcr.io": {{ "auth": "{auth}" }}, "localhost:5000": {{}} }} }}"#);
        assert_eq!(found(&text, "ghcr.io").0, anna());
        for other in ["localhost:5000", "ghcr.io.example.com", "ghcr.io:443", "io"] {
            let (auth, note) = found(&text, other);
            assert!(auth == RegistryAuth::Anonymous && note.contains("has none for"), "{other}: {note}");
        }
    }

    #[test]
    fn entries_are_read_in_all_their_spellings() {
        let auth = STANDARD.encode("anna:s3cret:x");
        let hub = format!(r#"{{ "auths": {{ "https://index.docker.io/v1/": {{ "auth": "{auth}" }} }} }}"#);
        assert_eq!(found(&hub, "docker.io").0, anna());
        let apart = r#"{ "auths": { "h": { "username": "anna", "password": "s3cret:x" } } }"#;
        assert_eq!(found(apart, "h").0, anna());
        for broken in [r#"{ "auths": { "h": { "auth": "%%" } } }"#, r#"{ "auths": [] }"#, "[]", "{}"] {
            assert_eq!(found(broken, "h").0, RegistryAuth::Anonymous, "{broken}");
        }
        assert!(found("{", "h").1.contains("is no JSON"));
        assert!(found(r#"{ "credsStore": "desktop" }"#, "h").1.contains("helper programs that it names are not asked"));
    }

    #[test]
    fn the_password_is_shown_nowhere() {
        let auth = STANDARD.encode("anna:s3cret:x");
        let text = format!(r#"{{ "auths": {{ "h": {{ "auth": "{auth}" }} }} }}"#);
        let shown = format!("{:?}", Credentials::of_text(&text, "h", "config.json"));
        assert!(shown.contains("anna") && !shown.contains("s3cret") && !shown.contains(&auth), "{shown}");
    }
}
