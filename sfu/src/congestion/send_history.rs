//! What was sent to a client, and when: kept until its feedback reports it.
//!
//! ```text
//!   number of a packet    … 1019 | 1020 1021 1022 … 1083 | 1084 …
//!                       left it  |   ring of 64 entries  | not sent yet
//! ```
//! An entry has 8 bytes. The ring grows, up to a limit, only while packets leave it that feedback may still report.

use crate::{
    units::DataSize,
    wire::seq::{SeqNum, near},
};
use std::time::{Duration, Instant};

/// Entries of a new history: 100 ms of feedback and a round trip of 100 ms at 300 packets a second.
const INITIAL: usize = 64;
/// Maximum number of entries: the same at 20,000 packets a second.
const MAX: usize = 4_096;
/// A packet that was sent longer ago is not waited for: feedback comes several times a second.
const AWAITED: Duration = Duration::from_secs(1);
/// Unit of send times, in µs.
const TICK: u32 = 4;
/// Extended number of the first packet. Numbers of the cycle before are of packets that were never sent.
pub(super) const FIRST: u64 = 1 << 16;

/// A packet that feedback reports on for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SentPacket {
    pub(super) sent: Instant,
    /// On the wire.
    pub(super) size: DataSize,
    /// 0 if it was not sent to probe.
    pub(super) cluster: u16,
}

/// What the history has of a reported number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// It was sent.
    Sent(SentPacket),
    /// It has been reported before, or was sent before the history began.
    Settled,
    /// It left the ring before it was reported: more is under way than the longest history has room for.
    Overrun,
    /// No packet of this number was sent.
    Unknown,
}

/// Packets sent over one transport.
#[derive(Debug)]
pub(super) struct SendHistory {
    /// A power of two of entries, each at its number modulo that.
    ring: Vec<Entry>,
    /// Number of the first packet that was recorded.
    first: u64,
    /// Number of the next packet.
    next: u64,
    epoch: Instant,
    /// Send time of the last packet, and its ticks since the epoch.
    last: (Instant, u64),
    last_feedback: Instant,
    /// The highest number that has left the ring before it was reported, and the highest such number that was reported then.
    left: u64,
    overrun: u64,
}

/// Send time in ticks modulo 2³², size (14 bits), state (2 bits), cluster (16 bits).
#[derive(Clone, Copy, Debug, Default)]
struct Entry(u64);

/// What was reported of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Empty,
    Pending,
    Missing,
    Arrived,
}

impl Entry {
    const MAX_SIZE: u64 = (1 << 14) - 1;

    fn new(ticks: u64, size: DataSize, cluster: u16) -> Self {
        Self(ticks << 32 | size.bytes().min(Self::MAX_SIZE) << 18 | (State::Pending as u64) << 16 | u64::from(cluster))
    }

    fn ticks(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn size(self) -> DataSize {
        DataSize::from_bytes(self.0 >> 18 & Self::MAX_SIZE)
    }

    fn cluster(self) -> u16 {
        (self.0 & 0xffff) as u16
    }

    fn state(self) -> State {
        match self.0 >> 16 & 3 {
            0 => State::Empty,
            1 => State::Pending,
            2 => State::Missing,
            _ => State::Arrived,
        }
    }

    fn set_state(&mut self, state: State) {
        self.0 = self.0 & !(3 << 16) | (state as u64) << 16;
    }
}

impl SendHistory {
    /// An empty history, whose first packet will have the number `next`.
    pub(super) fn new(now: Instant, next: u64) -> Self {
        Self {
            ring: vec![Entry::default(); INITIAL],
            first: next,
            next,
            epoch: now,
            last: (now, 0),
            last_feedback: now,
            left: 0,
            overrun: 0,
        }
    }

    /// Records the next packet, of `size` on the wire.
    #[inline]
    pub(super) fn record(&mut self, now: Instant, size: DataSize, cluster: u16) {
        // The packets of a batch leave at the same time.
        if now != self.last.0 {
            self.last = (now, ticks(now.saturating_duration_since(self.epoch)));
        }
        let entry = Entry::new(self.last.1, size, cluster);
        let number = self.next;
        self.next = number + 1;
        let at = self.at(number);
        let Some(place) = self.ring.get_mut(at) else { return };
        let before = std::mem::replace(place, entry);
        if before.state() == State::Pending {
            self.leave(number, before);
        }
    }

    /// An entry that was not reported has made way for the packet `number`.
    #[cold]
    fn leave(&mut self, number: u64, before: Entry) {
        let (now, len) = (self.last.0, self.ring.len());
        let is_awaited = self.age(before) < AWAITED && now.saturating_duration_since(self.last_feedback) < AWAITED;
        let oldest = number - len as u64;
        if !is_awaited || len >= MAX {
            self.left = oldest;
            return;
        }
        let mut ring = vec![Entry::default(); 2 * len];
        let numbers = oldest..=number;
        for number in numbers {
            let entry = if number == oldest { Some(&before) } else { self.ring.get(self.at(number)) };
            let at = position(number, ring.len());
            if let (Some(entry), Some(place)) = (entry, ring.get_mut(at)) {
                *place = *entry;
            }
        }
        self.ring = ring;
    }

    /// Returns the packet that feedback means by a number. It is reported from now on.
    #[inline]
    pub(super) fn report(&mut self, seq: SeqNum, arrived: bool) -> Lookup {
        let number = near(self.next - 1, seq);
        if number >= self.next || number < FIRST {
            return Lookup::Unknown;
        }
        if number < self.first {
            return Lookup::Settled;
        }
        if self.next - number > self.ring.len() as u64 {
            if number > self.left || number <= self.overrun {
                return Lookup::Settled;
            }
            self.overrun = number;
            return Lookup::Overrun;
        }
        let at = self.at(number);
        let Some(entry) = self.ring.get_mut(at) else { return Lookup::Unknown };
        // A packet that was missing may arrive after all.
        match (entry.state(), arrived) {
            (State::Pending, false) => entry.set_state(State::Missing),
            (State::Pending | State::Missing, true) => entry.set_state(State::Arrived),
            (State::Empty | State::Missing | State::Arrived, _) => return Lookup::Settled,
        }
        let entry = *entry;
        let sent = self.last.0.checked_sub(self.age(entry)).unwrap_or(self.epoch);
        Lookup::Sent(SentPacket { sent, size: entry.size(), cluster: entry.cluster() })
    }

    /// Feedback has come.
    pub(super) fn on_feedback(&mut self, now: Instant) {
        self.last_feedback = now;
    }

    /// How long before the last packet an entry was sent.
    fn age(&self, entry: Entry) -> Duration {
        let ticks = ((self.last.1 & 0xffff_ffff) as u32).wrapping_sub(entry.ticks());
        Duration::from_micros(u64::from(ticks) * u64::from(TICK))
    }

    fn at(&self, number: u64) -> usize {
        position(number, self.ring.len())
    }
}

fn ticks(since_epoch: Duration) -> u64 {
    let of_second = since_epoch.subsec_nanos() / (TICK * 1_000);
    since_epoch.as_secs() * u64::from(1_000_000 / TICK) + u64::from(of_second)
}

fn position(number: u64, len: usize) -> usize {
    // Less than the length, which is a power of two.
    usize::try_from(number & (len as u64 - 1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::seq::low;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const SIZE: DataSize = DataSize::from_bytes(1_200);

    struct Sender {
        history: SendHistory,
        now: Instant,
        start: Instant,
    }

    impl Sender {
        fn new() -> Self {
            let start = Instant::now();
            Self { history: SendHistory::new(start, FIRST), now: start, start }
        }

        /// Sends packets one after another, `gap` apart. Returns the number of the last.
        fn send(&mut self, packets: u64, gap: Duration) -> u64 {
            for _ in 0..packets {
                self.now += gap;
                self.history.record(self.now, SIZE, 0);
            }
            self.history.next - 1
        }

        fn report(&mut self, number: u64, arrived: bool) -> Lookup {
            self.history.on_feedback(self.now);
            self.history.report(SeqNum(low(number)), arrived)
        }
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn packet_is_reported_with_its_time_and_size() {
        let mut sender = Sender::new();
        let first = sender.send(1, Duration::from_micros(1_003));
        sender.history.record(sender.now + 7 * MS, DataSize::from_bytes(333), 9);
        let packet = |micros, bytes, cluster| {
            let sent = sender.start + Duration::from_micros(micros);
            Lookup::Sent(SentPacket { sent, size: DataSize::from_bytes(bytes), cluster })
        };
        let (early, late) = (packet(1_003, 1_200, 0), packet(8_003, 333, 9));
        assert_eq!(sender.report(first + 1, false), late);
        assert_eq!(sender.report(first + 1, true), late, "it has arrived after all");
        assert_eq!(sender.report(first + 1, true), Lookup::Settled);
        assert_eq!(sender.report(first + 1, false), Lookup::Settled);
        assert_eq!(sender.report(first, true), early);
        assert_eq!(sender.report(first, false), Lookup::Settled);
    }

    #[test]
    fn numbers_that_were_never_sent_are_unknown() {
        let mut sender = Sender::new();
        let last = sender.send(3, MS);
        for number in [last + 1, last + 2, last + 32_767, FIRST - 1, FIRST - 30_000] {
            assert_eq!(sender.report(number, true), Lookup::Unknown, "{number}");
        }
    }

    #[test]
    fn numbers_before_the_history_are_settled() {
        let start = Instant::now();
        let mut history = SendHistory::new(start, FIRST + 70_000);
        assert_eq!(history.report(SeqNum(low(FIRST + 69_999)), true), Lookup::Settled);
        assert_eq!(history.report(SeqNum(low(FIRST + 70_000)), true), Lookup::Unknown);
        history.record(start, SIZE, 0);
        assert!(matches!(history.report(SeqNum(low(FIRST + 70_000)), true), Lookup::Sent(_)));
    }

    #[test]
    fn ring_grows_only_while_feedback_is_awaited() {
        let mut sender = Sender::new();
        sender.send(10_000, 20 * MS);
        assert_eq!(sender.history.ring.len(), INITIAL, "no feedback");
        let mut sender = Sender::new();
        for _ in 0..50 {
            let last = sender.send(100, 20 * MS);
            sender.report(last, true);
        }
        assert_eq!(sender.history.ring.len(), INITIAL, "what leaves it is over a second old");
        let mut sender = Sender::new();
        let first = sender.send(1, MS);
        sender.send(75, MS / 5);
        assert_eq!(sender.history.ring.len(), 2 * INITIAL);
        let Lookup::Sent(packet) = sender.report(first, true) else { panic!("it is kept") };
        assert_eq!(packet.sent, sender.start + MS);
        for number in first + 1..=first + 75 {
            let Lookup::Sent(packet) = sender.report(number, true) else { panic!("{number} is kept") };
            assert!(packet.sent > sender.start + MS);
        }
        sender.send(20_000, MS / 50);
        assert_eq!(sender.history.ring.len(), MAX);
    }

    #[test]
    fn numbers_that_left_the_ring_are_an_overrun_once() {
        let mut sender = Sender::new();
        let first = sender.send(1, MS);
        sender.report(first, true);
        let last = sender.send(2 * MAX as u64, MS / 50);
        assert_eq!(
            sender.report(first, true),
            Lookup::Overrun,
            "cannot be distinguished from one that was not reported"
        );
        assert_eq!(sender.report(first + 1, true), Lookup::Overrun);
        assert_eq!(sender.report(first + 1, true), Lookup::Settled);
        assert_eq!(sender.report(last - MAX as u64, false), Lookup::Overrun);
        assert_eq!(sender.report(first + 2, false), Lookup::Settled);
        assert!(matches!(sender.report(last - MAX as u64 + 1, true), Lookup::Sent(_)));
    }

    #[test]
    fn time_of_a_packet_survives_the_wrap_of_its_ticks() {
        let mut sender = Sender::new();
        sender.now += Duration::from_secs(17_179);
        let number = sender.send(1, MS);
        let sent = sender.now;
        sender.send(50, MS);
        assert_eq!(sender.report(number, true), Lookup::Sent(SentPacket { sent, size: SIZE, cluster: 0 }));
    }

    proptest! {
        /// Against a map of all packets: what is reported has its own time and size, once, or is no longer in the ring.
        #[test]
        fn history_agrees_with_a_map(
            steps in prop::collection::vec((0u64..60, 0u64..40_000, 0u64..1_500, -700i64..40, any::<bool>()), 1..150),
        ) {
            let mut sender = Sender::new();
            let mut pending = HashMap::new();
            for (packets, gap, bytes, reported, arrived) in steps {
                for _ in 0..packets {
                    sender.now += Duration::from_micros(gap / TICK as u64 * TICK as u64);
                    let size = DataSize::from_bytes(bytes);
                    pending.insert(sender.history.next, (sender.now, size));
                    sender.history.record(sender.now, size, 0);
                }
                let next = sender.history.next;
                let number = next.saturating_add_signed(reported);
                match sender.report(number, arrived) {
                    Lookup::Sent(packet) => {
                        let kept = pending[&number];
                        prop_assert_eq!((packet.sent, packet.size), kept);
                        if arrived { pending.remove(&number); }
                    }
                    Lookup::Unknown => prop_assert!(number >= next || number < FIRST),
                    Lookup::Overrun => prop_assert!(next - number > INITIAL as u64),
                    Lookup::Settled => {}
                }
            }
        }
    }
}
