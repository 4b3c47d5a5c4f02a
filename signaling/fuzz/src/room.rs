//! A room: requests, binary messages, events of the media plane, lost connections, returns, and time, in any order.
//!
//! Asserts that every message fits the limit, that a request is answered at most once, that the revisions of a roster have no gap
//! until a whole one comes, that participants are announced under the seat that the roster has for them, and that time goes
//! on.

use crate::genuine::{self, CLIENT_TEXTS};
use e2ee_core::{Primitives, Standard};
use sfu_api::{Command, CommandError, Event, LocalTransport, Request, Ssrc, TransportState};
use signaling::{
    config::RoomLimits,
    outbox::Outgoing,
    room::{Admittance, Entry, FreshIds, Holder, Output, Room, Standing},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tacet_fuzz::Script;
use tacet_proto::{
    CallId, Capabilities, ClientEnvelope, ClientMessage, ParticipantId, Role, RoomId, Seat, ServerEnvelope,
    ServerMessage, SessionId, TrackId,
    binary::{
        self, ANNOUNCE_BYTES, ANNOUNCE_CALL, ANNOUNCE_DEVICE_KEY, ANNOUNCE_DISPLAY_HASH, ANNOUNCE_INCARNATION,
        ANNOUNCE_ROOM, BATCH_CALL, BATCH_ROOM, BATCH_SEAT, PREFIX_BYTES, ServerBinary,
    },
    bytes::{Base64, Fixed},
    client::{Empty, Join, Subscribe},
    limits::MAX_MESSAGE_BYTES,
};

const ROOM: RoomId = RoomId(Fixed([0x52; 16]));
/// More do not join: what several do, six do.
const MOST: usize = 6;
/// Ticks without time in between, as what is done at one may be answered at once.
const AT_ONCE: u32 = 10;

/// Input: steps.
pub fn run(data: &[u8]) {
    play(data).pass(Duration::from_secs(60));
}

/// The room after the steps of an input.
fn play(data: &[u8]) -> Stage {
    let (mut script, mut stage) = (Script(data), Stage::new());
    while let Some(step) = script.byte() {
        stage.step(step, &mut script);
        stage.settle();
    }
    stage
}

struct Stage {
    room: Room,
    now: Instant,
    call: CallId,
    /// Number of the last participant.
    last: u32,
    /// Number of the last request.
    requests: u32,
    present: Vec<ParticipantId>,
    views: BTreeMap<ParticipantId, View>,
    tracks: Vec<(ParticipantId, TrackId)>,
    ssrc: u32,
    /// Whether the media plane refuses commands.
    refuses: bool,
}

/// What a participant knows from the messages that it received.
#[derive(Default)]
struct View {
    rev: Option<u32>,
    roster: BTreeMap<ParticipantId, Seat>,
    answered: BTreeSet<u32>,
}

impl Stage {
    fn new() -> Self {
        let (now, mut number) = (Instant::now(), 0);
        let numbers = Box::new(move || {
            number += 1;
            number
        });
        let limits = RoomLimits { participants: MOST, ..RoomLimits::default() };
        Self {
            room: Room::new(now, sfu_api::RoomId(1), ROOM, limits, Admittance::default(), None, numbers),
            now,
            call: CallId(Fixed([0; 16])),
            last: 0,
            requests: 0,
            present: Vec::new(),
            views: BTreeMap::new(),
            tracks: Vec::new(),
            ssrc: 1_000,
            refuses: false,
        }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step % 10 {
            0 => self.join(),
            1 => self.pass(Duration::from_millis(u64::from(script.word().unwrap_or_default()))),
            2 => {
                self.refuses = script.byte().unwrap_or_default().is_multiple_of(4);
            }
            other => {
                let Some(who) = self.pick(script) else { return };
                match other {
                    3 => self.room.detach(self.now, who),
                    4 => self.ask(who, ClientMessage::Leave(Empty {})),
                    5 => self.ask(who, ClientMessage::Subscribe(Subscribe { auto: true, tracks: vec![] })),
                    6 => self.text(who, script),
                    7 => self.binary(who, script),
                    8 => self.event(who, script),
                    _ => self.return_of(who, script),
                }
            }
        }
    }

    fn pick(&self, script: &mut Script<'_>) -> Option<ParticipantId> {
        let index = usize::from(script.byte()?);
        self.present.get(index % self.present.len().max(1)).copied()
    }

    fn fresh(&mut self) -> FreshIds {
        self.last += 1;
        let mark = Fixed([self.last as u8; 16]);
        FreshIds { participant: ParticipantId(self.last), session: SessionId(mark), call: CallId(mark) }
    }

    /// Of every fourth a host; some have tokens, of which several are of one identity.
    fn standing(&self) -> Standing {
        let role = [Role::Listener, Role::Host, Role::Speaker, Role::Moderator][self.last as usize % 4];
        let token = [self.last as u8; 16];
        let holder = self.last.is_multiple_of(3).then(|| Holder { token, identity: Some("ada".to_owned()) });
        Standing { role, at_most: Capabilities::ALL, holder, earlier: Vec::new() }
    }

    /// A newcomer enters and joins with an announce of another device.
    fn join(&mut self) {
        if self.last >= 200 || self.present.len() > MOST {
            return;
        }
        let fresh = self.fresh();
        let Ok(entered) = self.room.enter(self.now, Entry::Newcomer, self.standing(), fresh) else { return };
        self.call = entered.call;
        self.present.push(entered.participant);
        self.views.insert(entered.participant, View::default());
        let join = self.join_of(entered.participant);
        self.ask(entered.participant, join);
    }

    fn join_of(&self, who: ParticipantId) -> ClientMessage {
        let (mut announce, display) = (vec![who.0 as u8; ANNOUNCE_BYTES], vec![who.0 as u8; 40]);
        announce[ANNOUNCE_ROOM].copy_from_slice(&ROOM.0.0);
        announce[ANNOUNCE_CALL].copy_from_slice(&self.call.0.0);
        announce[ANNOUNCE_DISPLAY_HASH].copy_from_slice(&Standard::digest(&display));
        announce[ANNOUNCE_DEVICE_KEY].fill(who.0 as u8);
        announce[ANNOUNCE_INCARNATION].fill(who.0 as u8);
        ClientMessage::Join(Join { announce: Base64(announce), display: Base64(display), expects: vec![] })
    }

    /// A request, with a number of its sender's own.
    fn ask(&mut self, from: ParticipantId, message: ClientMessage) {
        self.requests += 1;
        self.room.request(self.now, from, Some(self.requests), message);
    }

    /// An edited text frame, if the connection would accept it.
    fn text(&mut self, from: ParticipantId, script: &mut Script<'_>) {
        let genuine: Vec<_> = CLIENT_TEXTS.iter().map(|text| text.as_bytes()).collect();
        let frame = script.edit(&genuine);
        let Ok(envelope) =
            str::from_utf8(&frame).map_err(drop).and_then(|text| ClientEnvelope::parse(text).map_err(drop))
        else {
            return;
        };
        // The connection keeps this to itself.
        if !matches!(envelope.message, ClientMessage::Hello(_)) {
            self.ask(from, envelope.message);
        }
    }

    /// An edited binary frame, whose header says the truth of room and call, and the seat of the script.
    fn binary(&mut self, from: ParticipantId, script: &mut Script<'_>) {
        let mut genuine = genuine::client_binaries();
        let seat = u16::from(script.byte().unwrap_or_default() % 8);
        if let Some(header) = genuine.first_mut().and_then(|batch| batch.get_mut(PREFIX_BYTES..)) {
            header[BATCH_ROOM].copy_from_slice(&ROOM.0.0);
            header[BATCH_CALL].copy_from_slice(&self.call.0.0);
            header[BATCH_SEAT].copy_from_slice(&seat.to_be_bytes());
        }
        let frame = script.edit(&genuine.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let Ok((_, message)) = binary::parse_client(&frame) else { return };
        self.requests += 1;
        self.room.binary(self.now, from, Some(self.requests), message);
    }

    fn event(&mut self, who: ParticipantId, script: &mut Script<'_>) {
        let number = usize::from(script.byte().unwrap_or_default());
        let track = self.tracks.get(number % self.tracks.len().max(1)).copied();
        let states =
            [TransportState::Connected, TransportState::Disconnected, TransportState::Failed, TransportState::Closed];
        let event = match (number % 5, track) {
            (0, Some((participant, track))) => Event::TrackActivity { participant, track, active: number > 127 },
            (1, Some((participant, track))) => {
                Event::LayersWanted { participant, track, active: vec![number > 127], height: 180 }
            }
            (2, _) => Event::Speakers { room: sfu_api::RoomId(1), levels: vec![(who, 30)] },
            _ => Event::TransportState { participant: who, state: states[number % states.len()] },
        };
        self.room.media(self.now, event);
    }

    /// A participant returns with a token of its session, or of a reload.
    fn return_of(&mut self, who: ParticipantId, script: &mut Script<'_>) {
        let shown = script.byte().unwrap_or_default();
        let Some(claims) = self.room.claims(who) else { return };
        let (covered, recent) = (shown & 2 != 0, shown & 4 != 0);
        let entry =
            if shown & 1 == 0 { Entry::Session { claims, covered, recent } } else { Entry::Reload { claims, recent } };
        let fresh = self.fresh();
        let Ok(entered) = self.room.enter(self.now, entry, self.standing(), fresh) else { return };
        self.call = entered.call;
        assert_eq!(entered.participant, who, "the participant of the claims");
        if entered.continues != tacet_proto::resume::Continues::Session {
            self.settle();
            self.views.insert(who, View::default());
            let join = self.join_of(who);
            self.ask(who, join);
        }
    }

    fn pass(&mut self, time: Duration) {
        let (end, mut at_once) = (self.now + time, 0);
        while let Some(deadline) = self.room.deadline().filter(|deadline| *deadline <= end) {
            at_once = if deadline > self.now { 0 } else { at_once + 1 };
            assert!(at_once < AT_ONCE, "always due at once");
            self.now = deadline.max(self.now);
            self.room.tick(self.now);
            self.settle();
        }
        self.now = end;
    }

    fn settle(&mut self) {
        while let Some(output) = self.room.poll() {
            match output {
                Output::Send(to, Outgoing::Message { re, message }) => self.hear(to, re, message),
                Output::Send(to, Outgoing::Binary(bytes)) => self.hear_binary(to, &bytes),
                Output::Joined { to, re, joined, .. } => self.hear(to, re, ServerMessage::Joined(joined)),
                Output::Pong { .. } | Output::Hint(..) | Output::Departed { .. } | Output::CallEnded(_) => {}
                Output::End(who, _) => self.gone(who),
                Output::Goodbye { from, .. } => self.gone(from),
                Output::Record { removes, .. } => {
                    for (who, _) in removes {
                        self.gone(who);
                    }
                }
                Output::EndRoom { .. } => {}
                Output::Command(request) => self.command(request),
            }
        }
        self.present.retain(|who| self.room.has(*who));
    }

    fn gone(&mut self, who: ParticipantId) {
        self.views.remove(&who);
        self.tracks.retain(|(owner, _)| *owner != who);
    }

    fn hear(&mut self, to: ParticipantId, re: Option<u32>, message: ServerMessage) {
        let text = ServerEnvelope { seq: u32::MAX, re, message: message.clone() }.to_json();
        assert!(text.len() <= MAX_MESSAGE_BYTES, "{} bytes", text.len());
        let Some(view) = self.views.get_mut(&to) else { return };
        if let Some(re) = re {
            assert!(view.answered.insert(re), "request {re} was answered twice");
        }
        match message {
            ServerMessage::Joined(joined) => {
                view.rev = Some(joined.rev);
                view.roster = joined.roster.iter().map(|entry| (entry.participant, entry.seat)).collect();
            }
            ServerMessage::Role(change) => {
                assert_eq!(change.capabilities.and(change.role.capabilities()), change.capabilities);
            }
            ServerMessage::Roster(roster) => {
                let before = view.rev.replace(roster.rev);
                assert!(roster.full || before.is_none_or(|rev| roster.rev == rev + 1), "a gap");
                if roster.full {
                    view.roster.clear();
                }
                view.roster.retain(|participant, _| !roster.del.contains(participant));
                view.roster.extend(roster.add.iter().map(|entry| (entry.participant, entry.seat)));
            }
            _ => {}
        }
    }

    fn hear_binary(&self, to: ParticipantId, bytes: &[u8]) {
        assert!(bytes.len() <= MAX_MESSAGE_BYTES, "{} bytes", bytes.len());
        let (_, message) = binary::parse_server(bytes).expect("a message of the server");
        let (ServerBinary::Announces(entries), Some(view)) = (message, self.views.get(&to)) else { return };
        for entry in entries {
            assert_eq!(view.roster.get(&entry.participant), Some(&entry.seat), "announced under another seat");
        }
    }

    /// The media plane does what it is asked, or refuses all.
    fn command(&mut self, Request { id: command, command: what }: Request) {
        let participant = match &what {
            Command::AddParticipant { participant, .. }
            | Command::RestartIce { participant }
            | Command::Publish { participant, .. }
            | Command::AddSlot { participant, .. } => *participant,
            _ => return,
        };
        if self.refuses {
            self.room.media(self.now, Event::Refused { command, participant, error: CommandError::Limit });
            return;
        }
        let event = match what {
            Command::Publish { track, .. } => {
                self.tracks.push((participant, track));
                Event::Published { command, participant, track }
            }
            Command::AddSlot { mid, .. } => {
                self.ssrc += 1;
                Event::SlotAdded { command, participant, mid, ssrc: Ssrc(self.ssrc), rtx: None }
            }
            _ => {
                let (ufrag, pwd) = ("serv".to_owned(), "p".repeat(24));
                let local = LocalTransport { ufrag, pwd, fingerprint: [5; 32], candidates: vec![] };
                Event::Transport { command, participant, local }
            }
        };
        self.room.media(self.now, event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise nothing would be found in such a room.
    #[test]
    fn committed_call_has_members_tracks_and_slots() {
        let stage = play(include_bytes!("../corpus/signaling_room/call"));
        assert_eq!((stage.present.len(), stage.tracks.len()), (2, 1), "one of three has left, with its track");
        assert!(stage.ssrc > 1_000, "slots were added");
        let rosters: Vec<_> = stage.views.values().map(|view| view.roster.len()).collect();
        assert_eq!(rosters, [1, 1]);
        assert!(stage.views.values().all(|view| !view.answered.is_empty()));
    }

    #[test]
    fn participants_of_the_committed_returns_are_back() {
        let stage = play(include_bytes!("../corpus/signaling_room/returns"));
        assert!(stage.last > 3, "{} have entered", stage.last);
    }
}
