//! A call over loopback sockets: one participant speaks, all others hear every packet.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use sfu::{
    Command, Event, Mid, ParticipantId, RoomId, Sfu, SfuConfig, Ssrc, TrackId,
    command::Publication,
    event::{LocalTransport, TransportState},
    media::Codec,
    metrics::Counter,
    transport::{ClientState, ClientTransport, Identity, Received},
};
use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{Ipv4Addr, UdpSocket},
    sync::mpsc,
    time::{Duration, Instant},
};

const LISTENERS: u32 = 12;
const SPEAKER: ParticipantId = ParticipantId(0);
const BURSTS: u16 = 20;
const BURST: u16 = 8;
/// Far more than is needed: only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

struct Client {
    socket: UdpSocket,
    transport: ClientTransport,
    /// Payloads heard, which are numbers.
    heard: BTreeSet<u16>,
}

impl Client {
    fn new(identity: &Identity, server: &LocalTransport) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.connect(server.candidates[0]).unwrap();
        let transport = ClientTransport::new(Instant::now(), identity, server).unwrap();
        Self { socket, transport, heard: BTreeSet::new() }
    }

    fn turn(&mut self) {
        self.transport.tick(Instant::now());
        let mut buffer = [0; 2_048];
        loop {
            while let Some(datagram) = self.transport.poll_transmit() {
                let _ = self.socket.send(&datagram);
            }
            match self.socket.recv(&mut buffer) {
                Ok(len) => {
                    if let Received::Rtp(packet) = self.transport.handle(Instant::now(), &mut buffer[..len]).unwrap() {
                        self.heard.insert(u16::from_be_bytes(*packet.last_chunk().unwrap()));
                    }
                }
                // Refused: the server is gone, and has said so before.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn speak(&mut self, number: u16) {
        let mut header = vec![0x80, 111];
        header.extend_from_slice(&number.to_be_bytes());
        header.extend_from_slice(&(u32::from(number) * 960).to_be_bytes());
        header.extend_from_slice(&7u32.to_be_bytes());
        let payload = [&[0xee; 1_000][..], &number.to_be_bytes()].concat();
        let mut out = Vec::new();
        self.transport.seal_rtp(&header, &payload, &mut out).unwrap();
        self.socket.send(&out).unwrap();
    }
}

fn turn_until(clients: &mut [Client], mut done: impl FnMut(&[Client]) -> bool) {
    let start = Instant::now();
    while !done(clients) {
        assert!(start.elapsed() < PATIENCE, "nothing more comes");
        clients.iter_mut().for_each(Client::turn);
        std::thread::yield_now();
    }
}

#[test]
fn every_listener_hears_every_packet() {
    let (events, inbox) = mpsc::channel();
    let sfu = Sfu::start(&SfuConfig::default(), move |_, event| events.send(event).unwrap_or_default()).unwrap();
    let next = || inbox.recv_timeout(PATIENCE).unwrap();
    let identity = Identity::generate().unwrap();

    let mut clients = Vec::new();
    for participant in (0..=LISTENERS).map(ParticipantId) {
        sfu.command(0, Command::AddParticipant { room: RoomId(1), participant }).unwrap();
        let Event::Transport { local, .. } = next() else { panic!() };
        let client = Client::new(&identity, &local);
        sfu.command(0, Command::Connect { participant, remote: client.transport.local() }).unwrap();
        clients.push(client);
    }
    turn_until(&mut clients, |clients| clients.iter().all(|c| c.transport.state() == ClientState::Connected));
    for _ in &clients {
        let Event::TransportState { state: TransportState::Connected, .. } = next() else { panic!() };
    }

    let mid = Mid::new("a0").unwrap();
    let publication = Publication { codec: Codec::Opus, mid, ssrc: Ssrc(7), rtx: None };
    sfu.command(0, Command::Publish { participant: SPEAKER, track: TrackId(1), publication }).unwrap();
    for participant in (1..=LISTENERS).map(ParticipantId) {
        sfu.command(0, Command::AddSlot { participant, mid, codec: Codec::Opus }).unwrap();
        sfu.command(0, Command::SetSlot { participant, mid, track: Some(TrackId(1)) }).unwrap();
        sfu.command(0, Command::ActivateSlot { participant, mid }).unwrap();
        let Event::SlotAdded { .. } = next() else { panic!() };
    }
    // Commands are carried out in order: with the answer to this one, all before are done.
    sfu.command(0, Command::AddSlot { participant: SPEAKER, mid, codec: Codec::Opus }).unwrap();
    let Event::SlotAdded { .. } = next() else { panic!() };

    for burst in 0..BURSTS {
        for number in 0..BURST {
            clients[0].speak(burst * BURST + number);
        }
        let heard = usize::from((burst + 1) * BURST);
        turn_until(&mut clients, |clients| clients[1..].iter().all(|client| client.heard.len() == heard));
    }
    let stats = sfu.stats();
    assert_eq!(stats.get(Counter::RtpOut), u64::from(LISTENERS) * u64::from(BURSTS * BURST));
    for counter in
        [Counter::DropSend, Counter::DropReceive, Counter::DropForged, Counter::DropUnsealed, Counter::Faults]
    {
        assert_eq!(stats.get(counter), 0, "{}", counter.name());
    }

    let metrics = sfu.metrics(0).unwrap();
    assert_eq!(metrics.forwarding.count(), u64::from(LISTENERS) * u64::from(BURSTS * BURST), "each is timed");
    assert_eq!(metrics.first_media.count(), u64::from(LISTENERS));
    assert!(metrics.forwarding.sum() > Duration::ZERO && metrics.cpu.unwrap() > Duration::ZERO);
    assert!(metrics.receive_buffer > 0 && metrics.send_buffer > 0);
    assert_eq!(sfu.metrics(1), None, "there is one worker");

    // Stopping says good-bye to all.
    drop(sfu);
    turn_until(&mut clients, |clients| clients.iter().all(|c| c.transport.state() == ClientState::Closed));
}
