//! The hosts under which this server is reached. A request for another one is refused.
//!
//! A page of any site can make its own name lead to this server's address (DNS rebinding). A browser then takes the two for
//! one origin, and lets the page read what the server answers, on a server that only this machine or this network reaches.
//! The name in `Host` reveals it. An address in `Host` cannot be rebound, and `localhost` is not looked up.

use super::refusal;
use crate::{metrics::Refusal, public_url::PublicUrl};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, Uri, Version, header::HOST},
    middleware::Next,
    response::Response,
};
use std::{net::IpAddr, sync::Arc};

/// The hosts of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Of a server for this machine alone: loopback addresses, `localhost`, and these names.
    Loopback(Vec<String>),
    /// Of a server that others reach: every address, `localhost`, and these names.
    Beyond(Vec<String>),
}

impl Default for Hosts {
    fn default() -> Self {
        Self::Beyond(Vec::new())
    }
}

impl Hosts {
    /// Whether a request for this host, which may have a port, is for this server.
    #[must_use]
    pub fn allow(&self, host: &str) -> bool {
        let name = without_port(host);
        if let Ok(address) = name.trim_matches(['[', ']']).parse::<IpAddr>() {
            return matches!(self, Self::Beyond(_)) || address.to_canonical().is_loopback();
        }
        let name = name.trim_end_matches('.');
        let (Self::Loopback(names) | Self::Beyond(names)) = self;
        name.eq_ignore_ascii_case("localhost") || names.iter().any(|own| is_of(own, name))
    }

    /// The same with a name more.
    #[must_use]
    pub fn with(mut self, name: &str) -> Self {
        let (Self::Loopback(names) | Self::Beyond(names)) = &mut self;
        names.push(name.to_owned());
        self
    }

    /// The same with the host of a public URL.
    pub(crate) fn with_public(self, url: Option<&PublicUrl>) -> Self {
        match url {
            Some(url) => self.with(url.host()),
            None => self,
        }
    }
}

/// Whether a name is this one, or one of `*.example.org`, as in certificates.
fn is_of(own: &str, name: &str) -> bool {
    match own.strip_prefix("*.") {
        Some(parent) => name.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent)),
        None => own.eq_ignore_ascii_case(name),
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !host.ends_with(']') && port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The host that a request names, with its port: that of its target if this is a whole URL, otherwise `Host`. `None` if it
/// names none or more than one, which HTTP/1.1 forbids; an empty text if it names none and may.
pub(super) fn named(version: Version, uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let mut lines = headers.get_all(HOST).iter();
    match (lines.next(), lines.next()) {
        (None, _) if version < Version::HTTP_11 => Some(String::new()),
        (Some(host), None) => {
            let host = host.to_str().ok()?;
            Some(uri.authority().map_or(host, |authority| authority.as_str()).to_owned())
        }
        _ => None,
    }
}

/// Middleware that refuses requests for other hosts.
pub(crate) async fn check(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    match named(request.version(), request.uri(), request.headers()) {
        Some(host) if host.is_empty() || hosts.allow(&host) => next.run(request).await,
        _ => refusal::answer(Refusal::Host, None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn loopback_server_is_reached_as_localhost_and_by_loopback_addresses() {
        let hosts = Hosts::Loopback(Vec::new());
        for own in ["localhost", "LOCALHOST:8800", "localhost.", "127.0.0.1:8800", "127.9.9.9", "[::1]:8800", "[::1]"] {
            assert!(hosts.allow(own), "{own}");
        }
        for other in [
            "evil.example",
            "evil.example:8800",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.0.2.1",
            "[2001:db8::1]:8800",
            "",
            "127.0.0.1:evil.example",
            "0x7f000001",
            "[::1].evil.example",
            "*",
            "evil.localhost:1",
        ] {
            assert!(!hosts.allow(other), "{other}");
        }
    }

    #[test]
    fn public_server_is_reached_by_its_names_and_any_address() {
        let public = "https://call.example.org:8443".parse().unwrap();
        let hosts = Hosts::default().with("*.example.net").with_public(Some(&public));
        for own in ["call.example.org", "Call.Example.Org:8443", "203.0.113.7:8800", "a.example.net", "localhost"] {
            assert!(hosts.allow(own), "{own}");
        }
        for other in ["example.org", "evil.call.example.org", "a.b.example.net", "example.net", "evil.example:8443"] {
            assert!(!hosts.allow(other), "{other}");
        }
    }

    #[test]
    fn one_host_is_named() {
        let named = |target: &str, hosts: &[&str], version| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, host.parse().unwrap());
            }
            named(version, &target.parse().unwrap(), &headers)
        };
        let of = |text: &str| Some(text.to_owned());
        assert_eq!(named("/", &["a:1"], Version::HTTP_11), of("a:1"));
        assert_eq!(named("http://b:2/", &["a:1"], Version::HTTP_11), of("b:2"), "the target of the request wins");
        assert_eq!(named("/", &["a", "b"], Version::HTTP_11), None);
        assert_eq!(named("/", &[], Version::HTTP_11), None);
        assert_eq!(named("/", &[], Version::HTTP_10), of(""));
    }
}
