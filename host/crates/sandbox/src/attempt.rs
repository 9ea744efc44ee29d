//! One attempt: a fresh store, every bound set before the first instruction, one deadline over instantiation and call.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    outcome::{Again, Outcome, OutcomeCode, json_bytes},
    ports::{Attempt, Captured, Report, Usage},
};
use tokio::time::{Instant, Timeout};
use wasmtime::{Store, UpdateDeadline, component::Val};
use wasmtime_wasi::{I32Exit, WasiCtxView, WasiView, filesystem::WasiFilesystemView as _, p1::WasiP1Ctx};

use crate::{
    call::Call,
    classify::{self, Phase},
    command::environment,
    core_module::START,
    cpu::{CpuMeter, CpuSpent, Stopped, Supervised},
    engine::Sandbox,
    files::{Files, Guarded},
    grants::{self, Streams},
    guest_api::{Logs, StateUse},
    limiter::{LimitHit, Limiter},
    output::Capture,
    plugin::Linked,
    refusals::Refusals,
    scratch::{self, Scratch},
    secrets::Secrets,
};

/// Bytes that one host call may copy between guest and host: bounds arguments, log lines and results.
pub(crate) const HOSTCALL_BYTES_MAX: usize = 16 << 20;

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
    /// Holds what WASI 0.2 needs, too.
    wasi: WasiP1Ctx,
    limiter: Limiter,
    /// How often the guest called the host.
    n_host_calls: u64,
    /// What it does with files.
    pub(crate) files: Files,
    /// What it was refused.
    pub(crate) refusals: Refusals,
    pub(crate) usage: Usage,
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

    /// Counts a call from the guest. Each interface asks for its view of the state once per call.
    pub(crate) fn counted(&mut self) -> &mut Self {
        self.n_host_calls = self.n_host_calls.saturating_add(1);
        self
    }

    /// What a program of WASI preview 1 sees.
    pub(crate) fn preview_1(&mut self) -> &mut WasiP1Ctx {
        &mut self.counted().wasi
    }

    /// The same within one call.
    pub(crate) fn preview_1_again(&mut self) -> &mut WasiP1Ctx {
        &mut self.wasi
    }

    /// The files as components see them.
    pub(crate) fn guarded(&mut self) -> Guarded<'_> {
        let Self { wasi, files, refusals, .. } = self.counted();
        Guarded { inner: wasi.filesystem(), files, refusals }
    }

    /// That the guest called the host too often, where it did.
    fn too_many_calls(&self, limit: u64) -> Result<(), LimitHit> {
        if limit < self.n_host_calls { Err(LimitHit::HostCalls { limit }) } else { Ok(()) }
    }

    /// All that was used.
    fn usage(&self) -> Usage {
        Usage {
            host_calls: self.n_host_calls,
            table_elements_peak: self.limiter.table_elements_peak,
            log_lines: self.logs.n_lines(),
            log_bytes: self.logs.n_bytes_all,
            files_created: self.files.meter.n_files(),
            file_bytes_written: self.files.meter.n_bytes(),
            ..self.usage
        }
    }

    /// How long until the attempt is stopped.
    pub(crate) fn remaining(&self) -> Duration {
        self.timeout.saturating_sub(self.began.elapsed())
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.counted().wasi.ctx()
    }
}

impl Sandbox {
    /// Runs one attempt of a call to its end.
    pub async fn run(&self, call: &Call, facts: Facts) -> Report {
        let (stdout, stderr) = (Capture::new(call.limits.output_bytes_max), Capture::new(call.limits.output_bytes_max));
        let stop = facts.attempt.stop.clone();
        let filled = call.fill(&facts.attempt);
        let (filled, stdin) = match filled.and_then(|filled| Ok((filled, call.command.stdin(&facts.attempt)?))) {
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
        let streams = Streams { stdin, stdout: stdout.clone(), stderr: stderr.clone() };
        let opened = self.scratch(call).and_then(|scratch| {
            let folder = scratch.as_ref().map(Scratch::path);
            let wasi = grants::context(&call.grants, &env, &secrets, command_line, folder, streams)?;
            Ok((scratch, wasi))
        });
        let (scratch, wasi) = match opened {
            Ok(opened) => opened,
            Err(message) => return self.report(call, Outcome::ended(OutcomeCode::FsDenied, message)),
        };
        let meter = Arc::new(CpuMeter::default());
        let mut redactor = secrets.redactor();
        let files = Files::new(&call.limits.counts, &call.grants.dirs, scratch.as_ref().map(|_| scratch::GUEST_PATH));
        let mut store = self.store(call, facts, wasi, files, secrets, &meter);
        let mut phase = Phase::Instantiate;
        let ended = {
            let invocation = pin!(invoke(&mut store, call, values, &mut phase));
            let supervised = Supervised::new(invocation, Arc::clone(&meter), stop);
            end_of(tokio::time::timeout(call.limits.timeout, supervised), scratch.as_ref()).await
        };
        let fuel_left = store.get_fuel().ok();
        let (stdout, stderr) = (stdout.take(redactor.as_mut()), stderr.take(redactor.as_mut()));
        let too_many = store.data().too_many_calls(call.limits.counts.host_calls_max);
        let outcome = judged(ended, too_many, phase, call, &stderr);
        let outcome = classify::bounded(with_result(outcome, scratch, call).await, call);
        let state = store.into_data();
        let outcome = state.refusals.outcome(outcome);
        let warning = state.refusals.warning(state.now()).filter(|_| outcome.code.is_success());
        let usage = Usage { output_bytes: output_bytes(&stdout, &stderr, &outcome), ..state.usage() };
        let draft = if outcome.code == OutcomeCode::Succeeded { state.state.into_draft() } else { None };
        let mut report = Report {
            cpu_time: meter.used(),
            memory_peak_bytes: state.limiter.memory_peak_bytes,
            fuel_used: call.limits.fuel.zip(fuel_left).map(|(fuel, left)| fuel.saturating_sub(left)),
            stdout,
            stderr,
            n_logs_dropped: state.logs.n_dropped,
            logs: state.logs.lines.into_iter().chain(warning).collect(),
            usage,
            progress: state.progress,
            state: draft,
            ..self.report(call, outcome)
        };
        redactor.iter_mut().for_each(|redactor| redactor.report(&mut report));
        report
    }

    /// The scratch folder of an attempt. Only commands have one, and only where no granted directory has its name.
    fn scratch(&self, call: &Call) -> Result<Option<Scratch>, String> {
        let is_granted = call.grants.dirs.iter().any(|dir| dir.guest == scratch::GUEST_PATH);
        if !call.function().is_command() || is_granted {
            return Ok(None);
        }
        self.scratch_root()?.folder().map(Some).map_err(|error| format!("no scratch folder could be made: {error}"))
    }

    fn report(&self, call: &Call, outcome: Outcome) -> Report {
        Report { digest: Arc::clone(&call.plugin.digest), generation: 1, ..Report::without_guest(outcome) }
    }

    /// The only place that makes a store: every bound is set here.
    fn store(
        &self,
        call: &Call,
        facts: Facts,
        mut wasi: WasiP1Ctx,
        files: Files,
        secrets: Secrets,
        meter: &Arc<CpuMeter>,
    ) -> Store<GuestState> {
        let counts = &call.limits.counts;
        let n_max = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        wasi.ctx().table.set_max_capacity(n_max(counts.resources_max()));
        let state = GuestState {
            wasi,
            limiter: Limiter::new(&call.limits),
            n_host_calls: 0,
            files,
            refusals: Refusals::default(),
            usage: Usage::default(),
            facts,
            logs: Logs::new(counts),
            progress: None,
            state: StateUse::new(call.grants.state),
            state_bytes_max: call.limits.state_bytes_max,
            variables: Arc::clone(&call.variables),
            secrets,
            began: Instant::now(),
            timeout: call.limits.timeout,
        };
        let mut store = Store::new(call.linked().engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
        store.set_max_component_handles(n_max(counts.handles_max));
        if let Some(fuel) = call.limits.fuel {
            store.set_fuel(fuel).expect("a call with fuel is linked in the engine that counts it");
        }
        let (meter, limit, calls_max) = (Arc::clone(meter), call.limits.cpu_time, counts.host_calls_max);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |context| {
            context.data().too_many_calls(calls_max)?;
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

/// How an attempt came to its end.
enum End {
    Itself(wasmtime::Result<Option<Val>>),
    Stopped,
    TimedOut,
    /// Its scratch folder holds too much.
    Overflowed(String),
}

async fn end_of<F>(attempt: Timeout<Supervised<F>>, scratch: Option<&Scratch>) -> End
where
    F: Future<Output = wasmtime::Result<Option<Val>>> + Unpin,
{
    let overflow = async {
        match scratch {
            Some(scratch) => scratch.overflow().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        ended = attempt => match ended {
            Ok(Ok(returned)) => End::Itself(returned),
            Ok(Err(Stopped)) => End::Stopped,
            Err(_elapsed) => End::TimedOut,
        },
        message = overflow => End::Overflowed(message),
    }
}

/// The outcome of an end. One that called the host too often may have ended by itself before the next tick saw that.
fn judged(ended: End, calls: Result<(), LimitHit>, phase: Phase, call: &Call, stderr: &Captured) -> Outcome {
    match (ended, calls) {
        (End::Itself(Ok(_)), Err(hit)) => classify::trapped(&hit.into(), phase, call, stderr),
        (End::Itself(Err(error)), Err(hit)) if error.is::<I32Exit>() => {
            classify::trapped(&hit.into(), phase, call, stderr)
        }
        (End::Itself(Ok(result)), Ok(())) => classify::returned(result, call),
        (End::Itself(Err(error)), _) => classify::trapped(&error, phase, call, stderr),
        (End::Stopped, _) => Outcome::ended(OutcomeCode::Cancelled, "the run was cancelled"),
        (End::TimedOut, _) => classify::timed_out(call),
        (End::Overflowed(message), _) => Outcome::ended(OutcomeCode::FsDenied, message),
    }
}

/// The outcome of a command with what it left in its scratch folder, which is removed here. What was ended from outside
/// may have left half of something.
async fn with_result(outcome: Outcome, scratch: Option<Scratch>, call: &Call) -> Outcome {
    let Some(scratch) = scratch else { return outcome };
    let bytes_max = call.limits.output_bytes_max;
    let has_ended_itself = outcome.output.is_some();
    // Reading and removing may wait for a disk, and most attempts leave nothing.
    if scratch.is_empty() {
        return outcome;
    }
    let read = tokio::task::spawn_blocking(move || scratch.result(bytes_max)).await;
    let result = read.unwrap_or_else(|error| Err(format!("could not be read: {error}")));
    if has_ended_itself { classify::with_result(outcome, result) } else { outcome }
}

async fn invoke(
    store: &mut Store<GuestState>,
    call: &Call,
    values: &[Val],
    phase: &mut Phase,
) -> wasmtime::Result<Option<Val>> {
    let (pre, places) = match call.linked() {
        Linked::Component { pre, places } => (pre, places),
        Linked::Program { pre } => return start(store, call, pre, phase).await,
    };
    let instance = started(call, pre.instantiate_async(&mut *store)).await?;
    begin_call(store, phase);
    let place = &places[call.function];
    let function =
        instance.get_func(&mut *store, place).expect("the place of the function was taken from this component");
    let mut results = [Val::Bool(false)];
    let n_results = usize::from(call.function().result.is_some());
    function.call_async(&mut *store, values, &mut results[..n_results]).await?;
    let [result] = results;
    Ok((n_results == 1).then_some(result))
}

/// Runs a program of WASI preview 1. One that returns has the exit code 0; any other way out is an error.
async fn start(
    store: &mut Store<GuestState>,
    call: &Call,
    pre: &wasmtime::InstancePre<GuestState>,
    phase: &mut Phase,
) -> wasmtime::Result<Option<Val>> {
    store.data_mut().name_preopens();
    let instance = started(call, pre.instantiate_async(&mut *store)).await?;
    begin_call(store, phase);
    instance.get_typed_func::<(), ()>(&mut *store, START)?.call_async(&mut *store, ()).await?;
    Ok(None)
}

/// The instantiation, within its own limit where it has one.
async fn started<T>(call: &Call, instantiation: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    let Some(limit) = call.limits.startup else { return instantiation.await };
    let in_time = tokio::time::timeout(limit, instantiation).await;
    in_time.unwrap_or_else(|_elapsed| Err(LimitHit::Startup { limit }.into()))
}

/// The guest is instantiated, and its function is next.
fn begin_call(store: &mut Store<GuestState>, phase: &mut Phase) {
    *phase = Phase::Call;
    let state = store.data_mut();
    state.usage.startup_ms = u64::try_from(state.began.elapsed().as_millis()).unwrap_or(u64::MAX);
}

/// The largest of what `limits.output` bounds.
fn output_bytes(stdout: &Captured, stderr: &Captured, outcome: &Outcome) -> u64 {
    let output = outcome.output.as_ref().map_or(0, json_bytes);
    stdout.n_bytes.max(stderr.n_bytes).max(u64::try_from(output).unwrap_or(u64::MAX))
}
