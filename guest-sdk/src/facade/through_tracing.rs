//! Events of the crate `tracing`, with the fields of the spans around them.

use std::{cell::RefCell, collections::HashMap, fmt};

use tracing_core::{
    Dispatch, Event, Metadata, Subscriber,
    dispatcher::set_global_default,
    field::{Field, Visit},
    span::{Attributes, Current, Id, Record},
};

use crate::{Level, rt::imports};

pub(super) fn install() {
    // Fails where a subscriber is installed already, and that one stays.
    let _ = set_global_default(Dispatch::new(ToHost));
}

struct ToHost;

/// The spans of this thread. A component has one thread, and the tests of a crate must not see each other's.
#[derive(Default)]
struct Spans {
    last_id: u64,
    known: HashMap<u64, Span>,
    entered: Vec<u64>,
}

struct Span {
    metadata: &'static Metadata<'static>,
    parent: Option<u64>,
    fields: Vec<(String, String)>,
    n_handles: usize,
}

thread_local! {
    static SPANS: RefCell<Spans> = RefCell::default();
}

impl Spans {
    /// The fields of a span and those around it, outermost first.
    fn fields(&self, innermost: Option<u64>) -> Vec<(String, String)> {
        let mut path = Vec::new();
        let mut next = innermost;
        while let Some(span) = next.and_then(|id| self.known.get(&id)) {
            path.push(span);
            next = span.parent;
        }
        path.iter().rev().flat_map(|span| span.fields.iter().cloned()).collect()
    }
}

impl Subscriber for ToHost {
    // The host counts what is too much; nothing is filtered here.
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        SPANS.with_borrow_mut(|spans| {
            let parent = if attributes.is_contextual() {
                spans.entered.last().copied()
            } else {
                attributes.parent().map(Id::into_u64)
            };
            spans.last_id += 1;
            let span = Span { metadata: attributes.metadata(), parent, fields: fields.pairs, n_handles: 1 };
            spans.known.insert(spans.last_id, span);
            Id::from_u64(spans.last_id)
        })
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        SPANS.with_borrow_mut(|spans| {
            if let Some(span) = spans.known.get_mut(&id.into_u64()) {
                span.fields.extend(fields.pairs);
            }
        });
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let level = match *event.metadata().level() {
            tracing_core::Level::TRACE => Level::Trace,
            tracing_core::Level::DEBUG => Level::Debug,
            tracing_core::Level::INFO => Level::Info,
            tracing_core::Level::WARN => Level::Warn,
            tracing_core::Level::ERROR => Level::Error,
        };
        let mut own = Fields::default();
        event.record(&mut own);
        let around = SPANS.with_borrow(|spans| {
            let parent = event.parent().map(Id::into_u64);
            spans.fields(if event.is_contextual() { spans.entered.last().copied() } else { parent })
        });
        let mut fields = vec![("target", event.metadata().target().to_owned())];
        fields.extend(around.iter().chain(&own.pairs).map(|(key, value)| (key.as_str(), value.clone())));
        imports::log(level, &own.message, &fields);
    }

    fn enter(&self, id: &Id) {
        SPANS.with_borrow_mut(|spans| spans.entered.push(id.into_u64()));
    }

    fn exit(&self, id: &Id) {
        SPANS.with_borrow_mut(|spans| {
            if let Some(place) = spans.entered.iter().rposition(|entered| *entered == id.into_u64()) {
                spans.entered.remove(place);
            }
        });
    }

    fn clone_span(&self, id: &Id) -> Id {
        SPANS.with_borrow_mut(|spans| {
            if let Some(span) = spans.known.get_mut(&id.into_u64()) {
                span.n_handles += 1;
            }
        });
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        SPANS.with_borrow_mut(|spans| {
            let Some(span) = spans.known.get_mut(&id.into_u64()) else { return false };
            span.n_handles -= 1;
            let is_last = span.n_handles == 0;
            if is_last {
                spans.known.remove(&id.into_u64());
            }
            is_last
        })
    }

    fn current_span(&self) -> Current {
        SPANS.with_borrow(|spans| {
            let id = spans.entered.last();
            let span = id.and_then(|id| Some((*id, spans.known.get(id)?)));
            span.map_or_else(Current::none, |(id, span)| Current::new(Id::from_u64(id), span.metadata))
        })
    }
}

/// What an event or a span has, as text.
#[derive(Default)]
struct Fields {
    message: String,
    pairs: Vec<(String, String)>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.pairs.push((field.name().to_owned(), value.to_owned()));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
