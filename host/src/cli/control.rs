//! `clockjack run` and `cancel`: what a person asks of a job of a running host.

use std::time::Duration;

use clap::Args;
use clockjack_schedule::{id::JobId, outcome::OutcomeCode};
use serde_json::{Value as Json, json};

use super::{
    Exit, Output,
    client::{self, Client, Failure, HostArgs, Said, segment},
    print,
    progress::Progress,
    refusal,
};

/// How often `--wait` looks.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The job.
    job: JobId,
    /// Wait for its end; the exit code is 3 where it does not succeed.
    #[arg(long)]
    wait: bool,
    /// Asking again under the same key asks for the same run, with the same payload and arguments.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A value for `${payload.…}` in the arguments of the job.
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    payload: Option<Json>,
    /// An argument that takes the place of that of the job, for this run: JSON, or text where it is none. May be repeated.
    #[arg(long = "arg", value_name = "NAME=VALUE", value_parser = parse_argument, conflicts_with = "args")]
    named: Vec<(String, Json)>,
    /// The same as JSON: an object for a function, a list of words for a command.
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    args: Option<Json>,
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

fn parse_argument(text: &str) -> Result<(String, Json), String> {
    let (name, value) = text.split_once('=').ok_or("it has no `=`; write `name=value`")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_error| Json::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

impl RunArgs {
    /// The arguments for this run.
    fn given(&self) -> Option<Json> {
        let named = || Json::Object(self.named.iter().cloned().collect());
        self.args.clone().or_else(|| (!self.named.is_empty()).then(named))
    }
}

pub(super) fn run(args: &RunArgs) -> anyhow::Result<Exit> {
    client::talk(args.host.output.output, async || {
        let client = Client::of(&args.host);
        let mut body = json!({ "cause": "manual" });
        let key = args.key.as_ref().map(|key| json!(key));
        let given = [("key", key), ("payload", args.payload.clone()), ("args", args.given())];
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
    let mut waiting = Progress::begin(&format!("{} runs as {id}", args.job));
    while run["state"] != "ended" {
        run["progress"].as_str().into_iter().for_each(|words| waiting.tell(words));
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
pub(super) fn said(output: Output, answer: &Json, text: String) -> Result<Said, Failure> {
    match output {
        Output::Json => Said::json(answer),
        Output::Table => Ok(Said::done(print::plain(&text))),
    }
}
