//! `layers`, `layer` and `want`: what a member shows, what it receives of that, and what it needs to send.

use super::{
    Answer, DONE, Refusal, Room,
    authorized::{Authorized, Subscribes},
    wake,
};
use sfu_api::{DownlinkCause, DownlinkState, LayerReason, Mid};
use std::time::Instant;
use tacet_proto::{
    ParticipantId, ServerMessage, TrackId,
    client::Layers,
    layers::{self, Downlink, SlotLayer, TrackWant},
};

impl Room {
    /// The client says what it shows.
    pub(super) fn set_layers(
        &mut self,
        now: Instant,
        by: Authorized<Subscribes>,
        layers: Layers,
    ) -> Result<Answer, Refusal> {
        let from = by.participant();
        let Some(member) = self.members.get_mut(&from) else { return Ok(None) };
        member.tiles.replace(layers.tiles)?;
        member.diagnoses = layers.downlink;
        self.arrange_video(now, from);
        Ok(DONE)
    }

    /// The layer in a slot changed.
    pub(super) fn layer_changed(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        mid: Mid,
        height: Option<u16>,
        temporal: Option<u8>,
        reason: LayerReason,
    ) {
        let Some(member) = self.members.get_mut(&participant) else { return };
        let reason = match reason {
            LayerReason::Wish => layers::LayerReason::Wish,
            LayerReason::Bandwidth => layers::LayerReason::Bandwidth,
            LayerReason::Network => layers::LayerReason::Network,
            LayerReason::Server => layers::LayerReason::Server,
            LayerReason::Sender => layers::LayerReason::Sender,
            LayerReason::Pause => layers::LayerReason::Pause,
            other => return tracing::debug!(?other, "unknown reason for a layer"),
        };
        // Of an empty slot there is nothing to say.
        let Some(content) = member.slots.content(mid) else { return };
        let layer = SlotLayer { mid: mid.as_str().to_owned(), height, temporal, reason };
        member.backlog.layer(now, mid, content, layer);
        wake(&mut self.wake, member.backlog.due());
    }

    /// What is known of the path to a participant changed.
    pub(super) fn downlink_changed(&mut self, participant: ParticipantId, state: DownlinkState) {
        tracing::debug!(participant = participant.0, ?state, "downlink");
        if !self.members.get(&participant).is_some_and(|member| member.diagnoses) {
            return;
        }
        let cause = match state.cause {
            DownlinkCause::Start => layers::DownlinkCause::Start,
            DownlinkCause::Growth => layers::DownlinkCause::Growth,
            DownlinkCause::Probe => layers::DownlinkCause::Probe,
            DownlinkCause::Limited => layers::DownlinkCause::Limited,
            DownlinkCause::Trend => layers::DownlinkCause::Trend,
            DownlinkCause::Queue => layers::DownlinkCause::Queue,
            DownlinkCause::Loss => layers::DownlinkCause::Loss,
            DownlinkCause::NoFeedback => layers::DownlinkCause::NoFeedback,
            DownlinkCause::PathChange => layers::DownlinkCause::PathChange,
            other => return tracing::debug!(?other, "unknown cause of an estimate"),
        };
        let queue_ms = u32::try_from(state.queue.as_millis()).unwrap_or(u32::MAX);
        let downlink = Downlink { kbps: state.kbps, wanted_kbps: state.wanted_kbps, queue_ms, cause };
        self.outputs.hint(participant, ServerMessage::Downlink(downlink));
    }

    /// What the receivers of a track want of it changed.
    pub(super) fn layers_wanted(
        &mut self,
        now: Instant,
        publisher: ParticipantId,
        track: TrackId,
        active: Vec<bool>,
        height: u16,
    ) {
        let Some(published) = self.tracks.get_mut(&track).filter(|p| p.track.participant == publisher) else { return };
        published.set_wanted(active.contains(&true));
        if let Some(member) = self.members.get_mut(&publisher) {
            member.backlog.want(now, TrackWant { track, active, height });
            wake(&mut self.wake, member.backlog.due());
        }
        self.tell_stalled(now, publisher);
    }
}
