//! The jobs of the service: a component in the sandbox, and functions of the program.

use std::time::Duration;

use clockjack::{Context, Job, JobError, JobResult};
use serde_json::json;

/// A component: it sees the folder that it is granted, and nothing else of the machine.
pub(crate) fn report() -> Job {
    let logs = json!({ "host": "./data", "guest": "/logs", "mode": "read" });
    Job::component("report", "./weblog.wasm")
        .call("check-errors")
        .arg("log", "/logs/access.log")
        .arg("max-rate", 0.05)
        .cron("30 2 * * mon-fri")
        .with("misfire_grace", "1h")
        .with("grants", json!({ "dirs": [logs] }))
}

/// A function of the program: it may do whatever the program may.
pub(crate) fn heartbeat() -> Job {
    Job::native("heartbeat", |context| async move {
        context.info("still here");
        Ok(json!({ "last": context.last_success().map(|at| at.to_rfc3339()) }))
    })
    .every(Duration::from_secs(5))
}

/// A function with arguments that are known only while the service runs: one job for each customer that asks for reminders.
pub(crate) fn reminder(customer: &str, every: Duration) -> Job {
    Job::native(format!("reminder-{customer}"), remind)
        .arg("customer", customer)
        .every(every)
        .attempts(3)
        .timeout(Duration::from_secs(30))
        .with("labels", json!({ "kind": "reminder" }))
}

async fn remind(context: Context) -> JobResult {
    let customer = context.args()["customer"].as_str().ok_or_else(|| JobError::permanent("nobody to remind"))?;
    context.progress(0, Some(1), format!("writing to {customer}"));
    tokio::select! {
        // What a real service would wait for.
        () = tokio::time::sleep(Duration::from_millis(20)) => Ok(json!({ "reminded": customer })),
        () = context.cancelled() => Err(JobError::failed("stopped before the letter was sent")),
    }
}
