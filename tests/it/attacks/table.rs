//! The table of the catalogue, made from the tests: which rows there are, and where each of them is played.
//!
//! A row is a test whose name begins with its number. One that cannot hold says why with `#[ignore = "…"]`.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use crate::scene::root;

/// The last row of the catalogue.
const LAST_ROW: u32 = 100;

struct Row {
    file: String,
    name: String,
    ignored: Option<String>,
}

fn rows() -> BTreeMap<u32, Vec<Row>> {
    let mut rows: BTreeMap<u32, Vec<Row>> = BTreeMap::new();
    for folder in ["tests/it", "host/crates/sandbox/src", "host/crates/schedule/src", "host/src"] {
        collect(&root().join(folder), &mut rows);
    }
    rows
}

fn collect(folder: &Path, rows: &mut BTreeMap<u32, Vec<Row>>) {
    let mut entries: Vec<_> =
        fs::read_dir(folder).expect("a folder").filter_map(Result::ok).map(|e| e.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, rows);
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let file = path.strip_prefix(root()).expect("a file of the repository").display().to_string();
        let mut ignored = None;
        for line in text.lines().map(str::trim) {
            if let Some(reason) = line.strip_prefix("#[ignore = \"") {
                ignored = Some(reason.trim_end_matches("\"]").to_owned());
            }
            let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            let Some(name) = function.and_then(|rest| rest.split('(').next()) else { continue };
            let ignored = ignored.take();
            if let Some(number) = number(name) {
                rows.entry(number).or_default().push(Row { file: file.clone(), name: name.to_owned(), ignored });
            }
        }
    }
}

/// 7 of `a07_sleep_that_never_ends`.
fn number(name: &str) -> Option<u32> {
    let (digits, rest) = name.strip_prefix('a')?.split_once('_')?;
    let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    (is_number && !rest.is_empty()).then(|| digits.parse().ok()).flatten()
}

#[test]
fn every_row_is_played_and_stands_in_the_table() {
    let rows = rows();
    let missing: Vec<_> = (1..=LAST_ROW).filter(|number| !rows.contains_key(number)).collect();
    assert!(missing.is_empty(), "no test for rows {missing:?}");
    let mut table = "# The catalogue of attacks\n\n\
        Made from the tests by `UPDATE_EXPECT=1 cargo test -p clockjack --test it every_row_is_played`. A row holds when its\n\
        tests pass, which CI shows; one that cannot hold says why.\n\n\
        | Row | What is tried | Played in | Holds |\n|---|---|---|---|\n"
        .to_owned();
    for (number, tests) in &rows {
        for Row { file, name, ignored } in tests {
            let what = name.split_once('_').map_or("", |(_, rest)| rest).replace('_', " ");
            let holds = ignored.as_ref().map_or("yes".to_owned(), |reason| format!("no: {reason}"));
            writeln!(table, "| A{number:02} | {what} | `{file}` | {holds} |").expect("text");
        }
    }
    expect_test::expect_file![root().join("tests/ATTACKS.md")].assert_eq(&table);
}
