//! What a reverse proxy says about the client whose request it passes on: `X-Forwarded-For` and `X-Forwarded-Host`, or
//! `Forwarded` (RFC 7239) if there is none of them.
//!
//! Anyone can send these headers. Only addresses that the operator trusts are believed, from the nearest proxy outwards: the
//! client is the first address that is no trusted proxy.

use crate::network::is_within;
use axum::http::{HeaderMap, HeaderName, header::FORWARDED};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// A client as its proxies describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Forwarded {
    /// Address of the client, or of the outermost proxy that did not name one.
    pub(super) address: IpAddr,
    /// The host that the client asked for, if a proxy says so.
    pub(super) host: Option<String>,
    /// Whether the request came through a trusted proxy that names no client.
    pub(super) unnamed: bool,
}

/// The client of a request that came from `peer`.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Forwarded {
    let trusts = |address: IpAddr| is_within(trusted, address);
    let peer = peer.to_canonical();
    let mut client = Forwarded { address: peer, host: None, unnamed: false };
    if !trusts(peer) {
        return client;
    }
    let (hops, host) = if headers.contains_key(FOR) || headers.contains_key(HOST) {
        (list(headers, &FOR), list(headers, &HOST).pop())
    } else {
        standard(headers)
    };
    client.host = host;
    client.unnamed = hops.is_empty();
    // The nearest proxy appended the last entry.
    for hop in hops.iter().rev() {
        // Beyond an entry that is no address, nothing is known to be written by a proxy.
        let Some(address) = address(hop) else { break };
        client.address = address;
        if !trusts(address) {
            break;
        }
    }
    client
}

/// Elements of a comma-separated header, over all its lines. A line that is not text counts as one element.
fn list(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("?"));
    lines.flat_map(|line| line.split(',')).map(|element| element.trim().to_owned()).filter(|e| !e.is_empty()).collect()
}

/// Addresses and host of `Forwarded`.
fn standard(headers: &HeaderMap) -> (Vec<String>, Option<String>) {
    let (mut hops, mut host) = (Vec::new(), None);
    for element in list(headers, &FORWARDED) {
        for pair in element.split(';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = value.trim().trim_matches('"').to_owned();
            match name.trim().to_ascii_lowercase().as_str() {
                "for" => hops.push(value),
                "host" => host = Some(value),
                _ => {}
            }
        }
    }
    (hops, host)
}

/// An address with or without port and brackets. `unknown` and obfuscated names (RFC 7239 section 6) are none.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn seen(peer: &str, headers: &[(HeaderName, &str)]) -> Forwarded {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        client(peer.parse().unwrap(), &map, &["127.0.0.0/8".parse().unwrap(), "10.1.0.0/16".parse().unwrap()])
    }

    fn address_of(peer: &str, headers: &[(HeaderName, &str)]) -> String {
        seen(peer, headers).address.to_string()
    }

    #[test]
    fn stranger_is_not_believed() {
        let claims = [(FOR, "192.0.2.9"), (HOST, "call.example"), (FORWARDED, "for=192.0.2.9")];
        let stranger = Forwarded { address: "203.0.113.1".parse().unwrap(), host: None, unnamed: false };
        assert_eq!(seen("203.0.113.1", &claims), stranger);
    }

    #[test]
    fn trusted_proxy_names_the_client() {
        let client = seen("127.0.0.1", &[(FOR, "192.0.2.9"), (HOST, "call.example")]);
        let host = Some("call.example".to_owned());
        assert_eq!(client, Forwarded { address: "192.0.2.9".parse().unwrap(), host, unnamed: false });
        assert_eq!(address_of("::ffff:127.0.0.1", &[(FOR, "192.0.2.9")]), "192.0.2.9", "mapped");
    }

    #[test]
    fn client_cannot_prepend_an_address() {
        // The client wrote the first; the proxies appended the others.
        assert_eq!(address_of("127.0.0.1", &[(FOR, "8.8.8.8, 192.0.2.9, 10.1.2.3")]), "192.0.2.9");
        assert_eq!(address_of("127.0.0.1", &[(FOR, "8.8.8.8"), (FOR, "192.0.2.9")]), "192.0.2.9");
        assert_eq!(address_of("127.0.0.1", &[(FOR, "192.0.2.9, unknown, 10.1.2.3")]), "10.1.2.3");
        assert_eq!(address_of("127.0.0.1", &[(FOR, "10.1.2.3")]), "10.1.2.3", "all of them are trusted");
    }

    #[test]
    fn proxy_that_names_no_client_is_noticed() {
        let proxy = seen("127.0.0.1", &[]);
        assert!(proxy.unnamed && proxy.address.is_loopback());
        assert!(!seen("203.0.113.1", &[]).unnamed);
    }

    #[test]
    fn forwarded_header_of_rfc_7239_is_read() {
        let value = r#"For="[2001:db8:cafe::17]:4711";proto=https;host=call.example;by=10.1.0.1"#;
        let client = seen("127.0.0.1", &[(FORWARDED, value)]);
        assert_eq!(client.address.to_string(), "2001:db8:cafe::17");
        assert_eq!(client.host.as_deref(), Some("call.example"));
        assert_eq!(address_of("127.0.0.1", &[(FORWARDED, "for=192.0.2.43, for=\"10.1.0.2:80\"")]), "192.0.2.43");
        // A proxy that writes the other headers passes this one on as the client sent it.
        assert_eq!(address_of("127.0.0.1", &[(FORWARDED, "for=8.8.8.8"), (FOR, "192.0.2.9")]), "192.0.2.9");
    }

    #[test]
    fn addresses_come_in_every_form() {
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:80", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:80", Some("2001:db8::1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("unknown", None),
            ("_hidden", None),
            ("", None),
        ] {
            assert_eq!(address(text).map(|address| address.to_string()).as_deref(), expected, "{text}");
        }
    }
}
