//! Joins, leaves and how members are notified of them.

use super::*;

#[test]
fn requests_before_join_are_refused() {
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
fn join_without_hello_is_refused() {
    let mut story = Story::new();
    assert_eq!(story.refused(7, join(7)), ErrorCode::Unauthenticated);
    assert!(story.commands.is_empty());
}

#[test]
fn join_announces_members_to_each_other() {
    let mut story = Story::new();
    story.join(1);
    story.take(1);
    story.enter(2);
    story.ask(2, join(2));
    story.quiet();

    let joiner = story.take(2);
    let Outgoing::Message { re: Some(9), message: ServerMessage::Joined(Joined { seat, rev, roster, tracks, .. }) } =
        &joiner[0]
    else {
        panic!("{joiner:?}")
    };
    assert_eq!((seat, rev, tracks.len()), (&Seat(1), &1, 0));
    assert_eq!(
        roster,
        &[RosterEntry { participant: ParticipantId(1), seat: Seat(0), away: false, role: Role::Speaker, hand: false }]
    );
    let announce = joiner.iter().find_map(|outgoing| match outgoing {
        Outgoing::Binary(bytes) => Some(bytes.clone()),
        Outgoing::Message { .. } => None,
    });
    let announce = announce.unwrap();
    let Ok((_, ServerBinary::Announces(entries))) = binary::parse_server(&announce) else { panic!() };
    assert_eq!((entries[0].participant, &entries[0].announce[ANNOUNCE_DEVICE_KEY]), (ParticipantId(1), &[1; 32][..]));
    assert!(joiner.iter().any(|o| matches!(o, Outgoing::Message { message: ServerMessage::Transport(_), .. })));

    let present = story.take(1);
    let [Outgoing::Message { message: ServerMessage::Roster(roster), .. }, Outgoing::Binary(announce)] = &present[..]
    else {
        panic!("{present:?}")
    };
    assert_eq!((roster.rev, roster.full), (2, false));
    assert_eq!(
        roster.add,
        [RosterEntry { participant: ParticipantId(2), seat: Seat(1), away: false, role: Role::Speaker, hand: false }]
    );
    let Ok((_, ServerBinary::Announces(entries))) = binary::parse_server(announce) else { panic!() };
    assert_eq!((entries[0].participant, entries[0].display), (ParticipantId(2), &[2; 40][..]));
}

#[test]
fn leave_reaches_members_and_the_media_plane() {
    let mut story = Story::new();
    story.join_and_subscribe(1);
    story.join_and_subscribe(2);
    let track = story.publish(2, mic());
    story.quiet();
    story.messages(1);

    story.leave(2);
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
    story.leave(2);
    story.quiet();
    assert!(story.take(1).is_empty(), "leaving twice is leaving once");
}

#[test]
fn leave_request_is_answered_before_close() {
    let mut story = Story::new();
    story.join(1);
    assert!(matches!(story.answer(1, ClientMessage::Leave(Empty {})), ServerMessage::Bye(_)));
    assert_eq!(story.closed, [(ParticipantId(1), CloseCode::Normal)]);
    assert!(story.room.is_empty());
}

#[test]
fn call_lasts_from_first_to_last_participant() {
    let mut story = Story::new();
    let call = story.enter(1);
    assert_eq!(story.enter(2), call);
    story.leave(1);
    assert_eq!(story.enter(3), call);
    story.leave(2);
    story.leave(3);
    assert_ne!(story.enter(4), call);
}

#[test]
fn full_room_refuses_a_join_unnoticed() {
    let mut story = Story::with(RoomLimits { participants: 2, ..RoomLimits::default() });
    story.join(1);
    story.join(2);
    story.take(1);
    story.enter(3);
    assert_eq!(story.refused(3, join(3)), ErrorCode::RoomFull);
    assert!(story.take(1).is_empty());
    story.leave(2);
    assert!(matches!(story.answer(3, join(3)), ServerMessage::Joined(_)));
}

#[test]
fn malformed_announces_are_refused() {
    let mut story = Story::new();
    story.enter(1);
    for (announce, display) in [(297, 40), (299, 40), (0, 0), (298, 513)] {
        let join = Join { announce: Base64(vec![1; announce]), display: Base64(vec![1; display]), expects: vec![] };
        assert_eq!(story.refused(1, ClientMessage::Join(join)), ErrorCode::BadMessage);
    }
    assert!(story.commands.is_empty(), "no command was sent");
}

#[test]
fn renewed_announce_reaches_members_and_later_joiners() {
    let mut story = Story::new();
    story.join(1);
    story.join(2);
    story.take(2);
    assert!(matches!(story.answer(1, renewal(77)), ServerMessage::Ok(_)));
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
fn resync_returns_the_whole_roster() {
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
fn busy_room_sends_a_bounded_number_of_messages() {
    let mut story = Story::new();
    story.join_and_subscribe(1);
    story.take(1);
    let start = story.now;
    let mut sent: Vec<(Duration, usize)> = Vec::new();
    for who in 2..=40 {
        story.enter(who);
        story.ask(who, join(who as u8));
        story.ask(who, ClientMessage::Publish(mic()));
        story.binary(who, &key_batch(&[0]));
        story.pass(Duration::from_millis(25));
        sent.push((story.now - start, story.take(1).len()));
    }
    assert!(sent.iter().map(|(_, count)| count).sum::<usize>() >= 15, "changes are sent together");
    for (at, _) in &sent {
        let second = sent.iter().filter(|(t, _)| *t >= *at && *t < *at + Duration::from_secs(1));
        // Twenty for all, and five classes have their reserve each 130 ms.
        assert!(second.map(|(_, count)| count).sum::<usize>() <= 50);
    }
}
