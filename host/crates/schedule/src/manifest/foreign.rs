//! Keys that people bring along from other schedulers, or that a later version will know, and what to say of them.

/// What to answer to an unknown key: the names without `_`, `-` and capitals, and the answer.
type Answers = &'static [(&'static [&'static str], &'static str)];

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
    (&["maxretries", "backofflimit", "retries"], "retrying is not supported by this version yet: remove it"),
    (
        &["start", "end", "except", "jitter", "dst", "anchor", "mode", "overflow", "compat"],
        "it belongs to a trigger: move it beside its `cron`, `every` or `calendar`",
    ),
    (
        &[
            "retry",
            "delivery",
            "pool",
            "pools",
            "priority",
            "after",
            "keep",
            "secrets",
            "stores",
            "store",
            "isolation",
            "async",
            "onreload",
            "notify",
            "stdin",
            "history",
        ],
        LATER,
    ),
];

const TOP: Answers = &[
    (&["tasks", "services", "cron", "job"], "write `jobs:`"),
    (&["plugin", "components", "modules"], "write `plugins:`"),
    (&["default"], "write `defaults:`"),
    (&["includes", "import", "imports"], "write `include: [conf.d/*.yaml]`"),
    (&["ceilings", "limits"], "write `host: { ceilings: { memory: 1GiB } }`, or `defaults: { limits: ... }` for jobs"),
    (&["timezone", "timeout", "tz"], "move it under `defaults:`"),
    (&["stores", "store", "secrets", "pools", "notify", "notifications", "api", "tenants"], LATER),
];

const PLUGIN: Answers = &[
    (&["path", "file", "image", "url", "component", "wasm"], "write `source: ./file.wasm`"),
    (&["digest", "sha", "checksum", "hash"], "write `sha256:` with 64 hexadecimal digits"),
    (&["build", "grants", "capabilities", "isolation", "onreload", "signature", "stdin"], LATER),
];

const GRANTS: Answers = &[
    (&["environment", "envvars", "variables"], "write `env: { NAME: value }`"),
    (&["fs", "files", "volumes", "mounts", "directories", "dir", "preopens"], "write `dirs:`"),
    (&["secrets", "http", "state", "network", "sockets", "kv", "keyvalue", "config"], LATER),
];

const LIMITS: Answers = &[
    (&["mem", "ram", "memorymax"], "write `memory: 64MiB`"),
    (&["cpu", "cputimemax"], "write `cpu_time: 10s`"),
    (&["timeout", "walltime"], "`timeout` stands beside `limits`, not in it"),
    (&["stdout", "stderr", "log"], "write `output: 1MiB`"),
    (&["tables", "table"], "write `table_elements`"),
    (&["handles", "hostcalls", "stack", "disk"], LATER),
];

const DIR: Answers = &[
    (&["source", "src", "from", "path", "hostpath"], "write `host:` for the folder on this machine"),
    (
        &["target", "dst", "destination", "to", "mountpath", "containerpath"],
        "write `guest:` for the path that the job sees",
    ),
    (&["readonly", "access", "perms", "permissions"], "write `mode: read` or `mode: read_write`"),
];

/// The maps that have keys of their own.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Top,
    Job,
    Defaults,
    Plugin,
    Grants,
    Limits,
    Dir,
}

/// What to answer to a key that the map does not know.
pub(super) fn answer(place: Place, key: &str) -> Option<String> {
    let answers = match place {
        Place::Top => TOP,
        Place::Job => JOB,
        Place::Plugin => PLUGIN,
        Place::Grants => GRANTS,
        Place::Limits => LIMITS,
        Place::Dir => DIR,
        Place::Defaults => return defaults_answer(key),
    };
    find(answers, key)
}

fn defaults_answer(key: &str) -> Option<String> {
    const OF_A_JOB: [&str; 11] =
        ["plugin", "call", "args", "triggers", "description", "cron", "every", "calendar", "at", "any", "all"];
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
