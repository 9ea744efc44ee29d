//! Hot load: plugins and manifests change while the host runs.
//!
//! One task, the reloader, decides what is in force. Files that change, signals and people only tell it to look; it looks
//! at everything that it knows of, loads what is new, one file at a time, and puts in force what is right. Whatever is
//! wrong leaves what is in force as it is.

mod handle;
mod view;

pub use self::{
    handle::{Refusal, Reloader, Wish},
    view::{
        CanaryView, CandidateState, CandidateView, Difference, GenerationView, JobChange, Plan, PluginChange,
        PluginChangeKind, PluginView,
    },
};
