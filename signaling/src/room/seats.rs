//! Seats: the numbers of devices in their SFrame key ids. The lowest free one is assigned. A seat rests after it was left,
//! so that a late frame of its last owner is not attributed to the next, and so that no two tokens name the same seat.
//!
//! A server that has restarted does not know which seats are taken until their owners return. Newcomers get seats from the
//! top meanwhile, where hardly anyone sits.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};
use tacet_proto::Seat;

/// Number of seats of a room: those that a key id can name.
pub(super) const SEATS: u16 = Seat::MAX.0 + 1;
/// How long a seat rests after it was left: twice as long as a token is good for a seat.
pub(super) const REST: Duration = Duration::from_secs(120);

/// The seats that are taken, and those that rest.
#[derive(Debug, Default)]
pub(super) struct Seats {
    unavailable: BTreeSet<u16>,
    resting: VecDeque<(Instant, u16)>,
}

impl Seats {
    /// Takes the lowest free seat; `None` if there is none.
    pub(super) fn take(&mut self, now: Instant) -> Option<Seat> {
        self.wake(now);
        let seat = (0..SEATS).find(|seat| !self.unavailable.contains(seat))?;
        self.unavailable.insert(seat);
        Some(Seat(seat))
    }

    /// Takes the highest free seat that is not reserved; `None` if there is none.
    pub(super) fn take_from_top(&mut self, now: Instant, reserved: impl Fn(Seat) -> bool) -> Option<Seat> {
        self.wake(now);
        let free = |seat: &u16| !self.unavailable.contains(seat) && !reserved(Seat(*seat));
        let seat = (0..SEATS).rev().find(free)?;
        self.unavailable.insert(seat);
        Some(Seat(seat))
    }

    /// Takes this seat. Returns whether it was free.
    pub(super) fn claim(&mut self, now: Instant, seat: Seat) -> bool {
        self.wake(now);
        seat.0 < SEATS && self.unavailable.insert(seat.0)
    }

    /// Returns a seat that was claimed and never used.
    pub(super) fn unclaim(&mut self, seat: Seat) {
        self.unavailable.remove(&seat.0);
    }

    /// Returns a seat.
    pub(super) fn leave(&mut self, now: Instant, seat: Seat) {
        self.resting.push_back((now, seat.0));
    }

    fn wake(&mut self, now: Instant) {
        while let Some((_, seat)) =
            self.resting.pop_front_if(|(since, _)| now.saturating_duration_since(*since) >= REST)
        {
            self.unavailable.remove(&seat);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_seat_rests() {
        let (mut seats, start) = (Seats::default(), Instant::now());
        assert_eq!([seats.take(start), seats.take(start), seats.take(start)], [0, 1, 2].map(|s| Some(Seat(s))));
        seats.leave(start, Seat(1));
        let late = start + REST - Duration::from_secs(1);
        assert_eq!((seats.take(late), seats.claim(late, Seat(1))), (Some(Seat(3)), false));
        assert_eq!(seats.take(start + REST), Some(Seat(1)), "the lowest free seat again");
    }

    #[test]
    fn seats_are_those_that_a_kid_can_name() {
        let (mut seats, now) = (Seats::default(), Instant::now());
        assert_eq!((0..SEATS).filter_map(|_| seats.take(now)).count(), usize::from(SEATS));
        assert_eq!(seats.take(now), None);
        assert!(!seats.claim(now, Seat(SEATS)));
    }

    #[test]
    fn seats_from_the_top_leave_out_the_reserved() {
        let (mut seats, now) = (Seats::default(), Instant::now());
        assert!(seats.claim(now, Seat(SEATS - 1)) && !seats.claim(now, Seat(SEATS - 1)));
        assert_eq!(seats.take_from_top(now, |seat| seat.0 == SEATS - 2), Some(Seat(SEATS - 3)));
        seats.unclaim(Seat(SEATS - 1));
        assert_eq!(seats.take_from_top(now, |_| false), Some(Seat(SEATS - 1)));
    }
}
