//! From a manifest to calls: each plugin is loaded once, each job is checked against it.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use clockjack_sandbox::{Call, CallProblem, EngineSettings, LoadCode, LoadError, Part, Plugin, Sandbox};
use clockjack_schedule::{
    diagnostic::{Diagnostic, Diagnostics, Span},
    id::{JobId, PluginName},
    job::{Ceilings, Job, TABLE_ELEMENTS_MAX},
    manifest::resolved,
};

use super::{Loaded, secrets::HostVault};

/// A job with the call that it makes.
pub struct PreparedJob {
    /// The definition.
    pub job: Arc<Job>,
    /// What it runs.
    pub call: Call,
}

/// A sandbox that is large enough for the jobs of a manifest.
///
/// # Errors
/// When no engine can be set up.
pub fn sandbox_for(ceilings: &Ceilings, n_slots: u32) -> Result<Sandbox, LoadError> {
    let sandbox = Sandbox::new(EngineSettings {
        n_slots,
        memory_bytes_max: ceilings.memory_bytes_max,
        table_elements_max: TABLE_ELEMENTS_MAX,
    })?;
    Ok(sandbox.with_vault(Arc::new(HostVault)))
}

pub(super) fn prepare(loaded: &mut Loaded, sandbox: &Sandbox) -> (Vec<(PluginName, Arc<Plugin>)>, Vec<PreparedJob>) {
    let mut plugins = BTreeMap::new();
    let manifest = &loaded.manifest;
    for (name, plugin) in &manifest.plugins {
        let metered = manifest.jobs.values().any(|job| job.plugin == *name && job.limits.fuel.is_some());
        match load(sandbox, plugin, metered) {
            Ok(plugin) => {
                plugins.insert(name.clone(), Arc::new(plugin));
            }
            Err(error) => {
                let key = if error.code == LoadCode::Digest { "sha256" } else { "source" };
                let span = manifest.plugin_span(name, key);
                loaded.diagnostics.push(diagnostic(&error, span, &format!("plugin `{name}`: ")));
            }
        }
    }
    let mut prepared = Vec::new();
    for job in manifest.jobs.values() {
        // A job whose plugin could not be loaded waits for that to be mended; one fault is told once.
        let Some(plugin) = plugins.get(&job.plugin) else { continue };
        match Call::prepare_in(
            manifest.job_folder(&job.id),
            plugin,
            job.call.as_deref(),
            &job.args,
            &job.limits,
            &job.grants,
        ) {
            Ok(call) => prepared.push(PreparedJob { job: Arc::clone(job), call }),
            Err(problems) => loaded.diagnostics.append(at_their_places(manifest, &job.id, &problems)),
        }
    }
    for job in &manifest.broken {
        let Some(plugin) = plugins.get(&job.plugin) else { continue };
        if let Err(problems) = Call::prepare_in(
            manifest.job_folder(&job.id),
            plugin,
            job.call.as_deref(),
            &job.args,
            &job.limits,
            &job.grants,
        ) {
            loaded.diagnostics.append(at_their_places(manifest, &job.id, &problems));
        }
    }
    (plugins.into_iter().collect(), prepared)
}

fn load(sandbox: &Sandbox, plugin: &resolved::Plugin, metered: bool) -> Result<Plugin, LoadError> {
    let sha256 = plugin.sha256.as_ref().map(ToString::to_string);
    Plugin::load(sandbox, Path::new(&plugin.source), sha256.as_deref(), metered)
}

fn at_their_places(manifest: &resolved::Manifest, job: &JobId, problems: &[CallProblem]) -> Diagnostics {
    let mut diagnostics = Diagnostics::default();
    for problem in problems {
        let span = match problem.part {
            Part::Key => manifest.job_key_span(job, &problem.path),
            Part::Value => manifest.job_span(job, &problem.path),
        };
        diagnostics.push(diagnostic(&problem.error, span, &format!("job `{job}`: ")));
    }
    diagnostics
}

fn diagnostic(error: &LoadError, span: Span, subject: &str) -> Diagnostic {
    Diagnostic::error(error.code.as_str(), span, format!("{subject}{}", error.message)).fix(error.fix.clone())
}
