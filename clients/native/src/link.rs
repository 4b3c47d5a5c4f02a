//! Room links: `http(s)://HOST[:PORT]/r/ROOM#SECRET`.
//!
//! The fragment is the invite secret, 32 bytes of base64url. It never leaves this process: the server only receives an
//! access token derived from it.

use std::{fmt, str::FromStr};
use tacet_proto::{RoomId, bytes::Fixed};

/// The origin of a server: `http(s)://HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    secure: bool,
    authority: String,
}

/// A parsed room link.
#[derive(Clone, PartialEq, Eq)]
pub struct RoomLink {
    origin: Origin,
    room: RoomId,
    invite: [u8; 32],
    /// A room token, which is shown in place of the access token.
    token: Option<String>,
}

/// Why a text is not a room link or an origin. Contains no part of the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The scheme is neither `http://` nor `https://`.
    #[error("the address must start with http:// or https://")]
    Scheme,
    /// The host or port is missing or invalid.
    #[error("the address has no valid host or port")]
    Host,
    /// The path is not `/r/ROOM`.
    #[error("the path of a room link is /r/ and 22 characters of base64url")]
    Room,
    /// The fragment is missing or not a secret.
    #[error("a room link ends in # and 43 characters of base64url; copy it whole")]
    Secret,
}

impl Origin {
    /// Whether the server uses TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Host and port, as written.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The ASCII serialization (RFC 6454 section 6.2) that the server compares: lower case, without the scheme's default
    /// port.
    #[must_use]
    pub fn serialized(&self) -> String {
        let (scheme, default) = if self.secure { ("https", 443) } else { ("http", 80) };
        let authority = self.authority.to_ascii_lowercase();
        let host = match authority.rsplit_once(':') {
            // A colon inside brackets belongs to an IPv6 address.
            Some((host, port)) if !port.contains(']') => host,
            _ => &authority,
        };
        if self.port() == default { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{}", self.port()) }
    }

    /// Host without port, and without the brackets of an IPv6 address.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = match self.authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((v6, _)) => v6,
            None => self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host),
        };
        host.trim()
    }

    /// Port as written, or the scheme's default.
    #[must_use]
    pub fn port(&self) -> u16 {
        let behind_v6 = self.authority.rsplit_once(']').map_or(self.authority.as_str(), |(_, rest)| rest);
        let written = behind_v6.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        written.unwrap_or(if self.secure { 443 } else { 80 })
    }
}

impl FromStr for Origin {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let (scheme, authority) = text.split_once("://").ok_or(LinkError::Scheme)?;
        let secure = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(LinkError::Scheme),
        };
        let host_like = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
        if authority.is_empty() || authority.starts_with(':') || !authority.bytes().all(host_like) {
            return Err(LinkError::Host);
        }
        // The port follows the last colon outside the brackets of an IPv6 address.
        let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.contains(']'));
        if port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err(LinkError::Host);
        }
        Ok(Self { secure, authority: authority.to_owned() })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.authority)
    }
}

impl RoomLink {
    /// A link to a room on the server at `authority` (host, optional port).
    #[must_use]
    pub fn new(secure: bool, authority: &str, room: RoomId, invite: [u8; 32]) -> Self {
        Self { origin: Origin { secure, authority: authority.to_owned() }, room, invite, token: None }
    }

    /// The same link, entered with a room token: in the role that it names, and not as a guest. The token is not part of the
    /// link's text.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }

    /// The room token, if there is one.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The room id.
    #[must_use]
    pub fn room(&self) -> RoomId {
        self.room
    }

    /// The invite secret.
    #[must_use]
    pub fn invite(&self) -> &[u8; 32] {
        &self.invite
    }

    /// The server's origin.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether the server uses TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.origin.is_secure()
    }

    /// Host and port, as written in the link.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.origin.authority()
    }

    /// Host without port, and without the brackets of an IPv6 address.
    #[must_use]
    pub fn host(&self) -> &str {
        self.origin.host()
    }

    /// Port as written in the link, or the scheme's default.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.origin.port()
    }

    /// URL of the signaling WebSocket.
    #[must_use]
    pub fn websocket_url(&self) -> String {
        format!("{}://{}/v1/ws", if self.is_secure() { "wss" } else { "ws" }, self.authority())
    }
}

impl FromStr for RoomLink {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let text = text.trim();
        let authority = text.find("://").ok_or(LinkError::Scheme)? + "://".len();
        let path = authority + text.get(authority..).and_then(|rest| rest.find('/')).ok_or(LinkError::Room)?;
        let (origin, path) = text.split_at_checked(path).ok_or(LinkError::Room)?;
        let origin = origin.parse()?;
        let (path, fragment) = path.split_once('#').ok_or(LinkError::Secret)?;
        let room = path.strip_prefix("/r/").and_then(|room| room.parse().ok()).ok_or(LinkError::Room)?;
        let Fixed(invite) = Fixed::decode(fragment).ok_or(LinkError::Secret)?;
        Ok(Self { origin, room, invite, token: None })
    }
}

impl fmt::Display for RoomLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/r/{}#{}", self.origin, self.room, Fixed(self.invite).encode())
    }
}

/// Prints no secret.
impl fmt::Debug for RoomLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomLink").field("room", &self.room).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn link_round_trips_as_text() {
        let link = RoomLink::new(false, "127.0.0.1:8800", RoomId(Fixed([7; 16])), [9; 32]);
        let text = link.to_string();
        assert_eq!(text.parse::<RoomLink>().unwrap(), link);
        assert_eq!(link.websocket_url(), "ws://127.0.0.1:8800/v1/ws");
        assert_eq!((link.host(), link.port()), ("127.0.0.1", 8800));
    }

    #[test]
    fn port_defaults_by_scheme() {
        let room = RoomId(Fixed([7; 16]));
        assert_eq!(RoomLink::new(true, "call.example", room, [0; 32]).port(), 443);
        let v6 = RoomLink::new(false, "[::1]:8800", room, [0; 32]);
        assert_eq!((v6.host(), v6.port()), ("::1", 8800));
        assert_eq!(RoomLink::new(false, "[::1]", room, [0; 32]).port(), 80);
    }

    #[test]
    fn errors_name_the_missing_part() {
        let room = RoomId(Fixed([7; 16]));
        let secret = Fixed([9u8; 32]).encode();
        for (text, error) in [
            (format!("call.example/r/{room}#{secret}"), LinkError::Scheme),
            (format!("ftp://call.example/r/{room}#{secret}"), LinkError::Scheme),
            (format!("http:///r/{room}#{secret}"), LinkError::Host),
            (format!("http://a b/r/{room}#{secret}"), LinkError::Host),
            (format!("http://call.example/x/{room}#{secret}"), LinkError::Room),
            (format!("http://call.example/r/short#{secret}"), LinkError::Room),
            (format!("http://call.example/r/{room}"), LinkError::Secret),
            (format!("http://call.example/r/{room}#short"), LinkError::Secret),
        ] {
            assert_eq!(text.parse::<RoomLink>(), Err(error), "{text}");
        }
    }

    #[test]
    fn debug_output_has_no_secret() {
        let link = RoomLink::new(false, "h", RoomId(Fixed([7; 16])), [9; 32]);
        assert!(!format!("{link:?}").contains(&Fixed([9u8; 32]).encode()));
    }

    proptest! {
        #[test]
        fn parsing_is_total(text in ".{0,200}") {
            let _ = text.parse::<RoomLink>();
        }
    }

    #[test]
    fn serialized_origin_has_no_default_port() {
        for (written, serialized) in [
            ("https://Call.Example:443", "https://call.example"),
            ("https://call.example", "https://call.example"),
            ("http://call.example:443", "http://call.example:443"),
            ("http://[::1]:80", "http://[::1]"),
            ("http://[::1]", "http://[::1]"),
            ("https://[::1]:8800", "https://[::1]:8800"),
        ] {
            assert_eq!(written.parse::<Origin>().unwrap().serialized(), serialized);
        }
    }

    #[test]
    fn origin_parses_port_and_brackets() {
        let parts = |text: &str| text.parse::<Origin>().map(|origin| (origin.host().to_owned(), origin.port()));
        assert_eq!(parts("https://call.example").unwrap(), ("call.example".to_owned(), 443));
        assert_eq!(parts("https://call.example:8800").unwrap(), ("call.example".to_owned(), 8800));
        assert_eq!(parts("http://[::1]").unwrap(), ("::1".to_owned(), 80));
        assert_eq!(parts("http://[::1]:8800").unwrap(), ("::1".to_owned(), 8800));
        assert_eq!(parts("http://call.example:door"), Err(LinkError::Host));
    }
}
