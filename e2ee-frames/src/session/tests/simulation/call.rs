//! One call from its first join to its end, driven by a virtual clock that jumps from event to event.

use super::{
    super::world::Dice,
    device::Device,
    invariants::Ledger,
    network::{Message, Network},
    outage::Outages,
    report::Statistics,
    scenario::Scenario,
    slots::{Slot, Slots},
};
use crate::sframe::audit;
use alloc::vec::Vec;
use e2ee_core::Primitives;

/// Where the virtual clock starts.
const START_MS: u64 = 1_000;

pub(super) struct Call<P: Primitives> {
    pub(super) dice: Dice,
    pub(super) scenario: Scenario,
    pub(super) network: Network,
    pub(super) ledger: Ledger,
    pub(super) devices: Vec<Device<P>>,
    /// When each device's next tick is due.
    pub(super) deadlines: Vec<u64>,
    pub(super) present: Slots,
    /// Who left last, who had seen its last announce by then, and when that has run out for all of them.
    pub(super) last_left: Option<(Slot, Slots, u64)>,
    /// Until then a participant that has left may still be shown.
    pub(super) ghosts_until: u64,
    /// Whether keys were erased without their owner knowing.
    pub(super) feigned: bool,
    /// Whether the server shows different people to different devices, or announces run out during an outage.
    pub(super) rosters_may_differ: bool,
    pub(super) outages: Outages,
    pub(super) verbose: bool,
    pub(super) due: Vec<(u64, Message)>,
    pub(super) body: Vec<u8>,
}

/// Simulates the call of a seed with up to `most` devices.
pub(super) fn simulate<P: Primitives>(seed: u64, most: u64, verbose: bool) -> Statistics {
    audit::start();
    let mut call = Call::<P>::new(seed, most, verbose);
    call.arrive();
    call.live();
    call.conclude();
    assert_eq!(audit::stop(), call.ledger.len(), "every sealed frame had its own nonce");
    call.statistics()
}

impl<P: Primitives> Call<P> {
    fn new(seed: u64, most: u64, verbose: bool) -> Self {
        let mut dice = Dice(seed);
        let scenario = Scenario::draw(&mut dice, most);
        let network = Network::new(Dice(dice.next()), scenario.weather, START_MS);
        Self {
            dice,
            scenario,
            network,
            ledger: Ledger::default(),
            devices: Vec::new(),
            deadlines: Vec::new(),
            present: Slots::default(),
            last_left: None,
            ghosts_until: 0,
            feigned: false,
            rosters_may_differ: false,
            outages: Outages::default(),
            verbose,
            due: Vec::new(),
            body: Vec::new(),
        }
    }

    fn statistics(&self) -> Statistics {
        let mut statistics = self.network.statistics.clone();
        statistics.call_of(self.scenario.devices);
        statistics.sealed = self.ledger.len() as u64;
        statistics.opened = self.ledger.opened;
        statistics.simulated_ms = self.network.now - START_MS;
        statistics
    }

    pub(super) fn now(&self) -> u64 {
        self.network.now
    }

    pub(super) fn random_participant(&mut self) -> Slot {
        self.present.at(self.dice.below(self.present.len() as u64))
    }

    /// A random member of a set.
    pub(super) fn some_of(&mut self, slots: Slots) -> Slots {
        let chosen = self.dice.next();
        let mut some = Slots::default();
        slots.iter().enumerate().filter(|(index, _)| chosen >> (index % 64) & 1 == 1).for_each(|(_, slot)| {
            some.insert(slot);
        });
        some
    }
}
