//! The vault key, wrapped once for each secret that may open it.
//!
//! ```text
//! wrap   ver1 kind1 slot16 vault_version4 nonce12 ct32 tag16                                                 82 bytes
//!        AES-256-GCM, AAD "e2ee-identity/1 wrap" || account16 || kind1 || slot16 || vault_version4
//! ```
//! A wrap opens with the key of its slot, for its account, and with nothing else; another wrap helps nothing. Which slot a
//! wrap is for stands in clear, so that the server can hand out the right one.

use crate::{account::AccountId, cipher, label, vault::VaultKey};
use e2ee_core::{Primitives, Random, Reader, SecretBytes, Standard, array};

/// Bytes of a wrap.
pub const WRAP_BYTES: usize = 82;
/// Version of the format.
const VERSION: u8 = 1;

/// What kind of secret opens a wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum WrapKind {
    /// The password.
    Password = 1,
    /// A backup code.
    Code = 2,
    /// A passkey with PRF.
    Passkey = 3,
}

impl WrapKind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Password, Self::Code, Self::Passkey].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Which secret a wrap is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    kind: WrapKind,
    id: [u8; 16],
}

impl Slot {
    /// The slot of a password, by its salt.
    #[must_use]
    pub fn password(salt: &[u8; 16]) -> Self {
        Self { kind: WrapKind::Password, id: *salt }
    }

    /// The slot of a backup code, by its id.
    #[must_use]
    pub fn code(id: &[u8; 8]) -> Self {
        Self { kind: WrapKind::Code, id: array::concat(&[id, &[0; 8]]) }
    }

    /// The slot of a passkey, by its WebAuthn credential id.
    #[must_use]
    pub fn passkey(credential: &[u8]) -> Self {
        let hash = Standard::hash(&label::CREDENTIAL, &[credential]);
        Self { kind: WrapKind::Passkey, id: *array::split::<16, 16, 32>(&hash).0 }
    }

    /// What kind of secret it is.
    #[must_use]
    pub fn kind(&self) -> WrapKind {
        self.kind
    }

    /// Tells secrets of one kind apart.
    #[must_use]
    pub fn id(&self) -> &[u8; 16] {
        &self.id
    }
}

/// A key that wraps and opens the vault key, from a password, code or passkey.
pub struct WrapKey {
    slot: Slot,
    key: SecretBytes<32>,
}

impl WrapKey {
    pub(crate) fn new(slot: Slot, key: SecretBytes<32>) -> Self {
        Self { slot, key }
    }

    /// The slot whose wrap it opens.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.slot
    }

    #[cfg(test)]
    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.key
    }
}

/// Why a wrap yields no vault key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// Not the bytes of a wrap.
    #[error("not a wrapped key")]
    Malformed,
    /// For another secret: the server sent the wrong one.
    #[error("the wrapped key is for another secret")]
    OtherSlot,
    /// The secret, the account or the bytes are wrong.
    #[error("the wrapped key does not open")]
    NotAuthentic,
    /// Authentic, and older than what this device has seen: the server serves old rows.
    #[error("the server sent a key that was replaced")]
    Stale,
}

/// The parts of a wrap as it arrived.
struct Parts<'a> {
    slot: Slot,
    version: u32,
    nonce: &'a [u8; cipher::NONCE_BYTES],
    sealed: &'a [u8; 32],
    tag: &'a [u8; cipher::TAG_BYTES],
}

fn parse(bytes: &[u8]) -> Option<Parts<'_>> {
    let mut reader = Reader::new(bytes);
    (reader.u8()? == VERSION).then_some(())?;
    let slot = Slot { kind: WrapKind::from_byte(reader.u8()?)?, id: reader.array()? };
    let parts = Parts {
        slot,
        version: reader.u32().filter(|version| *version > 0)?,
        nonce: reader.chunk()?,
        sealed: reader.chunk()?,
        tag: reader.chunk()?,
    };
    reader.end()?;
    Some(parts)
}

/// The slot that a wrap is for, unauthenticated, to find it among others.
#[must_use]
pub fn slot_of(wrap: &[u8]) -> Option<Slot> {
    parse(wrap).map(|parts| parts.slot)
}

fn aad(account: &AccountId, slot: &Slot, version: u32) -> [u8; LABEL_BYTES + 37] {
    array::concat(&[label::WRAP.as_bytes(), &account.0, &[slot.kind as u8], &slot.id, &version.to_be_bytes()])
}

/// Bytes of the label, checked when it is used.
const LABEL_BYTES: usize = b"e2ee-identity/1 wrap".len();

impl VaultKey {
    /// Wraps the key for one secret.
    ///
    /// # Errors
    /// Only if the cipher fails.
    pub fn wrap(
        &self,
        account: &AccountId,
        with: &WrapKey,
        random: &mut (impl Random + ?Sized),
    ) -> Result<[u8; WRAP_BYTES], cipher::CipherError> {
        let mut sealed = SecretBytes::copy_of(self.bytes());
        let aad = aad(account, &with.slot, self.version());
        let (nonce, tag) = cipher::seal(&with.key, &aad, &mut *sealed, random)?;
        let version = self.version().to_be_bytes();
        Ok(array::concat(&[&[VERSION, with.slot.kind as u8], &with.slot.id, &version, &nonce, &*sealed, &tag]))
    }

    /// Opens a wrap. `at_least` is the highest version that this device has seen, or 1.
    ///
    /// # Errors
    /// If the wrap is for another secret or account, altered, or older than `at_least`.
    pub fn open(wrap: &[u8], account: &AccountId, with: &WrapKey, at_least: u32) -> Result<Self, WrapError> {
        let parts = parse(wrap).ok_or(WrapError::Malformed)?;
        if parts.slot != with.slot {
            return Err(WrapError::OtherSlot);
        }
        let mut key = SecretBytes::copy_of(parts.sealed);
        let aad = aad(account, &parts.slot, parts.version);
        cipher::open(&with.key, parts.nonce, &aad, &mut *key, parts.tag).ok_or(WrapError::NotAuthentic)?;
        if parts.version < at_least {
            return Err(WrapError::Stale);
        }
        Ok(Self::from_parts(key, parts.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const ACCOUNT: AccountId = AccountId([9; 16]);

    fn key(slot: Slot, byte: u8) -> WrapKey {
        WrapKey::new(slot, SecretBytes::copy_of(&[byte; 32]))
    }

    fn vault() -> VaultKey {
        VaultKey::draw(&mut |bytes: &mut [u8]| bytes.fill(0x5a))
    }

    fn error(result: Result<VaultKey, WrapError>) -> WrapError {
        result.err().unwrap()
    }

    fn wrapped(with: &WrapKey) -> [u8; WRAP_BYTES] {
        vault().wrap(&ACCOUNT, with, &mut |bytes: &mut [u8]| bytes.fill(3)).unwrap()
    }

    #[test]
    fn wrap_opens_with_its_own_secret_only() {
        let slots = [Slot::password(&[1; 16]), Slot::code(&[1; 8]), Slot::code(&[2; 8]), Slot::passkey(b"credential")];
        let keys: Vec<_> = slots.into_iter().zip(1..).map(|(slot, byte)| key(slot, byte)).collect();
        for (mine, with) in keys.iter().enumerate() {
            let wrap = wrapped(with);
            assert_eq!(slot_of(&wrap), Some(with.slot()));
            for (other, opener) in keys.iter().enumerate() {
                match VaultKey::open(&wrap, &ACCOUNT, opener, 1) {
                    Ok(opened) => assert!(mine == other && opened.bytes() == vault().bytes()),
                    Err(error) => assert!(mine != other && error == WrapError::OtherSlot),
                }
            }
            assert_eq!(error(VaultKey::open(&wrap, &AccountId([8; 16]), with, 1)), WrapError::NotAuthentic);
            assert_eq!(error(VaultKey::open(&wrap, &ACCOUNT, &key(with.slot(), 77), 1)), WrapError::NotAuthentic);
        }
    }

    #[test]
    fn replaced_wrap_is_stale() {
        let with = key(Slot::password(&[1; 16]), 1);
        assert_eq!(error(VaultKey::open(&wrapped(&with), &ACCOUNT, &with, 2)), WrapError::Stale);
    }

    proptest! {
        /// A secret opens the vault keys that were wrapped for it, none before and none after.
        #[test]
        fn secret_opens_what_was_wrapped_for_it(first in 0u8..6, last in 0u8..6) {
            let with = key(Slot::code(&[1; 8]), 1);
            let mut vault = vault();
            for round in 0..6 {
                // The secret is one of the account's in some rounds; in the others a new one has taken its slot.
                let present = (first..=last).contains(&round);
                let secret = if present { key(with.slot(), 1) } else { key(with.slot(), 100 + round) };
                let wrap = vault.wrap(&ACCOUNT, &secret, &mut |bytes: &mut [u8]| bytes.fill(3)).unwrap();
                let opened = VaultKey::open(&wrap, &ACCOUNT, &with, vault.version());
                prop_assert_eq!(opened.ok().map(|opened| *opened.bytes()), present.then_some(*vault.bytes()));
                vault = vault.successor(&mut |bytes: &mut [u8]| bytes.fill(round)).unwrap();
            }
        }

        #[test]
        fn flipped_bit_is_refused(bit in 0..WRAP_BYTES * 8) {
            let with = key(Slot::code(&[1; 8]), 1);
            let mut wrap = wrapped(&with);
            wrap[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(VaultKey::open(&wrap, &ACCOUNT, &with, 1).is_err());
        }

        #[test]
        fn other_lengths_are_malformed(length in 0..WRAP_BYTES) {
            let with = key(Slot::code(&[1; 8]), 1);
            let wrap = wrapped(&with);
            prop_assert_eq!(error(VaultKey::open(&wrap[..length], &ACCOUNT, &with, 1)), WrapError::Malformed);
            prop_assert_eq!(error(VaultKey::open(&[&wrap[..], &[0]].concat(), &ACCOUNT, &with, 1)), WrapError::Malformed);
        }
    }
}
