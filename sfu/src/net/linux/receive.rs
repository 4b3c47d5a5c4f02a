//! Receives in batches: one system call for many datagrams, and one buffer for a train of one source (`UDP_GRO`).

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::control::{Control, RawAddress, notes};
use crate::metrics::{Counter, Counters};
use mio::net::UdpSocket;
use std::{io, mem, net::SocketAddr, os::fd::AsRawFd, ptr};

/// Datagrams, or trains of them, per system call.
const BATCH: usize = 32;
/// The kernel may put a train of up to 64 KiB into one buffer.
const BUFFER: usize = 65_536;

/// The receive buffers of a socket. Their pages take no memory until a datagram reaches them.
pub(in crate::net) struct Receiver {
    buffers: Vec<Box<[u8]>>,
    /// Datagrams that the kernel has dropped since the socket was made, modulo 2^32.
    overflows: u32,
}

impl Receiver {
    pub(in crate::net) fn new() -> Self {
        Self { buffers: (0..BATCH).map(|_| vec![0; BUFFER].into_boxed_slice()).collect(), overflows: 0 }
    }

    /// Receives one batch and passes each datagram to `take`. Returns whether there may be more.
    pub(in crate::net) fn receive(
        &mut self,
        socket: &UdpSocket,
        counters: &mut Counters,
        mut take: impl FnMut(SocketAddr, &mut [u8]),
    ) -> bool {
        let mut addresses = [RawAddress::empty(); BATCH];
        let mut controls = [Control::empty(); BATCH];
        // SAFETY: all zeros are a valid iovec and a valid mmsghdr.
        let mut vectors: [libc::iovec; BATCH] = unsafe { mem::zeroed() };
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        let parts = self.buffers.iter_mut().zip(&mut addresses).zip(&mut controls).zip(&mut vectors);
        for ((((buffer, address), control), vector), header) in parts.zip(&mut headers) {
            *vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            header.msg_hdr.msg_name = (&raw mut address.storage).cast();
            header.msg_hdr.msg_namelen = RawAddress::SIZE;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.as_mut_ptr();
            header.msg_hdr.msg_controllen = Control::SIZE as _;
        }
        // SAFETY: every header points to its own address, vector, buffer and control buffer, which live in this frame or
        // in `self` and are not accessed otherwise during the call.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let Ok(received) = usize::try_from(received) else {
            // An ICMP error that answers an earlier packet does not mean that there are no datagrams.
            return io::Error::last_os_error().kind() != io::ErrorKind::WouldBlock;
        };
        for ((header, buffer), address) in headers.iter().zip(&mut self.buffers).zip(&addresses).take(received) {
            let notes = notes(&header.msg_hdr);
            if let Some(overflows) = notes.overflows {
                counters.add(Counter::DropReceive, overflows.wrapping_sub(self.overflows).into());
                self.overflows = overflows;
            }
            let datagrams = buffer.get_mut(..header.msg_len as usize).unwrap_or_default();
            let Some(from) = address.get() else { continue };
            if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
                counters.add(Counter::DropTruncated, 1);
                continue;
            }
            for datagram in datagrams.chunks_mut(notes.segment.unwrap_or(BUFFER)) {
                take(from, datagram);
            }
        }
        received == BATCH
    }
}
