//! Keys that people bring along from other schedulers, or that a later version will know, and what to say of them.

/// What to answer to an unknown key: the names without `_`, `-` and capitals, and the answer.
type Answers = &'static [(&'static [&'static str], &'static str)];

/// Where the second wall is written.
const INTO_A_POOL: &str = "it belongs to a pool: write `pools: { untrusted: { size: 8, isolation: process } }`, and `pool: untrusted` in the job";

const LATER: &str = "not supported by this version yet: remove it";

const JOB: Answers = &[
    (
        &["misfiregracetime", "startingdeadlineseconds", "graceperiod"],
        "write `misfire_grace:` with a unit, such as `5m`",
    ),
    (&["schedule", "crontab", "cronexpression", "cronschedule"], "write `cron: \"30 2 * * *\"`"),
    (
        &["interval", "period", "repeat", "seconds", "minutes", "hours", "days"],
        "write `every:` with a unit, such as `15m`",
    ),
    (&["rundate", "date", "runat", "once"], "write `at: 2027-01-01T09:00:00`"),
    (&["trigger", "when", "on"], "write `triggers:`"),
    (&["maxruns", "parallelism", "concurrency"], "write `max_instances`"),
    (&["concurrencypolicy", "overlappolicy"], "write `overlap: skip`, `queue`, `replace` or `allow`"),
    (&["suspend", "disabled"], "write `paused: true`"),
    (&["enabled", "active"], "write `paused: true` for `enabled: false`, and nothing for `enabled: true`"),
    (&["export", "function", "func", "method", "entrypoint"], "write `call: FUNCTION`"),
    (&["kwargs", "arguments", "params", "parameters", "with", "input"], "write `args:`"),
    (&["command", "run", "exec"], "write `call: FUNCTION` for a function, or `args: [...]` for a command"),
    (&["image", "component", "module", "wasm", "source", "file", "path", "uses"], "write `plugin: ./file.wasm`"),
    (&["capabilities", "permissions", "allow", "securitycontext"], "write `grants:`"),
    (&["env", "environment"], "move it under `grants:`, as `grants: { env: { NAME: value } }`"),
    (
        &["dirs", "volumes", "mounts", "fs", "files"],
        "write `grants: { dirs: [{ host: ./data, guest: /data, mode: read }] }`",
    ),
    (
        &["activedeadlineseconds", "timelimit", "timeoutminutes", "timeoutseconds"],
        "write `timeout:` with a unit, such as `5m`",
    ),
    (&["memory", "cputime", "fuel", "output"], "move it under `limits:`"),
    (&["resources"], "write `limits: { memory: 64MiB, cpu_time: 10s }`"),
    (&["tags"], "write `labels: { team: finance }`"),
    (&["name", "id", "jobid"], "the name of a job is its key under `jobs:`: remove it, or write `description:`"),
    (&["tz"], "write `timezone: Europe/Berlin`"),
    (&["catchup"], "write `coalesce: latest` for one run after a pause, `coalesce: all` for each"),
    (
        &["maxretries", "backofflimit", "retries", "retrylimit"],
        "write `retry: { attempts: 4 }` for 3 retries: `attempts` counts the first try, too",
    ),
    (&["maxattempts", "attempts", "tries", "maxtries"], "write `retry: { attempts: 3 }`, the first try included"),
    (&["backoff", "maxbackoff", "retrydelay", "retryexpbackoff", "retrybackoff"], "write `retry: { backoff: 2s }`"),
    (&["dependson", "depends", "needs", "requires", "upstream", "runafter"], "write `after: JOB`"),
    (&["executor", "queue", "pools", "group"], "write `pool: NAME`, and its size under `pools:` at the top"),
    (
        &["jobstore", "stores", "ledger", "database", "db"],
        "write `store: NAME`, and its place under `stores:` at the top",
    ),
    (&["nice", "weight", "prio"], "write `priority: 10`; the largest runs first"),
    (
        &[
            "history",
            "retention",
            "ttl",
            "ttlsecondsafterfinished",
            "successfuljobshistorylimit",
            "failedjobshistorylimit",
        ],
        "write `keep: { age: 30d, count: 1000 }`",
    ),
    (&["semantics", "guarantee", "atmostonce", "atleastonce"], "write `delivery: at_least_once` or `at_most_once`"),
    (
        &["start", "end", "except", "jitter", "dst", "anchor", "mode", "overflow", "compat"],
        "it belongs to a trigger: move it beside its `cron`, `every` or `calendar`",
    ),
    (&["secrets"], "move it under `grants:`, as `grants: { secrets: [api-key] }`"),
    (&["isolation", "sandbox"], INTO_A_POOL),
    (
        &["onreload", "onupdate", "updatestrategy", "updatepolicy", "reload"],
        "write `on_reload: drain`, `cancel` or `replace`",
    ),
    (
        &["retryon"],
        "write `retry_on: latest` or `same`; which outcomes are tried again stands in `retry: { on: [failed] }`",
    ),
    (&["canary"], "it belongs to a plugin: move it under `plugins:`"),
    (
        &["notifications", "alerts", "onfailure", "onsuccess", "mailto", "email", "webhook", "webhooks", "callback"],
        "write `notify: [ops]`, and the channel under `notifications:` at the top",
    ),
    (&["async"], LATER),
    (
        &["exitcode", "successexitcodes", "successcodes", "okcodes", "allowedexitcodes", "exitcodesuccess"],
        "write `exit_codes: { success: [0] }`",
    ),
    (&["noretryexitcodes", "permanentexitcodes", "podfailurepolicy"], "write `exit_codes: { permanent: [64] }`"),
    (&["payload", "body", "standardinput"], "write `stdin:` for a command, `args:` for a function"),
];

const TOP: Answers = &[
    (&["tasks", "services", "cron", "job"], "write `jobs:`"),
    (&["plugin", "components", "modules"], "write `plugins:`"),
    (&["default"], "write `defaults:`"),
    (&["includes", "import", "imports"], "write `include: [conf.d/*.yaml]`"),
    (&["ceilings", "limits"], "write `host: { ceilings: { memory: 1GiB } }`, or `defaults: { limits: ... }` for jobs"),
    (&["timezone", "timeout", "tz"], "move it under `defaults:`"),
    (&["pool", "executors", "executor", "queues", "workers"], "write `pools: { heavy: { size: 2 } }`"),
    (
        &["store", "jobstores", "jobstore", "ledger", "database", "db", "state", "storage"],
        "write `stores: { default: \"sqlite:state.db\" }`",
    ),
    (&["retry", "keep", "delivery"], "move it under `defaults:`"),
    (&["secret", "vault", "credentials"], "write `secrets: { api-key: { env: API_KEY } }`"),
    (
        &["notify", "notification", "alerts", "alerting", "webhooks", "webhook", "channels", "mailto"],
        "write `notifications: { ops: { webhook: \"https://hooks.acme.dev\" } }`",
    ),
    (&["http", "server", "listen", "webserver", "bind"], "write `api: { listen: \"127.0.0.1:7878\" }`"),
    (&["tenants"], LATER),
];

const PLUGIN: Answers = &[
    (&["path", "file", "image", "url", "component", "wasm"], "write `source: ./file.wasm`"),
    (&["digest", "sha", "checksum", "hash"], "write `sha256:` with 64 hexadecimal digits"),
    (&["command", "run", "make"], "write `build: COMMAND`, which `clockjack dev` runs"),
    (&["dir", "folder", "path_to_directory"], "write `directory: ./plugins.d`"),
    (&["isolation", "sandbox"], INTO_A_POOL),
    (&["onreload", "retryon"], "it belongs to jobs: write it in a job, or under `defaults:`"),
    (&["history", "generations", "versions", "revisions", "revisionhistorylimit"], "write `keep: 3`"),
    (&["trial", "rollback", "progressive", "rollout"], "write `canary: { runs: 5, failures: 3 }`"),
    (&["grants", "capabilities", "signature"], LATER),
];

const SIDECAR: Answers = &[
    (&["plugin", "component", "source", "wasm"], "remove it: a sidecar has the jobs of the component beside it"),
    (&["tasks", "services", "cron", "job"], "write `jobs:`"),
    (&["default"], "write `defaults:`"),
    (&["timezone", "timeout", "tz", "retry", "keep", "delivery"], "move it under `defaults:`"),
];

const BUILD: Answers = &[
    (&["command", "cmd", "script", "exec"], "write `run:`"),
    (&["dir", "directory", "cwd", "context", "path", "workdir", "watch"], "write `folder:`"),
];

const POOL: Answers = &[
    (
        &["maxinstances", "concurrency", "parallelism", "slots", "places", "workers", "maxworkers", "max", "limit"],
        "write `size:`",
    ),
    (&["process", "processes", "isolate", "isolated", "sandbox"], "write `isolation: process`"),
];

const RETRY: Answers = &[
    (
        &["retries", "maxretries", "retry", "limit"],
        "write `attempts: 4` for 3 retries: `attempts` counts the first try, too",
    ),
    (&["maxattempts", "tries", "maxtries", "count", "times"], "write `attempts:`, the first try included"),
    (
        &[
            "initial",
            "initialdelay",
            "initialinterval",
            "initialbackoff",
            "interval",
            "delay",
            "wait",
            "min",
            "minbackoff",
        ],
        "write `backoff:`, the wait before the second attempt, such as `2s`",
    ),
    (&["max", "maxdelay", "maxinterval", "maxwait", "cap", "backoffmax"], "write `max_backoff:`, such as `1m`"),
    (
        &[
            "exponential",
            "exponent",
            "factor",
            "multiplier",
            "coefficient",
            "backofffactor",
            "base",
            "strategy",
            "type",
        ],
        "remove it: the wait doubles after each attempt, up to `max_backoff`",
    ),
    (&["retryon", "when", "if", "outcomes", "errors"], "write `on: [timeout, failed]`"),
];

const KEEP: Answers = &[
    (&["maxage", "ttl", "days", "for", "time", "duration"], "write `age:` with a unit, such as `30d`"),
    (&["maxcount", "n", "max", "last", "limit", "runs", "number"], "write `count:`, such as `1000`"),
];

const ON_RELOAD: Answers = &[
    (&["policy", "strategy", "type", "action", "then", "kind"], "write `mode: drain`, `cancel` or `replace`"),
    (&["timeout", "grace", "graceperiod", "after", "within", "max", "draindeadline"], "write `deadline: 5m`"),
];

const CANARY: Answers = &[
    (&["n", "count", "total", "attempts", "first", "window", "of"], "write `runs:`, how many of the first runs count"),
    (&["k", "max", "failed", "maxfailures", "threshold", "errors"], "write `failures:`, from how many of them on"),
];

const AFTER: Answers = &[
    (&["jobs", "id", "name", "needs", "jobid"], "write `job: NAME`"),
    (&["when", "if", "status", "condition", "outcome", "state"], "write `on: success`, `failure` or `always`"),
    (&["delay", "args", "all"], LATER),
];

const GRANTS: Answers = &[
    (&["environment", "envvars", "variables"], "write `env: { NAME: value }`"),
    (&["fs", "files", "volumes", "mounts", "directories", "dir", "preopens"], "write `dirs:`"),
    (&["kv", "keyvalue", "storage", "memory", "store"], "write `state: true`"),
    (&["secret"], "write `secrets: [api-key]`"),
    (
        &["https", "urls", "url", "hosts", "allowedhosts", "allowedoutboundhosts", "outbound", "egress", "fetch"],
        "write `http: [\"https://api.acme.dev\"]`",
    ),
    (&["net", "sockets", "socket", "tcp", "udp", "dns", "ports"], "write `network: { tcp: [\"db.internal:5432\"] }`"),
    (&["clocks", "time", "resolution"], "write `clock: { resolution: 1ms }`"),
    (&["rand", "rng", "seed", "randomness", "entropy"], "write `random: { seed: 42 }`"),
    (&["config"], LATER),
];

const HTTP: Answers = &[
    (&["host", "hosts", "uri", "to", "origin", "address"], "write `url: \"https://api.acme.dev\"`"),
    (&["method", "verbs", "verb"], "write `methods: [GET, POST]`"),
    (
        &["path", "paths", "prefix", "port", "ports", "scheme"],
        "it is a part of `url`, as in `https://api.acme.dev:8443/v1/`",
    ),
    (&["internal", "local", "allowprivate", "loopback", "lan"], "write `private: true`"),
    (
        &["headers", "redirects", "followredirects", "timeout", "tls", "ca", "insecure"],
        "remove it: the job's code says that",
    ),
];

const NETWORK: Answers = &[
    (&["connect", "outbound", "hosts", "sockets", "allow"], "write `tcp: [\"db.internal:5432\"]`"),
    (&["names", "lookup", "resolve", "nameservers"], "write `dns: [\"*.acme.dev\"]`"),
    (&["listen", "bind", "inbound", "ports"], "remove it: a job takes no connections"),
    (&["http", "https", "urls"], "move it beside `network`, as `http: [\"https://api.acme.dev\"]`"),
];

const ENDPOINT: Answers = &[
    (&["host", "address", "name", "url", "port", "ports"], "write `to: \"db.internal:5432\"`"),
    (&["internal", "local", "allowprivate", "loopback", "lan"], "write `private: true`"),
];

const LIMITS: Answers = &[
    (&["mem", "ram", "memorymax"], "write `memory: 64MiB`"),
    (&["cpu", "cputimemax"], "write `cpu_time: 10s`"),
    (&["timeout", "walltime"], "`timeout` stands beside `limits`, not in it"),
    (&["stdout", "stderr"], "write `output: 1MiB`"),
    (&["log"], "write `logs: { lines: 1000, bytes: 256KiB }`"),
    (&["tables", "table"], "write `table_elements`"),
    (&["calls", "hostcallsmax", "syscalls"], "write `host_calls: 100000`"),
    (&["nofile", "openfiles", "fds", "descriptors"], "write `handles: 1024`"),
    (&["disk", "storage", "ephemeralstorage", "filesize", "fsize"], "write `file_bytes: 100MiB`"),
    (&["loglines", "logbytes"], "write `logs: { lines: 1000, bytes: 256KiB }`"),
    (&["stack"], LATER),
];

const HOST: Answers = &[
    (&["limits", "max", "maximum"], "write `ceilings: { memory: 1GiB }`"),
    (&["ram", "mem", "memorylimit", "memorybudget"], "write `memory: 4GiB`, for all attempts together"),
    (&["dirs", "allowdirs", "alloweddirs", "directories", "paths"], "write `roots: [./data]`"),
    (
        &["http", "network", "outbound", "allowhosts", "allowedhosts", "firewall"],
        "write `egress: [\"https://*.acme.dev\"]`",
    ),
    (&["api", "listen", "port"], "write `api: { listen: \"127.0.0.1:7878\" }` at the top"),
    (&["isolation", "plugins"], LATER),
];

const API: Answers = &[
    (&["bind", "address", "addresses", "port", "addr", "host"], "write `listen: \"127.0.0.1:7878\"`"),
    (&["names", "domains", "allowedhosts", "trustedhosts", "servername"], "write `hosts: [jobs.acme.dev]`"),
    (&["cert", "key", "certificate", "ssl", "https"], "write `tls: { cert: ./cert.pem, key: ./key.pem }`"),
    (&["token", "auth", "password", "apikey", "users"], "make tokens with `clockjack token create NAME`"),
    (&["cors", "origins", "allowedorigins"], "remove it: pages of other sites have no access"),
    (&["ratelimit", "limits", "throttle"], "write `rate: { requests: 500, burst: 1000 }`"),
];

const TLS: Answers = &[
    (&["certificate", "certfile", "crt", "chain", "fullchain"], "write `cert: ./cert.pem`"),
    (&["keyfile", "private", "privatekey"], "write `key: ./key.pem`"),
];

const RATE: Answers = &[
    (&["persecond", "rps", "rate", "limit"], "write `requests:`, how many a second"),
    (&["logins", "attempts", "failed"], "write `failures:`, how many wrong tokens a minute"),
];

const DIR: Answers = &[
    (&["source", "src", "from", "path", "hostpath"], "write `host:` for the folder on this machine"),
    (
        &["target", "dst", "destination", "to", "mountpath", "containerpath"],
        "write `guest:` for the path that the job sees",
    ),
    (&["readonly", "access", "perms", "permissions"], "write `mode: read` or `mode: read_write`"),
];

const SECRET: Answers = &[
    (&["variable", "var", "environment", "fromenv"], "write `env: VARIABLE`"),
    (&["path", "fromfile"], "write `file: ./path`"),
    (
        &["value", "text", "secret"],
        "a manifest does not hold secrets: put the value into a variable or a file, and write `env:` or `file:`",
    ),
    (&["vault", "command", "exec", "keyring"], LATER),
];

const CHANNEL: Answers = &[
    (&["url", "http", "https", "slack", "discord", "teams", "hook", "post"], "write `webhook: URL`"),
    (&["hc", "healthcheck", "heartbeat", "ping", "cronitor", "deadmanssnitch"], "write `healthchecks: URL`"),
    (&["exec", "run", "script", "program", "shell"], "write `command: [PROGRAM, ARGUMENT]`"),
    (&["email", "mail", "smtp", "mailto"], "write `command: [/usr/sbin/sendmail, ops@acme.dev]`, or a webhook"),
    (&["events", "when", "if", "triggers", "after"], "write `on: [failure, recovery, { failures: 3 }]`"),
    (&["late", "toolong", "failures"], "it belongs into `on`, as in `on: [{ late: 5m }, { failures: 3 }]`"),
    (&["secret", "headers", "key"], "it belongs to the webhook: `webhook: { url: URL, secret: NAME }`"),
    (&["internal", "local", "allowprivate", "loopback", "lan"], "write `private: true`"),
    (&["retries", "retry", "attempts", "backoff"], "remove it: what does not arrive is tried again for a day"),
];

const WEBHOOK: Answers = &[
    (&["uri", "to", "address", "endpoint"], "write `url: \"https://hooks.acme.dev\"`"),
    (&["key", "hmac", "signingkey", "token", "signature"], "write `secret: NAME`, a name from `secrets:`"),
    (&["header"], "write `headers: { authorization: { secret: NAME } }`"),
    (&["method", "body", "template", "payload", "format"], LATER),
    (&["timeout", "on", "private"], "it belongs to the channel: move it beside `webhook`"),
];

const NOTIFY: Answers = &[
    (&["when", "if", "events"], "write `on: [failure, recovery]`"),
    (&["after", "failures"], "write `on: [{ failures: 3 }]`"),
];

const EXIT_CODES: Answers = &[
    (&["ok", "succeeded", "succeed", "good", "done"], "write `success:`"),
    (&["tempfail", "temporary", "transient", "again", "retryable"], "write `retry:`"),
    (&["never", "fatal", "noretry", "abort", "stop"], "write `permanent:`"),
    (&["skip", "ignore", "ignored", "nothing"], "write `skipped:`"),
    (&["failed", "failure", "fail", "error"], "remove it: a code that stands in no list is a failure"),
];

/// The maps that have keys of their own.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Top,
    Job,
    Defaults,
    Retry,
    Keep,
    OnReload,
    Canary,
    After,
    Pool,
    Plugin,
    Sidecar,
    Build,
    Grants,
    Limits,
    Dir,
    Http,
    Network,
    Endpoint,
    Secret,
    ExitCodes,
    Host,
    Channel,
    Webhook,
    Notify,
    Api,
    Tls,
    Rate,
}

/// What to answer to a key that the map does not know.
pub(super) fn answer(place: Place, key: &str) -> Option<String> {
    let answers = match place {
        Place::Top => TOP,
        Place::Job => JOB,
        Place::Retry => RETRY,
        Place::Keep => KEEP,
        Place::OnReload => ON_RELOAD,
        Place::Canary => CANARY,
        Place::After => AFTER,
        Place::Pool => POOL,
        Place::Plugin => PLUGIN,
        Place::Sidecar => SIDECAR,
        Place::Build => BUILD,
        Place::Grants => GRANTS,
        Place::Limits => LIMITS,
        Place::Dir => DIR,
        Place::Http => HTTP,
        Place::Network => NETWORK,
        Place::Endpoint => ENDPOINT,
        Place::Secret => SECRET,
        Place::ExitCodes => EXIT_CODES,
        Place::Host => HOST,
        Place::Channel => CHANNEL,
        Place::Webhook => WEBHOOK,
        Place::Notify => NOTIFY,
        Place::Api => API,
        Place::Tls => TLS,
        Place::Rate => RATE,
        Place::Defaults => return defaults_answer(key),
    };
    find(answers, key)
}

fn defaults_answer(key: &str) -> Option<String> {
    const OF_A_JOB: [&str; 13] = [
        "plugin",
        "call",
        "args",
        "stdin",
        "triggers",
        "description",
        "after",
        "cron",
        "every",
        "calendar",
        "at",
        "any",
        "all",
    ];
    if OF_A_JOB.contains(&key) {
        return Some(format!("`{key}` has no default: write it in each job"));
    }
    find(JOB, key)
}

fn find(answers: Answers, key: &str) -> Option<String> {
    if 64 < key.len() {
        return None;
    }
    let plain: String = key.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect();
    let (_, text) = answers.iter().find(|(names, _)| names.contains(&plain.as_str()))?;
    Some(if *text == LATER { format!("`{key}` is {LATER}") } else { (*text).to_owned() })
}
