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

/// Binds a socket and requests large buffers. Logs once per process if the system grants small ones.
pub(super) fn bind(address: SocketAddr) -> io::Result<Bound> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // An unspecified address then serves both families.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
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
