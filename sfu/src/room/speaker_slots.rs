//! Slots that play the loudest speakers of the room.
//!
//! ```text
//!   SpeakerSet            0    1    2  …  understudy
//!   holder               Ada  Bob   –      Kim
//!   slot 0 of each ◄──────┘    │            │
//!   slot 1 of each ◄───────────┘            │
//!   slot 0 of Ada  ◄────────────────────────┘   in place of herself
//! ```
//! A slot that plays a position is subscribed to the track of its holder like any other slot, so a packet costs nothing
//! more. When a position changes, all slots that play it change together: both lists of subscribers are sorted, and are
//! divided and merged in one pass.
//!
//! Invariants: no one hears themselves, and no participant has one track in two of its speaker slots.

use super::topology::Topology;
use crate::{
    SPEAKERS,
    command::CommandError,
    keys::{EncodingKey, ParticipantKey, SlotKey, TrackKey},
    media::Codec,
    publisher::subscribers::{Subscriber, Subscribers},
    speakers::{level, set::SpeakerSet},
};
use std::time::Instant;

/// The speakers of a room, and the slots that play them.
#[derive(Debug)]
pub(super) struct SpeakerSlots {
    set: SpeakerSet<TrackKey>,
    /// The slots that play each position that all hear.
    players: Vec<Subscribers>,
    /// Of a change: the slots that move together, and the others. Reused.
    together: Vec<Subscriber>,
    alone: Vec<Subscriber>,
}

impl Default for SpeakerSlots {
    fn default() -> Self {
        Self::new(SPEAKERS)
    }
}

impl SpeakerSlots {
    /// Without speakers; all participants will hear this many.
    pub(super) fn new(speakers: u8) -> Self {
        let players = (0..speakers).map(|_| Subscribers::default()).collect();
        Self { set: SpeakerSet::new(speakers.into()), players, together: Vec::new(), alone: Vec::new() }
    }
}

impl Topology {
    /// Handles a packet of audio with the level that it carries. Slots that play speakers may get another track, and with it
    /// this packet. Returns whether anything says how loud the packet is.
    pub(super) fn on_audio_packet(&mut self, now: Instant, key: TrackKey, level: Option<u8>) -> bool {
        let Some(track) = self.tracks.get_mut(key) else { return false };
        let Some(level) = track.speaking.map(level::of_claim).or(level) else { return false };
        track.level.on_packet(now, level);
        if track.muted {
            return true;
        }
        let set = &mut self.speakers.set;
        if let Some(change) = set.on_packet(now, key, &track.level, &mut track.challenge) {
            self.replay(change.taken, change.replaced, Some(key).filter(|_| change.is_new));
        }
        true
    }

    /// Frees the position of a track that has ended or was muted.
    pub(super) fn remove_speaker(&mut self, track: TrackKey) {
        if let Some(position) = self.speakers.set.remove(track) {
            self.replay(position, Some(track), None);
        }
    }

    /// Makes a slot play a position.
    pub(super) fn add_speaker_slot(&mut self, slot_key: SlotKey, position: u8) -> Result<(), CommandError> {
        let slot = self.slots.get(slot_key).ok_or(CommandError::NoSlot)?;
        if slot.codec != Codec::Opus {
            return Err(CommandError::CodecMismatch);
        }
        if usize::from(position) >= self.speakers.players.len() {
            return Err(CommandError::Invalid);
        }
        let player = Subscriber { participant: slot.participant, slot: slot_key };
        self.remove_speaker_slot(slot_key);
        if let Some(slot) = self.slots.get_mut(slot_key) {
            slot.position = Some(position);
        }
        if let Some(players) = self.speakers.players.get_mut(usize::from(position)) {
            players.set(player, true);
        }
        self.play(player, position.into(), None);
        Ok(())
    }

    /// Forgets which position a slot plays, if any.
    pub(super) fn remove_speaker_slot(&mut self, slot_key: SlotKey) {
        let Some(slot) = self.slots.get_mut(slot_key) else { return };
        let Some(position) = slot.position.take() else { return };
        if let Some(players) = self.speakers.players.get_mut(usize::from(position)) {
            players.set(Subscriber { participant: slot.participant, slot: slot_key }, false);
        }
    }

    /// What a participant hears in the slot that plays a position.
    fn heard(&self, by: ParticipantKey, position: usize) -> Option<TrackKey> {
        let set = &self.speakers.set;
        let is_own = |track: TrackKey| self.tracks.get(track).is_none_or(|track| track.owner_key == by);
        let holder = set.holder(position)?;
        if !is_own(holder) {
            return Some(holder);
        }
        // A participant that speaks with two tracks hears the understudy in place of the first of them.
        let is_first = !(0..position).any(|before| set.holder(before).is_some_and(is_own));
        set.holder(set.understudy()).filter(|understudy| is_first && !is_own(*understudy))
    }

    /// Puts into a slot what its participant hears in that position. Of `begins`, who has just begun to speak, it plays the
    /// first word.
    fn play(&mut self, player: Subscriber, position: usize, begins: Option<TrackKey>) {
        let track = self.heard(player.participant, position);
        if self.slots.get(player.slot).is_none_or(|slot| slot.track == track) {
            return;
        }
        self.unsubscribe(player.slot);
        if let Some(track) = track {
            self.subscribe(player.slot, track);
        }
        if let Some(slot) = self.slots.get_mut(player.slot) {
            slot.back_fills = track.is_some() && track == begins;
        }
    }

    /// Plays a position, which was that of the track `before`, to all that hear it.
    fn replay(&mut self, position: usize, before: Option<TrackKey>, begins: Option<TrackKey>) {
        let understudy = self.speakers.set.understudy();
        if position != understudy {
            self.move_players(position, before, begins);
        }
        // A speaker may hear another understudy now.
        for position in 0..understudy {
            let owner = self.speakers.set.holder(position).and_then(|holder| Some(self.tracks.get(holder)?.owner_key));
            let Some(participant) = owner else { continue };
            let slots = self.participants.get(participant).map_or(&[][..], |owner| &owner.slots);
            let plays = |slot: &SlotKey| {
                self.slots.get(*slot).is_some_and(|slot| slot.position.map(usize::from) == Some(position))
            };
            if let Some(&slot) = slots.iter().find(|slot| plays(slot)) {
                self.play(Subscriber { participant, slot }, position, begins);
            }
        }
    }

    /// Moves the slots that play a position from one track to its holder.
    fn move_players(&mut self, position: usize, before: Option<TrackKey>, begins: Option<TrackKey>) {
        let holder = self.speakers.set.holder(position);
        let source = holder.and_then(|holder| self.source_of(holder));
        let owner = holder.and_then(|holder| Some(self.tracks.get(holder)?.owner_key));
        let SpeakerSlots { players, together, alone, .. } = &mut self.speakers;
        together.clear();
        alone.clear();
        for player in players.get(position).into_iter().flat_map(Subscribers::iter) {
            let Some(slot) = self.slots.get_mut(player.slot) else { continue };
            if Some(player.participant) == owner || slot.track != before {
                alone.push(player);
                continue;
            }
            slot.end_track();
            if let Some((track, encoding)) = source {
                slot.begin_track(track, encoding);
                slot.back_fills = begins == Some(track);
            }
            together.push(player);
        }
        let (together, alone) = (std::mem::take(together), std::mem::take(alone));
        if let Some(before) = before {
            self.for_subscribers(before, |subscribers| subscribers.remove_all(&together));
        }
        if let Some(holder) = holder {
            self.for_subscribers(holder, |subscribers| subscribers.insert_all(&together));
        }
        for &player in &alone {
            self.play(player, position, begins);
        }
        (self.speakers.together, self.speakers.alone) = (together, alone);
    }

    /// Changes the subscribers of an audio track and of its one encoding.
    fn for_subscribers(&mut self, track: TrackKey, change: impl Fn(&mut Subscribers)) {
        let Some(track) = self.tracks.get_mut(track) else { return };
        change(&mut track.subscribers);
        for key in &track.encodings {
            if let Some(encoding) = self.encodings.get_mut(*key) {
                change(&mut encoding.subscribers);
            }
        }
    }

    /// An audio track with its one encoding.
    fn source_of(&self, track: TrackKey) -> Option<(TrackKey, EncodingKey)> {
        let &encoding = self.tracks.get(track)?.encodings.first()?;
        Some((track, encoding))
    }
}
