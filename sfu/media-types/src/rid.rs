//! Name of an encoding among those of its track.

use crate::short_text::{MAX_BYTES, ShortText};
use core::fmt;

/// Restriction identifier of an encoding (RFC 8851 section 10): 1 to 16 ASCII letters, digits, `-` and `_`, stored inline.
///
/// Publishers name the encodings of a track by it, in SDP and in the first packets of each encoding (RFC 8852).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(type = "string"))]
pub struct Rid(ShortText);

impl Rid {
    /// Maximum length in bytes, so that a RID fits a one-byte header extension (RFC 8285 section 4.2).
    pub const MAX_BYTES: usize = MAX_BYTES;

    /// Returns the RID with this text, or `None` unless the text is 1 to 16 letters, digits, `-` and `_`.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        ShortText::new(text, |b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_').map(Self)
    }

    /// The text as ASCII bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Rid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Rid {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::short_text::deserialize(deserializer, "a RID: 1 to 16 letters, digits, - and _", Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rid_is_letters_digits_dash_and_underscore() {
        assert_eq!(Rid::new("h").as_ref().map(Rid::as_str), Some("h"));
        assert!(Rid::new("Half_size-2").is_some() && Rid::new("0123456789abcdef").is_some());
        for text in ["", "0123456789abcdefg", "a b", "q;h", "~f", "\u{e9}", "a\n"] {
            assert_eq!(Rid::new(text), None, "{text:?}");
        }
    }
}
