//! Receiving: slots, subscriptions and key frame requests to senders.

use super::Connection;
use crate::{
    client::{disconnect::ConnectionEnd, event::RemoteTrack, session_state::SessionState},
    media::{Endpoint, Engine},
};
use std::time::Instant;
use tacet_proto::{
    layers::SlotLayer,
    server::{Slots, Tracks},
};

impl<G: Engine> Connection<G> {
    /// Applies a change of the slots and confirms it; slots that arrive before the media path are kept for it.
    pub(super) async fn add_slots(&mut self, slots: Slots) -> Result<(), ConnectionEnd> {
        let Some(endpoint) = &mut self.endpoint else {
            self.early_slots.push(slots);
            return Ok(());
        };
        // Packets of the new slots wait in the endpoint's queue until this returns.
        endpoint.add_slots(&slots.add).await?;
        slots.add.iter().for_each(|slot| self.receiver.add_slot(slot));
        slots.set.iter().for_each(|content| self.receiver.set_slot(content));
        self.call.slots_ready(slots.rev)?;
        Ok(())
    }

    /// Applies a change of the server's track list and subscribes to new tracks by the application's policy.
    pub(super) fn on_tracks(&mut self, tracks: Tracks, session: &mut SessionState) -> Result<(), ConnectionEnd> {
        let added = if std::mem::take(&mut self.unsubscribed) {
            // The server has forgotten what this client subscribed to, or never knew it.
            session.update_tracks(tracks);
            session.listed_tracks()
        } else {
            session.update_tracks(tracks).added
        };
        let wanted = session.wanted_tracks(&added);
        self.call.subscribe(&wanted)?;
        Ok(())
    }

    /// The layers in slots have changed.
    pub(super) fn on_layers(&self, slots: &[SlotLayer], session: &SessionState) {
        for SlotLayer { mid, height, reason, .. } in slots {
            if let Some(track) = self.receiver.track_in(mid) {
                session.layer_changed(track, *height, *reason);
            }
        }
    }

    /// Requests a key frame of a track, if a slot shows it.
    pub(super) async fn request_key_frame_of(&mut self, track: &RemoteTrack) -> Result<(), ConnectionEnd> {
        if let (Some(ssrc), Some(endpoint)) = (self.receiver.slot_of(track.track), &mut self.endpoint) {
            endpoint.request_key_frame(ssrc).await?;
        }
        Ok(())
    }

    /// Requests key frames in all slots that cannot decode without one.
    pub(super) async fn request_missing_key_frames(&mut self, now: Instant) -> Result<(), ConnectionEnd> {
        let Some(endpoint) = &mut self.endpoint else { return Ok(()) };
        for ssrc in self.receiver.slots_needing_key_frame(now) {
            endpoint.request_key_frame(ssrc).await?;
        }
        Ok(())
    }
}
