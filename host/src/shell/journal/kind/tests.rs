//! The page of events, and that no kind is missing from it.

use std::path::Path;

use super::*;

#[test]
fn every_kind_has_a_name_of_its_own() {
    for kind in EventKind::ALL {
        assert_eq!(EventKind::named(kind.as_str()), Some(kind));
        let About { meaning, fields, .. } = kind.about();
        assert!(meaning.ends_with('.') && 10 < meaning.len(), "{kind:?}");
        assert!(fields.iter().all(|(name, _)| !["id", "type", "at"].contains(name)), "{kind:?}");
    }
    let mut kinds = EventKind::ALL.to_vec();
    kinds.sort_unstable();
    assert_eq!(kinds, EventKind::ALL, "the list is in the order of the type, and has no gap");
}

/// The page `docs/events.md`: `UPDATE_EXPECT=1` writes it anew.
#[test]
fn the_page_is_made_from_the_kinds() {
    let mut page = String::from(
        "# Events\n\nWhat a host tells, in one order: `clockjack events --follow`, or `GET /api/v1/events`. Each event is an \
         object with its number (`id`), which only grows, over restarts too; its `type`; when it was told (`at`, RFC 3339 \
         in UTC); and the fields below. What is not known is `null`. Per run the order is `run.queued`, `run.started`, \
         `run.progress`, `run.finished`, with `run.retrying` between attempts. Where more than 5,000 events a second are told, `run.queued` and `run.started` are left out but for streams that are open; what comes after a pause is told in full. More fields may come; none goes.\n\n\
         A stream (`Accept: text/event-stream`) begins now, after `Last-Event-ID`, after the number `after`, at the \
         instant `since`, or with the `last` so many events that fit; `after=0` is all that is kept: 64 MiB, 7 days. Beside events it has `gap` (what was asked for is not kept any more; `first` is the number \
         of what is), `dropped` (the reader did not keep up; it may come back with the last number that it has), `looked_back_to` (fewer than `last` fit \
         in the newest 16 MiB, which begin with `first`; no more was looked at) and `error`. \
         Lines that guests log are no events: `GET /api/v1/runs/RUN/logs?follow=true`, or `clockjack logs --follow RUN`.\n\n\
         Made from `host/src/shell/journal/kind.rs`.\n",
    );
    for kind in EventKind::ALL {
        let About { name, meaning, fields, apscheduler } = kind.about();
        page.push_str(&format!("\n## {name}\n\n{meaning}"));
        if !apscheduler.is_empty() {
            page.push_str(&format!(" APScheduler: `EVENT_{}`.", apscheduler.replace(", ", "`, `EVENT_")));
        }
        page.push('\n');
        if !fields.is_empty() {
            page.push_str("\n| Field | Meaning |\n|---|---|\n");
            fields.iter().for_each(|(field, meaning)| page.push_str(&format!("| `{field}` | {meaning} |\n")));
        }
    }
    page.push_str(
        "\n## What APScheduler has and this has not\n\n`EVENT_JOBSTORE_ADDED` and `EVENT_JOBSTORE_REMOVED`: stores are those \
         of the manifest, and another one needs a restart. `EVENT_JOB_MAX_INSTANCES` is `run.skipped` with the reason \
         `overlapping`.\n",
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
    expect_test::expect_file![path].assert_eq(&page);
}
