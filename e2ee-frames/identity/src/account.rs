//! What an account is called: a name at the origin of a server. Everything that leaves a device is bound to both.

use alloc::{string::String, vec::Vec};
use e2ee_core::{Primitives, Standard};
use unicode_normalization::UnicodeNormalization;

/// Maximum length of an origin, bytes: a scheme, a host name of 253 and a port.
pub const MAX_ORIGIN_BYTES: usize = 267;
/// Maximum length of a name, bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// The number of an account on its server, drawn at random when it is made and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub [u8; 16]);

/// A name at an origin, both in their one form.
///
/// The origin is the client's own: where it reached the server (RFC 6454, section 6.2), never what the server says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName {
    origin: String,
    name: String,
    /// `len2 origin len1 name`, by which derivations end.
    encoded: Vec<u8>,
}

/// Why a text names no account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountNameError {
    /// Not `https://HOST` or `http://HOST` in lower-case ASCII, with a port only if it is not the scheme's own.
    #[error("not the origin of a server, such as https://call.example")]
    Origin,
    /// Empty, too long, or with characters that a reader cannot see or tell apart from spaces.
    #[error("not a name of 1 to {MAX_NAME_BYTES} bytes of visible characters without spaces")]
    Name,
}

impl AccountName {
    /// The account that a person means: NFKC, in lower case.
    ///
    /// # Errors
    /// If the origin is not in its serialised form, or the name has a length or characters that no name has.
    pub fn new(origin: &str, name: &str) -> Result<Self, AccountNameError> {
        let origin = check_origin(origin).ok_or(AccountNameError::Origin)?;
        let name = canonical_name(name).ok_or(AccountNameError::Name)?;
        let mut encoded = Vec::with_capacity(3 + origin.len() + name.len());
        // Both lengths were checked.
        encoded.extend_from_slice(&u16::try_from(origin.len()).unwrap_or(u16::MAX).to_be_bytes());
        encoded.extend_from_slice(origin.as_bytes());
        encoded.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        encoded.extend_from_slice(name.as_bytes());
        Ok(Self { origin: String::from(origin), name, encoded })
    }

    /// Where the client reaches the server, such as `https://call.example`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The name in its one form.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first eight bytes of SHA-256 of the origin, by which device lists name it.
    #[must_use]
    pub fn origin_hash(&self) -> [u8; 8] {
        *e2ee_core::array::split::<8, 24, 32>(&Standard::digest(self.origin.as_bytes())).0
    }

    /// `len2 origin len1 name`.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }
}

/// The origin itself if it is in serialised form.
pub(crate) fn check_origin(origin: &str) -> Option<&str> {
    let (rest, default_port) = match origin.strip_prefix("https://") {
        Some(rest) => (rest, ":443"),
        None => (origin.strip_prefix("http://")?, ":80"),
    };
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_:[]".contains(&byte);
    let serialised = !rest.is_empty() && rest.bytes().all(allowed) && !rest.starts_with([':', '.']);
    (serialised && origin.len() <= MAX_ORIGIN_BYTES && !rest.ends_with(default_port)).then_some(origin)
}

/// The one form of a name: `None` if it has none.
fn canonical_name(text: &str) -> Option<String> {
    // More would not fit in canonical form: NFKC shrinks a text by less.
    if text.len() > 4 * MAX_NAME_BYTES {
        return None;
    }
    let lower = |text: &str| text.nfkc().collect::<String>().to_lowercase().nfkc().collect::<String>();
    let name = lower(text);
    let fits = (1..=MAX_NAME_BYTES).contains(&name.len());
    // A few characters change again when mapped twice. Of such a name two spellings would be two accounts.
    (fits && !name.chars().any(is_hidden) && lower(&name) == name).then_some(name)
}

/// Whether a character is invisible, a space, or changes the direction or form of others.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || character.is_whitespace()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use proptest::prelude::*;

    const ORIGIN: &str = "https://call.example";

    fn name(text: &str) -> Option<String> {
        AccountName::new(ORIGIN, text).ok().map(|account| String::from(account.name()))
    }

    #[test]
    fn name_has_one_form() {
        for spelling in ["Ada", "ADA", "ada", "\u{ff21}da", "\u{1d400}\u{1d41d}\u{1d41a}"] {
            assert_eq!(name(spelling).as_deref(), Some("ada"), "{spelling}");
        }
        assert_eq!(name("Andre\u{301}"), name("andr\u{e9}"));
        assert_eq!(name("\u{212b}ngstr\u{f6}m").as_deref(), Some("\u{e5}ngstr\u{f6}m"));
    }

    #[test]
    fn name_with_hidden_characters_is_refused() {
        for hidden in
            [" ", "\n", "\0", "\u{200b}", "\u{202e}", "\u{2066}", "\u{feff}", "\u{e0041}", "\u{fe0f}", "\u{3164}"]
        {
            assert_eq!(name(&format!("a{hidden}da")), None, "{hidden:?}");
        }
        assert_eq!(name(""), None);
        assert_eq!(name(&"a".repeat(MAX_NAME_BYTES + 1)), None);
        assert!(name(&"a".repeat(MAX_NAME_BYTES)).is_some());
    }

    #[test]
    fn origin_is_in_serialised_form() {
        for good in ["https://call.example", "http://127.0.0.1:8080", "https://[::1]:8443", "http://call.example:443"] {
            assert!(AccountName::new(good, "ada").is_ok(), "{good}");
        }
        for bad in [
            "",
            "call.example",
            "https://",
            "https://Call.example",
            "https://call.example/",
            "https://call.example:443",
            "http://call.example:80",
            "ftp://call.example",
            "https://a@b",
            "https://b\u{fc}cher.example",
            "https://a b",
        ] {
            assert_eq!(AccountName::new(bad, "ada"), Err(AccountNameError::Origin), "{bad}");
        }
    }

    #[test]
    fn encoding_has_both_lengths() {
        let account = AccountName::new(ORIGIN, "ada").unwrap();
        assert_eq!(account.encoded(), b"\0\x14https://call.example\x03ada");
    }

    proptest! {
        #[test]
        fn canonical_name_is_its_own_form(text in "\\PC{0,12}") {
            if let Some(once) = canonical_name(&text) {
                prop_assert_eq!(canonical_name(&once), Some(once.clone()));
            }
        }
    }
}
