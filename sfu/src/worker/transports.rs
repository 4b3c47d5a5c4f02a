//! The worker's transports, by key and by participant, and when their handshakes are due.

use super::{WorkerConfig, meter::FirstMedia, rooms::RoomKey, timers::Timers};
pub(super) use crate::egress::TransportKey;
use crate::{
    command::CommandError,
    congestion::PathState,
    event::{DownlinkState, LocalTransport},
    id_map::IdMap,
    ids::ParticipantId,
    limits,
    transport::{CheckIds, Credentials, KEY_LEN, ServerTransport},
};
use dtls_srtp::stun::random_key;
use slotmap::SlotMap;
use std::time::Instant;
use tracing::Span;

#[derive(Debug)]
pub(super) struct Transports {
    config: WorkerConfig,
    entries: SlotMap<TransportKey, Entry>,
    by_participant: IdMap<ParticipantId, TransportKey>,
    handshakes: Timers<TransportKey>,
    /// When checks of the server are to be sent again.
    checks: Timers<TransportKey>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) transport: ServerTransport,
    pub(super) path: PathState,
    /// The participant's room.
    pub(super) room: RoomKey,
    pub(super) first_media: FirstMedia,
}

impl Transports {
    pub(super) fn new(config: WorkerConfig) -> Self {
        Self {
            config,
            entries: SlotMap::with_key(),
            by_participant: IdMap::default(),
            handshakes: Timers::default(),
            checks: Timers::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Number of transports that have keys and consent.
    pub(super) fn connected(&self) -> usize {
        self.entries.values().filter(|entry| entry.transport.is_connected()).count()
    }

    /// What is known of the downlinks of connected clients that send feedback.
    pub(super) fn downlinks(&self) -> impl Iterator<Item = DownlinkState> {
        let connected = self.entries.values().filter(|entry| entry.transport.is_connected());
        connected.filter_map(|entry| entry.path.downlink.state())
    }

    /// Number of handshakes under way.
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

    /// Participants that have joined and never connected. Counted at each join.
    fn unconnected(&self) -> usize {
        self.entries.values().filter(|entry| entry.transport.is_unconnected()).count()
    }

    /// Adds a transport for a participant; its log lines go to `span`.
    pub(super) fn add(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        room: RoomKey,
        span: Span,
    ) -> Result<(TransportKey, LocalTransport), CommandError> {
        let (credentials, local) = self.new_credentials()?;
        let check_ids = CheckIds::new(random_key::<KEY_LEN>().ok_or(CommandError::Unavailable)?);
        let transport = ServerTransport::new(participant, &self.config.identity, credentials, check_ids, now, span);
        let key = self.entries.insert(Entry {
            transport,
            path: PathState::default(),
            room,
            first_media: FirstMedia::since(now),
        });
        self.by_participant.insert(participant, key);
        Ok((key, local))
    }

    /// Draws credentials for a transport, or for a restart of its ICE, and the parameters that carry them to the client.
    pub(super) fn new_credentials(&self) -> Result<(Credentials, LocalTransport), CommandError> {
        let credentials = Credentials::random().ok_or(CommandError::Unavailable)?;
        let local = LocalTransport {
            ufrag: credentials.ufrag.clone(),
            pwd: credentials.pwd.clone(),
            fingerprint: self.config.identity.fingerprint(),
            candidates: self.config.candidates.clone(),
        };
        Ok((credentials, local))
    }

    /// Removes a participant's transport.
    pub(super) fn remove(&mut self, participant: ParticipantId) -> Option<(TransportKey, ServerTransport)> {
        let key = self.by_participant.remove(&participant)?;
        self.handshakes.set(key, None);
        self.checks.set(key, None);
        Some((key, self.entries.remove(key)?.transport))
    }

    pub(super) fn get(&self, key: TransportKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(super) fn get_mut(&mut self, key: TransportKey) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    pub(super) fn key_of(&self, participant: ParticipantId) -> Result<TransportKey, CommandError> {
        self.by_participant.get(&participant).copied().ok_or(CommandError::NoParticipant)
    }

    /// The participant's room.
    pub(super) fn room_of(&self, participant: ParticipantId) -> Result<RoomKey, CommandError> {
        let key = self.key_of(participant)?;
        self.entries.get(key).map(|entry| entry.room).ok_or(CommandError::NoParticipant)
    }

    /// The participants of a room.
    pub(super) fn participants_in(&self, room: RoomKey) -> Vec<ParticipantId> {
        let members = self.entries.values().filter(|entry| entry.room == room);
        members.map(|entry| entry.transport.participant()).collect()
    }

    /// All transports.
    pub(super) fn keys(&self) -> Vec<TransportKey> {
        self.entries.keys().collect()
    }

    /// When the earliest handshake or check times out.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.handshakes.next().into_iter().chain(self.checks.next()).min()
    }

    /// Appends the transports whose handshake has timed out to `due`.
    pub(super) fn take_due_handshakes(&mut self, now: Instant, due: &mut Vec<TransportKey>) {
        self.handshakes.take_due(now, due);
    }

    /// Appends the transports with checks that were not answered in time to `due`.
    pub(super) fn take_due_checks(&mut self, now: Instant, due: &mut Vec<TransportKey>) {
        self.checks.take_due(now, due);
    }

    /// Takes over the deadlines of a transport after a step of it.
    pub(super) fn arm(&mut self, key: TransportKey) {
        let transport = self.entries.get(key).map(|entry| &entry.transport);
        self.handshakes.set(key, transport.and_then(ServerTransport::handshake_deadline));
        self.checks.set(key, transport.and_then(ServerTransport::check_deadline));
    }

    #[cfg(test)]
    pub(super) fn local_of(&self, participant: ParticipantId) -> &Credentials {
        self.entries[self.by_participant[&participant]].transport.local()
    }
}
