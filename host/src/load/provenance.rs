//! Whose files plugins are: pins of the manifest and of `clockjack.lock`, and signatures of trusted keys.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clockjack_sandbox::{LoadError, Provenance, Wanted, check_digest};
use clockjack_schedule::manifest::resolved::{HostSettings, Plugin, TrustedKeys};

use super::origin;

/// The name of the file with pins, beside the first manifest.
const FILE: &str = "clockjack.lock";

/// Its first line, for people.
const HEAD: &str =
    "# What `clockjack lock` saw: plugin, SHA-256, and when it was signed. `--locked` runs nothing else.";

/// Most bytes of it that are read: some hundred thousand plugins.
const BYTES_MAX: u64 = 16 << 20;

/// What was seen of each plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    path: PathBuf,
    pins: BTreeMap<String, Provenance>,
}

impl Lock {
    /// Where the pins of a manifest are.
    #[must_use]
    pub fn place(files: &[PathBuf]) -> PathBuf {
        let first = files.first().map_or(Path::new(""), PathBuf::as_path);
        let folder = if first.is_dir() { first } else { first.parent().unwrap_or(Path::new("")) };
        folder.join(FILE)
    }

    /// Reads the pins of a manifest; without the file there are none.
    ///
    /// # Errors
    /// When the file cannot be read or has a line that is no pin.
    pub fn read(files: &[PathBuf]) -> anyhow::Result<Self> {
        let path = Self::place(files);
        let shown = path.display().to_string();
        let text = match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { path, pins: BTreeMap::new() });
            }
            Ok(metadata) if metadata.is_file() && metadata.len() <= BYTES_MAX => std::fs::read_to_string(&path),
            Ok(_) => anyhow::bail!("`{shown}` is no file of pins; make it with `clockjack lock`"),
            Err(error) => Err(error),
        };
        let text = text.with_context(|| format!("failed to read `{shown}`"))?;
        let mut pins = BTreeMap::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#') && !line.is_empty()) {
            let (name, pin) = pin(line).with_context(|| {
                format!("`{shown}` line {}: write `NAME SHA256`, or make the file with `clockjack lock`", number + 1)
            })?;
            pins.insert(name, pin);
        }
        Ok(Self { path, pins })
    }

    /// The pin of a plugin.
    #[must_use]
    pub fn pin(&self, name: &str) -> Option<&Provenance> {
        self.pins.get(name)
    }

    /// Where the pins are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn pin(line: &str) -> Option<(String, Provenance)> {
    let mut words = line.split_whitespace();
    let (name, sha256) = (words.next()?, words.next()?);
    let signed_at = words.next().map(str::parse).transpose().ok()?;
    let is_digest = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pin = Provenance { sha256: sha256.to_ascii_lowercase(), signed_at };
    (is_digest && words.next().is_none()).then(|| (name.to_owned(), pin))
}

/// The text of a file of pins.
#[must_use]
pub fn lock_text<'p>(pins: impl IntoIterator<Item = (&'p str, &'p Provenance)>) -> String {
    let mut text = format!("{HEAD}\n");
    for (name, pin) in pins {
        let signed_at = pin.signed_at.map_or_else(String::new, |at| format!(" {at}"));
        text.push_str(&format!("{name} {}{signed_at}\n", pin.sha256));
    }
    text
}

/// The keys that may have signed a file, where the manifest asks for a signature. Of folders in each other the inner one
/// counts.
#[must_use]
pub fn keys_for<'h>(host: &'h HostSettings, file: &Path) -> Option<&'h [String]> {
    // Links lead to where the file is; what is not there is refused when it is read.
    let whole =
        |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.into());
    // Neither by its place nor by the place of what it is a link to may a file get around it.
    let places =
        [whole(file), whole(file.parent().unwrap_or(Path::new(""))).join(file.file_name().unwrap_or_default())];
    let holds = |trusted: &&TrustedKeys| {
        let folder = whole(&trusted.folder);
        places.iter().any(|place| place.starts_with(&folder))
    };
    let innermost =
        host.trusted_keys.iter().filter(holds).max_by_key(|trusted| whole(&trusted.folder).components().count());
    innermost.map(|trusted| trusted.keys.as_slice())
}

/// What a plugin is as the manifest wants it: for `clockjack lock`. Of an image it is the component that counts.
///
/// # Errors
/// When the file is another one than the manifest says, or not signed as it has to be.
pub fn provenance(host: &HostSettings, plugin: &Plugin) -> Result<Provenance, LoadError> {
    let sha256 = plugin.sha256.as_ref().map(ToString::to_string);
    let Some(file) = plugin.source.file() else {
        let fetched = origin::fetch(&plugin.source, None)?;
        check_digest(fetched.file.digest(), sha256.as_deref())?;
        return Ok(Provenance { sha256: fetched.file.digest().to_owned(), signed_at: None });
    };
    let wanted = Wanted { sha256: sha256.as_deref(), keys: keys_for(host, file) };
    Provenance::of(file, wanted)
}
