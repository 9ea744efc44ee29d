//! What an attempt does on the network, and what it is refused.
//!
//! HTTP goes through a client of our own ([`client`]), because three things have to be decided at one place and on the
//! same facts: whether a grant covers the request, which of the addresses of its host may be used, and that the connection
//! goes to one of those and to no other. Sockets are those of WASI behind the same rules ([`sockets`]), and names are
//! looked up by us ([`names`]), so that a connection can be traced to the name that was granted.
//!
//! All of it hangs on the store of the attempt: what is still open when the store goes is closed with it.

mod body;
mod client;
mod connect;
mod names;
mod sender;
mod sockets;
mod tls;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    counts::Counts,
    egress::{Host, HttpRule, NetworkGrants},
    id::JobId,
    job::Grants,
    manifest::scalar::show_size,
    outcome::{Outcome, OutcomeCode},
    ports::LogLine,
};
use tokio::{sync::Semaphore, time::Instant};
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::{WasiCtxBuilder, sockets::SocketAddrUse};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView};

pub(crate) use self::connect::Resolve;
pub use self::sender::{Outgoing, Reply, SendError, send};
use crate::{attempt::GuestState, refusals::Refusals};

/// Largest size of one set of headers as the host holds it, which is somewhat more than they have on the wire.
const HEADER_BYTES_MAX: usize = 16 << 10;

/// Most addresses of names that one attempt may collect.
const ADDRESSES_MAX: usize = 4_096;

/// Longest part of a URL that is shown.
const URL_CHARS_MAX: usize = 300;

/// How much HTTP one attempt may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HttpBounds {
    /// Requests and look-ups of names.
    pub(crate) calls_max: u64,
    /// Bytes of the bodies of all responses.
    pub(crate) bytes_max: u64,
    /// Requests and look-ups at once that wait for their answer; more wait for their turn. What has been answered and is
    /// not read yet is bounded by the resources that a guest may hold.
    pub(crate) parallel_max: usize,
}

/// Requests of one attempt that may wait for their answer at once.
const PARALLEL_MAX: usize = 8;

impl HttpBounds {
    /// Those of a job.
    pub(crate) fn of(counts: &Counts) -> Self {
        Self { calls_max: counts.http_calls_max, bytes_max: counts.http_bytes_max, parallel_max: PARALLEL_MAX }
    }
}

/// A bound of [`HttpBounds`] that was passed: the attempt ends.
#[derive(Clone, Debug)]
pub(crate) struct OverHttp(String);

impl fmt::Display for OverHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OverHttp {}

/// The network of one attempt.
pub(crate) struct Egress {
    network: Arc<Network>,
    http: WasiHttpCtx,
    hooks: client::Hooks,
}

/// What requests and connections that go on share.
pub(crate) struct Network {
    http: Arc<[HttpRule]>,
    grants: Option<Arc<NetworkGrants>>,
    bounds: HttpBounds,
    resolver: Option<Arc<dyn Resolve>>,
    /// Whose.
    job: JobId,
    deadline: Instant,
    /// One for each request or look-up that may go on at once.
    places: Arc<Semaphore>,
    n_calls: AtomicU64,
    n_bytes: AtomicU64,
    over: OnceLock<OverHttp>,
    refusals: Mutex<Refusals>,
    /// What the names that were looked up stand for; only addresses that the grants let it use.
    addresses: Mutex<Vec<(IpAddr, Host)>>,
}

impl Egress {
    /// The network of an attempt that takes at most `timeout`.
    pub(crate) fn new(
        grants: &Grants,
        bounds: HttpBounds,
        timeout: Duration,
        resolver: Option<Arc<dyn Resolve>>,
        job: &JobId,
    ) -> Self {
        let now = Instant::now();
        let network = Arc::new(Network {
            http: Arc::clone(&grants.http),
            grants: grants.network.clone(),
            bounds,
            resolver,
            job: job.clone(),
            // A timeout that ends after the clock does is none.
            deadline: now.checked_add(timeout).unwrap_or(now + Duration::from_secs(24 * 3_600)),
            places: Arc::new(Semaphore::new(bounds.parallel_max)),
            n_calls: AtomicU64::new(0),
            n_bytes: AtomicU64::new(0),
            over: OnceLock::new(),
            refusals: Mutex::default(),
            addresses: Mutex::default(),
        });
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(HEADER_BYTES_MAX);
        Self { hooks: client::Hooks::new(Arc::clone(&network)), network, http }
    }

    /// What outlives a borrow of the store.
    pub(crate) fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// What `wasi:http` works on.
    pub(crate) fn view<'a>(&'a mut self, table: &'a mut ResourceTable) -> WasiHttpCtxView<'a> {
        WasiHttpCtxView { hooks: &mut self.hooks, table, ctx: &mut self.http }
    }
}

impl Network {
    /// Opens what the grants name in the sockets of WASI.
    pub(crate) fn open_sockets(self: &Arc<Self>, wasi: &mut WasiCtxBuilder) {
        let Some(grants) = &self.grants else { return };
        wasi.allow_tcp(!grants.tcp.is_empty()).allow_udp(!grants.udp.is_empty());
        let network = Arc::clone(self);
        wasi.socket_addr_check(move |address: SocketAddr, usage: SocketAddrUse| {
            Box::pin(std::future::ready(network.permits(address, usage)))
        });
    }

    /// How many requests and look-ups there were, and how many bytes came back.
    pub(crate) fn used(&self) -> (u64, u64) {
        (self.n_calls.load(Relaxed), self.n_bytes.load(Relaxed))
    }

    /// Why the attempt has to end, if it has.
    pub(crate) fn over(&self) -> Option<OverHttp> {
        self.over.get().cloned()
    }

    /// The outcome of the attempt, seen from here: a bound that was passed ends it, whatever the guest made of that, and
    /// a failure after a refusal is one because of it.
    pub(crate) fn outcome(&self, outcome: Outcome) -> Outcome {
        let is_its_own = matches!(
            outcome.code,
            OutcomeCode::Succeeded | OutcomeCode::Skipped | OutcomeCode::Failed | OutcomeCode::Trap(_)
        );
        match self.over.get().filter(|_| is_its_own) {
            Some(over) => Outcome::ended(OutcomeCode::HostcallLimit, over.to_string()),
            None => self.refusals.lock().unwrap_or_else(PoisonError::into_inner).outcome(outcome),
        }
    }

    /// What is told of an attempt that succeeded although something was refused to it.
    pub(crate) fn warning(&self, at: DateTime<Utc>) -> Option<LogLine> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).warning(at)
    }

    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn refuse(&self, message: impl FnOnce() -> String) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.note(OutcomeCode::EgressDenied, message);
    }

    /// Counts a request or a look-up; whether there may be one more.
    fn may_call(&self) -> bool {
        let most = self.bounds.calls_max;
        let is_within = self.n_calls.fetch_add(1, Relaxed) < most;
        if !is_within {
            let message = format!("the attempt made more than {most} HTTP requests and look-ups (`limits.http_calls`)");
            self.over.get_or_init(|| OverHttp(message));
        }
        is_within
    }

    /// Counts bytes of a response; whether there may be so many more.
    fn may_receive(&self, n_bytes: usize) -> bool {
        let n_bytes = u64::try_from(n_bytes).unwrap_or(u64::MAX);
        let most = self.bounds.bytes_max;
        let is_within = self.n_bytes.fetch_add(n_bytes, Relaxed).saturating_add(n_bytes) <= most;
        if !is_within {
            let most = show_size(most);
            let message =
                format!("the responses to the attempt were larger than {most} together (`limits.http_bytes`)");
            self.over.get_or_init(|| OverHttp(message));
        }
        is_within
    }

    fn remember(&self, host: &Host, found: &[IpAddr]) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        for address in found {
            let is_new = !addresses.iter().any(|(known, name)| known == address && name == host);
            if is_new && addresses.len() < ADDRESSES_MAX {
                addresses.push((*address, host.clone()));
            }
        }
    }
}

/// Links `wasi:http` without its incoming side, and our own look-ups and sockets over those of WASI.
pub(crate) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    names::add_to_linker(linker)?;
    sockets::add_to_linker(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Texts of a guest as they may be shown: on one line, and not too long.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(URL_CHARS_MAX).collect()
}
