//! A manifest is read again while the host runs: all of it or nothing, and only what is different changes.

use std::sync::Arc;

use anyhow::Context as _;
use clockjack_sandbox::{Prepared, SandboxExecutor};
use clockjack_schedule::{
    job::Job,
    manifest::{
        diff::{Diff, diff},
        resolved::Manifest,
    },
};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::{diagnostics, up};
use crate::{
    load::{self, Loaded, PreparedJob, secrets::Missing},
    shell::Host,
};

/// Gives the executor what jobs run, and answers the jobs.
pub(super) fn put(executor: &SandboxExecutor, jobs: Vec<PreparedJob>, manifest: &Manifest) -> Vec<Arc<Job>> {
    let definitions = jobs.iter().map(|prepared| Arc::clone(&prepared.job)).collect();
    let prepared = jobs.into_iter().map(|PreparedJob { job, folder, call }| {
        let isolated = load::isolated_pool(manifest, &job.pool);
        Prepared::new(job, folder, Arc::new(call), 1, isolated)
    });
    executor.put_all(prepared.collect());
    definitions
}

/// A manifest that is being read, with the calls of its jobs.
pub(super) type Reading = JoinHandle<anyhow::Result<(Loaded, Vec<PreparedJob>)>>;

/// Reads the manifest again, on a thread of its own: slots that are due meanwhile start on time.
pub(super) fn read(scene: &up::Scene<'_>) -> Reading {
    let (files, zones, sandbox) = (scene.args.manifests.files.clone(), scene.zones.clone(), scene.sandbox.clone());
    let (locked, ledger) = (scene.args.pins.locked, scene.args.ledger.clone());
    tokio::task::spawn_blocking(move || {
        let loaded = load::manifest(&files, &zones).held_to_pins(locked, &files)?;
        let mut loaded = loaded.recorded_in(ledger.as_ref());
        let sandbox = sandbox.with_compile_budget(load::compile_budget(&loaded.manifest.host.ceilings));
        let (_, jobs) = load::jobs(&mut loaded, &sandbox);
        load::secrets::check(&mut loaded, None, Missing::Error);
        loaded.diagnostics.sort();
        Ok((loaded, jobs))
    })
}

/// The end of a reading; never where nothing is being read. Cancel-safe.
pub(super) async fn end_of(reading: &mut Option<Reading>) -> anyhow::Result<(Loaded, Vec<PreparedJob>)> {
    let Some(handle) = reading.as_mut() else { return std::future::pending().await };
    let read = handle.await;
    *reading = None;
    read.context("a fault of the program while it read the manifest again")?
}

/// Puts what was read in force. Whatever is wrong with it, what is in force stays in force.
pub(super) async fn apply(
    read: anyhow::Result<(Loaded, Vec<PreparedJob>)>,
    scene: &mut up::Scene<'_>,
    host: &Host,
    executor: &SandboxExecutor,
) {
    let (loaded, jobs) = match read {
        Ok(read) => read,
        Err(error) => return error!("not reloaded, the jobs stay as they are: {error:#}"),
    };
    up::tell_findings(&loaded, scene.args.log_format);
    if loaded.diagnostics.has_errors() {
        let summary = diagnostics::summary(loaded.diagnostics.all());
        return error!("not reloaded, the jobs stay as they are: {summary}");
    }
    let Loaded { manifest, .. } = loaded;
    let change = diff(&scene.manifest, &manifest);
    if !change.stores.is_empty() {
        return error!("not reloaded, the jobs stay as they are: `stores` has changed, which needs a restart");
    }
    if let Some(why) = scene.made_for.too_small_for(&manifest) {
        return error!("not reloaded, the jobs stay as they are: {why}, which needs a restart");
    }
    // What can fail comes first: nothing is half in force.
    let readable = scene.ledger.ledger().load().await.map(drop);
    let routed = match readable {
        Ok(()) => scene.ledger.route(&manifest).await,
        Err(error) => Err(error),
    };
    if let Err(error) = routed {
        return error!("not reloaded, the jobs stay as they are: {error}");
    }
    if manifest.host.memory != scene.manifest.host.memory {
        warn!("`host.memory` has changed, which the next start of the host puts in force");
    }
    put(executor, jobs, &manifest);
    let definition = |id| manifest.jobs.get(id).map(Arc::clone);
    let added = change.jobs.added.iter().filter_map(definition).collect();
    let changed = change.jobs.changed.iter().filter_map(definition).collect();
    host.handle().resize(manifest.pools.clone()).await;
    if let Err(error) = host.handle().change(added, changed, change.jobs.removed.clone()).await {
        return error!("the manifest was reloaded in part, its jobs were not: {error}; reload it again");
    }
    // What goes on of a job that has just been removed may need its code again; what was removed before does not.
    executor.retain(|job| manifest.jobs.contains_key(job) || scene.manifest.jobs.contains_key(job));
    tell(&change);
    scene.manifest = manifest;
}

fn tell(change: &Diff) {
    let jobs = &change.jobs;
    let (added, changed, removed) = (jobs.added.len(), jobs.changed.len(), jobs.removed.len());
    info!(added, changed, removed, untouched = jobs.untouched.len(), "manifest reloaded");
}
