//! A manifest is read again while the host runs: all of it or nothing, and only what is different changes.

use std::sync::Arc;

use clockjack_sandbox::SandboxExecutor;
use clockjack_schedule::{
    job::Job,
    manifest::diff::{Diff, diff},
};
use tracing::{error, info, warn};

use super::{diagnostics, up};
use crate::{
    load::{self, Loaded, PreparedJob},
    shell::Host,
};

/// Gives the executor what jobs run, and answers the jobs.
pub(super) fn put(executor: &SandboxExecutor, jobs: Vec<PreparedJob>) -> Vec<Arc<Job>> {
    let put = |PreparedJob { job, call }| {
        executor.put(job.id.clone(), call, job.zone.name().into(), job.labels.clone());
        job
    };
    jobs.into_iter().map(put).collect()
}

/// Reads the manifest again. Whatever is wrong with it, what is in force stays in force.
pub(super) async fn reload(scene: &mut up::Scene<'_>, host: &Host, executor: &SandboxExecutor) -> anyhow::Result<()> {
    let (files, zones, sandbox) = (scene.args.manifests.files.clone(), scene.zones.clone(), scene.sandbox.clone());
    // Plugins are compiled elsewhere: slots that are due meanwhile start on time.
    let read = tokio::task::spawn_blocking(move || {
        let mut loaded = load::manifest(&files, &zones);
        let (_, jobs) = load::jobs(&mut loaded, &sandbox);
        loaded.diagnostics.sort();
        (loaded, jobs)
    });
    let (loaded, jobs) = read.await?;
    up::tell_findings(&loaded, scene.args.log_format);
    if loaded.diagnostics.has_errors() {
        error!("not reloaded, the jobs stay as they are: {}", diagnostics::summary(loaded.diagnostics.all()));
        return Ok(());
    }
    let Loaded { manifest, .. } = loaded;
    let change = diff(&scene.manifest, &manifest);
    if !change.stores.is_empty() {
        error!("not reloaded, the jobs stay as they are: `stores` has changed, which needs a restart");
        return Ok(());
    }
    if let Err(error) = scene.ledger.route(&manifest).await {
        error!("not reloaded, the jobs stay as they are: {error}");
        return Ok(());
    }
    put(executor, jobs);
    let definition = |id| manifest.jobs.get(id).map(Arc::clone);
    let added = change.jobs.added.iter().filter_map(definition).collect();
    let changed = change.jobs.changed.iter().filter_map(definition).collect();
    host.resize(manifest.pools.clone()).await;
    if let Err(error) = host.change(added, changed, change.jobs.removed.clone()).await {
        warn!("not reloaded: {error}");
        return Ok(());
    }
    tell(&change);
    scene.manifest = manifest;
    Ok(())
}

fn tell(change: &Diff) {
    let jobs = &change.jobs;
    let (added, changed, removed) = (jobs.added.len(), jobs.changed.len(), jobs.removed.len());
    info!(added, changed, removed, untouched = jobs.untouched.len(), "manifest reloaded");
}
