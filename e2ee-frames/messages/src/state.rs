//! What a device stores between messages: rows of bytes, and how they are sealed.
//!
//! ```text
//! row    ver1 nonce12 ct tag16, AAD "e2ee-messages/1 state" || row name
//! ```
//! An old copy of a row opens, too. The ratchet is built so that even then no key and nonce seal two texts, and
//! [`Messenger::distrust_state`](crate::Messenger::distrust_state) is for a device that knows.

use crate::{cipher, label};
use alloc::vec::Vec;
use e2ee_core::{Random, Reader, SecretBytes};
use e2ee_identity::{AccountId, DevicePublic};
use zeroize::{Zeroize, Zeroizing};

/// Version of the format.
const VERSION: u8 = 1;

/// A row of a device's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Row {
    /// The private halves of the device's prekeys.
    Prekeys,
    /// All that is shared with another device: sessions, what was seen of it.
    Peer(DevicePublic),
    /// What was lately written to an account.
    Outbox(AccountId),
}

impl Row {
    fn name(&self) -> Vec<u8> {
        match self {
            Self::Prekeys => Vec::from([1]),
            Self::Peer(device) => [&[2], &device.0[..]].concat(),
            Self::Outbox(account) => [&[3], &account.0[..]].concat(),
        }
    }
}

/// The key under which a device stores its state: in a browser's or a system's key store.
pub struct StateKey(SecretBytes<32>);

/// Not a row under this key, or another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored state does not open")]
pub struct StateError;

impl StateKey {
    /// Draws a key.
    #[must_use]
    pub fn draw(random: &mut (impl Random + ?Sized)) -> Self {
        let mut key = SecretBytes::zeros();
        random.fill(&mut *key);
        Self(key)
    }

    /// The key that the device has kept.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(SecretBytes::copy_of(bytes))
    }

    /// The bytes to be kept.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals a row.
    ///
    /// # Errors
    /// Only if the cipher fails.
    pub fn seal(
        &self,
        row: Row,
        bytes: &[u8],
        random: &mut (impl Random + ?Sized),
    ) -> Result<Vec<u8>, cipher::CipherError> {
        let mut nonce = [0; cipher::NONCE_BYTES];
        random.fill(&mut nonce);
        let mut data = Zeroizing::new(bytes.to_vec());
        let tag = cipher::seal(&self.0, &nonce, &aad(row), data.as_mut_slice())?;
        Ok([&[VERSION], &nonce[..], &data, &tag].concat())
    }

    /// Opens a row.
    ///
    /// # Errors
    /// If it was sealed under another key, is another row, or was altered.
    pub fn open(&self, row: Row, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StateError> {
        let mut reader = Reader::new(sealed);
        let version = reader.u8().filter(|version| *version == VERSION);
        let nonce = version.and_then(|_| reader.chunk()).ok_or(StateError)?;
        let rest = reader.take(sealed.len().saturating_sub(1 + cipher::NONCE_BYTES)).ok_or(StateError)?;
        let (contents, tag) = rest.split_last_chunk().ok_or(StateError)?;
        let mut data = Zeroizing::new(contents.to_vec());
        cipher::open(&self.0, nonce, &aad(row), data.as_mut_slice(), tag).ok_or(StateError)?;
        Ok(data)
    }
}

fn aad(row: Row) -> Vec<u8> {
    [label::STATE.as_bytes(), &row.name()].concat()
}

/// Writes secret fields. A vector that grows leaves its old contents in freed memory; this one erases them.
#[derive(Default)]
pub(crate) struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            let mut larger = Vec::with_capacity(needed.saturating_mul(2).max(512));
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            *self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    pub(crate) fn flag(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    /// A count and that many items. More than 65,535 are never kept.
    pub(crate) fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        let count = u16::try_from(items.len()).unwrap_or(u16::MAX);
        self.bytes(&count.to_be_bytes());
        items.iter().take(usize::from(count)).for_each(|item| write(self, item));
    }

    /// Whether there is a value, and the value.
    pub(crate) fn option<T>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(crate) fn finish(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// Reads what [`Writer::list`] wrote, of at most `limit` items.
pub(crate) fn read_list<T>(
    reader: &mut Reader<'_>,
    limit: usize,
    mut read: impl FnMut(&mut Reader<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let count = usize::from(reader.u16()?);
    (count <= limit).then_some(())?;
    (0..count).map(|_| read(reader)).collect()
}

pub(crate) fn read_flag(reader: &mut Reader<'_>) -> Option<bool> {
    match reader.u8()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// Reads what [`Writer::option`] wrote. The outer `None` is a fault.
pub(crate) fn read_option<T>(
    reader: &mut Reader<'_>,
    read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
) -> Option<Option<T>> {
    if read_flag(reader)? { read(reader).map(Some) } else { Some(None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn random(bytes: &mut [u8]) {
        bytes.fill(0x5a);
    }

    proptest! {
        #[test]
        fn row_opens_as_itself_only(contents in proptest::collection::vec(any::<u8>(), 0..200), bit: usize, cut: usize) {
            let (key, peer) = (StateKey::draw(&mut random), Row::Peer(DevicePublic([7; 32])));
            let mut sealed = key.seal(peer, &contents, &mut random).unwrap();
            prop_assert_eq!(&*key.open(peer, &sealed).unwrap(), &contents);
            prop_assert!(key.open(Row::Peer(DevicePublic([8; 32])), &sealed).is_err());
            prop_assert!(key.open(Row::Prekeys, &sealed).is_err());
            prop_assert!(StateKey::from_bytes(&[1; 32]).open(peer, &sealed).is_err());
            prop_assert!(key.open(peer, &sealed[..cut % sealed.len()]).is_err());
            let bit = bit % (sealed.len() * 8);
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(key.open(peer, &sealed).is_err());
        }
    }
}
