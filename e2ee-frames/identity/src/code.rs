//! Backup codes: eight of 100 bits, each of which opens the archive alone, once.
//!
//! ```text
//! code   20 characters of Crockford's base 32, for example 7Q4ZK-0M8TX-R2W9B-VFD3H
//!        HKDF(salt "e2ee-identity/1 code" || account16, the 20 characters)
//!          ├─ info "id"   || account name → id8      the server finds the row by it
//!          ├─ info "auth" || account name → auth32   sent; the server keeps a MAC
//!          └─ info "wrap" || account name → key of the code's wrap: stays
//! ```
//! 100 bits need no stretching. A used code's row goes; new codes come with a new vault key, so that a sheet of old ones
//! opens nothing new. It still opens what the server kept from before.

use crate::{
    account::{AccountId, AccountName},
    label,
    stretch::AuthSecret,
    wrap::{Slot, WrapKey},
};
use alloc::string::String;
use e2ee_core::{Primitives, Random, SecretBytes, Standard};
use zeroize::Zeroizing;

/// Characters of a code.
pub const CODE_CHARACTERS: usize = 20;
/// Codes that an account has.
pub const CODES: usize = 8;
/// Crockford's base 32: without I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters between hyphens.
const GROUP: usize = 5;

/// One backup code.
pub struct BackupCode(SecretBytes<CODE_CHARACTERS>);

/// Why a text is no backup code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Too few or too many characters.
    #[error("a backup code has {CODE_CHARACTERS} letters and digits")]
    Length,
    /// A character that no code has.
    #[error("a backup code has only letters and digits, and no U")]
    Character,
}

/// The keys of a code.
pub struct CodeKeys {
    /// By which the server finds the code's row.
    pub id: [u8; 8],
    /// Shows that the code is known.
    pub auth: AuthSecret,
    /// Opens the vault key; never leaves the device.
    pub wrap: WrapKey,
}

impl BackupCode {
    /// Draws the codes of an account.
    #[must_use]
    pub fn draw_all(random: &mut (impl Random + ?Sized)) -> [Self; CODES] {
        core::array::from_fn(|_| Self::draw(random))
    }

    /// Draws one code.
    #[must_use]
    pub fn draw(random: &mut (impl Random + ?Sized)) -> Self {
        let mut code = SecretBytes::<CODE_CHARACTERS>::zeros();
        random.fill(&mut *code);
        for byte in code.iter_mut() {
            // Five bits of each byte: always in the alphabet.
            *byte = ALPHABET.get(usize::from(*byte & 31)).copied().unwrap_or_default();
        }
        Self(code)
    }

    /// Reads a code as a person types it: in any case, with hyphens and spaces anywhere, O for 0, I and L for 1.
    ///
    /// # Errors
    /// If characters are missing, left over or foreign.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        let mut code = SecretBytes::<CODE_CHARACTERS>::zeros();
        let mut slots = code.iter_mut();
        for character in text.chars().filter(|character| !matches!(character, '-' | ' ')) {
            let upper = match character.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let byte = u8::try_from(upper).ok().filter(|byte| ALPHABET.contains(byte)).ok_or(CodeError::Character)?;
            *slots.next().ok_or(CodeError::Length)? = byte;
        }
        slots.next().is_none().then_some(()).ok_or(CodeError::Length)?;
        Ok(Self(code))
    }

    /// The code in four groups, to be shown once.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(CODE_CHARACTERS + CODE_CHARACTERS / GROUP));
        for (index, byte) in self.0.iter().enumerate() {
            if index > 0 && index.is_multiple_of(GROUP) {
                text.push('-');
            }
            text.push(char::from(*byte));
        }
        text
    }

    /// The keys of the code for an account.
    #[must_use]
    pub fn keys(&self, account: &AccountId, name: &AccountName) -> CodeKeys {
        let (mut id, mut auth, mut wrap) = ([0; 8], SecretBytes::<32>::zeros(), SecretBytes::<32>::zeros());
        Standard::derive(
            &[label::CODE.as_bytes(), &account.0].concat(),
            &*self.0,
            &mut [
                (&[b"id", name.encoded()], &mut id),
                (&[b"auth", name.encoded()], &mut *auth),
                (&[b"wrap", name.encoded()], &mut *wrap),
            ],
        );
        CodeKeys { id, auth: AuthSecret(auth), wrap: WrapKey::new(Slot::code(&id), wrap) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn code_reads_as_people_type_it() {
        let code = BackupCode::parse("7Q4ZK-0M8TX-R2W9B-VFD31").unwrap();
        assert_eq!(code.to_text().as_str(), "7Q4ZK-0M8TX-R2W9B-VFD31");
        for spelling in ["7q4zkom8txr2w9bvfd3l", " 7Q4Z K0M8 TXR2 W9BV FD3I ", "7q4zk-Om8tx-r2w9b-vfd3i"] {
            assert_eq!(*BackupCode::parse(spelling).unwrap().0, *code.0, "{spelling}");
        }
        for (bad, error) in [
            ("", CodeError::Length),
            ("7Q4ZK-0M8TX-R2W9B-VFD3", CodeError::Length),
            ("7Q4ZK-0M8TX-R2W9B-VFD311", CodeError::Length),
            ("7Q4ZK-0M8TX-R2W9B-VFD3U", CodeError::Character),
            ("7Q4ZK-0M8TX-R2W9B-VFD3\u{e9}", CodeError::Character),
        ] {
            assert_eq!(BackupCode::parse(bad).err(), Some(error), "{bad}");
        }
    }

    #[test]
    fn every_derivation_is_bound_to_account_and_server() {
        let code = BackupCode::draw(&mut |bytes: &mut [u8]| bytes.fill(7));
        let name = |origin, name| AccountName::new(origin, name).unwrap();
        let mine = code.keys(&AccountId([1; 16]), &name("https://call.example", "ada"));
        for other in [
            code.keys(&AccountId([2; 16]), &name("https://call.example", "ada")),
            code.keys(&AccountId([1; 16]), &name("https://other.example", "ada")),
            code.keys(&AccountId([1; 16]), &name("https://call.example", "bob")),
        ] {
            assert_ne!(mine.id, other.id);
            assert_ne!(mine.auth.as_bytes(), other.auth.as_bytes());
            assert_ne!(mine.wrap.key(), other.wrap.key());
        }
    }

    #[test]
    fn drawn_code_uses_the_whole_alphabet() {
        let mut next = 0u8;
        let codes = BackupCode::draw_all(&mut |bytes: &mut [u8]| {
            bytes.iter_mut().for_each(|byte| (*byte, next) = (next, next.wrapping_add(1)))
        });
        let seen: alloc::collections::BTreeSet<u8> = codes.iter().flat_map(|code| *code.0).collect();
        assert!(seen.into_iter().eq(*ALPHABET));
    }

    proptest! {
        #[test]
        fn code_round_trips(bytes: [u8; CODE_CHARACTERS]) {
            let code = BackupCode::draw(&mut |buffer: &mut [u8]| buffer.copy_from_slice(&bytes));
            prop_assert_eq!(*BackupCode::parse(&code.to_text()).unwrap().0, *code.0);
        }

        #[test]
        fn any_text_is_a_code_or_refused(text in "\\PC{0,30}") {
            if let Ok(code) = BackupCode::parse(&text) {
                prop_assert_eq!(code.to_text().len(), 23);
            }
        }
    }
}
