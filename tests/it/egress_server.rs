//! Servers on loopback for the tests of the network: plain and with TLS, on ports that the system chooses.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc::channel,
    },
    thread,
    time::Duration,
};

use tokio_rustls::rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// What a server can be spoken to through.
pub(crate) trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// A server that counts its connections. Its threads end with the test process.
pub(crate) struct Server {
    pub(crate) port: u16,
    hits: Arc<AtomicUsize>,
}

impl Server {
    /// Hands each connection with the first bytes of its request to `answer`, in a thread of its own.
    pub(crate) fn start(answer: impl Fn(&str, &mut dyn Stream) + Send + Sync + 'static) -> Self {
        Self::listen(move |mut stream| {
            let request = request(&mut stream);
            answer(&request, &mut stream);
        })
    }

    /// Answers everybody with `hello`.
    pub(crate) fn hello() -> Self {
        Self::start(|_, stream| ok(stream, "hello"))
    }

    /// Answers with `hello` under TLS, with a certificate and a key in PEM files.
    pub(crate) fn tls(folder: &Path, certificate: &str) -> Self {
        let chain = CertificateDer::pem_file_iter(folder.join(certificate)).expect("the certificate is there");
        let chain = chain.map(|certificate| certificate.expect("it is one")).collect();
        let key = PrivateKeyDer::from_pem_file(folder.join("leaf.key")).expect("the key is there");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().expect("the provider has TLS 1.3");
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).expect("they fit each other"));
        Self::listen(move |stream| {
            let session = ServerConnection::new(Arc::clone(&config)).expect("the settings are complete");
            let mut stream = StreamOwned::new(session, stream);
            let request = request(&mut stream);
            if !request.is_empty() {
                ok(&mut stream, "hello");
            }
        })
    }

    fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let hits = Arc::new(AtomicUsize::new(0));
        let (counted, serve) = (Arc::clone(&hits), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                counted.fetch_add(1, SeqCst);
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream));
            }
        });
        Self { port, hits }
    }

    /// How many connections there were.
    pub(crate) fn hits(&self) -> usize {
        self.hits.load(SeqCst)
    }

    /// A URL of it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

/// What a client says first, up to the end of its headers; empty where it says nothing that can be read.
fn request(stream: &mut (impl Read + ?Sized)) -> String {
    let (mut said, mut bytes) = (Vec::new(), [0; 4_096]);
    while !said.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut bytes) {
            Ok(n_bytes) if 0 < n_bytes => said.extend_from_slice(&bytes[..n_bytes]),
            Ok(_) | Err(_) => break,
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// A whole answer. The client may be gone.
pub(crate) fn ok(stream: &mut dyn Stream, body: &str) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    drop(stream.write_all(format!("{head}{body}").as_bytes()));
    drop(stream.flush());
}

/// Lets time pass in a server.
pub(crate) fn pause(time: Duration) {
    let (_kept, never) = channel::<()>();
    let _elapsed = never.recv_timeout(time);
}

/// Makes an authority and certificates of it: `good.pem` is for loopback, `other.pem` for somebody else, `old.pem` is out of
/// date; `self.pem` nobody vouches for. All have the key `leaf.key`.
pub(crate) fn certificates(folder: &Path) {
    let script = r#"
        set -eu
        key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        openssl req -x509 $key -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca -addext basicConstraints=critical,CA:TRUE
        openssl req -new $key -keyout leaf.key -out leaf.csr -subj /CN=leaf
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' > own
        printf 'subjectAltName=DNS:other.example\n' > other
        sign() { openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out "$1" -days "$2" -extfile "$3"; }
        sign good.pem 2 own
        sign other.pem 2 other
        sign old.pem -1 own
        openssl req -x509 -key leaf.key -out self.pem -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1
    "#;
    let made = Command::new("bash").args(["-c", script]).current_dir(folder).output().expect("bash is there");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
