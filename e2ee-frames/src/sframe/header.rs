//! The SFrame header (RFC 9605 section 4.3): key id and counter, in as few bytes as they need.
//!
//! ```text
//!  0 1 2 3 4 5 6 7
//! +-+-+-+-+-+-+-+-+---------------------------+---------------------------+
//! |X|  K  |Y|  C  | KID, K+1 bytes if X is 1  | CTR, C+1 bytes if Y is 1  |
//! +-+-+-+-+-+-+-+-+---------------------------+---------------------------+
//! ```
//! Without the extension bit, K or C is the value itself, 0..=7. Parsing accepts only the minimal encoding, so that
//! one header has one form.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

/// Maximum length of a header: one byte of configuration, eight each for KID and CTR.
pub const MAX_BYTES: usize = 17;

/// Key id and counter of a frame, both in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// The key that sealed the frame.
    pub kid: u64,
    /// The frame counter under this key.
    pub ctr: u64,
}

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Fewer bytes than the configuration byte says.
    #[error("truncated header")]
    Truncated,
    /// A value encoded in more bytes than it needs.
    #[error("header is not minimal")]
    NotMinimal,
}

/// A header as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded {
    bytes: [u8; MAX_BYTES],
    length: usize,
}

impl Encoded {
    /// The bytes, 1..=17 of them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.split_at(self.length).0
    }

    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.length) {
            *slot = byte;
            self.length = self.length.saturating_add(1);
        }
    }

    fn push_value(&mut self, value: u64, bytes: usize) {
        let value = value.to_be_bytes();
        let end = self.length.saturating_add(bytes);
        let value = value.get(8usize.saturating_sub(bytes)..).unwrap_or_default();
        if let Some(slots) = self.bytes.get_mut(self.length..end) {
            slots.copy_from_slice(value);
            self.length = end;
        }
    }
}

/// Bytes that a value takes after the configuration byte, 0..=8.
fn extra_bytes(value: u64) -> usize {
    if value < 8 { 0 } else { 8usize.saturating_sub((value.leading_zeros() / 8) as usize) }
}

/// The four configuration bits of a value: the value itself, or the extension bit and its length less one.
fn field(value: u64, bytes: usize) -> u8 {
    match bytes.checked_sub(1) {
        None => (value & 0b111) as u8,
        Some(length) => 0b1000 | (length & 0b111) as u8,
    }
}

impl Header {
    /// The minimal encoding.
    #[must_use]
    pub fn encode(&self) -> Encoded {
        let (kid, ctr) = (extra_bytes(self.kid), extra_bytes(self.ctr));
        let mut encoded = Encoded { bytes: [0; MAX_BYTES], length: 0 };
        encoded.push((field(self.kid, kid) << 4) | field(self.ctr, ctr));
        encoded.push_value(self.kid, kid);
        encoded.push_value(self.ctr, ctr);
        encoded
    }

    /// Bytes of the encoding, 1..=17.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        extra_bytes(self.kid).saturating_add(extra_bytes(self.ctr)).saturating_add(1)
    }
}

/// Reads the header at the front of an SFrame ciphertext: the header and its length in bytes.
///
/// # Errors
/// See [`HeaderError`].
pub fn parse(frame: &[u8]) -> Result<(Header, usize), HeaderError> {
    let (&config, mut rest) = frame.split_first().ok_or(HeaderError::Truncated)?;
    let mut value = |field: u8| -> Result<u64, HeaderError> {
        let small = u64::from(field & 0b111);
        if field & 0b1000 == 0 {
            return Ok(small);
        }
        let bytes = usize::from(field & 0b111).saturating_add(1);
        let (head, tail) = rest.split_at_checked(bytes).ok_or(HeaderError::Truncated)?;
        rest = tail;
        let value = head.iter().fold(0u64, |value, byte| (value << 8) | u64::from(*byte));
        if extra_bytes(value) == bytes { Ok(value) } else { Err(HeaderError::NotMinimal) }
    };
    let kid = value(config >> 4)?;
    let ctr = value(config & 0b1111)?;
    Ok((Header { kid, ctr }, frame.len().saturating_sub(rest.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};
    use proptest::prelude::*;

    /// The values of which the 289 published header vectors are all pairs: every edge of every length.
    const EDGES: [u64; 17] = [
        0,
        1,
        0xff,
        0x100,
        0xffff,
        0x1_0000,
        0xff_ffff,
        0x100_0000,
        0xffff_ffff,
        0x1_0000_0000,
        0xff_ffff_ffff,
        0x100_0000_0000,
        0xffff_ffff_ffff,
        0x1_0000_0000_0000,
        0xff_ffff_ffff_ffff,
        0x100_0000_0000_0000,
        0xffff_ffff_ffff_ffff,
    ];

    /// The rule of section 4.3 written the slow way, digit by digit.
    fn rfc_encoding(kid: u64, ctr: u64) -> Vec<u8> {
        let digits = |mut value: u64| {
            let mut digits = Vec::new();
            while value > 0 {
                digits.insert(0, (value % 256) as u8);
                value /= 256;
            }
            digits
        };
        let mut encoded = vec![0];
        for (value, shift) in [(kid, 4), (ctr, 0)] {
            if value < 8 {
                encoded[0] += (value as u8) << shift;
            } else {
                encoded[0] += (8 + digits(value).len() as u8 - 1) << shift;
                encoded.extend(digits(value));
            }
        }
        encoded
    }

    #[test]
    fn rfc_9605_headers_round_trip() {
        let mut pairs = 0;
        for kid in EDGES {
            for ctr in EDGES {
                let header = Header { kid, ctr };
                let encoded = header.encode();
                assert_eq!(encoded.as_bytes(), rfc_encoding(kid, ctr));
                assert_eq!(header.encoded_len(), encoded.as_bytes().len());
                assert_eq!(parse(encoded.as_bytes()), Ok((header, encoded.as_bytes().len())));
                pairs += 1;
            }
        }
        assert_eq!(pairs, 289);
    }

    #[test]
    fn published_headers_match() {
        let vectors: [(u64, u64, &[u8]); 9] = [
            (0, 0, &[0x00]),
            (0, 255, &[0x08, 0xff]),
            (1, 256, &[0x19, 0x01, 0x00]),
            (255, 0, &[0x80, 0xff]),
            (256, 65_536, &[0x9a, 0x01, 0x00, 0x01, 0x00, 0x00]),
            (291, 17_767, &[0x99, 0x01, 0x23, 0x45, 0x67]),
            (0xff_ffff, 0, &[0xa0, 0xff, 0xff, 0xff]),
            (0x1_0000_0000, 0xff, &[0xc8, 0x01, 0, 0, 0, 0, 0xff]),
            (0xffff_ffff, 0x100_0000_0000_0000, &[0xbf, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (kid, ctr, encoded) in vectors {
            assert_eq!(Header { kid, ctr }.encode().as_bytes(), encoded);
        }
    }

    #[test]
    fn non_minimal_header_is_refused() {
        assert_eq!(parse(&[0x08, 0x07]), Err(HeaderError::NotMinimal));
        assert_eq!(parse(&[0x09, 0x00, 0xff]), Err(HeaderError::NotMinimal));
        assert_eq!(parse(&[0x90, 0x00, 0xff]), Err(HeaderError::NotMinimal));
    }

    #[test]
    fn truncated_header_is_refused() {
        let encoded = Header { kid: u64::MAX, ctr: u64::MAX }.encode();
        for length in 0..encoded.as_bytes().len() {
            assert_eq!(parse(&encoded.as_bytes()[..length]), Err(HeaderError::Truncated));
        }
    }

    proptest! {
        #[test]
        fn parsed_header_encodes_identically(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
            if let Ok((header, length)) = parse(&bytes) {
                let encoded = header.encode();
                prop_assert_eq!(encoded.as_bytes(), &bytes[..length]);
            }
        }

        #[test]
        fn header_round_trip(kid: u64, ctr: u64) {
            let header = Header { kid, ctr };
            prop_assert_eq!(parse(header.encode().as_bytes()).map(|(header, _)| header), Ok(header));
        }
    }
}
