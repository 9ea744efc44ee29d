//! Plugins that somebody uploads: each has one file beside the ledger, which is replaced by the next upload once the ledger has
//! heard of that.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use clockjack_schedule::{
    id::PluginName,
    manifest::{resolved, source::Source},
    ports::{Change, DocumentKind},
};
use tracing::error;

use super::{
    define::fault,
    edit::{Rejection, Upload},
    files::{Errand, Examined},
    reloader::Task,
    view::{Plan, PluginView},
};
use crate::load::{
    GivenName,
    given::{self, Given, Written},
    stores,
};

impl Task {
    /// Takes in a plugin. Its file goes where uploads are, or is removed.
    pub(super) async fn upload(&mut self, asked: Upload) -> Result<(PluginView, Plan), Rejection> {
        let file = asked.file.clone();
        let taken = self.take_upload(asked).await;
        // Nothing of it is left where it was put first.
        drop(fs::remove_file(file));
        taken
    }

    async fn take_upload(&mut self, asked: Upload) -> Result<(PluginView, Plan), Rejection> {
        let Upload { plugin: name, file, by, is_dry } = asked;
        let folder = self.place_for(&name)?;
        let place = given::Upload::place(&folder, &name);
        let source = Source::File(place.clone());
        let examined = self.examine_upload(&name, Source::File(file.clone())).await?;
        let Examined::Ready(code) = &examined else { return Err(fault("the plugin could not be loaded")) };
        let digest: Arc<str> = Arc::clone(&code.digest);
        let now = self.now();
        let revision = self.given.next_revision(now);
        let upload = given::Upload {
            plugin: name.clone(),
            revision,
            file: place.clone(),
            digest,
            uploaded: Written { at: now, by: Arc::clone(&by) },
        };
        let upload = Arc::new(upload);
        let mut given = Given::clone(&self.given);
        given.revision = revision;
        let documents = vec![Change::Document(Arc::new(upload.document())), given.revision_kept(now)];
        given.uploads.insert(name.clone(), Arc::clone(&upload));
        let given = Arc::new(given);
        self.cause = format!("uploaded by `{by}`");
        let known = self.files.get(&source).cloned();
        self.files.put(source.clone(), examined);
        let restore = |task: &mut Self| match known {
            Some(known) => task.files.put(source.clone(), known),
            None => task.files.forget(&source),
        };
        let held = match self.hold(&given, &BTreeSet::from([GivenName::Plugin(name.clone())])).await {
            Ok(held) if !is_dry => held,
            Ok(held) => {
                let plan = self.let_go(held);
                restore(self);
                return Ok((self.shown(&name, &place), plan));
            }
            Err(rejection) => {
                restore(self);
                return Err(rejection);
            }
        };
        if let Err(error) = stage(&file, &upload) {
            self.let_go(held);
            restore(self);
            return Err(Rejection::new(
                "plugin.no_place",
                error,
                "see to the folder of the ledger, and upload it again",
            ));
        }
        match self.take_given(given, held, documents).await {
            Ok(plan) => {
                put_in_place(&upload);
                Ok((self.shown(&name, &place), plan))
            }
            Err(rejection) => {
                self.take_back(&upload, restore).await;
                Err(rejection)
            }
        }
    }

    /// The folder of a plugin that somebody uploads, where that may be.
    fn place_for(&self, name: &PluginName) -> Result<PathBuf, Rejection> {
        let folder = self.parts.uploads.clone().ok_or_else(|| {
            let fix = "give the host a ledger in a file: `--ledger sqlite:PATH`";
            Rejection::new("plugin.no_place", "this host keeps nothing, so it has no place for plugins", fix)
        })?;
        self.check_name(name)?;
        if self.in_force.loaded.manifest.host.trusted_keys.is_empty() {
            return Ok(folder);
        }
        let message = "plugins of this host have to be signed (`host.trusted_keys`), and what is uploaded is not";
        Err(Rejection::new("plugin.denied", message, "put the file and its signature where the manifest names it"))
    }

    /// Takes an upload back that could not be kept. An answer of the ledger may have got lost: what it has is what counts, and
    /// where that cannot be seen, the next start sees to it.
    async fn take_back(&mut self, upload: &given::Upload, restore: impl FnOnce(&mut Self)) {
        let ledger = self.parts.stores.ledger();
        let Ok(kept) = stores::given_of(&*ledger, self.parts.uploads.as_deref()).await else { return restore(self) };
        if kept.uploads.get(&upload.plugin).is_none_or(|kept| kept.digest != upload.digest) {
            drop(fs::remove_file(upload.staged()));
            restore(self);
        }
    }

    /// Forgets a plugin.
    pub(super) async fn unload(&mut self, name: PluginName, is_dry: bool) -> Result<Plan, Rejection> {
        let Some(upload) = self.given.uploads.get(&name).cloned() else {
            self.check_name(&name)?;
            let fix = "`clockjack plugins` lists them";
            return Err(Rejection::new("plugin.unknown", format!("no plugin `{name}` was uploaded"), fix));
        };
        let manifest = &self.in_force.loaded.manifest;
        let is_shadowed = manifest.plugins.get(&name).is_some_and(|plugin| plugin.source.file() != Some(&upload.file));
        if let Some(user) = self.users(&name).next().filter(|_| !is_shadowed) {
            let n_more = self.users(&name).count() - 1;
            let more = if n_more == 0 { String::new() } else { format!(" and {n_more} more") };
            let message = format!("plugin `{name}` is used by job `{user}`{more}");
            return Err(Rejection::new(
                "plugin.in_use",
                message,
                "delete these jobs first, or have them use another plugin",
            ));
        }
        let mut given = Given::clone(&self.given);
        given.uploads.remove(&name);
        let given = Arc::new(given);
        self.cause = "deleted through the API".to_owned();
        let held = self.hold(&given, &BTreeSet::from([GivenName::Plugin(name.clone())])).await?;
        if is_dry {
            return Ok(self.let_go(held));
        }
        let gone = Change::DocumentGone { kind: DocumentKind::Plugin, key: name.as_str().into() };
        let documents = vec![gone, self.given.revision_kept(self.now())];
        let plan = self.take_given(given, held, documents).await?;
        drop(fs::remove_file(&upload.file));
        Ok(plan)
    }

    /// That a name belongs to a file.
    fn check_name(&self, name: &PluginName) -> Result<(), Rejection> {
        let manifest = &self.in_force.loaded.manifest;
        let Some(plugin) = manifest.plugins.get(name) else { return Ok(()) };
        let span = manifest.plugin_span(name, "");
        let is_given = self.in_force.loaded.placed.iter().any(|placed| placed.source == span.source);
        if is_given {
            return Ok(());
        }
        let message = format!("plugin `{name}` is the file `{}`, and only there it is changed", plugin.source);
        Err(Rejection::new("plugin.in_manifest", message, "replace that file, or upload under another name"))
    }

    /// Loads what was uploaded from where it is for now.
    async fn examine_upload(&self, name: &PluginName, source: Source) -> Result<Examined, Rejection> {
        let set = Arc::clone(&self.in_force);
        let plugin = resolved::Plugin::of_file(name.clone(), source);
        let errand = Errand::of(&set.loaded.manifest, &plugin);
        match self.examine(errand, &set).await {
            Some(Examined::Unusable { error, .. }) => {
                Err(Rejection::new(error.code.as_str(), format!("plugin `{name}`: {}", error.message), error.fix))
            }
            Some(ready @ Examined::Ready(_)) => Ok(ready),
            None => Err(fault("the plugin could not be loaded")),
        }
    }

    /// How a plugin is now.
    fn shown(&self, name: &PluginName, place: &Path) -> PluginView {
        let manifest = &self.in_force.loaded.manifest;
        match self.lines.get(name) {
            Some(line) => line.view(name, manifest),
            None => PluginView {
                name: name.clone(),
                source: place.display().to_string(),
                current: None,
                kept: Vec::new(),
                candidate: None,
                canary: None,
                functions: Vec::new(),
                imports: Vec::new(),
                jobs: Vec::new(),
            },
        }
    }
}

/// How the name of a file begins that is being uploaded.
pub const UNFINISHED: &str = ".upload-";

/// Removes what was being uploaded when a host came to its end, and what its ledger never heard of. What it did hear of is in
/// its place by now.
pub(super) fn clear(folder: &Path, given: &Given) {
    let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_staged = |name: &str| name.rsplit_once(".wasm.").is_some_and(|(_, digest)| is_digest(digest));
    // They stay where they could not be put in their place.
    let counts = |path: &Path| given.uploads.values().any(|upload| upload.staged() == path);
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(UNFINISHED) || is_staged(&name) && !counts(&entry.path()) {
            drop(fs::remove_file(entry.path()));
        }
    }
}

/// Puts bytes where they wait for the ledger, all of them or nothing.
fn stage(file: &Path, upload: &given::Upload) -> Result<(), String> {
    let place = upload.staged();
    let synced = fs::File::open(file).and_then(|file| file.sync_all());
    let put = synced.and_then(|()| fs::rename(file, &place)).and_then(|()| match place.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    });
    put.map_err(|error| format!("the plugin cannot be kept at `{}`: {error}", place.display()))
}

/// The code is in force already, and the next start puts its bytes in their place where this does not.
fn put_in_place(upload: &given::Upload) {
    if let Err(error) = upload.put_in_place() {
        error!(plugin = %upload.plugin, "what was uploaded cannot be put in its place before the next start: {error}");
    }
}
