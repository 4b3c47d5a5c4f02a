//! Hostile senders inside every limit, in virtual time: what the others send still arrives, and soon.

use super::*;
use crate::rate::{TypeRates, Window};
use proptest::prelude::*;
use tacet_proto::{
    MessageType,
    binary::{ChatId, ChatKind, MAX_SEALED_CHAT_BYTES, MAX_WANTED_KEYS},
    limits::{MESSAGE_WINDOW_MS, MESSAGES_PER_WINDOW},
};

const STEP: Duration = Duration::from_millis(5);
/// Time between two probes of one kind.
const PROBES: Duration = Duration::from_millis(500);
/// Floods last this long.
const FLOOD: Duration = Duration::from_secs(5);
/// Who listens.
const LISTENER: u32 = 1;

/// What an honest participant does, and the listener is to learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Probe {
    /// A key, marked.
    Key(u8),
    /// A request for keys.
    KeyRequest,
    /// A track that is muted or not.
    Muted(TrackId, bool),
    /// A track in a slot.
    Slot(TrackId),
    /// A participant on the roster.
    Joined(ParticipantId),
    /// Its announce.
    Announced(ParticipantId),
    /// It has left.
    Left(ParticipantId),
    /// A chat message, by its number.
    Chat(u64),
}

impl Probe {
    /// What it is a probe of, without its mark.
    fn class(self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::KeyRequest => "key request",
            Self::Muted(..) => "track",
            Self::Slot(_) => "slot",
            Self::Joined(_) => "join",
            Self::Announced(_) => "announce",
            Self::Left(_) => "leave",
            Self::Chat(_) => "chat",
        }
    }
}

/// A sender that floods, and what the door of its connection lets through.
struct Hostile {
    id: u32,
    kinds: Vec<MessageType>,
    sent: usize,
    window: Window,
    rates: TypeRates,
    tracks: Vec<TrackId>,
    /// When it enters again, once it has left.
    returns: Option<Instant>,
}

struct World {
    story: Story,
    hostile: Vec<Hostile>,
    muted: (TrackId, bool),
    pending: BTreeMap<Probe, Instant>,
    waits: BTreeMap<&'static str, Vec<Duration>>,
    /// Of the last participant.
    last_id: u32,
    /// An honest participant that came and has not left.
    visitor: Option<u32>,
    mark: u8,
}

impl World {
    /// A room of eight. The last ones are hostile, each with messages of these types.
    fn new(floods: &[Vec<MessageType>]) -> Self {
        let mut story = Story::new();
        for who in 1..=8 {
            story.join_and_subscribe(who);
        }
        let muted = (story.publish(2, mic()), false);
        let hostile = (0..).zip(floods).map(|(index, kinds)| Hostile {
            id: 8 - index,
            kinds: kinds.clone(),
            sent: 0,
            window: Window::new(MESSAGES_PER_WINDOW, Duration::from_millis(MESSAGE_WINDOW_MS)),
            rates: TypeRates::default(),
            tracks: vec![],
            returns: None,
        });
        let mut world = Self {
            hostile: hostile.collect(),
            story,
            muted,
            pending: BTreeMap::new(),
            waits: BTreeMap::new(),
            last_id: 8,
            visitor: None,
            mark: 0,
        };
        world.story.quiet();
        world.story.heard.clear();
        world
    }

    /// Lets everyone flood while the honest ones go on, and then until everything has arrived.
    fn run(&mut self) {
        let (start, end) = (self.story.now, self.story.now + FLOOD);
        let mut next = (start, 0);
        while self.story.now < end {
            for index in 0..self.hostile.len() {
                self.flood(index, start);
            }
            if self.story.now >= next.0 {
                self.probe(next.1);
                next = (next.0 + PROBES / 6, next.1 + 1);
            }
            self.step();
        }
        let patience = self.story.now + Duration::from_secs(5);
        while !self.pending.is_empty() && self.story.now < patience {
            self.step();
        }
    }

    fn step(&mut self) {
        self.story.pass(STEP);
        let heard = self.story.take(LISTENER);
        self.story.heard.clear();
        for outgoing in heard {
            self.hear(outgoing);
        }
    }

    fn expect(&mut self, probe: Probe) {
        self.pending.insert(probe, self.story.now);
    }

    fn seen(&mut self, probe: Probe) {
        if let Some(since) = self.pending.remove(&probe) {
            self.waits.entry(probe.class()).or_default().push(self.story.now - since);
        }
    }

    /// Whether something of these classes has not arrived yet.
    fn waits_for(&self, classes: &[&str]) -> bool {
        self.pending.keys().any(|probe| classes.contains(&probe.class()))
    }

    /// One thing that honest participants do, of six in turn. One that is overdue is not done again meanwhile, since only
    /// the last state would be sent.
    fn probe(&mut self, number: u32) {
        match number % 6 {
            0 => {
                self.mark = self.mark.wrapping_add(1);
                let mut batch = key_batch(&[0]);
                if let Some(last) = batch.last_mut() {
                    *last = self.mark;
                }
                self.story.binary(2, &batch);
                self.expect(Probe::Key(self.mark));
            }
            1 if !self.waits_for(&["key request"]) => {
                self.story.binary(3, &binary::key_request(9, &[&[7; 16][..], &0u64.to_be_bytes()].concat()));
                self.expect(Probe::KeyRequest);
            }
            2 if !self.waits_for(&["track"]) => {
                self.muted.1 = !self.muted.1;
                let track = TrackRef { track: self.muted.0 };
                let message = if self.muted.1 { ClientMessage::Mute(track) } else { ClientMessage::Unmute(track) };
                self.story.ask(2, message);
                self.expect(Probe::Muted(self.muted.0, self.muted.1));
            }
            3 if !self.waits_for(&["slot"]) => match self.own_track() {
                Some(track) => self.story.ask(4, ClientMessage::Unpublish(TrackRef { track })),
                None => {
                    self.story.ask(4, ClientMessage::Publish(cam()));
                    let track = self.own_track().expect("published");
                    self.expect(Probe::Slot(track));
                }
            },
            4 if !self.waits_for(&["join", "announce", "leave"]) => match self.visitor.take() {
                Some(visitor) => {
                    self.story.ask(visitor, ClientMessage::Leave(Empty {}));
                    self.expect(Probe::Left(ParticipantId(visitor)));
                }
                None => {
                    self.last_id += 1;
                    let who = self.last_id;
                    self.visitor = Some(who);
                    self.story.enter(who);
                    self.story.ask(who, join(who as u8));
                    self.expect(Probe::Joined(ParticipantId(who)));
                    self.expect(Probe::Announced(ParticipantId(who)));
                }
            },
            5 => {
                let id = ChatId::new(ChatKind::Message, u64::from(number));
                self.story.binary(2, &binary::chat(0, id, b"sealed"));
                self.expect(Probe::Chat(id.number()));
            }
            _ => {}
        }
    }

    /// The track of participant 4, if it has one.
    fn own_track(&self) -> Option<TrackId> {
        let own = self.story.room.tracks.values().find(|p| p.track.participant == ParticipantId(4));
        own.map(|published| published.track.track)
    }

    fn hear(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Message { message: ServerMessage::Tracks(tracks), .. } => {
                for track in tracks.upd.into_iter().chain(tracks.add) {
                    self.seen(Probe::Muted(track.track, track.muted));
                }
            }
            Outgoing::Message { message: ServerMessage::Slots(slots), .. } => {
                for source in slots.set.into_iter().filter_map(|set| set.source?.track()) {
                    self.seen(Probe::Slot(source.track));
                }
            }
            Outgoing::Message { message: ServerMessage::Roster(roster), .. } => {
                for gone in roster.del {
                    self.seen(Probe::Left(gone));
                }
                for entry in roster.add {
                    self.seen(Probe::Joined(entry.participant));
                }
            }
            Outgoing::Message { .. } => {}
            Outgoing::Binary(bytes) => match binary::parse_server(&bytes).unwrap().1 {
                ServerBinary::Keys(keys) => {
                    for key in keys.chunks_exact(BATCH_HEADER_BYTES + BATCH_ENTRY_BYTES) {
                        if key[BATCH_SEAT] == 1u16.to_be_bytes() {
                            self.seen(Probe::Key(key[key.len() - 1]));
                        }
                    }
                }
                ServerBinary::Announces(entries) => {
                    for entry in entries {
                        self.seen(Probe::Announced(entry.participant));
                    }
                }
                ServerBinary::KeyRequest { requester: Seat(2), .. } => self.seen(Probe::KeyRequest),
                ServerBinary::KeyRequest { .. } => {}
                ServerBinary::Chat { participant: ParticipantId(2), id, .. } => self.seen(Probe::Chat(id.number())),
                ServerBinary::Chat { .. } => {}
            },
        }
    }

    /// Sends what a hostile sender has to send by now, 29 messages a second, of its types in turn.
    fn flood(&mut self, index: usize, start: Instant) {
        let now = self.story.now;
        let hostile = &mut self.hostile[index];
        if let Some(at) = hostile.returns {
            if now >= at {
                // Another connection, another participant.
                self.last_id += 1;
                let id = self.last_id;
                (hostile.id, hostile.returns, hostile.rates) = (id, None, TypeRates::default());
                self.story.enter(id);
                self.story.ask(id, join(id as u8));
            }
            return;
        }
        let due = (now - start).as_millis() as usize * 29 / 1_000;
        while self.hostile[index].sent < due {
            let hostile = &mut self.hostile[index];
            let kind = hostile.kinds[hostile.sent % hostile.kinds.len()];
            hostile.sent += 1;
            if hostile.window.accept(now).is_err() || hostile.rates.accept(kind, now).is_err() {
                continue;
            }
            self.send(index, kind);
        }
    }

    fn send(&mut self, index: usize, kind: MessageType) {
        let hostile = &mut self.hostile[index];
        let (id, number) = (hostile.id, hostile.sent);
        let owned = self.story.room.tracks.values().filter(|p| p.track.participant == ParticipantId(id));
        hostile.tracks = owned.map(|published| published.track.track).collect();
        let track =
            TrackRef { track: hostile.tracks.get(number % hostile.tracks.len().max(1)).copied().unwrap_or(TrackId(0)) };
        let seats: Vec<u16> = (0..8).collect();
        let message = match kind {
            MessageType::Hello => return self.story.ask(id, every_message().swap_remove(0)),
            MessageType::Join => join(id as u8),
            MessageType::Announce => renewal(number as u8),
            MessageType::Transport => ClientMessage::Transport(transport()),
            MessageType::Publish => ClientMessage::Publish(if number % 2 == 0 { mic() } else { cam() }),
            MessageType::Unpublish => ClientMessage::Unpublish(track),
            MessageType::Mute => ClientMessage::Mute(track),
            MessageType::Unmute => ClientMessage::Unmute(track),
            MessageType::Speech => ClientMessage::Speech(Speech { track: track.track, speaking: number % 2 == 0 }),
            MessageType::Subscribe => auto(),
            MessageType::Unsubscribe => ClientMessage::Unsubscribe(Unsubscribe { tracks: vec![self.muted.0] }),
            MessageType::Layers => {
                let video = self.story.room.tracks.values().filter(|published| published.track.kind == Kind::Video);
                layers(video.filter(|_| number % 2 == 0).map(|published| tile(published.track.track, u16::MAX)))
            }
            MessageType::SlotsReady => ClientMessage::SlotsReady(SlotsReady { rev: 0 }),
            MessageType::Resync => ClientMessage::Resync(Empty {}),
            MessageType::Ack => ClientMessage::Ack(Ack { seq: 1 }),
            MessageType::Heartbeat => ClientMessage::Heartbeat(Empty {}),
            MessageType::Away => ClientMessage::Away(Empty {}),
            MessageType::IceRestart => ClientMessage::IceRestart(Empty {}),
            MessageType::Hand => ClientMessage::Hand(Hand { raised: number % 2 == 0 }),
            MessageType::MuteRequest => {
                ClientMessage::MuteRequest(Target { participant: ParticipantId(1 + (number % 4) as u32) })
            }
            MessageType::Kick => ClientMessage::Kick(Target { participant: ParticipantId(1 + (number % 4) as u32) }),
            MessageType::Ban => ClientMessage::Ban(Target { participant: ParticipantId(1 + (number % 4) as u32) }),
            MessageType::Lock => ClientMessage::Lock(Lock { locked: number % 2 == 0 }),
            MessageType::Role => {
                ClientMessage::Role(Assign { participant: ParticipantId(1 + (number % 4) as u32), role: Role::Host })
            }
            MessageType::End => ClientMessage::End(Empty {}),
            MessageType::Ping => ClientMessage::Ping(Ping { ms: 1 }),
            MessageType::Leave => {
                // One address makes ten connections a second.
                hostile.returns = Some(self.story.now + Duration::from_millis(100));
                ClientMessage::Leave(Empty {})
            }
            MessageType::KeyBatch => return self.story.binary(id, &key_batch(&seats)),
            MessageType::KeyRequest => {
                let own = self.story.room.members.get(&ParticipantId(id)).map(|member| member.announced.seat.0);
                let others: Vec<_> = seats.into_iter().filter(|seat| Some(*seat) != own).collect();
                let wanted: Vec<u8> = (0..MAX_WANTED_KEYS)
                    .map(|key| (key.wrapping_add(number) as u8, u64::from(others[key % others.len()])))
                    .flat_map(|(mark, seat)| [&[mark; 16][..], &(seat << 6).to_be_bytes()].concat())
                    .collect();
                return self.story.binary(id, &binary::key_request(9, &wanted));
            }
            MessageType::Chat | MessageType::Reaction => {
                let kind = if kind == MessageType::Chat { ChatKind::Message } else { ChatKind::Reaction };
                let chat = ChatId::new(kind, number as u64);
                return self.story.binary(id, &binary::chat(9, chat, &[7; MAX_SEALED_CHAT_BYTES]));
            }
        };
        self.story.ask(id, message);
    }

    /// The longest wait of each class. Everything must have arrived.
    fn longest(&self) -> BTreeMap<&'static str, Duration> {
        assert!(self.pending.is_empty(), "never arrived: {:?}", self.pending);
        assert_eq!(self.waits.len(), 8, "every class was probed");
        self.waits.iter().map(|(class, waits)| (*class, waits.iter().copied().max().unwrap_or_default())).collect()
    }
}

/// Maximum wait for what an honest participant sends, beside one hostile sender.
const GOAL: Duration = Duration::from_millis(200);

#[test]
fn flood_of_one_type_delays_no_other_by_200_ms() {
    for kind in MessageType::ALL {
        let mut world = World::new(&[vec![*kind]]);
        world.run();
        for (class, longest) in world.longest() {
            assert!(longest < GOAL, "{class} waited {longest:?} in a flood of {}", kind.name());
        }
    }
}

/// Both halves of what undoes itself, and everything at once.
#[test]
fn flood_of_several_types_delays_no_other_by_200_ms() {
    use MessageType::{
        Away, Heartbeat, KeyBatch, KeyRequest, Mute, Publish, Subscribe, Unmute, Unpublish, Unsubscribe,
    };
    let mixtures = [
        vec![Publish, Unpublish],
        vec![Publish, Mute, Unmute],
        vec![Subscribe, Unsubscribe],
        vec![Away, Heartbeat],
        vec![KeyBatch, KeyRequest],
        vec![Publish, KeyBatch, Mute, KeyRequest, Unmute, Unpublish],
        MessageType::ALL.iter().copied().filter(|kind| *kind != MessageType::Leave).collect(),
    ];
    for mixture in mixtures {
        let mut world = World::new(std::slice::from_ref(&mixture));
        world.run();
        for (class, longest) in world.longest() {
            assert!(longest < GOAL, "{class} waited {longest:?} in a flood of {mixture:?}");
        }
    }
}

/// Three guests ask for all keys that they may, of everyone: a request for one key does not wait for theirs.
#[test]
fn requests_for_many_keys_do_not_delay_one_for_a_single_key() {
    let mut world =
        World::new(&[vec![MessageType::KeyRequest], vec![MessageType::KeyRequest], vec![MessageType::KeyRequest]]);
    world.run();
    let longest = world.longest()["key request"];
    println!("a request for one key waited for {longest:?} at most");
    assert!(longest < GOAL, "{longest:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Up to three hostile senders of any messages: nothing is lost, and nothing waits long.
    #[test]
    fn random_floods_lose_nothing_of_others(floods in proptest::collection::vec(
        proptest::collection::vec(proptest::sample::select(MessageType::ALL), 1..6), 1..4,
    )) {
        let mut world = World::new(&floods);
        world.run();
        for (class, longest) in world.longest() {
            prop_assert!(longest < 4 * GOAL, "{} waited {:?}", class, longest);
        }
    }
}
