//! What happens in a call: participants join, leave, reload and mute, and the server misbehaves.

use super::{
    call::Call,
    device::{Device, announces},
    millis,
    network::Message,
    scenario::Happening,
    slots::Slot,
};
use crate::{Event, StreamId};
use e2ee_core::Primitives;

const NAMES: [&str; 8] = ["Ada", "Bob", "Cem", "Dia", "Eve", "Fay", "Gus", "Hal"];
/// Until this time of the call, no announce is old enough to be refused.
const ANNOUNCE_COUNTS_MS: u64 = 10 * 60_000;

impl<P: Primitives> Call<P> {
    /// The devices join: some together, the others in groups while the first are already sending.
    pub(super) fn arrive(&mut self) {
        say!(self, "{} devices, {:?}, {:?}", self.scenario.devices, self.scenario.weather, self.scenario.timing);
        let mut group = self.scenario.together;
        while self.present.len() < self.scenario.devices.min(self.devices.len() + group) {
            let present = self.present.len();
            let group_end = (present + group).min(self.scenario.devices);
            (present..group_end).for_each(|_| self.join(None));
            self.pass_time();
            self.talk();
            group = 1 + self.dice.below(self.scenario.devices as u64) as usize;
        }
    }

    pub(super) fn live(&mut self) {
        while let Some(happening) = self.scenario.next(&mut self.dice, self.present.len()) {
            self.happen(happening);
            self.pass_time();
            self.talk();
        }
    }

    pub(super) fn pass_time(&mut self) {
        let gap = self.scenario.gap(&mut self.dice);
        self.run(gap);
    }

    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Join => self.join(None),
            Happening::SecondTab => {
                let name = self.random_participant();
                self.network.statistics.second_tabs += 1;
                self.join(Some(self.devices[name.index()].name));
            }
            Happening::Leave => {
                let slot = self.random_participant();
                self.network.statistics.leaves += 1;
                self.leave(slot, true);
            }
            Happening::HiddenLeave => {
                let slot = self.random_participant();
                self.network.statistics.hidden_leaves += 1;
                self.rosters_may_differ = true;
                self.leave(slot, false);
            }
            Happening::FeignedLeave => self.feign_leave(),
            Happening::Ghost => self.show_ghost(),
            Happening::Reload => {
                let slot = self.random_participant();
                self.reload(slot);
            }
            Happening::Mute => {
                let slot = self.random_participant();
                let on = !self.devices[slot.index()].microphone;
                self.network.statistics.mutes += 1;
                self.microphone(slot, on);
            }
            Happening::Camera => {
                let slot = self.random_participant();
                let on = !self.devices[slot.index()].camera;
                self.network.statistics.cameras += 1;
                self.camera(slot, on);
            }
            Happening::Partition => {
                let side = self.some_of(self.present);
                let milliseconds = 200 + self.dice.below(5_000);
                say!(self, "a partition for {milliseconds} ms: {side:?}");
                self.network.part(side, milliseconds);
            }
            Happening::Outage => {
                let slot = self.random_participant();
                let milliseconds = 1_000 + self.dice.below(59_000);
                self.network.statistics.outages += 1;
                self.detach(slot, milliseconds, false);
            }
            Happening::Restart => {
                say!(self, "the server restarts");
                self.network.statistics.restarts += 1;
                for slot in self.present.iter() {
                    let milliseconds = 500 + self.dice.below(5_000);
                    self.detach(slot, milliseconds, true);
                }
            }
            Happening::Replay => {
                say!(self, "the server replays");
                (0..10).for_each(|_| self.network.replay());
            }
            Happening::Withhold => {
                let from = self.some_of(self.present);
                let milliseconds = 1_000 + self.dice.below(100_000);
                let deliver = self.dice.percent(70);
                say!(
                    self,
                    "the server withholds keys from {from:?} for {milliseconds} ms, and delivers them then: {deliver}"
                );
                // What a sender states now may be withheld, too.
                self.rosters_may_differ |= milliseconds > 20_000;
                self.network.withhold(from, milliseconds, deliver);
            }
            Happening::Pause => {
                say!(self, "a long pause");
                let pause = self.scenario.pause();
                self.run(pause);
            }
        }
    }

    pub(super) fn join(&mut self, name: Option<&'static str>) {
        let slot = Slot::of(self.devices.len());
        let name = name.unwrap_or(NAMES[slot.index() % NAMES.len()]);
        let now = self.now();
        let (device, announce, display) = Device::new(&mut self.dice, name, self.scenario.timing, now);
        self.network.statistics.joins += 1;
        self.devices.push(device);
        self.deadlines.push(u64::MAX);
        self.network.connect();
        say!(self, "{slot:?} joins as {name}");
        let number = self.network.bodies.keep(announces(slot, &announce, &display));
        self.devices[slot.index()].announce = number;
        self.ledger.announced(slot, number, self.network.now);
        if self.dice.percent(self.scenario.microphone_percent) {
            self.microphone(slot, true);
        }
        self.event(slot, Event::Joined { seat: slot.seat() });
        for other in self.present.iter() {
            self.network.tell(other, slot, 0, Message::Announce(self.devices[other.index()].announce));
            self.network.tell(slot, other, 0, Message::Announce(number));
        }
        self.present.insert(slot);
        if self.dice.percent(self.scenario.camera_percent) {
            self.camera(slot, true);
        }
    }

    /// A device leaves. It keeps its keys, and the malicious server still delivers messages for its seat.
    pub(super) fn leave(&mut self, slot: Slot, announced: bool) {
        self.attach(slot);
        say!(self, "{slot:?} leaves{}", if announced { "" } else { ", unannounced" });
        self.microphone(slot, false);
        self.camera(slot, false);
        self.present.remove(slot);
        let runs_out = self.now().max(self.network.notified_at) + millis(self.scenario.timing.validity);
        self.last_left = Some((slot, self.present, runs_out));
        if announced {
            for other in self.present.iter() {
                self.network.tell(slot, other, 0, Message::Left(slot));
            }
        } else {
            self.ghosts_until = self.ghosts_until.max(runs_out);
        }
    }

    pub(super) fn reload(&mut self, slot: Slot) {
        self.network.statistics.reloads += 1;
        self.leave(slot, true);
        self.join(Some(self.devices[slot.index()].name));
    }

    pub(super) fn feign_leave(&mut self) {
        let slot = self.random_participant();
        let fooled = self.some_of(self.present.without(slot));
        say!(self, "the server tells {fooled:?} that {slot:?} has left, and shows it again");
        self.network.statistics.feigned_leaves += 1;
        self.feigned = true;
        self.rosters_may_differ = true;
        let back_after = self.dice.below(3_000);
        for other in fooled.iter() {
            self.network.tell(slot, other, 0, Message::Left(slot));
            let announce = Message::Announce(self.devices[slot.index()].announce);
            self.network.tell(slot, other, back_after, announce);
        }
    }

    /// The server shows a participant that has left again, to some who knew it. That does not extend its time.
    pub(super) fn show_ghost(&mut self) {
        let Some((gone, witnesses, runs_out)) = self.last_left else { return };
        if self.now() > ANNOUNCE_COUNTS_MS {
            return;
        }
        let fooled = self.some_of(self.present.and(witnesses));
        say!(self, "the server shows {gone:?} to {fooled:?}");
        self.network.statistics.ghosts += 1;
        self.rosters_may_differ = true;
        for other in fooled.iter() {
            self.network.tell(gone, other, 0, Message::Announce(self.devices[gone.index()].announce));
        }
        self.ghosts_until = self.ghosts_until.max(runs_out);
    }

    pub(super) fn microphone(&mut self, slot: Slot, on: bool) {
        if core::mem::replace(&mut self.devices[slot.index()].microphone, on) != on {
            self.stream(slot, StreamId::MICROPHONE, on);
        }
    }

    pub(super) fn camera(&mut self, slot: Slot, on: bool) {
        if core::mem::replace(&mut self.devices[slot.index()].camera, on) != on {
            self.stream(slot, StreamId::CAMERA, on);
        }
    }

    pub(super) fn stream(&mut self, slot: Slot, stream: StreamId, on: bool) {
        say!(self, "{slot:?} {} {stream:?}", if on { "opens" } else { "closes" });
        self.event(slot, if on { Event::StreamOpened(stream) } else { Event::StreamClosed(stream) });
    }
}
