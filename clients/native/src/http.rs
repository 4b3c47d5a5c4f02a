//! One HTTP/1.1 request and its answer, blocking: for what is asked once, such as making a room or reading metrics.

use crate::{link::Origin, tls::Trust};
use rustls::{
    ClientConnection, StreamOwned,
    pki_types::{InvalidDnsNameError, ServerName},
};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(10);
/// More than any answer of the server; metrics are the longest.
const MOST: u64 = 1 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The network, or TLS.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The host's name has no address.
    #[error("no such host")]
    NoHost,
    /// TLS cannot prove a host of this name.
    #[error("not a host name")]
    HostName(#[from] InvalidDnsNameError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// A header that would break the request.
    #[error("the key is visible ASCII characters")]
    Header,
    /// It is no HTTP.
    #[error("not an HTTP answer")]
    Answer,
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path, from `/` on.
    pub path: &'a str,
    /// Bearer token of the `Authorization` header.
    pub bearer: Option<&'a str>,
    /// JSON to send; empty for none.
    pub body: &'a str,
}

/// Status and body of the answer to one request. The origin's scheme decides about TLS.
///
/// # Errors
/// [`HttpError`]; a status that tells of an error is an answer.
pub fn request(origin: &Origin, trust: Trust, request: &Request<'_>) -> Result<(u16, String), HttpError> {
    let Request { method, path, bearer, body } = request;
    let visible = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
    if !bearer.is_none_or(visible) || !visible(path) {
        return Err(HttpError::Header);
    }
    let authorization = bearer.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let (authority, length) = (origin.authority(), body.len());
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n{authorization}\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let address = (origin.host(), origin.port()).to_socket_addrs()?.next().ok_or(HttpError::NoHost)?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let answer = if origin.is_secure() {
        let name = ServerName::try_from(origin.host().to_owned())?;
        let tls = ClientConnection::new(Arc::new(trust.client_config()?), name)?;
        exchange(StreamOwned::new(tls, stream), &request)?
    } else {
        exchange(stream, &request)?
    };
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(HttpError::Answer)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(HttpError::Answer)?;
    Ok((status, if is_chunked(head) { dechunk(body).ok_or(HttpError::Answer)? } else { body.to_owned() }))
}

/// Sends the request and reads until the server closes.
fn exchange(mut stream: impl Read + Write, request: &str) -> Result<String, HttpError> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.take(MOST).read_to_end(&mut answer) {
        // A server that closes without TLS's own good-bye has still said all: the length is in the answer.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
        other => drop(other?),
    }
    String::from_utf8(answer).map_err(|_| HttpError::Answer)
}

fn is_chunked(head: &str) -> bool {
    head.lines().any(|line| {
        let Some((name, value)) = line.split_once(':') else { return false };
        name.eq_ignore_ascii_case("transfer-encoding") && value.trim().eq_ignore_ascii_case("chunked")
    })
}

/// Joins the chunks of a body (RFC 9112 section 7.1).
fn dechunk(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::{net::TcpListener, thread};

    /// Answers one request with these bytes; gives its origin and, when joined, the request.
    fn server(answer: &'static str) -> (Origin, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let asked = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n{}") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                asked.push(byte[0]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked).unwrap()
        });
        (origin, asked)
    }

    const POST: Request<'_> = Request { method: "POST", path: "/v1/x", bearer: Some("k"), body: "{}" };

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let (origin, asked) = server("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!(request(&origin, Trust::default(), &POST).unwrap(), (201, "ok".to_owned()));
        let asked = asked.join().unwrap();
        assert!(asked.starts_with("POST /v1/x HTTP/1.1\r\n") && asked.contains("\r\nAuthorization: Bearer k\r\n"));
    }

    #[test]
    fn chunks_are_joined() {
        let (origin, asked) =
            server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n");
        assert_eq!(request(&origin, Trust::default(), &POST).unwrap().1, "abcde");
        asked.join().unwrap();
        for cut in ["", "3\r\nab", "zz\r\n", "3\r\nabcX", "ffffffffffffffff\r\nab"] {
            assert_eq!(dechunk(cut), None, "{cut:?}");
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let (origin, asked) = server("220 smtp.example ESMTP\r\n");
        assert!(matches!(request(&origin, Trust::default(), &POST), Err(HttpError::Answer)));
        asked.join().unwrap();
        let broken = Request { bearer: Some("a\r\nX: y"), ..POST };
        assert!(matches!(request(&origin, Trust::default(), &broken), Err(HttpError::Header)));
    }
}
