//! One TCP connection from its TLS handshake to its last request, over HTTP/1.1 alone.
//!
//! A request reaches the routes when it is complete, body included, so no handler waits for a client. How long each step may
//! take is the business of [`sockets`](crate::sockets), to which every step is reported here.

use crate::sockets::{Ticket, WatchedStream};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::ConnectInfo,
    http::{HeaderValue, Request, Response, StatusCode, header::CONNECTION},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tacet_proto::limits::MAX_MESSAGE_BYTES;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// Maximum size of a request head, and of what is read at once.
pub(crate) const HEAD_BYTES: usize = 16 << 10;

/// Maximum number of fields of a request head.
pub(crate) const HEAD_FIELDS: usize = 100;

/// Extension of a request whose body is too long or broken, with the status that says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unread(pub(crate) StatusCode);

/// How connections are served.
#[derive(Clone)]
pub(crate) struct Http1 {
    app: Router,
    tls: Option<TlsAcceptor>,
    stop: watch::Receiver<bool>,
    /// Time for requests that are being answered when the server stops.
    linger: Duration,
}

impl Http1 {
    /// Serves the routes, over TLS if there is a configuration, until `stop` is true.
    pub(crate) fn new(
        app: Router,
        tls: Option<Arc<rustls::ServerConfig>>,
        stop: watch::Receiver<bool>,
        linger: Duration,
    ) -> Self {
        Self { app, tls: tls.map(TlsAcceptor::from), stop, linger }
    }

    /// Serves a connection until it has ended, or has become a WebSocket.
    pub(crate) async fn serve(mut self, stream: WatchedStream, peer: SocketAddr) {
        let ticket = stream.ticket();
        let Some(tls) = self.tls.take() else { return self.requests(stream, ticket, peer).await };
        let stream = tokio::select! {
            stream = tls.accept(stream) => stream,
            () = stopped(&mut self.stop) => return,
        };
        match stream {
            Ok(stream) => self.requests(stream, ticket, peer).await,
            Err(error) => tracing::debug!(%error, "TLS handshake failed"),
        }
    }

    async fn requests(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        ticket: Ticket,
        peer: SocketAddr,
    ) {
        let Self { app, mut stop, linger, .. } = self;
        let app = TowerToHyperService::new(app);
        let service = service_fn(move |request| answer(app.clone(), request, ticket.clone(), peer));
        let mut builder = http1::Builder::new();
        // Deadlines are kept by the connection's place.
        builder.header_read_timeout(None).max_buf_size(HEAD_BYTES).max_headers(HEAD_FIELDS);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopped(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                timeout(linger, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            tracing::trace!(%error, "connection ended");
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Reads the whole request, and has it answered.
async fn answer(
    app: TowerToHyperService<Router>,
    request: Request<Incoming>,
    ticket: Ticket,
    peer: SocketAddr,
) -> Result<Response<Body>, Infallible> {
    ticket.head_complete(Instant::now());
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_MESSAGE_BYTES).collect().await;
    ticket.body_complete(Instant::now());
    let (body, unread) = match body {
        Ok(body) => (whole(body.to_bytes()), None),
        Err(error) if error.is::<LengthLimitError>() => (Body::empty(), Some(Unread(StatusCode::PAYLOAD_TOO_LARGE))),
        Err(_) => (Body::empty(), Some(Unread(StatusCode::BAD_REQUEST))),
    };
    let mut request = Request::from_parts(head, body);
    if let Some(unread) = unread {
        request.extensions_mut().insert(unread);
    }
    request.extensions_mut().insert(ConnectInfo(peer));
    request.extensions_mut().insert(ticket.clone());
    let mut answer = app.call(request).await;
    if let (Some(_), Ok(answer)) = (unread, &mut answer) {
        // The rest of the request is not read.
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    ticket.answered(Instant::now());
    answer
}

fn whole(body: Bytes) -> Body {
    if body.is_empty() { Body::empty() } else { Body::from(body) }
}
