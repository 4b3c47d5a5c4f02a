//! Whether the others have the same roster: the rules of `session/agreement.rs`.
//!
//! What is reported to people is not part of the model, but a sender that differs is asked for its key.

use crate::{
    device::Device,
    rules::{Batch, Id, Protocol, Rosters, Time},
};
use std::collections::BTreeMap;

/// A sender whose last statement equals no roster of this device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Differing {
    stated: u32,
    ask_at: Time,
    asked: u8,
}

/// The rosters of a device, and the senders that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Agreement {
    now: u32,
    past: Vec<(u32, Time)>,
    differing: BTreeMap<Id, Differing>,
    /// When the newest statement of each sender was made.
    stated: BTreeMap<Id, Time>,
}

impl Agreement {
    fn forget(&mut self, tolerance: Time, now: Time) {
        self.past.retain(|(_, until)| until + tolerance > now);
    }
}

impl Device {
    /// The roster, one bit for each device.
    pub(crate) fn roster_bits(&self, protocol: &Protocol) -> u32 {
        let members = self.roster.keys().chain([&self.id]);
        if protocol.times.rosters.is_some() { members.map(|id| 1 << id).sum() } else { 0 }
    }

    pub(crate) fn roster_changed(&mut self, protocol: &Protocol, now: Time) {
        let Some(Rosters { rest }) = protocol.times.rosters else { return };
        let bits = self.roster_bits(protocol);
        let old = std::mem::replace(&mut self.agreement.now, bits);
        self.agreement.past.push((old, now));
        self.agreement.forget(protocol.times.life, now);
        self.agreement.differing.retain(|_, differing| {
            (differing.ask_at, differing.asked) = (now + rest, 0);
            differing.stated != bits
        });
    }

    pub(crate) fn stated_roster(&mut self, protocol: &Protocol, now: Time, batch: Batch) {
        let Some(Rosters { rest }) = protocol.times.rosters else { return };
        let newest = self.agreement.stated.entry(batch.from).or_default();
        if batch.made < *newest {
            return;
        }
        *newest = batch.made;
        self.agreement.forget(protocol.times.life, now);
        let stated = batch.roster;
        if stated == self.agreement.now || self.agreement.past.iter().any(|(past, _)| *past == stated) {
            self.agreement.differing.remove(&batch.from);
        } else {
            let new = Differing { stated, ask_at: now + rest, asked: 0 };
            self.agreement.differing.entry(batch.from).or_insert(new).stated = stated;
        }
    }

    pub(crate) fn no_longer_states(&mut self, id: Id) {
        self.agreement.differing.remove(&id);
    }

    pub(crate) fn ask_not_before(&mut self, protocol: &Protocol, now: Time) {
        let Some(Rosters { rest }) = protocol.times.rosters else { return };
        for differing in self.agreement.differing.values_mut() {
            differing.ask_at = differing.ask_at.max(now + rest);
        }
    }

    /// Wants keys of senders that differ, to see what they state now.
    pub(crate) fn compare_rosters(&mut self, protocol: &Protocol, now: Time) {
        let Some(Rosters { rest }) = protocol.times.rosters.filter(|_| self.reaches(protocol)) else { return };
        let mut ask: Vec<Id> = Vec::new();
        for (id, differing) in self.agreement.differing.iter_mut().filter(|(_, differing)| now >= differing.ask_at) {
            differing.asked = (differing.asked + 1).min(3);
            differing.ask_at = now + (rest << differing.asked);
            ask.push(*id);
        }
        for id in ask {
            self.want_known(now, id);
        }
    }
}
