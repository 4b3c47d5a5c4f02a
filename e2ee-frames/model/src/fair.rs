//! A call with an honest server: joins and leaves are reported to everyone in order, and messages arrive within
//! a bound, except for a few lost key batches and requests. Joins, leaves, mutes and losses end at some time; a while
//! later, all devices must read each other.

use crate::{
    device::{Action as Done, Device, Event},
    reception::Outcome,
    rules::{Batch, Id, Protocol, Time},
};
use stateright::{Model, Property};
use std::collections::BTreeSet;

/// A call to explore.
#[derive(Clone, Debug)]
pub struct Fair {
    /// The rules.
    pub protocol: Protocol,
    /// How many devices there are.
    pub devices: Id,
    /// How many of them are in the call from the start and know each other.
    pub present: Id,
    /// How many devices, the first ones, ever open a stream. The others make no keys, which bounds the exploration.
    pub senders: Id,
    /// Ticks that a message takes at most.
    pub delay: Time,
    /// From then on no one joins, leaves or mutes, and nothing is lost.
    pub quiet_from: Time,
    /// When all devices must read each other.
    pub ends_at: Time,
    /// Devices that leave.
    pub leaves: u8,
    /// Times that a stream opens or closes.
    pub switches: u8,
    /// Batches and requests that are lost.
    pub losses: u8,
    /// Times that a sender's connection is lost; its frames go on.
    pub outages: u8,
}

/// A message that the server carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// A device is in the call.
    Announce {
        /// Who.
        of: Id,
        /// Recipient.
        to: Id,
    },
    /// A device has left.
    Left {
        /// Who.
        of: Id,
        /// Recipient.
        to: Id,
    },
    /// A key.
    Keys(Batch),
    /// The server has accepted the keys of this device.
    Accepted {
        /// Recipient.
        to: Id,
    },
    /// A key is missing.
    Request {
        /// Who lacks it.
        by: Id,
        /// Whose it is.
        of: Id,
    },
}

impl Message {
    fn to(self) -> Id {
        match self {
            Self::Announce { to, .. } | Self::Left { to, .. } | Self::Accepted { to } => to,
            Self::Keys(batch) => batch.to,
            Self::Request { of, .. } => of,
        }
    }

    /// Whether it may be lost.
    fn fragile(self) -> bool {
        matches!(self, Self::Keys(_) | Self::Request { .. })
    }
}

/// A step of the exploration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// A device joins.
    Join(Id),
    /// A device leaves and does not return under the same identity.
    Leave(Id),
    /// A device mutes or unmutes.
    Switch(Id),
    /// A device loses its connection to the server.
    Detach(Id),
    /// It is connected again.
    Attach(Id),
    /// A message arrives.
    Deliver(Message),
    /// A message is lost.
    Lose(Message),
    /// Time passes, timers run, and every unmuted device sends every other a frame.
    Tick,
}

/// The call at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    now: Time,
    /// The devices in the call; the next to join is the first that was never in it.
    devices: Vec<Option<Device>>,
    joined: Id,
    /// With when it was sent, ascending.
    in_flight: Vec<(Message, Time)>,
    /// Pairs of reader and sender whose last frame opened.
    read: BTreeSet<(Id, Id)>,
    leaves: u8,
    switches: u8,
    losses: u8,
    outages: u8,
}

impl State {
    fn present(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().flatten()
    }

    fn ids(&self) -> Vec<Id> {
        self.present().map(|device| device.id).collect()
    }

    fn device(&mut self, id: Id) -> Option<&mut Device> {
        self.devices.get_mut(usize::from(id))?.as_mut()
    }

    fn send(&mut self, message: Message) {
        if self.device(message.to()).is_some() {
            let sent = (message, self.now);
            let index = self.in_flight.partition_point(|other| *other < sent);
            self.in_flight.insert(index, sent);
        }
    }

    fn handle(&mut self, call: &Fair, at: Id, event: Event) {
        let now = self.now;
        let Some(device) = self.device(at) else { return };
        let mut done = device.handle(&call.protocol_of(at), now, event);
        while call.outages == 0 && device.own.pending.as_ref().is_some_and(|pending| !pending.accepted) {
            done.extend(device.handle(&call.protocol_of(at), now, Event::Accepted));
        }
        self.carry_out(at, done);
        let waits = self.device(at).is_some_and(|device| device.own.pending.as_ref().is_some_and(|own| !own.accepted));
        let on_its_way = |(message, _): &(Message, Time)| *message == Message::Accepted { to: at };
        if waits && !self.in_flight.iter().any(on_its_way) {
            self.send(Message::Accepted { to: at });
        }
    }

    fn carry_out(&mut self, by: Id, done: Vec<Done>) {
        for done in done {
            match done {
                Done::SendKeys(batch) => self.send(Message::Keys(batch)),
                Done::RequestKeys(of) => self.send(Message::Request { by, of }),
                Done::Use(_) => {}
            }
        }
    }

    fn join(&mut self, call: &Fair, id: Id) {
        let others = self.ids();
        self.joined = id + 1;
        self.devices.push(Some(Device::joined(&call.protocol_of(id), id, self.now)));
        for other in others {
            self.send(Message::Announce { of: id, to: other });
            self.send(Message::Announce { of: other, to: id });
        }
    }

    fn leave(&mut self, id: Id) {
        if let Some(device) = self.devices.get_mut(usize::from(id)) {
            *device = None;
        }
        self.in_flight.retain(|(message, _)| message.to() != id);
        for other in self.ids() {
            self.send(Message::Left { of: id, to: other });
        }
    }

    fn deliver(&mut self, call: &Fair, message: Message) {
        let event = match message {
            Message::Announce { of, .. } => Event::Announced(of, 0),
            Message::Left { of, .. } => Event::Left(of),
            Message::Keys(batch) => Event::Keys(batch),
            Message::Accepted { .. } => Event::Accepted,
            Message::Request { by, .. } => Event::KeyRequest(by),
        };
        self.handle(call, message.to(), event);
    }

    fn tick(&mut self, call: &Fair) {
        self.now += 1;
        self.read.clear();
        let ids = self.ids();
        for id in &ids {
            self.handle(call, *id, Event::Tick);
        }
        let now = self.now;
        for from in &ids {
            let mut done = Vec::new();
            let Some(device) = self.device(*from) else { continue };
            let Some(frame) = device.seal(&call.protocol, now, &mut done) else { continue };
            self.carry_out(*from, done);
            for to in ids.iter().filter(|to| *to != from) {
                let Some(device) = self.device(*to) else { continue };
                if device.open(&call.protocol, now, frame) == Outcome::Opened {
                    self.read.insert((*to, *from));
                }
            }
        }
    }

    fn everyone_reads_everyone(&self) -> bool {
        let readers = |from: Id| self.present().map(|device| device.id).filter(move |id| *id != from);
        let senders = self.present().filter(|device| device.own.active).map(|device| device.id);
        senders.into_iter().all(|from| readers(from).all(|to| self.read.contains(&(to, from))))
    }
}

impl Fair {
    fn protocol_of(&self, id: Id) -> Protocol {
        Protocol { eager: self.protocol.eager && id < self.senders, ..self.protocol }
    }
}

impl Model for Fair {
    type State = State;
    type Action = Move;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            now: 0,
            devices: Vec::new(),
            joined: 0,
            in_flight: Vec::new(),
            read: BTreeSet::new(),
            leaves: 0,
            switches: 0,
            losses: 0,
            outages: 0,
        };
        (0..self.present).for_each(|id| state.join(self, id));
        while let Some((message, _)) = state.in_flight.pop() {
            state.deliver(self, message);
        }
        vec![state]
    }

    fn actions(&self, state: &State, moves: &mut Vec<Move>) {
        if state.now >= self.ends_at {
            return;
        }
        let lively = state.now < self.quiet_from;
        if lively && state.joined < self.devices {
            moves.push(Move::Join(state.joined));
        }
        if lively && state.leaves < self.leaves {
            moves.extend(state.present().map(|device| Move::Leave(device.id)));
        }
        if lively && state.switches < self.switches {
            let senders = state.present().map(|device| device.id).filter(|id| *id < self.senders);
            moves.extend(senders.map(Move::Switch));
        }
        for device in state.present() {
            if !device.attached {
                moves.push(Move::Attach(device.id));
            } else if lively && state.outages < self.outages && device.id < self.senders {
                moves.push(Move::Detach(device.id));
            }
        }
        let mut overdue = !lively && state.present().any(|device| !device.attached);
        for (message, sent) in &state.in_flight {
            let attached = state.present().any(|device| device.id == message.to() && device.attached);
            if !attached {
                continue;
            }
            overdue |= sent + self.delay <= state.now;
            // A leave does not overtake its announce, nor do keys overtake a leave.
            let waits = match *message {
                Message::Left { of, to } => {
                    state.in_flight.iter().any(|(other, _)| *other == Message::Announce { of, to })
                }
                Message::Keys(Batch { to, .. }) => state.in_flight.iter().any(|(other, before)| {
                    matches!(other, Message::Left { to: other, .. } if *other == to) && before <= sent
                }),
                _ => false,
            };
            if !waits {
                moves.push(Move::Deliver(*message));
            }
            if lively && message.fragile() && state.losses < self.losses {
                moves.push(Move::Lose(*message));
            }
        }
        if !overdue {
            moves.push(Move::Tick);
        }
        moves.dedup();
    }

    fn next_state(&self, last: &State, action: Move) -> Option<State> {
        let mut state = last.clone();
        match action {
            Move::Join(id) => state.join(self, id),
            Move::Leave(id) => {
                state.leaves += 1;
                state.leave(id);
            }
            Move::Switch(id) => {
                state.switches += 1;
                let active = state.device(id)?.own.active;
                state.handle(self, id, if active { Event::StreamClosed } else { Event::StreamOpened });
            }
            Move::Detach(id) => {
                state.outages += 1;
                state.handle(self, id, Event::Detached);
            }
            Move::Attach(id) => state.handle(self, id, Event::Attached),
            Move::Deliver(message) | Move::Lose(message) => {
                let index = state.in_flight.iter().position(|(other, _)| *other == message)?;
                state.in_flight.remove(index);
                if action == Move::Deliver(message) {
                    state.deliver(self, message);
                } else {
                    state.losses += 1;
                }
            }
            Move::Tick => state.tick(self),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            // Every run ends, and the end is in the state, so neither fairness nor paths matter.
            Property::always("in the end everyone reads everyone", |call: &Self, state: &State| {
                state.now < call.ends_at || state.everyone_reads_everyone()
            }),
            Property::sometimes("all devices are there, send and are read", |call: &Self, state: &State| {
                let all = state.present().count() == usize::from(call.devices - call.leaves);
                let senders = state.present().filter(|device| device.own.active).count();
                all && senders > 0 && state.now == call.ends_at && state.everyone_reads_everyone()
            }),
            Property::sometimes("a device does not read yet", |_, state: &State| {
                state.now > 0 && !state.everyone_reads_everyone()
            }),
            Property::sometimes("a request is on its way", |_, state: &State| {
                state.in_flight.iter().any(|(message, _)| matches!(message, Message::Request { .. }))
            }),
        ]
    }
}
