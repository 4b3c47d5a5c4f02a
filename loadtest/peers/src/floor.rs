//! Lower bound for any forwarding server in user space: only the costs of the kernel and the cipher.
//!
//! ```text
//!   recvmmsg ─► SRTP open ─► for each subscriber: header rewritten, SRTP seal ─► sendmmsg, in runs of `segments` by GSO
//!          └──► SRTCP open: feedback and reports of subscribers, as any server gets them, and nothing follows from them
//! ```
//! Keys are preset: no ICE, no DTLS, no reports sent, no retransmission, no congestion control. Keys, AES-256-GCM and its
//! library are those of our SFU.

use crate::child;
use nix::{
    errno::Errno,
    sys::socket::{
        ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg, setsockopt, sockopt::ReceiveTimeout,
    },
    sys::time::TimeVal,
};
use rtc_client::srtp::{Profile, SrtpError, SrtpOpener, SrtpSealer};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    io::{self, IoSlice, IoSliceMut},
    net::{SocketAddr, SocketAddrV4, UdpSocket},
    os::fd::AsRawFd,
    sync::mpsc,
};

/// Datagrams of one receiving system call.
const RECEIVE_BATCH: usize = 32;
/// Messages of one sending system call.
const SEND_BATCH: usize = 64;
const DATAGRAM_BYTES: usize = 2_048;
/// Sealed bytes that are sent before more are sealed, so that they stay in the CPU cache until the kernel copies them.
const PORTION_BYTES: usize = 256 << 10;
/// Bytes of the fixed RTP header, and of an extension with a transport-wide number.
const RTP_HEADER: usize = 12;
const EXTENSION: usize = 8;
/// Id of that extension: receivers report the arrival of each number.
pub(crate) const TRANSPORT_CC: u8 = 3;
/// Protection profile of both directions.
pub(crate) const PROFILE: Profile = Profile::Aes256Gcm;
/// Maximum wait for a datagram, and so maximum delay of a request.
const PATIENCE: TimeVal = TimeVal::new(0, 5_000);

/// A request to the process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Sets the key of the publisher's packets.
    Publisher(Key),
    /// Adds a subscriber.
    Subscriber {
        /// Its address.
        address: SocketAddrV4,
        /// SSRC of the packets sent to it.
        ssrc: u32,
        /// Key of the packets sent to it.
        key: Key,
    },
}

/// An SRTP master key and its salt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Key {
    key: Vec<u8>,
    salt: Vec<u8>,
}

impl Key {
    pub(crate) fn random() -> io::Result<Self> {
        let (mut key, mut salt) = (vec![0; PROFILE.key_len()], vec![0; PROFILE.salt_len()]);
        for bytes in [&mut key, &mut salt] {
            getrandom::fill(bytes).map_err(|error| io::Error::other(error.to_string()))?;
        }
        Ok(Self { key, salt })
    }

    pub(crate) fn opener(&self) -> Result<Box<SrtpOpener>, SrtpError> {
        SrtpOpener::new(PROFILE, &self.key, &self.salt).map(Box::new)
    }

    pub(crate) fn sealer(&self) -> Result<Box<SrtpSealer>, SrtpError> {
        SrtpSealer::new(PROFILE, &self.key, &self.salt).map(Box::new)
    }
}

/// The response to every request.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
}

/// Forwards until the standard input ends, in runs of at most `segments` packets; 1 disables GSO.
///
/// # Errors
/// Errors of the socket, or a malformed request.
pub fn run(segments: usize) -> io::Result<()> {
    let socket = child::media_socket()?;
    setsockopt(&socket, ReceiveTimeout, &PATIENCE)?;
    let answer = Listening { address: socket.local_addr()? };
    let orders = child::orders::<Order>();
    let mut floor = Floor {
        socket,
        segments: segments.clamp(1, 64),
        publisher: None,
        subscribers: Vec::new(),
        by_address: HashMap::new(),
        headers: MultiHeaders::preallocate(SEND_BATCH, (segments > 1).then(|| nix::cmsg_space!(u16))),
        sealed: Vec::new(),
        runs: Vec::new(),
    };
    let mut buffers = vec![[0; DATAGRAM_BYTES]; RECEIVE_BATCH];
    let mut received = Vec::with_capacity(RECEIVE_BATCH);
    loop {
        loop {
            match orders.try_recv() {
                Ok(order) => {
                    floor.obey(order?)?;
                    child::answer(&answer)?;
                }
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
            }
        }
        receive(&floor.socket, &mut buffers, &mut received)?;
        let datagrams = buffers.iter_mut().zip(&received);
        floor.forward(datagrams.filter_map(|(buffer, (length, from))| Some((*from, buffer.get_mut(..*length)?))))?;
    }
}

/// Receives queued datagrams, or waits briefly for the first. Returns the length of each, and who sent it.
fn receive(
    socket: &UdpSocket,
    buffers: &mut [[u8; DATAGRAM_BYTES]],
    received: &mut Vec<(usize, Option<SocketAddrV4>)>,
) -> io::Result<()> {
    received.clear();
    let mut slices: Vec<_> = buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(RECEIVE_BATCH, None);
    // Blocks for the first datagram, then takes those that are queued.
    match recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), MsgFlags::MSG_WAITFORONE, None) {
        Ok(messages) => received.extend(messages.map(|message| (message.bytes, message.address.map(Into::into)))),
        Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

struct Subscriber {
    address: SockaddrIn,
    ssrc: u32,
    sealer: Box<SrtpSealer>,
    /// Of its feedback.
    opener: Box<SrtpOpener>,
    /// Transport-wide number of the next packet.
    next: u16,
}

/// Packets of one length to one destination, one after the other in the sealed bytes.
struct Run {
    to: SockaddrIn,
    start: usize,
    end: usize,
    segment: usize,
}

struct Floor {
    socket: UdpSocket,
    segments: usize,
    publisher: Option<Box<SrtpOpener>>,
    subscribers: Vec<Subscriber>,
    /// Position of the subscriber with this address.
    by_address: HashMap<SocketAddrV4, usize>,
    headers: MultiHeaders<SockaddrIn>,
    sealed: Vec<u8>,
    runs: Vec<Run>,
}

impl Floor {
    fn obey(&mut self, order: Order) -> io::Result<()> {
        match order {
            Order::Publisher(key) => self.publisher = Some(key.opener().map_err(io::Error::other)?),
            Order::Subscriber { address, ssrc, key } => {
                let sealer = key.sealer().map_err(io::Error::other)?;
                let opener = key.opener().map_err(io::Error::other)?;
                self.by_address.insert(address, self.subscribers.len());
                self.subscribers.push(Subscriber { address: address.into(), ssrc, sealer, opener, next: 0 });
            }
        }
        Ok(())
    }

    /// Opens the received packets, and sends those of the publisher to all receivers.
    fn forward<'a>(&mut self, datagrams: impl Iterator<Item = (Option<SocketAddrV4>, &'a mut [u8])>) -> io::Result<()> {
        let Some(opener) = &mut self.publisher else { return Ok(()) };
        let mut packets: Vec<&[u8]> = Vec::new();
        for (from, datagram) in datagrams {
            // Packets that do not authenticate are dropped.
            match from.and_then(|from| self.subscribers.get_mut(*self.by_address.get(&from)?)) {
                Some(subscriber) => {
                    let _ = subscriber.opener.open_rtcp(datagram);
                }
                None => packets.extend(opener.open_rtp(datagram).ok().map(|packet| &*packet)),
            }
        }
        packets.retain(|packet| packet.len() > RTP_HEADER);
        if packets.is_empty() {
            return Ok(());
        }
        for at in 0..self.subscribers.len() {
            self.seal(at, &packets);
            if self.sealed.len() >= PORTION_BYTES {
                self.send()?;
            }
        }
        self.send()
    }

    /// Seals the packets for one subscriber, in runs.
    fn seal(&mut self, subscriber: usize, packets: &[&[u8]]) {
        let Some(subscriber) = self.subscribers.get_mut(subscriber) else { return };
        for packets in packets.chunks(self.segments) {
            let mut segment = 0;
            let mut start = self.sealed.len();
            for packet in packets {
                let before = self.sealed.len();
                if subscriber.seal(packet, &mut self.sealed).is_none() {
                    continue;
                }
                let length = self.sealed.len() - before;
                // Only the last packet of a run may be shorter: another length begins a run.
                if length != segment && before > start {
                    self.runs.push(Run { to: subscriber.address, start, end: before, segment });
                    start = before;
                }
                segment = length;
            }
            if self.sealed.len() > start {
                self.runs.push(Run { to: subscriber.address, start, end: self.sealed.len(), segment });
            }
        }
    }

    /// Sends what was sealed.
    fn send(&mut self) -> io::Result<()> {
        // The library has one control message for all of a call.
        let same_length = |a: &Run, b: &Run| self.segments == 1 || a.segment == b.segment;
        for runs in self.runs.chunk_by(same_length).flat_map(|runs| runs.chunks(SEND_BATCH)) {
            let segment = runs.first().and_then(|run| u16::try_from(run.segment).ok()).unwrap_or_default();
            let mut rest = runs;
            while !rest.is_empty() {
                let bytes = |run: &Run| self.sealed.get(run.start..run.end).unwrap_or_default();
                let slices: Vec<_> = rest.iter().map(|run| [IoSlice::new(bytes(run))]).collect();
                let addresses: Vec<_> = rest.iter().map(|run| Some(run.to)).collect();
                let gso = [ControlMessage::UdpGsoSegments(&segment)];
                let control = if self.segments > 1 { &gso[..] } else { &[] };
                let fd = self.socket.as_raw_fd();
                let sent = match sendmmsg(fd, &mut self.headers, &slices, &addresses, control, MsgFlags::empty()) {
                    Ok(sent) => sent.count().max(1),
                    Err(Errno::EINTR) => 0,
                    // The receiver has gone. Only its own packet is lost.
                    Err(Errno::ECONNREFUSED | Errno::ENOBUFS) => 1,
                    Err(error) => return Err(error.into()),
                };
                rest = rest.get(sent..).unwrap_or_default();
            }
        }
        self.sealed.clear();
        self.runs.clear();
        Ok(())
    }
}

impl Subscriber {
    /// Appends the packet as this subscriber receives it.
    fn seal(&mut self, packet: &[u8], sealed: &mut Vec<u8>) -> Option<()> {
        // No extensions are passed on; the publisher of this load has none that matter.
        let (fixed, payload) = (packet.first_chunk::<RTP_HEADER>()?, payload(packet)?);
        let mut header = [0; RTP_HEADER + EXTENSION];
        header[..RTP_HEADER].copy_from_slice(fixed);
        header[0] = 0x90;
        header[8..RTP_HEADER].copy_from_slice(&self.ssrc.to_be_bytes());
        // One word of one-byte elements (RFC 8285 section 4.2).
        let [high, low] = self.next.to_be_bytes();
        header[RTP_HEADER..].copy_from_slice(&[0xbe, 0xde, 0, 1, TRANSPORT_CC << 4 | 1, high, low, 0]);
        self.next = self.next.wrapping_add(1);
        self.sealer.seal_rtp(&header, payload, sealed).ok()
    }
}

/// The payload: everything after the header and its extensions (RFC 3550 section 5.1).
fn payload(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    let mut at = RTP_HEADER + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let words = packet.get(at + 2..at + 4)?.first_chunk::<2>()?;
        at += 4 + 4 * usize::from(u16::from_be_bytes(*words));
    }
    packet.get(at..)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_removed() {
        let plain = [&[0x80, 96][..], &[0; 10], b"media"].concat();
        assert_eq!(payload(&plain).unwrap(), b"media");
        let extended = [&[0x90, 96][..], &[0; 10], &[0xbe, 0xde, 0, 1, 0x31, 7, 7, 0], b"media"].concat();
        assert_eq!(payload(&extended).unwrap(), b"media");
        assert_eq!(payload(&extended[..15]), None);
    }
}
