//! The client behind a request: its address, and the hosts under which it may have reached this server.

use super::{Server, forwarded, hosts, problem, refusal};
use crate::{http1::Unread, metrics::Refusal, network::is_within, sockets::Ticket};
use axum::{
    Extension,
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::Response,
};
use std::net::{IpAddr, SocketAddr};

/// The paths that are served to everyone, for health checks.
const HEALTH: [&str; 2] = ["/healthz", "/readyz"];

/// The client behind a request, whether it came directly or through trusted proxies. An extension of requests,
/// and of the responses to them.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// The address that limits count.
    pub(crate) address: IpAddr,
    /// Hosts, with their ports, that the client may have asked for: `Host`, and what a trusted proxy says.
    pub(crate) hosts: Vec<String>,
    /// Whether a trusted proxy passed the request on.
    pub(crate) proxied: bool,
}

/// Middleware that identifies the client, and refuses one that may not use plain HTTP, asks for another server, or has too
/// many connections to a proxy.
pub(super) async fn identify(
    State(server): State<Server>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Extension(ticket): Extension<Ticket>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = peer.ip().to_canonical();
    let proxied = is_within(&server.config.trusted_proxies, peer);
    if let Some(Unread(status)) = request.extensions().get() {
        return problem(*status, "bad_body", "the body is broken, or longer than 16384 bytes");
    }
    let refused = |refusal| {
        server.refusals.refused(refusal);
        refusal::answer(refusal, None)
    };
    let is_health_check = HEALTH.contains(&request.uri().path());
    if server.config.proxies_only && !proxied && !peer.is_loopback() && !is_health_check {
        return refused(Refusal::Unencrypted);
    }
    let client = of(peer, proxied, &request, &server);
    if !is_health_check && !client.as_ref().is_some_and(|client| client.may_ask(&server)) {
        return refused(Refusal::Host);
    }
    let Some(client) = client else { return next.run(request).await };
    if proxied && ticket.is_of(client.address).is_err() {
        return refused(Refusal::Sockets);
    }
    request.extensions_mut().insert(client.clone());
    let mut response = next.run(request).await;
    response.extensions_mut().insert(client);
    response
}

impl Client {
    /// Whether the client asks for this server: for one of its hosts, or through a proxy, which checks names itself unless the
    /// operator has said which one is public.
    fn may_ask(&self, server: &Server) -> bool {
        let hosts = &server.config.hosts;
        let is_unnamed = self.hosts.is_empty();
        is_unnamed
            || self.proxied && server.config.public_url.is_none()
            || self.hosts.iter().any(|host| hosts.allow(host))
    }
}

/// The client of a request, unless it names no host as HTTP demands.
fn of(peer: IpAddr, proxied: bool, request: &Request, server: &Server) -> Option<Client> {
    let forwarded = forwarded::client(peer, request.headers(), &server.config.trusted_proxies);
    if forwarded.unnamed {
        server.refusals.proxy_names_no_client();
    }
    let host = hosts::named(request.version(), request.uri(), request.headers())?;
    let hosts = [Some(host), forwarded.host].into_iter().flatten().filter(|host| !host.is_empty()).collect();
    Some(Client { address: forwarded.address, hosts, proxied })
}
