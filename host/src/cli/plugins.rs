//! `clockjack plugins`: which code a running host runs, which files it does not, and what a person decides about them.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use clockjack_sandbox::is_base_line;
use clockjack_schedule::{id::PluginName, manifest::scalar::show_size};
use hyper::Method;
use serde_json::{Value as Json, json};

use super::{
    Exit, Output,
    client::{self, Body, Client, Failure, HostArgs, Said, instant},
    definitions::{self, DryArgs},
    plan, print, rows,
};
use crate::api::view::{Candidate, Generation, Plugin, Plugins};

/// How many digits of a digest tell two files apart for a person.
const DIGITS: usize = 12;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct PluginsArgs {
    #[command(subcommand)]
    command: Option<PluginsCommand>,
    /// All that is known of this one.
    plugin: Option<PluginName>,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Subcommand)]
enum PluginsCommand {
    /// Run a file that waits for approval, or one that was taken back.
    Approve(ApproveArgs),
    /// Go back to an earlier generation; the file that is left is not loaded again by itself.
    Rollback(RollBackArgs),
    /// Give a running host a plugin: a new one, or the next generation of one that it was given before.
    Upload(UploadArgs),
    /// Take back a plugin that was uploaded and that no job uses.
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
struct UploadArgs {
    /// Its name.
    plugin: PluginName,
    /// Its file.
    #[arg(value_name = "FILE")]
    component: PathBuf,
    #[command(flatten)]
    dry: DryArgs,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
struct DeleteArgs {
    /// The plugin.
    plugin: PluginName,
    #[command(flatten)]
    dry: DryArgs,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
struct ApproveArgs {
    /// The plugin.
    plugin: PluginName,
    /// Only if the SHA-256 of the file is this one, or begins so.
    #[arg(long, value_name = "SHA256", value_parser = parse_digest)]
    digest: Option<String>,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
struct RollBackArgs {
    /// The plugin.
    plugin: PluginName,
    /// Which generation; without it the one before.
    #[arg(long, value_name = "GENERATION")]
    to: Option<u32>,
    #[command(flatten)]
    host: HostArgs,
}

fn parse_digest(text: &str) -> Result<String, String> {
    let fits = (6..=64).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    if fits {
        return Ok(text.to_ascii_lowercase());
    }
    Err("a digest is written as 64 hex digits, or as the first 6 or more of them; `clockjack plugins` shows it"
        .to_owned())
}

pub(super) fn run(args: &PluginsArgs) -> anyhow::Result<Exit> {
    match &args.command {
        Some(PluginsCommand::Approve(args)) => approve(args),
        Some(PluginsCommand::Rollback(args)) => roll_back(args),
        Some(PluginsCommand::Upload(args)) => upload(args),
        Some(PluginsCommand::Delete(args)) => delete(args),
        None => client::talk(args.host.output.output, async || match &args.plugin {
            Some(plugin) => show(&args.host, plugin).await,
            None => list(&args.host).await,
        }),
    }
}

fn approve(args: &ApproveArgs) -> anyhow::Result<Exit> {
    client::talk(args.host.output.output, async || {
        let route = format!("/plugins/{}/approve", args.plugin);
        let answer = Client::of(&args.host).post_slow(&route, &json!({ "digest": args.digest })).await?;
        decided(args.host.output.output, &answer)
    })
}

fn roll_back(args: &RollBackArgs) -> anyhow::Result<Exit> {
    client::talk(args.host.output.output, async || {
        let route = format!("/plugins/{}/rollback", args.plugin);
        let answer = Client::of(&args.host).post_slow(&route, &json!({ "generation": args.to })).await?;
        decided(args.host.output.output, &answer)
    })
}

fn upload(args: &UploadArgs) -> anyhow::Result<Exit> {
    let file = &args.component;
    let bytes = std::fs::read(file).with_context(|| format!("failed to read `{}`", file.display()))?;
    let output = args.host.output.output;
    client::talk(output, async || {
        let route = args.dry.route(&format!("/plugins/{}", args.plugin));
        let answer = Client::of(&args.host).ask_slow(Method::PUT, &route, Body::Component(bytes.into())).await?;
        if args.dry.dry_run { definitions::planned(output, &answer) } else { decided(output, &answer) }
    })
}

fn delete(args: &DeleteArgs) -> anyhow::Result<Exit> {
    let output = args.host.output.output;
    client::talk(output, async || {
        let route = args.dry.route(&format!("/plugins/{}", args.plugin));
        let answer = Client::of(&args.host).ask_slow(Method::DELETE, &route, Body::Nothing).await?;
        match output {
            _ if args.dry.dry_run => definitions::planned(output, &answer),
            Output::Json => Said::json(&json!({ "plugin": args.plugin.as_str(), "deleted": true })),
            Output::Table => Ok(Said::done(format!("{} is deleted", args.plugin))),
        }
    })
}

fn decided(output: Output, answer: &Json) -> Result<Said, Failure> {
    if output == Output::Json {
        return Said::json(answer);
    }
    let plugin: Plugin = client::read(answer)?;
    let runs = plugin.current.map_or_else(
        || "nothing".to_owned(),
        |Generation { generation, digest, .. }| format!("generation {generation} ({})", short(&digest)),
    );
    Ok(Said::done(print::plain(&format!("{} runs {runs}", plugin.plugin))))
}

async fn list(host: &HostArgs) -> Result<Said, Failure> {
    let answer = Client::of(host).get("/plugins").await?;
    if host.output.output == Output::Json {
        return Said::json(&answer["items"]);
    }
    let Plugins { items: plugins } = client::read(&answer)?;
    if plugins.is_empty() {
        print::talk("the host has no plugin; name some under `plugins:` or in a job");
        return Ok(Said::done(""));
    }
    let cells: Vec<_> = plugins.iter().map(cells).collect();
    let header = ["plugin", "generation", "digest", "size", "since", "state", "jobs"];
    Ok(Said::done(print::plain(&print::table(&header, &cells))))
}

fn cells(plugin: &Plugin) -> Vec<String> {
    let none = || rows::NONE.to_owned();
    let current = plugin.current.as_ref();
    vec![
        plugin.plugin.clone(),
        current.map_or_else(none, |current| current.generation.to_string()),
        current.map_or_else(none, |current| short(&current.digest).to_owned()),
        current.map_or_else(none, |current| show_size(current.size_bytes)),
        current.map_or_else(none, |current| instant(&current.since)),
        plugin.state.clone(),
        plugin.jobs.len().to_string(),
    ]
}

async fn show(host: &HostArgs, plugin: &PluginName) -> Result<Said, Failure> {
    let answer = Client::of(host).get(&format!("/plugins/{plugin}")).await?;
    match host.output.output {
        Output::Json => Said::json(&answer),
        Output::Table => Ok(Said::done(print::plain(page(&client::read(&answer)?).trim_end()))),
    }
}

/// A plugin for people.
fn page(plugin: &Plugin) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<11} {value}\n"));
    line("plugin", plugin.plugin.clone());
    line("source", plugin.source.clone());
    line("state", plugin.state.clone());
    if let Some(Generation { generation, digest, size_bytes, since, cause }) = &plugin.current {
        line("generation", format!("{generation}, since {}: {cause}", instant(since)));
        line("digest", digest.clone());
        line("size", show_size(*size_bytes));
    }
    if let Some(canary) = &plugin.canary {
        let (ended, runs) = (canary.runs_ended, canary.runs);
        let (failed, failures) = (canary.runs_failed, canary.failures);
        line("canary", format!("{ended} of {runs} runs have ended, {failed} of them failed; back at {failures}"));
    }
    // What every language runtime drags in says nothing.
    let imports: Vec<_> = plugin.imports.iter().filter(|import| !is_base_line(import)).cloned().collect();
    for (name, values) in [("functions", &plugin.functions), ("imports", &imports), ("jobs", &plugin.jobs)] {
        let values = if values.is_empty() { rows::NONE.to_owned() } else { values.join(", ") };
        line(name, values);
    }
    if let Some(found) = &plugin.candidate {
        text.push_str(&candidate(&plugin.plugin, found));
    }
    if !plugin.kept.is_empty() {
        let rows: Vec<_> = plugin.kept.iter().map(kept).collect();
        text.push_str(&format!(
            "\nkept: `clockjack plugins rollback {} --to GENERATION` goes back\n{}\n",
            plugin.plugin,
            print::table(&["  generation", "digest", "size", "since", "cause"], &rows)
        ));
    }
    text
}

fn kept(generation: &Generation) -> Vec<String> {
    let Generation { generation, digest, size_bytes, since, cause } = generation;
    let since = instant(since);
    vec![format!("  {generation}"), short(digest).to_owned(), show_size(*size_bytes), since, cause.clone()]
}

/// A file that does not run, and why.
fn candidate(plugin: &str, candidate: &Candidate) -> String {
    let Candidate { state, digest, size_bytes, since, code, reason, fix, difference } = candidate;
    let mut text = format!("\ncandidate: a file that does not run: {state} since {}\n", instant(since));
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<9} {value}\n"));
    if let Some(digest) = digest {
        line("digest", digest.clone());
    }
    if let Some(size) = size_bytes {
        line("size", show_size(*size));
    }
    let code = code.as_ref().map_or_else(String::new, |code| format!("[{code}] "));
    line("reason", format!("{code}{reason}"));
    if !fix.is_empty() {
        line("fix", fix.clone());
    }
    for change in difference.iter().flat_map(plan::difference) {
        line("", change);
    }
    if state == "held" {
        let digest = digest.as_deref().map_or_else(String::new, |digest| format!(" --digest {}", short(digest)));
        line("approve", format!("clockjack plugins approve {plugin}{digest}"));
    }
    text
}

fn short(digest: &str) -> &str {
    digest.get(..DIGITS).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::of_plugins::plugin;

    #[test]
    fn a_plugin_is_shown_with_what_does_not_run_and_what_was_before() {
        let plugin = Plugin::from(&plugin());
        expect_test::expect![[r#"
            plugin      weblog
            source      ./weblog.wasm
            state       held
            generation  3, since 2027-01-15 12:00:00Z: file changed
            digest      cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc
            size        1000B
            canary      2 of 5 runs have ended, 1 of them failed; back at 3
            functions   summarize
            imports     -
            jobs        backup

            candidate: a file that does not run: held since 2027-01-15 12:30:00Z
              digest    dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
              size      2KiB
              reason    [load.import] it asks for `wasi:http`
              fix       grant it, or approve it
                        + exports prune
                        + imports wasi:http/outgoing-handler
                        ~ size 1000B -> 2KiB
              approve   clockjack plugins approve weblog --digest dddddddddddd

            kept: `clockjack plugins rollback weblog --to GENERATION` goes back
              GENERATION  DIGEST        SIZE   SINCE                 CAUSE
              2           bbbbbbbbbbbb  1000B  2027-01-15 12:00:00Z  start
        "#]]
        .assert_eq(&page(&plugin));
        let header = ["plugin", "generation", "digest", "size", "since", "state", "jobs"];
        expect_test::expect![[r#"
            PLUGIN  GENERATION  DIGEST        SIZE   SINCE                 STATE  JOBS
            weblog  3           cccccccccccc  1000B  2027-01-15 12:00:00Z  held   1"#]]
        .assert_eq(&print::table(&header, &[cells(&plugin)]));
    }

    #[test]
    fn digests_are_hex() {
        assert_eq!(parse_digest("ABCDEF12"), Ok("abcdef12".to_owned()));
        for odd in ["", "abcde", "xyzxyz", &"a".repeat(65)] {
            assert!(parse_digest(odd).is_err(), "{odd}");
        }
    }
}
