//! What waits, served in turn: after an object comes the one with the next higher key, and after the last one the first again.
//! So each object waits for every other one once at most, however often the others come again.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
};

/// Waiting objects by key: a sender, or an object of one.
#[derive(Debug)]
pub(super) struct RoundRobin<K, V> {
    waiting: BTreeMap<K, V>,
    /// Which was served last.
    last: Option<K>,
}

impl<K, V> Default for RoundRobin<K, V> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), last: None }
    }
}

impl<K: Copy + Ord, V> RoundRobin<K, V> {
    /// The object of a key, if it waits.
    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.waiting.get_mut(&key)
    }

    /// Whether an object of this key waits.
    pub(super) fn contains(&self, key: K) -> bool {
        self.waiting.contains_key(&key)
    }

    /// Lets an object wait, in place of an earlier one with its key.
    pub(super) fn insert(&mut self, key: K, object: V) {
        self.waiting.insert(key, object);
    }

    /// The object of a key, which is made if none waits.
    pub(super) fn or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        self.waiting.entry(key).or_default()
    }

    /// Removes an object before it is served.
    pub(super) fn remove(&mut self, key: K) -> Option<V> {
        self.waiting.remove(&key)
    }

    /// The key that comes next, among those that may go.
    pub(super) fn next(&self, may_go: impl Fn(&K, &V) -> bool) -> Option<K> {
        let after = self.last.map_or(Unbounded, Excluded);
        let mut upwards = self.waiting.range((after, Unbounded));
        let found = upwards.find(|(key, object)| may_go(key, object));
        let found = found.or_else(|| {
            let mut again = self.waiting.range((Unbounded, Included(self.last?)));
            again.find(|(key, object)| may_go(key, object))
        });
        found.map(|(key, _)| *key)
    }

    /// Notes which was served last, where its object goes on waiting.
    pub(super) fn served(&mut self, key: K) {
        self.last = Some(key);
    }

    /// Takes objects in turn, as long as the next one fits.
    pub(super) fn take(
        &mut self,
        may_go: impl Fn(&K, &V) -> bool,
        mut fits: impl FnMut(&K, &V) -> bool,
    ) -> Vec<(K, V)> {
        let mut taken = Vec::new();
        while let Some(key) = self.next(&may_go)
            && self.waiting.get(&key).is_some_and(|object| fits(&key, object))
            && let Some(object) = self.waiting.remove(&key)
        {
            self.served(key);
            taken.push((key, object));
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_is_served_although_others_come_again() {
        let mut waiting = RoundRobin::default();
        for key in [1, 5, 9] {
            waiting.insert(key, ());
        }
        let mut one = || {
            let mut space = 1;
            let taken = waiting.take(
                |_, ()| true,
                |_, ()| {
                    space -= 1;
                    space == 0
                },
            );
            let key = taken.first().map(|(key, ())| *key);
            key.into_iter().for_each(|key| waiting.insert(key, ()));
            key
        };
        assert_eq!([one(), one(), one(), one()], [Some(1), Some(5), Some(9), Some(1)]);
    }

    proptest! {
        /// An object waits for each other one at most once.
        #[test]
        fn no_object_waits_twice_for_another(keys in proptest::collection::btree_set(0u8..50, 2..50), first in any::<u8>()) {
            let mut waiting = RoundRobin { waiting: keys.iter().map(|key| (*key, ())).collect(), last: Some(first) };
            let mut order = Vec::new();
            for _ in 0..2 * keys.len() {
                let Some(key) = waiting.next(|_, ()| true) else { panic!("they all wait again") };
                waiting.served(key);
                order.push(key);
            }
            for window in order.windows(keys.len()) {
                let distinct: std::collections::BTreeSet<_> = window.iter().collect();
                prop_assert_eq!(distinct.len(), keys.len());
            }
        }
    }
}
