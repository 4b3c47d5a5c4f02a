//! How large the content of slots is wanted, as the media plane is to know it.

use super::{SlotCommand, Slots};
use sfu_api::{CommandId, Mid, Wish};
use tacet_proto::{TrackId, media::Kind};

impl Slots {
    /// Tells the media plane what is wished of the tracks in slots, as far as that has changed.
    pub(in crate::room) fn set_wishes(
        &mut self,
        wish: impl Fn(Mid, TrackId) -> Option<Wish>,
        command: &mut impl FnMut(SlotCommand) -> CommandId,
    ) {
        let mut changed = Vec::new();
        // Audio has no size, and is never paused.
        for slot in self.slots.iter_mut().filter(|slot| slot.kind() == Kind::Video) {
            let Some(wish) = slot.track().and_then(|track| wish(slot.mid, track.track)) else { continue };
            if slot.wish != Some(wish) {
                slot.wish = Some(wish);
                changed.push(wish);
            }
        }
        if !changed.is_empty() {
            command(SlotCommand::Wish(changed));
        }
    }
}
