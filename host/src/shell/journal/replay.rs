//! What a crash kept from being told: runs whose ends are in the ledger and in no batch of events.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    ports::{EventMark, Finish, Ledger, LedgerError, RunFilter, RunPlace, RunState},
    run::Run,
};
use serde_json::Value as Json;

use super::EventKind;

/// How long before the last event that was kept a run may have ended whose end is not told: several rounds of the writer.
const BEFORE: TimeDelta = TimeDelta::seconds(2);

/// How old the slots are that are looked at. A run that ended in the moment of a crash and whose slot is older is not told.
const SLOTS_SINCE: TimeDelta = TimeDelta::days(1);

/// How many runs are looked at, newest slots first, and how many of them at once.
const RUNS_MAX: usize = 50_000;
const PAGE: usize = 1_000;

/// The end of the life before this one.
pub(super) struct LastLife {
    /// The number of its last event that was kept.
    pub(super) number: u64,
    /// When it was told.
    at: DateTime<Utc>,
    /// It did not end in good order.
    pub(super) has_crashed: bool,
    /// The runs whose ends it told last.
    told: HashSet<String>,
}

/// What the ledger knows of the life before; nothing where there was none.
pub(super) async fn last_life(ledger: &dyn Ledger, marks: &[EventMark]) -> Result<Option<LastLife>, LedgerError> {
    let Some(last) = marks.last() else { return Ok(None) };
    let since = last.at.checked_sub_signed(BEFORE).unwrap_or(DateTime::UNIX_EPOCH);
    let before = marks.iter().rev().find(|mark| mark.at < since).map_or(0, |mark| mark.last);
    let batches = ledger.events(before, 0).await?;
    let is_end = |text: &str, kind: EventKind| text.contains(&format!("\"type\":\"{}\"", kind.as_str()));
    let newest = batches.last().and_then(|batch| batch.text.lines().last());
    let has_crashed = !newest.is_some_and(|text| is_end(text, EventKind::SchedulerStopped));
    let ends = batches.iter().flat_map(|batch| batch.text.lines()).filter(|text| is_end(text, EventKind::RunFinished));
    let run = |text: &str| Some(serde_json::from_str::<Json>(text).ok()?["run"].as_str()?.to_owned());
    let told = if has_crashed { ends.filter_map(run).collect() } else { HashSet::new() };
    Ok(Some(LastLife { number: last.last, at: last.at, has_crashed, told }))
}

/// The runs whose ends the life before has kept and not told, in the order in which they ended.
pub(super) async fn untold(
    ledger: &dyn Ledger,
    last: &LastLife,
    life: DateTime<Utc>,
) -> Result<Vec<(Arc<Run>, Arc<Finish>)>, LedgerError> {
    let since = last.at.checked_sub_signed(BEFORE).unwrap_or(DateTime::UNIX_EPOCH);
    let mut filter = RunFilter {
        since: since.checked_sub_signed(SLOTS_SINCE),
        until: Some(life),
        n_max: PAGE,
        ..RunFilter::default()
    };
    let mut found: Vec<(Arc<Run>, Arc<Finish>)> = Vec::new();
    for _ in 0..RUNS_MAX / PAGE {
        let rows = ledger.runs(filter.clone()).await?;
        filter.beyond = rows.last().map(|row| RunPlace::of(&row.run));
        let is_last = rows.len() < PAGE;
        for row in rows {
            let RunState::Ended(finish) = row.state else { continue };
            // What ended since, this life tells itself.
            let is_of_then = since <= finish.finished_at && finish.finished_at < life;
            if is_of_then && !last.told.contains(&row.run.id.to_string()) {
                found.push((row.run, finish));
            }
        }
        if is_last {
            break;
        }
    }
    found.sort_by_key(|(_, finish)| finish.finished_at);
    Ok(found)
}
