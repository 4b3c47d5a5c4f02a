//! Chat messages: to everyone, once, in order, and by many of a large audience at once.

use super::{paging::busiest_second, *};
use e2ee_frames::{Action, ChatContent, Clock, MonotonicTime, Session, SessionConfig, WallTime};
use std::{cell::Cell, collections::VecDeque};
use tacet_proto::{
    binary::{ChatId, ChatKind},
    limits::{CLIENT_OUTBOX_PER_SECOND, MESSAGES_PER_WINDOW},
};

fn text(number: u64) -> ChatId {
    ChatId::new(ChatKind::Message, number)
}

fn say(story: &mut Story, who: u32, id: ChatId) {
    story.binary(who, &binary::chat(9, id, b"sealed"));
}

/// The messages that a participant was sent: sender and number.
fn heard(story: &mut Story, who: u32) -> Vec<(u32, u64)> {
    let chat = |bytes: Vec<u8>| match binary::parse_server(&bytes) {
        Ok((_, ServerBinary::Chat { participant, id, sealed: b"sealed" })) => Some((participant.0, id.number())),
        _ => None,
    };
    story.binaries(who).into_iter().filter_map(chat).collect()
}

fn room_of(people: u32) -> Story {
    let mut story = Story::new();
    (1..=people).for_each(|who| story.join(who));
    story.quiet();
    story.heard.clear();
    story
}

#[test]
fn message_reaches_everyone_else_once() {
    let mut story = room_of(3);
    say(&mut story, 1, text(1));
    say(&mut story, 1, ChatId::new(ChatKind::Reaction, 2));
    story.quiet();
    // Again after a lost answer.
    say(&mut story, 1, text(1));
    story.quiet();
    let answers = story.messages(1);
    assert_eq!(answers.iter().filter(|answer| matches!(answer, ServerMessage::Ok(_))).count(), 3);
    for who in [2, 3] {
        assert_eq!(heard(&mut story, who), [(1, 1), (1, 2)]);
    }
    // Another participant counts for itself.
    say(&mut story, 2, text(1));
    story.quiet();
    assert_eq!(heard(&mut story, 1), [(2, 1)]);
}

#[test]
fn message_needs_a_join() {
    let mut story = room_of(1);
    story.enter(2);
    say(&mut story, 2, text(1));
    story.quiet();
    let refused = story.messages(2);
    assert!(matches!(&refused[..], [ServerMessage::Error(error)] if error.code == ErrorCode::NotMember), "{refused:?}");
    assert_eq!(heard(&mut story, 1), []);
}

#[test]
fn messages_wait_in_order_for_who_has_no_connection() {
    let mut story = room_of(3);
    story.room.detach(story.now, ParticipantId(3));
    for number in 1..=12 {
        say(&mut story, 1, text(number));
        say(&mut story, 2, text(number));
        story.pass(Duration::from_millis(500));
    }
    assert_eq!(heard(&mut story, 3), []);
    let claims = story.room.claims(ParticipantId(3)).unwrap();
    story.enter_as(Entry::Session { claims, covered: true, recent: true }, 99).unwrap();
    story.quiet();
    let expected: Vec<_> = (1..=12).flat_map(|number| [(1, number), (2, number)]).collect();
    assert_eq!(heard(&mut story, 3), expected);
}

#[test]
fn who_seldom_says_something_is_not_behind_who_keeps_talking() {
    let mut story = room_of(3);
    story.room.detach(story.now, ParticipantId(3));
    (1..=60).for_each(|number| say(&mut story, 1, text(number)));
    say(&mut story, 2, text(1));
    let claims = story.room.claims(ParticipantId(3)).unwrap();
    story.enter_as(Entry::Session { claims, covered: true, recent: true }, 99).unwrap();
    story.quiet();
    let heard = heard(&mut story, 3);
    assert_eq!(heard.len(), 61, "nothing is lost");
    let at = heard.iter().position(|(who, _)| *who == 2).unwrap();
    assert!(at <= 3, "{at} messages came before");
    let own: Vec<_> = heard.iter().filter(|(who, _)| *who == 1).map(|(_, number)| *number).collect();
    assert!(own.is_sorted(), "{own:?}");
}

#[test]
fn last_words_come_before_the_leave() {
    let mut story = room_of(2);
    say(&mut story, 1, text(1));
    story.quiet();
    story.take(2);
    say(&mut story, 1, text(2));
    story.ask(1, ClientMessage::Leave(Empty {}));
    story.quiet();
    let order: Vec<_> = story.take(2).into_iter().map(|outgoing| matches!(outgoing, Outgoing::Binary(_))).collect();
    assert_eq!(order, [true, false], "message, then roster");
}

const PEOPLE: u32 = 1_000;
const WRITERS: u32 = 50;
/// Of the others, these have keys. What the rest is sent is compared with what these open.
const READERS: u32 = 20;
const WRITING: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(20);
const WALL: u64 = 1_800_000_000_000;

/// One of a large audience.
struct Person {
    id: u32,
    session: Option<Session>,
    /// What its client has yet to send.
    outbox: VecDeque<Vec<u8>>,
    sends_at: Instant,
    received: u32,
    sent: Vec<Instant>,
    heard: Vec<Instant>,
    /// The messages that it was sent, and what it has opened of them.
    messages: BTreeSet<Vec<u8>>,
    opened: BTreeSet<(u32, String)>,
}

struct Audience {
    story: Story,
    start: Instant,
    people: Vec<Person>,
}

fn clock(start: Instant, now: Instant) -> Clock {
    let ms = (now - start).as_millis() as u64;
    Clock { now: MonotonicTime::from_millis(ms), wall: WallTime::from_millis(WALL + ms) }
}

/// Bytes that differ with every call.
fn random(seed: u32) -> impl FnMut(&mut [u8]) + Send {
    let next = Cell::new(0u64);
    move |bytes: &mut [u8]| {
        for chunk in bytes.chunks_mut(32) {
            next.set(next.get() + 1);
            let hash = Standard::digest(format!("{seed} {}", next.get()).as_bytes());
            chunk.copy_from_slice(&hash[..chunk.len()]);
        }
    }
}

impl Audience {
    fn new() -> Self {
        let limits = RoomLimits { participants: PEOPLE as usize, ..RoomLimits::default() };
        let mut story = Story::with(limits);
        story.alive = false;
        let start = story.now;
        let mut announces = Vec::new();
        let mut people: Vec<Person> = Vec::new();
        for id in 1..=PEOPLE {
            let call = story.enter(id);
            let config = SessionConfig::new(ROOM.0.0, call.0.0, [7; 32], "Ada");
            let mut session = Session::new(config, random(id), clock(start, story.now)).unwrap();
            let Some(Action::SendAnnounce { announce, display, .. }) = session.poll() else { panic!("no announce") };
            let (own, name) = (announce.clone(), display.clone());
            let join = Join { announce: Base64(announce), display: Base64(display), expects: vec![] };
            story.ask_as_is(id, ClientMessage::Join(join));
            let seat = story.room.members[&ParticipantId(id)].announced.seat;
            session.handle(clock(start, story.now), e2ee_frames::Event::Joined { seat }).unwrap();
            let length = (name.len() as u16).to_be_bytes();
            announces.push([&id.to_be_bytes()[..], &seat.0.to_be_bytes(), &own, &length, &name].concat());
            people.push(Person {
                id,
                session: (id <= WRITERS + READERS).then_some(session),
                outbox: VecDeque::new(),
                sends_at: start,
                received: 0,
                sent: Vec::new(),
                heard: Vec::new(),
                messages: BTreeSet::new(),
                opened: BTreeSet::new(),
            });
            // What joining costs, other tests measure.
            story.room.members.values_mut().for_each(|member| member.backlog = Backlog::default());
            story.heard.clear();
        }
        // Writers know everyone, readers those who write: the others have no keys to send.
        for person in &mut people {
            let Some(session) = &mut person.session else { continue };
            let known = if person.id <= WRITERS { PEOPLE } else { WRITERS };
            for page in announces[..known as usize].chunks(250) {
                let page = [&[page.len() as u8], &page.concat()[..]].concat();
                session.handle(clock(start, story.now), e2ee_frames::Event::Announces(&page)).unwrap();
            }
            while session.poll().is_some() {}
        }
        Self { story, start, people }
    }

    fn step(&mut self, second: bool) {
        let now = self.story.now;
        for person in &mut self.people {
            if second {
                person.sent.push(now);
                self.story.room.request(now, ParticipantId(person.id), None, ClientMessage::Heartbeat(Empty {}));
            }
            if let Some(message) = person.next_message(now, self.start) {
                person.sent.push(now);
                let (id, message) = binary::parse_client(&message).unwrap();
                self.story.room.binary(now, ParticipantId(person.id), id, message);
            }
        }
        self.story.settle();
        self.story.pass(STEP);
        for person in &mut self.people {
            for outgoing in self.story.heard.remove(&ParticipantId(person.id)).unwrap_or_default() {
                let now = self.story.now;
                person.heard.push(now);
                person.received += 1;
                if person.received.is_multiple_of(16) {
                    person.sent.push(now);
                    let ack = ClientMessage::Ack(Ack { seq: person.received });
                    self.story.room.request(now, ParticipantId(person.id), None, ack);
                }
                person.hear(clock(self.start, now), outgoing);
            }
        }
    }
}

/// Requests for key batches have their numbers, and those for messages come after these.
const CHAT_REQUESTS: u32 = 10_000;

impl Person {
    /// What its client sends now.
    fn next_message(&mut self, now: Instant, start: Instant) -> Option<Vec<u8>> {
        let session = self.session.as_mut()?;
        let clock = clock(start, now);
        if session.deadline().is_some_and(|at| at <= clock.now) {
            session.handle(clock, e2ee_frames::Event::Tick).unwrap();
        }
        while let Some(action) = session.poll() {
            match action {
                Action::SendKeyBatch { number, body } => self.outbox.push_back(binary::key_batch(number, &body)),
                Action::SendChat { id, sealed } => {
                    let number = CHAT_REQUESTS + id.number() as u32;
                    self.outbox.push_back(binary::chat(number, id, &sealed));
                }
                Action::ChatReceived { participant, content: ChatContent::Text(text), .. } => {
                    assert!(self.opened.insert((participant.0, text)), "opened twice");
                }
                Action::Problem { problem, .. } => panic!("{problem:?}"),
                _ => {}
            }
        }
        if now < self.sends_at {
            return None;
        }
        let message = self.outbox.pop_front()?;
        self.sends_at = now + Duration::from_secs(1) / CLIENT_OUTBOX_PER_SECOND;
        Some(message)
    }

    fn hear(&mut self, clock: Clock, outgoing: Outgoing) {
        let event = match &outgoing {
            Outgoing::Message { re: Some(number), message: ServerMessage::Ok(_) } if *number > CHAT_REQUESTS => {
                e2ee_frames::Event::ChatAnswered { id: text(u64::from(number - CHAT_REQUESTS)) }
            }
            Outgoing::Message { re: Some(number), message: ServerMessage::Ok(_) } => {
                e2ee_frames::Event::KeyBatchAccepted { number: *number }
            }
            Outgoing::Binary(bytes) => match binary::parse_server(bytes).unwrap().1 {
                ServerBinary::Keys(_) => e2ee_frames::Event::Keys(&bytes[PREFIX_BYTES..]),
                ServerBinary::Chat { .. } => {
                    assert!(self.messages.insert(bytes.clone()), "sent twice");
                    e2ee_frames::Event::Chat(&bytes[PREFIX_BYTES..])
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        if let Some(session) = &mut self.session {
            session.handle(clock, event).unwrap();
        }
    }
}

/// A first message makes a key for everyone and distributes it, and no client sends or is sent more than it may.
#[test]
fn fifty_of_a_thousand_listeners_write_within_ten_seconds() {
    let mut audience = Audience::new();
    let begin = audience.story.now;
    let (mut written, mut seconds) = (0, 0);
    while audience.story.now < begin + WRITING + Duration::from_secs(3) {
        let now = audience.story.now;
        while written < WRITERS && now >= begin + WRITING * written / WRITERS {
            let content = ChatContent::Text(format!("question {written}"));
            let session = audience.people[written as usize].session.as_mut().unwrap();
            let event = e2ee_frames::Event::SendChat { id: text(1), content: &content };
            session.handle(clock(audience.start, now), event).unwrap();
            written += 1;
        }
        let second = now >= begin + Duration::from_secs(seconds);
        seconds += u64::from(second);
        audience.step(second);
    }
    assert_eq!(audience.story.closed, []);
    let all: BTreeSet<_> = (0..WRITERS).map(|writer| (writer + 1, format!("question {writer}"))).collect();
    let last = &audience.people[PEOPLE as usize - 1].messages;
    assert_eq!(last.len(), WRITERS as usize);
    for person in &audience.people {
        let expected = if person.id <= WRITERS { WRITERS - 1 } else { WRITERS } as usize;
        assert!(person.messages.is_subset(last) && person.messages.len() == expected, "{} lacks messages", person.id);
        if person.session.is_some() {
            assert!(person.opened.is_subset(&all) && person.opened.len() == expected, "{} lacks texts", person.id);
        }
    }
    let busiest = |times: fn(&Person) -> &[Instant]| {
        audience.people.iter().map(|person| busiest_second(times(person))).max().unwrap_or_default()
    };
    let (sent, heard) = (busiest(|person| &person.sent), busiest(|person| &person.heard));
    println!("in the busiest second a client sends {sent} messages and is sent {heard}");
    assert!(sent.max(heard) <= MESSAGES_PER_WINDOW, "{sent} sent, {heard} received");
}
