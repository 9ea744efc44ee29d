//! The reloader's task: it owns what is in force. Everybody else only tells it to look, or asks.
//!
//! Three things go on beside it, each at most once and on threads of their own: looking at the stamps of files, reading the
//! manifest, and loading one plugin. What comes of them is put together here, in one place and one after the other.

mod showing;
mod waiters;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, SubsecRound as _, Utc};
use clockjack_sandbox::{Sandbox, SandboxExecutor};
use clockjack_schedule::{
    diagnostic::Diagnostic,
    id::{JobId, PluginName},
    manifest::{resolved::Manifest, source::Source},
    notify::Channels,
    ports::Clock,
};
use tokio::{
    runtime::Handle,
    sync::{broadcast, mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

pub(super) use self::waiters::{SETTLES, Waiter};
use super::{
    MadeFor, Reloader, Wish,
    bench::{Bench, end_of},
    files::{Errand, Examined, Files},
    first::First,
    handle::Shown,
    jobs::Jobs,
    line::{History, Line},
    looker::{Look, Looker, REST},
    paths::Paths,
    set::{Set, Sources},
    stamp::Stamp,
    uploads,
    view::{CandidateView, PluginView},
    watch::Watch,
};
use crate::{
    load::{GivenName, given::Given, stores::OpenStores},
    shell::{Event, HostHandle},
};

/// How often files are looked at that no event tells of: a bind mount or a network file system may tell nothing.
const POLL: Duration = Duration::from_secs(2);

/// How long after an event files are looked at: events come in crowds.
const SOON: Duration = Duration::from_millis(10);

/// How often it is looked whether that time has passed.
const LOOK_AFTER_WAITERS: Duration = Duration::from_millis(200);

/// The part of the time, one in so many, that looking may take where events never end: whatever else is written in the folder
/// of a manifest, its ledger for example, wakes the reloader too.
const LOOK_SHARE: u32 = 20;

/// What a reloader is made of.
pub struct ReloaderParts {
    /// Where the manifest is read from.
    pub sources: Sources,
    /// What loads plugins.
    pub sandbox: Sandbox,
    /// What runs them.
    pub executor: SandboxExecutor,
    /// What schedules them.
    pub host: HostHandle,
    /// The record.
    pub stores: OpenStores,
    /// Where the files of uploaded plugins are; none where the record is in memory.
    pub uploads: Option<PathBuf>,
    /// What stays as it was at the start.
    pub made_for: MadeFor,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whether files are watched; without it only wishes are heard.
    pub is_watching: bool,
    /// Where the channels of notifications are put that are in force.
    pub channels: watch::Sender<Arc<Channels>>,
}

/// The reloader's task.
pub(super) struct Task {
    pub(super) parts: ReloaderParts,
    pub(super) in_force: Arc<Set>,
    /// What the host was given beside its files.
    pub(super) given: Arc<Given>,
    pub(super) lines: BTreeMap<PluginName, Line>,
    /// Of plugins that run nothing now.
    pub(super) histories: BTreeMap<PluginName, History>,
    pub(super) files: Files,
    /// Jobs that were removed and whose code is still there, each until when.
    pub(super) removed: Vec<(JobId, Duration)>,
    /// Components in directories that something is wrong with, by their paths without an ending.
    pub(super) faulty: BTreeMap<PathBuf, (PluginName, CandidateView)>,
    /// What the host was given and is not in force as it was given, with why.
    pub(super) told_given: BTreeMap<GivenName, String>,
    /// A manifest that was read and is not in force.
    pub(super) next: Option<Next>,
    /// Who waits until everything is settled, with what happened since.
    pub(super) waiting: Vec<Waiter>,
    /// What made the host do what it does now, for the log and the ledger.
    pub(super) cause: String,
    /// What made it read the manifest.
    reading_cause: String,
    /// Whether a file is changing this very moment.
    is_restless: bool,
    /// What of the runs of new code ends, while a trial goes on.
    pub(super) ends: Option<broadcast::Receiver<Event>>,
    shown: watch::Sender<Arc<[PluginView]>>,
    jobs: watch::Sender<Arc<Jobs>>,
    watch: Watch,
    paths: Paths,
    looker: Arc<Mutex<Looker>>,
    look_at: Duration,
    /// When the last look began, and how long it took.
    last_look: (Duration, Duration),
    looking: Option<JoinHandle<Look>>,
    /// Where manifests are read and held against plugins.
    pub(super) desk: Bench,
    /// Where plugins are loaded.
    pub(super) loader: Bench,
    /// Whether the manifest is to be read, and whether also what seems unchanged is to be put in force anew.
    wants_reading: Option<Reading>,
    reading: Option<oneshot::Receiver<anyhow::Result<Set>>>,
    reading_is: Reading,
    /// Files that are to be read, each with why.
    queue: VecDeque<(Source, String)>,
    examining: Option<Errands>,
}

/// A file that is being read.
struct Errands {
    source: Source,
    cause: String,
    work: oneshot::Receiver<Examined>,
}

/// A manifest that was read and is not in force.
pub(super) struct Next {
    pub(super) set: Arc<Set>,
    /// What made the host read it.
    pub(super) cause: String,
    pub(super) since: Duration,
    /// Why it is not, once that was told, with everything that was found.
    pub(super) refused: Option<(String, Vec<Diagnostic>)>,
    /// Files of plugins that run and are read once more before anything is decided, because somebody asks.
    pub(super) awaited: BTreeSet<Source>,
    /// Whether jobs are prepared anew that seem unchanged, because somebody asks: files in their arguments may differ.
    pub(super) is_anew: bool,
    /// The components that the rest did not wait for when this was last looked at.
    pub(super) aside: BTreeSet<PluginName>,
}

/// How a manifest is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reading {
    /// Because a file has changed.
    Changed,
    /// Because somebody asks: files are read that seem unchanged, and jobs prepared anew.
    Asked,
}

impl Task {
    pub(super) fn new(first: First, parts: ReloaderParts, shown: Shown) -> Self {
        let First { set, lines, histories, files, .. } = first;
        let watch = Watch::new(parts.is_watching);
        if let Some(folder) = parts.uploads.as_deref() {
            uploads::clear(folder, &set.given);
        }
        let mut task = Self {
            parts,
            given: Arc::clone(&set.given),
            in_force: Arc::new(set),
            lines,
            histories,
            files,
            removed: Vec::new(),
            faulty: BTreeMap::new(),
            told_given: BTreeMap::new(),
            next: None,
            waiting: Vec::new(),
            cause: "start".to_owned(),
            reading_cause: String::new(),
            is_restless: false,
            ends: None,
            shown: shown.plugins,
            jobs: shown.jobs,
            watch,
            paths: Paths::default(),
            looker: Arc::default(),
            look_at: Duration::ZERO,
            last_look: (Duration::ZERO, Duration::ZERO),
            looking: None,
            desk: Bench::new("manifests"),
            loader: Bench::new("plugins"),
            wants_reading: None,
            reading: None,
            reading_is: Reading::Changed,
            queue: VecDeque::new(),
            examining: None,
        };
        let at_start = Arc::clone(&task.in_force);
        task.note_faulty(&at_start, false);
        // What is new since the last life of the host is on trial.
        task.listen();
        task.show();
        task.watch_anew();
        task
    }

    /// Works until it is told to stop.
    pub(super) async fn work(mut self, mut wishes: mpsc::Receiver<Wish>, stop: CancellationToken) {
        loop {
            self.begin();
            let until_look = self.look_at.saturating_sub(self.parts.clock.monotonic());
            tokio::select! {
                () = stop.cancelled() => return,
                Some(wish) = wishes.recv() => self.fulfil(wish).await,
                () = self.watch.woken() => self.look_in(SOON),
                () = tokio::time::sleep(until_look), if self.looking.is_none() && self.parts.is_watching => self.look(),
                () = tokio::time::sleep(self.until_forgotten()), if !self.removed.is_empty() => self.forget_removed(),
                look = end_of(&mut self.looking) => self.looked(look.unwrap_or_default()).await,
                read = end_of(&mut self.reading) => self.was_read(read.map_err(Into::into).flatten()).await,
                (source, cause, examined) = end_of_errand(&mut self.examining) => {
                    self.was_examined(source, cause, examined).await;
                }
                () = tokio::time::sleep(LOOK_AFTER_WAITERS), if !self.waiting.is_empty() => {}
                event = next_of(&mut self.ends) => self.count(event).await,
            }
        }
    }

    fn read_again(&mut self, how: Reading, cause: String) {
        if self.wants_reading < Some(how) {
            self.reading_cause = cause;
        }
        self.wants_reading = self.wants_reading.max(Some(how));
    }

    /// Has the manifest read once more.
    pub(super) fn poke(&mut self, cause: &str) {
        self.read_again(Reading::Changed, cause.to_owned());
    }

    /// Begins what is to be done and not done yet: the manifest first, then one plugin after the other.
    fn begin(&mut self) {
        if self.reading.is_none()
            && let Some(how) = self.wants_reading.take()
        {
            let (sources, began) = (self.parts.sources.clone(), self.parts.clock.now());
            self.reading_is = how;
            let (before, given) = (Arc::clone(&self.in_force), Arc::clone(&self.given));
            self.reading = Some(self.desk.run(move || Set::read_beside(&sources, &before, &given, began)));
        }
        if self.examining.is_none() {
            self.examine_next();
        }
        self.settle();
    }

    fn examine_next(&mut self) {
        while let Some((source, cause)) = self.queue.pop_front() {
            let Some((errand, sandbox)) = self.errand(&source) else { continue };
            let known = self.known_code();
            let work = self.loader.run(move || errand.run(&sandbox, &known));
            self.examining = Some(Errands { source, cause, work });
            return;
        }
    }

    /// How a file is to be read: as the manifest says that is to be in force next, else as that which is.
    fn errand(&self, source: &Source) -> Option<(Errand, Sandbox)> {
        let sets = self.next.iter().map(|next| &next.set).chain([&self.in_force]);
        sets.into_iter().find_map(|set| {
            let manifest = &set.loaded.manifest;
            let plugin = manifest.plugins.values().find(|plugin| plugin.source == *source)?;
            Some((Errand::of(manifest, plugin), set.sandbox(&self.parts.sandbox)))
        })
    }

    pub(super) fn known_code(&self) -> Vec<Arc<clockjack_sandbox::Plugin>> {
        let lines = self.lines.values();
        let generations = lines.flat_map(|line| std::iter::once(&line.current).chain(&line.kept));
        generations.map(|generation| Arc::clone(&generation.plugin)).collect()
    }

    /// The time, as people read it.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.parts.clock.now().trunc_subsecs(3)
    }

    fn look_in(&mut self, time: Duration) {
        let (began, took) = self.last_look;
        let at = (self.parts.clock.monotonic() + time).max(began + took * LOOK_SHARE);
        self.look_at = self.look_at.min(at);
    }

    fn look(&mut self) {
        let (looker, now) = (Arc::clone(&self.looker), self.parts.clock.monotonic());
        self.look_at = now + POLL;
        self.last_look = (now, Duration::ZERO);
        // Stamps of a file system that hangs hang this look and nothing else.
        self.looking = Some(tokio::task::spawn_blocking(move || {
            looker.lock().unwrap_or_else(PoisonError::into_inner).look(now, Stamp::of)
        }));
    }

    async fn looked(&mut self, look: Look) {
        let was_restless = self.is_restless;
        self.last_look.1 = self.parts.clock.monotonic().saturating_sub(self.last_look.0);
        self.is_restless = look.is_restless;
        if look.is_restless {
            self.look_in(REST / 2);
        }
        for path in look.changed {
            if self.paths.manifest.contains(&path) {
                debug!(path = %path.display(), "changed: the manifest is read again");
                self.read_again(Reading::Changed, format!("`{}` has changed", path.display()));
            }
            let sources = self.paths.plugins.get(&path).cloned().unwrap_or_default();
            for source in sources {
                debug!(path = %path.display(), "changed: the plugin is read again");
                self.enqueue(source, "its file has changed");
            }
        }
        if was_restless && self.is_settled() && self.next.is_some() {
            // What was not told because something was changing is told now.
            self.consider().await;
        }
    }

    /// Has a file read again. Those that run come before those that never did: a pile of new ones holds up nobody.
    fn enqueue(&mut self, source: Source, cause: &str) {
        if self.queue.iter().any(|(queued, _)| *queued == source) {
            return;
        }
        let is_running = |source: &Source| self.lines.values().any(|line| line.source == *source);
        let place = match is_running(&source) {
            true => self.queue.iter().position(|(queued, _)| !is_running(queued)).unwrap_or(self.queue.len()),
            false => self.queue.len(),
        };
        self.queue.insert(place, (source, cause.to_owned()));
    }

    async fn was_read(&mut self, read: anyhow::Result<Set>) {
        // What somebody asked for and did not get yet is not made less by a file that has changed meanwhile.
        let is_anew = self.next.as_ref().is_some_and(|next| next.is_anew && next.refused.is_none());
        let how = if is_anew { Reading::Asked } else { self.reading_is };
        let set = match read {
            Ok(set) => self.with_given(Arc::new(set)).await,
            Err(error) => return self.unreadable(&error),
        };
        let is_same = |known: &Arc<Set>| how == Reading::Changed && known.is_same(&set);
        // What was wrong with the same text may be mended by now: a folder, the file of a secret.
        let is_good = |next: &&Next| !next.set.loaded.diagnostics.has_errors();
        if is_same(&self.in_force) {
            // Touched, or changed back: what was refused in between is no news any more. Or all that is new is wrong.
            self.next = None;
            self.note_faulty(&set, true);
            self.show();
        } else if !self.next.as_ref().filter(is_good).is_some_and(|next| is_same(&next.set)) {
            self.take_on(set, how);
        }
        self.watch_anew();
        self.consider().await;
    }

    /// Makes a manifest the one that is to be in force next, and has the files read that it needs.
    fn take_on(&mut self, set: Arc<Set>, how: Reading) {
        let (before, after) = (&self.in_force.loaded.manifest, &set.loaded.manifest);
        let is_all = how == Reading::Asked || before.host.trusted_keys != after.host.trusted_keys;
        let needed: Vec<_> = after
            .plugins
            .values()
            .filter(|plugin| is_all || self.files.lacks(&plugin.source, Errand::of(after, plugin).is_metered))
            .map(|plugin| plugin.source.clone())
            .collect();
        let is_anew = how == Reading::Asked;
        let runs = |source: &&Source| self.lines.values().any(|line| line.source == **source);
        let awaited = needed.iter().filter(|_| is_anew).filter(runs).cloned().collect();
        // What was wrong with files that nobody runs may be mended by now.
        needed.iter().filter(|source| !runs(source)).for_each(|source| self.files.forget(source));
        let (cause, since) = (self.reading_cause.clone(), self.parts.clock.monotonic());
        // The same as before is not told again.
        let refused = self.next.take().filter(|next| next.set.is_same(&set) && !is_anew).and_then(|next| next.refused);
        needed.into_iter().for_each(|source| self.enqueue(source, &cause));
        self.next = Some(Next { set, cause, since, refused, awaited, is_anew, aside: BTreeSet::new() });
    }

    async fn was_examined(&mut self, source: Source, cause: String, examined: Option<Examined>) {
        // What has changed meanwhile is read once more, and counts then.
        let is_changed_again = self.queue.iter().any(|(queued, _)| *queued == source);
        if let Some(next) = self.next.as_mut().filter(|_| !is_changed_again) {
            next.awaited.remove(&source);
        }
        let Some(examined) = examined.filter(|_| !is_changed_again) else { return };
        let is_news = self.files.get(&source).is_none_or(|before| !before.is_same(&examined));
        self.files.put(source.clone(), examined);
        if is_news && self.is_of_faulty(&source) {
            // With these bytes its sidecar may be right.
            self.read_again(Reading::Changed, cause.clone());
        }
        self.cause = cause;
        self.consider().await;
    }

    /// Whether a file is the component of a unit that was put aside.
    fn is_of_faulty(&self, source: &Source) -> bool {
        let path = source.file().map(|file| file.with_extension(""));
        path.is_some_and(|path| self.faulty.contains_key(&path))
    }

    /// Whether the manifest is being read, or about to be.
    pub(super) fn is_reading(&self) -> bool {
        self.reading.is_some() || self.wants_reading.is_some()
    }

    /// Watches what is in force and what is to be next.
    pub(super) fn watch_anew(&mut self) {
        let next = self.next.as_ref().map(|next| &*next.set);
        let sets: Vec<&Set> = std::iter::once(&*self.in_force).chain(next).collect();
        // What changed while it was being read counts as changed now.
        let began = sets.iter().map(|set| set.began).max().unwrap_or_default();
        self.paths = Paths::of(&sets);
        let named = |source: &Source| sets.iter().any(|set| names(&set.loaded.manifest, source));
        self.files.retain(named);
        if !self.parts.is_watching {
            return;
        }
        let paths = self.paths.all();
        self.watch.set(self.paths.folders());
        let looker = Arc::clone(&self.looker);
        // Not waited for: a look that comes before it takes up what was watched until now.
        drop(tokio::task::spawn_blocking(move || {
            let mut looker = looker.lock().unwrap_or_else(PoisonError::into_inner);
            looker.watch(&paths, |path| Stamp::of(path).unless_changed_since(began));
        }));
        self.look_in(SOON);
    }
}

fn names(manifest: &Manifest, source: &Source) -> bool {
    manifest.plugins.values().any(|plugin| plugin.source == *source)
}

/// Starts a reloader beside the guests, and not on the ring: comparing manifests and freeing code makes no slot late. It
/// works until it is told to stop; who waits for it waits for a file system at the most.
#[must_use]
pub fn start(
    first: First,
    parts: ReloaderParts,
    runtime: &Handle,
    stop: CancellationToken,
) -> (Reloader, JoinHandle<()>) {
    let (reloader, wishes, shown) = Reloader::showing();
    // What it begins on other threads needs a runtime from the first moment on.
    let _entered = runtime.enter();
    let task = Task::new(first, parts, shown);
    (reloader, runtime.spawn(task.work(wishes, stop)))
}

/// The end of the loading of a plugin; never where none goes on. Cancel-safe. A fault of the program gives nothing: what is in
/// force stays.
async fn end_of_errand(errand: &mut Option<Errands>) -> (Source, String, Option<Examined>) {
    let Some(Errands { source, cause, work }) = errand.as_mut() else { return std::future::pending().await };
    let ended = work.await;
    let (source, cause) = (source.clone(), cause.clone());
    *errand = None;
    (source, cause, ended.inspect_err(|error| tracing::error!("a plugin could not be loaded: {error}")).ok())
}

/// The next event while a trial goes on; never else. Events that were lost are not counted.
async fn next_of(ends: &mut Option<broadcast::Receiver<Event>>) -> Option<Event> {
    let Some(receiver) = ends.as_mut() else { return std::future::pending().await };
    receiver.recv().await.ok()
}
