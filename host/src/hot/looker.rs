//! Which of the watched files have changed and come to rest. Told stamps and the time, it says what to read; it touches no
//! file itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use super::stamp::Stamp;

/// How long a file has to stay as it is before it is read: who writes it is still at it, most likely.
pub(super) const REST: Duration = Duration::from_millis(60);

/// After this time a file is read that never comes to rest. What is read then is most likely refused, and read again later.
pub(super) const RESTLESS_MAX: Duration = Duration::from_secs(3);

/// What is known of the watched files.
#[derive(Debug, Default)]
pub(super) struct Looker {
    files: BTreeMap<PathBuf, Seen>,
}

#[derive(Debug)]
struct Seen {
    /// As it was when it was last said to have changed, or when watching it began.
    known: Stamp,
    /// As it is since it differs from that.
    unrest: Option<Unrest>,
}

#[derive(Clone, Copy, Debug)]
struct Unrest {
    /// When it was first seen to differ.
    since: Duration,
    /// What it was when it was last looked at.
    last: Stamp,
    /// Since when it has been that.
    last_since: Duration,
}

/// What a look gives.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// What has changed and come to rest.
    pub(super) changed: BTreeSet<PathBuf>,
    /// Whether something else is changing still, so that the next look should come soon.
    pub(super) is_restless: bool,
}

impl Looker {
    /// Watches these paths from now on, and no others. What was watched before keeps what is known of it; what is new counts
    /// as unchanged from `stamp` on.
    pub(super) fn watch(&mut self, paths: &BTreeSet<PathBuf>, stamp: impl Fn(&Path) -> Stamp) {
        self.files.retain(|path, _| paths.contains(path));
        for path in paths {
            if !self.files.contains_key(path) {
                self.files.insert(path.clone(), Seen { known: stamp(path), unrest: None });
            }
        }
    }

    /// Looks at all of them.
    pub(super) fn look(&mut self, now: Duration, stamp: impl Fn(&Path) -> Stamp) -> Look {
        let mut look = Look::default();
        for (path, seen) in &mut self.files {
            let stamp = stamp(path);
            if stamp == seen.known && seen.unrest.is_none() {
                continue;
            }
            let unrest = seen.unrest.get_or_insert(Unrest { since: now, last: stamp, last_since: now });
            if unrest.last != stamp {
                (unrest.last, unrest.last_since) = (stamp, now);
            }
            let rests = REST <= now.saturating_sub(unrest.last_since);
            let is_too_long = RESTLESS_MAX <= now.saturating_sub(unrest.since);
            if rests || is_too_long {
                (seen.known, seen.unrest) = (stamp, None);
                look.changed.insert(path.clone());
            } else {
                look.is_restless = true;
            }
        }
        look
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn stamp(n: u64) -> Stamp {
        Stamp::Present { device: 1, inode: n, n_bytes: 1, modified: (0, 0), changed: (0, 0) }
    }

    fn millis(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_file_is_read_when_it_has_come_to_rest() {
        let path = PathBuf::from("p.wasm");
        let now = Cell::new(stamp(1));
        let mut looker = Looker::default();
        looker.watch(&[path.clone()].into(), |_| now.get());
        assert_eq!(looker.look(millis(0), |_| now.get()), Look::default());
        now.set(stamp(2));
        let restless = Look { is_restless: true, ..Look::default() };
        assert_eq!(looker.look(millis(10), |_| now.get()), restless);
        now.set(stamp(3));
        assert_eq!(looker.look(millis(60), |_| now.get()), restless);
        assert_eq!(looker.look(millis(100), |_| now.get()), restless);
        let changed = Look { changed: [path].into(), is_restless: false };
        assert_eq!(looker.look(millis(120), |_| now.get()), changed);
        assert_eq!(looker.look(millis(130), |_| now.get()), Look::default());
        // Gone and back within a moment is a change too, although it may be the same again.
        now.set(Stamp::Absent);
        assert_eq!(looker.look(millis(140), |_| now.get()), restless);
        now.set(stamp(3));
        assert_eq!(looker.look(millis(150), |_| now.get()), restless);
        assert_eq!(looker.look(millis(210), |_| now.get()).changed.len(), 1);
    }

    #[test]
    fn a_file_that_never_rests_is_read_all_the_same() {
        let mut looker = Looker::default();
        looker.watch(&[PathBuf::from("p.wasm")].into(), |_| stamp(0));
        let looks = (1..=400).map(|n| looker.look(millis(n * 10), |_| stamp(n)).changed.len());
        assert_eq!(looks.sum::<usize>(), 1, "in four seconds of changes, a hundred in each");
    }

    #[test]
    fn what_is_watched_anew_counts_from_then() {
        let (old, new) = (PathBuf::from("a"), PathBuf::from("b"));
        let mut looker = Looker::default();
        looker.watch(&[old.clone()].into(), |_| stamp(1));
        looker.watch(&[old.clone(), new.clone()].into(), |_| stamp(2));
        assert!(looker.look(millis(0), |_| stamp(2)).is_restless, "what was watched before has changed");
        assert_eq!(looker.look(millis(100), |_| stamp(2)).changed, [old].into());
        looker.watch(&[new].into(), |_| stamp(9));
        assert_eq!(looker.look(millis(200), |_| stamp(2)), Look::default());
    }
}
