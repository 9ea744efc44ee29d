//! The share of an attempt where its job changes while the attempt waits for it.

use std::{future::poll_fn, task::Poll};

use clockjack_schedule::ports::{Executor as _, PortFuture};

use super::*;
use crate::SandboxExecutor;

const MIB: u64 = 1 << 20;

async fn waits<T>(future: &mut PortFuture<'static, T>) -> bool {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

#[tokio::test]
async fn a_job_that_is_given_more_while_it_waits_waits_for_more() {
    let plugin = load(&component("(func (export \"run\"))"), false).unwrap();
    let executor = SandboxExecutor::new(SANDBOX.clone()).with_memory(100 * MIB);
    let put = |id: &str, memory_bytes_max: u64| {
        let limits = Limits { memory_bytes_max, ..Limits::default() };
        executor.put_all(vec![prepared(&job(id, limits, Grants::default()), &plugin, 1)]);
    };
    let ask = |job: &str| executor.admit(&job.parse().unwrap(), &Stop::default());
    put("first", 90 * MIB);
    put("second", 60 * MIB);
    put("grows", 20 * MIB);
    let first = ask("first").await;
    let mut second = ask("second");
    let mut grows = ask("grows");
    assert!(waits(&mut second).await && waits(&mut grows).await);
    put("grows", 50 * MIB);
    drop(first);
    let second = second.await;
    // Its 20 MiB would be free, but the 50 that it may have by now are not.
    assert!(waits(&mut grows).await);
    drop(second);
    assert!(grows.await.is_some());
}
