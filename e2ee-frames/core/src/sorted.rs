//! A map in a sorted vector: for small sets, at a fifth of the code size of a B-tree in wasm.

use alloc::vec::Vec;
use core::cmp::Ordering;

/// Entries in ascending order of keys. A look-up is a binary search; insertion and removal move all later entries.
#[derive(Clone, Debug)]
pub struct SortedMap<K, V>(Vec<(K, V)>);

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn position(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.cmp(key))
    }

    /// The entry whose key compares as equal. `compare` must be consistent with the order of keys.
    pub fn find(&self, mut compare: impl FnMut(&K) -> Ordering) -> Option<(&K, &V)> {
        let index = self.0.binary_search_by(|(key, _)| compare(key)).ok()?;
        self.0.get(index).map(|(key, value)| (key, value))
    }

    /// Whether the key has a value.
    #[must_use]
    pub fn contains(&self, key: &K) -> bool {
        self.position(key).is_ok()
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.position(key).ok().and_then(|index| self.0.get(index)).map(|(_, value)| value)
    }

    /// The value of a key.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.position(key).ok().and_then(|index| self.0.get_mut(index)).map(|(_, value)| value)
    }

    /// Inserts a value unless the key has one.
    pub fn insert_new(&mut self, key: K, value: V) {
        self.get_or_insert_with(key, || value);
    }

    /// The value of a key, inserted if there is none.
    #[allow(clippy::indexing_slicing, reason = "the entry was just found or inserted")]
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let index = match self.position(&key) {
            Ok(index) => index,
            Err(index) => {
                self.0.insert(index, (key, make()));
                index
            }
        };
        &mut self.0[index].1
    }

    /// Removes a key and returns its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.position(key).ok().map(|index| self.0.remove(index).1)
    }

    /// Removes the entries for which `keep` returns false.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| keep(key, value));
    }

    /// All entries in ascending order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// All entries in ascending order of keys, with mutable values.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// All values in ascending order of keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// All values in ascending order of keys.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sorted_map_matches_btree_map(steps in proptest::collection::vec((any::<bool>(), 0u8..20, any::<u8>()), 0..200)) {
            let (mut ours, mut tree) = (SortedMap::default(), BTreeMap::new());
            for (insert, key, value) in steps {
                if insert {
                    ours.insert_new(key, value);
                    tree.entry(key).or_insert(value);
                } else {
                    prop_assert_eq!(ours.remove(&key), tree.remove(&key));
                }
                prop_assert_eq!(ours.get(&key), tree.get(&key));
                prop_assert_eq!(ours.find(|other| other.cmp(&key)), tree.get_key_value(&key));
                prop_assert_eq!(ours.len(), tree.len());
            }
            prop_assert!(ours.iter().eq(tree.iter()));
        }
    }
}
