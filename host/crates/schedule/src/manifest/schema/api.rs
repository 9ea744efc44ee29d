//! The schema of `api`: how the host is reached.

use serde_json::Value as Json;

use super::{described, key, object, one_or_many, text, whole};

pub(super) fn schema() -> Json {
    let rate = || whole(1, 1_000_000);
    let keys =
        [("cert", described("The certificate, as PEM.", text())), ("key", described("Its key, as PEM.", text()))];
    let rates = [
        ("requests", key("Requests a second of one token; default 500.", rate())),
        ("burst", key("How many may come at once; default 1000.", rate())),
        ("failures", key("Wrong tokens a minute from one address; default 5.", rate())),
    ];
    object(
        [
            (
                "listen",
                key("Addresses with their ports; default `127.0.0.1:7878`, `[]` for none.", one_or_many(text())),
            ),
            ("hosts", key("The names under which it is asked for.", one_or_many(text()))),
            ("tls", key("What it proves its names with.", object(keys, &["cert", "key"]))),
            ("tokens", key("The file of the named tokens; default one in the state directory.", text())),
            ("rate", key("How much a client may ask for.", object(rates, &[]))),
        ],
        &[],
    )
}
