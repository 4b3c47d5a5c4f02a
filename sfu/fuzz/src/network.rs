//! A worker and clients around it, in memory and in virtual time. Everything that leaves the worker is looked at.

use crate::packets::SECRET;
use is::stun::StunMessage;
use rtc_client::{ClientState, DatagramKind, Identity, Received, RtcClient};
use rtp_wire::rtp::RtpPacket;
use sfu::{
    Command, Event, ParticipantId, RoomId, Ssrc,
    event::{LocalTransport, TransportState},
    metrics::Counter,
    transport::Outbox,
    worker::{Worker, WorkerConfig},
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::LazyLock,
    time::{Duration, Instant},
};

static SERVER: LazyLock<Identity> = LazyLock::new(|| Identity::generate().expect("a certificate"));
static CLIENT: LazyLock<Identity> = LazyLock::new(|| Identity::generate().expect("a certificate"));

/// Packets that one datagram or command may make leave: retransmissions that one NACK asks for are the most.
const MOST_PACKETS: usize = 10_000;
/// Datagrams of clients that are remembered.
const REMEMBERED: usize = 40;
/// Events that one call may give.
const MOST_EVENTS: usize = 16;

/// A participant's machine.
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) server: LocalTransport,
    pub(crate) transport: RtcClient,
    /// What the server said last about it.
    pub(crate) state: Option<TransportState>,
    /// Datagrams of the server that wait to be taken.
    pub(crate) inbox: Vec<Vec<u8>>,
    /// SSRCs of its slots, and of their retransmissions.
    pub(crate) slots: Vec<Ssrc>,
}

/// A worker and its clients.
pub(crate) struct Network {
    pub(crate) now: Instant,
    pub(crate) worker: Worker,
    pub(crate) clients: BTreeMap<ParticipantId, Client>,
    /// What clients have sent, to be edited.
    seen: Vec<(ParticipantId, Vec<u8>)>,
    addresses: u16,
}

impl Network {
    pub(crate) fn new() -> Self {
        let candidates = vec![([192, 0, 2, 1], 3478).into()];
        let config = WorkerConfig { identity: SERVER.clone(), candidates, max_participants: 8 };
        Self {
            now: Instant::now(),
            worker: Worker::new(config),
            clients: BTreeMap::new(),
            seen: Vec::new(),
            addresses: 0,
        }
    }

    /// An address that nobody has had.
    pub(crate) fn new_address(&mut self) -> SocketAddr {
        self.addresses += 1;
        ([198, 51, 100, 1], self.addresses).into()
    }

    /// Adds a participant, and connects what its client and the server know of each other.
    pub(crate) fn join(&mut self, room: u64, participant: ParticipantId) {
        self.command(Command::AddParticipant { room: RoomId(room), participant });
        if let Some(client) = self.clients.get(&participant) {
            let remote = client.transport.local().into();
            self.command(Command::Connect { participant, remote });
        }
    }

    /// Gives the worker a command.
    pub(crate) fn command(&mut self, command: Command) {
        self.worker.command(self.now, command);
        self.drain();
    }

    /// Gives the worker a datagram and takes what comes of it; true if anything left.
    pub(crate) fn feed(&mut self, from: SocketAddr, datagram: &[u8]) -> bool {
        self.hold(from, datagram);
        self.forward()
    }

    /// Gives the worker a datagram that waits to be forwarded with others.
    pub(crate) fn hold(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.worker.receive(self.now, from, &mut datagram.to_vec());
    }

    /// Lets the worker forward what waits, and takes it; true if anything left.
    pub(crate) fn forward(&mut self) -> bool {
        let Self { now, worker, clients, .. } = self;
        let mut any = false;
        worker.forward(*now, |outbox, _| any |= deliver(outbox, clients));
        assert_eq!(worker.waiting(), 0);
        self.drain() || any
    }

    /// Lets the worker do what is due.
    pub(crate) fn tick(&mut self) {
        self.worker.tick(self.now);
        self.drain();
        assert!(self.worker.next_deadline().is_none_or(|at| at > self.now), "a deadline that stays due");
    }

    /// Brings all datagrams that wait, both ways, until all are quiet.
    pub(crate) fn settle(&mut self) {
        for _ in 0..30 {
            let participants: Vec<_> = self.clients.keys().copied().collect();
            let quiet = !participants.iter().any(|participant| self.exchange(*participant));
            self.tick();
            if quiet {
                break;
            }
        }
    }

    /// Lets a client take what waits for it, and the worker what it says; true if there was anything.
    pub(crate) fn exchange(&mut self, participant: ParticipantId) -> bool {
        let now = self.now;
        let Some(client) = self.clients.get_mut(&participant) else { return false };
        let inbox = std::mem::take(&mut client.inbox);
        let any = !inbox.is_empty();
        inbox.into_iter().for_each(|datagram| client.take(now, datagram));
        client.transport.tick(now);
        let (from, sent) = (client.address, client.sent());
        let any = any || !sent.is_empty();
        for datagram in sent {
            self.remember(participant, &datagram);
            self.feed(from, &datagram);
        }
        any
    }

    /// Keeps a datagram for edits.
    pub(crate) fn remember(&mut self, of: ParticipantId, datagram: &[u8]) {
        if self.seen.len() < REMEMBERED {
            self.seen.push((of, datagram.to_vec()));
        }
    }

    /// What was kept of one client, or of all.
    pub(crate) fn remembered(&self, of: Option<ParticipantId>) -> Vec<&[u8]> {
        let theirs = self.seen.iter().filter(|(sender, _)| of.is_none_or(|of| of == *sender));
        theirs.map(|(_, datagram)| &datagram[..]).collect()
    }

    /// Removes a participant and its client. What the server says to it last is looked at.
    pub(crate) fn remove(&mut self, participant: ParticipantId) {
        self.command(Command::RemoveParticipant { participant });
        self.clients.remove(&participant);
        self.seen.retain(|(sender, _)| *sender != participant);
    }

    /// Takes what the worker wants to send and tell; true if it wants to send anything.
    fn drain(&mut self) -> bool {
        let counters = self.worker.counters();
        assert_eq!(counters.get(Counter::Faults), 0, "a fault was contained");
        assert_eq!(counters.get(Counter::DropUnsealed), 0, "a packet was forwarded that SRTP may not seal");
        let any = deliver(self.worker.outbox(), &mut self.clients);
        self.worker.outbox().clear();
        for number in 0.. {
            let Some(event) = self.worker.poll_event() else { break };
            assert!(number < MOST_EVENTS, "too much to tell: {event:?}");
            self.on_event(event);
        }
        any
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Transport { participant, local, .. } => {
                let address = self.new_address();
                let transport = RtcClient::new(self.now, &CLIENT, &local).expect("random numbers");
                let client =
                    Client { address, server: local, transport, state: None, inbox: Vec::new(), slots: Vec::new() };
                self.clients.insert(participant, client);
            }
            Event::TransportState { participant, state } => {
                let client = self.clients.get_mut(&participant).expect("a client");
                let over = [Some(TransportState::Failed), Some(TransportState::Closed)];
                assert!(!over.contains(&client.state), "{state:?} after the end");
                client.state = Some(state);
            }
            Event::RoomFailed { .. } => panic!("a room failed"),
            Event::SlotAdded { participant, ssrc, rtx, .. } => {
                self.clients.get_mut(&participant).expect("a client").slots.extend([ssrc].into_iter().chain(rtx));
            }
            _ => {}
        }
    }
}

/// Looks at what leaves, and brings it to the clients; true if there is anything.
fn deliver(outbox: &Outbox, clients: &mut BTreeMap<ParticipantId, Client>) -> bool {
    assert!(outbox.packets() <= MOST_PACKETS, "{} packets at once", outbox.packets());
    for run in outbox.runs() {
        assert_eq!(run.segments().count(), run.packets());
        let client = clients.values_mut().find(|client| client.address == run.to());
        let mut inbox = client.map(|client| &mut client.inbox);
        for segment in run.segments() {
            assert!(!segment.windows(SECRET.len()).any(|window| window == SECRET), "something clear leaves");
            assert!(DatagramKind::of(segment).is_some(), "what leaves is STUN, DTLS or SRTP");
            if let Some(inbox) = &mut inbox {
                inbox.push(segment.to_vec());
            }
        }
    }
    outbox.packets() > 0
}

impl Client {
    /// What it wants to send.
    pub(crate) fn sent(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.transport.poll_transmit()).collect()
    }

    /// Takes a genuine datagram of the server, which it can read: sealed packets open, and STUN has the right MAC.
    pub(crate) fn take(&mut self, now: Instant, mut datagram: Vec<u8>) {
        if DatagramKind::of(&datagram) == Some(DatagramKind::Stun) {
            let reply = StunMessage::parse(&datagram).expect("STUN");
            assert!(crate::stun::is_authentic(&datagram, self.server.pwd.as_bytes()));
            assert!(!reply.is_binding_request());
        }
        let keyed = self.transport.profile().is_some();
        match self.transport.handle(now, &mut datagram) {
            // Under its slots' SSRCs and no other.
            Ok(Received::Rtp(packet)) => {
                let ssrc = RtpPacket::parse(packet).expect("RTP").ssrc;
                assert!(self.slots.contains(&ssrc), "a stream that the client does not know");
            }
            Ok(_) => {}
            Err(error) => assert!(!keyed, "the client cannot open what the server sealed: {error}"),
        }
    }

    /// Whether both ends say that they have keys.
    pub(crate) fn is_connected(&self) -> bool {
        self.state == Some(TransportState::Connected) && self.transport.state() == ClientState::Connected
    }
}

/// Time that passes for a byte of a script: from milliseconds to a minute.
pub(crate) fn pause(byte: u8) -> Duration {
    Duration::from_millis(u64::from(byte) * u64::from(byte))
}
