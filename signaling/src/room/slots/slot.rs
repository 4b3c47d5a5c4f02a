//! One receiving m-line of a client: what is to be in it, and what the media plane and the client know of that.

use sfu_api::{CommandId, Mid, Wish};
use tacet_proto::media::{Codec, Kind, Slot as WireSlot, SlotContent, SlotTrack};

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) mid: Mid,
    pub(super) codec: Codec,
    /// The command that creates it.
    pub(super) add: CommandId,
    /// The last command that filled or emptied it.
    pub(super) set: Option<CommandId>,
    /// The command that lets media flow in it, once the client is ready.
    pub(super) activate: Option<CommandId>,
    /// SSRCs of media and retransmissions, once the media plane has assigned them.
    pub(super) ssrcs: Option<(u32, Option<u32>)>,
    /// Revision in which it was sent to the client.
    pub(super) offered: Option<u32>,
    /// What is to be in it.
    pub(super) content: Option<SlotContent>,
    /// What the media plane puts into it.
    pub(super) forwarded: Option<SlotContent>,
    /// What the client was sent about it.
    pub(super) shown: Option<SlotContent>,
    /// What the media plane was sent about the size of its content.
    pub(super) wish: Option<Wish>,
    /// The last arrangement that wanted its content.
    pub(super) wanted_in: u64,
}

impl Slot {
    /// An empty slot, which this command creates.
    pub(super) fn new(mid: Mid, codec: Codec, add: CommandId) -> Self {
        Self {
            mid,
            codec,
            add,
            set: None,
            activate: None,
            ssrcs: None,
            offered: None,
            content: None,
            forwarded: None,
            shown: None,
            wish: None,
            wanted_in: 0,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        self.codec.kind()
    }

    /// The track that it is to carry.
    pub(super) fn track(&self) -> Option<SlotTrack> {
        self.content.and_then(SlotContent::track)
    }

    /// Whether the client is to be sent what is in the slot.
    pub(super) fn differs(&self, known: impl Fn(SlotTrack) -> bool) -> bool {
        self.offered.is_some() && self.content != self.shown && self.track().is_none_or(known)
    }

    /// The slot on the wire, once it has its SSRCs.
    pub(super) fn wire(&self) -> Option<WireSlot> {
        let (ssrc, rtx) = self.ssrcs?;
        Some(WireSlot { mid: self.mid.as_str().to_owned(), kind: self.kind(), codec: self.codec, ssrc, rtx })
    }
}
