//! `clockjack next`: coming slots of a job, or of a trigger that stands on the command line.

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use clockjack_schedule::{
    diagnostic::{Diagnostics, Source, did_you_mean},
    id::JobId,
    manifest::{parse::parse, resolved::Manifest, scalar::show_duration},
    ports::Clock as _,
    trigger::{Basis, Trigger, TriggerContext, parse_instant},
    zone::{Zone, Zones},
};
use tokio::runtime::Builder;

use super::{
    Exit, ManifestArgs, Output, OutputArgs,
    client::{self, Client, Failure, Said, SocketArgs, segment},
    print, refusal,
};
use crate::{
    api::view::slots::Slots,
    clock::SystemClock,
    load::{self, Loaded},
};

/// Most slots that are printed at once.
const SLOTS_MAX: u64 = 100_000;

/// The code of what is wrong with the words of the command.
const WRONG: &str = "request.invalid";

/// How many slots a host is asked for at once.
const PAGE: usize = 1_000;

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
    socket: SocketArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// A trigger with what it is shown in.
struct Subject {
    trigger: Trigger,
    zone: Zone,
}

/// Slots with what there is to say of them.
struct Found {
    /// The trigger, in words.
    described: String,
    zone: Zone,
    slots: Vec<(DateTime<Utc>, Option<String>)>,
}

pub(super) fn run(args: &NextArgs) -> anyhow::Result<Exit> {
    let output = args.output.output;
    let zones = load::zones::newest();
    let zone = match args.timezone.as_deref().map(|name| zones.get(name)).transpose() {
        Ok(zone) => zone,
        Err(problem) => return refusal::fault(WRONG, &format!("--timezone: {problem}"), output),
    };
    let client = args.job.as_ref().map(|job| (job, Client::new(&args.socket, &args.manifests.files)));
    if let Some((job, client)) = &client
        && (args.socket.socket.is_some() || client.is_remote())
    {
        return of_host(client, job, args, &zones, zone);
    }
    let subject = match subject(args, &zones, zone.as_ref())? {
        Ok(subject) => subject,
        // A job that came through the API stands in no file; the host knows it.
        Err(NoSubject::Unknown(loaded)) => {
            let Some((job, client)) = client else { return Ok(Exit::Usage) };
            return match is_known(&client, job)? {
                true => of_host(&client, job, args, &zones, zone),
                false => tell_unknown(job, &loaded, output),
            };
        }
        Err(NoSubject::Told(exit)) => return Ok(exit),
    };
    let now = SystemClock.now();
    let (from, until) = match range(args, &subject.zone, &zones) {
        Ok((from, until)) => (from.unwrap_or(now), until),
        Err(problem) => return refusal::fault(WRONG, &problem, output),
    };
    let basis = Basis { first_seen: from, last_finished: None };
    let n_slots = usize::try_from(args.n).unwrap_or(usize::MAX);
    let slots = subject.trigger.slots_from(from, &basis).take_while(|slot| until.is_none_or(|until| *slot < until));
    let slots = slots.take(n_slots).map(|slot| (slot, subject.trigger.note(slot, &basis))).collect();
    let found = Found { described: subject.trigger.describe_from(now, &basis), zone: subject.zone, slots };
    print::data(&found.shown(args.output.output, now)?)?;
    Ok(Exit::Done)
}

/// An end of a range; absent where it is open.
type OpenEnd = Option<DateTime<Utc>>;

/// The instants between which slots are wanted.
fn range(args: &NextArgs, zone: &Zone, zones: &Zones) -> Result<(OpenEnd, OpenEnd), String> {
    let instant = |flag: &str, text: &Option<String>| {
        let read = text.as_deref().map(|text| parse_instant(text, zone, zones)).transpose();
        read.map_err(|problem| format!("{flag}: {problem}"))
    };
    Ok((instant("--from", &args.from)?, instant("--until", &args.until)?))
}

/// Whether a host answers that knows a job.
fn is_known(client: &Client, job: &JobId) -> anyhow::Result<bool> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(async { client.answers().await && client.get(&format!("/jobs/{job}")).await.is_ok() }))
}

/// The same as a host says it of one of its jobs.
fn of_host(client: &Client, job: &JobId, args: &NextArgs, zones: &Zones, zone: Option<Zone>) -> anyhow::Result<Exit> {
    let output = args.output.output;
    client::talk(output, async || {
        let first = slots(client, job, 1, (None, None)).await?;
        let zone =
            zone.map_or_else(|| zones.get(&first.timezone), Ok).map_err(|problem| wrong(&problem.to_string()))?;
        let (mut from, until) = range(args, &zone, zones).map_err(|problem| wrong(&problem))?;
        let n_slots = usize::try_from(args.n).unwrap_or(usize::MAX);
        let mut found = Found { described: first.trigger, zone, slots: Vec::new() };
        while found.slots.len() < n_slots {
            let n_wanted = (n_slots - found.slots.len()).min(PAGE);
            let page = slots(client, job, n_wanted, (from, until)).await?;
            let is_last = page.items.len() < n_wanted;
            for slot in page.items {
                let at = DateTime::parse_from_rfc3339(&slot.at).map_err(|error| Failure::Host(error.into()))?;
                found.slots.push((at.to_utc(), slot.note));
            }
            from = found.slots.last().and_then(|(last, _)| last.checked_add_signed(TimeDelta::microseconds(1)));
            if is_last || from.is_none() {
                break;
            }
        }
        Ok(Said::done(found.shown(output, SystemClock.now())?))
    })
}

fn wrong(problem: &str) -> Failure {
    let fix = "write `2027-01-15 08:00`, or `2027-01-15T08:00:00Z`".to_owned();
    Failure::Refused { code: "usage.instant".to_owned(), detail: problem.to_owned(), fix }
}

async fn slots(
    client: &Client,
    job: &JobId,
    n_max: usize,
    (from, until): (OpenEnd, OpenEnd),
) -> Result<Slots, Failure> {
    let end = |name: &str, at: DateTime<Utc>| format!("&{name}={}", segment(&print::rfc3339(at)));
    let from = from.map(|at| end("from", at)).unwrap_or_default();
    let until = until.map(|at| end("until", at)).unwrap_or_default();
    Ok(serde_json::from_value(client.get(&format!("/jobs/{job}/slots?n={n_max}{from}{until}")).await?)?)
}

/// Why there is no trigger.
enum NoSubject {
    /// What is wrong was told.
    Told(Exit),
    /// The manifest, as far as it can be read, has no such job.
    Unknown(Box<Loaded>),
}

/// What is asked about.
fn subject(args: &NextArgs, zones: &Zones, zone: Option<&Zone>) -> anyhow::Result<Result<Subject, NoSubject>> {
    let output = args.output.output;
    if let Some(text) = &args.trigger {
        return Ok(written(text, zones, zone).ok_or(NoSubject::Told(Exit::Fault)));
    }
    // The parser wants one of the two.
    let Some(id) = args.job.as_ref() else { return Ok(Err(NoSubject::Told(Exit::Usage))) };
    let loaded = load::manifest(&args.manifests.files, zones);
    // Faults of other jobs are the business of `check`; this one is asked about.
    let Some(job) = loaded.manifest.jobs.get(id) else { return Ok(Err(NoSubject::Unknown(Box::new(loaded)))) };
    let Some(trigger) = job.trigger.clone() else {
        let text = format!("job `{id}` has no slots of its own: {}", job.describe());
        return refusal::fault("job.no_slots", &text, output).map(|exit| Err(NoSubject::Told(exit)));
    };
    Ok(Ok(Subject { trigger, zone: zone.unwrap_or(&job.zone).clone() }))
}

fn tell_unknown(id: &JobId, loaded: &Loaded, output: Output) -> anyhow::Result<Exit> {
    if loaded.diagnostics.has_errors() {
        let exit = refusal::manifest(loaded.diagnostics.all(), &loaded.sources, output)?;
        if output == Output::Json {
            return Ok(exit);
        }
    }
    let (message, fix) = unknown_job(id, &loaded.manifest);
    refusal::fault("job.unknown", &format!("{message}; {fix}"), output)
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

impl Found {
    fn shown(&self, output: Output, now: DateTime<Utc>) -> serde_json::Result<String> {
        match output {
            Output::Json => {
                let instants: Vec<_> = self.slots.iter().map(|(slot, _)| print::rfc3339(*slot)).collect();
                serde_json::to_string(&instants)
            }
            Output::Table => Ok(self.page(now)),
        }
    }

    fn page(&self, now: DateTime<Utc>) -> String {
        let Self { described, zone, slots } = self;
        if slots.is_empty() {
            return format!("{described}\n\nno slot in that time");
        }
        let is_utc = *zone == Zone::utc();
        let row = |(slot, note): &(DateTime<Utc>, Option<String>)| {
            let mut row = vec![local(*slot, zone)];
            // In UTC the second column would say the same again.
            row.extend((!is_utc).then(|| print::rfc3339(*slot)));
            row.push(relative(*slot, now));
            row.push(note.clone().unwrap_or_default());
            row
        };
        let rows: Vec<_> = slots.iter().map(row).collect();
        let mut header = if is_utc { vec!["utc", "in"] } else { vec![zone.name(), "utc", "in"] };
        if slots.iter().any(|(_, note)| note.is_some()) {
            header.push("note");
        }
        format!("{described}\n\n{}", print::table(&header, &rows))
    }
}

fn local(instant: DateTime<Utc>, zone: &Zone) -> String {
    let offset = zone.offset_at(instant.timestamp());
    let local = instant + TimeDelta::seconds(offset);
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.unsigned_abs() / 60;
    let fraction =
        if instant.timestamp_subsec_nanos() == 0 { "%a %Y-%m-%d %H:%M:%S" } else { "%a %Y-%m-%d %H:%M:%S%.f" };
    format!("{} {sign}{:02}:{:02}", local.format(fraction), minutes / 60, minutes % 60)
}

/// How far away an instant is, in the two largest units.
fn relative(instant: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let distance = instant.signed_duration_since(now);
    let shown = |distance: TimeDelta| {
        let whole = std::time::Duration::from_secs(distance.num_seconds().unsigned_abs());
        show_duration(whole).split(' ').take(2).collect::<Vec<_>>().join(" ")
    };
    if distance < TimeDelta::zero() { format!("{} ago", shown(distance)) } else { shown(distance) }
}
