//! The task that looks after backfills: it settles what has ended and asks for what comes next.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    core::Input,
    id::{JobId, RunId},
    outcome::OutcomeCode,
    ports::{DocumentKind, Ledger, LedgerError, RunFilter, SkipFilter},
    run::Cause,
    trigger::Basis,
};
use tokio::sync::{
    broadcast::{Receiver, error::RecvError},
    mpsc,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    BackfillError, Backfills, CANCELLED, DONE, GOING_MAX, Order, RUNNING, SAMPLE, SLOTS_KEY, Wanted, count,
    going::{Going, Settled, gone},
    read, slots_with_runs, stopping,
};
use crate::{
    api::view::operate::{Backfill, BackfillPlan},
    cli::rfc3339,
    operate::{
        OperateParts,
        range::{slots_of, trigger_for},
    },
    shell::Event,
};

/// How many orders may wait.
const ORDERS_MAX: usize = 64;

/// How many backfills that have ended are remembered.
const ENDED_MAX: usize = 100;

/// How often it is looked at what goes on, beside whenever a run ends.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The task.
struct Task {
    parts: OperateParts,
    orders: mpsc::Receiver<Order>,
    going: Vec<Going>,
    is_loaded: bool,
    stop: CancellationToken,
}

pub(in crate::operate) fn task(
    parts: OperateParts,
    stop: CancellationToken,
) -> (Backfills, impl Future<Output = ()> + Send) {
    let (orders, taken) = mpsc::channel(ORDERS_MAX);
    let task = Task { parts, orders: taken, going: Vec::new(), is_loaded: false, stop };
    (Backfills { orders }, task.work())
}

impl Task {
    async fn work(mut self) {
        loop {
            // Before the look, so that no end falls between the two.
            let events = self.parts.host.bus().listen();
            if let Err(error) = self.look().await {
                warn!("backfills do not go on for now: {error}");
            }
            let runs: BTreeSet<RunId> = self.going.iter().flat_map(|going| going.open.keys().copied()).collect();
            let is_idle = self.is_loaded && self.going.is_empty();
            let order = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                Some(order) = self.orders.recv() => Some(order),
                () = one_ended(events, &runs) => None,
                () = tokio::time::sleep(LOOK_INTERVAL), if !is_idle => None,
            };
            match order {
                // A range may be long, and nobody waits for it any more.
                Some(Order::Plan(_, done)) if done.is_closed() => {}
                Some(Order::Plan(wanted, done)) => drop(done.send(self.plan(&wanted).await)),
                Some(Order::Begin(id, wanted, done)) => drop(done.send(self.begin(id, wanted).await)),
                Some(Order::Cancel(id, done)) => drop(done.send(self.cancel(&id).await)),
                None => {}
            }
        }
    }

    async fn plan(&mut self, wanted: &Wanted) -> Result<BackfillPlan, BackfillError> {
        self.load().await?;
        let (slots, left_out) = self.slots(wanted).await?;
        Ok(BackfillPlan {
            job: wanted.job.to_string(),
            slots: count(slots.len()),
            left_out,
            first: slots.first().copied().map(rfc3339),
            last: slots.last().copied().map(rfc3339),
            sample: slots.iter().take(SAMPLE).copied().map(rfc3339).collect(),
        })
    }

    async fn begin(&mut self, id: String, wanted: Wanted) -> Result<Backfill, BackfillError> {
        self.load().await?;
        if let Some(going) = self.going.iter().find(|going| going.told.id == id) {
            return Ok(going.told.clone());
        }
        if GOING_MAX <= self.going.len() {
            return Err(BackfillError::Busy);
        }
        let (slots, left_out) = self.slots(&wanted).await?;
        let at = self.parts.clock.now();
        let Some(going) = Going::new(told(id, wanted, &slots, left_out, at), slots) else {
            return Err(BackfillError::Gone);
        };
        let (history, told) = (self.parts.host.history(), going.told.clone());
        history.hold(&going.job, &told.id).await;
        // Both or neither: a backfill without its slots would be none.
        if let Err(error) = self.parts.ledger.commit(vec![going.slots_document(at), going.document(at)?]).await {
            history.release(&going.job, &told.id).await;
            return Err(error.into());
        }
        let (job, slots) = (told.job.as_str(), told.slots);
        info!(job, backfill = told.id, slots, "slots of the past are made up for");
        self.going.push(going);
        Ok(told)
    }

    /// The slots that a wish is about, and how many are left out because they have a run or are to get one from a backfill
    /// that goes on. It is asked here, where nothing else begins meanwhile: so no slot is made up for by two of them.
    async fn slots(&self, wanted: &Wanted) -> Result<(Vec<DateTime<Utc>>, u64), BackfillError> {
        let OperateParts { clock, ledger, host } = &self.parts;
        let known = host.definition(&wanted.job).await.ok_or(BackfillError::Gone)?;
        let basis = Basis { first_seen: known.first_seen, last_finished: None };
        let range = (wanted.from, wanted.to);
        let trigger = trigger_for(&known.job, range, clock.now())?;
        let mut taken = BTreeSet::new();
        if !wanted.again {
            taken = tokio::select! {
                () = self.stop.cancelled() => return Err(stopping()),
                taken = slots_with_runs(&**ledger, &wanted.job, range) => taken?,
            };
            let others = self.going.iter().filter(|going| going.job == wanted.job);
            taken.extend(others.flat_map(Going::unsettled));
        }
        let (slots, n_left_out) = slots_of(trigger, &basis, range, wanted.max, &taken)?;
        Ok((slots, count(n_left_out)))
    }

    async fn cancel(&mut self, id: &str) -> Result<Backfill, BackfillError> {
        self.load().await?;
        let now = self.parts.clock.now();
        let Some(going) = self.going.iter_mut().find(|going| going.told.id == id && going.goes_on()) else {
            let known = Backfills::list(&*self.parts.ledger).await?.into_iter().find(|backfill| backfill.id == id);
            return Err(known.map_or(BackfillError::Unknown, |known| BackfillError::Ended(known.state)));
        };
        going.end(CANCELLED, Some("cancelled on request".to_owned()), now);
        let told = going.told.clone();
        self.keep().await?;
        Ok(told)
    }

    /// Takes back what an earlier life of the host left.
    async fn load(&mut self) -> Result<(), LedgerError> {
        if self.is_loaded {
            return Ok(());
        }
        let documents = self.parts.ledger.documents(DocumentKind::Backfill).await?;
        for told in documents.iter().filter_map(read).filter(|told| told.state == RUNNING) {
            let key = format!("{}{SLOTS_KEY}", told.id);
            let slots = documents.iter().find(|document| *document.key == *key);
            let slots: Option<Vec<i64>> = slots.and_then(|document| serde_json::from_str(&document.text).ok());
            let slots: Vec<_> =
                slots.unwrap_or_default().into_iter().filter_map(DateTime::from_timestamp_micros).collect();
            let Some(going) = Going::new(told, slots) else { continue };
            self.parts.host.history().hold(&going.job, &going.told.id).await;
            self.going.push(going);
        }
        self.is_loaded = true;
        Ok(())
    }

    /// Settles what has ended, and asks for what comes next.
    async fn look(&mut self) -> Result<(), LedgerError> {
        self.load().await?;
        for going in &mut self.going {
            settle_ended(&*self.parts.ledger, going).await?;
            if going.goes_on() {
                go_on(&self.parts, going).await?;
            }
        }
        self.keep().await
    }

    /// Writes down what is new, and lets go of what has ended.
    async fn keep(&mut self) -> Result<(), LedgerError> {
        let at = self.parts.clock.now();
        let mut changes = Vec::new();
        for going in self.going.iter().filter(|going| going.is_new) {
            changes.push(going.document(at)?);
            if !going.goes_on() {
                changes.push(gone(format!("{}{SLOTS_KEY}", going.told.id)));
            }
        }
        let has_ended = self.going.iter().any(|going| !going.goes_on());
        if changes.is_empty() && !has_ended {
            return Ok(());
        }
        self.parts.ledger.commit(changes).await?;
        self.going.iter_mut().for_each(|going| going.is_new = false);
        if !has_ended {
            return Ok(());
        }
        for ended in self.going.extract_if(.., |going| !going.goes_on()) {
            self.parts.host.history().release(&ended.job, &ended.told.id).await;
            let Backfill { job, id, state, succeeded, failed, skipped, .. } = ended.told;
            info!(job, backfill = id, state, succeeded, failed, skipped, "a backfill has ended");
        }
        let ended =
            Backfills::list(&*self.parts.ledger).await?.into_iter().filter(|backfill| backfill.state != RUNNING);
        let too_many: Vec<_> = ended.skip(ENDED_MAX).map(|backfill| gone(backfill.id)).collect();
        if too_many.is_empty() { Ok(()) } else { self.parts.ledger.commit(too_many).await.map(drop) }
    }
}

/// Looks what became of the runs that were asked for.
async fn settle_ended(ledger: &dyn Ledger, going: &mut Going) -> Result<(), LedgerError> {
    let open: Vec<_> = going.open.iter().map(|(run, place)| (*run, *place)).collect();
    for (run, place) in open {
        let how = match ledger.run(run).await? {
            Some(story) => match story.row.finish().map(|finish| finish.report.outcome.code) {
                Some(OutcomeCode::Succeeded) => Settled::Succeeded,
                Some(_) => Settled::Failed,
                None => continue,
            },
            None if is_skipped(ledger, &going.job, run, going.slots[place]).await? => Settled::Skipped,
            None => {
                // Nothing came of it, because its job was paused: it is asked for again.
                going.open.remove(&run);
                going.next = going.next.min(place);
                continue;
            }
        };
        going.open.remove(&run);
        going.settle(place, how);
    }
    Ok(())
}

async fn is_skipped(ledger: &dyn Ledger, job: &JobId, run: RunId, slot: DateTime<Utc>) -> Result<bool, LedgerError> {
    let until = slot.checked_add_signed(TimeDelta::microseconds(1));
    let filter = SkipFilter { job: Some(job.clone()), since: Some(slot), until, ..SkipFilter::default() };
    Ok(ledger.skips(filter).await?.iter().any(|skip| skip.run == Some(run)))
}

/// Whether there is a run of a slot.
async fn has_run(ledger: &dyn Ledger, job: &JobId, slot: DateTime<Utc>) -> Result<bool, LedgerError> {
    let until = slot.checked_add_signed(TimeDelta::microseconds(1));
    let filter = RunFilter { job: Some(job.clone()), since: Some(slot), until, n_max: 1, ..RunFilter::default() };
    Ok(!ledger.runs(filter).await?.is_empty())
}

/// What is told of a backfill that begins.
fn told(id: String, wanted: Wanted, slots: &[DateTime<Utc>], left_out: u64, now: DateTime<Utc>) -> Backfill {
    let Wanted { job, from, to, at_once, again, by, max: _ } = wanted;
    Backfill {
        id,
        job: job.to_string(),
        state: RUNNING.to_owned(),
        from: rfc3339(from),
        to: rfc3339(to),
        at_once,
        again,
        created_at: rfc3339(now),
        by,
        slots: count(slots.len()),
        left_out,
        cursor: slots.first().copied().map(rfc3339),
        ..Backfill::default()
    }
}

/// Asks for the next runs, as many as may go on at once.
async fn go_on(parts: &OperateParts, going: &mut Going) -> Result<(), LedgerError> {
    if going.slots.len() <= going.next && going.open.is_empty() {
        // What was settled ahead of a hole has closed it by now.
        going.end(DONE, None, parts.clock.now());
        return Ok(());
    }
    let Some(known) = parts.host.definition(&going.job).await else {
        if parts.host.is_over() {
            return Ok(());
        }
        going.end(CANCELLED, Some("the job was removed".to_owned()), parts.clock.now());
        return Ok(());
    };
    if known.is_paused {
        return Ok(());
    }
    let at_once = usize::try_from(going.told.at_once.max(1)).unwrap_or(1);
    let mut inputs = Vec::new();
    while going.open.len() < at_once && going.next < going.slots.len() {
        let place = going.next;
        going.next += 1;
        if going.ahead.contains_key(&place) || going.open.values().any(|open| *open == place) {
            continue;
        }
        let run = going.run(place);
        going.open.insert(run, place);
        // An earlier life of the host may have asked for it; its end is seen with the next look.
        if parts.ledger.run(run).await?.is_some() {
            continue;
        }
        if !going.told.again && has_run(&*parts.ledger, &going.job, going.slots[place]).await? {
            // Somebody else has seen to it since it was planned.
            going.open.remove(&run);
            going.settle(place, Settled::Skipped);
            continue;
        }
        let (job, scheduled_for) = (going.job.clone(), Some(going.slots[place]));
        inputs.push(Input::Fire { job, run, cause: Cause::Backfill, payload: None, scheduled_for });
    }
    if !inputs.is_empty() {
        parts.host.send(inputs).await;
        parts.host.settle().await?;
    }
    Ok(())
}

/// Waits until one of these runs has ended; for ever where there are none.
async fn one_ended(mut events: Receiver<Event>, runs: &BTreeSet<RunId>) {
    if runs.is_empty() {
        drop(events);
        return std::future::pending().await;
    }
    loop {
        match events.recv().await {
            Ok(Event::RunFinished { run, .. }) if runs.contains(&run.id) => return,
            Ok(Event::RunCut { cut, .. }) if runs.contains(&cut.run.id) => return,
            Ok(Event::Skipped(skip)) if skip.run.is_some_and(|run| runs.contains(&run)) => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}
