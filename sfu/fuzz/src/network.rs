//! A worker and its clients, in memory and in virtual time. Checks every datagram that leaves the worker.
//!
//! Unlike `sfu_testing::Network`, clients do not take datagrams by themselves: scripts decide what arrives.

use crate::{message_integrity::is_authentic, packets::SECRET};
use is::stun::StunMessage;
use rtc_client::{ClientState, DatagramKind, Identity, Received, RtcClient};
use rtp_wire::rtp::RtpPacket;
use sfu::{
    Command, Event, ParticipantId, RoomId, SPEAKERS, Ssrc,
    command::RemoteTransport,
    event::{LocalTransport, TransportState},
    limits::VIDEO_RATE,
    metrics::Counter,
    transport::{Datagram, Outbox, Tuple},
    worker::{Output, Worker, WorkerConfig},
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::ControlFlow,
    sync::LazyLock,
    time::{Duration, Instant},
};

static SERVER: LazyLock<Identity> = LazyLock::new(|| Identity::generate().expect("a certificate"));
static CLIENT: LazyLock<Identity> = LazyLock::new(|| Identity::generate().expect("a certificate"));

/// Maximum number of packets that one datagram or command can cause: retransmissions for one NACK.
const MAX_PACKETS: usize = 10_000;
/// Maximum number of datagrams of clients kept for edits.
const MAX_KEPT: usize = 40;
/// Maximum number of events of one call.
const MAX_EVENTS: usize = 16;

/// Address of the worker's socket.
const SERVER_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 3_478);

/// Address of strangers, who answer nothing. Each port is another one.
pub(crate) const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));
/// Length of the IP and UDP headers.
const HEADERS: usize = 28;

/// A datagram that the worker received from this address.
pub(crate) fn datagram_from(remote: SocketAddr, bytes: &mut [u8]) -> Datagram<'_> {
    Datagram::new(Tuple::udp(SERVER_ADDRESS, remote), bytes)
}

/// A client of a participant.
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) transport: RtcClient,
    /// The server's parameters: the first, and those of each ICE restart.
    servers: Vec<LocalTransport>,
    /// The client has yet to use the newest ones.
    restart: bool,
    /// The last state that the server reported.
    pub(crate) state: Option<TransportState>,
    /// Datagrams from the server that the client has not handled.
    pub(crate) inbox: Vec<Vec<u8>>,
    /// SSRCs of its slots, with their RTX.
    pub(crate) slots: Vec<Ssrc>,
}

/// A worker and its clients.
pub(crate) struct Network {
    pub(crate) now: Instant,
    pub(crate) worker: Worker,
    pub(crate) clients: BTreeMap<ParticipantId, Client>,
    /// Datagrams that clients have sent, for edits.
    seen: Vec<(ParticipantId, Vec<u8>)>,
    addresses: u16,
    /// Bytes from and to [`STRANGER`], by port, with headers.
    strangers: Strangers,
}

type Strangers = BTreeMap<u16, (usize, usize)>;

impl Network {
    pub(crate) fn new() -> Self {
        let candidates = vec![SERVER_ADDRESS];
        let config = WorkerConfig {
            identity: SERVER.clone(),
            candidates,
            max_participants: 8,
            max_video_rate: VIDEO_RATE,
            adapt_video: true,
            speakers: SPEAKERS,
        };
        Self {
            now: Instant::now(),
            worker: Worker::new(config),
            clients: BTreeMap::new(),
            seen: Vec::new(),
            addresses: 0,
            strangers: Strangers::new(),
        }
    }

    /// Returns an unused address.
    pub(crate) fn new_address(&mut self) -> SocketAddr {
        self.addresses += 1;
        ([198, 51, 100, 1], self.addresses).into()
    }

    /// Adds a participant; client and server know each other's parameters.
    pub(crate) fn join(&mut self, room: u64, participant: ParticipantId) {
        self.command(Command::AddParticipant { room: RoomId(room), participant });
        if let Some(client) = self.clients.get(&participant) {
            let remote = client.transport.local().into();
            self.command(Command::Connect { participant, remote });
        }
    }

    /// Executes a command.
    pub(crate) fn command(&mut self, command: Command) {
        self.worker.command(self.now, command);
        self.drain();
    }

    /// Passes a datagram to the worker and forwards. Returns whether it sent anything.
    pub(crate) fn feed(&mut self, from: SocketAddr, datagram: &[u8]) -> bool {
        self.hold(from, datagram);
        self.forward()
    }

    /// Passes a datagram to the worker, which stays queued.
    pub(crate) fn hold(&mut self, from: SocketAddr, datagram: &[u8]) {
        if from.ip() == STRANGER {
            self.strangers.entry(from.port()).or_default().0 += datagram.len() + HEADERS;
        }
        self.worker.receive(self.now, datagram_from(from, &mut datagram.to_vec()));
    }

    /// Lets the worker forward queued packets. Returns whether it sent anything.
    pub(crate) fn forward(&mut self) -> bool {
        let Self { now, worker, clients, strangers, .. } = self;
        let mut any = false;
        worker.forward(*now, |outbox, _| {
            any |= deliver(outbox, clients, strangers);
            ControlFlow::Continue(())
        });
        assert_eq!(worker.queued(), 0);
        self.drain() || any
    }

    /// Lets the worker do what is due.
    pub(crate) fn tick(&mut self) {
        self.worker.tick(self.now);
        self.drain();
        let Output::Deadline(deadline) = self.worker.poll_output() else { panic!("all events were taken") };
        assert!(deadline.is_none_or(|at| at > self.now), "a deadline is still due");
    }

    /// Delivers datagrams in both directions until none are left, at most 30 times.
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

    /// Lets a client handle its inbox, and the worker the client's datagrams. Returns whether there were any.
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
        if self.seen.len() < MAX_KEPT {
            self.seen.push((of, datagram.to_vec()));
        }
    }

    /// Returns the kept datagrams of one client, or of all.
    pub(crate) fn remembered(&self, of: Option<ParticipantId>) -> Vec<&[u8]> {
        let theirs = self.seen.iter().filter(|(sender, _)| of.is_none_or(|of| of == *sender));
        theirs.map(|(_, datagram)| &datagram[..]).collect()
    }

    /// Removes a participant and its client, after checking the last datagrams to it.
    pub(crate) fn remove(&mut self, participant: ParticipantId) {
        self.command(Command::RemoveParticipant { participant });
        self.clients.remove(&participant);
        self.seen.retain(|(sender, _)| *sender != participant);
    }

    /// Delivers what the worker sends, and handles its events. Returns whether it sent anything.
    fn drain(&mut self) -> bool {
        let counters = self.worker.counters();
        assert_eq!(counters.get(Counter::Faults), 0, "a fault was contained");
        assert_eq!(counters.get(Counter::DropUnsealed), 0, "a forwarded packet cannot be sealed");
        let any = deliver(self.worker.outbox(), &mut self.clients, &mut self.strangers);
        self.worker.outbox().clear();
        for number in 0.. {
            let Output::Event(event) = self.worker.poll_output() else { break };
            assert!(number < MAX_EVENTS, "too many events: {event:?}");
            self.on_event(event);
        }
        any
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Transport { participant, local, .. } => {
                if let Some(client) = self.clients.get_mut(&participant) {
                    client.servers.push(local);
                    client.restart = true;
                    return;
                }
                let client = Client {
                    address: self.new_address(),
                    transport: RtcClient::new(self.now, &CLIENT, &local).expect("random numbers"),
                    servers: vec![local],
                    restart: false,
                    state: None,
                    inbox: Vec::new(),
                    slots: Vec::new(),
                };
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

/// Checks all datagrams and puts them into the inboxes of the clients. Returns whether there are any.
fn deliver(outbox: &Outbox, clients: &mut BTreeMap<ParticipantId, Client>, strangers: &mut Strangers) -> bool {
    assert!(outbox.packets() <= MAX_PACKETS, "{} packets at once", outbox.packets());
    for run in outbox.runs() {
        assert_eq!(run.segments().count(), run.packets());
        if run.to().remote.ip() == STRANGER {
            let (received, sent) = strangers.entry(run.to().remote.port()).or_default();
            *sent += run.bytes().len() + HEADERS * run.packets();
            assert!(*sent <= 3 * *received, "{sent} bytes to an address that has sent {received} and answered nothing");
        }
        let client = clients.values_mut().find(|client| client.address == run.to().remote);
        let mut inbox = client.map(|client| &mut client.inbox);
        for segment in run.segments() {
            assert!(!segment.windows(SECRET.len()).any(|window| window == SECRET), "a clear packet leaves");
            assert!(DatagramKind::of(segment).is_some(), "only STUN, DTLS and SRTP leave");
            if let Some(inbox) = &mut inbox {
                inbox.push(segment.to_vec());
            }
        }
    }
    outbox.packets() > 0
}

impl Client {
    /// Returns its datagrams to send.
    pub(crate) fn sent(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.transport.poll_transmit()).collect()
    }

    /// The client's parameters for the server: new ones if the server has restarted ICE.
    pub(crate) fn parameters(&mut self, now: Instant) -> RemoteTransport {
        if std::mem::take(&mut self.restart)
            && let Some(server) = self.servers.last()
        {
            return self.transport.restart_ice(now, server).expect("random numbers").into();
        }
        self.transport.local().into()
    }

    /// The newest password of the server.
    pub(crate) fn server_pwd(&self) -> &str {
        self.servers.last().map(|server| server.pwd.as_str()).expect("the first parameters")
    }

    /// Whether a STUN message has a MAC by a password that the server has, or had, for this client.
    pub(crate) fn is_authentic(&self, message: &[u8]) -> bool {
        self.servers.iter().any(|server| is_authentic(message, server.pwd.as_bytes()))
    }

    /// Handles a genuine datagram of the server. Asserts that SRTP opens, and that the MAC of STUN is right.
    pub(crate) fn take(&mut self, now: Instant, mut datagram: Vec<u8>) {
        if DatagramKind::of(&datagram) == Some(DatagramKind::Stun) {
            let message = StunMessage::parse(&datagram).expect("STUN");
            if message.is_binding_request() {
                assert!(message.ice_controlled().is_some() && !message.use_candidate(), "the server is controlled");
            } else {
                assert!(self.is_authentic(&datagram));
            }
        }
        let keyed = self.transport.profile().is_some();
        match self.transport.handle(now, &mut datagram) {
            // Only with SSRCs of its slots.
            Ok(Received::Rtp(packet)) => {
                let ssrc = RtpPacket::parse(packet).expect("RTP").ssrc;
                assert!(self.slots.contains(&ssrc), "an unknown stream");
            }
            Ok(_) => {}
            Err(error) => assert!(!keyed, "the client cannot open what the server sealed: {error}"),
        }
    }

    /// Returns whether both ends are connected.
    pub(crate) fn is_connected(&self) -> bool {
        self.state == Some(TransportState::Connected) && self.transport.state() == ClientState::Connected
    }
}

/// Time that a byte of a script stands for: up to 65 s.
pub(crate) fn pause(byte: u8) -> Duration {
    Duration::from_millis(u64::from(byte) * u64::from(byte))
}
