//! The server and the network, both untrusted.
//!
//! Announces and leaves arrive in order, if the server sends them at all, and no key batch overtakes a leave that was
//! reported before. Key batches, key requests and frames are lost, duplicated and delayed at random, hence reordered; a
//! partition drops everything between its two sides. Everything may
//! be replayed later, including messages that were lost. Keys for some receivers may be withheld for a time, and then
//! delivered all at once, late, or never.
//!
//! Messages that arrive at one device at the same time are delivered together, as the server coalesces them.

use super::{
    super::world::Dice,
    report::Statistics,
    slots::{Slot, Slots},
};
use alloc::vec::Vec;

/// Impairments of traffic.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    pub(super) drop_percent: u64,
    pub(super) double_percent: u64,
    /// Longest random delay.
    pub(super) delay_ms: u64,
    /// Delays are multiples of it.
    pub(super) grain_ms: u64,
}

impl Weather {
    fn delay(self, dice: &mut Dice) -> u64 {
        if self.delay_ms == 0 { 0 } else { dice.below(self.delay_ms + 1) / self.grain_ms * self.grain_ms }
    }
}

/// A message in flight; bodies are in the [`Archive`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Message {
    Announce(u32),
    Left(Slot),
    Keys { batch: u32, entry: u16 },
    Request(u32),
    Frame(u32),
}

/// Bodies by number, kept for as long as the call is simulated.
#[derive(Default)]
pub(super) struct Archive(Vec<Vec<u8>>);

impl Archive {
    pub(super) fn keep(&mut self, body: Vec<u8>) -> u32 {
        self.0.push(body);
        self.0.len() as u32 - 1
    }

    pub(super) fn get(&self, number: u32) -> &[u8] {
        &self.0[number as usize]
    }
}

struct Inbox {
    messages: Vec<(u64, Message)>,
    /// Announces and leaves arrive no earlier than this: they stay in order.
    in_order: u64,
}

pub(super) struct Network {
    pub(super) now: u64,
    pub(super) weather: Weather,
    dice: Dice,
    /// One side of a partition, and when it ends.
    partition: (Slots, u64),
    /// Receivers from which keys are withheld, until when, and whether they are delivered then.
    withheld: (Slots, u64, bool),
    inboxes: Vec<Inbox>,
    /// When the next message arrives in each inbox.
    arrivals: Vec<u64>,
    pub(super) bodies: Archive,
    /// When the last announce or leave so far arrives.
    pub(super) notified_at: u64,
    /// All messages that could be lost, for replays.
    passed: Vec<(Slot, Message)>,
    pub(super) statistics: Statistics,
}

impl Network {
    pub(super) fn new(dice: Dice, weather: Weather, now: u64) -> Self {
        Self {
            now,
            weather,
            dice,
            partition: (Slots::default(), 0),
            withheld: (Slots::default(), 0, false),
            inboxes: Vec::new(),
            arrivals: Vec::new(),
            bodies: Archive::default(),
            notified_at: now,
            passed: Vec::new(),
            statistics: Statistics::default(),
        }
    }

    /// Another device is connected.
    pub(super) fn connect(&mut self) {
        self.inboxes.push(Inbox { messages: Vec::new(), in_order: 0 });
        self.arrivals.push(u64::MAX);
    }

    pub(super) fn part(&mut self, side: Slots, milliseconds: u64) {
        self.partition = (side, self.now + milliseconds);
        self.statistics.partitions += 1;
    }

    /// Keys for these receivers are withheld from now on.
    pub(super) fn withhold(&mut self, from: Slots, milliseconds: u64, deliver: bool) {
        self.withheld = (from, self.now + milliseconds, deliver);
    }

    /// From now on nothing is lost. Messages in flight still arrive.
    pub(super) fn clear_up(&mut self) {
        self.weather = Weather::default();
        self.partition.1 = self.now;
        self.withheld.1 = self.now;
    }

    fn apart(&self, from: Slot, to: Slot) -> bool {
        let (side, until) = self.partition;
        self.now < until && side.contains(from) != side.contains(to)
    }

    fn put(&mut self, to: Slot, at: u64, message: Message) {
        self.inboxes[to.index()].messages.push((at, message));
        let arrival = &mut self.arrivals[to.index()];
        *arrival = at.min(*arrival);
    }

    /// Sends an announce or a leave, after at least this time.
    pub(super) fn tell(&mut self, from: Slot, to: Slot, after: u64, message: Message) {
        let mut at = self.now + after + self.weather.delay(&mut self.dice) / 4;
        if self.apart(from, to) {
            at = at.max(self.partition.1);
        }
        let inbox = &mut self.inboxes[to.index()];
        inbox.in_order = inbox.in_order.max(at);
        let at = inbox.in_order;
        self.put(to, at, message);
        self.notified_at = self.notified_at.max(at);
    }

    /// Sends a message that may be lost.
    pub(super) fn send(&mut self, from: Slot, to: Slot, message: Message) {
        let Weather { drop_percent, double_percent, .. } = self.weather;
        self.passed.push((to, message));
        let (receivers, until, deliver) = self.withheld;
        if matches!(message, Message::Keys { .. }) && self.now < until && receivers.contains(to) {
            self.statistics.withheld += 1;
            if deliver {
                let at = until + self.dice.below(500);
                self.put(to, at.max(self.inboxes[to.index()].in_order), message);
            }
            return;
        }
        if self.apart(from, to) || drop_percent > 0 && self.dice.percent(drop_percent) {
            self.statistics.lost += 1;
            return;
        }
        let reported = match message {
            Message::Keys { .. } => self.inboxes[to.index()].in_order,
            _ => 0,
        };
        if double_percent > 0 && self.dice.percent(double_percent) {
            self.statistics.doubled += 1;
            let at = self.now + self.weather.delay(&mut self.dice);
            self.put(to, at.max(reported), message);
        }
        let delay = self.weather.delay(&mut self.dice);
        self.statistics.delayed += u64::from(delay > 0);
        self.put(to, (self.now + delay).max(reported), message);
    }

    /// How long the server takes to accept a key batch.
    pub(super) fn acceptance(&mut self) -> u64 {
        self.weather.delay(&mut self.dice) / 4
    }

    /// Replays a message to its recipient.
    pub(super) fn replay(&mut self) {
        if !self.passed.is_empty() {
            let (to, message) = self.passed[self.dice.below(self.passed.len() as u64) as usize];
            let at = self.now + self.dice.below(500);
            self.statistics.replayed += 1;
            self.put(to, at, message);
        }
    }

    /// When the next message arrives at each device.
    pub(super) fn arrivals(&self) -> &[u64] {
        &self.arrivals
    }

    /// Moves what has arrived at a device to `due`, in order of arrival.
    pub(super) fn arrived(&mut self, slot: Slot, due: &mut Vec<(u64, Message)>) {
        let now = self.now;
        let arrival = &mut self.arrivals[slot.index()];
        if *arrival > now {
            return;
        }
        *arrival = u64::MAX;
        self.inboxes[slot.index()].messages.retain(|message| {
            let later = message.0 > now;
            if later {
                *arrival = message.0.min(*arrival);
            } else {
                due.push(*message);
            }
            later
        });
        due.sort_by_key(|(at, _)| *at);
    }
}
