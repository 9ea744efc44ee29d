//! The golden manifests: each `tests/manifests/*.yaml` beside what is said of it, `.ok` or `.err`.
//!
//! A line `#% file: NAME` begins a further source, `#% included: NAME` one that nobody named, `#% unit: NAME` the sidecar of a component in a directory of plugins, and
//! `#% component: NAME` is one without a sidecar. A line `#% env: NAME=VALUE` sets a variable.
//! `UPDATE_EXPECT=1` writes the answers anew.

use std::{
    collections::BTreeMap,
    fmt::Write,
    path::{Path, PathBuf},
};

use super::{
    directories::{DirectoryPlace, Found, UnitSource, outline},
    resolve::{ResolveOptions, resolve, resolve_partial},
    resolved::{ApiSettings, Manifest},
};
use crate::{
    diagnostic::{Diagnostics, Source, Span},
    id::{PoolName, StoreName},
    job::{Ceilings, Grants, Job, Limits, Policy},
    manifest::pools,
    trigger::{Basis, Trigger},
    zone::Zones,
};

mod hashes;
mod hostile;
mod schema;
mod values;

/// A manifest of several files with the environment that it is read in.
struct Case {
    sources: Vec<Source>,
    /// The sources that are of a component in a directory of plugins, with whether they are its sidecar.
    units: Vec<(usize, bool)>,
    variables: BTreeMap<String, String>,
    /// How many of them a person named.
    n_named: usize,
}

impl Case {
    fn read(text: &str) -> Self {
        let mut case = Self { sources: Vec::new(), units: Vec::new(), variables: BTreeMap::new(), n_named: usize::MAX };
        let begins = |line: &str| {
            ["#% file: ", "#% included: ", "#% unit: ", "#% component: "].iter().any(|word| line.starts_with(word))
        };
        let (mut name, mut part) = ("jobs.yaml", String::new());
        for line in text.split_inclusive('\n') {
            if begins(line) {
                case.add(name, &part);
                (name, part) = (line.trim(), String::new());
            } else {
                part += line;
            }
        }
        case.add(name, &part);
        if case.sources.is_empty() {
            case.sources.push(Source::new("jobs.yaml", text));
        }
        for line in text.lines().filter_map(|line| line.strip_prefix("#% env: ")) {
            let (name, value) = line.split_once('=').unwrap();
            case.variables.insert(name.to_owned(), value.to_owned());
        }
        case
    }

    fn add(&mut self, name: &str, text: &str) {
        let (kind, name) = name.strip_prefix("#% ").and_then(|rest| rest.split_once(": ")).unwrap_or(("first", name));
        if kind == "unit" || kind == "component" {
            self.units.push((self.sources.len(), kind == "unit"));
        }
        if kind == "included" {
            self.n_named = self.n_named.min(self.sources.len());
        }
        if kind != "first" || !text.trim().is_empty() {
            self.sources.push(Source::new(name, text));
        }
    }

    /// The directories and the components that a host would find.
    fn found(&self, folders: &[PathBuf]) -> (Vec<Span>, Vec<UnitSource>) {
        let variables = |name: &str| self.variables.get(name).cloned();
        let places = self
            .sources
            .iter()
            .enumerate()
            .flat_map(|(index, source)| outline(index, source, &folders[index], &variables).directories);
        let holds_units = |place: &DirectoryPlace| self.units.iter().any(|(index, _)| folders[*index] == place.path);
        let directories: Vec<_> = places.filter(holds_units).collect();
        let unit = |(index, has_sidecar): &(usize, bool)| {
            let path = Path::new(&*self.sources[*index].name);
            let directory = directories.iter().find(|place| place.path == folders[*index]);
            UnitSource {
                plugin: path.file_stem().unwrap().to_str().unwrap().parse().unwrap(),
                component: Some(path.with_extension("wasm")),
                source: *index,
                has_sidecar: *has_sidecar,
                directory: directory.map(|place| place.span).unwrap_or_default(),
            }
        };
        (directories.iter().map(|place| place.span).collect(), self.units.iter().map(unit).collect())
    }

    fn resolve(&self) -> (Option<Manifest>, Diagnostics) {
        self.with_options(|options| resolve(&self.sources, options))
    }

    fn resolve_partial(&self) -> (Manifest, Diagnostics) {
        self.with_options(|options| resolve_partial(&self.sources, options))
    }

    fn with_options<T>(&self, read: impl FnOnce(&ResolveOptions<'_>) -> T) -> T {
        let folder = |source: &Source| Path::new(&*source.name).parent().unwrap().to_path_buf();
        let folders: Vec<PathBuf> = self.sources.iter().map(folder).collect();
        let (directories, units) = self.found(&folders);
        read(&ResolveOptions {
            zones: &Zones::bundled(),
            variables: &|name| self.variables.get(name).cloned(),
            folders: &folders,
            ceilings: &Ceilings::default(),
            n_named: self.n_named,
            found: Found { directories: &directories, units: &units, ..Found::default() },
        })
    }
}

/// The findings as a reader sees them, with the words in question underlined.
fn show_findings(diagnostics: &Diagnostics, sources: &[Source]) -> String {
    let mut shown = String::new();
    for d in diagnostics.all() {
        let (line, column) = d.span.position(sources);
        let source = &sources[d.span.source];
        writeln!(shown, "{}[{}]: {}", d.severity, d.code, d.message).unwrap();
        writeln!(shown, "  --> {}:{line}:{column}", source.name).unwrap();
        let text: String = source.text.lines().nth(line - 1).unwrap_or_default().chars().take(140).collect();
        let n_marked = source.text[d.span.start..d.span.end].lines().next().unwrap_or_default().chars().count();
        let marks = "^".repeat(n_marked.max(1).min(140_usize.saturating_sub(column)));
        writeln!(shown, "   | {text}\n   | {}{marks}", " ".repeat((column - 1).min(140))).unwrap();
        if let Some(label) = &d.label {
            writeln!(shown, "   = {label}").unwrap();
        }
        if let Some(fix) = &d.fix {
            writeln!(shown, "   = fix: {}", fix.replace('\n', "\n     ")).unwrap();
        }
    }
    shown
}

fn show_manifest(manifest: &Manifest) -> String {
    let mut shown = String::new();
    if manifest.host.ceilings != Ceilings::default() {
        writeln!(shown, "{:?}", manifest.host.ceilings).unwrap();
    }
    if manifest.api.span.is_some() {
        let ApiSettings { listen, hosts, tls, tokens, rate, span: _ } = &manifest.api;
        let listen = listen.as_ref().map(|all| all.iter().map(|one| one.address.to_string()).collect::<Vec<_>>());
        let tls = tls.as_ref().map(|tls| (&tls.cert, &tls.key));
        writeln!(shown, "api: {listen:?} {hosts:?} {tls:?} {tokens:?} {rate:?}").unwrap();
    }
    if let Some(memory) = manifest.host.memory {
        writeln!(shown, "memory {memory}").unwrap();
    }
    for root in manifest.host.roots.iter().flatten() {
        writeln!(shown, "root {}", root.path.display()).unwrap();
    }
    for include in &manifest.includes {
        writeln!(shown, "include {}", include.pattern).unwrap();
    }
    for plugin in manifest.plugins.values() {
        let sha256 = plugin.sha256.map_or_else(String::new, |sha256| format!(" sha256 {sha256}"));
        let canary = plugin.canary.map_or_else(String::new, |canary| format!(" {canary:?}"));
        let keep = if plugin.keep == 3 { String::new() } else { format!(" keep {}", plugin.keep) };
        writeln!(shown, "plugin {} = {}{sha256}{canary}{keep}", plugin.name, plugin.source).unwrap();
    }
    for (pool, size) in &manifest.pools {
        let is_isolated = manifest.isolated.contains(pool);
        if *pool != PoolName::default() || *size != pools::DEFAULT_SIZE || is_isolated {
            let isolation = if is_isolated { " isolation process" } else { "" };
            writeln!(shown, "pool {pool} = {size}{isolation}").unwrap();
        }
    }
    for (store, url) in &manifest.stores {
        writeln!(shown, "store {store} = {url}").unwrap();
    }
    for (name, channel) in &manifest.channels {
        writeln!(shown, "channel {name} = {channel:?}").unwrap();
    }
    manifest.jobs.values().for_each(|job| shown += &show_job(job));
    shown
}

/// What of a job is not the default.
fn show_job(job: &Job) -> String {
    let mut shown = format!("job {}: {} {}\n", job.id, job.plugin, job.call.as_deref().unwrap_or("-"));
    let basis = Basis { first_seen: chrono::DateTime::UNIX_EPOCH, last_finished: None };
    let first = |trigger: &Trigger| match trigger.next_after(chrono::DateTime::UNIX_EPOCH, &basis) {
        Some(slot) => slot.to_rfc3339(),
        None => "never".to_owned(),
    };
    let mut line = |name: &str, value: String| writeln!(shown, "  {name}: {value}").unwrap();
    line("first slot", job.trigger.as_ref().map_or_else(|| "no trigger".to_owned(), first));
    for after in &job.after {
        line("after", format!("{} {:?}", after.job, after.on));
    }
    if job.pool != PoolName::default() {
        line("pool", job.pool.to_string());
    }
    if job.store != StoreName::default() {
        line("store", job.store.to_string());
    }
    if let Some(description) = &job.description {
        line("description", description.to_string());
    }
    match &job.args {
        crate::job::Arguments::None => {}
        crate::job::Arguments::Named(args) => line("args", serde_json::to_string(args).unwrap()),
        crate::job::Arguments::Listed(args) => line("args", serde_json::to_string(args).unwrap()),
    }
    if let Some(command) = &job.command {
        line("command", format!("{command:?}"));
    }
    if job.policy != Policy::default() {
        line("policy", show_policy(&job.policy));
    }
    if job.limits != Limits::default() {
        line("limits", format!("{:?}", job.limits));
    }
    if job.grants != Grants::default() {
        line("grants", format!("{:?}", job.grants));
    }
    if !job.labels.is_empty() {
        line("labels", format!("{:?}", job.labels));
    }
    for notify in &*job.notify {
        line("notify", format!("{} {:?}", notify.channel, notify.on));
    }
    shown
}

fn show_policy(policy: &Policy) -> String {
    let default = Policy::default();
    let fields = |policy: &Policy| {
        [
            format!("misfire_grace {:?}", policy.misfire_grace),
            format!("coalesce {:?}", policy.coalesce),
            format!("max_backlog {}", policy.max_backlog),
            format!("overlap {:?}", policy.overlap),
            format!("max_instances {}", policy.max_instances),
            format!("paused {}", policy.paused),
            format!("run_on_start {}", policy.run_on_start),
            format!("{:?}", policy.retry),
            format!("delivery {:?}", policy.delivery),
            format!("priority {}", policy.priority),
            format!("{:?}", policy.keep),
            format!("on_reload {:?}", policy.on_reload),
            format!("retry_on {:?}", policy.retry_on),
        ]
    };
    let changed = fields(policy).into_iter().zip(fields(&default)).filter(|(is, default)| is != default);
    changed.map(|(is, _)| is).collect::<Vec<_>>().join(", ")
}

fn answer(text: &str) -> (&'static str, String) {
    let case = Case::read(text);
    let (manifest, diagnostics) = case.resolve();
    let findings = show_findings(&diagnostics, &case.sources);
    match manifest {
        Some(manifest) => ("ok", findings + &show_manifest(&manifest)),
        None => ("err", findings),
    }
}

#[test]
fn golden_manifests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/manifests");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    assert!(40 <= files.len(), "{} has only {} manifests", folder.display(), files.len());
    for file in files {
        let (ending, answer) = answer(&std::fs::read_to_string(&file).unwrap());
        let other = file.with_extension(if ending == "ok" { "err" } else { "ok" });
        if other.exists() && std::env::vars_os().any(|(name, _)| name == "UPDATE_EXPECT") {
            std::fs::remove_file(&other).unwrap();
        }
        assert!(!other.exists(), "{} is now `{ending}`:\n{answer}", file.display());
        expect_test::expect_file![file.with_extension(ending)].assert_eq(&answer);
    }
}
