//! Stories of a room, in virtual time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use sfu::event::LocalTransport;
use std::time::Duration;
use tacet_proto::{
    binary::{self, BATCH_ENTRY_BYTES, BATCH_HEADER_BYTES, ServerBinary},
    bytes::{Base64, Fixed},
    client::{ClientTransport, Empty, Hello, Ping, Publish, SlotsReady, Subscribe, TrackRef, Unsubscribe},
    media::{ClientIce, Codec, Dtls, Kind, Slot, SlotSource, Source, Track},
    server::{Joined, RosterEntry},
};

/// A room with a clock, and a media plane that makes whatever it is asked for.
struct Story {
    room: Room,
    now: Instant,
    heard: BTreeMap<ParticipantId, Vec<Outgoing>>,
    hints: usize,
    closed: Vec<(ParticipantId, CloseCode)>,
    commands: Vec<Command>,
    ssrc: u32,
}

impl Story {
    fn new() -> Self {
        Self::with(RoomLimits::default())
    }

    fn with(limits: RoomLimits) -> Self {
        Self {
            room: Room::new(sfu::RoomId(1), limits, Arc::new(AtomicU32::new(1))),
            now: Instant::now(),
            heard: BTreeMap::new(),
            hints: 0,
            closed: Vec::new(),
            commands: Vec::new(),
            ssrc: 1_000,
        }
    }

    fn settle(&mut self) {
        while let Some(output) = self.room.poll() {
            match output {
                Output::Send(to, outgoing) => self.heard.entry(to).or_default().push(outgoing),
                Output::Hint(..) => self.hints += 1,
                Output::Close(who, closing) => self.closed.push((who, closing.code)),
                Output::Command(command) => {
                    match &command {
                        Command::AddParticipant { participant, .. } => {
                            let local = LocalTransport {
                                ufrag: "serv".to_owned(),
                                pwd: "p".repeat(24),
                                fingerprint: [5; 32],
                                candidates: vec![],
                            };
                            self.room.media(self.now, Event::Transport { participant: *participant, local });
                        }
                        Command::AddSlot { participant, mid, .. } => {
                            self.ssrc += 1;
                            let ssrc = sfu::Ssrc(self.ssrc);
                            let added = Event::SlotAdded { participant: *participant, mid: *mid, ssrc, rtx: None };
                            self.room.media(self.now, added);
                        }
                        _ => {}
                    }
                    self.commands.push(command);
                }
            }
        }
    }

    /// Lets time pass until nothing is due any more.
    fn quiet(&mut self) {
        self.settle();
        while let Some(deadline) = self.room.deadline() {
            self.now = self.now.max(deadline);
            self.room.tick(self.now);
            self.settle();
        }
    }

    fn ask(&mut self, from: u32, message: ClientMessage) {
        self.room.request(self.now, ParticipantId(from), Some(9), message);
        self.settle();
    }

    /// Asks, lets time pass, and returns the answer.
    fn answer(&mut self, from: u32, message: ClientMessage) -> ServerMessage {
        self.take(from);
        self.ask(from, message);
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

    fn binary(&mut self, from: u32, message: &[u8]) {
        self.room.binary(self.now, ParticipantId(from), message);
        self.settle();
    }

    fn enter(&mut self, who: u32) -> CallId {
        self.room.enter(ParticipantId(who), CallId(Fixed([who as u8; 16])))
    }

    fn join(&mut self, who: u32) {
        self.enter(who);
        self.ask(who, join(who as u8));
        self.quiet();
    }

    /// Joins somebody who receives everything.
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

fn join(mark: u8) -> ClientMessage {
    ClientMessage::Join(Join { announce: Base64(vec![mark; ANNOUNCE_BYTES]), display: Base64(vec![mark; 40]) })
}

fn auto() -> ClientMessage {
    ClientMessage::Subscribe(Subscribe { auto: true, tracks: vec![] })
}

fn mic() -> Publish {
    Publish {
        cid: "mic".to_owned(),
        kind: Kind::Audio,
        source: Source::Mic,
        codec: Codec::Opus,
        mid: "sa".to_owned(),
        ssrc: 11,
        rtx: None,
        muted: false,
    }
}

fn cam() -> Publish {
    Publish {
        cid: "cam".to_owned(),
        kind: Kind::Video,
        source: Source::Cam,
        codec: Codec::Vp8,
        mid: "sv".to_owned(),
        ssrc: 21,
        rtx: Some(22),
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
    let ClientMessage::Join(announce) = join(1) else { unreachable!() };
    vec![
        ClientMessage::Hello(Hello {
            room: tacet_proto::RoomId(Fixed([0; 16])),
            access: Fixed([0; 32]),
            client: String::new(),
            features: vec![],
        }),
        join(1),
        ClientMessage::Announce(announce),
        ClientMessage::Transport(transport()),
        ClientMessage::Publish(mic()),
        ClientMessage::Unpublish(track),
        ClientMessage::Pause(track),
        ClientMessage::Resume(track),
        auto(),
        ClientMessage::Unsubscribe(Unsubscribe { tracks: vec![] }),
        ClientMessage::SlotsReady(SlotsReady { rev: 0 }),
        ClientMessage::Resync(Empty {}),
        ClientMessage::Ping(Ping { ms: 1 }),
        ClientMessage::Leave(Empty {}),
    ]
}

#[test]
fn before_join_every_request_of_a_member_is_refused() {
    let messages = every_message();
    assert_eq!(messages.len(), ClientMessage::TYPES.len());
    for message in messages {
        let mut story = Story::new();
        story.join(1);
        story.take(1);
        story.enter(2);
        let allowed = matches!(message, ClientMessage::Join(_) | ClientMessage::Ping(_) | ClientMessage::Leave(_));
        let expected = match message {
            ClientMessage::Hello(_) => Some(ErrorCode::OutOfOrder),
            _ if allowed => None,
            _ => Some(ErrorCode::NotMember),
        };
        let refused = match story.answer(2, message.clone()) {
            ServerMessage::Error(error) => Some(error.code),
            _ => None,
        };
        assert_eq!(refused, expected, "{message:?}");
        assert!(allowed || story.take(1).is_empty(), "others learn nothing of {message:?}");
    }
    let mut story = Story::new();
    story.enter(2);
    story.binary(2, &key_batch(&[0]));
    let answer = story.messages(2);
    assert!(matches!(&answer[..], [ServerMessage::Error(error)] if error.code == ErrorCode::NotMember), "{answer:?}");
}

#[test]
fn who_never_said_hello_cannot_join() {
    let mut story = Story::new();
    assert_eq!(story.refused(7, join(7)), ErrorCode::Unauthenticated);
    assert!(story.commands.is_empty());
}

#[test]
fn a_joiner_learns_of_those_present_first_and_they_of_it() {
    let mut story = Story::new();
    story.join(1);
    story.take(1);
    story.enter(2);
    story.ask(2, join(2));
    story.quiet();

    let joiner = story.take(2);
    let Outgoing::Message { re: Some(9), message: ServerMessage::Joined(Joined { seat, rev, roster, tracks }) } =
        &joiner[0]
    else {
        panic!("{joiner:?}")
    };
    assert_eq!((seat, rev, tracks.len()), (&Seat(1), &1, 0));
    assert_eq!(roster, &[RosterEntry { participant: ParticipantId(1), seat: Seat(0) }]);
    let announce = joiner.iter().find_map(|outgoing| match outgoing {
        Outgoing::Binary(bytes) => Some(bytes.clone()),
        Outgoing::Message { .. } => None,
    });
    let announce = announce.unwrap();
    let Ok((_, ServerBinary::Announces(entries))) = binary::parse_server(&announce) else { panic!() };
    assert_eq!((entries[0].participant, entries[0].announce), (ParticipantId(1), &[1; ANNOUNCE_BYTES][..]));
    assert!(joiner.iter().any(|o| matches!(o, Outgoing::Message { message: ServerMessage::Transport(_), .. })));

    let present = story.take(1);
    let [Outgoing::Message { message: ServerMessage::Roster(roster), .. }, Outgoing::Binary(announce)] = &present[..]
    else {
        panic!("{present:?}")
    };
    assert_eq!((roster.rev, roster.full), (2, false));
    assert_eq!(roster.add, [RosterEntry { participant: ParticipantId(2), seat: Seat(1) }]);
    let Ok((_, ServerBinary::Announces(entries))) = binary::parse_server(announce) else { panic!() };
    assert_eq!((entries[0].participant, entries[0].display), (ParticipantId(2), &[2; 40][..]));
}

#[test]
fn a_leaver_is_gone_for_everybody_and_for_the_media_plane() {
    let mut story = Story::new();
    story.join_and_subscribe(1);
    story.join_and_subscribe(2);
    let track = story.publish(2, mic());
    story.quiet();
    story.messages(1);

    story.room.leave(story.now, ParticipantId(2));
    story.quiet();
    let heard = story.messages(1);
    assert!(
        heard.iter().any(|m| matches!(m, ServerMessage::Roster(roster) if roster.del == [ParticipantId(2)])),
        "{heard:?}"
    );
    assert!(heard.iter().any(|m| matches!(m, ServerMessage::Tracks(tracks) if tracks.del == [track])));
    let emptied = |m: &ServerMessage| matches!(m, ServerMessage::Slots(slots) if slots.set[0].source.is_none());
    assert!(heard.iter().any(emptied));
    let participant = sfu::ParticipantId(2);
    assert_eq!(story.commands.last(), Some(&Command::RemoveParticipant { participant }));
    story.room.leave(story.now, ParticipantId(2));
    story.quiet();
    assert!(story.take(1).is_empty(), "leaving twice is leaving once");
}

#[test]
fn a_leave_request_ends_in_good_order() {
    let mut story = Story::new();
    story.join(1);
    assert!(matches!(story.answer(1, ClientMessage::Leave(Empty {})), ServerMessage::Bye(_)));
    assert_eq!(story.closed, [(ParticipantId(1), CloseCode::Normal)]);
    assert!(story.room.is_empty());
}

#[test]
fn a_call_is_new_when_the_first_one_comes_and_the_same_until_the_last_one_goes() {
    let mut story = Story::new();
    let call = story.enter(1);
    assert_eq!(story.enter(2), call);
    story.room.leave(story.now, ParticipantId(1));
    assert_eq!(story.enter(3), call);
    story.room.leave(story.now, ParticipantId(2));
    story.room.leave(story.now, ParticipantId(3));
    assert_ne!(story.enter(4), call);
}

#[test]
fn a_full_room_refuses_one_more_and_nobody_notices() {
    let mut story = Story::with(RoomLimits { participants: 2, ..RoomLimits::default() });
    story.join(1);
    story.join(2);
    story.take(1);
    story.enter(3);
    assert_eq!(story.refused(3, join(3)), ErrorCode::RoomFull);
    assert!(story.take(1).is_empty());
    story.room.leave(story.now, ParticipantId(2));
    assert!(matches!(story.answer(3, join(3)), ServerMessage::Joined(_)));
}

#[test]
fn malformed_announces_are_refused() {
    let mut story = Story::new();
    story.enter(1);
    for (announce, display) in [(297, 40), (299, 40), (0, 0), (298, 513)] {
        let join = Join { announce: Base64(vec![1; announce]), display: Base64(vec![1; display]) };
        assert_eq!(story.refused(1, ClientMessage::Join(join)), ErrorCode::BadMessage);
    }
    assert!(story.commands.is_empty(), "nothing was begun");
}

#[test]
fn a_renewed_announce_reaches_the_others_and_later_joiners() {
    let mut story = Story::new();
    story.join(1);
    story.join(2);
    story.take(2);
    let ClientMessage::Join(renewed) = join(77) else { unreachable!() };
    assert!(matches!(story.answer(1, ClientMessage::Announce(renewed)), ServerMessage::Ok(_)));
    for listener in [2, 3] {
        if listener == 3 {
            story.join(3);
        }
        let announces = story.binaries(listener);
        let Ok((_, ServerBinary::Announces(entries))) = binary::parse_server(&announces[0]) else { panic!() };
        assert_eq!((entries[0].participant, entries[0].announce[0]), (ParticipantId(1), 77));
    }
}

#[test]
fn a_late_joiner_receives_what_is_published_once_its_slots_are_ready() {
    let mut story = Story::new();
    story.join_and_subscribe(1);
    let (audio, video) = (story.publish(1, mic()), story.publish(1, cam()));

    story.enter(2);
    story.ask(2, join(2));
    story.ask(2, auto());
    story.quiet();
    let (add, set, rev) = story.slots(2);
    assert_eq!(add.iter().filter(|slot| slot.kind == Kind::Audio).count(), 4);
    assert_eq!(add.iter().filter(|slot| slot.codec == Codec::Vp8).count(), 4);
    let shown: Vec<_> = set.iter().map(|set| set.source.unwrap().track).collect();
    assert_eq!(shown, [audio, video]);
    let activated =
        |story: &Story| story.commands.iter().filter(|command| matches!(command, Command::ActivateSlot { .. })).count();
    assert_eq!(activated(&story), 0, "media in new slots waits for the client");
    assert!(matches!(story.answer(2, ClientMessage::SlotsReady(SlotsReady { rev })), ServerMessage::Ok(_)));
    assert_eq!(activated(&story), 8);
    let unknown = ClientMessage::SlotsReady(SlotsReady { rev: rev + 1 });
    assert_eq!(story.refused(2, unknown), ErrorCode::BadMessage);
}

#[test]
fn slots_are_reused_when_people_come_and_go() {
    let mut story = Story::new();
    story.join_and_subscribe(1);
    for who in 2..12 {
        story.join(who);
        story.publish(who, mic());
        story.publish(who, cam());
        story.quiet();
        story.room.leave(story.now, ParticipantId(who));
        story.quiet();
    }
    let (add, ..) = story.slots(1);
    assert_eq!(add.len(), 8, "one block of each class serves them all");
}

#[test]
fn explicit_subscriptions_receive_those_tracks_alone() {
    let mut story = Story::new();
    story.join(1);
    let (audio, video) = (story.publish(1, mic()), story.publish(1, cam()));
    story.join(2);
    story.take(2);
    let subscribe = |tracks| ClientMessage::Subscribe(Subscribe { auto: false, tracks });
    assert_eq!(story.refused(2, subscribe(vec![audio, TrackId(99)])), ErrorCode::NoTrack);
    assert_eq!(story.refused(2, subscribe(vec![])), ErrorCode::BadMessage);
    assert_eq!(story.refused(1, subscribe(vec![audio])), ErrorCode::NoTrack, "one's own");
    story.ask(2, subscribe(vec![audio]));
    story.quiet();
    let (_, set, _) = story.slots(2);
    assert_eq!(set.iter().map(|set| set.source.map(|s| s.track)).collect::<Vec<_>>(), [Some(audio)]);
    story.ask(2, ClientMessage::Unsubscribe(Unsubscribe { tracks: vec![audio, video] }));
    story.quiet();
    let (_, set, _) = story.slots(2);
    assert_eq!(set.iter().map(|set| set.source).collect::<Vec<_>>(), [None]);
}

#[test]
fn unsubscribing_ends_auto_and_keeps_the_rest() {
    let mut story = Story::new();
    story.join(1);
    let (audio, video) = (story.publish(1, mic()), story.publish(1, cam()));
    story.join_and_subscribe(2);
    story.take(2);
    story.ask(2, ClientMessage::Unsubscribe(Unsubscribe { tracks: vec![video] }));
    story.quiet();
    let (_, set, _) = story.slots(2);
    assert_eq!(set.len(), 1, "only the picture is gone: {set:?}");
    story.publish(1, Publish { mid: "s2".to_owned(), ssrc: 31, ..mic() });
    story.quiet();
    assert_eq!(story.slots(2).1, [], "later tracks are not received");
    let participant = sfu::ParticipantId(1);
    story.ask(1, ClientMessage::Unpublish(TrackRef { track: audio }));
    assert!(story.commands.contains(&Command::Unpublish { participant, track: sfu::TrackId(audio.0) }));
}

#[test]
fn muting_is_told_to_others_and_to_the_media_plane() {
    let mut story = Story::new();
    story.join(1);
    story.join(2);
    let track = story.publish(1, mic());
    story.take(2);
    story.ask(1, ClientMessage::Pause(TrackRef { track }));
    story.quiet();
    let muted = |muted: bool| move |m: &ServerMessage| matches!(m, ServerMessage::Tracks(t) if matches!(&t.upd[..], [Track { muted: m, .. }] if *m == muted));
    assert!(story.messages(2).iter().any(muted(true)));
    let participant = sfu::ParticipantId(1);
    let command = |muted| Command::SetMuted { participant, track: sfu::TrackId(track.0), muted };
    assert!(story.commands.contains(&command(true)));
    story.ask(1, ClientMessage::Resume(TrackRef { track }));
    story.quiet();
    assert!(story.messages(2).iter().any(muted(false)));
    assert_eq!(story.refused(2, ClientMessage::Resume(TrackRef { track })), ErrorCode::NoTrack, "not one's own");
}

#[test]
fn impossible_publications_are_refused() {
    let mut story = Story::new();
    story.join(1);
    let refusals = [
        (Publish { kind: Kind::Video, ..mic() }, ErrorCode::CodecUnsupported),
        (Publish { ssrc: 0, ..mic() }, ErrorCode::BadMessage),
        (Publish { rtx: Some(21), ..cam() }, ErrorCode::BadMessage),
        (Publish { rtx: Some(5), ..mic() }, ErrorCode::BadMessage),
        (Publish { mid: "a b".to_owned(), ..mic() }, ErrorCode::BadMessage),
        (Publish { mid: String::new(), ..mic() }, ErrorCode::BadMessage),
        (Publish { cid: "x".repeat(65), ..mic() }, ErrorCode::BadMessage),
    ];
    for (publish, code) in refusals {
        assert_eq!(story.refused(1, ClientMessage::Publish(publish.clone())), code, "{publish:?}");
    }
    for i in 0..4 {
        story.publish(1, Publish { mid: format!("s{i}"), ssrc: 100 + i, ..mic() });
    }
    assert_eq!(story.refused(1, ClientMessage::Publish(mic())), ErrorCode::LimitTracks);
}

#[test]
fn a_track_that_the_media_plane_refuses_is_withdrawn() {
    let mut story = Story::new();
    story.join(1);
    story.join_and_subscribe(2);
    let track = story.publish(1, mic());
    story.quiet();
    story.take(1);
    story.take(2);
    story.room.media(
        story.now,
        Event::Refused {
            participant: sfu::ParticipantId(1),
            track: Some(sfu::TrackId(track.0)),
            mid: None,
            error: CommandError::Exists,
        },
    );
    story.quiet();
    assert!(matches!(&story.messages(1)[..], [ServerMessage::Error(error)] if error.code == ErrorCode::BadMessage));
    let heard = story.messages(2);
    assert!(heard.iter().any(|m| matches!(m, ServerMessage::Tracks(tracks) if tracks.del == [track])), "{heard:?}");
}

#[test]
fn a_transport_is_connected_once_and_only_with_possible_parameters() {
    let mut story = Story::new();
    story.join(1);
    let broken = [("abc", "0123456789abcdef01234567"), ("abcd", "short"), ("ab\ncd", "0123456789abcdef01234567")];
    for (ufrag, pwd) in broken {
        let ice = ClientIce { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() };
        let message = ClientMessage::Transport(ClientTransport { ice, ..transport() });
        assert_eq!(story.refused(1, message), ErrorCode::BadMessage, "{ufrag} {pwd}");
    }
    assert!(matches!(story.answer(1, ClientMessage::Transport(transport())), ServerMessage::Ok(_)));
    assert!(story.commands.iter().any(|command| matches!(command, Command::Connect { .. })));
    assert_eq!(story.refused(1, ClientMessage::Transport(transport())), ErrorCode::OutOfOrder);
}

#[test]
fn a_key_batch_is_split_by_recipient_and_keys_of_several_senders_are_joined() {
    let mut story = Story::new();
    for who in 1..=4 {
        story.join(who);
    }
    for who in 1..=4 {
        story.take(who);
    }
    // Seats 0 to 3: three of them rotate at about the same time.
    for who in 1..=3 {
        story.binary(who, &key_batch(&[0, 1, 2, 3, 999]));
        story.now += Duration::from_millis(5);
    }
    story.quiet();
    let entries = |message: &[u8]| match binary::parse_server(message) {
        Ok((_, ServerBinary::Keys(keys))) => keys
            .chunks_exact(BATCH_HEADER_BYTES + BATCH_ENTRY_BYTES)
            .map(|key| u16::from_be_bytes([key[BATCH_HEADER_BYTES], key[BATCH_HEADER_BYTES + 1]]))
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let keys = story.binaries(4);
    assert_eq!(keys.len(), 1, "one message for three senders");
    assert_eq!(entries(&keys[0]), [3, 3, 3], "everybody gets its own entry alone");
    assert_eq!(story.binaries(1).iter().flat_map(|m| entries(m)).collect::<Vec<_>>(), [0, 0], "none from itself");
}

#[test]
fn a_recipient_named_twice_gets_one_key() {
    let mut story = Story::new();
    story.join(1);
    story.join(2);
    story.take(2);
    story.binary(1, &key_batch(&[1; 188]));
    story.quiet();
    let keys = story.binaries(2);
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].len(), 5 + 1 + BATCH_HEADER_BYTES + BATCH_ENTRY_BYTES);
}

#[test]
fn key_requests_reach_those_whose_keys_are_missing() {
    let mut story = Story::new();
    for who in 1..=3 {
        story.join(who);
    }
    for who in 1..=3 {
        story.take(who);
    }
    let wanted = |seat: u64| [&[7; 16][..], &(seat << 6).to_be_bytes()].concat();
    story.binary(1, &binary::key_request(0, &[wanted(1), wanted(2), wanted(1), wanted(0), wanted(50)].concat()));
    story.quiet();
    for (who, expected) in [(2, [wanted(1), wanted(1)].concat()), (3, wanted(2))] {
        let messages = story.binaries(who);
        let expected = ServerBinary::KeyRequest { requester: Seat(0), wanted: &expected };
        assert_eq!(binary::parse_server(&messages[0]), Ok((0, expected)));
    }
    assert!(story.take(1).is_empty());
}

#[test]
fn unmuting_after_nine_joins_loses_no_key() {
    let mut story = Story::new();
    story.join(1);
    for who in 2..=10 {
        story.join(who);
    }
    for who in 1..=10 {
        story.take(who);
    }
    story.binary(1, &key_batch(&[1, 2, 3, 4, 5, 6, 7, 8, 9]));
    story.quiet();
    for who in 2..=10 {
        assert_eq!(story.binaries(who).len(), 1, "{who}");
    }
}

#[test]
fn resync_gives_the_whole_roster() {
    let mut story = Story::new();
    story.join(1);
    story.join(2);
    story.join(3);
    story.take(1);
    let ServerMessage::Roster(roster) = story.answer(1, ClientMessage::Resync(Empty {})) else { panic!() };
    assert!(roster.full);
    assert_eq!(roster.add.iter().map(|e| e.participant.0).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn malformed_binary_messages_are_refused_and_concern_nobody_else() {
    let mut story = Story::new();
    story.join(1);
    story.join(2);
    story.take(1);
    story.take(2);
    let batch = key_batch(&[1]);
    for length in 0..batch.len() {
        story.binary(1, &batch[..length]);
    }
    story.binary(1, &[9; 40]);
    story.quiet();
    assert_eq!(story.messages(1).len(), batch.len() + 1, "each is answered");
    assert!(story.take(2).is_empty());
    assert!(story.closed.is_empty());
}

#[test]
fn a_media_fault_ends_the_calls_of_those_it_hit() {
    let mut story = Story::new();
    story.join(1);
    story.join(2);
    let participants = vec![sfu::ParticipantId(1), sfu::ParticipantId(2)];
    story.room.media(story.now, Event::RoomFailed { room: sfu::RoomId(1), participants });
    story.quiet();
    assert_eq!(story.closed, [1, 2].map(|who| (ParticipantId(who), CloseCode::Internal)));
}

#[test]
fn events_about_nobody_are_ignored() {
    let mut story = Story::new();
    story.join(1);
    story.take(1);
    let participant = sfu::ParticipantId(99);
    let mid = sfu::Mid::new("r0").unwrap();
    let events = [
        Event::SlotAdded { participant, mid, ssrc: sfu::Ssrc(1), rtx: None },
        Event::TransportState { participant, state: MediaState::Connected },
        Event::Refused { participant, track: None, mid: None, error: CommandError::NoParticipant },
        Event::RoomFailed { room: sfu::RoomId(1), participants: vec![participant] },
    ];
    for event in events {
        story.room.media(story.now, event);
    }
    story.quiet();
    assert!(story.take(1).is_empty());
}

#[test]
fn speakers_are_hints() {
    let mut story = Story::new();
    story.join(1);
    story.join(2);
    story.room.media(story.now, Event::Speakers { room: sfu::RoomId(1), levels: vec![(sfu::ParticipantId(1), 30)] });
    story.quiet();
    assert_eq!(story.hints, 2);
}

#[test]
fn a_busy_room_tells_nobody_more_than_thirty_messages_in_a_second() {
    let mut story = Story::new();
    story.join_and_subscribe(1);
    story.take(1);
    let start = story.now;
    let mut told: Vec<(Duration, usize)> = Vec::new();
    for who in 2..=40 {
        story.enter(who);
        story.ask(who, join(who as u8));
        story.ask(who, ClientMessage::Publish(mic()));
        story.binary(who, &key_batch(&[0]));
        story.now += Duration::from_millis(25);
        story.room.tick(story.now);
        story.settle();
        told.push((story.now - start, story.take(1).len()));
    }
    assert!(told.iter().map(|(_, count)| count).sum::<usize>() >= 15, "what comes together is told together");
    for (at, _) in &told {
        let second = told.iter().filter(|(t, _)| *t >= *at && *t < *at + Duration::from_secs(1));
        assert!(second.map(|(_, count)| count).sum::<usize>() <= 30);
    }
}
