//! The client behind a request: its address, and the hosts under which it may have reached this server.

use super::{Server, forwarded, refusal};
use crate::metrics::Refusal;
use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, header::HOST},
    middleware::Next,
    response::Response,
};
use std::net::{IpAddr, SocketAddr};

/// The path that is served to everyone, for health checks.
const HEALTH: &str = "/healthz";

/// The client behind a request, whether it came directly or through trusted proxies. An extension of every request.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// The address that limits count.
    pub(crate) address: IpAddr,
    /// Hosts, with their ports, that the client may have asked for: `Host`, and what a trusted proxy says.
    pub(crate) hosts: Vec<String>,
}

/// Middleware that identifies the client, and refuses one that may not use plain HTTP.
pub(super) async fn identify(
    State(server): State<Server>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = peer.ip().to_canonical();
    let proxied = server.config.trusted_proxies.iter().any(|network| network.contains(&peer));
    if server.config.proxies_only && !proxied && !peer.is_loopback() && request.uri().path() != HEALTH {
        server.refusals.refused(Refusal::Unencrypted);
        return refusal::answer(Refusal::Unencrypted, None);
    }
    let client = of(peer, request.headers(), &server);
    request.extensions_mut().insert(client);
    next.run(request).await
}

fn of(peer: IpAddr, headers: &HeaderMap, server: &Server) -> Client {
    let forwarded = forwarded::client(peer, headers, &server.config.trusted_proxies);
    if forwarded.unnamed {
        server.refusals.proxy_names_no_client();
    }
    let host = headers.get(HOST).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let hosts = host.into_iter().chain(forwarded.host).filter(|host| !host.is_empty()).collect();
    Client { address: forwarded.address, hosts }
}
