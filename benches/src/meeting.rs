//! A meeting on one worker, in memory and in virtual time. Every client has real handshakes and keys.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up measures nothing")]

use rtp_wire::{
    header::{HeaderBuffer, HeaderExtensions, RtpHeader},
    rtcp::{
        self, ReportBlock,
        twcc::{self, Arrival},
    },
    seq::SeqNum,
};
use sfu::{Command, Event, Mid, ParticipantId, Ssrc, TrackId, command::Publication, media::Codec, worker::Worker};
use sfu_testing::{Network, datagram_from, subscribe};
use std::{net::SocketAddr, ops::ControlFlow, time::Duration};

/// Payload of a packet in bytes: about 1,200 bytes on the wire.
const PAYLOAD: usize = 1_160;
/// First bytes of a VP8 packet: payload descriptor with picture id, first byte of a key frame.
const VP8: [u8; 6] = [0x90, 0xc0, 0x80, 1, 1, 0x10];

/// Clients around a worker, in virtual time.
#[derive(Debug)]
pub struct Meeting {
    network: Network<Worker>,
    publishers: usize,
    /// Sequence number of the next packet of each publisher.
    seq: u16,
    /// Packets that each publisher has sent, and those among them that receivers have reported.
    sent: u64,
    reported: u64,
}

/// A packet on the wire.
#[derive(Debug)]
pub struct Datagram {
    from: SocketAddr,
    bytes: Vec<u8>,
}

fn participant(number: usize) -> ParticipantId {
    ParticipantId(number as u32)
}

fn ssrc(publisher: usize) -> Ssrc {
    Ssrc(1_000 + publisher as u32)
}

fn mid(number: usize) -> Mid {
    Mid::new(&number.to_string()).expect("a number is a MID")
}

/// An RR on a stream, by which the server learns that the receiver knows its m-line.
#[must_use]
pub fn receiver_report(ssrc: Ssrc) -> Vec<u8> {
    let block = ReportBlock {
        ssrc,
        fraction_lost: 0,
        cumulative_lost: 0,
        highest_seq: 0,
        jitter: 0,
        last_sr: 0,
        delay_since_last_sr: 0,
    };
    let mut report = Vec::new();
    rtcp::write::receiver_report(&mut report, Ssrc(1), &[block]);
    report
}

impl Meeting {
    /// A meeting whose first `publishers` participants send video to all others.
    ///
    /// # Panics
    /// If the worker refuses anything.
    #[must_use]
    pub fn new(participants: usize, publishers: usize) -> Self {
        Self::on(sfu_testing::worker(participants), participants, publishers)
    }

    /// The same, with video that adapts to what downlinks carry.
    ///
    /// # Panics
    /// If the worker refuses anything.
    #[must_use]
    pub fn adapting(participants: usize, publishers: usize) -> Self {
        Self::on(sfu_testing::adapting_worker(participants), participants, publishers)
    }

    fn on(worker: Worker, participants: usize, publishers: usize) -> Self {
        let mut meeting = Self { network: Network::new(worker), publishers, seq: 0, sent: 0, reported: 0 };
        for number in 0..participants {
            meeting.join(number);
        }
        meeting.network.connect();
        let slots = meeting.subscribe();
        // One packet of each publisher, and reports on it: after these, packets carry no MID.
        for mut datagram in meeting.packets(1) {
            meeting.receive(&mut datagram);
        }
        meeting.forward();
        meeting.report(&slots);
        meeting
    }

    fn join(&mut self, number: usize) {
        self.network.join(1, number as u32);
        if number < self.publishers {
            let publication = Publication::single(Codec::Vp8, mid(0), ssrc(number), None);
            let track = TrackId(number as u32);
            self.network.command(Command::Publish { participant: participant(number), track, publication });
        }
    }

    /// Adds slots for the video of all others to each participant; returns the receivers with the SSRCs of their slots.
    fn subscribe(&mut self) -> Vec<(usize, Ssrc)> {
        for to in 0..self.network.clients.len() {
            for from in (0..self.publishers).filter(|from| *from != to) {
                for command in subscribe(participant(to), mid(1 + from), Codec::Vp8, TrackId(from as u32)) {
                    self.network.command(command);
                }
            }
        }
        let added = self.network.events.drain(..).filter_map(|event| match event {
            Event::SlotAdded { participant, ssrc, .. } => Some((participant.0 as usize, ssrc)),
            _ => None,
        });
        added.collect()
    }

    fn report(&mut self, slots: &[(usize, Ssrc)]) {
        for &(client, ssrc) in slots {
            let mut sealed = Vec::new();
            let Network { now, worker, clients, .. } = &mut self.network;
            let client = &mut clients[client];
            client.transport.seal_rtcp(&receiver_report(ssrc), &mut sealed).expect("there are keys");
            worker.receive(*now, datagram_from(client.address, &mut sealed));
        }
    }

    /// The next `of_each` packets of every publisher, publisher by publisher.
    ///
    /// # Panics
    /// If a key is exhausted.
    pub fn packets(&mut self, of_each: u16) -> Vec<Datagram> {
        let mut payload = VP8.to_vec();
        payload.resize(PAYLOAD, 0xa5);
        let mut packets = Vec::new();
        for (number, client) in self.network.clients.iter_mut().enumerate().take(self.publishers) {
            for n in 0..of_each {
                let mut header = HeaderBuffer::default();
                let seq = SeqNum(self.seq.wrapping_add(n));
                header.build(
                    RtpHeader { marker: false, payload_type: 96, seq, timestamp: seq.0.into(), ssrc: ssrc(number) },
                    HeaderExtensions { twcc_seq: Some(seq.0), ..Default::default() },
                );
                let mut bytes = Vec::new();
                client.transport.seal_rtp(header.as_bytes(), &payload, &mut bytes).expect("a number is used once");
                packets.push(Datagram { from: client.address, bytes });
            }
        }
        self.seq = self.seq.wrapping_add(of_each);
        self.sent += u64::from(of_each);
        packets
    }

    /// Transport-wide feedback of all clients on what was forwarded to them since the last.
    ///
    /// # Panics
    /// If a key is exhausted.
    pub fn feedback(&mut self) -> Vec<Datagram> {
        let (sent, reported) = (self.sent, std::mem::replace(&mut self.reported, self.sent));
        let mut datagrams = Vec::new();
        for (number, client) in self.network.clients.iter_mut().enumerate() {
            let received = (self.publishers - usize::from(number < self.publishers)) as u64;
            let arrivals: Vec<_> =
                (reported * received..sent * received).map(|seq| Arrival { seq, micros: seq * 1_000 }).collect();
            let (mut packet, mut bytes) = (Vec::new(), Vec::new());
            if twcc::write(&mut packet, Ssrc(1), Ssrc(2), 0, reported * received, &arrivals).is_some() {
                client.transport.seal_rtcp(&packet, &mut bytes).expect("there are keys");
                datagrams.push(Datagram { from: client.address, bytes });
            }
        }
        datagrams
    }

    /// Passes a packet to the worker.
    pub fn receive(&mut self, datagram: &mut Datagram) {
        let received = datagram_from(datagram.from, &mut datagram.bytes);
        self.network.worker.receive(self.network.now, received);
    }

    /// Lets the worker forward queued packets, and drops what it sends. Returns the number of packets sent.
    pub fn forward(&mut self) -> usize {
        let Network { now, worker, .. } = &mut self.network;
        let mut sent = 0;
        worker.forward(*now, |outbox, _| {
            sent += outbox.packets();
            ControlFlow::Continue(())
        });
        sent += worker.outbox().packets();
        worker.outbox().clear();
        sent
    }

    /// Lets time pass for the worker alone, and drops what it sends. Returns the number of packets sent.
    pub fn tick(&mut self, time: Duration) -> usize {
        let Network { now, worker, .. } = &mut self.network;
        *now += time;
        worker.tick(*now);
        while worker.poll_output().event().is_some() {}
        let sent = worker.outbox().packets();
        worker.outbox().clear();
        sent
    }

    /// Lets time pass: the worker sends due reports and feedback, and clients send checks.
    pub fn pass(&mut self, time: Duration) {
        self.network.now += time;
        self.network.exchange();
        // Received packets and events are not looked at.
        self.network.clients.iter_mut().for_each(|client| client.rtp.clear());
        self.network.events.clear();
    }

    /// Number of packets sent for each received packet.
    #[must_use]
    pub fn fan_out(&self) -> usize {
        self.network.clients.len() - 1
    }
}
