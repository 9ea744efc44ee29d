//! Asks the network for everything that a guest can ask for, one function each. What comes of it is what the tests check.

mod http;

#[clockjack_sdk::jobs]
pub mod jobs {
    use std::{
        collections::HashMap,
        fs,
        hash::{BuildHasher as _, RandomState},
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket},
        time::{Duration, Instant, SystemTime, UNIX_EPOCH},
    };

    use wasip2::{
        http::types::{Fields, RequestOptions},
        random,
    };

    use crate::http::{self, Call};

    /// Most of a body that is returned.
    const KEPT_BYTES: usize = 1_000;

    /// GET; returns status and body.
    pub fn get(url: String) -> Result<String, String> {
        answer(&Call::get(&url))
    }

    /// GET of each; succeeds with the answers only if there was one to every URL.
    pub fn each(urls: Vec<String>) -> Result<Vec<String>, Vec<String>> {
        let all: Vec<_> = urls.iter().map(|url| answer(&Call::get(url))).collect();
        match all.iter().all(Result::is_ok) {
            true => Ok(all.into_iter().flatten().collect()),
            false => Err(all.into_iter().map(|one| one.unwrap_or_else(|error| error)).collect()),
        }
    }

    /// Any method, with a body where one is given.
    pub fn send(method: String, url: String, body: Option<String>) -> Result<String, String> {
        let body = body.map(String::into_bytes);
        answer(&Call { method, body, ..Call::get(&url) })
    }

    /// A request whose parts are taken as they are.
    pub fn raw(method: String, scheme: String, authority: String, path: String) -> Result<String, String> {
        answer(&Call { method, scheme, authority, path, ..Call::get("") })
    }

    /// GET, and on to where the answer says, so many times.
    pub fn follow(url: String, hops: u32) -> Result<String, String> {
        let mut url = url;
        for _ in 0..hops {
            let response = Call::get(&url).ask(None)?;
            match http::header(&response, "location") {
                Some(next) if (300..400).contains(&response.status()) => url = next,
                Some(_) | None => return body_of(&response),
            }
        }
        Err(format!("more than {hops} hops"))
    }

    /// GET, one after another; returns how many were answered. Errors do not stop it.
    pub fn one_by_one(url: String, n: u32) -> u32 {
        (0..n).filter(|_| answer(&Call::get(&url)).is_ok()).count() as u32
    }

    /// GET, all at once, before the first answer is looked at; returns how many were answered.
    pub fn at_once(url: String, n: u32) -> Result<u32, String> {
        let call = Call::get(&url);
        let sent: Result<Vec<_>, _> = (0..n).map(|_| call.send(None)).collect();
        let mut n_answered = 0;
        for response in sent? {
            body_of(&http::wait(&response)?)?;
            n_answered += 1;
        }
        Ok(n_answered)
    }

    /// Builds requests and sends none.
    pub fn hold(n: u32) -> Result<u32, String> {
        let held: Result<Vec<_>, _> = (0..n).map(|_| Call::get("https://api.acme.dev/").build()).collect();
        Ok(held?.len() as u32)
    }

    /// GET with bounds in milliseconds.
    pub fn patient(url: String, connect: u64, first: u64, between: u64) -> Result<String, String> {
        let options = RequestOptions::new();
        let nanos = |ms: u64| Some(ms * 1_000_000);
        options.set_connect_timeout(nanos(connect)).map_err(|()| "no connect timeout")?;
        options.set_first_byte_timeout(nanos(first)).map_err(|()| "no first-byte timeout")?;
        options.set_between_bytes_timeout(nanos(between)).map_err(|()| "no between-bytes timeout")?;
        body_of(&Call::get(&url).ask(Some(options))?)
    }

    /// Asks for one header; returns what was made of it.
    pub fn header(name: String, values: Vec<String>) -> Result<String, String> {
        let fields = Fields::new();
        let values: Vec<_> = values.into_iter().map(String::into_bytes).collect();
        fields.set(&name, &values).map_err(|error| format!("{error:?}"))?;
        Ok(format!("{} values", fields.get(&name).len()))
    }

    /// So many headers of so many bytes each.
    pub fn flood_headers(n: u32, bytes: u32) -> Result<String, String> {
        let fields = Fields::new();
        let value = vec![b'x'; bytes as usize];
        for number in 0..n {
            fields.append(&format!("x-{number}"), &value).map_err(|error| format!("{error:?}"))?;
        }
        Ok(format!("{} headers", fields.entries().len()))
    }

    /// POST of so many bytes that says another number.
    pub fn body_of_length(url: String, declared: Vec<String>, bytes: u32) -> Result<String, String> {
        let headers = declared.into_iter().map(|length| ("content-length".to_owned(), length.into_bytes())).collect();
        let body = Some(vec![b'x'; bytes as usize]);
        answer(&Call { method: "POST".to_owned(), headers, body, ..Call::get(&url) })
    }

    /// Connects, says something and returns what comes back.
    pub fn tcp(address: String, text: String) -> Result<String, String> {
        let mut stream = TcpStream::connect(address.as_str()).map_err(|error| format!("connect: {error}"))?;
        stream.write_all(text.as_bytes()).map_err(|error| format!("write: {error}"))?;
        let mut answer = vec![0; 1_000];
        let n_bytes = stream.read(&mut answer).map_err(|error| format!("read: {error}"))?;
        Ok(String::from_utf8_lossy(&answer[..n_bytes]).into_owned())
    }

    /// Sends a datagram; returns what comes back if that is waited for.
    pub fn udp(address: String, text: String, wait: bool) -> Result<String, String> {
        let socket = UdpSocket::bind("0.0.0.0:0").map_err(|error| format!("bind: {error}"))?;
        socket.send_to(text.as_bytes(), address.as_str()).map_err(|error| format!("send: {error}"))?;
        if !wait {
            return Ok("sent".to_owned());
        }
        let mut answer = vec![0; 1_000];
        let (n_bytes, from) = socket.recv_from(&mut answer).map_err(|error| format!("receive: {error}"))?;
        Ok(format!("{from}: {}", String::from_utf8_lossy(&answer[..n_bytes])))
    }

    /// Waits for connections.
    pub fn listen(address: String) -> Result<String, String> {
        let listener = TcpListener::bind(address.as_str()).map_err(|error| format!("listen: {error}"))?;
        let (_, from) = listener.accept().map_err(|error| format!("accept: {error}"))?;
        Ok(from.to_string())
    }

    /// Takes datagrams of anybody.
    pub fn bind_udp(address: String) -> Result<String, String> {
        let socket = UdpSocket::bind(address.as_str()).map_err(|error| format!("bind: {error}"))?;
        Ok(socket.local_addr().map_err(|error| error.to_string())?.to_string())
    }

    /// What a name stands for.
    pub fn resolve(name: String) -> Result<Vec<String>, String> {
        let found = (name.as_str(), 80).to_socket_addrs().map_err(|error| format!("resolve: {error}"))?;
        Ok(found.map(|address| address.ip().to_string()).collect())
    }

    /// Reads a file of the host, if it can.
    pub fn read_file(path: String) -> Result<String, String> {
        fs::read_to_string(&path).map_err(|error| error.to_string())
    }

    /// Reads both clocks so many times; returns the smallest step that was seen, in nanoseconds, and whether every reading
    /// was a multiple of `step`.
    pub fn clocks(n: u32, step: u64) -> (u64, bool) {
        let began = Instant::now();
        let (mut last, mut smallest, mut whole) = (Duration::ZERO, u64::MAX, true);
        for _ in 0..n {
            let elapsed = began.elapsed();
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            whole &= [wall, elapsed].iter().all(|time| (time.as_nanos() as u64).is_multiple_of(step));
            if last < elapsed {
                smallest = smallest.min((elapsed - last).as_nanos() as u64);
            }
            last = elapsed;
        }
        (smallest, whole)
    }

    /// Random numbers of every kind: secure, insecure, the seed of the insecure ones, and those of the standard library.
    pub fn random() -> Vec<String> {
        let words: HashMap<u32, u32> = (0..16).map(|n| (n, n)).collect();
        let order: Vec<_> = words.keys().map(u32::to_string).collect();
        vec![
            format!("{:x?}", random::random::get_random_bytes(16)),
            format!("{:x}", random::random::get_random_u64()),
            format!("{:x?}", random::insecure::get_insecure_random_bytes(16)),
            format!("{:x?}", random::insecure_seed::insecure_seed()),
            format!("{:x}", RandomState::new().hash_one(1)),
            order.join(","),
        ]
    }

    fn answer(call: &Call) -> Result<String, String> {
        body_of(&call.ask(None)?)
    }

    fn body_of(response: &wasip2::http::types::IncomingResponse) -> Result<String, String> {
        let body = http::read(response, KEPT_BYTES)?;
        let text = String::from_utf8_lossy(&body[..body.len().min(KEPT_BYTES)]).into_owned();
        Ok(format!("{} {text}", response.status()))
    }
}
