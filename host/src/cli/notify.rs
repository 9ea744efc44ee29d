//! `clockjack notify`: the channels of a manifest, and whether they work.

use clap::{Args, Subcommand};
use clockjack_schedule::{
    diagnostic::did_you_mean,
    id::ChannelName,
    manifest::resolved::Manifest,
    notify::{Address, Channel, ChannelKind, Occasion, Occasions, TooLong},
    ports::Clock as _,
};
use serde_json::{Value as Json, json};
use tokio::runtime::Builder;

use super::{Exit, ManifestArgs, Output, OutputArgs, diagnostics, print, refusal};
use crate::{
    clock::SystemClock,
    load::{self, secrets::HostVault},
    notify::{Notice, deliver, host_name},
};

#[derive(Debug, Args)]
pub(super) struct NotifyArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the channels: where they lead, of what they tell, and for which jobs.
    List(ListArgs),
    /// Tell through a channel that it works, here and now; without a name through each. No host is needed.
    Test(TestArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    manifests: ManifestArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
struct TestArgs {
    /// A channel, by its name under `notifications`.
    channel: Option<String>,
    #[command(flatten)]
    manifests: ManifestArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &NotifyArgs) -> anyhow::Result<Exit> {
    match &args.command {
        Command::List(args) => list(args),
        Command::Test(args) => test(args),
    }
}

/// The manifest, if nothing is wrong with it; its plugins do not matter here. What is wrong has been told.
fn read(manifests: &ManifestArgs, output: Output) -> anyhow::Result<Option<Manifest>> {
    let loaded = load::manifest(&manifests.files, &load::zones::newest());
    if !loaded.diagnostics.has_errors() {
        return Ok(Some(loaded.manifest));
    }
    refusal::manifest(loaded.diagnostics.all(), &loaded.sources, output)?;
    if output == Output::Table {
        print::talk(&diagnostics::summary(loaded.diagnostics.all()));
    }
    Ok(None)
}

fn list(args: &ListArgs) -> anyhow::Result<Exit> {
    let Some(manifest) = read(&args.manifests, args.output.output)? else { return Ok(Exit::Fault) };
    let names = |channel: &ChannelName| -> Vec<&str> {
        let jobs = manifest.jobs.values().filter(|job| job.notify.iter().any(|notify| notify.channel == *channel));
        jobs.map(|job| job.id.as_str()).collect()
    };
    if args.output.output == Output::Json {
        let row = |(name, channel): (&ChannelName, &Channel)| {
            json!({
                "name": name.as_str(),
                "kind": channel.kind.as_str(),
                "to": to(channel),
                "on": words(&channel.tells(None)),
                "jobs": names(name),
            })
        };
        print::data(&serde_json::to_string_pretty(&manifest.channels.iter().map(row).collect::<Vec<_>>())?)?;
        return Ok(Exit::Done);
    }
    if manifest.channels.is_empty() {
        print::talk("there are no channels: add `notifications: { ops: { webhook: \"https://hooks.acme.dev\" } }`");
        return Ok(Exit::Done);
    }
    let row = |(name, channel): (&ChannelName, &Channel)| {
        let n_jobs = names(name).len().to_string();
        vec![
            name.to_string(),
            channel.kind.as_str().to_owned(),
            to(channel),
            words(&channel.tells(None)).join(", "),
            n_jobs,
        ]
    };
    let rows: Vec<_> = manifest.channels.iter().map(row).collect();
    print::data(&print::table(&["channel", "kind", "to", "on", "jobs"], &rows))?;
    Ok(Exit::Done)
}

fn test(args: &TestArgs) -> anyhow::Result<Exit> {
    let Some(manifest) = read(&args.manifests, args.output.output)? else { return Ok(Exit::Fault) };
    let chosen: Vec<_> = match &args.channel {
        None => manifest.channels.iter().collect(),
        Some(name) => match manifest.channels.iter().find(|(known, _)| known.as_str() == name) {
            Some(found) => vec![found],
            None => {
                let names = manifest.channels.keys().map(ChannelName::as_str);
                let fix = did_you_mean(name, names).map_or_else(
                    || "`clockjack notify list` lists them".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                let text = format!("no channel is named `{name}`; {fix}");
                return refusal::fault("notify.unknown_channel", &text, args.output.output);
            }
        },
    };
    if chosen.is_empty() {
        let text = "there are no channels; add `notifications:` to the manifest";
        return refusal::fault("notify.no_channel", text, args.output.output);
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (mut rows, mut all_told) = (Vec::new(), true);
    for (name, channel) in chosen {
        let now = SystemClock.now();
        let notice = Notice::test(name.as_str(), now, &host_name());
        let result = runtime.block_on(deliver(channel, &notice, now, &HostVault));
        all_told &= result.is_ok();
        rows.push(told(name, channel, &notice, result.map_err(|undelivered| undelivered.why)));
    }
    match args.output.output {
        Output::Json => print::data(&serde_json::to_string_pretty(&rows)?)?,
        Output::Table => {
            let text = |row: &Json, key: &str| row[key].as_str().unwrap_or_default().to_owned();
            let row = |row: &Json| ["channel", "kind", "to", "result", "answer"].map(|key| text(row, key)).to_vec();
            let rows: Vec<_> = rows.iter().map(row).collect();
            print::data(&print::table(&["channel", "kind", "to", "result", "answer"], &rows))?;
        }
    }
    Ok(if all_told { Exit::Done } else { Exit::Fault })
}

fn told(name: &ChannelName, channel: &Channel, notice: &Notice, result: Result<String, String>) -> Json {
    let (word, answer) = match result {
        Ok(answer) => ("told", answer),
        Err(why) => ("failed", why),
    };
    json!({
        "channel": name.as_str(),
        "kind": channel.kind.as_str(),
        "to": to(channel),
        "result": word,
        "answer": answer,
        "sent": notice.fields,
    })
}

/// Where a channel leads, without what only its owner is to know.
fn to(channel: &Channel) -> String {
    let address = |address: &Address| match address {
        Address::Url(url) => url.to_string(),
        Address::Secret(secret) => format!("secret {}", secret.name),
    };
    match &channel.kind {
        ChannelKind::Webhook(webhook) => address(&webhook.url),
        ChannelKind::Healthchecks(url) => address(url),
        ChannelKind::Command(program) => program.name().to_owned(),
    }
}

fn words(on: &Occasions) -> Vec<String> {
    let show = clockjack_schedule::manifest::scalar::show_duration;
    let word = |occasion: Occasion| match (occasion, on.late, on.too_long) {
        (Occasion::Late, Some(late), _) => format!("late {}", show(late)),
        (Occasion::TooLong, _, Some(TooLong::After(time))) => format!("too_long {}", show(time)),
        (plain, _, _) => plain.as_str().to_owned(),
    };
    let plain = Occasion::ALL.into_iter().filter(|occasion| on.has(*occasion)).map(word);
    plain.chain(on.failures.map(|n| format!("failures {n}"))).collect()
}
