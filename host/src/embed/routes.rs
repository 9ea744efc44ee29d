//! The HTTP API of a scheduler inside another program, for that program's own service.

use std::sync::Arc;

use axum::Router;

use super::{Error, Scheduler};
use crate::api::{
    self,
    access::{
        AccessOptions,
        tokens::{self, Places},
    },
};

impl Scheduler {
    /// The HTTP API of the scheduler, to be merged into the program's own service or nested below a path of it: the routes of
    /// `clockjack up` under `/api/v1`, `/metrics`, `/healthz` and `/readyz`, behind the same door. Who asks shows a token (that
    /// of the user of the program, or one that `clockjack token create` has made), the header `host` has to name this machine
    /// or one of `api: { hosts }`, and pages of others are refused; `api: { tokens, rate }` count, too.
    ///
    /// Where the service is made with `into_make_service_with_connect_info::<SocketAddr>()`, wrong tokens are counted by the
    /// address that they come from; else all of them together. TLS, and how many may be connected, is the program's own.
    ///
    /// Whoever follows events or logs over these routes is connected until the scheduler ends: end it with
    /// [`Scheduler::shutdown`] while the service still drains, and not only after it, as `examples/embedded` does.
    ///
    /// # Errors
    /// When there is no state directory for the token.
    pub fn router(&self) -> Result<Router, Error> {
        let access = &self.ring().access;
        let named = access.tokens.as_deref();
        let places = Places::of(named).ok_or_else(|| {
            Error::NotStarted("there is no state directory for its token; set `HOME` or `XDG_STATE_HOME`".to_owned())
        })?;
        tokens::local(&places.local).map_err(|error| Error::NotStarted(error.to_string()))?;
        let options = AccessOptions { hosts: access.hosts.clone(), tokens: Some(places), rate: access.rate };
        Ok(api::mounted(Arc::clone(&self.ring().api), options, self.ring().carrier.clone()))
    }

    /// The same routes for a program that decides itself who may ask: **they want no token**, and whoever reaches them may do
    /// everything, up to reading the files that the program can read. Put them behind the program's own users. Pages of other
    /// origins are refused all the same, and so is a header `host` that names neither this machine nor one of `api: { hosts }`.
    pub fn router_without_tokens(&self) -> Router {
        let ring = self.ring();
        api::mounted_without_tokens(Arc::clone(&ring.api), ring.access.hosts.clone(), ring.carrier.clone())
    }

    #[cfg(test)]
    pub(crate) fn carrier(&self) -> api::Carrier {
        self.ring().carrier.clone()
    }

    /// What the routes reach the scheduler through.
    #[cfg(test)]
    pub(crate) fn api(&self) -> Arc<api::Api> {
        Arc::clone(&self.ring().api)
    }
}
