//! One attempt: a fresh store, every bound set before the first instruction, one deadline over instantiation and call.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    outcome::{Again, Outcome, OutcomeCode},
    ports::{Attempt, Report},
};
use tokio::time::Instant;
use wasmtime::{
    Store, UpdateDeadline,
    component::{ResourceTable, Val},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::{
    call::Call,
    classify::{self, Phase},
    cpu::{CpuMeter, CpuSpent, Stopped, Supervised},
    engine::Sandbox,
    exports::FunctionKind,
    grants,
    guest_api::{Logs, StateUse},
    limiter::Limiter,
    output::Capture,
    secrets::Secrets,
};

/// Bytes that one host call may copy between guest and host: bounds arguments, log lines and results.
const HOSTCALL_BYTES_MAX: usize = 16 << 20;

/// Resource handles of one store, lends included.
const HANDLES_MAX: usize = 4_096;

/// Host resources (streams, files, pollables) of one store.
const RESOURCES_MAX: usize = 1_024;

/// What a guest may be told about its attempt.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The attempt.
    pub attempt: Attempt,
    /// The zone of the job.
    pub zone: Arc<str>,
    /// The labels of the job.
    pub labels: Arc<BTreeMap<String, String>>,
}

/// What the store of an attempt holds.
pub(crate) struct GuestState {
    wasi: WasiCtx,
    table: ResourceTable,
    limiter: Limiter,
    pub(crate) facts: Facts,
    pub(crate) logs: Logs,
    pub(crate) progress: Option<String>,
    /// What it does with the state of its job.
    pub(crate) state: StateUse,
    pub(crate) state_bytes_max: u64,
    /// The variables that it was granted.
    pub(crate) variables: Arc<BTreeMap<String, String>>,
    /// The values of the secrets that it was granted.
    pub(crate) secrets: Secrets,
    began: Instant,
    timeout: Duration,
}

impl GuestState {
    /// The time, counted from the start of the attempt.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        let elapsed = TimeDelta::from_std(self.began.elapsed()).unwrap_or_default();
        self.facts.attempt.started_at.checked_add_signed(elapsed).unwrap_or(self.facts.attempt.started_at)
    }

    /// How long the attempt may take in all.
    pub(crate) fn deadline(&self) -> TimeDelta {
        TimeDelta::from_std(self.timeout).unwrap_or(TimeDelta::MAX)
    }

    /// How long until the attempt is stopped.
    pub(crate) fn remaining(&self) -> Duration {
        self.timeout.saturating_sub(self.began.elapsed())
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl Sandbox {
    /// Runs one attempt of a call to its end.
    pub async fn run(&self, call: &Call, facts: Facts) -> Report {
        let (stdout, stderr) = (Capture::new(call.limits.output_bytes_max), Capture::new(call.limits.output_bytes_max));
        let stop = facts.attempt.stop.clone();
        let filled = match call.fill(&facts.attempt) {
            Ok(filled) => filled,
            // The next attempt would be given the same.
            Err(message) => {
                let outcome = Outcome::ended(OutcomeCode::Failed, message);
                return self.report(call, Outcome { again: Again::Never, ..outcome });
            }
        };
        let values = filled.as_ref().map_or(&call.values, |filled| &filled.values);
        let command_line = filled.as_ref().map_or(&call.command_line, |filled| &filled.command_line);
        let env = environment(call, &facts);
        let secrets = match Secrets::read(&call.grants.secrets, self.vault()) {
            Ok(secrets) => secrets,
            Err(message) => return self.report(call, Outcome::ended(OutcomeCode::Failed, message)),
        };
        let wasi = match grants::context(&call.grants, &env, &secrets, command_line, &stdout, &stderr) {
            Ok(wasi) => wasi,
            Err(message) => return self.report(call, Outcome::ended(OutcomeCode::FsDenied, message)),
        };
        let meter = Arc::new(CpuMeter::default());
        let mut redactor = secrets.redactor();
        let mut store = self.store(call, facts, wasi, secrets, &meter);
        let mut phase = Phase::Instantiate;
        let supervised = {
            let invocation = pin!(invoke(&mut store, call, values, &mut phase));
            let supervised = Supervised::new(invocation, Arc::clone(&meter), stop);
            tokio::time::timeout(call.limits.timeout, supervised).await
        };
        let fuel_left = store.get_fuel().ok();
        let (stdout, stderr) = (stdout.take(redactor.as_mut()), stderr.take(redactor.as_mut()));
        let outcome = match supervised {
            Ok(Ok(Ok(result))) => classify::returned(result, call),
            Ok(Ok(Err(error))) => classify::trapped(&error, phase, call, &stderr),
            Ok(Err(Stopped)) => Outcome::ended(OutcomeCode::Cancelled, "the run was cancelled"),
            Err(_elapsed) => classify::timed_out(call),
        };
        let outcome = classify::bounded(outcome, call);
        let state = store.into_data();
        let draft = if outcome.code == OutcomeCode::Succeeded { state.state.into_draft() } else { None };
        let mut report = Report {
            cpu_time: meter.used(),
            memory_peak_bytes: state.limiter.memory_peak_bytes,
            fuel_used: call.limits.fuel.zip(fuel_left).map(|(fuel, left)| fuel.saturating_sub(left)),
            stdout,
            stderr,
            n_logs_dropped: state.logs.n_dropped,
            logs: state.logs.lines,
            progress: state.progress,
            state: draft,
            ..self.report(call, outcome)
        };
        redactor.iter_mut().for_each(|redactor| redactor.report(&mut report));
        report
    }

    fn report(&self, call: &Call, outcome: Outcome) -> Report {
        Report { digest: Arc::clone(&call.plugin.digest), generation: 1, ..Report::without_guest(outcome) }
    }

    /// The only place that makes a store: every bound is set here.
    fn store(
        &self,
        call: &Call,
        facts: Facts,
        wasi: WasiCtx,
        secrets: Secrets,
        meter: &Arc<CpuMeter>,
    ) -> Store<GuestState> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        let state = GuestState {
            wasi,
            table,
            limiter: Limiter::new(&call.limits),
            facts,
            logs: Logs::default(),
            progress: None,
            state: StateUse::new(call.grants.state),
            state_bytes_max: call.limits.state_bytes_max,
            variables: Arc::clone(&call.variables),
            secrets,
            began: Instant::now(),
            timeout: call.limits.timeout,
        };
        let mut store = Store::new(call.linked().pre.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
        store.set_max_component_handles(HANDLES_MAX);
        if let Some(fuel) = call.limits.fuel {
            store.set_fuel(fuel).expect("a call with fuel is linked in the engine that counts it");
        }
        let (meter, limit) = (Arc::clone(meter), call.limits.cpu_time);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| {
            if limit <= meter.used_in_poll() {
                return Err(CpuSpent { limit }.into());
            }
            meter.is_long();
            // The runtime's own yield: it goes to the end of the queue, so timers and other guests get their turn.
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        store
    }
}

async fn invoke(
    store: &mut Store<GuestState>,
    call: &Call,
    values: &[Val],
    phase: &mut Phase,
) -> wasmtime::Result<Option<Val>> {
    let linked = call.linked();
    let instance = linked.pre.instantiate_async(&mut *store).await?;
    *phase = Phase::Call;
    let place = &linked.places[call.function];
    let function =
        instance.get_func(&mut *store, place).expect("the place of the function was taken from this component");
    let mut results = [Val::Bool(false)];
    let n_results = usize::from(call.function().result.is_some());
    function.call_async(&mut *store, values, &mut results[..n_results]).await?;
    let [result] = results;
    Ok((n_results == 1).then_some(result))
}

/// The facts of the attempt, for commands, which have no other way to ask.
fn environment(call: &Call, facts: &Facts) -> Vec<(String, String)> {
    match call.function().kind {
        FunctionKind::Function => Vec::new(),
        FunctionKind::Command => {
            let attempt = &facts.attempt;
            let deadline = TimeDelta::from_std(call.limits.timeout)
                .ok()
                .and_then(|limit| attempt.started_at.checked_add_signed(limit));
            [
                ("CLOCKJACK_RUN_ID", attempt.run.id.to_string()),
                ("CLOCKJACK_JOB", attempt.run.job.to_string()),
                ("CLOCKJACK_ATTEMPT", attempt.number.to_string()),
                ("CLOCKJACK_MAX_ATTEMPTS", attempt.number_max.to_string()),
                ("CLOCKJACK_CAUSE", attempt.run.cause.to_string()),
                ("CLOCKJACK_SCHEDULED_FOR", rfc3339(attempt.run.scheduled_for)),
                ("CLOCKJACK_STARTED_AT", rfc3339(attempt.started_at)),
                ("CLOCKJACK_DEADLINE", deadline.map(rfc3339).unwrap_or_default()),
                ("CLOCKJACK_TIME_ZONE", facts.zone.to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
        }
    }
}

fn rfc3339(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}
