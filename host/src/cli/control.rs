//! `clockjack pause`, `resume`, `run` and `cancel`: what a person asks of a running host.

use std::time::Duration;

use clap::{Args, ValueEnum};
use clockjack_schedule::{id::JobId, outcome::OutcomeCode};
use serde_json::{Value as Json, json};

use super::{
    Exit, Output,
    client::{self, Client, Failure, HostArgs, Said, segment},
    print, refusal,
};

/// How often `--wait` looks.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct PauseArgs {
    /// The job.
    job: JobId,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// The job.
    job: JobId,
    /// From where it goes on: `now` skips the slots of the pause, `last` treats them as after a downtime.
    #[arg(long, value_enum, default_value = "now")]
    from: From,
    #[command(flatten)]
    host: HostArgs,
}

/// From where a job goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum From {
    Now,
    Last,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The job.
    job: JobId,
    /// Wait for its end; the exit code is 3 where it does not succeed.
    #[arg(long)]
    wait: bool,
    /// Asking again under the same key asks for the same run.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A value for `${payload.…}` in the arguments of the job.
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    payload: Option<Json>,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
pub(super) struct CancelArgs {
    /// The run: its id or the first digits of it, `JOB@latest`, or `JOB@INSTANT` for the run of a slot.
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    host: HostArgs,
}

fn parse_json(text: &str) -> Result<Json, String> {
    serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}; words are written `'\"word\"'`"))
}

pub(super) fn pause(args: &PauseArgs) -> anyhow::Result<Exit> {
    client::talk(args.host.output.output, async || {
        let route = format!("/jobs/{}/pause", args.job);
        let answer = Client::of(&args.host).post(&route, &json!({})).await?;
        let job = &args.job;
        let text = format!("{job} is paused; `clockjack resume {job}` lets it go on");
        said(args.host.output.output, &answer, text)
    })
}

pub(super) fn resume(args: &ResumeArgs) -> anyhow::Result<Exit> {
    client::talk(args.host.output.output, async || {
        let from = match args.from {
            From::Now => "now",
            From::Last => "last",
        };
        let route = format!("/jobs/{}/resume", args.job);
        let answer = Client::of(&args.host).post(&route, &json!({ "from": from })).await?;
        said(args.host.output.output, &answer, format!("{} goes on", args.job))
    })
}

pub(super) fn run(args: &RunArgs) -> anyhow::Result<Exit> {
    client::talk(args.host.output.output, async || {
        let client = Client::of(&args.host);
        let mut body = json!({ "cause": "manual" });
        let given = [("key", args.key.as_ref().map(|key| json!(key))), ("payload", args.payload.clone())];
        for (name, value) in given.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            body[name] = value;
        }
        let asked = client.post(&format!("/jobs/{}/run", args.job), &body).await?;
        if args.wait { ended(&client, args, asked).await } else { said(args.host.output.output, &asked, begun(&asked)) }
    })
}

/// What a run is that was asked for.
fn begun(run: &Json) -> String {
    let (job, id) = (run["job"].as_str().unwrap_or_default(), run["id"].as_str().unwrap_or_default());
    if run["state"] == "ended" {
        return format!("{} (it was there already under this key)", outcome(run));
    }
    format!("{job} runs as {id}; `clockjack runs show {id}` tells more")
}

/// Waits for the end of a run and tells it.
async fn ended(client: &Client, args: &RunArgs, mut run: Json) -> Result<Said, Failure> {
    let id = run["id"].as_str().unwrap_or_default().to_owned();
    let route = format!("/runs/{}", segment(&id));
    while run["state"] != "ended" {
        tokio::time::sleep(POLL_INTERVAL).await;
        run = match client.get(&route).await {
            Ok(run) => run,
            Err(Failure::Refused { code, .. }) if code == "run.unknown" => {
                return vanished(args.host.output.output, &args.job, &id, &code);
            }
            Err(Failure::Host(error)) => {
                return Err(Failure::Host(error.context(format!(
                    "the host was lost while run {id} went on; `clockjack runs show {id}` tells what became of it"
                ))));
            }
            Err(failure) => return Err(failure),
        };
    }
    let has_succeeded =
        OutcomeCode::ALL.into_iter().find(|code| run["outcome"] == code.as_str()).is_some_and(OutcomeCode::is_success);
    let exit = if has_succeeded { Exit::Done } else { Exit::JobFailed };
    Ok(Said { exit, ..said(args.host.output.output, &run, told_end(&run))? })
}

/// It was planned and became no run after all: it waited too long, or somebody cancelled it.
fn vanished(output: Output, job: &JobId, id: &str, code: &str) -> Result<Said, Failure> {
    let (message, fix) = (format!("run {id} did not begin"), format!("`clockjack why {job}` tells the reason"));
    match output {
        Output::Json => {
            let error = json!({ "code": code, "message": message, "fix": fix });
            refusal::refuse_json(vec![error]).map_err(Failure::Host)?;
        }
        Output::Table => print::talk(&format!("error: {message}; {fix}")),
    }
    Ok(Said { data: String::new(), exit: Exit::JobFailed })
}

fn told_end(run: &Json) -> String {
    let output = &run["output"];
    if output.is_null() { outcome(run) } else { format!("{}\n{output:#}", outcome(run)) }
}

/// How a run ended, in a line.
fn outcome(run: &Json) -> String {
    let text = |key: &str| run[key].as_str().unwrap_or_default();
    let error = if text("error").is_empty() { String::new() } else { format!(": {}", text("error")) };
    let took = run["duration_ms"].as_f64().map_or_else(String::new, |took| format!(" in {took}ms"));
    format!("{} {}{took}{error}", text("job"), text("outcome"))
}

pub(super) fn cancel(args: &CancelArgs) -> anyhow::Result<Exit> {
    client::talk(args.host.output.output, async || {
        let route = format!("/runs/{}/cancel", segment(&args.run));
        let answer = Client::of(&args.host).post(&route, &json!({})).await?;
        let (job, id) = (answer["job"].as_str().unwrap_or_default(), answer["id"].as_str().unwrap_or_default());
        let text = match answer["state"].as_str() {
            Some("skipped") => format!("run {id} of {job} is cancelled; it had not begun"),
            Some("ended") => format!("run {id} of {job} is cancelled"),
            _ => format!("run {id} of {job} is being ended; `clockjack runs show {id}` tells how it did"),
        };
        said(args.host.output.output, &answer, text)
    })
}

/// An answer for programs as it is, or words for people.
fn said(output: Output, answer: &Json, text: String) -> Result<Said, Failure> {
    match output {
        Output::Json => Said::json(answer),
        Output::Table => Ok(Said::done(print::plain(&text))),
    }
}
