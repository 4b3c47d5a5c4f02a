//! The end of a call: the network recovers, all participants open each other's frames, and no one else does.

use super::{
    call::Call,
    millis,
    slots::{Slot, Slots},
};
use crate::keys::sender::LIFE_AFTER_LEAVE;
use alloc::vec::Vec;
use e2ee_core::Primitives;

/// After this long on a good network, no key is in flight: two switch windows, a held frame.
const SETTLED_MS: u64 = 6_000;
/// Then a device that sees a frame without its key has the key within this time: the longest grace before a request
/// (1 s), or the longest back-off if it asked in vain before (4 s); then answers at most once a second, and 200 ms of
/// collecting.
const EVENTUALLY_MS: u64 = 6_000;

impl<P: Primitives> Call<P> {
    /// The network recovers, and soon all devices open each other's frames.
    pub(super) fn conclude(&mut self) {
        say!(self, "the weather clears up");
        self.network.clear_up();
        let present = self.present;
        present.iter().for_each(|slot| self.attach(slot));
        present.iter().for_each(|slot| self.microphone(slot, true));
        self.run(1_000);
        if self.feigned {
            self.run(self.network.notified_at.saturating_sub(self.now()) + millis(LIFE_AFTER_LEAVE) + 1_000);
            // Keys that were erased by a feigned leave are replaced by the owner's next generation.
            present.iter().for_each(|slot| {
                self.seal(slot);
            });
            let slot = self.random_participant();
            self.reload(slot);
            let newest = Slot((self.devices.len() - 1) as u8);
            self.microphone(newest, true);
        }
        let settled = self.now().max(self.ghosts_until).max(self.network.notified_at) + SETTLED_MS;
        self.run(settled - self.now());
        self.present_hears_present();
        for slot in self.present.iter() {
            let shown = self.devices[slot.index()].shown;
            assert_eq!(shown, self.present.without(slot), "{slot:?} does not show who is there");
        }
    }

    pub(super) fn present_hears_present(&mut self) {
        let since = self.now();
        let all = self.present;
        let mut deaf: Vec<(Slot, Slots)> = all.iter().map(|from| (from, all.without(from))).collect();
        let first = self.ledger.len() as u32;
        loop {
            for (from, listeners) in &mut deaf {
                let frame = self.seal(*from).unwrap();
                for to in listeners.iter() {
                    if self.open(to, frame) {
                        listeners.remove(to);
                    }
                }
            }
            deaf.retain(|(_, listeners)| !listeners.is_empty());
            if deaf.is_empty() {
                break;
            }
            assert!(self.now() < since + EVENTUALLY_MS, "streams still unheard, with their receivers: {deaf:?}");
            self.run(500);
        }
        self.network.statistics.slowest_ms = self.now() - since;
        let last = self.ledger.len() as u32;
        for gone in (0..self.devices.len()).map(Slot::of).filter(|slot| !all.contains(*slot)) {
            for frame in first..last {
                assert!(!self.open(gone, frame), "{gone:?} has gone and hears on");
            }
        }
    }
}
