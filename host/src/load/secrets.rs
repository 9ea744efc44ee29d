//! The values of secrets: from the environment and from files, read when they are needed and kept nowhere.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use clockjack_schedule::{
    diagnostic::Diagnostic,
    id::JobId,
    ports::Vault,
    secret::{SECRET_BYTES_MAX, SecretName, SecretSource, SecretText},
};

use super::Loaded;
use crate::settings;

/// The secrets of this machine.
#[derive(Clone, Copy, Debug)]
pub struct HostVault;

impl Vault for HostVault {
    fn read(&self, source: &SecretSource) -> Result<SecretText, String> {
        let value = match source {
            SecretSource::Env(name) => settings::variable(name).ok_or_else(|| format!("{source} is not set"))?,
            SecretSource::File(path) => of_file(path).map_err(|problem| format!("{source} {problem}"))?,
        };
        if value.is_empty() { Err(format!("{source} is empty")) } else { Ok(value.into()) }
    }
}

/// What a file holds, but for its last newline. The problem says nothing of what it holds.
fn of_file(path: &Path) -> Result<String, String> {
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err("is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if SECRET_BYTES_MAX < u64::try_from(bytes.len()).unwrap_or(u64::MAX) {
        return Err(format!("has more than the {SECRET_BYTES_MAX} bytes that a secret may have"));
    }
    let Ok(mut text) = String::from_utf8(bytes) else { return Err("is no UTF-8 text".to_owned()) };
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// What a secret that cannot be read now means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing is to run without it.
    Error,
    /// It may be there where the manifest runs.
    Warning,
}

/// Finds the secrets that channels need and jobs are granted, or the one job that is named, and whose values cannot be had here and now.
pub fn check(loaded: &mut Loaded, only: Option<&JobId>, missing: Missing) {
    let manifest = &loaded.manifest;
    let jobs = manifest.jobs.values().filter(|job| only.is_none_or(|only| job.id == *only));
    let mut granted: BTreeSet<&SecretName> = jobs.flat_map(|job| job.grants.secrets.all().into_keys()).collect();
    if only.is_none() {
        let channels = manifest.channels.values().flat_map(|channel| channel.secrets());
        granted.extend(channels.map(|secret| &secret.name));
    }
    for (name, source) in manifest.secrets.iter().filter(|(name, _)| granted.contains(name)) {
        let Err(problem) = HostVault.read(source) else { continue };
        let (span, message) = (manifest.secret_span(name), format!("secret `{name}`: {problem}"));
        let finding = match missing {
            Missing::Error => Diagnostic::error("manifest.secret", span, message),
            Missing::Warning => Diagnostic::warning("manifest.secret", span, message),
        };
        let fix = match source {
            SecretSource::Env(variable) => format!("set `{variable}` where the host is started"),
            SecretSource::File(_) => "write the value into that file, as UTF-8 text".to_owned(),
        };
        loaded.diagnostics.push(finding.fix(fix));
    }
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::Arc};

    use super::*;

    fn read(bytes: &[u8]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, bytes).unwrap();
        let value = HostVault.read(&SecretSource::File(Arc::new(path)));
        value.map(|value| value.reveal().to_owned()).map_err(|problem| problem.rsplit("` ").next().unwrap().to_owned())
    }

    #[test]
    fn a_file_loses_one_newline_and_nothing_else() {
        assert_eq!(read(b"value\n").as_deref(), Ok("value"));
        assert_eq!(read(b"value\r\n").as_deref(), Ok("value"));
        assert_eq!(read(b" value \n\n").as_deref(), Ok(" value \n"));
        assert_eq!(read("\u{fc}".as_bytes()).as_deref(), Ok("\u{fc}"));
    }

    #[test]
    fn what_is_no_secret_is_refused_without_a_word_of_it() {
        assert_eq!(read(b"\n").unwrap_err(), "is empty");
        assert_eq!(read(b"hunter2\xff").unwrap_err(), "is no UTF-8 text");
        assert_eq!(read(&[b'x'; 65_536]).map(|value| value.len()), Ok(65_536));
        assert_eq!(read(&[b'x'; 65_537]).unwrap_err(), "has more than the 65536 bytes that a secret may have");
        let nowhere = SecretSource::File(Arc::new(PathBuf::from("/nowhere/at/all")));
        assert!(HostVault.read(&nowhere).unwrap_err().starts_with("the file `/nowhere/at/all` cannot be read"));
        let unset = SecretSource::Env("CJ_TEST_UNSET".into());
        assert_eq!(HostVault.read(&unset).unwrap_err(), "the environment variable `CJ_TEST_UNSET` is not set");
    }
}
