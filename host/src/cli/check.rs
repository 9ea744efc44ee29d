//! `clockjack check`: everything that is wrong, at once.

use chrono::{DateTime, Utc};
use clap::Args;
use clockjack_schedule::{
    diagnostic::Diagnostics, id::PluginName, manifest::resolved::Manifest, ports::Clock as _, trigger::Basis,
};
use serde_json::json;

use super::{Exit, LockedArgs, ManifestArgs, Output, OutputArgs, diagnostics, print};
use crate::{
    clock::SystemClock,
    load::{self, origin::Image, secrets::Missing},
};

/// The sandbox of a check runs nothing; one slot is enough.
const N_SLOTS: u32 = 1;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    manifests: ManifestArgs,
    #[command(flatten)]
    pins: LockedArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &CheckArgs) -> anyhow::Result<Exit> {
    let zones = load::zones::newest();
    let files = &args.manifests.files;
    let mut loaded = load::manifest(files, &zones).held_to_pins(args.pins.locked, files)?;
    let sandbox = load::sandbox_for(&loaded.manifest.host.ceilings, N_SLOTS)?;
    load::jobs(&mut loaded, &sandbox);
    load::secrets::check(&mut loaded, None, Missing::Warning);
    load::channels::check(&mut loaded, Missing::Warning);
    let now = SystemClock.now();
    warn_of_triggers(&loaded.manifest, now, &mut loaded.diagnostics);
    loaded.diagnostics.sort();
    let exit = if loaded.diagnostics.has_errors() { Exit::Fault } else { Exit::Done };
    match args.output.output {
        Output::Json => {
            let findings = diagnostics::to_json(loaded.diagnostics.all(), &loaded.sources);
            let images: serde_json::Map<_, _> = loaded.images.iter().map(image).collect();
            let summary = json!({
                "ok": exit == Exit::Done,
                "diagnostics": findings,
                "jobs": jobs(&loaded.manifest, now),
                "images": images,
            });
            print::data(&serde_json::to_string_pretty(&summary)?)?;
        }
        Output::Table => {
            print::findings(loaded.diagnostics.all(), &loaded.sources);
            for (plugin, Image { reference, digest, .. }) in &loaded.images {
                print::talk(&format!("plugin `{plugin}`: `{reference}` is sha256:{digest}"));
            }
            match exit {
                Exit::Done => print::data(&overview(&loaded.manifest, now))?,
                Exit::Fault | Exit::Usage | Exit::JobFailed | Exit::HostFailed => {
                    print::talk(&diagnostics::summary(loaded.diagnostics.all()));
                }
            }
        }
    }
    Ok(exit)
}

fn basis(now: DateTime<Utc>) -> Basis {
    Basis { first_seen: now, last_finished: None }
}

/// Adds what the triggers of a manifest should be looked at for.
pub(super) fn warn_of_triggers(manifest: &Manifest, now: DateTime<Utc>, diagnostics: &mut Diagnostics) {
    for (id, job) in &manifest.jobs {
        let place = ["triggers", "cron", "every", "calendar", "at", "any", "all"];
        let key = place.into_iter().find(|key| manifest.job_node(id).is_some_and(|node| node.get(key).is_some()));
        let span = manifest.job_span(id, key.unwrap_or_default());
        if let Some(trigger) = &job.trigger {
            trigger.warnings(now, &basis(now), span, diagnostics);
        }
    }
}

fn overview(manifest: &Manifest, now: DateTime<Utc>) -> String {
    let rows: Vec<_> = manifest
        .jobs
        .iter()
        .map(|(id, job)| {
            let next = job.next_after(now, &basis(now));
            let none = if job.trigger.is_some() { "never" } else { "-" };
            let next = next.map_or_else(|| none.to_owned(), |next| next.format("%Y-%m-%d %H:%M:%SZ").to_string());
            vec![id.to_string(), next, job.describe()]
        })
        .collect();
    let n_jobs = manifest.jobs.len();
    let n_plugins = manifest.plugins.len();
    let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let table = print::table(&["job", "next", "trigger"], &rows);
    format!("{table}\n\nok: {}, {}", plural(n_jobs, "job"), plural(n_plugins, "plugin"))
}

/// The image that a plugin came out of.
fn image((plugin, image): (&PluginName, &Image)) -> (String, serde_json::Value) {
    let Image { reference, digest, stale } = image;
    let view = json!({
        "reference": reference.to_string(),
        "image": format!("sha256:{digest}"),
        "is_stale": stale.is_some(),
    });
    (plugin.to_string(), view)
}

fn jobs(manifest: &Manifest, now: DateTime<Utc>) -> serde_json::Value {
    let view = |(id, job): (&clockjack_schedule::id::JobId, &std::sync::Arc<clockjack_schedule::job::Job>)| {
        json!({
            "job": id.as_str(),
            "plugin": job.plugin.as_str(),
            "call": job.call.as_deref(),
            "trigger": job.describe(),
            "next": job.next_after(now, &basis(now)).map(print::rfc3339),
        })
    };
    manifest.jobs.iter().map(view).collect()
}
