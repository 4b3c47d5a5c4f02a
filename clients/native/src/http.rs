//! One HTTP/1.1 request and its response, blocking: for requests that are made once, such as creating a room or reading
//! metrics.

use crate::{link::Origin, tls::Trust};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    client::conn::http1::handshake,
    header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, InvalidHeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// Maximum time for the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of a response body, in bytes. Metrics are the longest.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The network or TLS failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// TLS cannot verify a host of this name.
    #[error("not a host name")]
    HostName(#[from] InvalidDnsNameError),
    /// TLS cannot be configured.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The bearer token has characters that a header must not have.
    #[error("the key has characters other than visible ASCII")]
    Token(#[from] InvalidHeaderValue),
    /// The path or the host is malformed.
    #[error("malformed request: {0}")]
    Request(#[from] hyper::http::Error),
    /// The response is not HTTP, is malformed or longer than a megabyte.
    #[error("malformed HTTP response: {0}")]
    Response(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path, starting with `/`.
    pub path: &'a str,
    /// Bearer token for the `Authorization` header.
    pub bearer: Option<&'a str>,
    /// JSON body; may be empty.
    pub body: &'a str,
}

/// Sends a request and returns status and body of the response, which is text. TLS is used if the origin's scheme is `https`.
///
/// Must not be called from an asynchronous task, which it would block.
///
/// # Errors
/// [`HttpError`]. A response with an error status is not an error.
pub fn request(origin: &Origin, trust: Trust, request: &Request<'_>) -> Result<(u16, String), HttpError> {
    let (status, body) = fetch(origin, trust, request)?;
    let text = String::from_utf8(body.into()).map_err(|error| HttpError::Response(error.into()))?;
    Ok((status, text))
}

/// As [`request`], with a body of any kind.
///
/// # Errors
/// [`HttpError`]. A response with an error status is not an error.
pub fn fetch(origin: &Origin, trust: Trust, request: &Request<'_>) -> Result<(u16, Bytes), HttpError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exchange = async { timeout(TIMEOUT, connect_and_send(origin, trust, request)).await };
    runtime.block_on(exchange).map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn connect_and_send(origin: &Origin, trust: Trust, request: &Request<'_>) -> Result<(u16, Bytes), HttpError> {
    let message = message(origin, request)?;
    let stream = TcpStream::connect((origin.host(), origin.port())).await?;
    if origin.is_secure() {
        let name = ServerName::try_from(origin.host().to_owned())?;
        let connector = TlsConnector::from(Arc::new(trust.client_config()?));
        send(connector.connect(name, stream).await?, message).await
    } else {
        send(stream, message).await
    }
}

fn message(origin: &Origin, request: &Request<'_>) -> Result<hyper::Request<Full<Bytes>>, HttpError> {
    let mut message = hyper::Request::builder()
        .method(request.method)
        .uri(request.path)
        .header(HOST, origin.authority())
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "close")
        .body(Full::from(request.body.to_owned()))?;
    if let Some(token) = request.bearer {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))?;
        value.set_sensitive(true);
        message.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(message)
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    message: hyper::Request<Full<Bytes>>,
) -> Result<(u16, Bytes), HttpError> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(http_error)?;
    // Ends when the response is complete; its errors are also those of the response.
    tokio::spawn(connection);
    let response = sender.send_request(message).await.map_err(http_error)?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MAX_RESPONSE_BYTES).collect().await.map_err(HttpError::Response)?;
    Ok((status, body.to_bytes()))
}

/// Tells errors of the network from malformed responses.
fn http_error(error: hyper::Error) -> HttpError {
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause {
        Some(cause) => HttpError::Io(io::Error::new(cause.kind(), cause.to_string())),
        None => HttpError::Response(error.into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    /// Answers one request with `response`. Returns the origin and, when joined, the request.
    fn server(response: &'static str) -> (Origin, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let received = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut received = Vec::new();
            while !received.ends_with(b"\r\n\r\n{}") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                received.push(byte[0]);
            }
            // The client may have closed the connection of a response that is too long.
            let _ = stream.write_all(response.as_bytes());
            String::from_utf8(received).unwrap()
        });
        (origin, received)
    }

    const POST: Request<'_> = Request { method: "POST", path: "/v1/x", bearer: Some("k"), body: "{}" };

    #[test]
    fn response_has_status_and_body() {
        let (origin, received) = server("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!(request(&origin, Trust::default(), &POST).unwrap(), (201, "ok".to_owned()));
        let received = received.join().unwrap().to_ascii_lowercase();
        assert!(
            received.starts_with("post /v1/x http/1.1\r\n") && received.contains("\r\nauthorization: bearer k\r\n")
        );
        assert!(received.contains(&format!("\r\nhost: {}\r\n", origin.authority())), "{received}");
    }

    #[test]
    fn chunked_body_is_joined() {
        const HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (origin, received) =
            server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n");
        assert_eq!(request(&origin, Trust::default(), &POST).unwrap().1, "abcde");
        received.join().unwrap();
        for cut in ["", "3\r\nab", "zz\r\n", "3\r\nabcX", "ffffffffffffffff\r\nab"] {
            let (origin, received) = server(format!("{HEAD}{cut}").leak());
            assert!(matches!(request(&origin, Trust::default(), &POST), Err(HttpError::Response(_))), "{cut:?}");
            received.join().unwrap();
        }
    }

    #[test]
    fn body_is_bounded() {
        let body = "x".repeat(MAX_RESPONSE_BYTES + 1);
        let (origin, received) =
            server(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).leak());
        assert!(matches!(request(&origin, Trust::default(), &POST), Err(HttpError::Response(_))));
        drop(received);
    }

    #[test]
    fn malformed_response_or_token_is_an_error() {
        let (origin, received) = server("220 smtp.example ESMTP\r\n");
        assert!(matches!(request(&origin, Trust::default(), &POST), Err(HttpError::Response(_))));
        received.join().unwrap();
        let broken = Request { bearer: Some("a\r\nX: y"), ..POST };
        assert!(matches!(request(&origin, Trust::default(), &broken), Err(HttpError::Token(_))));
    }
}
