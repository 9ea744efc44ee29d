//! Reading `api: …`: where the host listens, under which names, and what it asks of those who come.

use std::{net::SocketAddr, num::NonZeroU32, path::Path};

use super::{
    fields::{self, Fields},
    foreign::{self, Place},
    grants,
    node::{Entry, Node, Value},
    resolved::{ApiSettings, Listen, Rate, TlsFiles},
};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Most addresses that a host listens on, and most names that it goes by.
const LISTEN_MAX: usize = 16;
const HOSTS_MAX: usize = 64;

/// Longest name of a host: as long as a name can be in DNS.
const HOST_BYTES_MAX: usize = 253;

/// Highest rate that can be asked for.
const RATE_MAX: u32 = 1_000_000;

/// Reads the map under the key. `folder` is where its relative paths start.
pub(super) fn read(entry: &Entry, folder: &Path, diagnostics: &mut Diagnostics) -> Option<ApiSettings> {
    let mut fields = Fields::open(&entry.value, "`api`", diagnostics)?;
    let listen = fields.get("listen").map(|node| listen(node, diagnostics));
    let hosts = fields.get("hosts").map_or_else(Vec::new, |node| hosts(node, diagnostics));
    let tls = tls(&mut fields, folder, diagnostics);
    let tokens = fields.get("tokens").and_then(|node| grants::path_in(node, folder, diagnostics));
    let rate = rate(&mut fields, diagnostics);
    fields.finish_translated(|key| foreign::answer(Place::Api, key), diagnostics);
    Some(ApiSettings { listen, hosts, tls, tokens, rate, span: Some(entry.key_span) })
}

fn listen(node: &Node, diagnostics: &mut Diagnostics) -> Vec<Listen> {
    let items = node.as_one_or_many();
    too_many(items, "addresses", LISTEN_MAX, diagnostics);
    let read = |item: &Node| {
        if let Value::Int(port) = item.value {
            let error = Diagnostic::error("manifest.type", item.span, "an address is a host and a port");
            return diagnostics.reject(error.fix(format!("write `\"127.0.0.1:{port}\"`")));
        }
        let address = match parse_listen(fields::text(item, diagnostics)?) {
            Ok(address) => address,
            Err(problem) => {
                let error = Diagnostic::error("manifest.value", item.span, problem);
                return diagnostics.reject(error.fix("write `listen: \"127.0.0.1:7878\"`"));
            }
        };
        Some(Listen { address, span: item.span })
    };
    items.iter().filter_map(read).collect()
}

/// The address that a text names: of an interface of this machine, with its port. Port 0 is any free one.
///
/// # Errors
/// When it names none; the message says why.
pub fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let number = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    number.parse().map_err(|_not_an_address| format!("`{text}` is not an address of this machine with a port"))
}

fn hosts(node: &Node, diagnostics: &mut Diagnostics) -> Vec<String> {
    let items = node.as_one_or_many();
    too_many(items, "names", HOSTS_MAX, diagnostics);
    let read = |item: &Node| {
        let name = fields::text(item, diagnostics)?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '[' | ']');
        let is_name = !name.is_empty() && name.len() <= HOST_BYTES_MAX && name.chars().all(is_plain);
        let has_port = name.matches(':').count() == 1;
        if is_name && !has_port {
            return Some(name.to_ascii_lowercase());
        }
        let message = format!("`{}` is not the name of a host", name.chars().take(HOST_BYTES_MAX).collect::<String>());
        let error = Diagnostic::error("manifest.value", item.span, message);
        diagnostics.reject(error.fix("write it as it stands in the address, without scheme and port: `jobs.acme.dev`"))
    };
    items.iter().filter_map(read).collect()
}

fn too_many(items: &[Node], what: &str, most: usize, diagnostics: &mut Diagnostics) {
    if let Some(first) = items.get(most) {
        let message = format!("more than {most} {what}");
        diagnostics.push(Diagnostic::error("manifest.range", first.span, message));
    }
}

fn tls(fields: &mut Fields<'_>, folder: &Path, diagnostics: &mut Diagnostics) -> Option<TlsFiles> {
    let mut fields = fields.open_inner("tls", diagnostics)?;
    let cert = fields.get("cert").map(|node| grants::path_in(node, folder, diagnostics));
    let key = fields.get("key").map(|node| grants::path_in(node, folder, diagnostics));
    let span = fields.span();
    fields.finish_translated(|key| foreign::answer(Place::Tls, key), diagnostics);
    let (Some(cert), Some(key)) = (cert, key) else {
        let error = Diagnostic::error("manifest.missing_key", span, "`tls` has a `cert` and its `key`");
        return diagnostics.reject(error.fix("write `tls: { cert: ./cert.pem, key: ./key.pem }`"));
    };
    Some(TlsFiles { cert: cert?, key: key?, span })
}

fn rate(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Rate {
    let mut rate = Rate::default();
    let Some(mut fields) = fields.open_inner("rate", diagnostics) else { return rate };
    for (key, place) in [("requests", &mut rate.requests), ("burst", &mut rate.burst), ("failures", &mut rate.failures)]
    {
        let read = fields.get(key).and_then(|node| fields::integer(node, 1..=RATE_MAX, diagnostics));
        *place = read.and_then(NonZeroU32::new).unwrap_or(*place);
    }
    fields.finish_translated(|key| foreign::answer(Place::Rate, key), diagnostics);
    rate
}
