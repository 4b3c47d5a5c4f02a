//! A password as the bytes that are stretched: NFKC, so that two keyboards that compose a letter differently agree.

use alloc::vec::Vec;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// Maximum length of a password as typed, bytes.
pub const MAX_PASSWORD_BYTES: usize = 1_024;
/// Bytes by which NFKC can lengthen a text at most: U+FDFA takes 3 and becomes 33.
const EXPANSION: usize = 11;

/// A normalised password, erased on drop. How good it must be is for the page that asks for it.
///
/// Letters beyond ASCII pass through the normaliser, whose working memory, some characters at a time, is on the stack.
pub struct Password(Zeroizing<Vec<u8>>);

/// Why a text is no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// No characters.
    #[error("the password is empty")]
    Empty,
    /// More than [`MAX_PASSWORD_BYTES`].
    #[error("the password is longer than {MAX_PASSWORD_BYTES} bytes")]
    TooLong,
    /// Bytes that are not UTF-8.
    #[error("the password is not UTF-8")]
    NotUtf8,
}

impl Password {
    /// Normalises a password. The caller erases the original.
    ///
    /// # Errors
    /// If it is empty or too long.
    pub fn new(text: &str) -> Result<Self, PasswordError> {
        match text.len() {
            0 => return Err(PasswordError::Empty),
            1..=MAX_PASSWORD_BYTES => {}
            _ => return Err(PasswordError::TooLong),
        }
        if text.is_ascii() {
            return Ok(Self(Zeroizing::new(text.as_bytes().to_vec())));
        }
        // Never grows, since growing leaves a copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() * EXPANSION));
        let mut encoded = Zeroizing::new([0; 4]);
        for character in text.nfkc() {
            let character = character.encode_utf8(&mut *encoded).as_bytes();
            if bytes.capacity() - bytes.len() < character.len() {
                return Err(PasswordError::TooLong);
            }
            bytes.extend_from_slice(character);
        }
        Ok(Self(bytes))
    }

    /// The same for bytes that should be UTF-8, as a page hands them over.
    ///
    /// # Errors
    /// If it is empty, too long or not UTF-8.
    pub fn from_utf8(bytes: &[u8]) -> Result<Self, PasswordError> {
        Self::new(core::str::from_utf8(bytes).map_err(|_| PasswordError::NotUtf8)?)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use proptest::prelude::*;

    fn normal(text: &str) -> Vec<u8> {
        Password::new(text).unwrap().as_bytes().to_vec()
    }

    #[test]
    fn password_is_nfkc() {
        assert_eq!(normal("ole\u{301}"), "ol\u{e9}".as_bytes());
        assert_eq!(normal("\u{fb01}sh \u{2075}"), b"fish 5");
        assert_eq!(normal("\u{ff21}\u{3000}b"), b"A b");
        assert_eq!(normal(" As typed "), b" As typed ");
    }

    #[test]
    fn password_bounds() {
        assert_eq!(Password::new("").err(), Some(PasswordError::Empty));
        assert_eq!(Password::new(&"a".repeat(1_025)).err(), Some(PasswordError::TooLong));
        assert_eq!(Password::from_utf8(&[b'a', 0xff]).err(), Some(PasswordError::NotUtf8));
        assert_eq!(normal(&"\u{fdfa}".repeat(341)).len(), 341 * 33, "the longest expansion fits");
    }

    proptest! {
        #[test]
        fn password_normalises_as_the_whole_text_does(text in "\\PC{1,40}") {
            prop_assert_eq!(normal(&text), text.nfkc().collect::<String>().into_bytes());
        }
    }
}
