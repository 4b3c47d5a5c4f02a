//! Who publishes what, and who subscribes to it: the tables of a room, and the commands that change them.
//!
//! Entries refer to each other by key, so that a received packet costs one hash look-up (its SSRC) however many times it
//! is forwarded, and a forwarded packet none.

use super::{
    known_streams::{KnownStreams, StreamName},
    speaker_slots::SpeakerSlots,
};
use crate::{
    allowance::{Allowance, Notice},
    command::{CommandError, MAX_ENCODINGS, Publication, SlotSource},
    event::LayerReason,
    ids::{Mid, ParticipantId, Ssrc, TrackId},
    keys::{EncodingKey, ParticipantKey, SlotKey, TrackKey, TransportKey},
    limits,
    media::{Codec, Kind},
    publisher::{
        encoding::{Encoding, Stream},
        subscribers::Subscriber,
        track::Track,
        track_activity::TrackActivity,
    },
    speakers::level,
    subscriber::{
        allocation::Tile,
        nack_responder::NackResponder,
        reported_loss::ReportedLoss,
        rewriter::Rewriter,
        sender_reports::SentReports,
        sent::{Sent, SentRate},
        slot::{Shown, Slot},
        steadiness::Steadiness,
    },
    wire::{extension::KnownExtensions, rtp::RtpPacket},
};
use slotmap::SlotMap;
use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    time::Instant,
};

/// A participant of the room.
#[derive(Debug)]
pub(super) struct Participant {
    pub(super) id: ParticipantId,
    pub(super) transport: TransportKey,
    /// Sender SSRC of the room's own RTCP to this participant.
    pub(super) feedback_ssrc: Ssrc,
    /// RTCP that it may send.
    pub(super) feedback: Allowance,
    pub(super) excess: Notice,
    pub(super) tracks: Vec<TrackKey>,
    /// Of the tracks that it has withdrawn.
    known_streams: KnownStreams,
    pub(super) slots: Vec<SlotKey>,
    /// It is among those for which the pacer has something.
    pub(super) waits: bool,
    /// Position among the slots of the one whose waiting packets leave next.
    pub(super) next_slot: usize,
    /// Position in `slots` of the one of which a packet of a key frame left the pacer last.
    pub(super) key_frame_slot: usize,
    /// The packet that left the pacer last is of a key frame.
    pub(super) after_key_frame: bool,
}

/// What an SSRC of a participant's transport identifies, in either direction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Route {
    Encoding(EncodingKey, Stream),
    Slot(SlotKey),
    SlotRtx,
}

/// Why an unknown SSRC is not learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotLearned {
    /// Nothing says whose it is, or that encoding has its SSRC already.
    UnknownSsrc,
    /// The track has no encoding with this RID.
    UnknownRid,
}

/// The tables of a room.
#[derive(Debug, Default)]
pub(super) struct Topology {
    pub(super) participants: SlotMap<ParticipantKey, Participant>,
    participant_keys: HashMap<ParticipantId, ParticipantKey>,
    pub(super) tracks: SlotMap<TrackKey, Track>,
    track_keys: HashMap<TrackId, TrackKey>,
    pub(super) encodings: SlotMap<EncodingKey, Encoding>,
    pub(super) slots: SlotMap<SlotKey, Slot>,
    pub(super) speakers: SpeakerSlots,
    routes: HashMap<(ParticipantId, Ssrc), Route>,
}

impl Topology {
    pub(super) fn add_participant(&mut self, id: ParticipantId, transport: TransportKey) -> Result<(), CommandError> {
        if self.participant_keys.contains_key(&id) {
            return Err(CommandError::Exists);
        }
        if self.participants.len() >= limits::ROOM_PARTICIPANTS {
            return Err(CommandError::Limit);
        }
        let key = self.participants.insert(Participant {
            id,
            transport,
            feedback_ssrc: Ssrc(random()?),
            feedback: Allowance::new(limits::FEEDBACK_ITEMS),
            excess: Notice::default(),
            tracks: Vec::new(),
            known_streams: KnownStreams::default(),
            slots: Vec::new(),
            waits: false,
            next_slot: 0,
            key_frame_slot: 0,
            after_key_frame: false,
        });
        self.participant_keys.insert(id, key);
        Ok(())
    }

    pub(super) fn remove_participant(&mut self, id: ParticipantId) {
        let Some(participant) = self.participant_keys.remove(&id).and_then(|key| self.participants.remove(key)) else {
            return;
        };
        for track in participant.tracks {
            self.remove_track(track);
        }
        for slot in participant.slots {
            self.remove_speaker_slot(slot);
            self.unsubscribe(slot);
            self.slots.remove(slot);
        }
        self.routes.retain(|(owner, _), _| *owner != id);
    }

    /// Whether a track of video is in a slot of a participant.
    pub(super) fn receives_video(&self, participant: &Participant) -> bool {
        let mut slots = participant.slots.iter().filter_map(|slot| self.slots.get(*slot));
        slots.any(|slot| slot.is_video() && slot.track.is_some())
    }

    pub(super) fn publish(
        &mut self,
        participant: ParticipantId,
        id: TrackId,
        publication: &Publication,
    ) -> Result<(), CommandError> {
        let owner_key = self.participant_key(participant)?;
        let owner = self.participants.get_mut(owner_key).ok_or(CommandError::NoParticipant)?;
        if !is_possible(publication) {
            return Err(CommandError::Invalid);
        }
        let has_mid = |key: &TrackKey| self.tracks.get(*key).is_some_and(|track| track.mid == publication.mid);
        if self.track_keys.contains_key(&id)
            || ssrcs(publication).any(|ssrc| self.routes.contains_key(&(participant, ssrc)))
            || owner.tracks.iter().any(has_mid)
        {
            return Err(CommandError::Exists);
        }
        if owner.tracks.len() >= limits::TRACKS {
            return Err(CommandError::Limit);
        }
        let Self { encodings, routes, .. } = self;
        let key = self.tracks.insert_with_key(|track| {
            let mut keys = Vec::with_capacity(publication.encodings.len());
            for (position, params) in publication.encodings.iter().enumerate() {
                let key = encodings.insert(Encoding::new(track, position, publication.codec, params));
                let media = params.ssrc.map(|ssrc| (ssrc, Stream::Media));
                for (ssrc, stream) in media.into_iter().chain(params.rtx.map(|ssrc| (ssrc, Stream::Rtx))) {
                    routes.insert((participant, ssrc), Route::Encoding(key, stream));
                }
                keys.push(key);
            }
            Track::new(id, participant, owner_key, publication, keys)
        });
        owner.tracks.push(key);
        self.track_keys.insert(id, key);
        self.recognize(owner_key, key);
        Ok(())
    }

    /// Sets the SSRCs of a new track that are not signaled to those that streams of their names had before.
    fn recognize(&mut self, owner_key: ParticipantKey, key: TrackKey) {
        let Self { participants, tracks, encodings, routes, .. } = self;
        let (Some(owner), Some(track)) = (participants.get_mut(owner_key), tracks.get(key)) else { return };
        for &key in &track.encodings {
            let Some(encoding) = encodings.get_mut(key) else { continue };
            for stream in [Stream::Media, Stream::Rtx] {
                let name = StreamName { mid: track.mid, rid: encoding.rid, stream };
                let Some(known) = owner.known_streams.take(name) else { continue };
                let ssrc = encoding.ssrc_mut(stream);
                if ssrc.is_none()
                    && let Entry::Vacant(route) = routes.entry((owner.id, known))
                {
                    *ssrc = Some(known);
                    route.insert(Route::Encoding(key, stream));
                }
            }
        }
    }

    pub(super) fn unpublish(&mut self, participant: ParticipantId, track: TrackId) -> Result<(), CommandError> {
        let key = self.own_track(participant, track)?;
        self.remove_track(key);
        Ok(())
    }

    pub(super) fn set_muted(
        &mut self,
        participant: ParticipantId,
        track: TrackId,
        muted: bool,
    ) -> Result<(), CommandError> {
        let key = self.own_track(participant, track)?;
        let track = self.tracks.get_mut(key).ok_or(CommandError::NoTrack)?;
        if std::mem::replace(&mut track.muted, muted) && !muted {
            track.activity = TrackActivity::since(track.newest_packets(&self.encodings));
        }
        if muted {
            track.speaking = track.speaking.map(|_| false);
            self.remove_speaker(key);
        }
        Ok(())
    }

    /// A client says whether its participant speaks. Its word counts like the two loud packets with which speech starts.
    pub(super) fn set_speaking(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        track: TrackId,
        speaking: bool,
    ) -> Result<(), CommandError> {
        let key = self.own_track(participant, track)?;
        let track = self.tracks.get_mut(key).filter(|track| track.is_audio()).ok_or(CommandError::CodecMismatch)?;
        track.speaking = Some(speaking);
        for _ in 0..level::STARTING_PACKETS {
            self.on_audio_packet(now, key, None);
        }
        Ok(())
    }

    pub(super) fn add_slot(
        &mut self,
        participant: ParticipantId,
        mid: Mid,
        codec: Codec,
    ) -> Result<(Ssrc, Option<Ssrc>), CommandError> {
        let participant_key = self.participant_key(participant)?;
        match self.slot_key(participant, mid) {
            Err(CommandError::NoSlot) => {}
            _ => return Err(CommandError::Exists),
        }
        let owner = self.participants.get(participant_key).ok_or(CommandError::NoParticipant)?;
        if owner.slots.len() >= limits::SLOTS {
            return Err(CommandError::Limit);
        }
        let ssrc = self.unused_ssrc(participant, None)?;
        let rtx = match codec.entry().rtx_pt {
            Some(pt) => Some(NackResponder::new(self.unused_ssrc(participant, Some(ssrc))?, pt, random_first_seq()?)),
            None => None,
        };
        let rtx_ssrc = rtx.as_ref().map(|rtx| rtx.ssrc);
        let key = self.slots.insert(Slot {
            participant: participant_key,
            transport: owner.transport,
            mid,
            codec,
            ssrc,
            rtx,
            active: false,
            track: None,
            position: None,
            back_fills: false,
            shown: Shown::At(Tile { height: u16::MAX, pinned: false }),
            reason: LayerReason::Wish,
            reported: None,
            is_new: false,
            rewriter: Rewriter::new(codec.entry().clock, random_first_seq()?, random()?),
            waiting: None,
            mid_known: false,
            sent: Sent::default(),
            rate: SentRate::default(),
            sent_reports: SentReports::default(),
            loss: ReportedLoss::default(),
            steadiness: Steadiness::default(),
        });
        if let Some(owner) = self.participants.get_mut(participant_key) {
            owner.slots.push(key);
        }
        self.routes.insert((participant, ssrc), Route::Slot(key));
        if let Some(rtx) = rtx_ssrc {
            self.routes.insert((participant, rtx), Route::SlotRtx);
        }
        Ok((ssrc, rtx_ssrc))
    }

    /// Activates a slot, which then needs a key frame.
    pub(super) fn activate_slot(&mut self, participant: ParticipantId, mid: Mid) -> Result<SlotKey, CommandError> {
        let key = self.slot_key(participant, mid)?;
        self.slots.get_mut(key).ok_or(CommandError::NoSlot)?.active = true;
        Ok(key)
    }

    /// Puts a source into a slot, or empties the slot. Returns the slot if it needs a key frame.
    pub(super) fn set_slot(
        &mut self,
        participant: ParticipantId,
        mid: Mid,
        source: Option<SlotSource>,
    ) -> Result<Option<SlotKey>, CommandError> {
        let slot_key = self.slot_key(participant, mid)?;
        let slot = self.slots.get(slot_key).ok_or(CommandError::NoSlot)?;
        let current = slot.track;
        let track = match source {
            Some(SlotSource::Track(track)) => {
                let key = *self.track_keys.get(&track).ok_or(CommandError::NoTrack)?;
                let track = self.tracks.get(key).ok_or(CommandError::NoTrack)?;
                if track.codec != slot.codec {
                    return Err(CommandError::CodecMismatch);
                }
                Some(key)
            }
            Some(SlotSource::Speaker(position)) => {
                self.add_speaker_slot(slot_key, position)?;
                return Ok(None);
            }
            Some(_) => return Err(CommandError::Unsupported),
            None => None,
        };
        self.remove_speaker_slot(slot_key);
        if track == current {
            return Ok(None);
        }
        self.unsubscribe(slot_key);
        if let Some(track) = track {
            self.subscribe(slot_key, track);
        }
        Ok(track.map(|_| slot_key))
    }

    pub(super) fn route(&self, from: ParticipantId, ssrc: Ssrc) -> Option<Route> {
        self.routes.get(&(from, ssrc)).copied()
    }

    pub(super) fn slot_route(&self, from: ParticipantId, ssrc: Ssrc) -> Option<SlotKey> {
        match self.route(from, ssrc) {
            Some(Route::Slot(slot)) => Some(slot),
            _ => None,
        }
    }

    pub(super) fn participant(&self, id: ParticipantId) -> Option<&Participant> {
        self.participants.get(*self.participant_keys.get(&id)?)
    }

    pub(super) fn participant_mut(&mut self, id: ParticipantId) -> Option<&mut Participant> {
        self.participants.get_mut(*self.participant_keys.get(&id)?)
    }

    /// Finds the encoding of an unknown SSRC by the MID of its track and the RID among the track's encodings. An encoding
    /// learns each of its SSRCs once.
    pub(super) fn learn(
        &mut self,
        from: ParticipantId,
        packet: &RtpPacket<'_>,
        extensions: &KnownExtensions<'_>,
    ) -> Result<Route, NotLearned> {
        let track = self.track_by_mid(from, extensions.mid).ok_or(NotLearned::UnknownSsrc)?;
        let is_rtx = track.codec.entry().rtx_pt == Some(packet.payload_type);
        let rid = if is_rtx { extensions.repaired_rid } else { extensions.rid };
        let encoding_key = self.encoding_by_rid(track, rid)?;
        let learned = self.encodings.get_mut(encoding_key).and_then(|encoding| encoding.learn(packet));
        let (stream, replaced) = learned.ok_or(NotLearned::UnknownSsrc)?;
        if let Some(replaced) = replaced {
            self.routes.remove(&(from, replaced));
        }
        let route = Route::Encoding(encoding_key, stream);
        self.routes.insert((from, packet.ssrc), route);
        Ok(route)
    }

    /// Updates which encodings of its track a slot gets packets of.
    pub(super) fn retarget(&mut self, slot_key: SlotKey) {
        let Some(slot) = self.slots.get(slot_key) else { return };
        let Some(track) = slot.track.and_then(|track| self.tracks.get(track)) else { return };
        let subscriber = Subscriber { participant: slot.participant, slot: slot_key };
        for &key in &track.encodings {
            if let Some(encoding) = self.encodings.get_mut(key) {
                encoding.subscribers.set(subscriber, slot.listens_to(key));
            }
        }
    }

    fn track_by_mid(&self, owner: ParticipantId, mid: Option<&[u8]>) -> Option<&Track> {
        let (owner, mid) = (self.participant(owner)?, mid?);
        owner.tracks.iter().filter_map(|key| self.tracks.get(*key)).find(|track| track.mid.as_bytes() == mid)
    }

    /// The encoding of a track with this RID. A track whose encodings have no names has one.
    fn encoding_by_rid(&self, track: &Track, rid: Option<&[u8]>) -> Result<EncodingKey, NotLearned> {
        let name = |key: &EncodingKey| self.encodings.get(*key).and_then(|encoding| encoding.rid);
        match (&*track.encodings, rid) {
            (&[only], None) => Ok(only),
            (&[only], Some(_)) if name(&only).is_none() => Ok(only),
            (_, None) => Err(NotLearned::UnknownSsrc),
            (encodings, Some(rid)) => {
                let named = encodings.iter().find(|key| name(key).is_some_and(|name| name.as_bytes() == rid));
                named.copied().ok_or(NotLearned::UnknownRid)
            }
        }
    }

    fn participant_key(&self, id: ParticipantId) -> Result<ParticipantKey, CommandError> {
        self.participant_keys.get(&id).copied().ok_or(CommandError::NoParticipant)
    }

    fn own_track(&self, participant: ParticipantId, track: TrackId) -> Result<TrackKey, CommandError> {
        let key = *self.track_keys.get(&track).ok_or(CommandError::NoTrack)?;
        self.tracks.get(key).filter(|track| track.owner == participant).map(|_| key).ok_or(CommandError::NoTrack)
    }

    pub(super) fn slot_key(&self, participant: ParticipantId, mid: Mid) -> Result<SlotKey, CommandError> {
        let slots = &self.participant(participant).ok_or(CommandError::NoParticipant)?.slots;
        let found = slots.iter().find(|&&slot| self.slots.get(slot).is_some_and(|slot| slot.mid == mid));
        found.copied().ok_or(CommandError::NoSlot)
    }

    /// Puts a track into an empty slot.
    pub(super) fn subscribe(&mut self, slot_key: SlotKey, track_key: TrackKey) {
        let (Some(slot), Some(track)) = (self.slots.get_mut(slot_key), self.tracks.get_mut(track_key)) else { return };
        let Some(&lowest) = track.encodings.first() else { return };
        slot.begin_track(track_key, lowest);
        track.subscribers.set(Subscriber { participant: slot.participant, slot: slot_key }, true);
        self.retarget(slot_key);
    }

    /// Empties a slot.
    pub(super) fn unsubscribe(&mut self, slot_key: SlotKey) {
        let Some(slot) = self.slots.get_mut(slot_key) else { return };
        let Some(track) = slot.end_track().and_then(|track| self.tracks.get_mut(track)) else { return };
        let subscriber = Subscriber { participant: slot.participant, slot: slot_key };
        track.subscribers.set(subscriber, false);
        for &key in &track.encodings {
            if let Some(encoding) = self.encodings.get_mut(key) {
                encoding.subscribers.set(subscriber, false);
            }
        }
    }

    fn remove_track(&mut self, key: TrackKey) {
        self.remove_speaker(key);
        let Some(track) = self.tracks.remove(key) else { return };
        for slot in track.subscribers.slots() {
            if let Some(slot) = self.slots.get_mut(slot) {
                slot.end_track();
            }
        }
        self.track_keys.remove(&track.id);
        let mut owner = self.participants.get_mut(track.owner_key);
        for mut encoding in track.encodings.iter().filter_map(|key| self.encodings.remove(*key)) {
            for stream in [Stream::Media, Stream::Rtx] {
                let Some(ssrc) = *encoding.ssrc_mut(stream) else { continue };
                self.routes.remove(&(track.owner, ssrc));
                if let Some(owner) = &mut owner {
                    let name = StreamName { mid: track.mid, rid: encoding.rid, stream };
                    owner.known_streams.remember(name, ssrc);
                }
            }
        }
        if let Some(owner) = owner {
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

/// Whether a track can be sent like this: its encodings and their streams can be distinguished.
fn is_possible(publication: &Publication) -> bool {
    let encodings = &*publication.encodings;
    let count = encodings.len();
    let rids: HashSet<_> = encodings.iter().filter_map(|encoding| encoding.rid).collect();
    let different: HashSet<_> = ssrcs(publication).collect();
    (1..=MAX_ENCODINGS).contains(&count)
        && (count == 1 || (rids.len() == count && publication.codec.kind() == Kind::Video))
        && different.len() == ssrcs(publication).count()
}

/// The SSRCs that a publication names.
fn ssrcs(publication: &Publication) -> impl Iterator<Item = Ssrc> {
    publication.encodings.iter().flat_map(|encoding| encoding.ssrc.into_iter().chain(encoding.rtx))
}

/// Random bits of the operating system's generator.
fn random() -> Result<u32, CommandError> {
    let mut bytes = [0; 4];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| CommandError::Unavailable)?;
    Ok(u32::from_be_bytes(bytes))
}

/// A random first sequence number, in the lower half of the range: no receiver can take a reordered packet at the start
/// of the stream for one of the previous cycle (RFC 3711 section 3.3.1).
fn random_first_seq() -> Result<u16, CommandError> {
    Ok((random()? >> 17) as u16)
}
