//! Wakes the reloader when something in a watched folder may have changed. What changed is for stamps to say; so an event
//! that is lost, doubled or wrong costs nothing but time, and where a file system tells nothing the poll is enough.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tracing::debug;

/// The folders that are watched.
pub(super) struct Watch {
    /// None where the system gives no watcher, or none is wanted: then there is only the poll.
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    woken: Arc<Notify>,
}

impl Watch {
    /// Watches nothing yet.
    pub(super) fn new(is_wanted: bool) -> Self {
        let woken = Arc::new(Notify::new());
        let waker = Arc::clone(&woken);
        let on_event = move |event: notify::Result<notify::Event>| {
            // Reading is no change; it would wake the reloader by its own looks.
            if !matches!(event, Ok(notify::Event { kind: EventKind::Access(_), .. })) {
                waker.notify_one();
            }
        };
        let watcher = is_wanted.then(|| notify::recommended_watcher(on_event));
        let watcher = watcher.and_then(|made| made.inspect_err(|error| debug!("files are only polled: {error}")).ok());
        Self { watcher, folders: BTreeSet::new(), woken }
    }

    /// Watches these folders from now on, and no others. A folder that cannot be watched is polled.
    pub(super) fn set(&mut self, folders: BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.folders.difference(&folders) {
            drop(watcher.unwatch(gone));
        }
        // A folder that was removed and came back is watched anew; watching one twice changes nothing.
        for folder in &folders {
            let watched = watcher.watch(shown(folder), RecursiveMode::NonRecursive);
            if let Err(error) = watched {
                debug!(folder = %folder.display(), "polled: {error}");
            }
        }
        self.folders = folders;
    }

    /// Waits until something may have changed. Cancel-safe.
    pub(super) async fn woken(&self) {
        self.woken.notified().await;
    }
}

/// The folder of a bare file name is the one in which the host runs.
fn shown(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}
