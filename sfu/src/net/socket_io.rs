//! Socket I/O of a worker: batched system calls on Linux, one datagram at a time elsewhere or on request.

#[cfg(target_os = "linux")]
use super::linux;
use super::plain;
use crate::{metrics::Counters, transport::Outbox};
use mio::net::UdpSocket;
use std::net::SocketAddr;

/// How workers receive and send datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketIo {
    /// Many datagrams per system call (`recvmmsg`, `sendmmsg`), and trains of packets that the kernel or the interface
    /// cuts and joins (`UDP_SEGMENT`, `UDP_GRO`). Only on Linux; on other systems this is [`Plain`](Self::Plain).
    #[default]
    Batched,
    /// One datagram per system call, on every system: several times the CPU time for each packet. Datagrams that the
    /// kernel drops because the receive buffer is full are not counted.
    Plain,
}

/// Reads datagrams from a worker's socket.
pub(super) enum Receiver {
    #[cfg(target_os = "linux")]
    Batched(linux::Receiver),
    Plain(plain::Receiver),
}

impl Receiver {
    /// Passes one batch of datagrams to `take`. Returns whether there may be more.
    pub(super) fn receive(
        &mut self,
        socket: &UdpSocket,
        counters: &mut Counters,
        take: impl FnMut(SocketAddr, &mut [u8]),
    ) -> bool {
        match self {
            #[cfg(target_os = "linux")]
            Self::Batched(receiver) => receiver.receive(socket, counters, take),
            Self::Plain(receiver) => receiver.receive(socket, counters, take),
        }
    }
}

/// Writes outboxes to a worker's socket.
#[derive(Debug)]
pub(super) enum Sender {
    #[cfg(target_os = "linux")]
    Batched(linux::Sender),
    Plain(plain::Sender),
}

impl Sender {
    /// Sends all runs. Drops and counts the packets that the kernel does not accept within a few milliseconds.
    pub(super) fn send(&mut self, socket: &UdpSocket, outbox: &Outbox, counters: &mut Counters) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Batched(sender) => sender.send(socket, outbox, counters),
            Self::Plain(sender) => sender.send(socket, outbox, counters),
        }
    }
}

/// The receiver and the sender of a socket.
pub(super) fn open(socket: &UdpSocket, io: SocketIo, ipv6: bool) -> (Receiver, Sender) {
    #[cfg(target_os = "linux")]
    if io == SocketIo::Batched {
        let segmentation = linux::enable(socket);
        return (Receiver::Batched(linux::Receiver::new()), Sender::Batched(linux::Sender::new(ipv6, segmentation)));
    }
    tracing::debug!(?io, "one datagram per system call");
    let _ = socket;
    (Receiver::Plain(plain::Receiver::new()), Sender::Plain(plain::Sender::new(ipv6)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        metrics::Counter,
        net::socket::{self, Bound},
        transport::Tuple,
    };
    use std::net::Ipv4Addr;

    const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

    /// The path from a socket to this address.
    fn path(bound: &Bound, remote: SocketAddr) -> Tuple {
        Tuple::udp(bound.socket.local_addr().unwrap(), remote)
    }

    /// Sends packets of these lengths in runs, and receives them on another socket.
    fn pass(io: SocketIo, lengths: &[usize]) -> (Vec<usize>, Counters) {
        let bound = socket::bind((LOCAL, 0).into(), false).unwrap();
        let receiving = socket::bind((LOCAL, 0).into(), false).unwrap();
        let (_, mut sender) = open(&bound.socket, io, false);
        let (mut receiver, _) = open(&receiving.socket, io, false);
        let mut outbox = Outbox::default();
        outbox.fill(path(&bound, receiving.socket.local_addr().unwrap()), lengths);
        let (mut counters, mut received) = (Counters::default(), Vec::new());
        sender.send(&bound.socket, &outbox, &mut counters);
        while received.len() < lengths.len() {
            receiver.receive(&receiving.socket, &mut counters, |from, datagram| {
                assert_eq!(from, bound.socket.local_addr().unwrap());
                received.push(datagram.len());
            });
        }
        (received, counters)
    }

    #[test]
    fn runs_arrive_as_single_packets() {
        let lengths = [[1_200; 16].as_slice(), &[300], &[1_200; 100], &[7, 9, 9]].concat();
        for io in [SocketIo::Batched, SocketIo::Plain] {
            let (received, counters) = pass(io, &lengths);
            assert_eq!(received, lengths, "{io:?}");
            assert_eq!(counters.get(Counter::DatagramsOut), lengths.len() as u64);
            assert_eq!(counters.get(Counter::BytesOut), lengths.iter().sum::<usize>() as u64);
            assert_eq!(counters.get(Counter::DropSend), 0);
        }
    }

    /// Packets without a route are dropped and counted; the others are sent.
    #[test]
    fn unroutable_packets_do_not_stop_an_outbox() {
        for io in [SocketIo::Batched, SocketIo::Plain] {
            let bound = socket::bind((LOCAL, 0).into(), false).unwrap();
            let mut outbox = Outbox::default();
            // The kernel refuses port 0.
            outbox.fill(path(&bound, (LOCAL, 0).into()), &[50, 50, 50]);
            outbox.fill(path(&bound, bound.socket.local_addr().unwrap()), &[60, 60]);
            let mut counters = Counters::default();
            open(&bound.socket, io, false).1.send(&bound.socket, &outbox, &mut counters);
            assert_eq!((counters.get(Counter::DropSend), counters.get(Counter::DatagramsOut)), (3, 2), "{io:?}");
        }
    }

    /// A socket of IPv6 reports and reaches addresses of IPv4 in their plain form.
    #[test]
    fn dual_stack_socket_speaks_ipv4() {
        for io in [SocketIo::Batched, SocketIo::Plain] {
            let Ok(bound) = socket::bind("[::]:0".parse().unwrap(), false) else { return };
            let (mut receiver, mut sender) = open(&bound.socket, io, true);
            let client = std::net::UdpSocket::bind((LOCAL, 0)).unwrap();
            client.send_to(b"request", (LOCAL, bound.socket.local_addr().unwrap().port())).unwrap();
            let (mut counters, mut from) = (Counters::default(), None);
            while from.is_none() {
                receiver.receive(&bound.socket, &mut counters, |address, _| from = Some(address));
            }
            assert_eq!(from, Some(client.local_addr().unwrap()));
            let mut outbox = Outbox::default();
            outbox.fill(path(&bound, client.local_addr().unwrap()), &[9]);
            sender.send(&bound.socket, &outbox, &mut counters);
            assert_eq!(client.recv(&mut [0; 16]).unwrap(), 9);
        }
    }
}
