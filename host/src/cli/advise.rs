//! `clockjack runs advise`: limits for a job from what its runs have used, ready to be pasted into the manifest.

use std::time::Duration;

use clap::Args;
use clockjack_schedule::{
    counts::Counts,
    id::JobId,
    job::{Ceilings, Limits},
    manifest::scalar::{show_duration, show_size},
    ports::{Finish, RunFilter, RunRow},
};
use serde_json::{Map, Value as Json, json};

use super::{
    Exit, Output, print,
    reading::{self, Answer, Reading, ReadingArgs, Trouble},
};

/// Most runs that are looked at: older ones say little of what a job needs now.
const RUNS_MAX: u64 = 1_000;

/// With fewer successes, the largest figure is luck.
const SUCCESSES_MIN: usize = 5;

#[derive(Debug, Args)]
pub(super) struct AdviseArgs {
    /// Which job.
    job: JobId,
    /// At most how many of its last runs to look at.
    #[arg(short, default_value_t = RUNS_MAX, value_parser = clap::value_parser!(u64).range(1..=RUNS_MAX))]
    n: u64,
    #[command(flatten)]
    reading: ReadingArgs,
}

pub(super) fn run(args: &AdviseArgs) -> anyhow::Result<Exit> {
    reading::answer(&args.reading, async |reading| advise(reading, args).await)
}

async fn advise(reading: &Reading, args: &AdviseArgs) -> Result<Answer, Trouble> {
    reading.check_job(&args.job).await?;
    let filter = RunFilter {
        job: Some(args.job.clone()),
        until: Some(reading.until_now()),
        n_max: usize::try_from(args.n).unwrap_or(usize::MAX),
        ..RunFilter::default()
    };
    let rows = reading.ledger.runs(filter).await?;
    let ends: Vec<&Finish> =
        rows.iter().filter_map(RunRow::finish).filter(|end| !end.report.digest.is_empty()).collect();
    let n_succeeded = ends.iter().filter(|end| end.report.outcome.code.is_success()).count();
    if n_succeeded < SUCCESSES_MIN {
        return Err(Trouble::Asked(
            "runs.too_few",
            format!(
                "of the last {} runs of `{}` in the ledger {n_succeeded} succeeded; with fewer than {SUCCESSES_MIN} there is \
             nothing to go by. Let it run some more, or run it with `clockjack exec --job {}`, which tells what it used",
                args.n, args.job, args.job
            ),
        ));
    }
    let default = Limits::default();
    let limits = reading.job(&args.job).map_or(&default, |job| &job.limits);
    let ceilings = &reading.manifest.host.ceilings;
    let figures: Vec<Figure> =
        resources().iter().filter_map(|resource| resource.figure(&ends, limits, ceilings)).collect();
    match args.reading.output.output {
        Output::Json => Answer::json(&json!({
            "job": args.job.as_str(),
            "runs": ends.len(),
            "succeeded": n_succeeded,
            "figures": figures.iter().map(Figure::json).collect::<Vec<_>>(),
            "proposal": proposal_json(&figures),
        })),
        Output::Table => {
            let header = ["limit", "now", "half use", "99 % use", "most", "was hit", "proposal"];
            let table = print::table(&header, &figures.iter().map(Figure::cells).collect::<Vec<_>>());
            let talk = format!(
                "from {} runs, {n_succeeded} of which succeeded: the most that was used and half as much again; paste it into the job",
                ends.len()
            );
            Ok(Answer { data: format!("{table}\n\n{}", yaml(&figures)), talk: Some(talk) })
        }
    }
}

/// In what a figure is told and rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Nanos,
    Bytes,
    Count,
}

/// Something that a limit bounds.
struct Resource {
    /// As it is written under `limits`; `timeout` stands beside it.
    key: &'static str,
    unit: Unit,
    /// Below this the machine's mood decides, and not the job.
    floor: u64,
    used: Box<dyn Fn(&Finish) -> u64>,
    limit: Box<dyn Fn(&Limits) -> u64>,
    ceiling: Box<dyn Fn(&Ceilings) -> u64>,
}

/// A limit with what was used of it.
struct Figure {
    key: &'static str,
    unit: Unit,
    limit: u64,
    half: u64,
    most_of_all: u64,
    max: u64,
    n_hits: usize,
    proposal: u64,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

const MILLI: u64 = 1_000_000;
const KIB: u64 = 1 << 10;

fn resources() -> Vec<Resource> {
    let fixed = [
        Resource {
            key: "timeout",
            unit: Unit::Nanos,
            floor: 1_000 * MILLI,
            used: Box::new(|end| nanos(end.duration)),
            limit: Box::new(|limits| nanos(limits.timeout)),
            ceiling: Box::new(|ceilings| nanos(ceilings.timeout)),
        },
        Resource {
            key: "cpu_time",
            unit: Unit::Nanos,
            floor: 100 * MILLI,
            used: Box::new(|end| nanos(end.report.cpu_time)),
            limit: Box::new(|limits| nanos(limits.cpu_time)),
            ceiling: Box::new(|ceilings| nanos(ceilings.cpu_time)),
        },
        Resource {
            key: "memory",
            unit: Unit::Bytes,
            floor: 64 * KIB,
            used: Box::new(|end| end.report.memory_peak_bytes),
            limit: Box::new(|limits| limits.memory_bytes_max),
            ceiling: Box::new(|ceilings| ceilings.memory_bytes_max),
        },
        Resource {
            key: "output",
            unit: Unit::Bytes,
            floor: 4 * KIB,
            used: Box::new(|end| end.report.usage.output_bytes),
            limit: Box::new(|limits| limits.output_bytes_max),
            ceiling: Box::new(|ceilings| ceilings.output_bytes_max),
        },
        Resource {
            key: "table_elements",
            unit: Unit::Count,
            floor: 100,
            used: Box::new(|end| end.report.usage.table_elements_peak),
            limit: Box::new(|limits| limits.table_elements_max),
            ceiling: Box::new(|ceilings| ceilings.table_elements_max),
        },
        Resource {
            key: "fuel",
            unit: Unit::Count,
            floor: 1_000,
            used: Box::new(|end| end.report.fuel_used.unwrap_or_default()),
            limit: Box::new(|limits| limits.fuel.unwrap_or(u64::MAX)),
            ceiling: Box::new(|_| u64::MAX),
        },
    ];
    fixed.into_iter().chain(counted()).collect()
}

/// The counts that runs record.
fn counted() -> impl Iterator<Item = Resource> {
    Counts::ALL.into_iter().filter_map(|count| {
        let figure = match count.key {
            "files" => "files_created",
            "file_bytes" => "file_bytes_written",
            "logs.lines" => "log_lines",
            "logs.bytes" => "log_bytes",
            key => key,
        };
        let used =
            move |end: &Finish| end.report.usage.figures().find(|(name, _)| *name == figure).map(|(_, used)| used);
        // How many handles were open at once is not recorded.
        if count.key == "handles" {
            return None;
        }
        let place = count.place;
        let of = move |counts: &Counts| *place(&mut counts.clone());
        Some(Resource {
            key: count.key,
            unit: if count.is_size { Unit::Bytes } else { Unit::Count },
            floor: if count.is_size { 4 * KIB } else { 10 },
            used: Box::new(move |end| used(end).unwrap_or_default()),
            limit: Box::new(move |limits| of(&limits.counts)),
            ceiling: Box::new(move |ceilings| of(&ceilings.counts)),
        })
    })
}

impl Resource {
    /// What was used; none where it was not used at all.
    fn figure(&self, ends: &[&Finish], limits: &Limits, ceilings: &Ceilings) -> Option<Figure> {
        let mut used: Vec<u64> = ends.iter().map(|end| (self.used)(end)).collect();
        used.sort_unstable();
        let max = used.last().copied().filter(|max| *max != 0)?;
        let limit = (self.limit)(limits);
        // Every end by a limit names its key; what is only cut is seen by its size.
        let named = if self.key == "timeout" { "`timeout`".to_owned() } else { format!("`limits.{}`", self.key) };
        let was_hit = |end: &&&Finish| end.report.outcome.message.contains(&named) || limit < (self.used)(end);
        Some(Figure {
            key: self.key,
            unit: self.unit,
            limit,
            half: percentile(&used, 50),
            most_of_all: percentile(&used, 99),
            max,
            n_hits: ends.iter().filter(was_hit).count(),
            proposal: self.unit.rounded(max.saturating_add(max / 2).max(self.floor)).min((self.ceiling)(ceilings)),
        })
    }
}

/// The smallest figure that so many percent of all are not above. The figures are sorted and not none.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

impl Unit {
    /// The next figure that a person would write.
    fn rounded(self, value: u64) -> u64 {
        const SECOND: u64 = 1_000 * MILLI;
        /// Seconds, minutes and hours as they are written.
        const TIMES: [u64; 14] = [10, 15, 20, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 43_200, 86_400];
        match self {
            Self::Bytes => value.checked_next_power_of_two().unwrap_or(u64::MAX),
            Self::Count => one_two_five(value),
            Self::Nanos if 5 * SECOND < value => {
                let mut times = TIMES.into_iter().map(|seconds| seconds * SECOND);
                times.find(|time| value <= *time).unwrap_or(value.div_ceil(SECOND) * SECOND)
            }
            Self::Nanos => one_two_five(value.div_ceil(MILLI)) * MILLI,
        }
    }

    fn shown(self, value: u64) -> String {
        match self {
            Self::Bytes => show_size(value),
            Self::Nanos => show_duration(print::rounded(Duration::from_nanos(value))),
            Self::Count if value == u64::MAX => "none".to_owned(),
            Self::Count => value.to_string(),
        }
    }

    /// For programs: times in milliseconds, bytes and counts as they are.
    fn json(self, value: u64) -> Json {
        match self {
            Self::Bytes => json!(value),
            Self::Count => json!((value != u64::MAX).then_some(value)),
            Self::Nanos => json!(print::millis(Duration::from_nanos(value))),
        }
    }
}

/// The next of 1, 2, 5, 10, 20, 50 and so on.
fn one_two_five(value: u64) -> u64 {
    let mut step: u64 = 1;
    loop {
        let found = [1, 2, 5].into_iter().filter_map(|n| step.checked_mul(n)).find(|figure| value <= *figure);
        match (found, step.checked_mul(10)) {
            (Some(figure), _) => return figure,
            (None, Some(next)) => step = next,
            (None, None) => return value,
        }
    }
}

impl Figure {
    fn cells(&self) -> Vec<String> {
        let shown = |value| self.unit.shown(value);
        let hits = if self.n_hits == 0 { "-".to_owned() } else { self.n_hits.to_string() };
        let figures = [self.half, self.most_of_all, self.max].map(shown);
        let [half, most_of_all, max] = figures;
        vec![self.key.to_owned(), shown(self.limit), half, most_of_all, max, hits, shown(self.proposal)]
    }

    fn json(&self) -> Json {
        let value = |value| self.unit.json(value);
        json!({
            "limit": self.key,
            "unit": match self.unit { Unit::Nanos => "ms", Unit::Bytes => "bytes", Unit::Count => "count" },
            "now": value(self.limit),
            "p50": value(self.half),
            "p99": value(self.most_of_all),
            "max": value(self.max),
            "hits": self.n_hits,
            "proposal": value(self.proposal),
        })
    }

    /// The proposal as it is written in a manifest.
    fn written(&self) -> Json {
        match self.unit {
            Unit::Count => json!(self.proposal),
            Unit::Bytes | Unit::Nanos => json!(self.unit.shown(self.proposal)),
        }
    }
}

/// The proposal as the keys of a job.
fn proposal_json(figures: &[Figure]) -> Json {
    let (mut job, mut limits, mut logs) = (Map::new(), Map::new(), Map::new());
    for figure in figures {
        let (map, key) = match figure.key.split_once('.') {
            Some((_, key)) => (&mut logs, key),
            None if figure.key == "timeout" => (&mut job, figure.key),
            None => (&mut limits, figure.key),
        };
        map.insert(key.to_owned(), figure.written());
    }
    if !logs.is_empty() {
        limits.insert("logs".to_owned(), Json::Object(logs));
    }
    job.insert("limits".to_owned(), Json::Object(limits));
    Json::Object(job)
}

/// The proposal as YAML. Its words are plain: numbers with units.
fn yaml(figures: &[Figure]) -> String {
    fn write(map: &Json, indent: usize, text: &mut String) {
        for (key, value) in map.as_object().into_iter().flatten() {
            let start = format!("{:indent$}{key}:", "");
            match value {
                Json::Object(_) => {
                    text.push_str(&format!("{start}\n"));
                    write(value, indent + 2, text);
                }
                Json::String(word) => text.push_str(&format!("{start} {word}\n")),
                other => text.push_str(&format!("{start} {other}\n")),
            }
        }
    }
    let mut text = String::new();
    write(&proposal_json(figures), 0, &mut text);
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_that_people_write() {
        assert_eq!([1, 3, 6, 11, 5_001].map(one_two_five), [1, 5, 10, 20, 10_000]);
        assert_eq!(one_two_five(u64::MAX), u64::MAX);
        let time = |millis: u64| Unit::Nanos.shown(Unit::Nanos.rounded(millis * MILLI));
        assert_eq!([1, 30, 4_000, 5_500, 61_000].map(time), ["1ms", "50ms", "5s", "10s", "2m"]);
        assert_eq!(Unit::Bytes.shown(Unit::Bytes.rounded(1_500_000)), "2MiB");
    }

    #[test]
    fn percentiles_are_figures_that_were_seen() {
        let seen: Vec<u64> = (1..=200).collect();
        assert_eq!((percentile(&seen, 50), percentile(&seen, 99)), (100, 198));
        assert_eq!((percentile(&[7], 50), percentile(&[7], 99)), (7, 7));
    }
}
