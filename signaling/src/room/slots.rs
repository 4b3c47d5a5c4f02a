//! Receiving slots of one participant: m-lines that are added in blocks, are never removed, and whose contents change.
//!
//! ```text
//!   made ── AddSlot ──► (SSRC known) ── slots{rev, add} ──► offered ── slots.ready{rev} ──► active: media may flow
//! ```
//!
//! A slot's class, its codec, never changes. A free slot of the class is used before a new block is created.

use super::pages::Page;
use sfu_api::{CommandId, Mid};
use tacet_proto::{
    TrackId,
    media::{Codec, Kind, Slot as WireSlot, SlotContent, SlotSource, SlotTrack},
    server::Slots as SlotsMessage,
};

/// Number of slots that are created together.
const BLOCK: usize = 4;

/// A command about a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotCommand {
    /// Creates it.
    Add(Mid, Codec),
    /// Fills or empties it.
    Set(Mid, Option<TrackId>),
    /// Lets media flow in it.
    Activate(Mid),
}

#[derive(Debug)]
struct Slot {
    mid: Mid,
    codec: Codec,
    /// The command that creates it.
    add: CommandId,
    /// The last command that filled or emptied it.
    set: Option<CommandId>,
    /// The command that lets media flow in it, once the client is ready.
    activate: Option<CommandId>,
    /// SSRCs of media and retransmissions, once the media plane has assigned them.
    ssrcs: Option<(u32, Option<u32>)>,
    /// Revision in which it was sent to the client.
    offered: Option<u32>,
    track: Option<SlotTrack>,
    shown: Option<SlotTrack>,
}

impl Slot {
    /// Whether the client is to be sent what is in the slot.
    fn differs(&self, known: impl Fn(SlotTrack) -> bool) -> bool {
        self.offered.is_some() && self.track != self.shown && self.track.is_none_or(known)
    }
}

/// The slots of one participant.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    limit: usize,
    rev: u32,
    created: u32,
}

impl Slots {
    /// No slots yet, and at most `limit`.
    pub(super) fn new(limit: usize) -> Self {
        Self { slots: Vec::new(), limit, rev: 0, created: 0 }
    }

    /// Forgets all slots: their transport has ended. Revisions and names go on, so that nothing old is taken for new.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
    }

    /// Whether a track is in a slot.
    pub(super) fn holds(&self, track: TrackId) -> bool {
        self.slots.iter().any(|slot| slot.track.is_some_and(|held| held.track == track))
    }

    /// Puts a track into a free slot of its class, and creates a block of slots if there is none. Returns whether the
    /// track is in a slot.
    pub(super) fn place(
        &mut self,
        track: SlotTrack,
        codec: Codec,
        command: &mut impl FnMut(SlotCommand) -> CommandId,
    ) -> bool {
        if self.holds(track.track) {
            return true;
        }
        if self.free(codec).is_none() {
            // The first track creates slots for audio and video together: one round of negotiation instead of two.
            let first = self.slots.is_empty();
            let classes = match (first, codec.kind()) {
                (false, _) => [Some(codec), None],
                (true, Kind::Audio) => [Some(codec), Some(Codec::Vp8)],
                (true, Kind::Video) => [Some(Codec::Opus), Some(codec)],
            };
            for class in classes.into_iter().flatten() {
                self.create_block(class, command);
            }
        }
        let Some(slot) = self.free(codec) else { return false };
        slot.track = Some(track);
        slot.set = Some(command(SlotCommand::Set(slot.mid, Some(track.track))));
        true
    }

    fn free(&mut self, codec: Codec) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.track.is_none() && slot.codec == codec)
    }

    fn create_block(&mut self, codec: Codec, command: &mut impl FnMut(SlotCommand) -> CommandId) {
        for _ in 0..BLOCK.min(self.limit.saturating_sub(self.slots.len())) {
            let Some(mid) = Mid::new(&format!("r{}", self.created)) else { return };
            self.created = self.created.saturating_add(1);
            let add = command(SlotCommand::Add(mid, codec));
            self.slots.push(Slot {
                mid,
                codec,
                add,
                set: None,
                activate: None,
                ssrcs: None,
                offered: None,
                track: None,
                shown: None,
            });
        }
    }

    /// Empties the slot of a track.
    pub(super) fn vacate(&mut self, track: TrackId, command: &mut impl FnMut(SlotCommand) -> CommandId) {
        for slot in self.slots.iter_mut().filter(|slot| slot.track.is_some_and(|held| held.track == track)) {
            slot.track = None;
            slot.set = Some(command(SlotCommand::Set(slot.mid, None)));
        }
    }

    /// The media plane has made the slot that this command asked for.
    pub(super) fn added(&mut self, command: CommandId, ssrc: u32, rtx: Option<u32>) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.add == command) {
            slot.ssrcs = Some((ssrc, rtx));
        }
    }

    /// The media plane refused a command. Returns whether a slot depends on it: such a slot is removed if it was not made
    /// yet, and empty otherwise.
    pub(super) fn refused(&mut self, command: CommandId) -> bool {
        if let Some(refused) = self.slots.iter().position(|slot| slot.add == command) {
            self.slots.remove(refused);
            // Asking again would be refused again, so the limit is what exists now.
            self.limit = self.limit.min(self.slots.len());
            return true;
        }
        let depends = |slot: &&mut Slot| [slot.set, slot.activate].contains(&Some(command));
        let slot = self.slots.iter_mut().find(depends);
        slot.is_some_and(|slot| {
            slot.track = None;
            true
        })
    }

    /// The client has applied everything up to a revision. Returns whether there is such a revision.
    pub(super) fn ready(&mut self, rev: u32, command: &mut impl FnMut(SlotCommand) -> CommandId) -> bool {
        if rev > self.rev {
            return false;
        }
        for slot in &mut self.slots {
            if slot.activate.is_none() && slot.offered.is_some_and(|offered| offered <= rev) {
                slot.activate = Some(command(SlotCommand::Activate(slot.mid)));
            }
        }
        true
    }

    /// Whether there is a message for the client.
    pub(super) fn has_message(&self, known: impl Fn(SlotTrack) -> bool) -> bool {
        let next = self.slots.iter().find(|slot| slot.offered.is_none());
        next.is_some_and(|slot| slot.ssrcs.is_some()) || self.slots.iter().any(|slot| slot.differs(&known))
    }

    /// The next message for the client: new slots in the order of creation, and new contents. Only tracks that the client
    /// knows are put into it; the others wait.
    pub(super) fn next_message(&mut self, known: impl Fn(SlotTrack) -> bool) -> Option<SlotsMessage> {
        let (mut page, mut add, mut set) = (Page::new(), Vec::new(), Vec::new());
        let rev = self.rev.saturating_add(1);
        for slot in self.slots.iter_mut().filter(|slot| slot.offered.is_none()) {
            // A slot without SSRCs holds back those behind it, because m-lines are only appended.
            let Some((ssrc, rtx)) = slot.ssrcs else { break };
            let mid = slot.mid.as_str().to_owned();
            let wire = WireSlot { mid, kind: slot.codec.kind(), codec: slot.codec, ssrc, rtx };
            if !page.fits(&wire) {
                break;
            }
            slot.offered = Some(rev);
            add.push(wire);
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.differs(&known)) {
            let source = SlotSource { mid: slot.mid.as_str().to_owned(), source: slot.track.map(SlotContent::Track) };
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

/// The class of a slot that is created.
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

    /// Takes commands, and numbers them upwards from a first id.
    fn take(commands: &mut Vec<SlotCommand>, first: u64) -> impl FnMut(SlotCommand) -> CommandId {
        move |command| {
            commands.push(command);
            CommandId(first + commands.len() as u64)
        }
    }

    fn place(slots: &mut Slots, id: u32, codec: Codec) -> (bool, Vec<SlotCommand>) {
        let (mut commands, first) = (Vec::new(), u64::from(id) * 1_000);
        let placed = slots.place(track(id), codec, &mut take(&mut commands, first));
        for i in 0..commands.len() as u32 {
            slots.added(CommandId(first + 1 + u64::from(i)), 1_000 + id * 100 + i, None);
        }
        (placed, commands)
    }

    /// Ids of the commands that make slots.
    fn adds(slots: &mut Slots, id: u32, codec: Codec) -> Vec<CommandId> {
        let mut commands = Vec::new();
        slots.place(track(id), codec, &mut take(&mut commands, 0));
        (1..).map(CommandId).zip(&commands).filter(|(_, command)| class(command).is_some()).map(|(id, _)| id).collect()
    }

    #[test]
    fn first_track_creates_audio_and_video_slots() {
        let mut slots = Slots::new(100);
        let (placed, commands) = place(&mut slots, 1, Codec::Opus);
        assert!(placed);
        let classes: Vec<_> = commands.iter().filter_map(class).collect();
        assert_eq!(classes, [[Codec::Opus; 4], [Codec::Vp8; 4]].concat());
        let message = slots.next_message(|_| true).unwrap();
        assert_eq!((message.rev, message.add.len(), message.set.len()), (1, 8, 1));
        assert_eq!(message.set[0].source, Some(SlotContent::Track(track(1))));
        assert_eq!(slots.next_message(|_| true), None);
    }

    #[test]
    fn new_slots_are_activated_once_the_client_is_ready() {
        let mut slots = Slots::new(100);
        let (_, commands) = place(&mut slots, 1, Codec::Vp8);
        assert!(!commands.iter().any(|command| matches!(command, SlotCommand::Activate(_))));
        assert!(!slots.ready(1, &mut |_| panic!("nothing was offered")), "no such revision yet");
        slots.next_message(|_| true).unwrap();
        let mut active = 0;
        let mut count = |_| {
            active += 1;
            CommandId(active)
        };
        assert!(slots.ready(1, &mut count));
        assert_eq!(active, 8);
        assert!(slots.ready(1, &mut |_| panic!("active already")));
    }

    #[test]
    fn free_slots_are_reused() {
        let mut slots = Slots::new(100);
        place(&mut slots, 1, Codec::Vp8);
        slots.next_message(|_| true).unwrap();
        slots.vacate(TrackId(1), &mut |_| CommandId(1));
        let (placed, commands) = place(&mut slots, 2, Codec::Vp8);
        assert!(placed && commands.len() == 1, "{commands:?}");
        let message = slots.next_message(|_| true).unwrap();
        assert_eq!((message.add.len(), message.set.len()), (0, 1), "only the last contents are sent");
    }

    #[test]
    fn exhausted_class_gets_another_block() {
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
    fn slots_are_limited() {
        let mut slots = Slots::new(6);
        assert!(place(&mut slots, 1, Codec::Opus).0);
        assert!(place(&mut slots, 2, Codec::Vp8).0);
        assert!(place(&mut slots, 3, Codec::Vp8).0);
        assert!(!place(&mut slots, 4, Codec::Vp8).0, "only two of the video block fit");
        assert_eq!(slots.next_message(|_| true).unwrap().add.len(), 6);
    }

    #[test]
    fn refused_slot_is_not_requested_again() {
        let mut slots = Slots::new(100);
        for command in adds(&mut slots, 1, Codec::Opus) {
            assert!(slots.refused(command));
        }
        assert_eq!(slots.next_message(|_| true), None);
        assert!(!slots.place(track(2), Codec::Opus, &mut |command| panic!("asked again: {command:?}")));
    }

    #[test]
    fn slot_without_ssrc_holds_back_later_ones() {
        let mut slots = Slots::new(100);
        let commands = adds(&mut slots, 1, Codec::Opus);
        slots.added(commands[1], 1, None);
        assert_eq!(slots.next_message(|_| true), None);
        slots.added(commands[0], 2, None);
        let message = slots.next_message(|_| true).unwrap();
        assert_eq!(message.add.iter().map(|slot| slot.mid.as_str()).collect::<Vec<_>>(), ["r0", "r1"]);
    }

    #[test]
    fn overtaken_refusal_does_not_empty_a_slot() {
        let mut slots = Slots::new(100);
        place(&mut slots, 1, Codec::Vp8);
        slots.next_message(|_| true).unwrap();
        slots.vacate(TrackId(1), &mut |_| CommandId(7));
        slots.place(track(2), Codec::Vp8, &mut |_| CommandId(8));
        assert!(!slots.refused(CommandId(7)), "overtaken by a later change");
        assert!(slots.holds(TrackId(2)));
        assert!(slots.refused(CommandId(8)));
        assert!(!slots.holds(TrackId(2)));
    }
}
