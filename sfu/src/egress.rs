//! The seam between rooms and transports.
//!
//! A room decides who gets which packet, and under which header; it hands clear packets to an [`Egress`] and never
//! learns of addresses, keys or sockets. The worker's egress seals each packet for its receiver's transport, so that
//! nothing clear can reach a socket; tests use one that records.

use crate::ids::ParticipantId;

/// Takes clear packets for sealing and sending.
pub trait Egress {
    /// An RTP packet for a participant: `header` is a whole RTP header with its extensions, `payload` is what follows.
    ///
    /// Two slices, so that a payload shared by all subscribers is copied once, into the send buffer, and nowhere else.
    fn rtp(&mut self, to: ParticipantId, header: &[u8], payload: &[u8]);

    /// A compound or single RTCP packet for a participant.
    fn rtcp(&mut self, to: ParticipantId, packet: &[u8]);
}
