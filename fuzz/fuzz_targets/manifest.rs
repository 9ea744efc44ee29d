//! Any text as a manifest: it is read or refused, each finding has its place in the text, and nothing takes long.

#![no_main]

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

use clockjack_schedule::{
    diagnostic::Source,
    job::Ceilings,
    manifest::{
        directories::{Found, outline},
        resolve::{ResolveOptions, resolve_partial},
    },
    zone::Zones,
};
use libfuzzer_sys::fuzz_target;

static ZONES: LazyLock<Zones> = LazyLock::new(Zones::bundled);

fn variable(name: &str) -> Option<String> {
    (name.len() < 4).then(|| format!("${{{name}}}"))
}

fuzz_target!(|text: &str| {
    let source = Source::new("clockjack.yaml".to_owned(), text.to_owned());
    let options = ResolveOptions {
        zones: &ZONES,
        variables: &variable,
        folders: &[PathBuf::from("/folder")],
        ceilings: &Ceilings::default(),
        n_named: 1,
        found: Found::default(),
    };
    let _ = outline(0, &source, Path::new("/folder"), &variable);
    let sources = [source];
    let (manifest, diagnostics) = resolve_partial(&sources, &options);
    for finding in diagnostics.all() {
        assert!(!finding.message.is_empty() && !finding.code.is_empty(), "a finding without a word: {text}");
        assert!(finding.span.end <= text.len() && finding.span.start <= finding.span.end, "no place in the text: {text}");
    }
    for job in manifest.jobs.keys() {
        let _ = (manifest.job_span(job, "args.a[0].b"), manifest.job_key_span(job, "triggers[0]"));
    }
});
