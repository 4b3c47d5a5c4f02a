//! The model follows the rules of the session: both walk the same random calls, and every key sent, every request, every
//! change of key and the outcome of every frame must agree.
//!
//! Real sessions with real cryptography on one side, [`Device`]s with the real times and sizes on the other. The server
//! is hostile as in the model: leaves and requests are invented, messages repeated, reordered and withheld, and devices
//! sleep through their timers.

#![allow(clippy::unwrap_used)]

use e2ee_frames::key_exchange::{BATCH_ENTRY_BYTES as ENTRY_BYTES, BATCH_HEADER_BYTES as HEADER_BYTES};
use e2ee_frames::{
    Action as Real, Clock, Codec, Event as RealEvent, FrameKind, MonotonicTime, OpenError, ParticipantId, Seat,
    Session, SessionConfig, StreamId, Timing, WallTime, codec,
};
use e2ee_frames_model::{
    Action, Ages, Batch, Device, Epoch, Event, Frame, Id, Protocol, Rosters, Rule, Sizes, Time, Times,
    reception::Outcome,
};
use std::{collections::BTreeMap, time::Duration};

const TICK_MS: u64 = 100;
const WALL_AT_0: u64 = 1_800_000_000_000;
const ROTATION: Time = 80;
const STREAM: StreamId = StreamId::MICROPHONE;

/// The times of `e2ee-frames` in ticks of 100 ms, with a shorter periodic rotation, which its API allows.
const TIMES: Times = Times {
    window: 10,
    linger: 100,
    coalesce_joins: 5,
    settle: 10,
    coalesce_answers: 2,
    answer_every: 10,
    rotation: ROTATION,
    hold: 50,
    request_every: 10,
    grace: 2,
    first_grace: 10,
    forget: 100,
    life: 450,
    // A hard life is longer than a walk, which ends before announces are renewed.
    ages: Some(Ages { hard_life: 6_600, heard_late: 350, apart: 10 }),
    rosters: Some(Rosters { rest: 100 }),
};
const PROTOCOL: Protocol = Protocol { times: TIMES, sizes: Sizes::REAL, eager: true, without: None };

/// Deterministic random numbers (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len())].clone())
    }
}

fn participant(id: Id) -> ParticipantId {
    ParticipantId(u32::from(id) + 1)
}

fn seat(id: Id) -> Seat {
    Seat(u16::from(id) + 1)
}

fn of_seat(seat: Seat) -> Id {
    Id::try_from(seat.0 - 1).unwrap()
}

/// One device, twice.
struct Twin {
    session: Session,
    device: Device,
    announces: Vec<u8>,
    joined_at: Time,
    frames: u8,
    /// Numbers of batches that the server has not accepted.
    unaccepted: Vec<u32>,
}

/// A batch for one recipient, as the server would deliver it.
#[derive(Clone)]
struct Boxed {
    body: Vec<u8>,
    batch: Batch,
}

/// A request that was sent: whose key, and its bytes behind requester and count.
#[derive(Clone)]
struct Asked {
    of: Id,
    key: [u8; 24],
}

struct Walk {
    protocol: Protocol,
    now: Time,
    twins: BTreeMap<Id, Twin>,
    boxed: Vec<Boxed>,
    asked: Vec<Asked>,
    sealed: Vec<(Frame, Vec<u8>)>,
    /// The number of comparisons by kind.
    seen: BTreeMap<&'static str, usize>,
    /// The first difference.
    differs: Option<String>,
}

/// The clocks of every session.
fn clock(now: Time) -> Clock {
    Clock { now: MonotonicTime::from_millis(ms(now)), wall: WallTime::from_millis(WALL_AT_0 + ms(now)) }
}

fn ms(now: Time) -> u64 {
    u64::from(now) * TICK_MS
}

/// Takes a batch apart, as the server does.
/// Its roster is a hash there, so it is given.
fn split(from: Id, roster: u32, body: &[u8]) -> Vec<Boxed> {
    let (header, entries) = body.split_at(HEADER_BYTES);
    let generation = u32::from_be_bytes(header[60..64].try_into().unwrap());
    let kid = u64::from_be_bytes(header[64..72].try_into().unwrap());
    let epoch = Epoch { generation: u16::try_from(generation).unwrap(), step: (kid & 7) as u8 };
    assert_eq!(of_seat(Seat::of_kid(kid)), from);
    let dying = header[72] & 0x80 != 0;
    let created = u64::from_be_bytes(header[73..81].try_into().unwrap());
    let made = Time::try_from((created - WALL_AT_0) / TICK_MS).unwrap();
    let one = |entry: &[u8]| {
        let to = of_seat(Seat(u16::from_be_bytes([entry[0], entry[1]])));
        Boxed { body: [&[1], header, entry].concat(), batch: Batch { from, to, epoch, made, dying, roster } }
    };
    entries.chunks_exact(ENTRY_BYTES).map(one).collect()
}

impl Walk {
    fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            now: 0,
            twins: BTreeMap::new(),
            boxed: Vec::new(),
            asked: Vec::new(),
            sealed: Vec::new(),
            seen: BTreeMap::new(),
            differs: None,
        }
    }

    /// Walks a random call and returns the comparisons.
    fn random(seed: u64, protocol: Protocol) -> Self {
        let mut dice = Dice(seed);
        let mut walk = Self::new(protocol);
        walk.join(&mut dice, 0);
        walk.join(&mut dice, 1);
        for _ in 0..STEPS {
            // Announces are renewed after ten minutes, which the model does not have.
            if walk.differs.is_some() || ms(walk.now) >= 590_000 {
                break;
            }
            walk.step(&mut dice);
        }
        walk
    }

    fn alike<T: PartialEq + std::fmt::Debug>(&mut self, at: Id, session: T, model: T) {
        if session != model && self.differs.is_none() {
            self.differs = Some(format!("tick {}, device {at}: session {session:?}, model {model:?}", self.now));
        }
    }

    fn count(&mut self, kind: &'static str) {
        *self.seen.entry(kind).or_default() += 1;
    }

    fn join(&mut self, dice: &mut Dice, id: Id) {
        let timing = Timing { rotation: Duration::from_millis(u64::from(ROTATION) * TICK_MS), ..Timing::default() };
        let config = SessionConfig { timing, ..SessionConfig::new([1; 16], [2; 16], [3; 32], "Ada") };
        let mut random = Dice(dice.next());
        let random = move |bytes: &mut [u8]| bytes.fill_with(|| random.next() as u8);
        let mut session = Session::new(config, random, clock(self.now)).unwrap();
        let Some(Real::SendAnnounce { announce, display, .. }) = session.poll() else { panic!("no announce") };
        let announces = [
            &[1][..],
            &participant(id).0.to_be_bytes(),
            &seat(id).0.to_be_bytes(),
            &announce,
            &u16::try_from(display.len()).unwrap().to_be_bytes(),
            &display,
        ];
        let device = Device::joined(&self.protocol, id, self.now);
        self.twins.insert(
            id,
            Twin {
                session,
                device,
                announces: announces.concat(),
                joined_at: self.now,
                frames: 0,
                unaccepted: Vec::new(),
            },
        );
        self.both(id, RealEvent::Joined { seat: seat(id) }, None);
    }

    /// The announce of a device.
    fn announced(&self, of: Id) -> Event {
        Event::Announced(of, self.twins[&of].joined_at)
    }

    /// Both handle the event, and their actions are compared.
    fn both(&mut self, at: Id, real: RealEvent<'_>, event: Option<Event>) {
        let now = self.now;
        let twin = self.twins.get_mut(&at).unwrap();
        twin.session.handle(clock(now), real).unwrap();
        let expected = event.map(|event| twin.device.handle(&self.protocol, now, event)).unwrap_or_default();
        self.compare(at, &expected);
    }

    fn compare(&mut self, at: Id, expected: &[Action]) {
        let (mut done, mut requests) = (Vec::new(), Vec::new());
        while let Some(action) = self.twins.get_mut(&at).unwrap().session.poll() {
            match action {
                Real::SendKeyBatch { number, body } => {
                    self.twins.get_mut(&at).unwrap().unaccepted.push(number);
                    let roster = self.twins[&at].device.roster.keys().chain([&at]).map(|id| 1 << id).sum();
                    let boxed = split(at, roster, &body);
                    done.extend(boxed.iter().map(|boxed| Action::SendKeys(boxed.batch)));
                    self.boxed.extend(boxed);
                    self.count("key sent");
                }
                Real::Ended(reason) => panic!("the session is over: {reason:?}"),
                Real::GenerationChanged { generation, step } => {
                    let generation = u16::try_from(generation).unwrap();
                    done.push(Action::Use(Epoch { generation, step }));
                    self.count(if step == 0 { "generation used" } else { "step used" });
                }
                Real::SendKeyRequest(body) => {
                    for key in body.chunks_exact(24) {
                        let kid = u64::from_be_bytes(key[16..].try_into().unwrap());
                        let of = of_seat(Seat::of_kid(kid));
                        self.asked.push(Asked { of, key: key.try_into().unwrap() });
                        requests.push(of);
                        self.count("key requested");
                    }
                }
                Real::SendChat { .. } | Real::ChatReceived { .. } => panic!("no one writes"),
                Real::Problem { .. }
                | Real::ProblemSolved { .. }
                | Real::CallCodeChanged(_)
                | Real::SendAnnounce { .. }
                | Real::ParticipantVerified { .. }
                | Real::ParticipantRemoved { .. }
                | Real::StreamReady { .. }
                | Real::KeyInstalled { .. } => {}
            }
        }
        // A request names senders in the order of their random ids.
        requests.sort_unstable();
        done.extend(requests.into_iter().map(Action::RequestKeys));
        self.alike(at, &done[..], expected);
    }

    /// The server accepts all batches of a device, of which the last distribution counts.
    fn accept(&mut self, at: Id) {
        self.both(at, RealEvent::Tick, Some(Event::Tick));
        let now = self.now;
        let twin = self.twins.get_mut(&at).unwrap();
        for number in std::mem::take(&mut twin.unaccepted) {
            twin.session.handle(clock(now), RealEvent::KeyBatchAccepted { number }).unwrap();
        }
        let expected = twin.device.handle(&self.protocol, now, Event::Accepted);
        self.compare(at, &expected);
        self.count("batch accepted");
    }

    fn seal(&mut self, at: Id) {
        let now = self.now;
        let twin = self.twins.get_mut(&at).unwrap();
        if twin.frames >= 60 {
            return;
        }
        let mut out = vec![0; codec::max_sealed_bytes(Codec::Opus, 3)];
        let length = twin.session.seal(clock(now), STREAM, Codec::Opus, FrameKind::Delta, b"abc", &mut out);
        let mut expected = Vec::new();
        let frame = twin.device.seal(&self.protocol, now, &mut expected);
        twin.frames += u8::from(length.is_ok());
        self.alike(at, length.is_ok(), frame.is_some());
        if let (Ok(length), Some(frame)) = (length, frame) {
            out.truncate(length);
            self.sealed.push((frame, out));
            self.count("frame sealed");
        }
        self.compare(at, &expected);
    }

    fn open(&mut self, at: Id, frame: Frame, mut bytes: Vec<u8>) {
        let now = self.now;
        let twin = self.twins.get_mut(&at).unwrap();
        let opened = twin.session.open(clock(now), Codec::Opus, &mut bytes);
        let outcome = match &opened {
            Ok(opened) => {
                assert_eq!(opened.participant, participant(frame.from));
                Outcome::Opened
            }
            Err(OpenError::MissingKey) => Outcome::MissingKey,
            Err(OpenError::NotAuthentic) => Outcome::NotAuthentic,
            Err(OpenError::Replay) => Outcome::Replay,
            Err(OpenError::UnknownSender) => Outcome::UnknownSender,
            Err(OpenError::Ended) => panic!("clocks do not jump here"),
            Err(OpenError::Malformed) => panic!("malformed"),
        };
        let expected = twin.device.open(&self.protocol, now, frame);
        self.alike(at, (frame, outcome), (frame, expected));
        self.count(match outcome {
            Outcome::Opened => "frame opened",
            Outcome::MissingKey => "frame without key",
            Outcome::NotAuthentic => "frame not authentic",
            Outcome::Replay => "frame replayed",
            Outcome::UnknownSender => "frame of an unknown sender",
        });
        self.compare(at, &[]);
    }

    /// One random step.
    fn step(&mut self, dice: &mut Dice) {
        let ids: Vec<Id> = self.twins.keys().copied().collect();
        let (at, other) = (dice.pick(&ids).unwrap(), dice.pick(&ids).unwrap());
        match dice.below(100) {
            0..=1 => {
                let id = Id::try_from(ids.len()).unwrap();
                if id < 5 {
                    self.join(dice, id);
                }
            }
            2..=13 => {
                let body = self.twins[&other].announces.clone();
                self.both(at, RealEvent::Announces(&body), Some(self.announced(other)));
            }
            14..=16 => self.both(at, RealEvent::Left(&[participant(other)]), Some(Event::Left(other))),
            17..=19 => {
                if self.twins[&at].device.own.active {
                    self.both(at, RealEvent::StreamClosed(STREAM), Some(Event::StreamClosed));
                } else {
                    self.both(at, RealEvent::StreamOpened(STREAM), Some(Event::StreamOpened));
                }
            }
            20..=34 => self.seal(at),
            35..=54 => {
                // Mostly the latest frames, sometimes any.
                let from = if dice.below(4) == 0 { 0 } else { self.sealed.len().saturating_sub(8) };
                if let Some((frame, bytes)) = dice.pick(&self.sealed[from..])
                    && frame.from != at
                {
                    self.open(at, frame, bytes);
                }
            }
            55..=74 => {
                let from = if dice.below(4) == 0 { 0 } else { self.boxed.len().saturating_sub(8) };
                if let Some(Boxed { body, batch }) = dice.pick(&self.boxed[from..]) {
                    // Sometimes to a device that it is not for. One that does not know its sender holds it, which the model
                    // does not.
                    let astray = dice.below(10) == 0 && self.twins[&at].device.roster.contains_key(&batch.from);
                    let to = if astray { at } else { batch.to };
                    let event = if to == batch.to { Event::Keys(batch) } else { Event::Tick };
                    self.both(to, RealEvent::Keys(&body), Some(event));
                }
            }
            75..=77 => {
                if let Some(Asked { of, key }) = dice.pick(&self.asked) {
                    let body = [&seat(other).0.to_be_bytes()[..], &[1], &key].concat();
                    self.both(of, RealEvent::KeyRequest(&body), Some(Event::KeyRequest(other)));
                }
            }
            78..=83 => self.accept(at),
            84 => {
                if self.twins[&at].device.attached {
                    self.both(at, RealEvent::Detached, Some(Event::Detached));
                    self.count("connection lost");
                } else {
                    self.both(at, RealEvent::Attached { fresh: false }, Some(Event::Attached));
                }
            }
            _ => {
                let most = if dice.below(5) == 0 { 40 } else { 4 };
                self.now += Time::try_from(1 + dice.below(most)).unwrap();
                let wake: Vec<Id> = ids.into_iter().filter(|_| dice.below(4) > 0).collect();
                for id in wake {
                    self.both(id, RealEvent::Tick, Some(Event::Tick));
                }
            }
        }
    }
}

const WALKS: u64 = 150;
const STEPS: usize = 1_500;

#[test]
fn session_matches_model() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..WALKS {
        let walk = Walk::random(seed, PROTOCOL);
        assert_eq!(walk.differs, None, "seed {seed}");
        walk.seen.into_iter().for_each(|(kind, count)| *seen.entry(kind).or_default() += count);
    }
    println!("{WALKS} walks of at most {STEPS} steps compared:");
    seen.iter().for_each(|(kind, count)| println!("  {count:>7} × {kind}"));
    let kinds = [
        "key sent",
        "batch accepted",
        "connection lost",
        "generation used",
        "step used",
        "key requested",
        "frame sealed",
        "frame opened",
        "frame without key",
        "frame not authentic",
        "frame replayed",
        "frame of an unknown sender",
    ];
    kinds.iter().for_each(|kind| assert!(seen.contains_key(kind), "no {kind}"));
}

#[test]
fn missing_rule_is_detected() {
    for rule in Rule::ALL.into_iter().filter(|rule| *rule != Rule::HardLife) {
        let protocol = Protocol { without: Some(rule), ..PROTOCOL };
        let found = (0..WALKS).find_map(|seed| Walk::random(seed, protocol).differs.map(|differs| (seed, differs)));
        let Some((seed, differs)) = found else { panic!("{rule:?} makes no difference in {WALKS} walks") };
        println!("without {rule:?}, walk {seed}: {differs}");
    }
}

/// What the model finds with two generations and two losses also holds for the real eight: see `tests/fair.rs`.
#[test]
fn muted_sender_is_requested_after_any_loss() {
    let asked_after = |leaves: Id| {
        let (mut dice, mut walk) = (Dice(1), Walk::new(PROTOCOL));
        (0..10).for_each(|id| walk.join(&mut dice, id));
        let (sender, receiver) = (0, 1);
        for other in 1..10 {
            let body = walk.twins[&other].announces.clone();
            walk.both(sender, RealEvent::Announces(&body), Some(walk.announced(other)));
        }
        let body = walk.twins[&sender].announces.clone();
        walk.both(receiver, RealEvent::Announces(&body), Some(walk.announced(sender)));
        walk.now += TIMES.coalesce_joins;
        walk.accept(sender);
        let first = walk.boxed.iter().find(|boxed| boxed.batch.from == sender && boxed.batch.to == receiver).cloned();
        let Boxed { body, batch } = first.unwrap();
        walk.both(receiver, RealEvent::Keys(&body), Some(Event::Keys(batch)));
        // No device sends; some leave, and what the receiver gets by each leave is lost.
        for other in 2..2 + leaves {
            walk.both(sender, RealEvent::Left(&[participant(other)]), Some(Event::Left(other)));
        }
        walk.accept(sender);
        walk.both(sender, RealEvent::StreamOpened(STREAM), Some(Event::StreamOpened));
        for _ in 0..50 {
            walk.seal(sender);
            let (frame, bytes) = walk.sealed.last().cloned().unwrap();
            walk.open(receiver, frame, bytes);
            walk.now += 2;
            walk.both(receiver, RealEvent::Tick, Some(Event::Tick));
        }
        assert_eq!(walk.differs, None);
        walk.seen.contains_key("key requested")
    };
    // Eight generations later, frames name the generation that the receiver has.
    assert!(asked_after(7) && asked_after(8));
}
