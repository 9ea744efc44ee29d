//! `clockjack dev`: saves of source files become runs. Builds what has changed, reloads the host beside it, and runs the
//! jobs whose code is new.
//!
//! It is made of the program's own commands, each a process: `up` runs the schedule with a ledger in memory and reads
//! its manifest again on SIGHUP, `exec` runs a job once. So nothing works here that would not work there.

mod build;
mod child;
mod project;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use clockjack_schedule::{id::JobId, manifest::scalar};
use tokio::signal::unix::{SignalKind, signal};

use self::{child::HostChild, project::Project, watch::Look};
use super::{Exit, ManifestArgs, print};

/// How often the files are looked at. A save and its build take longer than a person would notice this.
const LOOK_EVERY: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub(super) struct DevArgs {
    #[command(flatten)]
    manifests: ManifestArgs,
    /// Run this job after each build, whatever was built; may be repeated. Without it: the jobs whose code is new.
    #[arg(long = "job", value_name = "JOB")]
    jobs: Vec<JobId>,
    /// Only build and run what was saved; the triggers rest.
    #[arg(long)]
    no_schedule: bool,
    /// Stop by itself after this time.
    #[arg(long = "for", value_name = "DURATION", value_parser = scalar::parse_duration)]
    for_: Option<Duration>,
}

pub(super) fn run(args: &DevArgs) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(work(args))
}

/// Prints what this command itself has to say, so that it stands out between what others print.
fn say(text: &str) {
    print::talk(&format!("dev: {text}"));
}

async fn work(args: &DevArgs) -> anyhow::Result<Exit> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let end = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = after(args.for_) => {}
        }
    };
    let mut developer = Developer { args, project: Project::read(&args.manifests.files), host: None };
    if developer.project.is_unreadable() {
        return Ok(Exit::Fault);
    }
    tokio::select! {
        () = end => {}
        failure = developer.work() => return failure.map(|never| match never {}),
    }
    if let Some(host) = developer.host.take() {
        host.end().await;
    }
    Ok(Exit::Done)
}

async fn after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// What goes on while somebody writes code.
struct Developer<'a> {
    args: &'a DevArgs,
    project: Project,
    host: Option<HostChild>,
}

impl Developer<'_> {
    async fn work(&mut self) -> anyhow::Result<std::convert::Infallible> {
        let before = Look::at(&self.project);
        // What is there already may be of other sources.
        build::all(self.project.builds().collect()).await?;
        self.project.refresh();
        let mut last = before.with_products_of(&Look::at(&self.project));
        self.start_host()?;
        self.run_jobs(&self.project.all_jobs()).await?;
        say(&format!("watching {}; Ctrl-C ends", self.project.shown()));
        let mut written = Written::default();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let look = Look::at(&self.project);
            if look == last {
                continue;
            }
            // An editor may write several files, or one in several steps.
            let look = quiet(&self.project, look).await;
            let changed = written.but_for(last.changes(&look));
            if changed.is_empty() {
                last = look;
                continue;
            }
            let built = self.step(&changed).await?;
            written.note(&changed, look.sources_changed(&built));
            // What the build itself wrote into components is no news; what was saved meanwhile is.
            last = look.with_products_of(&built);
        }
    }

    /// Something was saved. Answers how the files look after the builds.
    async fn step(&mut self, changed: &BTreeSet<PathBuf>) -> anyhow::Result<Look> {
        let is_manifest = changed.iter().any(|path| self.project.is_manifest(path));
        if is_manifest {
            self.project = Project::read(&self.args.manifests.files);
        }
        let mut builds = self.project.builds_of(changed);
        if is_manifest {
            builds.extend(self.project.builds_to_begin_with());
        }
        let is_built = build::all(builds).await?;
        let built = Look::at(&self.project);
        // What one build made new stays new until all of them succeed.
        if !is_built || self.project.is_unreadable() {
            return Ok(built);
        }
        let fresh = self.project.refresh();
        if fresh.is_empty() && !is_manifest {
            return Ok(built);
        }
        self.start_host()?;
        if let Some(host) = &self.host {
            host.reload()?;
        }
        self.run_jobs(&self.project.jobs_of(&fresh)).await?;
        Ok(built)
    }

    /// Starts the host, unless it runs. It ends by itself where a plugin or the manifest cannot be loaded.
    fn start_host(&mut self) -> anyhow::Result<()> {
        if self.args.no_schedule || self.host.as_mut().is_some_and(HostChild::goes_on) {
            return Ok(());
        }
        self.host = Some(HostChild::start(&self.args.manifests.files)?);
        Ok(())
    }

    /// Runs jobs, one after the other, as their manifest says.
    async fn run_jobs(&self, jobs: &[JobId]) -> anyhow::Result<()> {
        let wanted = if self.args.jobs.is_empty() || jobs.is_empty() { jobs } else { &self.args.jobs };
        for job in wanted {
            child::exec(&self.args.manifests.files, job).await?;
        }
        Ok(())
    }
}

/// In how many builds in a row, begun by nothing else, a file must change to count as written by them.
const BUILDS_IN_A_ROW: u32 = 3;

/// Files among the sources that builds write.
#[derive(Default)]
struct Written {
    /// What changed in the last build, and in how many in a row.
    suspects: BTreeMap<PathBuf, u32>,
    known: BTreeSet<PathBuf>,
}

impl Written {
    fn but_for(&self, changed: BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        changed.into_iter().filter(|path| !self.known.contains(path)).collect()
    }

    fn note(&mut self, changed: &BTreeSet<PathBuf>, by_build: BTreeSet<PathBuf>) {
        let goes_on = changed.iter().all(|path| self.suspects.contains_key(path));
        let before = if goes_on { std::mem::take(&mut self.suspects) } else { BTreeMap::new() };
        let count = |path: PathBuf| (before.get(&path).map_or(1, |n_builds| n_builds + 1), path);
        self.suspects = by_build.into_iter().map(count).map(|(n_builds, path)| (path, n_builds)).collect();
        for (path, _) in self.suspects.iter().filter(|(_, n_builds)| BUILDS_IN_A_ROW <= **n_builds) {
            say(&format!("`{}` is written by the build and no more watched: add it to .gitignore", path.display()));
            self.known.insert(path.clone());
        }
    }
}

/// Waits until nothing changes any more.
async fn quiet(project: &Project, mut look: Look) -> Look {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let next = Look::at(project);
        if next == look {
            return look;
        }
        look = next;
    }
}
