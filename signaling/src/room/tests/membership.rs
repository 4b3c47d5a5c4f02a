//! Who is in the room, and who learns of it.

use super::*;

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
    let participant = ParticipantId(2);
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
