//! What the second wall costs: an attempt in a warm worker process beside the same attempt in the host's own.
//!
//! Prints one JSON line; its figures belong together. `here_us` and `there_us` are wall time per attempt, one after
//! another, `start_ms` is what the first attempt of a worker takes longer. `--tiny` only shows that it works.

use std::{num::NonZeroU32, path::Path, sync::Arc, time::Duration};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use clockjack::{clock::SystemClock, load};
use clockjack_sandbox::{Call, CompileSettings, Facts, IsolatedPool, Plugin, Sandbox, Workers, serve_worker};
use clockjack_schedule::{
    id::{JobId, PoolName, RunId},
    job::{Arguments, Ceilings, Grants, Limits},
    ports::{Attempt, Clock as _, Report},
    run::{Cause, Run},
};
use serde_json::{Value as Json, json};
use tokio::runtime::Builder;

fn main() -> anyhow::Result<()> {
    let has = |word: &str| std::env::args().any(|arg| arg == word);
    // Workers are this very program.
    if has("guest-worker") {
        return serve_worker().map_err(anyhow::Error::msg);
    }
    let n_attempts = if has("--tiny") { 50 } else { 10_000 };
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests");
    let mut line = json!({ "cores": std::thread::available_parallelism()?.get() });
    for (name, file) in [("empty", "bench-empty.wasm"), ("real", "bench-real.wasm")] {
        line[name] = measure(&guests.join(file), n_attempts)?;
    }
    #[expect(clippy::print_stdout, reason = "the line is what a bench is for")]
    {
        println!("{line}");
    }
    Ok(())
}

fn measure(component: &Path, n_attempts: u32) -> anyhow::Result<Json> {
    let sandbox = load::sandbox_with(&Ceilings::default(), 1, CompileSettings::default())?;
    let plugin = Arc::new(Plugin::load(&sandbox, component, None, false)?);
    let call = Call::prepare(&plugin, Some("run"), &Arguments::None, &Limits::default(), &Grants::default());
    let call = call.map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    let workers = Workers::new(std::env::current_exe()?, std::collections::BTreeMap::new());
    let pool = IsolatedPool { name: PoolName::default(), size: NonZeroU32::MIN };
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let here = || sandbox_run(&sandbox, &call);
    let there = || workers.run(&sandbox, &pool, &call, facts());
    // As guests run: on the threads of the runtime, and not on the one that waits for it.
    runtime.block_on(async {
        time(1, here).await?;
        let here = time(n_attempts, here).await?;
        let first = time(1, there).await?;
        let there = time(n_attempts, there).await?;
        let micros = |time: Duration| (time.as_secs_f64() * 1e8).round() / 100.0;
        Ok(json!({
            "here_us": micros(here),
            "there_us": micros(there),
            "ratio": (there.as_secs_f64() / here.as_secs_f64() * 100.0).round() / 100.0,
            "start_ms": micros(first.saturating_sub(there)) / 1e3,
        }))
    })
}

async fn sandbox_run(sandbox: &Sandbox, call: &Call) -> Report {
    sandbox.run(call, facts()).await
}

/// How long one attempt takes, of so many one after another.
async fn time<F: Future<Output = Report>>(n_attempts: u32, attempt: impl Fn() -> F) -> anyhow::Result<Duration> {
    let began = SystemClock.monotonic();
    for _ in 0..n_attempts {
        let report = attempt().await;
        anyhow::ensure!(report.outcome.code.is_success(), "{}", report.outcome.message);
    }
    Ok(SystemClock.monotonic().saturating_sub(began) / n_attempts)
}

fn facts() -> Facts {
    let now = SystemClock.now();
    let job = "bench".parse::<JobId>().expect("a short word is an id");
    let run = Run {
        id: RunId::of_request(&job, now, 0),
        job,
        scheduled_for: now,
        due_at: now,
        cause: Cause::Manual,
        payload: None,
    };
    let attempt = Attempt::only(Arc::new(run), now);
    Facts { attempt, zone: "UTC".into(), labels: Arc::default(), is_traced: false }
}
