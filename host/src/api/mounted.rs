//! The routes inside the service of another program, which has the scheduler in its own process.
//!
//! The program has the listener and its limits; every request passes the door here, too.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{Extensions, Request},
    routing::any,
};

use super::{
    access::{
        Access, AccessOptions,
        door::{Door, Peer},
    },
    router::{Api, router},
};

/// What the routes are below. They are named one by one, so that the program may have any others beside them.
const PATHS: [&str; 4] = ["/api/v1/{*rest}", "/metrics", "/healthz", "/readyz"];

/// All routes, for whoever shows a token.
pub fn mounted(api: Arc<Api>, access: AccessOptions) -> Router {
    mount(Door::new(router(api), Arc::new(Access::new(access))), network)
}

/// All routes, for whoever the program lets in.
pub fn mounted_without_tokens(api: Arc<Api>) -> Router {
    mount(Door::new(router(api), Arc::new(Access::new(AccessOptions::default()))), |_| Peer::Program)
}

fn mount(door: Door, peer: fn(&Extensions) -> Peer) -> Router {
    let answer = move |request: Request<Body>| {
        let door = door.clone();
        async move {
            let (mut parts, body) = request.into_parts();
            // What the program's own router found in the path is no part of what the routes find in it.
            let peer = peer(&std::mem::take(&mut parts.extensions));
            let Ok::<_, Infallible>(response) = door.answer(Request::from_parts(parts, body), peer).await;
            response
        }
    };
    PATHS.into_iter().fold(Router::new(), |mounted, path| mounted.route(path, any(answer.clone())))
}

/// From where somebody asks, as far as the program's service tells. To which address is not known here: the names of this
/// machine are those that always mean it, and those that the manifest has.
fn network(told: &Extensions) -> Peer {
    let unknown = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let from = told.get::<ConnectInfo<SocketAddr>>().map_or(unknown, |ConnectInfo(from)| *from);
    Peer::Network { from, to: IpAddr::V4(Ipv4Addr::LOCALHOST), is_tls: false }
}

#[cfg(test)]
mod tests {
    use axum::http::{StatusCode, header};
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;
    use serde_json::Value as Json;

    use super::*;
    use crate::embed::{Job, Scheduler};

    async fn ask(routes: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> (StatusCode, Json) {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
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
            let page = [("origin", "https://elsewhere.example")];
            assert_eq!(ask(&routes, "POST", &path("/api/v1/jobs/a/pause"), &page).await.0, StatusCode::FORBIDDEN);
            assert_eq!(ask(&routes, "GET", "/own", &[]).await.0, StatusCode::OK);
            assert_eq!(ask(&routes, "GET", "/other", &[]).await.0, StatusCode::IM_A_TEAPOT);
        }
        for (routes, below) in within(mounted(scheduler.api(), AccessOptions::default())) {
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
