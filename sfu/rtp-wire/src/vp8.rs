//! The VP8 payload descriptor (RFC 7741 section 4.2), and the key frame bit after it.
//!
//! Descriptor and bit lie outside the ciphertext; nothing after them is read. Rewriting happens in place, because it
//! changes no length.

/// A parsed descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp8Descriptor {
    /// S: the packet starts a partition of the frame.
    pub start_of_partition: bool,
    /// PID: index of the partition.
    pub partition: u8,
    /// Picture id, if present.
    pub picture_id: Option<PictureId>,
    /// TL0PICIDX: running index of frames of the temporal base layer, if present.
    pub tl0_pic_idx: Option<u8>,
    /// Length of the descriptor in bytes.
    pub length: usize,
}

/// A picture id, of 7 or 15 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureId {
    /// Value.
    pub value: u16,
    /// Whether it is encoded in 15 bits.
    pub long: bool,
}

impl Vp8Descriptor {
    /// Parses the descriptor at the start of a payload; `None` if the payload is too short.
    #[must_use]
    #[inline]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut bytes = payload.iter().copied();
        let first = bytes.next()?;
        let extension = if first & 0x80 == 0 { 0 } else { bytes.next()? };
        let picture_id = if extension & 0x80 == 0 {
            None
        } else {
            let high = bytes.next()?;
            Some(if high & 0x80 == 0 {
                PictureId { value: u16::from(high), long: false }
            } else {
                PictureId { value: u16::from_be_bytes([high & 0x7f, bytes.next()?]), long: true }
            })
        };
        let tl0_pic_idx = if extension & 0x40 == 0 { None } else { Some(bytes.next()?) };
        if extension & 0x30 != 0 {
            bytes.next()?; // temporal layer, key index
        }
        Some(Self {
            start_of_partition: first & 0x10 != 0,
            partition: first & 0x07,
            picture_id,
            tl0_pic_idx,
            length: payload.len().saturating_sub(bytes.len()),
        })
    }

    /// Returns whether `payload`, which this descriptor was parsed from, starts a key frame: P after the descriptor is 0.
    #[must_use]
    #[inline]
    pub fn starts_key_frame(&self, payload: &[u8]) -> bool {
        self.start_of_partition && self.partition == 0 && payload.get(self.length).is_some_and(|byte| byte & 0x01 == 0)
    }

    /// Overwrites picture id and TL0PICIDX, where present, in the payload that this descriptor was parsed from. Writes
    /// the low 7 bits of `picture_id` if the id is short.
    #[inline]
    pub fn rewrite(&self, payload: &mut [u8], picture_id: u16, tl0_pic_idx: u8) {
        let mut at: usize = 2;
        if let Some(PictureId { long, .. }) = self.picture_id {
            let [high, low] = picture_id.to_be_bytes();
            if long {
                put(payload, at, high | 0x80);
                put(payload, at.saturating_add(1), low);
                at = at.saturating_add(2);
            } else {
                put(payload, at, low & 0x7f);
                at = at.saturating_add(1);
            }
        }
        if self.tl0_pic_idx.is_some() {
            put(payload, at, tl0_pic_idx);
        }
    }
}

#[inline]
fn put(bytes: &mut [u8], at: usize, value: u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = value;
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn descriptor_of_chromium_is_parsed() {
        let payload = [0x90, 0xf0, 0x81, 0x02, 0x07, 0x20, 0x10, 0x00];
        let descriptor = Vp8Descriptor::parse(&payload).unwrap();
        assert_eq!(descriptor.picture_id, Some(PictureId { value: 0x102, long: true }));
        assert_eq!((descriptor.tl0_pic_idx, descriptor.length), (Some(7), 6));
        assert!(descriptor.starts_key_frame(&payload));
    }

    #[test]
    fn delta_frame_envelope_is_not_a_key_frame() {
        let payload = [0x10, 0x11, 0xff];
        assert!(!Vp8Descriptor::parse(&payload).unwrap().starts_key_frame(&payload));
    }

    #[test]
    fn later_packet_of_a_key_frame_does_not_start_it() {
        let payload = [0x00, 0x10];
        assert!(!Vp8Descriptor::parse(&payload).unwrap().starts_key_frame(&payload));
    }

    proptest! {
        #[test]
        fn rewrite_changes_only_its_fields(
            mut payload in prop::collection::vec(any::<u8>(), 0..24), new_id in any::<u16>(), tl0 in any::<u8>(),
        ) {
            let original = payload.clone();
            let Some(before) = Vp8Descriptor::parse(&payload) else { return Ok(()) };
            before.rewrite(&mut payload, new_id & 0x7fff, tl0);
            let after = Vp8Descriptor::parse(&payload).unwrap();
            prop_assert_eq!(after.length, before.length);
            prop_assert_eq!(after.starts_key_frame(&payload), before.starts_key_frame(&original));
            prop_assert_eq!(after.tl0_pic_idx, before.tl0_pic_idx.map(|_| tl0));
            if let (Some(id), Some(was)) = (after.picture_id, before.picture_id) {
                prop_assert_eq!(id.long, was.long);
                prop_assert_eq!(id.value, if id.long { new_id & 0x7fff } else { new_id & 0x7f });
            }
            prop_assert_eq!(&payload[before.length..], &original[before.length..]);
        }
    }
}
