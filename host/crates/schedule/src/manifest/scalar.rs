//! The values that a manifest writes as text: durations and sizes, each with its unit.

use std::time::Duration;

use super::node::{Node, Value};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Longest duration that is accepted: a century. Beyond it arithmetic on instants would leave the calendar.
pub const DURATION_MAX: Duration = Duration::from_secs(100 * 366 * 86_400);

/// Reads a duration: `90s`, `1h 30m`, `2 days`, or ISO 8601 (`PT90S`). A day is 24 hours, a week seven days.
///
/// ```
/// use std::time::Duration;
/// use clockjack_schedule::manifest::scalar::parse_duration;
///
/// assert_eq!(parse_duration("1h 30m").unwrap(), Duration::from_secs(5_400));
/// assert_eq!(parse_duration("PT0.5S").unwrap(), Duration::from_millis(500));
/// assert_eq!(parse_duration("2w").unwrap(), Duration::from_secs(14 * 86_400));
/// assert!(parse_duration("30").unwrap_err().contains("`30s`"));
/// ```
///
/// # Errors
/// Says what is wrong and what to write instead.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let trimmed = text.trim();
    if trimmed.parse::<f64>().is_ok() {
        return Err(format!("a duration carries its unit: write `{trimmed}s` for seconds or `{trimmed}m` for minutes"));
    }
    let span: jiff::Span = trimmed.parse().map_err(|_not_read: jiff::Error| not_a_duration(trimmed))?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err("months and years have no fixed length: use days, or a `calendar:` trigger".to_owned());
    }
    let signed = span
        .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .map_err(|_not_read: jiff::Error| format!("`{trimmed}` is too long"))?;
    let duration = Duration::try_from(signed).map_err(|_not_read: jiff::Error| format!("`{trimmed}` is negative"))?;
    if DURATION_MAX < duration {
        return Err(format!("`{trimmed}` is longer than a century"));
    }
    Ok(duration)
}

fn not_a_duration(text: &str) -> String {
    format!("`{text}` is not a duration: write a number and a unit, such as `500ms`, `30s`, `5m`, `1h 30m`, `2d`")
}

/// Reads a duration from a node.
pub fn duration(node: &Node, diagnostics: &mut Diagnostics) -> Option<Duration> {
    let problem = match &node.value {
        Value::Text(text) => match parse_duration(text) {
            Ok(duration) => return Some(duration),
            Err(problem) => problem,
        },
        Value::Int(n) => format!("a duration carries its unit: write `{n}s` for seconds or `{n}m` for minutes"),
        Value::Float(x) => format!("a duration carries its unit: write `{x}s` for seconds"),
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => {
            format!("expected a duration such as `30s`, found {}", node.kind())
        }
    };
    diagnostics.reject(Diagnostic::error("manifest.duration", node.span, problem))
}

/// Like [`duration`], and refuses zero.
pub fn positive_duration(node: &Node, diagnostics: &mut Diagnostics) -> Option<Duration> {
    let duration = duration(node, diagnostics)?;
    if duration.is_zero() {
        let zero = Diagnostic::error("manifest.duration", node.span, "the duration must be longer than zero");
        return diagnostics.reject(zero);
    }
    Some(duration)
}

/// Reads a size in bytes: `64MiB`, `64Mi`, `1 GB`. Decimal units count in thousands, binary ones in 1,024.
///
/// ```
/// use clockjack_schedule::manifest::scalar::parse_size;
///
/// assert_eq!(parse_size("64MiB"), Ok(64 * 1024 * 1024));
/// assert_eq!(parse_size("1 kB"), Ok(1_000));
/// assert!(parse_size("64").unwrap_err().contains("`64MiB`"));
/// ```
///
/// # Errors
/// Says what is wrong and what to write instead.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    if trimmed.parse::<f64>().is_ok() {
        return Err(format!("a size carries its unit: write `{trimmed}MiB`, `{trimmed}KiB` or `{trimmed}B`"));
    }
    if trimmed.starts_with('-') {
        return Err(format!("`{trimmed}` is negative"));
    }
    let not_a_size = |_not_read: String| {
        format!("`{trimmed}` is not a size: write a number and a unit, such as `64MiB`, `512KiB`, `1GiB`")
    };
    trimmed.parse::<bytesize::ByteSize>().map(|size| size.as_u64()).map_err(not_a_size)
}

/// Reads a size in bytes from a node.
pub fn size(node: &Node, diagnostics: &mut Diagnostics) -> Option<u64> {
    let problem = match &node.value {
        Value::Text(text) => match parse_size(text) {
            Ok(size) => return Some(size),
            Err(problem) => problem,
        },
        Value::Int(n) => format!("a size carries its unit: write `{n}MiB`, `{n}KiB` or `{n}B`"),
        Value::Float(_) | Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => {
            format!("expected a size such as `64MiB`, found {}", node.kind())
        }
    };
    diagnostics.reject(Diagnostic::error("manifest.size", node.span, problem))
}

/// A duration in the shortest exact form that [`parse_duration`] reads back: `1h 30m`, `500ms`.
///
/// ```
/// use std::time::Duration;
/// use clockjack_schedule::manifest::scalar::show_duration;
///
/// assert_eq!(show_duration(Duration::from_millis(90_500)), "1m 30s 500ms");
/// assert_eq!(show_duration(Duration::ZERO), "0s");
/// ```
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    const UNITS: [(u128, &str); 7] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let mut rest = duration.as_nanos();
    let mut parts = Vec::new();
    for (length, unit) in UNITS {
        if length <= rest {
            parts.push(format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// A size in the largest binary unit that keeps it readable: `64MiB`, `1.5GiB`, `700B`.
///
/// ```
/// use clockjack_schedule::manifest::scalar::show_size;
///
/// assert_eq!(show_size(64 * 1024 * 1024), "64MiB");
/// assert_eq!(show_size(1_536), "1.5KiB");
/// assert_eq!(show_size(700), "700B");
/// ```
#[must_use]
pub fn show_size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let Some((length, unit)) = UNITS.into_iter().find(|(length, _)| *length <= bytes) else {
        return format!("{bytes}B");
    };
    let tenths = (u128::from(bytes) * 10 + u128::from(length) / 2) / u128::from(length);
    if tenths.is_multiple_of(10) {
        format!("{}{unit}", tenths / 10)
    } else {
        format!("{}.{}{unit}", tenths / 10, tenths % 10)
    }
}
