//! Passkeys with the WebAuthn PRF extension: their output opens the vault key.
//!
//! ```text
//! PRF input   SHA-256("e2ee-identity/1 prf" || origin)              the same for all: a PRF belongs to one credential
//! key         HKDF(salt "e2ee-identity/1 passkey", PRF output, info account16 || account name)
//! ```

use crate::{
    account::{AccountId, AccountName, AccountNameError, check_origin},
    label,
    wrap::{Slot, WrapKey},
};
use e2ee_core::{Primitives, SecretBytes, Standard};

/// The input `eval.first` of the PRF extension at a server, known before the account is.
///
/// # Errors
/// If the origin is not in its serialised form.
pub fn prf_input(origin: &str) -> Result<[u8; 32], AccountNameError> {
    let origin = check_origin(origin).ok_or(AccountNameError::Origin)?;
    Ok(Standard::hash(&label::PRF, &[origin.as_bytes()]))
}

/// The key of a passkey's wrap, from its credential id and the PRF's output, whose owner erases it.
#[must_use]
pub fn passkey_key(prf: &[u8; 32], credential: &[u8], account: &AccountId, name: &AccountName) -> WrapKey {
    let mut key = SecretBytes::<32>::zeros();
    let info: &[&[u8]] = &[&account.0, name.encoded()];
    Standard::derive(label::PASSKEY.as_bytes(), prf, &mut [(info, &mut *key)]);
    WrapKey::new(Slot::passkey(credential), key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prf_input_is_one_per_server() {
        assert_eq!(prf_input("https://call.example"), Ok(Standard::digest(b"e2ee-identity/1 prfhttps://call.example")));
        assert_ne!(prf_input("https://call.example"), prf_input("https://other.example"));
        assert_eq!(prf_input("call.example"), Err(AccountNameError::Origin));
    }

    #[test]
    fn passkey_key_is_bound_to_account_and_server() {
        let name = |origin, name| AccountName::new(origin, name).unwrap();
        let key = |prf: u8, credential: &[u8], account: u8, name: &AccountName| {
            passkey_key(&[prf; 32], credential, &AccountId([account; 16]), name)
        };
        let ada = name("https://call.example", "ada");
        let mine = key(1, b"one", 1, &ada);
        for other in [
            key(2, b"one", 1, &ada),
            key(1, b"one", 2, &ada),
            key(1, b"one", 1, &name("https://other.example", "ada")),
            key(1, b"one", 1, &name("https://call.example", "bob")),
        ] {
            assert_ne!(mine.key(), other.key());
            assert_eq!(mine.slot(), other.slot());
        }
        assert_ne!(mine.slot(), key(1, b"two", 1, &ada).slot());
    }
}
