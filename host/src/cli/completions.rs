//! `clockjack completions` and `clockjack man`: what shells and manual readers want, made from the command line itself, so
//! that neither can say anything else than it does.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Cli, Exit, print};

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The command whose page is printed, such as `up` or `plugins approve`; without it the page of all.
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    command: Vec<String>,
    /// Write a page for every command into this folder, `clockjack.1` and so on, in place of printing one.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "clockjack", &mut script);
    print::data(String::from_utf8(script).context("failed to write completions")?.trim_end())?;
    Ok(Exit::Done)
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<Exit> {
    let mut whole = Cli::command().version(env!("CARGO_PKG_VERSION"));
    whole.build();
    if let Some(folder) = &args.dir {
        fs::create_dir_all(folder).with_context(|| format!("failed to make the folder `{}`", folder.display()))?;
        let n_pages = write_all(&whole, "clockjack", folder)?;
        print::talk(&format!("{n_pages} pages in `{}`; `man -l {0}/clockjack.1` shows the first", folder.display()));
        return Ok(Exit::Done);
    }
    let mut command = &whole;
    for word in &args.command {
        let Some(found) = command.get_subcommands().find(|found| found.get_name() == word) else {
            print::talk(&format!(
                "error: there is no command `{}`; `clockjack --help` lists them",
                args.command.join(" ")
            ));
            return Ok(Exit::Fault);
        };
        command = found;
    }
    let name =
        std::iter::once("clockjack").chain(args.command.iter().map(String::as_str)).collect::<Vec<_>>().join("-");
    print::data(page(command, &name)?.trim_end())?;
    Ok(Exit::Done)
}

/// A page in roff.
fn page(command: &Command, name: &str) -> anyhow::Result<String> {
    let mut text = Vec::new();
    // A page is found by the whole name of its command.
    let command = command.clone().display_name(name.to_owned()).disable_help_subcommand(true);
    let version = concat!("clockjack ", env!("CARGO_PKG_VERSION"));
    Man::new(command).title(name.to_uppercase()).source(version).render(&mut text).context("failed to write a page")?;
    String::from_utf8(text).context("failed to write a page")
}

/// Writes the pages of a command and of those below it; how many there are.
fn write_all(command: &Command, name: &str, folder: &std::path::Path) -> anyhow::Result<usize> {
    let path = folder.join(format!("{name}.1"));
    fs::write(&path, page(command, name)?).with_context(|| format!("failed to write `{}`", path.display()))?;
    let mut n_pages = 1;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help") {
        n_pages += write_all(below, &format!("{name}-{}", below.get_name()), folder)?;
    }
    Ok(n_pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command that a person may type, with those below it.
    fn names() -> Vec<String> {
        let shown = |command: &Command| !command.is_hide_set();
        Cli::command().get_subcommands().filter(|command| shown(command)).map(|c| c.get_name().to_owned()).collect()
    }

    #[test]
    fn every_shell_learns_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "clockjack", &mut script);
            let script = String::from_utf8(script).unwrap();
            for name in names() {
                assert!(script.contains(&name), "{shell}: {name}");
            }
        }
    }

    #[test]
    fn there_is_a_page_for_every_command() {
        let folder = tempfile::tempdir().unwrap();
        let args = ManArgs { command: Vec::new(), dir: Some(folder.path().to_owned()) };
        assert_eq!(man(&args).unwrap(), Exit::Done);
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let first = read("clockjack.1");
        assert!(first.starts_with(".ie") && first.contains(".TH CLOCKJACK 1"), "{first}");
        for name in names() {
            assert!(
                read(&format!("clockjack-{name}.1")).contains(&format!("clockjack\\-{}", name.replace('-', "\\-"))),
                "{name}"
            );
            assert!(first.contains(&format!("clockjack\\-{}", name.replace('-', "\\-"))), "{name}");
        }
        assert!(read("clockjack-plugins-approve.1").contains("digest"));
        assert!(!folder.path().join("clockjack-guest-worker.1").exists());
    }
}
