//! Which slot has which content.
//!
//! What has a slot keeps it, so that a client that shows the next page is sent only what is new there. What is new goes into
//! an empty slot of its class; else into the place of what is not wanted any more, the longest unwanted first; else into a
//! new slot; and if there can be none, into the place of what is wanted least, if that is wanted less.
//!
//! Video that is not wanted any more stays where it is, paused, until its slot is needed: the client may come back to it.

use super::{Slot, SlotCommand, Slots};
use sfu_api::CommandId;
use std::collections::HashMap;
use tacet_proto::media::{Codec, Kind, SlotContent};

/// Something that is to be in a slot of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::room) struct Wanted {
    /// A track, or a position among the speakers.
    pub(in crate::room) content: SlotContent,
    /// The class.
    pub(in crate::room) codec: Codec,
}

/// The place of each wanted content in the order of importance, from 0.
type Ranks = HashMap<SlotContent, usize>;

impl Slots {
    /// Puts one more track into an empty or a new slot, and moves no other. Returns whether it is in a slot.
    pub(in crate::room) fn place(
        &mut self,
        wanted: Wanted,
        command: &mut impl FnMut(SlotCommand) -> CommandId,
    ) -> bool {
        if self.holds(wanted.content) {
            return true;
        }
        let Some(index) = self.empty(wanted.codec).or_else(|| self.grow(wanted.codec, command)) else {
            self.lacks_video |= wanted.codec.kind() == Kind::Video;
            return false;
        };
        self.fill(index, wanted.content);
        self.forward(command);
        true
    }

    /// Puts everything of a kind that is wanted, the most important first, into slots as far as they reach.
    pub(in crate::room) fn arrange(
        &mut self,
        kind: Kind,
        wanted: &[Wanted],
        command: &mut impl FnMut(SlotCommand) -> CommandId,
    ) {
        let ranks: Ranks = wanted.iter().enumerate().map(|(rank, wanted)| (wanted.content, rank)).collect();
        self.round += 1;
        for slot in self.slots.iter_mut().filter(|slot| slot.codec.kind() == kind) {
            match slot.content {
                Some(content) if ranks.contains_key(&content) => slot.wanted_in = self.round,
                // Audio cannot be paused.
                Some(_) if kind == Kind::Audio => slot.content = None,
                _ => {}
            }
        }
        let mut missing = false;
        for (rank, wanted) in wanted.iter().enumerate() {
            if self.holds(wanted.content) {
                continue;
            }
            match self.make_way(wanted.codec, rank, &ranks, command) {
                Some(index) => self.fill(index, wanted.content),
                None => missing = true,
            }
        }
        if kind == Kind::Video {
            self.lacks_video = missing;
        }
        self.forward(command);
    }

    /// The slot of a class that content of this rank may have.
    fn make_way(
        &mut self,
        codec: Codec,
        rank: usize,
        ranks: &Ranks,
        command: &mut impl FnMut(SlotCommand) -> CommandId,
    ) -> Option<usize> {
        self.empty(codec)
            .or_else(|| self.longest_unwanted(codec, ranks))
            .or_else(|| self.grow(codec, command))
            .or_else(|| self.least_wanted(codec, ranks).filter(|(least, _)| *least > rank).map(|(_, index)| index))
    }

    fn empty(&self, codec: Codec) -> Option<usize> {
        self.slots.iter().position(|slot| slot.codec == codec && slot.content.is_none())
    }

    fn longest_unwanted(&self, codec: Codec, ranks: &Ranks) -> Option<usize> {
        let unwanted = |slot: &Slot| slot.content.is_some_and(|content| !ranks.contains_key(&content));
        let slots = self.slots.iter().enumerate().filter(|(_, slot)| slot.codec == codec && unwanted(slot));
        slots.min_by_key(|(_, slot)| slot.wanted_in).map(|(index, _)| index)
    }

    /// The highest rank in a class, and its slot.
    fn least_wanted(&self, codec: Codec, ranks: &Ranks) -> Option<(usize, usize)> {
        let slots = self.slots.iter().enumerate().filter(|(_, slot)| slot.codec == codec);
        slots.filter_map(|(index, slot)| Some((*ranks.get(&slot.content?)?, index))).max()
    }

    fn fill(&mut self, index: usize, content: SlotContent) {
        if let Some(slot) = self.slots.get_mut(index) {
            (slot.content, slot.wanted_in) = (Some(content), self.round);
        }
    }
}
