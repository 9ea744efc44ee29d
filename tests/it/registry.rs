//! A registry for the tests of `oci://`: a process of its own on loopback, on a port that the system chooses, with what a test
//! pushes into it.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Once,
        mpsc::{Receiver, channel},
    },
    thread,
};

use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol, Config, ImageLayer},
    manifest::OciImageManifest,
    secrets::RegistryAuth,
};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::ring;

use crate::program::PATIENCE;

/// The program, and the package of Debian that has it.
const PROGRAM: &str = "docker-registry";

/// The type of a component's config and of its layer.
pub(crate) const CONFIG: &str = "application/vnd.wasm.config.v0+json";
pub(crate) const WASM: &str = "application/wasm";

/// The only user of a registry that lets nobody else in, her password, and both as the registry keeps them.
const USER: (&str, &str) = ("anna", "secret");
const USERS: &str = "anna:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// A registry that runs. It is killed when this is dropped.
pub(crate) struct Registry {
    process: Child,
    /// The host with its port.
    pub(crate) host: String,
    auth: RegistryAuth,
    _log: Receiver<String>,
    _folder: TempDir,
}

impl Registry {
    /// One that lets everybody in.
    pub(crate) fn start() -> Self {
        Self::with_auth(RegistryAuth::Anonymous, "")
    }

    /// One that asks for a user.
    pub(crate) fn with_users() -> Self {
        let (user, password) = USER;
        let auth = "auth: { htpasswd: { realm: tests, path: USERS } }\n";
        Self::with_auth(RegistryAuth::Basic(user.to_owned(), password.to_owned()), auth)
    }

    fn with_auth(auth: RegistryAuth, more: &str) -> Self {
        let folder = TempDir::with_prefix("clockjack-registry-").expect("a temporary folder can be made");
        let (data, users, config) =
            (folder.path().join("data"), folder.path().join("users"), folder.path().join("config.yml"));
        let text = format!(
            "version: 0.1\nlog: {{ level: info }}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\n\
             http: {{ addr: \"127.0.0.1:0\" }}\n{}",
            data.display(),
            more.replace("USERS", &users.display().to_string())
        );
        fs::write(&users, USERS).and_then(|()| fs::write(&config, text)).expect("files can be written");
        let mut command = Command::new(PROGRAM);
        command.env_clear().arg("serve").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|error| {
            panic!("`{PROGRAM}` does not start ({error}): install it with `apt-get install {PROGRAM}`")
        });
        let log = lines(BufReader::new(process.stderr.take().expect("stderr is piped")));
        let host = loop {
            let line = log.recv_timeout(PATIENCE).expect("the registry says where it listens");
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.split(['"', ',', ' ']).next().unwrap_or_default().to_owned();
            }
        };
        Self { process, host, auth, _log: log, _folder: folder }
    }

    /// Ends it. What was pushed is gone.
    pub(crate) fn stop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }

    /// Pushes a component. Answers the digest of the image, `sha256:…`.
    pub(crate) fn push(&self, name: &str, component: &[u8]) -> String {
        self.push_image(name, CONFIG, &[(WASM, component)], |_| {})
    }

    /// Pushes an image of any kind, its manifest changed at will.
    pub(crate) fn push_image(
        &self,
        name: &str,
        config: &str,
        layers: &[(&str, &[u8])],
        change: impl FnOnce(&mut OciImageManifest),
    ) -> String {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| drop(ring::default_provider().install_default()));
        let image: Reference = format!("{}/{name}", self.host).parse().expect("the name of an image");
        let layer = |(kind, bytes): &(&str, &[u8])| ImageLayer::new(bytes.to_vec(), (*kind).to_owned(), None);
        let layers: Vec<_> = layers.iter().map(layer).collect();
        let config = Config::new(b"{}".to_vec(), config.to_owned(), None);
        let mut manifest = OciImageManifest::build(&layers, &config, None);
        change(&mut manifest);
        let client = Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let pushed = client.push(&image, &layers, config, &self.auth, Some(manifest)).await;
            pushed.unwrap_or_else(|error| panic!("`{image}` is not pushed: {error}"));
            client.fetch_manifest_digest(&image, &self.auth).await.expect("the image is there")
        })
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a registry logs must be read, or it stands still.
fn lines(log: impl BufRead + Send + 'static) -> Receiver<String> {
    let (tx, rx) = channel();
    thread::spawn(move || {
        for line in log.lines().map_while(Result::ok) {
            // Whoever listened has gone; the registry goes on.
            drop(tx.send(line));
        }
    });
    rx
}
