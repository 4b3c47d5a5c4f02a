//! A bot's UDP socket: connected, non-blocking, many datagrams a system call, with the kernel's receive times.
//!
//! Most unsafe code of the load tester is here.

use crate::measure::clock::Time;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    mem::{self, MaybeUninit},
    net::{SocketAddr, UdpSocket},
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    ptr,
};

/// Datagrams of one system call.
pub(crate) const BATCH: usize = 32;
/// Largest datagram that is read whole; larger ones are cut, and fail to authenticate.
const DATAGRAM_BYTES: usize = 2_048;
/// Receive buffer asked of the kernel: a burst of every publisher must fit while the thread serves others.
const RECEIVE_BUFFER: usize = 1 << 20;
const SEND_BUFFER: usize = 1 << 20;
/// Room for a timestamp, a drop counter and their headers.
const CONTROL_BYTES: usize = 128;

/// A socket that is connected to the server.
#[derive(Debug)]
pub(crate) struct BotSocket(UdpSocket);

impl BotSocket {
    /// Binds any port and connects to the server.
    pub(crate) fn connect(server: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(server), Type::DGRAM, Some(Protocol::UDP))?;
        // A smaller buffer than asked for shows as drops, which are reported.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        let _ = socket.set_send_buffer_size(SEND_BUFFER);
        set_flag(&socket, libc::SO_TIMESTAMPNS)?;
        set_flag(&socket, libc::SO_RXQ_OVFL)?;
        socket.set_nonblocking(true)?;
        socket.connect(&server.into())?;
        Ok(Self(socket.into()))
    }

    /// The address that the server sees, if nothing between changes it.
    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Sends datagrams in order; returns how many the kernel took.
    pub(crate) fn send(&self, datagrams: &[Vec<u8>]) -> io::Result<usize> {
        let mut sent = 0;
        for batch in datagrams.chunks(BATCH) {
            let mut vectors: [libc::iovec; BATCH] = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
            // SAFETY: all-zero bytes are a valid `mmsghdr`: null pointers, zero lengths.
            let mut headers: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
            for ((vector, header), datagram) in vectors.iter_mut().zip(&mut headers).zip(batch) {
                *vector = libc::iovec { iov_base: datagram.as_ptr().cast_mut().cast(), iov_len: datagram.len() };
                header.msg_hdr.msg_iov = vector;
                header.msg_hdr.msg_iovlen = 1;
            }
            // SAFETY: the first `batch.len()` headers point to vectors that point to datagrams, all alive until the
            // call returns; the kernel only reads the datagrams.
            let taken = unsafe {
                libc::sendmmsg(self.0.as_raw_fd(), headers.as_mut_ptr(), batch.len() as u32, libc::MSG_DONTWAIT)
            };
            let taken = usize::try_from(taken).map_err(|_| io::Error::last_os_error());
            match taken {
                Ok(taken) => sent += taken,
                Err(_) if sent > 0 => return Ok(sent),
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }
}

impl AsFd for BotSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for BotSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn set_flag(socket: &Socket, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open, and the value is a live `c_int` of the length given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            ptr::from_ref(&on).cast(),
            mem::size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Buffers for one receiving system call, shared by all sockets of a thread.
pub(crate) struct ReceiveBatch {
    buffers: Box<[[u8; DATAGRAM_BYTES]; BATCH]>,
    controls: Box<[Control; BATCH]>,
    received: [Meta; BATCH],
    count: usize,
}

/// Aligned as control messages must be.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

#[derive(Clone, Copy, Default)]
struct Meta {
    length: usize,
    arrived_at: Time,
}

impl ReceiveBatch {
    pub(crate) fn new() -> Self {
        Self {
            buffers: Box::new([[0; DATAGRAM_BYTES]; BATCH]),
            controls: Box::new([Control([0; CONTROL_BYTES]); BATCH]),
            received: [Meta::default(); BATCH],
            count: 0,
        }
    }

    /// Receives at most [`BATCH`] datagrams; returns their number and, if the kernel reported it, how many datagrams this
    /// socket has dropped so far. Those without a timestamp get `now`.
    pub(crate) fn receive(&mut self, socket: &BotSocket, now: Time) -> io::Result<(usize, Option<u32>)> {
        self.count = 0;
        let mut vectors: [libc::iovec; BATCH] = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
        // SAFETY: all-zero bytes are a valid `mmsghdr`: null pointers, zero lengths.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        let places = vectors.iter_mut().zip(&mut headers).zip(self.buffers.iter_mut()).zip(self.controls.iter_mut());
        for (((vector, header), buffer), control) in places {
            *vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL_BYTES as _;
        }
        // SAFETY: each header points to its own vector and control buffer, all alive until the call returns,
        // with their true lengths.
        let count = unsafe {
            libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), BATCH as u32, libc::MSG_DONTWAIT, ptr::null_mut())
        };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok((0, None)) } else { Err(error) };
        };
        let mut dropped = None;
        for (meta, header) in self.received.iter_mut().zip(&headers).take(count) {
            // SAFETY: the kernel has filled this header and its control buffer.
            let control = unsafe { read_control(&header.msg_hdr) };
            dropped = control.dropped.or(dropped);
            *meta = Meta {
                length: (header.msg_len as usize).min(DATAGRAM_BYTES),
                arrived_at: control.arrived_at.unwrap_or(now),
            };
        }
        self.count = count;
        Ok((count, dropped))
    }

    /// The datagrams of the last call, with the time at which the kernel received each.
    pub(crate) fn datagrams(&mut self) -> impl Iterator<Item = (&mut [u8], Time)> {
        self.buffers
            .iter_mut()
            .zip(&self.received)
            .take(self.count)
            .filter_map(|(buffer, meta)| Some((buffer.get_mut(..meta.length)?, meta.arrived_at)))
    }
}

#[derive(Default)]
struct ControlValues {
    arrived_at: Option<Time>,
    dropped: Option<u32>,
}

/// Reads the control messages of a received datagram.
///
/// # Safety
/// The kernel must have filled the header, whose control buffer must be alive.
unsafe fn read_control(header: &libc::msghdr) -> ControlValues {
    let mut values = ControlValues::default();
    // SAFETY: the caller vouches for the header.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: the CMSG functions give null or a whole control header inside the buffer.
    while let Some(control) = unsafe { message.as_ref() } {
        if control.cmsg_level == libc::SOL_SOCKET {
            // SAFETY: the data of a control message follows its header.
            let data = unsafe { libc::CMSG_DATA(control) };
            match control.cmsg_type {
                libc::SCM_TIMESTAMPNS => {
                    let mut time = MaybeUninit::<libc::timespec>::uninit();
                    // SAFETY: this message's data is a `timespec`, perhaps not aligned; all bits are valid.
                    let time = unsafe {
                        ptr::copy_nonoverlapping(data, time.as_mut_ptr().cast(), mem::size_of::<libc::timespec>());
                        time.assume_init()
                    };
                    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
                    let nanos = u64::try_from(time.tv_nsec).unwrap_or_default();
                    values.arrived_at =
                        Some(Time::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos)));
                }
                libc::SO_RXQ_OVFL => {
                    // SAFETY: this message's data is a `u32`, perhaps not aligned.
                    values.dropped = Some(unsafe { data.cast::<u32>().read_unaligned() });
                }
                _ => {}
            }
        }
        // SAFETY: both belong to the same buffer.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    values
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_keep_order_and_kernel_time() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = BotSocket::connect(server.local_addr().unwrap()).unwrap();
        let datagrams: Vec<Vec<u8>> = (0..BATCH as u8 + 3).map(|n| vec![n; 100]).collect();
        let before = Time::now();
        assert_eq!(socket.send(&datagrams).unwrap(), datagrams.len());
        let mut buffer = [0; 200];
        for expected in &datagrams {
            let (length, from) = server.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], &expected[..]);
            server.send_to(expected, from).unwrap();
        }
        let mut batch = ReceiveBatch::new();
        let mut received = Vec::new();
        while received.len() < datagrams.len() {
            batch.receive(&socket, Time::default()).unwrap();
            for (datagram, arrived) in batch.datagrams() {
                assert!((before..=Time::now()).contains(&arrived));
                received.push(datagram.to_vec());
            }
        }
        assert_eq!(received, datagrams);
        assert_eq!(batch.receive(&socket, Time::default()).unwrap().0, 0);
    }
}
