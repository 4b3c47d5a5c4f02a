//! Fragments SFrame ciphertexts into payloads.

use super::SframeDescriptor;
use alloc::vec::Vec;
use core::{iter::FusedIterator, slice::Chunks};

/// A payload: descriptor, and a piece of the ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// The descriptor.
    pub descriptor: SframeDescriptor,
    /// The bytes after the descriptor.
    pub bytes: &'a [u8],
}

impl Fragment<'_> {
    /// Writes the payload to the front of `out`. Returns its length, or `None` if it does not fit.
    #[must_use]
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let (descriptor, rest) = out.split_first_mut()?;
        rest.get_mut(..self.bytes.len())?.copy_from_slice(self.bytes);
        *descriptor = self.descriptor.to_byte();
        Some(self.bytes.len().saturating_add(1))
    }

    /// The payload.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(self.bytes.len().saturating_add(1));
        payload.push(self.descriptor.to_byte());
        payload.extend_from_slice(self.bytes);
        payload
    }
}

/// The payloads of a ciphertext in order, for packets with consecutive sequence numbers. Nothing is copied.
#[derive(Clone, Debug)]
pub struct Fragments<'a> {
    chunks: Chunks<'a, u8>,
    start: bool,
    packetized: bool,
}

impl<'a> Fragments<'a> {
    /// Payloads of at most `max_payload` bytes, descriptor included; all but the last have that length. `packetized`: see
    /// [`SframeDescriptor::packetized`]. `None` if not even one byte would fit.
    #[must_use]
    pub fn new(ciphertext: &'a [u8], max_payload: usize, packetized: bool) -> Option<Self> {
        let most = max_payload.checked_sub(1).filter(|most| *most > 0)?;
        Some(Self { chunks: ciphertext.chunks(most), start: true, packetized })
    }
}

impl<'a> Iterator for Fragments<'a> {
    type Item = Fragment<'a>;

    fn next(&mut self) -> Option<Fragment<'a>> {
        let bytes = self.chunks.next()?;
        let start = core::mem::replace(&mut self.start, false);
        let descriptor = SframeDescriptor { start, end: self.chunks.len() == 0, packetized: self.packetized };
        Some(Fragment { descriptor, bytes })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.chunks.size_hint()
    }
}

impl ExactSizeIterator for Fragments<'_> {}
impl FusedIterator for Fragments<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn payloads(ciphertext: &[u8], max_payload: usize, packetized: bool) -> Vec<Vec<u8>> {
        Fragments::new(ciphertext, max_payload, packetized).unwrap().map(|fragment| fragment.to_vec()).collect()
    }

    #[test]
    fn fragment_bytes() {
        assert_eq!(payloads(b"abcdefg", 4, false), [&b"\x80abc"[..], b"\0def", b"\x40g"]);
        assert_eq!(payloads(b"abcdef", 4, true), [b"\xa0abc", b"\x60def"]);
        assert_eq!(payloads(b"abc", 4, false), [b"\xc0abc"]);
        assert!(Fragments::new(b"abc", 1, false).is_none() && Fragments::new(b"abc", 0, false).is_none());
    }

    #[test]
    fn oversized_fragment_is_not_written() {
        let fragment = Fragments::new(b"abc", 100, false).unwrap().next().unwrap();
        let mut out = [0; 6];
        for short in 0..4 {
            assert_eq!(fragment.write(&mut out[..short]), None);
        }
        assert_eq!(fragment.write(&mut out), Some(4));
        assert_eq!(&out, b"\xc0abc\0\0");
    }

    proptest! {
        #[test]
        fn fragments_fit_and_add_up(
            ciphertext in proptest::collection::vec(any::<u8>(), 1..300), max in 2usize..80, packetized: bool,
        ) {
            let fragments = Fragments::new(&ciphertext, max, packetized).unwrap();
            let count = fragments.len();
            let all: Vec<_> = fragments.collect();
            prop_assert_eq!(all.len(), count);
            prop_assert_eq!(all.iter().map(|fragment| fragment.bytes).collect::<Vec<_>>().concat(), &ciphertext[..]);
            for (index, fragment) in all.iter().enumerate() {
                let SframeDescriptor { start, end, packetized: is } = fragment.descriptor;
                prop_assert_eq!((start, end, is), (index == 0, index + 1 == count, packetized));
                prop_assert!(fragment.to_vec().len() <= max);
            }
        }
    }
}
