//! Sending in batches. A run of equal packets to one destination costs one pass through the kernel's stack
//! (`UDP_SEGMENT`), and many runs one system call (`sendmmsg`): this is where an SFU's time goes. Where the kernel or the
//! interface cannot segment, packets go one by one in the same system call.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::{
    message::{Control, RawAddress, set_segment},
    poll::wait_writable,
};
use crate::{
    metrics::{Counter, Counters},
    transport::{Outbox, Run},
};
use std::{
    io,
    mem::MaybeUninit,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

/// Messages per system call.
const BATCH: usize = 64;
/// How long a full send buffer may stop the worker, per outbox.
const PATIENCE: Duration = Duration::from_millis(2);

/// Fills places of a batch that are not in use.
const UNUSED: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// How a socket sends.
#[derive(Debug)]
pub(super) struct Sender {
    /// Whether addresses of IPv4 need their mapped form.
    ipv6: bool,
    /// Whether the kernel cuts runs into packets.
    segmentation: bool,
}

impl Sender {
    pub(super) fn new(ipv6: bool, segmentation: bool) -> Self {
        Self { ipv6, segmentation }
    }

    /// Sends all runs. What the kernel does not take, after a moment of patience, is dropped and counted.
    pub(super) fn send(&mut self, socket: &UdpSocket, outbox: &Outbox, counters: &mut Counters) {
        let batch = [Train::single(UNUSED, &[]); BATCH];
        let mut flush = Flush { sender: self, socket, counters, batch, len: 0, patient: true };
        for run in outbox.runs() {
            if run.packets() == 1 || flush.sender.segmentation {
                flush.push(Train::of(run));
            } else {
                run.segments().for_each(|packet| flush.push(Train::single(run.to(), packet)));
            }
        }
        flush.flush();
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
    fn of(run: &'a Run) -> Self {
        Self { to: run.to(), bytes: run.bytes(), segment: run.segment(), packets: run.packets() }
    }

    fn single(to: SocketAddr, bytes: &'a [u8]) -> Self {
        Self { to, bytes, segment: bytes.len().max(1), packets: 1 }
    }
}

/// One outbox on its way out.
struct Flush<'a> {
    sender: &'a mut Sender,
    socket: &'a UdpSocket,
    counters: &'a mut Counters,
    batch: [Train<'a>; BATCH],
    /// So many of the batch are waiting.
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
                    self.patient = self.patient && wait_writable(self.socket.as_fd(), PATIENCE);
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

    /// After a message was refused: its packets go one by one where that may help, and else nowhere.
    fn send_otherwise(&mut self, train: Train<'_>, error: &io::Error) {
        let unsegmented = match error.raw_os_error() {
            // No checksum offload on the way out, so never again.
            Some(libc::EIO) if train.packets > 1 => {
                self.sender.segmentation = false;
                tracing::info!("the interface does not segment UDP: sending packet by packet");
                true
            }
            // The packets are too long for the path to be segmented.
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

    /// One `sendmmsg` of at most [`BATCH`] trains; gives how many were sent. An error concerns the first.
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
        // SAFETY: the first `count` headers were written above, and point to addresses, vectors and control buffers of
        // their own in this frame, and to the trains' bytes, which the kernel only reads.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{receive::Receiver, socket};

    /// Sends packets of these lengths in runs, and receives them on another socket.
    fn pass(segmentation: bool, lengths: &[usize]) -> (Vec<usize>, Counters) {
        let bound = socket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let receiving = socket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let to = receiving.socket.local_addr().unwrap();
        let mut outbox = Outbox::default();
        outbox.fill(to, lengths);
        let mut counters = Counters::default();
        Sender::new(false, segmentation && bound.segmentation).send(&bound.socket, &outbox, &mut counters);
        let (mut receiver, mut received) = (Receiver::new(), Vec::new());
        while received.len() < lengths.len() {
            receiver.receive(&receiving.socket, &mut counters, |from, datagram| {
                assert_eq!(from, bound.socket.local_addr().unwrap());
                received.push(datagram.len());
            });
        }
        (received, counters)
    }

    #[test]
    fn runs_arrive_as_the_packets_they_are_of() {
        let lengths = [[1_200; 16].as_slice(), &[300], &[1_200; 100], &[7, 9, 9]].concat();
        for segmentation in [true, false] {
            let (received, counters) = pass(segmentation, &lengths);
            assert_eq!(received, lengths);
            assert_eq!(counters.get(Counter::DatagramsOut), lengths.len() as u64);
            assert_eq!(counters.get(Counter::BytesOut), lengths.iter().sum::<usize>() as u64);
            assert_eq!(counters.get(Counter::DropSend), 0);
        }
    }

    #[test]
    fn what_has_no_route_is_dropped_and_the_rest_is_sent() {
        let bound = socket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let to = bound.socket.local_addr().unwrap();
        let mut outbox = Outbox::default();
        // Port 0 is nowhere.
        outbox.fill((Ipv4Addr::LOCALHOST, 0).into(), &[50, 50, 50]);
        outbox.fill(to, &[60, 60]);
        let mut counters = Counters::default();
        Sender::new(false, bound.segmentation).send(&bound.socket, &outbox, &mut counters);
        assert_eq!((counters.get(Counter::DropSend), counters.get(Counter::DatagramsOut)), (3, 2));
    }
}
