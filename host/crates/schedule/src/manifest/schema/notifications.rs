//! The schema of `notifications`, and of a job's `notify`.

use serde_json::{Value as Json, json};

use super::{described, key, map_of, object, one_or_many, reference, text, words};
use crate::notify::Occasion;

/// One channel.
pub(super) fn channel() -> Json {
    let secret = || object([("secret", described("A name from `secrets:`.", text()))], &["secret"]);
    let webhook = object(
        [
            ("url", described("Whom it is sent to.", json!({ "anyOf": [text(), secret()] }))),
            ("secret", key("The key that signs it: a name from `secrets:`.", text())),
            (
                "headers",
                key("Further headers: text, or `{ secret: NAME }`.", map_of(json!({ "anyOf": [text(), secret()] }))),
            ),
        ],
        &["url"],
    );
    let address = object([("url", key("The URL.", text())), ("secret", key("A secret that is the URL.", text()))], &[]);
    let mut channel = object(
        [
            (
                "webhook",
                key("A POST with JSON: a URL, or a map with it.", json!({ "anyOf": [text(), secret(), webhook] })),
            ),
            ("healthchecks", key("Pings: a URL, or `{ secret: NAME }`.", json!({ "anyOf": [text(), address] }))),
            (
                "command",
                key(
                    "A program of this machine, which gets the JSON on stdin. It runs in the manifest's folder.",
                    one_or_many(text()),
                ),
            ),
            ("on", key("What it tells of.", reference("on"))),
            ("timeout", key("How long one delivery may take, at most `10m`.", reference("duration"))),
            ("private", key("Whether its host may have a private address.", json!({ "type": "boolean" }))),
        ],
        &[],
    );
    channel["oneOf"] = json!(["webhook", "healthchecks", "command"].map(|kind| json!({ "required": [kind] })));
    channel
}

/// What is told of.
pub(super) fn on() -> Json {
    let words = words(&Occasion::ALL.map(Occasion::as_str));
    let values = object(
        [
            ("failures", key("Once, when so many runs have failed one after the other.", super::whole(1, 1_000))),
            ("late", key("When a run begins later than this.", reference("duration"))),
            ("too_long", key("When a run goes on for longer than this.", reference("duration"))),
        ],
        &[],
    );
    one_or_many(json!({ "anyOf": [words, values] }))
}

/// The value of `notify`.
pub(super) fn notify() -> Json {
    let narrowed = object([("on", key("What is told there.", reference("on")))], &[]);
    json!({ "anyOf": [one_or_many(text()), map_of(json!({ "anyOf": [narrowed, { "type": "null" }] }))] })
}
