//! Carrying jobs from one manifest to another: what the defaults of the one say for a job is written into it where those of
//! the other one say something else, and nowhere else.

use serde_json::{Map, Value as Json, json};

use super::{
    defaults::merge,
    document::Document,
    node::Node,
    resolved::{Defaults, Manifest},
};
use crate::id::JobId;

/// What a manifest says that has no `defaults:`. Left out is what nothing takes back: labels, variables, `limits.startup`, the
/// seed and the resolution of a job.
fn built_in() -> Json {
    json!({
        "timezone": "UTC",
        "misfire_grace": "none",
        "coalesce": "latest",
        "max_backlog": 24,
        "overlap": "skip",
        "max_instances": 1,
        "paused": false,
        "run_on_start": false,
        "retry": { "attempts": 1, "backoff": "1s", "max_backoff": "5m", "jitter": "20%", "on": "all" },
        "exit_codes": { "success": [0], "retry": [75], "permanent": [], "skipped": [] },
        "delivery": "at_least_once",
        "priority": 0,
        "keep": { "age": "30d", "count": 10_000 },
        "on_reload": "drain",
        "retry_on": "latest",
        "pool": "default",
        "store": "default",
        "timeout": "1m",
        "limits": {
            "cpu_time": "10s",
            "memory": "64MiB",
            "output": "1MiB",
            "fuel": "none",
            "table_elements": 100_000,
            "instances": 64,
            "state": "1MiB",
            "host_calls": 1_000_000,
            "handles": 4_096,
            "logs": { "lines": 1_000, "bytes": "256KiB" },
            "files": 1_000,
            "file_bytes": "1GiB",
            "http_calls": 1_000,
            "http_bytes": "64MiB",
        },
        "grants": {
            "dirs": [],
            "state": false,
            "secrets": [],
            "http": [],
            "network": { "tcp": [], "udp": [], "dns": [] },
        },
        "notify": [],
    })
}

/// The key whose map is not merged with that of the defaults.
const WHOLE: &str = "notify";

impl Manifest {
    /// What jobs fall back on that were made through the API, as it is written.
    #[must_use]
    pub fn defaults(&self) -> Json {
        self.defaults.shared.as_ref().map_or_else(|| json!({}), Node::to_json)
    }

    /// What stands under the id of a job, with what its source has defaults of its own for.
    #[must_use]
    pub fn carried(&self, job: &JobId) -> Option<Json> {
        let entry = self.job_places.get(job)?;
        let mut written = entry.value.to_json();
        if let Some(own) = self.defaults.own.get(&entry.key_span.source) {
            carry(&mut written, &own.to_json(), &self.defaults());
        }
        Some(written)
    }
}

impl Defaults {
    /// Those of all sources: a further one stands over the first one, for its own jobs.
    pub(super) fn of(documents: &[Document<'_>]) -> Self {
        let shared = documents.first().and_then(|document| document.defaults).cloned();
        let own = documents.iter().skip(1).filter_map(|document| {
            let own = document.defaults?;
            Some((document.span.source, shared.as_ref().map_or_else(|| own.clone(), |shared| merge(own, shared))))
        });
        Self { own: own.collect(), shared }
    }
}

/// Writes into a job what it falls back on in a manifest with the defaults `from`, as far as those of another one, `to`, say
/// something else.
///
/// ```
/// use clockjack_schedule::manifest::carry::carry;
/// use serde_json::json;
///
/// let mut job = json!({ "plugin": "report", "cron": "0 4 * * *" });
/// carry(&mut job, &json!({ "timeout": "5m" }), &json!({ "timezone": "Asia/Tokyo", "timeout": "5m" }));
/// assert_eq!(job, json!({ "plugin": "report", "cron": "0 4 * * *", "timezone": "UTC" }));
/// ```
pub fn carry(job: &mut Json, from: &Json, to: &Json) {
    let over = |defaults: &Json| {
        let mut all = built_in();
        put_over(&mut all, defaults);
        all
    };
    if let (Some(job), Some(from), Some(to)) = (job.as_object_mut(), over(from).as_object(), over(to).as_object()) {
        write(job, from, to);
    }
}

/// Maps merge key by key, anything else replaces; empty values say nothing.
fn put_over(under: &mut Json, over: &Json) {
    match (under, over) {
        (_, Json::Null) => {}
        (Json::Object(under), Json::Object(over)) => {
            for (key, value) in over {
                if key == WHOLE && !value.is_null() {
                    under.insert(key.clone(), value.clone());
                } else {
                    put_over(under.entry(key.as_str()).or_insert(Json::Null), value);
                }
            }
        }
        (under, over) => *under = over.clone(),
    }
}

fn write(job: &mut Map<String, Json>, from: &Map<String, Json>, to: &Map<String, Json>) {
    for (key, value) in from {
        let other = to.get(key);
        let own = job.get_mut(key).filter(|own| !own.is_null());
        match (own, value, other) {
            (_, value, Some(other)) if value == other => {}
            (Some(Json::Object(own)), Json::Object(value), other) if key != WHOLE => {
                write(own, value, other.and_then(Json::as_object).unwrap_or(&Map::new()));
            }
            (Some(_), _, _) => {}
            (None, Json::Object(value), Some(Json::Object(other))) if key != WHOLE => {
                let mut own = Map::new();
                write(&mut own, value, other);
                if !own.is_empty() {
                    job.insert(key.clone(), own.into());
                }
            }
            (None, value, _) => drop(job.insert(key.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::{
        diagnostic::Source,
        job::{Ceilings, Job},
        manifest::{
            directories::Found,
            resolve::{ResolveOptions, resolve_partial},
            schema::manifest_schema,
        },
        zone::Zones,
    };

    fn manifest(sources: &[Json]) -> Manifest {
        let (zones, ceilings) = (Zones::bundled(), Ceilings::default());
        let folders = vec![PathBuf::new(); sources.len()];
        let options = ResolveOptions {
            zones: &zones,
            variables: &|_| None,
            folders: &folders,
            ceilings: &ceilings,
            n_named: sources.len(),
            found: Found::default(),
        };
        let sources: Vec<_> = sources.iter().map(|json| Source::new("m.yaml", json.to_string())).collect();
        let (manifest, found) = resolve_partial(&sources, &options);
        assert!(!found.has_errors(), "{found:?}");
        manifest
    }

    /// A job as it is in a manifest with these defaults.
    fn job(defaults: &Json, job: &Json) -> Job {
        let manifest = manifest(&[json!({
            "version": 1,
            "defaults": defaults,
            "pools": { "heavy": { "size": 2 } },
            "secrets": { "key": { "env": "KEY" } },
            "notifications": { "ops": { "webhook": "https://hooks.acme.dev" }, "desk": { "command": ["/bin/true"] } },
            "jobs": { "a": job },
        })]);
        manifest.jobs.values().map(|job| Job::clone(job)).next().unwrap()
    }

    fn plain() -> Json {
        json!({ "plugin": "./a.wasm", "cron": "0 4 * * *" })
    }

    #[test]
    fn what_is_built_in_is_what_a_manifest_without_defaults_says() {
        assert_eq!(job(&built_in(), &plain()), job(&json!({}), &plain()));
        let schema = manifest_schema();
        let keys = |name: &str| -> Vec<String> {
            let found = schema.pointer(name).and_then(Json::as_object).unwrap_or_else(|| panic!("{name}: {schema:#}"));
            found.keys().cloned().collect()
        };
        let known = built_in();
        let left_out = ["labels", "startup"];
        for (place, part) in [("defaults", &known), ("limits", &known["limits"])] {
            let asked = keys(&format!("/$defs/{place}/properties"));
            let missing: Vec<_> = asked
                .iter()
                .filter(|key| part.get(key.as_str()).is_none() && !left_out.contains(&key.as_str()))
                .filter(|key| !key.starts_with("x-"))
                .collect();
            assert_eq!(missing, Vec::<&String>::new(), "of `{place}`");
        }
    }

    #[test]
    fn a_job_means_the_same_elsewhere() {
        let here = json!({
            "timezone": "Europe/Berlin", "timeout": "5m", "limits": { "memory": "32MiB", "logs": { "lines": 7 } },
            "retry": { "attempts": 3 }, "notify": { "ops": { "on": ["failure"] } }, "labels": { "team": "a" }, "paused": true,
        });
        let there = json!({
            "timezone": "Asia/Tokyo", "limits": { "memory": "16MiB", "cpu_time": "2s" }, "overlap": "queue",
            "retry": { "backoff": "9s", "attempts": 3 }, "notify": ["desk"], "pool": "heavy", "exit_codes": { "skipped": [3] },
            "grants": { "state": true, "secrets": "key", "network": { "dns": ["a.example"] } }, "on_reload": "cancel",
            "misfire_grace": "1h", "keep": { "age": "2d" }, "x-owner": "ops",
        });
        for written in [
            plain(),
            json!({ "plugin": "./a.wasm", "every": "1h", "limits": { "cpu_time": "1s" }, "timezone": null, "notify": [] }),
            json!({ "plugin": "./a.wasm", "every": "1h", "retry": { "on": "failed" }, "notify": { "desk": { "on": ["success"] } } }),
        ] {
            for (from, to) in [(&here, &there), (&there, &here), (&json!({}), &there), (&here, &json!({}))] {
                let mut carried = written.clone();
                carry(&mut carried, from, to);
                let (was, mut is) = (job(from, &written), job(to, &carried));
                // Labels cannot be taken back.
                let mut setup = (*is.setup).clone();
                setup.labels = was.setup.labels.clone();
                is.setup = setup.into();
                assert_eq!(is, was, "{carried:#}");
                let mut back = written.clone();
                carry(&mut back, from, from);
                assert_eq!(back, written, "where both say the same, nothing is written");
            }
        }
    }

    #[test]
    fn a_job_beside_defaults_of_its_own_carries_them() {
        let first = json!({ "version": 1, "defaults": { "timezone": "Europe/Berlin", "timeout": "5m" }, "jobs": { "a": plain() } });
        let second = json!({ "version": 1, "defaults": { "timeout": "2m", "retry": { "attempts": 2 } }, "jobs": { "b": plain() } });
        let manifest = manifest(&[first, second]);
        assert_eq!(manifest.defaults(), json!({ "timezone": "Europe/Berlin", "timeout": "5m" }));
        let carried = |id: &str| manifest.carried(&id.parse().unwrap()).unwrap();
        assert_eq!(carried("a"), plain());
        let expected =
            json!({ "plugin": "./a.wasm", "cron": "0 4 * * *", "timeout": "2m", "retry": { "attempts": 2 } });
        assert_eq!(carried("b"), expected);
    }
}
