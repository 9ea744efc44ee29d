//! What a job is held to: policies, limits and grants in the words of the manifest, defaults included.

use clockjack_schedule::{
    counts::Counts,
    egress::{HttpRule, NetworkGrants},
    job::{Coalesce, Delivery, DirMode, Grants as JobGrants, Limits, OnReload, Overlap, Policy, RetryOn, Setup},
    manifest::scalar::{show_duration, show_size},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use utoipa::ToSchema;

/// What a job is held to. Durations and sizes are written as in the manifest, such as `1m` and `64MiB`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Settings {
    /// How late a slot may start; `null` means any time.
    pub misfire_grace: Option<String>,
    /// Which slot of a backlog runs: `latest`, `earliest`, `all`.
    pub coalesce: String,
    /// How many slots of a backlog run or wait at most.
    pub max_backlog: u32,
    /// What happens to a slot that is due while runs go on: `skip`, `queue`, `replace`, `allow`.
    pub overlap: String,
    /// How many runs go on at once.
    pub max_instances: u32,
    /// Whether it runs once when the host first sees it.
    pub run_on_start: bool,
    /// What happens after an attempt that failed.
    pub retry: Retry,
    /// What happens to a run that a crash cut: `at_least_once`, `at_most_once`.
    pub delivery: String,
    /// The highest comes first among those that wait for a place in the pool.
    pub priority: i32,
    /// How long history is kept.
    pub keep: Keep,
    /// What happens to attempts that go on when other code is put in force: `drain`, `cancel`, `replace`.
    pub on_reload: String,
    /// How long they may go on then; `null` means that only the timeout bounds it.
    pub drain_deadline: Option<String>,
    /// Which code a further attempt takes: `latest`, `same`.
    pub retry_on: String,
    /// Wall-clock time of an attempt.
    pub timeout: String,
    /// What an attempt may consume, by the keys of `limits`; `null` means no bound of its own.
    #[schema(value_type = std::collections::BTreeMap<String, Json>)]
    pub limits: Map<String, Json>,
    /// What an attempt may touch.
    pub grants: Grants,
}

/// What happens after an attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Retry {
    /// How many attempts there are in all.
    pub attempts: u32,
    /// How long after the first failure the second attempt begins.
    pub backoff: String,
    /// The longest such time.
    pub max_backoff: String,
    /// How many percent of that time are left to chance.
    #[schema(maximum = 100)]
    pub jitter_percent: u8,
    /// Which outcomes are tried again; empty means every failure.
    pub on: Vec<String>,
}

/// How long history is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Keep {
    /// How old it may be.
    pub age: String,
    /// How many runs, and as many skips.
    pub count: u32,
}

/// What an attempt may touch. Of the environment only the names are told: values may be secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Grants {
    /// The names of environment variables.
    pub env: Vec<String>,
    /// Directories of the host.
    pub dirs: Vec<Dir>,
    /// Whether it may remember things from run to run.
    pub state: bool,
    /// The names of secrets.
    pub secrets: Vec<String>,
    /// To whom it may send requests.
    pub http: Vec<String>,
    /// To whom it may open connections, and which names it may look up.
    pub network: Vec<String>,
    /// In which steps its clocks go; `null` means as they are.
    pub clock_resolution: Option<String>,
    /// The seed of its random numbers; `null` means that nobody can foresee them.
    pub random_seed: Option<u64>,
}

/// A directory of the host that a guest sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Dir {
    /// Where it is on the host.
    pub host: String,
    /// What the guest calls it.
    pub guest: String,
    /// What it may do there: `read`, `read_write`.
    pub mode: String,
}

impl From<&Setup> for Settings {
    fn from(setup: &Setup) -> Self {
        let Policy {
            misfire_grace,
            coalesce,
            max_backlog,
            overlap,
            max_instances,
            paused: _,
            run_on_start,
            retry,
            delivery,
            priority,
            keep,
            on_reload,
            retry_on,
        } = &setup.policy;
        let (on_reload, deadline) = match on_reload {
            OnReload::Drain { deadline } => ("drain", *deadline),
            OnReload::Cancel => ("cancel", None),
            OnReload::Replace => ("replace", None),
        };
        Self {
            misfire_grace: misfire_grace.map(show_duration),
            coalesce: coalesce_word(*coalesce).to_owned(),
            max_backlog: max_backlog.get(),
            overlap: overlap_word(*overlap).to_owned(),
            max_instances: max_instances.get(),
            run_on_start: *run_on_start,
            retry: Retry {
                attempts: retry.attempts_max.get(),
                backoff: show_duration(retry.backoff),
                max_backoff: show_duration(retry.backoff_max),
                jitter_percent: retry.jitter_percent,
                on: retry.on.iter().map(|code| code.as_str().to_owned()).collect(),
            },
            delivery: match delivery {
                Delivery::AtLeastOnce => "at_least_once".to_owned(),
                Delivery::AtMostOnce => "at_most_once".to_owned(),
            },
            priority: *priority,
            keep: Keep { age: show_duration(keep.age_max), count: keep.n_max.get() },
            on_reload: on_reload.to_owned(),
            drain_deadline: deadline.map(show_duration),
            retry_on: match retry_on {
                RetryOn::Latest => "latest".to_owned(),
                RetryOn::Same => "same".to_owned(),
            },
            timeout: show_duration(setup.limits.timeout),
            limits: limits(&setup.limits),
            grants: (&setup.grants).into(),
        }
    }
}

fn coalesce_word(coalesce: Coalesce) -> &'static str {
    match coalesce {
        Coalesce::Latest => "latest",
        Coalesce::Earliest => "earliest",
        Coalesce::All => "all",
    }
}

fn overlap_word(overlap: Overlap) -> &'static str {
    match overlap {
        Overlap::Skip => "skip",
        Overlap::Queue => "queue",
        Overlap::Replace => "replace",
        Overlap::Allow => "allow",
    }
}

fn limits(limits: &Limits) -> Map<String, Json> {
    let own = [
        ("cpu_time", json!(show_duration(limits.cpu_time))),
        ("memory", json!(show_size(limits.memory_bytes_max))),
        ("table_elements", json!(limits.table_elements_max)),
        ("instances", json!(limits.instances_max)),
        ("output", json!(show_size(limits.output_bytes_max))),
        ("fuel", json!(limits.fuel)),
        ("state", json!(show_size(limits.state_bytes_max))),
        ("startup", json!(limits.startup.map(show_duration))),
    ];
    let mut counts = limits.counts.clone();
    let counted = Counts::ALL.map(|count| {
        let limit = *(count.place)(&mut counts);
        (count.key, if count.is_size { json!(show_size(limit)) } else { json!(limit) })
    });
    own.into_iter().chain(counted).map(|(key, value)| (key.to_owned(), value)).collect()
}

impl From<&JobGrants> for Grants {
    fn from(grants: &JobGrants) -> Self {
        let dirs = grants.dirs.iter().map(|dir| Dir {
            host: dir.host.display().to_string(),
            guest: dir.guest.clone(),
            mode: match dir.mode {
                DirMode::Read => "read".to_owned(),
                DirMode::ReadWrite => "read_write".to_owned(),
            },
        });
        Self {
            env: grants.env.keys().chain(grants.secrets.by_variable.keys()).cloned().collect(),
            dirs: dirs.collect(),
            state: grants.state,
            secrets: grants.secrets.all().into_keys().map(ToString::to_string).collect(),
            http: grants.http.iter().map(http).collect(),
            network: grants.network.as_deref().map(network).unwrap_or_default(),
            clock_resolution: grants.clock_resolution.map(show_duration),
            random_seed: grants.random_seed,
        }
    }
}

fn http(rule: &HttpRule) -> String {
    let methods: Vec<_> = rule.methods.iter().collect();
    let private = if rule.private { " (private)" } else { "" };
    format!("{} {rule}{private}", methods.join(","))
}

fn network(grants: &NetworkGrants) -> Vec<String> {
    let private = |is_private: bool| if is_private { " (private)" } else { "" };
    let tcp = grants.tcp.iter().map(|end| format!("tcp {end}{}", private(end.private)));
    let udp = grants.udp.iter().map(|end| format!("udp {end}{}", private(end.private)));
    let dns = grants.dns.iter().map(|name| format!("dns {}{}", name.pattern, private(name.private)));
    tcp.chain(udp).chain(dns).collect()
}
