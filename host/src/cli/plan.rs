//! `clockjack plan` and `clockjack reload`: what a running host would do with its manifests, and that it does it.

use std::path::PathBuf;

use clap::Args;
use clockjack_schedule::manifest::scalar::show_size;
use serde_json::{Value as Json, json};

use super::{
    Exit, Output, OutputArgs,
    client::{self, Client, Failure, HostArgs, Said, SocketArgs, instant},
    print, rows,
};
use crate::api::view::{Difference, JobChange, Plan, PluginChange};

/// The manifest of a host where nobody says which.
const USUAL: &str = "clockjack.yaml";

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// A manifest, or a folder of them, to compare with what the host has in force; may be repeated. Without it the
    /// manifests of the host as they are now.
    #[arg(long = "file", short, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The manifest that the host was started with, where that is another one; may be repeated.
    #[arg(long, value_name = "FILE")]
    of: Vec<PathBuf>,
    #[command(flatten)]
    socket: SocketArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    host: HostArgs,
}

/// Whether something has been done, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tense {
    Would,
    Done,
}

pub(super) fn run(args: &PlanArgs) -> anyhow::Result<Exit> {
    client::talk(args.output.output, async || {
        let client = host_of(args).await;
        let whole = |file: &PathBuf| std::path::absolute(file).unwrap_or_else(|_unknown| file.clone());
        let files: Vec<_> = args.files.iter().map(whole).collect();
        let files = if files.is_empty() { Json::Null } else { json!(files) };
        let answer = client.post_slow("/plan", &json!({ "files": files })).await?;
        told(args.output.output, &answer, Tense::Would)
    })
}

/// The host of the manifests that are compared; where none answers, that of the usual one.
async fn host_of(args: &PlanArgs) -> Client {
    let usual = [PathBuf::from(USUAL)];
    if !args.of.is_empty() {
        return Client::new(&args.socket, &args.of);
    }
    let other = Client::new(&args.socket, &usual);
    if args.files.is_empty() {
        return other;
    }
    let client = Client::of_candidate(&args.socket, &args.files);
    if !client.answers().await && other.answers().await { other } else { client }
}

pub(super) fn reload(args: &ReloadArgs) -> anyhow::Result<Exit> {
    client::talk(args.host.output.output, async || {
        let answer = Client::of(&args.host).post_slow("/scheduler/reload", &json!({})).await?;
        told(args.host.output.output, &answer, Tense::Done)
    })
}

fn told(output: Output, answer: &Json, tense: Tense) -> Result<Said, Failure> {
    let plan: Plan = client::read(answer)?;
    // Who deploys by a reload wants to know that something is not in force.
    let is_left = |change: &PluginChange| matches!(change.change.as_str(), "refused" | "held");
    let is_left_out = tense == Tense::Done && plan.plugins.iter().any(is_left);
    let exit = if plan.refused.is_some() || is_left_out { Exit::Fault } else { Exit::Done };
    if output == Output::Json {
        return Ok(Said { exit, ..Said::json(answer)? });
    }
    let findings = plan.findings_text.trim_end();
    if !findings.is_empty() {
        print::talk(&print::plain(findings));
    }
    if let Some(why) = &plan.refused {
        let word = if tense == Tense::Done { "was" } else { "would be" };
        print::talk(&print::plain(&format!("error: the manifest {word} refused, and all stays as it is: {why}")));
    }
    Ok(Said { data: print::plain(page(&plan, tense).trim_end()), exit })
}

/// A plan for people.
pub(super) fn page(plan: &Plan, tense: Tense) -> String {
    let mut parts = Vec::new();
    let jobs = job_rows(plan);
    if !jobs.is_empty() {
        parts.push(print::table(&["  job", "what", "next slot before", "after"], &jobs));
    }
    if !plan.plugins.is_empty() {
        let lines: Vec<_> = plan.plugins.iter().map(plugin).collect();
        parts.push(format!("PLUGINS\n{}", lines.join("\n")));
    }
    if !plan.pools.is_empty() {
        let lines: Vec<_> = plan.pools.iter().map(|pool| format!("  {pool}")).collect();
        parts.push(format!("POOLS\n{}", lines.join("\n")));
    }
    parts.extend(summary(plan, tense));
    parts.join("\n\n")
}

/// How many jobs come, change, go and stay.
fn summary(plan: &Plan, tense: Tense) -> Option<String> {
    if plan.refused.is_some() {
        return None;
    }
    let (added, changed, removed) = (plan.added.len(), plan.changed.len(), plan.removed.len());
    let untouched = plan.untouched;
    if added + changed + removed == 0 && plan.plugins.is_empty() && plan.pools.is_empty() {
        let word = if tense == Tense::Done { "nothing has changed" } else { "nothing would change" };
        return Some(format!("{word}: {untouched} untouched"));
    }
    Some(format!("jobs: {added} added, {changed} changed, {removed} removed, {untouched} untouched"))
}

fn job_rows(plan: &Plan) -> Vec<Vec<String>> {
    let row = |sign: &str, word: &str, change: &JobChange| {
        let parts = if change.parts.is_empty() { word.to_owned() } else { change.parts.join(", ") };
        let next = |at: &Option<String>| at.as_deref().map_or_else(|| rows::NONE.to_owned(), instant);
        vec![format!("{sign} {}", change.job), parts, next(&change.next_before), next(&change.next_after)]
    };
    let added = plan.added.iter().map(|change| row("+", "added", change));
    let changed = plan.changed.iter().map(|change| row("~", "changed", change));
    let removed = plan.removed.iter().map(|change| row("-", "removed", change));
    added.chain(changed).chain(removed).collect()
}

fn plugin(change: &PluginChange) -> String {
    let sign = match change.change.as_str() {
        "added" => "+",
        "removed" => "-",
        "replaced" => "~",
        _ => "!",
    };
    let number = |number: Option<u32>| number.map_or_else(|| rows::NONE.to_owned(), |number| number.to_string());
    let (before, after) = (number(change.generation_before), number(change.generation_after));
    let generations =
        if before == after { format!("generation {before}") } else { format!("generation {before} -> {after}") };
    let mut text = format!("{sign} {} {}, {generations}", change.plugin, change.change);
    for words in [&change.reason, &change.fix].into_iter().filter(|words| !words.is_empty()) {
        text.push_str(&format!("\n    {words}"));
    }
    for line in change.difference.iter().flat_map(difference) {
        text.push_str(&format!("\n    {line}"));
    }
    text
}

/// How two generations differ, a line for each thing.
pub(super) fn difference(difference: &Difference) -> Vec<String> {
    let Difference { exports_added, exports_removed, imports_added, imports_removed, .. } = difference;
    let lists = [
        ("+ exports", exports_added),
        ("- exports", exports_removed),
        ("+ imports", imports_added),
        ("- imports", imports_removed),
    ];
    let (before, after) = (difference.size_bytes_before, difference.size_bytes_after);
    let mut lines: Vec<_> =
        lists.iter().flat_map(|(words, names)| names.iter().map(move |name| format!("{words} {name}"))).collect();
    if before != after {
        let shown = [before, after].map(show_size);
        // Of a large file, a small change would not be seen.
        let [before, after] = if shown[0] == shown[1] { [before, after].map(|n| format!("{n}B")) } else { shown };
        lines.push(format!("~ size {before} -> {after}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::tests::of_plugins::some_plan, hot};

    fn shown(plan: hot::Plan, tense: Tense) -> String {
        page(&Plan::from(plan), tense)
    }

    #[test]
    fn plans_show_what_becomes_of_jobs_plugins_and_pools() {
        let mut plan = some_plan();
        plan.refused = None;
        expect_test::expect![[r#"
              JOB     WHAT            NEXT SLOT BEFORE      AFTER
            + new     added           -                     2027-01-15 13:00:00Z
            ~ report  triggers, args  2027-01-15 13:00:00Z  -
            - old     removed         2027-01-15 13:00:00Z  -

            PLUGINS
            ! weblog held, generation 3
                it asks for `wasi:http`
                grant it, or approve it
                + exports prune
                + imports wasi:http/outgoing-handler
                ~ size 1000B -> 2KiB

            POOLS
              `small`: 1 place, 2 before

            jobs: 1 added, 1 changed, 1 removed, 7 untouched"#]]
        .assert_eq(&shown(plan, Tense::Would));
        // What is refused changes nothing, so nothing is counted.
        assert!(!shown(some_plan(), Tense::Would).contains("untouched"));
        let nothing = || hot::Plan { n_untouched: 3, ..hot::Plan::default() };
        assert_eq!(shown(nothing(), Tense::Would), "nothing would change: 3 untouched");
        assert_eq!(shown(nothing(), Tense::Done), "nothing has changed: 3 untouched");
    }

    #[test]
    fn a_refused_plan_is_a_fault_of_the_user() {
        let exit = |plan: hot::Plan, output| {
            let answer = serde_json::to_value(Plan::from(plan)).unwrap();
            told(output, &answer, Tense::Done).map(|said| said.exit).map_err(|failure| format!("{failure:?}"))
        };
        for output in [Output::Table, Output::Json] {
            assert_eq!(exit(some_plan(), output), Ok(Exit::Fault));
            assert_eq!(exit(hot::Plan::default(), output), Ok(Exit::Done));
        }
        let odd = told(Output::Table, &json!({ "refused": 7 }), Tense::Done);
        assert!(matches!(odd, Err(Failure::Host(_))), "{odd:?}");
    }
}
