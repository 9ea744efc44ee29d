//! `clockjack apply`, `import`, `export`, `delete` and `reschedule`: jobs that a running host has beside its files.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use clockjack_schedule::{id::JobId, manifest::parse::SOURCE_BYTES_MAX};
use hyper::Method;
use serde_json::{Map, Value as Json, json};

use super::{
    Exit, Output,
    client::{self, Body, Client, Failure, HostArgs, Said, segment},
    plan::{self, Tense},
    print,
};
use crate::api::view::{
    Plan,
    definitions::{Definition, Imported},
};

#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// A file with `jobs:`, as in a manifest.
    #[arg(value_name = "JOBS")]
    jobs: PathBuf,
    /// Also delete jobs that were made so before and are not in the file.
    #[arg(long)]
    prune: bool,
    #[command(flatten)]
    dry: DryArgs,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// A file with `jobs:`, such as `clockjack export` writes.
    #[arg(value_name = "JOBS")]
    jobs: PathBuf,
    #[command(flatten)]
    dry: DryArgs,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Also the jobs that stand in files.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// The job.
    job: JobId,
    #[command(flatten)]
    dry: DryArgs,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
#[group(id = "when", required = true, multiple = true, args = ["cron", "every", "at", "timezone"])]
pub(super) struct RescheduleArgs {
    /// The job.
    job: JobId,
    /// A cron expression, such as `30 2 * * *`.
    #[arg(long, value_name = "CRON", conflicts_with_all = ["every", "at"])]
    cron: Option<String>,
    /// A duration, such as `90s`.
    #[arg(long, value_name = "DURATION", conflicts_with = "at")]
    every: Option<String>,
    /// An instant, such as `2027-01-15T09:00:00`.
    #[arg(long, value_name = "INSTANT")]
    at: Option<String>,
    /// The time zone that it is in, such as `Europe/Berlin`; without it the one that the job has.
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    #[command(flatten)]
    dry: DryArgs,
    #[command(flatten)]
    host: HostArgs,
}

/// Whether anything is to change.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct DryArgs {
    /// Only say what would happen.
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl DryArgs {
    /// A route with the word for it.
    pub(super) fn route(self, route: &str) -> String {
        if self.dry_run { format!("{route}?dry_run=true") } else { route.to_owned() }
    }

    fn tense(self) -> Tense {
        if self.dry_run { Tense::Would } else { Tense::Done }
    }
}

pub(super) fn apply(args: &ApplyArgs) -> anyhow::Result<Exit> {
    take_in(&args.jobs, json!({ "mode": "replace", "prune": args.prune }), args.dry, &args.host)
}

pub(super) fn import(args: &ImportArgs) -> anyhow::Result<Exit> {
    take_in(&args.jobs, json!({ "mode": "create" }), args.dry, &args.host)
}

fn take_in(file: &Path, mut asked: Json, dry: DryArgs, host: &HostArgs) -> anyhow::Result<Exit> {
    let text = read(file)?;
    client::talk(host.output.output, async || {
        asked["manifest"] = json!(text);
        let answer = Client::of(host).post_slow(&dry.route("/import"), &asked).await?;
        if host.output.output == Output::Json {
            return Said::json(&answer);
        }
        let imported: Imported = client::read(&answer)?;
        let rows: Vec<_> = imported.jobs.iter().map(|done| vec![done.job.clone(), done.effect.clone()]).collect();
        let page = plan::page(&imported.plan, dry.tense());
        let data = if rows.is_empty() { page } else { format!("{}\n\n{page}", print::table(&["job", "what"], &rows)) };
        let notes: String = imported.notes.iter().map(|note| format!("\n\nnote: {note}")).collect();
        Ok(Said::done(print::plain(&format!("{}{notes}", data.trim_end()))))
    })
}

/// The text of a file of jobs. What is larger than a manifest may be is not read.
fn read(file: &Path) -> anyhow::Result<String> {
    let shown = file.display();
    let n_bytes = std::fs::metadata(file).with_context(|| format!("failed to read `{shown}`"))?.len();
    anyhow::ensure!(
        n_bytes <= SOURCE_BYTES_MAX as u64,
        "`{shown}` has {n_bytes} bytes; at most {SOURCE_BYTES_MAX} are taken in at once: split it"
    );
    std::fs::read_to_string(file).with_context(|| format!("failed to read `{shown}`"))
}

pub(super) fn export(args: &ExportArgs) -> anyhow::Result<Exit> {
    client::talk(args.host.output.output, async || {
        let answer = Client::of(&args.host).get(&format!("/export?all={}", args.all)).await?;
        if args.host.output.output == Output::Json {
            return Said::json(&answer);
        }
        let yaml = serde_saphyr::to_string(&answer).map_err(|error| Failure::Host(error.into()))?;
        Ok(Said::done(yaml.trim_end()))
    })
}

pub(super) fn delete(args: &DeleteArgs) -> anyhow::Result<Exit> {
    let route = args.dry.route(&format!("/jobs/{}", segment(args.job.as_str())));
    client::talk(args.host.output.output, async || {
        let answer = Client::of(&args.host).ask_slow(Method::DELETE, &route, Body::Nothing).await?;
        if args.dry.dry_run {
            return planned(args.host.output.output, &answer);
        }
        match args.host.output.output {
            Output::Json => Said::json(&json!({ "job": args.job.as_str(), "deleted": true })),
            Output::Table => Ok(Said::done(format!("{} is deleted; what is known of its runs stays", args.job))),
        }
    })
}

pub(super) fn reschedule(args: &RescheduleArgs) -> anyhow::Result<Exit> {
    let given = [("cron", &args.cron), ("every", &args.every), ("at", &args.at), ("timezone", &args.timezone)];
    let keys: Map<String, Json> =
        given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value.as_ref()?)))).collect();
    let route = args.dry.route(&format!("/jobs/{}/reschedule", segment(args.job.as_str())));
    client::talk(args.host.output.output, async || {
        let answer = Client::of(&args.host).post_slow(&route, &Json::Object(keys)).await?;
        if args.dry.dry_run {
            return planned(args.host.output.output, &answer);
        }
        if args.host.output.output == Output::Json {
            return Said::json(&answer);
        }
        let definition: Definition = client::read(&answer)?;
        let job = definition.job;
        Ok(Said::done(format!("{job} fires anew; `clockjack jobs {job}` says when")))
    })
}

/// What would happen.
pub(super) fn planned(output: Output, answer: &Json) -> Result<Said, Failure> {
    if output == Output::Json {
        return Said::json(answer);
    }
    let plan: Plan = client::read(answer)?;
    Ok(Said::done(print::plain(plan::page(&plan, Tense::Would).trim_end())))
}
