//! Clients in memory around a worker, in virtual time. Datagrams take no time.

use crate::{CLIENT_IDENTITY, opus_header, subscribe};
use rtc_client::{ClientState, Received, RtcClient};
use sfu::{
    Command, Event, Mid, ParticipantId, RoomId, Ssrc, TrackId,
    command::{Publication, RemoteTransport},
    event::{LocalTransport, TransportState},
    media::Codec,
};
use std::{
    collections::HashMap,
    iter,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// The worker of a network. A trait, so that unit tests of the worker can implement it for the type under test.
pub trait WorkerCore {
    /// Handles a datagram.
    fn receive(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]);
    /// Does what is due.
    fn tick(&mut self, now: Instant);
    /// Executes a command.
    fn command(&mut self, now: Instant, command: Command);
    /// Returns the next event.
    fn poll_event(&mut self) -> Option<Event>;
    /// Passes each datagram to send to `take`, with its destination, and empties the outbox.
    fn take_outbox(&mut self, take: impl FnMut(SocketAddr, &[u8]));
}

/// A client in memory.
#[derive(Debug)]
pub struct MemoryClient {
    /// Its participant.
    pub participant: ParticipantId,
    /// Current address.
    pub address: SocketAddr,
    /// ICE, DTLS and SRTP.
    pub transport: RtcClient,
    /// Clear RTP packets, in the order of their arrival.
    pub rtp: Vec<Vec<u8>>,
}

impl MemoryClient {
    /// A client of the server that has these parameters, at an address that follows from the participant's number.
    ///
    /// # Panics
    /// If the random generator fails.
    #[must_use]
    pub fn new(now: Instant, participant: ParticipantId, server: &LocalTransport) -> Self {
        let port = 10_000 + u16::try_from(participant.0).unwrap();
        let transport = RtcClient::new(now, &CLIENT_IDENTITY, server).unwrap();
        Self { participant, address: ([198, 51, 100, 1], port).into(), transport, rtp: Vec::new() }
    }

    /// Does what is due; returns the datagrams to send.
    pub fn transmits(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.transport.tick(now);
        iter::from_fn(|| self.transport.poll_transmit()).collect()
    }

    /// Handles a datagram from the server.
    pub fn handle(&mut self, now: Instant, datagram: &[u8]) {
        if let Ok(Received::Rtp(packet)) = self.transport.handle(now, &mut datagram.to_vec()) {
            self.rtp.push(packet.to_vec());
        }
    }
}

/// A worker with its clients.
#[derive(Debug)]
pub struct Network<W> {
    /// Virtual time.
    pub now: Instant,
    /// The worker.
    pub worker: W,
    /// Clients, in the order in which they joined.
    pub clients: Vec<MemoryClient>,
    /// Events of the worker that no method has consumed.
    pub events: Vec<Event>,
}

impl<W: WorkerCore> Network<W> {
    /// A network without clients.
    #[must_use]
    pub fn new(worker: W) -> Self {
        Self { now: Instant::now(), worker, clients: Vec::new(), events: Vec::new() }
    }

    /// Executes a command and collects the events.
    pub fn command(&mut self, command: Command) {
        self.worker.command(self.now, command);
        self.events.extend(iter::from_fn(|| self.worker.poll_event()));
    }

    /// Adds a participant without a client; returns the server's parameters.
    ///
    /// # Panics
    /// If the worker refuses.
    pub fn add(&mut self, room: u64, participant: u32) -> LocalTransport {
        self.command(Command::AddParticipant { room: RoomId(room), participant: ParticipantId(participant) });
        match self.events.pop() {
            Some(Event::Transport { local, .. }) => local,
            other => panic!("{other:?}"),
        }
    }

    /// Adds a participant with a client, which knows the server's parameters; returns the client's.
    pub fn join_half(&mut self, room: u64, participant: u32) -> RemoteTransport {
        let server = self.add(room, participant);
        let client = MemoryClient::new(self.now, ParticipantId(participant), &server);
        let remote = client.transport.local().into();
        self.clients.push(client);
        remote
    }

    /// Adds a participant with a client; both sides know each other's parameters.
    pub fn join(&mut self, room: u64, participant: u32) {
        let remote = self.join_half(room, participant);
        self.command(Command::Connect { participant: ParticipantId(participant), remote });
    }

    /// Lets time pass until all clients are connected.
    ///
    /// # Panics
    /// If they are not after ten seconds.
    pub fn connect(&mut self) {
        let end = self.now + Duration::from_secs(10);
        while self.clients.iter().any(|client| client.transport.state() != ClientState::Connected) {
            assert!(self.now < end, "the clients do not connect");
            self.exchange();
            self.now += Duration::from_millis(10);
        }
    }

    /// Delivers what clients and worker have to send, once in each direction. Returns whether there was anything.
    pub fn exchange(&mut self) -> bool {
        let mut any = false;
        for client in &mut self.clients {
            for mut datagram in client.transmits(self.now) {
                any = true;
                self.worker.receive(self.now, client.address, &mut datagram);
            }
        }
        self.worker.tick(self.now);
        any |= self.deliver();
        self.events.extend(iter::from_fn(|| self.worker.poll_event()));
        any
    }

    /// Delivers the datagrams of the worker to the clients at their current addresses. Returns whether there were any.
    pub fn deliver(&mut self) -> bool {
        let (now, mut any) = (self.now, false);
        let mut by_address: HashMap<_, _> = self.clients.iter_mut().map(|client| (client.address, client)).collect();
        self.worker.take_outbox(|to, datagram| {
            any = true;
            if let Some(client) = by_address.get_mut(&to) {
                client.handle(now, datagram);
            }
        });
        any
    }

    /// Delivers until nothing is left to send.
    pub fn settle(&mut self) {
        while self.exchange() {}
    }

    /// Lets time pass in steps of 50 ms.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.settle();
            self.now = end.min(self.now + Duration::from_millis(50));
        }
        self.settle();
    }

    /// The client of a participant.
    ///
    /// # Panics
    /// If it has none.
    pub fn client(&mut self, participant: u32) -> &mut MemoryClient {
        self.clients.iter_mut().find(|client| client.participant == ParticipantId(participant)).unwrap()
    }

    /// Transport states of a participant, in the order of their events.
    #[must_use]
    pub fn states(&self, participant: u32) -> Vec<TransportState> {
        let of = ParticipantId(participant);
        let states = self.events.iter().filter_map(|event| match event {
            Event::TransportState { participant, state } if *participant == of => Some(*state),
            _ => None,
        });
        states.collect()
    }

    /// Seals an RTP packet of a participant; returns it with the client's address.
    ///
    /// # Panics
    /// If there are no keys, or the sequence number was used before.
    pub fn seal(&mut self, participant: u32, header: &[u8], payload: &[u8]) -> (SocketAddr, Vec<u8>) {
        let client = self.client(participant);
        let mut sealed = Vec::new();
        client.transport.seal_rtp(header, payload, &mut sealed).unwrap();
        (client.address, sealed)
    }

    /// Seals an Opus packet of a participant, whose number is the SSRC.
    pub fn sealed_opus(&mut self, participant: u32, seq: u16, payload: &[u8]) -> (SocketAddr, Vec<u8>) {
        self.seal(participant, &opus_header(participant, seq), payload)
    }

    /// Connects two participants of a room. The first publishes Opus into a slot of the second; participants' numbers
    /// are the SSRC and the track.
    pub fn call(&mut self, room: u64, sender: u32, receiver: u32) {
        self.join(room, sender);
        self.join(room, receiver);
        self.run(Duration::from_millis(300));
        let (mid, track) = (Mid::new("a0").unwrap(), TrackId(sender));
        let publication = Publication::single(Codec::Opus, mid, Ssrc(sender), None);
        self.command(Command::Publish { participant: ParticipantId(sender), track, publication });
        for command in subscribe(ParticipantId(receiver), mid, Codec::Opus, track) {
            self.command(command);
        }
    }
}
