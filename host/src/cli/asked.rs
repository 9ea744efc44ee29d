//! The reading commands where there is no file to read: the host itself is asked, and the answer has the same names.
//!
//! That is so where somebody names the socket of a host, and where a ledger lives in the memory of the host that answers.

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    id::{JobId, StoreName},
    manifest::{scalar, store_url::StoreUrl},
    ports::{Clock as _, RunPlace},
};
use serde_json::Value as Json;
use tokio::runtime::Builder;

use super::{
    Exit, Output,
    client::{self, Client, Failure, Said, instant, segment},
    print,
    reading::ReadingArgs,
    rows,
    runs::ListArgs,
};
use crate::{api::cursor_of, clock::SystemClock, load};

/// How many rows are asked for at once.
const PAGE: usize = 1_000;

/// The host to ask in place of a file, if it is to be asked.
pub(super) fn instead(args: &ReadingArgs) -> anyhow::Result<Option<Client>> {
    if args.ledger.is_some() {
        return Ok(None);
    }
    let client = Client::new(&args.socket, &args.manifests.files);
    if args.socket.socket.is_some() || client.is_remote() {
        return Ok(Some(client));
    }
    let manifest = load::manifest(&args.manifests.files, &load::zones::newest()).manifest;
    let places = load::stores::places(None, &manifest.stores, &args.manifests.files);
    let is_nowhere = match places.as_ref().ok().and_then(|places| places.get(&StoreName::default())) {
        Some(StoreUrl::Memory) => true,
        Some(StoreUrl::Sqlite(path)) => !path.exists(),
        None => false,
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    Ok((is_nowhere && runtime.block_on(client.answers())).then_some(client))
}

/// The items of all pages of a list, at most so many.
pub(super) async fn items(client: &Client, route: &str, n_max: usize) -> Result<Vec<Json>, Failure> {
    let mut items: Vec<Json> = Vec::new();
    let mark = if route.contains('?') { '&' } else { '?' };
    let mut cursor = String::new();
    loop {
        let limit = (n_max - items.len()).min(PAGE);
        let answer = client.get(&format!("{route}{mark}limit={limit}{cursor}")).await?;
        items.extend(answer["items"].as_array().cloned().unwrap_or_default());
        match answer["next"].as_str() {
            Some(next) if items.len() < n_max => cursor = format!("&cursor={}", segment(next)),
            Some(_) | None => return Ok(items),
        }
    }
}

/// `clockjack jobs`.
pub(super) fn jobs(client: &Client, wanted: &[JobId], output: Output) -> anyhow::Result<Exit> {
    client::talk(output, async || {
        let jobs = if wanted.is_empty() {
            items(client, "/jobs", usize::MAX).await?
        } else {
            let mut jobs = Vec::new();
            for job in wanted {
                jobs.push(client.get(&format!("/jobs/{job}")).await?);
            }
            jobs
        };
        if output == Output::Json {
            return Said::json(&jobs.into());
        }
        let now = SystemClock.now();
        let cells: Vec<_> = jobs.iter().map(|job| job_cells(job, now)).collect();
        Ok(table(&["job", "state", "next", "last run", "running", "trigger"], &cells))
    })
}

fn job_cells(job: &Json, now: DateTime<Utc>) -> Vec<String> {
    let last = &job["last_run"];
    let ended: Option<DateTime<Utc>> = last["finished_at"].as_str().and_then(|at| at.parse().ok());
    let ago = ended.map(|at| format!("{} {} ago", word(&last["outcome"]), rows::span(rows::distance(now, at))));
    vec![
        word(&job["job"]),
        word(&job["state"]).replace('_', " "),
        at(&job["next"]),
        ago.unwrap_or_else(|| rows::NONE.to_owned()),
        word(&job["running"]),
        word(&job["trigger"]),
    ]
}

/// `clockjack runs`.
pub(super) fn runs(client: &Client, args: &ListArgs) -> anyhow::Result<Exit> {
    let output = args.reading.output.output;
    client::talk(output, async || {
        let now = SystemClock.now();
        let n_rows = usize::try_from(args.n).unwrap_or(usize::MAX);
        let mut rows = items(client, &runs_route(client, args, now).await?, n_rows).await?;
        if args.skips {
            rows.extend(items(client, &skips_route(args, now)?, n_rows).await?);
            rows.sort_by_cached_key(|row| std::cmp::Reverse(slot(row)));
            rows.truncate(n_rows);
        }
        if output == Output::Json {
            return Said::json(&rows.into());
        }
        let cells: Vec<_> =
            rows.iter().map(|row| if is_skip(row) { skip_cells(row) } else { run_cells(row) }).collect();
        Ok(table(&["slot", "job", "outcome", "attempts", "started", "took", "cause", "run"], &cells))
    })
}

fn is_skip(row: &Json) -> bool {
    row["reason"].is_string()
}

/// By which a row has its place in the list.
fn slot(row: &Json) -> Option<DateTime<Utc>> {
    let at = if is_skip(row) { &row["last"] } else { &row["scheduled_for"] };
    at.as_str().and_then(|at| at.parse().ok())
}

/// What is asked for of runs.
async fn runs_route(client: &Client, args: &ListArgs, now: DateTime<Utc>) -> Result<String, Failure> {
    let mut parts: Vec<String> = args.job.iter().map(|job| format!("job={job}")).collect();
    parts.extend(args.outcomes.iter().map(|outcome| format!("outcome={}", segment(outcome))));
    parts.extend(range(args, now)?);
    if let Some(run) = &args.before {
        let place = place(&client.get(&format!("/runs/{}", segment(run))).await?);
        let place = place.ok_or_else(|| Failure::Host(anyhow::anyhow!("failed to read the answer of the host")))?;
        parts.push(format!("cursor={}", segment(&cursor_of(&place))));
    }
    Ok(if parts.is_empty() { "/runs".to_owned() } else { format!("/runs?{}", parts.join("&")) })
}

/// Where a run has its place in the list.
fn place(run: &Json) -> Option<RunPlace> {
    let text = |name: &str| run[name].as_str();
    let slot = text("scheduled_for")?.parse().ok()?;
    Some(RunPlace { slot, job: text("job")?.parse().ok()?, run: text("id")?.parse().ok()? })
}

/// The same of skips, which a host tells of one job at a time.
fn skips_route(args: &ListArgs, now: DateTime<Utc>) -> Result<String, Failure> {
    let Some(job) = &args.job else {
        let detail = "a host tells of slots that became no run for one job at a time";
        return Err(refused(detail, "name it with `--job`"));
    };
    let parts = range(args, now)?;
    let mark = if parts.is_empty() { "" } else { "?" };
    Ok(format!("/jobs/{job}/skips{mark}{}", parts.join("&")))
}

/// The time that is asked for.
fn range(args: &ListArgs, now: DateTime<Utc>) -> Result<Vec<String>, Failure> {
    let moment = |flag: &str, text: &str| moment(flag, text, now).map(|at| segment(&print::rfc3339(at)));
    let mut parts = Vec::new();
    if let Some(since) = &args.since {
        parts.push(format!("since={}", moment("--since", since)?));
    }
    match &args.until {
        Some(until) => parts.push(format!("until={}", moment("--until", until)?)),
        None if args.planned => {}
        None => parts.push(format!("until={}", segment(&print::rfc3339(now + TimeDelta::microseconds(1))))),
    }
    Ok(parts)
}

/// An instant, or how long ago it was.
pub(super) fn moment(flag: &str, text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
    let ago = scalar::parse_duration(text.strip_suffix(" ago").unwrap_or(text)).ok();
    let ago = ago.and_then(|ago| now.checked_sub_signed(TimeDelta::from_std(ago).ok()?));
    let whole = || DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc());
    ago.or_else(whole).ok_or_else(|| {
        refused(&format!("{flag}: `{text}` is no instant"), "write `2h` for two hours ago, or `2027-01-15T08:00:00Z`")
    })
}

fn run_cells(run: &Json) -> Vec<String> {
    let outcome = if run["outcome"].is_null() { word(&run["state"]) } else { word(&run["outcome"]) };
    let took = run["duration_ms"].as_f64().map_or_else(|| rows::NONE.to_owned(), |took| format!("{took}ms"));
    vec![
        at(&run["scheduled_for"]),
        word(&run["job"]),
        outcome,
        word(&run["attempts"]),
        at(&run["started_at"]),
        took,
        word(&run["cause"]),
        word(&run["id"]),
    ]
}

fn skip_cells(skip: &Json) -> Vec<String> {
    let gap = match skip["count"].as_u64() {
        None | Some(1) => rows::NONE.to_owned(),
        Some(count) => format!("{count} slots from {}", at(&skip["first"])),
    };
    let (outcome, none) = (format!("skipped: {}", word(&skip["reason"])), || rows::NONE.to_owned());
    vec![at(&skip["last"]), word(&skip["job"]), outcome, none(), none(), none(), gap, none()]
}

/// `clockjack runs show`.
pub(super) fn show(client: &Client, run: &str, output: Output) -> anyhow::Result<Exit> {
    client::talk(output, async || {
        let run = client.get(&format!("/runs/{}", segment(run))).await?;
        if output == Output::Json {
            return Said::json(&run);
        }
        Ok(Said::done(print::plain(&page(&run))))
    })
}

/// All that people want to know of a run.
fn page(run: &Json) -> String {
    let is_told = |key: &&str| !run[*key].is_null();
    let names = ["job", "scheduled_for", "cause", "state", "outcome", "error", "attempts", "started_at", "finished_at"];
    let lines = names.iter().filter(|key| is_told(key)).map(|key| format!("{key:<14} {}", word(&run[*key])));
    let output = Some(&run["output"]).filter(|output| !output.is_null()).map(|output| format!("\noutput\n{output:#}"));
    let mut text: Vec<String> = lines.chain(output).collect();
    let written = written(run);
    if !written.is_empty() {
        text.push(format!("\n{written}"));
    }
    text.join("\n")
}

/// `clockjack logs`.
pub(super) fn logs(client: &Client, subject: &str, attempt: Option<u32>, output: Output) -> anyhow::Result<Exit> {
    client::talk(output, async || {
        let run = client.get(&format!("/runs/{}", segment(subject))).await;
        let run = match run {
            // The name of a job stands for its last run.
            Err(Failure::Refused { .. }) if subject.parse::<JobId>().is_ok() => {
                client.get(&format!("/runs/{}", segment(&format!("{subject}@latest")))).await?
            }
            other => other?,
        };
        let attempts = run["attempt_list"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut ended = attempts.iter().filter(|attempt| !attempt["outcome"].is_null());
        let chosen = match attempt {
            Some(number) => ended.find(|attempt| attempt["number"] == number),
            None => ended.next_back(),
        };
        let Some(chosen) = chosen else {
            let detail = format!("no such attempt of run {} has ended yet", word(&run["id"]));
            return Err(refused(&detail, "what a guest writes is kept when its attempt ends"));
        };
        if output == Output::Table {
            return Ok(Said::done(print::plain(&written(chosen))));
        }
        let mut object = serde_json::json!({
            "run": run["id"], "job": run["job"], "scheduled_for": run["scheduled_for"],
            "attempt": chosen["number"], "outcome": chosen["outcome"],
        });
        for name in WRITTEN {
            object[name] = chosen[name].clone();
        }
        Said::json(&object)
    })
}

/// The names under which there is what a guest wrote.
const WRITTEN: [&str; 8] = [
    "stdout",
    "stdout_bytes",
    "stdout_truncated",
    "stderr",
    "stderr_bytes",
    "stderr_truncated",
    "logs",
    "logs_dropped",
];

/// What a guest logged and wrote.
fn written(run: &Json) -> String {
    let lines = run["logs"].as_array().into_iter().flatten().map(|line| {
        let fields: String = line["fields"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| format!(" {key}={}", word(value)))
            .collect();
        format!("{} {:<5} {}{fields}", word(&line["at"]), word(&line["level"]), word(&line["message"]))
    });
    let streams = ["stdout", "stderr"].into_iter().filter_map(|name| {
        let text = run[name].as_str().filter(|text| !text.is_empty())?;
        Some(format!("{name}\n{}", text.trim_end()))
    });
    lines.chain(streams).collect::<Vec<_>>().join("\n")
}

fn refused(detail: &str, fix: &str) -> Failure {
    Failure::Refused { code: "request.invalid".to_owned(), detail: detail.to_owned(), fix: fix.to_owned() }
}

fn table(header: &[&str], cells: &[Vec<String>]) -> Said {
    if cells.is_empty() { Said::done("") } else { Said::done(print::plain(&print::table(header, cells))) }
}

/// A value in a table.
fn word(json: &Json) -> String {
    match json {
        Json::Null => rows::NONE.to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// An instant in a table.
fn at(json: &Json) -> String {
    json.as_str().map_or_else(|| rows::NONE.to_owned(), instant)
}
