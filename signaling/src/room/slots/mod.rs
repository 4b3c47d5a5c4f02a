//! Receiving slots of one participant: m-lines that are added in blocks, are never removed, and whose contents change.
//!
//! ```text
//!   made ── AddSlot ──► (SSRC known) ── slots{rev, add} ──► offered ── slots.ready{rev} ──► active: media may flow
//! ```
//!
//! A slot's class, its codec, never changes. `arrangement` decides what is in which slot.

mod arrangement;
mod slot;
mod wishes;

use super::{audio::MAX_HEARD, pages::Page};
pub(super) use arrangement::Wanted;
use sfu_api::{CommandId, Mid, Wish};
use slot::Slot;
use tacet_proto::{
    TrackId,
    media::{Codec, Kind, SlotContent, SlotSource, SlotTrack},
    server::Slots as SlotsMessage,
};

/// Number of slots that are created together.
const BLOCK: usize = 4;

/// A command about slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SlotCommand {
    /// Creates one.
    Add(Mid, Codec),
    /// Fills or empties it.
    Set(Mid, Option<SlotContent>),
    /// Lets media flow in it.
    Activate(Mid),
    /// Says how large the contents of some are wanted.
    Wish(Vec<Wish>),
}

/// The slots of one participant.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    limit: usize,
    rev: u32,
    created: u32,
    /// Number of the last arrangement.
    round: u64,
    /// Whether video that is wanted has no slot.
    lacks_video: bool,
}

impl Slots {
    /// No slots yet, and at most `limit`.
    pub(super) fn new(limit: usize) -> Self {
        Self { slots: Vec::new(), limit, rev: 0, created: 0, round: 0, lacks_video: false }
    }

    /// Forgets all slots: their transport has ended. Revisions and names go on, so that nothing old is taken for new.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
    }

    /// Whether this is in a slot.
    pub(super) fn holds(&self, content: SlotContent) -> bool {
        self.slots.iter().any(|slot| slot.content == Some(content))
    }

    /// Whether video that is wanted has no slot.
    pub(super) fn lacks_video(&self) -> bool {
        self.lacks_video
    }

    /// What is to be in a slot.
    pub(super) fn content(&self, mid: Mid) -> Option<SlotContent> {
        self.slots.iter().find(|slot| slot.mid == mid)?.content
    }

    /// Whether the client knows what is to be in a slot.
    pub(super) fn is_shown(&self, mid: Mid) -> bool {
        self.slots.iter().any(|slot| slot.mid == mid && slot.content == slot.shown)
    }

    /// Creates a block of slots of a class, if that many more are allowed, and returns the first.
    fn grow(&mut self, codec: Codec, command: &mut impl FnMut(SlotCommand) -> CommandId) -> Option<usize> {
        // The first block brings one of the other kind along: one round of negotiation instead of two.
        let classes = match (self.slots.is_empty(), codec.kind()) {
            (false, _) => [Some(codec), None],
            (true, Kind::Audio) => [Some(codec), Some(Codec::Vp8)],
            (true, Kind::Video) => [Some(Codec::Opus), Some(codec)],
        };
        for class in classes.into_iter().flatten() {
            self.create_block(class, command);
        }
        self.slots.iter().position(|slot| slot.codec == codec && slot.content.is_none())
    }

    fn create_block(&mut self, codec: Codec, command: &mut impl FnMut(SlotCommand) -> CommandId) {
        let audio = self.slots.iter().filter(|slot| slot.codec.kind() == Kind::Audio).count();
        let allowed = match codec.kind() {
            Kind::Audio => MAX_HEARD.saturating_sub(audio),
            Kind::Video => BLOCK,
        };
        for _ in 0..BLOCK.min(allowed).min(self.limit.saturating_sub(self.slots.len())) {
            let Some(mid) = Mid::new(&format!("r{}", self.created)) else { return };
            self.created = self.created.saturating_add(1);
            let add = command(SlotCommand::Add(mid, codec));
            self.slots.push(Slot::new(mid, codec, add));
        }
    }

    /// Empties the slot of a track. Returns whether it had one.
    pub(super) fn vacate(&mut self, track: TrackId, command: &mut impl FnMut(SlotCommand) -> CommandId) -> bool {
        let mut vacated = false;
        for slot in self.slots.iter_mut().filter(|slot| slot.track().is_some_and(|held| held.track == track)) {
            slot.content = None;
            vacated = true;
        }
        self.forward(command);
        vacated
    }

    /// Has the media plane forward what is to be in the slots. What leaves a slot does so before it enters another one.
    fn forward(&mut self, command: &mut impl FnMut(SlotCommand) -> CommandId) {
        for emptied in [true, false] {
            let changed = self.slots.iter_mut().filter(|slot| slot.content != slot.forwarded);
            for slot in changed.filter(|slot| slot.content.is_none() == emptied) {
                slot.forwarded = slot.content;
                slot.wish = None;
                slot.set = Some(command(SlotCommand::Set(slot.mid, slot.content)));
            }
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
            (slot.content, slot.forwarded) = (None, None);
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
            let Some(wire) = slot.wire().filter(|wire| page.fits(wire)) else { break };
            slot.offered = Some(rev);
            add.push(wire);
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.differs(&known)) {
            let source = SlotSource { mid: slot.mid.as_str().to_owned(), source: slot.content };
            if !page.fits(&source) {
                break;
            }
            slot.shown = slot.content;
            set.push(source);
        }
        if add.is_empty() && set.is_empty() {
            return None;
        }
        self.rev = rev;
        Some(SlotsMessage { rev, add, set })
    }
}

#[cfg(test)]
mod tests;
