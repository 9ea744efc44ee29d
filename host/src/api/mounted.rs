//! The routes inside the service of another program, which has the scheduler in its own process.
//!
//! The program has the listener and its limits; every request passes the door here, too.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, OriginalUri},
    http::{
        Extensions, HeaderValue, Request, Response, StatusCode,
        header::{HOST, LOCATION, ORIGIN},
        request::Parts,
    },
    response::IntoResponse as _,
    routing::any,
};
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    access::{
        Access, AccessOptions,
        door::{Door, Peer},
    },
    problem::Problem,
    router::{Api, router},
};

/// How long what has been asked may go on when the scheduler ends.
const END_TIME_MAX: Duration = Duration::from_secs(1);

/// What the routes are below. They are named one by one, so that the program may have any others beside them.
const PATHS: [&str; 4] = ["/api/v1/{*rest}", "/metrics", "/healthz", "/readyz"];

/// Carries out what changes something to its end, for the program's service may drop a request with its client.
#[derive(Clone, Debug)]
pub struct Carrier {
    tracker: TaskTracker,
    runtime: Handle,
    give_up: CancellationToken,
}

impl Carrier {
    /// Works on a runtime.
    pub fn new(runtime: Handle) -> Self {
        Self { tracker: TaskTracker::new(), runtime, give_up: CancellationToken::new() }
    }

    /// Answers a request; says none where that is given up.
    async fn answer(&self, door: Door, request: Request<Body>, peer: Peer) -> Option<Response<Body>> {
        let is_read = request.method().is_safe();
        let work = async move {
            let Ok(response) = door.answer(request, peer).await;
            response
        };
        if is_read {
            return Some(work.await);
        }
        let give_up = self.give_up.clone();
        let task = async move { give_up.run_until_cancelled(work).await };
        self.tracker.spawn_on(task, &self.runtime).await.ok().flatten()
    }

    /// Waits for what goes on, and gives up what takes too long: afterwards nothing asks the ledger for anything.
    pub async fn end(self) {
        self.tracker.close();
        if tokio::time::timeout(END_TIME_MAX, self.tracker.wait()).await.is_err() {
            self.give_up.cancel();
            self.tracker.wait().await;
        }
    }
}

/// All routes, for whoever shows a token.
pub fn mounted(api: Arc<Api>, access: AccessOptions, carrier: Carrier) -> Router {
    mount(Door::new(router(api), Arc::new(Access::new(access))), network, carrier)
}

/// All routes, for whoever the program lets in.
pub fn mounted_without_tokens(api: Arc<Api>, hosts: Vec<String>, carrier: Carrier) -> Router {
    let access = AccessOptions { hosts, ..AccessOptions::default() };
    mount(
        Door::new(router(api), Arc::new(Access::new(access))),
        |parts, _| Peer::Program { is_tls: is_of_tls(parts) },
        carrier,
    )
}

fn mount(door: Door, peer: fn(&Parts, &Extensions) -> Peer, carrier: Carrier) -> Router {
    let answer = move |request: Request<Body>| {
        let (door, carrier) = (door.clone(), carrier.clone());
        async move {
            let (mut parts, body) = request.into_parts();
            // What the program's own router found in the path is no part of what the routes find in it.
            let told = std::mem::take(&mut parts.extensions);
            name_host(&mut parts, &told);
            let (peer, below) = (peer(&parts, &told), prefix(&parts, &told));
            match carrier.answer(door, Request::from_parts(parts, body), peer).await {
                Some(response) => placed(response, &below),
                None => {
                    let (detail, fix) = ("the scheduler ends", "ask again when it runs");
                    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "host.stopping", detail, fix).into_response()
                }
            }
        }
    };
    PATHS.into_iter().fold(Router::new(), |mounted, path| mounted.route(path, any(answer.clone())))
}

/// Over HTTP/2 the host is a part of the address, and no header.
fn name_host(parts: &mut Parts, told: &Extensions) {
    if parts.headers.contains_key(HOST) {
        return;
    }
    let original = told.get::<OriginalUri>().map(|OriginalUri(uri)| uri);
    let authority = parts.uri.authority().or_else(|| original.and_then(|uri| uri.authority()));
    if let Some(host) = authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
        parts.headers.insert(HOST, host);
    }
}

/// Below which path of the program the routes are.
fn prefix(parts: &Parts, told: &Extensions) -> String {
    let original = told.get::<OriginalUri>().map(|OriginalUri(uri)| uri.path());
    original.and_then(|path| path.strip_suffix(parts.uri.path())).unwrap_or_default().to_owned()
}

/// The answer as it is meant there: what it says of places begins at the root of the program.
fn placed(mut response: Response<Body>, below: &str) -> Response<Body> {
    let place = response.headers().get(LOCATION).and_then(|place| place.to_str().ok());
    let place = place.filter(|place| !below.is_empty() && place.starts_with('/'));
    if let Some(place) = place.and_then(|place| HeaderValue::from_str(&format!("{below}{place}")).ok()) {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}

/// From where somebody asks, as far as the program's service tells. To which address is not known here: the names of this
/// machine are those that always mean it, and those that the manifest has.
///
/// Whether the service has TLS is not known either: a page of its own may be of either scheme, as long as it is of its host.
fn network(parts: &Parts, told: &Extensions) -> Peer {
    let unknown = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let from = told.get::<ConnectInfo<SocketAddr>>().map_or(unknown, |ConnectInfo(from)| *from);
    Peer::Network { from, to: IpAddr::V4(Ipv4Addr::LOCALHOST), is_tls: is_of_tls(parts) }
}

fn is_of_tls(parts: &Parts) -> bool {
    parts.headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;
    use serde_json::Value as Json;

    use super::*;
    use crate::embed::{Job, Scheduler};

    async fn ask(routes: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> (StatusCode, Json) {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header(HOST, "localhost");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = TowerToHyperService::new(routes.clone()).call(request.body(Body::empty()).unwrap()).await;
        let (head, body) = response.unwrap().into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (head.status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// As a part of somebody else's routes, at their root and below a path.
    fn within(routes: Router) -> [(Router, &'static str); 2] {
        let own =
            || Router::new().route("/own", any(|| async { "own" })).fallback(|| async { StatusCode::IM_A_TEAPOT });
        [(own().merge(routes.clone()), ""), (own().nest("/clock", routes), "/clock")]
    }

    /// The service of the program drops a request whose client has gone; what it asks for is done all the same, and once.
    #[tokio::test]
    async fn what_changes_something_is_carried_out_also_where_nobody_waits_for_it() {
        let n_runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&n_runs);
        let job = Job::native("a", move |_| {
            counted.fetch_add(1, Relaxed);
            async { Ok(Json::Null) }
        });
        let scheduler = Scheduler::builder().ledger("memory:").job(job).start().await.unwrap();
        let routes = scheduler.router_without_tokens();
        let keyed = [("idempotency-key", "once")];
        let mut gone = Box::pin(ask(&routes, "POST", "/api/v1/jobs/a/run", &keyed));
        tokio::select! {
            biased;
            _ = &mut gone => panic!("it is answered at once"),
            () = std::future::ready(()) => drop(gone),
        }
        let again = loop {
            let (status, told) = ask(&routes, "POST", "/api/v1/jobs/a/run", &keyed).await;
            if status != StatusCode::CONFLICT {
                break (status, told);
            }
        };
        assert_eq!(again.0, StatusCode::ACCEPTED, "{}", again.1);
        scheduler.shutdown(Duration::from_secs(60)).await.unwrap();
        assert_eq!(n_runs.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn a_program_mounts_the_routes_and_decides_who_may_ask() {
        let job = Job::native("a", |_| async { Ok(Json::from(1)) });
        let scheduler = Scheduler::builder().ledger("memory:").job(job).start().await.unwrap();
        for (routes, below) in within(scheduler.router_without_tokens()) {
            let path = |path: &str| format!("{below}{path}");
            let (status, job) = ask(&routes, "GET", &path("/api/v1/jobs/a"), &[]).await;
            assert_eq!((status, &job["job"]), (StatusCode::OK, &Json::from("a")), "{job}");
            assert_eq!(ask(&routes, "GET", &path("/metrics"), &[]).await.0, StatusCode::OK);
            let (status, told) = ask(&routes, "GET", &path("/api/v1/jbos"), &[]).await;
            assert_eq!((status, &told["code"]), (StatusCode::NOT_FOUND, &Json::from("route.unknown")));
            // A page that has its own name lead here asks in its own name.
            let rebound = [("host", "elsewhere.example"), ("origin", "http://elsewhere.example")];
            assert_eq!(ask(&routes, "GET", &path("/api/v1/jobs"), &rebound).await.0, StatusCode::MISDIRECTED_REQUEST);
            let page = [("origin", "https://elsewhere.example")];
            assert_eq!(ask(&routes, "POST", &path("/api/v1/jobs/a/pause"), &page).await.0, StatusCode::FORBIDDEN);
            let own = [("origin", "https://localhost")];
            assert_eq!(ask(&routes, "POST", &path("/api/v1/jobs/a/pause"), &own).await.0, StatusCode::OK);
            assert_eq!(ask(&routes, "GET", "/own", &[]).await.0, StatusCode::OK);
            assert_eq!(ask(&routes, "GET", "/other", &[]).await.0, StatusCode::IM_A_TEAPOT);
        }
        for (routes, below) in within(mounted(scheduler.api(), AccessOptions::default(), scheduler.carrier())) {
            let path = |path: &str| format!("{below}{path}");
            assert_eq!(ask(&routes, "GET", &path("/healthz"), &[]).await.0, StatusCode::OK);
            for (headers, code) in [(&[][..], "access.token"), (&[("authorization", "Bearer nobody")], "access.token")]
            {
                let (status, told) = ask(&routes, "GET", &path("/api/v1/jobs"), headers).await;
                assert_eq!((status, &told["code"]), (StatusCode::UNAUTHORIZED, &Json::from(code)), "{told}");
            }
        }
        // Who may ask for its end ends it.
        let (routes, _) = &within(scheduler.router_without_tokens())[0];
        let (status, told) = ask(routes, "POST", "/api/v1/scheduler/shutdown", &[]).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{told}");
        scheduler.ended().await.unwrap();
    }
}
