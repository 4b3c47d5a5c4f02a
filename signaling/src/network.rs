//! What counts as one address: an IPv4 address, or the /56 of one IPv6 customer.

use std::net::{IpAddr, Ipv6Addr};

/// The address that limits count for a client's address.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 72))),
    }
}
