//! Units that are wrong stand aside, and what is in force is not disturbed by what is not.

use std::{fs, path::Path};

use clockjack_schedule::id::JobId;
use tempfile::TempDir;

use super::*;

const MANIFEST: &str =
    "version: 1\nplugins: { dropped: ./d, tool: ./tool.wasm }\njobs: { main: { plugin: tool, every: 1h } }\n";

/// A folder with a manifest and a directory of plugins.
struct Site(TempDir);

impl Site {
    fn new(manifest: &str, units: &[(&str, &str)]) -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        fs::create_dir(site.path("d")).unwrap();
        site.put("m.yaml", manifest);
        for (name, jobs) in units {
            site.unit(name, jobs);
        }
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A component, and its jobs: ids with a comma between.
    fn unit(&self, name: &str, jobs: &str) {
        self.put(&format!("d/{name}.wasm"), "");
        let jobs: Vec<_> = jobs.split(',').map(|id| format!("{id}: {{ every: 1h }}")).collect();
        self.put(&format!("d/{name}.yaml"), &format!("jobs: {{ {} }}\n", jobs.join(", ")));
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    fn settle(&self, choices: Choices) -> Settled {
        settle(&[self.path("m.yaml")], &Zones::bundled(), &Given::default(), choices, |_| {})
    }

    fn beside(&self, before: &Settled) -> Settled {
        self.settle(Choices::beside(&before.loaded.units, &[]))
    }
}

fn jobs(settled: &Settled) -> Vec<&str> {
    assert!(!settled.loaded.diagnostics.has_errors(), "{:?}", settled.loaded.diagnostics);
    settled.loaded.manifest.jobs.keys().map(JobId::as_str).collect()
}

/// The faulty units with the codes of what is wrong with them.
fn faulty(settled: &Settled) -> Vec<String> {
    let told = settled.faulty.units.iter().map(|unit| {
        for found in &unit.findings {
            let name = &unit.sources[found.span.source].name;
            assert!(Path::new(&**name).starts_with(unit.path.parent().unwrap()), "{name}");
        }
        let codes: Vec<_> = unit.findings.iter().map(|found| found.code).collect();
        format!("{} {}{}", unit.plugin, codes.join(","), if unit.is_kept { ", kept" } else { "" })
    });
    told.collect()
}

#[test]
fn a_faulty_unit_is_left_out_and_the_others_stay() {
    let site = Site::new(MANIFEST, &[("a", "a"), ("b", "b"), ("z", "main,z")]);
    site.put("d/b.yaml", "jobs: { b: { evry: 1h } }\n");
    site.put("d/lonely.yaml", "jobs: { lonely: { every: 1h } }\n");
    let settled = site.settle(Choices::default());
    assert_eq!(jobs(&settled), ["a", "main"]);
    let wanted = ["b manifest.unknown_key,manifest.no_trigger", "lonely manifest.sidecar", "z manifest.duplicate_job"];
    let found = faulty(&settled);
    assert_eq!(found[1..], wanted[1..]);
    assert!(found[0].starts_with("b manifest.unknown_key"), "{found:?}");
    // Whoever reads all of it as it is hears of all of it.
    let all = crate::load::manifest(&[site.path("m.yaml")], &Zones::bundled());
    let of_units = all.diagnostics.all().iter().filter(|found| all.unit_of(found).is_some()).count();
    assert!(3 <= of_units && of_units == all.diagnostics.all().len(), "{:?}", all.diagnostics);
    assert!(all.has_errors_for(&"z".parse().unwrap()) && !all.has_errors_for(&"a".parse().unwrap()));
    assert!(!all.has_errors_for(&"main".parse().unwrap()) && all.has_errors_for(&"unknown".parse().unwrap()));
}

#[test]
fn what_was_right_before_is_kept() {
    let site = Site::new(MANIFEST, &[("a", "a"), ("b", "b,b2"), ("c", "c")]);
    let before = site.settle(Choices::default());
    assert_eq!(jobs(&before), ["a", "b", "b2", "c", "main"]);
    // Half a text, no text, bytes that are none, a second sidecar, and a component that is gone.
    for text in ["jobs: { a: { every: 1h, ", "", "version: 1\n"] {
        site.put("d/a.yaml", text);
        let settled = site.beside(&before);
        assert_eq!(jobs(&settled), ["a", "b", "b2", "c", "main"], "{text:?}");
        assert_eq!((settled.faulty.units.len(), settled.faulty.units[0].is_kept), (1, true), "{text:?}");
    }
    fs::write(site.path("d/a.yaml"), [0xff; 4]).unwrap();
    site.put("d/b.yml", "jobs: { b3: { every: 1h } }\n");
    site.remove("d/c.wasm");
    let settled = site.beside(&before);
    assert_eq!(jobs(&settled), ["a", "b", "b2", "c", "main"]);
    let wanted = ["a manifest.unreadable, kept", "b manifest.sidecar, kept", "c manifest.sidecar, kept"];
    let mut found = faulty(&settled);
    found.sort();
    assert_eq!(found, wanted);
    // What is wrong still stays as it is; what was mended changes.
    site.unit("a", "new");
    let settled = site.beside(&settled);
    assert_eq!(jobs(&settled), ["b", "b2", "c", "main", "new"]);
    // Both files gone: that is meant.
    site.remove("d/c.yaml");
    site.remove("d/b.yml");
    let settled = site.beside(&settled);
    assert_eq!((jobs(&settled), settled.faulty.units.len()), (vec!["b", "b2", "main", "new"], 0));
    site.remove("d/b.yaml");
    let settled = site.beside(&settled);
    assert_eq!((jobs(&settled), settled.faulty.units.len()), (vec!["main", "new"], 0), "the component has no jobs now");
    assert!(settled.loaded.manifest.plugins.contains_key(&"b".parse().unwrap()));
}

#[test]
fn what_comes_later_does_not_push_aside_what_is_there() {
    let site = Site::new(MANIFEST, &[("m", "m"), ("z", "z,shared")]);
    let before = site.settle(Choices::default());
    // By name alone the new one would come first.
    site.unit("a", "shared");
    let settled = site.beside(&before);
    assert_eq!(
        (jobs(&settled), faulty(&settled)),
        (vec!["m", "main", "shared", "z"], vec!["a manifest.duplicate_job".into()])
    );
    assert_eq!(settled.loaded.manifest.jobs[&"shared".parse::<JobId>().unwrap()].plugin.as_str(), "z");
    // So would one that is there and takes an id of another one.
    site.unit("m", "m,z");
    let settled = site.beside(&settled);
    assert_eq!(jobs(&settled), ["m", "main", "shared", "z"]);
    assert_eq!(faulty(&settled), ["m manifest.duplicate_job, kept", "a manifest.duplicate_job"]);
    // Without anything in force the name decides.
    let fresh = site.settle(Choices::default());
    assert_eq!(
        (jobs(&fresh), faulty(&fresh)),
        (vec!["m", "main", "shared", "z"], vec!["z manifest.duplicate_job,manifest.duplicate_job".into()])
    );
}

#[test]
fn the_same_name_in_two_directories_is_the_fault_of_the_later_one() {
    let site = Site::new("version: 1\nplugins: [./d, ./e]\n", &[("a", "a")]);
    fs::create_dir(site.path("e")).unwrap();
    site.put("e/a.wasm", "");
    site.put("e/a.yaml", "jobs: { other: { every: 1h } }\n");
    let settled = site.settle(Choices::default());
    assert_eq!((jobs(&settled), faulty(&settled)), (vec!["a"], vec!["a manifest.duplicate_plugin".into()]));
    assert_eq!(settled.faulty.units[0].path, site.path("e/a"));
}

#[test]
fn what_is_wrong_with_the_manifest_puts_nobody_aside() {
    let site = Site::new(MANIFEST, &[("a", "a"), ("b", "b")]);
    site.put("d/b.yaml", "jobs: { b: { evry: 1h } }\n");
    site.put("m.yaml", &MANIFEST.replace("every", "evry"));
    let settled = site.settle(Choices::default());
    assert!(settled.faulty.units.is_empty() && settled.loaded.diagnostics.has_errors());
    let n_told = settled.loaded.diagnostics.all().iter().filter(|found| found.code == "manifest.unknown_key").count();
    assert_eq!(n_told, 2, "all of it is told together");
    // A manifest that needs what is wrong is wrong itself, once that is aside.
    site.put("m.yaml", &MANIFEST.replace("every: 1h", "after: b"));
    let settled = site.settle(Choices::default());
    assert_eq!(settled.faulty.units.len(), 1);
    let found = settled.loaded.diagnostics.all();
    assert_eq!((found.len(), found[0].code), (1, "manifest.unknown_job"), "{found:?}");
}

#[test]
fn a_bad_sidecar_takes_its_plugin_along_and_no_other() {
    let site = Site::new(MANIFEST, &[("a", "a"), ("b", "b")]);
    site.put("d/user.wasm", "");
    site.put("d/user.yaml", "jobs: { user: { plugin: a, every: 1h } }\n");
    let n_checks = std::cell::Cell::new(0);
    let settled = settle(&[site.path("m.yaml")], &Zones::bundled(), &Given::default(), Choices::default(), |loaded| {
        n_checks.set(n_checks.get() + 1);
        // As whoever loads components would.
        if let Some(unit) = loaded.units.iter().find(|unit| unit.plugin.as_str() == "a") {
            loaded.diagnostics.push(Diagnostic::error("load.invalid", unit.span(), "no component"));
        }
    });
    assert_eq!(jobs(&settled), ["b", "main"]);
    assert_eq!(faulty(&settled), ["a load.invalid", "user manifest.unknown_plugin"]);
    assert_eq!(n_checks.get(), 2, "it is asked again once the others are settled");
}

#[test]
fn a_unit_that_may_write_where_a_path_leads_through_is_at_fault() {
    let grant =
        |host: &str, mode: &str| format!("grants: {{ dirs: [{{ host: {host}, guest: /data, mode: {mode} }}] }}");
    let reader = format!("{MANIFEST}  # links/now leads to real\n")
        .replace("every: 1h", &format!("every: 1h, {}", grant("./links/now", "read")));
    let site = Site::new(&reader, &[]);
    fs::create_dir(site.path("links")).unwrap();
    fs::create_dir(site.path("real")).unwrap();
    std::os::unix::fs::symlink("../real", site.path("links/now")).unwrap();
    site.put("d/a.wasm", "");
    site.put("d/a.yaml", &format!("jobs: {{ a: {{ every: 1h, {} }} }}\n", grant("../links", "read_write")));
    let check = |loaded: &mut Loaded| crate::load::check_dirs(loaded, None);
    let settled = settle(&[site.path("m.yaml")], &Zones::bundled(), &Given::default(), Choices::default(), check);
    assert_eq!((jobs(&settled), faulty(&settled)), (vec!["main"], vec!["a manifest.denied".into()]));
    // Within one file it is the path that is told, as before.
    site.remove("d/a.wasm");
    site.remove("d/a.yaml");
    let writer = format!("jobs: {{ a: {{ plugin: tool, every: 1h, {} }}, main:", grant("./links", "read_write"));
    site.put("m.yaml", &reader.replace("jobs: { main:", &writer));
    let settled = settle(&[site.path("m.yaml")], &Zones::bundled(), &Given::default(), Choices::default(), check);
    let found = settled.loaded.diagnostics.all();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].message.contains("job `main`") && found[0].message.contains("in which a job may write"),
        "{found:?}"
    );
}

#[test]
fn nobody_writes_where_files_are_run() {
    let writes = |host: &str| format!("grants: {{ dirs: [{{ host: {host}, guest: /data, mode: read_write }}] }}");
    for (host, is_denied) in [("./d", true), (".", true), ("./d/deep", false), ("./conf.d", true), ("./out", false)] {
        let text = MANIFEST.replace("every: 1h", &format!("every: 1h, {}", writes(host)));
        let site = Site::new(&format!("{text}include: conf.d/*.yaml\n"), &[]);
        for folder in ["d/deep", "conf.d", "out"] {
            fs::create_dir(site.path(folder)).unwrap();
        }
        let check = |loaded: &mut Loaded| crate::load::check_dirs(loaded, None);
        let settled = settle(&[site.path("m.yaml")], &Zones::bundled(), &Given::default(), Choices::default(), check);
        let found = settled.loaded.diagnostics.all();
        assert_eq!(found.iter().any(|found| found.code == "manifest.denied"), is_denied, "{host}: {found:?}");
    }
}

#[test]
fn it_is_known_what_to_watch() {
    let text = format!("{MANIFEST}include: [conf.d/*.yaml, more.yaml]\n");
    let site = Site::new(&text, &[("a", "a")]);
    site.put("d/lib.wasm", "");
    let mut found = site.settle(Choices::default()).loaded.watched();
    found.sort();
    let wanted = ["conf.d", "d", "d/a.yaml", "m.yaml", "more.yaml"].map(|name| site.path(name));
    assert_eq!(found, wanted, "with what is missing, without components");
    let folder =
        settle(&[site.path("d")], &Zones::bundled(), &Given::default(), Choices::default(), |_| {}).loaded.watched();
    assert_eq!(folder, [site.path("d"), site.path("d/a.yaml")], "a folder of manifests");
}
