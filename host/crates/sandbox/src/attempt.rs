//! One attempt: a fresh store, every bound set before the first instruction, one deadline over instantiation and call.

use std::{borrow::Cow, collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    outcome::{Again, Outcome, OutcomeCode},
    ports::{Attempt, Captured, LogLine, Report, Usage},
    trace,
};
use tokio::time::{Instant, Timeout};
use wasmtime::{Store, UpdateDeadline, component::Val};
use wasmtime_wasi::{I32Exit, WasiCtxView, WasiView, filesystem::WasiFilesystemView as _, p1::WasiP1Ctx};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use crate::{
    call::{Call, Filled},
    classify::{self, Phase},
    command::environment,
    core_module::START,
    cpu::{CpuMeter, CpuSpent, Stopped, Supervised},
    egress::{Egress, HttpBounds, Network},
    engine::Sandbox,
    files::{Files, Guarded},
    grants::{self, Given, Streams},
    guest_api::{Logs, StateUse},
    limiter::{LimitHit, Limiter},
    live::LiveOut,
    output::{self, Capture},
    plugin::Linked,
    redact::Redactor,
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
    /// Whether its span is told to somebody, so that it may pass on which one it is.
    pub is_traced: bool,
}

impl Facts {
    /// What the attempt passes on to whom it asks for something, where it is traced.
    pub(crate) fn traceparent(&self) -> Option<String> {
        self.is_traced.then(|| trace::traceparent(self.attempt.run.id, self.attempt.number))
    }
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
    logs: Logs,
    /// What is passed on while it goes on.
    pub(crate) live: LiveOut,
    pub(crate) progress: Option<String>,
    /// What it does with the state of its job.
    pub(crate) state: StateUse,
    pub(crate) state_bytes_max: u64,
    /// The variables that it was granted.
    pub(crate) variables: Arc<BTreeMap<String, String>>,
    /// The values of the secrets that it was granted.
    pub(crate) secrets: Secrets,
    /// What its random numbers come from, where they are to be had again.
    pub(crate) random_seed: Option<u64>,
    egress: Egress,
    began: Instant,
    timeout: Duration,
}

impl GuestState {
    /// The time, counted from the start of the attempt.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        let elapsed = TimeDelta::from_std(self.began.elapsed()).unwrap_or_default();
        self.facts.attempt.started_at.checked_add_signed(elapsed).unwrap_or(self.facts.attempt.started_at)
    }

    /// Keeps a line of the log.
    pub(crate) fn log(&mut self, line: LogLine) {
        self.live.log(&line);
        self.logs.push(line);
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
        let (http_calls, http_bytes) = self.network().used();
        Usage {
            http_calls,
            http_bytes,
            host_calls: self.n_host_calls,
            table_elements_peak: self.limiter.table_elements_peak,
            log_lines: self.logs.n_lines(),
            log_bytes: self.logs.n_bytes_all,
            files_created: self.files.meter.n_files(),
            file_bytes_written: self.files.meter.n_bytes(),
            ..self.usage
        }
    }

    /// What it does on the network.
    pub(crate) fn network(&self) -> &Arc<Network> {
        self.egress.network()
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

impl WasiHttpView for GuestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.counted();
        self.egress.view(self.wasi.ctx().table)
    }
}

/// What one attempt gets, with everything filled in.
pub(crate) struct Inputs<'c> {
    /// The arguments of a function.
    pub(crate) values: Cow<'c, [Val]>,
    pub(crate) command_line: Cow<'c, [String]>,
    pub(crate) stdin: Bytes,
    /// The facts of the attempt, as variables.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) secrets: Secrets,
}

/// What a guest reaches the world through.
struct Held {
    wasi: WasiP1Ctx,
    files: Files,
    secrets: Secrets,
    state: StateUse,
    egress: Egress,
    live: LiveOut,
}

impl Sandbox {
    /// Runs one attempt of a call to its end.
    pub async fn run(&self, call: &Call, facts: Facts) -> Report {
        let (inputs, scratch) = match self.begin(call, &facts).and_then(|inputs| Ok((inputs, self.scratch(call)?))) {
            Ok(begun) => begun,
            Err(outcome) => return self.report(call, outcome),
        };
        let redactor = inputs.secrets.redactor();
        let state = StateUse::new(call.grants.state);
        let report = self.conduct(call, facts, inputs, state, scratch.as_ref()).await;
        concluded(report, redactor, scratch, call).await
    }

    /// Gets together what an attempt is given.
    ///
    /// # Errors
    /// How the attempt ends where something of it cannot be had.
    pub(crate) fn begin<'c>(&self, call: &'c Call, facts: &Facts) -> Result<Inputs<'c>, Outcome> {
        let filled = call.fill(&facts.attempt);
        // The next attempt would be given the same.
        let never = |message: String| Outcome { again: Again::Never, ..Outcome::ended(OutcomeCode::Failed, message) };
        let filled = filled.and_then(|filled| Ok((filled, call.command.stdin(&facts.attempt)?)));
        let (filled, stdin) = filled.map_err(never)?;
        let (values, command_line) = match filled {
            Some(Filled { values, command_line }) => (values.into(), command_line.into()),
            None => (call.values.as_slice().into(), call.command_line.as_slice().into()),
        };
        let env = environment(call, facts);
        let secrets = Secrets::read(&call.grants.secrets, self.vault())
            .map_err(|message| Outcome::ended(OutcomeCode::Failed, message))?;
        Ok(Inputs { values, command_line, stdin, env, secrets })
    }

    /// Runs the guest. The report is without what the scratch folder holds, and but for its output not yet without the
    /// values of secrets.
    pub(crate) async fn conduct(
        &self,
        call: &Call,
        facts: Facts,
        inputs: Inputs<'_>,
        state: StateUse,
        scratch: Option<&Scratch>,
    ) -> Report {
        let Inputs { values, command_line, stdin, env, secrets } = inputs;
        let live = LiveOut::new(&facts.attempt, secrets.redactor());
        let stdout = Capture::new(call.limits.output_bytes_max).heard(&live, false);
        let stderr = Capture::new(call.limits.output_bytes_max).heard(&live, true);
        let stop = facts.attempt.stop.clone();
        let streams = Streams { stdin, stdout: stdout.clone(), stderr: stderr.clone() };
        let egress = Egress::new(
            &call.grants,
            HttpBounds::of(&call.limits.counts),
            call.limits.timeout,
            self.resolver(),
            &facts.attempt.run.job,
        );
        let network = Arc::clone(egress.network());
        let given = Given {
            env: &env,
            secrets: &secrets,
            args: &command_line,
            scratch: scratch.map(Scratch::path),
            run: &facts.attempt.run,
        };
        let wasi = match grants::context(&call.grants, &given, &network, streams) {
            Ok(wasi) => wasi,
            Err(message) => return self.report(call, Outcome::ended(OutcomeCode::FsDenied, message)),
        };
        let meter = Arc::new(CpuMeter::default());
        let mut redactor = secrets.redactor();
        let files = Files::new(&call.limits.counts, &call.grants.dirs, scratch.map(|_| scratch::GUEST_PATH));
        let held = Held { wasi, files, secrets, state, egress, live: live.clone() };
        let mut store = self.store(call, facts, held, &meter);
        let mut phase = Phase::Instantiate;
        let ended = {
            let invocation = pin!(invoke(&mut store, call, &values, &mut phase));
            let supervised = Supervised::new(invocation, Arc::clone(&meter), stop);
            end_of(tokio::time::timeout(call.limits.timeout, supervised), scratch).await
        };
        live.finish();
        let fuel_left = store.get_fuel().ok();
        let (stdout, stderr) = (stdout.take(redactor.as_mut()), stderr.take(redactor.as_mut()));
        let too_many = store.data().too_many_calls(call.limits.counts.host_calls_max);
        let outcome = judged(ended, too_many, phase, call, &stderr);
        let state = store.into_data();
        let outcome = network.outcome(state.refusals.outcome(outcome));
        let now = state.now();
        let is_told = |_: &LogLine| outcome.code.is_success();
        let warnings = [state.refusals.warning(now), network.warning(now)].into_iter().flatten().filter(is_told);
        let warnings: Vec<_> = warnings.collect();
        let usage = Usage { output_bytes: output::largest(&stdout, &stderr, &outcome), ..state.usage() };
        Report {
            cpu_time: meter.used(),
            memory_peak_bytes: state.limiter.memory_peak_bytes,
            fuel_used: call.limits.fuel.zip(fuel_left).map(|(fuel, left)| fuel.saturating_sub(left)),
            stdout,
            stderr,
            n_logs_dropped: state.logs.n_dropped,
            logs: state.logs.lines.into_iter().chain(warnings).collect(),
            usage,
            progress: state.progress,
            state: state.state.into_draft(),
            ..self.report(call, outcome)
        }
    }

    /// A scratch folder for an attempt, or for the process that runs attempts of the call. Only commands have one, and
    /// only where no granted directory has its name.
    pub(crate) fn scratch(&self, call: &Call) -> Result<Option<Scratch>, Outcome> {
        let is_granted = call.grants.dirs.iter().any(|dir| dir.guest == scratch::GUEST_PATH);
        if !call.function().is_command() || is_granted {
            return Ok(None);
        }
        let made =
            self.scratch_root().and_then(|root| root.folder().map(Some).map_err(|error| scratch::refused(&error)));
        made.map_err(|message| Outcome::ended(OutcomeCode::FsDenied, message))
    }

    /// A report of a call in which no guest ran. Of which generation it is, is known to whoever chose the call.
    pub(crate) fn report(&self, call: &Call, outcome: Outcome) -> Report {
        Report { digest: Arc::clone(&call.plugin.digest), ..Report::without_guest(outcome) }
    }

    /// The only place that makes a store: every bound is set here.
    fn store(&self, call: &Call, facts: Facts, held: Held, meter: &Arc<CpuMeter>) -> Store<GuestState> {
        let Held { mut wasi, files, secrets, state, egress, live } = held;
        let counts = &call.limits.counts;
        let n_max = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        wasi.ctx().table.set_max_capacity(n_max(counts.resources_max()));
        let network = Arc::clone(egress.network());
        let state = GuestState {
            wasi,
            limiter: Limiter::new(&call.limits),
            n_host_calls: 0,
            files,
            refusals: Refusals::default(),
            usage: Usage::default(),
            facts,
            logs: Logs::new(counts),
            live,
            progress: None,
            state,
            state_bytes_max: call.limits.state_bytes_max,
            variables: Arc::clone(&call.variables),
            secrets,
            random_seed: call.grants.random_seed,
            egress,
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
            if let Some(over) = network.over() {
                return Err(wasmtime::Error::from(over));
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

/// The report of an attempt that was conducted, as it leaves the sandbox: with what the guest left in its scratch folder,
/// bounded, without the values of secrets, and with nothing to keep where it did not succeed.
pub(crate) async fn concluded(
    report: Report,
    mut redactor: Option<Redactor>,
    scratch: Option<Scratch>,
    call: &Call,
) -> Report {
    let outcome = classify::bounded(with_result(report.outcome, scratch, call).await, call);
    let state = report.state.filter(|_| outcome.code == OutcomeCode::Succeeded);
    let mut report = Report { outcome, state, ..report };
    redactor.iter_mut().for_each(|redactor| redactor.report(&mut report));
    report
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
