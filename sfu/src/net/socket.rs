//! Making a worker's UDP socket.

use socket2::{Domain, Protocol, Type};
use std::{
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    sync::Once,
};

/// What we ask for in each direction: 50 ms of 1 Gbit/s.
const BUFFER: usize = 6 * 1024 * 1024;
/// Below this, bursts of a large room are lost.
const SMALL_BUFFER: usize = 1024 * 1024;

/// A bound socket, and what the kernel does for it.
pub(super) struct Bound {
    pub(super) socket: UdpSocket,
    /// Whether it cuts runs into packets (`UDP_SEGMENT`).
    pub(super) segmentation: bool,
    /// Bytes granted for what waits to be received and to be sent.
    pub(super) buffers: (usize, usize),
}

/// Binds. Large buffers are asked for, and it is logged once if the system grants small ones.
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
    let socket = UdpSocket::from(socket);
    let segmentation = has_option(&socket, libc::SOL_UDP, libc::UDP_SEGMENT);
    let trains = set_option(&socket, libc::SOL_UDP, libc::UDP_GRO);
    let overflows = set_option(&socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL);
    tracing::debug!(granted, segmentation, trains, overflows, "bound a media socket");
    Ok(Bound { socket, segmentation, buffers })
}

/// Turns an option on; false where the kernel does not know it.
fn set_option(socket: &UdpSocket, level: libc::c_int, name: libc::c_int) -> bool {
    let on: libc::c_int = 1;
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer is to an integer of the given length, valid for the call.
    unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const on).cast(), len) == 0 }
}

/// Whether the kernel knows an option.
fn has_option(socket: &UdpSocket, level: libc::c_int, name: libc::c_int) -> bool {
    let mut value: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointers are to an integer and its length, both valid for the call.
    unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut len) == 0 }
}
