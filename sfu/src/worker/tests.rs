//! Clients in memory against a worker, in virtual time.

use super::*;
use crate::{
    SPEAKERS,
    command::{Command, CommandError, Publication, RemoteTransport, Wish},
    event::{LocalTransport, TransportState},
    ids::{CommandId, Mid, ParticipantId, RoomId, Ssrc, TrackId},
    limits::VIDEO_RATE,
    media::Codec,
    metrics::Counter,
    transport::Tuple,
};
use rtc_client::{ClientState, Received, RtcClient};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::LazyLock,
};

mod faults;
mod floods;
mod garbage;
mod ice_restart;
mod limits;
mod logs;
mod measurements;
mod member_floods;
mod outages;
mod path_proof;

static SERVER: LazyLock<Identity> = LazyLock::new(|| Identity::generate().unwrap());
static CLIENT: LazyLock<Identity> = LazyLock::new(|| Identity::generate().unwrap());

const PAYLOAD: &[u8] = b"sealed frame";

/// Address of the worker's socket.
const SERVER_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 3478);

/// A datagram that the worker's socket received from this address.
fn datagram_from(remote: SocketAddr, bytes: &mut [u8]) -> Datagram<'_> {
    Datagram::new(Tuple::udp(SERVER_ADDRESS, remote), bytes)
}

struct Client {
    participant: ParticipantId,
    address: SocketAddr,
    transport: RtcClient,
    rtp: Vec<Vec<u8>>,
    /// Whether checks of the server reach it.
    answers: bool,
}

/// How much is remembered of peers: transports, username fragments, tuples, handshakes.
fn state_sizes(network: &Network) -> [usize; 4] {
    let Worker { transports, demux, .. } = &network.worker;
    let [ufrags, tuples] = demux.sizes();
    [transports.len(), ufrags, tuples, transports.handshakes()]
}

/// A worker and its clients; datagrams take no time.
struct Network {
    now: Instant,
    worker: Worker,
    clients: Vec<Client>,
    events: Vec<Event>,
}

impl Network {
    fn new() -> Self {
        Self::with_room_for(10)
    }

    fn with_room_for(max_participants: usize) -> Self {
        let candidates = vec![SERVER_ADDRESS];
        let config = WorkerConfig {
            identity: SERVER.clone(),
            candidates,
            max_participants,
            max_video_rate: VIDEO_RATE,
            adapt_video: false,
            speakers: SPEAKERS,
        };
        Self { now: Instant::now(), worker: Worker::new(config), clients: Vec::new(), events: Vec::new() }
    }

    fn command(&mut self, request: impl Into<Request>) {
        self.worker.command(self.now, request);
        self.events.extend(std::iter::from_fn(|| self.worker.poll_output().event()));
    }

    /// Adds a participant, without a client; returns the server's parameters.
    fn add(&mut self, room: u64, participant: u32) -> LocalTransport {
        let participant = ParticipantId(participant);
        self.command(Command::AddParticipant { room: RoomId(room), participant });
        match self.events.pop() {
            Some(Event::Transport { local, .. }) => local,
            other => panic!("{other:?}"),
        }
    }

    /// Adds a participant and a client that has the server's parameters; returns the client's.
    fn join_half(&mut self, room: u64, participant: u32) -> RemoteTransport {
        let server = self.add(room, participant);
        let transport = RtcClient::new(self.now, &CLIENT, &server).unwrap();
        let remote = RemoteTransport::from(transport.local());
        self.clients.push(Client {
            participant: ParticipantId(participant),
            address: ([198, 51, 100, 1], 10_000 + u16::try_from(participant).unwrap()).into(),
            transport,
            rtp: Vec::new(),
            answers: true,
        });
        remote
    }

    fn join(&mut self, room: u64, participant: u32) {
        let remote = self.join_half(room, participant);
        self.command(Command::Connect { participant: ParticipantId(participant), remote });
    }

    /// Delivers datagrams until there are no more.
    fn settle(&mut self) {
        loop {
            let mut quiet = true;
            for client in &mut self.clients {
                client.transport.tick(self.now);
                while let Some(mut datagram) = client.transport.poll_transmit() {
                    quiet = false;
                    self.worker.receive(self.now, datagram_from(client.address, &mut datagram));
                }
            }
            self.worker.tick(self.now);
            quiet &= !self.deliver();
            self.events.extend(std::iter::from_fn(|| self.worker.poll_output().event()));
            if quiet {
                return;
            }
        }
    }

    /// Delivers the worker's datagrams to the clients at their current addresses; returns whether there were any.
    fn deliver(&mut self) -> bool {
        let outbox = self.worker.outbox();
        let any = outbox.packets() > 0;
        for run in outbox.runs() {
            let Some(client) = self.clients.iter_mut().find(|client| client.address == run.to().remote) else {
                continue;
            };
            for segment in run.segments() {
                if !client.answers && segment.starts_with(&[0, 1]) {
                    continue;
                }
                let mut datagram = segment.to_vec();
                if let Ok(Received::Rtp(packet)) = client.transport.handle(self.now, &mut datagram) {
                    client.rtp.push(packet.to_vec());
                }
            }
        }
        outbox.clear();
        any
    }

    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.settle();
            self.now = end.min(self.now + Duration::from_millis(50));
        }
        self.settle();
    }

    fn client(&mut self, participant: u32) -> &mut Client {
        self.clients.iter_mut().find(|client| client.participant == ParticipantId(participant)).unwrap()
    }

    fn states(&self, participant: u32) -> Vec<TransportState> {
        let of = ParticipantId(participant);
        let states = self.events.iter().filter_map(|event| match event {
            Event::TransportState { participant, state } if *participant == of => Some(*state),
            _ => None,
        });
        states.collect()
    }

    /// A sealed Opus packet of a participant.
    fn sealed(&mut self, participant: u32, sequence: u16) -> (SocketAddr, Vec<u8>) {
        let mut header = vec![0x80, 111];
        header.extend_from_slice(&sequence.to_be_bytes());
        header.extend_from_slice(&(u32::from(sequence) * 960).to_be_bytes());
        header.extend_from_slice(&participant.to_be_bytes());
        let client = self.client(participant);
        let mut out = Vec::new();
        client.transport.seal_rtp(&header, PAYLOAD, &mut out).unwrap();
        (client.address, out)
    }

    fn send(&mut self, participant: u32, sequence: u16) {
        let (from, mut datagram) = self.sealed(participant, sequence);
        self.worker.receive(self.now, datagram_from(from, &mut datagram));
        self.settle();
    }

    /// Two participants in a room; the second receives the audio of the first. SSRCs are the participants' ids.
    fn call(&mut self, room: u64, sender: u32, receiver: u32) {
        self.join(room, sender);
        self.join(room, receiver);
        self.run(Duration::from_millis(300));
        self.publish_and_subscribe(sender, receiver);
    }

    /// The first participant publishes its audio, and the second receives it.
    fn publish_and_subscribe(&mut self, sender: u32, receiver: u32) {
        let mid = Mid::new("a0").unwrap();
        let (participant, track) = (ParticipantId(sender), TrackId(sender));
        let publication = Publication::single(Codec::Opus, mid, Ssrc(sender), None);
        self.command(Command::Publish { participant, track, publication });
        let participant = ParticipantId(receiver);
        self.command(Command::AddSlot { participant, mid, codec: Codec::Opus });
        self.command(Command::SetSlot { participant, mid, source: Some(track.into()) });
        self.command(Command::ActivateSlot { participant, mid });
    }

    fn heard(&mut self, participant: u32) -> usize {
        self.client(participant).rtp.iter().filter(|packet| packet.ends_with(PAYLOAD)).count()
    }
}

#[test]
fn two_clients_connect_and_media_flows() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    assert_eq!(network.states(1), [TransportState::Connected]);
    assert_eq!(network.states(2), [TransportState::Connected]);
    for sequence in 0..10 {
        network.send(1, sequence);
    }
    assert_eq!(network.heard(2), 10);
    assert_eq!(network.heard(1), 0);
    let ssrc = network.events.iter().find_map(|event| match event {
        Event::SlotAdded { ssrc, .. } => Some(ssrc.0.to_be_bytes()),
        _ => None,
    });
    assert!(network.client(2).rtp.iter().all(|packet| packet[8..12] == ssrc.unwrap()));
}

#[test]
fn connect_after_handshake() {
    let mut network = Network::new();
    let remote = network.join_half(1, 1);
    network.run(Duration::from_millis(500));
    assert_eq!(network.states(1), []);
    network.command(Command::Connect { participant: ParticipantId(1), remote });
    network.run(Duration::from_millis(100));
    assert_eq!(network.states(1), [TransportState::Connected]);
}

#[test]
fn wrong_client_certificate_fails() {
    let mut network = Network::new();
    let mut remote = network.join_half(1, 1);
    remote.fingerprint[0] ^= 1;
    network.command(Command::Connect { participant: ParticipantId(1), remote });
    network.run(Duration::from_secs(1));
    assert_eq!(network.states(1), [TransportState::Failed]);
    assert_eq!(network.client(1).transport.state(), ClientState::Closed);
}

#[test]
fn wrong_client_certificate_fails_after_handshake() {
    let mut network = Network::new();
    let mut remote = network.join_half(1, 1);
    network.run(Duration::from_millis(500));
    remote.fingerprint[0] ^= 1;
    network.command(Command::Connect { participant: ParticipantId(1), remote });
    network.settle();
    assert_eq!(network.states(1), [TransportState::Failed]);
    assert_eq!(network.client(1).transport.state(), ClientState::Closed);
}

#[test]
fn wrong_server_certificate_fails() {
    let mut network = Network::new();
    let mut server = network.add(1, 1);
    server.fingerprint[0] ^= 1;
    let transport = RtcClient::new(network.now, &CLIENT, &server).unwrap();
    let address = ([198, 51, 100, 1], 9).into();
    network.clients.push(Client { participant: ParticipantId(1), address, transport, rtp: Vec::new(), answers: true });
    network.run(Duration::from_secs(1));
    assert_eq!(network.client(1).transport.state(), ClientState::Failed);
}

#[test]
fn media_follows_moved_client() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    network.send(1, 0);
    let now = network.now;
    let client = network.client(2);
    client.address = ([203, 0, 113, 9], 7).into();
    client.transport.moved(now);
    network.settle();
    network.send(1, 1);
    assert_eq!(network.heard(2), 2);
    // The sender moves too.
    let client = network.client(1);
    client.address = ([203, 0, 113, 8], 7).into();
    client.transport.moved(now);
    network.settle();
    network.send(1, 2);
    assert_eq!(network.heard(2), 3);
    assert_eq!(network.states(1), [TransportState::Connected]);
}

#[test]
fn silent_client_disconnects_and_returns() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    let mut gone = network.clients.pop().unwrap();
    network.run(Duration::from_secs(24));
    assert_eq!(network.states(2), [TransportState::Connected]);
    network.run(Duration::from_secs(3));
    assert_eq!(network.states(2), [TransportState::Connected, TransportState::Disconnected]);
    network.send(1, 1);
    assert!(network.worker.counters().get(Counter::DropUnreachable) > 0);
    gone.transport.moved(network.now);
    network.clients.push(gone);
    network.settle();
    network.send(1, 2);
    assert_eq!(network.heard(2), 1);
    assert_eq!(network.states(2), [TransportState::Connected, TransportState::Disconnected, TransportState::Connected]);
}

#[test]
fn close_notify_works_in_both_directions() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    let now = network.now;
    network.client(1).transport.close(now);
    network.settle();
    assert_eq!(network.states(1), [TransportState::Connected, TransportState::Closed]);
    network.command(Command::RemoveParticipant { participant: ParticipantId(2) });
    network.settle();
    assert_eq!(network.client(2).transport.state(), ClientState::Closed);
}

/// Audio has no layers, and no tile that could be out of sight: the next track in its slot is heard, whatever was wished.
#[test]
fn wish_for_a_slot_of_audio_changes_nothing() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    let (participant, mid) = (ParticipantId(2), Mid::new("a0").unwrap());
    let wishes = vec![Wish { mid, height: 0, pinned: false, paused: true }];
    network.command(Command::SetWishes { participant, wishes });
    network.command(Command::SetSlot { participant, mid, source: None });
    network.command(Command::SetSlot { participant, mid, source: Some(TrackId(1).into()) });
    for sequence in 0..10 {
        network.send(1, sequence);
    }
    assert_eq!(network.heard(2), 10);
}

#[test]
fn replayed_packet_is_forwarded_once() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    let (from, datagram) = network.sealed(1, 5);
    for _ in 0..3 {
        network.worker.receive(network.now, datagram_from(from, &mut datagram.clone()));
    }
    network.settle();
    assert_eq!(network.heard(2), 1);
    assert_eq!(network.worker.counters().get(Counter::DropReplayed), 2);
}

/// The sequence number wraps among packets that never arrive, so that the receiver has to guess the rollover counter.
#[test]
fn stream_whose_wrap_was_lost_is_forwarded() {
    for (first, lost) in [(65_530u16, 10), (65_530, 0), (32_000, 10)] {
        let mut network = Network::new();
        network.call(1, 1, 2);
        for n in 0..200 {
            let (from, mut datagram) = network.sealed(1, first.wrapping_add(n));
            if n >= lost {
                network.worker.receive(network.now, datagram_from(from, &mut datagram));
                network.settle();
            }
        }
        assert_eq!(network.heard(2), usize::from(200 - lost), "from {first}");
        assert_eq!(network.worker.counters().get(Counter::DropForged), 0);
    }
}

#[test]
fn burst_leaves_in_one_run_per_subscriber() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    for sequence in 0..8 {
        let (from, mut datagram) = network.sealed(1, sequence);
        network.worker.receive(network.now, datagram_from(from, &mut datagram));
    }
    network.worker.tick(network.now);
    let to = network.client(2).address;
    let runs: Vec<_> =
        network.worker.outbox().runs().filter(|run| run.to().remote == to).map(|run| run.packets()).collect();
    assert!(runs.iter().sum::<usize>() >= 8);
    assert!(runs.len() <= 2, "{runs:?}");
}

#[test]
fn tuple_in_use_is_not_reassigned() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    let victim = network.client(2).address;
    network.join(1, 3);
    // The third participant forges checks from the second's address.
    network.client(3).address = victim;
    for _ in 0..5 {
        let now = network.now;
        network.client(3).transport.tick(now);
        let datagrams: Vec<_> = std::iter::from_fn(|| network.client(3).transport.poll_transmit()).collect();
        for mut datagram in datagrams {
            network.worker.receive(network.now, datagram_from(victim, &mut datagram));
        }
        network.now += Duration::from_millis(100);
    }
    assert!(network.worker.counters().get(Counter::DropCheck) > 0);
    network.client(3).address = ([198, 51, 100, 99], 1).into();
    network.send(1, 1);
    assert_eq!(network.heard(2), 1);
}

#[test]
fn impossible_commands_are_refused() {
    let mut network = Network::new();
    network.join(1, 1);
    let participant = ParticipantId(1);
    let stranger = ParticipantId(99);
    let mid = Mid::new("v0").unwrap();
    network.events.clear();
    let remote = RemoteTransport { ufrag: String::new(), pwd: String::new(), fingerprint: [0; 32] };
    let commands = [
        Command::AddParticipant { room: RoomId(2), participant },
        Command::RemoveParticipant { participant: stranger },
        Command::SetSlot { participant, mid, source: None },
        Command::Connect { participant, remote },
    ];
    for (id, command) in (1..).map(CommandId).zip(commands) {
        network.command(Request { id, command });
    }
    let refused = |command, participant, error| Event::Refused { command: CommandId(command), participant, error };
    assert_eq!(
        network.events,
        [
            refused(1, participant, CommandError::Exists),
            refused(2, stranger, CommandError::NoParticipant),
            refused(3, participant, CommandError::NoSlot),
            refused(4, participant, CommandError::Invalid),
        ]
    );
}

#[test]
fn publish_has_one_answer() {
    let mut network = Network::new();
    network.join(1, 1);
    let (participant, track, mid) = (ParticipantId(1), TrackId(7), Mid::new("sa").unwrap());
    network.command(Command::AddSlot { participant, mid, codec: Codec::Opus });
    let Some(Event::SlotAdded { ssrc: slot, .. }) = network.events.pop() else { panic!() };
    let publication = |ssrc| Publication::single(Codec::Opus, mid, ssrc, None);
    network.events.clear();
    for (id, ssrc) in [(1, slot), (2, Ssrc(5)), (3, Ssrc(6))] {
        let command = Command::Publish { participant, track, publication: publication(ssrc) };
        network.command(Request { id: CommandId(id), command });
    }
    let refused = |id| Event::Refused { command: CommandId(id), participant, error: CommandError::Exists };
    let published = Event::Published { command: CommandId(2), participant, track };
    assert_eq!(network.events, [refused(1), published, refused(3)]);
}

#[test]
fn participants_are_limited() {
    let mut network = Network::new();
    for participant in 0..10 {
        network.add(u64::from(participant), participant);
    }
    network.command(Command::AddParticipant { room: RoomId(1), participant: ParticipantId(10) });
    assert!(matches!(network.events[..], [Event::Refused { error: CommandError::Limit, .. }]));
}
