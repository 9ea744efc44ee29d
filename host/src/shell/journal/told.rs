//! One event as the journal holds it: small, whatever the guest returned, wrote or logged. Its text is made when somebody
//! wants it, for whoever publishes has no time.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::{JobId, RunId},
    outcome::OutcomeCode,
    ports::{Again, Finish},
    run::{Cut, Run, Skip, SkipReason},
};

use super::{
    kind::EventKind,
    text::{self, Object},
};
use crate::shell::{Event, ManifestNews, PluginNews, PluginNewsKind, bus::Asker};

/// Longest words of a guest, a person or a compiler in an event; the whole of them is where they belong.
const WORDS_CHARS_MAX: usize = 500;

/// An event, without its number.
#[derive(Debug)]
pub(in crate::shell) struct Told {
    pub(super) kind: EventKind,
    pub(super) at: DateTime<Utc>,
    pub(super) job: Option<JobId>,
    pub(super) run: Option<RunId>,
    details: Details,
    /// Its JSON, made when it is first wanted.
    text: OnceLock<Arc<str>>,
}

/// What there is to say. What happens to every run stays as it is until somebody reads it.
#[derive(Debug)]
enum Details {
    Queued {
        run: Arc<Run>,
        attempt: u32,
    },
    Started {
        run: Arc<Run>,
        attempt: u32,
        generation: Option<u32>,
    },
    Finished {
        run: Arc<Run>,
        end: Box<End>,
    },
    /// JSON without the outer braces, the kind and the instant included.
    Body(String),
}

/// How a run ended, without what it left.
#[derive(Debug)]
struct End {
    outcome: OutcomeCode,
    error: Option<String>,
    started_at: Option<DateTime<Utc>>,
    finished_at: DateTime<Utc>,
    duration: Duration,
    n_attempts: u32,
    /// Absent where no guest ran.
    guest: Option<Guest>,
    is_replayed: bool,
}

#[derive(Debug)]
struct Guest {
    cpu_time: Duration,
    memory_peak_bytes: u64,
    fuel_used: Option<u64>,
    generation: u32,
}

impl Told {
    /// What of an event is told; nothing of what only the log of the host is for.
    pub(in crate::shell) fn of(event: &Event, at: DateTime<Utc>) -> Option<Self> {
        Some(match event {
            Event::NextWake { .. } => return None,
            // A job that the ledger knew before is no news.
            Event::JobAdded { is_known: true, .. } => return None,
            Event::RunStarted { run, attempt, generation } => {
                let (run, attempt, generation) = (bare(run), *attempt, *generation);
                Self::of_run(
                    EventKind::RunStarted,
                    at,
                    &Arc::clone(&run),
                    Details::Started { run, attempt, generation },
                )
            }
            Event::RunFinished { run, finish } => Self::finished(run, finish, at, false),
            Event::RunCut { cut, is_tried_again } => of_cut(cut, *is_tried_again, at),
            Event::AttemptEnded { run, again } => retrying(run, again, at),
            Event::RunHeld { run, memory_bytes } => {
                let mut object = of_run(EventKind::RunHeld, at, run);
                object.instant("scheduled_for", run.scheduled_for).number("memory_bytes", *memory_bytes);
                Self::of_run(EventKind::RunHeld, at, run, Details::Body(object.into_body()))
            }
            Event::Skipped(skip) => skipped(skip, at),
            Event::Plugin(news) => of_plugin(news, at),
            Event::Manifest(news) => of_manifest(news, at),
            event => of_job(event, at).or_else(|| of_host(event, at))?,
        })
    }

    /// That an attempt waits for its place.
    pub(in crate::shell) fn queued(run: &Arc<Run>, attempt: u32, at: DateTime<Utc>) -> Self {
        let run = bare(run);
        Self::of_run(EventKind::RunQueued, at, &Arc::clone(&run), Details::Queued { run, attempt })
    }

    /// That a run has ended.
    pub(super) fn finished(run: &Arc<Run>, finish: &Finish, at: DateTime<Utc>, is_replayed: bool) -> Self {
        let report = &finish.report;
        let guest = (!report.digest.is_empty()).then_some(Guest {
            cpu_time: report.cpu_time,
            memory_peak_bytes: report.memory_peak_bytes,
            fuel_used: report.fuel_used,
            generation: report.generation,
        });
        let code = report.outcome.code;
        let end = End {
            outcome: code,
            error: (code != OutcomeCode::Succeeded).then(|| cut(&report.outcome.message).to_owned()),
            started_at: finish.started_at,
            finished_at: finish.finished_at,
            duration: finish.duration,
            n_attempts: finish.n_attempts,
            guest,
            is_replayed,
        };
        let run = bare(run);
        let details = Details::Finished { run: Arc::clone(&run), end: Box::new(end) };
        Self::of_run(EventKind::RunFinished, at, &run, details)
    }

    /// How far a guest says that it is.
    pub(in crate::shell) fn progress(
        run: &Run,
        attempt: u32,
        (done, total, message): (u64, Option<u64>, &str),
        at: DateTime<Utc>,
    ) -> Self {
        let mut object = of_run(EventKind::RunProgress, at, run);
        object.number("attempt", attempt).number("done", done).number_or_null("total", total);
        object.text_or_null("message", Some(cut(message)).filter(|message| !message.is_empty()));
        Self::of_run(EventKind::RunProgress, at, run, Details::Body(object.into_body()))
    }

    /// That so many changes of jobs are not told one by one.
    pub(in crate::shell) fn more_jobs(n_jobs: u64, at: DateTime<Utc>) -> Self {
        let mut object = Object::event(EventKind::JobMore.as_str(), at);
        object.number("count", n_jobs);
        Self::plain(EventKind::JobMore, at, object)
    }

    /// That events are missing.
    pub(super) fn lost(first: u64, last: u64, at: DateTime<Utc>) -> Self {
        let mut object = Object::event(EventKind::EventsLost.as_str(), at);
        object.number("first", first).number("last", last);
        Self::plain(EventKind::EventsLost, at, object)
    }

    fn of_run(kind: EventKind, at: DateTime<Utc>, run: &Run, details: Details) -> Self {
        let (job, run) = (Some(run.job.clone()), Some(run.id));
        Self { kind, at, job, run, details, text: OnceLock::new() }
    }

    fn plain(kind: EventKind, at: DateTime<Utc>, object: Object) -> Self {
        let details = Details::Body(object.into_body());
        Self { kind, at, job: None, run: None, details, text: OnceLock::new() }
    }

    fn with_job(self, job: &JobId) -> Self {
        Self { job: Some(job.clone()), ..self }
    }

    /// Its JSON. It always has the same number.
    pub(super) fn text(&self, id: u64) -> Arc<str> {
        Arc::clone(self.text.get_or_init(|| {
            let mut text = String::new();
            self.compose(id, &mut text);
            text.into()
        }))
    }

    /// Appends its JSON, for one who does not keep it: readers that want it, too, are few.
    pub(super) fn write(&self, id: u64, text: &mut String) {
        match self.text.get() {
            Some(known) => text.push_str(known),
            None => self.compose(id, text),
        }
    }

    fn compose(&self, id: u64, text: &mut String) {
        let run = match &self.details {
            Details::Body(body) => return text::number(id, body, text),
            Details::Queued { run, .. } | Details::Started { run, .. } | Details::Finished { run, .. } => run,
        };
        let mut object = Object::onto(text, id);
        about_run(object.kind(self.kind.as_str(), self.at), run);
        match &self.details {
            Details::Queued { run, attempt } => {
                object.number("attempt", *attempt).instant("scheduled_for", run.scheduled_for);
                object.instant("due_at", run.due_at).word("cause", &run.cause);
            }
            Details::Started { run, attempt, generation } => {
                object.number("attempt", *attempt).instant("scheduled_for", run.scheduled_for);
                object.word("cause", &run.cause);
                object.millis_or_null("lateness_ms", (*attempt == 1).then(|| after(run.due_at, self.at)));
                object.number_or_null("generation", *generation);
            }
            Details::Finished { run, end } => end.write(run, &mut object),
            Details::Body(_) => {}
        }
        object.close(text);
    }
}

impl End {
    fn write(&self, run: &Run, object: &mut Object) {
        object.instant("scheduled_for", run.scheduled_for).word("cause", &run.cause);
        object.text("outcome", self.outcome.as_str()).text_or_null("error", self.error.as_deref());
        object.instant_or_null("started_at", self.started_at).instant("finished_at", self.finished_at);
        object.millis_or_null("duration_ms", Some(self.duration).filter(|duration| !duration.is_zero()));
        object.number("attempts", self.n_attempts);
        let started_at = self.started_at.filter(|_| self.n_attempts == 1);
        object.millis_or_null("lateness_ms", started_at.map(|at| after(run.due_at, at)));
        let guest = self.guest.as_ref();
        object.millis_or_null("cpu_time_ms", guest.map(|guest| guest.cpu_time));
        object.number_or_null("memory_peak_bytes", guest.map(|guest| guest.memory_peak_bytes));
        object.number_or_null("fuel_used", guest.and_then(|guest| guest.fuel_used));
        object.number_or_null("generation", guest.map(|guest| guest.generation));
        if self.is_replayed {
            object.raw("replayed", "true");
        }
    }
}

/// The run without what came with the wish for it, which may be large.
fn bare(run: &Arc<Run>) -> Arc<Run> {
    match run.payload {
        None => Arc::clone(run),
        Some(_) => Arc::new(Run { payload: None, ..Run::clone(run) }),
    }
}

fn after(due_at: DateTime<Utc>, at: DateTime<Utc>) -> Duration {
    at.signed_duration_since(due_at).to_std().unwrap_or_default()
}

/// The beginning of a longer text.
fn cut(text: &str) -> &str {
    text.char_indices().nth(WORDS_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}

fn of_run(kind: EventKind, at: DateTime<Utc>, run: &Run) -> Object {
    let mut object = Object::event(kind.as_str(), at);
    about_run(&mut object, run);
    object
}

fn about_run(object: &mut Object, run: &Run) {
    object.text("job", run.job.as_str()).word("run", run.id);
}

fn of_cut(cut_off: &Cut, is_tried_again: bool, at: DateTime<Utc>) -> Told {
    let Cut { run, n_attempts, outcome, .. } = cut_off;
    let kind = if is_tried_again { EventKind::RunRetrying } else { EventKind::RunFinished };
    let mut object = of_run(kind, at, run);
    if is_tried_again {
        object.number("attempt", *n_attempts).instant("scheduled_for", run.scheduled_for);
        object.text("outcome", outcome.code.as_str()).text("error", cut(&outcome.message)).null("duration_ms");
        object.instant("retry_at", cut_off.at);
    } else {
        let end = End {
            outcome: outcome.code,
            error: Some(cut(&outcome.message).to_owned()),
            started_at: cut_off.started_at,
            finished_at: cut_off.at,
            duration: Duration::ZERO,
            n_attempts: *n_attempts,
            guest: None,
            is_replayed: false,
        };
        end.write(run, &mut object);
    }
    Told::of_run(kind, at, run, Details::Body(object.into_body()))
}

fn retrying(run: &Run, again: &Again, at: DateTime<Utc>) -> Told {
    let Again { finish, retry_at } = again;
    let mut object = of_run(EventKind::RunRetrying, at, run);
    object.number("attempt", finish.n_attempts).instant("scheduled_for", run.scheduled_for);
    object.text("outcome", finish.report.outcome.code.as_str());
    object.text("error", cut(&finish.report.outcome.message));
    object.millis_or_null("duration_ms", Some(finish.duration).filter(|duration| !duration.is_zero()));
    object.instant("retry_at", *retry_at);
    Told::of_run(EventKind::RunRetrying, at, run, Details::Body(object.into_body()))
}

fn skipped(skip: &Skip, at: DateTime<Utc>) -> Told {
    let kind = if skip.reason == SkipReason::Misfired { EventKind::RunMissed } else { EventKind::RunSkipped };
    let mut object = Object::event(kind.as_str(), at);
    let id = |run: Option<RunId>| run.map(|run| run.to_string());
    object.text("job", skip.job.as_str()).text_or_null("run", id(skip.run).as_deref());
    object.text("reason", skip.reason.as_str()).instant("first", skip.first).instant("last", skip.last);
    object.number("count", skip.count).text_or_null("by", id(skip.by).as_deref());
    Told { run: skip.run, ..Told::plain(kind, at, object).with_job(&skip.job) }
}

fn of_plugin(news: &PluginNews, at: DateTime<Utc>) -> Told {
    let (kind, before) = match news.kind {
        PluginNewsKind::Added => (EventKind::PluginAdded, None),
        PluginNewsKind::Replaced { before } => (EventKind::PluginReplaced, Some(before)),
        PluginNewsKind::Refused => (EventKind::PluginRefused, None),
        PluginNewsKind::Held => (EventKind::PluginHeld, None),
        PluginNewsKind::RolledBack { before } => (EventKind::PluginRolledBack, Some(before)),
        PluginNewsKind::Passed => (EventKind::PluginPassed, None),
        PluginNewsKind::Removed => (EventKind::PluginRemoved, None),
        PluginNewsKind::LeftOut => (EventKind::PluginLeftOut, None),
    };
    let mut object = Object::event(kind.as_str(), at);
    object.text("plugin", news.plugin.as_str()).number("generation", news.generation);
    object.number_or_null("before", before).text_or_null("digest", news.digest.as_deref());
    object.text("reason", cut(&news.reason));
    object.text_or_null("fix", Some(cut(&news.fix)).filter(|fix| !fix.is_empty()));
    Told::plain(kind, at, object)
}

fn of_manifest(news: &ManifestNews, at: DateTime<Utc>) -> Told {
    let kind = if news.refused.is_some() { EventKind::ManifestRefused } else { EventKind::ManifestReloaded };
    let mut object = Object::event(kind.as_str(), at);
    object.text("cause", cut(&news.cause));
    match &news.refused {
        Some(why) => {
            object.text("reason", cut(why));
        }
        None => {
            for (name, n_jobs) in ["added", "changed", "removed", "untouched"].into_iter().zip(news.jobs) {
                object.number(name, count(n_jobs));
            }
        }
    }
    object.number("findings", count(news.findings.len()));
    Told::plain(kind, at, object)
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn of_job(event: &Event, at: DateTime<Utc>) -> Option<Told> {
    let about = |kind: EventKind, job: &JobId, write: &dyn Fn(&mut Object)| {
        let mut object = Object::event(kind.as_str(), at);
        object.text("job", job.as_str());
        write(&mut object);
        Told::plain(kind, at, object).with_job(job)
    };
    Some(match event {
        Event::JobAdded { job, next, trigger, .. } => about(EventKind::JobAdded, job, &|object| {
            object.instant_or_null("next", *next).text("trigger", cut(trigger));
        }),
        Event::JobChanged { job, before, next } => about(EventKind::JobChanged, job, &|object| {
            object.instant_or_null("before", *before).instant_or_null("next", *next);
        }),
        Event::JobRemoved(job) => about(EventKind::JobRemoved, job, &|_| {}),
        Event::JobPaused { job, asker } => about(EventKind::JobPaused, job, &|object| asked(object, asker)),
        Event::JobResumed { job, by } => about(EventKind::JobResumed, job, &|object| {
            object.text_or_null("by", by.as_deref().map(cut));
        }),
        _ => return None,
    })
}

/// Why something is paused, and until when.
fn asked(object: &mut Object, asker: &Asker) {
    object.text_or_null("note", asker.note.as_deref().map(cut)).instant_or_null("until", asker.until);
    object.text_or_null("by", asker.by.as_deref().map(cut));
}

fn of_host(event: &Event, at: DateTime<Utc>) -> Option<Told> {
    let about = |kind: EventKind, write: &dyn Fn(&mut Object)| {
        let mut object = Object::event(kind.as_str(), at);
        write(&mut object);
        Told::plain(kind, at, object)
    };
    let millis = |key: &'static str, time: Duration| {
        move |object: &mut Object| {
            object.millis(key, time);
        }
    };
    Some(match event {
        Event::Started => about(EventKind::SchedulerStarted, &|object| {
            object.text("version", env!("CARGO_PKG_VERSION"));
        }),
        Event::Stopping { n_unfinished } => about(EventKind::SchedulerStopping, &|object| {
            object.number("running", count(*n_unfinished));
        }),
        Event::Stopped => about(EventKind::SchedulerStopped, &|_| {}),
        Event::Paused { asker } => about(EventKind::SchedulerPaused, &|object| asked(object, asker)),
        Event::Resumed { by } => about(EventKind::SchedulerResumed, &|object| {
            object.text_or_null("by", by.as_deref().map(cut));
        }),
        Event::ClockStepped { by } => about(EventKind::SchedulerClockStepped, &|object| {
            object.raw("by_ms", &by.num_milliseconds().to_string());
        }),
        Event::WatermarkAhead { until } => about(EventKind::SchedulerWatermarkAhead, &|object| {
            object.instant("until", *until);
        }),
        Event::LedgerHeld { why } => about(EventKind::SchedulerLedgerHeld, &|object| {
            object.text("reason", cut(why));
        }),
        Event::LedgerBack { after } => about(EventKind::SchedulerLedgerBack, &millis("after_ms", *after)),
        Event::LedgerSlow { took } => about(EventKind::SchedulerLedgerSlow, &millis("took_ms", *took)),
        Event::Pool { pool, before, size } => {
            let kind = match (before, size) {
                (_, None) => EventKind::PoolRemoved,
                (None, Some(_)) => EventKind::PoolAdded,
                (Some(_), Some(_)) => EventKind::PoolChanged,
            };
            about(kind, &|object| {
                object.text("pool", pool.as_str());
                if let Some(size) = size {
                    object.number("size", size.get());
                    if let Some(before) = before {
                        object.number("before", before.get());
                    }
                }
            })
        }
        _ => return None,
    })
}
