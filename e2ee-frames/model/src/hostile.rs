//! A call with a malicious server. It decides which joins and leaves are reported, and to which device, invents leaves and key requests,
//! and delivers every message at any time, any number of times, or never. It cannot create or alter announces, batches and
//! frames, but a member may collude: everything that was ever boxed for a device counts as known to it forever, and
//! such a device may forge frames under the keys it knows.
//!
//! This model checks safety: what is never read. Liveness depends on the server: see [`crate::fair`].

use crate::{
    device::{Action as Done, Device, Event},
    distribution::Which,
    reception::Outcome,
    rules::{Batch, Epoch, Frame, Id, Protocol, Time},
};
use stateright::{Model, Property};
use std::collections::{BTreeMap, BTreeSet};

/// First counter of forged frames, which no honest sender reaches here.
const FORGED: u8 = 32;

/// Bounds on each kind of step, and thus on the number of states.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Ticks of time.
    pub ticks: Time,
    /// Frames that a sender seals.
    pub frames: usize,
    /// Announces that reach a device.
    pub admissions: u8,
    /// Leaves that reach a device.
    pub dismissals: u8,
    /// Times that a stream opens or closes.
    pub switches: u8,
    /// Key requests that reach a sender.
    pub requests: u8,
    /// Frames that a member forges.
    pub forgeries: u8,
    /// Times that the sender's connection is lost or comes back.
    pub outages: u8,
    /// Leaves of devices that a receiver does not know, which reach it.
    pub unknown_leaves: u8,
}

/// A call to explore: device 0 sends.
#[derive(Clone, Debug)]
pub struct Hostile {
    /// The rules.
    pub protocol: Protocol,
    /// How many devices there are.
    pub devices: Id,
    /// Devices that handle keys and frames by the rules. The others only know what was boxed for them.
    pub receivers: Vec<Id>,
    /// The bounds of the exploration.
    pub limits: Limits,
    /// Whether timers run in the tick in which they are due. Otherwise a device may sleep.
    pub punctual: bool,
    /// Whether the server accepts every distribution at once. Otherwise it does so at some time, or never.
    pub accepting: bool,
}

/// A step of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// Delivers an announce.
    Admit {
        /// To this device.
        at: Id,
        /// Of this one.
        of: Id,
    },
    /// Reports that a device left.
    Dismiss {
        /// To this device.
        at: Id,
        /// Of this one.
        of: Id,
    },
    /// Reports to a receiver that a device left which it does not know.
    DismissUnknown(Id),
    /// Accepts the sender's distribution.
    Accept,
    /// Cuts the sender off.
    Detach,
    /// Lets the sender connect again.
    Attach,
    /// The sender unmutes.
    Open,
    /// The sender mutes.
    Close,
    /// The sender seals a frame.
    Seal,
    /// A key request in this device's name reaches the sender.
    Request(Id),
    /// Delivers a batch to its recipient.
    Keys(Batch),
    /// Delivers a frame.
    Frame {
        /// Which.
        frame: Frame,
        /// Recipient.
        to: Id,
    },
    /// A member and the server forge a frame of the sender's.
    Forge {
        /// Who knows the key.
        by: Id,
        /// The key.
        epoch: Epoch,
        /// Recipient.
        to: Id,
    },
    /// The sender runs its timers.
    Wake,
    /// Time passes.
    Tick,
}

/// Where a device stands with the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Presence {
    Never,
    OnRoster,
    /// Off the roster; what is sealed from this time on it must not read.
    Gone(Time),
}

/// A frame, and the devices that must not read it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Sealed {
    frame: Frame,
    not_yet_joined: Vec<Id>,
    gone: Vec<Id>,
}

/// Violations that are visible in a step rather than in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Wrong {
    CounterTwice,
    KeyToStranger,
    FrameTwice,
    ReplacedKeyOpened,
    DoomedKeyOpened,
    OldKeyOpened,
}

/// The call at one moment, with the history that the properties ask about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    now: Time,
    devices: Vec<Device>,
    given: BTreeSet<Batch>,
    frames: Vec<Sealed>,
    presence: Vec<Presence>,
    opened: BTreeSet<(Id, Frame)>,
    /// When a device first held a generation.
    held_since: BTreeMap<(Id, u16), Time>,
    /// When a generation that a device had at a leave must be dead.
    doomed: BTreeMap<(Id, u16), Time>,
    answered: bool,
    outages: u8,
    unknown_leaves: u8,
    admissions: u8,
    dismissals: u8,
    switches: u8,
    requests: u8,
    forgeries: u8,
    wrong: Option<Wrong>,
}

impl State {
    fn sender(&self) -> Option<&Device> {
        self.devices.first()
    }

    /// Whether a device can compute the key of a frame, whatever it should have forgotten.
    fn readable(&self, by: Id, frame: Frame) -> bool {
        self.given.iter().any(|batch| batch.to == by && batch.epoch.leads_to(frame.epoch))
    }

    fn read_by_any(&self, readers: impl Fn(&Sealed) -> &Vec<Id>) -> bool {
        self.frames.iter().any(|sealed| readers(sealed).iter().any(|id| self.readable(*id, sealed.frame)))
    }

    fn handle(&mut self, call: &Hostile, at: Id, event: Event) {
        let Some(device) = self.devices.get_mut(usize::from(at)) else { return };
        let holders: Vec<Id> =
            device.roster.keys().copied().filter(|id| device.believes_holder(*id).is_some()).collect();
        // The others have no stream, so their own keys do not matter here.
        let protocol = Protocol { eager: call.protocol.eager && at == 0, ..call.protocol };
        let mut done = device.handle(&protocol, self.now, event);
        while call.accepting && device.own.pending.as_ref().is_some_and(|pending| !pending.accepted) {
            done.extend(device.handle(&protocol, self.now, Event::Accepted));
        }
        self.note(at, &done, &holders);
    }

    fn note(&mut self, by: Id, done: &[Done], holders: &[Id]) {
        let Some(device) = self.devices.get(usize::from(by)) else { return };
        for done in done {
            if let Done::SendKeys(batch) = *done {
                if !device.roster.contains_key(&batch.to) {
                    self.wrong = Some(Wrong::KeyToStranger);
                }
                let again = !self.given.insert(batch);
                self.answered |= again && holders.contains(&batch.to);
            }
        }
    }

    fn seal(&mut self, call: &Hostile) -> Option<()> {
        let mut done = Vec::new();
        let sender = self.devices.first_mut()?;
        let frame = sender.seal(&call.protocol, self.now, &mut done)?;
        while call.accepting && sender.own.pending.as_ref().is_some_and(|pending| !pending.accepted) {
            done.extend(sender.handle(&call.protocol, self.now, Event::Accepted));
        }
        self.note(0, &done, &[]);
        if self.frames.iter().any(|sealed| sealed.frame == frame) {
            self.wrong = Some(Wrong::CounterTwice);
        }
        let those = |standing: &dyn Fn(Presence) -> bool| {
            (0..).zip(&self.presence).filter(|(_, presence)| standing(**presence)).map(|(id, _)| id).collect()
        };
        let not_yet_joined = those(&|presence| presence == Presence::Never);
        let gone = those(&|presence| matches!(presence, Presence::Gone(until) if self.now >= until));
        self.frames.push(Sealed { frame, not_yet_joined, gone });
        Some(())
    }

    fn open(&mut self, call: &Hostile, to: Id, frame: Frame) -> Option<()> {
        let device = self.devices.get_mut(usize::from(to))?;
        if device.open(&call.protocol, self.now, frame) != Outcome::Opened {
            // The server invents requests, so the requester does not matter.
            device.want_nothing();
            return Some(());
        }
        let since = self.held_since.range((to, frame.epoch.generation + 1)..=(to, u16::MAX));
        let longest = call.protocol.times.window + call.protocol.times.linger;
        if since.into_iter().any(|(_, since)| self.now >= since + longest) {
            self.wrong = Some(Wrong::ReplacedKeyOpened);
        }
        if self.doomed.get(&(to, frame.epoch.generation)).is_some_and(|at| self.now >= *at) {
            self.wrong = Some(Wrong::DoomedKeyOpened);
        }
        if self.death_of_given(call, to, frame.epoch.generation).is_some_and(|at| self.now >= at) {
            self.wrong = Some(Wrong::OldKeyOpened);
        }
        if frame.counter < FORGED && !self.opened.insert((to, frame)) {
            self.wrong = Some(Wrong::FrameTwice);
        }
        Some(())
    }

    /// When a generation that was sealed to a receiver is dead of age, or because its sender said so the last time. The server
    /// makes keys younger by as much as it held back the first announce.
    fn death_of_given(&self, call: &Hostile, to: Id, generation: u16) -> Option<Time> {
        let ages = call.protocol.times.ages?;
        let anchor = self.devices.get(usize::from(to))?.anchors.get(&0).copied().unwrap_or_default();
        let given = self.given.iter().filter(|batch| batch.to == to && batch.epoch.generation == generation);
        let last = given.max_by_key(|batch| batch.made)?;
        let life = if last.dying { ages.hard_life.min(call.protocol.times.life) } else { ages.hard_life };
        Some((last.made + anchor).saturating_add(life))
    }

    fn dismiss(&mut self, call: &Hostile, at: Id, of: Id) {
        if at == 0 {
            let window = call.protocol.times.window;
            let on_its_way = self.sender().is_some_and(|sender| sender.own.pending.is_some());
            let usual = if on_its_way { 2 * window } else { window };
            // A server that accepts nothing prolongs the life of keys, but not beyond its end.
            let prompt = call.accepting && call.limits.outages == 0;
            let until = self.now + if prompt { usual } else { call.protocol.times.life };
            if let Some(presence) = self.presence.get_mut(usize::from(of)) {
                *presence = Presence::Gone(until);
            }
        }
        self.doom(call, at);
        self.handle(call, at, Event::Left(of));
    }

    /// A device hears of a leave: what it has of the sender's keys must die.
    fn doom(&mut self, call: &Hostile, at: Id) {
        let Some(device) = self.devices.get(usize::from(at)).filter(|_| at != 0) else { return };
        for generation in device.live_generations(0) {
            self.doomed.entry((at, generation)).or_insert(self.now + call.protocol.times.life);
        }
        // So must what was sealed to it before and is still withheld, once it knows the sender's clock.
        let Some(ages) = call.protocol.times.ages else { return };
        let Some(anchor) = device.anchors.get(&0).copied() else { return };
        let before =
            |batch: &&Batch| batch.to == at && (batch.made + anchor).saturating_add(ages.heard_late) < self.now;
        for batch in self.given.iter().filter(before) {
            self.doomed.entry((at, batch.epoch.generation)).or_insert(self.now + call.protocol.times.life);
        }
    }
}

impl Model for Hostile {
    type State = State;
    type Action = Move;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            now: 0,
            devices: (0..self.devices).map(|id| Device::joined(&self.protocol, id, 0)).collect(),
            given: BTreeSet::new(),
            frames: Vec::new(),
            presence: vec![Presence::Never; usize::from(self.devices)],
            opened: BTreeSet::new(),
            held_since: BTreeMap::new(),
            doomed: BTreeMap::new(),
            answered: false,
            outages: 0,
            unknown_leaves: 0,
            admissions: 0,
            dismissals: 0,
            switches: 0,
            requests: 0,
            forgeries: 0,
            wrong: None,
        }]
    }

    fn actions(&self, state: &State, moves: &mut Vec<Move>) {
        let Some(sender) = state.sender() else { return };
        let limits = &self.limits;
        let mut pairs: Vec<(Id, Id)> = (1..self.devices).map(|of| (0, of)).collect();
        pairs.extend(self.receivers.iter().map(|at| (*at, 0)));
        // Devices that only know what they received are interchangeable, so they join in order.
        let passive = |id: &Id| !self.receivers.contains(id);
        let fresh = |id: &Id| state.presence.get(usize::from(*id)) == Some(&Presence::Never);
        let first_fresh = (1..self.devices).filter(passive).find(fresh);
        for (at, of) in pairs {
            let on_roster = state.devices.get(usize::from(at)).is_some_and(|device| device.roster.contains_key(&of));
            if on_roster && state.dismissals < limits.dismissals {
                moves.push(Move::Dismiss { at, of });
            }
            let in_order = at != 0 || !passive(&of) || !fresh(&of) || first_fresh == Some(of);
            if !on_roster && in_order && state.admissions < limits.admissions {
                moves.push(Move::Admit { at, of });
            }
        }
        if state.unknown_leaves < limits.unknown_leaves {
            moves.extend(self.receivers.iter().copied().map(Move::DismissUnknown));
        }
        if sender.own.pending.as_ref().is_some_and(|pending| !pending.accepted) {
            moves.push(Move::Accept);
        }
        if state.outages < limits.outages {
            moves.push(if sender.attached { Move::Detach } else { Move::Attach });
        }
        if state.switches < limits.switches {
            moves.push(if sender.own.active { Move::Close } else { Move::Open });
        }
        if sender.own.active && state.frames.len() < limits.frames {
            moves.push(Move::Seal);
        }
        if state.requests < limits.requests {
            moves.extend((1..self.devices).map(Move::Request));
        }
        for to in &self.receivers {
            // A batch that is held until an announce is equivalent to one that arrives later.
            let device = state.devices.get(usize::from(*to)).filter(|device| device.roster.contains_key(&0));
            let batches = state.given.iter().filter(|batch| device.is_some() && batch.to == *to);
            moves.extend(batches.map(|batch| Move::Keys(*batch)));
            moves.extend(state.frames.iter().map(|sealed| Move::Frame { frame: sealed.frame, to: *to }));
            if state.forgeries < limits.forgeries {
                for batch in state.given.iter().filter(|batch| batch.to != *to) {
                    for step in batch.epoch.step..self.protocol.sizes.steps {
                        moves.push(Move::Forge { by: batch.to, epoch: Epoch { step, ..batch.epoch }, to: *to });
                    }
                }
            }
        }
        moves.push(Move::Wake);
        if state.now < limits.ticks {
            moves.push(Move::Tick);
        }
    }

    fn next_state(&self, last: &State, action: Move) -> Option<State> {
        let mut state = last.clone();
        match action {
            Move::Admit { at, of } => {
                state.admissions += 1;
                if at == 0 {
                    *state.presence.get_mut(usize::from(of))? = Presence::OnRoster;
                }
                state.handle(self, at, Event::Announced(of, 0));
            }
            Move::Dismiss { at, of } => {
                state.dismissals += 1;
                state.dismiss(self, at, of);
            }
            Move::DismissUnknown(at) => {
                state.unknown_leaves += 1;
                state.doom(self, at);
                state.handle(self, at, Event::Left(Id::MAX));
            }
            Move::Accept => state.handle(self, 0, Event::Accepted),
            Move::Detach | Move::Attach => {
                state.outages += 1;
                state.handle(self, 0, if action == Move::Detach { Event::Detached } else { Event::Attached });
            }
            Move::Open | Move::Close => {
                state.switches += 1;
                state.handle(self, 0, if action == Move::Open { Event::StreamOpened } else { Event::StreamClosed });
            }
            Move::Seal => state.seal(self)?,
            Move::Request(by) => {
                state.requests += 1;
                state.handle(self, 0, Event::KeyRequest(by));
            }
            Move::Keys(batch) => {
                state.handle(self, batch.to, Event::Keys(batch));
                let generations = state.devices.get(usize::from(batch.to))?.live_generations(0);
                for generation in generations {
                    state.held_since.entry((batch.to, generation)).or_insert(state.now);
                }
            }
            Move::Frame { frame, to } => state.open(self, to, frame)?,
            Move::Forge { epoch, to, .. } => {
                let counter = FORGED + state.forgeries;
                state.forgeries += 1;
                state.open(self, to, Frame { from: 0, epoch, counter })?;
            }
            Move::Wake => state.handle(self, 0, Event::Tick),
            Move::Tick => {
                if self.punctual {
                    (0..self.devices).for_each(|id| state.handle(self, id, Event::Tick));
                }
                state.now += 1;
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("a device never reads a frame sealed before it joined", |_, state: &State| {
                !state.read_by_any(|sealed| &sealed.not_yet_joined)
            }),
            Property::always("a device that left reads nothing sealed after its windows", |_, state: &State| {
                !state.read_by_any(|sealed| &sealed.gone)
            }),
            Property::always("no key and counter seal two frames", |_, state: &State| {
                state.wrong != Some(Wrong::CounterTwice)
            }),
            Property::always("keys go only to roster members", |_, state: &State| {
                state.wrong != Some(Wrong::KeyToStranger)
            }),
            Property::always("who is booked as a holder was given the key", |_, state: &State| {
                let Some(sender) = state.sender() else { return false };
                let given = |id: &Id, epoch: Epoch| {
                    state.given.iter().any(|batch| batch.to == *id && batch.epoch.leads_to(epoch))
                };
                sender.roster.keys().all(|id| sender.believes_holder(*id).is_none_or(|epoch| given(id, epoch)))
            }),
            Property::sometimes("a leave comes while a generation is on its way", |_, state: &State| {
                let pending = state.sender().and_then(|sender| sender.own.pending.as_ref());
                pending.is_some_and(|pending| pending.again)
            }),
            Property::sometimes("a key is at its last step", |call: &Self, state: &State| {
                let epoch = state.sender().and_then(|sender| sender.own.epoch(Which::Current));
                epoch.is_some_and(|epoch| epoch.step + 1 == call.protocol.sizes.steps)
            }),
            Property::sometimes("a frame is sealed under a later generation", |_, state: &State| {
                state.frames.iter().any(|sealed| sealed.frame.epoch.generation > 0)
            }),
            Property::sometimes("a frame is not for a device that left", |_, state: &State| {
                state.frames.iter().any(|sealed| !sealed.gone.is_empty())
            }),
        ];
        if self.limits.requests > 0 {
            properties.push(Property::sometimes("a request is answered", |_, state: &State| state.answered));
        }
        if !self.receivers.is_empty() {
            properties.extend([
                Property::always("no device opens a frame twice", |_, state: &State| {
                    state.wrong != Some(Wrong::FrameTwice)
                }),
                Property::always("a replaced generation opens nothing after its time", |_, state: &State| {
                    state.wrong != Some(Wrong::ReplacedKeyOpened)
                }),
                Property::always("a key of before a leave opens nothing after its time", |_, state: &State| {
                    state.wrong != Some(Wrong::DoomedKeyOpened)
                }),
                Property::always("a generation opens nothing when it is old or was said to die", |_, state: &State| {
                    state.wrong != Some(Wrong::OldKeyOpened)
                }),
                Property::sometimes("every receiver opens the same frame", |call: &Self, state: &State| {
                    let by_all =
                        |sealed: &Sealed| call.receivers.iter().all(|id| state.opened.contains(&(*id, sealed.frame)));
                    state.frames.iter().any(by_all)
                }),
            ]);
        }
        properties
    }
}
