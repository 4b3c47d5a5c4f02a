//! A UDP socket that receives and sends in batches.
//!
//! Sending is where the time goes: a run of equal packets to one destination costs one pass through the stack
//! (`UDP_SEGMENT`), and many runs one system call (`sendmmsg`). Where the kernel or the interface has no segmentation,
//! packets go one by one in the same system call.

#![deny(clippy::indexing_slicing)]

use super::{
    message::{Control, RawAddress, gro_segment, set_segment},
    poll::wait_writable,
};
use crate::{
    metrics::{Counter, Counters},
    transport::Outbox,
};
use socket2::{Domain, Protocol, Type};
use std::{
    io, mem,
    net::{SocketAddr, UdpSocket},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    ptr,
    sync::Once,
    time::Duration,
};

/// Datagrams, or trains of them, per `recvmmsg`.
const RECEIVE_BATCH: usize = 32;
/// With GRO the kernel may put a train of up to 64 KiB into one buffer.
const RECEIVE_BUFFER: usize = 65_536;
/// Messages per `sendmmsg`.
const SEND_BATCH: usize = 64;
/// What we ask for in each direction: 50 ms of 1 Gbit/s.
const SOCKET_BUFFER: usize = 6 * 1024 * 1024;
/// Below this, bursts of a large room are lost.
const SMALL_SOCKET_BUFFER: usize = 1024 * 1024;
/// How long a full send buffer may stop the worker, per flush.
const SEND_PATIENCE: Duration = Duration::from_millis(2);

/// One worker's socket and the buffers of its batches.
pub(super) struct Socket {
    socket: UdpSocket,
    ipv6: bool,
    /// Whether the kernel cuts runs into packets.
    gso: bool,
    receive_buffers: Vec<Box<[u8]>>,
}

impl Socket {
    /// Binds; large buffers are asked for, and it is logged once if the system grants small ones.
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
        let granted = socket.recv_buffer_size()?.min(socket.send_buffer_size()?);
        if granted < SMALL_SOCKET_BUFFER {
            static WARNED: Once = Once::new();
            WARNED.call_once(|| {
                tracing::warn!(granted, "socket buffers are small: raise net.core.rmem_max and net.core.wmem_max");
            });
        }
        let socket = UdpSocket::from(socket);
        let gso = option(&socket, libc::UDP_SEGMENT, None);
        let gro = option(&socket, libc::UDP_GRO, Some(1));
        tracing::debug!(gso, gro, granted, "bound a media socket");
        let receive_buffers = (0..RECEIVE_BATCH).map(|_| vec![0; RECEIVE_BUFFER].into_boxed_slice()).collect();
        Ok(Self { socket, ipv6: address.is_ipv6(), gso, receive_buffers })
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Receives one batch and hands each datagram to `take`. True: the batch was full, there may be more.
    pub(super) fn receive(&mut self, counters: &mut Counters, mut take: impl FnMut(SocketAddr, &mut [u8])) -> bool {
        let mut addresses = [RawAddress::empty(); RECEIVE_BATCH];
        let mut controls = [Control::empty(); RECEIVE_BATCH];
        // SAFETY: all zeros are a valid iovec and a valid mmsghdr.
        let mut vectors: [libc::iovec; RECEIVE_BATCH] = unsafe { mem::zeroed() };
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; RECEIVE_BATCH] = unsafe { mem::zeroed() };
        let parts = self.receive_buffers.iter_mut().zip(&mut addresses).zip(&mut controls).zip(&mut vectors);
        for ((((buffer, address), control), vector), header) in parts.zip(&mut headers) {
            *vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            header.msg_hdr.msg_name = (&raw mut address.storage).cast();
            header.msg_hdr.msg_namelen = RawAddress::SIZE;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.as_mut_ptr();
            header.msg_hdr.msg_controllen = Control::SIZE as _;
        }
        // SAFETY: every header points to an address, a vector, a buffer and a control buffer of its own, which live in
        // this frame or in `self` and are not touched during the call.
        let received = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                headers.as_mut_ptr(),
                RECEIVE_BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        // Nothing there, or an ICMP error of an earlier send, which is of no concern.
        let received = usize::try_from(received).unwrap_or(0);
        for ((header, buffer), address) in headers.iter().zip(&mut self.receive_buffers).zip(&addresses).take(received)
        {
            let datagrams = buffer.get_mut(..header.msg_len as usize).unwrap_or_default();
            let Some(from) = address.get() else { continue };
            if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
                counters.add(Counter::DropTruncated, 1);
                continue;
            }
            let segment = gro_segment(&header.msg_hdr).unwrap_or(datagrams.len()).max(1);
            for datagram in datagrams.chunks_mut(segment) {
                take(from, datagram);
            }
        }
        received == RECEIVE_BATCH
    }

    /// Sends all runs. What the kernel does not take, after a moment of patience, is dropped and counted.
    pub(super) fn send(&mut self, outbox: &Outbox, counters: &mut Counters) {
        let mut batch = Vec::with_capacity(SEND_BATCH);
        let mut patient = true;
        for run in outbox.runs() {
            let train = Train { to: run.to(), bytes: run.bytes(), segment: run.segment(), packets: run.packets() };
            if train.packets > 1 && !self.gso {
                for bytes in run.segments() {
                    self.push(&mut batch, Train::single(train.to, bytes), &mut patient, counters);
                }
            } else {
                self.push(&mut batch, train, &mut patient, counters);
            }
        }
        self.flush(&mut batch, &mut patient, counters);
    }

    fn push<'a>(&mut self, batch: &mut Vec<Train<'a>>, train: Train<'a>, patient: &mut bool, counters: &mut Counters) {
        batch.push(train);
        if batch.len() == SEND_BATCH {
            self.flush(batch, patient, counters);
        }
    }

    fn flush(&mut self, batch: &mut Vec<Train<'_>>, patient: &mut bool, counters: &mut Counters) {
        let mut rest = &batch[..];
        while let Some((first, others)) = rest.split_first() {
            match self.send_batch(rest) {
                Ok(sent) => {
                    let (done, left) = rest.split_at_checked(sent.max(1)).unwrap_or((rest, &[]));
                    for train in done {
                        counters.add(Counter::DatagramsOut, train.packets as u64);
                        counters.add(Counter::BytesOut, train.bytes.len() as u64);
                    }
                    rest = left;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    *patient = *patient && wait_writable(self.socket.as_fd(), SEND_PATIENCE);
                    if !*patient {
                        let lost: usize = rest.iter().map(|train| train.packets).sum();
                        counters.add(Counter::DropSend, lost as u64);
                        break;
                    }
                }
                Err(error) => {
                    // No checksum offload on the way out: never try again. Too long for the path's MTU: just this run.
                    if error.raw_os_error() == Some(libc::EIO) && first.packets > 1 {
                        self.gso = false;
                        tracing::info!("the interface does not segment UDP: sending packet by packet");
                    }
                    self.send_singly(*first, counters);
                    rest = others;
                }
            }
        }
        batch.clear();
    }

    /// Sends the packets of a run one by one, after it was refused as a whole.
    fn send_singly(&self, train: Train<'_>, counters: &mut Counters) {
        for bytes in train.bytes.chunks(train.segment) {
            let single = Train::single(train.to, bytes);
            let sent = train.packets > 1 && matches!(self.send_batch(&[single]), Ok(1));
            let counter = if sent { Counter::DatagramsOut } else { Counter::DropSend };
            counters.add(counter, 1);
            counters.add(Counter::BytesOut, if sent { bytes.len() as u64 } else { 0 });
        }
    }

    /// One `sendmmsg` of at most [`SEND_BATCH`] runs; gives how many were sent. An error concerns the first.
    fn send_batch(&self, trains: &[Train<'_>]) -> io::Result<usize> {
        let mut addresses = [RawAddress::empty(); SEND_BATCH];
        let mut controls = [Control::empty(); SEND_BATCH];
        // SAFETY: all zeros are a valid iovec and a valid mmsghdr.
        let mut vectors: [libc::iovec; SEND_BATCH] = unsafe { mem::zeroed() };
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; SEND_BATCH] = unsafe { mem::zeroed() };
        let parts = trains.iter().zip(&mut addresses).zip(&mut controls).zip(&mut vectors);
        for ((((train, address), control), vector), header) in parts.zip(&mut headers) {
            *address = RawAddress::new(train.to, self.ipv6);
            *vector = libc::iovec { iov_base: train.bytes.as_ptr().cast_mut().cast(), iov_len: train.bytes.len() };
            header.msg_hdr.msg_name = (&raw mut address.storage).cast();
            header.msg_hdr.msg_namelen = address.len;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            if train.packets > 1
                && let Ok(segment) = u16::try_from(train.segment)
            {
                set_segment(&mut header.msg_hdr, control, segment);
            }
        }
        let count = trains.len().min(SEND_BATCH);
        // SAFETY: the first `count` headers point to addresses, vectors and control buffers of their own in this frame
        // and to the trains' bytes, which the kernel only reads.
        let sent = unsafe {
            libc::sendmmsg(self.socket.as_raw_fd(), headers.as_mut_ptr(), count as libc::c_uint, libc::MSG_DONTWAIT)
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

/// Packets of one message to the kernel.
#[derive(Clone, Copy)]
struct Train<'a> {
    to: SocketAddr,
    bytes: &'a [u8],
    segment: usize,
    packets: usize,
}

impl<'a> Train<'a> {
    fn single(to: SocketAddr, bytes: &'a [u8]) -> Self {
        Self { to, bytes, segment: bytes.len().max(1), packets: 1 }
    }
}

/// Sets an integer option of UDP, or only asks for it; false where the kernel does not know it.
fn option(socket: &UdpSocket, name: libc::c_int, value: Option<libc::c_int>) -> bool {
    let mut integer = value.unwrap_or(0);
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    let fd = socket.as_raw_fd();
    // SAFETY: the pointers are to an integer and its length, both valid for the call.
    let result = unsafe {
        if value.is_some() {
            libc::setsockopt(fd, libc::SOL_UDP, name, (&raw const integer).cast(), len)
        } else {
            libc::getsockopt(fd, libc::SOL_UDP, name, (&raw mut integer).cast(), &raw mut len)
        }
    };
    result == 0
}
