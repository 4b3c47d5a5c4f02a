//! Socket addresses and control messages in the layout of `recvmmsg` and `sendmmsg`.

use std::{
    mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
};

/// A socket address as the kernel writes and reads it.
#[derive(Clone, Copy)]
pub(super) struct RawAddress {
    pub(super) storage: libc::sockaddr_storage,
    pub(super) len: libc::socklen_t,
}

#[expect(clippy::cast_possible_truncation, reason = "sizes and families are small constants")]
impl RawAddress {
    pub(super) const SIZE: libc::socklen_t = size_of::<libc::sockaddr_storage>() as libc::socklen_t;

    pub(super) fn empty() -> Self {
        // SAFETY: all zeros are a valid sockaddr_storage.
        Self { storage: unsafe { mem::zeroed() }, len: Self::SIZE }
    }

    /// For an IPv6 socket, an IPv4 address is written in its mapped form.
    pub(super) fn new(address: SocketAddr, ipv6_socket: bool) -> Self {
        let mut raw = Self::empty();
        let address = match address {
            SocketAddr::V4(v4) if ipv6_socket => {
                SocketAddr::V6(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0))
            }
            other => other,
        };
        match address {
            SocketAddr::V4(v4) => {
                let sin = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                    sin_zero: [0; 8],
                };
                // SAFETY: the storage is larger than any address, and aligned for each.
                unsafe { (&raw mut raw.storage).cast::<libc::sockaddr_in>().write(sin) };
                raw.len = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            }
            SocketAddr::V6(v6) => {
                let sin6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                };
                // SAFETY: the storage is larger than any address, and aligned for each.
                unsafe { (&raw mut raw.storage).cast::<libc::sockaddr_in6>().write(sin6) };
                raw.len = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            }
        }
        raw
    }

    /// Returns the address, with mapped IPv4 addresses in their plain form.
    pub(super) fn get(&self) -> Option<SocketAddr> {
        match libc::c_int::from(self.storage.ss_family) {
            libc::AF_INET => {
                // SAFETY: the family says that the storage holds this type, for which it is large enough and aligned.
                let sin = unsafe { (&raw const self.storage).cast::<libc::sockaddr_in>().read() };
                let ip = Ipv4Addr::from(sin.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddr::new(ip.into(), u16::from_be(sin.sin_port)))
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let sin6 = unsafe { (&raw const self.storage).cast::<libc::sockaddr_in6>().read() };
                let ip = Ipv6Addr::from(sin6.sin6_addr.s6_addr);
                let port = u16::from_be(sin6.sin6_port);
                Some(match ip.to_ipv4_mapped() {
                    Some(v4) => SocketAddr::new(IpAddr::V4(v4), port),
                    None => SocketAddr::V6(SocketAddrV6::new(ip, port, 0, sin6.sin6_scope_id)),
                })
            }
            _ => None,
        }
    }
}

/// Space for control messages of integers, aligned for their headers.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(super) struct Control([u8; Self::SIZE]);

impl Control {
    pub(super) const SIZE: usize = 64;

    pub(super) const fn empty() -> Self {
        Self([0; Self::SIZE])
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.0.as_mut_ptr().cast()
    }
}

/// Writes `UDP_SEGMENT` into the control buffer of a message.
#[expect(clippy::cast_possible_truncation, reason = "the sizes are small constants")]
pub(super) fn set_segment(header: &mut libc::msghdr, control: &mut Control, segment: u16) {
    const LEN: libc::c_uint = size_of::<u16>() as libc::c_uint;
    header.msg_control = control.as_mut_ptr();
    // SAFETY: CMSG_SPACE and CMSG_LEN only compute.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(LEN) } as _;
    // SAFETY: the control buffer is aligned for a header and has room for one with two bytes of data; CMSG_FIRSTHDR
    // is therefore not null.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(header);
        (*message).cmsg_level = libc::SOL_UDP;
        (*message).cmsg_type = libc::UDP_SEGMENT;
        (*message).cmsg_len = libc::CMSG_LEN(LEN) as _;
        libc::CMSG_DATA(message).cast::<u16>().write_unaligned(segment);
    }
}

/// Control information of received datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// Length of each datagram of a train in one buffer, except the last (`UDP_GRO`).
    pub(super) segment: Option<usize>,
    /// Datagrams dropped since the socket was created because its buffer was full (`SO_RXQ_OVFL`), modulo 2^32.
    pub(super) overflows: Option<u32>,
}

/// Reads the control messages of a received message.
pub(super) fn notes(header: &libc::msghdr) -> Notes {
    let mut notes = Notes::default();
    // SAFETY: the kernel has filled the control buffer up to `msg_controllen`; the macros stay within.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: not null, so it points to a header within the control buffer, followed by data of its length.
        unsafe {
            let data = libc::CMSG_DATA(message);
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let segment = data.cast::<libc::c_int>().read_unaligned();
                    notes.segment = usize::try_from(segment).ok().filter(|segment| *segment > 0);
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => notes.overflows = Some(data.cast::<u32>().read_unaligned()),
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_address_round_trips() {
        let v4: SocketAddr = "192.0.2.7:4242".parse().unwrap();
        let v6: SocketAddr = "[2001:db8::7]:4242".parse().unwrap();
        assert_eq!(RawAddress::new(v4, false).get(), Some(v4));
        assert_eq!(RawAddress::new(v6, true).get(), Some(v6));
        assert_eq!(RawAddress::new(v4, true).get(), Some(v4));
        assert_eq!(RawAddress::new(v4, true).len as usize, size_of::<libc::sockaddr_in6>());
        assert_eq!(RawAddress::empty().get(), None);
    }
}
