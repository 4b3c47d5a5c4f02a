//! Bit layout of the 64-bit SFrame key id (KID, RFC 9605 section 4.2), as far as the server routes by it.
//!
//! ```text
//!  bits 0..2    ratchet step
//!  bits 3..5    generation mod 8
//!  bits 6..17   seat of the sending device
//!  bits 18..    stream
//! ```

use crate::Seat;

/// Lowest bit of the generation.
pub const GENERATION_SHIFT: u32 = 3;
/// Lowest bit of the seat.
pub const SEAT_SHIFT: u32 = 6;
/// Number of bits of the seat.
pub const SEAT_BITS: u32 = 12;
/// Lowest bit of the stream.
pub const STREAM_SHIFT: u32 = SEAT_SHIFT + SEAT_BITS;

impl Seat {
    /// The highest seat that a KID can name.
    pub const MAX: Self = Self((1 << SEAT_BITS) - 1);

    /// The seat of the device whose key this KID names.
    #[must_use]
    pub const fn of_kid(kid: u64) -> Self {
        // Masked to 12 bits, so nothing is cut off.
        Self((kid >> SEAT_SHIFT) as u16 & Self::MAX.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seat_is_twelve_bits_of_the_kid() {
        assert_eq!(Seat::MAX, Seat(4_095));
        assert_eq!(Seat::of_kid(3 << STREAM_SHIFT | 4_095 << SEAT_SHIFT | 0b10_101), Seat(4_095));
        assert_eq!(Seat::of_kid(u64::MAX ^ 4_095 << SEAT_SHIFT), Seat(0));
    }
}
