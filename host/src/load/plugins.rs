//! From a manifest to calls: each plugin is loaded once, each job is checked against it.

use std::{collections::BTreeMap, sync::Arc};

use clockjack_sandbox::{
    Call, CallProblem, CommandInput, CompileBudget, CompileSettings, Compiler, EngineSettings, IsolatedPool, LoadCode,
    LoadError, Part, Plugin, Sandbox, Wanted, Workers,
};
use clockjack_schedule::{
    command::Command,
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
                    let found = origin::findings(manifest, loaded.lock.as_ref(), name, &image);
                    loaded.diagnostics.append(found);
                    loaded.images.insert(name.clone(), image);
                }
                if plugin.is_slow {
                    loaded.diagnostics.push(slow(name, manifest.plugin_span(name, "source")));
                }
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
        let function = job.call.as_deref();
        let folder = manifest.job_folder(&job.id);
        let call = Call::prepare_in(folder, plugin, function, &job.args, &job.limits, &job.grants);
        match with_command(call, plugin, function, job.command.as_deref()) {
            Ok(call) => {
                warn_of_exit_codes(manifest, &job.id, &call, &mut loaded.diagnostics);
                prepared.push(PreparedJob { job: Arc::clone(job), call });
            }
            Err(problems) => loaded.diagnostics.append(at_their_places(manifest, &job.id, &problems)),
        }
    }
    for job in &manifest.broken {
        let Some(plugin) = plugins.get(&job.plugin) else { continue };
        let function = job.call.as_deref();
        let folder = manifest.job_folder(&job.id);
        let call = Call::prepare_in(folder, plugin, function, &job.args, &job.limits, &job.grants);
        if let Err(problems) = with_command(call, plugin, function, job.command.as_deref()) {
            loaded.diagnostics.append(at_their_places(manifest, &job.id, &problems));
        }
    }
    (plugins.into_iter().collect(), prepared)
}

/// A plugin runs, but not as fast as it could.
fn slow(name: &PluginName, span: Span) -> Diagnostic {
    let message = format!("plugin `{name}`: compiling it with optimisations costs too much, so it runs without any");
    Diagnostic::warning("load.slow", span, message).fix("make its largest functions smaller")
}

/// A call with what only a command has. All that is wrong with both is told at once.
///
/// # Errors
/// Everything that is wrong.
pub fn with_command(
    call: Result<Call, Vec<CallProblem>>,
    plugin: &Plugin,
    function: Option<&str>,
    command: Option<&Command>,
) -> Result<Call, Vec<CallProblem>> {
    let Some(command) = command else { return call };
    match (call, CommandInput::read(plugin, function, command)) {
        (Ok(call), Ok(input)) => Ok(call.with_command(input)),
        (Err(problems), Ok(_)) | (Ok(_), Err(problems)) => Err(problems),
        (Err(first), Err(second)) => Err(first.into_iter().chain(second).collect()),
    }
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
