//! The seam between rooms and transports.
//!
//! A room decides who gets which packet, and under which header; it hands clear packets to an [`Egress`] and never
//! learns of addresses, keys or sockets. The worker's egress seals each packet for its receiver's transport, so that
//! nothing clear can reach a socket; tests use one that records.

use crate::ids::ParticipantId;

/// Takes clear packets for sealing and sending.
///
/// ```
/// use sfu::{ParticipantId, egress::Egress};
///
/// /// Counts what a room would send.
/// #[derive(Default)]
/// struct Sent {
///     packets: usize,
///     bytes: usize,
/// }
///
/// impl Egress for Sent {
///     fn rtp(&mut self, _to: ParticipantId, header: &[u8], payload: &[u8]) {
///         self.packets += 1;
///         self.bytes += header.len() + payload.len();
///     }
///
///     fn rtcp(&mut self, _to: ParticipantId, _packet: &[u8]) {}
/// }
/// ```
pub trait Egress {
    /// Whether media for a participant, so many packets, can leave now: it has keys and a path, and wants to receive.
    ///
    /// What cannot leave is not handed over and gets no numbers. Both ends of SRTP guess the upper bits of a sequence
    /// number from those of packets before: had 32,768 numbers gone to nobody, they would guess wrong when the
    /// participant comes back.
    fn reaches(&mut self, to: ParticipantId, packets: usize) -> bool {
        let _ = (to, packets);
        true
    }

    /// An RTP packet for a participant: `header` is a whole RTP header with its extensions, `payload` is what follows.
    ///
    /// Two slices, so that a payload shared by all subscribers is copied once, into the send buffer, and nowhere else.
    fn rtp(&mut self, to: ParticipantId, header: &[u8], payload: &[u8]);

    /// A compound or single RTCP packet for a participant.
    fn rtcp(&mut self, to: ParticipantId, packet: &[u8]);
}
