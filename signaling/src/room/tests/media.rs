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
    let shown: Vec<_> = set.iter().map(|set| set.source.and_then(SlotContent::track).unwrap().track).collect();
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
        story.leave(who);
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
    assert_eq!(
        set.iter().map(|set| set.source.and_then(SlotContent::track).map(|s| s.track)).collect::<Vec<_>>(),
        [Some(audio)]
    );
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
    story.publish(1, Publish { mid: "s2".to_owned(), encodings: Encoding::single(31, None), ..mic() });
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

/// Where packets carry no levels, the media plane learns from clients who speaks.
#[test]
fn speech_reaches_the_media_plane() {
    let mut story = Story::new();
    story.join(1);
    story.join(2);
    let (track, camera) = (story.publish(1, mic()), story.publish(1, cam()));
    let speech = |track, speaking| ClientMessage::Speech(Speech { track, speaking });
    let said = |story: &Story| {
        let said = story.commands.iter().filter_map(|command| match command {
            Command::SetSpeaking { participant: ParticipantId(1), track: of, speaking } if *of == track => {
                Some(*speaking)
            }
            _ => None,
        });
        said.collect::<Vec<_>>()
    };
    story.ask(1, speech(track, true));
    story.ask(1, speech(track, false));
    assert_eq!(said(&story), [true, false]);
    story.ask(1, ClientMessage::Mute(TrackRef { track }));
    story.ask(1, speech(track, true));
    assert_eq!(said(&story), [true, false], "who is muted does not speak");
    assert_eq!(story.refused(1, speech(camera, true)), ErrorCode::BadMessage);
    assert_eq!(story.refused(2, speech(track, true)), ErrorCode::NoTrack, "not one's own");
}

#[test]
fn impossible_publications_are_refused() {
    let mut story = Story::new();
    story.join(1);
    let refusals = [
        (Publish { kind: Kind::Video, ..mic() }, ErrorCode::CodecUnsupported),
        (Publish { source: Source::Camera, ..mic() }, ErrorCode::BadMessage),
        (Publish { source: Source::ScreenAudio, ..cam() }, ErrorCode::BadMessage),
        (Publish { encodings: Encoding::single(0, None), ..mic() }, ErrorCode::BadMessage),
        (Publish { encodings: Encoding::single(21, Some(21)), ..cam() }, ErrorCode::BadMessage),
        (Publish { encodings: Encoding::single(11, Some(5)), ..mic() }, ErrorCode::BadMessage),
        (Publish { mid: "a b".to_owned(), ..mic() }, ErrorCode::BadMessage),
        (Publish { mid: String::new(), ..mic() }, ErrorCode::BadMessage),
        (Publish { cid: "x".repeat(65), ..mic() }, ErrorCode::BadMessage),
    ];
    for (publish, code) in refusals {
        assert_eq!(story.refused(1, ClientMessage::Publish(publish.clone())), code, "{publish:?}");
    }
    for i in 0..4 {
        story.publish(1, Publish { mid: format!("s{i}"), encodings: Encoding::single(100 + i, None), ..mic() });
    }
    assert_eq!(story.refused(1, ClientMessage::Publish(mic())), ErrorCode::LimitTracks);
}

fn simulcast(rids: &[&str]) -> Publish {
    let encoding = |(rid, height): (&&str, u16)| Encoding {
        rid: Some((*rid).to_owned()),
        height: Some(height),
        kbps: Some(u32::from(height) * 2),
        ..Encoding::default()
    };
    Publish { encodings: rids.iter().zip([180, 360, 720, 1_440]).map(encoding).collect(), ..cam() }
}

#[test]
fn encodings_are_named_by_rid_and_need_no_ssrc() {
    let mut story = Story::new();
    story.join(1);
    story.publish(1, simulcast(&["q", "h", "f"]));
    let published = story.commands.iter().find_map(|command| match command {
        Command::Publish { publication, .. } => Some(publication.encodings.clone()),
        _ => None,
    });
    let encoding = |(rid, height, kbps)| sfu_api::EncodingParams {
        height: Some(height),
        max_kbps: Some(kbps),
        ..sfu_api::EncodingParams::named(sfu_api::Rid::new(rid).unwrap())
    };
    let expected = [("q", 180, 360), ("h", 360, 720), ("f", 720, 1_440)].map(encoding);
    assert_eq!(published.unwrap(), expected);
}

#[test]
fn impossible_encodings_are_refused() {
    let mut story = Story::new();
    story.join(1);
    let with_ssrcs = |ssrcs: [Option<u32>; 2]| {
        let mut publish = simulcast(&["h", "f"]);
        publish.encodings.iter_mut().zip(ssrcs).for_each(|(encoding, ssrc)| encoding.ssrc = ssrc);
        publish
    };
    let refused = [
        ("none", simulcast(&[])),
        ("four", simulcast(&["a", "b", "c", "d"])),
        ("the same twice", simulcast(&["f", "f"])),
        ("RID of 17 letters", simulcast(&["abcdefghijklmnopq"])),
        ("RID that writes into SDP", simulcast(&["q", "h\r\na=x"])),
        ("empty RID", simulcast(&[""])),
        (
            "two without a RID",
            Publish { encodings: [Encoding::single(1, None), Encoding::single(2, None)].concat(), ..cam() },
        ),
        ("neither RID nor SSRC", Publish { encodings: vec![Encoding::default()], ..cam() }),
        ("one SSRC for two", with_ssrcs([Some(7), Some(7)])),
        ("SSRC 0", with_ssrcs([None, Some(0)])),
        ("two of audio", Publish { encodings: simulcast(&["a", "b"]).encodings, ..mic() }),
    ];
    for (what, publish) in refused {
        assert_eq!(story.refused(1, ClientMessage::Publish(publish)), ErrorCode::BadMessage, "{what}");
    }
}

/// Layers are selected by their order, so one that contradicts what the client says of them would select the wrong ones.
#[test]
fn encodings_that_are_not_lowest_first_are_refused() {
    let mut story = Story::new();
    story.join(1);
    let of = |heights: [Option<u16>; 3], kbps: [Option<u32>; 3]| {
        let mut publish = simulcast(&["q", "h", "f"]);
        for (encoding, (height, kbps)) in publish.encodings.iter_mut().zip(heights.into_iter().zip(kbps)) {
            (encoding.height, encoding.kbps) = (height, kbps);
        }
        ClientMessage::Publish(publish)
    };
    let (heights, rates) = ([180, 360, 720].map(Some), [150, 500, 1_700].map(Some));
    let (none, falling) =
        ([None; 3], |what| format!("encodings: lowest quality first, but a {what} is below the one before"));
    for (heights, rates, what) in [
        ([720, 360, 180].map(Some), none, "height"),
        ([Some(360), None, Some(180)], none, "height"),
        (heights, [150, 1_700, 500].map(Some), "bitrate"),
        ([None; 3], [Some(500), None, Some(150)], "bitrate"),
    ] {
        match story.answer(1, of(heights, rates)) {
            ServerMessage::Error(error) => {
                assert_eq!((error.code, error.detail), (ErrorCode::BadMessage, falling(what)));
            }
            other => panic!("accepted: {other:?}"),
        }
    }
    for (mid, (heights, rates)) in [
        ("s1", (heights, rates)),
        // Of one size at several rates, and where the client tells nothing.
        ("s2", ([Some(720); 3], rates)),
        ("s3", ([None; 3], [None; 3])),
    ] {
        let ClientMessage::Publish(publish) = of(heights, rates) else { unreachable!() };
        story.publish(1, Publish { mid: mid.to_owned(), ..publish });
    }
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

/// A fault of the media plane costs a moment of media, and no place in the call.
#[test]
fn media_fault_is_followed_by_other_transports() {
    let mut story = Story::new();
    for who in [1, 2] {
        story.join(who);
        story.ask(who, ClientMessage::Transport(transport()));
        story.quiet();
    }
    story.take(1);
    story.take(2);
    let participants = vec![ParticipantId(1), ParticipantId(2)];
    story.room.media(story.now, Event::RoomFailed { room: sfu_api::RoomId(1), participants });
    story.pass(Duration::from_secs(3));
    assert_eq!(story.closed, []);
    for who in [1, 2] {
        let heard = story.messages(who);
        let [ServerMessage::TransportState(failed), ServerMessage::Transport(_)] = &heard[..] else {
            panic!("{heard:?}")
        };
        assert_eq!(failed.state, TransportState::Failed);
        assert!(matches!(story.answer(who, ClientMessage::Transport(transport())), ServerMessage::Ok(_)));
    }
}

#[test]
fn closed_transport_takes_its_tracks_and_slots_along() {
    let mut story = Story::new();
    story.join_and_subscribe(1);
    story.join_and_subscribe(2);
    let (track, other) = (story.publish(1, mic()), story.publish(2, mic()));
    story.ask(1, ClientMessage::Transport(transport()));
    story.pass(Duration::from_secs(3));
    story.take(1);
    story.take(2);
    let (participant, state) = (ParticipantId(1), sfu_api::TransportState::Closed);
    story.room.media(story.now, Event::TransportState { participant, state });
    story.pass(Duration::from_millis(100));
    story.quiet();
    let others = story.messages(2);
    assert!(others.iter().any(|m| matches!(m, ServerMessage::Tracks(tracks) if tracks.del == [track])), "{others:?}");
    let heard = story.messages(1);
    let position = |fits: &dyn Fn(&ServerMessage) -> bool| heard.iter().position(fits).unwrap();
    let transport = position(&|message| matches!(message, ServerMessage::Transport(_)));
    let slots = position(&|message| {
        matches!(message, ServerMessage::Slots(slots)
        if slots.add.len() == 8 && slots.set[0].source.and_then(SlotContent::track).is_some_and(|source| source.track == other))
    });
    assert!(transport < slots, "{heard:?}");
    let commands: Vec<_> = story.commands.iter().rev().take(12).rev().cloned().collect();
    let made = commands.iter().position(|c| matches!(c, Command::AddParticipant { .. })).unwrap();
    assert_eq!(commands[made - 1], Command::RemoveParticipant { participant });
}

#[test]
fn ice_restart_keeps_the_certificate() {
    let mut story = Story::new();
    story.join(1);
    let restart = ClientMessage::IceRestart(Empty {});
    assert_eq!(story.refused(1, restart.clone()), ErrorCode::OutOfOrder, "nothing to restart");
    story.ask(1, ClientMessage::Transport(transport()));
    // Also if the client gave up on an earlier restart.
    for _ in 0..2 {
        assert!(matches!(story.answer(1, restart.clone()), ServerMessage::Transport(_)));
    }
    assert!(story.commands.contains(&Command::RestartIce { participant: ParticipantId(1) }));
    let other = ClientTransport { dtls: Dtls { fingerprint: Fixed([7; 32]) }, ..transport() };
    assert_eq!(story.refused(1, ClientMessage::Transport(other)), ErrorCode::BadMessage);
    let ice = ClientIce { ufrag: "efgh".to_owned(), pwd: "0123456789abcdef01234567".to_owned() };
    let renewed = ClientMessage::Transport(ClientTransport { ice, ..transport() });
    assert!(matches!(story.answer(1, renewed), ServerMessage::Ok(_)));
    let connects = story.commands.iter().filter(|command| matches!(command, Command::Connect { .. })).count();
    assert_eq!(connects, 2);
}

#[test]
fn refused_ice_restart_is_answered_once() {
    let mut story = Story::new();
    story.join(1);
    story.ask(1, ClientMessage::Transport(transport()));
    story.take(1);
    // The media plane takes its time.
    story.room.request(story.now, ParticipantId(1), Some(5), ClientMessage::IceRestart(Empty {}));
    let Some(Output::Command(Request { id: command, .. })) = story.room.poll() else { panic!("no command") };
    assert_eq!(story.refused(1, ClientMessage::IceRestart(Empty {})), ErrorCode::OutOfOrder);
    let (participant, error) = (ParticipantId(1), CommandError::Unavailable);
    story.room.media(story.now, Event::Refused { command, participant, error });
    story.settle();
    let heard = story.take(1);
    assert!(matches!(&heard[..], [Outgoing::Message { re: Some(5), message: ServerMessage::Error(_) }]), "{heard:?}");
}

/// A track that is not accepted is never seen by others, and its publisher gets one answer.
#[test]
fn publication_is_answered_once_by_what_the_media_plane_says() {
    let mut story = Story::new();
    story.join(1);
    story.join_and_subscribe(2);
    story.take(2);
    let ask = |story: &mut Story| {
        story.take(1);
        story.room.request(story.now, ParticipantId(1), Some(9), ClientMessage::Publish(mic()));
        let Some(Output::Command(Request { id: command, command: Command::Publish { track, .. } })) = story.room.poll()
        else {
            panic!("no command")
        };
        story.quiet();
        assert!(story.take(1).is_empty() && story.take(2).is_empty(), "nothing is known yet");
        (command, track)
    };
    let participant = ParticipantId(1);
    let (command, _) = ask(&mut story);
    story.room.media(story.now, Event::Refused { command, participant, error: CommandError::Exists });
    story.quiet();
    assert!(matches!(&story.messages(1)[..], [ServerMessage::Error(error)] if error.code == ErrorCode::BadMessage));
    assert!(story.take(2).is_empty());

    let (command, track) = ask(&mut story);
    story.room.media(story.now, Event::Published { command, participant, track });
    story.quiet();
    assert!(matches!(&story.messages(1)[..], [ServerMessage::Published(published)] if published.track == track));
    let heard = story.messages(2);
    assert!(heard.iter().any(|m| matches!(m, ServerMessage::Tracks(tracks) if tracks.add[0].track == track)));
}

#[test]
fn microphone_without_packets_is_stalled_while_its_owner_is_there() {
    let mut story = Story::new();
    story.join(1);
    story.join(2);
    let (track, screen) = (story.publish(1, mic()), story.publish(1, Publish { source: Source::Screen, ..cam() }));
    story.quiet();
    let active = |story: &mut Story, track, active| {
        story.take(2);
        story.room.media(story.now, Event::TrackActivity { participant: ParticipantId(1), track, active });
        story.quiet();
        let updates = |message| match message {
            ServerMessage::Tracks(tracks) => Some(tracks.upd),
            _ => None,
        };
        story.messages(2).into_iter().filter_map(updates).flatten().map(|t| (t.track, t.stalled)).collect::<Vec<_>>()
    };
    assert_eq!(active(&mut story, screen, false), [], "a screen that does not change sends nothing");
    assert_eq!(active(&mut story, track, false), [(track, true)]);
    assert_eq!(active(&mut story, track, true), [(track, false)]);
    assert_eq!(active(&mut story, track, false), [(track, true)]);
    story.ask(1, ClientMessage::Mute(TrackRef { track }));
    story.quiet();
    let heard = story.messages(2);
    assert!(heard.iter().any(|m| matches!(m, ServerMessage::Tracks(t) if t.upd[0].muted && !t.upd[0].stalled)));
    assert_eq!(active(&mut story, track, false), [], "a muted track is silent");
    story.ask(1, ClientMessage::Unmute(TrackRef { track }));
    story.alive = false;
    story.ask(1, ClientMessage::Away(Empty {}));
    story.quiet();
    assert_eq!(active(&mut story, track, false), [], "its owner is away");
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
        Event::TransportState { participant, state: sfu_api::TransportState::Connected },
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
