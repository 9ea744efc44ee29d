//! When a job, or a trigger that somebody thinks of, comes due: the same instants that the host itself computes.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Datelike as _, FixedOffset, SubsecRound as _, Utc};
use clockjack_schedule::{
    diagnostic::{Diagnostics, Span},
    job::Job,
    manifest::{node::Node, parse::parse},
    ports::JobRow,
    trigger::{Basis, Trigger, TriggerContext},
    zone::{Zone, Zones},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    asked::{Asked, Named},
    instant::{self, YEAR_MAX},
    problem::{Problem, Problems},
    query::Query,
    router::Api,
    view::slots::{Finding, PreviewAsked, Slot, Slots},
};
use crate::{cli::rfc3339, load};

/// How many slots are told where nobody says it, and at most.
const SLOTS: usize = 10;
const SLOTS_MAX: usize = 1_000;

/// Largest trigger that is read, in bytes: a list of a thousand instants.
const TRIGGER_BYTES_MAX: usize = 64 << 10;

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(of_job)).routes(routes!(preview))
}

/// What is asked of slots.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes the parameters; `of_job` reads them")]
struct SlotsAsked {
    /// How many.
    #[param(minimum = 1, maximum = 1000, default = 10)]
    n: Option<u16>,
    /// The first slot is at or after this instant; without it, after now.
    #[param(format = DateTime)]
    from: Option<String>,
    /// The last slot is before this instant.
    #[param(format = DateTime)]
    until: Option<String>,
}

/// Which slots are wanted.
struct Range {
    from: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
    n_max: usize,
}

/// The coming slots of a job that is in force.
#[utoipa::path(get, path = "/jobs/{job}/slots", tag = "jobs", operation_id = "list_slots", params(("job" = String, Path), SlotsAsked), responses((status = 200, body = Slots), Problems))]
async fn of_job(State(api): State<Arc<Api>>, Named(name): Named, mut query: Query) -> Result<Json<Slots>, Problem> {
    let (n_max, from, until) = (query.count("n", SLOTS, SLOTS_MAX)?, query.instant("from")?, query.instant("until")?);
    let row = api.job(&name).await?;
    let job = api.host.jobs().get(&row.state.job).ok_or_else(|| api.unknown_job(&name))?;
    let now = api.clock.now().trunc_subsecs(6);
    let range = Range { from: from.unwrap_or(now), until, n_max };
    told(move || slots_of(&job, &row, &range)).await
}

fn slots_of(job: &Job, row: &JobRow, range: &Range) -> Slots {
    let basis = Basis { first_seen: row.state.first_seen, last_finished: row.last_finished };
    let Some(trigger) = &job.trigger else {
        let (trigger, timezone) = (job.describe(), job.zone.name().to_owned());
        return Slots { trigger, timezone, items: Vec::new(), findings: Vec::new() };
    };
    slots(trigger, &job.zone, &basis, range)
}

/// Says when a trigger would come due that is in no manifest. It changes nothing.
#[utoipa::path(post, path = "/triggers/preview", tag = "triggers", operation_id = "preview_trigger", request_body = PreviewAsked, responses((status = 200, body = Slots), Problems))]
async fn preview(State(api): State<Arc<Api>>, Asked(asked): Asked<PreviewAsked>) -> Result<Json<Slots>, Problem> {
    let PreviewAsked { trigger, triggers, timezone, from, until, n } = asked;
    let (written, at) = match (trigger, triggers) {
        (Some(trigger), None) => (trigger, "/trigger"),
        (None, Some(triggers)) => (triggers.into(), "/triggers"),
        (None, None) | (Some(_), Some(_)) => {
            let detail = "the body has to say either `trigger` or `triggers`";
            return Err(refused(detail, "write one trigger, such as `{\"trigger\": {\"every\": \"1h\"}}`"));
        }
    };
    let text = written.to_string();
    if TRIGGER_BYTES_MAX < text.len() {
        let detail = format!("the trigger has {} bytes", text.len());
        return Err(refused(&detail, &format!("a trigger has at most {TRIGGER_BYTES_MAX}")));
    }
    let instant = |name: &str, text: Option<String>| {
        let read = text.map(|text| instant::read(&text)).transpose();
        read.map_err(|error| refused(&format!("`{name}` is no instant: {error}"), instant::FORM))
    };
    let (from, until) = (instant("from", from)?, instant("until", until)?);
    let n_max = usize::from(n.unwrap_or(10));
    if !(1..=SLOTS_MAX).contains(&n_max) {
        return Err(refused(&format!("`n` is {n_max}"), &format!("write a whole number from 1 to {SLOTS_MAX}")));
    }
    let now = api.clock.now().trunc_subsecs(6);
    let range = Range { from: from.unwrap_or(now), until, n_max };
    let read = tokio::task::spawn_blocking(move || previewed(&text, at, timezone.as_deref(), &range)).await;
    read.map_err(|error| fault(&error))?.map(Json)
}

fn refused(detail: &str, fix: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "trigger.invalid", detail, fix)
}

fn previewed(text: &str, at: &str, zone: Option<&str>, range: &Range) -> Result<Slots, Problem> {
    let zones: Zones = load::zones::newest();
    let zone = zone.map_or_else(|| Ok(Zone::utc()), |name| zones.get(name));
    let zone =
        zone.map_err(|error| refused(&format!("`timezone`: {error}"), "write the name of a zone of the IANA"))?;
    // JSON is YAML, and so each finding knows its place.
    let (node, mut found) = parse(0, text);
    let read = |node: &Node, found: &mut Diagnostics| {
        Trigger::read(node, TriggerContext::new(&zones, &zone, "trigger"), found)
    };
    let trigger = node.as_ref().filter(|_| !found.has_errors()).cloned().and_then(|node| read(&node, &mut found));
    let findings: Vec<_> = found
        .all()
        .iter()
        .map(|found| Finding {
            severity: found.severity.to_string(),
            code: found.code.to_owned(),
            message: found.message.clone(),
            fix: found.fix.clone(),
            path: format!("{at}{}", node.as_ref().map(|node| pointer(node, found.span)).unwrap_or_default()),
        })
        .collect();
    let Some(trigger) = trigger.filter(|_| !found.has_errors()) else {
        let first = findings.iter().find(|finding| finding.severity == "error").or(findings.first());
        let detail = first.map_or("it cannot be read", |finding| &finding.message);
        let fix = first.and_then(|finding| finding.fix.as_deref()).unwrap_or("see `findings`");
        return Err(refused(&format!("the trigger is refused: {detail}"), fix).with("findings", &findings));
    };
    let basis = Basis { first_seen: range.from, last_finished: None };
    Ok(Slots { findings, ..slots(&trigger, &zone, &basis, range) })
}

/// Where something stands, as a JSON pointer.
fn pointer(node: &Node, span: Span) -> String {
    let holds = |outer: Span| outer.start <= span.start && span.end <= outer.end;
    if let Some(entry) =
        node.as_map().unwrap_or_default().iter().find(|entry| holds(entry.key_span) || holds(entry.value.span))
    {
        let key = entry.key.replace('~', "~0").replace('/', "~1");
        let below = if holds(entry.key_span) { String::new() } else { pointer(&entry.value, span) };
        return format!("/{key}{below}");
    }
    let item = node.as_list().unwrap_or_default().iter().enumerate().find(|(_, item)| holds(item.span));
    item.map_or_else(String::new, |(index, item)| format!("/{index}{}", pointer(item, span)))
}

fn slots(trigger: &Trigger, zone: &Zone, basis: &Basis, range: &Range) -> Slots {
    let found = trigger.slots_from(range.from, basis).take_while(|slot| range.until.is_none_or(|until| *slot < until));
    let slot = |at: DateTime<Utc>| Slot { at: rfc3339(at), local: local(at, zone), note: trigger.note(at, basis) };
    Slots {
        trigger: trigger.describe_from(range.from, basis),
        timezone: zone.name().to_owned(),
        items: found.take(range.n_max).map(slot).collect(),
        findings: Vec::new(),
    }
}

/// An instant as the clocks of a zone show it, with its offset.
fn local(at: DateTime<Utc>, zone: &Zone) -> String {
    let offset = i32::try_from(zone.offset_at(at.timestamp())).ok().and_then(FixedOffset::east_opt);
    let shown = offset.map(|offset| at.with_timezone(&offset)).filter(|local| local.year() <= YEAR_MAX);
    shown.map_or_else(|| rfc3339(at), |local| local.to_rfc3339())
}

/// Looking for slots may take a moment, and nobody else is to wait for it.
async fn told(find: impl FnOnce() -> Slots + Send + 'static) -> Result<Json<Slots>, Problem> {
    tokio::task::spawn_blocking(find).await.map(Json).map_err(|error| fault(&error))
}

fn fault(error: &tokio::task::JoinError) -> Problem {
    let fix = "tell the developers of Clockjack";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "host.fault", error.to_string(), fix)
}
