//! `clockjack exec`: one function, once, here and now, under the same sandbox as a job.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::{Args, ValueEnum};
use clockjack_sandbox::{Facts, Function, Imports, IsolatedPool, LoadCode, LoadError, Plugin, Recipe};
use clockjack_schedule::{
    command::{Command, Stdin},
    egress::HttpRule,
    id::{JobId, PoolName, RunId},
    job::{Arguments, Ceilings, DirGrant, DirMode, Grants, Limits},
    manifest::{self, parse::parse, scalar, source::Source},
    outcome::{Outcome, OutcomeCode},
    payload::Payload,
    ports::{Attempt, Captured, Clock as _, LogLine, Report},
    run::{Cause, Run},
    template,
};
use serde_json::{Value as Json, json};

use super::{
    Exit, LockedArgs, Output, OutputArgs, print,
    refusal::{self, refuse, refuse_all, refuse_json, tell_stale},
    rows,
};
use crate::{
    clock::SystemClock,
    load::{
        self,
        origin::{self, Origin},
        secrets::Missing,
    },
};

#[derive(Debug, Args)]
pub(super) struct ExecArgs {
    /// The component file, or `oci://HOST/REPOSITORY:TAG`; may be left out with `--job`.
    #[arg(required_unless_present = "job", value_parser = super::plugin_source())]
    plugin: Option<Source>,
    /// Which function; may be left out where there is one.
    function: Option<String>,
    /// An argument as `name=value`; the value is text, or JSON where the parameter is not text. For a command: a word.
    #[arg(long = "arg", short = 'a', value_name = "NAME=VALUE")]
    args: Vec<String>,
    /// The command line of a command.
    #[arg(last = true, value_name = "WORD")]
    words: Vec<String>,
    /// Wall-clock limit, such as `30s`.
    #[arg(long, value_parser = parse_time)]
    timeout: Option<Duration>,
    /// Limit of all memories together, such as `64MiB`.
    #[arg(long, value_parser = parse_memory)]
    memory: Option<u64>,
    /// Processor-time limit, such as `10s`.
    #[arg(long, value_parser = parse_time)]
    cpu_time: Option<Duration>,
    /// Limit of instructions; they are counted only when this is given.
    #[arg(long)]
    fuel: Option<u64>,
    /// Grants a directory: `HOST:GUEST:read` or `HOST:GUEST:read_write`.
    #[arg(long = "dir", value_name = "HOST:GUEST:MODE", value_parser = parse_dir)]
    dirs: Vec<DirGrant>,
    /// Grants a variable: `NAME=VALUE`.
    #[arg(long = "env", short = 'e', value_name = "NAME=VALUE", value_parser = parse_env)]
    env: Vec<(String, String)>,
    /// Grants HTTP requests to hosts: a URL such as `https://*.acme.dev`, or an entry of `grants.http` as YAML.
    #[arg(long = "http", value_name = "URL", value_parser = manifest::parse_http_rule)]
    http: Vec<HttpRule>,
    /// Grants a state. It begins empty, also with `--job`, and is dropped when the function has ended: what hosts keep
    /// is neither read nor written.
    #[arg(long)]
    state: bool,
    /// Where it runs: in this process, or in one of its own, as in pools with `isolation: process`. Without it: as the
    /// pool of the job says, or in this one.
    #[arg(long, value_enum)]
    isolation: Option<Isolation>,
    /// What came with the wish for the run, as JSON: what `${payload.…}` in the arguments of the job stands for.
    #[arg(long, value_name = "JSON", value_parser = parse_payload)]
    payload: Option<Payload>,
    /// What a command reads from its standard input: text, or the content of a file as `@FILE`.
    #[arg(long, value_name = "TEXT|@FILE")]
    stdin: Option<String>,
    /// A manifest, for `--job`; may be repeated.
    #[arg(long = "file", short, value_name = "FILE", default_value = "clockjack.yaml")]
    files: Vec<PathBuf>,
    /// Takes plugin, function, arguments, limits and grants of this job.
    #[arg(long)]
    job: Option<JobId>,
    #[command(flatten)]
    pins: LockedArgs,
    /// Runs the file only if this key of minisign has signed it (`FILE.minisig`); may be repeated.
    #[arg(long = "trusted-key", value_name = "KEY")]
    trusted_keys: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let time = scalar::parse_duration(text)?;
    if time.is_zero() { Err("the time must be longer than zero".to_owned()) } else { Ok(time) }
}

/// A guest's addresses have 32 bits.
const MEMORY_BYTES_MAX: u64 = 4 << 30;

fn parse_memory(text: &str) -> Result<u64, String> {
    let size = scalar::parse_size(text)?;
    if (64 << 10..=MEMORY_BYTES_MAX).contains(&size) { Ok(size) } else { Err("write 64KiB to 4GiB".to_owned()) }
}

fn parse_dir(text: &str) -> Result<DirGrant, String> {
    let parts: Vec<_> = text.splitn(3, ':').collect();
    let (host, guest, mode) = match parts.as_slice() {
        [host, guest] => (host, guest, DirMode::Read),
        [host, guest, "read" | "ro"] => (host, guest, DirMode::Read),
        [host, guest, "read_write" | "rw"] => (host, guest, DirMode::ReadWrite),
        _ => return Err("write HOST:GUEST:read or HOST:GUEST:read_write".to_owned()),
    };
    if !guest.starts_with('/') {
        return Err(format!("the guest's path `{guest}` begins with `/`"));
    }
    // Links are followed now or never; what is not there is told with the call.
    let host = Path::new(host).canonicalize().ok().filter(|path| path.is_dir()).unwrap_or_else(|| PathBuf::from(host));
    Ok(DirGrant { index: 0, host, guest: (*guest).to_owned(), mode })
}

fn parse_env(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What is between a function and this process, beside the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Isolation {
    /// It shares this process.
    None,
    /// It has a process of its own.
    Process,
}

/// The pool of a function that has a process of its own.
fn isolated(args: &ExecArgs, wanted: &Wanted) -> Option<IsolatedPool> {
    match args.isolation {
        Some(Isolation::Process) => Some(IsolatedPool { name: PoolName::default(), size: NonZeroU32::MIN }),
        Some(Isolation::None) => None,
        None => wanted.isolated.clone(),
    }
}

fn parse_payload(text: &str) -> Result<Payload, String> {
    let json = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    Payload::new(json).map_err(|error| error.to_string())
}

/// What is to be run, before the plugin is known.
struct Wanted {
    plugin: Source,
    sha256: Option<String>,
    /// Who may have signed the file, where somebody must.
    keys: Option<Vec<String>>,
    function: Option<String>,
    args: Arguments,
    command: Command,
    limits: Limits,
    /// What the host of the manifest allows at the most.
    ceilings: Ceilings,
    grants: Grants,
    job: JobId,
    zone: Arc<str>,
    labels: BTreeMap<String, String>,
    payload: Option<Payload>,
    /// Where relative paths of files in the arguments start.
    folder: PathBuf,
    /// The pool of the job, where its runs have processes of their own.
    isolated: Option<IsolatedPool>,
}

pub(super) fn run(args: &ExecArgs) -> anyhow::Result<Exit> {
    let Some(mut wanted) = wanted(args)? else { return Ok(Exit::Fault) };
    override_limits(&mut wanted, args);
    let ceilings =
        Ceilings { memory_bytes_max: wanted.limits.memory_bytes_max.max(64 << 20), ..wanted.ceilings.clone() };
    let sandbox = load::sandbox_for(&ceilings, 1)?;
    let provenance = clockjack_sandbox::Wanted { sha256: wanted.sha256.as_deref(), keys: wanted.keys.as_deref() };
    let plugin = match origin::load(&sandbox, &wanted.plugin, provenance, wanted.limits.fuel.is_some()) {
        Ok(Origin { plugin, image }) => {
            tell_stale(image.as_ref());
            Arc::new(plugin)
        }
        Err(error) => return refuse(&error, args.output.output),
    };
    let arguments = command_line(&plugin, &wanted, args);
    let recipe = Recipe {
        folder: &wanted.folder,
        function: wanted.function.as_deref(),
        args: &arguments,
        command: Some(&wanted.command),
        limits: &wanted.limits,
        grants: &wanted.grants,
    };
    let call = match recipe.prepare(&plugin, Imports::Granted) {
        Ok(call) => call,
        Err(problems) => {
            let errors: Vec<_> = problems.into_iter().map(|problem| problem.error).collect();
            return refuse_all(&errors, args.output.output);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let began = SystemClock.monotonic();
    let report = runtime.block_on(async {
        match isolated(args, &wanted) {
            None => sandbox.run(&call, facts(&wanted)).await,
            Some(pool) => load::workers().run(&sandbox, &pool, &call, facts(&wanted)).await,
        }
    });
    let duration = SystemClock.monotonic().saturating_sub(began);
    // A guest that was ended may still sit in a call of the system that never returns, such as the opening of a pipe.
    runtime.shutdown_background();
    match args.output.output {
        Output::Json => print::data(&serde_json::to_string_pretty(&view(&report, duration))?)?,
        Output::Table => show(&report, duration)?,
    }
    Ok(if report.outcome.code.is_success() { Exit::Done } else { Exit::JobFailed })
}

fn wanted(args: &ExecArgs) -> anyhow::Result<Option<Wanted>> {
    if let Some(file) = args.plugin.as_ref().filter(|_| args.pins.locked) {
        return refuse(&unpinned(file), args.output.output).map(|_exit| None);
    }
    let Some(id) = &args.job else {
        let Some(plugin) = args.plugin.clone() else { return Ok(None) };
        return Ok(Some(Wanted {
            plugin,
            sha256: None,
            keys: Some(args.trusted_keys.clone()).filter(|keys| !keys.is_empty()),
            function: args.function.clone(),
            args: Arguments::None,
            command: Command { stdin: stdin(args).unwrap_or_default(), ..Command::default() },
            limits: Limits::default(),
            ceilings: Ceilings::default(),
            grants: Grants::default(),
            job: "exec".parse()?,
            zone: "UTC".into(),
            labels: BTreeMap::new(),
            payload: args.payload.clone(),
            folder: PathBuf::new(),
            isolated: None,
        }));
    };
    let loaded = load::manifest(&args.files, &load::zones::newest());
    let mut loaded = loaded.held_to_pins(args.pins.locked, &args.files)?;
    load::secrets::check(&mut loaded, Some(id), Missing::Error);
    load::check_dirs(&mut loaded, Some(id));
    if loaded.has_errors_for(id) {
        refusal::manifest(loaded.diagnostics.all(), &loaded.sources, args.output.output)?;
        return Ok(None);
    }
    let Some(job) = loaded.manifest.jobs.get(id) else {
        let (message, fix) = super::next::unknown_job(id, &loaded.manifest);
        match args.output.output {
            Output::Json => {
                refuse_json(vec![json!({ "code": "manifest.unknown_job", "message": message, "fix": fix })])?;
            }
            Output::Table => print::talk(&format!("error: {message}; {fix}")),
        }
        return Ok(None);
    };
    let plugin = loaded.manifest.plugins.get(&job.plugin);
    let pin = match plugin.filter(|_| args.plugin.is_none()).map(|plugin| load::pinned(loaded.lock.as_ref(), plugin)) {
        None => None,
        Some(Ok(pin)) => pin,
        Some(Err(error)) => return refuse(&error, args.output.output).map(|_exit| None),
    };
    // No job is without its plugin.
    let Some(source) = args.plugin.clone().or_else(|| Some(plugin?.source.clone())) else { return Ok(None) };
    let mut keys = origin::keys_of(&loaded.manifest.host, &source).map(<[String]>::to_vec);
    if !args.trusted_keys.is_empty() {
        keys.get_or_insert_default().clone_from(&args.trusted_keys);
    }
    let command = job.command.as_deref().cloned().unwrap_or_default();
    Ok(Some(Wanted {
        plugin: source,
        sha256: pin,
        keys,
        function: args.function.clone().or_else(|| job.call.as_deref().map(str::to_owned)),
        args: job.args.clone(),
        command: Command { stdin: stdin(args).unwrap_or(command.stdin), exit_codes: command.exit_codes },
        limits: job.limits.clone(),
        ceilings: loaded.manifest.host.ceilings.clone(),
        grants: job.grants.clone(),
        job: id.clone(),
        zone: job.zone.name().into(),
        labels: job.labels.clone(),
        payload: args.payload.clone(),
        folder: loaded.manifest.job_folder(id).to_path_buf(),
        isolated: load::isolated_pool(&loaded.manifest, &job.pool),
    }))
}

/// A pin is of a plugin that a manifest names, and not of whatever else is run in its place.
fn unpinned(file: &Source) -> LoadError {
    LoadError {
        code: LoadCode::Digest,
        message: format!("`--locked` runs what is pinned, and nothing pins the plugin `{file}` of the command line"),
        fix: "leave the file out and name a job of a manifest (`--job JOB -f FILE`), or leave `--locked` out"
            .to_owned(),
    }
}

/// What the command line gives as standard input.
fn stdin(args: &ExecArgs) -> Option<Stdin> {
    let text = args.stdin.as_deref()?;
    Some(
        text.strip_prefix('@')
            .map_or_else(|| Stdin::Text(template::escape(text).into()), |path| Stdin::File(path.into())),
    )
}

/// Tells what is wrong with a manifest; to programs only what keeps the job from running.
fn override_limits(wanted: &mut Wanted, args: &ExecArgs) {
    let limits = &mut wanted.limits;
    limits.timeout = args.timeout.unwrap_or(limits.timeout);
    limits.cpu_time = args.cpu_time.unwrap_or(limits.cpu_time);
    limits.memory_bytes_max = args.memory.unwrap_or(limits.memory_bytes_max);
    limits.fuel = args.fuel.or(limits.fuel);
    wanted.grants.dirs.extend(args.dirs.iter().cloned());
    wanted.grants.env.extend(args.env.iter().cloned());
    if !args.http.is_empty() {
        wanted.grants.http = wanted.grants.http.iter().chain(&args.http).cloned().collect();
    }
    wanted.grants.state |= args.state;
}

/// The arguments of the command line, over those of the job.
fn command_line(plugin: &Plugin, wanted: &Wanted, args: &ExecArgs) -> Arguments {
    if args.args.is_empty() && args.words.is_empty() {
        return wanted.args.clone();
    }
    let function = plugin.find(wanted.function.as_deref());
    let is_named = |text: &String| text.split_once('=').is_some_and(|(name, _)| !name.is_empty());
    let is_command = function.is_some_and(Function::is_command);
    if is_command || !args.words.is_empty() || !args.args.iter().all(is_named) {
        let words = args.args.iter().chain(&args.words).map(|word| Json::String(template::escape(word)));
        return Arguments::Listed(words.collect());
    }
    let mut named = match &wanted.args {
        Arguments::Named(named) => named.clone(),
        Arguments::None | Arguments::Listed(_) => serde_json::Map::new(),
    };
    for (name, text) in args.args.iter().filter_map(|text| text.split_once('=')) {
        let takes_text =
            function.and_then(|function| function.parameter(name)).is_some_and(|parameter| parameter.takes_text());
        let mut json = if takes_text { Json::String(text.to_owned()) } else { value(text) };
        // What stands on a command line is meant as it stands there.
        template::escape_all(&mut json);
        named.insert(name.to_owned(), json);
    }
    Arguments::Named(named)
}

/// A value as YAML reads it, which JSON is a part of; what it cannot read is text.
fn value(text: &str) -> Json {
    let (node, diagnostics) = parse(0, text);
    match node {
        Some(node) if !diagnostics.has_errors() => node.to_json(),
        Some(_) | None => Json::String(text.to_owned()),
    }
}

fn facts(wanted: &Wanted) -> Facts {
    let now = SystemClock.now();
    let id = RunId::of_request(&wanted.job, now, 0);
    let run = Run {
        id,
        job: wanted.job.clone(),
        scheduled_for: now,
        due_at: now,
        cause: Cause::Manual,
        payload: wanted.payload.clone(),
    };
    let attempt = Attempt::only(Arc::new(run), now);
    Facts { attempt, zone: Arc::clone(&wanted.zone), labels: Arc::new(wanted.labels.clone()), is_traced: false }
}

fn view(report: &Report, duration: Duration) -> Json {
    let Outcome { code, message, output, .. } = &report.outcome;
    json!({
        "outcome": code.as_str(),
        "output": output,
        "error": if *code == OutcomeCode::Succeeded { Json::Null } else { json!(message) },
        "note": rows::note(&report.outcome),
        "attempts": 1,
        "duration_ms": print::millis(duration),
        "cpu_time_ms": print::millis(report.cpu_time),
        "memory_peak_bytes": report.memory_peak_bytes,
        "fuel_used": report.fuel_used,
        "usage": crate::api::view::runs::used(report.usage),
        "stdout": report.stdout.text,
        "stdout_bytes": report.stdout.n_bytes,
        "stdout_truncated": 0 < report.stdout.n_bytes_dropped,
        "stderr": report.stderr.text,
        "stderr_bytes": report.stderr.n_bytes,
        "stderr_truncated": 0 < report.stderr.n_bytes_dropped,
        "logs": report.logs.iter().map(log_view).collect::<Vec<_>>(),
        "logs_dropped": report.n_logs_dropped,
        "progress": report.progress,
        "digest": &*report.digest,
    })
}

fn log_view(line: &LogLine) -> Json {
    let fields: serde_json::Map<_, _> = line.fields.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    json!({ "at": print::rfc3339(line.at), "level": line.level.as_str(), "message": line.message, "fields": fields })
}

/// The result for people: what the guest printed is data, everything else is talk.
fn show(report: &Report, duration: Duration) -> anyhow::Result<()> {
    for line in &report.logs {
        let fields: String = line.fields.iter().map(|(key, value)| format!(" {key}={value}")).collect();
        print::talk(&print::plain(&format!("{:<5} {}{fields}", line.level.as_str(), line.message)));
    }
    let told = |captured: &Captured, name: &str| {
        if 0 < captured.n_bytes_dropped {
            print::talk(&format!("{name}: {} of {} bytes left out", captured.n_bytes_dropped, captured.n_bytes));
        }
    };
    if !report.stderr.text.is_empty() {
        print::talk(&print::plain(report.stderr.text.trim_end()));
    }
    if !report.stdout.text.is_empty() {
        print::data(&print::plain(report.stdout.text.trim_end()))?;
    }
    told(&report.stdout, "stdout");
    told(&report.stderr, "stderr");
    if let Some(output) = &report.outcome.output {
        // JSON escapes the control characters of ASCII, but not those above it.
        print::data(&print::plain(&serde_json::to_string_pretty(output).unwrap_or_default()))?;
    }
    let facts = format!(
        "{} in {}, memory {}",
        report.outcome.code,
        scalar::show_duration(print::rounded(duration)),
        scalar::show_size(report.memory_peak_bytes)
    );
    let fuel = report.fuel_used.map_or_else(String::new, |fuel| format!(", fuel {fuel}"));
    print::talk(&format!("{facts}{fuel}"));
    if !report.outcome.message.is_empty() {
        print::talk(&print::plain(&report.outcome.message));
    }
    Ok(())
}
