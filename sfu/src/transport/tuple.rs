//! The identity of a path: protocol, local address and remote address.

use std::{
    fmt,
    hash::{Hash, Hasher},
    net::{IpAddr, SocketAddr},
};

/// Transport protocol of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Protocol {
    /// UDP (RFC 768).
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
        })
    }
}

/// What identifies a path between the server and a client.
///
/// `Display` and `Debug` hide half of the client's address, so that logs do not name people: `udp 203.0.113.x:50000`,
/// `udp [2001:db8:1:2::x]:50000`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tuple {
    /// Transport protocol.
    pub protocol: Protocol,
    /// Address of the server's socket. Its IP address is unspecified if the socket is bound to all interfaces.
    pub local: SocketAddr,
    /// Address of the client, as the server sees it.
    pub remote: SocketAddr,
}

impl Tuple {
    /// A path over UDP.
    #[must_use]
    pub const fn udp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { protocol: Protocol::Udp, local, remote }
    }
}

/// A worker has one local address per protocol, so the remote address alone tells its tuples apart.
impl Hash for Tuple {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.remote.hash(state);
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.remote.port();
        match self.remote.ip() {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                write!(f, "{} {a}.{b}.{c}.x:{port}", self.protocol)
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                write!(f, "{} [{a:x}:{b:x}:{c:x}:{d:x}::x]:{port}", self.protocol)
            }
        }
    }
}

impl fmt::Debug for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasher, RandomState};

    fn tuple(local: &str, remote: &str) -> Tuple {
        Tuple::udp(local.parse().unwrap(), remote.parse().unwrap())
    }

    #[test]
    fn tuple_display_hides_half_of_the_address() {
        assert_eq!(tuple("192.0.2.1:3478", "203.0.113.77:50000").to_string(), "udp 203.0.113.x:50000");
        let v6 = tuple("[::1]:3478", "[2001:db8:1:2:3:4:5:6]:50000");
        assert_eq!(format!("{v6:?}"), "udp [2001:db8:1:2::x]:50000");
    }

    #[test]
    fn tuple_equality_includes_the_local_address() {
        let (a, b) = (tuple("192.0.2.1:1", "203.0.113.77:9"), tuple("192.0.2.1:2", "203.0.113.77:9"));
        assert_ne!(a, b);
        let state = RandomState::new();
        assert_eq!(state.hash_one(a), state.hash_one(b));
    }
}
