//! What changes from one manifest to the next: pure comparison, by value.

use std::{collections::BTreeMap, num::NonZeroU32};

use super::resolved::Manifest;
use crate::id::{ChannelName, JobId, PluginName, PoolName, StoreName};

/// What changes from one manifest to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// Changes of jobs. A new file behind a plugin does not change the jobs that use it.
    pub jobs: Changes<JobId>,
    /// Changes of plugins: another path or another digest.
    pub plugins: Changes<PluginName>,
    /// Changes of pools: another size, or another isolation.
    pub pools: Changes<PoolName>,
    /// Changes of stores: another place.
    pub stores: Changes<StoreName>,
    /// Changes of channels of notifications. A job that names a channel which changes is not changed by that.
    pub channels: Changes<ChannelName>,
}

/// Names by what happens to them, each in exactly one list, sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes<N> {
    /// Only in the new manifest.
    pub added: Vec<N>,
    /// In both, with different values.
    pub changed: Vec<N>,
    /// Only in the old manifest.
    pub removed: Vec<N>,
    /// The same in both.
    pub untouched: Vec<N>,
}

impl Diff {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
            && self.plugins.is_empty()
            && self.pools.is_empty()
            && self.stores.is_empty()
            && self.channels.is_empty()
    }
}

impl<N> Changes<N> {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// Compares two manifests. Places in the text, comments and order do not count.
#[must_use]
pub fn diff(old: &Manifest, new: &Manifest) -> Diff {
    Diff {
        jobs: changes(&old.jobs, &new.jobs),
        plugins: changes(&old.plugins, &new.plugins),
        pools: changes(&pools(old), &pools(new)),
        stores: changes(&old.stores, &new.stores),
        channels: changes(&old.channels, &new.channels),
    }
}

/// What a pool is: its size, and whether its runs have processes of their own.
fn pools(manifest: &Manifest) -> BTreeMap<PoolName, (NonZeroU32, bool)> {
    let of = |(name, size): (&PoolName, &NonZeroU32)| (name.clone(), (*size, manifest.isolated.contains(name)));
    manifest.pools.iter().map(of).collect()
}

fn changes<N: Ord + Clone, V: PartialEq>(old: &BTreeMap<N, V>, new: &BTreeMap<N, V>) -> Changes<N> {
    let mut changes = Changes { added: Vec::new(), changed: Vec::new(), removed: Vec::new(), untouched: Vec::new() };
    for (name, value) in new {
        let list = match old.get(name) {
            None => &mut changes.added,
            Some(before) if before == value => &mut changes.untouched,
            Some(_) => &mut changes.changed,
        };
        list.push(name.clone());
    }
    changes.removed = old.keys().filter(|name| !new.contains_key(*name)).cloned().collect();
    changes
}
