//! RTP header extensions, one-byte and two-byte form (RFC 8285 section 4).

use crate::bytes::{u16_at, u32_at};
use media_types as media;

/// Iterator over the `(id, value)` elements of one packet's extension block. It ends at the first malformed element.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extensions<'a> {
    rest: &'a [u8],
    two_byte: bool,
}

impl<'a> Extensions<'a> {
    /// Interprets an extension block. A block of an unknown profile has no elements (RFC 3550 section 5.3.1).
    #[must_use]
    #[inline]
    pub fn new(profile: u16, block: &'a [u8]) -> Self {
        match profile {
            0xbede => Self { rest: block, two_byte: false },
            p if p & 0xfff0 == 0x1000 => Self { rest: block, two_byte: true },
            _ => Self::default(),
        }
    }

    /// Returns the value of the first element with this id.
    #[must_use]
    #[inline]
    pub fn get(mut self, id: u8) -> Option<&'a [u8]> {
        self.find_map(|(found, value)| (found == id).then_some(value))
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u8, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&first, rest) = self.rest.split_first()?;
            if first == 0 {
                self.rest = rest; // padding
                continue;
            }
            let (id, length, rest) = if self.two_byte {
                let (&length, rest) = rest.split_first()?;
                (first, usize::from(length), rest)
            } else {
                let id = first >> 4;
                if id == 15 {
                    self.rest = &[]; // reserved: ends processing
                    return None;
                }
                (id, usize::from(first & 0x0f).saturating_add(1), rest)
            };
            let Some((value, rest)) = rest.split_at_checked(length) else {
                self.rest = &[];
                return None;
            };
            self.rest = rest;
            if id != 0 {
                return Some((id, value));
            }
        }
    }
}

/// The elements that the server uses, by the fixed ids of [`media_types::EXTENSIONS`], read in one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownExtensions<'a> {
    /// MID (RFC 8843), 1 to 16 bytes in valid packets.
    pub mid: Option<&'a [u8]>,
    /// Voice activity bit and level in −dBov (RFC 6464), as on the wire.
    pub audio_level: Option<u8>,
    /// Transport-wide sequence number (TWCC).
    pub twcc_seq: Option<u16>,
    /// Dependency Descriptor.
    pub dependency: Option<&'a [u8]>,
    /// RID of the encoding of a media packet (RFC 8852), 1 to 16 bytes in valid packets.
    pub rid: Option<&'a [u8]>,
    /// RID of the encoding that an RTX packet repairs (RFC 8852), likewise.
    pub repaired_rid: Option<&'a [u8]>,
}

impl<'a> KnownExtensions<'a> {
    /// Reads the elements of a packet; of repeated elements the last one counts.
    #[must_use]
    #[inline]
    pub fn read(extensions: Extensions<'a>) -> Self {
        let mut known = Self::default();
        for (id, value) in extensions {
            match id {
                id if id == media::MID.id => known.mid = Some(value),
                id if id == media::AUDIO_LEVEL.id => known.audio_level = value.first().copied(),
                id if id == media::TRANSPORT_CC.id => known.twcc_seq = u16_at(value, 0),
                id if id == media::DEPENDENCY_DESCRIPTOR.id => known.dependency = Some(value),
                id if id == media::RTP_STREAM_ID.id => known.rid = Some(value),
                id if id == media::REPAIRED_RTP_STREAM_ID.id => known.repaired_rid = Some(value),
                _ => {}
            }
        }
        known
    }
}

/// Splits the bytes after the fixed RTP header and CSRCs into the extension elements and the bytes after these.
#[inline]
pub(crate) fn split(after_fixed: &[u8]) -> Option<(Extensions<'_>, &[u8])> {
    let word = u32_at(after_fixed, 0)?;
    let [profile_high, profile_low, words_high, words_low] = word.to_be_bytes();
    let length = usize::from(u16::from_be_bytes([words_high, words_low])).checked_mul(4)?;
    let (block, rest) = after_fixed.get(4..)?.split_at_checked(length)?;
    Some((Extensions::new(u16::from_be_bytes([profile_high, profile_low]), block), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_byte_form_skips_padding() {
        let block = [0x10, b'a', 0, 0, 0x31, 0x12, 0x34, 0];
        let found: Vec<_> = Extensions::new(0xbede, &block).collect();
        assert_eq!(found, [(1, &b"a"[..]), (3, &[0x12, 0x34][..])]);
    }

    #[test]
    fn two_byte_form_allows_empty_and_long_elements() {
        let mut block = vec![7, 0, 4, 20];
        block.extend([9; 20]);
        let found: Vec<_> = Extensions::new(0x1000, &block).collect();
        assert_eq!(found, [(7, &[][..]), (4, &[9; 20][..])]);
    }

    #[test]
    fn one_byte_form_ends_at_id_15() {
        assert_eq!(Extensions::new(0xbede, &[0xf0, 1, 0x10, 2]).count(), 0);
    }

    #[test]
    fn unknown_profile_has_no_elements() {
        assert_eq!(Extensions::new(0x1234, &[0x10, 2]).count(), 0);
    }

    proptest! {
        #[test]
        fn parsing_is_total(profile in prop_oneof![Just(0xbede), Just(0x1000), any::<u16>()], block in prop::collection::vec(any::<u8>(), 0..64)) {
            let extensions = Extensions::new(profile, &block);
            prop_assert!(extensions.count() <= block.len());
            let _ = KnownExtensions::read(extensions);
        }
    }
}
