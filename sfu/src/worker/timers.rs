//! Deadlines by key: at most one each, the earliest first.
//!
//! A binary heap that knows the place of each key, so that a deadline moves without leaving a stale entry behind, and
//! setting one allocates only while the number of keys grows.

use slotmap::{Key, SecondaryMap};
use std::time::Instant;

/// Deadlines of the things that `K` names.
#[derive(Debug)]
pub(super) struct Timers<K: Key> {
    heap: Vec<(Instant, K)>,
    places: SecondaryMap<K, usize>,
}

impl<K: Key> Default for Timers<K> {
    fn default() -> Self {
        Self { heap: Vec::new(), places: SecondaryMap::new() }
    }
}

impl<K: Key> Timers<K> {
    /// Number of keys that have a deadline.
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.first().map(|(at, _)| *at)
    }

    /// Sets, moves or, with `None`, clears the deadline of a key.
    pub(super) fn set(&mut self, key: K, at: Option<Instant>) {
        match (self.places.get(key).copied(), at) {
            (None, None) => {}
            (None, Some(at)) => {
                let place = self.heap.len();
                self.heap.push((at, key));
                self.places.insert(key, place);
                self.rise(place);
            }
            (Some(place), Some(at)) => {
                if let Some(entry) = self.heap.get_mut(place).filter(|entry| entry.0 != at) {
                    entry.0 = at;
                    let place = self.rise(place);
                    self.sink(place);
                }
            }
            (Some(place), None) => self.remove(place),
        }
    }

    /// Clears all deadlines until `now`, and appends their keys to `due`.
    pub(super) fn take_due(&mut self, now: Instant, due: &mut Vec<K>) {
        while let Some(&(at, key)) = self.heap.first() {
            if at > now {
                return;
            }
            self.remove(0);
            due.push(key);
        }
    }

    fn remove(&mut self, place: usize) {
        let Some(last) = self.heap.len().checked_sub(1) else { return };
        self.swap(place, last);
        if let Some((_, key)) = self.heap.pop() {
            self.places.remove(key);
        }
        if place < last {
            let place = self.rise(place);
            self.sink(place);
        }
    }

    /// Moves an entry up to its place; returns it.
    fn rise(&mut self, mut place: usize) -> usize {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.at(parent) <= self.at(place) {
                break;
            }
            self.swap(place, parent);
            place = parent;
        }
        place
    }

    /// Moves an entry down to its place.
    fn sink(&mut self, mut place: usize) {
        loop {
            let children = [2 * place + 1, 2 * place + 2];
            let earliest =
                children.into_iter().filter(|child| *child < self.heap.len()).min_by_key(|child| self.at(*child));
            let Some(child) = earliest.filter(|child| self.at(*child) < self.at(place)) else { return };
            self.swap(place, child);
            place = child;
        }
    }

    fn at(&self, place: usize) -> Option<Instant> {
        self.heap.get(place).map(|(at, _)| *at)
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        for place in [a, b] {
            if let Some(known) = self.heap.get(place).and_then(|(_, key)| self.places.get_mut(*key)) {
                *known = place;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use slotmap::{DefaultKey, SlotMap};
    use std::{collections::HashMap, time::Duration};

    proptest! {
        /// The heap agrees with a map that is searched.
        #[test]
        fn timers_match_a_searched_map(
            steps in prop::collection::vec((0usize..8, prop::option::of(0u64..100), any::<bool>()), 0..200),
        ) {
            let mut slots: SlotMap<DefaultKey, ()> = SlotMap::new();
            let keys: Vec<DefaultKey> = (0..8).map(|_| slots.insert(())).collect();
            let (mut timers, mut naive, start) = (Timers::default(), HashMap::new(), Instant::now());
            for (key, at, take) in steps {
                let at = at.map(|ms| start + Duration::from_millis(ms));
                if take {
                    let (now, mut due) = (at.unwrap_or(start), Vec::new());
                    timers.take_due(now, &mut due);
                    let mut expected: Vec<_> =
                        naive.iter().filter(|(_, at)| **at <= now).map(|(key, at)| (*at, *key)).collect();
                    expected.sort();
                    let mut times: Vec<_> = due.iter().map(|key| (naive[key], *key)).collect();
                    prop_assert!(times.is_sorted_by_key(|(at, _)| *at));
                    times.sort();
                    prop_assert_eq!(times, expected);
                    naive.retain(|_, at| *at > now);
                } else {
                    timers.set(keys[key], at);
                    match at {
                        Some(at) => naive.insert(keys[key], at),
                        None => naive.remove(&keys[key]),
                    };
                }
                prop_assert_eq!((timers.len(), timers.next()), (naive.len(), naive.values().min().copied()));
            }
        }
    }
}
