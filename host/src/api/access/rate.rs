//! How often somebody may ask, and how often guess.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    time::Duration,
};

use axum::http::{HeaderValue, StatusCode, header};
use clockjack_schedule::manifest::resolved::Rate;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};

use super::super::problem::Problem;

/// Most clients that are kept in mind; beyond, those that have been quiet are forgotten.
const CLIENTS_MAX: usize = 10_000;

/// Counts requests by token, and wrong tokens by address.
pub(super) struct Limits {
    requests: DefaultKeyedRateLimiter<String>,
    failures: DefaultKeyedRateLimiter<IpAddr>,
}

impl Limits {
    pub(super) fn new(rate: Rate) -> Self {
        let one = NonZeroU32::MIN;
        let requests = Quota::per_second(rate.requests).allow_burst(rate.burst);
        let failures = Quota::per_minute(rate.failures).allow_burst(rate.failures.max(one));
        Self { requests: RateLimiter::keyed(requests), failures: RateLimiter::keyed(failures) }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// When it is one too many.
    pub(super) fn ask(&self, caller: &str) -> Result<(), Problem> {
        let caller = caller.to_owned();
        if CLIENTS_MAX < self.requests.len() {
            self.requests.retain_recent();
        }
        self.requests.check_key(&caller).map_err(|until| {
            let wait = until.wait_time_from(self.requests.clock().now());
            too_many("access.rate", "more requests than `api.rate` of the host allows", wait)
        })
    }

    /// Counts a wrong token.
    ///
    /// # Errors
    /// When there were too many.
    pub(super) fn fail(&self, address: IpAddr) -> Result<(), Problem> {
        if CLIENTS_MAX < self.failures.len() {
            self.failures.retain_recent();
        }
        self.failures.check_key(&network_of(address)).map_err(|until| {
            let wait = until.wait_time_from(self.failures.clock().now());
            too_many("access.failures", "too many wrong tokens from this address", wait)
        })
    }
}

/// Who has one address of IPv6 has all of its network.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

fn too_many(code: &'static str, detail: &str, wait: Duration) -> Problem {
    let seconds = wait.as_secs().saturating_add(1);
    let fix = format!("ask again in {seconds}s");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, code, detail, fix).and(header::RETRY_AFTER, HeaderValue::from(seconds))
}
