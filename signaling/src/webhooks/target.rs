//! Where messages go, and where they must not: a server that sends requests wherever a caller of its API says could be made to ask
//! what only its own network reaches (SSRF).

use axum::http::{Uri, uri::Scheme};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Maximum length of a URL, in bytes.
pub(super) const MAX_URL: usize = 2_000;

/// Why a URL is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// It is no URL, or has parts that it must not have.
    #[error("url: expected https://HOST/PATH of at most {MAX_URL} bytes, without a user or a fragment")]
    Malformed,
    /// It would be sent in the clear.
    #[error("url: only https is accepted; private_webhooks in the server's settings allows http")]
    Plain,
    /// It leads to an address that is not public.
    #[error("url: this address is not public; private_webhooks in the server's settings allows it")]
    Private,
}

/// Where messages of an endpoint go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) is_secure: bool,
    /// Name or address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Host and port as they are in the URL.
    pub(super) authority: String,
    pub(super) path: String,
}

impl Target {
    /// Reads a URL. `private` allows http and addresses that are not public.
    ///
    /// # Errors
    /// See [`InvalidTarget`].
    pub(super) fn new(url: &str, private: bool) -> Result<Self, InvalidTarget> {
        if url.len() > MAX_URL || url.contains('#') || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidTarget::Malformed);
        }
        let uri: Uri = url.parse().map_err(|_| InvalidTarget::Malformed)?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(InvalidTarget::Malformed);
        };
        let is_secure = *scheme == Scheme::HTTPS;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let has_port = authority.as_str().rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let is_malformed = has_port && authority.port_u16().is_none_or(|port| port == 0);
        let is_web = is_secure || *scheme == Scheme::HTTP;
        if !is_web || host.is_empty() || authority.as_str().contains('@') || is_malformed {
            return Err(InvalidTarget::Malformed);
        }
        if !is_secure && !private {
            return Err(InvalidTarget::Plain);
        }
        let is_private =
            host.parse().is_ok_and(|address| !is_public(address)) || host.eq_ignore_ascii_case("localhost");
        if is_private && !private {
            return Err(InvalidTarget::Private);
        }
        let port = authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { is_secure, host, port, authority: authority.as_str().to_owned(), path })
    }
}

/// Whether an address is one of the public Internet, by the special-purpose registries of IANA (RFC 6890).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let is_special = v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_documentation()
        // This network, multicast and reserved.
        || a == 0
        || a >= 224
        // Carrier-grade NAT, protocol assignments, the relay of 6to4, benchmarks.
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        || (a == 198 && (18..20).contains(&b));
    !is_special
}

/// Global unicast is 2000::/3; what in it carries an IPv4 address, or is for documents, is not.
fn is_public_v6(v6: Ipv6Addr) -> bool {
    let [a, b, ..] = v6.segments();
    let is_protocol = a == 0x2001 && b < 0x200;
    let is_document = a == 0x2001 && b == 0xdb8 || a == 0x3fff && b < 0x1000;
    (0x2000..0x4000).contains(&a) && !is_protocol && !is_document && a != 0x2002
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_not_public() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "198.18.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "198.20.0.1", "2606:4700::1111", "2a00:1450::1"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn target_is_public_and_encrypted_unless_allowed() {
        let target = Target::new("https://shop.example:8443/hook?a=b", false).unwrap();
        assert_eq!((target.host.as_str(), target.port, target.path.as_str()), ("shop.example", 8_443, "/hook?a=b"));
        assert_eq!(Target::new("https://shop.example", false).unwrap().path, "/");
        assert_eq!(Target::new("http://shop.example/", false), Err(InvalidTarget::Plain));
        for private in
            ["https://127.0.0.1/", "https://[::1]:8/", "https://localhost/", "https://169.254.169.254/latest"]
        {
            assert_eq!(Target::new(private, false), Err(InvalidTarget::Private), "{private}");
        }
        let local = Target::new("http://[::1]:8080/hook", true).unwrap();
        assert_eq!((local.host.as_str(), local.port, local.is_secure), ("::1", 8_080, false));
        for malformed in [
            "",
            "shop.example",
            "/hook",
            "ftp://shop.example/",
            "https://a:b@shop.example/",
            "https://shop.example/#x",
            "https://shop.example:0/",
            "https://shop.example:99999/",
            "https://shop.example/ a",
            "https:///hook",
            &format!("https://shop.example/{}", "a".repeat(2_000)),
        ] {
            assert_eq!(Target::new(malformed, true), Err(InvalidTarget::Malformed), "{malformed}");
        }
    }
}
