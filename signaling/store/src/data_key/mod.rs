//! Data keys: random keys of owners, from which the keys of their rows follow. Destroying one makes its rows unreadable.

mod cache;
mod floor;
mod record;

pub(crate) use cache::{Cache, Versions};
pub(crate) use floor::{close_floor, closed_on, floor, floor_key, raise_floor};
pub use record::DataKeyRecord;
pub(crate) use record::Place;

use crate::{
    database::{Purpose, Table},
    label,
    owner::Owner,
};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use e2ee_core::{Label, SecretBytes};

/// A data key, ready to use. HKDF has extracted it once.
pub(crate) struct DataKey {
    pub(crate) version: u32,
    prk: Prk,
}

/// Asks HKDF for 32 bytes.
struct Key;

impl KeyType for Key {
    fn len(&self) -> usize {
        32
    }
}

impl DataKey {
    pub(crate) fn new(version: u32, key: &SecretBytes<32>) -> Self {
        Self { version, prk: Salt::new(HKDF_SHA256, &[]).extract(&**key) }
    }

    /// The key of one row.
    pub(crate) fn row_key(&self, table: Table, key: &[u8]) -> SecretBytes<32> {
        self.derive(&label::ROW, &[&[table.space().number(), table.number()], key])
    }

    /// HKDF-SHA-256 of the data key; all parts of the info but one have a fixed length.
    pub(crate) fn derive(&self, label: &Label, parts: &[&[u8]]) -> SecretBytes<32> {
        let mut derived = SecretBytes::zeros();
        let info: Vec<&[u8]> = std::iter::once(label.as_bytes()).chain(parts.iter().copied()).collect();
        let filled = self.prk.expand(&info, Key).and_then(|okm| okm.fill(&mut *derived));
        debug_assert!(filled.is_ok(), "32 bytes are far below the limit of HKDF");
        derived
    }
}

/// Where the record of a version lies.
pub(crate) fn key_of(owner: Owner, purpose: Purpose, version: u32) -> [u8; 21] {
    e2ee_core::array::concat(&[owner.id(), &[purpose.number()], &version.to_be_bytes()])
}

/// The owner, purpose and version of a record's key.
pub(crate) fn parse_key(key: &[u8]) -> Option<(Owner, Purpose, u32)> {
    let mut reader = e2ee_core::Reader::new(key);
    let (owner, purpose, version) = (reader.array()?, reader.u8()?, reader.u32()?);
    reader.end()?;
    Some((Owner::from_id(owner), Purpose::from_number(purpose)?, version))
}
