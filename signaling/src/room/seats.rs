//! Seats: the numbers of devices in their SFrame key ids. The lowest free one is assigned. A seat rests for a minute after
//! it was left, so that a late frame of its last owner is not attributed to the next.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};
use tacet_proto::Seat;

/// Number of seats of a room: those that a key id can name.
pub(super) const SEATS: u16 = Seat::MAX.0 + 1;
/// How long a seat rests after it was left.
pub(super) const REST: Duration = Duration::from_secs(60);

/// The seats that are taken, and those that rest.
#[derive(Debug, Default)]
pub(super) struct Seats {
    unavailable: BTreeSet<u16>,
    resting: VecDeque<(Instant, u16)>,
}

impl Seats {
    /// Takes the lowest free seat; `None` if there is none.
    pub(super) fn take(&mut self, now: Instant) -> Option<Seat> {
        while let Some(&(since, seat)) = self.resting.front()
            && now.saturating_duration_since(since) >= REST
        {
            self.resting.pop_front();
            self.unavailable.remove(&seat);
        }
        let seat = (0..SEATS).find(|seat| !self.unavailable.contains(seat))?;
        self.unavailable.insert(seat);
        Some(Seat(seat))
    }

    /// Returns a seat.
    pub(super) fn leave(&mut self, now: Instant, seat: Seat) {
        self.resting.push_back((now, seat.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_seat_rests_for_a_minute() {
        let (mut seats, start) = (Seats::default(), Instant::now());
        assert_eq!([seats.take(start), seats.take(start), seats.take(start)], [0, 1, 2].map(|s| Some(Seat(s))));
        seats.leave(start, Seat(1));
        assert_eq!(seats.take(start + Duration::from_secs(59)), Some(Seat(3)));
        assert_eq!(seats.take(start + REST), Some(Seat(1)), "the lowest free seat again");
    }

    #[test]
    fn seats_are_those_that_a_kid_can_name() {
        let (mut seats, now) = (Seats::default(), Instant::now());
        assert_eq!((0..SEATS).filter_map(|_| seats.take(now)).count(), usize::from(SEATS));
        assert_eq!(seats.take(now), None);
    }
}
