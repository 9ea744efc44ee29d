//! `clockjack compile-guest`: the process in which one plugin is compiled. Only this program starts it.

use std::io;

use clap::Args;
use clockjack_sandbox::compile_guest;

use super::Exit;

#[derive(Debug, Args)]
pub(super) struct CompileArgs {
    /// How, and what it may cost.
    pub(super) order: String,
}

pub(super) fn run(args: &CompileArgs) -> anyhow::Result<Exit> {
    compile_guest(&args.order, io::stdin().lock(), io::stdout().lock()).map_err(anyhow::Error::msg)?;
    Ok(Exit::Done)
}
