//! Binds a worker's UDP socket.

use mio::net::UdpSocket;
use socket2::{Domain, Protocol, Type};
use std::{io, net::SocketAddr, sync::Once};

/// Requested size of each buffer in bytes: 50 ms of 1 Gbit/s.
const BUFFER: usize = 6 * 1024 * 1024;
/// Buffers below this size lose bursts of a large room.
const SMALL_BUFFER: usize = 1024 * 1024;

/// A bound socket.
pub(super) struct Bound {
    pub(super) socket: UdpSocket,
    /// Granted sizes of the receive buffer and the send buffer, in bytes.
    pub(super) buffers: (usize, usize),
}

/// Binds a socket and requests large buffers. Logs once per process if the system grants small ones. A socket that is
/// `local_only` receives nothing that came from another machine.
pub(super) fn bind(address: SocketAddr, local_only: bool) -> io::Result<Bound> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // An unspecified address then serves both families.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    if local_only {
        // Before it is bound, so that it never receives anything else.
        refuse_other_machines(&socket)?;
    }
    socket.bind(&address.into())?;
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    let buffers = (socket.recv_buffer_size()?, socket.send_buffer_size()?);
    let granted = buffers.0.min(buffers.1);
    if granted < SMALL_BUFFER {
        static WARNED: Once = Once::new();
        WARNED.call_once(|| {
            tracing::warn!(granted, "socket buffers are small: raise net.core.rmem_max and net.core.wmem_max");
        });
    }
    tracing::debug!(granted, "bound a media socket");
    Ok(Bound { socket: UdpSocket::from_std(socket.into()), buffers })
}

/// Makes the kernel drop datagrams that did not arrive by the loopback interface. What a machine sends to one of its
/// addresses arrives there, whatever the address; nothing that another machine sends does.
#[cfg(target_os = "linux")]
fn refuse_other_machines(socket: &socket2::Socket) -> io::Result<()> {
    use socket2::SockFilter;
    // Constants of linux/filter.h and linux/bpf_common.h. The loopback interface of a network namespace has number 1.
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const INTERFACE: u32 = (-0x1000_i32 + 8).cast_unsigned();
    const LOOPBACK: u32 = 1;
    socket.attach_filter(&[
        SockFilter::new(LOAD_WORD, 0, 0, INTERFACE),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, LOOPBACK),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ])
}

#[cfg(not(target_os = "linux"))]
fn refuse_other_machines(_: &socket2::Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::{net::Ipv4Addr, time::Duration};

    /// This machine's address on an interface other than loopback, if it has a route to others. Sends nothing.
    fn own_address() -> Option<std::net::IpAddr> {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect("192.0.2.1:9").ok()?;
        socket.local_addr().ok().map(|own| own.ip())
    }

    /// A browser on the same machine reaches the socket by each address of the machine, and gets answers from there. That
    /// packets of other machines are dropped is tested in `tests/loopback.rs`, with another network namespace.
    #[test]
    fn local_only_socket_is_reached_by_every_address_of_the_machine() {
        let bound = bind((Ipv4Addr::UNSPECIFIED, 0).into(), true).unwrap();
        let port = bound.socket.local_addr().unwrap().port();
        for address in [Some(Ipv4Addr::LOCALHOST.into()), own_address()].into_iter().flatten() {
            let client = std::net::UdpSocket::bind((address, 0)).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            client.send_to(b"request", (address, port)).unwrap();
            let mut buffer = [0; 16];
            let from = loop {
                match bound.socket.recv_from(&mut buffer) {
                    Ok((_, from)) => break from,
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            };
            assert_eq!(from, client.local_addr().unwrap());
            bound.socket.send_to(b"answer", from).unwrap();
            let (_, server) = client.recv_from(&mut buffer).unwrap();
            assert_eq!(server, SocketAddr::new(address, port));
        }
    }
}
