//! Packets in flight, ordered by arrival time.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    time::Instant,
};

/// A queue by time; entries with the same time keep their order.
#[derive(Debug)]
pub(crate) struct UnderWay<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    order: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Instant,
    order: u64,
    item: T,
}

impl<T> UnderWay<T> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), order: 0 }
    }

    pub(crate) fn push(&mut self, at: Instant, item: T) {
        self.heap.push(Reverse(Entry { at, order: self.order, item }));
        self.order = self.order.wrapping_add(1);
    }

    /// When the next entry arrives.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// Removes and returns the next entry that has arrived by now.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<T> {
        self.next_at().filter(|at| *at <= now)?;
        self.heap.pop().map(|Reverse(entry)| entry.item)
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}
