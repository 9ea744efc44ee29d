//! Registries that are away, silent or false. What a real one does is tested from the outside.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

use oci_client::secrets::RegistryAuth;

use super::*;

/// Short enough for a test, long enough for a slow machine that answers at once.
const SHORT: Patience = Patience {
    connect: Duration::from_secs(20),
    silence: Duration::from_secs(20),
    manifest: Duration::from_secs(30),
    layer: Duration::from_secs(30),
};

/// A server that answers each request by its path with a status and a body; `None` never answers.
fn server(answer: impl Fn(&str) -> Option<(u16, Vec<u8>)> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let mut waiting = Vec::new();
        for stream in listener.incoming().map_while(Result::ok) {
            let Some(path) = path(&stream) else { continue };
            match answer(&path) {
                Some((status, body)) => {
                    let head =
                        format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                    // Who asked may have gone.
                    drop((&stream).write_all(head.as_bytes()).and_then(|()| (&stream).write_all(&body)));
                }
                None => waiting.push(stream),
            }
        }
    });
    address
}

fn path(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream.take(8 << 10));
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut line = String::new();
    while reader.read_line(&mut line).ok()? > 2 {
        line.clear();
    }
    first.split(' ').nth(1).map(str::to_owned)
}

fn asked<T>(
    address: &str,
    rest: &str,
    patience: Patience,
    ask: impl AsyncFnOnce(&Registry<'_>) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let reference: OciReference = format!("oci://{address}/a{rest}").parse().unwrap();
    let credentials = Credentials { auth: RegistryAuth::Anonymous, note: "nobody is known".to_owned() };
    let registry = Registry::new(&reference, credentials, patience).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(ask(&registry))
}

/// What comes of asking for a manifest, and whether a kept one may stand in for it.
#[track_caller]
fn told(address: &str, rest: &str) -> (String, bool) {
    let trouble = asked(address, rest, SHORT, async |registry| registry.manifest().await).unwrap_err();
    (format!("{} {}", trouble.error.code, trouble.error.message), trouble.is_unreachable)
}

#[test]
fn a_registry_that_is_away_has_said_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let (message, is_unreachable) = told(&address, ":1");
    assert!(is_unreachable && message.contains(&format!("the registry `{address}` is not reached")), "{message}");
    assert!(message.starts_with("load.unreachable") && message.contains("refused"), "{message}");
}

#[test]
fn a_registry_that_never_answers_is_not_waited_for() {
    let address = server(|_| None);
    let patience = Patience { manifest: Duration::from_millis(300), ..SHORT };
    let trouble = asked(&address, ":1", patience, async |registry| registry.manifest().await).unwrap_err();
    assert!(trouble.is_unreachable && trouble.error.message.contains("no manifest within 300ms"), "{trouble:?}");
    let patience = Patience { silence: Duration::from_millis(200), ..SHORT };
    let trouble = asked(&address, ":1", patience, async |registry| registry.manifest().await).unwrap_err();
    assert!(trouble.is_unreachable && trouble.error.message.contains("does not answer in time"), "{trouble:?}");
}

#[test]
fn only_answers_that_say_nothing_of_the_image_leave_room_for_a_kept_one() {
    let says = |code: &str| format!(r#"{{ "errors": [{{ "code": "{code}", "message": "no" }}] }}"#).into_bytes();
    let cases = [
        (500, Vec::new(), "load.unreachable", "it answers 500", true),
        (503, Vec::new(), "load.unreachable", "it answers 503", true),
        (429, says("TOOMANYREQUESTS"), "load.unreachable", "too many requests", true),
        (401, says("UNAUTHORIZED"), "load.unreachable", "does not let this host read it; nobody is known", false),
        (403, says("DENIED"), "load.unreachable", "does not let this host read it", false),
        (403, b"<html>".to_vec(), "load.unreachable", "does not let this host read it", false),
        (404, says("MANIFEST_UNKNOWN"), "load.not_found", "has no `oci://", false),
        (404, says("NAME_UNKNOWN"), "load.not_found", "has no `oci://", false),
        (404, b"<html>".to_vec(), "load.not_found", "has no `oci://", false),
        (418, b"<html>".to_vec(), "load.unreachable", "it answers 418", false),
        (400, says("ODD"), "load.unreachable", "does not answer as a registry does: no", false),
    ];
    for (status, body, code, words, is_unreachable) in cases {
        let address = server(move |path| match path {
            "/v2/" => Some((200, Vec::new())),
            _ => Some((status, body.clone())),
        });
        let (message, found) = told(&address, ":1");
        assert!(message.starts_with(code) && message.contains(words), "{status}: {message}");
        assert_eq!(found, is_unreachable, "{status}: {message}");
    }
}

#[test]
fn another_image_than_the_one_with_the_digest_is_refused() {
    let address = server(|_| Some((200, b"{}".to_vec())));
    let digest = format!("@sha256:{}", sha256(b"something else"));
    let (message, is_unreachable) = told(&address, &digest);
    assert!(message.starts_with("load.digest") && !is_unreachable, "{message}");
    let right = format!("@sha256:{}", sha256(b"{}"));
    assert_eq!(asked(&address, &right, SHORT, async |registry| registry.manifest().await).unwrap(), b"{}");
}

#[test]
fn a_layer_has_the_bytes_that_its_manifest_names_and_no_more() {
    let address = server(|_| Some((200, b"component".to_vec())));
    let layer = |bytes: &[u8], n_bytes| {
        let layer = Layer { digest: sha256(bytes), n_bytes };
        let got = asked(&address, ":1", SHORT, async |registry| registry.layer(&layer).await);
        got.map_err(|trouble| format!("{} {}", trouble.error.code, trouble.error.message))
    };
    assert_eq!(layer(b"component", 9).unwrap(), b"component");
    let more = layer(b"component", 8).unwrap_err();
    assert!(more.starts_with("load.digest") && more.contains("more bytes"), "{more}");
    let less = layer(b"component", 10).unwrap_err();
    assert!(less.starts_with("load.digest") && less.contains("other bytes"), "{less}");
    let other = layer(b"other", 9).unwrap_err();
    assert!(other.starts_with("load.digest") && other.contains("other bytes"), "{other}");
}

#[test]
fn only_this_machine_is_asked_without_tls() {
    for (text, is_plain) in [("oci://127.0.0.1:5000/a", true), ("oci://[::1]/a", true), ("oci://10.0.0.1/a", false)] {
        let config = config(&text.parse().unwrap(), SHORT);
        assert_eq!(config.protocol == ClientProtocol::Http, is_plain, "{text}");
        assert_eq!(config.no_proxy.is_some(), is_plain, "{text}");
        assert!(!config.accept_invalid_certificates, "{text}");
    }
}
