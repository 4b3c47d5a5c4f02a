//! The layout of the 64-bit SFrame key id (KID).
//!
//! ```text
//!  bits 0..2    step     ratchet step inside the generation, absolute, 0..=7, never wraps (RFC 9605 5.1, R = 3)
//!  bits 3..5    gen      key generation mod 8
//!  bits 6..17   seat     number of the sending device in the room
//!  bits 18..    stream   kind + 8 × index
//! ```
//! The stream is needed because two streams of one device both start at counter 0 under one base key.

use crate::ids::{Seat, StreamId};
use media_types::kid::{GENERATION_SHIFT, SEAT_SHIFT, STREAM_SHIFT};

/// Ratchet steps of a generation. A join that would need one more makes a new generation.
pub(crate) const STEPS: u8 = 8;

/// The fields of a key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kid {
    /// Ratchet step, 0..=7.
    pub step: u8,
    /// Generation mod 8.
    pub generation: u8,
    /// The sending device.
    pub seat: Seat,
    /// The stream of that device.
    pub stream: StreamId,
}

impl Kid {
    /// The KID as a number.
    #[must_use]
    pub fn pack(self) -> u64 {
        u64::from(self.step & 7)
            | u64::from(self.generation & 7) << GENERATION_SHIFT
            | u64::from(self.seat.0 & Seat::MAX.0) << SEAT_SHIFT
            | u64::from(self.stream.0) << STREAM_SHIFT
    }

    /// The fields of a KID; `None` if its stream is larger than [`StreamId::MAX`].
    #[must_use]
    pub fn unpack(kid: u64) -> Option<Self> {
        let stream = StreamId(u32::try_from(kid >> STREAM_SHIFT).ok()?);
        (stream <= StreamId::MAX).then_some(Self {
            step: (kid & 7) as u8,
            generation: (kid >> GENERATION_SHIFT & 7) as u8,
            seat: Seat::of_kid(kid),
            stream,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_streams_distinct_kid() {
        let kid = |stream| Kid { step: 0, generation: 0, seat: Seat(9), stream }.pack();
        assert_ne!(kid(StreamId::MICROPHONE), kid(StreamId::CAMERA));
        assert_ne!(kid(StreamId::CAMERA), kid(StreamId(StreamId::CAMERA.0 + 8)));
    }

    #[test]
    fn kid_layout() {
        let kid = Kid { step: 5, generation: 2, seat: Seat(4_095), stream: StreamId(3) };
        assert_eq!(kid.pack(), 3 << 18 | 4_095 << 6 | 0b010_101);
        assert_eq!(Kid::unpack(1 << 60), None);
    }

    proptest! {
        #[test]
        fn kid_round_trip(kid in 0u64..1 << 34) {
            prop_assert_eq!(Kid::unpack(kid).map(Kid::pack), Some(kid));
        }
    }
}
