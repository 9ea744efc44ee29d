//! What people ask for: a plan, an approval, a rollback.

use std::{path::PathBuf, sync::Arc};

use clockjack_schedule::{diagnostic::did_you_mean, id::PluginName, ports::GenerationRow};
use tokio::{sync::oneshot, task::spawn_blocking};
use tracing::{error, warn};

use super::{
    Refusal,
    dry::{self, Dry},
    files::Errand,
    first::from_store,
    line::{Generation, Line, Verdict},
    plan::Past,
    reloader::Task,
    view::{CandidateState, Plan, PluginView},
};
use crate::{
    load::{self, PreparedJob},
    shell::{CodeChange, Event, PluginNews, PluginNewsKind},
};

impl Task {
    /// Answers what a reload would do, in its own time: nothing waits for it, and it changes nothing.
    #[expect(
        clippy::disallowed_methods,
        reason = "it ends by itself, and nobody is harmed where the host ends before it"
    )]
    pub(super) fn plan(&self, files: Option<Vec<PathBuf>>, answer: oneshot::Sender<Plan>) {
        let gone = self.histories.iter().map(|(name, history)| (name.clone(), history.clone()));
        let running = self.lines.iter().map(|(name, line)| (name.clone(), line.history.clone()));
        let dry = Dry {
            sources: self.parts.sources.clone(),
            asked: files,
            sandbox: self.parts.sandbox.clone(),
            before: Arc::clone(&self.in_force),
            given: Arc::clone(&self.given),
            known: self.known_code(),
            standings: self.standings(),
            histories: gone.chain(running).collect(),
            made_for: self.parts.made_for.clone(),
            now: self.now(),
        };
        let ledger = self.parts.stores.ledger();
        tokio::spawn(async move {
            let past = match ledger.load().await {
                Ok(loaded) => Past::new(loaded, dry.now),
                Err(error) => return drop(answer.send(dry::refused(error.to_string()))),
            };
            let plan = spawn_blocking(move || dry.run(&past)).await;
            drop(answer.send(plan.unwrap_or_else(|error| dry::refused(error.to_string()))));
        });
    }

    /// Puts a file in force that is held, or that was rolled back.
    pub(super) async fn approve(&mut self, name: &PluginName, digest: Option<&str>) -> Result<PluginView, Refusal> {
        let line = self.line(name)?;
        let candidate = line.candidate.as_ref();
        let waits = |state| matches!(state, CandidateState::Held | CandidateState::RolledBack);
        let Some(found) = candidate.filter(|found| waits(found.state)).and_then(|found| found.digest.clone()) else {
            let message = match candidate {
                Some(found) => format!("the new file of plugin `{name}` cannot be approved: {}", found.reason),
                None => format!("no file of plugin `{name}` waits for approval"),
            };
            let fix = candidate.map_or("see `clockjack plugins`".to_owned(), |found| found.fix.clone());
            return Err(Refusal { code: "plugin.not_held", message, fix });
        };
        if let Some(meant) = digest.filter(|meant| !found.starts_with(&meant.to_lowercase())) {
            return Err(Refusal {
                code: "plugin.not_held",
                message: format!("the file that waits has the SHA-256 {found}, and not {meant}"),
                fix: format!("look at it with `clockjack plugins {name}`, and approve what you have looked at"),
            });
        }
        let found: Arc<str> = found.into();
        if let Some(line) = self.lines.get_mut(name) {
            line.history.left.remove(&found);
            line.history.approved.insert(Arc::clone(&found));
        }
        "approved".clone_into(&mut self.cause);
        self.consider().await;
        let line = self.line(name)?;
        if line.current.row.digest == found {
            return Ok(line.view(name, &self.in_force.loaded.manifest));
        }
        let candidate = line.candidate.as_ref();
        Err(Refusal {
            code: "plugin.refused",
            message: candidate.map_or_else(
                || format!("plugin `{name}` could not be changed now"),
                |found| format!("the file was approved and still cannot be used: {}", found.reason),
            ),
            fix: candidate.map_or("see the log of the host".to_owned(), |found| found.fix.clone()),
        })
    }

    /// Goes back to an earlier generation.
    pub(super) async fn roll_back(
        &mut self,
        name: &PluginName,
        to: Option<u32>,
        because: &str,
    ) -> Result<PluginView, Refusal> {
        let before = Arc::clone(&self.line(name)?.current);
        let target = self.target(name, to).await?;
        let jobs = self.fitting(name, &target).await?;
        let now = self.now();
        let cause = format!("rolled back from {}", before.row.number);
        // Whoever goes back to it says that it is good.
        let row = GenerationRow { since: now, cause: cause.into(), unproven: false, left: None, ..target.row.clone() };
        let left = self.line(name)?.left(because, now);
        let kept = self.keep_rows(vec![left.clone(), row.clone()]).await;
        kept.map_err(|why| Refusal {
            code: "ledger.unavailable",
            message: format!("nothing was rolled back, because it could not be recorded: {why}"),
            fix: "see to the disk of the ledger, and ask again".to_owned(),
        })?;
        let number = row.number;
        let digest = Arc::clone(&row.digest);
        let manifest = &self.in_force.loaded.manifest;
        let prepared = jobs.into_iter().map(|job| load::prepared(manifest, job, number)).collect();
        self.parts.executor.put_all(prepared);
        let changes = self.users(name).map(|job| CodeChange { job, generation: number }).collect();
        if let Some(line) = self.lines.get_mut(name) {
            line.go_back(Arc::new(Generation { row, plugin: Arc::clone(&target.plugin) }), left);
        }
        self.listen();
        self.parts.host.code_changed(changes).await;
        self.note(PluginNews {
            plugin: name.clone(),
            kind: PluginNewsKind::RolledBack { before: before.row.number },
            digest: Some(digest),
            generation: number,
            reason: because.to_owned(),
            fix: "mend the file; it is loaded when its bytes change, or with `clockjack plugins approve`".to_owned(),
            difference: Some(super::difference::difference(&before.plugin, &target.plugin)),
        });
        // The file that is there is told as what it is now.
        self.consider().await;
        Ok(self.line(name)?.view(name, &self.in_force.loaded.manifest))
    }

    /// The generation to go back to: from memory, or from the bytes that were kept.
    async fn target(&self, name: &PluginName, to: Option<u32>) -> Result<Arc<Generation>, Refusal> {
        let line = self.line(name)?;
        let current = line.current.row.number;
        let none = || Refusal {
            code: "plugin.no_such_generation",
            message: match to {
                Some(number) if number == current => format!("plugin `{name}` runs generation {number} already"),
                Some(number) => format!("plugin `{name}` has no generation {number} that is kept"),
                None => format!("plugin `{name}` has no earlier generation that is kept and known to be good"),
            },
            fix: format!("`clockjack plugins {name}` lists those that are kept; `keep` of the plugin says how many"),
        };
        let row = line.target(to).cloned().ok_or_else(none)?;
        if let Some(kept) = line.kept.iter().find(|kept| kept.row.number == row.number) {
            return Ok(Arc::clone(kept));
        }
        let manifest = &self.in_force.loaded.manifest;
        let plugin = manifest.plugins.get(name).ok_or_else(none)?;
        let (errand, sandbox) = (Errand::of(manifest, plugin), self.parts.sandbox.clone());
        let digest = Arc::clone(&row.digest);
        let loaded = self.desk.run(move || from_store(&digest, errand.is_metered, &sandbox)).await;
        let plugin = loaded.ok().flatten().ok_or_else(|| Refusal {
            code: "plugin.no_such_generation",
            message: format!("the code of generation {} of plugin `{name}` is not in the cache any more", row.number),
            fix: format!("name another one with `--to`; `clockjack plugins {name}` lists them"),
        })?;
        Ok(Arc::new(Generation { row, plugin: Arc::new(plugin) }))
    }

    /// The jobs of a plugin with other code of it.
    async fn fitting(&self, name: &PluginName, target: &Arc<Generation>) -> Result<Vec<PreparedJob>, Refusal> {
        let (set, name, plugin) = (Arc::clone(&self.in_force), name.clone(), Arc::clone(&target.plugin));
        let is_approved = target.row.approved;
        let fits = self.desk.run(move || load::prepare_jobs(&set.loaded.manifest, &name, &plugin, is_approved)).await;
        let refused = |message: String, fix: String| Refusal { code: "plugin.refused", message, fix };
        match fits {
            Ok(Ok(jobs)) => Ok(jobs),
            Ok(Err((job, problem))) => Err(refused(
                format!("generation {} does not fit job `{job}`: {}", target.row.number, problem.error.message),
                problem.error.fix,
            )),
            Err(error) => Err(refused(error.to_string(), "see the log of the host".to_owned())),
        }
    }

    pub(super) fn line(&self, name: &PluginName) -> Result<&Line, Refusal> {
        self.lines.get(name).ok_or_else(|| {
            if let Some((_, fault)) = self.faulty.values().find(|(faulty, _)| faulty == name) {
                return Refusal {
                    code: "plugin.not_held",
                    message: format!("nothing of plugin `{name}` runs yet: {}", fault.reason),
                    fix: fault.fix.clone(),
                };
            }
            let near = did_you_mean(name.as_str(), self.lines.keys().map(PluginName::as_str));
            Refusal {
                code: "plugin.unknown",
                message: format!("no plugin is named `{name}`"),
                fix: near.map_or("`clockjack plugins` lists them".to_owned(), |near| format!("did you mean `{near}`?")),
            }
        })
    }

    /// Listens to the ends of runs as long as a trial goes on.
    pub(super) fn listen(&mut self) {
        let is_on_trial = self.lines.values().any(|line| line.trial.is_some());
        match (is_on_trial, &self.ends) {
            (true, None) => self.ends = Some(self.parts.host.bus().listen()),
            (false, Some(_)) => self.ends = None,
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// Counts a run that has ended, for the trial of its plugin.
    pub(super) async fn count(&mut self, event: Option<Event>) {
        let Some(Event::RunFinished { run, finish }) = event else { return };
        let manifest = &self.in_force.loaded.manifest;
        let Some(name) = manifest.jobs.get(&run.job).map(|job| job.plugin.clone()) else { return };
        let Some(line) = self.lines.get_mut(&name) else { return };
        let number = line.current.row.number;
        let is_of_trial = finish.report.generation == number && says_something(finish.report.outcome.code);
        let Some(trial) = line.trial.as_mut().filter(|_| is_of_trial) else { return };
        let verdict = trial.count(!finish.report.outcome.code.is_success());
        let (n_failed, n_ended) = (trial.n_failed, trial.n_ended);
        match verdict {
            Verdict::GoesOn => {}
            Verdict::Passed => {
                let reason = format!("{n_failed} of its first {n_ended} runs failed");
                self.passed(name, reason).await;
            }
            Verdict::Failed => {
                line.trial = None;
                let because = format!("{n_failed} of its first {n_ended} runs failed (`canary`)");
                if let Err(refusal) = self.roll_back(&name, None, &because).await {
                    error!(plugin = %name, generation = number, "{because}, and it stays: {}; {}", refusal.message, refusal.fix);
                }
            }
        }
        self.listen();
        self.show();
    }

    /// Notes that what a plugin runs has passed its trial.
    async fn passed(&mut self, name: PluginName, reason: String) {
        let manifest = &self.in_force.loaded.manifest;
        let (Some(line), Some(plugin)) = (self.lines.get_mut(&name), manifest.plugins.get(&name)) else { return };
        line.prove();
        line.go_by(plugin);
        let row = line.current.row.clone();
        let (generation, digest) = (row.number, Some(Arc::clone(&row.digest)));
        if let Err(why) = self.keep_rows(vec![row]).await {
            warn!(
                plugin = %name, generation,
                "it passed its trial, which could not be recorded, so that the next start of the host tries it again: {why}"
            );
        }
        let (kind, fix) = (PluginNewsKind::Passed, String::new());
        self.note(PluginNews { plugin: name, kind, digest, generation, reason, fix, difference: None });
    }
}

/// Whether the end of a run says something about the code: what was ended from outside does not.
fn says_something(code: clockjack_schedule::outcome::OutcomeCode) -> bool {
    use clockjack_schedule::outcome::OutcomeCode::{Cancelled, Interrupted, Lost};
    !matches!(code, Cancelled | Interrupted | Lost)
}
