//! The manifest as JSON Schema (draft 2020-12), for editors: the same keys and words as the readers have, a test compares
//! them. What a schema cannot say (ranges of durations, names that must exist, circles) `check` says.

mod api;

use serde_json::{Map, Value as Json, json};

mod notifications;

use super::reload;
use crate::{
    counts::{Count, Counts},
    outcome::OutcomeCode,
};

/// The schema of one file of a manifest.
#[must_use]
pub fn manifest_schema() -> Json {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Clockjack manifest",
        "type": ["object", "null"],
        "properties": {
            "version": described("The version of the manifest's language.", json!({ "const": 1 })),
            "include": key("Further files, relative to this one: `conf.d/*.yaml`.", one_or_many(text())),
            "defaults": key("What holds where a job says nothing.", reference("defaults")),
            "calendars": key("Named days for `except`.", json!({ "type": "object" })),
            "pools": key("How many runs go on at once, by pool.", map_of(reference("pool"))),
            "stores": key("Where runs are recorded, by store: `sqlite:PATH` or `memory:`.", map_of(text())),
            "secrets": key("What jobs may be granted by name; the values stay outside.", map_of(reference("secret"))),
            "notifications": key("Through what people are told of runs, by channel.", map_of(reference("channel"))),
            "plugins": key("Components, by name; or directories of them.", plugins()),
            "jobs": key("What runs when, by id.", map_of(reference("job"))),
            "host": key("Settings of the host.", host()),
            "api": key("How the host is reached.", api::schema()),
        },
        "patternProperties": free(),
        "additionalProperties": false,
        // Only the shortest form, which has nothing but jobs, may leave out its version.
        "anyOf": [{ "type": "null" }, { "required": ["version"] }, { "propertyNames": { "pattern": "^(jobs$|x-)" } }],
        "$defs": {
            "variable": { "type": "string", "pattern": "\\$\\{" },
            "duration": { "type": "string", "pattern": "[0-9].*[A-Za-z]|\\$\\{" },
            "size": { "type": "string", "pattern": "[0-9].*[A-Za-z]|\\$\\{" },
            "job": job(),
            "defaults": object(common(), &[]),
            "plugin": plugin(),
            "secret": secret(),
            "channel": notifications::channel(),
            "on": notifications::on(),
            "pool": object(
                [
                    ("size", key("The most runs that go on in it at once.", whole(1, 1_000))),
                    ("isolation", key("`process` puts them into processes of their own.", words(&["none", "process"]))),
                ],
                &["size"],
            ),
            "ceilings": ceilings(),
            "retry": retry(),
            "exit_codes": exit_codes(),
            "keep": object(
                [
                    ("age", key("How old finished runs may be, such as `30d`.", reference("duration"))),
                    ("count", key("How many finished runs of the job are kept.", whole(1, 1_000_000_000))),
                ],
                &[],
            ),
            "limits": limits(),
            "grants": grants(),
            "after": after(),
            "trigger": trigger(),
            "triggers": { "anyOf": [reference("trigger"), { "type": "array", "items": reference("triggers"), "minItems": 1 }] },
            "dst": object(
                [
                    ("gap", key("A local time that the clock leaves out.", words(&["run_after", "skip"]))),
                    ("fold", key("A local time that the clock shows twice.", words(&["first", "second", "both"]))),
                ],
                &[],
            ),
            "cron_fields": cron_fields(),
            "every_units": every_units(),
            "calendar": calendar(),
        },
    })
}

fn host() -> Json {
    let rule = object(
        [
            ("url", described("`https://host`, or `tcp://host:port` and `udp://host:port`.", text())),
            ("private", key("Whether the host may have a private address.", json!({ "type": "boolean" }))),
        ],
        &["url"],
    );
    let rule = json!({ "anyOf": [text(), rule] });
    let keys = [
        ("folder", described("The folder of the plugins.", text())),
        ("keys", described("Public keys of minisign.", one_or_many(text()))),
    ];
    let trusted = one_or_many(object(keys, &["folder", "keys"]));
    object(
        [
            ("ceilings", key("The highest limits that jobs may ask for.", reference("ceilings"))),
            ("egress", key("What jobs may be granted at most of the network.", one_or_many(rule))),
            ("memory", key("What all attempts that go on may have together, by their limits.", reference("size"))),
            ("roots", key("Where directories must lie that jobs are granted.", one_or_many(text()))),
            ("trusted_keys", key("Folders whose plugins must be signed.", trusted)),
        ],
        &[],
    )
}

/// The keys of a job.
fn job() -> Json {
    let own = [
        (
            "plugin",
            described("A name from `plugins:`, the path of a component file, or `oci://HOST/REPOSITORY:TAG`.", text()),
        ),
        ("call", key("Which exported function; may be left out where there is one.", text())),
        ("args", key("What the function gets: a map by parameter, or a list.", json!({ "type": ["object", "array"] }))),
        ("stdin", key("What a command reads: text, `{ file: path }`, or a map or list that it gets as JSON.", stdin())),
        ("description", key("Free words for people.", text())),
        ("triggers", key("When it runs: any of them.", reference("triggers"))),
        ("after", key("Whose ends make it run.", one_or_many(reference("after")))),
    ];
    let keys: Vec<_> = own.into_iter().chain(common()).chain(trigger_keys()).collect();
    object(keys, &["plugin"])
}

/// The keys that `defaults` has too.
fn common() -> Vec<(&'static str, Json)> {
    let flag = || json!({ "type": "boolean" });
    let grace = json!({ "anyOf": [reference("duration"), { "const": "none" }] });
    vec![
        ("timezone", key("The zone of its triggers, such as `Europe/Berlin`; default UTC.", text())),
        ("misfire_grace", key("How late a slot may start; default any time.", grace)),
        ("coalesce", key("Which slot of a backlog runs.", words(&["latest", "earliest", "all"]))),
        ("max_backlog", key("How many slots of a backlog run or wait at most.", whole(1, 10_000))),
        ("overlap", key("What a slot does that meets a run.", words(&["skip", "queue", "replace", "allow"]))),
        ("max_instances", key("How many runs of the job go on at once.", whole(1, 1_000))),
        ("paused", key("Whether it starts paused.", flag())),
        ("run_on_start", key("Whether it runs once when the host first sees it.", flag())),
        ("retry", key("What happens after an attempt that failed.", reference("retry"))),
        ("exit_codes", key("What the exit codes of a command mean.", reference("exit_codes"))),
        ("delivery", key("What happens to a run that a crash cut.", words(&["at_least_once", "at_most_once"]))),
        ("priority", key("Which run of a pool comes first: the highest.", whole(-1_000, 1_000))),
        ("keep", key("How long finished runs are kept.", reference("keep"))),
        ("on_reload", key("What happens to attempts that go on when its plugin is replaced.", on_reload())),
        ("retry_on", key("On which code a run is tried again.", words(&["latest", "same"]))),
        ("pool", key("Whose places its runs take.", text())),
        ("store", key("Where its runs are recorded.", text())),
        ("timeout", key("Wall-clock limit of an attempt; default 1m.", reference("duration"))),
        ("limits", key("What an attempt may consume.", reference("limits"))),
        ("grants", key("What an attempt may touch; default nothing.", reference("grants"))),
        ("labels", key("Free words for filters.", map_of(text()))),
        (
            "notify",
            key(
                "Who is told of its runs: channels, or a map from a channel to what it tells.",
                notifications::notify(),
            ),
        ),
    ]
}

fn on_reload() -> Json {
    let modes = || words(&["drain", "cancel", "replace"]);
    let deadline = json!({ "anyOf": [reference("duration"), { "const": "none" }] });
    let keys = [
        ("mode", key("`drain` lets them finish, `cancel` ends their runs, `replace` tries them again.", modes())),
        ("deadline", key("How long they may drain; default as long as their timeout lets them.", deadline)),
    ];
    json!({ "anyOf": [modes(), object(keys, &[])] })
}

fn plugins() -> Json {
    json!({ "anyOf": [map_of(reference("plugin")), text(), { "type": "array", "items": text() }] })
}

fn plugin() -> Json {
    let build =
        object([("run", described("The command.", text())), ("folder", key("Where it runs.", text()))], &["run"]);
    let canary = object(
        [
            ("runs", key("How many of its first runs count.", whole(1, reload::CANARY_RUNS_MAX.into()))),
            ("failures", key("From how many failures among them on.", whole(1, reload::CANARY_RUNS_MAX.into()))),
        ],
        &["runs", "failures"],
    );
    let keys = [
        ("source", key("The path of the component file, or `oci://HOST/REPOSITORY:TAG`.", text())),
        ("directory", key("A directory in which each component is a plugin with its own sidecar of jobs.", text())),
        (
            "sha256",
            key("What its bytes must hash to.", json!({ "type": "string", "pattern": "^(sha256:)?[0-9A-Fa-f]{64}$" })),
        ),
        ("build", key("How the file is made, for `clockjack dev`.", json!({ "anyOf": [text(), build] }))),
        ("canary", key("When a new generation is taken back by itself.", canary)),
        ("keep", key("How many generations are kept, the one that runs included.", whole(1, reload::KEEP_MAX.into()))),
    ];
    let mut plugin = object(keys, &[]);
    plugin["anyOf"] = json!([{ "required": ["source"] }, { "required": ["directory"] }]);
    json!({ "anyOf": [text(), plugin] })
}

fn fuel() -> Json {
    json!({ "anyOf": [{ "type": "integer", "minimum": 1 }, { "const": "none" }] })
}

fn stdin() -> Json {
    json!({ "type": ["string", "object", "array"] })
}

fn exit_codes() -> Json {
    let codes = || one_or_many(whole(0, 255));
    object(
        [
            ("success", key("Done; default 0.", codes())),
            ("retry", key("Not done; the retry policy decides; default 75.", codes())),
            ("permanent", key("Not done, and trying again would not help.", codes())),
            ("skipped", key("There was nothing to do.", codes())),
        ],
        &[],
    )
}

fn secret() -> Json {
    let mut secret = object([("env", described("A variable.", text())), ("file", described("A file.", text()))], &[]);
    secret["oneOf"] = json!([{ "required": ["env"] }, { "required": ["file"] }]);
    secret
}

fn retry() -> Json {
    let percent =
        json!({ "anyOf": [{ "type": "number", "minimum": 0, "maximum": 1 }, { "type": "string", "pattern": "%$" }] });
    let codes = OutcomeCode::ALL.iter().map(|code| code.as_str());
    let classes = codes.clone().filter_map(|code| code.split_once('.').map(|(class, _)| class));
    let mut outcomes: Vec<_> = codes.chain(classes).chain(["all"]).collect();
    outcomes.sort_unstable();
    outcomes.dedup();
    object(
        [
            ("attempts", key("How many attempts there are in all.", whole(1, 100))),
            ("backoff", key("How long after the first failure; doubles with each further one.", reference("duration"))),
            ("max_backoff", key("Longest such time.", reference("duration"))),
            ("jitter", key("How much of the time is left to chance, such as `20%`.", percent)),
            ("on", key("Which outcomes are tried again.", one_or_many(json!({ "enum": outcomes })))),
        ],
        &[],
    )
}

fn ceilings() -> Json {
    let keys = [
        ("timeout", key("For `timeout`.", reference("duration"))),
        ("cpu_time", key("For `limits.cpu_time`.", reference("duration"))),
        ("memory", key("For `limits.memory`.", reference("size"))),
        ("output", key("For `limits.output`.", reference("size"))),
        ("startup", key("For `limits.startup`.", reference("duration"))),
        ("compile_cpu_time", key("Processor time for compiling a plugin.", reference("duration"))),
        ("compile_memory", key("Memory for compiling a plugin.", reference("size"))),
        ("table_elements", key("For `limits.table_elements`.", whole(0, 1_000_000))),
        ("instances", key("For `limits.instances`.", whole(1, 64))),
        ("state", key("For `limits.state`.", reference("size"))),
    ];
    object(keys.into_iter().chain(counts()), &[])
}

/// The counted limits; those of log lines have a map of their own.
fn counts() -> Vec<(&'static str, Json)> {
    let schema = |count: &Count| {
        let value = if count.is_size { reference("size") } else { json!({ "type": "integer", "minimum": count.min }) };
        key(&format!("{}.", count.what), value)
    };
    let logs = Counts::ALL.iter().filter_map(|count| Some((count.key.split_once('.')?.1, schema(count))));
    let logs = object(logs.collect::<Vec<_>>(), &[]);
    let plain = Counts::ALL.iter().filter(|count| !count.key.contains('.'));
    plain
        .map(|count| (count.key, schema(count)))
        .chain([("logs", key("How much of what an attempt logs is kept; more is counted.", logs))])
        .collect()
}

fn limits() -> Json {
    let keys = [
        ("cpu_time", key("Processor time of an attempt; default 10s.", reference("duration"))),
        ("memory", key("All memories together; default 64MiB.", reference("size"))),
        ("output", key("Bytes of stdout, and as many of stderr, that are kept; default 1MiB.", reference("size"))),
        (
            "fuel",
            key(
                "Instructions of an attempt, and a unit more for each byte that one fills or copies; default unmetered.",
                fuel(),
            ),
        ),
        ("table_elements", key("All table elements together.", whole(0, 1_000_000))),
        ("instances", key("Core instances of one attempt.", whole(1, 64))),
        ("state", key("How much the job may remember.", reference("size"))),
        ("startup", key("Wall-clock time of the instantiation; default the timeout.", reference("duration"))),
    ];
    object(keys.into_iter().chain(counts()), &[])
}

fn grants() -> Json {
    let variable = object([("secret", described("A name from `secrets:`.", text()))], &["secret"]);
    let dir = object(
        [
            ("host", described("The folder on this machine.", text())),
            ("guest", described("The path that the job sees.", text())),
            ("mode", key("What it may do there.", words(&["read", "read_write"]))),
        ],
        &["host", "guest"],
    );
    object(
        [
            (
                "env",
                key(
                    "Environment variables: text, or `{ secret: NAME }`.",
                    map_of(json!({ "anyOf": [text(), variable] })),
                ),
            ),
            ("dirs", key("Directories of the host.", one_or_many(dir))),
            ("state", key("Whether the job may remember from run to run.", json!({ "type": "boolean" }))),
            ("secrets", key("Which secrets it may read.", one_or_many(text()))),
            ("http", key("To whom it may send HTTP requests, such as `https://*.acme.dev`.", one_or_many(http_rule()))),
            ("network", key("To whom it may open connections.", network())),
            ("clock", key("How its clocks go.", clock())),
            ("random", key("Where its random numbers come from.", random())),
        ],
        &[],
    )
}

fn http_rule() -> Json {
    let keys = [
        ("url", described("`https://host`, with a port and the beginning of a path where that matters.", text())),
        ("methods", key("Which methods; default all.", one_or_many(json!({ "enum": crate::egress::METHODS })))),
        ("private", key("Whether the host may have a private address.", json!({ "type": "boolean" }))),
    ];
    json!({ "anyOf": [text(), object(keys, &["url"])] })
}

fn network() -> Json {
    let rule = || {
        let keys = [
            ("to", described("`host:port`; in `dns` a name alone.", text())),
            ("private", key("Whether the name may stand for a private address.", json!({ "type": "boolean" }))),
        ];
        one_or_many(json!({ "anyOf": [text(), object(keys, &["to"])] }))
    };
    object(
        [
            ("tcp", key("To whom it may connect, such as `db.internal:5432`.", rule())),
            ("udp", key("To whom it may send datagrams.", rule())),
            ("dns", key("Which names it may look up beside those.", rule())),
        ],
        &[],
    )
}

fn clock() -> Json {
    object([("resolution", key("In which steps, at most `1s`.", reference("duration")))], &[])
}

fn random() -> Json {
    object([("seed", key("The same slot sees the same numbers.", json!({ "type": "integer", "minimum": 0 })))], &[])
}

fn after() -> Json {
    let keys = [
        ("job", described("The other job.", text())),
        ("on", key("After which ends of it.", words(&["success", "failure", "always"]))),
    ];
    json!({ "anyOf": [text(), object(keys, &["job"])] })
}

/// A trigger that stands alone has exactly one kind.
fn trigger() -> Json {
    let mut trigger = object(trigger_keys(), &[]);
    let kinds = crate::trigger::TRIGGER_KEYS.map(|kind| json!({ "required": [kind] }));
    trigger["oneOf"] = json!(kinds);
    if let Some(properties) = trigger["properties"].as_object_mut() {
        properties.insert("timezone".to_owned(), key("The zone of the trigger.", text()));
    }
    trigger
}

/// The keys of a trigger that may also stand directly on a job.
fn trigger_keys() -> Vec<(&'static str, Json)> {
    let list = || json!({ "type": "array", "items": reference("trigger"), "minItems": 1 });
    let cron = json!({ "anyOf": [text(), reference("cron_fields")] });
    let every = json!({ "anyOf": [reference("duration"), reference("every_units")] });
    vec![
        ("cron", key("`minute hour day month weekday`, or a map of fields.", cron)),
        ("every", key("A period on a fixed grid, such as `15m`.", every)),
        ("calendar", key("Steps of years, months, weeks or days.", reference("calendar"))),
        ("at", key("Once, at an instant; or a list of instants.", one_or_many(text()))),
        ("any", key("The slots of any of these triggers.", list())),
        ("all", key("The slots that all of these triggers have.", list())),
        ("start", key("No slot before this instant.", text())),
        ("end", key("No slot after this instant.", text())),
        ("except", key("Days, triggers or named calendars that are left out.", json!({}))),
        ("jitter", key("The start of each run is moved by up to this much.", reference("duration"))),
        ("dst", key("What happens when the clock is changed.", reference("dst"))),
        ("compat", key("Whose rules `cron` follows.", words(&["vixie", "apscheduler"]))),
        ("day_rule", key("Whether day and weekday both count, or either.", words(&["and", "or"]))),
        ("anchor", key("Where the grid of `every` starts.", text())),
        ("mode", key("From where `every` counts.", words(&["fixed_rate", "fixed_delay"]))),
    ]
}

fn cron_fields() -> Json {
    let field = || json!({ "type": ["string", "integer"] });
    let names = ["year", "month", "day", "week", "day_of_week", "hour", "minute", "second"];
    object(names.map(|name| (name, key("A number, a range, a step or a list.", field()))), &[])
}

fn every_units() -> Json {
    let units = ["weeks", "days", "hours", "minutes", "seconds", "milliseconds"];
    let amount = || key("How many.", json!({ "type": "number", "minimum": 0 }));
    let more = [
        ("anchor", key("Where the grid starts.", text())),
        ("mode", key("From where it counts.", words(&["fixed_rate", "fixed_delay"]))),
    ];
    object(units.map(|unit| (unit, amount())).into_iter().chain(more), &[])
}

fn calendar() -> Json {
    let units = ["years", "months", "weeks", "days"].map(|unit| (unit, key("How many.", whole(0, 10_000))));
    let day = json!({ "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 31 }, { "const": "last" }] });
    let more = [
        ("at", key("The time of day, such as \"09:00\".", text())),
        ("from", key("The first day.", text())),
        ("day", key("On which day of the month.", day)),
        ("overflow", key("What becomes of a date that does not exist.", words(&["skip", "clamp"]))),
    ];
    object(units.into_iter().chain(more), &[])
}

fn text() -> Json {
    json!({ "type": "string" })
}

fn words(words: &[&str]) -> Json {
    json!({ "enum": words })
}

fn whole(low: i64, high: i64) -> Json {
    json!({ "type": "integer", "minimum": low, "maximum": high })
}

fn reference(name: &str) -> Json {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn one_or_many(schema: Json) -> Json {
    json!({ "anyOf": [schema, { "type": "array", "items": schema }] })
}

fn map_of(schema: Json) -> Json {
    json!({ "type": "object", "additionalProperties": schema })
}

/// A value with words for people.
fn described(description: &str, schema: Json) -> Json {
    json!({ "description": description, "anyOf": [schema] })
}

/// A value that may also be nothing, which counts as absent, or come from a variable.
fn key(description: &str, schema: Json) -> Json {
    json!({ "description": description, "anyOf": [schema, reference("variable"), { "type": "null" }] })
}

/// A map with these keys, the free ones, and no other.
fn object(keys: impl IntoIterator<Item = (&'static str, Json)>, required: &[&str]) -> Json {
    let properties: Map<_, _> = keys.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "patternProperties": free(),
        "additionalProperties": false,
    })
}

fn free() -> Json {
    json!({ "^x-": true })
}
