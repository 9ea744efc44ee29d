//! `clockjack shutdown`: ends a running host, and waits until it is gone.

use std::{fs, time::Duration};

use clap::Args;
use clockjack_schedule::manifest::scalar::{self, show_duration};
use serde_json::json;

use super::{
    Exit, Output,
    client::{self, Client, Failure, HostArgs, Said},
    print,
};

/// How often it is looked whether the host is gone.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How long after the deadline the host may still take: guests get a moment to end, and the ledger is closed.
const BEYOND: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(super) struct ShutdownArgs {
    /// How long runs that go on get to end; without it what `clockjack up --grace` says.
    #[arg(long, value_name = "DURATION", value_parser = scalar::parse_duration, conflicts_with = "now")]
    wait: Option<Duration>,
    /// End runs that go on at once.
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    host: HostArgs,
}

pub(super) fn run(args: &ShutdownArgs) -> anyhow::Result<Exit> {
    client::talk(args.host.output.output, async || {
        let client = Client::of(&args.host);
        let body = match args.wait {
            _ if args.now => json!({ "wait": false }),
            Some(wait) => json!({ "deadline": show_duration(wait) }),
            None => json!({}),
        };
        let process = process_of(&client).await?;
        let answer = client.post("/scheduler/shutdown", &body).await?;
        let deadline = answer["deadline"].as_str().unwrap_or_default();
        let is_for_people = args.host.output.output == Output::Table;
        if is_for_people && !args.now {
            print::talk(&format!("nothing new starts; runs that go on get {deadline}, `--now` ends them"));
        }
        let longest = scalar::parse_duration(deadline).unwrap_or_default().saturating_add(BEYOND);
        if tokio::time::timeout(longest, gone(&client, process)).await.is_err() {
            return Err(Failure::Host(anyhow::anyhow!("the host has not ended within {}", show_duration(longest))));
        }
        match args.host.output.output {
            Output::Json => Said::json(&json!({ "stopped": true, "deadline": deadline })),
            Output::Table => Ok(Said::done("the host has ended")),
        }
    })
}

/// The process of a host, where it is on this machine.
async fn process_of(client: &Client) -> Result<Option<u64>, Failure> {
    if client.is_remote() {
        return Ok(None);
    }
    Ok(client.get("/scheduler").await?["pid"].as_u64())
}

/// Whether a process goes on. One that has ended and that nobody has asked for its exit code does not; neither does one of
/// which the system says nothing.
fn goes_on(process: u64) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else { return false };
    // Its name, which may be anything, stands in parentheses before its state.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Waits until nobody answers any more and the process is gone: the socket goes when the last run has ended, and the ledger
/// is closed after it.
async fn gone(client: &Client, process: Option<u64>) {
    while client.answers().await || process.is_some_and(goes_on) {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
