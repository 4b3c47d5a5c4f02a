//! Sending one message: one request, of which nothing but the status of the answer counts. Redirects are not followed.

use super::target::{Target, is_public};
use axum::body::Bytes;
use http_body_util::Full;
use hyper::{
    Request,
    client::conn::http1::handshake,
    header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, join, split},
    net::{TcpStream, lookup_host},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// Maximum number of addresses of a name that are tried.
const ADDRESSES: usize = 4;
/// No more than this is read of an answer.
const MAX_ANSWER_BYTES: u64 = 16 * 1024;

/// Why a message did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The URL is no longer accepted, by the settings of the server.
    #[error("not_allowed")]
    NotAllowed,
    /// The name is not known.
    #[error("name")]
    Name,
    /// The name leads to addresses that are not public.
    #[error("private")]
    Private,
    /// The connection was refused, or broke.
    #[error("unreachable")]
    Unreachable,
    /// The certificate is not valid for the name, or TLS failed otherwise.
    #[error("tls")]
    Tls,
    /// There was no answer in time.
    #[error("timeout")]
    Timeout,
    /// The answer was a redirect, which is not followed.
    #[error("redirect")]
    Redirect,
    /// The answer was another status than 2xx.
    #[error("status {0}")]
    Status(u16),
}

/// A message, ready to be sent.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) timestamp: u64,
    pub(super) signature: String,
    pub(super) body: String,
}

/// How messages are sent.
#[derive(Debug)]
pub(super) struct Sender {
    tls: Arc<rustls::ClientConfig>,
    private: bool,
    timeout: Duration,
}

impl Sender {
    /// # Errors
    /// TLS cannot be configured.
    pub(super) fn new(private: bool, timeout: Duration) -> Result<Self, rustls::Error> {
        let roots = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: Arc::new(tls), private, timeout })
    }

    /// Sends a message.
    pub(super) async fn send(&self, url: &str, message: Message) -> Result<(), Failure> {
        let target = Target::new(url, self.private).map_err(|_| Failure::NotAllowed)?;
        timeout(self.timeout, self.exchange(&target, message)).await.unwrap_or(Err(Failure::Timeout))
    }

    async fn exchange(&self, target: &Target, message: Message) -> Result<(), Failure> {
        let stream = self.connect(target).await?;
        let status = if target.is_secure {
            let name = ServerName::try_from(target.host.clone()).map_err(|_| Failure::Name)?;
            let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await;
            request(stream.map_err(|_| Failure::Tls)?, target, message).await?
        } else {
            request(stream, target, message).await?
        };
        match status {
            200..300 => Ok(()),
            300..400 => Err(Failure::Redirect),
            other => Err(Failure::Status(other)),
        }
    }

    /// Connects to an address that was checked, so that the name cannot lead elsewhere meanwhile.
    async fn connect(&self, target: &Target) -> Result<TcpStream, Failure> {
        let found = lookup_host((target.host.as_str(), target.port)).await.map_err(|_| Failure::Name)?;
        let mut failure = Failure::Name;
        for address in found.take(ADDRESSES) {
            if !self.private && !is_public(address.ip()) {
                failure = Failure::Private;
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(_) => failure = Failure::Unreachable,
            }
        }
        Err(failure)
    }
}

/// Sends the request; returns the status of the answer.
async fn request(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    target: &Target,
    message: Message,
) -> Result<u16, Failure> {
    let Message { id, timestamp, signature, body } = message;
    let request = Request::builder()
        .method("POST")
        .uri(&target.path)
        .header(HOST, &target.authority)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("tacet/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signature)
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| Failure::NotAllowed)?;
    // An answer may have any number of interim ones before it (RFC 9110 section 15.2).
    let (incoming, outgoing) = split(stream);
    let stream = TokioIo::new(join(incoming.take(MAX_ANSWER_BYTES), outgoing));
    let (mut sender, connection) = handshake(stream).await.map_err(|_| Failure::Unreachable)?;
    // Ends with this function: the answer's body is not read.
    let mut driving = JoinSet::new();
    driving.spawn(connection);
    sender.send_request(request).await.map(|answer| answer.status().as_u16()).map_err(|_| Failure::Unreachable)
}
