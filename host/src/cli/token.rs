//! `clockjack token`: tokens for those who reach a host over the network.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clockjack_schedule::ports::Clock as _;
use serde_json::json;

use super::{Exit, ManifestArgs, Output, OutputArgs, print, refusal};
use crate::{
    api::access::{
        Role,
        tokens::{self, Places, TokenError},
    },
    clock::SystemClock,
    load,
};

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a token and print it, once: only its hash is kept.
    Create {
        /// Its name, by which the log of the host and `token list` call it.
        name: String,
        /// What it lets do: `read`, `operate` (pause, resume, run, cancel) or `admin` (everything).
        #[arg(long, default_value = "read")]
        role: Role,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// List the tokens.
    List {
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Take a token away; hosts that run let nobody in with it from then on.
    Revoke {
        /// Its name.
        name: String,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// Which file.
#[derive(Debug, Args)]
struct PlaceArgs {
    #[command(flatten)]
    manifests: ManifestArgs,
    /// The file of the tokens; without it what the manifest says under `api.tokens`, else `tokens` in the state directory.
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

impl PlaceArgs {
    /// The file, or why there is none.
    fn file(&self) -> anyhow::Result<PathBuf> {
        if let Some(file) = &self.tokens {
            return Ok(file.clone());
        }
        let is_there = self.manifests.files.iter().all(|file| file.exists());
        let written = is_there
            .then(|| load::manifest(&self.manifests.files, &load::zones::newest()).manifest.api.tokens)
            .flatten();
        let places = Places::of(written.as_deref()).map(|places| places.named).or(written);
        places.ok_or_else(|| anyhow::anyhow!("no state directory is known; say where the tokens are: `--tokens FILE`"))
    }
}

pub(super) fn run(args: &TokenArgs) -> anyhow::Result<Exit> {
    match &args.action {
        Action::Create { name, role, place } => {
            let file = place.file()?;
            let created_at = print::rfc3339(SystemClock.now());
            let made = tokens::create(&file, name, *role, created_at);
            told(place, made, |token| match place.output.output {
                Output::Json => json!({ "name": name, "role": role.as_str(), "token": token }).to_string(),
                Output::Table => {
                    print::talk("this is shown once; send it as `Authorization: Bearer ...`, or as `CLOCKJACK_TOKEN`");
                    token
                }
            })
        }
        Action::List { place } => told(place, tokens::list(&place.file()?), |all| {
            let view = |token: &tokens::Named| {
                let tokens::Named { name, role, created_at, last4, .. } = token;
                json!({ "name": name, "role": role.as_str(), "created_at": created_at, "last4": last4 })
            };
            let row = |token: &tokens::Named| {
                let tokens::Named { name, role, created_at, last4, .. } = token;
                [name.clone(), role.to_string(), created_at.clone(), last4.clone()]
                    .map(|cell| print::plain(&cell))
                    .to_vec()
            };
            match place.output.output {
                Output::Json => serde_json::Value::Array(all.iter().map(view).collect()).to_string(),
                Output::Table => {
                    print::table(&["name", "role", "created", "last 4"], &all.iter().map(row).collect::<Vec<_>>())
                }
            }
        }),
        Action::Revoke { name, place } => {
            told(place, tokens::revoke(&place.file()?, name), |()| match place.output.output {
                Output::Json => json!({ "name": name, "revoked": true }).to_string(),
                Output::Table => print::plain(&format!("{name} lets nobody in any more")),
            })
        }
    }
}

/// Prints what was done, or why it was not.
fn told<T>(place: &PlaceArgs, done: Result<T, TokenError>, show: impl FnOnce(T) -> String) -> anyhow::Result<Exit> {
    let error = match done {
        Ok(done) => {
            print::data(&show(done))?;
            return Ok(Exit::Done);
        }
        Err(error) => error,
    };
    let code = match error {
        TokenError::Name(_) => "token.name",
        TokenError::Taken(_) => "token.taken",
        TokenError::Unknown(_) => "token.unknown",
        TokenError::TooMany => "token.too_many",
        TokenError::File { .. } => return Err(error.into()),
    };
    let text = error.to_string();
    let (message, fix) = text.split_once("; ").unwrap_or((&text, "`clockjack token list` lists them"));
    match place.output.output {
        Output::Json => refusal::refuse_json(vec![json!({ "code": code, "message": message, "fix": fix })])?,
        Output::Table => print::talk(&print::plain(&format!("error: {message}; {fix}"))),
    }
    Ok(Exit::Fault)
}
