//! What a slot sends first of a new speaker: the syllable before the decision.
//!
//! ```text
//!   packets of the track     soft  LOUD  LOUD          a position is taken with the second loud packet
//!   stored, not forwarded     ▲─────┘     │
//!   slot                     soft  LOUD  LOUD  …       begins 60 ms before it
//! ```

use crate::publisher::packet_store::PacketStore;
use std::time::{Duration, Instant};

/// How far back a slot begins: a loud packet before the decision, and two in which the syllable rose.
const REACH: Duration = Duration::from_millis(60);
/// Number of packets in that time, if each is 10 ms.
const MAX_PACKETS: u64 = 6;

/// The index of the oldest packet that is sent before the packet `first`, the newest one; `first` itself if there is none.
pub(crate) fn start(store: &mut PacketStore, now: Instant, first: u64) -> u64 {
    let mut is_recent = |index: &u64| store.get_mut(*index).is_some_and(|packet| packet.age(now) <= REACH);
    (first.saturating_sub(MAX_PACKETS)..first).find(|index| is_recent(index)).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        publisher::packet_store::{PacketMeta, StoreLimits},
        units::DataSize,
    };

    #[test]
    fn back_fill_is_what_arrived_in_the_last_60_ms() {
        let limits = StoreLimits::new(128, DataSize::from_bytes(10_000), Duration::from_millis(100));
        let (mut store, start_time) = (PacketStore::new(limits), Instant::now());
        let at = |ms| start_time + Duration::from_millis(ms);
        for index in 10..20 {
            store.insert(at(20 * index), index, &PacketMeta::default(), &[], b"");
        }
        assert_eq!(start(&mut store, at(380), 19), 16);
        assert_eq!(start(&mut store, at(390), 19), 17);
        assert_eq!(start(&mut store, at(10_000), 19), 19, "silence by DTX");
        assert_eq!(start(&mut store, at(0), 3), 3, "nothing is stored");
    }
}
