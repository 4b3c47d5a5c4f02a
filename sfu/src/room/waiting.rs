//! Packets that a room has taken in and not forwarded yet.

use std::time::Instant;

/// A packet in the store of its track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WaitingPacket {
    /// The track's place in the room.
    pub(super) track: usize,
    pub(super) index: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    packets: Vec<WaitingPacket>,
    /// When the first of them came.
    since: Option<Instant>,
}

impl Waiting {
    pub(super) fn push(&mut self, now: Instant, track: usize, index: u64) {
        self.since.get_or_insert(now);
        self.packets.push(WaitingPacket { track, index });
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }

    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// The track has gone, and its place may become another's.
    pub(super) fn forget_track(&mut self, track: usize) {
        self.packets.retain(|packet| packet.track != track);
        self.since = self.since.filter(|_| !self.packets.is_empty());
    }

    /// Takes all: the packets of one track are together then, in the order of their indices. `into` gets them, and its
    /// buffer is used for those that come.
    pub(super) fn take(&mut self, into: &mut Vec<WaitingPacket>) {
        into.clear();
        std::mem::swap(&mut self.packets, into);
        self.since = None;
        into.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_given_by_track_and_index() {
        let (mut waiting, mut taken, now) = (Waiting::default(), Vec::new(), Instant::now());
        for (track, index) in [(2, 7), (1, 9), (2, 6)] {
            waiting.push(now, track, index);
        }
        assert_eq!((waiting.len(), waiting.since()), (3, Some(now)));
        waiting.take(&mut taken);
        assert_eq!(
            taken.iter().map(|packet| (packet.track, packet.index)).collect::<Vec<_>>(),
            [(1, 9), (2, 6), (2, 7)]
        );
        assert_eq!((waiting.len(), waiting.since()), (0, None));
    }

    #[test]
    fn those_of_a_track_that_has_gone_are_forgotten() {
        let (mut waiting, mut taken, now) = (Waiting::default(), Vec::new(), Instant::now());
        waiting.push(now, 1, 1);
        waiting.push(now, 2, 1);
        waiting.forget_track(1);
        assert_eq!(waiting.since(), Some(now));
        waiting.forget_track(2);
        assert_eq!(waiting.since(), None);
        waiting.take(&mut taken);
        assert!(taken.is_empty());
    }
}
