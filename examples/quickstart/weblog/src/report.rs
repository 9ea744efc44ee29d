//! From lines to numbers, and from numbers to Markdown.

use std::{cmp::Reverse, collections::BTreeMap, fmt::Write as _};

use crate::{
    access_log::Entries,
    jobs::{Counted, StatusClasses, Summary},
};

/// Counts everything that the report shows.
pub(crate) fn summarize(entries: &Entries<'_>, top: usize) -> Summary {
    let mut statuses = StatusClasses::default();
    for line in &entries.lines {
        let class = match line.status / 100 {
            2 => &mut statuses.success,
            3 => &mut statuses.redirect,
            4 => &mut statuses.client_error,
            5 => &mut statuses.server_error,
            _ => &mut statuses.other,
        };
        *class += 1;
    }
    let mut sizes: Vec<u64> = entries.lines.iter().map(|line| line.bytes).collect();
    sizes.sort_unstable();
    Summary {
        requests: entries.lines.len() as u64,
        malformed: entries.malformed,
        bytes: sizes.iter().sum(),
        statuses,
        p50_bytes: percentile(&sizes, 50),
        p95_bytes: percentile(&sizes, 95),
        top_paths: most_frequent(entries.lines.iter().map(|line| line.path), top),
        top_clients: most_frequent(entries.lines.iter().map(|line| line.client), top),
    }
}

/// The nearest-rank percentile of sorted numbers; 0 for none.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// By count, then by name, so that the same log always gives the same report.
fn most_frequent<'a>(names: impl Iterator<Item = &'a str>, top: usize) -> Vec<Counted> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
    counts.sort_unstable_by_key(|&(name, count)| (Reverse(count), name));
    counts.truncate(top);
    counts.into_iter().map(|(name, count)| Counted { name: name.to_owned(), count }).collect()
}

/// A rate with one decimal. In integers, because formatting floats would make the component an eighth larger.
pub(crate) fn percent(rate: f64) -> String {
    let tenths = (rate * 1000.0).round() as u64;
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// The report as a person reads it.
pub(crate) fn markdown(log: &str, summary: &Summary) -> String {
    let mut text = format!("# {log}\n\n");
    let statuses = &summary.statuses;
    for (name, value) in [
        ("requests", summary.requests),
        ("malformed lines", summary.malformed),
        ("bytes sent", summary.bytes),
        ("median answer, bytes", summary.p50_bytes),
        ("95th percentile, bytes", summary.p95_bytes),
        ("2xx success", statuses.success),
        ("3xx redirect", statuses.redirect),
        ("4xx client error", statuses.client_error),
        ("5xx server error", statuses.server_error),
        ("other", statuses.other),
    ] {
        let _ = writeln!(text, "- {name}: {value}");
    }
    for (title, rows) in [("Path", &summary.top_paths), ("Client", &summary.top_clients)] {
        let _ = writeln!(text, "\n| {title} | Requests |\n|---|---:|");
        for row in rows {
            // A path is whatever a stranger sent; it must not break the table.
            let _ = writeln!(text, "| `{}` | {} |", row.name.replace(['|', '`', '\n'], "?"), row.count);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{markdown, percent, percentile, summarize};
    use crate::access_log::parse;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        assert_eq!(percentile(&[], 50), 0);
        assert_eq!(percentile(&[7], 95), 7);
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!((percentile(&hundred, 50), percentile(&hundred, 95)), (50, 95));
    }

    #[test]
    fn rates_have_one_decimal() {
        assert_eq!((percent(0.0), percent(0.0376), percent(1.0)), ("0.0 %".into(), "3.8 %".into(), "100.0 %".into()));
    }

    #[test]
    fn equal_counts_are_sorted_by_name() {
        let line = |path| format!("192.0.2.1 - - [x] \"GET {path} HTTP/1.1\" 200 1\n");
        let text = [line("/b"), line("/a"), line("/c"), line("/c")].concat();
        let summary = summarize(&parse(&text), 2);
        let names: Vec<&str> = summary.top_paths.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["/c", "/a"]);
        assert!(markdown("x", &summary).contains("| `/c` | 2 |"));
    }
}
