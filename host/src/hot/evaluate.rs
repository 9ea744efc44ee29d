//! Whether a manifest and the files of its plugins fit together, and what of them is to be in force. It changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use clockjack_sandbox::{CallProblem, Imports, LoadError, Plugin, check_digest};
use clockjack_schedule::{
    diagnostic::Diagnostics,
    id::{JobId, PluginName},
    manifest::{
        resolved::{self, Manifest},
        source::Source,
    },
};

use super::{
    difference::difference,
    files::{Examined, Files},
    line::{Generation, History, Line},
    view::{CandidateState, CandidateView, Difference},
};
use crate::load::{self, Loaded, PreparedJob};

/// What of a plugin's past matters here.
#[derive(Clone, Default)]
pub(super) struct Standing {
    /// What is in force, and where its file is.
    pub(super) current: Option<(Source, Arc<Generation>)>,
    pub(super) approved: BTreeSet<Arc<str>>,
    pub(super) left: BTreeSet<Arc<str>>,
}

impl Standing {
    pub(super) fn of(line: &Line) -> Self {
        Self { current: Some((line.source.clone(), Arc::clone(&line.current))), ..Self::past(&line.history) }
    }

    /// Of a plugin that runs nothing.
    pub(super) fn past(history: &History) -> Self {
        Self { current: None, approved: history.approved.clone(), left: history.left.clone() }
    }

    /// What runs, where it is from that place.
    fn current(&self, source: &Source) -> Option<&Arc<Generation>> {
        self.current.as_ref().filter(|(place, _)| place == source).map(|(_, generation)| generation)
    }
}

/// What is to be in force.
pub(super) struct Evaluation {
    /// What each plugin runs.
    pub(super) choices: BTreeMap<PluginName, Choice>,
    /// The jobs whose definition or code is another one than before.
    pub(super) jobs: Vec<PreparedJob>,
    /// What is wrong with the manifest. With an error nothing of this may be in force.
    pub(super) diagnostics: Diagnostics,
    /// The plugins whose files have to be read first.
    pub(super) waiting: BTreeSet<PluginName>,
}

/// What a plugin runs.
pub(super) enum Choice {
    /// What it ran before. There may be a file that is not in force.
    Stay(Option<Candidate>),
    /// Other code.
    Take {
        plugin: Arc<Plugin>,
        /// How it differs from what ran before.
        difference: Option<Difference>,
    },
}

/// A file that is not to be in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) state: CandidateState,
    pub(super) digest: Option<Arc<str>>,
    pub(super) n_bytes: Option<u64>,
    pub(super) code: Option<String>,
    pub(super) reason: String,
    pub(super) fix: String,
    pub(super) difference: Option<Difference>,
}

impl Candidate {
    fn refused(error: &LoadError, digest: Option<Arc<str>>, n_bytes: Option<u64>) -> Self {
        Self {
            state: CandidateState::Refused,
            digest,
            n_bytes,
            code: Some(error.code.as_str().to_owned()),
            reason: error.message.clone(),
            fix: error.fix.clone(),
            difference: None,
        }
    }

    fn of(state: CandidateState, plugin: &Plugin, before: &Plugin) -> Self {
        Self {
            state,
            digest: Some(Arc::clone(&plugin.digest)),
            n_bytes: Some(plugin.n_bytes),
            code: None,
            reason: String::new(),
            fix: String::new(),
            difference: Some(difference(before, plugin)),
        }
    }
}

/// What is held against each other.
pub(super) struct Question<'q> {
    pub(super) loaded: &'q Loaded,
    /// What is in force now, where that is something: jobs that are the same in both are not prepared anew.
    pub(super) before: Option<&'q Manifest>,
    pub(super) files: &'q Files,
    pub(super) standings: &'q BTreeMap<PluginName, Standing>,
}

/// The jobs of one plugin, prepared, with what is wrong with them.
#[derive(Default)]
struct Fit {
    jobs: Vec<PreparedJob>,
    problems: Vec<(JobId, CallProblem)>,
    warnings: Diagnostics,
}

impl Evaluation {
    fn wait_for(&mut self, name: &PluginName) {
        self.waiting.insert(name.clone());
    }

    fn add(&mut self, name: &PluginName, fit: Fit, choice: Choice) {
        self.diagnostics.append(fit.warnings);
        self.jobs.extend(fit.jobs);
        self.choices.insert(name.clone(), choice);
    }
}

/// Answers.
pub(super) fn evaluate(question: &Question<'_>) -> Evaluation {
    let mut evaluation = Evaluation {
        choices: BTreeMap::new(),
        jobs: Vec::new(),
        diagnostics: Diagnostics::default(),
        waiting: BTreeSet::new(),
    };
    for (name, plugin) in &question.loaded.manifest.plugins {
        question.choose(name, plugin, &mut evaluation);
    }
    evaluation
}

impl Question<'_> {
    fn choose(&self, name: &PluginName, plugin: &resolved::Plugin, evaluation: &mut Evaluation) {
        let none = Standing::default();
        let standing = self.standings.get(name).unwrap_or(&none);
        let old = standing.current(&plugin.source);
        let examined = self.files.get(&plugin.source);
        let pinned = load::pinned(self.loaded.lock.as_ref(), plugin);
        let pinned_otherwise = |digest: &str| match &pinned {
            Err(error) => Some(error.clone()),
            Ok(pin) => check_digest(digest, pin.as_deref()).err(),
        };
        let uploaded = load::upload_of(&self.loaded.placed, name, &plugin.source);
        let is_another = |digest: &str| uploaded.and_then(|upload| upload.misfit(digest));
        let (candidate, blame) = match examined {
            None if old.is_none() => return evaluation.wait_for(name),
            None => (None, Blame::Nothing),
            Some(Examined::Unusable { digest, n_bytes, error }) => {
                (Some(Candidate::refused(error, digest.clone(), *n_bytes)), Blame::File(error.clone()))
            }
            // The same code again, but for one that now counts instructions, too.
            Some(Examined::Ready(new)) if old.is_some_and(|old| is_covered(new, &old.plugin)) => (None, Blame::Nothing),
            Some(Examined::Ready(new)) => {
                match (pinned_otherwise(&new.digest).or_else(|| is_another(&new.digest)), old) {
                    (Some(error), _) => {
                        let refused = Candidate::refused(&error, Some(Arc::clone(&new.digest)), Some(new.n_bytes));
                        (Some(refused), Blame::File(error))
                    }
                    (None, Some(old)) if standing.left.contains(&new.digest) => {
                        (Some(rolled_back(name, new, old)), Blame::Nothing)
                    }
                    (None, _) => {
                        let is_approved = standing.approved.contains(&new.digest);
                        let fit = self.fit(name, new, is_approved, &|_| false);
                        if fit.problems.is_empty() {
                            evaluation.diagnostics.extend(load::slow(&self.loaded.manifest, name, new));
                            let difference = old.map(|old| difference(&old.plugin, new));
                            let choice = Choice::Take { plugin: Arc::clone(new), difference };
                            return evaluation.add(name, fit, choice);
                        }
                        (old.map(|old| misfit(name, new, &old.plugin, &fit.problems)), Blame::Jobs(fit.problems))
                    }
                }
            }
        };
        // A pin of what was rolled back does not speak against what runs in its place.
        let is_pin_left = matches!(&pinned, Ok(Some(pin)) if standing.left.contains(pin.as_str()));
        // What is in force stays, if it may.
        let Some(old) = old else { return self.blame(name, blame, evaluation) };
        let is_unread = examined.is_none();
        let is_approved = standing.approved.contains(&old.row.digest);
        let fit = self.fit(name, &old.plugin, is_approved, &|job| self.is_untouched(job));
        let refused = match pinned_otherwise(&old.row.digest) {
            Some(error) if !is_pin_left => Blame::File(error),
            _ if !fit.problems.is_empty() => Blame::Jobs(fit.problems),
            _ => return evaluation.add(name, fit, Choice::Stay(candidate)),
        };
        if is_unread {
            // The new file may be what the manifest wants.
            return evaluation.wait_for(name);
        }
        self.blame(name, blame.or(refused), evaluation);
    }

    /// Whether a job is the same in the manifest that is in force, and so has its call already.
    fn is_untouched(&self, job: &JobId) -> bool {
        let Some(before) = self.before else { return false };
        let manifest = &self.loaded.manifest;
        let same_folder = || before.job_folder(job) == manifest.job_folder(job);
        before.jobs.get(job).is_some_and(|before| manifest.jobs.get(job) == Some(before)) && same_folder()
    }

    /// Prepares the jobs of a plugin, but for those that need nothing new.
    fn fit(&self, name: &PluginName, plugin: &Arc<Plugin>, is_approved: bool, skip: &dyn Fn(&JobId) -> bool) -> Fit {
        let manifest = &self.loaded.manifest;
        let imports = if is_approved { Imports::Approved } else { Imports::Granted };
        let mut fit = Fit::default();
        for job in manifest.jobs.values().filter(|job| job.plugin == *name && !skip(&job.id)) {
            match load::prepare_job(manifest, job, plugin, imports, &mut fit.warnings) {
                Ok(prepared) => fit.jobs.push(prepared),
                Err(problems) => fit.problems.extend(problems.into_iter().map(|problem| (job.id.clone(), problem))),
            }
        }
        fit
    }

    /// Says what is wrong with the manifest because of a plugin.
    fn blame(&self, name: &PluginName, blame: Blame, evaluation: &mut Evaluation) {
        let manifest = &self.loaded.manifest;
        match blame {
            Blame::Nothing => {}
            Blame::File(error) => evaluation.diagnostics.push(load::plugin_finding(manifest, name, &error)),
            Blame::Jobs(problems) => {
                for (job, problem) in problems {
                    evaluation.diagnostics.append(load::job_findings(manifest, &job, &[problem]));
                }
            }
        }
    }
}

fn is_covered(new: &Plugin, old: &Plugin) -> bool {
    new.digest == old.digest && (old.is_metered() || !new.is_metered())
}

/// Why a plugin cannot run as the manifest wants it.
enum Blame {
    Nothing,
    File(LoadError),
    Jobs(Vec<(JobId, CallProblem)>),
}

impl Blame {
    /// What is said of the new file comes before what is said of the old one.
    /// This, or where it is nothing the other.
    fn or(self, other: Self) -> Self {
        if matches!(self, Self::Nothing) { other } else { self }
    }
}

fn rolled_back(name: &PluginName, new: &Arc<Plugin>, old: &Generation) -> Candidate {
    Candidate {
        reason: "this file was in force and was rolled back".to_owned(),
        fix: format!("mend the file; or put it in force again with `clockjack plugins approve {name}`"),
        ..Candidate::of(CandidateState::RolledBack, new, &old.plugin)
    }
}

/// A file that its jobs do not fit: one that only asks for more than it is granted is held.
fn misfit(name: &PluginName, new: &Arc<Plugin>, before: &Plugin, problems: &[(JobId, CallProblem)]) -> Candidate {
    let is_held = problems.iter().all(|(_, problem)| problem.is_missing_grant());
    let state = if is_held { CandidateState::Held } else { CandidateState::Refused };
    // What cannot be approved says more.
    let telling = problems.iter().find(|(_, problem)| !problem.is_missing_grant()).or(problems.first());
    let Some((job, problem)) = telling else { return Candidate::of(state, new, before) };
    let others = match problems.len() - 1 {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    };
    let fix = if is_held {
        format!("{}; or let it run without that with `clockjack plugins approve {name}`", problem.error.fix)
    } else {
        problem.error.fix.clone()
    };
    Candidate {
        code: Some(problem.error.code.as_str().to_owned()),
        reason: format!("job `{job}`: {}{others}", problem.error.message),
        fix,
        ..Candidate::of(state, new, before)
    }
}

impl Candidate {
    /// The same for showing, as seen since then.
    pub(super) fn into_view(self, since: DateTime<Utc>) -> CandidateView {
        let Self { state, digest, n_bytes, code, reason, fix, difference } = self;
        let digest = digest.map(|digest| digest.to_string());
        CandidateView { state, digest, n_bytes, since, code, reason, fix, difference }
    }
}
