//! `wasi:http` as plain functions. Nothing here is careful: what a request may be is the host's business.

use wasip2::{
    http::{
        outgoing_handler,
        types::{
            ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
            RequestOptions, Scheme,
        },
    },
    io::streams::StreamError,
};

/// Headers as names and values.
pub type Headers = Vec<(String, Vec<u8>)>;

/// Most bytes of one blocking write.
const CHUNK_BYTES: usize = 4096;

/// A request in its parts.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    pub scheme: String,
    pub authority: String,
    pub path: String,
    pub headers: Headers,
    pub body: Option<Vec<u8>>,
}

impl Call {
    /// A GET of a URL, cut at its slashes and no better read than that.
    pub fn get(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        Self {
            method: "GET".to_owned(),
            scheme: scheme.to_owned(),
            authority: rest[..end].to_owned(),
            path: rest[end..].to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// The request as a resource.
    pub fn build(&self) -> Result<OutgoingRequest, String> {
        let fields = Fields::from_list(&self.headers).map_err(|error| format!("headers: {error:?}"))?;
        let request = OutgoingRequest::new(fields);
        let method = match self.method.as_str() {
            "GET" => Method::Get,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "CONNECT" => Method::Connect,
            other => Method::Other(other.to_owned()),
        };
        request.set_method(&method).map_err(|()| "the method was refused")?;
        let scheme = match self.scheme.as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => Scheme::Other(other.to_owned()),
        };
        request.set_scheme(Some(&scheme)).map_err(|()| "the scheme was refused")?;
        request.set_authority(Some(&self.authority)).map_err(|()| "the authority was refused")?;
        let path = if self.path.is_empty() { None } else { Some(self.path.as_str()) };
        request.set_path_with_query(path).map_err(|()| "the path was refused")?;
        Ok(request)
    }

    /// Sends it. The response is still to come.
    pub fn send(&self, options: Option<RequestOptions>) -> Result<FutureIncomingResponse, String> {
        let request = self.build()?;
        let body = match &self.body {
            Some(_) => Some(request.body().map_err(|()| "the body was refused")?),
            None => None,
        };
        let response = outgoing_handler::handle(request, options).map_err(|error| told(&error))?;
        if let (Some(body), Some(bytes)) = (body, &self.body) {
            let stream = body.write().map_err(|()| "the body cannot be written")?;
            for chunk in bytes.chunks(CHUNK_BYTES) {
                stream.blocking_write_and_flush(chunk).map_err(|error| format!("writing: {error:?}"))?;
            }
            drop(stream);
            OutgoingBody::finish(body, None).map_err(|error| format!("finishing: {}", told(&error)))?;
        }
        Ok(response)
    }

    /// Sends it and waits for the head of the response.
    pub fn ask(&self, options: Option<RequestOptions>) -> Result<IncomingResponse, String> {
        wait(&self.send(options)?)
    }
}

/// The head of a response.
pub fn wait(response: &FutureIncomingResponse) -> Result<IncomingResponse, String> {
    response.subscribe().block();
    match response.get() {
        Some(Ok(Ok(response))) => Ok(response),
        Some(Ok(Err(error))) => Err(told(&error)),
        Some(Err(())) | None => Err("the response was taken twice".to_owned()),
    }
}

/// The body of a response, and how many bytes there were where it is cut short.
pub fn read(response: &IncomingResponse, keep: usize) -> Result<Vec<u8>, String> {
    let body = response.consume().map_err(|()| "the body was taken twice")?;
    let stream = body.stream().map_err(|()| "the body cannot be read")?;
    let mut read = Vec::new();
    let mut n_bytes = 0;
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(bytes) => {
                n_bytes += bytes.len();
                if read.len() < keep {
                    read.extend(bytes);
                }
            }
            Err(StreamError::Closed) => return Ok(read),
            Err(StreamError::LastOperationFailed(error)) => {
                let code = wasip2::http::types::http_error_code(&error);
                return Err(format!("after {n_bytes} bytes: {code:?}"));
            }
        }
    }
}

/// A header of a response.
pub fn header(response: &IncomingResponse, name: &str) -> Option<String> {
    let value = response.headers().get(name).into_iter().next()?;
    Some(String::from_utf8_lossy(&value).into_owned())
}

fn told(error: &ErrorCode) -> String {
    format!("{error:?}")
}
