//! A wrapped data key: `created4 ver1 wrap4 nonce12 ciphertext32 tag16`.

use crate::{blob, data_key, database::Purpose, label, owner::Owner, store::StoreId, time::Day};
use e2ee_core::{Random, Reader, SecretBytes};
use zeroize::Zeroizing;

const FORMAT: u8 = 1;

/// A data key as its row holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKeyRecord {
    /// The day on which it was drawn. Authenticated with the key.
    pub created: Day,
    /// Number of the wrap key that seals it.
    pub wrap: u32,
    sealed: [u8; 60],
}

impl DataKeyRecord {
    /// Reads a row's bytes; `None` if they are no such record. Nothing is authenticated yet.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let created = Day(reader.u32()?);
        (reader.u8()? == FORMAT).then_some(())?;
        let record = Self { created, wrap: reader.u32()?, sealed: reader.array()? };
        reader.end()?;
        Some(record)
    }

    /// The bytes that [`Self::parse`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.created.to_bytes()[..], &[FORMAT], &self.wrap.to_be_bytes(), &self.sealed].concat()
    }
}

/// What a wrapped data key is bound to, beside what its record says.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) store: StoreId,
    pub(crate) owner: Owner,
    pub(crate) purpose: Purpose,
    pub(crate) version: u32,
}

impl Place {
    pub(crate) fn seal(
        &self,
        key: &[u8; 32],
        created: Day,
        (wrap, wrap_key): (u32, &[u8; 32]),
        random: &mut dyn Random,
    ) -> Option<DataKeyRecord> {
        let mut nonce = [0; blob::NONCE_BYTES];
        random.fill(&mut nonce);
        let mut sealed = Vec::new();
        blob::seal(wrap_key, &nonce, &self.aad(wrap, created), key, &mut sealed)?;
        Some(DataKeyRecord { created, wrap, sealed: sealed.try_into().ok()? })
    }

    /// `None` if it is not authentic under this wrap key.
    pub(crate) fn open(&self, record: &DataKeyRecord, wrap_key: &[u8; 32]) -> Option<SecretBytes<32>> {
        let mut sealed = Zeroizing::new(record.sealed);
        let key = blob::open(wrap_key, &self.aad(record.wrap, record.created), &mut *sealed)?;
        <&[u8; 32]>::try_from(&*key).ok().map(SecretBytes::copy_of)
    }

    fn aad(&self, wrap: u32, created: Day) -> Vec<u8> {
        let place = data_key::key_of(self.owner, self.purpose, self.version);
        [label::DATA_KEY.as_bytes(), &self.store.0, &place, &wrap.to_be_bytes(), &created.to_bytes()].concat()
    }
}
