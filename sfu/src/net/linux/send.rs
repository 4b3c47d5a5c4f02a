//! Sends in batches: an SFU spends most of its time in the kernel's send path. A run of packets of equal length to one
//! destination passes through the stack once (`UDP_SEGMENT`), and many runs take one system call (`sendmmsg`). If the
//! kernel or the interface cannot segment, the packets of a run are separate messages of the same system call.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::control::{Control, RawAddress, set_segment};
use crate::{
    metrics::{Counter, Counters},
    transport::{Outbox, Run},
};
use mio::net::UdpSocket;
use std::{
    io,
    mem::MaybeUninit,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::fd::AsRawFd,
    time::Duration,
};

/// Messages per system call.
const BATCH: usize = 64;
/// How long a full send buffer may delay the worker, per outbox.
const PATIENCE: Duration = Duration::from_millis(2);

/// Destination in unused places of a batch.
const UNUSED: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// How a socket sends.
#[derive(Debug)]
pub(in crate::net) struct Sender {
    /// Whether IPv4 addresses need their mapped form.
    ipv6: bool,
    /// Whether the kernel cuts runs into packets.
    segmentation: bool,
}

impl Sender {
    pub(in crate::net) fn new(ipv6: bool, segmentation: bool) -> Self {
        Self { ipv6, segmentation }
    }

    /// Sends all runs. Drops and counts the packets that the kernel does not accept within [`PATIENCE`].
    pub(in crate::net) fn send(&mut self, socket: &UdpSocket, outbox: &Outbox, counters: &mut Counters) {
        let batch = [Train::single(UNUSED, &[]); BATCH];
        let mut flush = Flush { sender: self, socket, counters, batch, len: 0, patient: true };
        for run in outbox.runs() {
            if run.packets() == 1 || flush.sender.segmentation {
                flush.push(Train::of(run));
            } else {
                run.segments().for_each(|packet| flush.push(Train::single(run.to().remote, packet)));
            }
        }
        flush.flush();
    }
}

/// The packets of one message to the kernel.
#[derive(Clone, Copy)]
struct Train<'a> {
    to: SocketAddr,
    bytes: &'a [u8],
    segment: usize,
    packets: usize,
}

impl<'a> Train<'a> {
    fn of(run: &'a Run) -> Self {
        Self { to: run.to().remote, bytes: run.bytes(), segment: run.segment(), packets: run.packets() }
    }

    fn single(to: SocketAddr, bytes: &'a [u8]) -> Self {
        Self { to, bytes, segment: bytes.len().max(1), packets: 1 }
    }
}

/// The state of sending one outbox.
struct Flush<'a> {
    sender: &'a mut Sender,
    socket: &'a UdpSocket,
    counters: &'a mut Counters,
    batch: [Train<'a>; BATCH],
    /// Number of pending trains in the batch.
    len: usize,
    patient: bool,
}

impl<'a> Flush<'a> {
    fn push(&mut self, train: Train<'a>) {
        if let Some(place) = self.batch.get_mut(self.len) {
            *place = train;
            self.len += 1;
        }
        if self.len == BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let batch = self.batch;
        let mut rest = batch.get(..std::mem::take(&mut self.len)).unwrap_or_default();
        while let Some((first, others)) = rest.split_first() {
            match self.send(rest) {
                Ok(sent) => {
                    let (done, left) = rest.split_at_checked(sent.max(1)).unwrap_or((rest, &[]));
                    for train in done {
                        self.counters.add(Counter::DatagramsOut, train.packets as u64);
                        self.counters.add(Counter::BytesOut, train.bytes.len() as u64);
                    }
                    rest = left;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.patient = self.patient && wait_writable(self.socket, PATIENCE);
                    if !self.patient {
                        let lost: usize = rest.iter().map(|train| train.packets).sum();
                        self.counters.add(Counter::DropSend, lost as u64);
                        break;
                    }
                }
                Err(error) => {
                    self.send_otherwise(*first, &error);
                    rest = others;
                }
            }
        }
    }

    /// Handles a refused message: sends its packets one by one if that may help, otherwise drops them.
    fn send_otherwise(&mut self, train: Train<'_>, error: &io::Error) {
        let unsegmented = match error.raw_os_error() {
            // The interface has no checksum offload: do not segment again.
            Some(libc::EIO) if train.packets > 1 => {
                self.sender.segmentation = false;
                tracing::info!("the interface does not segment UDP: sending packet by packet");
                true
            }
            // The packets are too long to be segmented on this path.
            Some(libc::EINVAL | libc::EMSGSIZE) => true,
            _ => false,
        };
        if !unsegmented || train.packets == 1 {
            self.counters.add(Counter::DropSend, train.packets as u64);
            return;
        }
        for bytes in train.bytes.chunks(train.segment) {
            if matches!(self.send(&[Train::single(train.to, bytes)]), Ok(1)) {
                self.counters.add(Counter::DatagramsOut, 1);
                self.counters.add(Counter::BytesOut, bytes.len() as u64);
            } else {
                self.counters.add(Counter::DropSend, 1);
            }
        }
    }

    /// Calls `sendmmsg` for at most [`BATCH`] trains; returns how many were sent. An error concerns the first train.
    fn send(&self, trains: &[Train<'_>]) -> io::Result<usize> {
        let mut addresses = [const { MaybeUninit::<RawAddress>::uninit() }; BATCH];
        let mut controls = [const { MaybeUninit::<Control>::uninit() }; BATCH];
        let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; BATCH];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BATCH];
        let parts = trains.iter().zip(&mut addresses).zip(&mut controls).zip(&mut vectors);
        for ((((train, address), control), vector), header) in parts.zip(&mut headers) {
            let address = address.write(RawAddress::new(train.to, self.sender.ipv6));
            let vector = vector
                .write(libc::iovec { iov_base: train.bytes.as_ptr().cast_mut().cast(), iov_len: train.bytes.len() });
            // SAFETY: all zeros are a valid mmsghdr.
            let header = header.write(unsafe { std::mem::zeroed() });
            header.msg_hdr.msg_name = (&raw mut address.storage).cast();
            header.msg_hdr.msg_namelen = address.len;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            if let Some(segment) = u16::try_from(train.segment).ok().filter(|_| train.packets > 1) {
                set_segment(&mut header.msg_hdr, control.write(Control::empty()), segment);
            }
        }
        let count = trains.len().min(BATCH);
        // SAFETY: the first `count` headers were written above. They point to their own addresses, vectors and control
        // buffers in this frame, and to the bytes of the trains, which the kernel only reads.
        let sent = unsafe {
            libc::sendmmsg(
                self.socket.as_raw_fd(),
                headers.as_mut_ptr().cast(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

/// Waits until the socket can be written; returns false if it still cannot after `timeout`.
fn wait_writable(socket: &UdpSocket, timeout: Duration) -> bool {
    let timeout = timeout.as_millis().try_into().unwrap_or(libc::c_int::MAX);
    let mut fd = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one valid pollfd is passed, and its descriptor is open.
    unsafe { libc::poll(&raw mut fd, 1, timeout) > 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        net::{linux::Receiver, socket},
        transport::Tuple,
    };

    /// Runs that the kernel does not cut arrive as the same packets.
    #[test]
    fn runs_are_sent_without_segmentation() {
        let lengths = [[1_200; 16].as_slice(), &[300], &[7, 9, 9]].concat();
        let bound = socket::bind((Ipv4Addr::LOCALHOST, 0).into(), false).unwrap();
        let receiving = socket::bind((Ipv4Addr::LOCALHOST, 0).into(), false).unwrap();
        let mut outbox = Outbox::default();
        let path = Tuple::udp(bound.socket.local_addr().unwrap(), receiving.socket.local_addr().unwrap());
        outbox.fill(path, &lengths);
        let (mut counters, mut received) = (Counters::default(), Vec::new());
        Sender::new(false, false).send(&bound.socket, &outbox, &mut counters);
        let mut receiver = Receiver::new();
        while received.len() < lengths.len() {
            receiver.receive(&receiving.socket, &mut counters, |_, datagram| received.push(datagram.len()));
        }
        assert_eq!(received, lengths);
        assert_eq!(counters.get(Counter::DatagramsOut), lengths.len() as u64);
    }
}
