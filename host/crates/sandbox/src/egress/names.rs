//! `wasi:sockets/ip-name-lookup`: only of names that a grant covers, because a name alone can carry what a job should
//! not tell. What a name stands for is remembered, so that a connection can be traced to it.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    vec,
};

use clockjack_schedule::egress::{Host, vetted};
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource, ResourceType},
};
use wasmtime_wasi::{
    WasiView as _,
    p2::{
        self, DynPollable, Pollable,
        bindings::sockets::network::{ErrorCode, IpAddress},
    },
    runtime::AbortOnDropJoinHandle,
};

use super::{Network, shown};
use crate::attempt::GuestState;

const INTERFACE: &str = "wasi:sockets/ip-name-lookup@0.2.12";

type Found = Result<vec::IntoIter<IpAddr>, ErrorCode>;

/// A look-up that goes on, or what came of it.
pub(super) enum Lookup {
    Pending(AbortOnDropJoinHandle<Found>),
    Done(Found),
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lookup {
    async fn ready(&mut self) {
        if let Self::Pending(found) = self {
            *self = Self::Done(found.await);
        }
    }
}

impl Lookup {
    /// The next address, if the look-up is over.
    fn next(&mut self) -> Result<Option<IpAddress>, ErrorCode> {
        if let Self::Pending(found) = self {
            match Pin::new(found).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(found) => *self = Self::Done(found),
                Poll::Pending => return Err(ErrorCode::WouldBlock),
            }
        }
        match self {
            Self::Done(Ok(found)) => Ok(found.next().map(IpAddress::from)),
            Self::Done(Err(error)) => Err(*error),
            Self::Pending(_) => Err(ErrorCode::WouldBlock),
        }
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let mut instance = linker.instance(INTERFACE)?;
    instance.resource("resolve-address-stream", ResourceType::host::<Lookup>(), |mut store, rep| {
        store.data_mut().ctx().table.delete(Resource::<Lookup>::new_own(rep))?;
        Ok(())
    })?;
    instance.func_wrap(
        "resolve-addresses",
        |mut store: StoreContextMut<'_, GuestState>, (network, name): (Resource<p2::Network>, String)| {
            let state = store.data_mut();
            state.ctx().table.get(&network)?;
            Ok((match state.network().lookup(&name) {
                Ok(lookup) => Ok(state.ctx().table.push(lookup)?),
                Err(error) => Err(error),
            },))
        },
    )?;
    instance.func_wrap(
        "[method]resolve-address-stream.resolve-next-address",
        |mut store: StoreContextMut<'_, GuestState>, (lookup,): (Resource<Lookup>,)| {
            Ok((store.data_mut().ctx().table.get_mut(&lookup)?.next(),))
        },
    )?;
    instance.func_wrap(
        "[method]resolve-address-stream.subscribe",
        |mut store: StoreContextMut<'_, GuestState>, (lookup,): (Resource<Lookup>,)| {
            let pollable: Resource<DynPollable> = p2::subscribe(store.data_mut().ctx().table, lookup)?;
            Ok((pollable,))
        },
    )
}

impl Network {
    /// Begins to look a name up. An address stands for itself, and nobody is asked.
    fn lookup(self: &Arc<Self>, name: &str) -> Result<Lookup, ErrorCode> {
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok(Lookup::Done(Ok(vec![address.to_canonical()].into_iter())));
        }
        let host = Host::parse(name).map_err(|fault| {
            self.refuse(|| format!("the look-up of `{}` was refused: {}", shown(name), shown(&fault.to_string())));
            ErrorCode::InvalidArgument
        })?;
        let Some(private) = self.grants.as_ref().and_then(|grants| grants.lookup(&host)) else {
            self.refuse(|| {
                format!(
                    "the look-up of the name `{host}` was refused: no entry of `grants.network` covers it; to allow it, add \
                     `grants.network.dns: [\"{host}\"]`, or an entry with a port under `tcp` to connect as well"
                )
            });
            return Err(ErrorCode::AccessDenied);
        };
        if !self.may_call() {
            return Err(ErrorCode::AccessDenied);
        }
        let network = Arc::clone(self);
        Ok(Lookup::Pending(wasmtime_wasi::runtime::spawn(async move { network.found(&host, private).await })))
    }

    async fn found(&self, host: &Host, private: bool) -> Found {
        let Ok(_place) = self.places.acquire().await else { return Err(ErrorCode::AccessDenied) };
        let found = self.addresses_of(host).await.map_err(|_unknown| ErrorCode::NameUnresolvable)?;
        let fit = vetted(found.iter().copied(), private);
        if fit.is_empty() && !found.is_empty() {
            self.refuse(|| {
                format!(
                    "the look-up of the name `{host}` was refused: it stands for {}, which is no public address; if the job \
                     may reach it, add `private: true` to its entry in `grants.network`",
                    found[0]
                )
            });
            return Err(ErrorCode::AccessDenied);
        }
        self.remember(host, &fit);
        Ok(fit.into_iter())
    }
}
