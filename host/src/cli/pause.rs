//! `clockjack pause` and `resume`: of a job, or of the whole host.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use clap::{ArgGroup, Args};
use clockjack_schedule::{id::JobId, manifest::scalar, ports::Clock as _, trigger::parse_instant, zone::Zone};
use serde_json::{Value as Json, json};

use super::{
    Exit,
    client::{self, Client, HostArgs, segment},
    control::said,
    print,
};
use crate::{clock::SystemClock, load};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("paused").required(true).args(["job", "all"])))]
pub(super) struct PauseArgs {
    /// The job.
    job: Option<JobId>,
    /// All jobs, also those that come meanwhile.
    #[arg(long)]
    all: bool,
    /// Why, for whoever looks.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// When it goes on by itself: an instant, or a time in UTC.
    #[arg(long, value_name = "WHEN", value_parser = parse_when, conflicts_with = "time")]
    until: Option<DateTime<Utc>>,
    /// After how long it goes on by itself, such as `2h`.
    #[arg(id = "time", long = "for", value_name = "DURATION", value_parser = scalar::parse_duration)]
    time: Option<Duration>,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("resumed").required(true).args(["job", "all"])))]
pub(super) struct ResumeArgs {
    /// The job.
    job: Option<JobId>,
    /// All jobs but those that are paused by themselves.
    #[arg(long)]
    all: bool,
    /// From where it goes on: `now` skips the slots of the pause, `last` treats them as after a downtime, an instant skips
    /// those before it.
    #[arg(long, value_name = "now|last|INSTANT", default_value = "now", value_parser = parse_from)]
    from: String,
    #[command(flatten)]
    host: HostArgs,
}

/// An instant, or a time in UTC.
pub(super) fn parse_when(text: &str) -> Result<DateTime<Utc>, String> {
    parse_instant(text, &Zone::utc(), &load::zones::newest())
}

/// An instant, a time in UTC, or how long ago.
pub(super) fn parse_past(text: &str) -> Result<DateTime<Utc>, String> {
    let ago = scalar::parse_duration(text.strip_suffix(" ago").unwrap_or(text)).ok();
    match ago.and_then(|ago| SystemClock.now().checked_sub_signed(TimeDelta::from_std(ago).ok()?)) {
        Some(instant) => Ok(instant),
        None => parse_when(text),
    }
}

fn parse_from(text: &str) -> Result<String, String> {
    match text {
        "now" | "last" => Ok(text.to_owned()),
        _ => parse_past(text).map(print::rfc3339).map_err(|error| format!("it is neither `now` nor `last`: {error}")),
    }
}

/// The route of a job, or that of all.
fn route(job: Option<&JobId>, verb: &str) -> String {
    job.map_or_else(|| format!("/scheduler/{verb}"), |job| format!("/jobs/{}/{verb}", segment(job.as_str())))
}

pub(super) fn pause(args: &PauseArgs) -> anyhow::Result<Exit> {
    let after = |time: Duration| SystemClock.now().checked_add_signed(TimeDelta::from_std(time).ok()?);
    let until = args.until.or(args.time.and_then(after)).map(|until| until.trunc_subsecs(3));
    client::talk(args.host.output.output, async || {
        let body = json!({ "note": args.note, "until": until.map(print::rfc3339) });
        let answer = Client::of(&args.host).post(&route(args.job.as_ref(), "pause"), &body).await?;
        let (what, rest) = match &args.job {
            Some(job) => (format!("{job} is paused"), job.to_string()),
            None => ("all jobs are paused".to_owned(), "--all".to_owned()),
        };
        let until = until.map_or_else(String::new, |until| format!(" until {}", print::rfc3339(until)));
        said(args.host.output.output, &answer, format!("{what}{until}; `clockjack resume {rest}` lets it go on"))
    })
}

pub(super) fn resume(args: &ResumeArgs) -> anyhow::Result<Exit> {
    client::talk(args.host.output.output, async || {
        let body = json!({ "from": args.from });
        let answer = Client::of(&args.host).post(&route(args.job.as_ref(), "resume"), &body).await?;
        said(args.host.output.output, &answer, resumed(args.job.as_ref(), &answer))
    })
}

fn resumed(job: Option<&JobId>, answer: &Json) -> String {
    match job {
        None => "all jobs go on but those that are paused by themselves".to_owned(),
        Some(job) if answer["paused"] == true => {
            format!("{job} goes on with all others: the whole host is paused, and `clockjack resume --all` ends that")
        }
        Some(job) => format!("{job} goes on"),
    }
}
