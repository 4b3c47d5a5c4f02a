//! The two encodings of C2SP formats, each in its only form: base64 (RFC 4648 section 4) with padding, and decimal
//! numbers without leading zeros.

use crate::tree::{HASH_BYTES, Hash};
use alloc::{string::String, vec::Vec};
use data_encoding::BASE64;

/// Characters of a hash in base64.
pub(crate) const HASH_TEXT_BYTES: usize = 44;

pub(crate) fn to_base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Decodes what [`to_base64`] writes; `None` for any other text, also for unused bits that are not zero.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    // The decoder would read several padded texts one after the other.
    BASE64.decode(text.as_bytes()).ok().filter(|bytes| to_base64(bytes) == text)
}

/// Decodes a hash without allocating.
pub(crate) fn hash_from_base64(text: &str) -> Option<Hash> {
    // Padding in the middle would pass the decoder, too.
    if text.len() != HASH_TEXT_BYTES || !text.ends_with('=') {
        return None;
    }
    // The decoder asks for space for three bytes in four characters, of which padding takes one.
    let mut bytes = [0; HASH_BYTES + 1];
    match BASE64.decode_mut(text.as_bytes(), &mut bytes) {
        Ok(HASH_BYTES) => bytes.first_chunk().copied(),
        _ => None,
    }
}

/// A decimal number without sign or leading zeros, at most 2^63 - 1.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse().ok().filter(|number| *number <= i64::MAX as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn decimal_has_one_form() {
        assert_eq!((decimal("0"), decimal("20852163")), (Some(0), Some(20_852_163)));
        assert_eq!(decimal("9223372036854775807"), Some(i64::MAX as u64));
        for text in ["", "00", "01", "+1", "-1", " 1", "1 ", "1_0", "9223372036854775808", "99999999999999999999", "١"]
        {
            assert_eq!(decimal(text), None, "{text:?}");
        }
    }

    #[test]
    fn base64_has_one_form() {
        assert_eq!(from_base64("AAE="), Some(alloc::vec![0, 1]));
        for text in ["AAE", "AAF=", "AA E=", "AAE=\n", "A-E=", "AAE=AAE="] {
            assert_eq!(from_base64(text), None, "{text:?}");
        }
    }

    #[test]
    fn hash_is_padded_at_its_end_only() {
        let hash = to_base64(&[0; 32]);
        let (first, rest) = hash.split_at(4);
        assert_eq!(hash_from_base64(&alloc::format!("AAA={rest}")), None);
        assert_eq!(hash_from_base64(&alloc::format!("AAA={}{first}", &rest[..36])), None);
        assert_eq!(hash_from_base64(&hash), Some([0; 32]));
    }

    proptest! {
        #[test]
        fn values_survive_encoding(hash: [u8; 32], number in 0..=i64::MAX as u64) {
            prop_assert_eq!(hash_from_base64(&to_base64(&hash)), Some(hash));
            prop_assert_eq!(decimal(&number.to_string()), Some(number));
        }
    }
}
