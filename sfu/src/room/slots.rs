//! Commands about slots.

use super::Room;
use crate::{
    command::{CommandError, SlotSource},
    egress::Egress,
    ids::{Mid, ParticipantId, Ssrc},
    media::Codec,
    publisher::key_frame_requests::Cause,
};
use std::time::Instant;

impl Room {
    /// Adds a slot. Returns its SSRC and the one of its RTX stream. Nothing is forwarded into it before
    /// [`Self::activate_slot`].
    ///
    /// # Errors
    /// [`CommandError`] `NoParticipant`, `Exists`, `Limit`, `Unavailable`.
    pub fn add_slot(
        &mut self,
        participant: ParticipantId,
        mid: Mid,
        codec: Codec,
    ) -> Result<(Ssrc, Option<Ssrc>), CommandError> {
        self.topology.add_slot(participant, mid, codec)
    }

    /// Starts to forward packets into a slot.
    ///
    /// # Errors
    /// [`CommandError`] `NoParticipant`, `NoSlot`.
    pub fn activate_slot(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        mid: Mid,
        egress: &mut (impl Egress + ?Sized),
    ) -> Result<(), CommandError> {
        let slot = self.topology.activate_slot(participant, mid)?;
        self.pace_new_slot(now, slot, egress);
        self.request_key_frame(now, slot, Cause::Joiner, egress);
        Ok(())
    }

    /// Puts a source into a slot, or empties the slot. The slot's stream continues where it was.
    ///
    /// # Errors
    /// [`CommandError`] `NoParticipant`, `NoSlot`, `NoTrack`, `CodecMismatch`, `Invalid`.
    pub fn set_slot(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        mid: Mid,
        source: Option<SlotSource>,
        egress: &mut (impl Egress + ?Sized),
    ) -> Result<(), CommandError> {
        if let Some(slot) = self.topology.set_slot(participant, mid, source)? {
            self.allocate_to(now, participant, egress);
            self.demand_lowest(slot);
            self.request_key_frame(now, slot, Cause::Joiner, egress);
        }
        Ok(())
    }
}
