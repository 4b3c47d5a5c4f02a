//! The worker's transports: which datagram is whose, and the way out for rooms.
//!
//! A datagram finds its transport by its source address, once that address was proven by a connectivity check, and a
//! check by the user name fragment in it. A run of datagrams of one source costs one look-up.

use super::WorkerConfig;
use crate::{
    command::{CommandError, RemoteTransport},
    egress::Egress,
    event::{Event, LocalTransport, TransportState},
    id_map::IdMap,
    ids::ParticipantId,
    limits,
    metrics::{Counter, Counters, FIRST_MEDIA, Histogram},
    transport::{Blocked, Check, Clear, Connection, Credentials, Outbox, Protocol, srtp::SrtpError},
};
use is::stun::StunMessage;
use slab::Slab;
use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

/// Another transport gets an address only when its owner has not proven it for so long.
const SOURCE_REUSE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Transports {
    config: WorkerConfig,
    entries: Slab<Entry>,
    by_participant: IdMap<ParticipantId, usize>,
    by_ufrag: HashMap<String, usize>,
    by_source: HashMap<SocketAddr, usize>,
    /// The last source that was looked up.
    last_source: Option<(SocketAddr, usize)>,
    /// Transports whose handshake has a deadline.
    handshakes: Vec<usize>,
    outbox: Outbox,
    counters: Counters,
    first_media: Histogram,
    /// When the worker's step began.
    now: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    connection: Connection,
    room: usize,
    /// Since when the participant waits for its first media.
    waiting: Option<Instant>,
}

impl Transports {
    pub(super) fn new(config: WorkerConfig) -> Self {
        Self {
            config,
            entries: Slab::new(),
            by_participant: IdMap::default(),
            by_ufrag: HashMap::new(),
            by_source: HashMap::new(),
            last_source: None,
            handshakes: Vec::new(),
            outbox: Outbox::default(),
            counters: Counters::default(),
            first_media: Histogram::new(FIRST_MEDIA),
            now: None,
        }
    }

    /// A step of the worker begins.
    pub(super) fn begin_step(&mut self, now: Instant) {
        self.now = Some(now);
    }

    pub(super) fn first_media(&self) -> &Histogram {
        &self.first_media
    }

    /// How much is remembered of peers, for tests of those who must not add to it: transports, user names, addresses,
    /// handshakes.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 4] {
        [self.entries.len(), self.by_ufrag.len(), self.by_source.len(), self.handshakes.len()]
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }

    pub(super) fn outgoing(&mut self) -> (&mut Outbox, &mut Counters) {
        (&mut self.outbox, &mut self.counters)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many have keys and a client that is heard.
    pub(super) fn connected(&self) -> usize {
        self.entries.iter().filter(|(_, entry)| entry.connection.is_connected()).count()
    }

    /// How many handshakes are under way.
    pub(super) fn handshakes(&self) -> usize {
        self.handshakes.len()
    }

    /// Whether the participant may be added.
    pub(super) fn check_new(&self, participant: ParticipantId) -> Result<(), CommandError> {
        if self.by_participant.contains_key(&participant) {
            return Err(CommandError::Exists);
        }
        let full = self.entries.len() >= self.config.max_participants || self.unconnected() >= limits::UNCONNECTED;
        if full { Err(CommandError::Limit) } else { Ok(()) }
    }

    /// Participants that have joined and never connected. Counted when one joins, which is seldom.
    fn unconnected(&self) -> usize {
        self.entries.iter().filter(|(_, entry)| entry.connection.is_unconnected()).count()
    }

    /// Makes a transport.
    pub(super) fn add(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        room: usize,
    ) -> Result<LocalTransport, CommandError> {
        let credentials = Credentials::random().ok_or(CommandError::Unavailable)?;
        let local = LocalTransport {
            ufrag: credentials.ufrag.clone(),
            pwd: credentials.pwd.clone(),
            fingerprint: self.config.identity.fingerprint(),
            candidates: self.config.candidates.clone(),
        };
        let connection = Connection::new(participant, &self.config.identity, credentials, now);
        let key = self.entries.insert(Entry { connection, room, waiting: Some(now) });
        self.by_participant.insert(participant, key);
        self.by_ufrag.insert(local.ufrag.clone(), key);
        Ok(local)
    }

    #[cfg(test)]
    pub(super) fn local_of(&self, key: usize) -> &Credentials {
        self.entries[key].connection.local()
    }

    pub(super) fn key_of(&self, participant: ParticipantId) -> Result<usize, CommandError> {
        self.by_participant.get(&participant).copied().ok_or(CommandError::NoParticipant)
    }

    /// The key of the participant's room.
    pub(super) fn room_of(&self, participant: ParticipantId) -> Result<usize, CommandError> {
        let key = self.key_of(participant)?;
        self.entries.get(key).map(|entry| entry.room).ok_or(CommandError::NoParticipant)
    }

    /// Whose transport it is, and in which room.
    pub(super) fn owner(&self, key: usize) -> Option<(ParticipantId, usize)> {
        self.entries.get(key).map(|entry| (entry.connection.participant(), entry.room))
    }

    /// The participants of a room.
    pub(super) fn participants_in(&self, room: usize) -> Vec<ParticipantId> {
        let members = self.entries.iter().filter(|(_, entry)| entry.room == room);
        members.map(|(_, entry)| entry.connection.participant()).collect()
    }

    /// Takes the client's parameters.
    pub(super) fn connect(
        &mut self,
        now: Instant,
        key: usize,
        remote: RemoteTransport,
        events: &mut VecDeque<Event>,
    ) -> Result<(), CommandError> {
        let entry = self.entries.get_mut(key).ok_or(CommandError::NoParticipant)?;
        let state = entry.connection.connect(now, remote, &mut self.outbox)?;
        self.after_handshake_step(key, state, events);
        Ok(())
    }

    /// Says good-bye to the client and forgets it.
    pub(super) fn remove(&mut self, now: Instant, participant: ParticipantId) {
        if let Some(mut connection) = self.discard(participant) {
            connection.close(now, &mut self.outbox);
        }
    }

    /// Forgets the client without a word.
    pub(super) fn discard(&mut self, participant: ParticipantId) -> Option<Connection> {
        let key = self.by_participant.remove(&participant)?;
        let entry = self.entries.try_remove(key)?;
        self.by_ufrag.remove(&entry.connection.local().ufrag);
        for source in entry.connection.sources() {
            if self.by_source.get(&source) == Some(&key) {
                self.by_source.remove(&source);
            }
        }
        self.last_source = None;
        self.handshakes.retain(|handshake| *handshake != key);
        Some(entry.connection)
    }

    /// The keys of all transports.
    pub(super) fn keys(&self) -> Vec<usize> {
        self.entries.iter().map(|(key, _)| key).collect()
    }

    /// Says good-bye to the client, which is not forgotten.
    pub(super) fn close(&mut self, now: Instant, key: usize) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.connection.close(now, &mut self.outbox);
        }
    }

    /// Ends a transport after a fault of ours.
    pub(super) fn fail(&mut self, key: usize, events: &mut VecDeque<Event>) {
        let state = self.connection(key).and_then(Connection::fail);
        self.report(key, state, events);
    }

    /// Takes a datagram; what is clear after that is for the room. Tells `touches` the transport before it is touched.
    pub(super) fn receive<'a>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &'a mut [u8],
        events: &mut VecDeque<Event>,
        mut touches: impl FnMut(usize),
    ) -> Option<(usize, Clear<'a>)> {
        let protocol = Protocol::of(datagram);
        match protocol {
            None => self.counters.add(Counter::DropMalformed, 1),
            Some(Protocol::Stun) => self.receive_check(now, from, datagram, events, touches),
            Some(protocol) => {
                let Some(key) = self.key_of_source(from) else {
                    self.counters.add(Counter::DropUnknownSource, 1);
                    return None;
                };
                touches(key);
                let Entry { connection, .. } = self.entries.get_mut(key)?;
                if protocol == Protocol::Dtls {
                    match connection.handle_dtls(now, from, datagram, &mut self.outbox) {
                        Ok(state) => self.after_handshake_step(key, state, events),
                        Err(blocked) => self.counters.add(drop_reason(blocked), 1),
                    }
                    return None;
                }
                match connection.open(now, from, protocol, datagram) {
                    Ok(clear) => {
                        let counter = if let Clear::Rtp(_) = clear { Counter::RtpIn } else { Counter::RtcpIn };
                        self.counters.add(counter, 1);
                        return Some((key, clear));
                    }
                    Err(blocked) => {
                        self.counters.add(drop_reason(blocked), 1);
                        if let Some(limit) = connection.tells_excess(now, blocked) {
                            events.push_back(Event::LimitExceeded { participant: connection.participant(), limit });
                        }
                    }
                }
            }
        }
        None
    }

    fn receive_check(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        events: &mut VecDeque<Event>,
        mut touches: impl FnMut(usize),
    ) {
        let Ok(request) = StunMessage::parse(datagram) else {
            self.counters.add(Counter::DropMalformed, 1);
            return;
        };
        let key = request
            .split_username()
            .filter(|_| request.is_binding_request())
            .and_then(|(ufrag, _)| self.by_ufrag.get(ufrag).copied());
        let Some(key) = key.filter(|key| !self.is_anothers(now, from, *key)) else {
            self.counters.add(Counter::DropCheck, 1);
            return;
        };
        touches(key);
        let Some(Entry { connection, .. }) = self.entries.get_mut(key) else { return };
        let Ok((check, state)) = connection.handle_check(now, from, &request, &mut self.outbox) else {
            self.counters.add(Counter::DropCheckRate, 1);
            return;
        };
        match check {
            Check::Accepted { dropped } => {
                self.counters.add(Counter::Checks, 1);
                if let Some(dropped) = dropped {
                    self.by_source.remove(&dropped);
                    self.last_source = None;
                }
                self.assign_source(from, key);
            }
            Check::RoleConflict => {}
            Check::Refused => self.counters.add(Counter::DropCheck, 1),
        }
        self.report(key, state, events);
    }

    /// Whether the address is in use by another transport. Else a participant who can forge source addresses could
    /// take over another's.
    fn is_anothers(&self, now: Instant, from: SocketAddr, key: usize) -> bool {
        let owner = self.by_source.get(&from).filter(|owner| **owner != key).and_then(|owner| self.entries.get(*owner));
        owner
            .and_then(|entry| entry.connection.last_check_from(from))
            .is_some_and(|last| now.saturating_duration_since(last) < SOURCE_REUSE)
    }

    fn assign_source(&mut self, source: SocketAddr, key: usize) {
        match self.by_source.insert(source, key) {
            Some(same) if same == key => {}
            previous => {
                self.last_source = None;
                if let Some(connection) = previous.and_then(|key| self.connection(key)) {
                    connection.forget(source);
                }
            }
        }
    }

    fn key_of_source(&mut self, source: SocketAddr) -> Option<usize> {
        if let Some((_, key)) = self.last_source.filter(|(last, _)| *last == source) {
            return Some(key);
        }
        let key = self.by_source.get(&source).copied()?;
        self.last_source = Some((source, key));
        Some(key)
    }

    /// When the earliest handshake wants its time-out.
    pub(super) fn handshake_deadline(&self) -> Option<Instant> {
        self.handshakes.iter().filter_map(|key| self.entries.get(*key)?.connection.handshake_deadline()).min()
    }

    /// Moves the keys of all transports whose handshake wants its time-out by now to `due`.
    pub(super) fn collect_due_handshakes(&self, now: Instant, due: &mut Vec<usize>) {
        due.extend(self.handshakes.iter().copied().filter(|key| {
            self.entries.get(*key).and_then(|entry| entry.connection.handshake_deadline()).is_some_and(|at| at <= now)
        }));
    }

    pub(super) fn handle_handshake_timeout(&mut self, now: Instant, key: usize, events: &mut VecDeque<Event>) {
        if let Some(Entry { connection, .. }) = self.entries.get_mut(key) {
            let state = connection.handle_handshake_timeout(now, &mut self.outbox);
            self.after_handshake_step(key, state, events);
        }
    }

    fn after_handshake_step(&mut self, key: usize, state: Option<TransportState>, events: &mut VecDeque<Event>) {
        let listed = self.handshakes.contains(&key);
        match self.entries.get(key).and_then(|entry| entry.connection.handshake_deadline()) {
            Some(_) if !listed => self.handshakes.push(key),
            None if listed => self.handshakes.retain(|handshake| *handshake != key),
            _ => {}
        }
        self.counters.add(Counter::Connected, u64::from(state == Some(TransportState::Connected)));
        self.report(key, state, events);
    }

    /// Reports clients that have fallen silent.
    pub(super) fn check_consent(&mut self, now: Instant, events: &mut VecDeque<Event>) {
        for (_, Entry { connection, .. }) in &mut self.entries {
            if let Some(state) = connection.check_consent(now) {
                self.counters.add(Counter::Disconnected, 1);
                events.push_back(Event::TransportState { participant: connection.participant(), state });
            }
        }
    }

    fn connection(&mut self, key: usize) -> Option<&mut Connection> {
        self.entries.get_mut(key).map(|entry| &mut entry.connection)
    }

    fn report(&mut self, key: usize, state: Option<TransportState>, events: &mut VecDeque<Event>) {
        if let (Some(state), Some((participant, _))) = (state, self.owner(key)) {
            self.counters.add(Counter::Failed, u64::from(state == TransportState::Failed));
            events.push_back(Event::TransportState { participant, state });
        }
    }

    /// Whether media for a transport can leave; so many packets that cannot are counted.
    pub(super) fn reaches(&mut self, to: Option<usize>, packets: usize) -> bool {
        let reachable = to.and_then(|key| self.entries.get(key)).is_some_and(|entry| entry.connection.is_reachable());
        if !reachable {
            self.counters.add(Counter::DropUnreachable, packets as u64);
        }
        reachable
    }

    /// Seals an RTP packet for a transport.
    pub(super) fn send_rtp(&mut self, to: Option<usize>, header: &[u8], payload: &[u8]) {
        let Self { entries, outbox, now, first_media, .. } = self;
        let result = match to.and_then(|key| entries.get_mut(key)) {
            Some(entry) => {
                let result = entry.connection.send_rtp(header, payload, outbox);
                if let (Some(since), Ok(())) = (entry.waiting, &result) {
                    entry.waiting = None;
                    first_media.record(now.map_or(Duration::ZERO, |now| now.saturating_duration_since(since)), 1);
                }
                result
            }
            None => Err(Blocked::NotConnected),
        };
        self.count_sent(result, Counter::RtpOut);
    }

    /// Seals an RTCP packet for a transport.
    pub(super) fn send_rtcp(&mut self, to: Option<usize>, packet: &[u8]) {
        let Self { entries, outbox, .. } = self;
        let result = match to.and_then(|key| entries.get_mut(key)) {
            Some(entry) => entry.connection.send_rtcp(packet, outbox),
            None => Err(Blocked::NotConnected),
        };
        self.count_sent(result, Counter::RtcpOut);
    }

    fn count_sent(&mut self, result: Result<(), Blocked>, sent: Counter) {
        self.counters.add(
            match result {
                Ok(()) => sent,
                Err(Blocked::NotConnected) => Counter::DropUnreachable,
                Err(_) => Counter::DropUnsealed,
            },
            1,
        );
    }
}

/// Under which reason a received packet is counted that did not pass.
fn drop_reason(blocked: Blocked) -> Counter {
    match blocked {
        Blocked::NotConnected => Counter::DropUnkeyed,
        Blocked::Excess => Counter::DropRate,
        Blocked::TooLong => Counter::DropTruncated,
        Blocked::Srtp(SrtpError::Authentication) => Counter::DropForged,
        Blocked::Srtp(SrtpError::Replay) => Counter::DropReplayed,
        Blocked::Srtp(SrtpError::Malformed) => Counter::DropMalformed,
        Blocked::Srtp(_) => Counter::DropLimit,
    }
}

/// The way out for rooms: a clear packet goes in, and a sealed one lies in the outbox.
impl Egress for Transports {
    fn reaches(&mut self, to: ParticipantId, packets: usize) -> bool {
        self.reaches(self.key_of(to).ok(), packets)
    }

    fn rtp(&mut self, to: ParticipantId, header: &[u8], payload: &[u8]) {
        self.send_rtp(self.key_of(to).ok(), header, payload);
    }

    fn rtcp(&mut self, to: ParticipantId, packet: &[u8]) {
        self.send_rtcp(self.key_of(to).ok(), packet);
    }
}
