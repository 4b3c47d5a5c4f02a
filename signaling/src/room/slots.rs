//! Receiving slots of one participant: m-lines that are added in blocks, never removed, and whose contents change.
//!
//! ```text
//!   made ── AddSlot ──► (SSRC known) ── slots{rev, add} ──► offered ── slots.ready{rev} ──► active: media may flow
//! ```
//!
//! A slot's class, its codec, never changes; a freed slot of the class is used before a new block is made.

use super::pages::Page;
use tacet_proto::{
    TrackId,
    media::{Codec, Kind, Slot as WireSlot, SlotSource, SlotTrack},
    server::Slots as SlotsMessage,
};

/// Slots that are made at a time.
const BLOCK: usize = 4;

/// What the media plane is to do with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotCommand {
    /// Make it.
    Add(sfu::Mid, Codec),
    /// Fill or empty it.
    Set(sfu::Mid, Option<TrackId>),
    /// Let media flow in it.
    Activate(sfu::Mid),
}

#[derive(Debug)]
struct Slot {
    mid: sfu::Mid,
    codec: Codec,
    /// SSRCs of media and retransmissions, once the media plane has given them.
    ssrcs: Option<(u32, Option<u32>)>,
    /// Revision in which the client was told of it.
    offered: Option<u32>,
    active: bool,
    track: Option<SlotTrack>,
    shown: Option<SlotTrack>,
}

/// The slots of one participant.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    limit: usize,
    rev: u32,
    made: u32,
}

impl Slots {
    /// No slots yet, and never more than `limit`.
    pub(super) fn new(limit: usize) -> Self {
        Self { slots: Vec::new(), limit, rev: 0, made: 0 }
    }

    /// Whether a track is in a slot.
    pub(super) fn holds(&self, track: TrackId) -> bool {
        self.slots.iter().any(|slot| slot.track.is_some_and(|held| held.track == track))
    }

    /// Puts a track into a free slot of its class, making a block of slots if there is none. Returns whether it found
    /// a place.
    pub(super) fn place(&mut self, track: SlotTrack, codec: Codec, command: &mut impl FnMut(SlotCommand)) -> bool {
        if self.holds(track.track) {
            return true;
        }
        if self.free(codec).is_none() {
            // The first need makes slots for sound and picture together: one round of negotiation instead of two.
            let first = self.slots.is_empty();
            let classes = match (first, codec.kind()) {
                (false, _) => [Some(codec), None],
                (true, Kind::Audio) => [Some(codec), Some(Codec::Vp8)],
                (true, Kind::Video) => [Some(Codec::Opus), Some(codec)],
            };
            for class in classes.into_iter().flatten() {
                self.make_block(class, command);
            }
        }
        let Some(slot) = self.free(codec) else { return false };
        slot.track = Some(track);
        command(SlotCommand::Set(slot.mid, Some(track.track)));
        true
    }

    fn free(&mut self, codec: Codec) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.track.is_none() && slot.codec == codec)
    }

    fn make_block(&mut self, codec: Codec, command: &mut impl FnMut(SlotCommand)) {
        for _ in 0..BLOCK.min(self.limit.saturating_sub(self.slots.len())) {
            let Some(mid) = sfu::Mid::new(&format!("r{}", self.made)) else { return };
            self.made = self.made.saturating_add(1);
            self.slots.push(Slot { mid, codec, ssrcs: None, offered: None, active: false, track: None, shown: None });
            command(SlotCommand::Add(mid, codec));
        }
    }

    /// Empties the slot of a track.
    pub(super) fn vacate(&mut self, track: TrackId, command: &mut impl FnMut(SlotCommand)) {
        for slot in self.slots.iter_mut().filter(|slot| slot.track.is_some_and(|held| held.track == track)) {
            slot.track = None;
            command(SlotCommand::Set(slot.mid, None));
        }
    }

    /// The media plane has made a slot.
    pub(super) fn added(&mut self, mid: sfu::Mid, ssrc: u32, rtx: Option<u32>) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.mid == mid) {
            slot.ssrcs = Some((ssrc, rtx));
        }
    }

    /// The media plane refused a slot, or what was to be put into it.
    pub(super) fn refused(&mut self, mid: sfu::Mid) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.mid == mid) {
            slot.track = None;
            if slot.ssrcs.is_none() {
                // There will be no more than there are now; asking again would be refused again.
                self.slots.retain(|slot| slot.mid != mid);
                self.limit = self.limit.min(self.slots.len());
            }
        }
    }

    /// The client has applied everything up to a revision. Returns whether there was such a revision.
    pub(super) fn ready(&mut self, rev: u32, command: &mut impl FnMut(SlotCommand)) -> bool {
        if rev > self.rev {
            return false;
        }
        for slot in &mut self.slots {
            if !slot.active && slot.offered.is_some_and(|offered| offered <= rev) {
                slot.active = true;
                command(SlotCommand::Activate(slot.mid));
            }
        }
        true
    }

    /// The next message that the client needs: new slots in the order in which they were made, and new contents.
    pub(super) fn next_message(&mut self) -> Option<SlotsMessage> {
        let (mut page, mut add, mut set) = (Page::new(), Vec::new(), Vec::new());
        let rev = self.rev.saturating_add(1);
        for slot in self.slots.iter_mut().filter(|slot| slot.offered.is_none()) {
            // A slot that the media plane has not made yet holds those behind it back: m-lines are only appended.
            let Some((ssrc, rtx)) = slot.ssrcs else { break };
            let mid = slot.mid.as_str().to_owned();
            let wire = WireSlot { mid, kind: slot.codec.kind(), codec: slot.codec, ssrc, rtx };
            if !page.fits(&wire) {
                break;
            }
            slot.offered = Some(rev);
            add.push(wire);
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.offered.is_some() && slot.track != slot.shown) {
            let source = SlotSource { mid: slot.mid.as_str().to_owned(), source: slot.track };
            if !page.fits(&source) {
                break;
            }
            slot.shown = slot.track;
            set.push(source);
        }
        if add.is_empty() && set.is_empty() {
            return None;
        }
        self.rev = rev;
        Some(SlotsMessage { rev, add, set })
    }
}

/// The class of a slot that the media plane reports on.
#[cfg(test)]
fn class(command: &SlotCommand) -> Option<Codec> {
    match command {
        SlotCommand::Add(_, codec) => Some(*codec),
        SlotCommand::Set(..) | SlotCommand::Activate(_) => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tacet_proto::ParticipantId;

    fn track(id: u32) -> SlotTrack {
        SlotTrack { track: TrackId(id), participant: ParticipantId(1) }
    }

    fn place(slots: &mut Slots, id: u32, codec: Codec) -> (bool, Vec<SlotCommand>) {
        let mut commands = Vec::new();
        let placed = slots.place(track(id), codec, &mut |command| commands.push(command));
        for (i, command) in commands.iter().enumerate() {
            if let SlotCommand::Add(mid, _) = command {
                slots.added(*mid, 1_000 + id * 100 + i as u32, None);
            }
        }
        (placed, commands)
    }

    #[test]
    fn the_first_track_makes_slots_for_sound_and_picture() {
        let mut slots = Slots::new(100);
        let (placed, commands) = place(&mut slots, 1, Codec::Opus);
        assert!(placed);
        let classes: Vec<_> = commands.iter().filter_map(class).collect();
        assert_eq!(classes, [[Codec::Opus; 4], [Codec::Vp8; 4]].concat());
        let message = slots.next_message().unwrap();
        assert_eq!((message.rev, message.add.len(), message.set.len()), (1, 8, 1));
        assert_eq!(message.set[0].source, Some(track(1)));
        assert_eq!(slots.next_message(), None);
    }

    #[test]
    fn media_flows_in_new_slots_only_after_the_client_is_ready() {
        let mut slots = Slots::new(100);
        let (_, commands) = place(&mut slots, 1, Codec::Vp8);
        assert!(!commands.iter().any(|command| matches!(command, SlotCommand::Activate(_))));
        assert!(!slots.ready(1, &mut |_| panic!("nothing was offered")), "no such revision yet");
        slots.next_message().unwrap();
        let mut active = 0;
        assert!(slots.ready(1, &mut |_| active += 1));
        assert_eq!(active, 8);
        assert!(slots.ready(1, &mut |_| panic!("active already")));
    }

    #[test]
    fn freed_slots_are_used_before_new_ones_are_made() {
        let mut slots = Slots::new(100);
        place(&mut slots, 1, Codec::Vp8);
        slots.next_message().unwrap();
        slots.vacate(TrackId(1), &mut |_| {});
        let (placed, commands) = place(&mut slots, 2, Codec::Vp8);
        assert!(placed && commands.len() == 1, "{commands:?}");
        let message = slots.next_message().unwrap();
        assert_eq!((message.add.len(), message.set.len()), (0, 1), "only the last contents are told");
    }

    #[test]
    fn a_class_that_runs_out_gets_a_block_of_its_own() {
        let mut slots = Slots::new(100);
        for id in 1..=4 {
            place(&mut slots, id, Codec::Vp8);
        }
        let (_, commands) = place(&mut slots, 5, Codec::Vp8);
        assert_eq!(commands.iter().filter_map(class).collect::<Vec<_>>(), [Codec::Vp8; 4]);
        let (_, commands) = place(&mut slots, 6, Codec::Av1);
        assert_eq!(commands.iter().filter_map(class).collect::<Vec<_>>(), [Codec::Av1; 4]);
    }

    #[test]
    fn there_are_never_more_slots_than_allowed() {
        let mut slots = Slots::new(6);
        assert!(place(&mut slots, 1, Codec::Opus).0);
        assert!(place(&mut slots, 2, Codec::Vp8).0);
        assert!(place(&mut slots, 3, Codec::Vp8).0);
        assert!(!place(&mut slots, 4, Codec::Vp8).0, "only two of the video block fit");
        assert_eq!(slots.next_message().unwrap().add.len(), 6);
    }

    #[test]
    fn a_refused_slot_is_forgotten_and_not_asked_for_again() {
        let mut slots = Slots::new(100);
        let mut mids = Vec::new();
        slots.place(track(1), Codec::Opus, &mut |command| {
            if let SlotCommand::Add(mid, _) = command {
                mids.push(mid);
            }
        });
        for mid in mids {
            slots.refused(mid);
        }
        assert_eq!(slots.next_message(), None);
        assert!(!slots.place(track(2), Codec::Opus, &mut |command| panic!("asked again: {command:?}")));
    }

    #[test]
    fn a_slot_without_ssrc_holds_back_those_behind_it() {
        let mut slots = Slots::new(100);
        let mut mids = Vec::new();
        slots.place(track(1), Codec::Opus, &mut |command| {
            if let SlotCommand::Add(mid, _) = command {
                mids.push(mid);
            }
        });
        slots.added(mids[1], 1, None);
        assert_eq!(slots.next_message(), None);
        slots.added(mids[0], 2, None);
        let message = slots.next_message().unwrap();
        assert_eq!(message.add.iter().map(|slot| slot.mid.as_str()).collect::<Vec<_>>(), ["r0", "r1"]);
    }
}
