//! A web service with the scheduler in its own process: its jobs, its routes and its events in one program.
//!
//! `cargo run -p clockjack --example embedded`, then look at `http://127.0.0.1:8086/jobs`.

#![expect(clippy::print_stdout, reason = "the program says where it listens")]

mod jobs;
mod routes;
#[cfg(test)]
mod tests;

use std::{env, error::Error, net::SocketAddr, path::PathBuf, time::Duration};

use clockjack::{Builder, Scheduler};
use tokio::{net::TcpListener, sync::oneshot};

/// How long runs may go on when the service stops.
const GRACE: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    // Before anything else: components are compiled in a child process, which is this program again.
    clockjack::child_process();
    tokio::runtime::Runtime::new()?.block_on(async {
        let scheduler = builder().start().await?;
        let listener = TcpListener::bind("127.0.0.1:8086").await?;
        println!("listening on http://{}", listener.local_addr()?);
        let stop = async {
            drop(tokio::signal::ctrl_c().await);
        };
        serve(listener, scheduler, stop).await
    })
}

/// The scheduler with the jobs that are there from the start. With `sqlite:state.db` as its argument its history stays.
fn builder() -> Builder {
    let ledger = env::args().nth(1).filter(|arg| arg.starts_with("sqlite:")).unwrap_or_else(|| "memory:".to_owned());
    let quickstart = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart");
    Scheduler::builder()
        .ledger(ledger)
        .timezone("Europe/Berlin")
        .folder(quickstart)
        .job(jobs::report())
        .job(jobs::heartbeat())
}

/// Serves until it is told to stop, and then lets the scheduler end in good order.
async fn serve(
    listener: TcpListener,
    scheduler: Scheduler,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    let service = routes::service(&scheduler)?.into_make_service_with_connect_info::<SocketAddr>();
    let (stopping, stopped) = oneshot::channel::<()>();
    let served = axum::serve(listener, service).with_graceful_shutdown(async { drop(stopped.await) });
    // Beside the service, for who follows events over it is there until the scheduler has ended.
    let ended = async {
        stop.await;
        drop(stopping);
        scheduler.shutdown(GRACE).await
    };
    let (served, ended) = tokio::join!(served.into_future(), ended);
    served?;
    let summary = ended?;
    let n_runs: u64 = summary.runs.values().flat_map(|outcomes| outcomes.values()).sum();
    println!("stopped after {n_runs} runs");
    Ok(())
}
