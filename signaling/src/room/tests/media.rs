//! Publications and subscriptions.

use super::*;

#[test]
fn late_joiner_receives_tracks_once_its_slots_are_ready() {
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
fn slots_are_reused_as_participants_change() {
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
fn explicit_subscription_receives_its_tracks_only() {
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
    assert_eq!(set.len(), 1, "only the video is gone: {set:?}");
    story.publish(1, Publish { mid: "s2".to_owned(), ssrc: 31, ..mic() });
    story.quiet();
    assert_eq!(story.slots(2).1, [], "later tracks are not received");
    let participant = ParticipantId(1);
    story.ask(1, ClientMessage::Unpublish(TrackRef { track: audio }));
    assert!(story.commands.contains(&Command::Unpublish { participant, track: TrackId(audio.0) }));
}

#[test]
fn mute_reaches_members_and_the_media_plane() {
    let mut story = Story::new();
    story.join(1);
    story.join(2);
    let track = story.publish(1, mic());
    story.take(2);
    story.ask(1, ClientMessage::Mute(TrackRef { track }));
    story.quiet();
    let muted = |muted: bool| move |m: &ServerMessage| matches!(m, ServerMessage::Tracks(t) if matches!(&t.upd[..], [Track { muted: m, .. }] if *m == muted));
    assert!(story.messages(2).iter().any(muted(true)));
    let participant = ParticipantId(1);
    let command = |muted| Command::SetMuted { participant, track, muted };
    assert!(story.commands.contains(&command(true)));
    story.ask(1, ClientMessage::Unmute(TrackRef { track }));
    story.quiet();
    assert!(story.messages(2).iter().any(muted(false)));
    assert_eq!(story.refused(2, ClientMessage::Unmute(TrackRef { track })), ErrorCode::NoTrack, "not one's own");
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
fn track_refused_by_the_media_plane_is_withdrawn() {
    let mut story = Story::new();
    story.join(1);
    story.join_and_subscribe(2);
    let track = story.publish(1, mic());
    story.quiet();
    story.take(1);
    story.take(2);
    let command = story.id_of(|command| matches!(command, Command::Publish { .. }));
    let refused = Event::Refused { command, participant: ParticipantId(1), error: CommandError::Exists };
    story.room.media(story.now, refused);
    story.quiet();
    assert!(matches!(&story.messages(1)[..], [ServerMessage::Error(error)] if error.code == ErrorCode::BadMessage));
    let heard = story.messages(2);
    assert!(heard.iter().any(|m| matches!(m, ServerMessage::Tracks(tracks) if tracks.del == [track])), "{heard:?}");
}

#[test]
fn transport_is_connected_once_with_valid_parameters() {
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
fn unmute_after_nine_joins_loses_no_key() {
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
fn media_fault_ends_the_connections_of_its_room() {
    let mut story = Story::new();
    story.join(1);
    story.join(2);
    let participants = vec![ParticipantId(1), ParticipantId(2)];
    story.room.media(story.now, Event::RoomFailed { room: sfu_api::RoomId(1), participants });
    story.quiet();
    assert_eq!(story.closed, [1, 2].map(|who| (ParticipantId(who), CloseCode::Internal)));
}

#[test]
fn events_about_unknown_participants_are_ignored() {
    let mut story = Story::new();
    story.join(1);
    story.take(1);
    let (participant, command) = (ParticipantId(99), CommandId(1));
    let mid = sfu_api::Mid::new("r0").unwrap();
    let events = [
        Event::SlotAdded { command, participant, mid, ssrc: sfu_api::Ssrc(1), rtx: None },
        Event::TransportState { participant, state: MediaState::Connected },
        Event::Refused { command, participant, error: CommandError::NoParticipant },
        Event::RoomFailed { room: sfu_api::RoomId(1), participants: vec![participant] },
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
    story.room.media(story.now, Event::Speakers { room: sfu_api::RoomId(1), levels: vec![(ParticipantId(1), 30)] });
    story.quiet();
    assert_eq!(story.hints, 2);
}
