//! What someone gets who deletes an account: until when old archives may still hold it.

use super::Tombstone;
use crate::{label, store::StoreId, time::Day};
use e2ee_core::{Primitives, SecretBytes, SigningKey, Standard};

type Key = <Standard as Primitives>::Signing;

/// Days from a rotation of wrap keys until the keys of before it are gone from all archives.
const HORIZON_DAYS: u32 = 21;

/// A signed statement that an account was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What was noted.
    pub tombstone: Tombstone,
    /// From this day on no archive opens the account, if the archive of wrap keys, of which there is one, was replaced
    /// after the next rotation.
    pub horizon: Day,
    /// Ed25519, by the store.
    pub signature: [u8; 64],
}

impl Receipt {
    pub(crate) fn sign(tombstone: Tombstone, store: StoreId, seed: &SecretBytes<32>) -> Self {
        let horizon = next_monday(tombstone.day).plus(HORIZON_DAYS);
        let signature = Key::from_seed(seed).sign(&label::RECEIPT, &statement(&tombstone, horizon, store));
        Self { tombstone, horizon, signature }
    }

    /// Whether the store with this key has signed it.
    #[must_use]
    pub fn verify(&self, store: StoreId, key: &[u8; 32]) -> bool {
        let statement = statement(&self.tombstone, self.horizon, store);
        Standard::verify(key, &label::RECEIPT, &statement, &self.signature)
    }
}

pub(crate) fn public_key(seed: &SecretBytes<32>) -> [u8; 32] {
    Key::from_seed(seed).public()
}

fn statement(tombstone: &Tombstone, horizon: Day, store: StoreId) -> [u8; 56] {
    e2ee_core::array::concat(&[&store.0, &tombstone.mac, &tombstone.day.to_bytes(), &horizon.to_bytes()])
}

/// The next day on which wrap keys are rotated. 1970 began on a Thursday.
fn next_monday(day: Day) -> Day {
    day.plus(7_u32.saturating_sub(day.0.saturating_add(3) % 7))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn horizon_follows_the_next_rotation() {
        // 5 January 1970 was a Monday.
        assert_eq!(next_monday(Day(0)), Day(4));
        assert_eq!(next_monday(Day(3)), Day(4));
        assert_eq!(next_monday(Day(4)), Day(11));
    }

    #[test]
    fn receipts_are_verified() {
        let (tombstone, store) = (Tombstone { mac: [1; 32], day: Day(4) }, StoreId([2; 16]));
        let seed = SecretBytes::copy_of(&[3; 32]);
        let receipt = Receipt::sign(tombstone, store, &seed);
        let key = public_key(&seed);
        assert_eq!(receipt.horizon, Day(32));
        assert!(receipt.verify(store, &key));
        assert!(!receipt.verify(StoreId([4; 16]), &key));
        assert!(!Receipt { horizon: Day(31), ..receipt }.verify(store, &key));
    }
}
