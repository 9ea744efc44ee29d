//! The sockets of WASI behind the rules of `grants.network`: connections go out to what is granted, and none come in.

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError},
};

use clockjack_schedule::egress::{Endpoint, Host};
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi::{
    p2::{
        SocketResult, TcpSocket, UdpSocket,
        bindings::sockets::{
            network::{ErrorCode, IpAddressFamily},
            tcp_create_socket::Host as _,
            udp_create_socket::Host as _,
        },
    },
    sockets::{SocketAddrUse, WasiSocketsView as _},
};

use super::Network;
use crate::attempt::GuestState;

/// Which sockets a job asks for.
#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Udp,
}

impl Kind {
    fn key(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Sockets are made as WASI makes them; only where none are granted, the refusal is remembered.
pub(super) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.instance("wasi:sockets/tcp-create-socket@0.2.12")?.func_wrap(
        "create-tcp-socket",
        |mut store: StoreContextMut<'_, GuestState>, (family,): (IpAddressFamily,)| {
            let state = store.data_mut();
            if !state.network().grants_any(Kind::Tcp) {
                return Ok((Err(ErrorCode::AccessDenied),));
            }
            Ok((told::<TcpSocket>(state.sockets().create_tcp_socket(family))?,))
        },
    )?;
    linker.instance("wasi:sockets/udp-create-socket@0.2.12")?.func_wrap_async(
        "create-udp-socket",
        |mut store: StoreContextMut<'_, GuestState>, (family,): (IpAddressFamily,)| {
            Box::new(async move {
                let state = store.data_mut();
                if !state.network().grants_any(Kind::Udp) {
                    return Ok((Err(ErrorCode::AccessDenied),));
                }
                let made = state.sockets().create_udp_socket(family).await;
                Ok((told::<UdpSocket>(made)?,))
            })
        },
    )
}

fn told<T>(made: SocketResult<Resource<T>>) -> wasmtime::Result<Result<Resource<T>, ErrorCode>> {
    match made {
        Ok(socket) => Ok(Ok(socket)),
        Err(error) => Ok(Err(error.downcast()?)),
    }
}

impl Network {
    fn rules(&self, kind: Kind) -> &[Endpoint] {
        let grants = self.grants.as_ref();
        grants.map_or(&[], |grants| match kind {
            Kind::Tcp => &grants.tcp,
            Kind::Udp => &grants.udp,
        })
    }

    fn grants_any(&self, kind: Kind) -> bool {
        let has_any = !self.rules(kind).is_empty();
        if !has_any {
            let key = kind.key();
            self.refuse(|| {
                format!(
                    "a {} socket was refused: the job has no `grants.network.{key}`; to allow it, add \
                     `grants.network.{key}: [\"HOST:PORT\"]`",
                    key.to_uppercase()
                )
            });
        }
        has_any
    }

    /// Whether a socket may be used like this.
    pub(super) fn permits(self: &Arc<Self>, address: SocketAddr, usage: SocketAddrUse) -> bool {
        match usage {
            // What the system chooses for a socket that connects or sends.
            SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => {
                let is_implicit = address.ip().is_unspecified() && address.port() == 0;
                if !is_implicit {
                    self.refuse(|| format!("binding to `{address}` was refused: a job takes no connections"));
                }
                is_implicit
            }
            SocketAddrUse::TcpListen => {
                self.refuse(|| {
                    "listening was refused: a job takes no connections, and no grant changes that".to_owned()
                });
                false
            }
            SocketAddrUse::TcpAccept => false,
            SocketAddrUse::TcpConnect => self.may_reach(Kind::Tcp, address),
            SocketAddrUse::UdpSend => self.may_reach(Kind::Udp, address),
            // Nobody asked for it, so it is no refusal.
            SocketAddrUse::UdpReceive => self.covers(Kind::Udp, address),
        }
    }

    fn may_reach(&self, kind: Kind, address: SocketAddr) -> bool {
        let is_covered = self.covers(kind, address);
        if !is_covered {
            let key = kind.key();
            self.refuse(|| {
                format!(
                    "the connection to `{key}://{address}` was refused: no entry of `grants.network.{key}` covers it; to \
                     allow it, add `grants.network.{key}: [\"{address}\"]`"
                )
            });
        }
        is_covered
    }

    fn covers(&self, kind: Kind, address: SocketAddr) -> bool {
        let known = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let ip = address.ip().to_canonical();
        let names = || known.iter().filter(|(known, _)| *known == ip).map(|(_, name): &(_, Host)| name);
        self.rules(kind).iter().any(|rule| rule.permits(address, names()))
    }
}
