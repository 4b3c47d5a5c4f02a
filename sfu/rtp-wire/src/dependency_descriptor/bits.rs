//! Bits of a descriptor, most significant first.

use super::DescriptorError;

/// Reads fields of bits from bytes.
#[derive(Clone, Debug)]
pub(super) struct BitReader<'a> {
    /// Bytes that are not in the window yet.
    rest: &'a [u8],
    /// The next bits, at the top.
    window: u64,
    /// Number of bits in the window.
    available: u32,
}

impl<'a> BitReader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, window: 0, available: 0 }
    }

    /// Reads a field of at most 16 bits: `f(n)` of the specification.
    #[inline]
    pub(super) fn bits(&mut self, count: u32) -> Result<u32, DescriptorError> {
        debug_assert!(count <= 16, "a field of at most 16 bits");
        if self.available < count {
            self.fill();
        }
        self.available = self.available.checked_sub(count).ok_or(DescriptorError::Truncated)?;
        let value = self.window.checked_shr(u64::BITS.saturating_sub(count)).unwrap_or_default();
        self.window = self.window.wrapping_shl(count);
        Ok(value as u32)
    }

    /// Moves bytes into the window while there is room for a whole one.
    #[inline]
    fn fill(&mut self) {
        while let Some(shift) = (u64::BITS - u8::BITS).checked_sub(self.available) {
            let Some((byte, rest)) = self.rest.split_first() else { return };
            self.window |= u64::from(*byte).wrapping_shl(shift);
            self.available = self.available.saturating_add(u8::BITS);
            self.rest = rest;
        }
    }

    #[inline]
    pub(super) fn flag(&mut self) -> Result<bool, DescriptorError> {
        Ok(self.bits(1)? != 0)
    }

    /// Reads a field of at most 8 bits.
    #[inline]
    pub(super) fn byte(&mut self, count: u32) -> Result<u8, DescriptorError> {
        Ok(self.bits(count)? as u8)
    }

    /// Reads a field of at most 16 bits.
    #[inline]
    pub(super) fn word(&mut self, count: u32) -> Result<u16, DescriptorError> {
        Ok(self.bits(count)? as u16)
    }

    /// Reads a value below `count`: `ns(n)` of the specification, in which the smallest values take one bit less.
    pub(super) fn below(&mut self, count: u8) -> Result<u8, DescriptorError> {
        let (short, shorter_values) = non_symmetric(count);
        let value = self.byte(short)?;
        if value < shorter_values {
            return Ok(value);
        }
        let extra = self.byte(1)?;
        Ok(value.wrapping_shl(1).wrapping_sub(shorter_values).wrapping_add(extra))
    }
}

/// Returns the bits of the short form of `ns(count)`, and how many values have it.
fn non_symmetric(count: u8) -> (u32, u8) {
    let width = u8::BITS.saturating_sub(count.leading_zeros());
    (width.saturating_sub(1), 1u8.wrapping_shl(width).wrapping_sub(count))
}

/// Appends fields of bits to bytes.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Number of bits of the last byte that are still free.
    free: u32,
}

impl<'a> BitWriter<'a> {
    /// Starts with a new byte.
    pub(super) const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, free: 0 }
    }

    /// Writes the low `count` bits of `value`.
    pub(super) fn bits(&mut self, count: u32, value: u32) {
        for place in (0..count).rev() {
            if self.free == 0 {
                self.out.push(0);
                self.free = 8;
            }
            self.free = self.free.saturating_sub(1);
            if let Some(last) = self.out.last_mut() {
                *last |= ((value.wrapping_shr(place) & 1) as u8).wrapping_shl(self.free);
            }
        }
    }

    pub(super) fn flag(&mut self, value: bool) {
        self.bits(1, value.into());
    }

    /// Inverse of [`BitReader::below`].
    pub(super) fn below(&mut self, count: u8, value: u8) {
        let (short, shorter_values) = non_symmetric(count);
        if value < shorter_values {
            self.bits(short, value.into());
        } else {
            self.bits(short.saturating_add(1), u32::from(value).wrapping_add(shorter_values.into()));
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_cross_bytes() {
        let mut reader = BitReader::new(&[0b1010_0000, 0b0000_0111, 0xff]);
        assert_eq!((reader.bits(3), reader.bits(0), reader.bits(13), reader.byte(8)), (Ok(5), Ok(0), Ok(7), Ok(0xff)));
        assert_eq!((reader.bits(0), reader.flag()), (Ok(0), Err(DescriptorError::Truncated)));
    }

    /// The example of the specification, section A.8.1: n = 5.
    #[test]
    fn values_below_five_take_two_or_three_bits() {
        let bits = |value| {
            let mut bytes = Vec::new();
            let mut writer = BitWriter::new(&mut bytes);
            writer.below(5, value);
            (8 - writer.free, bytes[0])
        };
        let expected = [(2, 0b0000_0000), (2, 0b0100_0000), (2, 0b1000_0000), (3, 0b1100_0000), (3, 0b1110_0000)];
        assert_eq!([0, 1, 2, 3, 4].map(bits), expected);
    }

    proptest! {
        #[test]
        fn fields_round_trip(fields in prop::collection::vec((0..=16u32, any::<u16>()), 0..40)) {
            let mut bytes = Vec::new();
            let mut writer = BitWriter::new(&mut bytes);
            fields.iter().for_each(|(count, value)| writer.bits(*count, (*value).into()));
            let mut reader = BitReader::new(&bytes);
            for (count, value) in fields {
                prop_assert_eq!(reader.bits(count), Ok(u32::from(value) & ((1 << count) - 1)));
            }
        }

        #[test]
        fn values_below_a_count_round_trip(count in 1..=33u8, value in any::<u8>()) {
            let (value, mut bytes) = (value % count, Vec::new());
            BitWriter::new(&mut bytes).below(count, value);
            bytes.push(0);
            prop_assert_eq!(BitReader::new(&bytes).below(count), Ok(value));
        }
    }
}
