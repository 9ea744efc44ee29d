//! `clockjack events`: what happened in a running host, in order, and what happens.

use std::ops::ControlFlow;

use clap::Args;
use clockjack_schedule::{
    id::{JobId, RunId},
    ports::Clock as _,
};
use serde_json::{Map, Value as Json};

use super::{
    Exit, Output,
    asked::moment,
    client::{self, Client, Failure, HostArgs, Said, instant, segment},
    print,
    stream::Frame,
};
use crate::{clock::SystemClock, shell::journal::KindPattern};

/// How many events are asked for at once.
const PAGE: u64 = 1_000;

/// How many of the newest events are shown where nothing else is said.
const LAST: u64 = 100;

/// Most events that are shown from the end.
const LAST_MAX: u64 = 10_000;

#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// Go on with what happens from now on, until somebody ends it; over a restart of the host, too.
    #[arg(long, short = 'F')]
    follow: bool,
    /// Only of this type, such as `run.finished`, or of a family: `run.*`; may be repeated.
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<KindPattern>,
    /// Only of this job.
    #[arg(long)]
    job: Option<JobId>,
    /// Only of this run: its whole id.
    #[arg(long)]
    run: Option<RunId>,
    /// Begin after the event with this number; 0 means with the oldest that is kept.
    #[arg(long, value_name = "ID")]
    after: Option<u64>,
    /// Only what was told at this instant or later; `2h` is two hours ago.
    #[arg(long, value_name = "INSTANT")]
    since: Option<String>,
    /// Begin with the last so many that fit: 100, or none with `--follow`, where neither `--since` nor `--after` is said.
    #[arg(short, value_name = "N", conflicts_with = "after", value_parser = clap::value_parser!(u64).range(0..=LAST_MAX))]
    n: Option<u64>,
    #[command(flatten)]
    host: HostArgs,
}

pub(super) fn run(args: &EventsArgs) -> anyhow::Result<Exit> {
    client::talk(args.host.output.output, async || {
        let client = Client::of(&args.host);
        if args.follow { follow(&client, args).await } else { list(&client, args).await }?;
        Ok(Said::done(String::new()))
    })
}

impl EventsArgs {
    /// What every request of this command asks for.
    fn query(&self) -> Result<String, Failure> {
        let types = self.types.iter().map(|pattern| format!("&type={}", segment(pattern.as_str())));
        let job = self.job.iter().map(|job| format!("&job={}", segment(job.as_str())));
        let run = self.run.iter().map(|run| format!("&run={run}"));
        let since = self.since.as_deref().map(|since| moment("--since", since, SystemClock.now())).transpose()?;
        let since = since.iter().map(|since| format!("&since={}", segment(&print::rfc3339(*since))));
        Ok(types.chain(job).chain(run).chain(since).collect())
    }

    /// Where the first request begins, and only that one.
    fn beginning(&self) -> String {
        match (self.after, self.n, &self.since) {
            (Some(after), _, _) => format!("after={after}"),
            (None, Some(n), _) => format!("last={n}"),
            (None, None, Some(_)) => String::new(),
            (None, None, None) => format!("last={}", if self.follow { 0 } else { LAST }),
        }
    }
}

/// Prints what is kept.
async fn list(client: &Client, args: &EventsArgs) -> Result<(), Failure> {
    let query = args.query()?;
    let mut from = args.beginning();
    loop {
        let page = client.get(&format!("/events?{from}&limit={PAGE}{query}")).await?;
        if let Some(first) = page["gap"].as_u64() {
            tell_gap(first);
        }
        if let Some(first) = page["looked_back_to"].as_u64() {
            tell_looked_back_to(first);
        }
        let events = page["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        for event in events {
            if !print::line(&shown(event, args.host.output.output)).map_err(Failure::Host)? {
                return Ok(());
            }
        }
        if u64::try_from(events.len()).unwrap_or(u64::MAX) < PAGE {
            return Ok(());
        }
        from = format!("after={}", page["next"]);
    }
}

/// Prints what happens.
async fn follow(client: &Client, args: &EventsArgs) -> Result<(), Failure> {
    let route = format!("/events?{}{}", args.beginning(), args.query()?);
    client.follow(&route, args.after, |frame| tell(frame, args.host.output.output)).await
}

fn tell(frame: &Frame, output: Output) -> anyhow::Result<ControlFlow<()>> {
    let data: Json = serde_json::from_str(&frame.data)?;
    match frame.event.as_str() {
        "gap" => tell_gap(data["first"].as_u64().unwrap_or_default()),
        "looked_back_to" => tell_looked_back_to(data["first"].as_u64().unwrap_or_default()),
        "dropped" | "error" => {
            let detail = data["detail"].as_str().unwrap_or_default();
            print::talk(&print::plain(&format!("note: the host ended the stream: {detail}")));
        }
        _ => {
            if !print::line(&shown(&data, output))? {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn tell_gap(first: u64) {
    print::talk(&format!("note: events before number {first} are not kept any more"));
}

fn tell_looked_back_to(first: u64) {
    print::talk(&format!("note: it was looked back to event number {first}; `--after 0` looks at all that are kept"));
}

/// An event as a line.
fn shown(event: &Json, output: Output) -> String {
    if output == Output::Json {
        return event.to_string();
    }
    let text = |key: &str| event[key].as_str().unwrap_or_default();
    let none = Map::new();
    let fields = event.as_object().unwrap_or(&none).iter();
    let fields = fields.filter(|(key, value)| !["id", "type", "at"].contains(&key.as_str()) && !value.is_null());
    let fields: String = fields
        .map(|(key, value)| match value {
            Json::String(text) if text.contains(char::is_whitespace) || text.is_empty() => format!(" {key}={value}"),
            Json::String(text) => format!(" {key}={text}"),
            value => format!(" {key}={value}"),
        })
        .collect();
    print::plain(&format!("{}  {:<18}{fields}", instant(text("at")), text("type")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_a_line_for_people_and_itself_for_programs() {
        let event = json!({
            "id": 7, "type": "run.finished", "at": "2027-01-15T08:00:00.5Z", "job": "backup", "outcome": "failed",
            "error": "no\u{1b}[31m room", "duration_ms": 12.5, "fuel_used": null,
        });
        assert_eq!(
            shown(&event, Output::Table),
            "2027-01-15 08:00:00.500Z  run.finished       job=backup outcome=failed error=\"no\\u001b[31m room\" duration_ms=12.5"
        );
        assert_eq!(serde_json::from_str::<Json>(&shown(&event, Output::Json)).unwrap(), event);
    }
}
