//! What has been seen before, for as long as it could come again.

use crate::state::{Writer, read_list};
use alloc::vec::Vec;
use e2ee_core::{Primitives, Reader, Standard};

/// For how many days it is remembered: longer than the server keeps a message, and than others use a prekey.
const DAYS: u32 = 36;

/// Hashes of things and the days on which they came, oldest first.
#[derive(Default)]
pub(crate) struct Seen(Vec<(u32, [u8; 8])>);

fn short(thing: &[u8]) -> [u8; 8] {
    *e2ee_core::array::split::<8, 24, 32>(&Standard::digest(thing)).0
}

impl Seen {
    pub(crate) fn contains(&self, thing: &[u8]) -> bool {
        let hash = short(thing);
        self.0.iter().any(|(_, other)| *other == hash)
    }

    /// Remembers one, and of all no more than `limit`.
    pub(crate) fn insert(&mut self, thing: &[u8], today: u32, limit: usize) {
        self.0.retain(|(day, _)| today.saturating_sub(*day) <= DAYS);
        self.0.push((today, short(thing)));
        self.0.drain(..self.0.len().saturating_sub(limit));
    }

    /// Number that came on a day.
    pub(crate) fn on(&self, day: u32) -> usize {
        self.0.iter().filter(|(other, _)| *other == day).count()
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.list(&self.0, |writer, (day, hash)| {
            writer.u32(*day);
            writer.bytes(hash);
        });
    }

    pub(crate) fn read(reader: &mut Reader<'_>, limit: usize) -> Option<Self> {
        read_list(reader, limit, |reader| Some((reader.u32()?, reader.array()?))).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_remembered_until_they_are_too_old_or_too_many() {
        let mut seen = Seen::default();
        seen.insert(b"a", 100, 3);
        seen.insert(b"b", 100 + DAYS, 3);
        assert!(seen.contains(b"a") && seen.contains(b"b") && !seen.contains(b"c"));
        assert_eq!((seen.on(100), seen.on(101)), (1, 0));
        seen.insert(b"c", 101 + DAYS, 3);
        assert!(!seen.contains(b"a") && seen.contains(b"b"));
        for thing in [b"d", b"e"] {
            seen.insert(thing, 101 + DAYS, 3);
        }
        assert!(!seen.contains(b"b") && seen.contains(b"c"));
    }
}
