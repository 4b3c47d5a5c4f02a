//! Refusals of connections: what the client receives, and what the operator reads.
//!
//! A browser hides the status of a refused WebSocket upgrade from the page. Refusals that a page should explain are
//! therefore sent over the WebSocket, as an `error` message and a close code. Only [`HELD`] sockets are spent on that at a
//! time; beyond it the answer is plain HTTP, which costs least.

use super::{Problem, Server};
use crate::{
    log_limit::LogLimit,
    metrics::{Kind, Metrics, Refusal},
};
use axum::{
    extract::{
        WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket},
    },
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tacet_proto::{CloseCode, ErrorCode, ServerEnvelope, ServerMessage, server::ErrorMessage};
use tokio::{sync::Semaphore, time::timeout};

/// Maximum number of sockets that are open only to say why they are refused.
const HELD: usize = 64;
/// Counts refusals, and logs each kind once in a while.
#[derive(Debug)]
pub(crate) struct Refusals {
    metrics: Arc<Metrics>,
    lines: Box<[(Refusal, LogLimit)]>,
    proxy_names_no_client: LogLimit,
    held: Arc<Semaphore>,
}

impl Refusals {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        let lines = Refusal::ALL.iter().map(|refusal| (*refusal, LogLimit::default())).collect();
        Self { metrics, lines, proxy_names_no_client: LogLimit::default(), held: Arc::new(Semaphore::new(HELD)) }
    }

    /// Counts a refusal.
    pub(crate) fn refused(&self, refusal: Refusal) {
        self.metrics.refusals.count(refusal);
        let limit = self.lines.iter().find(|(kind, _)| *kind == refusal);
        let Some(count) = limit.and_then(|(_, limit)| limit.due(Instant::now())) else { return };
        let hint = hint(refusal);
        match refusal {
            // A client of another version is no fault of the operator.
            Refusal::Protocol => tracing::info!(count, "connections refused: {hint}"),
            _ => tracing::warn!(count, "connections refused: {hint}"),
        }
    }

    /// Logs that a trusted proxy does not name its clients, which therefore count as one address.
    pub(super) fn proxy_names_no_client(&self) {
        if self.proxy_names_no_client.due(Instant::now()).is_some() {
            tracing::warn!(
                "a trusted proxy sends no X-Forwarded-For: its clients count as one address for the limits on \
                 connections"
            );
        }
    }
}

/// What the operator can do about refusals of a kind.
const fn hint(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Origin => {
            "a page of another origin wants to connect. Behind a proxy that changes the Host header, set --public-url; \
             for a page elsewhere, --allow-origin"
        }
        Refusal::Protocol => "the client speaks none of this server's protocols",
        Refusal::Rate => {
            "too many new connections per second from one address ([limits] handshakes_per_second). Behind a proxy, \
             set trusted_proxies"
        }
        Refusal::Connections => {
            "too many connections from one address ([limits] connections_per_address). Behind a proxy, set \
             trusted_proxies"
        }
        Refusal::Rooms => "an address creates rooms that no one enters",
        Refusal::Unencrypted => {
            "plain HTTP beyond loopback is only for the proxies in trusted_proxies; the client is none of them"
        }
        Refusal::Sockets => {
            "too many TCP connections from one address ([limits] sockets_per_address). Behind a proxy, set trusted_proxies"
        }
        Refusal::Full => "the maximum number of TCP connections is reached; raise LimitNOFILE or [limits] sockets",
        Refusal::Host => {
            "the host in the request is none of this server's. If it is, set --public-url, or list it in allow_host"
        }
        Refusal::ApiKey => "a wrong API key",
        Refusal::ApiKeyGuesses => "too many wrong API keys from one address",
        Refusal::ApiRate => "too many requests per second with one API key",
    }
}

/// What the client receives: HTTP status, code, text, and when it may try again.
struct Answer {
    status: StatusCode,
    error: ErrorCode,
    close: CloseCode,
    code: &'static str,
    text: &'static str,
    retry: Option<Duration>,
}

fn of(refusal: Refusal, wait: Option<Duration>) -> Answer {
    let (status, error, close) = match refusal {
        Refusal::Rate
        | Refusal::Connections
        | Refusal::Rooms
        | Refusal::Sockets
        | Refusal::Full
        | Refusal::ApiKeyGuesses
        | Refusal::ApiRate => (StatusCode::TOO_MANY_REQUESTS, ErrorCode::RateLimited, CloseCode::TryLater),
        Refusal::Host => (StatusCode::MISDIRECTED_REQUEST, ErrorCode::Forbidden, CloseCode::Policy),
        _ => (StatusCode::FORBIDDEN, ErrorCode::Forbidden, CloseCode::Policy),
    };
    let (code, text, retry) = match refusal {
        Refusal::Rate => ("too_many_attempts", "too many new connections from your network at once", wait),
        // Places become free when connections end, at a time that no one knows.
        Refusal::Connections | Refusal::Sockets | Refusal::Full => {
            ("too_many_connections", "too many connections from your network", Some(Duration::from_secs(5)))
        }
        Refusal::Rooms => ("too_many_rooms", "too many rooms were created from your network and not entered", wait),
        Refusal::Origin => ("origin_not_allowed", "this server does not allow pages from this address", None),
        Refusal::Protocol => ("unsupported_protocol", "the server speaks none of these protocols", None),
        Refusal::Unencrypted => ("unencrypted", "this server is reached over HTTPS, through its proxy", None),
        Refusal::Host => ("unknown_host", "this server is not reached under this name", None),
        Refusal::ApiKey => ("rooms_closed", "only the operator of this server creates rooms", None),
        Refusal::ApiKeyGuesses => ("too_many_attempts", "too many wrong keys from your network", wait),
        Refusal::ApiRate => ("too_many_requests", "too many requests with this key", wait),
    };
    Answer { status, error, close, code, text, retry }
}

/// The answer over HTTP. A client that is too fast may try again after `wait`.
pub(super) fn answer(refusal: Refusal, wait: Option<Duration>) -> Response {
    http(&of(refusal, wait))
}

fn http(answer: &Answer) -> Response {
    let problem = Problem {
        error: answer.text.to_owned(),
        code: answer.code,
        retry_ms: answer.retry.map(milliseconds),
        scope: None,
    };
    let mut response = (answer.status, axum::Json(problem)).into_response();
    if let Some(retry) = answer.retry {
        let seconds = retry.as_millis().div_ceil(1_000).max(1);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)));
    }
    response
}

fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1)
}

/// Refuses an upgrade in a way that a page can explain: by a message and a close code, or if too many sockets are open for
/// that already, by the HTTP status.
pub(super) fn refuse(server: Server, upgrade: WebSocketUpgrade, refusal: Refusal, wait: Option<Duration>) -> Response {
    let answer = of(refusal, wait);
    let Ok(held) = Arc::clone(&server.refusals.held).try_acquire_owned() else { return http(&answer) };
    upgrade.on_upgrade(move |socket| async move {
        let _ = timeout(server.config.timing.linger, say(socket, &answer)).await;
        drop((held, server.alive));
    })
}

/// Sends the error and Close, and reads until the client's Close, since unread bytes would reset the connection before
/// the client has read these.
async fn say(mut socket: WebSocket, answer: &Answer) {
    let error =
        ErrorMessage { code: answer.error, retry_ms: answer.retry.map(milliseconds), detail: answer.text.to_owned() };
    let envelope = ServerEnvelope { seq: 1, re: None, message: ServerMessage::Error(error) };
    let close = CloseFrame { code: answer.close.code(), reason: answer.text.into() };
    for message in [Message::Text(envelope.to_json().into()), Message::Close(Some(close))] {
        if socket.send(message).await.is_err() {
            return;
        }
    }
    while let Some(Ok(_)) = socket.next().await {}
}
