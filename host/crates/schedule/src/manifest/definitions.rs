//! Reading definitions: jobs that a running host was given beside its files, each a source of its own.
//!
//! A definition says what would stand under the id of its job in a manifest, in the same words. It comes from somebody who may
//! write no file of the host, so it has only what a file lets it have: no variables of the host, no files of the host but
//! components beside the manifest, directories only below `host.roots`, and connections only within `host.egress`.

use super::{
    document::Document,
    findings::Findings,
    interpolate::interpolate,
    node::{Entry, Node, Value},
    oci_reference::SCHEME,
    parse::parse,
    resolved::HostSettings,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Source, Span},
    id::JobId,
};

/// The keys of a job that say when it fires: who reschedules one replaces all of them.
pub const SCHEDULE_KEYS: [&str; 18] = [
    "triggers", "cron", "every", "calendar", "at", "any", "all", "after", "start", "end", "except", "jitter", "dst",
    "anchor", "mode", "overflow", "compat", "day_rule",
];

/// Reads a definition as if it stood under `jobs`.
pub(super) fn read_root(index: usize, source: &Source, job: &JobId, findings: &mut Findings) -> Option<Node> {
    let (node, mut diagnostics) = parse(index, &source.text);
    let start = Span { source: index, ..Span::default() };
    let bare = |value: Value| Node { value, span: start, text_start: None, text_before: None };
    let wrap = |key: &str, value: Node| Node {
        value: Value::Map(vec![Entry { key: key.to_owned(), key_span: start, value }]),
        ..bare(Value::Null)
    };
    let mut root = node.map(|node| wrap("jobs", wrap(job.as_str(), node)));
    if let Some(root) = &mut root {
        let mut unset = Diagnostics::default();
        interpolate(root, &|_name| None, &mut unset);
        diagnostics.extend(unset.into_iter().map(without_variables));
    }
    findings.take(diagnostics);
    root
}

/// Opens a definition.
pub(super) fn open(root: &Node) -> Document<'_> {
    let jobs = root.get("jobs").and_then(Node::as_map).unwrap_or_default();
    Document { jobs, ..Document::empty(root.span) }
}

/// Variables are those of the host, and a definition comes from somebody else.
fn without_variables(found: Diagnostic) -> Diagnostic {
    if found.code != "manifest.variable" {
        return found;
    }
    let message = "variables of the host are not filled in where a job is made through the API";
    Diagnostic { message: message.to_owned(), ..found }
        .fix("write the value itself; what is secret is granted by its name")
}

/// Whether a definition may name this component by its path: it lies below the folder of the manifest.
pub(super) fn may_name(plugin: &Entry) -> bool {
    let text = plugin.value.as_text().unwrap_or_default();
    !text.starts_with(SCHEME) && is_below(text)
}

fn is_below(path: &str) -> bool {
    use std::path::{Component, Path};
    Path::new(path).components().all(|step| matches!(step, Component::Normal(_) | Component::CurDir))
}

/// What is wrong with a path that nobody gave a name.
pub(super) fn not_named(node: &Node, text: &str) -> Diagnostic {
    let message = format!("a job that is made through the API may not run `{text}`");
    let fix = "name a plugin of the manifest or one that was uploaded, or a component below the folder of the manifest, \
               such as `./file.wasm`";
    Diagnostic::error("manifest.denied", node.span, message).fix(fix)
}

/// That a file has a job which was also made through the API.
pub(super) fn shadowed(first: &Entry) -> Diagnostic {
    let message = format!("job `{}` was also made through the API; this one is in force", first.key);
    Diagnostic::warning("job.shadowed", first.key_span, message)
        .fix("remove one of them; the other one comes back where this one goes")
}

/// Holds a definition to what files let it have.
pub(super) fn check(entry: &Entry, host: &HostSettings, diagnostics: &mut Diagnostics) {
    for key in ["args", "stdin"] {
        if let Some(node) = entry.value.get(key) {
            refuse_files(node, diagnostics);
        }
    }
    // What the defaults grant stands in a file.
    let Some(grants) = entry.value.get("grants") else { return };
    let bounds = [
        ("dirs", "directories", host.roots.is_some(), "host.roots", "roots: [./data]"),
        ("http", "connections", host.egress.is_some(), "host.egress", "egress: [\"https://*.example.com\"]"),
        ("network", "connections", host.egress.is_some(), "host.egress", "egress: [\"https://*.example.com\"]"),
    ];
    for (key, what, has_bound, bound, example) in bounds {
        let Some(node) = grants.get(key).filter(|_| !has_bound) else { continue };
        let message = format!("{what} are granted to a job that is made through the API only within `{bound}`");
        let fix = format!("the manifest has no `{bound}`: write `host: {{ {example} }}` there, or remove this grant");
        diagnostics.push(Diagnostic::error("manifest.denied", node.span, message).fix(fix));
    }
}

/// Files are read as the host, before a job has a grant to show.
fn refuse_files(node: &Node, diagnostics: &mut Diagnostics) {
    match &node.value {
        Value::Map(entries) => match &entries[..] {
            [only] if only.key == "file" && only.value.as_text().is_some() => {
                let message = "a job that is made through the API has no files of the host in its arguments";
                let error = Diagnostic::error("manifest.denied", node.span, message);
                diagnostics.push(error.fix("write the value itself"));
            }
            entries => entries.iter().for_each(|entry| refuse_files(&entry.value, diagnostics)),
        },
        Value::List(items) => items.iter().for_each(|item| refuse_files(item, diagnostics)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::{
        job::Ceilings,
        manifest::{
            directories::{Beside, Found},
            resolve::{ResolveOptions, resolve_partial},
            resolved::Manifest,
        },
        zone::Zones,
    };

    /// A manifest with definitions beside it, and what was found: the source and the code of each finding.
    fn read(manifest: &str, definitions: &[(&str, &str)]) -> (Manifest, Vec<String>) {
        let jobs: Vec<JobId> = definitions.iter().map(|(job, _)| job.parse().unwrap()).collect();
        let texts = definitions.iter().map(|(job, text)| Source::new(*job, *text));
        let plugins = [("given".parse().unwrap(), PathBuf::from("up/given.wasm"))];
        let sources: Vec<_> = [Source::new("m.yaml", manifest)].into_iter().chain(texts).collect();
        let sources: Vec<_> = sources.into_iter().chain([Source::new("given", "")]).collect();
        let folders = vec![PathBuf::from("site"); sources.len()];
        let beside = Beside { definitions: &jobs, first_source: 1, plugins: &plugins };
        let options = ResolveOptions {
            zones: &Zones::bundled(),
            variables: &|name| (name == "SET").then(|| "set".to_owned()),
            folders: &folders,
            ceilings: &Ceilings::default(),
            n_named: 1,
            found: Found { beside, ..Found::default() },
        };
        let (manifest, found) = resolve_partial(&sources, &options);
        let told = |found: &Diagnostic| format!("{} {}", sources[found.span.source].name, found.code);
        (manifest, found.all().iter().map(told).collect())
    }

    const FILE: &str = "version: 1\nplugins: { p: ./p.wasm }\nsecrets: { key: { env: KEY } }\njobs: { filed: { plugin: p, every: 1h } }\n";

    #[test]
    fn a_definition_is_a_job_like_any_other() {
        let (manifest, found) = read(
            FILE,
            &[
                ("a", r#"{ "plugin": "p", "every": "1h", "grants": { "secrets": ["key"] } }"#),
                ("b", r#"{ "plugin": "given", "after": "a" }"#),
                ("c", r#"{ "plugin": "./q.wasm", "after": "filed" }"#),
                ("d", r#"{ "plugin": "p", "evry": "1h" }"#),
            ],
        );
        assert_eq!(found, ["d manifest.unknown_key"]);
        let ids: Vec<_> = manifest.jobs.keys().map(JobId::as_str).collect();
        assert_eq!(ids, ["a", "b", "c", "filed"]);
        let file = |plugin: &str| manifest.plugins[&plugin.parse().unwrap()].source.to_string();
        assert_eq!((&*file("p"), &*file("given")), ("site/p.wasm", "up/given.wasm"));
        let direct = &manifest.jobs[&"c".parse().unwrap()].plugin;
        assert!(direct.as_str().starts_with("q-"), "no other job changes its name: {direct}");
        assert_eq!(file(direct.as_str()), "site/q.wasm");
    }

    #[test]
    fn files_come_first_and_mean_the_same_without_definitions() {
        let shadowed = ("filed", r#"{ "plugin": "p", "every": "2h" }"#);
        let (manifest, found) = read(FILE, &[shadowed]);
        assert_eq!(found, ["m.yaml job.shadowed"]);
        assert_eq!(manifest.shadowed.iter().map(JobId::as_str).collect::<Vec<_>>(), ["filed"]);
        assert_eq!(manifest.jobs[&"filed".parse().unwrap()].plugin.as_str(), "p");
        let waits = FILE.replace("every: 1h", "after: a");
        let (_, found) = read(&waits, &[("a", r#"{ "plugin": "p", "every": "1h" }"#)]);
        assert_eq!(found, ["m.yaml manifest.unknown_job"]);
        // The name of an uploaded plugin means what a file says of it.
        let named = FILE.replace("p: ./p.wasm", "p: ./p.wasm, given: ./own.wasm");
        let (manifest, found) = read(&named, &[]);
        assert_eq!(
            (manifest.plugins[&"given".parse().unwrap()].source.to_string(), found),
            ("site/own.wasm".to_owned(), vec![])
        );
    }

    #[test]
    fn a_definition_has_only_what_files_let_it_have() {
        let bounded = format!("{FILE}host: {{ roots: [./data], egress: [\"https://*.acme.dev\"] }}\n");
        for (keys, free, within) in [
            (r#""description": "${SET}""#, "d manifest.variable", "d manifest.variable"),
            (r#""args": { "x": [{ "file": "m.yaml" }] }"#, "d manifest.denied", "d manifest.denied"),
            (r#""stdin": { "file": "m.yaml" }"#, "d manifest.denied", "d manifest.denied"),
            (r#""grants": { "dirs": [{ "host": "./data", "guest": "/d" }] }"#, "d manifest.denied", ""),
            (r#""grants": { "http": ["https://a.acme.dev"] }"#, "d manifest.denied", ""),
            (r#""grants": { "http": ["https://other.dev"] }"#, "d manifest.denied", "d manifest.denied"),
            (r#""grants": { "secrets": ["other"] }"#, "d manifest.unknown_secret", "d manifest.unknown_secret"),
        ] {
            let text = format!(r#"{{ "plugin": "p", "every": "1h", {keys} }}"#);
            for (manifest, expected) in [(FILE, free), (&*bounded, within)] {
                let (_, found) = read(manifest, &[("d", &text)]);
                assert_eq!(found.join(", "), expected, "{text} beside {manifest}");
            }
        }
        for plugin in ["/etc/x.wasm", "../x.wasm", "a/../../x.wasm", "oci://registry.example/x:1"] {
            let text = format!(r#"{{ "plugin": "{plugin}", "every": "1h" }}"#);
            assert_eq!(read(FILE, &[("d", &text)]).1, ["d manifest.denied"], "{plugin}");
        }
    }

    #[test]
    fn a_manifest_may_say_that_it_has_no_jobs() {
        assert_eq!(read("version: 1\njobs: {}\n", &[]).1, ["m.yaml manifest.empty"]);
        let (manifest, found) = read("version: 1\njobs: {}\n", &[("d", r#"{ "plugin": "given", "every": "1h" }"#)]);
        assert_eq!((manifest.jobs.len(), found), (1, vec![]));
    }
}
