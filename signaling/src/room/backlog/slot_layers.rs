//! Layers of slots that a client has yet to be sent: the last one of each slot.

use crate::room::{pages::Page, slots::Slots};
use sfu_api::Mid;
use std::collections::BTreeMap;
use tacet_proto::{
    layers::{Layer, SlotLayer},
    media::SlotContent,
};

/// Waiting layers. One is about what was in its slot at the time: it waits until the client knows of that, and is dropped
/// when the slot has other content.
#[derive(Debug, Default)]
pub(super) struct SlotLayers(BTreeMap<Mid, (SlotContent, SlotLayer)>);

impl SlotLayers {
    /// The content of a slot is received in another layer.
    pub(super) fn insert(&mut self, mid: Mid, content: SlotContent, layer: SlotLayer) {
        self.0.insert(mid, (content, layer));
    }

    /// Whether there is a message for the client.
    pub(super) fn has_message(&self, slots: &Slots) -> bool {
        self.0.iter().any(|(mid, (content, _))| slots.content(*mid) == Some(*content) && slots.is_shown(*mid))
    }

    /// The next message for the client.
    pub(super) fn next_message(&mut self, slots: &Slots) -> Option<Layer> {
        self.0.retain(|mid, (content, _)| slots.content(*mid) == Some(*content));
        let mut page = Page::new();
        let ready = self.0.extract_if(.., |mid, (_, layer)| slots.is_shown(*mid) && page.fits(layer));
        let slots: Vec<_> = ready.map(|(_, (_, layer))| layer).collect();
        (!slots.is_empty()).then_some(Layer { slots })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::room::slots::Wanted;
    use sfu_api::CommandId;
    use tacet_proto::{
        ParticipantId, TrackId,
        layers::LayerReason,
        media::{Codec, SlotTrack},
    };

    fn track(id: u32) -> SlotContent {
        SlotContent::Track(SlotTrack { track: TrackId(id), participant: ParticipantId(1) })
    }

    fn layer(height: u16) -> SlotLayer {
        SlotLayer { mid: "r4".to_owned(), height: Some(height), temporal: None, reason: LayerReason::Wish }
    }

    #[test]
    fn last_layer_is_sent_once_the_client_knows_the_track() {
        let (mut slots, mut layers, mid) = (Slots::new(8), SlotLayers::default(), Mid::new("r4").unwrap());
        let mut commands = 0;
        let mut command = |_| {
            commands += 1;
            CommandId(commands)
        };
        slots.place(Wanted { content: track(7), codec: Codec::Vp8 }, &mut command);
        for height in [180, 360] {
            layers.insert(mid, track(7), layer(height));
        }
        assert!(!layers.has_message(&slots));
        assert_eq!(layers.next_message(&slots), None, "the client has no such slot yet");
        (1..=8).for_each(|command| slots.added(CommandId(command), 1, None));
        slots.next_message(|_| true).unwrap();
        assert!(layers.has_message(&slots));
        assert_eq!(layers.next_message(&slots), Some(Layer { slots: vec![layer(360)] }));
        assert!(!layers.has_message(&slots));

        layers.insert(mid, track(7), layer(720));
        slots.vacate(TrackId(7), &mut |_| CommandId(99));
        slots.place(Wanted { content: track(8), codec: Codec::Vp8 }, &mut |_| CommandId(100));
        slots.next_message(|_| true).unwrap();
        assert_eq!(layers.next_message(&slots), None, "it was about another track");
    }
}
