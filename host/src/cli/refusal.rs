//! What commands say where nothing comes of what was asked: to people in words, to programs as one object with a stable code.

use clockjack_sandbox::LoadError;
use clockjack_schedule::{
    diagnostic::{Diagnostic, Source},
    ports::LedgerError,
};
use serde_json::{Value as Json, json};

use super::{Exit, Output, diagnostics, print};
use crate::load::origin::Image;

/// Tells that an image may not be what its tag means by now.
pub(super) fn tell_stale(image: Option<&Image>) {
    if let Some(Image { reference, digest, stale: Some(reason) }) = image {
        print::talk(&print::plain(&format!(
            "warning[load.stale]: what `{reference}` meant last is used (sha256:{digest}): {reason}"
        )));
    }
}

/// Tells that nothing was run, and why.
///
/// # Errors
/// When that could not be written.
pub(super) fn refuse(error: &LoadError, output: Output) -> anyhow::Result<Exit> {
    refuse_all(std::slice::from_ref(error), output)
}

/// The same of several.
///
/// # Errors
/// When that could not be written.
pub(super) fn refuse_all(errors: &[LoadError], output: Output) -> anyhow::Result<Exit> {
    match output {
        Output::Json => {
            let view =
                |error: &LoadError| json!({ "code": error.code.as_str(), "message": error.message, "fix": error.fix });
            refuse_json(errors.iter().map(view).collect())?;
        }
        Output::Table => {
            for error in errors {
                let told = format!("error[{}]: {}\n  = fix: {}", error.code, error.message, error.fix);
                print::talk(&print::plain(&told));
            }
        }
    }
    Ok(Exit::Fault)
}

/// What is to be done where a message does not say so.
const LOOK: &str =
    "`clockjack doctor` looks at this machine and its manifest; the log of a host says what happened in it";

/// Why the host could not do its work, with a stable code.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct Coded {
    code: String,
    text: String,
}

impl Coded {
    pub(super) fn new(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into() }
    }
}

/// Tells what is wrong with what was asked: the matter, and behind the first `; ` what to do.
///
/// # Errors
/// When that could not be written.
pub(super) fn fault(code: &str, text: &str, output: Output) -> anyhow::Result<Exit> {
    match output {
        Output::Json => refuse_json(vec![object(code, text)])?,
        Output::Table => print::talk(&format!("error: {text}")),
    }
    Ok(Exit::Fault)
}

/// Tells what is wrong with a manifest.
///
/// # Errors
/// When that could not be written.
pub(super) fn manifest(found: &[Diagnostic], sources: &[Source], output: Output) -> anyhow::Result<Exit> {
    match output {
        Output::Json => {
            let findings = diagnostics::to_json(found, sources);
            let is_error = |finding: &&Json| finding["severity"] == "error";
            refuse_json(findings.as_array().into_iter().flatten().filter(is_error).cloned().collect())?;
        }
        Output::Table => print::findings(found, sources),
    }
    Ok(Exit::Fault)
}

/// Tells that the host could not do its work. Where even that cannot be written, people are told.
pub(super) fn host_failed(error: &anyhow::Error, output: Output) -> Exit {
    let text = format!("{error:#}");
    let code = error.chain().find_map(|cause| {
        let coded = cause.downcast_ref::<Coded>().map(|coded| coded.code.as_str());
        coded.or_else(|| cause.downcast_ref::<LedgerError>().map(|_| "ledger.unavailable"))
    });
    let told = output == Output::Json && refuse_json(vec![object(code.unwrap_or("host.failed"), &text)]).is_ok();
    if !told {
        print::talk(&format!("error: {text}"));
    }
    Exit::HostFailed
}

fn object(code: &str, text: &str) -> Json {
    let (message, fix) = text.split_once("; ").unwrap_or((text, LOOK));
    json!({ "code": code, "message": message, "fix": fix })
}

/// The same for programs. The first error is the contract; what else is wrong comes beside it.
///
/// # Errors
/// When that could not be written.
pub(super) fn refuse_json(errors: Vec<Json>) -> anyhow::Result<()> {
    let mut object = json!({ "error": errors.first() });
    if 1 < errors.len() {
        object["errors"] = Json::Array(errors);
    }
    print::data(&object.to_string())
}
