//! What the commands that read the ledger share: where it is, opening it for reading only, and the way an answer goes
//! out.
//!
//! The ledger may belong to a host that runs, or to one that is gone. The manifest only adds what the ledger does not
//! know; where `--ledger` says where the ledger is, the manifest may be missing or broken. Nothing here writes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::Context as _;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use clap::Args;
use clockjack_schedule::{
    diagnostic::did_you_mean,
    id::{JobId, StoreName},
    job::Job,
    manifest::{resolved::Manifest, scalar, store_url::StoreUrl},
    ports::{Clock as _, JobRow, Ledger, LedgerError, Loaded},
    trigger::parse_instant,
    zone::{Zone, Zones},
};
use tokio::runtime::Builder;

use super::{Exit, ManifestArgs, OutputArgs, client::SocketArgs, diagnostics, print, refusal};
use crate::{
    clock::SystemClock,
    load::{self, Choices, Settled, given::Given, stores},
};

/// Most names that a message lists.
const NAMES_MAX: usize = 20;

#[derive(Clone, Debug, Args)]
pub(super) struct ReadingArgs {
    #[command(flatten)]
    pub(super) manifests: ManifestArgs,
    /// The ledger to read, such as `sqlite:state.db`; without it the one that the manifest names.
    #[arg(long, value_name = "STORE")]
    pub(super) ledger: Option<StoreUrl>,
    #[command(flatten)]
    pub(super) socket: SocketArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// A ledger that is open for reading, with what the manifest adds.
pub(super) struct Reading {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) manifest: Manifest,
    /// Whether the manifest could be read without an error, so that a job that is not in it is in none.
    pub(super) knows_all_jobs: bool,
    /// The stores of the manifest that cannot be read from outside: what is known of their jobs is not known here.
    pub(super) unread: BTreeSet<StoreName>,
    pub(super) zones: Zones,
    pub(super) now: DateTime<Utc>,
}

/// What a command says.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) data: String,
    /// What is told beside it.
    pub(super) talk: Option<String>,
}

/// Why a command has no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// What was asked for is wrong, or is not there: a stable code, and what is the matter.
    Asked(&'static str, String),
    /// The host could not do its work.
    Host(anyhow::Error),
}

impl From<LedgerError> for Trouble {
    fn from(error: LedgerError) -> Self {
        Self::Host(anyhow::Error::from(error).context("failed to read the ledger"))
    }
}

impl From<serde_json::Error> for Trouble {
    fn from(error: serde_json::Error) -> Self {
        Self::Host(error.into())
    }
}

impl Answer {
    pub(super) fn of(data: impl Into<String>) -> Self {
        Self { data: data.into(), talk: None }
    }

    /// What programs get, in the very form in which the control interface gives it.
    pub(super) fn view(view: &impl serde::Serialize) -> Result<Self, Trouble> {
        Self::json(&serde_json::to_value(view)?)
    }

    pub(super) fn json(value: &serde_json::Value) -> Result<Self, Trouble> {
        Ok(Self::of(serde_json::to_string_pretty(value)?))
    }
}

/// Opens the ledger, asks, and prints what came of it.
pub(super) fn answer(
    args: &ReadingArgs,
    ask: impl AsyncFnOnce(&Reading) -> Result<Answer, Trouble>,
) -> anyhow::Result<Exit> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let answered = runtime.block_on(async {
        let reading = open(args).await?;
        let answered = ask(&reading).await;
        drop(reading.ledger.close().await);
        answered
    });
    match answered {
        Ok(Answer { data, talk }) => {
            if !data.is_empty() {
                print::data(&data)?;
            }
            talk.iter().for_each(|talk| print::talk(talk));
            Ok(Exit::Done)
        }
        Err(Trouble::Asked(code, problem)) => refusal::fault(code, &problem, args.output.output),
        Err(Trouble::Host(error)) => Err(error),
    }
}

async fn open(args: &ReadingArgs) -> Result<Reading, Trouble> {
    let zones = load::zones::newest();
    // What is wrong with a component of a directory hides its own jobs, and nothing else.
    let files = &args.manifests.files;
    let settled = load::settle(files, &zones, &Given::default(), Choices::default(), |_| {});
    let Settled { loaded, faulty, choices } = settled;
    let is_readable = !loaded.diagnostics.has_errors();
    let knows_all_jobs = is_readable && faulty.units.is_empty();
    let default = StoreName::default();
    let is_said = args.ledger.is_some() || loaded.manifest.stores.contains_key(&default);
    let places = stores::places(args.ledger.as_ref(), &loaded.manifest.stores, &args.manifests.files);
    if !is_readable && !is_said {
        print::findings(loaded.diagnostics.all(), &loaded.sources);
        let summary = diagnostics::summary(loaded.diagnostics.all());
        return Err(Trouble::Asked(
            "manifest.invalid",
            no_place(&summary, places.ok().as_ref().and_then(|places| places.get(&default))),
        ));
    }
    if !knows_all_jobs {
        let of_units = faulty.units.iter().flat_map(|unit| &unit.findings);
        let found: Vec<_> = loaded.diagnostics.all().iter().chain(of_units).cloned().collect();
        let summary = diagnostics::summary(&found);
        print::talk(&format!(
            "note: only what the ledger knows is certain, for the manifest cannot be read: {summary}"
        ));
    }
    // Slots are whole microseconds.
    let now = SystemClock.now().trunc_subsecs(6);
    let (ledger, unread) = ledger(places.map_err(Trouble::Host)?, &loaded.manifest).await?;
    let given = stores::given_of(&*ledger, None).await?;
    let manifest = match given.definitions.is_empty() || !is_readable {
        true => loaded.manifest,
        // What is wrong with one of them hides it, and nothing else.
        false => load::settle_anew(&loaded, files, &zones, &given, choices, |_| {}).loaded.manifest,
    };
    Ok(Reading { ledger, manifest, knows_all_jobs, unread, zones, now })
}

/// That a manifest with errors does not say where the ledger is.
fn no_place(summary: &str, usual: Option<&StoreUrl>) -> String {
    let usual = usual.map_or_else(String::new, |usual| format!("; where the manifest names no store it is `{usual}`"));
    format!(
        "the manifest does not say where the ledger is: {summary}. Mend it, or say where the ledger is with \
         `--ledger sqlite:PATH`{usual}"
    )
}

/// Opens the ledgers that outlive their host, and says which do not.
async fn ledger(
    places: BTreeMap<StoreName, StoreUrl>,
    manifest: &Manifest,
) -> Result<(Arc<dyn Ledger>, BTreeSet<StoreName>), Trouble> {
    let (lost, kept): (BTreeMap<_, _>, BTreeMap<_, _>) =
        places.into_iter().partition(|(_, place)| *place == StoreUrl::Memory);
    let names: Vec<_> = lost.keys().map(|name| format!("`{name}`")).collect();
    let names = names.join(", ");
    if kept.is_empty() {
        return Err(Trouble::Asked(
            "ledger.absent",
            format!(
                "the ledger ({names}) is `memory:`: it lives in its host, cannot be read from outside and is gone when the \
             host stops. To keep what happens, write `stores: {{ default: \"sqlite:state.db\" }}` into the manifest or \
             start `clockjack up --ledger sqlite:state.db`; this command then reads it with the same words"
            ),
        ));
    }
    if !lost.is_empty() {
        print::talk(&format!("note: what is in the stores {names} is not shown: they are `memory:` of their host"));
    }
    let shown: Vec<_> = kept.values().map(ToString::to_string).collect();
    let context = || format!("failed to open the ledger `{}` for reading", shown.join("`, `"));
    let ledger = stores::reader(&kept, manifest).await.with_context(context).map_err(Trouble::Host)?;
    Ok((ledger, lost.into_keys().collect()))
}

impl Reading {
    /// The end of what has come due by now: slots after it lie ahead.
    pub(super) fn until_now(&self) -> DateTime<Utc> {
        self.now.checked_add_signed(TimeDelta::microseconds(1)).unwrap_or(self.now)
    }

    /// A job of the manifest.
    pub(super) fn job(&self, id: &JobId) -> Option<&Arc<Job>> {
        self.manifest.jobs.get(id)
    }

    /// The zone in which a person means times of a job.
    pub(super) fn zone(&self, job: Option<&JobId>) -> Zone {
        job.and_then(|id| self.job(id)).map_or_else(Zone::utc, |job| job.zone.clone())
    }

    /// An instant, or how long ago it was.
    pub(super) fn moment(&self, flag: &str, text: &str, zone: &Zone) -> Result<DateTime<Utc>, Trouble> {
        let ago = text.strip_suffix(" ago").unwrap_or(text);
        if let Ok(ago) = scalar::parse_duration(ago) {
            let moment = TimeDelta::from_std(ago).ok().and_then(|ago| self.now.checked_sub_signed(ago));
            return Ok(moment.unwrap_or(DateTime::UNIX_EPOCH));
        }
        parse_instant(text, zone, &self.zones).map_err(|problem| {
            Trouble::Asked("request.invalid", format!("{flag}: {problem}; how long ago is written `2h`"))
        })
    }

    /// That a job is known; the ledger is asked only where the manifest does not have it.
    pub(super) async fn check_job(&self, id: &JobId) -> Result<(), Trouble> {
        if self.manifest.jobs.contains_key(id) {
            return Ok(());
        }
        self.known(&self.ledger.load().await?, id).map(|_row| ())
    }

    /// That a job is known to the ledger or to the manifest, and what the ledger knows of it.
    pub(super) fn known<'l>(&self, loaded: &'l Loaded, id: &JobId) -> Result<Option<&'l JobRow>, Trouble> {
        let row = loaded.jobs.iter().find(|row| row.state.job == *id);
        if row.is_some() || self.manifest.jobs.contains_key(id) {
            return Ok(row);
        }
        let ledger = loaded.jobs.iter().map(|row| row.state.job.as_str());
        let mut names: Vec<_> = self.manifest.jobs.keys().map(JobId::as_str).chain(ledger).collect();
        names.sort_unstable();
        names.dedup();
        let hint = match did_you_mean(id.as_str(), names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "both are empty: has a host run with this ledger?".to_owned(),
            None if NAMES_MAX < names.len() => "`clockjack jobs` lists them".to_owned(),
            None => format!("the jobs are {}", names.join(", ")),
        };
        Err(Trouble::Asked("job.unknown", format!("neither the ledger nor the manifest has a job `{id}`; {hint}")))
    }
}

#[cfg(test)]
pub(super) mod tests;
