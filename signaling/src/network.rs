//! What counts as one address: an IPv4 address, or the /56 of one IPv6 customer. And which addresses a list of networks names.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr};

/// The address that limits count for a client's address.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 72))),
    }
}

/// Whether one of the networks contains the address. An IPv4 address that is mapped to IPv6 counts as what it is.
pub(crate) fn is_within(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}
