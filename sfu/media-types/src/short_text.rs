//! Text that fits a one-byte header extension, stored inline.

use core::fmt;

/// Maximum length in bytes (RFC 8285 section 4.2).
pub(crate) const MAX_BYTES: usize = 16;

/// 1 to [`MAX_BYTES`] bytes of ASCII.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ShortText {
    bytes: [u8; MAX_BYTES],
    length: u8,
}

impl ShortText {
    /// Returns the text, or `None` unless it has a permitted length and consists of permitted ASCII characters.
    pub(crate) fn new(text: &str, is_permitted: impl Fn(u8) -> bool) -> Option<Self> {
        let valid = (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii() && is_permitted(b));
        let mut short = Self { bytes: [0; MAX_BYTES], length: u8::try_from(text.len()).ok().filter(|_| valid)? };
        short.bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(short)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Debug for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Deserialises text that `parse` accepts; `expected` says what that is.
#[cfg(feature = "serde")]
pub(crate) fn deserialize<'de, T, D: serde::Deserializer<'de>>(
    deserializer: D,
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    struct Visitor<P> {
        expected: &'static str,
        parse: P,
    }

    impl<T, P: Fn(&str) -> Option<T>> serde::de::Visitor<'_> for Visitor<P> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.expected)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            (self.parse)(text).ok_or_else(|| E::custom(format_args!("not {}", self.expected)))
        }
    }

    deserializer.deserialize_str(Visitor { expected, parse })
}
