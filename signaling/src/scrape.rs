//! `GET /metrics` on a separate listener, so that metrics are never on the public port.

use crate::{
    accept::Acceptor,
    http::{
        Refusals,
        hosts::{self, Hosts},
    },
    http1::Http1,
    metrics::Metrics,
    sockets::{SocketSettings, Sockets},
};
use axum::{Router, http::header::CONTENT_TYPE, middleware, routing::get};
use std::{io, net::TcpListener, sync::Arc, time::Duration};
use tokio::sync::watch;

/// Maximum number of connections: a monitoring system needs one.
const SOCKETS: usize = 32;

/// Answers with what `text` returns, as `content_type`, until the future is dropped. Requests must name one of these hosts.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    hosts: Hosts,
    content_type: &'static str,
    text: impl Fn() -> String + Clone + Send + Sync + 'static,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let answer = move || {
        let text = text();
        async move { ([(CONTENT_TYPE, content_type)], text) }
    };
    let app = Router::new()
        .route("/metrics", get(answer))
        .layer(middleware::from_fn_with_state(Arc::new(hosts), hosts::check));
    // These connections are not the server's, and are counted apart.
    let metrics = Arc::new(Metrics::default());
    let settings = SocketSettings { total: SOCKETS, per_address: None, exempt: Vec::new() };
    let sockets = Sockets::new(settings, Arc::clone(&metrics));
    let refusals = Arc::new(Refusals::new(Arc::clone(&metrics)));
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (_run, stop) = watch::channel(false);
    Acceptor::new(listener, sockets, refusals, metrics).run(Http1::new(app, None, stop, Duration::ZERO)).await
}
