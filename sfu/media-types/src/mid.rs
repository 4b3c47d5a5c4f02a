//! Media identification of an m-line.

use core::fmt;

/// Media identification of an m-line (RFC 8843): 1 to 16 bytes of visible ASCII, stored inline.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(type = "string"))]
pub struct Mid {
    bytes: [u8; Mid::MAX_BYTES],
    length: u8,
}

impl Mid {
    /// Maximum length in bytes, so that a MID fits a one-byte header extension (RFC 8285 section 4.2).
    pub const MAX_BYTES: usize = 16;

    /// Returns the MID with this text, or `None` unless the text is 1 to 16 visible ASCII characters.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let valid = (1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        let mut mid = Self { bytes: [0; Self::MAX_BYTES], length: u8::try_from(text.len()).ok().filter(|_| valid)? };
        mid.bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(mid)
    }

    /// The text as ASCII bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
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
mod wire {
    use super::Mid;
    use core::fmt;
    use serde::{
        Deserialize, Deserializer, Serialize, Serializer,
        de::{Error, Visitor},
    };

    impl Serialize for Mid {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(self.as_str())
        }
    }

    impl<'de> Deserialize<'de> for Mid {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_str(MidVisitor)
        }
    }

    struct MidVisitor;

    impl Visitor<'_> for MidVisitor {
        type Value = Mid;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a MID")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Mid, E> {
            Mid::new(text).ok_or_else(|| E::custom("not a MID: 1 to 16 visible ASCII characters"))
        }
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
