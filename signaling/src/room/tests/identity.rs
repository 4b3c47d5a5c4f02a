//! What a client says of itself: every field of every message, and what becomes of a wrong one.

use super::*;
use tacet_proto::{
    MessageType,
    binary::{ClientBinary, KeyBatch},
    resume::Expected,
};

/// A room with members 1 and 2 on seats 0 and 1, in which 3 has entered.
fn story() -> Story {
    let mut story = Story::new();
    story.join(1);
    story.join(2);
    story.enter(3);
    for who in 1..=3 {
        story.take(who);
    }
    story
}

fn with_field(message: ClientMessage, field: std::ops::Range<usize>, value: &[u8]) -> ClientMessage {
    let write = |announce: &mut Base64| announce.0[field].copy_from_slice(value);
    match message {
        ClientMessage::Join(mut join) => {
            write(&mut join.announce);
            ClientMessage::Join(join)
        }
        ClientMessage::Announce(mut renewal) => {
            write(&mut renewal.announce);
            ClientMessage::Announce(renewal)
        }
        other => other,
    }
}

/// A claim, who makes it, and the code of the refusal.
type Claim = (&'static str, u32, ClientMessage, ErrorCode);

/// The wrong claims of an announce that is otherwise right.
fn announces(story: &Story, from: u32, message: ClientMessage) -> Vec<Claim> {
    use ErrorCode::{BadMessage, NotYours};
    let right = story.truthful(from, message);
    let field = |name, range, value: &[u8], code| (name, from, with_field(right.clone(), range, value), code);
    vec![
        field("room", ANNOUNCE_ROOM, &[9; 16], NotYours),
        field("call", ANNOUNCE_CALL, &[9; 16], NotYours),
        field("device of a member", ANNOUNCE_DEVICE_KEY, &[2; 32], NotYours),
        field("name", ANNOUNCE_DISPLAY_HASH, &[9; 32], BadMessage),
    ]
}

/// Every wrong claim that a message of this type can make, as far as the room checks it.
fn claims(story: &Story, kind: MessageType) -> Vec<Claim> {
    use ErrorCode::{BadMessage, NoTrack, NotYours};
    let foreign = TrackRef { track: TrackId(1) };
    match kind {
        MessageType::Join => {
            let mut claims = announces(story, 3, join(3));
            let ClientMessage::Join(right) = story.truthful(3, join(3)) else { unreachable!() };
            let expects = vec![Expected { participant: ParticipantId(3), seat: Seat(9) }];
            claims.push(("expects itself", 3, ClientMessage::Join(Join { expects, ..right }), NotYours));
            claims
        }
        MessageType::Announce => {
            let mut claims = announces(story, 1, renewal(9));
            let right = story.truthful(1, renewal(9));
            for (name, range, value) in [
                ("device", ANNOUNCE_DEVICE_KEY, &[9; 32][..]),
                ("incarnation", ANNOUNCE_INCARNATION, &[9; 16]),
                ("number of before", ANNOUNCE_SEQ, &[1; 4]),
                ("lower number", ANNOUNCE_SEQ, &[0; 4]),
            ] {
                claims.push((name, 1, with_field(right.clone(), range, value), NotYours));
            }
            claims
        }
        MessageType::Transport => {
            let with = |ufrag: &str, pwd: &str| {
                let ice = ClientIce { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() };
                ClientMessage::Transport(ClientTransport { ice, ..transport() })
            };
            let pwd = "0123456789abcdef01234567";
            vec![
                ("ufrag with a line break", 1, with("ab\r\na=b", pwd), BadMessage),
                ("empty ufrag", 1, with("", pwd), BadMessage),
                ("password with a line break", 1, with("abcd", "0123456789abcdef01234\r\n"), BadMessage),
                ("short password", 1, with("abcd", "x"), BadMessage),
            ]
        }
        MessageType::Publish => {
            let publish = |change: &dyn Fn(&mut Publish)| {
                let mut publish = mic();
                change(&mut publish);
                ClientMessage::Publish(publish)
            };
            vec![
                ("cid with a line break", 1, publish(&|p| p.cid = "a\r\nb".to_owned()), BadMessage),
                ("cid with a control character", 1, publish(&|p| p.cid = "\u{202e}".to_owned()), BadMessage),
                ("empty cid", 1, publish(&|p| p.cid = String::new()), BadMessage),
                ("long cid", 1, publish(&|p| p.cid = "x".repeat(65)), BadMessage),
                ("mid with a line break", 1, publish(&|p| p.mid = "a\n".to_owned()), BadMessage),
                ("empty mid", 1, publish(&|p| p.mid = String::new()), BadMessage),
                ("ssrc", 1, publish(&|p| p.encodings = Encoding::single(0, None)), BadMessage),
                ("rtx of audio", 1, publish(&|p| p.encodings = Encoding::single(11, Some(5))), BadMessage),
                ("source of another kind", 1, publish(&|p| p.source = Source::Camera), BadMessage),
            ]
        }
        MessageType::Unpublish => vec![("foreign track", 1, ClientMessage::Unpublish(foreign), NoTrack)],
        MessageType::Mute => vec![("foreign track", 1, ClientMessage::Mute(foreign), NoTrack)],
        MessageType::Unmute => vec![("foreign track", 1, ClientMessage::Unmute(foreign), NoTrack)],
        MessageType::Speech => {
            let speech = Speech { track: foreign.track, speaking: true };
            vec![("foreign track", 1, ClientMessage::Speech(speech), NoTrack)]
        }
        MessageType::Subscribe => {
            let own = Subscribe { auto: false, tracks: vec![TrackId(1)] };
            vec![("own track", 2, ClientMessage::Subscribe(own), NoTrack)]
        }
        MessageType::Layers => {
            let tile = Tile { track: TrackId(1), height: 1, pinned: false, paused: false };
            vec![
                ("51 tiles", 1, ClientMessage::Layers(Layers { tiles: vec![tile; 51], downlink: false }), BadMessage),
                (
                    "a track twice",
                    1,
                    ClientMessage::Layers(Layers { tiles: vec![tile; 2], downlink: false }),
                    BadMessage,
                ),
            ]
        }
        MessageType::SlotsReady => {
            vec![("revision that was not sent", 1, ClientMessage::SlotsReady(SlotsReady { rev: 9 }), BadMessage)]
        }
        // The connection and the registry check these: token, credential, proof and name of the software.
        MessageType::Hello => vec![],
        // The outbox checks it: a number that was not sent acknowledges nothing.
        MessageType::Ack => vec![],
        // It names others only.
        MessageType::Unsubscribe => vec![],
        // Its clock is sent back to it and to no one else.
        MessageType::Ping => vec![],
        // Guests may do none of these; see `roles`.
        MessageType::MuteRequest | MessageType::Kick | MessageType::Ban | MessageType::Lock | MessageType::Role => {
            vec![]
        }
        // They have no fields.
        MessageType::Resync
        | MessageType::Heartbeat
        | MessageType::Away
        | MessageType::IceRestart
        | MessageType::End
        | MessageType::Leave => vec![],
        // It says nothing of another.
        MessageType::Hand => vec![],
        // See `wrong_header_of_a_key_batch_is_refused` and `key_request_for_own_keys_is_refused`.
        MessageType::KeyBatch | MessageType::KeyRequest => vec![],
        // Its sender is the connection's, and its seal names it for those who open it.
        MessageType::Chat | MessageType::Reaction => vec![],
    }
}

#[test]
fn wrong_claim_of_a_message_is_refused_and_reaches_no_one() {
    for kind in MessageType::ALL {
        let mut story = story();
        story.publish(2, mic());
        for (name, from, message, code) in claims(&story, *kind) {
            story.quiet();
            for who in 1..=3 {
                story.take(who);
            }
            match story.answer_as_is(from, message) {
                ServerMessage::Error(error) => assert_eq!(error.code, code, "{}: {name}", kind.name()),
                other => panic!("{}: {name}: accepted: {other:?}", kind.name()),
            }
            for other in [1, 2, 3].into_iter().filter(|other| *other != from) {
                assert_eq!(story.take(other), [], "{}: {name}", kind.name());
            }
        }
    }
}

#[test]
fn right_claims_are_accepted() {
    let mut story = story();
    assert!(matches!(story.answer(3, join(3)), ServerMessage::Joined(_)));
    for _ in 0..2 {
        let renewal = story.truthful(1, renewal(1));
        assert!(matches!(story.answer_as_is(1, renewal.clone()), ServerMessage::Ok(_)));
        story.take(2);
        assert!(matches!(story.answer_as_is(1, renewal), ServerMessage::Ok(_)), "its answer may have been lost");
        assert_eq!(story.take(2), [], "not passed on twice");
    }
}

/// Who could send another's header could take the seat of someone who has not come yet.
#[test]
fn wrong_header_of_a_key_batch_is_refused() {
    let mut story = story();
    let foreign = *story.room.members[&ParticipantId(2)].identity.join_id();
    for (name, field, value) in [
        ("room", BATCH_ROOM, &[9; 16][..]),
        ("call", BATCH_CALL, &[9; 16]),
        ("seat of another", BATCH_SEAT, &1u16.to_be_bytes()),
        ("next free seat", BATCH_SEAT, &2u16.to_be_bytes()),
        ("join id of another", BATCH_JOIN_ID, &foreign),
        ("unknown join id", BATCH_JOIN_ID, &[9; 16]),
        ("announce that was not sent", BATCH_ANNOUNCE_SEQ, &[2; 4]),
        ("KID of another", BATCH_KID, &(1u64 << 6).to_be_bytes()),
    ] {
        story.take(1);
        // What is right is accepted, and what reached the other is what is made wrong.
        story.binary(1, &key_batch(&[1]));
        story.quiet();
        let right = story.binaries(2).remove(0);
        let mut body = right[PREFIX_BYTES + 1..].to_vec();
        body[field].copy_from_slice(value);
        story.take(1);
        story.binary_as_is(1, &binary::key_batch(9, &body));
        story.quiet();
        let answer = story.messages(1);
        assert!(matches!(&answer[..], [ServerMessage::Error(error)] if error.code == ErrorCode::NotYours), "{name}");
        assert_eq!(story.take(2), [], "{name}");
    }
}

#[test]
fn key_batch_may_name_an_announce_of_before() {
    let mut story = story();
    story.binary(1, &key_batch(&[1]));
    story.quiet();
    let body = story.binaries(2).remove(0)[PREFIX_BYTES + 1..].to_vec();
    story.ask(1, renewal(1));
    story.binary_as_is(1, &binary::key_batch(9, &body));
    story.quiet();
    assert_eq!(story.binaries(2).iter().filter(|message| message[0] == 2).count(), 1);
}

#[test]
fn key_request_for_own_keys_is_refused() {
    let mut story = story();
    let wanted = |seat: u64| [&[7; 16][..], &(seat << 6).to_be_bytes()].concat();
    story.binary_as_is(1, &binary::key_request(9, &[wanted(1), wanted(0)].concat()));
    story.quiet();
    let answer = story.messages(1);
    assert!(matches!(&answer[..], [ServerMessage::Error(error)] if error.code == ErrorCode::NotYours), "{answer:?}");
    assert_eq!(story.take(2), []);
}

/// Who overheard an announce can repeat it while its owner is away, on a server that has forgotten both.
#[test]
fn proven_owner_of_a_device_displaces_who_repeated_its_announce() {
    let mut before = Story::new();
    before.join(1);
    let claims = before.room.claims(ParticipantId(1)).unwrap();
    let mut story = Story::after_restart(RoomLimits::default(), Some(CallRecord::new(claims.call)));
    story.enter(2);
    assert!(matches!(story.answer(2, join(1)), ServerMessage::Joined(_)));
    story.enter_as(Entry::Session { claims, covered: false, recent: true }, 3).unwrap();
    assert!(matches!(story.answer(1, join(1)), ServerMessage::Joined(joined) if joined.seat == claims.seat));
    assert_eq!(story.closed, [(ParticipantId(2), CloseCode::Policy)]);
}

/// Any bytes in a header: either all that it says of its sender is right, or no one gets it.
#[test]
fn parsed_batches_are_passed_on_only_with_the_senders_names() {
    let mut story = story();
    for mark in 0..=255 {
        let header = binary::BatchHeader([mark; BATCH_HEADER_BYTES]);
        let entries = vec![binary::BatchEntry([0; BATCH_ENTRY_BYTES])];
        let batch = ClientBinary::KeyBatch(KeyBatch { header, entries });
        story.room.binary(story.now, ParticipantId(2), None, batch);
    }
    story.quiet();
    assert_eq!(story.take(1), []);
}
