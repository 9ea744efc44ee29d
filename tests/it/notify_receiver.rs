//! Somebody who is told: a server on loopback that keeps what it gets and answers as a test says.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering::SeqCst},
    mpsc::{Receiver, Sender, channel},
};

use serde_json::Value as Json;

use crate::{
    egress_server::{Server, Stream},
    program::PATIENCE,
};

/// A message as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Method and path with query.
    pub(crate) line: String,
    head: String,
    pub(crate) body: String,
    /// What was answered.
    pub(crate) status: u16,
}

/// The server.
pub(crate) struct Told {
    server: Server,
    messages: Receiver<Message>,
    status: Arc<AtomicU16>,
}

impl Told {
    pub(crate) fn new() -> Self {
        let (sender, messages) = channel();
        let status = Arc::new(AtomicU16::new(200));
        let answered = Arc::clone(&status);
        let server = Server::start(move |request, stream| answer(request, stream, &answered, &sender));
        Self { server, messages, status }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.server.url(path)
    }

    /// From now on it answers with this status.
    pub(crate) fn answers(&self, status: u16) {
        self.status.store(status, SeqCst);
    }

    /// Waits for the next message.
    #[track_caller]
    pub(crate) fn next(&self) -> Message {
        self.messages.recv_timeout(PATIENCE).expect("a message comes")
    }

    /// Waits for the next message that was answered with a success.
    #[track_caller]
    pub(crate) fn next_taken(&self) -> Message {
        loop {
            let message = self.next();
            if message.status == 200 {
                return message;
            }
        }
    }
}

impl Message {
    /// A header, empty where it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        let of = |line: &'_ str| line.split_once(": ").is_some_and(|(known, _)| known.eq_ignore_ascii_case(name));
        self.head.lines().find(|line| of(line)).map_or("", |line| &line[name.len() + 2..])
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}\n{self:?}"))
    }
}

fn answer(request: &str, stream: &mut dyn Stream, status: &AtomicU16, sender: &Sender<Message>) {
    let Some((head, rest)) = request.split_once("\r\n\r\n") else { return };
    let mut message =
        Message { line: String::new(), head: head.to_owned(), body: String::new(), status: status.load(SeqCst) };
    head.split(" HTTP/").next().unwrap_or_default().clone_into(&mut message.line);
    let length = message.header("content-length").parse().unwrap_or(0);
    let mut body = rest.as_bytes().to_vec();
    while body.len() < length {
        let mut bytes = [0; 4_096];
        match stream.read(&mut bytes) {
            Ok(n) if 0 < n => body.extend_from_slice(&bytes[..n]),
            Ok(_) | Err(_) => break,
        }
    }
    message.body = String::from_utf8_lossy(&body).into_owned();
    let status = message.status;
    // Somebody who does not listen any more is no fault of the server.
    drop(sender.send(message));
    let answer = format!("HTTP/1.1 {status} Told\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    drop(stream.write_all(answer.as_bytes()));
    drop(stream.flush());
}
