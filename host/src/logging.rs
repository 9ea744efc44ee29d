//! The host's log: one line per event for people, or one JSON object per event for programs, on stderr; or the journal.

use std::{
    fmt,
    io::{self, Write as _},
};

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use clockjack_schedule::ports::Clock as _;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer, time::FormatTime},
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use crate::{cli::diagnostics::Look, clock::SystemClock, settings};

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// To the journal of systemd, with its fields; text on stderr where there is none.
    Journald,
}

/// How many lines may wait for a stderr that blocks; more are dropped. A log never holds up the host.
const LINES_MAX: usize = 10_000;

/// What is logged where nothing else is asked for. The library behind WASI opens a span at this level with each call of a
/// preview-1 program, which nobody reads and every guest would pay for. The one that watches files warns of each folder that goes
/// before its watch does; what becomes of files is told by the host itself.
const DEFAULT_FILTER: &str = "info,wasmtime_wasi=warn,notify=error";

/// The target of the lines that say who did what. People find them by the word `audit`, programs by this target.
const AUDIT: &str = "clockjack::audit";

/// Keeps the log going; dropping it writes what waits.
pub struct Log {
    stderr: NonBlocking,
    _writer: WorkerGuard,
}

impl Log {
    /// Writes lines that are no events, after those that were logged before.
    pub fn tell(&self, text: &str) {
        // As with events: where nobody reads, it is dropped.
        drop(self.stderr.clone().write_all(format!("{text}\n").as_bytes()));
    }
}

/// Starts the log. `CLOCKJACK_LOG` says what is in it; without it, everything of level info and above.
#[must_use]
pub fn start(format: LogFormat) -> Log {
    let filter = settings::log_filter().unwrap_or_else(|| DEFAULT_FILTER.to_owned());
    let parse = || EnvFilter::try_new(&filter).unwrap_or_else(|_not_a_filter| EnvFilter::new(DEFAULT_FILTER));
    let (filter, filter_of_journal) = (parse(), parse());
    // A log that cannot be written, because its reader has gone or its disk is full, must not end the host: by default
    // the library would tell that on stderr too, and panic there.
    let (stderr, writer) = NonBlockingBuilder::default().buffered_lines_limit(LINES_MAX).finish(io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr.clone()).log_internal_errors(false);
    let lines = Lines { look: settings::look(&io::stderr()) };
    match format {
        LogFormat::Text => log.event_format(lines).init(),
        LogFormat::Json => log.json().flatten_event(true).with_timer(Rfc3339).init(),
        LogFormat::Journald => match tracing_journald::layer() {
            Ok(journal) => {
                let journal = journal.with_syslog_identifier("clockjack".to_owned()).with_field_prefix(None);
                tracing_subscriber::registry().with(journal).with(filter_of_journal).init();
            }
            Err(error) => {
                log.event_format(lines).init();
                tracing::warn!("the journal cannot be written, so the log goes to stderr: {error}");
            }
        },
    }
    Log { stderr, _writer: writer }
}

struct Rfc3339;

impl FormatTime for Rfc3339 {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", SystemClock.now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
    }
}

/// `11:39:14.120 INFO  heartbeat   succeeded in 2ms  memory 1.1MiB`: the job first, the message, then the values.
struct Lines {
    look: Look,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let now: DateTime<Utc> = SystemClock.now();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = *event.metadata().level();
        let (dim, paint, bold, reset) = match self.look {
            Look::Plain => ("", "", "", ""),
            Look::Coloured => ("\u{1b}[2m", colour(level), "\u{1b}[1m", "\u{1b}[0m"),
        };
        write!(writer, "{dim}{}Z{reset} {paint}{level:<5}{reset} ", now.format("%H:%M:%S%.3f"))?;
        if let Some(job) = &fields.job {
            write!(writer, "{bold}{job:<14}{reset} ")?;
        }
        let audit = if event.metadata().target() == AUDIT { "audit: " } else { "" };
        write!(writer, "{audit}{}", fields.message)?;
        for (name, value) in &fields.values {
            write!(writer, "  {dim}{name}{reset} {value}")?;
        }
        writeln!(writer)
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        Level::DEBUG | Level::TRACE => "\u{1b}[36m",
    }
}

/// The parts of an event.
#[derive(Default)]
struct Fields {
    message: String,
    job: Option<String>,
    values: Vec<(&'static str, String)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: String) {
        // Values may hold what a guest wrote; one event stays one line, and nothing of it reaches the terminal raw.
        let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        match field.name() {
            "message" => self.message = value,
            "job" => self.job = Some(value),
            // Ids, and what the message says already, are for programs.
            "run" | "slot" | "outcome" | "duration_ms" if !value.is_empty() => {}
            name if !value.is_empty() => self.values.push((name, value)),
            _ => {}
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn people_find_who_did_what_by_a_word() {
        let written = Written::default();
        let writer = written.clone();
        let log = tracing_subscriber::fmt().with_writer(move || writer.clone());
        tracing::subscriber::with_default(log.event_format(Lines { look: Look::Plain }).finish(), || {
            tracing::info!(target: "clockjack::audit", who = "ci", "asked");
            tracing::info!(who = "nobody", "asked");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = text.lines().filter_map(|line| line.split_once("INFO  ")).map(|(_, told)| told).collect();
        assert_eq!(lines, ["audit: asked  who ci", "asked  who nobody"]);
    }
}
