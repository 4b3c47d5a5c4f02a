//! Random accounts and devices over a server that is rough or hostile: 2 to 6 accounts with 1 to 4 devices each.
//!
//! `SEEDS=1000 FIRST_SEED=5000 cargo test -p e2ee-messages --test simulation` runs others; `make simulate` runs many.
//!
//! Invariants, after every step:
//!
//! * what a device shows was written by that account, to its account, and is shown once;
//! * who is off a list shows nothing that was written after the writer knew that list;
//!
//! and at the end, when the server is honest again:
//!
//! * if it only delayed, doubled and reordered, every message has been shown by every device that was listed;
//! * whatever it did, and whatever copies were restored, new messages reach every device within a few exchanges.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod world;

use core::time::Duration;
use e2ee_identity::{AccountId, DevicePublic};
use e2ee_messages::{MessageId, Row};
use std::collections::{BTreeMap, BTreeSet};
use world::{DAY, World};

/// What a message was, and who was to read it.
struct Written {
    from: AccountId,
    device: DevicePublic,
    to: AccountId,
    text: String,
    readers: BTreeSet<DevicePublic>,
}

/// An old copy of a device's storage, with what the person had seen.
type Copy = (BTreeMap<Row, Vec<u8>>, Vec<(AccountId, MessageId, Vec<u8>)>);

struct Simulation {
    seed: u64,
    world: World,
    hostile: bool,
    written: BTreeMap<MessageId, Written>,
    copies: BTreeMap<DevicePublic, Copy>,
    /// Off their lists. They still open what they get hold of.
    removed: Vec<world::Device>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = world::Seeded::new(seed);
        let accounts = 2 + random.below(5);
        let devices: Vec<_> = (0..accounts).map(|_| 1 + random.below(4)).collect();
        Self {
            seed,
            world: World::new(seed, &devices),
            hostile: random.one_in(2),
            written: BTreeMap::new(),
            copies: BTreeMap::new(),
            removed: Vec::new(),
        }
    }

    fn any_device(&mut self) -> (usize, usize) {
        let account = self.world.random.below(self.world.devices.len());
        (account, self.world.random.below(self.world.devices[account].len()))
    }

    fn write(&mut self) {
        let (account, device) = self.any_device();
        let to = self.world.random.below(self.world.accounts.len());
        self.write_to((account, device), to);
    }

    fn write_to(&mut self, (account, device): (usize, usize), to: usize) -> MessageId {
        let text = format!("{} of seed {}", self.written.len(), self.seed);
        let own = self.world.devices[account][device].id();
        let id = self.world.write((account, device), to, &text).unwrap();
        let listed = self.world.accounts[to].certs.iter().map(|cert| cert.device);
        let readers = listed.filter(|device| *device != own).collect();
        let (from, to) = (self.world.accounts[account].id, self.world.accounts[to].id);
        self.written.insert(id, Written { from, device: own, to, text, readers });
        id
    }

    fn read(&mut self) {
        let (account, device) = self.any_device();
        let _ = self.world.read(account, device);
        if self.world.random.one_in(2) {
            self.world.heal(account, device);
        }
        self.check(account, device);
    }

    /// What a device shows is genuine, and is there once.
    fn check(&self, account: usize, device: usize) {
        let (own, device) = (self.world.accounts[account].id, &self.world.devices[account][device]);
        let mut ids = BTreeSet::new();
        for (from, id, body) in &device.shown {
            let written = self.written.get(id).unwrap_or_else(|| panic!("no one wrote that"));
            assert_eq!((written.from, written.to), (*from, own), "seed {}", self.seed);
            assert_eq!(written.text.as_bytes(), &body[..], "seed {}", self.seed);
            assert!(ids.insert(*id), "seed {}: {} is shown twice", self.seed, written.text);
        }
    }

    /// Delays, doubles and reorders what is on its way.
    fn disturb(&mut self) {
        let World { random, server, .. } = &mut self.world;
        let length = server.queue.len();
        if length < 2 {
            return;
        }
        let (a, b) = (random.below(length), random.below(length));
        server.queue.swap(a, b);
        if random.one_in(2) {
            let again = server.queue[random.below(length)].clone();
            server.queue.push(again);
        }
    }

    /// What only a hostile server does.
    fn attack(&mut self) {
        let World { random, server, .. } = &mut self.world;
        let length = server.queue.len();
        match random.below(7) {
            0 if length > 0 => drop(server.queue.swap_remove(random.below(length))),
            1 if length > 0 => {
                let outer = &mut server.queue[random.below(length)].outer;
                let bit = random.below(outer.len() * 8);
                outer[bit / 8] ^= 1 << (bit % 8);
            }
            2 if length > 1 => {
                let (a, b) = (random.below(length), random.below(length));
                let blob = server.queue[a].blob.clone();
                server.queue[b].blob = blob;
            }
            3 if length > 1 => {
                let (a, b) = (random.below(length), random.below(length));
                let to = server.queue[a].to;
                server.queue[b].to = to;
            }
            4 if !server.recorded.is_empty() => {
                let old = server.recorded[random.below(server.recorded.len())].clone();
                server.queue.push(old);
            }
            5 => {
                // One-time prekeys again, or none.
                let (account, device) = self.any_device();
                let device = self.world.devices[account][device].id();
                let shelf = self.world.server.shelves.entry(device).or_default();
                match shelf.one_time.front().cloned() {
                    Some(prekey) if self.world.random.one_in(2) => shelf.one_time.push_front(prekey),
                    _ => {
                        shelf.one_time.clear();
                        shelf.one_time_kem.clear();
                    }
                }
            }
            _ => self.leak(),
        }
    }

    /// A removed device gets hold of something on its way.
    fn leak(&mut self) {
        let now = self.world.now;
        let Some(thief) = self.removed.last_mut() else { return };
        for delivery in &self.world.server.queue {
            if let Ok(received) = thief.open(delivery, now) {
                let readers = self.written.get(&received.id).map(|written| &written.readers);
                assert!(readers.is_none_or(|readers| readers.contains(&thief.id())), "seed {}", self.seed);
            }
        }
    }

    /// A device ends and begins again; sometimes with an old copy.
    fn restart(&mut self) {
        let (account, device) = self.any_device();
        let contacts = self.world.contacts();
        let World { random, devices, .. } = &mut self.world;
        let device = &mut devices[account][device];
        if !self.hostile || random.one_in(2) {
            device.restart(&contacts);
            return;
        }
        match self.copies.remove(&device.id()) {
            None => drop(self.copies.insert(device.id(), (device.stored.clone(), device.shown.clone()))),
            Some((stored, shown)) => {
                (device.stored, device.shown) = (stored, shown);
                device.restart(&contacts);
                if random.one_in(2) {
                    device.messenger.distrust_state();
                }
            }
        }
    }

    fn change_devices(&mut self) {
        let account = self.world.random.below(self.world.devices.len());
        match self.world.devices[account].len() {
            1..4 if self.world.random.one_in(2) => self.world.add_device(account),
            2.. => {
                let device = self.world.random.below(self.world.devices[account].len());
                let removed = self.world.remove_device(account, device);
                self.copies.remove(&removed.id());
                // What waits for it is gone with its queue.
                self.world.server.queue.retain(|delivery| delivery.to != removed.id());
                self.removed.push(removed);
            }
            _ => {}
        }
    }

    fn pass_time(&mut self) {
        let hours = u32::try_from(self.world.random.below(12)).unwrap();
        self.world.now = self.world.now + hours * Duration::from_secs(3_600);
        if self.world.random.one_in(4) {
            let (account, device) = self.any_device();
            self.world.renew_prekeys(account, device);
        }
    }

    fn run(mut self) -> (bool, usize) {
        for _ in 0..120 {
            match self.world.random.below(12) {
                0..=4 => self.write(),
                5..=7 => self.read(),
                8 => self.disturb(),
                9 if self.hostile => self.attack(),
                9 => self.disturb(),
                10 => self.restart(),
                _ if self.world.random.one_in(5) => self.change_devices(),
                _ => self.pass_time(),
            }
        }
        // The server is honest now, and no more resets are due than a day allows.
        self.world.now = self.world.now + DAY;
        self.world.settle();
        let lost = self.check_all();
        assert!(self.hostile || lost == 0, "seed {}: {lost} messages are lost", self.seed);
        self.exchange_until_all_is_well();
        (self.hostile, self.written.len())
    }

    /// Number of messages that a device has not shown, of those that it was to read.
    fn check_all(&self) -> usize {
        // What had not come when its writer was removed is not heard.
        let is_heard = |written: &Written| self.removed.iter().all(|removed| removed.id() != written.device);
        let mut lost = 0;
        for (account, devices) in self.world.devices.iter().enumerate() {
            for (index, device) in devices.iter().enumerate() {
                self.check(account, index);
                let shown: BTreeSet<_> = device.shown.iter().map(|(_, id, _)| *id).collect();
                let addressed = self.written.iter().filter(|(_, written)| written.readers.contains(&device.id()));
                lost += addressed.filter(|(id, written)| is_heard(written) && !shown.contains(id)).count();
            }
        }
        lost
    }

    /// All write to all, until in one round everything is shown by all.
    fn exchange_until_all_is_well(&mut self) {
        for _ in 0..8 {
            let mut ids = Vec::new();
            for account in 0..self.world.devices.len() {
                for device in 0..self.world.devices[account].len() {
                    self.world.renew_prekeys(account, device);
                    for to in 0..self.world.accounts.len() {
                        ids.push(self.write_to((account, device), to));
                    }
                }
            }
            self.world.settle();
            self.check_all();
            let reached = |id: &MessageId| {
                let devices = self.world.devices.iter().flatten();
                let mut readers = devices.filter(|device| self.written[id].readers.contains(&device.id()));
                readers.all(|device| device.shown.iter().any(|(_, other, _)| other == id))
            };
            if ids.iter().all(reached) {
                return;
            }
            self.world.now = self.world.now + DAY;
        }
        panic!("seed {}: it does not heal", self.seed);
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

#[test]
fn messages_survive_rough_and_hostile_servers() {
    let (first, seeds) = (number("FIRST_SEED").unwrap_or(0), number("SEEDS").unwrap_or(3));
    let (mut hostile, mut messages) = (0, 0);
    for seed in first..first + seeds {
        let (was_hostile, written) = Simulation::new(seed).run();
        hostile += u64::from(was_hostile);
        messages += written;
    }
    println!("{seeds} seeds, {hostile} hostile, {messages} messages");
    assert!(first > 0 || (hostile > 0 && hostile < seeds));
}
