//! The vault key, and the blobs of the archive that it opens.
//!
//! ```text
//! blob   ver1 nonce12 ct tag16                                                                  at most 12,288 bytes
//!        key = HKDF(salt "e2ee-identity/1 archive", vault key, info account16 || name)
//!        AES-256-GCM, AAD "e2ee-identity/1 blob" || account16 || name || version8 || vault_version4
//! ```
//! A new vault key is a new key for every blob: all are sealed again, and who has the old one opens nothing new. The
//! server tells the version of a blob; the AAD refutes it if it lies, and the [index](crate::index) if it serves an old one.

use crate::{
    account::AccountId,
    cipher::{self, CipherError},
    label,
};
use alloc::vec::Vec;
use core::fmt;
use e2ee_core::{Primitives, Random, Reader, SecretBytes, Standard};
use zeroize::Zeroizing;

/// Maximum length of a sealed blob, bytes.
pub const MAX_BLOB_BYTES: usize = 12_288;
/// Bytes by which a sealed blob is longer than its contents.
pub const BLOB_OVERHEAD: usize = 1 + cipher::NONCE_BYTES + cipher::TAG_BYTES;
/// Maximum length of a blob's name, bytes.
pub const MAX_BLOB_NAME_BYTES: usize = 32;
/// Version of the format.
const VERSION: u8 = 1;

/// The key that opens an account's archive: random, and wrapped for each secret that may open it.
pub struct VaultKey {
    key: SecretBytes<32>,
    version: u32,
}

/// The name of a blob: 1 to 32 lower-case letters, digits, dots and hyphens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobName {
    /// Zeros follow the name, so that the order is that of names.
    bytes: [u8; MAX_BLOB_NAME_BYTES],
    length: u8,
}

/// Not the name of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a blob: 1 to {MAX_BLOB_NAME_BYTES} lower-case letters, digits, dots and hyphens")]
pub struct BlobNameError;

impl BlobName {
    /// The blob that holds the [index](crate::index).
    pub const INDEX: Self = Self { bytes: *b"index\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", length: 5 };

    /// Checks a name.
    ///
    /// # Errors
    /// If its length or a character is not allowed.
    pub fn new(name: &[u8]) -> Result<Self, BlobNameError> {
        let allowed = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(byte);
        let mut bytes = [0; MAX_BLOB_NAME_BYTES];
        match (bytes.get_mut(..name.len()), u8::try_from(name.len())) {
            (Some(slot), Ok(length @ 1..)) if name.iter().all(allowed) => {
                slot.copy_from_slice(name);
                Ok(Self { bytes, length })
            }
            _ => Err(BlobNameError),
        }
    }

    /// The bytes of the name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&self.bytes)
    }
}

impl fmt::Debug for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobName({})", self.as_bytes().escape_ascii())
    }
}

/// Why a blob was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobSealError {
    /// The contents do not fit.
    #[error("a blob holds at most {} bytes", MAX_BLOB_BYTES - BLOB_OVERHEAD)]
    TooLong,
    /// The cipher failed.
    #[error(transparent)]
    Cipher(#[from] CipherError),
}

/// Why a blob does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// Not the bytes of a blob.
    #[error("not a sealed blob")]
    Malformed,
    /// Altered, or of another account, name, version or vault key.
    #[error("the blob does not open")]
    NotAuthentic,
}

impl VaultKey {
    /// Draws the first vault key of an account.
    #[must_use]
    pub fn draw(random: &mut (impl Random + ?Sized)) -> Self {
        Self::drawn(random, 1)
    }

    /// Draws the next vault key: after a removed device, a changed password, new codes or a removed passkey. `None` after
    /// 2³² of them.
    #[must_use]
    pub fn successor(&self, random: &mut (impl Random + ?Sized)) -> Option<Self> {
        Some(Self::drawn(random, self.version.checked_add(1)?))
    }

    fn drawn(random: &mut (impl Random + ?Sized), version: u32) -> Self {
        let mut key = SecretBytes::zeros();
        random.fill(&mut *key);
        Self { key, version }
    }

    pub(crate) fn from_parts(key: SecretBytes<32>, version: u32) -> Self {
        Self { key, version }
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.key
    }

    /// Number of this vault key, from 1.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The key of a blob.
    pub(crate) fn blob_key(&self, account: &AccountId, name: &BlobName) -> SecretBytes<32> {
        let mut key = SecretBytes::<32>::zeros();
        let info: &[&[u8]] = &[&account.0, name.as_bytes()];
        Standard::derive(label::ARCHIVE.as_bytes(), &*self.key, &mut [(info, &mut *key)]);
        key
    }

    fn blob_aad(&self, account: &AccountId, name: &BlobName, version: u64) -> Vec<u8> {
        let (version, vault) = (version.to_be_bytes(), self.version.to_be_bytes());
        [label::BLOB.as_bytes(), &account.0, name.as_bytes(), &version, &vault].concat()
    }

    /// Seals the contents of a blob as its given version. A version is used once.
    ///
    /// # Errors
    /// If the contents do not fit.
    pub fn seal_blob(
        &self,
        account: &AccountId,
        name: &BlobName,
        version: u64,
        contents: &[u8],
        random: &mut (impl Random + ?Sized),
    ) -> Result<Vec<u8>, BlobSealError> {
        if contents.len() > MAX_BLOB_BYTES - BLOB_OVERHEAD {
            return Err(BlobSealError::TooLong);
        }
        let mut data = Zeroizing::new(contents.to_vec());
        let (nonce, tag) = cipher::seal(
            &self.blob_key(account, name),
            &self.blob_aad(account, name, version),
            data.as_mut_slice(),
            random,
        )?;
        Ok([&[VERSION], &nonce[..], &data, &tag].concat())
    }

    /// Opens a blob that the server calls this version of this name.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn open_blob(
        &self,
        account: &AccountId,
        name: &BlobName,
        version: u64,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, BlobError> {
        let (nonce, contents, tag) = parse(sealed).ok_or(BlobError::Malformed)?;
        let mut data = Zeroizing::new(contents.to_vec());
        let (key, aad) = (self.blob_key(account, name), self.blob_aad(account, name, version));
        cipher::open(&key, nonce, &aad, data.as_mut_slice(), tag).ok_or(BlobError::NotAuthentic)?;
        Ok(data)
    }
}

type Parts<'a> = (&'a [u8; cipher::NONCE_BYTES], &'a [u8], &'a [u8; cipher::TAG_BYTES]);

fn parse(sealed: &[u8]) -> Option<Parts<'_>> {
    let length = sealed.len().checked_sub(BLOB_OVERHEAD).filter(|_| sealed.len() <= MAX_BLOB_BYTES)?;
    let mut reader = Reader::new(sealed);
    (reader.u8()? == VERSION).then_some(())?;
    Some((reader.chunk()?, reader.take(length)?, reader.chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ACCOUNT: AccountId = AccountId([9; 16]);

    fn random(bytes: &mut [u8]) {
        bytes.fill(0x5a);
    }

    fn name(name: &str) -> BlobName {
        BlobName::new(name.as_bytes()).unwrap()
    }

    #[test]
    fn blob_names_are_checked() {
        assert_eq!(BlobName::new(b"contacts.2").unwrap().as_bytes(), b"contacts.2");
        assert_eq!(BlobName::new(b"index"), Ok(BlobName::INDEX));
        for bad in [&b""[..], b"Contacts", b"a b", b"a/b", b"\xc3\xa9", &[b'a'; 33]] {
            assert_eq!(BlobName::new(bad), Err(BlobNameError), "{bad:?}");
        }
    }

    #[test]
    fn blob_is_bound_to_account_name_version_and_vault() {
        let vault = VaultKey::draw(&mut random);
        let sealed = vault.seal_blob(&ACCOUNT, &name("contacts"), 7, b"Bob", &mut random).unwrap();
        let open =
            |vault: &VaultKey, account, blob: &str, version| vault.open_blob(&account, &name(blob), version, &sealed);
        assert_eq!(open(&vault, ACCOUNT, "contacts", 7).unwrap().as_slice(), b"Bob");
        let same_key = VaultKey::from_parts(SecretBytes::copy_of(vault.bytes()), 2);
        for result in [
            open(&vault, AccountId([8; 16]), "contacts", 7),
            open(&vault, ACCOUNT, "contact", 7),
            open(&vault, ACCOUNT, "contacts", 6),
            open(&same_key, ACCOUNT, "contacts", 7),
            open(&vault.successor(&mut random).unwrap(), ACCOUNT, "contacts", 7),
        ] {
            assert_eq!(result.err(), Some(BlobError::NotAuthentic));
        }
    }

    #[test]
    fn blob_length_is_bounded() {
        let vault = VaultKey::draw(&mut random);
        let longest = [0; MAX_BLOB_BYTES - BLOB_OVERHEAD + 1];
        let seal = |contents: &[u8]| vault.seal_blob(&ACCOUNT, &name("a"), 1, contents, &mut random);
        assert_eq!(seal(&longest), Err(BlobSealError::TooLong));
        let sealed = seal(&longest[1..]).unwrap();
        assert_eq!(sealed.len(), MAX_BLOB_BYTES);
        assert!(vault.open_blob(&ACCOUNT, &name("a"), 1, &sealed).is_ok());
        let longer = [&sealed[..], &[0]].concat();
        assert_eq!(vault.open_blob(&ACCOUNT, &name("a"), 1, &longer).err(), Some(BlobError::Malformed));
    }

    proptest! {
        #[test]
        fn blob_round_trips_and_no_bit_may_flip(
            contents in proptest::collection::vec(any::<u8>(), 0..200), version: u64, bit: usize, cut: usize,
        ) {
            let vault = VaultKey::draw(&mut random);
            let mut sealed = vault.seal_blob(&ACCOUNT, &name("a"), version, &contents, &mut random).unwrap();
            let opened = vault.open_blob(&ACCOUNT, &name("a"), version, &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), &contents);
            prop_assert!(vault.open_blob(&ACCOUNT, &name("a"), version, &sealed[..cut % sealed.len()]).is_err());
            let bit = bit % (sealed.len() * 8);
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(vault.open_blob(&ACCOUNT, &name("a"), version, &sealed).is_err());
        }
    }
}
