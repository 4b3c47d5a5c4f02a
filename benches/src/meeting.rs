//! A meeting in one worker, without sockets: every client has a transport of its own, with real handshakes and keys.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up measures nothing")]

use rtc_client::{ClientState, Identity, RtcClient};
use rtp_wire::{
    header::{HeaderBuffer, HeaderExtensions, RtpHeader},
    rtcp::{self, ReportBlock},
    seq::SeqNum,
};
use sfu::{
    Command, Event, Mid, ParticipantId, RoomId, Ssrc, TrackId,
    command::Publication,
    media::Codec,
    worker::{Worker, WorkerConfig},
};
use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// Payload of a packet, so that it has about 1,200 bytes on the wire.
const PAYLOAD: usize = 1_160;
/// First bytes of a VP8 packet: payload descriptor with picture id, first byte of a key frame.
const VP8: [u8; 6] = [0x90, 0xc0, 0x80, 1, 1, 0x10];

/// Clients around a worker, in virtual time.
#[derive(Debug)]
pub struct Meeting {
    worker: Worker,
    clients: Vec<Client>,
    publishers: usize,
    now: Instant,
    /// Of each publisher's next packet.
    seq: u16,
}

#[derive(Debug)]
struct Client {
    address: SocketAddr,
    transport: RtcClient,
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

/// A receiver's report on a stream: it knows by then to which m-line the stream belongs.
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
    /// So many participants, of whom the first `publishers` send a picture to all others.
    ///
    /// # Panics
    /// If the worker refuses anything.
    #[must_use]
    pub fn new(participants: usize, publishers: usize) -> Self {
        let config = WorkerConfig {
            identity: Identity::generate().expect("a certificate can be made"),
            candidates: vec![([192, 0, 2, 1], 3_478).into()],
            max_participants: participants,
        };
        let mut meeting =
            Self { worker: Worker::new(config), clients: Vec::new(), publishers, now: Instant::now(), seq: 0 };
        let identity = Identity::generate().expect("a certificate can be made");
        for number in 0..participants {
            meeting.join(number, &identity);
        }
        while meeting.clients.iter().any(|client| client.transport.state() != ClientState::Connected) {
            meeting.exchange();
            meeting.now += Duration::from_millis(10);
        }
        let slots = meeting.subscribe();
        // A first packet of each, and the receivers' reports on it: nobody needs to be told the MID any more.
        for mut datagram in meeting.packets(1) {
            meeting.receive(&mut datagram);
        }
        meeting.forward();
        meeting.report(&slots);
        meeting
    }

    fn command(&mut self, command: Command) {
        self.worker.command(self.now, command);
    }

    fn join(&mut self, number: usize, identity: &Identity) {
        self.command(Command::AddParticipant { room: RoomId(1), participant: participant(number) });
        let Some(Event::Transport { local, .. }) = self.worker.poll_event() else { panic!("no transport") };
        let transport = RtcClient::new(self.now, identity, &local).expect("the random generator works");
        self.command(Command::Connect { participant: participant(number), remote: transport.local().into() });
        let address = ([198, 51, 100, 1], 10_000 + number as u16).into();
        self.clients.push(Client { address, transport });
        if number < self.publishers {
            let publication = Publication { codec: Codec::Vp8, mid: mid(0), ssrc: ssrc(number), rtx: None };
            self.command(Command::Publish {
                participant: participant(number),
                track: TrackId(number as u32),
                publication,
            });
        }
    }

    /// Carries handshakes.
    fn exchange(&mut self) {
        for client in &mut self.clients {
            client.transport.tick(self.now);
            while let Some(mut datagram) = client.transport.poll_transmit() {
                self.worker.receive(self.now, client.address, &mut datagram);
            }
        }
        self.worker.tick(self.now);
        let sent: Vec<_> = (self.worker.outbox().runs())
            .flat_map(|run| run.segments().map(|segment| (run.to(), segment.to_vec())).collect::<Vec<_>>())
            .collect();
        self.worker.outbox().clear();
        let mut by_address: HashMap<_, _> = self.clients.iter_mut().map(|client| (client.address, client)).collect();
        for (to, mut datagram) in sent {
            if let Some(client) = by_address.get_mut(&to) {
                let _ = client.transport.handle(self.now, &mut datagram);
            }
        }
    }

    /// A slot of everybody for each of the others' pictures; gives their SSRCs.
    fn subscribe(&mut self) -> Vec<(usize, Ssrc)> {
        for to in 0..self.clients.len() {
            for from in (0..self.publishers).filter(|from| *from != to) {
                let (participant, mid) = (participant(to), mid(1 + from));
                self.command(Command::AddSlot { participant, mid, codec: Codec::Vp8 });
                self.command(Command::ActivateSlot { participant, mid });
                self.command(Command::SetSlot { participant, mid, track: Some(TrackId(from as u32)) });
            }
        }
        let added = std::iter::from_fn(|| self.worker.poll_event()).filter_map(|event| match event {
            Event::SlotAdded { participant, ssrc, .. } => Some((participant.0 as usize, ssrc)),
            _ => None,
        });
        added.collect()
    }

    fn report(&mut self, slots: &[(usize, Ssrc)]) {
        for &(client, ssrc) in slots {
            let mut sealed = Vec::new();
            let client = &mut self.clients[client];
            client.transport.seal_rtcp(&receiver_report(ssrc), &mut sealed).expect("there are keys");
            self.worker.receive(self.now, client.address, &mut sealed);
        }
    }

    /// The next packets of every publisher, so many of each, as they come when all send at once.
    ///
    /// # Panics
    /// If a key is used up.
    pub fn packets(&mut self, of_each: u16) -> Vec<Datagram> {
        let mut payload = VP8.to_vec();
        payload.resize(PAYLOAD, 0xa5);
        let mut packets = Vec::new();
        for (number, client) in self.clients.iter_mut().enumerate().take(self.publishers) {
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
        packets
    }

    /// Lets the worker take a packet in.
    pub fn receive(&mut self, datagram: &mut Datagram) {
        self.worker.receive(self.now, datagram.from, &mut datagram.bytes);
    }

    /// Lets the worker forward what it has; what it sends is counted and forgotten. Gives the number of packets.
    pub fn forward(&mut self) -> usize {
        let mut sent = 0;
        self.worker.forward(self.now, |outbox, _| sent += outbox.packets());
        sent += self.worker.outbox().packets();
        self.worker.outbox().clear();
        sent
    }

    /// Lets time pass, and the worker do what is due: reports, feedback. Clients prove that they are there.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.exchange();
    }

    /// Packets that are sent for each that is received.
    #[must_use]
    pub fn fan_out(&self) -> usize {
        self.clients.len() - 1
    }
}
