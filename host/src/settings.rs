//! The environment: the only file that reads it.

use std::{
    collections::BTreeMap,
    env,
    io::IsTerminal,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use crate::cli::diagnostics::Look;

/// A variable of the environment, as manifests may name it.
#[expect(clippy::disallowed_methods, reason = "this is the file that the ban points to")]
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// Whether to draw with colours on a stream: `CLICOLOR_FORCE` and `NO_COLOR` decide, then whether it is a terminal.
#[must_use]
pub fn look(stream: &impl IsTerminal) -> Look {
    let is_set = |name| variable(name).is_some_and(|value| !value.is_empty() && value != "0");
    let coloured = is_set("CLICOLOR_FORCE") || (!is_set("NO_COLOR") && stream.is_terminal());
    if coloured { Look::Coloured } else { Look::Plain }
}

/// Where the program keeps what is to survive it: what systemd gives it, else the folder that the XDG base directory
/// specification names.
#[must_use]
pub fn state_directory() -> Option<PathBuf> {
    let named = |name| variable(name).filter(|path| Path::new(path).is_absolute()).map(PathBuf::from);
    first_folder("STATE_DIRECTORY")
        .or_else(|| Some(named("XDG_STATE_HOME")?.join("clockjack")))
        .or_else(|| Some(named("HOME")?.join(".local/state/clockjack")))
}

/// Where a host and those who talk to it find each other: what the XDG base directory specification names.
#[must_use]
pub fn runtime_directory() -> Option<PathBuf> {
    variable("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The socket of the host: `CLOCKJACK_SOCKET`.
#[must_use]
pub fn socket() -> Option<PathBuf> {
    variable("CLOCKJACK_SOCKET").filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The host that commands talk to over the network: `CLOCKJACK_HOST`.
#[must_use]
pub fn remote_host() -> Option<String> {
    variable("CLOCKJACK_HOST").filter(|value| !value.is_empty())
}

/// The token that it is shown: `CLOCKJACK_TOKEN`.
#[must_use]
pub fn remote_token() -> Option<String> {
    variable("CLOCKJACK_TOKEN").filter(|value| !value.is_empty())
}

/// The home of the user that the host runs as.
#[must_use]
pub fn home() -> Option<PathBuf> {
    variable("HOME").map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Where compiled code is kept: `CLOCKJACK_CACHE` (a folder, or `off`), what systemd gives the program, else the folder
/// that the XDG base directory specification names.
#[must_use]
pub fn cache_directory() -> Option<PathBuf> {
    let named = |name| variable(name).filter(|path| Path::new(path).is_absolute()).map(PathBuf::from);
    let given = variable("CLOCKJACK_CACHE").filter(|value| !value.is_empty());
    match given.as_deref() {
        Some(CACHE_IS_OFF) => None,
        // As every path that a person gives, it starts at the folder where the program was started.
        Some(path) => Some(std::path::absolute(path).unwrap_or_else(|_unknown| path.into())),
        None => first_folder("CACHE_DIRECTORY")
            .map(|folder| folder.join("code"))
            .or_else(|| Some(named("XDG_CACHE_HOME")?.join("clockjack")))
            .or_else(|| Some(named("HOME")?.join(".cache/clockjack"))),
    }
}

/// The word for a cache that is not wanted.
const CACHE_IS_OFF: &str = "off";

/// Whether somebody wants no compiled code to be kept.
#[must_use]
pub fn cache_is_off() -> bool {
    variable("CLOCKJACK_CACHE").is_some_and(|value| value == CACHE_IS_OFF)
}

/// The first of the folders that systemd gives a service: a unit may name several, and they come with colons between.
fn first_folder(name: &str) -> Option<PathBuf> {
    let folders = variable(name)?;
    folders.split(':').find(|path| Path::new(path).is_absolute()).map(PathBuf::from)
}

/// The variables that name the certificates to trust, as far as they are set: a file, and folders.
#[must_use]
pub fn certificates() -> BTreeMap<String, String> {
    let set = |name: &str| Some((name.to_owned(), variable(name).filter(|value| !value.is_empty())?));
    ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().filter_map(set).collect()
}

/// The file with the users of registries: that of the folder `DOCKER_CONFIG`, else the one that Docker's tools write at home.
#[must_use]
pub fn docker_config() -> Option<PathBuf> {
    let named = variable("DOCKER_CONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
    Some(named.or_else(|| Some(home()?.join(".docker")))?.join("config.json"))
}

/// Where commands get folders for the time of an attempt: `TMPDIR`, or what the system has for such things.
#[must_use]
pub fn temporary_directory() -> PathBuf {
    env::temp_dir()
}

/// This very program, for processes that it starts of itself. The link stays right when the file is replaced.
#[must_use]
pub fn program() -> PathBuf {
    const LINK: &str = "/proc/self/exe";
    if Path::new(LINK).exists() {
        LINK.into()
    } else {
        env::current_exe().unwrap_or_else(|_unknown| "clockjack".into())
    }
}

/// Largest size of a ledger's file: `CLOCKJACK_LEDGER_PAGES_MAX`, in pages of 2 KiB. Without it there is no bound.
#[must_use]
pub fn ledger_pages_max() -> Option<NonZeroU32> {
    variable("CLOCKJACK_LEDGER_PAGES_MAX")?.parse().ok()
}

/// What is logged: `CLOCKJACK_LOG`, in the syntax of tracing's filters, such as `debug` or `clockjack=trace`.
#[must_use]
pub fn log_filter() -> Option<String> {
    variable("CLOCKJACK_LOG")
}

/// The socket on which the service manager wants to hear from the host: `NOTIFY_SOCKET`, which systemd sets.
#[must_use]
pub fn notify_socket() -> Option<String> {
    variable("NOTIFY_SOCKET").filter(|value| !value.is_empty())
}

/// Whether somebody wants traces: `OTEL_EXPORTER_OTLP_ENDPOINT`, or the same for traces alone. Only a build with the feature
/// `otlp` can send them.
#[must_use]
pub fn wants_traces() -> bool {
    let names = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
    names.into_iter().any(|name| variable(name).is_some_and(|value| !value.is_empty()))
}
