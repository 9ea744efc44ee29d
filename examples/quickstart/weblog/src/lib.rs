//! Jobs around a web server's access log: the plugin of the quickstart.
//!
//! `summarize` and `check_errors` do real work on the log; `remember_everything` and `count_forever` are the kind of
//! mistake that a sandbox is for.

mod access_log;
mod report;

#[clockjack_sdk::jobs]
pub mod jobs {
    use std::{collections::BTreeMap, fs, hint::black_box};

    use clockjack_sdk::{Value, info, progress_with, warn};

    use crate::{access_log, report};

    /// What a log says, in numbers.
    #[derive(Debug, PartialEq, Value)]
    pub struct Summary {
        /// Well-formed lines.
        pub requests: u64,
        /// Lines that are no log lines.
        pub malformed: u64,
        /// Bytes sent.
        pub bytes: u64,
        /// Answers by the first digit of their status.
        pub statuses: StatusClasses,
        /// Half of the answers are not larger than this many bytes.
        pub p50_bytes: u64,
        /// 95 of 100 answers are not larger than this many bytes.
        pub p95_bytes: u64,
        /// The paths that were asked for most.
        pub top_paths: Vec<Counted>,
        /// The clients that asked most.
        pub top_clients: Vec<Counted>,
    }

    /// Answers by the first digit of their status.
    #[derive(Debug, Default, PartialEq, Value)]
    pub struct StatusClasses {
        /// 1xx and anything unheard of.
        pub other: u64,
        /// 2xx
        pub success: u64,
        /// 3xx
        pub redirect: u64,
        /// 4xx
        pub client_error: u64,
        /// 5xx
        pub server_error: u64,
    }

    /// A name and how often it occurred.
    #[derive(Debug, PartialEq, Value)]
    pub struct Counted {
        /// A path or a client.
        pub name: String,
        /// How often.
        pub count: u64,
    }

    /// A rate that is within its bound.
    #[derive(Debug, PartialEq, Value)]
    pub struct ErrorRate {
        /// Well-formed lines.
        pub requests: u64,
        /// Answers with a status of 500 and above.
        pub errors: u64,
        /// Their part of all answers, 0 to 1.
        pub rate: f64,
    }

    /// What a purge did or would do.
    #[derive(Debug, PartialEq, Value)]
    pub struct Purged {
        /// How old an entry must be to go, in days.
        pub days: u32,
        /// Entries that are older.
        pub entries: u64,
        /// Whether they are still there.
        pub dry_run: bool,
    }

    /// Reads the log, writes a Markdown report, and returns the numbers. `top` is how many paths and clients to list.
    pub fn summarize(log: String, report: String, top: u32) -> Result<Summary, String> {
        let text = read(&log)?;
        progress_with(1, Some(3), "read");
        let entries = access_log::parse(&text);
        if 0 < entries.malformed {
            warn!(skipped = entries.malformed, log = log, "skipped {} malformed lines", entries.malformed);
        }
        let summary = report::summarize(&entries, top as usize);
        progress_with(2, Some(3), "counted");
        fs::write(&report, report::markdown(&log, &summary)).map_err(|error| {
            format!("cannot write `{report}`: {error}; the job needs a `dirs` grant with `mode: read_write`")
        })?;
        progress_with(3, Some(3), "written");
        info!(requests = summary.requests, bytes = summary.bytes, "report is at {report}");
        Ok(summary)
    }

    /// Fails when more than `max_rate` (0 to 1) of the answers are server errors.
    pub fn check_errors(log: String, max_rate: f64) -> Result<ErrorRate, String> {
        if !(0.0..=1.0).contains(&max_rate) {
            return Err("max-rate is a part of 1: give a number from 0 to 1, such as 0.02".to_owned());
        }
        let text = read(&log)?;
        let entries = access_log::parse(&text);
        let requests = entries.lines.len() as u64;
        let errors = entries.lines.iter().filter(|line| 500 <= line.status).count() as u64;
        let rate = if requests == 0 { 0.0 } else { errors as f64 / requests as f64 };
        if max_rate < rate {
            return Err(format!(
                "{errors} of {requests} answers ({}) are server errors; the bound is {}",
                report::percent(rate),
                report::percent(max_rate)
            ));
        }
        Ok(ErrorRate { requests, errors, rate })
    }

    /// Shows that the scheduler is on time. Does nothing else.
    pub fn heartbeat() {
        clockjack_sdk::heartbeat();
    }

    /// Pretends to delete old entries. Needs no grants, so it is good for a first try.
    pub fn purge(days: u32, dry_run: Option<bool>) -> Result<Purged, String> {
        if days == 0 {
            return Err("days is 0, which would purge everything; give at least 1".to_owned());
        }
        let dry_run = dry_run.unwrap_or(true);
        // A made-up archive: 40 entries a day for a year.
        let entries = u64::from(365_u32.saturating_sub(days)) * 40;
        info!(days = days, dry_run = dry_run, "{entries} entries are older than {days} days");
        Ok(Purged { days, entries, dry_run })
    }

    /// Counts every sequence of 64 and more characters of the log: more than any memory holds.
    pub fn remember_everything(log: String) -> Result<u64, String> {
        let text = read(&log)?;
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        for length in 64..text.len() {
            for start in 0..text.len() - length {
                if let Some(sequence) = text.get(start..start + length) {
                    *seen.entry(sequence.to_owned()).or_default() += 1;
                }
            }
        }
        Ok(seen.len() as u64)
    }

    /// Counts and never comes to an end.
    pub fn count_forever() -> u64 {
        let mut count = 0_u64;
        loop {
            count = black_box(count.wrapping_add(1));
        }
    }

    fn read(log: &str) -> Result<String, String> {
        let bytes = fs::read(log)
            .map_err(|error| format!("cannot read `{log}`: {error}; the job needs a `dirs` grant for its folder"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
