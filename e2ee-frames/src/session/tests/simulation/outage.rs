//! Connections to the server that are lost and come back, and key batches that the server has yet to accept.
//!
//! A device without connection goes on sealing and opening frames, but sends no message, which is asserted, and gets what
//! the server has for it when it is back. A server that has restarted has forgotten key batches and requests.

use super::{
    call::Call,
    millis,
    network::Message,
    slots::{Slot, Slots},
};
use crate::Event;
use alloc::vec::Vec;
use e2ee_core::Primitives;

/// A device without connection.
struct Outage {
    slot: Slot,
    until: u64,
    fresh: bool,
    missed: Vec<Message>,
}

/// A key batch that the server accepts at this time, if the connection lasts until then.
struct Unaccepted {
    slot: Slot,
    at: u64,
    number: u32,
    body: Vec<u8>,
}

#[derive(Default)]
pub(super) struct Outages {
    detached: Slots,
    outages: Vec<Outage>,
    unaccepted: Vec<Unaccepted>,
}

impl Outages {
    pub(super) fn detached(&self, slot: Slot) -> bool {
        self.detached.contains(slot)
    }

    /// When the next device is back, or the next batch accepted.
    pub(super) fn next(&self) -> u64 {
        let back = self.outages.iter().map(|outage| outage.until);
        let accepted = self.unaccepted.iter().filter(|batch| !self.detached(batch.slot)).map(|batch| batch.at);
        back.chain(accepted).min().unwrap_or(u64::MAX)
    }

    /// Keeps a message for a device without connection. Returns whether it has none.
    pub(super) fn miss(&mut self, slot: Slot, message: Message) -> bool {
        let outage = self.outages.iter_mut().find(|outage| outage.slot == slot);
        let kept = outage.map(|outage| outage.missed.push(message));
        kept.is_some()
    }
}

impl<P: Primitives> Call<P> {
    /// The server receives a key batch.
    pub(super) fn take_batch(&mut self, slot: Slot, number: u32, body: Vec<u8>) {
        self.note_keys(slot, &body);
        self.relay_batch(slot, number, body);
    }

    fn relay_batch(&mut self, slot: Slot, number: u32, body: Vec<u8>) {
        self.send_keys(slot, body.clone());
        let at = self.now() + self.network.acceptance();
        self.outages.unaccepted.push(Unaccepted { slot, at, number, body });
    }

    /// A device loses its connection for some time, unless it has lost it already.
    pub(super) fn detach(&mut self, slot: Slot, milliseconds: u64, fresh: bool) {
        if !self.outages.detached.insert(slot) {
            return;
        }
        say!(self, "{slot:?} is without connection for {milliseconds} ms");
        let until = self.now() + milliseconds;
        self.rosters_may_differ |= millis(self.scenario.timing.validity) < 100_000;
        self.event(slot, Event::Detached);
        self.ledger.outage(slot, self.network.now);
        self.outages.outages.push(Outage { slot, until, fresh, missed: Vec::new() });
    }

    /// A device is connected again, if it was not.
    pub(super) fn attach(&mut self, slot: Slot) {
        let Some(index) = self.outages.outages.iter().position(|outage| outage.slot == slot) else { return };
        let Outage { fresh, missed, .. } = self.outages.outages.swap_remove(index);
        self.outages.detached.remove(slot);
        say!(self, "{slot:?} is connected again");
        self.event(slot, Event::Attached { fresh });
        if fresh {
            self.event(slot, Event::Joined { seat: slot.seat() });
        }
        let now = self.now();
        let unaccepted = core::mem::take(&mut self.outages.unaccepted);
        let (again, others) = unaccepted.into_iter().partition(|batch| batch.slot == slot && batch.at <= now);
        self.outages.unaccepted = others;
        for Unaccepted { number, body, .. } in again {
            self.relay_batch(slot, number, body);
        }
        for message in missed {
            if let Message::Announce(number) = message {
                self.outlast(number);
            }
            let forgotten = fresh && matches!(message, Message::Keys { .. } | Message::Request(_));
            if !forgotten {
                self.deliver(slot, &[(now, message)]);
            }
        }
    }

    /// The announce of a device that has left arrives late, and counts from now on.
    fn outlast(&mut self, announce: u32) {
        let of = self.devices.iter().position(|device| device.announce == announce).map(Slot::of);
        if of.is_some_and(|slot| !self.present.contains(slot)) {
            self.ghosts_until = self.ghosts_until.max(self.now() + millis(self.scenario.timing.validity));
        }
    }

    /// Devices are back and batches accepted whose time has come.
    pub(super) fn reconnect(&mut self) {
        let now = self.now();
        while let Some(outage) = self.outages.outages.iter().find(|outage| outage.until <= now) {
            self.attach(outage.slot);
        }
        let detached = self.outages.detached;
        let due = |batch: &Unaccepted| batch.at <= now && !detached.contains(batch.slot);
        let accepted: Vec<_> = self.outages.unaccepted.extract_if(.., |batch| due(batch)).collect();
        for Unaccepted { slot, number, .. } in accepted {
            self.event(slot, Event::KeyBatchAccepted { number });
        }
    }
}
