//! The URL under which people reach the server, if that is not the address it listens on.

use axum::http::Uri;
use std::{fmt, str::FromStr};

/// A web origin (RFC 6454) in its ASCII serialisation, such as `https://call.example.org`: lower case, without the scheme's
/// default port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    scheme: Scheme,
    origin: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// Why a text is not a public URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPublicUrl {
    /// Browsers reach the server over HTTP or HTTPS only.
    #[error("a public URL begins with https:// or http:// and a host name, as in https://call.example.org")]
    NotWeb,
    /// The page, its links and its API are at the root of a host.
    #[error(
        "the public URL has the path {0}, and tacet is not served below a path: give it a host name, as in \
         https://call.example.org"
    )]
    Path(String),
}

impl PublicUrl {
    /// The origin, without a slash at its end.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Host, and port unless it is the scheme's default.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.origin.split_once("://").map_or("", |(_, authority)| authority)
    }

    /// Host name or address, the latter in brackets if it is of IPv6.
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = self.authority();
        match authority.rsplit_once(':') {
            Some((host, _)) if !authority.ends_with(']') => host,
            _ => authority,
        }
    }

    /// Whether browsers reach the server over HTTPS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::Https
    }
}

impl FromStr for PublicUrl {
    type Err = InvalidPublicUrl;

    fn from_str(text: &str) -> Result<Self, InvalidPublicUrl> {
        let uri: Uri = text.parse().map_err(|_| InvalidPublicUrl::NotWeb)?;
        let (name, default, scheme) = match uri.scheme_str() {
            Some("https") => ("https", 443, Scheme::Https),
            Some("http") => ("http", 80, Scheme::Http),
            _ => return Err(InvalidPublicUrl::NotWeb),
        };
        let authority = uri.authority().ok_or(InvalidPublicUrl::NotWeb)?;
        if authority.host().is_empty() || authority.as_str().contains('@') || text.contains('#') {
            return Err(InvalidPublicUrl::NotWeb);
        }
        match uri.path_and_query().map_or("/", |path| path.as_str()) {
            "" | "/" => {}
            path => return Err(InvalidPublicUrl::Path(path.to_owned())),
        }
        let host = authority.host().to_ascii_lowercase();
        let port = authority.port_u16();
        if port.is_none() && authority.as_str().len() != host.len() {
            return Err(InvalidPublicUrl::NotWeb);
        }
        let port = port.filter(|port| *port != default);
        let port = port.map_or(String::new(), |port| format!(":{port}"));
        Ok(Self { scheme, origin: format!("{name}://{host}{port}") })
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn public_url_becomes_its_origin() {
        for (text, origin, host) in [
            ("https://call.example.org", "https://call.example.org", "call.example.org"),
            ("https://Call.Example.org:443/", "https://call.example.org", "call.example.org"),
            ("https://call.example.org:8443/", "https://call.example.org:8443", "call.example.org"),
            ("http://192.0.2.1:80", "http://192.0.2.1", "192.0.2.1"),
            ("https://[2001:db8::1]:8800", "https://[2001:db8::1]:8800", "[2001:db8::1]"),
            ("https://[2001:db8::1]", "https://[2001:db8::1]", "[2001:db8::1]"),
        ] {
            let url: PublicUrl = text.parse().unwrap();
            assert_eq!((url.origin(), url.host()), (origin, host), "{text}");
            assert_eq!(url.is_https(), text.starts_with("https"));
        }
    }

    #[test]
    fn path_is_refused_by_its_name() {
        let error = "https://example.org/call".parse::<PublicUrl>().unwrap_err();
        assert!(error.to_string().contains("/call"), "{error}");
        assert!(matches!("https://example.org/?a=b".parse::<PublicUrl>(), Err(InvalidPublicUrl::Path(_))));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "call.example.org", "ftp://h", "https://", "https://u@h", "https://h/#x", "https://h:99999"] {
            assert_eq!(text.parse::<PublicUrl>(), Err(InvalidPublicUrl::NotWeb), "{text}");
        }
    }
}
