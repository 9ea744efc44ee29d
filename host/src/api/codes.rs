//! Every code that a problem may have, for the table of the documentation.

/// The codes, each with its status and when it comes. Those that begin with `load.` are those of runs as well.
pub(super) const CODES: &[(&str, &str, &str)] = &[
    ("access.failures", "429", "too many wrong tokens from this address"),
    ("access.host", "421", "the name in `host` is not one of this host"),
    ("access.origin", "403", "a page of another site sent it"),
    ("access.rate", "429", "more requests than `api.rate` allows"),
    ("access.role", "403", "the token's role is not enough"),
    ("access.token", "401", "no token, or none that counts"),
    ("access.token_in_query", "400", "a token stands in the address: revoke it"),
    ("args.invalid", "422", "`args` do not fit the function"),
    ("attempt.unknown", "404", "nothing is kept of that attempt"),
    ("backfill.busy", "429", "too many backfills go on"),
    ("backfill.ended", "409", "it has ended, and cannot be cancelled"),
    ("backfill.invalid", "422", "`from`, `to`, `max` or `at_once` cannot be used"),
    ("backfill.range", "422", "no slot, too many slots, or a job without a grid"),
    ("backfill.unknown", "404", "there is no such backfill"),
    ("condition.no_tag", "412", "`If-Match` cannot hold: what the route is about has no tag"),
    ("events.bad_id", "400", "`Last-Event-ID` is no number"),
    ("events.too_many", "503", "32 readers follow already"),
    ("events.too_slow", "–", "the last frame of a stream whose reader did not keep up"),
    ("events.unknown_type", "400", "no event has that type"),
    ("host.busy", "503", "too many connections, or the ledger does not keep what was asked within 10 s"),
    ("host.fault", "500", "a fault of Clockjack"),
    ("host.needs_restart", "409", "it takes a restart"),
    ("host.stopping", "503", "the host ends; what only reads is still answered"),
    ("idempotency.answer_gone", "409", "it was carried out; its answer is not kept"),
    ("idempotency.busy", "409", "the first request with this key is still at work"),
    ("idempotency.invalid", "400", "a key has 1 to 256 bytes"),
    (
        "idempotency.mismatch",
        "422",
        "the key stands for another request, or `key` for a run with another `payload` or other `args`",
    ),
    ("import.invalid", "422", "what was sent is no manifest of jobs"),
    ("import.plugin_missing", "422", "the jobs need plugins that this host does not have; `detail` names them"),
    ("instant.invalid", "422", "a time that is not RFC 3339, or not of the years 1 to 9999"),
    ("job.changed", "412", "`If-Match` or `If-None-Match` does not hold; `etag` is the tag of now"),
    ("job.exists", "409", "there is a job of that id"),
    ("job.in_manifest", "409", "it stands in a file, and is changed there"),
    ("job.invalid", "422", "`findings` say what is wrong"),
    ("job.needed", "409", "something else would not fit any more"),
    ("job.unknown", "404", "there is no such job"),
    ("key.invalid", "422", "`key` of a run is empty or too long"),
    ("ledger.unavailable", "503", "the ledger cannot be read or written"),
    ("load.digest", "422", "the upload has another SHA-256 than it was said to have"),
    ("method.not_allowed", "405", "`allow` names the methods of the route"),
    ("pause.invalid", "422", "the note is too long, or `until` is past"),
    ("payload.invalid", "422", "`payload` is larger than 64 KiB"),
    ("plugin.denied", "409", "plugins of this host have to be signed"),
    ("plugin.in_manifest", "409", "it is a file of a manifest"),
    ("plugin.in_use", "409", "jobs use it"),
    ("plugin.invalid", "422", "that is no name of a plugin"),
    ("plugin.no_place", "409", "the host keeps nothing, or its folder cannot be written"),
    ("plugin.no_such_generation", "409", "there is nothing to go back to"),
    ("plugin.not_held", "409", "no file waits for approval, or another one does"),
    ("plugin.refused", "409", "the code does not fit its jobs"),
    ("plugin.unknown", "404", "there is no such plugin"),
    ("pool.unknown", "404", "there is no such pool"),
    ("query.invalid", "400", "a parameter is unknown, repeated or wrong"),
    ("request.head_too_large", "431", "the head of the request has more than 16 KiB"),
    ("request.host", "400", "`host` is no name of a host, with or without a port"),
    ("request.invalid", "400", "the body or a header cannot be used: a key that stands twice, for instance"),
    ("request.malformed", "400", "it is not HTTP/1.1 as RFC 9112 has it: no `host`, or two, for instance"),
    ("request.media_type", "415", "the body is not said to be JSON (or a component)"),
    ("request.slow", "408", "head or body did not come in time"),
    ("request.too_large", "413", "the body is too large"),
    ("request.uri_too_long", "414", "the first line has more than 8 KiB"),
    ("resume.invalid", "422", "`from` is not `now`, `last` or an instant"),
    ("route.unknown", "404", "there is no such route"),
    ("run.ended", "409", "it has ended, and cannot be cancelled"),
    ("run.going", "409", "it goes on, and cannot be retried"),
    ("run.skipped", "409", "the job does not run now: overlapping, paused, …"),
    ("run.unknown", "404", "there is no such run, or it is kept no more"),
    ("shutdown.invalid", "422", "`deadline` cannot be used, or stands beside `wait: false`"),
    ("trigger.invalid", "422", "the trigger cannot be read, or not so many slots be told"),
];

/// Whether a code is among them.
pub(super) fn is_known(code: &str) -> bool {
    code.starts_with("load.") || CODES.iter().any(|(known, ..)| *known == code)
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        path::{Path, PathBuf},
    };

    use super::*;

    /// What stands between quotes and looks like a code of one of these families, in the files below some folders.
    fn written(folders: &[&str], families: &BTreeSet<&str>) -> BTreeSet<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut left: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
        let mut found = BTreeSet::new();
        while let Some(path) = left.pop() {
            if path.ends_with("tests") || path.ends_with("tests.rs") || path.ends_with("codes.rs") {
                continue;
            }
            if path.is_dir() {
                left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            let is_code = |word: &&str| {
                let parts = word.split_once('.');
                let is_plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                parts.is_some_and(|(family, rest)| families.contains(family) && !rest.is_empty() && is_plain(rest))
            };
            found.extend(text.split('"').filter(is_code).map(ToOwned::to_owned));
        }
        found
    }

    #[test]
    fn every_code_stands_in_the_table_and_is_told_somewhere() {
        let families: BTreeSet<_> = CODES.iter().filter_map(|(code, ..)| code.split('.').next()).collect();
        let written = written(&["api", "hot"], &families);
        // What is said of a manifest beside an answer has its own list.
        let findings = include_str!("../../crates/schedule/src/manifest/codes.md");
        let is_finding = |code: &str| findings.contains(&format!("`{code}`"));
        let missing: Vec<_> = written.iter().filter(|code| !is_known(code) && !is_finding(code)).collect();
        assert!(missing.is_empty(), "say in `CODES` when these come: {missing:?}");
        let untold: Vec<_> = CODES.iter().filter(|(code, ..)| !written.contains(*code)).collect();
        assert!(untold.is_empty(), "nothing tells these any more: {untold:?}");
        assert!(CODES.is_sorted());
    }

    /// The table in `docs/api.md`: `UPDATE_EXPECT=1` writes it anew.
    #[test]
    fn the_table_of_the_documentation_is_this_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api.md");
        let page = fs::read_to_string(&path).unwrap();
        let (before, rest) = page.split_once("| Code | Status | When |\n|---|---|---|\n").unwrap();
        let (_, after) = rest.split_once("\n\n").unwrap();
        let rows: Vec<_> =
            CODES.iter().map(|(code, status, when)| format!("| `{code}` | {status} | {when} |")).collect();
        let expected = format!("{before}| Code | Status | When |\n|---|---|---|\n{}\n\n{after}", rows.join("\n"));
        expect_test::expect_file![path].assert_eq(&expected);
    }
}
