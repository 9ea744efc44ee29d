//! What happened to plugins and manifests, for whoever listens to the bus.

use std::sync::Arc;

use clockjack_schedule::{
    diagnostic::{Diagnostic, Source},
    id::PluginName,
};

use crate::hot::Difference;

/// Something happened to a plugin.
#[derive(Clone, Debug)]
pub struct PluginNews {
    /// Which plugin.
    pub plugin: PluginName,
    /// What.
    pub kind: PluginNewsKind,
    /// The SHA-256 of the file that it is about, where it could be read.
    pub digest: Option<Arc<str>>,
    /// What runs from now on.
    pub generation: u32,
    /// Why, or what is the matter.
    pub reason: String,
    /// What to do about it; empty where nothing is to be done.
    pub fix: String,
    /// How its code differs from what ran, where that is known.
    pub difference: Option<Difference>,
}

/// What may happen to a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginNewsKind {
    /// It came with a manifest.
    Added,
    /// It runs other code from now on.
    Replaced {
        /// What ran before.
        before: u32,
    },
    /// Its new file cannot be used; the old code goes on.
    Refused,
    /// Its new file asks for more than is granted and waits for approval; the old code goes on.
    Held,
    /// It runs earlier code again.
    RolledBack {
        /// What ran before.
        before: u32,
    },
    /// The trial of its new code went well.
    Passed,
    /// It is gone.
    Removed,
    /// A component in a directory cannot be used, and nothing of it is in force.
    LeftOut,
}

impl PluginNewsKind {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "plugin.added",
            Self::Replaced { .. } => "plugin.replaced",
            Self::Refused => "plugin.refused",
            Self::Held => "plugin.held",
            Self::RolledBack { .. } => "plugin.rolled_back",
            Self::Passed => "plugin.passed",
            Self::Removed => "plugin.removed",
            Self::LeftOut => "plugin.left_out",
        }
    }
}

/// A manifest was read again.
#[derive(Clone, Debug)]
pub struct ManifestNews {
    /// What made the host read it.
    pub cause: String,
    /// Why it is not in force, where it is not: what was in force before, stays.
    pub refused: Option<String>,
    /// How many jobs came, changed, went and stayed.
    pub jobs: [usize; 4],
    /// What was found in it.
    pub findings: Vec<Diagnostic>,
    /// The texts that the findings are about.
    pub sources: Vec<Source>,
}
