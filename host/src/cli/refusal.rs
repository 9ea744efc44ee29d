//! What the commands that load one plugin say where it cannot be used, or may be an old one.

use clockjack_sandbox::LoadError;
use serde_json::{Value as Json, json};

use super::{Exit, Output, print};
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
