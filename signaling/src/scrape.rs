//! `GET /metrics` on a separate listener, so that metrics are never on the public port.

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use hyper_util::rt::TokioTimer;
use std::{io, net::TcpListener, time::Duration};

/// Time within which the headers of a request must arrive.
const HEADERS: Duration = Duration::from_secs(10);

/// Answers with what `text` returns, as `content_type`, until the future is dropped.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    content_type: &'static str,
    text: impl Fn() -> String + Clone + Send + Sync + 'static,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let answer = move || {
        let text = text();
        async move { ([(CONTENT_TYPE, content_type)], text) }
    };
    let app = Router::new().route("/metrics", get(answer));
    let mut server = axum_server::from_tcp(listener)?;
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
    server.serve(app.into_make_service()).await
}
