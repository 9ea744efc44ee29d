//! From the name of a host to a connection with one of its addresses.
//!
//! The name is looked up once; the addresses that may not be used are left out, and the connection goes to one of the
//! others as a number. A name that means something else a moment later leads nowhere else.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use clockjack_schedule::{
    egress::{Host, Scheme, vetted},
    id::JobId,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Semaphore,
};
use wasmtime_wasi_http::Error;

use super::{Network, client::Destination, tls};

/// Most addresses of one host that are tried.
const TRIES_MAX: usize = 4;

/// Most look-ups of the whole host at once. Each holds a thread until the system's resolver gives up, and guests' files
/// need those threads, too.
static LOOKUPS: Semaphore = Semaphore::const_new(32);

/// Most of them for one job: names of its own choice may take the resolver long, and it cannot be stopped.
const LOOKUPS_OF_A_JOB_MAX: usize = 4;

/// The jobs that look something up now.
static LOOKING_UP: Mutex<BTreeMap<JobId, Weak<Semaphore>>> = Mutex::new(BTreeMap::new());

/// Looks names up.
pub(crate) trait Resolve: Send + Sync {
    /// Every address of a name.
    fn resolve(&self, name: &str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;
}

/// A connection that HTTP can be spoken on.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Opens a connection, with TLS where the URL says so.
pub(super) async fn open(network: &Arc<Network>, to: &Destination) -> Result<Box<dyn Wire>, Error> {
    let host = &to.authority.host;
    let found = network.addresses_of(host).await.map_err(|_unknown| Error::DnsError {
        rcode: Some("the name of the host was not found".to_owned()),
        info_code: None,
    })?;
    let fit = vetted(found.iter().copied(), to.private);
    if fit.is_empty() {
        network.refuse(|| {
            let address = found.first().map_or_else(|| "no address".to_owned(), IpAddr::to_string);
            format!(
                "the request `{}` was refused: `{host}` stands for {address}, which is no public address; if the job may \
                 reach it, add `private: true` to its entry in `grants.http`",
                to.told
            )
        });
        return Err(Error::DestinationIpProhibited);
    }
    let stream = first_that_answers(&fit, to.port).await.map_err(|error| connect_error(&error))?;
    match to.scheme {
        Scheme::Http => Ok(Box::new(stream)),
        Scheme::Https => Ok(Box::new(tls::over(stream, host).await?)),
    }
}

pub(super) async fn first_that_answers(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let mut refused = None;
    for address in addresses.iter().take(TRIES_MAX) {
        match TcpStream::connect(SocketAddr::new(*address, port)).await {
            Ok(stream) => {
                // Requests are written whole; waiting to fill packets would only delay them.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| ErrorKind::AddrNotAvailable.into()))
}

fn connect_error(error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        ErrorKind::TimedOut => Error::ConnectionTimeout,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => Error::ConnectionTerminated,
        _ => Error::DestinationUnavailable,
    }
}

impl Network {
    /// Every address of a host.
    pub(super) async fn addresses_of(&self, host: &Host) -> io::Result<Vec<IpAddr>> {
        let name = match host {
            Host::Address(address) => return Ok(vec![*address]),
            Host::Name(name) => name,
        };
        match &self.resolver {
            Some(resolver) => resolver.resolve(name).await,
            None => system_addresses(&self.job, name.to_string()).await,
        }
    }
}

/// The places for look-ups of a job, which all its attempts share.
fn places_of(job: &JobId) -> Arc<Semaphore> {
    let mut all = LOOKING_UP.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|_, places| 0 < places.strong_count());
    if let Some(places) = all.get(job).and_then(Weak::upgrade) {
        return places;
    }
    let places = Arc::new(Semaphore::new(LOOKUPS_OF_A_JOB_MAX));
    all.insert(job.clone(), Arc::downgrade(&places));
    places
}

async fn system_addresses(job: &JobId, name: String) -> io::Result<Vec<IpAddr>> {
    let own = places_of(job).acquire_owned().await.map_err(io::Error::other)?;
    looked_up(name, own).await
}

/// Every address of a name, as the system has them. What is `held` is until the system has answered.
pub(super) async fn looked_up(name: String, held: impl Send + 'static) -> io::Result<Vec<IpAddr>> {
    let place = LOOKUPS.acquire().await.map_err(io::Error::other)?;
    let found = tokio::task::spawn_blocking(move || {
        // Held also when nobody waits any more.
        let _places = (held, place);
        (name.as_str(), 0).to_socket_addrs().map(Iterator::collect::<Vec<SocketAddr>>)
    });
    let found = found.await.map_err(io::Error::other)??;
    Ok(found.into_iter().map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_of_a_job_share_their_look_ups_and_other_jobs_have_their_own() {
        let (one, other): (JobId, JobId) = ("one".parse().unwrap(), "other".parse().unwrap());
        let held: Vec<_> = (0..LOOKUPS_OF_A_JOB_MAX).map(|_| places_of(&one).try_acquire_owned().unwrap()).collect();
        assert!(places_of(&one).try_acquire_owned().is_err());
        assert!(places_of(&other).try_acquire_owned().is_ok());
        drop(held);
        assert!(places_of(&one).try_acquire_owned().is_ok());
        // Jobs that look nothing up leave nothing behind.
        places_of(&other);
        assert!(!LOOKING_UP.lock().unwrap().contains_key(&one));
    }
}
