//! A receiving slot: an m-line of a client, and the stream in it that outlives its sources.

use super::{retransmit::Retransmitter, sender_reports::SentReports, slot_stream::SlotStream};
use crate::{
    ids::{Mid, ParticipantId, Ssrc},
    media::Codec,
};

/// A slot of one participant.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) participant: ParticipantId,
    /// The participant's place in the room.
    pub(crate) participant_key: usize,
    pub(crate) mid: Mid,
    pub(crate) codec: Codec,
    pub(crate) ssrc: Ssrc,
    pub(crate) rtx: Option<Retransmitter>,
    /// The client has applied the m-line.
    pub(crate) active: bool,
    /// The track in it, by its place in the room.
    pub(crate) source: Option<usize>,
    pub(crate) stream: SlotStream,
    /// The receiver has reported on the SSRC, so it knows to which m-line it belongs, and the MID can be left out.
    pub(crate) mid_known: bool,
    /// Packets and payload bytes sent, modulo 2³², for sender reports.
    pub(crate) packets: u32,
    pub(crate) octets: u32,
    pub(crate) reports: SentReports,
}

impl Slot {
    /// Counts a packet as sent.
    pub(crate) fn count(&mut self, payload: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add((payload & 0xffff_ffff) as u32);
    }
}
