//! Any text as a cron string, a field, an instant, a period, a zone, an exception: it is read or refused, never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "walk.rs"]
mod walk;

fuzz_target!(|text: &str| {
    for key in ["cron", "at", "every", "timezone", "calendar"] {
        walk::read_and_walk(&serde_json::json!({ key: text }).to_string());
    }
    for field in ["year", "month", "day", "week", "day_of_week", "hour", "minute", "second"] {
        walk::read_and_walk(&serde_json::json!({ "cron": { field: text } }).to_string());
    }
    walk::read_and_walk(&serde_json::json!({ "cron": text, "compat": "apscheduler" }).to_string());
    walk::read_and_walk(&serde_json::json!({ "cron": "0 9 * * *", "except": [text] }).to_string());
    walk::read_and_walk(text);
});
