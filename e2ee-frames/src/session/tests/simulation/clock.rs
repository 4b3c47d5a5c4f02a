//! Time passes: devices wake, handle what has arrived, and their actions are carried out.

use super::{
    call::Call,
    device::announces,
    millis,
    network::Message,
    slots::{Slot, Slots},
};
use crate::{
    Action, Event, Problem, Seat,
    keys::{
        batch::{ENTRY_BYTES, HEADER_BYTES},
        receiver::LINGER,
        sender::LIFE_AFTER_LEAVE,
    },
    session::distribution::switch_window,
};
use alloc::vec::Vec;
use e2ee_core::Primitives;
use media_types::key_exchange::WANTED_KEY_BYTES;

/// How long frames are held for their key.
const HELD_MS: u64 = 1_000;
/// Where the generation stands in the header of a batch.
const GENERATION_AT: usize = 60;
/// Maximum number of bodies that the server puts in one message.
const COALESCED: usize = 63;

impl<P: Primitives> Call<P> {
    /// Lets time pass.
    pub(super) fn run(&mut self, milliseconds: u64) {
        let end = self.now() + milliseconds;
        loop {
            let wakes = self.deadlines.iter().chain(self.network.arrivals());
            let next = wakes.copied().min().unwrap_or(u64::MAX).min(self.outages.next());
            if next > end {
                break;
            }
            self.network.now = self.now().max(next);
            self.reconnect();
            for index in 0..self.devices.len() {
                if self.deadlines[index].min(self.network.arrivals()[index]) <= self.now() {
                    self.step(Slot(index as u8));
                }
            }
        }
        self.network.now = end;
    }

    /// A device handles what has arrived, and its timers run.
    pub(super) fn step(&mut self, slot: Slot) {
        let now = self.now();
        let mut due = core::mem::take(&mut self.due);
        self.network.arrived(slot, &mut due);
        let mut rest = due.as_slice();
        while let Some((_, first)) = rest.first() {
            let alike = |(_, other): &&(u64, Message)| core::mem::discriminant(other) == core::mem::discriminant(first);
            let count = rest.iter().take_while(alike).take(COALESCED).count();
            let (together, others) = rest.split_at(count);
            self.deliver(slot, together);
            rest = others;
        }
        due.clear();
        self.due = due;
        if self.deadlines[slot.index()] <= now {
            self.event(slot, Event::Tick);
            assert!(self.deadlines[slot.index()] > now, "a timer of {slot:?} stays due");
        }
    }

    /// Delivers messages of one kind together.
    pub(super) fn deliver(&mut self, slot: Slot, together: &[(u64, Message)]) {
        if !matches!(together[0].1, Message::Frame(_)) && self.outages.detached(slot) {
            together.iter().for_each(|(_, message)| {
                self.outages.miss(slot, *message);
            });
            return;
        }
        let mut body = core::mem::take(&mut self.body);
        body.clear();
        body.push(together.len() as u8);
        match together[0].1 {
            Message::Announce(_) => {
                for (_, message) in together {
                    if let Message::Announce(number) = message {
                        self.ledger.announce_seen(slot, *number, self.network.now);
                        body.extend_from_slice(self.network.bodies.get(*number));
                    }
                }
                self.event(slot, Event::Announces(&body));
            }
            Message::Keys { .. } => {
                for (_, message) in together {
                    if let Message::Keys { batch, entry } = message {
                        let (header, entries) = self.network.bodies.get(*batch).split_at(HEADER_BYTES);
                        body.extend_from_slice(header);
                        body.extend_from_slice(&entries[usize::from(*entry) * ENTRY_BYTES..][..ENTRY_BYTES]);
                    }
                }
                self.event(slot, Event::Keys(&body));
            }
            Message::Request(_) => {
                for (_, message) in together {
                    if let Message::Request(number) = message {
                        body.clear();
                        body.extend_from_slice(self.network.bodies.get(*number));
                        self.event(slot, Event::KeyRequest(&body));
                    }
                }
            }
            Message::Left(_) => {
                for (_, message) in together {
                    if let Message::Left(gone) = message {
                        let now = self.now();
                        self.ledger.left(slot, now);
                        self.event(slot, Event::Left(&[gone.participant()]));
                    }
                }
            }
            Message::Frame(_) => {
                for (_, message) in together {
                    if let Message::Frame(number) = message {
                        self.open(slot, *number);
                    }
                }
            }
        }
        self.body = body;
    }

    pub(super) fn event(&mut self, slot: Slot, event: Event<'_>) {
        let now = self.now();
        let device = &mut self.devices[slot.index()];
        let on_its_way = device.session.own.key.next().map(|next| next.use_at.as_millis());
        let (clock, leave) = (device.clock(now), matches!(event, Event::Left(_)));
        let shown = device.shown.len();
        device.session.handle(clock, event).unwrap();
        self.drain(slot, on_its_way);
        if !leave && self.present.contains(slot) {
            self.network.statistics.expired += shown.saturating_sub(self.devices[slot.index()].shown.len()) as u64;
        }
    }

    /// Carries out the actions of a device. `on_its_way`: when the next key was due before the event.
    pub(super) fn drain(&mut self, slot: Slot, on_its_way: Option<u64>) {
        let now = self.now();
        let mut installed = Slots::default();
        while let Some(action) = self.devices[slot.index()].session.poll() {
            match action {
                Action::SendAnnounce { first, announce, display } => {
                    assert!(!self.outages.detached(slot), "nothing is sent without a connection");
                    let _ = first;
                    if self.present.contains(slot) {
                        let number = self.network.bodies.keep(announces(slot, &announce, &display));
                        self.devices[slot.index()].announce = number;
                        self.ledger.announced(slot, number, now);
                        for other in self.present.without(slot).iter() {
                            self.network.tell(slot, other, 0, Message::Announce(number));
                        }
                    }
                }
                Action::SendKeyBatch { number, body } => {
                    assert!(!self.outages.detached(slot), "nothing is sent without a connection");
                    self.take_batch(slot, number, body);
                }
                Action::SendKeyRequest(wanted) => {
                    assert!(!self.outages.detached(slot), "nothing is sent without a connection");
                    self.send_request(slot, &wanted);
                }
                Action::ParticipantVerified { participant, seat, name } => {
                    let other = Slot::of_participant(participant);
                    assert_eq!(seat, other.seat());
                    let number = name.strip_prefix(self.devices[other.index()].name).unwrap();
                    assert!(number.is_empty() || number.trim_start().parse::<u32>().unwrap() > 1, "{name}");
                    assert!(self.devices[slot.index()].shown.insert(other), "{other:?} is shown already");
                }
                Action::ParticipantRemoved { participant } => {
                    let other = Slot::of_participant(participant);
                    say!(self, "{slot:?} removes {other:?}");
                    assert!(self.devices[slot.index()].shown.remove(other), "{other:?} is not shown");
                    let window = millis(switch_window(self.scenario.devices));
                    let accepted = 2 * self.network.weather.delay_ms.div_ceil(4);
                    let usual = on_its_way.unwrap_or(now).max(now) + window + accepted;
                    let offline = now + millis(LIFE_AFTER_LEAVE);
                    self.ledger.removed(slot, other, if self.outages.detached(slot) { offline } else { usual });
                }
                Action::StreamReady { .. } => self.devices[slot.index()].ready = true,
                Action::KeyInstalled { participant, .. } => {
                    let sender = Slot::of_participant(participant);
                    installed.insert(sender);
                    let roster = &mut self.devices[slot.index()].session.roster;
                    let join_id = roster.get(participant).unwrap().join_id;
                    let (epoch, _) = roster.record(&join_id).last_key.unwrap();
                    let dead_at = now + millis(switch_window(self.scenario.devices) + LINGER);
                    self.ledger.key_taken(sender, slot, epoch.generation, dead_at);
                }
                Action::Problem { problem: Problem::KeyMissing, .. } => {
                    self.network.statistics.missing_reported += 1;
                }
                Action::Problem { participant, problem: Problem::RosterDiffers } if self.rosters_may_differ => {
                    say!(self, "{slot:?} reports that {participant:?} has another roster");
                    self.network.statistics.differing_reported += 1;
                }
                Action::Problem { participant, problem } => {
                    panic!("{slot:?} reports {problem:?} of {participant:?}");
                }
                Action::ProblemSolved { .. } | Action::CallCodeChanged(_) => {}
                Action::Ended(reason) => panic!("{slot:?} has ended: {reason:?}"),
                Action::SendChat { .. } | Action::ChatReceived { .. } => panic!("{slot:?} says nothing"),
                Action::GenerationChanged { generation, step } => {
                    say!(self, "{slot:?} uses generation {generation} step {step}");
                    self.network.statistics.generations += u64::from(step == 0);
                    self.network.statistics.ratchets += u64::from(step > 0);
                    self.ledger.epoch(slot, (generation, step));
                }
            }
        }
        let device = &mut self.devices[slot.index()];
        self.deadlines[slot.index()] = device.deadline();
        if !installed.is_empty() && !device.held.is_empty() {
            for number in core::mem::take(&mut device.held) {
                let frame = self.ledger.frame(number);
                if installed.contains(frame.sender) {
                    self.open(slot, number);
                } else if now < frame.at + HELD_MS {
                    self.devices[slot.index()].hold(number);
                }
            }
        }
    }

    /// Keys are sealed to devices that the sender shows. Some of them may have left when a batch is sent again.
    pub(super) fn note_keys(&mut self, slot: Slot, body: &[u8]) {
        // A device that has left may still send requests, which the server drops.
        if !self.present.contains(slot) {
            return;
        }
        let shown = self.devices[slot.index()].shown;
        let generation = u32::from_be_bytes(body[GENERATION_AT..][..4].try_into().unwrap());
        for entry in body[HEADER_BYTES..].chunks_exact(ENTRY_BYTES) {
            let to = Slot::of_seat(u16::from_be_bytes([entry[0], entry[1]]));
            self.ledger.key_sealed(slot, to, shown, generation, self.network.now);
            self.network.statistics.keys += 1;
        }
    }

    /// The server splits a batch and sends each entry to the seat that it names.
    pub(super) fn send_keys(&mut self, slot: Slot, body: Vec<u8>) {
        if !self.present.contains(slot) {
            return;
        }
        let count = (body.len() - HEADER_BYTES) / ENTRY_BYTES;
        let batch = self.network.bodies.keep(body);
        for entry in 0..count {
            let at = HEADER_BYTES + entry * ENTRY_BYTES;
            let seat = &self.network.bodies.get(batch)[at..at + 2];
            let to = Slot::of_seat(u16::from_be_bytes([seat[0], seat[1]]));
            self.network.send(slot, to, Message::Keys { batch, entry: entry as u16 });
        }
    }

    /// The server passes a request on to all devices whose keys it names.
    pub(super) fn send_request(&mut self, slot: Slot, wanted: &[u8]) {
        self.network.statistics.requests += 1;
        let mut asked = Slots::default();
        let mut body = slot.seat().0.to_be_bytes().to_vec();
        body.push((wanted.len() / WANTED_KEY_BYTES) as u8);
        body.extend_from_slice(wanted);
        let number = self.network.bodies.keep(body);
        for wanted in wanted.chunks(WANTED_KEY_BYTES) {
            let kid = u64::from_be_bytes(wanted[16..].try_into().unwrap());
            let of = Slot::of_seat(Seat::of_kid(kid).0);
            if asked.insert(of) {
                self.network.send(slot, of, Message::Request(number));
            }
        }
    }
}
