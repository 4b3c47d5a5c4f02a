//! A virtual hour of outages: sockets cut, pages frozen and loaded again, people who leave, servers killed and started.
//! In the end everyone has the same roster, and everyone has the id that the rules say.

use super::*;
use crate::room::gathering::GATHERING;
use tacet_proto::resume::{Continues, Expected};

const STEP: Duration = Duration::from_millis(250);
const HOUR: Duration = Duration::from_secs(3_600);
const SECOND: Duration = Duration::from_secs(1);
/// Within this time of losing its place a participant may be reported to have left: the longest outage of a client, the
/// time to gather, and a margin.
const LATE: Duration = Duration::from_secs(130);

/// A small generator (xorshift), so that a seed names a story.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// It sends heartbeats.
    Up,
    /// Its socket is gone, whether or not the server knows.
    Cut,
    /// Its socket is open, and it sends nothing.
    Frozen,
    /// Its page is gone and is loaded again.
    Reloading,
    /// The person has left, and will come as another participant.
    Gone,
}

struct Client {
    id: u32,
    state: State,
    until: Instant,
    /// Since when it is not up.
    since: Instant,
    /// When it got its place other than by continuing it.
    placed: Instant,
    /// The last token, when it was issued, and by which server.
    token: Option<(Claims, Instant)>,
    server: u32,
    /// Whether its place was held when the server was last killed.
    held: bool,
    rev: u32,
    roster: BTreeMap<ParticipantId, Seat>,
    /// Until when it waits for those that it knew before a restart.
    waits_until: Option<Instant>,
    returns: BTreeMap<&'static str, u32>,
}

struct World {
    story: Story,
    dice: Dice,
    clients: Vec<Client>,
    /// Number of the server since the start.
    server: u32,
    gone: Vec<ParticipantId>,
    departed: Vec<SessionId>,
    next_id: u32,
}

impl World {
    fn new(seed: u64, clients: u32) -> Self {
        let mut story = Story::new();
        story.alive = false;
        let now = story.now;
        let mut world = Self {
            story,
            dice: Dice(seed),
            clients: Vec::new(),
            server: 1,
            gone: vec![],
            departed: vec![],
            next_id: 1,
        };
        for _ in 0..clients {
            world.clients.push(Client {
                id: 0,
                state: State::Gone,
                until: now,
                since: now,
                placed: now,
                token: None,
                server: 0,
                held: false,
                rev: 0,
                roster: BTreeMap::new(),
                waits_until: None,
                returns: BTreeMap::new(),
            });
        }
        world
    }

    fn now(&self) -> Instant {
        self.story.now
    }

    fn step(&mut self, faults: bool) {
        for i in 0..self.clients.len() {
            if self.clients[i].state == State::Up {
                if faults && self.dice.roll(400) == 0 {
                    self.fail(i);
                } else {
                    self.story.ask(self.clients[i].id, ClientMessage::Heartbeat(Empty {}));
                    self.renew_token(i);
                }
            } else if self.clients[i].until <= self.now() {
                self.come_back(i);
            }
        }
        if faults && self.dice.roll(2_400) == 0 {
            self.restart();
        }
        self.story.pass(STEP);
        for i in 0..self.clients.len() {
            self.listen(i);
        }
    }

    fn fail(&mut self, i: usize) {
        let seconds = if self.dice.roll(2) == 0 { 1 + self.dice.roll(8) } else { 1 + self.dice.roll(60) };
        let (now, id) = (self.now(), self.clients[i].id);
        let state = match self.dice.roll(10) {
            0..5 => State::Cut,
            5..7 => State::Frozen,
            7..9 => State::Reloading,
            _ => State::Gone,
        };
        match state {
            // Half of the time the server notices.
            State::Cut if self.dice.roll(2) == 0 => self.story.room.detach(now, ParticipantId(id)),
            State::Reloading => self.story.ask(id, ClientMessage::Away(Empty {})),
            State::Gone => {
                self.story.ask(id, ClientMessage::Leave(Empty {}));
                self.gone.push(ParticipantId(id));
            }
            _ => {}
        }
        self.story.settle();
        let client = &mut self.clients[i];
        (client.state, client.since, client.until) = (state, now, now + Duration::from_secs(seconds));
    }

    fn renew_token(&mut self, i: usize) {
        let (now, client) = (self.now(), &mut self.clients[i]);
        if client.token.is_none_or(|(_, issued)| now - issued >= 10 * SECOND) {
            let claims = self.story.room.claims(ParticipantId(client.id)).expect("a member");
            client.token = Some((claims, now));
        }
    }

    fn come_back(&mut self, i: usize) {
        let (now, id) = (self.now(), self.clients[i].id);
        let absent = now - self.clients[i].since;
        let same_server = self.clients[i].server == self.server;
        if self.clients[i].state == State::Frozen && same_server && self.story.room.has(ParticipantId(id)) {
            // Its socket lives.
            self.clients[i].state = State::Up;
            return;
        }
        let entry = match (self.clients[i].state, self.clients[i].token) {
            (State::Gone, _) | (_, None) => Entry::Newcomer,
            (State::Reloading, Some((claims, issued))) => Entry::Reload { claims, recent: now - issued <= RECENT },
            (_, Some((claims, issued))) => Entry::Session { claims, covered: true, recent: now - issued <= RECENT },
        };
        let fresh = self.next_id;
        self.next_id += 1;
        let entered = match self.story.enter_as(entry, fresh) {
            Ok(entered) => entered,
            Err(_) => {
                let Some((claims, _)) = self.clients[i].token else { panic!("a newcomer was refused") };
                let reload = self.clients[i].state == State::Reloading && absent > 29 * SECOND;
                assert!(reload || self.story.room.call != Some(claims.call), "{absent:?}: {entry:?}");
                self.clients[i].token = None;
                return;
            }
        };
        *self.clients[i].returns.entry(name(entered.continues)).or_default() += 1;
        if entry != Entry::Newcomer {
            assert_eq!(entered.participant.0, id, "a participant that returns keeps its id");
        }
        let process = matches!(entry, Entry::Session { .. });
        if process && same_server && absent < 29 * SECOND {
            assert_eq!(entered.continues, Continues::Session, "after {absent:?}");
        }
        let recent = matches!(entry, Entry::Session { recent: true, .. });
        if recent && !same_server && self.clients[i].held && self.story.room.is_gathering() {
            assert_eq!(entered.continues, Continues::Seat, "after {absent:?}");
        }
        let client = &mut self.clients[i];
        client.id = entered.participant.0;
        client.state = State::Up;
        client.server = self.server;
        if entered.continues == Continues::Session {
            return;
        }
        // What was sent to its earlier session is not for this one.
        self.story.take(client.id);
        let ClientMessage::Join(join) = join(client.id as u8) else { unreachable!() };
        let continues_seat = entered.continues == Continues::Seat;
        let known = client.roster.iter().filter(|_| continues_seat);
        let expects = known.map(|(participant, seat)| Expected { participant: *participant, seat: *seat }).collect();
        let id = client.id;
        self.story.ask(id, ClientMessage::Join(Join { expects, ..join }));
        let mut heard = self.story.take(id).into_iter();
        let joined = heard.find_map(|outgoing| match outgoing {
            Outgoing::Message { message: ServerMessage::Joined(joined), .. } => Some(joined),
            _ => None,
        });
        let joined = joined.expect("joined");
        self.story.heard.insert(ParticipantId(id), heard.collect());
        let client = &mut self.clients[i];
        client.rev = joined.rev;
        client.token = None;
        if continues_seat {
            client.waits_until = joined.gathering.then(|| now + GATHERING + 10 * SECOND);
        } else {
            client.roster.clear();
            client.waits_until = None;
            client.placed = now;
        }
        client.roster.extend(joined.roster.iter().map(|entry| (entry.participant, entry.seat)));
        self.renew_token(i);
    }

    fn restart(&mut self) {
        let now = self.now();
        let down = SECOND * u32::try_from(1 + self.dice.roll(8)).unwrap();
        for client in &mut self.clients {
            // Who has not returned since the kill before may do so still.
            let back = client.server == self.server;
            client.held = if back { self.story.room.has(ParticipantId(client.id)) } else { client.held };
        }
        self.departed.append(&mut self.story.departed);
        let call = self.story.room.call.map(|id| CallRecord {
            gone: self.gone.clone(),
            departed: self.departed.clone(),
            ..CallRecord::new(id)
        });
        self.story = Story::starting_at(now + down, RoomLimits::default(), call);
        self.story.alive = false;
        self.server += 1;
        for client in &mut self.clients {
            if client.state == State::Up {
                client.state = State::Cut;
                client.since = now;
                client.until = self.story.now + Duration::from_millis(self.dice.roll(2_000));
            }
        }
    }

    /// What a client learns, if it can.
    fn listen(&mut self, i: usize) {
        let now = self.now();
        if self.clients[i].state != State::Up || self.clients[i].server != self.server {
            return;
        }
        let messages = self.story.messages(self.clients[i].id);
        for message in messages {
            let ServerMessage::Roster(roster) = message else { continue };
            assert_eq!(roster.rev, self.clients[i].rev + 1, "a gap");
            self.clients[i].rev = roster.rev;
            let present: BTreeSet<_> = roster.add.iter().map(|entry| entry.participant).collect();
            let dropped =
                self.clients[i].roster.keys().copied().filter(|known| roster.full && !present.contains(known));
            let left: Vec<_> = roster.del.iter().copied().chain(dropped).collect();
            for left in left {
                self.check_left(left);
                self.clients[i].roster.remove(&left);
            }
            if roster.full {
                self.clients[i].waits_until = None;
            }
            self.clients[i].roster.extend(roster.add.iter().map(|entry| (entry.participant, entry.seat)));
        }
        assert!(self.clients[i].waits_until.is_none_or(|at| at > now), "gathering ends in time");
    }

    /// A participant that kept its place is never said to have left.
    fn check_left(&self, left: ParticipantId) {
        let Some(client) = self.clients.iter().find(|client| client.id == left.0) else { return };
        let away = client.state != State::Up && self.now() - client.since > 9 * SECOND;
        let lost = self.now() - client.placed < LATE;
        assert!(away || lost || client.state == State::Gone, "{left:?} has not left");
    }
}

fn name(continues: Continues) -> &'static str {
    match continues {
        Continues::Nothing => "nothing",
        Continues::Session => "session",
        Continues::Seat => "seat",
        Continues::Participant => "participant",
    }
}

#[test]
fn hour_of_outages_ends_with_one_roster() {
    let mut returns: BTreeMap<&'static str, u32> = BTreeMap::new();
    for (seed, clients) in (2..=8).map(|clients| (u64::from(clients) * 7_919, clients)) {
        let mut world = World::new(seed, clients);
        let end = world.now() + HOUR;
        while world.now() < end {
            world.step(true);
        }
        // Everything is repaired.
        let end = world.now() + 90 * SECOND;
        while world.now() < end {
            world.step(false);
        }
        let members: BTreeMap<_, _> =
            world.story.room.members.iter().map(|(id, member)| (*id, member.announced.seat)).collect();
        assert_eq!(members.len(), clients as usize, "seed {seed}");
        let seats: BTreeSet<_> = members.values().collect();
        assert_eq!(seats.len(), members.len());
        for client in &world.clients {
            let mut expected = members.clone();
            assert!(expected.remove(&ParticipantId(client.id)).is_some());
            assert_eq!(client.roster, expected, "seed {seed}, participant {}", client.id);
            for (name, count) in &client.returns {
                *returns.entry(*name).or_default() += count;
            }
        }
    }
    for name in ["nothing", "session", "seat", "participant"] {
        assert!(returns.get(name).is_some_and(|count| *count > 20), "{name}: {returns:?}");
    }
}
