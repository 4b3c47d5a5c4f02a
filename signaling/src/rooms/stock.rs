//! The stock of rooms, which no one may empty: who may create a room, how long it waits for its first guest, and which one
//! goes when there is no space.
//!
//! | made by | waits for its first guest | without space for another |
//! |---|---|---|
//! | the operator, with the API key | as long as an unused room is kept | stays |
//! | the server, when it starts | as long, but only the last [`MAX_OF_STARTS`] of them | goes, the oldest first |
//! | anyone, on an open server | [`UNENTERED`] | goes, the oldest first |
//!
//! A room that someone has entered is kept as long as it is used, however it was made. One network has at most
//! [`UNENTERED_PER_NETWORK`] rooms that wait, and a tenth of the stock in all: for more, its own longest unused one goes. What
//! networks have made is known until the server stops.

use super::registry::{RoomRecord, Unentered};
use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, SystemTime},
};
use tacet_proto::RoomId;

/// How long a room that anyone has made waits for its first guest.
pub(crate) const UNENTERED: Duration = Duration::from_secs(15 * 60);
/// Maximum number of rooms of one network that wait for their first guest.
pub(crate) const UNENTERED_PER_NETWORK: usize = 20;
/// Maximum number of rooms that wait and were made by starts of the server, which may start again and again.
pub(crate) const MAX_OF_STARTS: usize = 8;
/// The part of the stock that one network may have.
const NETWORK_SHARE: usize = 10;

/// Who creates a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// Anyone who has the API key.
    Operator,
    /// The server itself, because it starts.
    Start,
    /// Anyone in this network: an IPv4 address, or the /56 of an IPv6 address.
    Anyone(IpAddr),
}

impl Maker {
    /// What a room of this maker waits for.
    pub(super) fn unentered(self) -> Option<Unentered> {
        match self {
            Self::Operator => None,
            Self::Start => Some(Unentered::OfStart),
            Self::Anyone(_) => Some(Unentered::OfAnyone),
        }
    }
}

/// How long a room is kept while it is not used.
pub(super) fn kept_for(unentered: Option<Unentered>, idle: Duration) -> Duration {
    match unentered {
        Some(Unentered::OfAnyone) => idle.min(UNENTERED),
        Some(Unentered::OfStart) | None => idle,
    }
}

/// What is to happen before a room is created.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Nothing.
    Free,
    /// This room of the same network goes first, unless it was entered meanwhile.
    InPlaceOf(RoomId),
    /// The network has too many rooms, until one of them is gone.
    Refused(Duration),
}

/// Which networks have made which rooms.
#[derive(Debug, Default)]
pub(super) struct Makers(HashMap<RoomId, IpAddr>);

impl Makers {
    /// Notes a new room.
    pub(super) fn made(&mut self, room: RoomId, network: IpAddr) {
        self.0.insert(room, network);
    }

    /// Whether a network may have one more room in a stock of this capacity.
    pub(super) fn admit(
        &mut self,
        network: IpAddr,
        now: SystemTime,
        capacity: usize,
        record: impl Fn(RoomId) -> Option<RoomRecord>,
    ) -> Admission {
        let (mut waiting, mut own) = (Vec::new(), Vec::new());
        self.0.retain(|room, maker| {
            let Some(record) = record(*room) else { return false };
            if *maker == network {
                if record.unentered.is_some() {
                    waiting.push(record.used);
                }
                own.push((record.used, *room, record.call.is_none()));
            }
            true
        });
        if waiting.len() >= UNENTERED_PER_NETWORK {
            let oldest = waiting.into_iter().min().unwrap_or(now);
            let age = now.duration_since(oldest).unwrap_or_default();
            return Admission::Refused(UNENTERED.saturating_sub(age));
        }
        if own.len() < (capacity / NETWORK_SHARE).max(UNENTERED_PER_NETWORK) {
            return Admission::Free;
        }
        let idle = own.into_iter().filter(|(.., idle)| *idle);
        match idle.min_by_key(|(used, ..)| *used) {
            Some((_, room, _)) => Admission::InPlaceOf(room),
            None => Admission::Refused(UNENTERED),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        access_hash::AccessHash,
        rooms::registry::{CallRecord, MemoryRegistry, Registry, RegistryError},
    };
    use tacet_proto::{CallId, bytes::Fixed};

    const MINUTE: Duration = Duration::from_secs(60);

    /// A stock with a clock.
    struct Stock {
        registry: MemoryRegistry,
        makers: Makers,
        now: SystemTime,
        rooms: u16,
    }

    impl Stock {
        fn new(capacity: usize) -> Self {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
            Self { registry: MemoryRegistry::new(capacity), makers: Makers::default(), now, rooms: 0 }
        }

        /// As `Rooms::create_by` does.
        fn create(&mut self, maker: Maker) -> Result<RoomId, &'static str> {
            if let Maker::Anyone(network) = maker {
                let record = |room| self.registry.get(room);
                match self.makers.admit(network, self.now, self.registry.capacity(), record) {
                    Admission::Free => {}
                    Admission::InPlaceOf(room) => assert!(self.registry.remove_idle(room).unwrap()),
                    Admission::Refused(_) => return Err("quota"),
                }
            }
            self.rooms += 1;
            let mut id = [0; 16];
            id[..2].copy_from_slice(&self.rooms.to_be_bytes());
            let room = RoomId(Fixed(id));
            let unentered = maker.unentered();
            let record = RoomRecord { unentered, used: self.now, ..RoomRecord::new(AccessHash::of(&[7; 32])) };
            let inserted = self.registry.insert(room, record.clone()).or_else(|error| match error {
                RegistryError::Full => {
                    self.registry.evict().unwrap().ok_or(RegistryError::Full)?;
                    self.registry.insert(room, record)
                }
                error => Err(error),
            });
            inserted.map_err(|_| "full")?;
            if let Maker::Anyone(network) = maker {
                self.makers.made(room, network);
            }
            Ok(room)
        }

        /// As the tasks of the rooms do.
        fn pass(&mut self, time: Duration, idle: Duration) {
            self.now += time;
            for room in self.registry.rooms() {
                let record = self.registry.get(room).unwrap();
                let unused = self.now.duration_since(record.used).unwrap();
                if record.call.is_none() && unused >= kept_for(record.unentered, idle) {
                    self.registry.remove(room).unwrap();
                }
            }
        }

        fn enter(&self, room: RoomId) {
            self.registry.update(room, &mut |record| record.enter(CallRecord::new(CallId(Fixed([1; 16]))))).unwrap();
        }

        fn leave(&self, room: RoomId) {
            self.registry.update(room, &mut |record| (record.call, record.used) = (None, self.now)).unwrap();
        }
    }

    fn network(number: u8) -> Maker {
        Maker::Anyone(IpAddr::from([192, 0, 2, number]))
    }

    #[test]
    fn one_network_cannot_keep_others_from_creating_rooms() {
        let (mut stock, idle) = (Stock::new(1_000), Duration::from_secs(7 * 24 * 3_600));
        // Ten a second, for a quarter of an hour.
        let made = (0..9_000).filter(|_| {
            stock.pass(Duration::from_millis(100), idle);
            stock.create(network(1)).is_ok()
        });
        assert!(made.count() <= 2 * UNENTERED_PER_NETWORK);
        for other in 2..50 {
            assert!(stock.create(network(other)).is_ok());
        }
    }

    #[test]
    fn network_that_enters_its_rooms_has_a_tenth_of_the_stock() {
        let mut stock = Stock::new(1_000);
        for _ in 0..5_000 {
            let room = stock.create(network(1)).unwrap();
            stock.enter(room);
            stock.leave(room);
            stock.now += Duration::from_secs(1);
        }
        assert_eq!(stock.registry.count(), 100);
        assert!(stock.create(network(2)).is_ok());
    }

    #[test]
    fn many_networks_evict_only_rooms_that_no_one_has_entered() {
        let mut stock = Stock::new(100);
        let planned = stock.create(Maker::Operator).unwrap();
        let entered = stock.create(network(1)).unwrap();
        stock.enter(entered);
        stock.leave(entered);
        let waiting = stock.create(network(1)).unwrap();
        for flooder in 2..=200 {
            for _ in 0..3 {
                stock.now += Duration::from_secs(1);
                assert!(stock.create(network(flooder)).is_ok());
            }
        }
        let kept = [planned, entered, waiting].map(|room| stock.registry.get(room).is_some());
        assert_eq!((kept, stock.registry.count()), ([true, true, false], 100));
        assert!(stock.create(Maker::Operator).is_ok(), "the operator has space, too");
    }

    #[test]
    fn unentered_room_of_anyone_lives_a_quarter_of_an_hour() {
        let (mut stock, idle) = (Stock::new(100), Duration::from_secs(7 * 24 * 3_600));
        let [open, start, planned, used] =
            [network(1), Maker::Start, Maker::Operator, network(1)].map(|maker| stock.create(maker).unwrap());
        stock.enter(used);
        stock.leave(used);
        stock.pass(14 * MINUTE, idle);
        assert_eq!(stock.registry.count(), 4);
        stock.pass(MINUTE, idle);
        let kept = [open, start, planned, used].map(|room| stock.registry.get(room).is_some());
        assert_eq!(kept, [false, true, true, true]);
        stock.pass(idle, idle);
        assert_eq!(stock.registry.count(), 0);
    }

    #[test]
    fn full_stock_of_used_rooms_refuses() {
        let mut stock = Stock::new(2);
        for _ in 0..2 {
            stock.create(Maker::Operator).unwrap();
        }
        assert_eq!(stock.create(network(1)), Err("full"));
    }
}
