//! The Unix socket of a host: where it is, so that those who name the same manifests find it, and making it so that
//! nobody else can reach it.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, flock},
    process::geteuid,
};
use tokio::net::{UnixListener, UnixStream};

use crate::{load::stores::name_of, settings};

/// Longest path of a socket that is tried. The system takes 107 bytes on Linux and 103 on some of the BSDs.
const PATH_BYTES_MAX: usize = 100;

/// How often, and with which pause, another host that is just making its socket in the same folder is waited for.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Where a host makes its socket, and where others look for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A person said where.
    Given(PathBuf),
    /// Found by the manifests of the host: the first of these that can be used. The folder of each is the user's alone.
    Derived(Vec<PathBuf>),
}

/// The place for a host of these manifests: what was said on the command line or as `CLOCKJACK_SOCKET`, else the folder
/// for what runs, the state directory, and the folder for temporary files.
#[must_use]
pub fn place(given: Option<&Path>, files: &[PathBuf]) -> Place {
    if let Some(path) = given.map(Path::to_path_buf).or_else(settings::socket) {
        return Place::Given(std::path::absolute(&path).unwrap_or(path));
    }
    let name = name_of(files);
    let file = format!("{name}.sock");
    let usual = [
        settings::runtime_directory().map(|folder| folder.join("clockjack")),
        settings::state_directory().map(|folder| folder.join("control")),
    ];
    let own = settings::temporary_directory().join(format!("clockjack-{}", geteuid().as_raw()));
    // The hash is at the end of the name.
    let short = name.rsplit('-').next().map(|hash| format!("{hash}.sock")).unwrap_or_default();
    let paths = usual.into_iter().flatten().map(|folder| folder.join(&file)).chain([own.join(short)]);
    Place::Derived(paths.filter(|path| fits(path)).collect())
}

fn fits(path: &Path) -> bool {
    path.as_os_str().len() <= PATH_BYTES_MAX
}

impl Place {
    /// The paths in question, the best one first.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        match self {
            Self::Given(path) => std::slice::from_ref(path),
            Self::Derived(paths) => paths,
        }
    }
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum NoSocket {
    /// Somebody answers there already.
    #[error("another host answers on `{0}`")]
    Taken(PathBuf),
    /// It cannot be made there.
    #[error("`{path}` {problem}", path = .path.display())]
    Unusable {
        /// Where.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
}

/// A socket that this process listens on. Its file goes with it.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    file: SocketFile,
}

/// The file of a socket, removed when this is dropped, unless somebody else has put another one there.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Socket {
    /// Makes the socket of a host. Must be called inside a runtime.
    ///
    /// # Errors
    /// When another host has it, or when no place can be used; of several the first one is told.
    pub async fn open(place: &Place) -> Result<Self, NoSocket> {
        let (mut first, has_own_folder) = (None, matches!(place, Place::Derived(_)));
        for path in place.paths() {
            match Self::open_at(path, has_own_folder).await {
                Ok(socket) => return Ok(socket),
                Err(taken @ NoSocket::Taken(_)) => return Err(taken),
                Err(unusable) => first = first.or(Some(unusable)),
            }
        }
        Err(first.unwrap_or_else(|| {
            let problem = format!("and all other places have paths of more than {PATH_BYTES_MAX} bytes");
            NoSocket::Unusable { path: settings::temporary_directory(), problem }
        }))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    pub(super) fn into_parts(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }

    async fn open_at(path: &Path, has_own_folder: bool) -> Result<Self, NoSocket> {
        let unusable = |problem: String| NoSocket::Unusable { path: path.to_path_buf(), problem };
        if !fits(path) {
            return Err(unusable(format!("is longer than the {PATH_BYTES_MAX} bytes that a socket's path may have")));
        }
        let folder = path.parent().unwrap_or_else(|| Path::new("/"));
        make_folder(folder).map_err(|error| unusable(format!("has a folder that cannot be made: {error}")))?;
        if has_own_folder {
            check_folder(folder).map_err(unusable)?;
        }
        let _lock = lock(folder).await;
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(path).await?;
                UnixListener::bind(path)
            }
            bound => bound,
        };
        let listener = listener.map_err(|error| unusable(format!("cannot be made: {error}")))?;
        let identity = fs::set_permissions(path, Permissions::from_mode(0o600)).and_then(|()| identity(path));
        let identity = identity.map_err(|error| unusable(format!("cannot be made the user's alone: {error}")))?;
        Ok(Self { listener, file: SocketFile { path: path.to_path_buf(), identity } })
    }
}

/// Removes the socket of a host that is gone. Nothing else is ever removed.
async fn remove_stale(path: &Path) -> Result<(), NoSocket> {
    let unusable = |problem: String| NoSocket::Unusable { path: path.to_path_buf(), problem };
    let found = fs::symlink_metadata(path).map_err(|error| unusable(format!("cannot be looked at: {error}")))?;
    if !found.file_type().is_socket() {
        return Err(unusable("is there already and is no socket".to_owned()));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| unusable(format!("is left over and cannot be removed: {error}")))
        }
        // Also one that has no time to answer is alive.
        Ok(_) | Err(_) => Err(NoSocket::Taken(path.to_path_buf())),
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// That a folder is one, belongs to the user, and is closed to everybody else: in a folder for temporary files anybody may
/// have made it.
fn check_folder(folder: &Path) -> Result<(), String> {
    let shown = folder.display();
    let found = fs::symlink_metadata(folder).map_err(|error| format!("has a folder that cannot be read: {error}"))?;
    if !found.is_dir() {
        return Err(format!("lies in `{shown}`, which is no folder; remove it"));
    }
    if found.uid() != geteuid().as_raw() {
        return Err(format!("lies in `{shown}`, which belongs to another user"));
    }
    if found.mode() & 0o077 != 0 {
        let mode = found.mode() & 0o777;
        return Err(format!("lies in `{shown}`, which others may use (mode {mode:o}); `chmod 700 {shown}`"));
    }
    Ok(())
}

/// Keeps other hosts of the user from making their sockets in a folder at the same moment: of two that find a socket left
/// over, the later one would remove that of the earlier one. Where the lock cannot be had, it goes on without.
async fn lock(folder: &Path) -> Option<File> {
    let file = File::open(folder).ok()?;
    for _ in 0..LOCK_TRIES {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(file),
            Err(rustix::io::Errno::WOULDBLOCK) => tokio::time::sleep(LOCK_PAUSE).await,
            Err(_) => return None,
        }
    }
    None
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            drop(fs::remove_file(&self.path));
        }
    }
}

#[cfg(test)]
mod tests;
