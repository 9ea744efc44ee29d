//! Changing what a host has beside its files: one change after the other, each held against everything before it is kept.
//!
//! All of it happens in one turn of the reloader, so that of two who change one job at once the second one sees what the first
//! one did.

use std::{collections::BTreeSet, sync::Arc};

use clockjack_schedule::{
    diagnostic::{Diagnostic, Severity, did_you_mean},
    id::{JobId, PluginName},
    manifest::{diff::diff, source::Source},
    ports::{Change, DocumentKind},
};
use serde_json::Value as Json;

use super::{
    edit::{Condition, Define, Defined, Done, Edit, EditKind, Effect, Rejection},
    evaluate::Evaluation,
    jobs::{Jobs, Origin},
    plan::{self, Past},
    reloader::Task,
    set::Set,
    view::Plan,
};
use crate::load::{
    GivenName,
    given::{Definition, Given, Written, pretty},
    stores,
};

/// Largest definition: a few hundred lines of a manifest.
const DEFINITION_BYTES_MAX: usize = 64 << 10;

/// What is held against everything else before it comes in force.
pub(super) struct Held {
    set: Arc<Set>,
    evaluation: Evaluation,
    /// Files that were read for it and that nothing in force names.
    read: Vec<Source>,
    pub(super) plan: Plan,
}

impl Task {
    /// Changes jobs, or says what that would do.
    pub(super) async fn define(&mut self, asked: Define) -> Result<Defined, Rejection> {
        let is_dry = asked.is_dry;
        let by = Arc::clone(&asked.by);
        let (given, done) = self.edited(asked)?;
        if given == *self.given {
            let n_untouched = self.in_force.loaded.manifest.jobs.len();
            return Ok(Defined { plan: Plan { n_untouched, ..Plan::default() }, done, jobs: self.jobs() });
        }
        let changed = |done: &&Done| done.effect != Effect::Unchanged;
        let names: BTreeSet<_> = done.iter().filter(changed).map(|done| GivenName::Job(done.job.clone())).collect();
        let documents = done.iter().filter(changed).filter_map(|done| document(&given, done));
        let documents = documents.chain([given.revision_kept(self.now())]).collect();
        let given = Arc::new(given);
        self.cause = cause(&names, &by);
        let held = self.hold(&given, &names).await?;
        let plan = if is_dry { self.let_go(held) } else { self.take_given(given, held, documents).await? };
        Ok(Defined { plan, done, jobs: self.jobs() })
    }

    /// The jobs as they are now.
    fn jobs(&self) -> Jobs {
        Jobs::of(&self.in_force, &self.given, None)
    }

    /// What the host would have after the edits.
    fn edited(&self, asked: Define) -> Result<(Given, Vec<Done>), Rejection> {
        let jobs = self.jobs();
        let now = self.now();
        let mut given = Given::clone(&self.given);
        // Also where a job was removed and is made anew, no tag of it is ever used again.
        let first = given.next_revision(now);
        let mut done = Vec::new();
        for (revision, (id, edit)) in (first..).zip(asked.edits) {
            let before = given.definitions.get(&id).cloned();
            check_place(&jobs, &id, &edit)?;
            // What cannot be done at all is told before what may not be done now.
            if before.is_none() && !matches!(edit.kind, EditKind::Put(_)) {
                return Err(unknown(&jobs, &id));
            }
            check_condition(&jobs, &id, &edit.condition)?;
            let json = before.as_ref().map(|before| before.json());
            let Some(job) = edit.kind.apply(json.as_ref()) else {
                given.definitions.remove(&id);
                done.push(Done { job: id, effect: Effect::Deleted, revision: None });
                continue;
            };
            let text = checked_text(&id, &job)?;
            if let Some(before) = before.as_ref().filter(|before| before.text == text) {
                done.push(Done { job: id, effect: Effect::Unchanged, revision: Some(before.revision) });
                continue;
            }
            let written = Written { at: now, by: Arc::clone(&asked.by) };
            let effect = if before.is_some() { Effect::Changed } else { Effect::Created };
            let created = before.map_or_else(|| written.clone(), |before| before.created.clone());
            let definition = Definition { job: id.clone(), revision, text, created, changed: written };
            given.definitions.insert(id.clone(), definition.into());
            given.revision = revision;
            done.push(Done { job: id, effect, revision: Some(revision) });
        }
        Ok((given, done))
    }

    /// Holds what the host would have against everything else. Nothing changes.
    pub(super) async fn hold(&mut self, given: &Arc<Given>, names: &BTreeSet<GivenName>) -> Result<Held, Rejection> {
        let mut read = Vec::new();
        match self.held(given, names, &mut read).await {
            Ok((set, evaluation)) => {
                let plan = self.plan_of(&set, &evaluation).await?;
                Ok(Held { set, evaluation, read, plan })
            }
            Err(rejection) => {
                read.iter().for_each(|source| self.files.forget(source));
                Err(rejection)
            }
        }
    }

    async fn held(
        &mut self,
        given: &Arc<Given>,
        names: &BTreeSet<GivenName>,
        read: &mut Vec<Source>,
    ) -> Result<(Arc<Set>, Evaluation), Rejection> {
        let before = Arc::clone(&self.in_force);
        let (sources, given) = (self.parts.sources.clone(), Arc::clone(given));
        let resolved = self.desk.run(move || before.with_given(&sources, &given, Some(&before))).await;
        let mut set = whole(resolved)?;
        loop {
            self.accept(&set, names)?;
            let Some(evaluation) = self.evaluate(&set, false).await else { return Err(fault("it could not be held")) };
            if !evaluation.waiting.is_empty() {
                self.read_now(&set, &evaluation.waiting, read).await;
                continue;
            }
            let found = evaluation.diagnostics.all().to_vec();
            if !evaluation.diagnostics.has_errors() {
                return Ok((set, evaluation));
            }
            // What else is wrong is put aside, as it was before.
            let (rest, sources, errors) = (Arc::clone(&set), self.parts.sources.clone(), found.clone());
            match self.desk.run(move || rest.without_faulty(&sources, &errors).transpose()).await {
                Ok(Ok(Some(rest))) => set = Arc::new(rest),
                Ok(Ok(None)) => return Err(invalid(names, found, &set)),
                Ok(Err(error)) => return Err(fault(&format!("{error:#}"))),
                Err(_panicked) => return Err(fault("it could not be held")),
            }
        }
    }

    /// Whether what is asked for is right, and nothing that is in force suffers from it.
    fn accept(&self, set: &Set, names: &BTreeSet<GivenName>) -> Result<(), Rejection> {
        if set.loaded.diagnostics.has_errors() {
            return Err(invalid(names, set.loaded.diagnostics.all().to_vec(), set));
        }
        let was_faulty = |name: &GivenName| self.in_force.faulty.given.iter().any(|known| known.name == *name);
        for faulty in &set.faulty.given {
            let is_asked_for = names.contains(&faulty.name);
            if !is_asked_for && was_faulty(&faulty.name) {
                continue;
            }
            let count = faulty.findings.iter().filter(|found| found.severity == Severity::Error).count();
            let mut rejection = match is_asked_for {
                true => Rejection::new(
                    "job.invalid",
                    format!("{} cannot be in force: {}", faulty.name, plan::errors(count)),
                    "mend what the findings name; `?dry_run=true` tries without changing anything",
                ),
                false => Rejection::new(
                    "job.needed",
                    format!("{} would not fit any more: {}", faulty.name, plan::errors(count)),
                    "change or delete that first, or both in one import",
                ),
            };
            rejection.findings.clone_from(&faulty.findings);
            rejection.sources.clone_from(&faulty.sources);
            return Err(rejection);
        }
        let change = diff(&self.in_force.loaded.manifest, &set.loaded.manifest);
        match self.parts.made_for.needs_restart(&change, &set.loaded.manifest) {
            Some(why) => Err(Rejection::new("host.needs_restart", why, "restart the host, and ask again")),
            None => Ok(()),
        }
    }

    /// Reads the files of plugins that nobody has read yet.
    async fn read_now(&mut self, set: &Arc<Set>, waiting: &BTreeSet<PluginName>, read: &mut Vec<Source>) {
        let manifest = &set.loaded.manifest;
        for plugin in waiting.iter().filter_map(|name| manifest.plugins.get(name)) {
            let errand = super::files::Errand::of(manifest, plugin);
            let examined = self.examine(errand, set).await;
            let error = || clockjack_sandbox::LoadError {
                code: clockjack_sandbox::LoadCode::Invalid,
                message: "it could not be loaded".to_owned(),
                fix: "see the log of the host".to_owned(),
            };
            let examined = examined.unwrap_or_else(|| super::files::Examined::Unusable {
                digest: None,
                n_bytes: None,
                error: error(),
            });
            self.files.put(plugin.source.clone(), examined);
            read.push(plugin.source.clone());
        }
    }

    /// Reads a file, compiles and links it. None where the program itself failed.
    pub(super) async fn examine(&self, errand: super::files::Errand, set: &Set) -> Option<super::files::Examined> {
        let (sandbox, known) = (set.sandbox(&self.parts.sandbox), self.known_code());
        self.loader.run(move || errand.run(&sandbox, &known)).await.ok()
    }

    async fn plan_of(&self, set: &Set, evaluation: &Evaluation) -> Result<Plan, Rejection> {
        let loaded = self.parts.stores.ledger().load().await.map_err(|error| unkept(&error.to_string()))?;
        let (old, new) = (&self.in_force.loaded.manifest, &set.loaded.manifest);
        let mut plan = plan::of_manifest(old, new, &diff(old, new), &Past::new(loaded, self.now()));
        let number = |name: &PluginName, digest: &str| {
            let history = self.lines.get(name).map(|line| &line.history).or_else(|| self.histories.get(name));
            history.map_or(1, |history| history.number_for(digest))
        };
        plan.plugins = plan::of_plugins(evaluation, &self.standings(), number);
        plan.findings.extend(set.loaded.diagnostics.all().iter().chain(evaluation.diagnostics.all()).cloned());
        // What stands in files is told when they are read.
        plan.findings.retain(|found| set.loaded.placed_of(found).is_some());
        plan.sources.clone_from(&set.loaded.sources);
        Ok(plan)
    }

    /// Leaves everything as it is, and says what would have happened.
    pub(super) fn let_go(&mut self, held: Held) -> Plan {
        held.read.iter().for_each(|source| self.files.forget(source));
        held.plan
    }

    /// Keeps what the host was given and puts it in force.
    pub(super) async fn take_given(
        &mut self,
        given: Arc<Given>,
        held: Held,
        documents: Vec<Change>,
    ) -> Result<Plan, Rejection> {
        let before = std::mem::replace(&mut self.given, Arc::clone(&given));
        if let Err(why) = self.put_manifest_in_force(held.set, held.evaluation, documents).await {
            self.given = before;
            self.look_what_was_kept().await;
            return Err(unkept(&why));
        }
        if let Some(next) = self.next.as_ref().map(|next| Arc::clone(&next.set)) {
            // What is to be next is not to take it back.
            let anew = self.with_given(next).await;
            if let Some(next) = self.next.as_mut() {
                next.set = anew;
            }
            self.consider().await;
        }
        self.watch_anew();
        self.show();
        Ok(held.plan)
    }

    /// Where something failed half way, what the ledger has is what counts.
    async fn look_what_was_kept(&mut self) {
        let ledger = self.parts.stores.ledger();
        let Ok(kept) = stores::given_of(&*ledger, self.parts.uploads.as_deref()).await else { return };
        if kept != *self.given {
            self.given = Arc::new(kept);
            self.poke("what was kept is put in force");
        }
    }
}

fn document(given: &Given, done: &Done) -> Option<Change> {
    match done.effect {
        Effect::Deleted => Some(Change::DocumentGone { kind: DocumentKind::Job, key: done.job.as_str().into() }),
        Effect::Created | Effect::Changed => {
            given.definitions.get(&done.job).map(|definition| Change::Document(Arc::new(definition.document())))
        }
        Effect::Unchanged => None,
    }
}

fn cause(names: &BTreeSet<GivenName>, by: &str) -> String {
    match names.first() {
        Some(only) if names.len() == 1 => format!("{only} was changed through the API by `{by}`"),
        Some(_) | None => format!("{} jobs were changed through the API by `{by}`", names.len()),
    }
}

/// A set that was made on the desk.
fn whole<E>(made: Result<anyhow::Result<Set>, E>) -> Result<Arc<Set>, Rejection> {
    match made {
        Ok(Ok(set)) => Ok(Arc::new(set)),
        Ok(Err(error)) => Err(fault(&format!("{error:#}"))),
        Err(_panicked) => Err(fault("it could not be read")),
    }
}

/// That the id of a job belongs to a file.
fn check_place(jobs: &Jobs, id: &JobId, edit: &Edit) -> Result<(), Rejection> {
    let Some(view) = jobs.get(id) else { return Ok(()) };
    let (Origin::Manifest { .. } | Origin::Directory { .. }) = view.origin else { return Ok(()) };
    let place = view.origin.place();
    if edit.condition == Condition::New {
        let message = format!("there is a job `{id}` already, at {place}");
        return Err(Rejection::new("job.exists", message, "choose another id, or change that job where it stands"));
    }
    if view.shadows.is_some() && matches!(edit.kind, EditKind::Delete) {
        return Ok(());
    }
    let message = format!("job `{id}` stands at {place}, and only there it is changed");
    let fix = format!("edit {place}; `clockjack pause {id}` keeps it from running meanwhile");
    Err(Rejection::new("job.in_manifest", message, fix))
}

fn check_condition(jobs: &Jobs, id: &JobId, condition: &Condition) -> Result<(), Rejection> {
    let etag = jobs.get(id).map(|view| jobs.etag(&view));
    match (condition, &etag) {
        (Condition::Any, _) | (Condition::New, None) => Ok(()),
        (Condition::New, Some(_)) => {
            let message = format!("there is a job `{id}` already, made through the API");
            Err(Rejection::new("job.exists", message, "choose another id, or replace it with PUT"))
        }
        (Condition::When(when), _) => when.check(id, etag.as_deref()),
    }
}

fn unknown(jobs: &Jobs, id: &JobId) -> Rejection {
    let near = did_you_mean(id.as_str(), jobs.ids().into_iter().map(JobId::as_str));
    let fix = near.map_or("`clockjack jobs` lists them".to_owned(), |near| format!("did you mean `{near}`?"));
    Rejection::new("job.unknown", format!("the host has no job `{id}`"), fix)
}

/// The text of a definition.
fn checked_text(id: &JobId, job: &Json) -> Result<Arc<str>, Rejection> {
    let invalid = |message: String, fix: &str| Err(Rejection::new("job.invalid", message, fix));
    if !job.is_object() {
        let fix = "send an object such as `{ \"plugin\": \"./file.wasm\", \"every\": \"1h\" }`";
        return invalid(format!("job `{id}` is an object with the keys that a job has in a manifest"), fix);
    }
    let text = pretty(job);
    if DEFINITION_BYTES_MAX < text.len() {
        let message = format!("job `{id}` has {} bytes as text; a job has at most {DEFINITION_BYTES_MAX}", text.len());
        return invalid(message, "put what is large into a file that the job may read");
    }
    Ok(text)
}

fn invalid(names: &BTreeSet<GivenName>, found: Vec<Diagnostic>, set: &Set) -> Rejection {
    let what = names.first().map_or_else(|| "it".to_owned(), ToString::to_string);
    let count = found.iter().filter(|found| found.severity == Severity::Error).count();
    let message = format!("{what} cannot be in force: {}", plan::errors(count));
    let mut rejection = Rejection::new("job.invalid", message, "mend what the findings name");
    (rejection.findings, rejection.sources) = (found, set.loaded.sources.clone());
    rejection
}

pub(super) fn unkept(why: &str) -> Rejection {
    let fix = "see to the ledger, and ask again; the log of the host may say more";
    Rejection::new("ledger.unavailable", format!("nothing was changed, because it could not be kept: {why}"), fix)
}

pub(super) fn fault(why: &str) -> Rejection {
    Rejection::new("host.fault", why, "see the log of the host")
}
