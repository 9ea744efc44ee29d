//! `clockjack backfill` and `backfills`: slots of the past that are made up for.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use clockjack_schedule::id::JobId;
use serde_json::{Value as Json, json};

use super::{
    Exit, Output,
    client::{self, Client, Failure, HostArgs, Said, read, segment},
    control::said,
    pause::parse_past,
    print,
};
use crate::api::view::operate::{Backfill, BackfillPlan};

/// How often `--wait` looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(super) struct BackfillArgs {
    /// The job.
    job: JobId,
    /// The first instant of the range: an instant, a time in UTC, or how long ago.
    #[arg(long, value_name = "WHEN", value_parser = parse_past)]
    from: DateTime<Utc>,
    /// The end of the range, which is not part of it any more.
    #[arg(long, value_name = "WHEN", value_parser = parse_past)]
    to: DateTime<Utc>,
    /// Only so many slots, the oldest ones.
    #[arg(long, value_name = "N")]
    max: Option<u32>,
    /// How many runs go on at once.
    #[arg(long, value_name = "N", default_value_t = 1)]
    at_once: u32,
    /// Also slots that have a run already, or are to get one from a backfill that goes on.
    #[arg(long)]
    again: bool,
    /// Only say what it would do.
    #[arg(long)]
    dry_run: bool,
    /// Wait until it is done; the exit code is 3 where not all runs succeed.
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
pub(super) struct BackfillsArgs {
    /// Only this one.
    id: Option<String>,
    /// End it; runs of it that go on finish.
    #[arg(long, requires = "id")]
    cancel: bool,
    #[command(flatten)]
    host: HostArgs,
}

pub(super) fn run(args: &BackfillArgs) -> anyhow::Result<Exit> {
    let output = args.host.output.output;
    client::talk(output, async || {
        let client = Client::of(&args.host);
        let mut body = json!({
            "from": print::rfc3339(args.from),
            "to": print::rfc3339(args.to),
            "at_once": args.at_once,
            "again": args.again,
            "dry_run": args.dry_run,
        });
        if let Some(max) = args.max {
            body["max"] = json!(max);
        }
        let route = format!("/jobs/{}/backfill", segment(args.job.as_str()));
        let answer = client.post(&route, &body).await?;
        if args.dry_run {
            return said(output, &answer, plan(&read(&answer)?));
        }
        let begun: Backfill = read(&answer)?;
        if args.wait {
            return ended(&client, output, &begun.id).await;
        }
        let Backfill { id, job, slots, .. } = &begun;
        let text =
            format!("{slots} slots of {job} are made up for as {id}; `clockjack backfills {id}` tells how it goes");
        said(output, &answer, text)
    })
}

fn plan(plan: &BackfillPlan) -> String {
    let BackfillPlan { job, slots, left_out, first, last, sample } = plan;
    let left_out = match left_out {
        0 => String::new(),
        n => format!("; {n} slots of the range have a run, or get one, and are left out (`--again` takes them in)"),
    };
    let (Some(first), Some(last)) = (first, last) else {
        return format!("no slot of {job} would be made up for{left_out}");
    };
    let dots = if u64::try_from(sample.len()).is_ok_and(|n| n < *slots) { "\n…" } else { "" };
    format!(
        "{slots} slots of {job} would be made up for, from {first} to {last}{left_out}\n{}{dots}",
        sample.join("\n")
    )
}

/// Waits for the end of a backfill and tells it.
async fn ended(client: &Client, output: Output, id: &str) -> Result<Said, Failure> {
    let route = format!("/backfills/{}", segment(id));
    let mut told = u64::MAX;
    loop {
        let answer = client.get(&route).await?;
        let backfill: Backfill = read(&answer)?;
        if backfill.state != "running" {
            let is_good = backfill.state == "done" && backfill.succeeded == backfill.slots;
            let exit = if is_good { Exit::Done } else { Exit::JobFailed };
            return Ok(Said { exit, ..said(output, &answer, line(&backfill))? });
        }
        if output == Output::Table && told != backfill.settled {
            told = backfill.settled;
            print::talk(&format!("{told} of {} slots are settled", backfill.slots));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn line(backfill: &Backfill) -> String {
    let Backfill { id, job, state, slots, settled, succeeded, failed, skipped, .. } = backfill;
    let why = backfill.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
    format!(
        "{id}  {job}  {state}{why}: {settled} of {slots} slots, {succeeded} succeeded, {failed} failed, {skipped} skipped"
    )
}

pub(super) fn list(args: &BackfillsArgs) -> anyhow::Result<Exit> {
    let output = args.host.output.output;
    client::talk(output, async || {
        let client = Client::of(&args.host);
        let answer = match &args.id {
            Some(id) if args.cancel => client.post(&format!("/backfills/{}/cancel", segment(id)), &json!({})).await?,
            Some(id) => client.get(&format!("/backfills/{}", segment(id))).await?,
            None => client.get("/backfills").await?["items"].take(),
        };
        let lines: Vec<Backfill> = match &answer {
            Json::Array(_) => read(&answer)?,
            one => vec![read(one)?],
        };
        let text: Vec<_> = lines.iter().map(line).collect();
        said(output, &answer, if text.is_empty() { "there are none".to_owned() } else { text.join("\n") })
    })
}
