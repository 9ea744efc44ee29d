//! `clockjack explain`: what a code means and what to do about it. One source for the command and for the pages in `docs`.

use clap::Args;
use clockjack_sandbox::LoadCode;
use clockjack_schedule::{manifest::CODES, outcome::OutcomeCode};
use serde_json::json;

use super::{Exit, Output, OutputArgs, print, refusal};

/// All codes: `## CODE`, a paragraph, and a list.
const SOURCE: &str = include_str!("codes/codes.md");

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The code of an outcome or of a load error, such as `timeout.cpu`; without it all of them are listed. What
    /// `clockjack check` finds has codes, too, such as `manifest.empty`.
    code: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// What there is to say of one code.
struct Page {
    code: &'static str,
    text: &'static str,
}

impl Page {
    /// What it means, in one sentence.
    fn meaning(&self) -> &'static str {
        let paragraph = self.text.split("\n- ").next().unwrap_or_default().trim();
        paragraph.find(". ").map_or(paragraph, |end| &paragraph[..=end])
    }
}

fn pages() -> impl Iterator<Item = Page> {
    SOURCE
        .split("## ")
        .filter_map(|section| section.split_once('\n'))
        .map(|(code, text)| Page { code, text: text.trim() })
}

/// What each finding in a manifest means, by its code.
fn findings() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = CODES.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "));
    rows.flat_map(|(codes, meaning)| codes.split("`, `").map(move |code| (code, meaning)))
}

/// What there is to do about any finding.
const FINDING: &str = "\
- `clockjack check` tells all that it finds in a manifest, each with its place and what to do about it.
- A running host that finds it in a file that was changed goes on with what is in force; `clockjack plan` tells the same there.";

/// Every code that has a page, in the order of the pages.
fn codes() -> impl Iterator<Item = &'static str> {
    let loads = LoadCode::ALL.iter().map(|code| code.as_str()).filter(|code| code.starts_with("load."));
    OutcomeCode::ALL.iter().map(|code| code.as_str()).chain(loads)
}

pub(super) fn run(args: &ExplainArgs) -> anyhow::Result<Exit> {
    let Some(wanted) = &args.code else { return list(args.output.output) };
    if let Some((code, meaning)) = findings().find(|(code, _)| code == wanted) {
        return show(code, meaning, &format!("{meaning}\n{FINDING}"), args.output.output);
    }
    let Some(page) = pages().find(|page| page.code == *wanted) else {
        let text = print::plain(&format!("there is no code `{wanted}`{}", near(wanted)));
        return refusal::fault("code.unknown", &text, args.output.output);
    };
    show(page.code, page.meaning(), page.text, args.output.output)
}

fn show(code: &str, meaning: &str, text: &str, output: Output) -> anyhow::Result<Exit> {
    match output {
        Output::Json => print::data(&json!({ "code": code, "meaning": meaning, "text": text }).to_string())?,
        Output::Table => print::data(&format!("{code}\n\n{text}"))?,
    }
    Ok(Exit::Done)
}

fn list(output: Output) -> anyhow::Result<Exit> {
    match output {
        Output::Json => {
            let all: Vec<_> = pages().map(|page| json!({ "code": page.code, "meaning": page.meaning() })).collect();
            print::data(&serde_json::to_string_pretty(&all)?)?;
        }
        Output::Table => {
            let width = pages().map(|page| page.code.len()).max().unwrap_or_default();
            let lines: Vec<_> = pages().map(|page| format!("{:width$}  {}", page.code, page.meaning())).collect();
            print::data(&lines.join("\n"))?;
        }
    }
    Ok(Exit::Done)
}

fn near(wanted: &str) -> String {
    let best = codes()
        .chain(findings().map(|(code, _)| code))
        .map(|code| (strsim::damerau_levenshtein(wanted, code), code))
        .min();
    match best {
        Some((distance, code)) if distance <= 3 => format!("; did you mean `{code}`?"),
        Some(_) | None => "; `clockjack explain` lists all of them".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_code_has_its_page_and_no_page_is_without_a_code() {
        let written: Vec<_> = pages().map(|page| page.code).collect();
        assert_eq!(written, codes().collect::<Vec<_>>());
        for page in pages() {
            assert!(20 < page.meaning().len(), "{}: {}", page.code, page.meaning());
            assert!(page.text.contains("\n- "), "{} says nothing beyond its meaning", page.code);
        }
    }

    #[test]
    fn every_finding_has_a_meaning() {
        let known: BTreeSet<_> = findings().map(|(code, _)| code).collect();
        assert!(findings().all(|(_, meaning)| 10 < meaning.len()));
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/manifests");
        let mut n_seen = 0;
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.extension().is_none_or(|extension| extension == "yaml") {
                continue;
            }
            for line in fs::read_to_string(&entry).unwrap().lines() {
                let rest = line.strip_prefix("error[").or_else(|| line.strip_prefix("warning["));
                let Some((code, _)) = rest.and_then(|rest| rest.split_once(']')) else { continue };
                assert!(known.contains(code), "{code} of {}", entry.display());
                n_seen += 1;
            }
        }
        assert!(100 < n_seen, "{n_seen}");
    }

    /// The pages of `docs/codes`: `UPDATE_EXPECT=1` writes them anew.
    #[test]
    fn the_pages_are_made_from_the_source() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/codes");
        let mut names = BTreeSet::from(["README.md".to_owned()]);
        let mut index =
            "# Codes\n\nHow runs end, and why plugins are not loaded. Made from `host/src/cli/codes/codes.md`; \
                         `clockjack explain CODE` prints a page.\n\n| Code | Meaning |\n|---|---|\n"
                .to_owned();
        for page in pages() {
            let name = format!("{}.md", page.code);
            expect_test::expect_file![folder.join(&name)].assert_eq(&format!("# {}\n\n{}\n", page.code, page.text));
            index.push_str(&format!("| [{}]({name}) | {} |\n", page.code, page.meaning()));
            names.insert(name);
        }
        expect_test::expect_file![folder.join("README.md")].assert_eq(&index);
        let found: BTreeSet<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(found, names);
    }
}
