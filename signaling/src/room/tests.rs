//! Scenarios of a room, in virtual time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod admittance;
mod audio;
mod chat;
mod fairness;
mod identity;
mod keys;
mod layers;
mod media;
mod membership;
mod outages;
mod paging;
mod presence;
mod random;
mod returns;
mod roles;

use super::*;
use e2ee_core::{Primitives, Standard};
use sfu_api::{CommandId, LocalTransport, Request};
use std::time::Duration;
use tacet_proto::{
    binary::{
        self, ANNOUNCE_BYTES, ANNOUNCE_CALL, ANNOUNCE_DEVICE_KEY, ANNOUNCE_DISPLAY_HASH, ANNOUNCE_INCARNATION,
        ANNOUNCE_ROOM, ANNOUNCE_SEQ, BATCH_ANNOUNCE_SEQ, BATCH_CALL, BATCH_ENTRY_BYTES, BATCH_HEADER_BYTES,
        BATCH_JOIN_ID, BATCH_KID, BATCH_ROOM, BATCH_SEAT, PREFIX_BYTES, ServerBinary,
    },
    bytes::{Base64, Fixed},
    client::{
        Ack, Announce, Assign, ClientTransport, Credential, Empty, Encoding, Hand, Hello, Join, Layers, Lock, Ping,
        Publish, SlotsReady, Speech, Subscribe, Target, Tile, TrackRef, Unsubscribe,
    },
    media::{ClientIce, Codec, Dtls, Kind, Slot, SlotContent, SlotSource, Source, Track},
    server::{Bye, ByeReason, Joined, Pong, RosterEntry, TransportState},
};

const ROOM: RoomId = RoomId(Fixed([0x52; 16]));

/// A room with a clock, and a media plane that accepts every command.
struct Story {
    room: Room,
    now: Instant,
    /// Whether members send heartbeats.
    alive: bool,
    /// Members that send none.
    silent: BTreeSet<ParticipantId>,
    /// Goodbyes, in order.
    goodbyes: Vec<ParticipantId>,
    /// Sessions that ended without a goodbye, in order.
    departed: Vec<SessionId>,
    /// Calls that ended, in order.
    ended: Vec<CallId>,
    heard: BTreeMap<ParticipantId, Vec<Outgoing>>,
    hints: usize,
    /// Changes of the room's record, in order.
    changes: Vec<Change>,
    /// How often the room was to end.
    ends: usize,
    closed: Vec<(ParticipantId, CloseCode)>,
    commands: Vec<Command>,
    requests: Vec<Request>,
    ssrc: u32,
}

impl Story {
    fn new() -> Self {
        Self::with(RoomLimits::default())
    }

    fn with(limits: RoomLimits) -> Self {
        Self::after_restart(limits, None)
    }

    /// In a room in which a call goes on that the room does not know.
    fn after_restart(limits: RoomLimits, call: Option<CallRecord>) -> Self {
        Self::starting_at(Instant::now(), limits, call)
    }

    fn starting_at(now: Instant, limits: RoomLimits, call: Option<CallRecord>) -> Self {
        let mut number = 0;
        let numbers = Box::new(move || {
            number += 1;
            number
        });
        Self {
            room: Room::new(now, sfu_api::RoomId(1), ROOM, limits, Admittance::default(), call, numbers),
            now,
            alive: true,
            silent: BTreeSet::new(),
            goodbyes: Vec::new(),
            departed: Vec::new(),
            ended: Vec::new(),
            heard: BTreeMap::new(),
            hints: 0,
            changes: Vec::new(),
            ends: 0,
            closed: Vec::new(),
            commands: Vec::new(),
            requests: Vec::new(),
            ssrc: 1_000,
        }
    }

    fn hear(&mut self, to: ParticipantId, re: Option<u32>, message: ServerMessage) {
        self.heard.entry(to).or_default().push(Outgoing::Message { re, message });
    }

    fn settle(&mut self) {
        while let Some(output) = self.room.poll() {
            match output {
                Output::Send(to, outgoing) => self.heard.entry(to).or_default().push(outgoing),
                Output::Joined { to, re, joined, .. } => self.hear(to, re, ServerMessage::Joined(joined)),
                Output::Pong { to, re, ms, .. } => {
                    self.hear(to, re, ServerMessage::Pong(Pong { ms, tokens: None }));
                }
                Output::Hint(..) => self.hints += 1,
                Output::End(who, closing) => self.closed.push((who, closing.code)),
                Output::Goodbye { from, re, .. } => {
                    self.hear(from, re, ServerMessage::Bye(Bye { reason: ByeReason::Left }));
                    self.closed.push((from, CloseCode::Normal));
                    self.goodbyes.push(from);
                }
                Output::Record { asker, change, removes } => {
                    self.changes.push(change);
                    self.closed.extend(removes.into_iter().map(|(who, closing)| (who, closing.code)));
                    if let Asker::Member(by, re @ Some(_)) = asker {
                        self.hear(by, re, ServerMessage::Ok(OkMessage {}));
                    }
                }
                Output::EndRoom { .. } => self.ends += 1,
                Output::Departed { session, .. } => self.departed.push(session),
                Output::CallEnded(call) => self.ended.push(call),
                Output::Command(Request { id, command }) => {
                    match &command {
                        Command::AddParticipant { participant, .. } | Command::RestartIce { participant } => {
                            let local = LocalTransport {
                                ufrag: "serv".to_owned(),
                                pwd: "p".repeat(24),
                                fingerprint: [5; 32],
                                candidates: vec![],
                            };
                            self.room
                                .media(self.now, Event::Transport { command: id, participant: *participant, local });
                        }
                        Command::Publish { participant, track, .. } => {
                            let (participant, track) = (*participant, *track);
                            self.room.media(self.now, Event::Published { command: id, participant, track });
                        }
                        Command::AddSlot { participant, mid, .. } => {
                            self.ssrc += 1;
                            let ssrc = sfu_api::Ssrc(self.ssrc);
                            let (participant, mid, rtx) = (*participant, *mid, None);
                            let added = Event::SlotAdded { command: id, participant, mid, ssrc, rtx };
                            self.room.media(self.now, added);
                        }
                        _ => {}
                    }
                    self.requests.push(Request { id, command: command.clone() });
                    self.commands.push(command);
                }
            }
        }
    }

    /// Lets time pass until everything was sent.
    fn quiet(&mut self) {
        self.settle();
        while let Some(due) = self.due() {
            self.pass(due.saturating_duration_since(self.now));
        }
    }

    /// When the next message is due.
    fn due(&self) -> Option<Instant> {
        let attached = self.room.members.values().filter(|member| member.presence.is_attached());
        attached.filter_map(|member| member.backlog.due()).min()
    }

    /// Lets this much time pass.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let deadline = self.room.deadline().filter(|deadline| *deadline <= end);
            self.now = deadline.map_or(end, |deadline| deadline.max(self.now));
            if self.alive {
                let alive = |member: &&ParticipantId| !self.silent.contains(member);
                let members: Vec<_> = self.room.members.keys().filter(alive).copied().collect();
                members.into_iter().for_each(|member| self.room.heard(self.now, member));
            }
            self.room.tick(self.now);
            self.settle();
            if deadline.is_none() {
                return;
            }
        }
    }

    /// A participant's session ends without its wish.
    fn leave(&mut self, who: u32) {
        self.room.expel(self.now, ParticipantId(who), CloseCode::Internal, "a test");
        self.settle();
    }

    /// Asks, with an announce that says the truth of its sender.
    fn ask(&mut self, from: u32, message: ClientMessage) {
        let message = self.truthful(from, message);
        self.ask_as_is(from, message);
    }

    fn ask_as_is(&mut self, from: u32, message: ClientMessage) {
        self.room.request(self.now, ParticipantId(from), Some(9), message);
        self.settle();
    }

    /// Fills in what an announce says of room, call and name, and for a renewal of the device.
    fn truthful(&self, from: u32, message: ClientMessage) -> ClientMessage {
        let member = self.room.members.get(&ParticipantId(from));
        let complete = |announce: &mut Base64, display: &Base64| {
            let Some(call) = self.room.call.filter(|_| announce.0.len() == ANNOUNCE_BYTES) else { return };
            announce.0[ANNOUNCE_ROOM].copy_from_slice(&ROOM.0.0);
            announce.0[ANNOUNCE_CALL].copy_from_slice(&call.0.0);
            announce.0[ANNOUNCE_DISPLAY_HASH].copy_from_slice(&Standard::digest(&display.0));
            if let Some(member) = member {
                let before = &member.announced.announce;
                for own in [ANNOUNCE_DEVICE_KEY, ANNOUNCE_INCARNATION] {
                    announce.0[own.clone()].copy_from_slice(&before[own]);
                }
                let seq = u32::from_be_bytes(before[ANNOUNCE_SEQ].try_into().unwrap()).saturating_add(1);
                announce.0[ANNOUNCE_SEQ].copy_from_slice(&seq.to_be_bytes());
            }
        };
        match message {
            ClientMessage::Join(mut join) => {
                complete(&mut join.announce, &join.display);
                ClientMessage::Join(join)
            }
            ClientMessage::Announce(mut renewal) => {
                complete(&mut renewal.announce, &renewal.display);
                ClientMessage::Announce(renewal)
            }
            other => other,
        }
    }

    /// Asks, lets time pass, and returns the answer.
    fn answer(&mut self, from: u32, message: ClientMessage) -> ServerMessage {
        let message = self.truthful(from, message);
        self.answer_as_is(from, message)
    }

    fn answer_as_is(&mut self, from: u32, message: ClientMessage) -> ServerMessage {
        self.take(from);
        self.ask_as_is(from, message);
        self.quiet();
        let answer = |outgoing| match outgoing {
            Outgoing::Message { re: Some(9), message } => Some(message),
            _ => None,
        };
        self.take(from).into_iter().find_map(answer).expect("an answer")
    }

    fn refused(&mut self, from: u32, message: ClientMessage) -> ErrorCode {
        match self.answer(from, message) {
            ServerMessage::Error(error) => error.code,
            other => panic!("accepted: {other:?}"),
        }
    }

    /// Sends a binary message, whose header says the truth of its sender if it is a key batch.
    fn binary(&mut self, from: u32, message: &[u8]) {
        let mut message = message.to_vec();
        if let (Some(member), Some(call)) = (self.room.members.get(&ParticipantId(from)), self.room.call)
            && message.first() == Some(&1)
            && let Some(header) = message.get_mut(PREFIX_BYTES..PREFIX_BYTES + BATCH_HEADER_BYTES)
        {
            let seat = member.announced.seat.0;
            header[BATCH_ROOM].copy_from_slice(&ROOM.0.0);
            header[BATCH_CALL].copy_from_slice(&call.0.0);
            header[BATCH_SEAT].copy_from_slice(&seat.to_be_bytes());
            header[BATCH_JOIN_ID].copy_from_slice(member.identity.join_id());
            header[BATCH_ANNOUNCE_SEQ].copy_from_slice(&member.announced.announce[ANNOUNCE_SEQ]);
            header[BATCH_KID].copy_from_slice(&(u64::from(seat) << 6).to_be_bytes());
        }
        self.binary_as_is(from, &message);
    }

    fn binary_as_is(&mut self, from: u32, message: &[u8]) {
        // The connection answers malformed ones.
        let Ok((id, message)) = binary::parse_client(message) else { return };
        self.room.binary(self.now, ParticipantId(from), id, message);
        self.settle();
    }

    fn enter(&mut self, who: u32) -> CallId {
        self.enter_as(Entry::Newcomer, who).unwrap().call
    }

    fn enter_as(&mut self, entry: Entry, fresh: u32) -> Result<Entered, NotEntered> {
        self.enter_with(entry, Standing::guest(Role::Speaker), fresh)
    }

    fn enter_with(&mut self, entry: Entry, standing: Standing, fresh: u32) -> Result<Entered, NotEntered> {
        let mark = Fixed([fresh as u8; 16]);
        let fresh = FreshIds { participant: ParticipantId(fresh), session: SessionId(mark), call: CallId(mark) };
        let entered = self.room.enter(self.now, entry, standing, fresh);
        self.settle();
        entered
    }

    fn join(&mut self, who: u32) {
        self.enter(who);
        self.ask(who, join(who as u8));
        self.quiet();
    }

    /// Joins a participant that subscribes to everything.
    fn join_and_subscribe(&mut self, who: u32) {
        self.join(who);
        self.ask(who, auto());
        self.quiet();
    }

    fn publish(&mut self, who: u32, publish: Publish) -> TrackId {
        match self.answer(who, ClientMessage::Publish(publish)) {
            ServerMessage::Published(published) => published.track,
            other => panic!("{other:?}"),
        }
    }

    fn take(&mut self, who: u32) -> Vec<Outgoing> {
        self.heard.remove(&ParticipantId(who)).unwrap_or_default()
    }

    fn messages(&mut self, who: u32) -> Vec<ServerMessage> {
        let messages = |outgoing| match outgoing {
            Outgoing::Message { message, .. } => Some(message),
            Outgoing::Binary(_) => None,
        };
        self.take(who).into_iter().filter_map(messages).collect()
    }

    fn binaries(&mut self, who: u32) -> Vec<Vec<u8>> {
        let binaries = |outgoing| match outgoing {
            Outgoing::Message { .. } => None,
            Outgoing::Binary(bytes) => Some(bytes),
        };
        self.take(who).into_iter().filter_map(binaries).collect()
    }

    /// New slots, slot contents, and the last revision.
    fn slots(&mut self, who: u32) -> (Vec<Slot>, Vec<SlotSource>, u32) {
        let (mut add, mut set, mut rev) = (vec![], vec![], 0);
        for message in self.messages(who) {
            if let ServerMessage::Slots(slots) = message {
                add.extend(slots.add);
                set.extend(slots.set);
                rev = slots.rev;
            }
        }
        (add, set, rev)
    }
}

fn renewal(mark: u8) -> ClientMessage {
    let (announce, display) = (Base64(vec![mark; ANNOUNCE_BYTES]), Base64(vec![mark; 40]));
    ClientMessage::Announce(Announce { announce, display })
}

fn join(mark: u8) -> ClientMessage {
    ClientMessage::Join(Join {
        announce: Base64(vec![mark; ANNOUNCE_BYTES]),
        display: Base64(vec![mark; 40]),
        expects: vec![],
    })
}

fn auto() -> ClientMessage {
    ClientMessage::Subscribe(Subscribe { auto: true, tracks: vec![] })
}

/// A tile that is neither pinned nor paused.
fn tile(track: TrackId, height: u16) -> Tile {
    Tile { track, height, pinned: false, paused: false }
}

fn layers(tiles: impl IntoIterator<Item = Tile>) -> ClientMessage {
    ClientMessage::Layers(Layers { tiles: tiles.into_iter().collect(), downlink: false })
}

fn mic() -> Publish {
    Publish {
        cid: "microphone".to_owned(),
        kind: Kind::Audio,
        source: Source::Microphone,
        codec: Codec::Opus,
        mid: "sa".to_owned(),
        encodings: Encoding::single(11, None),
        muted: false,
    }
}

fn cam() -> Publish {
    Publish {
        cid: "camera".to_owned(),
        kind: Kind::Video,
        source: Source::Camera,
        codec: Codec::Vp8,
        mid: "sv".to_owned(),
        encodings: Encoding::single(21, Some(22)),
        muted: false,
    }
}

fn transport() -> ClientTransport {
    ClientTransport {
        ice: ClientIce { ufrag: "abcd".to_owned(), pwd: "0123456789abcdef01234567".to_owned() },
        dtls: Dtls { fingerprint: Fixed([6; 32]) },
    }
}

fn key_batch(seats: &[u16]) -> Vec<u8> {
    let mut body = vec![0xaa; BATCH_HEADER_BYTES - 2];
    body.extend_from_slice(&(seats.len() as u16).to_be_bytes());
    for seat in seats {
        body.extend_from_slice(&seat.to_be_bytes());
        body.extend_from_slice(&[*seat as u8; BATCH_ENTRY_BYTES - 2]);
    }
    binary::key_batch(9, &body)
}

fn every_message() -> Vec<ClientMessage> {
    let track = TrackRef { track: TrackId(1) };
    vec![
        ClientMessage::Hello(Hello {
            room: tacet_proto::RoomId(Fixed([0; 16])),
            credential: Credential::GuestAccess { token: Fixed([0; 32]) },
            client: String::new(),
            features: vec![],
            resume: None,
        }),
        join(200),
        renewal(1),
        ClientMessage::Transport(transport()),
        ClientMessage::Publish(mic()),
        ClientMessage::Unpublish(track),
        ClientMessage::Mute(track),
        ClientMessage::Unmute(track),
        ClientMessage::Speech(Speech { track: TrackId(1), speaking: true }),
        auto(),
        ClientMessage::Unsubscribe(Unsubscribe { tracks: vec![] }),
        ClientMessage::Layers(Layers::default()),
        ClientMessage::SlotsReady(SlotsReady { rev: 0 }),
        ClientMessage::Resync(Empty {}),
        ClientMessage::Ack(Ack { seq: 1 }),
        ClientMessage::Heartbeat(Empty {}),
        ClientMessage::Away(Empty {}),
        ClientMessage::IceRestart(Empty {}),
        ClientMessage::Hand(Hand { raised: true }),
        ClientMessage::MuteRequest(Target { participant: ParticipantId(2) }),
        ClientMessage::Kick(Target { participant: ParticipantId(2) }),
        ClientMessage::Ban(Target { participant: ParticipantId(2) }),
        ClientMessage::Lock(Lock { locked: true }),
        ClientMessage::Role(Assign { participant: ParticipantId(2), role: Role::Listener }),
        ClientMessage::End(Empty {}),
        ClientMessage::Ping(Ping { ms: 1 }),
        ClientMessage::Leave(Empty {}),
    ]
}
