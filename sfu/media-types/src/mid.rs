//! Media identification of an m-line.

use crate::short_text::{MAX_BYTES, ShortText};
use core::fmt;

/// Media identification of an m-line (RFC 8843): 1 to 16 bytes of visible ASCII, stored inline.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(type = "string"))]
pub struct Mid(ShortText);

impl Mid {
    /// Maximum length in bytes, so that a MID fits a one-byte header extension (RFC 8285 section 4.2).
    pub const MAX_BYTES: usize = MAX_BYTES;

    /// Returns the MID with this text, or `None` unless the text is 1 to 16 visible ASCII characters.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        ShortText::new(text, |b| b.is_ascii_graphic()).map(Self)
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

impl fmt::Debug for Mid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Mid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Mid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Mid {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::short_text::deserialize(deserializer, "a MID: 1 to 16 visible ASCII characters", Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mid_is_visible_ascii_of_bounded_length() {
        assert_eq!(Mid::new("v0").as_ref().map(Mid::as_str), Some("v0"));
        assert!(Mid::new("0123456789abcdef").is_some());
        for text in ["", "0123456789abcdefg", "a b", "\u{e9}", "a\n"] {
            assert_eq!(Mid::new(text), None, "{text:?}");
        }
    }
}
