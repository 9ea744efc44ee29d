//! What the manifest asks for: plugins, secrets, channels, memory, and the host that may run it already.

use std::path::Path;

use clockjack_schedule::{
    diagnostic::{Diagnostic, Severity},
    manifest::scalar::show_size,
};
use serde_json::Value as Json;
use tokio::runtime::Builder;

use super::{Check, DoctorArgs, Verdict};
use crate::{
    api::access::tokens::Places,
    cli::{client::Client, diagnostics, doors},
    load::{self, Loaded, secrets::Missing},
};

/// Nothing runs; one slot is enough.
const N_SLOTS: u32 = 1;

pub(super) fn checks(loaded: &mut Loaded, args: &DoctorArgs) -> anyhow::Result<Vec<Check>> {
    let mut checks = vec![found("manifest", loaded.diagnostics.all(), &of_manifest(loaded))];
    let n_before = loaded.diagnostics.all().len();
    match load::sandbox_for(&loaded.manifest.host.ceilings, N_SLOTS) {
        Ok(sandbox) => {
            let (plugins, _jobs) = load::jobs(loaded, &sandbox);
            let told = format!("{} of {} load", plugins.len(), loaded.manifest.plugins.len());
            checks.push(found("plugins", &loaded.diagnostics.all()[n_before..], &told));
        }
        Err(error) => checks.push(Check::fail("plugins", error.message, error.fix)),
    }
    let n_before = loaded.diagnostics.all().len();
    load::secrets::check(loaded, None, Missing::Error);
    let told = format!("{} can be read", loaded.manifest.secrets.len());
    checks.push(found("secrets", &loaded.diagnostics.all()[n_before..], &told));
    let n_before = loaded.diagnostics.all().len();
    load::channels::check(loaded, Missing::Error);
    let told = format!("{} of them, and their programs are there", loaded.manifest.channels.len());
    checks.push(found("notifications", &loaded.diagnostics.all()[n_before..], &told));
    checks.push(shared_memory(loaded));
    checks.push(found("api.tls", &certificate(loaded), "no certificate, or one that can be used"));
    checks.extend(tokens(loaded));
    checks.push(host(args)?);
    Ok(checks)
}

fn of_manifest(loaded: &Loaded) -> String {
    format!("{} jobs, {} plugins", loaded.manifest.jobs.len(), loaded.manifest.plugins.len())
}

/// Findings as one check: what is told of the worst of them, or that all is well.
fn found(name: &'static str, found: &[Diagnostic], well: &str) -> Check {
    let is_error = |found: &&Diagnostic| found.severity == Severity::Error;
    let Some(first) = found.iter().find(is_error).or(found.first()) else { return Check::ok(name, well) };
    let told = format!("{}: {}", diagnostics::summary(found), first.message);
    let fix = first.fix.clone().unwrap_or_else(|| "`clockjack check` shows where".to_owned());
    let verdict = if first.severity == Severity::Error { Verdict::Fail } else { Verdict::Warn };
    Check { name, verdict, told, fix }
}

fn shared_memory(loaded: &Loaded) -> Check {
    let (all, machine) = (load::memory::budget(&loaded.manifest), load::memory::of_this_machine());
    let told = format!("{} for all attempts together", show_size(all));
    if machine < all {
        let told = format!("{told}, and the machine has {}", show_size(machine));
        return Check::warn(
            "host.memory",
            told,
            "lower `host.memory`: the system ends whoever takes what is not there",
        );
    }
    Check::ok("host.memory", told)
}

fn certificate(loaded: &Loaded) -> Vec<Diagnostic> {
    loaded.manifest.api.tls.as_ref().and_then(doors::check_certificate).into_iter().collect()
}

/// Whether the tokens count that there are.
fn tokens(loaded: &Loaded) -> Option<Check> {
    let places = Places::of(loaded.manifest.api.tokens.as_deref())?;
    let wrong = |(path, problem): (&Path, Option<String>)| Some(format!("`{}`: {}", path.display(), problem?));
    let problems: Vec<_> = places.problems().into_iter().filter_map(wrong).collect();
    if problems.is_empty() {
        return Some(Check::ok("api.tokens", "nobody else may read them"));
    }
    Some(Check::fail("api.tokens", problems.join("; "), "until then no token of that file counts"))
}

/// Whether a host of this manifest answers.
fn host(args: &DoctorArgs) -> anyhow::Result<Check> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let client = Client::new(&args.socket, &args.manifests.files);
    let answer =
        runtime.block_on(async { if client.answers().await { Some(client.get("/scheduler").await) } else { None } });
    Ok(match answer {
        None => Check::ok("host", "no host of this manifest runs; `clockjack up` starts one"),
        Some(Ok(scheduler)) => of_host(&scheduler),
        Some(Err(problem)) => {
            Check::fail("host", format!("it does not answer as it should: {problem:?}"), "look at its log")
        }
    })
}

fn of_host(scheduler: &Json) -> Check {
    let (version, own) = (scheduler["version"].as_str().unwrap_or_default(), env!("CARGO_PKG_VERSION"));
    let told = format!("process {} runs clockjack {version}", scheduler["pid"]);
    if version == own {
        return Check::ok("host", told);
    }
    Check::warn("host", format!("{told}, and this is {own}"), "restart it to have it run this version")
}

#[cfg(test)]
mod tests {
    use clockjack_schedule::diagnostic::Span;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_worst_finding_is_told() {
        assert_eq!(found("manifest", &[], "2 jobs").verdict, Verdict::Ok);
        let warning = Diagnostic::warning("a.b", Span::default(), "hm").fix("look");
        assert_eq!(found("manifest", std::slice::from_ref(&warning), "").verdict, Verdict::Warn);
        let error = Diagnostic::error("a.c", Span::default(), "no");
        let check = found("manifest", &[warning, error], "");
        assert_eq!((check.verdict, &*check.fix), (Verdict::Fail, "`clockjack check` shows where"));
        assert!(check.told.contains("no"), "{check:?}");
    }

    #[test]
    fn a_host_of_another_version_is_told() {
        assert_eq!(of_host(&json!({ "pid": 7, "version": env!("CARGO_PKG_VERSION") })).verdict, Verdict::Ok);
        assert_eq!(of_host(&json!({ "pid": 7, "version": "0.0.1" })).verdict, Verdict::Warn);
    }
}
