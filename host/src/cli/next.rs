//! `clockjack next`: coming slots of a job, or of a trigger that stands on the command line.

use chrono::{DateTime, Utc};
use clap::Args;
use clockjack_schedule::{
    diagnostic::{Diagnostics, Source, did_you_mean},
    id::JobId,
    manifest::{parse::parse, resolved::Manifest, scalar::show_duration},
    ports::Clock as _,
    trigger::{Basis, Trigger, TriggerContext, parse_instant},
    zone::{Zone, Zones},
};

use super::{Exit, ManifestArgs, Output, OutputArgs, print, refusal};
use crate::{clock::SystemClock, load};

/// Most slots that are printed at once.
const SLOTS_MAX: u64 = 100_000;

#[derive(Debug, Args)]
pub(super) struct NextArgs {
    /// The job.
    #[arg(required_unless_present = "trigger", conflicts_with = "trigger")]
    job: Option<JobId>,
    #[command(flatten)]
    manifests: ManifestArgs,
    /// A trigger, written as in the manifest (YAML or JSON), instead of a job.
    #[arg(long, value_name = "YAML")]
    trigger: Option<String>,
    /// The zone for triggers that name none, and for showing times.
    #[arg(long, short = 'z', value_name = "ZONE")]
    timezone: Option<String>,
    /// The first slot is at or after this instant; default now.
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// The last slot is before this instant.
    #[arg(long, value_name = "INSTANT")]
    until: Option<String>,
    /// How many slots.
    #[arg(short, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=SLOTS_MAX))]
    n: u64,
    #[command(flatten)]
    output: OutputArgs,
}

/// The code of what is wrong with a flag.
const WRONG: &str = "request.invalid";

/// A trigger with what it is shown in.
struct Subject {
    trigger: Trigger,
    zone: Zone,
}

pub(super) fn run(args: &NextArgs) -> anyhow::Result<Exit> {
    let output = args.output.output;
    let zones = load::zones::newest();
    let zone = match args.timezone.as_deref().map(|name| zones.get(name)).transpose() {
        Ok(zone) => zone,
        Err(problem) => return refusal::fault(WRONG, &format!("--timezone: {problem}"), output),
    };
    let subject = match subject(args, &zones, zone.as_ref())? {
        Ok(subject) => subject,
        Err(exit) => return Ok(exit),
    };
    let now = SystemClock.now();
    let instant =
        |text: &Option<String>| text.as_deref().map(|text| parse_instant(text, &subject.zone, &zones)).transpose();
    let (from, until) = match (instant(&args.from), instant(&args.until)) {
        (Ok(from), Ok(until)) => (from.unwrap_or(now), until),
        (Err(problem), _) => return refusal::fault(WRONG, &format!("--from: {problem}"), output),
        (_, Err(problem)) => return refusal::fault(WRONG, &format!("--until: {problem}"), output),
    };
    let basis = Basis { first_seen: from, last_finished: None };
    let n_slots = usize::try_from(args.n).unwrap_or(usize::MAX);
    let slots: Vec<_> = subject
        .trigger
        .slots_from(from, &basis)
        .take_while(|slot| until.is_none_or(|until| *slot < until))
        .take(n_slots)
        .collect();
    match output {
        Output::Json => {
            let instants: Vec<_> = slots.iter().map(|slot| print::rfc3339(*slot)).collect();
            print::data(&serde_json::to_string(&instants)?)?;
        }
        Output::Table => print::data(&page(&subject, &slots, now, &basis))?,
    }
    Ok(Exit::Done)
}

/// What is asked about; an exit where what is wrong with it has been told.
fn subject(args: &NextArgs, zones: &Zones, zone: Option<&Zone>) -> anyhow::Result<Result<Subject, Exit>> {
    let output = args.output.output;
    if let Some(text) = &args.trigger {
        return Ok(written(text, zones, zone).ok_or(Exit::Fault));
    }
    // The parser wants one of the two.
    let Some(id) = args.job.as_ref() else { return Ok(Err(Exit::Usage)) };
    let loaded = load::manifest(&args.manifests.files, zones);
    // Faults of other jobs are the business of `check`; this one is asked about.
    let Some(job) = loaded.manifest.jobs.get(id) else {
        if loaded.diagnostics.has_errors() {
            let exit = refusal::manifest(loaded.diagnostics.all(), &loaded.sources, output)?;
            if output == Output::Json {
                return Ok(Err(exit));
            }
        }
        let (message, fix) = unknown_job(id, &loaded.manifest);
        return refusal::fault("job.unknown", &format!("{message}; {fix}"), output).map(Err);
    };
    let Some(trigger) = job.trigger.clone() else {
        let text = format!("job `{id}` has no slots of its own: {}", job.describe());
        return refusal::fault("job.no_slots", &text, output).map(Err);
    };
    Ok(Ok(Subject { trigger, zone: zone.unwrap_or(&job.zone).clone() }))
}

fn written(text: &str, zones: &Zones, zone: Option<&Zone>) -> Option<Subject> {
    let (node, mut diagnostics) = parse(0, text);
    let utc = Zone::utc();
    let trigger = node.as_ref().filter(|_| !diagnostics.has_errors()).and_then(|node| {
        let context = TriggerContext::new(zones, zone.unwrap_or(&utc), "trigger");
        Trigger::read(node, context, &mut diagnostics)
    });
    // A contract of its own: what is wrong with a trigger is told on stderr, whatever the format.
    tell(&diagnostics, text);
    let trigger = trigger.filter(|_| !diagnostics.has_errors())?;
    let own = node.as_ref().and_then(|node| node.get("timezone")).and_then(|node| zones.get(node.as_text()?).ok());
    let zone = zone.cloned().or(own).unwrap_or(utc);
    Some(Subject { trigger, zone })
}

fn tell(diagnostics: &Diagnostics, text: &str) {
    if !diagnostics.all().is_empty() {
        print::findings(diagnostics.all(), &[Source::new("--trigger", text)]);
    }
}

/// That there is no such job, and what to do: mostly the nearest one.
pub(super) fn unknown_job(id: &JobId, manifest: &Manifest) -> (String, String) {
    let names = || manifest.jobs.keys().map(JobId::as_str);
    if manifest.jobs.is_empty() {
        return (format!("no job `{id}` can be read"), "`clockjack check` says what is wrong".to_owned());
    }
    let fix = match did_you_mean(id.as_str(), names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the jobs are {}", names().collect::<Vec<_>>().join(", ")),
    };
    (format!("the manifest has no job `{id}`"), fix)
}

fn page(subject: &Subject, slots: &[DateTime<Utc>], now: DateTime<Utc>, basis: &Basis) -> String {
    let described = subject.trigger.describe_from(now, basis);
    if slots.is_empty() {
        return format!("{described}\n\nno slot in that time");
    }
    let is_utc = subject.zone == Zone::utc();
    let rows: Vec<_> = slots
        .iter()
        .map(|slot| {
            let mut row = vec![local(*slot, &subject.zone)];
            // In UTC the second column would say the same again.
            row.extend((!is_utc).then(|| print::rfc3339(*slot)));
            row.push(relative(*slot, now));
            row.push(subject.trigger.note(*slot, basis).unwrap_or_default());
            row
        })
        .collect();
    let mut header = if is_utc { vec!["utc", "in"] } else { vec![subject.zone.name(), "utc", "in"] };
    if rows.iter().any(|row| row.last().is_some_and(|note| !note.is_empty())) {
        header.push("note");
    }
    format!("{described}\n\n{}", print::table(&header, &rows))
}

fn local(instant: DateTime<Utc>, zone: &Zone) -> String {
    let offset = zone.offset_at(instant.timestamp());
    let local = instant + chrono::TimeDelta::seconds(offset);
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.unsigned_abs() / 60;
    let fraction =
        if instant.timestamp_subsec_nanos() == 0 { "%a %Y-%m-%d %H:%M:%S" } else { "%a %Y-%m-%d %H:%M:%S%.f" };
    format!("{} {sign}{:02}:{:02}", local.format(fraction), minutes / 60, minutes % 60)
}

/// How far away an instant is, in the two largest units.
fn relative(instant: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let distance = instant.signed_duration_since(now);
    let shown = |distance: chrono::TimeDelta| {
        let whole = std::time::Duration::from_secs(distance.num_seconds().unsigned_abs());
        show_duration(whole).split(' ').take(2).collect::<Vec<_>>().join(" ")
    };
    if distance < chrono::TimeDelta::zero() { format!("{} ago", shown(distance)) } else { shown(distance) }
}
