//! Reading what only a command job has: `stdin` and `exit_codes`. Whether the job is a command is known when its plugin is
//! loaded, and told then.

use std::{path::Path, sync::Arc};

use super::{
    fields::{self, Fields},
    foreign::{self, Place},
    grants,
    jobs::check_templates,
    node::{Node, Value},
    policy,
};
use crate::{
    command::{Command, ExitCodes, Stdin},
    diagnostic::{Diagnostic, Diagnostics},
};

/// Reads `exit_codes`, which jobs and defaults may have.
pub(super) fn read_exit_codes(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> ExitCodes {
    let fix = |node: &Node| match &node.value {
        Value::Int(code) => format!("write `exit_codes: {{ success: [{code}] }}`"),
        Value::List(_) => "write which codes mean what: `exit_codes: { success: [0, 1], retry: [75] }`".to_owned(),
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::Text(_) | Value::Map(_) => {
            "write `exit_codes: { success: [0], retry: [75] }`".to_owned()
        }
    };
    let mut codes = ExitCodes::default();
    let Some(mut fields) = policy::open_map(fields, "exit_codes", fix, diagnostics) else { return codes };
    let mut written: Vec<(u8, &'static str)> = Vec::new();
    let mut list = |key: &'static str, codes: &mut Vec<u8>| {
        let Some(node) = fields.get(key) else { return };
        *codes = read_list(node, key, &mut written, diagnostics);
        if key == "success" && node.as_list().is_some_and(<[Node]>::is_empty) {
            let error =
                Diagnostic::error("manifest.value", node.span, "without a code in `success` no run could succeed");
            diagnostics.push(error.fix("write `success: [0]`, or leave the key out, which means the same"));
        }
    };
    list("success", &mut codes.success);
    list("retry", &mut codes.retry);
    list("permanent", &mut codes.permanent);
    list("skipped", &mut codes.skipped);
    give_way(&mut codes, &written);
    fields.finish_translated(|key| foreign::answer(Place::ExitCodes, key), diagnostics);
    codes
}

/// The codes of one list, each once. A code that stands in another list, too, is an error.
fn read_list(
    node: &Node,
    key: &'static str,
    written: &mut Vec<(u8, &'static str)>,
    diagnostics: &mut Diagnostics,
) -> Vec<u8> {
    let mut codes = Vec::new();
    for item in node.as_one_or_many() {
        let Some(code) = fields::integer(item, 0..=u8::MAX, diagnostics) else { continue };
        match written.iter().find(|(known, _)| *known == code) {
            Some((_, other)) if *other == key => continue,
            Some((_, other)) => {
                let message = format!("the exit code {code} stands in `{other}` and in `{key}`");
                let error = Diagnostic::error("manifest.value", item.span, message);
                diagnostics.push(error.fix("keep it in one of them"));
            }
            None => written.push((code, key)),
        }
        codes.push(code);
    }
    codes.sort_unstable();
    codes
}

/// What is built in makes way for what is written: `permanent: [75]` takes 75 out of `retry`.
fn give_way(codes: &mut ExitCodes, written: &[(u8, &'static str)]) {
    let is_elsewhere = |code: &u8, key: &str| written.iter().any(|(known, other)| known == code && *other != key);
    codes.success.retain(|code| !is_elsewhere(code, "success"));
    codes.retry.retain(|code| !is_elsewhere(code, "retry"));
}

/// Reads `stdin`, which has no default.
pub(super) fn read_stdin(fields: &mut Fields<'_>, folder: &Path, diagnostics: &mut Diagnostics) -> Stdin {
    let Some(node) = fields.get("stdin") else { return Stdin::Empty };
    match &node.value {
        Value::Map(entries) => {
            if let [entry] = &entries[..]
                && entry.key == "file"
            {
                return grants::path_in(&entry.value, folder, diagnostics).map_or(Stdin::Empty, Stdin::File);
            }
            check_templates(node, diagnostics);
            Stdin::Json(node.to_json())
        }
        Value::List(_) => {
            check_templates(node, diagnostics);
            Stdin::Json(node.to_json())
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {
            check_templates(node, diagnostics);
            fields::text(node, diagnostics).map_or(Stdin::Empty, |text| Stdin::Text(text.into()))
        }
    }
}

/// What is said of the command, or nothing where all of it is the default.
pub(super) fn unless_default(exit_codes: ExitCodes, stdin: Stdin) -> Option<Arc<Command>> {
    let command = Command { exit_codes, stdin };
    (command != Command::default()).then(|| Arc::new(command))
}
