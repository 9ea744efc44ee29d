//! `clockjack runs`: what ran, runs and will run soon, the newest slot first, page by page.

use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use clockjack_schedule::{
    diagnostic::did_you_mean,
    id::JobId,
    outcome::OutcomeCode,
    ports::{RunFilter, RunPlace, RunRow, SkipFilter},
    run::Skip,
};
use serde_json::Value as Json;

use super::{
    Exit, Output, advise, asked, find, print,
    reading::{self, Answer, Reading, ReadingArgs, Trouble},
    rows, show,
};
use crate::api::view::runs as view;

/// Most rows that are printed at once.
const ROWS_MAX: u64 = 100_000;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct RunsArgs {
    #[command(subcommand)]
    command: Option<RunsCommand>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum RunsCommand {
    /// Show everything that is kept of one run.
    Show(show::ShowArgs),
    /// Propose limits for a job from what its last runs used.
    Advise(advise::AdviseArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only of this job.
    #[arg(long)]
    pub(super) job: Option<JobId>,
    /// Only with this outcome, such as `failed`, or with one of a kind, such as `trap`; may be repeated.
    #[arg(long = "outcome", value_name = "CODE")]
    pub(super) outcomes: Vec<String>,
    /// Only slots at or after this instant; `2h` is two hours ago.
    #[arg(long, value_name = "INSTANT")]
    pub(super) since: Option<String>,
    /// Only slots before this instant; `2h` is two hours ago.
    #[arg(long, value_name = "INSTANT")]
    pub(super) until: Option<String>,
    /// How many rows.
    #[arg(short, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=ROWS_MAX))]
    pub(super) n: u64,
    /// Only what comes after this run in the order of the list: the next page.
    #[arg(long, value_name = "RUN")]
    pub(super) before: Option<String>,
    /// Also runs whose slots still lie ahead: they are planned some seconds early.
    #[arg(long)]
    pub(super) planned: bool,
    /// Also slots that became no run, with the reason.
    #[arg(long, conflicts_with_all = ["before", "outcomes"])]
    pub(super) skips: bool,
    #[command(flatten)]
    pub(super) reading: ReadingArgs,
}

/// A row of the list.
enum Row {
    Run(RunRow),
    Skip(Skip),
}

pub(super) fn run(args: &RunsArgs) -> anyhow::Result<Exit> {
    match &args.command {
        Some(RunsCommand::Show(args)) => show::run(args),
        Some(RunsCommand::Advise(args)) => advise::run(args),
        None => {
            let args = &args.list;
            if let Some(client) = asked::instead(&args.reading)? {
                return asked::runs(&client, args);
            }
            reading::answer(&args.reading, async |reading| list(reading, args).await)
        }
    }
}

pub(super) async fn list(reading: &Reading, args: &ListArgs) -> Result<Answer, Trouble> {
    let outcomes = outcomes(&args.outcomes)?;
    if let Some(job) = &args.job {
        reading.check_job(job).await?;
    }
    let zone = reading.zone(args.job.as_ref());
    let moment =
        |flag: &str, text: &Option<String>| text.as_deref().map(|text| reading.moment(flag, text, &zone)).transpose();
    let (since, until) = (moment("--since", &args.since)?, moment("--until", &args.until)?);
    let until = until.or_else(|| (!args.planned).then(|| reading.until_now()));
    let beyond = match &args.before {
        Some(text) => Some(RunPlace::of(&find::run(reading, text).await?.row.run)),
        None => None,
    };
    let n_rows = usize::try_from(args.n).unwrap_or(usize::MAX);
    // One more than is shown tells whether there is another page.
    let filter = RunFilter {
        job: args.job.clone(),
        since,
        until,
        beyond,
        n_max: n_rows.saturating_add(1),
        ..RunFilter::default()
    };
    let mut rows: Vec<_> = runs(reading, &filter, &outcomes).await?.into_iter().map(Row::Run).collect();
    if args.skips {
        let filter = SkipFilter { job: args.job.clone(), since, until, n_max: filter.n_max, ..SkipFilter::default() };
        rows.extend(reading.ledger.skips(filter).await?.into_iter().map(Row::Skip));
        rows.sort_by_key(|row| std::cmp::Reverse(row.slot()));
    }
    let has_more = n_rows < rows.len();
    rows.truncate(n_rows);
    let more = rows.last().filter(|_| has_more).map(|last| format!("more: {}", next_page(args, last)));
    let answer = match args.reading.output.output {
        Output::Json => Answer::json(&rows.iter().map(Row::json).collect::<Result<_, _>>()?)?,
        Output::Table if rows.is_empty() => {
            let talk = "no run; `clockjack why JOB` says what became of a job's slots".to_owned();
            return Ok(Answer { data: String::new(), talk: Some(talk) });
        }
        Output::Table => {
            let header = ["slot", "job", "outcome", "attempts", "started", "took", "late", "cause", "run"];
            Answer::of(print::table(&header, &rows.iter().map(Row::cells).collect::<Vec<_>>()))
        }
    };
    Ok(Answer { talk: more, ..answer })
}

/// Runs with any of some outcomes; none means all of them.
async fn runs(reading: &Reading, filter: &RunFilter, outcomes: &[OutcomeCode]) -> Result<Vec<RunRow>, Trouble> {
    if outcomes.is_empty() {
        return Ok(reading.ledger.runs(filter.clone()).await?);
    }
    let mut rows = Vec::new();
    for outcome in outcomes {
        let filter = RunFilter { outcome: Some(*outcome), ..filter.clone() };
        rows.extend(reading.ledger.runs(filter).await?);
    }
    let place = |row: &RunRow| (row.run.scheduled_for, row.run.job.clone(), row.run.id);
    rows.sort_by_key(|row| std::cmp::Reverse(place(row)));
    rows.truncate(filter.n_max);
    Ok(rows)
}

/// The codes that words mean: a code itself, or the kind before its dot.
fn outcomes(words: &[String]) -> Result<Vec<OutcomeCode>, Trouble> {
    let mut codes = Vec::new();
    for word in words {
        let fits = |code: &OutcomeCode| {
            let text = code.as_str();
            text == word || text.split_once('.').is_some_and(|(kind, _)| kind == word)
        };
        let found: Vec<_> = OutcomeCode::ALL.into_iter().filter(fits).collect();
        if found.is_empty() {
            return Err(unknown_outcome(word));
        }
        codes.extend(found);
    }
    codes.sort_unstable();
    codes.dedup();
    Ok(codes)
}

fn unknown_outcome(word: &str) -> Trouble {
    let names = || OutcomeCode::ALL.into_iter().map(OutcomeCode::as_str);
    let hint = match did_you_mean(word, names().chain(["timeout", "trap"])) {
        // What a person calls skipped is mostly a slot, not a guest that had nothing to do.
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the outcomes are {}", names().collect::<Vec<_>>().join(", ")),
    };
    Trouble::Asked("request.invalid", format!("--outcome: `{word}` is no outcome; {hint}"))
}

/// The command line of the next page.
fn next_page(args: &ListArgs, last: &Row) -> String {
    let mut line = "clockjack runs".to_owned();
    let mut add = |flag: &str, value: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:+@".contains(c);
        let plain = !value.is_empty() && value.chars().all(is_plain);
        let value = if plain { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) };
        line.push_str(&format!(" {flag} {value}"));
    };
    for file in args.reading.manifests.files.iter().filter(|file| file.as_os_str() != "clockjack.yaml") {
        add("-f", &file.display().to_string());
    }
    args.reading.ledger.iter().for_each(|ledger| add("--ledger", &ledger.to_string()));
    args.job.iter().for_each(|job| add("--job", job.as_str()));
    args.outcomes.iter().for_each(|outcome| add("--outcome", outcome));
    args.since.iter().for_each(|since| add("--since", since));
    if args.n != 20 {
        add("-n", &args.n.to_string());
    }
    if args.skips {
        // Rows of this very slot are shown again, rather than left out.
        let until = last.slot().checked_add_signed(TimeDelta::microseconds(1)).unwrap_or(last.slot());
        add("--until", &print::rfc3339(until));
        return format!("{line} --skips");
    }
    args.until.iter().for_each(|until| add("--until", until));
    if let Row::Run(row) = last {
        add("--before", &row.run.id.to_string());
    }
    if args.planned {
        line.push_str(" --planned");
    }
    line
}

impl Row {
    /// By which it has its place in the list.
    fn slot(&self) -> DateTime<Utc> {
        match self {
            Self::Run(row) => row.run.scheduled_for,
            Self::Skip(skip) => skip.last,
        }
    }

    fn json(&self) -> Result<Json, serde_json::Error> {
        match self {
            Self::Run(row) => serde_json::to_value(view::Run::from(row)),
            Self::Skip(skip) => serde_json::to_value(view::Skip::from(skip)),
        }
    }

    fn cells(&self) -> Vec<String> {
        match self {
            Self::Run(row) => run_cells(row),
            Self::Skip(skip) => skip_cells(skip),
        }
    }
}

fn run_cells(row: &RunRow) -> Vec<String> {
    let run = &row.run;
    let finish = row.finish();
    let first_start = rows::first_start(row);
    let started = first_start.or(finish.and_then(|finish| finish.started_at));
    vec![
        rows::shown(run.scheduled_for),
        run.job.to_string(),
        finish.map_or_else(|| rows::state(row).to_owned(), |finish| finish.report.outcome.code.to_string()),
        rows::n_attempts(row).to_string(),
        started.map_or_else(|| rows::NONE.to_owned(), |at| rows::beside(at, run.scheduled_for)),
        rows::span_or_none(finish.and_then(rows::took)),
        rows::span_or_none(rows::late(row, first_start)),
        run.cause.to_string(),
        run.id.to_string(),
    ]
}

fn skip_cells(skip: &Skip) -> Vec<String> {
    let gap = if skip.count == 1 {
        rows::NONE.to_owned()
    } else {
        format!("{} slots from {}", skip.count, rows::shown(skip.first))
    };
    let none = || rows::NONE.to_owned();
    let outcome = format!("skipped: {}", skip.reason);
    vec![rows::shown(skip.last), skip.job.to_string(), outcome, none(), none(), none(), none(), gap, none()]
}

#[cfg(test)]
mod tests;
