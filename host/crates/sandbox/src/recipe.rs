//! How the call of a job is prepared: what the job says, for whatever generation of its plugin.

use std::{path::Path, sync::Arc};

use clockjack_schedule::{
    command::Command,
    job::{Arguments, Grants, Limits, Setup},
};

use crate::{
    call::{Call, CallProblem},
    command::CommandInput,
    plugin::Plugin,
};

/// What a call is prepared from, beside the plugin.
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'r> {
    /// Where relative paths of files in the arguments start.
    pub folder: &'r Path,
    /// Which function; may be absent where the plugin has just one.
    pub function: Option<&'r str>,
    /// What it gets.
    pub args: &'r Arguments,
    /// What only a command has.
    pub command: Option<&'r Command>,
    /// What an attempt may consume.
    pub limits: &'r Limits,
    /// What it may touch.
    pub grants: &'r Grants,
}

/// What the imports of a plugin are held to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Imports {
    /// To the grants: what is imported beyond the base line of the language runtimes has to be granted.
    #[default]
    Granted,
    /// To nothing: somebody has approved this very code. What is not granted stays closed inside.
    Approved,
}

impl<'r> Recipe<'r> {
    /// That of a job.
    #[must_use]
    pub fn of(job: &'r Setup, folder: &'r Path) -> Self {
        let Setup { call, args, command, limits, grants, .. } = job;
        Self { folder, function: call.as_deref(), args, command: command.as_deref(), limits, grants }
    }

    /// Checks the call against a plugin and converts its arguments. All that is wrong is told at once.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn prepare(&self, plugin: &Arc<Plugin>, imports: Imports) -> Result<Call, Vec<CallProblem>> {
        let call = Call::made(plugin, self, imports);
        let Some(command) = self.command else { return call };
        match (call, CommandInput::read(plugin, self.function, command)) {
            (Ok(call), Ok(input)) => Ok(call.with_command(input)),
            (Err(problems), Ok(_)) | (Ok(_), Err(problems)) => Err(problems),
            (Err(first), Err(second)) => Err(first.into_iter().chain(second).collect()),
        }
    }
}
