//! A sealed wrap key: `ver1 mek_version4 number4 nonce12 ciphertext32 tag16`.

use crate::{
    error::StoreError,
    label,
    master::{MasterKey, MasterKeyError},
    store::{StoreId, Stored},
};
use e2ee_core::{Random, Reader, SecretBytes};

const FORMAT: u8 = 1;

/// A wrap key as its file holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct WrapRecord {
    /// Its number: one more than that of the wrap key before.
    pub number: u32,
    /// Version of the master key that seals it.
    pub master: u32,
    sealed: Vec<u8>,
}

impl WrapRecord {
    /// Reads a file's bytes; `None` if they are no such record. Nothing is authenticated yet.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        (reader.u8()? == FORMAT).then_some(())?;
        let (master, number) = (reader.u32()?, reader.u32()?);
        let sealed = reader.chunk::<60>()?.to_vec();
        reader.end()?;
        Some(Self { number, master, sealed })
    }

    /// The bytes that [`Self::parse`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&[FORMAT][..], &self.master.to_be_bytes(), &self.number.to_be_bytes(), &self.sealed].concat()
    }

    pub(crate) fn seal(
        number: u32,
        key: &[u8; 32],
        store: StoreId,
        master: &dyn MasterKey,
        random: &mut dyn Random,
    ) -> Result<Self, StoreError> {
        let version = master.active();
        let sealed = master.seal(&aad(store, number, version), key, random).map_err(|cause| refused(number, cause))?;
        Ok(Self { number, master: version, sealed })
    }

    pub(crate) fn open(&self, store: StoreId, master: &dyn MasterKey) -> Result<SecretBytes<32>, StoreError> {
        master
            .open(self.master, &aad(store, self.number, self.master), &self.sealed)
            .map_err(|cause| refused(self.number, cause))
    }
}

fn aad(store: StoreId, number: u32, master: u32) -> Vec<u8> {
    [label::WRAP.as_bytes(), &store.0, &number.to_be_bytes(), &master.to_be_bytes()].concat()
}

fn refused(number: u32, cause: MasterKeyError) -> StoreError {
    StoreError::MasterKey { stored: Stored::WrapKey(number), cause }
}
