//! `clockjack shutdown`: ends a running host, and waits until it is gone.

use std::time::Duration;

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
        let answer = client.post("/scheduler/shutdown", &body).await?;
        let deadline = answer["deadline"].as_str().unwrap_or_default();
        let is_for_people = args.host.output.output == Output::Table;
        if is_for_people && !args.now {
            print::talk(&format!("nothing new starts; runs that go on get {deadline}, `--now` ends them"));
        }
        let longest = scalar::parse_duration(deadline).unwrap_or_default().saturating_add(BEYOND);
        if tokio::time::timeout(longest, gone(&client)).await.is_err() {
            return Err(Failure::Host(anyhow::anyhow!("the host has not ended within {}", show_duration(longest))));
        }
        match args.host.output.output {
            Output::Json => Said::json(&json!({ "stopped": true, "deadline": deadline })),
            Output::Table => Ok(Said::done("the host has ended")),
        }
    })
}

/// Waits until nobody answers any more: the socket goes when the last run has ended.
async fn gone(client: &Client) {
    while client.answers().await {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
