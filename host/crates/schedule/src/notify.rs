//! Notifications: through which channels people and programs are told of runs, of which occasions, and the decision what
//! an occasion is.
//!
//! Nothing here sends anything. [`decide`] says what a happening means for a channel; who sends it keeps the count of
//! failures in a row.

mod decide;
mod occasions;
#[cfg(test)]
mod tests;
mod url;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use self::{
    decide::{Happening, decide, next_failures},
    occasions::{Occasion, Occasions, TOO_LONG_PERCENT, TooLong},
    url::WebUrl,
};
use crate::{
    id::{ChannelName, SecretName},
    secret::SecretSource,
};

/// Longest time that one delivery may take.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(10 * 60);

/// How long a delivery over HTTP may take where nothing is written.
pub const TIMEOUT_OF_HTTP: Duration = Duration::from_secs(10);

/// How long a command may take where nothing is written.
pub const TIMEOUT_OF_COMMANDS: Duration = Duration::from_secs(30);

/// The channels of a manifest.
pub type Channels = BTreeMap<ChannelName, Channel>;

/// One entry of `notifications`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// How it tells.
    pub kind: ChannelKind,
    /// `on: [failure, recovery, missed]`: what it tells of, where a job says nothing else.
    pub on: Occasions,
    /// `timeout: 10s`: how long one delivery may take; at most ten minutes.
    pub timeout: Duration,
    /// `private: true`: whether its host may have a private, loopback or link-local address, and be reached without TLS.
    pub private: bool,
}

/// How a channel tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    /// `webhook`: a POST with JSON, signed where there is a key.
    Webhook(Webhook),
    /// `healthchecks`: pings of Healthchecks, and of what speaks its language.
    Healthchecks(Address),
    /// `command: [PROGRAM, ARG…]`: a program of this machine, which gets the JSON on stdin.
    Command(LocalProgram),
}

impl ChannelKind {
    /// The key under which it stands.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Healthchecks(_) => "healthchecks",
            Self::Command(_) => "command",
        }
    }
}

/// `command: [./page.sh, --quiet]`. It runs with all that the host itself may do, but for the values of secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalProgram {
    /// The program and its arguments, as written: never empty.
    pub argv: Arc<[String]>,
    /// The folder of the manifest: there it runs, and there a path begins that is relative.
    pub folder: Arc<Path>,
    /// The variables of the host's environment that hold secrets; it does not get them.
    pub secret_variables: BTreeSet<Arc<str>>,
}

impl LocalProgram {
    /// The program, as written.
    #[must_use]
    pub fn name(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// Where it is, if that is said; else it is looked for in the folders of `PATH`.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        self.name().contains('/').then(|| self.folder.join(self.name()))
    }
}

/// `webhook: { url: "https://hooks.acme.dev/x", secret: hook-key, headers: { authorization: { secret: token } } }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// `url`: whom it is sent to.
    pub url: Address,
    /// `secret`: the key that signs it; a secret's name.
    pub key: Option<NamedSecret>,
    /// `headers`: further headers.
    pub headers: BTreeMap<String, Words>,
}

/// Where a channel leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A URL that is written.
    Url(WebUrl),
    /// `{ secret: NAME }`: a URL that is a secret, as those are that let everybody in who has them. It is read when it is
    /// needed and told nowhere.
    Secret(NamedSecret),
}

impl Address {
    fn secret(&self) -> Option<&NamedSecret> {
        match self {
            Self::Url(_) => None,
            Self::Secret(secret) => Some(secret),
        }
    }
}

/// A text, or a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// As written.
    Text(String),
    /// `{ secret: NAME }`.
    Secret(NamedSecret),
}

/// A secret that is declared under `secrets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSecret {
    /// Its name.
    pub name: SecretName,
    /// Where its value is.
    pub source: SecretSource,
}

impl Channel {
    /// What it tells of, for a job that says so itself, or says nothing.
    #[must_use]
    pub fn tells(&self, narrowed: Option<Occasions>) -> Occasions {
        let on = narrowed.unwrap_or(self.on);
        match self.kind {
            ChannelKind::Healthchecks(_) => on.as_pings(),
            ChannelKind::Webhook(_) | ChannelKind::Command(_) => on,
        }
    }

    /// Every secret that it needs.
    #[must_use]
    pub fn secrets(&self) -> Vec<&NamedSecret> {
        match &self.kind {
            ChannelKind::Webhook(Webhook { url, key, headers }) => {
                let of_headers = headers.values().filter_map(|words| match words {
                    Words::Secret(secret) => Some(secret),
                    Words::Text(_) => None,
                });
                url.secret().into_iter().chain(key).chain(of_headers).collect()
            }
            ChannelKind::Healthchecks(address) => address.secret().into_iter().collect(),
            ChannelKind::Command(_) => Vec::new(),
        }
    }
}

/// One entry of a job's `notify`: through which channel, and of what, where that is not what the channel says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// Which channel.
    pub channel: ChannelName,
    /// `notify: { ops: { on: [failure] } }`.
    pub on: Option<Occasions>,
}
