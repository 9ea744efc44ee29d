//! The sandbox of the targets that run guests, and one attempt in it.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use chrono::DateTime;
use clockjack_sandbox::{Call, CompileSettings, EngineSettings, Facts, Sandbox};
use clockjack_schedule::{
    id::{JobId, RunId},
    job::Limits,
    ports::{Attempt, Report},
    run::{Cause, Run},
};
use tokio::runtime::{Builder, Runtime};

/// One for all inputs.
pub(crate) static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| {
    Sandbox::new(EngineSettings {
        n_slots: 2,
        memory_bytes_max: 64 << 20,
        table_elements_max: 100_000,
        scratch: std::env::temp_dir(),
        compile: CompileSettings::default(),
    })
    .expect("an engine can be set up")
});

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_all().build().expect("a runtime can be made"));

/// Bounds that any input meets soon.
pub(crate) fn small() -> Limits {
    Limits {
        timeout: Duration::from_secs(5),
        cpu_time: Duration::from_millis(20),
        memory_bytes_max: 8 << 20,
        table_elements_max: 10_000,
        ..Limits::default()
    }
}

/// Runs a call once, to its end.
pub(crate) fn run(call: &Call) -> Report {
    let job: JobId = "fuzz".parse().expect("a name");
    let slot = DateTime::from_timestamp(1_800_000_000, 0).expect("an instant");
    let (id, cause, payload) = (RunId::of_slot(&job, slot), Cause::Schedule, None);
    let run = Run { id, job, scheduled_for: slot, due_at: slot, cause, payload };
    let attempt = Attempt::only(Arc::new(run), slot);
    let facts = Facts { attempt, zone: "UTC".into(), labels: Arc::new(BTreeMap::new()), is_traced: false };
    RUNTIME.block_on(SANDBOX.run(call, facts))
}
