//! `clockjack new`: a project that builds, with a job, a manifest, a test, and what an editor needs.

mod language;
mod templates;

use std::{
    fmt::Write as _,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;

use self::language::Language;
use super::{Exit, print};

/// Longest name: it becomes part of file names and of names in code.
const NAME_BYTES_MAX: usize = 64;

/// Words that cannot be the name of a crate: what Rust means by them, and what a project has already.
const TAKEN: [&str; 48] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "clockjack-sdk",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "plugin",
    "priv",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "use",
];

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// The language of the plugin.
    #[arg(long, value_enum)]
    lang: Language,
    /// The folder to make; its last part is the name of the plugin.
    #[arg(value_name = "NAME")]
    folder: PathBuf,
}

/// A file of a project.
struct ProjectFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

pub(super) fn run(args: &NewArgs) -> anyhow::Result<Exit> {
    let name = match name(&args.folder) {
        Ok(name) => name,
        Err(problem) => {
            print::talk(&format!("error: {problem}"));
            return Ok(Exit::Fault);
        }
    };
    let folder = &args.folder;
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        print::talk(&format!("error: the folder `{}` is not empty; choose another name", folder.display()));
        return Ok(Exit::Fault);
    }
    for file in templates::files(args.lang, name) {
        write(&folder.join(&file.path), &file.bytes)?;
    }
    print::data(&next_steps(args.lang, folder))?;
    Ok(Exit::Done)
}

/// The name of the plugin: one that WIT, Cargo and npm all take.
fn name(folder: &Path) -> Result<&str, String> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    if TAKEN.contains(&name) {
        return Err(format!("`{name}` means something else to a compiler: add a word, such as `my-{name}`"));
    }
    if name.len() <= NAME_BYTES_MAX && name.split('-').all(is_word) {
        return Ok(name);
    }
    let rule = "words of lower-case letters and digits, each beginning with a letter, with `-` between them";
    Err(format!("`{name}` cannot be the name of a plugin: write {rule}, such as `nightly-report`"))
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let put = || -> io::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        fs::write(path, bytes)?;
        if bytes.starts_with(b"#!") {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    };
    put().with_context(|| format!("failed to write `{}`", path.display()))
}

fn next_steps(lang: Language, folder: &Path) -> String {
    let mut text = format!("{} is a plugin in {}. Next:\n", folder.display(), lang.shown());
    let steps = ["cd ", lang.prepare(), "./build.sh", "clockjack exec --job hello", "clockjack dev"];
    for step in steps.into_iter().filter(|step| !step.is_empty()) {
        let folder = if step == "cd " { folder.display().to_string() } else { String::new() };
        writeln!(text, "    {step}{folder}").expect("text takes text");
    }
    text.trim_end().to_owned()
}
