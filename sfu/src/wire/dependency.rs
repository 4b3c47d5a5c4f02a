//! The Dependency Descriptor (AV1 RTP specification, appendix A), as far as forwarding without layers needs it: its
//! mandatory three bytes, and whether a structure is attached, which is so at the start of a key frame.

use super::u16_at;

/// What the mandatory fields and the first flag behind them say.
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
    /// Reads a descriptor; `None` if it is too short to be one.
    #[must_use]
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
    pub const fn starts_key_frame(&self) -> bool {
        self.start_of_frame && self.structure
    }
}

/// The frame number of a descriptor.
#[must_use]
pub fn frame_number(value: &[u8]) -> Option<u16> {
    u16_at(value, 1)
}

/// Overwrites the frame number of a descriptor; does nothing to one that is too short.
pub fn set_frame_number(value: &mut [u8], number: u16) {
    if let Some(field) = value.get_mut(1..3) {
        field.copy_from_slice(&number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_attached_structure_at_a_frame_start_is_a_key_frame() {
        assert!(Descriptor::parse(&[0x80, 0, 1, 0x80, 0]).unwrap().starts_key_frame());
        assert!(!Descriptor::parse(&[0x40, 0, 1, 0x80, 0]).unwrap().starts_key_frame());
        assert!(!Descriptor::parse(&[0xc3, 0, 6, 0x1a, 0x20, 0x10]).unwrap().starts_key_frame(), "a simulcast delta");
        assert!(!Descriptor::parse(&[0x80, 0, 1]).unwrap().starts_key_frame());
        assert_eq!(Descriptor::parse(&[0x80, 0]), None);
    }
}
