//! Hot load: plugins and manifests change while the host runs.
//!
//! One task, the reloader, decides what is in force. Files that change, signals and people only tell it to look; it looks
//! at everything that it knows of, loads what is new, one file at a time, and puts in force what is right. Whatever is
//! wrong leaves what is in force as it is.

mod apply;
mod bench;
mod decide;
mod define;
mod difference;
mod dry;
mod edit;
mod evaluate;
mod files;
mod first;
mod handle;
mod jobs;
mod line;
mod looker;
mod made_for;
mod paths;
mod plan;
mod reloader;
mod set;
mod stamp;
mod uploads;
mod view;
mod watch;
mod wishes;

pub use self::{
    edit::{Condition, Define, Defined, Done, Edit, EditKind, Effect, Rejection, Tag, Tags, Upload, When},
    first::First,
    handle::{Refusal, Reloader, Wish},
    jobs::{JobState, JobView, Jobs, Origin},
    made_for::MadeFor,
    reloader::{ReloaderParts, start},
    set::{Set, Sources},
    uploads::UNFINISHED,
    view::{
        CanaryView, CandidateState, CandidateView, Difference, GenerationView, JobChange, Plan, PluginChange,
        PluginChangeKind, PluginView,
    },
};
