//! Calls, attempts and reports as what goes between a host and its workers, and back.

use std::{
    collections::BTreeMap, ffi::OsString, os::unix::ffi::OsStringExt as _, path::PathBuf, sync::Arc, time::Duration,
};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    command::ExitCodes,
    counts::Counts,
    id::JobId,
    job::{DirGrant, DirMode, Grants, Limits},
    outcome::{Again, Outcome, OutcomeCode},
    ports::{Attempt, Captured, Listen, Live, LogLevel, LogLine, Report, Said, Usage},
    run::{Cause, Run},
    stop::Stop,
};

use super::{
    reach,
    values::{read_json, read_values, write_json, write_values},
    wire::{
        AgainWire, Begin, Blob, CallSetup, CapturedWire, CauseWire, DirWire, Ended, LimitsWire, LiveWire, LogWire,
        Moment,
    },
};
use crate::{
    attempt::{Facts, Inputs},
    call::Call,
    engine::Metering,
    folder, live,
    plugin::Form,
    secrets::Secrets,
};

/// Longest message of an outcome that is taken: those of this program have 2,000 characters at the most.
const WORDS_BYTES_MAX: u64 = 8 << 10;

/// By how much the names of secrets may make a text longer: a thousand of them are named.
const NAMES_BYTES_MAX: u64 = 128 << 10;

/// What a worker of a call has to know. `memory_bytes_max` and `is_pooled` are those of the host's own engine.
pub(super) fn of_call(call: &Call, job: &JobId, is_pooled: bool, memory_bytes_max: u64) -> CallSetup {
    let dir = |dir: &DirGrant| DirWire {
        host: path(dir.host.clone()),
        guest: dir.guest.clone(),
        is_writable: dir.mode == DirMode::ReadWrite,
        identity: folder::identity(&dir.host),
    };
    let reach = reach::of_grants(&call.grants);
    // Each by its name, so that a grant that comes later is not forgotten here. The state stays in the host; secrets come
    // with each attempt; the variables are those of the call; `reach` takes the rest.
    let Grants { env: _, dirs, state: _, secrets: _, http: _, network: _, clock_resolution: _, random_seed: _ } =
        &call.grants;
    let codes = &call.command.exit_codes;
    CallSetup {
        job: job.to_string(),
        digest: call.plugin.digest.to_string(),
        is_program: call.plugin.form == Form::Program,
        is_metered: call.metering == Metering::Fuel,
        is_pooled,
        memory_bytes_max,
        function: call.function,
        limits: of_limits(&call.limits),
        variables: call.variables.as_ref().clone(),
        dirs: dirs.iter().map(dir).collect(),
        reach_identities: reach.paths().iter().map(|path| folder::identity(path)).collect(),
        reach,
        exit_codes: [&codes.success, &codes.retry, &codes.permanent, &codes.skipped].map(Clone::clone),
    }
}

fn of_limits(limits: &Limits) -> LimitsWire {
    // Each by its name, so that a limit that comes later is not forgotten here.
    let Limits {
        timeout,
        cpu_time,
        memory_bytes_max,
        table_elements_max,
        instances_max,
        output_bytes_max,
        fuel,
        state_bytes_max,
        startup,
        mut counts,
    } = limits.clone();
    LimitsWire {
        timeout_nanos: nanos(timeout),
        cpu_time_nanos: nanos(cpu_time),
        memory_bytes_max,
        table_elements_max,
        instances_max,
        output_bytes_max,
        fuel,
        state_bytes_max,
        startup_nanos: startup.map(nanos),
        counts: Counts::ALL.iter().map(|count| *(count.place)(&mut counts)).collect(),
    }
}

impl LimitsWire {
    pub(super) fn limits(&self) -> Limits {
        let mut counts = Counts::default();
        for (count, limit) in Counts::ALL.iter().zip(&self.counts) {
            *(count.place)(&mut counts) = *limit;
        }
        Limits {
            timeout: Duration::from_nanos(self.timeout_nanos),
            cpu_time: Duration::from_nanos(self.cpu_time_nanos),
            memory_bytes_max: self.memory_bytes_max,
            table_elements_max: self.table_elements_max,
            instances_max: self.instances_max,
            output_bytes_max: self.output_bytes_max,
            fuel: self.fuel,
            state_bytes_max: self.state_bytes_max,
            startup: self.startup_nanos.map(Duration::from_nanos),
            counts,
        }
    }
}

impl CallSetup {
    /// What the job was granted, but for what comes with each attempt: secrets and state.
    ///
    /// # Errors
    /// When the words of a rule cannot be read.
    pub(super) fn grants(&self) -> Result<Grants, String> {
        let dir = |dir: &DirWire| DirGrant {
            index: 0,
            host: dir.host.path(),
            guest: dir.guest.clone(),
            mode: if dir.is_writable { DirMode::ReadWrite } else { DirMode::Read },
        };
        let dirs = self.dirs.iter().map(dir).collect();
        Ok(Grants { env: self.variables.clone(), dirs, ..self.reach.grants()? })
    }

    pub(super) fn exit_codes(&self) -> ExitCodes {
        let [success, retry, permanent, skipped] = self.exit_codes.clone();
        ExitCodes { success, retry, permanent, skipped }
    }
}

impl Blob {
    pub(super) fn path(&self) -> PathBuf {
        OsString::from_vec(self.0.clone()).into()
    }
}

pub(super) fn path(path: PathBuf) -> Blob {
    Blob(path.into_os_string().into_vec())
}

/// An attempt with what it gets. `scratch` is its folder, if it has one.
///
/// # Errors
/// When an argument cannot leave the process.
pub(super) fn of_attempt(
    call: &Call,
    facts: &Facts,
    inputs: &Inputs<'_>,
    scratch: Option<PathBuf>,
) -> Result<Begin, String> {
    let Attempt { run, number, number_max, started_at, last_success, .. } = &facts.attempt;
    let values = write_values(&inputs.values).map_err(|unfit| format!("the arguments: {unfit}"))?;
    Ok(Begin {
        run: run.id.to_string(),
        scheduled_for: moment(run.scheduled_for),
        due_at: moment(run.due_at),
        cause: of_cause(&run.cause),
        number: *number,
        number_max: *number_max,
        started_at: moment(*started_at),
        last_success: last_success.map(moment),
        zone: facts.zone.to_string(),
        labels: facts.labels.as_ref().clone(),
        is_traced: facts.is_traced,
        values: Blob(values),
        command_line: inputs.command_line.to_vec(),
        stdin: Blob(inputs.stdin.to_vec()),
        facts: inputs.env.clone(),
        secrets: inputs.secrets.to_names(),
        secret_variables: inputs.secrets.to_variables(),
        has_state: call.grants.state,
        scratch: scratch.map(path),
    })
}

impl Begin {
    /// The attempt as the worker runs it.
    ///
    /// # Errors
    /// When it makes no sense, which a host never sends.
    pub(super) fn facts(&self, job: &JobId, stop: Stop, listener: Arc<dyn Listen>) -> Result<Facts, String> {
        let run = Run {
            id: self.run.parse().map_err(|error| format!("the id of the run: {error}"))?,
            job: job.clone(),
            scheduled_for: instant(self.scheduled_for)?,
            due_at: instant(self.due_at)?,
            cause: cause(&self.cause)?,
            // What a payload stands for was filled in already.
            payload: None,
        };
        // Its state is never asked for here: that is on the other side of the line.
        let attempt = Attempt {
            number: self.number,
            number_max: self.number_max,
            last_success: self.last_success.map(instant).transpose()?,
            stop,
            live: Live(Some(listener)),
            ..Attempt::only(Arc::new(run), instant(self.started_at)?)
        };
        Ok(Facts {
            attempt,
            zone: self.zone.as_str().into(),
            labels: Arc::new(self.labels.clone()),
            is_traced: self.is_traced,
        })
    }

    /// What the attempt gets.
    ///
    /// # Errors
    /// As `facts`.
    pub(super) fn inputs(&mut self) -> Result<Inputs<'static>, String> {
        Ok(Inputs {
            values: read_values(&self.values.0).map_err(|unfit| format!("the arguments: {unfit}"))?.into(),
            command_line: std::mem::take(&mut self.command_line).into(),
            stdin: std::mem::take(&mut self.stdin.0).into(),
            env: std::mem::take(&mut self.facts),
            secrets: Secrets::received(std::mem::take(&mut self.secrets), std::mem::take(&mut self.secret_variables))?,
        })
    }
}

fn of_cause(cause: &Cause) -> CauseWire {
    match cause {
        Cause::Schedule => CauseWire::Schedule,
        Cause::CatchUp(n_slots) => CauseWire::CatchUp(*n_slots),
        Cause::Manual => CauseWire::Manual,
        Cause::Upstream(job) => CauseWire::Upstream(job.to_string()),
        Cause::Api => CauseWire::Api,
        Cause::Start => CauseWire::Start,
        Cause::Backfill => CauseWire::Backfill,
    }
}

fn cause(cause: &CauseWire) -> Result<Cause, String> {
    Ok(match cause {
        CauseWire::Schedule => Cause::Schedule,
        CauseWire::CatchUp(n_slots) => Cause::CatchUp(*n_slots),
        CauseWire::Manual => Cause::Manual,
        CauseWire::Upstream(job) => Cause::Upstream(job.parse().map_err(|error| format!("the job before: {error}"))?),
        CauseWire::Api => Cause::Api,
        CauseWire::Start => Cause::Start,
        CauseWire::Backfill => Cause::Backfill,
    })
}

/// The report of a worker, for the host.
pub(super) fn of_report(report: Report) -> Ended {
    let Outcome { code, message, output, again } = report.outcome;
    Ended {
        code: code.as_str().to_owned(),
        message,
        output: output.map(|output| Blob(write_json(&output))),
        again: match again {
            Again::AsPolicySays => AgainWire::AsPolicySays,
            Again::Never => AgainWire::Never,
            Again::After(time) => AgainWire::AfterNanos(nanos(time)),
        },
        cpu_nanos: nanos(report.cpu_time),
        memory_peak_bytes: report.memory_peak_bytes,
        fuel_used: report.fuel_used,
        usage: report
            .usage
            .figures()
            .filter(|(_, used)| 0 < *used)
            .map(|(name, used)| (name.to_owned(), used))
            .collect(),
        stdout: of_captured(report.stdout),
        stderr: of_captured(report.stderr),
        logs: report.logs.into_iter().map(of_log).collect(),
        n_logs_dropped: report.n_logs_dropped,
        progress: report.progress,
    }
}

impl Ended {
    /// The report that a worker gave, and of it no more than its job may leave: a worker that was taken over says what it
    /// likes.
    ///
    /// # Errors
    /// When it makes no sense, which only a broken worker sends.
    pub(super) fn report(mut self, limits: &Limits) -> Result<Report, String> {
        let code: OutcomeCode = self.code.parse().map_err(|unknown| format!("{unknown}"))?;
        let output = self.output.map(|output| read_json(&output.0)).transpose();
        let again = match self.again {
            AgainWire::AsPolicySays => Again::AsPolicySays,
            AgainWire::Never => Again::Never,
            AgainWire::AfterNanos(nanos) => Again::After(Duration::from_nanos(nanos)),
        };
        let output = output.map_err(|unfit| format!("its output: {unfit}"))?;
        self.logs.truncate(usize::try_from(limits.counts.log_lines_max).unwrap_or(usize::MAX).saturating_add(1));
        // What is no text is longer as text, and so are the names of secrets in place of their values.
        let text_bytes_max = limits.output_bytes_max.saturating_mul(3).saturating_add(NAMES_BYTES_MAX);
        let text_bytes_max = usize::try_from(text_bytes_max).unwrap_or(usize::MAX);
        for captured in [&mut self.stdout, &mut self.stderr] {
            captured.text.0.truncate(text_bytes_max);
        }
        for words in [Some(&mut self.message), self.progress.as_mut()].into_iter().flatten() {
            words.truncate(words.floor_char_boundary(usize::try_from(WORDS_BYTES_MAX).unwrap_or(usize::MAX)));
        }
        let mut usage = Usage::default();
        for (name, place) in Usage::FIGURES {
            *place(&mut usage) = self.usage.get(name).copied().unwrap_or_default();
        }
        Ok(Report {
            cpu_time: Duration::from_nanos(self.cpu_nanos),
            memory_peak_bytes: self.memory_peak_bytes,
            fuel_used: self.fuel_used,
            usage,
            stdout: self.stdout.captured(),
            stderr: self.stderr.captured(),
            logs: self.logs.into_iter().map(LogWire::line).collect::<Result<_, _>>()?,
            n_logs_dropped: self.n_logs_dropped,
            progress: self.progress,
            ..Report::without_guest(Outcome { code, message: self.message, output, again })
        })
    }
}

fn of_captured(captured: Captured) -> CapturedWire {
    let Captured { text, n_bytes, n_bytes_dropped } = captured;
    CapturedWire { text: Blob(text.into_bytes()), n_bytes, n_bytes_dropped }
}

impl CapturedWire {
    fn captured(self) -> Captured {
        let text = String::from_utf8_lossy(&self.text.0).into_owned();
        Captured { text, n_bytes: self.n_bytes, n_bytes_dropped: self.n_bytes_dropped }
    }
}

/// What a guest says, for the host.
pub(super) fn of_said(said: Said) -> LiveWire {
    match said {
        Said::Log(line) => LiveWire::Log(of_log(line)),
        Said::Wrote { is_stderr, text } => LiveWire::Wrote { is_stderr, text },
        Said::Progress { done, total, message } => LiveWire::Progress { done, total, message },
        Said::LeftOut(n_lines) => LiveWire::LeftOut(n_lines),
    }
}

impl LiveWire {
    /// What a worker passes on.
    ///
    /// # Errors
    /// When it makes no sense, which only a broken worker sends.
    pub(super) fn said(self) -> Result<Said, String> {
        Ok(match self {
            Self::Log(line) => Said::Log(live::bounded(&line.line()?)),
            Self::Wrote { is_stderr, text } => Said::Wrote { is_stderr, text: live::cut(&text).to_owned() },
            Self::Progress { done, total, message } => {
                Said::Progress { done, total, message: live::cut(&message).to_owned() }
            }
            Self::LeftOut(n_lines) => Said::LeftOut(n_lines),
        })
    }
}

const LEVELS: [LogLevel; 5] = [LogLevel::Trace, LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];

fn of_log(line: LogLine) -> LogWire {
    let LogLine { at, level, message, fields } = line;
    let level = LEVELS.iter().position(|known| *known == level).and_then(|at| u8::try_from(at).ok());
    LogWire { at: moment(at), level: level.unwrap_or_default(), message, fields }
}

impl LogWire {
    fn line(self) -> Result<LogLine, String> {
        let Self { at, level, message, fields } = self;
        let level = LEVELS.get(usize::from(level)).copied().ok_or("a line of its log has no level")?;
        Ok(LogLine { at: instant(at)?, level, message, fields })
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn moment(at: DateTime<Utc>) -> Moment {
    (at.timestamp(), at.timestamp_subsec_nanos())
}

fn instant((seconds, nanos): Moment) -> Result<DateTime<Utc>, String> {
    DateTime::from_timestamp(seconds, nanos).ok_or_else(|| format!("{seconds} s is no instant"))
}

impl Secrets {
    fn to_names(&self) -> BTreeMap<String, Result<String, String>> {
        let names = self.by_name().iter();
        let shown = |value: &Result<clockjack_schedule::secret::SecretText, String>| {
            value.as_ref().map(|value| value.reveal().to_owned()).map_err(Clone::clone)
        };
        names.map(|(name, value)| (name.to_string(), shown(value))).collect()
    }

    fn to_variables(&self) -> BTreeMap<String, (String, String)> {
        let variables = self.by_variable().iter();
        variables
            .map(|(variable, (name, value))| (variable.clone(), (name.to_string(), value.reveal().to_owned())))
            .collect()
    }

    fn received(
        names: BTreeMap<String, Result<String, String>>,
        variables: BTreeMap<String, (String, String)>,
    ) -> Result<Self, String> {
        let told = |error| format!("the name of a secret: {error}");
        let by_name = names.into_iter().map(|(name, value)| Ok((name.parse().map_err(told)?, value.map(Into::into))));
        let by_variable = variables
            .into_iter()
            .map(|(variable, (name, value))| Ok((variable, (name.parse().map_err(told)?, value.into()))));
        Ok(Self::of(by_name.collect::<Result<_, String>>()?, by_variable.collect::<Result<_, String>>()?))
    }
}
