//! The fields at fixed offsets: the three mandatory bytes, and the flag after them that announces a structure, which
//! marks the start of a key frame.

use crate::bytes::u16_at;

/// The mandatory fields, and the first flag after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// First packet of its frame.
    pub start_of_frame: bool,
    /// Last packet of its frame.
    pub end_of_frame: bool,
    /// Number of the frame.
    pub frame_number: u16,
    /// A template structure is attached: decoding can start here.
    pub structure: bool,
}

impl Descriptor {
    /// Parses a descriptor; `None` if it has fewer than three bytes.
    #[must_use]
    #[inline]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let flags = *value.first()?;
        Some(Self {
            start_of_frame: flags & 0x80 != 0,
            end_of_frame: flags & 0x40 != 0,
            frame_number: frame_number(value)?,
            structure: value.get(3).is_some_and(|extended| extended & 0x80 != 0),
        })
    }

    /// Whether this is the first packet of a frame from which decoding can start.
    #[must_use]
    #[inline]
    pub const fn starts_key_frame(&self) -> bool {
        self.start_of_frame && self.structure
    }
}

/// Returns the frame number of a descriptor; `None` if it is too short.
#[must_use]
#[inline]
pub fn frame_number(value: &[u8]) -> Option<u16> {
    u16_at(value, 1)
}

/// Overwrites the frame number of a descriptor. Leaves a descriptor that is too short unchanged.
#[inline]
pub fn set_frame_number(value: &mut [u8], number: u16) {
    if let Some(field) = value.get_mut(1..3) {
        field.copy_from_slice(&number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frame_needs_a_structure_at_the_start_of_a_frame() {
        assert!(Descriptor::parse(&[0x80, 0, 1, 0x80, 0]).unwrap().starts_key_frame());
        assert!(!Descriptor::parse(&[0x40, 0, 1, 0x80, 0]).unwrap().starts_key_frame());
        assert!(!Descriptor::parse(&[0xc3, 0, 6, 0x1a, 0x20, 0x10]).unwrap().starts_key_frame(), "a simulcast delta");
        assert!(!Descriptor::parse(&[0x80, 0, 1]).unwrap().starts_key_frame());
        assert_eq!(Descriptor::parse(&[0x80, 0]), None);
    }
}
