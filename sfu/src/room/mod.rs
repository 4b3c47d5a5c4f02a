//! A room: who publishes and who receives what. Packets come in clear and go out clear, through an [`Egress`] that
//! seals them; the room knows neither addresses nor keys, and the time is an argument.
//!
//! Participants, tracks and slots live in slabs and refer to each other by place, so that a received packet costs one
//! hash look-up (its SSRC) however many it is forwarded to, and a forwarded packet none.

mod fan_out;
mod feedback;
mod media;
mod schedule;
mod stats;
mod waiting;

use crate::{
    allowance::{Allowance, Notice},
    command::{CommandError, Publication},
    egress::Egress,
    event::Event,
    forward::{
        arrivals::ArrivalLog,
        delivery::DeliveryRate,
        levels::Speakers,
        published_track::PublishedTrack,
        retransmit::{RepairBudget, Retransmitter},
        rtt::Rtt,
        sender_reports::SentReports,
        slot::Slot,
        slot_stream::SlotStream,
    },
    ids::{Mid, ParticipantId, RoomId, Ssrc, TrackId},
    limits,
    media::Codec,
    wire::{header::HeaderBuffer, rtcp::ReportBlock},
};
use fan_out::Batch;
use schedule::Deadlines;
use slab::Slab;
pub use stats::{Downlink, RoomStats};
use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};
use waiting::Waiting;

/// A room.
#[derive(Debug)]
pub struct Room {
    id: RoomId,
    /// Zero of the room's own clock, in which arrival times are told to publishers.
    epoch: Option<Instant>,
    participants: Slab<Participant>,
    participant_keys: HashMap<ParticipantId, usize>,
    tracks: Slab<PublishedTrack>,
    track_keys: HashMap<TrackId, usize>,
    slots: Slab<Slot>,
    /// What an SSRC of a participant's transport means, in either direction.
    routes: HashMap<(ParticipantId, Ssrc), Route>,
    speakers: Speakers,
    events: VecDeque<Event>,
    deadlines: Deadlines,
    stats: RoomStats,
    waiting: Waiting,
    batch: Batch,
    scratch: Scratch,
}

/// One end of a transport.
#[derive(Debug)]
struct Participant {
    id: ParticipantId,
    /// Source of the room's own RTCP to this participant.
    feedback_ssrc: Ssrc,
    rtt: Rtt,
    arrivals: ArrivalLog,
    /// Next transport-wide sequence number towards it.
    transport_seq: u16,
    budget: RepairBudget,
    delivery: DeliveryRate,
    downlink: Downlink,
    /// RTCP that it may send.
    feedback: Allowance,
    excess: Notice,
    tracks: Vec<usize>,
    slots: Vec<usize>,
}

/// Meaning of an SSRC.
#[derive(Clone, Copy, Debug)]
enum Route {
    Media(usize),
    Retransmission(usize),
    Slot(usize),
    SlotRetransmission,
}

/// Buffers that are reused from packet to packet.
#[derive(Debug, Default)]
struct Scratch {
    mid_header: HeaderBuffer,
    rtcp: Vec<u8>,
    payload: Vec<u8>,
    ask_for: Vec<u64>,
    blocks: Vec<ReportBlock>,
}

impl Room {
    /// An empty room.
    #[must_use]
    pub fn new(id: RoomId) -> Self {
        Self {
            id,
            epoch: None,
            participants: Slab::new(),
            participant_keys: HashMap::new(),
            tracks: Slab::new(),
            track_keys: HashMap::new(),
            slots: Slab::new(),
            routes: HashMap::new(),
            speakers: Speakers::default(),
            events: VecDeque::new(),
            deadlines: Deadlines::default(),
            stats: RoomStats::default(),
            waiting: Waiting::default(),
            batch: Batch::default(),
            scratch: Scratch::default(),
        }
    }

    /// Whether nobody is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.participants.is_empty()
    }

    /// How many packets wait for [`Self::forward`].
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> RoomStats {
        self.stats
    }

    /// Counters since they were last taken, for whoever adds up those of many rooms.
    pub fn take_stats(&mut self) -> RoomStats {
        std::mem::take(&mut self.stats)
    }

    /// Number of published tracks.
    #[must_use]
    pub fn tracks(&self) -> usize {
        self.tracks.len()
    }

    /// What a participant reported about its downlink.
    #[must_use]
    pub fn downlink(&self, participant: ParticipantId) -> Option<Downlink> {
        let key = *self.participant_keys.get(&participant)?;
        Some(self.participants.get(key)?.downlink)
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Lets a participant in.
    ///
    /// # Errors
    /// [`CommandError::Exists`] if it is in already, [`CommandError::Limit`] if the room is full.
    pub fn add_participant(&mut self, participant: ParticipantId) -> Result<(), CommandError> {
        if self.participant_keys.contains_key(&participant) {
            return Err(CommandError::Exists);
        }
        if self.participants.len() >= limits::ROOM_PARTICIPANTS {
            return Err(CommandError::Limit);
        }
        let key = self.participants.insert(Participant {
            id: participant,
            feedback_ssrc: Ssrc(random()?),
            rtt: Rtt::default(),
            arrivals: ArrivalLog::default(),
            transport_seq: 0,
            budget: RepairBudget::default(),
            delivery: DeliveryRate::default(),
            downlink: Downlink::default(),
            feedback: Allowance::new(limits::FEEDBACK_ITEMS),
            excess: Notice::default(),
            tracks: Vec::new(),
            slots: Vec::new(),
        });
        self.participant_keys.insert(participant, key);
        Ok(())
    }

    /// Takes a participant out, with its tracks and slots. Does nothing if it is not in.
    pub fn remove_participant(&mut self, participant: ParticipantId) {
        let Some(key) = self.participant_keys.remove(&participant) else { return };
        let Some(gone) = self.participants.try_remove(key) else { return };
        for track in gone.tracks {
            self.drop_track(track);
        }
        for slot in gone.slots {
            self.vacate(slot);
            self.slots.try_remove(slot);
        }
        self.routes.retain(|(owner, _), _| *owner != participant);
    }

    /// Adds a track of a participant.
    ///
    /// # Errors
    /// [`CommandError`] `NoParticipant`, `Exists` (track, MID or SSRC), `Invalid` (one SSRC for both streams), `Limit`.
    pub fn publish(
        &mut self,
        participant: ParticipantId,
        track: TrackId,
        publication: Publication,
    ) -> Result<(), CommandError> {
        let owner_key = *self.participant_keys.get(&participant).ok_or(CommandError::NoParticipant)?;
        let owner = self.participants.get_mut(owner_key).ok_or(CommandError::NoParticipant)?;
        if publication.rtx == Some(publication.ssrc) {
            return Err(CommandError::Invalid);
        }
        let mut ssrcs = std::iter::once(publication.ssrc).chain(publication.rtx);
        let mid_taken = |&key: &usize| self.tracks.get(key).is_some_and(|t| t.publication.mid == publication.mid);
        if self.track_keys.contains_key(&track)
            || ssrcs.any(|ssrc| self.routes.contains_key(&(participant, ssrc)))
            || owner.tracks.iter().any(mid_taken)
        {
            return Err(CommandError::Exists);
        }
        if owner.tracks.len() >= limits::TRACKS {
            return Err(CommandError::Limit);
        }
        let key = self.tracks.insert(PublishedTrack::new(track, participant, owner_key, publication));
        owner.tracks.push(key);
        self.track_keys.insert(track, key);
        self.routes.insert((participant, publication.ssrc), Route::Media(key));
        if let Some(rtx) = publication.rtx {
            self.routes.insert((participant, rtx), Route::Retransmission(key));
        }
        Ok(())
    }

    /// Removes a track; slots that it is in become empty.
    ///
    /// # Errors
    /// [`CommandError`] `NoTrack`.
    pub fn unpublish(&mut self, participant: ParticipantId, track: TrackId) -> Result<(), CommandError> {
        let key = self.own_track(participant, track)?;
        self.drop_track(key);
        Ok(())
    }

    /// Notes whether a track is muted. A muted one does not count as speaking.
    ///
    /// # Errors
    /// [`CommandError`] `NoTrack`.
    pub fn set_muted(&mut self, participant: ParticipantId, track: TrackId, muted: bool) -> Result<(), CommandError> {
        let key = self.own_track(participant, track)?;
        self.tracks.get_mut(key).ok_or(CommandError::NoTrack)?.muted = muted;
        Ok(())
    }

    /// Adds a receiving slot; gives its SSRC and that of its retransmissions. Nothing goes out in it before
    /// [`Self::activate_slot`].
    ///
    /// # Errors
    /// [`CommandError`] `NoParticipant`, `Exists`, `Limit`.
    pub fn add_slot(
        &mut self,
        participant: ParticipantId,
        mid: Mid,
        codec: Codec,
    ) -> Result<(Ssrc, Option<Ssrc>), CommandError> {
        let participant_key = *self.participant_keys.get(&participant).ok_or(CommandError::NoParticipant)?;
        match self.slot_key(participant, mid) {
            Err(CommandError::NoSlot) => {}
            _ => return Err(CommandError::Exists),
        }
        if self.participants.get(participant_key).is_none_or(|p| p.slots.len() >= limits::SLOTS) {
            return Err(CommandError::Limit);
        }
        let ssrc = self.unused_ssrc(participant, None)?;
        let rtx = match codec.entry().rtx_pt {
            // In the lower half, so that no receiver can take an early reordered packet for one of a cycle before
            // (RFC 3711 section 3.3.1).
            Some(pt) => {
                Some(Retransmitter::new(self.unused_ssrc(participant, Some(ssrc))?, pt, random_u16()? & 0x7fff))
            }
            None => None,
        };
        let stream = SlotStream::new(codec.entry().clock, random_u16()? & 0x7fff, random()?);
        let rtx_ssrc = rtx.as_ref().map(|rtx| rtx.ssrc);
        let key = self.slots.insert(Slot {
            participant,
            participant_key,
            mid,
            codec,
            ssrc,
            rtx,
            active: false,
            source: None,
            stream,
            mid_known: false,
            packets: 0,
            octets: 0,
            reports: SentReports::default(),
        });
        if let Some(owner) = self.participants.get_mut(participant_key) {
            owner.slots.push(key);
        }
        self.routes.insert((participant, ssrc), Route::Slot(key));
        if let Some(rtx) = rtx_ssrc {
            self.routes.insert((participant, rtx), Route::SlotRetransmission);
        }
        Ok((ssrc, rtx_ssrc))
    }

    /// Lets packets out into a slot.
    ///
    /// # Errors
    /// [`CommandError`] `NoParticipant`, `NoSlot`.
    pub fn activate_slot(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        mid: Mid,
        egress: &mut (impl Egress + ?Sized),
    ) -> Result<(), CommandError> {
        let key = self.slot_key(participant, mid)?;
        let slot = self.slots.get_mut(key).ok_or(CommandError::NoSlot)?;
        slot.active = true;
        if let Some(track) = slot.source {
            self.request_key_frame(now, track, egress);
        }
        Ok(())
    }

    /// Puts a track into a slot, or empties it. The slot's stream goes on where it was.
    ///
    /// # Errors
    /// [`CommandError`] `NoParticipant`, `NoSlot`, `NoTrack`, `CodecMismatch`.
    pub fn set_slot(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        mid: Mid,
        track: Option<TrackId>,
        egress: &mut (impl Egress + ?Sized),
    ) -> Result<(), CommandError> {
        let slot_key = self.slot_key(participant, mid)?;
        let slot = self.slots.get(slot_key).ok_or(CommandError::NoSlot)?;
        let track_key = match track {
            Some(track) => Some(*self.track_keys.get(&track).ok_or(CommandError::NoTrack)?),
            None => None,
        };
        if let Some(track) = track_key.and_then(|key| self.tracks.get(key))
            && track.publication.codec != slot.codec
        {
            return Err(CommandError::CodecMismatch);
        }
        if slot.source == track_key {
            return Ok(());
        }
        let active = slot.active;
        self.vacate(slot_key);
        if let Some(track_key) = track_key {
            self.occupy(slot_key, track_key);
            if active {
                self.request_key_frame(now, track_key, egress);
            }
        }
        Ok(())
    }

    fn own_track(&self, participant: ParticipantId, track: TrackId) -> Result<usize, CommandError> {
        let key = *self.track_keys.get(&track).ok_or(CommandError::NoTrack)?;
        self.tracks.get(key).filter(|t| t.owner == participant).map(|_| key).ok_or(CommandError::NoTrack)
    }

    fn slot_key(&self, participant: ParticipantId, mid: Mid) -> Result<usize, CommandError> {
        let key = self.participant_keys.get(&participant).ok_or(CommandError::NoParticipant)?;
        let slots = &self.participants.get(*key).ok_or(CommandError::NoParticipant)?.slots;
        let found = slots.iter().find(|&&slot| self.slots.get(slot).is_some_and(|slot| slot.mid == mid));
        found.copied().ok_or(CommandError::NoSlot)
    }

    /// Puts a track into an empty slot.
    fn occupy(&mut self, slot_key: usize, track_key: usize) {
        let Some(slot) = self.slots.get_mut(slot_key) else { return };
        slot.source = Some(track_key);
        let participant = slot.participant_key;
        let before = |subscriber: &usize| self.slots.get(*subscriber).is_some_and(|s| s.participant_key < participant);
        if let Some(track) = self.tracks.get_mut(track_key) {
            let at = track.subscribers.partition_point(before);
            track.subscribers.insert(at, slot_key);
        }
    }

    /// Takes the track out of a slot.
    fn vacate(&mut self, slot_key: usize) {
        let Some(slot) = self.slots.get_mut(slot_key) else { return };
        slot.stream.end_source();
        if let Some(track) = slot.source.take().and_then(|track| self.tracks.get_mut(track)) {
            track.subscribers.retain(|&subscriber| subscriber != slot_key);
        }
    }

    fn drop_track(&mut self, key: usize) {
        let Some(mut track) = self.tracks.try_remove(key) else { return };
        self.waiting.forget_track(key);
        for slot in track.subscribers.drain(..) {
            if let Some(slot) = self.slots.get_mut(slot) {
                slot.source = None;
                slot.stream.end_source();
            }
        }
        self.track_keys.remove(&track.track);
        self.routes.remove(&(track.owner, track.publication.ssrc));
        if let Some(rtx) = track.publication.rtx {
            self.routes.remove(&(track.owner, rtx));
        }
        if let Some(owner) = self.participants.get_mut(track.owner_key).filter(|owner| owner.id == track.owner) {
            owner.tracks.retain(|&owned| owned != key);
        }
    }

    /// A random SSRC that the participant's transport does not use in either direction.
    fn unused_ssrc(&self, participant: ParticipantId, other_than: Option<Ssrc>) -> Result<Ssrc, CommandError> {
        loop {
            let ssrc = Ssrc(random()?);
            if ssrc.0 != 0 && Some(ssrc) != other_than && !self.routes.contains_key(&(participant, ssrc)) {
                return Ok(ssrc);
            }
        }
    }
}

/// Random bits of the cryptographic random generator.
fn random() -> Result<u32, CommandError> {
    let mut bytes = [0; 4];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| CommandError::Unavailable)?;
    Ok(u32::from_be_bytes(bytes))
}

fn random_u16() -> Result<u16, CommandError> {
    Ok((random()? >> 16) as u16)
}
