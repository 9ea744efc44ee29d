//! From texts to a [`Manifest`]: all sources together, all faults at once.
//!
//! Reads nothing but its arguments: files, the environment and folders are the caller's business.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    after, defaults, definitions,
    directories::Found,
    document::{Document, SHORTEST},
    findings::Findings,
    grants,
    interpolate::{Lookup, interpolate},
    jobs::JobReader,
    names::Names,
    node::{Entry, Node},
    notifications::ChannelTable,
    parse::parse,
    plugins::{self, PluginTable},
    pools::PoolTable,
    resolved::{ApiSettings, BrokenJob, Defaults, HostSettings, Include, Manifest},
    secrets::SecretTable,
    sidecar,
    stores::StoreTable,
    trigger_hash::CalendarHashes,
    wording,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Source, Span},
    id::JobId,
    job::Ceilings,
    trigger::{Calendars, TriggerContext},
    zone::{Zone, Zones},
};

/// Most jobs of one manifest.
pub const JOBS_MAX: usize = 10_000;

/// What is known beside the texts.
#[derive(Clone, Copy)]
pub struct ResolveOptions<'a> {
    /// The rules of all zones.
    pub zones: &'a Zones,
    /// Gives the value of an environment variable.
    pub variables: Lookup<'a>,
    /// The folder of each source, in the order of the sources: relative paths start there. A source without one
    /// keeps its paths relative.
    pub folders: &'a [PathBuf],
    /// The ceilings that hold where the manifest writes none.
    pub ceilings: &'a Ceilings,
    /// How many sources were named by who runs the host; those behind them are included ones, which may be somebody else's
    /// and have no `host`.
    pub n_named: usize,
    /// What was found where `plugins` names directories.
    pub found: Found<'a>,
}

impl ResolveOptions<'_> {
    /// Whether every source that says something could be read: only then is a name that is not there unknown. Uploaded
    /// plugins have a source each, for what is said of them, and it says nothing.
    pub(super) fn has_all(&self, documents: &[Document<'_>], sources: &[Source]) -> bool {
        documents.len() + self.found.beside.plugins.len() == sources.len()
    }
}

/// Reads all sources as one manifest. There is a manifest only if there is no error.
///
/// ```
/// use clockjack_schedule::{
///     diagnostic::Source,
///     job::Ceilings,
///     manifest::{directories::Found, resolve::{ResolveOptions, resolve}},
///     zone::Zones,
/// };
///
/// let options = ResolveOptions {
///     zones: &Zones::bundled(),
///     variables: &|_name| None,
///     folders: &["site".into()],
///     ceilings: &Ceilings::default(),
///     n_named: 1,
///     found: Found::default(),
/// };
/// let read = |text: &str| resolve(&[Source::new("jobs.yaml", text)], &options);
///
/// let (manifest, _) = read("jobs: { hello: { plugin: ./hello.wasm, every: 1m } }");
/// let manifest = manifest.unwrap();
/// assert_eq!(manifest.jobs.len(), 1);
/// assert_eq!(manifest.plugins.values().next().unwrap().source.to_string(), "site/hello.wasm");
///
/// let (manifest, diagnostics) = read("jobs: { hello: { plugin: ./hello.wasm, evry: 1m } }");
/// assert!(manifest.is_none());
/// assert_eq!(diagnostics.all()[0].fix.as_deref(), Some("did you mean `every`?"));
/// ```
#[must_use]
pub fn resolve(sources: &[Source], options: &ResolveOptions<'_>) -> (Option<Manifest>, Diagnostics) {
    let (manifest, diagnostics) = resolve_partial(sources, options);
    ((!diagnostics.has_errors()).then_some(manifest), diagnostics)
}

/// Like [`resolve`], but gives whatever could be read, so that further checks can tell their faults together with
/// these. What has an error is not in it; nothing of it may run.
#[must_use]
pub fn resolve_partial(sources: &[Source], options: &ResolveOptions<'_>) -> (Manifest, Diagnostics) {
    let mut findings = Findings::default();
    let roots: Vec<Option<Node>> =
        sources.iter().enumerate().map(|(index, source)| read_root(index, source, options, &mut findings)).collect();
    let mut diagnostics = Diagnostics::default();
    let documents: Vec<_> = roots.iter().flatten().filter_map(|root| open(root, options, &mut diagnostics)).collect();
    let host = host_settings(&documents, options, sources, &mut diagnostics);
    let api = api_settings(&documents, options, sources, &mut diagnostics);
    findings.take(diagnostics);

    let mut manifest = Manifest {
        host,
        api,
        includes: includes_of(&documents),
        folders: options.folders.to_vec(),
        ..Manifest::default()
    };
    let secrets = SecretTable::read(&documents, options, sources, &mut findings);
    let channels = ChannelTable::read(&documents, (&secrets, &manifest.host), options, sources, &mut findings);
    let tables = Tables {
        plugins: read_plugins(&documents, options, sources, &mut findings),
        pools: PoolTable::read(&documents, options, sources, &mut findings),
        stores: StoreTable::read(&documents, options, sources, &mut findings),
        secrets,
        channels,
    };
    read_jobs(&documents, &tables, options, sources, &mut manifest, &mut findings);
    let is_empty = documents.iter().all(|document| document.jobs.is_empty());
    // What is not in a directory yet may be dropped into it at any time.
    let may_grow = documents.iter().any(|document| !document.plugin_directories.is_empty());
    let may_grow = may_grow || tables.plugins.has_directories() || options.found.program.is_some();
    if is_empty && !may_grow && !findings.has_errors() {
        let is_said = documents.iter().any(|document| document.says_no_jobs);
        findings.take(one(if is_said { no_jobs_yet() } else { no_jobs() }));
    }
    manifest.plugins = tables.plugins.plugins;
    manifest.plugin_places = tables.plugins.places;
    manifest.pools = tables.pools.pools;
    manifest.isolated = tables.pools.isolated;
    manifest.stores = tables.stores.stores;
    manifest.store_places = tables.stores.places;
    manifest.secrets = tables.secrets.secrets;
    manifest.secret_places = tables.secrets.places;
    manifest.channels = tables.channels.channels;
    manifest.channel_places = tables.channels.places;
    (manifest, findings.finish())
}

/// What jobs name, read from all sources before the first job is.
struct Tables {
    plugins: PluginTable,
    pools: PoolTable,
    stores: StoreTable,
    secrets: SecretTable,
    channels: ChannelTable,
}

/// Opens a manifest, or the sidecar of a unit.
fn open<'n>(root: &'n Node, options: &ResolveOptions<'_>, diagnostics: &mut Diagnostics) -> Option<Document<'n>> {
    if options.found.definition(root.span.source).is_some() {
        return Some(definitions::open(root));
    }
    match options.found.unit(root.span.source) {
        None => Document::open(root, folder_of(root.span, options), options.ceilings, diagnostics),
        Some(unit) if unit.has_sidecar => sidecar::open(root, &unit.plugin, diagnostics),
        Some(_) => Some(Document::empty(root.span)),
    }
}

fn read_root(index: usize, source: &Source, options: &ResolveOptions<'_>, findings: &mut Findings) -> Option<Node> {
    if options.found.beside.is_plugin(index) {
        return None;
    }
    if let Some(job) = options.found.definition(index) {
        return definitions::read_root(index, source, job, findings);
    }
    let (mut root, mut diagnostics) = parse(index, &source.text);
    if let Some(root) = root.as_mut().filter(|_| !options.found.is_program(index)) {
        interpolate(root, options.variables, &mut diagnostics);
    }
    findings.take(diagnostics);
    root
}

fn one(diagnostic: Diagnostic) -> Diagnostics {
    let mut diagnostics = Diagnostics::default();
    diagnostics.push(diagnostic);
    diagnostics
}

fn no_jobs() -> Diagnostic {
    let fix = format!("write `jobs: {{}}` where the running host is given all of them; else {SHORTEST}");
    Diagnostic::error("manifest.empty", Span::default(), "the manifest has no jobs").fix(fix)
}

/// A file that is being written is empty for a moment, but says nothing of the kind.
fn no_jobs_yet() -> Diagnostic {
    Diagnostic::warning("manifest.empty", Span::default(), "the manifest has no jobs so far")
        .fix("give the running host some with `clockjack apply FILE`, or write one under `jobs:`")
}

/// The folder in which the relative paths of a source start.
pub(super) fn folder_of<'a>(span: Span, options: &ResolveOptions<'a>) -> &'a Path {
    options.folders.get(span.source).map_or(Path::new(""), PathBuf::as_path)
}

fn includes_of(documents: &[Document<'_>]) -> Vec<Include> {
    documents.iter().flat_map(|document| document.includes.iter().cloned()).collect()
}

/// `host` stands in one of the sources: two sets of ceilings would be a riddle.
fn host_settings(
    documents: &[Document<'_>],
    options: &ResolveOptions<'_>,
    sources: &[Source],
    diagnostics: &mut Diagnostics,
) -> HostSettings {
    let written: Vec<_> = documents.iter().filter_map(|document| document.host.as_ref()).collect();
    let Some((_, host)) = written.first() else {
        return HostSettings { ceilings: options.ceilings.clone(), ..HostSettings::default() };
    };
    once("host", written.iter().map(|(span, _)| *span), options, sources, diagnostics);
    let mut host = host.clone();
    for root in host.roots.iter_mut().flatten() {
        root.path = grants::join(folder_of(root.span, options), &root.path);
    }
    host
}

/// `api` stands in one of the sources, as `host` does.
fn api_settings(
    documents: &[Document<'_>],
    options: &ResolveOptions<'_>,
    sources: &[Source],
    diagnostics: &mut Diagnostics,
) -> ApiSettings {
    let written: Vec<_> = documents.iter().filter_map(|document| document.api.as_ref()).collect();
    once("api", written.iter().map(|(span, _)| *span), options, sources, diagnostics);
    written.first().map(|(_, api)| api.clone()).unwrap_or_default()
}

/// That a key with settings of the host stands once, and in a file of whoever starts it.
fn once(
    key: &str,
    spans: impl Iterator<Item = Span> + Clone,
    options: &ResolveOptions<'_>,
    sources: &[Source],
    diagnostics: &mut Diagnostics,
) {
    for span in spans.clone().filter(|span| options.n_named <= span.source) {
        let message = format!("`{key}` stands in an included file: settings of the host are for who starts it");
        let error = Diagnostic::error("manifest.denied", span, message);
        diagnostics.push(error.fix("move it to a file that is named with `-f`"));
    }
    let Some(first) = spans.clone().next() else { return };
    for span in spans.skip(1) {
        let message = format!("`{key}` is set twice: here and at {}", wording::place(first, sources));
        let error = Diagnostic::error("manifest.duplicate_setting", span, message);
        diagnostics.push(error.fix("keep one of them"));
    }
}

fn read_plugins(
    documents: &[Document<'_>],
    options: &ResolveOptions<'_>,
    sources: &[Source],
    findings: &mut Findings,
) -> PluginTable {
    let mut table = PluginTable::default();
    for document in documents {
        for entry in document.plugins {
            if findings.is_full() {
                return table;
            }
            let mut diagnostics = Diagnostics::default();
            let folder = folder_of(document.span, options);
            table.read(entry, folder, options.found, sources, &mut diagnostics);
            findings.take(diagnostics);
        }
    }
    let is_file = |document: &&Document<'_>| {
        let source = document.span.source;
        options.found.unit(source).is_none() && options.found.definition(source).is_none()
    };
    table.add_direct(direct(documents.iter().filter(is_file), options));
    // Units come last: none of them takes a name away from a manifest.
    for unit in options.found.units {
        let mut diagnostics = Diagnostics::default();
        table.add_unit(unit, sources, &mut diagnostics);
        findings.take(diagnostics);
    }
    options.found.beside.plugin_entries().for_each(|(source, entry)| table.add_beside(source, entry));
    let is_definition = |document: &&Document<'_>| options.found.definition(document.span.source).is_some();
    for (source, entry) in direct(documents.iter().filter(is_definition), options) {
        if definitions::may_name(entry) {
            table.add_direct_beside(source, entry);
        }
    }
    table
}

/// What jobs name as their plugin without giving it a name.
fn direct<'n>(
    documents: impl Iterator<Item = &'n Document<'n>>,
    options: &ResolveOptions<'_>,
) -> impl Iterator<Item = (super::source::Source, &'n Entry)> {
    let jobs = documents.flat_map(|document| document.jobs.iter().map(move |job| (document, job)));
    jobs.filter_map(|(document, job)| {
        let entry = job.value.as_map()?.iter().find(|entry| entry.key == "plugin")?;
        entry.value.as_text().filter(|text| plugins::is_path(text))?;
        // Faults of the path are told when the job is read.
        let source = plugins::source(&entry.value, folder_of(document.span, options), &mut Diagnostics::default())?;
        Some((source, entry))
    })
}

fn read_jobs(
    documents: &[Document<'_>],
    tables: &Tables,
    options: &ResolveOptions<'_>,
    sources: &[Source],
    manifest: &mut Manifest,
    findings: &mut Findings,
) {
    let HostSettings { ceilings, egress, .. } = manifest.host.clone();
    manifest.defaults = Defaults::of(documents);
    // The defaults of the first source hold for all; those of a further one stand over them, for its own jobs.
    let shared = documents.first().and_then(|document| document.defaults);
    let (calendars, calendar_hashes) = read_calendars(documents, options, findings);
    let is_complete = options.has_all(documents, sources);
    let ids = |documents: &mut dyn Iterator<Item = &Document<'_>>| {
        let jobs: Vec<&str> = documents.flat_map(|document| document.jobs).map(|entry| entry.key.as_str()).collect();
        Names::new(jobs, is_complete)
    };
    // What stands in files means the same without a host, so that nothing of it waits for a job that only a host knows.
    let is_definition = |document: &Document<'_>| options.found.definition(document.span.source).is_some();
    let names = ids(&mut documents.iter().filter(|document| !is_definition(document)));
    let all_names = ids(&mut documents.iter());
    let mut first_seen: BTreeMap<&str, &Entry> = BTreeMap::new();
    for (index, document) in documents.iter().enumerate() {
        let reader = JobReader {
            options,
            plugins: &tables.plugins,
            pools: &tables.pools,
            stores: &tables.stores,
            secrets: &tables.secrets,
            channels: &tables.channels,
            jobs: if is_definition(document) { &all_names } else { &names },
            ceilings: &ceilings,
            egress: egress.as_deref(),
            calendars: &calendars,
            calendar_hashes: &calendar_hashes,
            folder: folder_of(document.span, options),
            own_plugin: options.found.unit(document.span.source).map(|unit| &unit.plugin),
            setups: RefCell::default(),
        };
        let defaults = defaults::read(document, shared.filter(|_| 0 < index), &reader, findings);
        for entry in document.jobs {
            if findings.is_full() {
                return;
            }
            if first_seen.len() == JOBS_MAX {
                // Each source that goes beyond the bound is told.
                findings.take(one(too_many_jobs(entry)));
                break;
            }
            let mut diagnostics = Diagnostics::default();
            match first_seen.get(entry.key.as_str()) {
                Some(first) if is_definition(document) => {
                    findings.take(one(definitions::shadowed(first)));
                    manifest.shadowed.extend(entry.key.parse::<JobId>());
                    continue;
                }
                Some(first) => diagnostics.push(duplicate_job(entry, first.key_span, sources)),
                None => {
                    first_seen.insert(&entry.key, entry);
                }
            }
            let mut broken = Vec::new();
            let job = reader.read(entry, defaults.as_ref(), &mut broken, &mut diagnostics);
            if is_definition(document) {
                definitions::check(entry, &manifest.host, &mut diagnostics);
            }
            for job in broken {
                manifest.job_places.insert(job.id.clone(), entry.clone());
                manifest.broken.push(job);
            }
            if let Some(job) = job.filter(|_| !diagnostics.has_errors() && !findings.has_broken_value(&entry.value)) {
                keep(job, entry, manifest);
            }
            findings.take(diagnostics);
        }
    }
    for job in after::check_circles(&first_seen, findings) {
        discard(job, manifest);
    }
}

/// The named calendars of all sources; a later one may use the names of an earlier one.
fn read_calendars(
    documents: &[Document<'_>],
    options: &ResolveOptions<'_>,
    findings: &mut Findings,
) -> (Calendars, CalendarHashes) {
    let mut calendars = Calendars::default();
    let mut hashes = CalendarHashes::default();
    for node in documents.iter().filter_map(|document| document.calendars) {
        let mut diagnostics = Diagnostics::default();
        let context = TriggerContext { zones: options.zones, zone: &Zone::utc(), job: "", calendars: &calendars };
        if let Some(read) = Calendars::read(node, context, &mut diagnostics) {
            calendars = read;
        }
        hashes.add(node);
        findings.take(diagnostics);
    }
    (calendars, hashes)
}

fn keep(job: crate::job::Job, entry: &Entry, manifest: &mut Manifest) {
    let id: JobId = job.id.clone();
    manifest.jobs.insert(id.clone(), Arc::new(job));
    manifest.job_places.insert(id, entry.clone());
}

/// Takes out a job that turned out to be wrong only beside the others; what it calls can still be checked.
fn discard(job: &str, manifest: &mut Manifest) {
    let Some(job) = job.parse().ok().and_then(|id: JobId| manifest.jobs.remove(&id)) else { return };
    manifest.broken.push(BrokenJob {
        id: job.id.clone(),
        plugin: job.plugin.clone(),
        call: job.call.clone(),
        args: job.args.clone(),
        command: job.command.clone(),
        limits: job.limits.clone(),
        grants: job.grants.clone(),
    });
}

fn too_many_jobs(entry: &Entry) -> Diagnostic {
    let message = format!("the manifest has more than {JOBS_MAX} jobs");
    Diagnostic::error("manifest.too_many_jobs", entry.key_span, message)
        .fix("let one job do the work of several with `args`, or run a second host")
}

fn duplicate_job(entry: &Entry, first: Span, sources: &[Source]) -> Diagnostic {
    let message = format!("job `{}` is defined twice: here and at {}", entry.key, wording::place(first, sources));
    Diagnostic::error("manifest.duplicate_job", entry.key_span, message)
        .fix("rename or remove one of them; files that are read together share their ids")
}
