//! Plugins from registries, against a real one: `oci://` in manifests and on command lines, kept for when it is away, held to
//! digests.

use std::{fs, io::Read as _, net::TcpListener, path::PathBuf, thread};

use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use crate::{
    hosted::{ends, text, wait, wait_next},
    loading::component,
    log::Line,
    program::{Clockjack, clockjack},
    registry::{CONFIG, Registry, WASM},
    scene::Scene,
};

/// A manifest with these lines under `plugins:` and a job of each of these plugins.
fn scene(plugins: &str, jobs: &[&str]) -> Scene {
    let scene = Scene::new();
    let jobs: String =
        jobs.iter().map(|plugin| format!("  of-{plugin}: {{ plugin: {plugin}, every: 1h }}\n")).collect();
    scene.put("clockjack.yaml", format!("version: 1\nplugins:\n{plugins}\njobs:\n{jobs}"));
    scene
}

/// The program with a cache of the scene's own, and nobody's password.
fn program(scene: &Scene, args: &[&str]) -> Clockjack {
    let cache = scene.path("cache");
    clockjack(args).folder(scene.folder()).env("CLOCKJACK_CACHE", cache).env("DOCKER_CONFIG", scene.path("docker"))
}

/// The digest of the component that runs.
#[track_caller]
fn runs(scene: &Scene, reference: &str) -> String {
    let ended = program(scene, &["exec", reference, "run", "-o", "json"]).ends_with(0);
    text(&ended.json(), "digest").to_owned()
}

/// Why one does not.
#[track_caller]
fn refused(scene: &Scene, reference: &str) -> (String, String) {
    let ended = program(scene, &["exec", reference, "run", "-o", "json"]).ends_with(1);
    ended.is_no_crash();
    let error = ended.json()["error"].clone();
    assert!(!text(&error, "fix").is_empty(), "{error:#}");
    (text(&error, "code").to_owned(), text(&error, "message").to_owned())
}

/// What `check` says, and whether all is well.
#[track_caller]
fn check(scene: &Scene, more: &[&str]) -> Json {
    let ended = program(scene, &["check", "-o", "json"]).args(more).end();
    ended.is_no_crash();
    ended.json()
}

fn codes(check: &Json) -> Vec<&str> {
    check["diagnostics"].as_array().into_iter().flatten().map(|finding| text(finding, "code")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Two components that differ.
fn two() -> [Vec<u8>; 2] {
    [component(""), component("(func)")]
}

/// Where the scene's cache keeps some bytes.
fn kept(scene: &Scene, digest: &str) -> PathBuf {
    scene.path("cache/components").join(digest.trim_start_matches("sha256:"))
}

#[test]
fn a_tag_a_digest_and_both_name_a_component() {
    let registry = Registry::start();
    let [bytes, other] = two();
    let (image, _) = (registry.push("acme/tool:1.0", &bytes), registry.push("acme/tool:latest", &other));
    let name = format!("oci://{}/acme/tool", registry.host);
    let scene = scene(&format!("  tool: {name}:1.0\n  pinned: {{ source: \"{name}@{image}\" }}"), &["tool", "pinned"]);
    for reference in [format!("{name}:1.0"), format!("{name}@{image}"), format!("{name}:2.0@{image}")] {
        assert_eq!(runs(&scene, &reference), sha256(&bytes), "{reference}");
    }
    assert_eq!(runs(&scene, &name), sha256(&other), "without both it is `latest`");
    // No proxy of the environment is asked for what is on this machine.
    let proxied = program(&scene, &["exec", &name, "run"]).env("HTTP_PROXY", "http://127.0.0.1:9");
    proxied.env("http_proxy", "http://127.0.0.1:9").ends_with(0);
    let inspected = program(&scene, &["inspect", &format!("{name}:1.0"), "-o", "json"]).ends_with(0).json();
    assert_eq!((text(&inspected, "image"), text(&inspected, "sha256")), (&*image, &*sha256(&bytes)));
    let page = program(&scene, &["inspect", &format!("{name}:1.0")]).ends_with(0).stdout;
    assert!(page.starts_with(&format!("image    {image}\nsha256   {}\n", sha256(&bytes))), "{page}");
    let checked = check(&scene, &[]);
    assert_eq!(checked["ok"], true, "{checked:#}");
    for plugin in ["tool", "pinned"] {
        assert_eq!((text(&checked["images"][plugin], "image")), image);
    }
    let told = program(&scene, &["check"]).ends_with(0).stderr;
    assert!(told.contains(&format!("plugin `tool`: `{name}:1.0` is {image}")), "{told}");
}

#[test]
fn a_job_of_an_image_runs_in_a_host() {
    let registry = Registry::start();
    let [bytes, _] = two();
    registry.push("acme/tool:1", &bytes);
    let reference = format!("oci://{}/acme/tool:1", registry.host);
    let scene = Scene::new();
    scene.put("clockjack.yaml", format!("version: 1\njobs: {{ job: {{ plugin: \"{reference}\", every: 50ms }} }}\n"));
    let args = ["up", "--ledger", "memory:", "--log-format", "json", "--for", "2s"];
    let ended = program(&scene, &args).ends_with(0);
    let lines: Vec<_> = ended.stderr.lines().map(Line::read).collect();
    let pulled = lines.iter().find(|line| line.message == "component taken from an image").expect("it is told");
    assert_eq!((pulled.text("reference"), pulled.text("sha256")), (&*reference, &sha256(&bytes)[..12]));
    assert!(lines.iter().any(|line| line.outcome() == Some("succeeded")), "{}", ended.stderr);
    let job = program(&scene, &["exec", "--job", "job", "-o", "json"]).ends_with(0).json();
    assert_eq!(text(&job, "digest"), sha256(&bytes));
}

/// A host asks again what a tag means when somebody has it look; what it is told is in force like a file that has changed.
#[test]
fn a_host_follows_a_tag_when_it_is_to_look_again() {
    let mut registry = Registry::start();
    let [bytes, other] = two();
    registry.push("acme/tool:1", &bytes);
    let reference = format!("oci://{}/acme/tool:1", registry.host);
    let scene = Scene::new();
    scene.put("clockjack.yaml", format!("version: 1\njobs: {{ job: {{ plugin: \"{reference}\", every: 50ms }} }}\n"));
    let mut host = program(&scene, &["up", "--ledger", "memory:", "--log-format", "json"]).start();
    let runs =
        |generation: f64| move |line: &Line| line.message == "running" && line.number("generation") == Some(generation);
    wait(&mut host, "a run", ends("job"));
    registry.push("acme/tool:1", &other);
    host.signal("HUP");
    wait(&mut host, "a run of what the tag means now", runs(2.0));
    // Without the registry everything goes on as it is.
    registry.stop();
    host.signal("HUP");
    wait(&mut host, "a word of it", |line| line.message.starts_with("what the tag meant last is used"));
    wait_next(&mut host, "a run", runs(2.0));
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
}

#[test]
fn two_plugins_of_one_image_are_pulled_once() {
    let registry = Registry::start();
    let [bytes, _] = two();
    let image = registry.push("acme/tool:1", &bytes);
    let name = format!("oci://{}/acme/tool", registry.host);
    let scene = scene(&format!("  one: {name}:1\n  two: {name}@{image}"), &["one", "two"]);
    assert_eq!(check(&scene, &[])["ok"], true);
    let mut found: Vec<_> = fs::read_dir(scene.path("cache/components"))
        .expect("the folder of components")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a digest"))
        .collect();
    found.sort();
    let mut expected = vec![sha256(&bytes), image.trim_start_matches("sha256:").to_owned()];
    expected.sort();
    assert_eq!(found, expected, "its manifest and its component");
}

#[test]
fn what_is_no_component_is_told_as_what_it_is() {
    let registry = Registry::start();
    let [bytes, other] = two();
    let (container, tar) = ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip");
    registry.push_image("alpine:3", container, &[(tar, b"tar")], |_| {});
    registry.push_image("both:1", CONFIG, &[(WASM, &bytes), (WASM, &other)], |_| {});
    registry.push_image("tar:1", CONFIG, &[(tar, b"tar")], |_| {});
    registry.push("text:1", b"this is no component");
    registry.push_image("large:1", CONFIG, &[(WASM, &bytes)], |manifest| manifest.layers[0].size = (64 << 20) + 1);
    registry.push_image("more:1", CONFIG, &[(WASM, &bytes)], |manifest| manifest.layers[0].size -= 1);
    let scene = scene("", &[]);
    for (name, code, words) in [
        ("alpine:3", "load.invalid", "an image for containers"),
        ("both:1", "load.invalid", "has 2 layers"),
        ("tar:1", "load.invalid", "layer.v1.tar+gzip`, and not `application/wasm`"),
        ("text:1", "load.invalid", ""),
        ("large:1", "load.too_large", "at most 64MiB"),
        ("more:1", "load.digest", "more bytes"),
        ("alpine:4", "load.not_found", "has no `oci://"),
        ("nothing:1", "load.not_found", "has no `oci://"),
        (&format!("text@sha256:{}", "0".repeat(64)), "load.not_found", "has no `oci://"),
    ] {
        let (found, message) = refused(&scene, &format!("oci://{}/{name}", registry.host));
        assert_eq!(found, code, "{name}: {message}");
        assert!(message.contains(words), "{name}: {message}");
    }
    assert!(!kept(&scene, &sha256(&bytes)).exists(), "what is refused by its size is not fetched");
}

#[test]
fn what_was_pulled_once_is_used_while_the_registry_is_away() {
    let mut registry = Registry::start();
    let [bytes, other] = two();
    let (image, second) = (registry.push("acme/tool:1", &bytes), registry.push("acme/other:1", &other));
    let host = registry.host.clone();
    let (tag, pinned) = (format!("oci://{host}/acme/tool:1"), format!("oci://{host}/acme/tool@{image}"));
    let scene = scene(&format!("  tool: {tag}\n  pinned: {pinned}"), &["tool", "pinned"]);
    let checked = check(&scene, &[]);
    assert!(checked["ok"] == true && codes(&checked).is_empty(), "{checked:#}");
    registry.stop();
    let checked = check(&scene, &[]);
    assert_eq!((&checked["ok"], codes(&checked)), (&Json::Bool(true), vec!["load.stale"]), "{checked:#}");
    let finding = &checked["diagnostics"][0];
    let message = text(finding, "message");
    assert!(message.contains(&tag) && message.contains(&image) && message.contains("not reached"), "{message}");
    assert_eq!((text(finding, "severity"), &finding["line"]), ("warning", &Json::from(3)));
    assert_eq!(checked["images"]["tool"]["is_stale"], true);
    assert_eq!(checked["images"]["pinned"]["is_stale"], false);
    for reference in [&tag, &pinned] {
        assert_eq!(runs(&scene, reference), sha256(&bytes));
    }
    let told = program(&scene, &["exec", &tag, "run"]).ends_with(0).stderr;
    assert!(told.contains("warning[load.stale]: what `oci://"), "{told}");
    // What was never pulled is not to be had, nor is anything where nothing is kept.
    for reference in [format!("oci://{host}/acme/other:1"), format!("oci://{host}/acme/other@{second}")] {
        let (code, message) = refused(&scene, &reference);
        assert!(code == "load.unreachable" && message.contains(&host), "{code}: {message}");
    }
    let off = program(&scene, &["exec", &pinned, "run", "-o", "json"]).env("CLOCKJACK_CACHE", "off").ends_with(1);
    assert_eq!(text(&off.json()["error"], "code"), "load.unreachable");
    assert!(program(&scene, &["explain", "load.unreachable"]).ends_with(0).stdout.contains("DOCKER_CONFIG"));
}

#[test]
fn a_tag_that_moves_is_followed_and_a_pin_is_not_moved() {
    let registry = Registry::start();
    let [bytes, other] = two();
    let image = registry.push("acme/tool:1", &bytes);
    let tag = format!("oci://{}/acme/tool:1", registry.host);
    let scene = scene(&format!("  tool: {tag}\n  digest: {tag}@{image}"), &["tool", "digest"]);
    assert_eq!(runs(&scene, &tag), sha256(&bytes));
    let locked = program(&scene, &["lock"]).ends_with(0).stderr;
    assert!(locked.contains("2 pinned"), "{locked}");
    assert!(scene.read("clockjack.lock").contains(&format!("tool {}\n", sha256(&bytes))), "the component is pinned");
    assert_eq!(check(&scene, &["--locked"])["ok"], true);
    let moved = registry.push("acme/tool:1", &other);
    assert_ne!(moved, image);
    assert_eq!(runs(&scene, &tag), sha256(&other));
    assert_eq!(runs(&scene, &format!("{tag}@{image}")), sha256(&bytes));
    let checked = check(&scene, &["--locked"]);
    assert_eq!((&checked["ok"], codes(&checked)), (&Json::Bool(false), vec!["load.digest"]), "{checked:#}");
    assert_eq!(text(&checked["images"]["digest"], "image"), image);
    // A digest pins as well as a lock file does; a tag alone does not.
    fs::remove_file(scene.path("clockjack.lock")).expect("the lock file");
    let checked = check(&scene, &["--locked"]);
    assert_eq!(codes(&checked), ["load.digest"], "{checked:#}");
    assert!(text(&checked["diagnostics"][0], "message").starts_with("plugin `tool`: `--locked`"), "{checked:#}");
}

#[test]
fn a_pin_of_the_bytes_holds_for_images_too() {
    let registry = Registry::start();
    let [bytes, other] = two();
    registry.push("acme/tool:1", &bytes);
    let reference = format!("oci://{}/acme/tool:1", registry.host);
    let pinned = |bytes: &[u8]| format!("  tool: {{ source: \"{reference}\", sha256: {} }}", sha256(bytes));
    assert_eq!(check(&scene(&pinned(&bytes), &["tool"]), &["--locked"])["ok"], true);
    let checked = check(&scene(&pinned(&other), &["tool"]), &[]);
    assert_eq!(codes(&checked), ["load.digest"], "{checked:#}");
}

/// An entry of the cache that somebody changed is never run: it is pulled anew, or not to be had.
#[test]
fn a_kept_component_that_was_changed_is_not_run() {
    let mut registry = Registry::start();
    let [bytes, other] = two();
    let image = registry.push("acme/tool:1", &bytes);
    let pinned = format!("oci://{}/acme/tool@{image}", registry.host);
    let scene = scene("", &[]);
    assert_eq!(runs(&scene, &pinned), sha256(&bytes));
    for digest in [&sha256(&bytes), &image] {
        fs::write(kept(&scene, digest), &other).expect("an entry");
        assert_eq!(runs(&scene, &pinned), sha256(&bytes), "it is pulled anew");
    }
    registry.stop();
    for digest in [&sha256(&bytes), &image] {
        let place = kept(&scene, digest);
        let whole = fs::read(&place).expect("an entry");
        fs::write(&place, &other).expect("an entry");
        assert_eq!(refused(&scene, &pinned).0, "load.unreachable");
        assert!(!place.exists(), "it is removed");
        // As another pull would.
        fs::write(&place, &whole).expect("an entry");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&place, private).expect("an entry");
        assert_eq!(runs(&scene, &pinned), sha256(&bytes));
    }
}

#[test]
fn a_registry_that_asks_for_a_user_is_told_one() {
    let registry = Registry::with_users();
    let [bytes, _] = two();
    registry.push("acme/tool:1", &bytes);
    let reference = format!("oci://{}/acme/tool:1", registry.host);
    let scene = scene("", &[]);
    let (code, message) = refused(&scene, &reference);
    assert_eq!(code, "load.unreachable", "{message}");
    assert!(message.contains("does not let this host read it") && message.contains("there is no `"), "{message}");
    fs::create_dir(scene.path("docker")).expect("a folder");
    // `anna:wrong` and `anna:secret`
    let login = |auth: &str| {
        let text = format!("{{ \"auths\": {{ \"{}\": {{ \"auth\": \"{auth}\" }} }} }}", registry.host);
        scene.put("docker/config.json", text);
    };
    login("YW5uYTp3cm9uZw==");
    let (code, message) = refused(&scene, &reference);
    assert!(code == "load.unreachable" && message.contains("the user `anna` is that of `"), "{code}: {message}");
    assert!(!message.contains("wrong"), "{message}");
    login("YW5uYTpzZWNyZXQ=");
    assert_eq!(runs(&scene, &reference), sha256(&bytes));
    // Who is not let in any more does not run what was pulled before; who has the digest has the component.
    login("YW5uYTp3cm9uZw==");
    assert_eq!(refused(&scene, &reference).0, "load.unreachable");
}

#[test]
fn keys_hold_for_files_and_that_is_told() {
    let registry = Registry::start();
    let [bytes, _] = two();
    let image = registry.push("acme/tool:1", &bytes);
    let tag = format!("oci://{}/acme/tool:1", registry.host);
    let pair = minisign::KeyPair::generate_unencrypted_keypair().expect("keys");
    let key = pair.pk.to_base64();
    let scene = Scene::new();
    scene.put(
        "clockjack.yaml",
        format!(
            "version: 1\nhost: {{ trusted_keys: [{{ folder: ., keys: [\"{key}\"] }}] }}\n\
             plugins:\n  tag: {tag}\n  pinned: \"{tag}@{image}\"\n  bytes: {{ source: \"{tag}\", sha256: {} }}\n\
             jobs:\n  a: {{ plugin: tag, every: 1h }}\n  b: {{ plugin: pinned, every: 1h }}\n  c: {{ plugin: bytes, every: 1h }}\n",
            sha256(&bytes)
        ),
    );
    let checked = check(&scene, &[]);
    assert_eq!((&checked["ok"], codes(&checked)), (&Json::Bool(true), vec!["load.unpinned"]), "{checked:#}");
    let finding = &checked["diagnostics"][0];
    assert!(
        text(finding, "message").contains("plugin `tag`") && text(finding, "fix").contains("clockjack inspect"),
        "{checked:#}"
    );
    let ended = program(&scene, &["exec", &tag, "run", "--trusted-key", &key, "-o", "json"]).ends_with(1);
    assert_eq!(text(&ended.json()["error"], "code"), "load.signature");
}

#[test]
fn a_name_that_cannot_be_read_is_refused_before_anybody_is_asked() {
    let scene = scene("", &[]);
    let ended = program(&scene, &["exec", "oci://ghcr.io/Acme/tool", "run"]).ends_with(2);
    assert!(ended.stderr.contains("names in a registry have no capitals; write `acme/tool`"), "{}", ended.stderr);
}

/// What is not this machine's own loopback address is spoken to with TLS and never without.
#[test]
fn other_hosts_are_asked_with_tls_alone() {
    const HANDSHAKE: u8 = 0x16;
    let listener = TcpListener::bind("127.0.0.2:0").expect("loopback has more than one address");
    let host = listener.local_addr().expect("an address").to_string();
    let listens = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut first = [0; 1];
        stream.read_exact(&mut first).expect("a byte");
        // The listener is closed as well, so that no second try waits for an answer.
        first[0]
    });
    let (code, message) = refused(&scene("", &[]), &format!("oci://{host}/acme/tool:1"));
    assert_eq!(code, "load.unreachable", "{message}");
    assert_eq!(listens.join().expect("the listener"), HANDSHAKE);
}
