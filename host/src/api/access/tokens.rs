//! Tokens: one of the local user's own, in a file that nobody else can read, and named ones, of which only the hash is
//! kept. Both files are read again when they change, so that what is revoked ends at once.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rustix::{
    fs::{FlockOperation, flock},
    rand::{GetRandomFlags, getrandom},
};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tracing::warn;

use super::Role;
use crate::settings;

/// What a token begins with, so that it is known as one wherever it turns up.
pub(super) const PREFIX: &str = "cj_";

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 256;

/// Most named tokens, and the longest name of one.
const TOKENS_MAX: usize = 1_000;
const NAME_BYTES_MAX: usize = 64;

/// Largest file of tokens that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The name of the local user's own token.
const LOCAL: &str = "local";

/// Where tokens are.
#[derive(Clone, Debug)]
pub struct Places {
    /// The local user's own.
    pub local: PathBuf,
    /// The named ones.
    pub named: PathBuf,
}

impl Places {
    /// In the state directory, but for what a manifest says. None where there is no state directory.
    #[must_use]
    pub fn of(named: Option<&Path>) -> Option<Self> {
        let state = settings::state_directory()?;
        Some(Self { local: state.join("token"), named: named.map_or_else(|| state.join("tokens"), Path::to_path_buf) })
    }
}

impl Places {
    /// The files that there are, and what keeps their tokens from counting.
    #[must_use]
    pub fn problems(&self) -> Vec<(&Path, Option<String>)> {
        let files = [&*self.local, &*self.named].into_iter().filter(|path| path.exists());
        files.map(|path| (path, read_private(path).err())).collect()
    }
}

/// A named token, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// What it lets do.
    pub role: Role,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// Its last characters, by which people know it.
    pub last4: String,
    sha256: [u8; 32],
}

/// Why there is no such token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The name is none.
    #[error("`{0}` is not the name of a token: 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`")]
    Name(String),
    /// There is one already.
    #[error("there is a token `{0}` already; revoke it first, or choose another name")]
    Taken(String),
    /// There is none.
    #[error("there is no token `{0}`; `clockjack token list` lists them")]
    Unknown(String),
    /// There are too many.
    #[error("there are {TOKENS_MAX} tokens already; revoke some")]
    TooMany,
    /// The file cannot be used.
    #[error("`{path}` cannot be used: {problem}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
}

/// A new token: the text is shown once.
fn generate() -> io::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    let n_bytes = getrandom(&mut bytes, GetRandomFlags::empty())?;
    if n_bytes < TOKEN_BYTES {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The local user's own token; made where there is none yet.
///
/// # Errors
/// When the file cannot be made or read, or when others can read it.
pub fn local(path: &Path) -> Result<String, TokenError> {
    let fail = |problem: String| TokenError::File { path: path.to_path_buf(), problem };
    if !path.exists() {
        let token = generate().map_err(|error| fail(error.to_string()))?;
        // Another host may be at it: whoever is first wins, and nobody ever reads half a token.
        match put(path, &format!("{token}\n"), Put::IfAbsent) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fail(error.to_string())),
            Ok(()) | Err(_) => {}
        }
    }
    read_local(path)
}

/// The local user's own token, where there is one.
///
/// # Errors
/// When the file cannot be read, or when others can read it.
pub fn read_local(path: &Path) -> Result<String, TokenError> {
    let text = read_private(path).map_err(|problem| TokenError::File { path: path.to_path_buf(), problem })?;
    Ok(text.trim().to_owned())
}

/// Reads a file that nobody else may read.
fn read_private(path: &Path) -> Result<String, String> {
    let found = fs::metadata(path).map_err(|error| error.to_string())?;
    if found.mode() & 0o077 != 0 {
        let mode = found.mode() & 0o777;
        return Err(format!("others may read it (mode {mode:o}); `chmod 600` it, and make new tokens"));
    }
    if FILE_BYTES_MAX < found.len() {
        return Err(format!("it has more than {FILE_BYTES_MAX} bytes"));
    }
    fs::read_to_string(path).map_err(|error| error.to_string())
}

/// Whether a file that is there already is replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Put {
    Always,
    IfAbsent,
}

/// Writes a file that only its user can read, as a whole or not at all.
fn put(path: &Path, text: &str, how: Put) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut suffix = [0; 8];
    getrandom(&mut suffix, GetRandomFlags::empty())?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = folder.join(format!(".{name}.{:016x}", u64::from_ne_bytes(suffix)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let placed = written.and_then(|()| match how {
        Put::Always => fs::rename(&beside, path),
        Put::IfAbsent => fs::hard_link(&beside, path),
    });
    if placed.is_err() || how == Put::IfAbsent {
        drop(fs::remove_file(&beside));
    }
    placed
}

/// The named tokens; none where there is no file.
///
/// # Errors
/// When the file cannot be read, or is none of tokens.
pub fn list(path: &Path) -> Result<Vec<Named>, TokenError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let fail = |problem: String| TokenError::File { path: path.to_path_buf(), problem };
    let text = read_private(path).map_err(fail)?;
    let json: Json = serde_json::from_str(&text).map_err(|error| fail(error.to_string()))?;
    let tokens = json["tokens"].as_array().ok_or_else(|| fail("it has no `tokens`".to_owned()))?;
    let all: Option<Vec<_>> = tokens.iter().map(from_json).collect();
    all.ok_or_else(|| fail("a token in it has no name, no role or no hash".to_owned()))
}

fn from_json(json: &Json) -> Option<Named> {
    let text = |key: &str| json[key].as_str().map(ToOwned::to_owned);
    let digits = json["sha256"].as_str()?;
    let mut sha256 = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    for (byte, at) in sha256.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).ok()?;
    }
    let role = json["role"].as_str()?.parse().ok()?;
    Some(Named { name: text("name")?, role, created_at: text("created_at")?, last4: text("last4")?, sha256 })
}

/// Makes a named token and gives its text, which is kept nowhere. `now` is RFC 3339.
///
/// # Errors
/// When the name cannot be had, or the file cannot be written.
pub fn create(path: &Path, name: &str, role: Role, now: String) -> Result<String, TokenError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || NAME_BYTES_MAX < name.len() || !name.bytes().all(is_plain) || name == LOCAL {
        return Err(TokenError::Name(name.chars().take(NAME_BYTES_MAX).collect()));
    }
    let fail = |error: io::Error| TokenError::File { path: path.to_path_buf(), problem: error.to_string() };
    let token = generate().map_err(fail)?;
    change(path, |tokens| {
        if tokens.iter().any(|token| token.name == name) {
            return Err(TokenError::Taken(name.to_owned()));
        }
        if TOKENS_MAX <= tokens.len() {
            return Err(TokenError::TooMany);
        }
        let last4 = token[token.len() - 4..].to_owned();
        tokens.push(Named { name: name.to_owned(), role, created_at: now, last4, sha256: hash(&token) });
        Ok(())
    })?;
    Ok(token)
}

/// Takes a named token away.
///
/// # Errors
/// When there is none of that name, or the file cannot be written.
pub fn revoke(path: &Path, name: &str) -> Result<(), TokenError> {
    change(path, |tokens| {
        let before = tokens.len();
        tokens.retain(|token| token.name != name);
        if tokens.len() == before { Err(TokenError::Unknown(name.to_owned())) } else { Ok(()) }
    })
}

/// Changes the file while nobody else does.
fn change(path: &Path, change: impl FnOnce(&mut Vec<Named>) -> Result<(), TokenError>) -> Result<(), TokenError> {
    let fail = |error: io::Error| TokenError::File { path: path.to_path_buf(), problem: error.to_string() };
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fail)?;
    let lock = File::open(folder).map_err(fail)?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| fail(error.into()))?;
    let mut tokens = list(path)?;
    change(&mut tokens)?;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let view = |token: &Named| {
        let Named { name, role, created_at, last4, sha256 } = token;
        json!({ "name": name, "role": role.as_str(), "created_at": created_at, "last4": last4, "sha256": hex(sha256) })
    };
    let json = json!({ "tokens": tokens.iter().map(view).collect::<Vec<_>>() });
    put(path, &format!("{json:#}\n"), Put::Always).map_err(fail)
}

/// Who shows which token, as the files say now.
pub(super) struct Known {
    places: Places,
    read: Mutex<Read>,
}

/// What was read last.
#[derive(Default)]
struct Read {
    stamps: Option<[Stamp; 2]>,
    tokens: Vec<(String, Role, [u8; 32])>,
}

/// By what a file is seen to have changed.
type Stamp = Option<(i64, i64, u64, u64)>;

impl Known {
    pub(super) fn new(places: Places) -> Self {
        Self { places, read: Mutex::default() }
    }

    /// Whose token it is, and what it lets do.
    pub(super) fn find(&self, token: &str) -> Option<(String, Role)> {
        if TOKEN_BYTES_MAX < token.len() {
            return None;
        }
        let given = hash(token);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = [stamp(&self.places.local), stamp(&self.places.named)];
        if read.stamps != Some(stamps) {
            *read = Read { stamps: Some(stamps), tokens: self.read() };
        }
        // All of them are compared, and each as a whole: the time says nothing.
        let mut found = None;
        for (name, role, sha256) in &read.tokens {
            if bool::from(sha256.ct_eq(&given)) {
                found = Some((name.clone(), *role));
            }
        }
        found
    }

    fn read(&self) -> Vec<(String, Role, [u8; 32])> {
        let mut tokens = Vec::new();
        match read_local(&self.places.local) {
            // An empty file is no token.
            Ok(token) if token.starts_with(PREFIX) => tokens.push((LOCAL.to_owned(), Role::Admin, hash(&token))),
            Ok(_) => {}
            Err(error) => warn!("the token of the local user counts for nothing: {error}"),
        }
        match list(&self.places.named) {
            Ok(named) => tokens.extend(named.into_iter().map(|token| (token.name, token.role, token.sha256))),
            Err(error) => warn!("named tokens count for nothing: {error}"),
        }
        tokens
    }
}

fn stamp(path: &Path) -> Stamp {
    let found = fs::metadata(path).ok()?;
    Some((found.ctime(), found.ctime_nsec(), found.ino(), found.len()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn places() -> (tempfile::TempDir, Places) {
        let folder = tempfile::tempdir().unwrap();
        let places = Places { local: folder.path().join("a/token"), named: folder.path().join("b/tokens") };
        (folder, places)
    }

    #[test]
    fn the_local_token_is_made_once_and_is_the_users_alone() {
        let (_folder, places) = places();
        let token = local(&places.local).unwrap();
        assert!(token.starts_with("cj_") && token.len() == 46, "{token}");
        assert_eq!(local(&places.local).unwrap(), token);
        assert_eq!(fs::metadata(&places.local).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(places.local.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        let known = Known::new(places.clone());
        assert_eq!(known.find(&token), Some(("local".to_owned(), Role::Admin)));
        assert_eq!(known.find(""), None);
        assert_eq!(known.find(&token[..45]), None);
        fs::set_permissions(&places.local, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(local(&places.local).unwrap_err().to_string().contains("mode 644"));
        assert_eq!(known.find(&token), None, "what others can read is no secret");
    }

    #[test]
    fn named_tokens_are_kept_as_hashes_and_end_when_they_are_revoked() {
        let (_folder, places) = places();
        let create = |name: &str, role| create(&places.named, name, role, "2027-01-15T12:00:00Z".to_owned());
        let (ci, watch) = (create("ci", Role::Operate).unwrap(), create("watch", Role::Read).unwrap());
        let text = fs::read_to_string(&places.named).unwrap();
        assert!(!text.contains(&ci[3..]) && text.contains(&ci[42..]), "{text}");
        assert_eq!(fs::metadata(&places.named).unwrap().mode() & 0o777, 0o600);
        let known = Known::new(places.clone());
        assert_eq!(known.find(&ci), Some(("ci".to_owned(), Role::Operate)));
        assert_eq!(known.find(&watch), Some(("watch".to_owned(), Role::Read)));
        assert!(matches!(create("ci", Role::Admin), Err(TokenError::Taken(_))));
        for name in ["", "a b", "a\nb", "local", &"x".repeat(65)] {
            assert!(matches!(create(name, Role::Admin), Err(TokenError::Name(_))), "{name:?}");
        }
        revoke(&places.named, "ci").unwrap();
        assert_eq!((known.find(&ci), known.find(&watch).is_some()), (None, true));
        assert!(matches!(revoke(&places.named, "ci"), Err(TokenError::Unknown(_))));
        fs::write(&places.named, "{}").unwrap();
        assert_eq!(known.find(&watch), None);
        assert!(list(&places.named).is_err());
    }

    #[test]
    fn two_at_once_make_one_local_token_and_lose_no_named_one() {
        let (_folder, places) = places();
        let make = |n: usize| {
            create(&places.named, &format!("t{n}"), Role::Read, String::new()).unwrap();
            local(&places.local).unwrap()
        };
        let made: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || make(n))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(made.iter().all(|token| *token == made[0]));
        assert_eq!(list(&places.named).unwrap().len(), 8);
    }
}
