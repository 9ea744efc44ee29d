//! Reading what a job may touch: environment variables, directories, a state of its own and secrets. What it may reach
//! over the network is read next door.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    egress,
    fields::{self, Fields},
    foreign::{self, Place},
    jobs::JobReader,
    node::{Entry, Node},
    secrets::SecretTable,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    id::JobId,
    job::{DirGrant, DirMode, Grants},
};

/// What the host itself puts into the environment of a command.
const RESERVED_PREFIX: &str = "CLOCKJACK_";

const MODES: [(&str, DirMode); 2] = [("read", DirMode::Read), ("read_write", DirMode::ReadWrite)];

/// Reads `grants`.
pub(super) fn read(fields: &mut Fields<'_>, reader: &JobReader<'_>, diagnostics: &mut Diagnostics) -> Grants {
    let (folder, secrets) = (reader.folder, reader.secrets);
    let mut grants = Grants::default();
    let Some(mut fields) = fields.open_inner("grants", diagnostics) else { return grants };
    if let Some(node) = fields.own("env").map(|entry| &entry.value).filter(|node| node.as_list().is_some()) {
        fields.get("env");
        diagnostics.push(env_as_list(node));
    } else if let Some(env) = fields.open_inner("env", diagnostics) {
        read_env(&env, secrets, &mut grants, diagnostics);
    }
    if let Some(node) = fields.get("dirs") {
        grants.dirs = dirs(node, folder, diagnostics);
    }
    if let Some(node) = fields.get("state") {
        grants.state = fields::boolean(node, diagnostics).unwrap_or_default();
    }
    if let Some(node) = fields.get("secrets") {
        let found = node.as_one_or_many().iter().filter_map(|node| secrets.find(node, diagnostics));
        grants.secrets.by_name = found.collect();
    }
    egress::read(&mut fields, reader.egress, &mut grants, diagnostics);
    fields.finish_translated(|key| foreign::answer(Place::Grants, key), diagnostics);
    grants
}

/// Variables hold text, or the value of a secret: `{ secret: NAME }`.
fn read_env(env: &Fields<'_>, secrets: &SecretTable, grants: &mut Grants, diagnostics: &mut Diagnostics) {
    for Entry { key, key_span, value } in env.all() {
        if let Err(problem) = variable_name(key) {
            let message = format!("variable `{key}`: {problem}");
            diagnostics.push(Diagnostic::error("manifest.name", *key_span, message));
        }
        // A job's own variable takes the place of the one in the defaults, of whichever kind.
        grants.env.remove(key);
        grants.secrets.by_variable.remove(key);
        if value.as_map().is_none() {
            if let Some(text) = fields::text(value, diagnostics) {
                grants.env.insert(key.clone(), text.to_owned());
            }
            continue;
        }
        let Some(mut fields) = Fields::open(value, format!("variable `{key}`"), diagnostics) else { continue };
        let named = required(&mut fields, "secret", "the name of a secret", diagnostics);
        let found = named.and_then(|node| secrets.find(node, diagnostics));
        grants.secrets.by_variable.extend(found.map(|secret| (key.clone(), secret)));
        fields.finish(diagnostics);
    }
}

/// Reads `labels`.
pub(super) fn read_labels(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> BTreeMap<String, String> {
    let Some(labels) = fields.open_inner("labels", diagnostics) else { return BTreeMap::new() };
    let rule = |key: &str| key.parse::<JobId>().map(drop).map_err(|error| error.to_string());
    texts_by_name(&labels, "label", rule, diagnostics)
}

fn texts_by_name(
    fields: &Fields<'_>,
    what: &str,
    rule: impl Fn(&str) -> Result<(), String>,
    diagnostics: &mut Diagnostics,
) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for Entry { key, key_span, value } in fields.all() {
        if let Err(problem) = rule(key) {
            diagnostics.push(Diagnostic::error("manifest.name", *key_span, format!("{what} `{key}`: {problem}")));
        }
        if let Some(text) = fields::text(value, diagnostics) {
            texts.insert(key.clone(), text.to_owned());
        }
    }
    texts
}

pub(super) fn variable_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a name has at least one character".to_owned());
    }
    if let Some(misfit) = name.chars().find(|c| c.is_control() || matches!(c, '=' | ' ')) {
        return Err(format!("`{misfit}` may not stand in the name of an environment variable"));
    }
    if name.starts_with(RESERVED_PREFIX) {
        return Err(format!("names that begin with `{RESERVED_PREFIX}` are set by the host: choose another name"));
    }
    Ok(())
}

fn env_as_list(node: &Node) -> Diagnostic {
    let first = node.as_list().and_then(<[Node]>::first).and_then(Node::as_text).unwrap_or("NAME");
    let fix = match first.split_once('=') {
        Some((name, value)) => format!("write `env: {{ {name}: \"{value}\" }}`"),
        None => format!("write `env: {{ {first}: \"${{{first}}}\" }}` to hand on the host's own variable"),
    };
    Diagnostic::error("manifest.type", node.span, "`env` is a map of names and values, not a list").fix(fix)
}

fn dirs(node: &Node, folder: &Path, diagnostics: &mut Diagnostics) -> Vec<DirGrant> {
    let mut read: BTreeMap<String, DirGrant> = BTreeMap::new();
    let mut order = Vec::new();
    for (index, item) in node.as_one_or_many().iter().enumerate() {
        let Some((grant, guest)) = dir(index, item, folder, diagnostics) else { continue };
        if read.contains_key(&grant.guest) {
            let message = format!("two directories have the guest path `{}`", grant.guest);
            let error = Diagnostic::error("manifest.guest_path", guest.span, message);
            diagnostics.push(error.fix("give each its own guest path"));
            continue;
        }
        order.push(grant.guest.clone());
        read.insert(grant.guest.clone(), grant);
    }
    order.iter().filter_map(|guest| read.remove(guest)).collect()
}

fn dir<'n>(index: usize, node: &'n Node, folder: &Path, diagnostics: &mut Diagnostics) -> Option<(DirGrant, &'n Node)> {
    if let Some(text) = node.as_text() {
        return diagnostics.reject(dir_as_text(node, text));
    }
    let mut fields = Fields::open(node, "a directory grant", diagnostics)?;
    let host = required(&mut fields, "host", "the folder on this machine", diagnostics);
    let guest = required(&mut fields, "guest", "the path that the job sees", diagnostics);
    let mode = match fields.get("mode") {
        Some(node) => dir_mode(node, diagnostics),
        None => Some(DirMode::Read),
    };
    fields.finish_translated(|key| foreign::answer(Place::Dir, key), diagnostics);
    let guest = guest.and_then(|node| Some((guest_path(node, diagnostics)?, node)));
    let host = host.and_then(|node| path_in(node, folder, diagnostics));
    let (guest, guest_node) = guest?;
    Some((DirGrant { index, host: host?, guest, mode: mode? }, guest_node))
}

pub(super) fn required<'n>(
    fields: &mut Fields<'n>,
    key: &'static str,
    meaning: &str,
    diagnostics: &mut Diagnostics,
) -> Option<&'n Node> {
    let found = fields.get(key);
    if found.is_none() {
        let message = format!("{} has no `{key}`", fields.subject());
        let error = Diagnostic::error("manifest.missing_key", fields.span(), message);
        diagnostics.push(error.fix(format!("add `{key}:`, {meaning}")));
    }
    found
}

fn dir_as_text(node: &Node, text: &str) -> Diagnostic {
    let mut parts = text.split(':');
    let host = parts.next().filter(|part| !part.is_empty()).unwrap_or("./data");
    let guest = parts.next().filter(|part| part.starts_with('/')).unwrap_or("/data");
    let mode = if matches!(parts.next(), Some("rw" | "read_write")) { "read_write" } else { "read" };
    Diagnostic::error("manifest.type", node.span, "a directory grant is a map, not text")
        .fix(format!("write `{{ host: {host}, guest: {guest}, mode: {mode} }}`"))
}

fn dir_mode(node: &Node, diagnostics: &mut Diagnostics) -> Option<DirMode> {
    let ours = match node.as_text() {
        Some("ro" | "r" | "readonly" | "read-only" | "read_only") => "read",
        Some("rw" | "w" | "write" | "readwrite" | "read-write") => "read_write",
        Some(_) | None => return fields::one_of(node, &MODES, diagnostics),
    };
    let message = format!("`{}` is not one of read, read_write", node.as_text().unwrap_or_default());
    diagnostics.reject(Diagnostic::error("manifest.value", node.span, message).fix(format!("write `mode: {ours}`")))
}

/// A guest path in its one form: absolute, without `.`, `..`, doubled or closing slashes.
fn guest_path(node: &Node, diagnostics: &mut Diagnostics) -> Option<String> {
    let text = fields::text(node, diagnostics)?;
    let mut refuse = |message: String, fix: String| {
        diagnostics.reject(Diagnostic::error("manifest.guest_path", node.span, message).fix(fix))
    };
    if text.chars().any(char::is_control) {
        return refuse("a guest path may not hold control characters".to_owned(), "write `/data`".to_owned());
    }
    if !text.starts_with('/') {
        let rest = text.trim_start_matches("./");
        return refuse(format!("the guest path `{text}` is not absolute"), format!("write `/{rest}`"));
    }
    if text.split('/').any(|step| step == "..") {
        return refuse(format!("the guest path `{text}` holds `..`"), "write the path that is meant".to_owned());
    }
    let steps: Vec<_> = text.split('/').filter(|step| !matches!(*step, "" | ".")).collect();
    Some(format!("/{}", steps.join("/")))
}

/// A path of the host, joined to the folder of the manifest.
pub(super) fn path_in(node: &Node, folder: &Path, diagnostics: &mut Diagnostics) -> Option<PathBuf> {
    let text = fields::text(node, diagnostics)?;
    let mut refuse =
        |message: &str, fix: &str| diagnostics.reject(Diagnostic::error("manifest.path", node.span, message).fix(fix));
    if text.is_empty() {
        return refuse("a path has at least one character", "write `.` for the folder of the manifest");
    }
    if text.chars().any(char::is_control) {
        return refuse("a path may not hold control characters", "remove them");
    }
    if text == "~" || text.starts_with("~/") {
        return refuse("`~` is not filled in here, only a shell does that", "write `${HOME}` in its place");
    }
    Some(join(folder, text))
}

/// Joins a path to a folder and drops the `.` steps, so that `./a` and `a` are one file. `..` stays: what it means
/// depends on links.
pub(super) fn join(folder: &Path, path: impl AsRef<Path>) -> PathBuf {
    let joined = folder.join(path);
    let steps = joined.components().filter(|step| !matches!(step, std::path::Component::CurDir));
    let path: PathBuf = steps.collect();
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
}
