//! Traces over OTLP: a span for each run, with a span for each attempt below it.
//!
//! The number of a trace is the number of its run, so that whoever has one finds the other, and every attempt can say at
//! its start, without asking anybody, what its span will be: guests pass that on as `traceparent`. Spans are made of what
//! the bus tells, sent in batches by a task of its own, and dropped where nobody takes them: a trace is no record.

#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};
use clockjack_schedule::{
    outcome::Outcome,
    ports::Finish,
    run::{Cut, Run},
    trace,
};
use opentelemetry::{
    InstrumentationScope, Key, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks},
};
use tokio::{
    runtime::Handle,
    sync::broadcast::{self, error::RecvError},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{load::crypto, shell::Event};

/// How many spans go out at once, and how many wait at the most while others are under way.
const BATCH_MAX: usize = 512;

/// How long spans wait for others.
const GATHER: Duration = Duration::from_millis(500);

/// How long one batch may take, and the last one when the host stops.
const EXPORT_TIME_MAX: Duration = Duration::from_secs(10);

/// Longest reason that a span shows, in characters.
const REASON_CHARS_MAX: usize = 1_000;

/// The exporter of a running host.
#[derive(Debug)]
pub struct Traces {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Sends spans to an endpoint; without one to where `OTEL_EXPORTER_OTLP_ENDPOINT` says.
///
/// # Errors
/// When that is no URL.
pub fn start(events: broadcast::Receiver<Event>, runtime: &Handle, endpoint: Option<String>) -> anyhow::Result<Traces> {
    let _entered = runtime.enter();
    crypto::choose();
    let builder = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
    let exporter = match endpoint {
        Some(endpoint) => builder.with_endpoint(endpoint).build(),
        None => builder.build(),
    };
    let mut exporter = exporter.context("`OTEL_EXPORTER_OTLP_ENDPOINT` does not lead anywhere")?;
    exporter.set_resource(&resource());
    let stop = CancellationToken::new();
    let exporting = Exporting { exporter, events, stop: stop.clone(), spans: Vec::new(), n_dropped: 0 };
    info!("traces are sent to where `OTEL_EXPORTER_OTLP_ENDPOINT` says");
    Ok(Traces { stop, task: runtime.spawn(exporting.work()) })
}

/// Who sends the spans. What `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say comes before what is said here.
fn resource() -> Resource {
    let given = Resource::builder().build();
    let name = given.get(&Key::from_static_str("service.name")).map(|name| name.to_string());
    // The library's own word where nobody says anything.
    let is_named = name.is_some_and(|name| !name.starts_with("unknown_service"));
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder().with_attributes([version]);
    if is_named { builder.build() } else { builder.with_service_name("clockjack").build() }
}

impl Traces {
    /// Sends what waits, and ends.
    pub async fn end(self) {
        self.stop.cancel();
        drop(self.task.await);
    }
}

struct Exporting {
    exporter: SpanExporter,
    events: broadcast::Receiver<Event>,
    stop: CancellationToken,
    spans: Vec<SpanData>,
    n_dropped: u64,
}

impl Exporting {
    async fn work(mut self) {
        loop {
            let is_waiting = !self.spans.is_empty();
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                event = self.events.recv(), if self.spans.len() < BATCH_MAX => match event {
                    Ok(event) => self.spans.extend(spans_of(&event)),
                    Err(RecvError::Lagged(n_events)) => self.n_dropped += n_events,
                    Err(RecvError::Closed) => break,
                },
                () = tokio::time::sleep(GATHER), if is_waiting => self.export().await,
                else => self.export().await,
            }
            if BATCH_MAX <= self.spans.len() {
                self.export().await;
            }
        }
        while let Ok(event) = self.events.try_recv() {
            self.spans.extend(spans_of(&event));
        }
        self.export().await;
    }

    async fn export(&mut self) {
        let spans = std::mem::take(&mut self.spans);
        if spans.is_empty() {
            return;
        }
        let n_spans = spans.len();
        let exported = tokio::time::timeout(EXPORT_TIME_MAX, self.exporter.export(spans)).await;
        match exported {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(n_spans, "spans were not taken, and are dropped: {error}"),
            Err(_elapsed) => warn!(n_spans, "spans were not taken within {EXPORT_TIME_MAX:?}, and are dropped"),
        }
        let n_events = std::mem::take(&mut self.n_dropped);
        if 0 < n_events {
            warn!(n_events, "traces could not keep up; these events are in none");
        }
    }
}

/// The spans that an event ends.
fn spans_of(event: &Event) -> Vec<SpanData> {
    match event {
        Event::AttemptEnded { run, again } => attempt(run, &again.finish).into_iter().collect(),
        Event::RunFinished { run, finish } => attempt(run, finish).into_iter().chain([whole(run, finish)]).collect(),
        Event::RunCut { cut, is_tried_again: false } => vec![of_cut(cut)],
        _ => Vec::new(),
    }
}

/// The span of an attempt; none where it never began.
fn attempt(run: &Arc<Run>, finish: &Finish) -> Option<SpanData> {
    let (number, report) = (finish.n_attempts, &finish.report);
    let mut attributes = of_run(run);
    attributes.extend(of_outcome(&report.outcome));
    attributes.extend([
        KeyValue::new("clockjack.attempt", i64::from(number)),
        KeyValue::new("clockjack.generation", i64::from(report.generation)),
        KeyValue::new("clockjack.cpu_time_ms", whole_number(report.cpu_time.as_millis())),
        KeyValue::new("clockjack.memory_peak_bytes", whole_number(report.memory_peak_bytes.into())),
    ]);
    let ids = Ids { run, own: trace::attempt_span(run.id, number), parent: Some(trace::run_span(run.id)) };
    let name = format!("{} attempt {number}", run.job);
    let times = (finish.started_at?, finish.finished_at);
    Some(span(&ids, name, times, attributes, &report.outcome))
}

/// The span of a run: from when it was due to its end, waiting and retries included.
fn whole(run: &Arc<Run>, finish: &Finish) -> SpanData {
    let outcome = &finish.report.outcome;
    let mut attributes = of_run(run);
    attributes.extend(of_outcome(outcome));
    attributes.push(KeyValue::new("clockjack.attempts", i64::from(finish.n_attempts)));
    let ids = Ids { run, own: trace::run_span(run.id), parent: None };
    span(&ids, run.job.to_string(), (run.due_at, finish.finished_at), attributes, outcome)
}

fn of_cut(cut: &Cut) -> SpanData {
    let mut attributes = of_run(&cut.run);
    attributes.extend(of_outcome(&cut.outcome));
    attributes.push(KeyValue::new("clockjack.attempts", i64::from(cut.n_attempts)));
    let ids = Ids { run: &cut.run, own: trace::run_span(cut.run.id), parent: None };
    span(&ids, cut.run.job.to_string(), (cut.run.due_at, cut.at), attributes, &cut.outcome)
}

fn of_run(run: &Run) -> Vec<KeyValue> {
    let slot = run.scheduled_for.to_rfc3339_opts(SecondsFormat::Millis, true);
    vec![
        KeyValue::new("clockjack.job", run.job.to_string()),
        KeyValue::new("clockjack.run", run.id.to_string()),
        KeyValue::new("clockjack.scheduled_for", slot),
        KeyValue::new("clockjack.cause", run.cause.to_string()),
    ]
}

fn of_outcome(outcome: &Outcome) -> Vec<KeyValue> {
    vec![KeyValue::new("clockjack.outcome", outcome.code.as_str())]
}

fn whole_number(number: u128) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

struct Ids<'r> {
    run: &'r Run,
    own: u64,
    parent: Option<u64>,
}

fn span(
    ids: &Ids<'_>,
    name: String,
    (began, ended): (DateTime<Utc>, DateTime<Utc>),
    attributes: Vec<KeyValue>,
    outcome: &Outcome,
) -> SpanData {
    let span_id = |id: u64| SpanId::from_bytes(id.to_be_bytes());
    let trace_id = TraceId::from_bytes(ids.run.id.as_u128().to_be_bytes());
    let context = SpanContext::new(trace_id, span_id(ids.own), TraceFlags::SAMPLED, false, TraceState::default());
    let reason: String = outcome.message.chars().take(REASON_CHARS_MAX).collect();
    SpanData {
        span_context: context,
        parent_span_id: ids.parent.map_or(SpanId::INVALID, span_id),
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: Cow::Owned(name),
        start_time: SystemTime::from(began),
        // A clock that was set back makes no span end before it began.
        end_time: SystemTime::from(ended.max(began)),
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: if outcome.code.is_success() { Status::Ok } else { Status::error(reason) },
        instrumentation_scope: InstrumentationScope::builder("clockjack").build(),
    }
}
