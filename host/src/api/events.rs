//! `/events`: what happened, in order, from what is kept on; as a page of JSON, or followed as a stream.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use clockjack_schedule::{diagnostic::did_you_mean, id::RunId};
use serde_json::json;
use utoipa::openapi::{
    KnownFormat, Required, Schema, SchemaFormat,
    path::{Parameter, ParameterBuilder, ParameterIn},
    schema::{ArrayBuilder, ObjectBuilder, Type},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    problem::{Problem, Problems},
    query::{self, Query},
    router::Api,
    sse::{self, Frames, Source},
    view::events::EventPage,
};
use crate::shell::journal::{Beginning, EventFilter, KindPattern, Reader, Seat, Seen, UnknownKind};

/// How many events a page has where the request does not say.
const PAGE: u64 = 1_000;

/// How many events a page may have, or a stream that says how many it wants.
const PAGE_MAX: u64 = 10_000;

/// The greatest number that every reader of JSON can hold.
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// What a request says of events.
struct EventsAsked {
    filter: EventFilter,
    after: Option<u64>,
    last: Option<u64>,
    limit: Option<u64>,
    follow: bool,
}

/// What happened, in order: a page of JSON, which begins with the oldest event that is kept, or where `after`, `last` or
/// `since` says; or, for who accepts `text/event-stream`, a stream from now on, or from there on.
#[utoipa::path(get, path = "/events", tag = "events", params(EventsAsked), responses((status = 200, content((EventPage = "application/json"), (String = "text/event-stream"))), Problems))]
pub(super) async fn list(State(api): State<Arc<Api>>, query: Query, headers: HeaderMap) -> Result<Response, Problem> {
    let mut asked = EventsAsked::read(query)?;
    let is_stream = sse::is_wanted(&headers);
    if let Some(header) = headers.get("last-event-id").filter(|header| is_stream && !header.is_empty()) {
        let number = header.to_str().ok().and_then(|text| text.parse().ok());
        asked.after = Some(number.ok_or_else(|| {
            let fix = "send the `id` of the last event that was received, as it was received";
            Problem::new(StatusCode::BAD_REQUEST, "events.bad_id", "`Last-Event-ID` is no number of an event", fix)
        })?);
    }
    let Beginning { after, looked_back_to } = asked.beginning(&api, is_stream).await?;
    let reader = api.host.bus().journal().reader(Arc::clone(&api.ledger), asked.filter, after);
    if !is_stream {
        return page(reader, asked.limit.unwrap_or(PAGE), looked_back_to).await;
    }
    let seat = api.host.bus().journal().seat().ok_or_else(sse::too_many)?;
    Ok(sse::response(Events { reader, n_left: asked.limit, looked_back_to, follow: asked.follow, _seat: seat }))
}

async fn page(mut reader: Reader, limit: u64, looked_back_to: Option<u64>) -> Result<Response, Problem> {
    let (mut events, mut gap) = (Vec::new(), None);
    let n_max = usize::try_from(limit).unwrap_or(usize::MAX);
    while events.len() < n_max
        && let Some(seen) = reader.kept().await?
    {
        match seen {
            Seen::Event(line) => events.push(serde_json::from_str(&line.text).unwrap_or_default()),
            Seen::Gap { first } => gap = Some(first),
            Seen::Ended => {}
            Seen::Dropped => break,
        }
    }
    Ok(Json(EventPage { events, next: reader.after(), gap, looked_back_to }).into_response())
}

/// A stream of events.
struct Events {
    reader: Reader,
    /// How many are wanted; absent for all.
    n_left: Option<u64>,
    /// Where the look for the last ones that fit ended, until that is told.
    looked_back_to: Option<u64>,
    follow: bool,
    _seat: Seat,
}

impl Source for Events {
    fn position(&self) -> Option<u64> {
        Some(self.reader.after())
    }

    async fn advance(&mut self, frames: &mut Frames) -> bool {
        if let Some(first) = self.looked_back_to.take() {
            let detail = "so far back was looked for events that fit; `after=0` looks at all that are kept";
            frames.put_json("looked_back_to", &json!({ "first": first, "detail": detail }));
        }
        let seen = if self.follow { self.reader.next().await } else { self.reader.kept().await };
        match seen {
            Ok(Some(Seen::Event(line))) => {
                frames.put(Some(line.id), &line.kind, &line.text);
                self.n_left = self.n_left.map(|n_left| n_left.saturating_sub(1));
                self.n_left != Some(0)
            }
            Ok(Some(Seen::Gap { first })) => {
                let detail = "events before this number are not kept any more, or are those of another ledger";
                frames.put_json("gap", &json!({ "first": first, "detail": detail }));
                true
            }
            Ok(Some(Seen::Dropped)) => {
                frames.put_json("dropped", &dropped());
                false
            }
            Ok(Some(Seen::Ended) | None) => false,
            Err(error) => {
                frames.put_json("error", &json!({ "code": "ledger.unavailable", "detail": error.to_string() }));
                false
            }
        }
    }
}

/// What a reader is told that was too slow.
pub(super) fn dropped() -> serde_json::Value {
    let detail = "the reader did not keep up with what is told, and nothing more comes";
    json!({ "code": "events.too_slow", "detail": detail, "fix": "connect again with `Last-Event-ID`, or ask for fewer types" })
}

impl EventsAsked {
    fn read(mut query: Query) -> Result<Self, Problem> {
        let mut kinds = Vec::new();
        for words in query.many("type") {
            let words = words.split(',').map(|kind| kind.trim().parse());
            let read: Result<Vec<KindPattern>, _> = words.collect();
            kinds.extend(read.map_err(|UnknownKind(text)| unknown(&text))?);
        }
        let run = query.one("run").map(|text| run(&text)).transpose()?;
        let filter = EventFilter { kinds, job: query.one("job"), run, since: query.instant("since")? };
        Ok(Self {
            filter,
            after: query.number("after", 0, NUMBER_MAX)?,
            last: query.number("last", 0, PAGE_MAX)?,
            limit: query.number("limit", 1, PAGE_MAX)?,
            follow: query.flag("follow")?.unwrap_or(true),
        })
    }

    /// Where to begin.
    async fn beginning(&self, api: &Api, is_stream: bool) -> Result<Beginning, Problem> {
        let journal = api.host.bus().journal();
        let at = |after| Ok(Beginning { after, looked_back_to: None });
        match (self.after, self.last, self.filter.since) {
            (Some(after), _, _) => at(after),
            (None, Some(n), _) => Ok(journal.last(&*api.ledger, &self.filter, n).await?),
            (None, None, Some(since)) => at(journal.since(&*api.ledger, since).await?),
            (None, None, None) => at(if is_stream { journal.opened().await } else { 0 }),
        }
    }
}

fn run(text: &str) -> Result<RunId, Problem> {
    let digits = text.replace('-', "");
    let id = if digits.len() == 32 { digits.parse().ok() } else { None };
    id.ok_or_else(|| query::invalid("`run` is not the whole id of a run", "write the whole id of a run"))
}

fn unknown(text: &str) -> Problem {
    let all = KindPattern::all();
    let near = did_you_mean(text, all.iter().map(String::as_str));
    let fix = near.map_or_else(
        || "types are words such as `run.finished`, or all of a family: `run.*`".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    Problem::new(StatusCode::BAD_REQUEST, "events.unknown_type", UnknownKind(text.to_owned()).to_string(), fix)
}

impl utoipa::IntoParams for EventsAsked {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let kinds = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(KindPattern::all()));
        let kinds: Schema = ArrayBuilder::new().items(kinds).into();
        let text = |pattern: Option<&str>| -> Schema {
            ObjectBuilder::new().schema_type(Type::String).pattern(pattern).into()
        };
        let number = |min: usize, max: u64| -> Schema {
            let max = usize::try_from(max).unwrap_or(usize::MAX);
            ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(min)).maximum(Some(max)).into()
        };
        let instant: Schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .into();
        let parameter = |name: &str, schema: Schema, description: &str| {
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query);
            parameter.required(Required::False).schema(Some(schema)).description(Some(description)).build()
        };
        vec![
            parameter("type", kinds, "only events of these types; `run.*` means all of a family"),
            parameter("job", text(None), "only events of this job"),
            parameter("run", text(Some("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")), "only events of this run"),
            parameter("since", instant, "only events that were told at this instant or later"),
            parameter("after", number(0, NUMBER_MAX), "only events after this number; `last` does not count then"),
            parameter("last", number(0, PAGE_MAX), "begin with the last so many events that fit"),
            parameter("limit", number(1, PAGE_MAX), "at most this many events; 1,000 in a page"),
            parameter(
                "follow",
                ObjectBuilder::new().schema_type(Type::Boolean).into(),
                "whether a stream goes on after what is kept; `true` where it does not say",
            ),
        ]
    }
}
