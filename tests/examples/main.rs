//! Every folder of `examples` with a `build.sh` is built from source and run by the built program, as its README says.
//!
//! `cargo test -p clockjack --test examples` builds each example, checks its manifest and compares what its jobs give with
//! its `expected.json`; then a project of `clockjack new` in each language is built and tested by its own script.
//! `-- js new-go` takes those alone; `-- --long` lets the examples that run a host run it for a minute;
//! `-- --table` compares nothing, but measures and prints the table of the README.
//!
//! An example whose toolchain is missing is skipped, in capitals. Where `CI` is set that is a failure: `examples/tools.sh`
//! installs everything there.

#![expect(clippy::print_stdout, reason = "what a test tells")]

mod build;
mod expect;
mod fresh;
mod host;
mod measure;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Mutex, PoisonError},
};

use build::Built;

/// How many examples go on at once. Most of the time of each is spent in one compiler.
const N_THREADS: usize = 2;

/// Examples made of the components of others, which are built before them.
const LAST: [&str; 1] = ["six-languages"];

/// Longest README of an example.
const README_LINES_MAX: usize = 20;

/// What is to be done.
struct Wish {
    names: Vec<String>,
    table: bool,
    long: bool,
    /// Whether an example may be left out where its toolchain is missing.
    may_skip: bool,
}

/// An example.
#[derive(Clone, Debug)]
struct Example {
    name: String,
    folder: PathBuf,
}

/// What counts in the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Fine,
    Skipped,
    Wrong,
}

/// How an example ended.
enum Verdict {
    Fine(String),
    Skipped(String),
    Wrong(String),
}

impl Wish {
    #[expect(clippy::disallowed_methods, reason = "`CI` is the wish of whoever runs the tests")]
    fn from_args() -> Option<Self> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        if args.iter().any(|arg| arg == "--list") {
            return None;
        }
        let has = |name: &str| args.iter().any(|arg| arg == name);
        let is_ci = std::env::var("CI").is_ok_and(|value| !value.is_empty());
        let names = args.iter().filter(|arg| !arg.starts_with('-')).cloned().collect();
        Some(Self { names, table: has("--table"), long: has("--long") || is_ci, may_skip: !is_ci })
    }

    /// Whether an example was asked for. The test runner of cargo gives the names of any tests to all its programs.
    fn includes(&self, name: &String) -> bool {
        self.names.is_empty() || self.names.contains(name)
    }
}

fn main() -> ExitCode {
    let Some(wish) = Wish::from_args() else { return ExitCode::SUCCESS };
    let all: Vec<_> = examples().into_iter().filter(|example| wish.includes(&example.name)).collect();
    let (last, first): (Vec<_>, Vec<_>) = all.into_iter().partition(|example| LAST.contains(&example.name.as_str()));
    let work = |example: &Example| if wish.table { measure::row(example) } else { try_out(example, wish.long) };
    let mut verdicts = Vec::new();
    if wish.table {
        println!("{}", measure::HEAD);
        // One after the other: two compilers at once would tell twice the time.
        verdicts.extend(first.iter().map(|example| tell(&wish, &example.name, work(example))));
    } else {
        verdicts.extend(side_by_side(&first, |example| tell(&wish, &example.name, work(example))));
        verdicts.extend(last.iter().map(|example| tell(&wish, &example.name, work(example))));
        let fresh = fresh::LANGUAGES.map(|lang| (lang, format!("new-{lang}")));
        let wanted = fresh.iter().filter(|(_, name)| wish.includes(name));
        verdicts.extend(wanted.map(|(lang, name)| tell(&wish, name, fresh::try_out(lang))));
    }
    let count = |word: Ended| verdicts.iter().filter(|ended| **ended == word).count();
    let n_failed = count(Ended::Wrong);
    let word = if n_failed == 0 { "ok" } else { "FAILED" };
    let (n_fine, n_skipped) = (count(Ended::Fine), count(Ended::Skipped));
    if !wish.table {
        println!("test result: {word}. {n_fine} passed; {n_failed} failed; {n_skipped} skipped;");
    }
    if n_failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The examples in order of their names.
fn examples() -> Vec<Example> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let folder = folder.canonicalize().expect("the folder of the examples");
    let entries = folder.read_dir().expect("a folder that can be read");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut examples: Vec<_> = paths
        .filter(|path| path.join("build.sh").is_file())
        .filter_map(|folder| Some(Example { name: folder.file_name()?.to_str()?.to_owned(), folder }))
        .collect();
    examples.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!examples.is_empty(), "no examples in {}", folder.display());
    examples
}

/// Does something with each, several at once.
fn side_by_side<T: Send>(examples: &[Example], work: impl Fn(&Example) -> T + Sync) -> Vec<T> {
    let left = Mutex::new(examples.iter());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..N_THREADS {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(example) = next else { return };
                    let result = work(example);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Builds an example, checks its manifest and the length of its README, and holds what its jobs give against what it expects.
fn try_out(example: &Example, long: bool) -> Verdict {
    let seconds = match build::build(example) {
        Built::Done(time) => time.as_secs_f64(),
        Built::Missing(what) => return Verdict::Skipped(what),
        Built::Failed(output) => return Verdict::Wrong(output),
    };
    let readme = std::fs::read_to_string(example.folder.join("README.md")).unwrap_or_default();
    if !(1..=README_LINES_MAX).contains(&readme.lines().count()) {
        return Verdict::Wrong(format!("README.md must have 1 to {README_LINES_MAX} lines"));
    }
    match expect::compare(example, long) {
        Ok(n_checks) => Verdict::Fine(format!("built in {seconds:.1} s, {n_checks} checks")),
        Err(wrong) => Verdict::Wrong(wrong),
    }
}

/// Prints how an example ended.
fn tell(wish: &Wish, name: &str, verdict: Verdict) -> Ended {
    match verdict {
        Verdict::Fine(row) if wish.table => println!("{row}"),
        Verdict::Fine(text) => println!("{name} ... ok: {text}"),
        Verdict::Skipped(why) => {
            println!("SKIPPED {}: {why}", name.to_uppercase());
            return if wish.may_skip { Ended::Skipped } else { Ended::Wrong };
        }
        Verdict::Wrong(wrong) => {
            println!("{name} ... FAILED\n{wrong}");
            return Ended::Wrong;
        }
    }
    Ended::Fine
}
