//! What goes between a host and its workers, as data. Both ends are the same program, so there is no version in it.
//!
//! Numbers of guests do not travel as JSON, which does not keep all of them: see `values`.

use std::collections::BTreeMap;

use clockjack_schedule::state::DraftError;
use serde::{Deserialize, Serialize};

/// Bytes, as base64 in the JSON of a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blob(pub(crate) Vec<u8>);

/// An instant: seconds and nanoseconds.
pub(crate) type Moment = (i64, u32);

/// From the host to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// The first frame. The compiled code follows it as it is.
    Setup(Box<Setup>),
    /// An attempt begins.
    Begin(Box<Begin>),
    /// The answer to what was asked of the state.
    State(Result<StateAnswer, StateFault>),
    /// The attempt is to end.
    Stop,
}

/// From a worker to the host.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToHost {
    /// It can run attempts. It says which parts of the wall this system does not have.
    Ready(Vec<String>),
    /// It can run none, and why.
    Unusable(String),
    /// The guest asks for something of the state of its job.
    State(StateCall),
    /// What the guest says while it goes on.
    Live(LiveWire),
    /// The attempt has ended.
    Ended(Box<Ended>),
}

/// What the guest says while it goes on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum LiveWire {
    Log(LogWire),
    Wrote { is_stderr: bool, text: String },
    Progress { done: u64, total: Option<u64>, message: String },
    LeftOut(u64),
}

/// What a worker is for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) call: CallSetup,
    /// Size of the compiled code.
    pub(crate) n_code_bytes: u64,
    /// The folder in which its attempts have theirs.
    pub(crate) scratch: Option<Blob>,
    /// The process that started it.
    pub(crate) host: u32,
}

/// The call of a job, without what differs from one attempt to the next. Workers with equal ones are as good as each other.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CallSetup {
    pub(crate) job: String,
    pub(crate) digest: String,
    pub(crate) is_program: bool,
    pub(crate) is_metered: bool,
    pub(crate) is_pooled: bool,
    /// Room for one memory that the host's own instances have.
    pub(crate) memory_bytes_max: u64,
    pub(crate) function: usize,
    pub(crate) limits: LimitsWire,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) dirs: Vec<DirWire>,
    pub(crate) reach: ReachWire,
    /// Which files it reads on the way there, as in `DirWire`: a new lease or VPN may bring other ones.
    pub(crate) reach_identities: Vec<Option<(u64, u64)>>,
    /// Lists of codes: success, retry, permanent, skipped.
    pub(crate) exit_codes: [Vec<u8>; 4],
}

/// `limits` of a job.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LimitsWire {
    pub(crate) timeout_nanos: u64,
    pub(crate) cpu_time_nanos: u64,
    pub(crate) memory_bytes_max: u64,
    pub(crate) table_elements_max: u64,
    pub(crate) instances_max: u32,
    pub(crate) output_bytes_max: u64,
    pub(crate) fuel: Option<u64>,
    pub(crate) state_bytes_max: u64,
    pub(crate) startup_nanos: Option<u64>,
    /// In the order of `Counts::ALL`.
    pub(crate) counts: Vec<u64>,
}

/// What of `grants` concerns the network, clocks and chance.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReachWire {
    pub(crate) http: Vec<RuleWire>,
    pub(crate) tcp: Vec<RuleWire>,
    pub(crate) udp: Vec<RuleWire>,
    pub(crate) dns: Vec<RuleWire>,
    pub(crate) clock_resolution_nanos: Option<u64>,
    pub(crate) random_seed: Option<u64>,
    /// Variables that name the certificates which the host trusts.
    pub(crate) certificates: BTreeMap<String, String>,
}

/// One entry, as it was written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RuleWire {
    pub(crate) text: String,
    pub(crate) methods: Vec<String>,
    pub(crate) private: bool,
}

/// A directory of `grants`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DirWire {
    pub(crate) host: Blob,
    pub(crate) guest: String,
    pub(crate) is_writable: bool,
    /// Which folder it is now. The wall of a worker knows folders, not paths: for another one it takes another worker.
    pub(crate) identity: Option<(u64, u64)>,
}

/// One attempt, with everything filled in.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Begin {
    pub(crate) run: String,
    pub(crate) scheduled_for: Moment,
    pub(crate) due_at: Moment,
    pub(crate) cause: CauseWire,
    pub(crate) number: u32,
    pub(crate) number_max: u32,
    pub(crate) started_at: Moment,
    pub(crate) last_success: Option<Moment>,
    pub(crate) zone: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) is_traced: bool,
    pub(crate) values: Blob,
    pub(crate) command_line: Vec<String>,
    pub(crate) stdin: Blob,
    pub(crate) facts: Vec<(String, String)>,
    /// By name, with the value or why it cannot be had.
    pub(crate) secrets: BTreeMap<String, Result<String, String>>,
    /// By variable: the name and the value.
    pub(crate) secret_variables: BTreeMap<String, (String, String)>,
    pub(crate) has_state: bool,
    /// Its own folder.
    pub(crate) scratch: Option<Blob>,
}

/// Why a run exists.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum CauseWire {
    Schedule,
    CatchUp(u64),
    Manual,
    Upstream(String),
    Api,
    Start,
    Backfill,
}

/// What an attempt asks of the state of its job.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum StateCall {
    /// Only whether it may.
    Open,
    Get {
        key: String,
    },
    Set {
        key: String,
        #[serde(with = "blob")]
        value: Vec<u8>,
    },
    CompareAndSet {
        key: String,
        expected: Option<u64>,
        #[serde(with = "blob")]
        value: Vec<u8>,
    },
    Delete {
        key: String,
    },
    List {
        prefix: String,
        after: Option<String>,
        n_max: usize,
    },
    Commit,
}

/// What it is answered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum StateAnswer {
    Done,
    Value(Option<StateValue>),
    Keys(Vec<String>),
}

/// A value with its version.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StateValue {
    pub(crate) version: u64,
    #[serde(with = "blob")]
    pub(crate) value: Vec<u8>,
}

/// Why nothing was done.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum StateFault {
    /// There is no grant.
    Denied,
    /// The ledger cannot be read or written.
    Unavailable(String),
    /// The key has a wrong length.
    Key(usize),
    /// The state would have more bytes than this.
    Quota(u64),
    /// There would be too many keys.
    Keys,
    /// The key has this version now, or no value.
    Conflict(Option<u64>),
}

impl StateFault {
    /// An answer that does not fit its question, which only a broken process gives.
    pub(crate) fn mixed_up() -> Self {
        Self::Unavailable("the state of the job gave an answer to another question".to_owned())
    }
}

impl std::fmt::Display for StateFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Denied => f.write_str("the job has no grant for its state"),
            Self::Unavailable(why) => f.write_str(why),
            Self::Key(n_bytes) => DraftError::Key(*n_bytes).fmt(f),
            Self::Quota(bytes_max) => DraftError::Quota(*bytes_max).fmt(f),
            Self::Keys => DraftError::Keys.fmt(f),
            Self::Conflict(version) => DraftError::Conflict(*version).fmt(f),
        }
    }
}

/// How an attempt ended: the parts of a report that the worker knows.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) output: Option<Blob>,
    pub(crate) again: AgainWire,
    pub(crate) cpu_nanos: u64,
    pub(crate) memory_peak_bytes: u64,
    pub(crate) fuel_used: Option<u64>,
    /// What was used, by its name.
    pub(crate) usage: BTreeMap<String, u64>,
    pub(crate) stdout: CapturedWire,
    pub(crate) stderr: CapturedWire,
    pub(crate) logs: Vec<LogWire>,
    pub(crate) n_logs_dropped: u64,
    pub(crate) progress: Option<String>,
}

/// What the guest says about another attempt.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum AgainWire {
    AsPolicySays,
    Never,
    AfterNanos(u64),
}

/// What was kept of one stream.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CapturedWire {
    pub(crate) text: Blob,
    pub(crate) n_bytes: u64,
    pub(crate) n_bytes_dropped: u64,
}

/// One line that the guest logged.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LogWire {
    pub(crate) at: Moment,
    pub(crate) level: u8,
    pub(crate) message: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Serialize for Blob {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        blob::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        blob::deserialize(deserializer).map(Self)
    }
}

mod blob {
    //! Bytes as base64.

    use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD_NO_PAD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD_NO_PAD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
