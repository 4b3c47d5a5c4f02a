//! A call in memory: devices, a virtual clock, and a server that splits, routes, delays, loses and duplicates key traffic.

use crate::{
    Action, Clock, Codec, Event, FrameKind, MonotonicTime, OpenError, Opened, ParticipantId, SealError, Seat, Session,
    SessionConfig, StreamId, Timing, WallTime, codec,
    keys::batch::{ENTRY_BYTES, HEADER_BYTES},
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec,
    vec::Vec,
};
use media_types::key_exchange::WANTED_KEY_BYTES;

pub(super) const ROOM: [u8; 16] = [1; 16];
pub(super) const CALL: [u8; 16] = [2; 16];
pub(super) const INVITE: [u8; 32] = [3; 32];
/// Wall clock at virtual time 0.
pub(super) const EPOCH: u64 = 1_800_000_000_000;

/// Deterministic random numbers (splitmix64). For tests only.
#[derive(Clone)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn source(seed: u64) -> impl FnMut(&mut [u8]) + Send {
        let mut dice = Dice(seed);
        move |bytes: &mut [u8]| bytes.iter_mut().for_each(|byte| *byte = dice.next() as u8)
    }
}

/// What the server carries.
#[derive(Clone, Debug)]
pub(super) enum Message {
    Announces(Vec<u8>),
    Keys(Vec<u8>),
    KeyRequest(Vec<u8>),
    Left(ParticipantId),
}

/// Impairments of key traffic.
#[derive(Clone, Copy, Default)]
pub(super) struct Weather {
    pub(super) drop_percent: u64,
    pub(super) double_percent: u64,
    /// Longest random delay; more than the gap between messages reorders them.
    pub(super) delay_ms: u64,
}

pub(super) struct Device {
    pub(super) session: Session,
    pub(super) id: ParticipantId,
    pub(super) seat: Seat,
    /// As shown: name by participant.
    pub(super) shown: BTreeMap<ParticipantId, String>,
    /// All actions in order, except messages other than key batches.
    pub(super) log: Vec<Action>,
    announce: (Vec<u8>, Vec<u8>),
    /// Whether it is connected to the server.
    attached: bool,
    /// What the server has for it while it is not.
    missed: Vec<Message>,
    /// Key batches that the server has not accepted.
    unaccepted: Vec<(u32, Vec<u8>)>,
}

impl Device {
    /// Bytes of its announces message.
    pub(super) fn announces(&self) -> Vec<u8> {
        announces(self.id, self.seat, &self.announce.0, &self.announce.1)
    }
}

pub(super) fn announces(id: ParticipantId, seat: Seat, announce: &[u8], display: &[u8]) -> Vec<u8> {
    let mut body = vec![1];
    body.extend_from_slice(&id.0.to_be_bytes());
    body.extend_from_slice(&seat.0.to_be_bytes());
    body.extend_from_slice(announce);
    body.extend_from_slice(&(display.len() as u16).to_be_bytes());
    body.extend_from_slice(display);
    body
}

/// The clocks of every device, this many milliseconds after the start.
pub(super) fn at(now: u64) -> Clock {
    Clock { now: MonotonicTime::from_millis(now), wall: WallTime::from_millis(EPOCH + now) }
}

pub(super) struct World {
    pub(super) now: u64,
    pub(super) dice: Dice,
    pub(super) weather: Weather,
    /// Whether the server accepts key batches; otherwise it relays them all the same.
    pub(super) accepts: bool,
    /// To these the server delivers no keys, though it records them.
    pub(super) withheld_from: BTreeSet<ParticipantId>,
    pub(super) timing: Timing,
    pub(super) devices: BTreeMap<ParticipantId, Device>,
    queue: BTreeMap<(u64, u64), (ParticipantId, Message)>,
    sent: u64,
    next_id: u32,
    /// Key traffic that passed, for replays.
    pub(super) recorded: Vec<(ParticipantId, Message)>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            now: 1_000,
            dice: Dice(seed),
            weather: Weather::default(),
            accepts: true,
            withheld_from: BTreeSet::new(),
            timing: Timing::default(),
            devices: BTreeMap::new(),
            queue: BTreeMap::new(),
            sent: 0,
            next_id: 1,
            recorded: Vec::new(),
        }
    }

    pub(super) fn clock(&self) -> Clock {
        at(self.now)
    }

    pub(super) fn device(&mut self, id: ParticipantId) -> &mut Device {
        self.devices.get_mut(&id).unwrap()
    }

    pub(super) fn session_with(&mut self, name: &str, invite: [u8; 32]) -> Session {
        let config = SessionConfig { timing: self.timing, ..SessionConfig::new(ROOM, CALL, invite, name) };
        Session::new(config, Dice::source(self.dice.next()), self.clock()).unwrap()
    }

    /// A device joins on the next seat, and all announces are exchanged.
    pub(super) fn join(&mut self, name: &str) -> ParticipantId {
        let session = self.session_with(name, INVITE);
        let seat = Seat(self.next_id as u16);
        self.seat(session, seat)
    }

    /// Adds a session on any seat.
    pub(super) fn seat(&mut self, session: Session, seat: Seat) -> ParticipantId {
        self.seat_as(session, seat, seat)
    }

    /// Adds a session on a seat, which writes another one.
    pub(super) fn seat_as(&mut self, mut session: Session, seat: Seat, written: Seat) -> ParticipantId {
        let id = ParticipantId(self.next_id);
        self.next_id += 1;
        let Some(Action::SendAnnounce { first: true, announce, display }) = session.poll() else {
            panic!("no announce")
        };
        assert_eq!(session.poll(), None);
        let device = Device {
            session,
            id,
            seat,
            shown: BTreeMap::new(),
            log: Vec::new(),
            announce: (announce, display),
            attached: true,
            missed: Vec::new(),
            unaccepted: Vec::new(),
        };
        let others: Vec<_> = self.devices.keys().copied().collect();
        self.devices.insert(id, device);
        self.event(id, Event::Joined { seat: written });
        for other in &others {
            let present = self.device(*other).announces();
            self.send(id, Message::Announces(present), false);
        }
        let own = self.device(id).announces();
        for other in others {
            self.send(other, Message::Announces(own.clone()), false);
        }
        id
    }

    /// A device leaves. It keeps its session, so that tests can try to open frames with it.
    pub(super) fn leave(&mut self, id: ParticipantId) -> Device {
        let device = self.devices.remove(&id).unwrap();
        let others: Vec<_> = self.devices.keys().copied().collect();
        for other in others {
            self.send(other, Message::Left(id), false);
        }
        device
    }

    /// A device loses its connection to the server. Frames take another way.
    pub(super) fn detach(&mut self, id: ParticipantId) {
        self.event(id, Event::Detached);
        self.device(id).attached = false;
    }

    /// A device is connected again, and gets what it has missed. `fresh`: to a server that has forgotten it.
    pub(super) fn attach(&mut self, id: ParticipantId, fresh: bool) {
        self.device(id).attached = true;
        self.event(id, Event::Attached { fresh });
        if fresh {
            assert!(matches!(self.device(id).log.last(), Some(Action::SendAnnounce { first: true, .. })));
            let seat = self.device(id).seat;
            self.event(id, Event::Joined { seat });
        }
        for (number, body) in core::mem::take(&mut self.device(id).unaccepted) {
            self.take_batch(id, number, &body);
        }
        for message in core::mem::take(&mut self.device(id).missed) {
            self.deliver(id, &message);
        }
    }

    pub(super) fn event(&mut self, id: ParticipantId, event: Event<'_>) {
        let clock = self.clock();
        self.device(id).session.handle(clock, event).unwrap();
        self.drain(id);
    }

    pub(super) fn open_stream(&mut self, id: ParticipantId, stream: StreamId) {
        self.event(id, Event::StreamOpened(stream));
    }

    pub(super) fn close_stream(&mut self, id: ParticipantId, stream: StreamId) {
        self.event(id, Event::StreamClosed(stream));
    }

    fn send(&mut self, to: ParticipantId, message: Message, at_risk: bool) {
        let weather = if at_risk { self.weather } else { Weather::default() };
        if matches!(message, Message::Keys(_)) && self.withheld_from.contains(&to) {
            self.recorded.push((to, message));
            return;
        }
        if self.dice.percent(weather.drop_percent) {
            return;
        }
        let copies = if self.dice.percent(weather.double_percent) { 2 } else { 1 };
        for _ in 0..copies {
            let at = self.now + self.dice.below(weather.delay_ms + 1);
            self.sent += 1;
            self.queue.insert((at, self.sent), (to, message.clone()));
        }
        if at_risk {
            self.recorded.push((to, message));
        }
    }

    /// Carries out the actions of a device.
    fn drain(&mut self, id: ParticipantId) {
        while let Some(action) = self.device(id).session.poll() {
            let sends = matches!(
                action,
                Action::SendAnnounce { .. }
                    | Action::SendKeyBatch { .. }
                    | Action::SendKeyRequest(_)
                    | Action::SendChat { .. }
            );
            assert!(self.device(id).attached || !sends, "nothing is sent without a connection");
            match &action {
                Action::SendAnnounce { announce, display, .. } => {
                    self.device(id).announce = (announce.clone(), display.clone());
                    let body = self.device(id).announces();
                    let others: Vec<_> = self.devices.keys().copied().filter(|other| *other != id).collect();
                    for other in others {
                        self.send(other, Message::Announces(body.clone()), false);
                    }
                }
                Action::SendKeyBatch { .. } => {}
                Action::SendKeyRequest(wanted) => {
                    let requester = self.device(id).seat;
                    for wanted in wanted.chunks(WANTED_KEY_BYTES) {
                        let kid = u64::from_be_bytes(wanted[16..].try_into().unwrap());
                        let seat = Seat::of_kid(kid);
                        let to = self.devices.values().find(|device| device.seat == seat).map(|device| device.id);
                        if let Some(to) = to {
                            let body = [&requester.0.to_be_bytes()[..], &[1], wanted].concat();
                            self.send(to, Message::KeyRequest(body), true);
                        }
                    }
                }
                Action::ParticipantVerified { participant, name, .. } => {
                    self.device(id).shown.insert(*participant, name.clone());
                }
                Action::ParticipantRemoved { participant } => {
                    assert!(self.device(id).shown.remove(participant).is_some(), "was shown");
                }
                _ => {}
            }
            self.device(id).log.push(action.clone());
            if let Action::SendKeyBatch { number, body } = action {
                self.take_batch(id, number, &body);
            }
        }
    }

    /// The server splits a key batch, and accepts it.
    fn take_batch(&mut self, from: ParticipantId, number: u32, body: &[u8]) {
        let (header, entries) = body.split_at(HEADER_BYTES);
        for entry in entries.chunks(ENTRY_BYTES) {
            let seat = Seat(u16::from_be_bytes([entry[0], entry[1]]));
            self.assert_shown(from, seat);
            let to = self.devices.values().find(|device| device.seat == seat).map(|device| device.id);
            if let Some(to) = to {
                self.send(to, Message::Keys([&[1][..], header, entry].concat()), true);
            }
        }
        if self.accepts {
            self.event(from, Event::KeyBatchAccepted { number });
        } else {
            self.device(from).unaccepted.push((number, body.to_vec()));
        }
    }

    /// Asserts that keys go only to devices that the sender shows: verified before, and not removed since.
    fn assert_shown(&self, id: ParticipantId, seat: Seat) {
        let mut shown = false;
        for action in &self.devices[&id].log {
            match action {
                Action::ParticipantVerified { seat: of, participant, .. } if *of == seat => {
                    shown = self.devices[&id].shown.contains_key(participant);
                }
                _ => {}
            }
        }
        assert!(shown, "a key was sealed to a device that is not on the roster");
    }

    pub(super) fn deliver(&mut self, to: ParticipantId, message: &Message) {
        match self.devices.get_mut(&to) {
            None => return,
            Some(device) if !device.attached => {
                device.missed.push(message.clone());
                return;
            }
            Some(_) => {}
        }
        match message {
            Message::Announces(body) => self.event(to, Event::Announces(body)),
            Message::Keys(body) => self.event(to, Event::Keys(body)),
            Message::KeyRequest(body) => self.event(to, Event::KeyRequest(body)),
            Message::Left(who) => self.event(to, Event::Left(&[*who])),
        }
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, milliseconds: u64) {
        let end = self.now + milliseconds;
        loop {
            let message = self.queue.keys().next().map(|(at, _)| *at);
            let deadlines =
                self.devices.values().filter_map(|device| device.session.deadline()).map(MonotonicTime::as_millis);
            let next = deadlines.chain(message).min().unwrap_or(u64::MAX);
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (to, message) = entry.remove();
                self.deliver(to, &message);
            }
            let due: Vec<_> = self.devices.keys().copied().collect();
            for id in due {
                let now = self.clock().now;
                if self.device(id).session.deadline().is_some_and(|at| at <= now) {
                    self.event(id, Event::Tick);
                    assert!(self.device(id).session.deadline().is_none_or(|at| at > now), "a timer that stays due");
                }
            }
        }
        self.now = end;
    }

    pub(super) fn seal(&mut self, id: ParticipantId, stream: StreamId, frame: &[u8]) -> Result<Vec<u8>, SealError> {
        let clock = self.clock();
        let mut out = vec![0; codec::max_sealed_bytes(Codec::Opus, frame.len())];
        let sealed = self.device(id).session.seal(clock, stream, Codec::Opus, FrameKind::Delta, frame, &mut out);
        self.drain(id);
        sealed.map(|length| out[..length].to_vec())
    }

    pub(super) fn open(&mut self, id: ParticipantId, frame: &[u8]) -> Result<(ParticipantId, Vec<u8>), OpenError> {
        let clock = self.clock();
        let opened =
            open_with(&mut self.device(id).session, clock, frame).map(|(opened, frame)| (opened.participant, frame));
        self.drain(id);
        opened
    }

    /// Problems that were solved, as a device reported.
    pub(super) fn solved(&self, id: ParticipantId) -> Vec<(ParticipantId, crate::Problem)> {
        let problem = |action: &Action| match action {
            Action::ProblemSolved { participant, problem } => Some((*participant, *problem)),
            _ => None,
        };
        self.devices[&id].log.iter().filter_map(problem).collect()
    }

    /// Problems that a device reported.
    pub(super) fn problems(&self, id: ParticipantId) -> Vec<(ParticipantId, crate::Problem)> {
        let problem = |action: &Action| match action {
            Action::Problem { participant, problem } => Some((*participant, *problem)),
            _ => None,
        };
        self.devices[&id].log.iter().filter_map(problem).collect()
    }

    /// Key batches that a device sent.
    pub(super) fn batches(&self, id: ParticipantId) -> Vec<Vec<u8>> {
        let batch = |action: &Action| match action {
            Action::SendKeyBatch { body, .. } => Some(body.clone()),
            _ => None,
        };
        self.devices[&id].log.iter().filter_map(batch).collect()
    }

    /// Generations and steps that a device has used.
    pub(super) fn epochs(&self, id: ParticipantId) -> Vec<(u32, u8)> {
        let epoch = |action: &Action| match action {
            Action::GenerationChanged { generation, step } => Some((*generation, *step)),
            _ => None,
        };
        self.devices[&id].log.iter().filter_map(epoch).collect()
    }

    /// Seals at `from`, opens at `to`, and checks attribution and content.
    pub(super) fn hears(&mut self, to: ParticipantId, from: ParticipantId) -> Result<(), OpenError> {
        let frame = self.seal(from, StreamId::MICROPHONE, b"audio").unwrap();
        self.open(to, &frame).map(|opened| assert_eq!(opened, (from, b"audio".to_vec())))
    }
}

/// Opens an Opus frame with a session outside the world.
pub(super) fn open_with(session: &mut Session, clock: Clock, frame: &[u8]) -> Result<(Opened, Vec<u8>), OpenError> {
    let mut buffer = frame.to_vec();
    let opened = session.open(clock, Codec::Opus, &mut buffer)?;
    let frame = buffer[opened.range.clone()].to_vec();
    Ok((opened, frame))
}
