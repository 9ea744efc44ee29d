//! Plugins' files as they were read: once each, and kept as what came of them.

use std::{collections::BTreeMap, sync::Arc};

use clockjack_sandbox::{LoadError, Plugin, Sandbox};
use clockjack_schedule::manifest::{
    resolved::{self, HostSettings},
    source::Source,
};

use crate::load::{self, components::Components};

/// What came of a file.
#[derive(Clone)]
pub(super) enum Examined {
    /// It can be used.
    Ready(Arc<Plugin>),
    /// It cannot.
    Unusable {
        /// What its bytes are, where they could be read.
        digest: Option<Arc<str>>,
        n_bytes: Option<u64>,
        error: LoadError,
    },
}

impl Examined {
    /// Whether both are the same bytes, and as good as each other.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ready(one), Self::Ready(other)) => one.digest == other.digest,
            (
                Self::Unusable { digest: one, error: fault, .. },
                Self::Unusable { digest: other, error: other_fault, .. },
            ) => one == other && fault.message == other_fault.message,
            (Self::Ready(_), Self::Unusable { .. }) | (Self::Unusable { .. }, Self::Ready(_)) => false,
        }
    }

    /// Whether it is this code.
    pub(super) fn is_of(&self, digest: &str) -> bool {
        matches!(self, Self::Ready(plugin) if *plugin.digest == *digest)
    }
}

/// What is known of the files, by place.
#[derive(Clone, Default)]
pub(super) struct Files {
    examined: BTreeMap<Source, Examined>,
}

impl Files {
    pub(super) fn get(&self, source: &Source) -> Option<&Examined> {
        self.examined.get(source)
    }

    pub(super) fn put(&mut self, source: Source, examined: Examined) {
        self.examined.insert(source, examined);
    }

    /// Forgets a file, so that whoever needs it waits until it is read again.
    pub(super) fn forget(&mut self, source: &Source) {
        self.examined.remove(source);
    }

    /// Forgets what nobody names any more, so that its code is freed.
    pub(super) fn retain(&mut self, is_wanted: impl Fn(&Source) -> bool) {
        self.examined.retain(|source, _| is_wanted(source));
    }

    /// Whether a file has to be read for a manifest: it was not, or could not be used as another manifest wanted it, or was
    /// loaded for jobs that count no instructions, and one does now.
    pub(super) fn lacks(&self, source: &Source, is_metered: bool) -> bool {
        let is_usable = matches!(self.examined.get(source), Some(Examined::Ready(_)));
        !is_usable || self.lacks_metering(source, is_metered)
    }

    /// Whether a file was loaded for jobs that count no instructions, and one does now.
    pub(super) fn lacks_metering(&self, source: &Source, is_metered: bool) -> bool {
        matches!(self.examined.get(source), Some(Examined::Ready(plugin)) if is_metered && !plugin.is_metered())
    }
}

/// One file that is to be read.
#[derive(Clone, Debug)]
pub(super) struct Errand {
    pub(super) plugin: resolved::Plugin,
    pub(super) host: HostSettings,
    pub(super) is_metered: bool,
}

impl Errand {
    /// Reads the file, once; compiles and links what is not known yet. Takes as long as the compiler does.
    pub(super) fn run(&self, sandbox: &Sandbox, known: &[Arc<Plugin>]) -> Examined {
        let file = match load::origin::plugin_file(&self.plugin, &self.host) {
            Ok(file) => file,
            Err(error) => return Examined::Unusable { digest: None, n_bytes: None, error },
        };
        let fits =
            |plugin: &&Arc<Plugin>| *plugin.digest == *file.digest() && (plugin.is_metered() || !self.is_metered);
        if let Some(known) = known.iter().find(fits) {
            return Examined::Ready(Arc::clone(known));
        }
        match file.load(sandbox, self.is_metered) {
            Ok(plugin) => {
                // For going back to it, also in another life of the host.
                if let Some(components) = Components::open() {
                    components.put(file.bytes());
                }
                Examined::Ready(Arc::new(plugin))
            }
            Err(error) => {
                let n_bytes = u64::try_from(file.bytes().len()).ok();
                Examined::Unusable { digest: Some(file.digest().into()), n_bytes, error }
            }
        }
    }
}
