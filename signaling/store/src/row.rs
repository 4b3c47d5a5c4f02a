//! Rows: `ver1 version4 nonce12 ciphertext tag16`, each under its own key.
//!
//! The AAD binds a row to its database, table, key and owner, so that it is of no use elsewhere. A row key is used by the
//! writes of one row only, so random nonces do not meet.

use crate::{blob, data_key::DataKey, database::Table, label, owner::Owner};
use e2ee_core::Reader;
use std::ops::Deref;
use zeroize::Zeroizing;

const FORMAT: u8 = 1;

/// What a row says in clear, erased on drop. Has no `Debug`.
#[derive(PartialEq, Eq)]
pub struct Plaintext(Zeroizing<Vec<u8>>);

impl Plaintext {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl Deref for Plaintext {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// The version of the data key that a row names; `None` if it is no row.
#[must_use]
pub fn version_of(row: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(row);
    (reader.u8()? == FORMAT).then_some(())?;
    reader.u32()
}

pub(crate) fn seal(
    data_key: &DataKey,
    (table, owner, key): (Table, Owner, &[u8]),
    nonce: &[u8; blob::NONCE_BYTES],
    plain: &[u8],
) -> Option<Vec<u8>> {
    let mut row = Vec::with_capacity(plain.len().saturating_add(5).saturating_add(blob::OVERHEAD));
    row.push(FORMAT);
    row.extend_from_slice(&data_key.version.to_be_bytes());
    let aad = aad(table, owner, key, data_key.version);
    blob::seal(&data_key.row_key(table, key), nonce, &aad, plain, &mut row)?;
    Some(row)
}

/// `None` if the row is not authentic under this data key, whose version it must name.
pub(crate) fn open(data_key: &DataKey, (table, owner, key): (Table, Owner, &[u8]), row: &[u8]) -> Option<Plaintext> {
    (version_of(row)? == data_key.version).then_some(())?;
    let mut sealed = Zeroizing::new(row.get(5..)?.to_vec());
    let aad = aad(table, owner, key, data_key.version);
    let plain = blob::open(&data_key.row_key(table, key), &aad, &mut sealed)?;
    Some(Plaintext::new(plain.to_vec()))
}

fn aad(table: Table, owner: Owner, key: &[u8], version: u32) -> Vec<u8> {
    let length = u16::try_from(key.len()).unwrap_or(u16::MAX);
    [
        label::ROW.as_bytes(),
        &[table.space().number(), table.number()],
        &length.to_be_bytes(),
        key,
        owner.id(),
        &version.to_be_bytes(),
    ]
    .concat()
}
