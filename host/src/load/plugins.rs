//! From a manifest to calls: each plugin is loaded once, each job is checked against it.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use clockjack_sandbox::{
    Call, CallProblem, CompileBudget, CompileSettings, Compiler, EngineSettings, Imports, IsolatedPool, LoadCode,
    LoadError, Part, Plugin, Prepared, Recipe, Sandbox, Wanted, Workers,
};
use clockjack_schedule::{
    diagnostic::{Diagnostic, Diagnostics, Span},
    id::{JobId, PluginName, PoolName},
    job::{Ceilings, Job, TABLE_ELEMENTS_MAX},
    manifest::{node::Node, resolved},
};

use super::{
    Loaded,
    origin::{self, Origin},
    provenance::Lock,
    secrets::HostVault,
};
use crate::settings;

/// A job with the call that it makes.
pub struct PreparedJob {
    /// The definition.
    pub job: Arc<Job>,
    /// Where relative paths of files in its arguments start.
    pub folder: Arc<Path>,
    /// What it runs.
    pub call: Call,
}

/// A sandbox that is large enough for the jobs of a manifest.
///
/// # Errors
/// When no engine can be set up.
pub fn sandbox_for(ceilings: &Ceilings, n_slots: u32) -> Result<Sandbox, LoadError> {
    let budget = compile_budget(ceilings);
    let compiler = Compiler::Child(settings::program());
    sandbox_with(ceilings, n_slots, CompileSettings { compiler, cache: settings::cache_directory(), budget })
}

/// What compiling one plugin may cost.
#[must_use]
pub fn compile_budget(ceilings: &Ceilings) -> CompileBudget {
    CompileBudget { cpu_time_max: ceilings.compile_cpu_time, memory_bytes_max: ceilings.compile_memory_bytes }
}

/// The same for programs that are not `clockjack` itself: they say how plugins are compiled, for example in their own
/// process.
///
/// # Errors
/// When no engine can be set up.
pub fn sandbox_with(ceilings: &Ceilings, n_slots: u32, compile: CompileSettings) -> Result<Sandbox, LoadError> {
    let sandbox = Sandbox::new(EngineSettings {
        n_slots,
        memory_bytes_max: ceilings.memory_bytes_max,
        table_elements_max: TABLE_ELEMENTS_MAX,
        scratch: settings::temporary_directory(),
        compile,
    })?;
    Ok(sandbox.with_vault(Arc::new(HostVault)))
}

/// The processes of isolated pools: this program again, which trusts the certificates that this one does.
#[must_use]
pub fn workers() -> Workers {
    Workers::new(settings::program(), settings::certificates())
}

/// The pool of a job, where its attempts have processes of their own.
#[must_use]
pub fn isolated_pool(manifest: &resolved::Manifest, pool: &PoolName) -> Option<IsolatedPool> {
    let size = *manifest.pools.get(pool).filter(|_| manifest.isolated.contains(pool))?;
    Some(IsolatedPool { name: pool.clone(), size })
}

pub(super) fn prepare(loaded: &mut Loaded, sandbox: &Sandbox) -> (Vec<(PluginName, Arc<Plugin>)>, Vec<PreparedJob>) {
    let mut plugins = BTreeMap::new();
    let manifest = &loaded.manifest;
    for (name, plugin) in &manifest.plugins {
        let metered = manifest.jobs.values().any(|job| job.plugin == *name && job.limits.fuel.is_some());
        match load(sandbox, &manifest.host, loaded.lock.as_ref(), plugin, metered) {
            Ok(Origin { plugin, image }) => {
                if let Some(image) = image {
                    loaded.diagnostics.extend(origin::stale(manifest, name, &image));
                    loaded.images.insert(name.clone(), image);
                }
                loaded.diagnostics.extend(slow(manifest, name, &plugin));
                plugins.insert(name.clone(), Arc::new(plugin));
            }
            Err(error) => loaded.diagnostics.push(plugin_finding(manifest, name, &error)),
        }
    }
    let mut prepared = Vec::new();
    for job in manifest.jobs.values() {
        // A job whose plugin could not be loaded waits for that to be mended; one fault is told once.
        let Some(plugin) = plugins.get(&job.plugin) else { continue };
        match prepare_job(manifest, job, plugin, Imports::Granted, &mut loaded.diagnostics) {
            Ok(job) => prepared.push(job),
            Err(problems) => loaded.diagnostics.append(job_findings(manifest, &job.id, &problems)),
        }
    }
    for job in &manifest.broken {
        let Some(plugin) = plugins.get(&job.plugin) else { continue };
        let recipe = Recipe {
            folder: manifest.job_folder(&job.id),
            function: job.call.as_deref(),
            args: &job.args,
            command: job.command.as_deref(),
            limits: &job.limits,
            grants: &job.grants,
        };
        if let Err(problems) = recipe.prepare(plugin, Imports::Granted) {
            loaded.diagnostics.append(job_findings(manifest, &job.id, &problems));
        }
    }
    (plugins.into_iter().collect(), prepared)
}

/// Prepares one job with one plugin.
///
/// # Errors
/// Everything that is wrong with it.
pub fn prepare_job(
    manifest: &resolved::Manifest,
    job: &Arc<Job>,
    plugin: &Arc<Plugin>,
    imports: Imports,
    warnings: &mut Diagnostics,
) -> Result<PreparedJob, Vec<CallProblem>> {
    let folder = manifest.job_folder(&job.id);
    let call = Recipe::of(job, folder).prepare(plugin, imports)?;
    warn_of_exit_codes(manifest, &job.id, &call, warnings);
    Ok(PreparedJob { job: Arc::clone(job), folder: folder.into(), call })
}

/// Prepares all jobs of a plugin.
///
/// # Errors
/// The first thing that is wrong with one of them.
pub fn prepare_jobs(
    manifest: &resolved::Manifest,
    name: &PluginName,
    plugin: &Arc<Plugin>,
    is_approved: bool,
) -> Result<Vec<PreparedJob>, (JobId, CallProblem)> {
    let imports = if is_approved { Imports::Approved } else { Imports::Granted };
    let jobs = manifest.jobs.values().filter(|job| job.plugin == *name);
    let prepare = |job: &Arc<Job>| {
        let prepared = prepare_job(manifest, job, plugin, imports, &mut Diagnostics::default());
        prepared.map_err(|problems| problems.into_iter().next().map(|problem| (job.id.clone(), problem)))
    };
    let prepared: Result<Vec<_>, Option<_>> = jobs.map(prepare).collect();
    prepared.or_else(|problem| problem.map_or(Ok(Vec::new()), Err))
}

/// A prepared job for the executor.
#[must_use]
pub fn prepared(manifest: &resolved::Manifest, job: PreparedJob, generation: u32) -> Prepared {
    let PreparedJob { job, folder, call } = job;
    let isolated = isolated_pool(manifest, &job.pool);
    Prepared::new(job, folder, Arc::new(call), generation, isolated)
}

/// What is wrong with a plugin, where the manifest names it.
#[must_use]
pub fn plugin_finding(manifest: &resolved::Manifest, name: &PluginName, error: &LoadError) -> Diagnostic {
    let key = if error.code == LoadCode::Digest { "sha256" } else { "source" };
    let span = manifest.plugin_span(name, key);
    // Nothing is written of a component in a directory: its place does not say which file it is.
    let file = manifest.plugins.get(name).and_then(|plugin| plugin.source.file()).filter(|_| span.start == span.end);
    let subject = match file {
        Some(file) => format!("plugin `{name}` (`{}`): ", file.display()),
        None => format!("plugin `{name}`: "),
    };
    diagnostic(error, span, &subject)
}

/// A plugin runs, but not as fast as it could.
pub fn slow(manifest: &resolved::Manifest, name: &PluginName, plugin: &Plugin) -> Option<Diagnostic> {
    let message = format!("plugin `{name}`: compiling it with optimisations costs too much, so it runs without any");
    let warning = Diagnostic::warning("load.slow", manifest.plugin_span(name, "source"), message);
    plugin.is_slow.then(|| warning.fix("make its largest functions smaller"))
}

/// `exit_codes` of a function change nothing. Those of the defaults are meant for others.
fn warn_of_exit_codes(manifest: &resolved::Manifest, job: &JobId, call: &Call, diagnostics: &mut Diagnostics) {
    let is_written =
        manifest.job_node(job).and_then(Node::as_map).unwrap_or_default().iter().any(|e| e.key == "exit_codes");
    if call.function().is_command() || !is_written {
        return;
    }
    let message = format!("job `{job}`: `exit_codes` changes nothing: `{}` is a function", call.function().name);
    let warning = Diagnostic::warning("manifest.no_effect", manifest.job_key_span(job, "exit_codes"), message);
    let fix = "remove it; the cases `permanent`, `retry`, `retry-after` and `skipped` of its error type say the same";
    diagnostics.push(warning.fix(fix));
}

fn load(
    sandbox: &Sandbox,
    host: &resolved::HostSettings,
    lock: Option<&Lock>,
    plugin: &resolved::Plugin,
    metered: bool,
) -> Result<Origin, LoadError> {
    let sha256 = pinned(lock, plugin)?;
    let wanted = Wanted { sha256: sha256.as_deref(), keys: origin::keys_of(host, &plugin.source) };
    origin::load(sandbox, &plugin.source, wanted, metered)
}

/// The digest that a plugin must have. With `--locked` there has to be one, or that of an image.
///
/// # Errors
/// When there is none, or two that differ.
pub fn pinned(lock: Option<&Lock>, plugin: &resolved::Plugin) -> Result<Option<String>, LoadError> {
    let written = plugin.sha256.as_ref().map(ToString::to_string);
    let Some(lock) = lock else { return Ok(written) };
    let refused = |message: String, fix: &str| LoadError { code: LoadCode::Digest, message, fix: fix.to_owned() };
    let path = lock.path().display();
    let again = "if you trust the files as they are, run `clockjack lock` on the manifest and commit what it wrote";
    match (written, lock.pin(plugin.name.as_str())) {
        (Some(written), Some(pin)) if !written.eq_ignore_ascii_case(&pin.sha256) => {
            Err(refused(format!("the manifest pins {written}, and `{path}` pins {}", pin.sha256), again))
        }
        (_, Some(pin)) => Ok(Some(pin.sha256.clone())),
        (Some(written), None) => Ok(Some(written)),
        (None, None) if plugin.source.oci().is_some_and(|reference| reference.digest().is_some()) => Ok(None),
        (None, None) => Err(refused(
            format!("`--locked` runs what is pinned, and neither the manifest (`sha256`) nor `{path}` pins it"),
            again,
        )),
    }
}

/// What is wrong with a job's call, where the manifest has it.
#[must_use]
pub fn job_findings(manifest: &resolved::Manifest, job: &JobId, problems: &[CallProblem]) -> Diagnostics {
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
