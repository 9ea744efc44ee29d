//! The command line. Data goes to stdout, talk to stderr; only this module prints.

mod advise;
mod asked;
mod backfill;
mod beside;
mod check;
mod child;
mod client;
mod codes;
mod compile;
mod completions;
mod control;
mod definitions;
mod dev;
pub mod diagnostics;
mod doctor;
mod doors;
mod events;
mod exec;
mod exit;
mod explain;
mod find;
mod guest_worker;
mod inspect;
mod jobs;
mod lock;
mod logs;
mod new;
mod next;
mod notify;
mod pause;
mod plan;
mod plugins;
mod print;
mod progress;
mod reading;
mod refusal;
mod reloads;
mod remote;
pub(crate) mod rows;
mod runs;
mod schema;
mod serve;
mod show;
mod shutdown;
mod signals;
mod status;
mod story;
mod stream;
mod token;
mod up;
mod version;
mod why;

use std::{path::PathBuf, process::ExitCode};

use clap::{
    ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum,
    builder::{PathBufValueParser, TypedValueParser},
};
use clockjack_schedule::manifest::source::Source;

pub use self::{child::child_process, exit::Exit};
pub(crate) use self::{
    child::is_child_process,
    find::find_run,
    logs::{log_json, logs_json},
    print::{millis, rfc3339},
    rows::ended_attempts,
};

/// A scheduler whose jobs are sandboxed WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "clockjack", disable_version_flag = true, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print the version; with `--verbose` also that of the engine and of the zone rules.
    #[arg(long, short = 'V')]
    version: bool,
    /// Say more.
    #[arg(long, short, requires = "version")]
    verbose: bool,
}

const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 what you gave is wrong, 2 wrong usage, 3 the job failed, 4 the host could not do its work";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the host in the foreground.
    Up(up::UpArgs),
    /// Check manifests and plugins; tell everything that is wrong with them.
    Check(check::CheckArgs),
    /// Print coming slots of a job or of a trigger.
    Next(next::NextArgs),
    /// Run one function once, here and now, under the same sandbox.
    Exec(exec::ExecArgs),
    /// Begin a plugin: a folder with a job, its manifest and its test.
    New(new::NewArgs),
    /// While you write plugins: build on save, reload, run what is new, show the log.
    Dev(dev::DevArgs),
    /// Write down which bytes the plugins of a manifest are; `--locked` runs no others.
    Lock(lock::LockArgs),
    /// Show what a plugin exports, imports and needs.
    Inspect(inspect::InspectArgs),
    /// Print the JSON Schema of the manifest, for editors; with `-f` also what its plugins export.
    Schema(schema::SchemaArgs),
    /// List the jobs: how each goes and when it goes on.
    Jobs(jobs::JobsArgs),
    /// List runs, the newest slot first, or show all that is kept of one.
    Runs(runs::RunsArgs),
    /// Print what a run logged and wrote.
    Logs(logs::LogsArgs),
    /// Tell what happened in a running host, and what happens.
    Events(events::EventsArgs),
    /// Say what became of a job's slots, and why.
    Why(why::WhyArgs),
    /// Show which code a running host runs; approve a new file, go back to an earlier one.
    Plugins(plugins::PluginsArgs),
    /// Say what a running host would do with a manifest: which jobs come, change and go.
    Plan(plan::PlanArgs),
    /// Have a running host look at its manifests and plugins now.
    Reload(plan::ReloadArgs),
    /// Make the jobs of a file in a running host, or replace them.
    Apply(definitions::ApplyArgs),
    /// Make the jobs of a file in a running host; nothing happens where one of them is there already.
    Import(definitions::ImportArgs),
    /// Print the jobs that were made in a running host, as a manifest.
    Export(definitions::ExportArgs),
    /// Delete a job that was made in a running host.
    Delete(definitions::DeleteArgs),
    /// Have a job that was made in a running host fire at other times.
    Reschedule(definitions::RescheduleArgs),
    /// Start nothing of a job, or of any, until it is resumed.
    Pause(pause::PauseArgs),
    /// Let a paused job go on, or the whole host.
    Resume(pause::ResumeArgs),
    /// Run a job of a running host now.
    Run(control::RunArgs),
    /// End a run of a running host before its time.
    Cancel(control::CancelArgs),
    /// Make up for slots of the past, a few at a time.
    Backfill(backfill::BackfillArgs),
    /// List what is made up for, show one of them, or cancel it.
    Backfills(backfill::BackfillsArgs),
    /// End a running host as a signal does, and wait until it is gone.
    Shutdown(shutdown::ShutdownArgs),
    /// Show how a running host is, on one screen.
    Status(status::StatusArgs),
    /// Look whether this machine and this manifest are fit for a host, and say what to do.
    Doctor(doctor::DoctorArgs),
    /// Print a script that completes commands and flags in a shell.
    Completions(completions::CompletionsArgs),
    /// Print the manual page of a command, or write all of them.
    Man(completions::ManArgs),
    /// The channels through which people are told of runs: list them, and try them.
    Notify(notify::NotifyArgs),
    /// Make, list and revoke tokens for those who reach a host over the network.
    Token(token::TokenArgs),
    /// Say what a code means and what to do about it.
    Explain(codes::ExplainArgs),
    /// Run the attempts of one job for the host that started this process.
    #[command(hide = true)]
    GuestWorker,
    /// Compile one plugin from stdin to stdout: this program starts itself so.
    #[command(hide = true)]
    CompileGuest(compile::CompileArgs),
}

/// Which manifests to read.
#[derive(Clone, Debug, Args)]
struct ManifestArgs {
    /// A manifest, or a folder of them; may be repeated.
    #[arg(long = "file", short, value_name = "FILE", default_value = "clockjack.yaml")]
    files: Vec<PathBuf>,
}

/// Whether plugins are held to their pins.
#[derive(Clone, Copy, Debug, Args)]
struct LockedArgs {
    /// Run no plugin but what `sha256` of the manifest or `clockjack.lock` beside it pins.
    #[arg(long)]
    locked: bool,
}

/// What a command line names as a plugin: a file, or an image in a registry.
fn plugin_source() -> impl TypedValueParser<Value = Source> {
    PathBufValueParser::new().try_map(Source::try_from)
}

/// How to print data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// How to print data.
#[derive(Clone, Copy, Debug, Args)]
struct OutputArgs {
    /// How to print.
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
}

/// Runs the command line to its end.
#[must_use]
pub fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let output = output(&matches);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let ended = match cli.command {
        _ if cli.version => version::print(cli.verbose),
        Some(Command::Up(args)) => up::run(&args),
        Some(Command::Check(args)) => check::run(&args),
        Some(Command::Next(args)) => next::run(&args),
        Some(Command::Exec(args)) => exec::run(&args),
        Some(Command::Dev(args)) => dev::run(&args),
        Some(Command::New(args)) => new::run(&args),
        Some(Command::Lock(args)) => lock::run(&args),
        Some(Command::Inspect(args)) => inspect::run(&args),
        Some(Command::Schema(args)) => schema::run(&args),
        Some(Command::Jobs(args)) => jobs::run(&args),
        Some(Command::Runs(args)) => runs::run(&args),
        Some(Command::Logs(args)) => logs::run(&args),
        Some(Command::Events(args)) => events::run(&args),
        Some(Command::Why(args)) => why::run(&args),
        Some(Command::Plugins(args)) => plugins::run(&args),
        Some(Command::Plan(args)) => plan::run(&args),
        Some(Command::Reload(args)) => plan::reload(&args),
        Some(Command::Apply(args)) => definitions::apply(&args),
        Some(Command::Import(args)) => definitions::import(&args),
        Some(Command::Export(args)) => definitions::export(&args),
        Some(Command::Delete(args)) => definitions::delete(&args),
        Some(Command::Reschedule(args)) => definitions::reschedule(&args),
        Some(Command::Pause(args)) => pause::pause(&args),
        Some(Command::Resume(args)) => pause::resume(&args),
        Some(Command::Backfill(args)) => backfill::run(&args),
        Some(Command::Backfills(args)) => backfill::list(&args),
        Some(Command::Shutdown(args)) => shutdown::run(&args),
        Some(Command::Run(args)) => control::run(&args),
        Some(Command::Cancel(args)) => control::cancel(&args),
        Some(Command::Status(args)) => status::run(&args),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Completions(args)) => completions::completions(&args),
        Some(Command::Man(args)) => completions::man(&args),
        Some(Command::Notify(args)) => notify::run(&args),
        Some(Command::Token(args)) => token::run(&args),
        Some(Command::Explain(args)) => codes::run(&args),
        Some(Command::GuestWorker) => guest_worker::run(),
        Some(Command::CompileGuest(args)) => compile::run(&args),
        None => Ok(Exit::Usage),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => refusal::host_failed(&error, output).into(),
    }
}

/// How the command that was asked for prints data, if it does.
fn output(matches: &ArgMatches) -> Output {
    let mut command = matches;
    while let Some((_, inner)) = command.subcommand() {
        command = inner;
    }
    command.try_get_one("output").ok().flatten().copied().unwrap_or(Output::Table)
}
