//! The seam between rooms and transports.
//!
//! A room decides which participant gets which packet, and with which header. It hands clear packets to an [`Egress`]
//! and knows no addresses, SRTP keys or sockets. The worker's egress seals each packet for its receiver's transport, so
//! that no clear packet can reach a socket. Tests use one that records.

pub use crate::keys::TransportKey;

use crate::{congestion::PathState, media::Kind};
use std::time::Instant;

/// Accepts clear packets for sealing and sending, and holds the state of each transport's path.
///
/// ```
/// use sfu::{congestion::PathState, egress::{Egress, TransportKey}};
/// use slotmap::SlotMap;
///
/// /// Counts what a room would send.
/// #[derive(Default)]
/// struct Sent {
///     paths: SlotMap<TransportKey, PathState>,
///     packets: usize,
///     bytes: usize,
/// }
///
/// impl Egress for Sent {
///     fn path(&mut self, of: TransportKey) -> Option<&mut PathState> {
///         self.paths.get_mut(of)
///     }
///
///     fn rtp(&mut self, _to: TransportKey, header: &[u8], payload: &[u8]) {
///         self.packets += 1;
///         self.bytes += header.len() + payload.len();
///     }
///
///     fn rtcp(&mut self, _to: TransportKey, _packet: &[u8]) {}
/// }
/// ```
pub trait Egress {
    /// Whether `packets` media packets can be sent over a transport now: it has keys and a path, and its client wants to
    /// receive.
    ///
    /// Packets that cannot be sent are not handed over and get no sequence numbers. Both ends of SRTP derive the upper
    /// bits of a sequence number from those of earlier packets: after 32,768 numbers that were never sent, they would
    /// derive the wrong ones when the participant comes back.
    fn reaches(&mut self, to: TransportKey, packets: usize) -> bool {
        let _ = (to, packets);
        true
    }

    /// The RTP packets that follow are of this kind and are forwarded. The first of them was received at this time.
    fn begin_batch(&mut self, kind: Kind, received: Instant) {
        let _ = (kind, received);
    }

    /// Whether something else is due before more is forwarded. The room stops then behind the packets of a receiver, and
    /// goes on there the next time.
    fn is_interrupted(&self) -> bool {
        false
    }

    /// The state of a transport's path; `None` if the transport is gone.
    fn path(&mut self, of: TransportKey) -> Option<&mut PathState>;

    /// Sends an RTP packet: `header` is a whole RTP header with its extensions, `payload` is what follows.
    ///
    /// Two slices, so that a payload shared by all subscribers is copied once, into the send buffer, and nowhere else.
    fn rtp(&mut self, to: TransportKey, header: &[u8], payload: &[u8]);

    /// Sends a compound or single RTCP packet.
    fn rtcp(&mut self, to: TransportKey, packet: &[u8]);
}
