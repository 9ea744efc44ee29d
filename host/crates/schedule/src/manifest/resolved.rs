//! What a manifest means: plugins, pools, stores, jobs and settings of the host, with the places where they were written.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use super::{
    node::{Entry, Node},
    reload,
    source::Source,
    store_url::StoreUrl,
};
use crate::{
    command::Command,
    diagnostic::Span,
    egress::EgressRule,
    id::{ChannelName, JobId, PluginName, PoolName, StoreName},
    job::{Arguments, Ceilings, Grants, Job, Limits},
    notify::Channels,
    secret::{SecretName, SecretSource},
};

/// All sources of a manifest, read and checked.
///
/// Its jobs and plugins are values; where they stand in the text is asked for with [`Manifest::job_span`] and
/// [`Manifest::plugin_span`], so that later checks can point at the words that they complain about.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    /// The plugins, those that jobs name by path included.
    pub plugins: BTreeMap<PluginName, Plugin>,
    /// The pools with the number of runs that go on in each at once (`pools: { heavy: { size: 2 } }`): 1 to 1,000, and at
    /// most 1,000 in all. A manifest that was read always has `default`, with 64 where nothing is written.
    pub pools: BTreeMap<PoolName, NonZeroU32>,
    /// The pools whose runs have processes of their own, as a second wall (`pools: { untrusted: { size: 8, isolation:
    /// process } }`). The runs of all others share the process of the host.
    pub isolated: BTreeSet<PoolName>,
    /// The stores that are written (`stores: { default: "sqlite:state.db" }`), paths joined to the folder of their
    /// source. Where `default` is not among them, the host says where it is.
    pub stores: BTreeMap<StoreName, StoreUrl>,
    /// The secrets that are written (`secrets: { api-key: { env: API_KEY } }`): where their values are.
    pub secrets: BTreeMap<SecretName, SecretSource>,
    /// The channels through which people are told of runs (`notifications: { ops: { webhook: "https://hooks.acme.dev" } }`).
    pub channels: Channels,
    /// The jobs.
    pub jobs: BTreeMap<JobId, Arc<Job>>,
    /// What jobs call in which something else is wrong; nothing of it may run.
    pub broken: Vec<BrokenJob>,
    /// The jobs of definitions that are not in force, because a file has a job of that id.
    pub shadowed: BTreeSet<JobId>,
    /// Settings of the host.
    pub host: HostSettings,
    /// How the host is reached.
    pub api: ApiSettings,
    /// Patterns of further files, as written, with the place of each.
    pub includes: Vec<Include>,
    /// What jobs fall back on, as it is written.
    pub(super) defaults: Defaults,
    /// The folder of each source.
    pub(super) folders: Vec<PathBuf>,
    pub(super) job_places: BTreeMap<JobId, Entry>,
    pub(super) plugin_places: BTreeMap<PluginName, Entry>,
    pub(super) store_places: BTreeMap<StoreName, Span>,
    pub(super) secret_places: BTreeMap<SecretName, Span>,
    pub(super) channel_places: BTreeMap<ChannelName, Span>,
}

/// What jobs fall back on, as it is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    /// What the first source says, for all jobs.
    pub(super) shared: Option<Node>,
    /// What holds for the jobs of a further source that has defaults of its own.
    pub(super) own: BTreeMap<usize, Node>,
}

/// What a job calls in which something else is wrong.
#[derive(Clone, Debug)]
pub struct BrokenJob {
    /// Its id.
    pub id: JobId,
    /// Whose function.
    pub plugin: PluginName,
    /// Which function.
    pub call: Option<Arc<str>>,
    /// With what.
    pub args: Arguments,
    /// With which input and exit codes, where it is a command.
    pub command: Option<Arc<Command>>,
    /// Within which bounds.
    pub limits: Limits,
    /// With which grants.
    pub grants: Grants,
}

/// Settings of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostSettings {
    /// The highest bounds that jobs may ask for.
    pub ceilings: Ceilings,
    /// `memory: 4GiB`: what all attempts that go on may have together, by their limits; where it is not written, the host
    /// takes a part of the machine's.
    pub memory: Option<u64>,
    /// `roots: [./data]`: where directories must lie that jobs are granted; where it is not written, anywhere but in the
    /// places that the host itself protects.
    pub roots: Option<Vec<Root>>,
    /// `egress: ["https://*.acme.dev"]`: what jobs may be granted at most; absent means whatever their entries say.
    pub egress: Option<Vec<EgressRule>>,
    /// Where plugins must be signed, and by whom.
    pub trusted_keys: Vec<TrustedKeys>,
}

/// How the host is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiSettings {
    /// `listen: "127.0.0.1:7878"`, one or several, or none at all; absent means the address that the host takes by itself.
    pub listen: Option<Vec<Listen>>,
    /// `hosts: [jobs.acme.dev]`: the names under which it is asked for, in lower case; `localhost` and the addresses that
    /// it listens on are always among them.
    pub hosts: Vec<String>,
    /// `tls: { cert: ./cert.pem, key: ./key.pem }`: absent means plain HTTP.
    pub tls: Option<TlsFiles>,
    /// `tokens: ./tokens`: the file of the named tokens; absent means that of the state directory.
    pub tokens: Option<PathBuf>,
    /// How much a client may ask for.
    pub rate: Rate,
    /// Where it stands, where it is written.
    pub span: Option<Span>,
}

impl ApiSettings {
    /// Whether both say the same, wherever it stands.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let addresses = |api: &Self| api.listen.as_ref().map(|all| all.iter().map(|l| l.address).collect::<Vec<_>>());
        let files = |api: &Self| api.tls.as_ref().map(|files| (files.cert.clone(), files.key.clone()));
        addresses(self) == addresses(other)
            && files(self) == files(other)
            && (&self.hosts, &self.tokens, &self.rate) == (&other.hosts, &other.tokens, &other.rate)
    }
}

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address of an interface, with its port; port 0 is any free one.
    pub address: SocketAddr,
    /// Where it stands.
    pub span: Span,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate with those that vouch for it, as PEM; joined to the folder of its source.
    pub cert: PathBuf,
    /// Its private key, as PEM; joined to the folder of its source.
    pub key: PathBuf,
    /// Where they stand.
    pub span: Span,
}

/// How much a client over TCP may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second of one token; default 500.
    pub requests: NonZeroU32,
    /// How many may come at once; default 1,000.
    pub burst: NonZeroU32,
    /// Wrong tokens a minute from one address; default 5.
    pub failures: NonZeroU32,
}

impl Default for Rate {
    /// More than people and programs need, and less than would be in the way of the jobs.
    fn default() -> Self {
        let some = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Self { requests: some(500), burst: some(1_000), failures: some(5) }
    }
}

/// A folder in which directories may be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Its path, joined to the folder of its source.
    pub path: PathBuf,
    /// Where it stands.
    pub span: Span,
}

/// A folder whose plugins must be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKeys {
    /// The folder: the path as written, joined to the folder of the manifest.
    pub folder: PathBuf,
    /// Public keys of minisign, as `minisign -G` prints them.
    pub keys: Vec<String>,
}

/// A pattern of further files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// As written, relative to the folder of its source.
    pub pattern: String,
    /// Where it stands.
    pub span: Span,
}

/// A named component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// Its name.
    pub name: PluginName,
    /// Where its bytes are.
    pub source: Source,
    /// What its bytes must hash to, where that is pinned.
    pub sha256: Option<Sha256>,
    /// How the file is made, for `clockjack dev`; nothing else runs it.
    pub build: Option<Build>,
    /// When a new generation of it is taken back by itself; absent means never.
    pub canary: Option<Canary>,
    /// `keep: 3`: how many of its generations are kept, the one that runs included, 1 to 20; default 3.
    pub keep: u32,
}

impl Plugin {
    /// A plugin of which nothing is known but where it is.
    #[must_use]
    pub fn of_file(name: PluginName, source: Source) -> Self {
        Self { name, source, sha256: None, build: None, canary: None, keep: reload::KEEP }
    }
}

/// When a new generation of a plugin is taken back by itself.
///
/// ```yaml
/// plugins:
///   report: { source: ./report.wasm, canary: { runs: 5, failures: 3 } }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canary {
    /// `runs`: how many of its first runs count, 1 to 1,000.
    pub n_runs: u32,
    /// `failures`: from how many failures among them on it is taken back, 1 to `runs`.
    pub n_failures_max: u32,
}

/// How a plugin's file is made from its sources.
///
/// ```yaml
/// plugins:
///   report: { source: ./report.wasm, build: "npm run build" }
///   weblog: { source: ./weblog.wasm, build: { run: make, folder: ./weblog } }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// What a shell runs.
    pub command: String,
    /// Where it runs, and whose files it depends on; default the folder of the manifest.
    pub folder: PathBuf,
}

/// A SHA-256 digest, written as 64 hexadecimal digits.
///
/// ```
/// use clockjack_schedule::manifest::resolved::Sha256;
///
/// let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// assert_eq!(hex.parse::<Sha256>().unwrap().to_string(), hex);
/// assert!("e3b0c442".parse::<Sha256>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

impl FromStr for Sha256 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if let Some(misfit) = hex.chars().find(|c| !c.is_ascii_hexdigit()) {
            return Err(format!("`{misfit}` is not a hexadecimal digit"));
        }
        let mut digest = [0; 32];
        if hex.len() != 2 * digest.len() {
            return Err(format!("a SHA-256 digest has 64 hexadecimal digits, this one has {}", hex.len()));
        }
        for (byte, at) in digest.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&hex[at..at + 2], 16).map_err(|error| error.to_string())?;
        }
        Ok(Self(digest))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Manifest {
    /// Where a value of a job stands: `args.days`, `call`, `triggers[1].cron`; the empty path is the job's id.
    ///
    /// What is not written itself is pointed at by the key that would hold it, in the end the job's id.
    #[must_use]
    pub fn job_span(&self, job: &JobId, path: &str) -> Span {
        self.job_places.get(job).map_or_else(Span::default, |entry| place(entry, path, Part::Value))
    }

    /// Like [`Manifest::job_span`], for the key instead of its value.
    #[must_use]
    pub fn job_key_span(&self, job: &JobId, path: &str) -> Span {
        self.job_places.get(job).map_or_else(Span::default, |entry| place(entry, path, Part::Key))
    }

    /// Where a value of a plugin stands: `source`, `sha256`; the empty path is the plugin's name. For a plugin that
    /// jobs name by path this is always the path in the first such job.
    #[must_use]
    pub fn plugin_span(&self, plugin: &PluginName, path: &str) -> Span {
        self.plugin_places.get(plugin).map_or_else(Span::default, |entry| place(entry, path, Part::Value))
    }

    /// Where the place of a store stands.
    #[must_use]
    pub fn store_span(&self, store: &StoreName) -> Span {
        self.store_places.get(store).copied().unwrap_or_default()
    }

    /// Where the place of a secret stands.
    #[must_use]
    pub fn secret_span(&self, secret: &SecretName) -> Span {
        self.secret_places.get(secret).copied().unwrap_or_default()
    }

    /// Where the name of a channel stands.
    #[must_use]
    pub fn channel_span(&self, channel: &ChannelName) -> Span {
        self.channel_places.get(channel).copied().unwrap_or_default()
    }

    /// The folder of the source in which a job is written: its relative paths start there.
    #[must_use]
    pub fn job_folder(&self, job: &JobId) -> &Path {
        let source = self.job_places.get(job).map(|entry| entry.key_span.source);
        source.and_then(|source| self.folders.get(source)).map_or(Path::new(""), PathBuf::as_path)
    }

    /// The job as it was written, for checks that want more than a span.
    #[must_use]
    pub fn job_node(&self, job: &JobId) -> Option<&Node> {
        self.job_places.get(job).map(|entry| &entry.value)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Key,
    Value,
}

fn place(entry: &Entry, path: &str, part: Part) -> Span {
    let (mut key_span, mut node) = (entry.key_span, &entry.value);
    for step in path.split(['.', '[', ']']).filter(|step| !step.is_empty()) {
        if let Some(entries) = node.as_map() {
            let Some(found) = entries.iter().find(|entry| entry.key == step) else { return key_span };
            (key_span, node) = (found.key_span, &found.value);
            continue;
        }
        let item = step.parse().ok().and_then(|index: usize| node.as_list()?.get(index));
        let Some(item) = item else { return if node.as_list().is_some() { key_span } else { node.span } };
        (key_span, node) = (item.span, item);
    }
    let whole = path.is_empty() || part == Part::Key;
    if whole { key_span } else { node.span }
}
