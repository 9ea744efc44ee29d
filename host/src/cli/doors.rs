//! How a host is reached: its socket, and the addresses that the manifest or the command line name.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use clap::Args;
use clockjack_schedule::{
    diagnostic::{Diagnostic, Diagnostics},
    manifest::{
        parse_listen,
        resolved::{ApiSettings, TlsFiles},
    },
};
use tokio::runtime::Runtime;
use tracing::{error, info, warn};

use crate::api::{
    self, Api, Doors,
    access::{
        AccessOptions,
        tokens::{self, Places},
    },
    socket::{self, Socket},
    tcp::{TcpDoor, Tls},
};

/// Where a host listens when nobody says anything else: whichever host of the machine comes first.
const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7878);

/// The word for no address at all.
const OFF: &str = "off";

/// How the host is reached while it runs.
#[derive(Debug, Args)]
pub(super) struct ControlArgs {
    /// Where the socket is that `clockjack plugins`, `pause`, `run` and others talk to; without it `CLOCKJACK_SOCKET`, else
    /// a place that they find by the manifest.
    #[arg(long, value_name = "PATH", conflicts_with = "no_api")]
    pub(super) socket: Option<PathBuf>,
    /// Where to listen for those who show a token, such as `127.0.0.1:7878`, or `off`; may be repeated. Without it: what
    /// the manifest says under `api.listen`, else `127.0.0.1:7878` where that is free.
    #[arg(long, value_name = "ADDRESS", value_parser = parse, conflicts_with = "no_api")]
    listen: Vec<ListenAt>,
    /// Listen for other machines without TLS: whoever is on the way reads every token.
    #[arg(long)]
    insecure: bool,
    /// Answer nobody: no socket is made, and no address is listened on.
    #[arg(long)]
    pub(super) no_api: bool,
}

/// An address on the command line, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListenAt {
    Off,
    At(SocketAddr),
}

fn parse(text: &str) -> Result<ListenAt, String> {
    if text == OFF { Ok(ListenAt::Off) } else { parse_listen(text).map(ListenAt::At) }
}

/// The addresses to listen on, with whether somebody asked for them.
fn addresses(args: &ControlArgs, settings: &ApiSettings) -> (Vec<SocketAddr>, bool) {
    if !args.listen.is_empty() {
        let at = |listen: &ListenAt| match listen {
            ListenAt::Off => None,
            ListenAt::At(address) => Some(*address),
        };
        return (args.listen.iter().filter_map(at).collect(), true);
    }
    match &settings.listen {
        Some(written) => (written.iter().map(|listen| listen.address).collect(), true),
        None => (vec![DEFAULT], false),
    }
}

/// That nobody else can read along: whoever listens for other machines has a certificate, or says that they know.
pub(super) fn check(args: &ControlArgs, settings: &ApiSettings) -> Diagnostics {
    let mut found = Diagnostics::default();
    if args.no_api {
        return found;
    }
    let (addresses, _) = addresses(args, settings);
    let place = |address: SocketAddr| {
        let written = settings.listen.iter().flatten().find(|listen| listen.address == address);
        written.map(|listen| listen.span).or(settings.span).unwrap_or_default()
    };
    for address in addresses.into_iter().filter(|address| !address.ip().to_canonical().is_loopback()) {
        if settings.tls.is_none() && !args.insecure {
            let message = format!("`{address}` is open to other machines, and without TLS they read every token");
            let error = Diagnostic::error("api.exposed", place(address), message);
            found.push(error.fix(
                "write `api: { tls: { cert: ./cert.pem, key: ./key.pem } }`, listen on `127.0.0.1`, or let a proxy on this \
                 machine do it; `--insecure` listens all the same",
            ));
        }
    }
    found.extend(settings.tls.as_ref().and_then(check_certificate));
    found
}

/// What is wrong with a certificate and its key.
pub(super) fn check_certificate(files: &TlsFiles) -> Option<Diagnostic> {
    if let Err(problem) = Tls::read(files) {
        let error = Diagnostic::error("api.tls", files.span, format!("the certificate cannot be used: {problem}"));
        return Some(error.fix("name PEM files that belong together: the certificate with its chain, and its key"));
    }
    let warning = Diagnostic::warning("api.tls", files.span, Tls::open_key(files)?);
    Some(
        warning.fix(format!(
            "`chmod 600 {}`; who has read it can pass for this host: make a new one",
            files.key.display()
        )),
    )
}

/// Opens all doors of a host. Jobs run without one too.
pub(super) async fn open(
    args: &ControlArgs,
    files: &[PathBuf],
    settings: &ApiSettings,
    api: Api,
    guests: &Runtime,
) -> Option<api::Server> {
    if args.no_api {
        return None;
    }
    let places = Places::of(settings.tokens.as_deref());
    let tcp = listen(args, settings, places.as_ref()).await;
    let socket = match Socket::open(&socket::place(args.socket.as_deref(), files)).await {
        Ok(socket) => {
            info!(socket = %socket.path().display(), "commands talk to this host through its socket");
            Some(socket)
        }
        Err(problem) => {
            warn!(
                "commands cannot talk to this host, and its jobs run all the same: {problem}; name another place with \
                 `--socket PATH`, or `--no-api`"
            );
            None
        }
    };
    if socket.is_none() && tcp.is_empty() {
        return None;
    }
    let access = AccessOptions { hosts: settings.hosts.clone(), tokens: places, rate: settings.rate };
    // Beside the guests and not on the ring: who asks makes no slot late.
    Some(api::serve_all(Doors { socket, tcp, access }, api::router(api), guests.handle()))
}

/// Listens on the addresses, as far as that goes.
async fn listen(args: &ControlArgs, settings: &ApiSettings, places: Option<&Places>) -> Vec<TcpDoor> {
    let (addresses, is_asked_for) = addresses(args, settings);
    if addresses.is_empty() {
        return Vec::new();
    }
    let tell = |problem: String| match is_asked_for {
        true => error!("nobody can reach this host over the network: {problem}"),
        false => info!("this host listens on no address: {problem}"),
    };
    let Some(places) = places else {
        tell("there is no state directory for its token; set `HOME` or `XDG_STATE_HOME`".to_owned());
        return Vec::new();
    };
    if let Err(error) = tokens::local(&places.local) {
        tell(error.to_string());
        return Vec::new();
    }
    let tls = match settings.tls.as_ref().map(Tls::read).transpose() {
        Ok(tls) => tls.map(Arc::new),
        Err(problem) => {
            tell(problem);
            return Vec::new();
        }
    };
    let mut doors = Vec::new();
    for address in addresses {
        match TcpDoor::open(address, tls.clone()).await {
            Ok(door) => {
                let is_open = !address.ip().to_canonical().is_loopback() && tls.is_none();
                if is_open {
                    warn!(%address, "INSECURE: other machines can reach this host without TLS, and read every token");
                }
                info!(url = door.url(), token = %places.local.display(), "listens for those who show a token");
                doors.push(door);
            }
            Err(error) => tell(format!("`{address}` {error}")),
        }
    }
    doors
}
