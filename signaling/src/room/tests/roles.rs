//! Who may do what: each message by each role, and what moderators do to others.

use super::*;
use crate::room::admittance::MAX_BANS;
use std::{fmt::Write as _, fs, path::Path};
use tacet_proto::{Capabilities, Capability, server::Policy};

const ADA: u32 = 1;
const BOB: u32 = 2;
const EVE: u32 = 3;

/// A participant in a role, as far as its token goes.
fn standing(role: Role) -> Standing {
    let holder = Some(Holder { token: [role as u8; 16], identity: Some(role.name().to_owned()) });
    Standing { role, at_most: Capabilities::ALL, holder, earlier: Vec::new() }
}

/// Enters and joins in a role.
fn join_as(story: &mut Story, who: u32, role: Role) {
    story.enter_with(Entry::Newcomer, standing(role), who).unwrap();
    story.ask(who, join(who as u8));
    story.quiet();
}

/// A call with a host, a speaker and a listener, who have each heard of the others.
fn call() -> Story {
    let mut story = Story::new();
    for (who, role) in [(ADA, Role::Host), (BOB, Role::Speaker), (EVE, Role::Listener)] {
        join_as(&mut story, who, role);
    }
    for who in [ADA, BOB, EVE] {
        story.ask(who, ClientMessage::Transport(transport()));
    }
    story.quiet();
    for who in [ADA, BOB, EVE] {
        story.take(who);
    }
    story
}

fn code(answer: ServerMessage) -> Option<ErrorCode> {
    match answer {
        ServerMessage::Error(error) => Some(error.code),
        _ => None,
    }
}

fn target(who: u32) -> Target {
    Target { participant: ParticipantId(who) }
}

fn assign(who: u32, role: Role) -> ClientMessage {
    ClientMessage::Role(Assign { participant: ParticipantId(who), role })
}

/// What a participant was sent since it was last looked at, without key traffic.
fn messages(story: &mut Story, who: u32) -> Vec<ServerMessage> {
    let heard = story.take(who).into_iter();
    heard
        .filter_map(|outgoing| match outgoing {
            Outgoing::Message { message, .. } => Some(message),
            Outgoing::Binary(_) => None,
        })
        .collect()
}

fn entry(messages: &[ServerMessage], who: u32) -> Option<RosterEntry> {
    let rosters = messages.iter().filter_map(|message| match message {
        ServerMessage::Roster(roster) => Some(roster),
        _ => None,
    });
    let mut entries = rosters.flat_map(|roster| roster.add.iter().chain(&roster.upd));
    entries.rfind(|entry| entry.participant == ParticipantId(who)).copied()
}

/// What the room answers to a message of someone in this state: nothing wrong, or why not.
fn outcome(state: &str, kind: usize) -> Option<ErrorCode> {
    let mut story = Story::new();
    join_as(&mut story, BOB, Role::Speaker);
    let who = 9;
    let role = Role::ALL.iter().find(|role| role.name() == state).copied();
    story.enter_with(Entry::Newcomer, standing(role.unwrap_or(Role::Host)), who).unwrap();
    if role.is_some() {
        story.ask(who, join(who as u8));
        story.ask(who, ClientMessage::Transport(transport()));
        story.quiet();
    }
    let message = every_message().swap_remove(kind);
    story.take(who);
    story.ask(who, message);
    let heard = messages(&mut story, who);
    heard.into_iter().find_map(code)
}

/// The table in the documentation is what the room does: each message by each role, and by someone who has not joined.
#[test]
fn each_message_by_each_role_is_as_the_document_says() {
    let states = ["not joined", "listener", "speaker", "moderator", "host"];
    let mut table = format!("| message | {} |\n|---|{}\n", states.join(" | "), "---|".repeat(states.len()));
    for (kind, message) in every_message().iter().enumerate() {
        let kind_of = tacet_proto::MessageType::from(message);
        assert_eq!(tacet_proto::MessageType::ALL[kind], kind_of, "every message once, in order");
        let _ = write!(table, "| `{}` |", kind_of.name());
        for state in states {
            let allowed = match outcome(state, kind) {
                Some(ErrorCode::Forbidden) => "–",
                Some(ErrorCode::NotMember) => "join first",
                // What it says makes no sense here, but it may be said.
                _ => "yes",
            };
            let _ = write!(table, " {allowed} |");
        }
        table.push('\n');
    }
    let text = tacet_proto::MessageType::ALL.len() - every_message().len();
    assert_eq!(text, 4, "the binary messages, of which the next two tests are");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/signaling.md");
    let document = fs::read_to_string(&path).unwrap();
    let (begin, end, table) = ("<!-- generated: roles -->", "<!-- end -->", format!("\n\n{table}\n"));
    let (before, rest) = document.split_once(begin).expect("where the table begins");
    let (found, after) = rest.split_once(end).expect("where the table ends");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, [before, begin, &table, end, after].concat()).unwrap();
    } else {
        assert!(found == table, "docs/signaling.md is stale: make types\n{table}");
    }
}

#[test]
fn key_traffic_is_for_those_who_have_joined() {
    for role in Role::ALL {
        let mut story = Story::new();
        join_as(&mut story, BOB, Role::Speaker);
        story.enter_with(Entry::Newcomer, standing(*role), 9).unwrap();
        story.binary(9, &key_batch(&[0]));
        assert_eq!(messages(&mut story, 9).into_iter().find_map(code), Some(ErrorCode::NotMember));
        story.ask(9, join(9));
        story.quiet();
        story.take(9);
        story.binary(9, &key_batch(&[0]));
        assert_eq!(messages(&mut story, 9).into_iter().find_map(code), None, "{role}");
    }
}

#[test]
fn chat_is_for_those_who_may() {
    let chat = binary::chat(9, binary::ChatId::new(binary::ChatKind::Message, 1), b"sealed");
    let without = Capabilities::of(&[Capability::Subscribe, Capability::Moderate]);
    for (at_most, role, expected) in [
        (Capabilities::ALL, Role::Listener, None),
        (Capabilities::ALL, Role::Host, None),
        (without, Role::Host, Some(ErrorCode::Forbidden)),
    ] {
        let mut story = Story::new();
        join_as(&mut story, BOB, Role::Speaker);
        story.enter_with(Entry::Newcomer, Standing { at_most, ..standing(role) }, 9).unwrap();
        story.binary(9, &chat);
        assert_eq!(messages(&mut story, 9).into_iter().find_map(code), Some(ErrorCode::NotMember));
        story.ask(9, join(9));
        story.quiet();
        story.take(9);
        story.take(BOB);
        story.binary(9, &chat);
        story.quiet();
        assert_eq!(messages(&mut story, 9).into_iter().find_map(code), expected, "{role}");
        assert_eq!(story.binaries(BOB).is_empty(), expected.is_some());
    }
}

/// Whatever a token says: who receives is on the roster of all others, and who has not joined receives nothing.
#[test]
fn no_one_receives_unseen() {
    for bits in 0..1 << Capability::ALL.len() {
        let some = Capability::ALL.iter().enumerate().filter(|(index, _)| bits & (1 << index) != 0);
        let at_most = Capabilities::of(&some.map(|(_, capability)| *capability).collect::<Vec<_>>());
        for role in Role::ALL {
            let mut story = Story::new();
            join_as(&mut story, ADA, Role::Speaker);
            story.ask(ADA, ClientMessage::Transport(transport()));
            story.publish(ADA, mic());
            story.quiet();
            story.take(ADA);
            let commands = story.commands.len();
            story.enter_with(Entry::Newcomer, Standing { at_most, ..standing(*role) }, 9).unwrap();
            for message in every_message()
                .into_iter()
                .filter(|message| !matches!(message, ClientMessage::Join(_) | ClientMessage::Leave(_)))
            {
                story.ask(9, message);
            }
            story.quiet();
            assert_eq!(story.commands.len(), commands, "the media plane hears of no one who has not joined");
            assert!(
                messages(&mut story, 9)
                    .iter()
                    .all(|message| matches!(message, ServerMessage::Error(_) | ServerMessage::Pong(_)))
            );
            story.ask(9, join(9));
            story.quiet();
            let seen = entry(&messages(&mut story, ADA), 9).expect("on the roster");
            assert_eq!(seen.role, *role);
            story.ask(9, ClientMessage::Transport(transport()));
            story.ask(9, auto());
            story.quiet();
            let receives = story.commands.iter().any(
                |command| matches!(command, Command::AddSlot { participant, .. } if *participant == ParticipantId(9)),
            );
            assert_eq!(receives, at_most.has(Capability::Subscribe), "{at_most:?}");
        }
    }
}

#[test]
fn kicked_participant_is_gone_at_once_and_for_this_call() {
    let mut story = call();
    let claims = story.room.claims(ParticipantId(BOB)).unwrap();
    assert_eq!(code(story.answer(ADA, ClientMessage::Kick(target(BOB)))), None);
    story.quiet();
    assert_eq!(story.closed, [(ParticipantId(BOB), CloseCode::Removed)]);
    assert!(matches!(&story.changes[..], [Change::Removed { participants, bans, locks: false, .. }]
        if *participants == [ParticipantId(BOB)] && bans.is_empty()));
    let left = |message: &ServerMessage| matches!(message, ServerMessage::Roster(roster) if roster.del == [ParticipantId(BOB)]);
    assert!(messages(&mut story, EVE).iter().any(left), "keys are replaced by this");
    let removed = Command::RemoveParticipant { participant: ParticipantId(BOB) };
    assert!(story.commands.contains(&removed));
    for entry in [Entry::Session { claims, covered: true, recent: true }, Entry::Reload { claims, recent: true }] {
        assert_eq!(story.enter_as(entry, 50), Err(NotEntered::NotResumable));
    }
    // A kick is no ban.
    join_as(&mut story, 51, Role::Speaker);
    assert!(entry(&messages(&mut story, EVE), 51).is_some());
}

#[test]
fn banned_device_and_token_stay_out_and_the_room_is_locked_for_guests() {
    let mut story = call();
    assert_eq!(code(story.answer(ADA, ClientMessage::Ban(target(BOB)))), None);
    story.quiet();
    assert!(messages(&mut story, EVE).contains(&ServerMessage::Policy(Policy { locked: true })));
    let Some(Change::Removed { bans, locks: true, .. }) = story.changes.first().cloned() else {
        panic!("{:?}", story.changes)
    };
    assert_eq!(bans.len(), 3, "device, token and identity: {bans:?}");
    let enter = |story: &mut Story, standing| story.enter_with(Entry::Newcomer, standing, 60).map(|_| ());
    assert_eq!(enter(&mut story, standing(Role::Speaker)), Err(NotEntered::Banned), "the same token");
    let of_identity = Standing {
        holder: Some(Holder { token: [77; 16], identity: Some("speaker".to_owned()) }),
        ..standing(Role::Host)
    };
    assert_eq!(enter(&mut story, of_identity), Err(NotEntered::Banned), "another token of the same identity");
    assert_eq!(enter(&mut story, Standing::guest(Role::Speaker)), Err(NotEntered::Locked));
    assert_eq!(enter(&mut story, standing(Role::Moderator)), Ok(()), "those that may unlock come in");

    // The device comes back as someone else.
    assert_eq!(code(story.answer(60, join(BOB as u8))), Some(ErrorCode::Banned));
    assert_eq!(code(story.answer(ADA, ClientMessage::Lock(Lock { locked: false }))), None);
    assert_eq!(enter(&mut story, Standing::guest(Role::Speaker)), Ok(()));

    // Another room with the same record, as after a restart.
    let admittance = Admittance { bans: bans.into_iter().collect(), ..Admittance::default() };
    let numbers = Box::new(|| 1);
    story.room = Room::new(story.now, sfu_api::RoomId(1), ROOM, RoomLimits::default(), admittance, None, numbers);
    assert_eq!(enter(&mut story, standing(Role::Speaker)), Err(NotEntered::Banned));
}

/// The states of someone who was in the call and shows a reload token: connected, and connected no more.
fn reloading(connected: bool) -> (Story, Claims) {
    let mut story = call();
    let claims = story.room.claims(ParticipantId(BOB)).unwrap();
    story.enter_with(Entry::Reload { claims, recent: true }, standing(Role::Speaker), 80).unwrap();
    if !connected {
        story.room.detach(story.now, ParticipantId(BOB));
        story.settle();
    }
    story.quiet();
    for who in [ADA, BOB, EVE] {
        story.take(who);
    }
    (story, claims)
}

#[test]
fn who_reloads_is_kicked_and_banned_like_any_other() {
    for (connected, act) in [false, true].into_iter().flat_map(|connected| {
        [(connected, ClientMessage::Kick(target(BOB))), (connected, ClientMessage::Ban(target(BOB)))]
    }) {
        let (mut story, claims) = reloading(connected);
        let banned = matches!(act, ClientMessage::Ban(_));
        assert_eq!(code(story.answer(ADA, act)), None);
        let left = |message: &ServerMessage| matches!(message, ServerMessage::Roster(roster) if roster.del == [ParticipantId(BOB)]);
        assert!(messages(&mut story, EVE).iter().any(left), "off the roster at once");
        assert_eq!(story.closed, [(ParticipantId(BOB), CloseCode::Removed)]);
        for entry in [Entry::Session { claims, covered: true, recent: true }, Entry::Reload { claims, recent: true }] {
            let refused = if banned { NotEntered::Banned } else { NotEntered::NotResumable };
            assert_eq!(story.enter_with(entry, standing(Role::Speaker), 81).err(), Some(refused));
        }
        let Some(Change::Removed { bans, locks, .. }) = story.changes.first() else { panic!("{:?}", story.changes) };
        let device = bans.iter().any(|ban| matches!(ban, Ban::Device(_)));
        assert_eq!((bans.len(), device, *locks), if banned { (3, true, true) } else { (0, false, false) }, "{bans:?}");
    }
}

#[test]
fn device_of_before_is_banned_long_after_a_reload_without_a_join() {
    let (mut story, _) = reloading(true);
    story.pass(Duration::from_secs(15));
    story.room.remove_by_operator(story.now, ParticipantId(BOB), true).unwrap();
    story.settle();
    let device = Ban::Device([BOB as u8; 32]);
    assert!(matches!(&story.changes[..], [Change::Removed { bans, locks: true, .. }] if bans.contains(&device)));
}

#[test]
fn role_reaches_who_reloads() {
    for connected in [false, true] {
        let (mut story, claims) = reloading(connected);
        assert_eq!(code(story.answer(ADA, assign(BOB, Role::Listener))), None);
        assert_eq!(entry(&messages(&mut story, EVE), BOB).map(|entry| entry.role), Some(Role::Listener));
        assert_eq!(messages(&mut story, BOB).is_empty(), !connected);
        if !connected {
            let back = story.enter_with(Entry::Reload { claims, recent: true }, standing(Role::Speaker), 82).unwrap();
            assert_eq!(back.role, Role::Listener);
        }
        story.ask(BOB, join(BOB as u8));
        assert_eq!(code(story.answer(BOB, ClientMessage::Publish(mic()))), Some(ErrorCode::Forbidden));
        let request = ClientMessage::MuteRequest(target(BOB));
        assert_eq!(code(story.answer(ADA, request)), None);
    }
}

/// Nothing is known of a guest that has only sent `hello`: all that keeps it out is the lock.
#[test]
fn ban_locks_the_room_even_if_nothing_is_known_of_the_guest() {
    let mut story = call();
    story.enter(90);
    story.room.remove_by_operator(story.now, ParticipantId(90), true).unwrap();
    story.settle();
    assert!(matches!(&story.changes[..], [Change::Removed { bans, locks: true, .. }] if bans.is_empty()));
    assert_eq!(story.enter_as(Entry::Newcomer, 91), Err(NotEntered::Locked));
    let no_one = story.room.remove_by_operator(story.now, ParticipantId(92), true);
    assert_eq!(no_one.err().map(|refusal| refusal.code), Some(ErrorCode::NoParticipant));
}

/// All of a ban is written, or nothing.
#[test]
fn ban_that_has_no_space_is_refused_and_changes_nothing() {
    let mut story = call();
    let others = (2..MAX_BANS).map(|number| Ban::Identity(number.to_string()));
    story.room.admittance.bans.extend(others);
    assert_eq!(code(story.answer(ADA, ClientMessage::Ban(target(BOB)))), Some(ErrorCode::ServerBusy));
    let refused = story.room.remove_by_operator(story.now, ParticipantId(BOB), true);
    assert_eq!(refused.err().map(|refusal| refusal.code), Some(ErrorCode::ServerBusy));
    assert!(story.changes.is_empty() && story.closed.is_empty() && !story.room.admittance.policy.locked);
    assert_eq!(story.room.admittance.bans.len(), MAX_BANS - 2);

    // There is space for two, and one of the three is there already.
    story.room.admittance.bans.remove(&Ban::Identity("2".to_owned()));
    story.room.admittance.bans.insert(Ban::Identity(Role::Speaker.name().to_owned()));
    assert_eq!(code(story.answer(ADA, ClientMessage::Ban(target(BOB)))), None);
    assert_eq!(story.room.admittance.bans.len(), MAX_BANS);
    assert_eq!(code(story.answer(ADA, ClientMessage::Ban(target(EVE)))), Some(ErrorCode::ServerBusy));
    assert_eq!(code(story.answer(ADA, ClientMessage::Kick(target(EVE)))), None);
}

#[test]
fn ban_removes_all_who_hold_the_token_or_have_the_identity() {
    let mut story = call();
    let holder = |token, identity: &str| Holder { token: [token; 16], identity: Some(identity.to_owned()) };
    let bob = standing(Role::Speaker).holder.unwrap();
    let narrow = |holder| Standing { holder: Some(holder), ..standing(Role::Listener) };
    for (who, holder) in
        [(30, bob.clone()), (31, holder(99, "speaker")), (32, Holder { identity: None, ..bob }), (33, holder(98, "cy"))]
    {
        story.enter_with(Entry::Newcomer, narrow(holder), who).unwrap();
    }
    story.ask(31, join(31));
    story.quiet();
    // One of them is on its way back.
    let claims = story.room.claims(ParticipantId(31)).unwrap();
    story.enter_with(Entry::Reload { claims, recent: true }, narrow(holder(99, "speaker")), 34).unwrap();
    story.room.detach(story.now, ParticipantId(31));
    story.settle();
    assert_eq!(code(story.answer(ADA, ClientMessage::Ban(target(BOB)))), None);
    let closed: Vec<_> = story.closed.iter().map(|(who, _)| who.0).collect();
    assert_eq!(closed, [BOB, 30, 31, 32]);
    let [Change::Removed { participants, .. }] = &story.changes[..] else { panic!("{:?}", story.changes) };
    assert_eq!(participants.iter().map(|who| who.0).collect::<Vec<_>>(), closed);
    let entry = Entry::Reload { claims, recent: true };
    assert_eq!(story.enter_with(entry, Standing::guest(Role::Speaker), 35), Err(NotEntered::NotResumable));
}

/// By a shared identity no one acts on those that it may not act on, or on itself.
#[test]
fn ban_does_not_reach_further_than_its_sender_may() {
    let mut story = call();
    let mallory = 4;
    join_as(&mut story, mallory, Role::Moderator);
    let of = |identity: &str| Standing {
        holder: Some(Holder { token: [99; 16], identity: Some(identity.to_owned()) }),
        ..standing(Role::Listener)
    };
    story.enter_with(Entry::Newcomer, of("host"), 40).unwrap();
    story.enter_with(Entry::Newcomer, of("moderator"), 41).unwrap();
    for who in [40, 41] {
        story.ask(who, join(who as u8));
        story.quiet();
    }
    assert_eq!(code(story.answer(mallory, ClientMessage::Ban(target(40)))), Some(ErrorCode::Forbidden));
    assert_eq!(code(story.answer(mallory, ClientMessage::Ban(target(41)))), Some(ErrorCode::BadMessage));
    assert_eq!(code(story.answer(ADA, ClientMessage::Ban(target(40)))), Some(ErrorCode::BadMessage));
    assert!(story.changes.is_empty() && story.closed.is_empty());
    assert_eq!(code(story.answer(mallory, ClientMessage::Kick(target(41)))), None, "a kick reaches one");
    assert_eq!(story.closed, [(ParticipantId(41), CloseCode::Removed)]);
}

#[test]
fn lock_keeps_out_newcomers_and_no_one_who_was_here() {
    let mut story = call();
    assert_eq!(code(story.answer(ADA, ClientMessage::Lock(Lock { locked: true }))), None);
    assert_eq!(story.changes, [Change::Locked(true)]);
    for who in [BOB, EVE] {
        assert!(messages(&mut story, who).contains(&ServerMessage::Policy(Policy { locked: true })));
    }
    assert_eq!(story.enter_as(Entry::Newcomer, 40), Err(NotEntered::Locked));
    // The lock is no part of a removal.
    join_as(&mut story, 39, Role::Moderator);
    assert_eq!(code(story.answer(ADA, ClientMessage::Kick(target(39)))), None);
    assert!(matches!(story.changes.last(), Some(Change::Removed { locks: false, .. })), "{:?}", story.changes);
    let claims = story.room.claims(ParticipantId(BOB)).unwrap();
    story.room.detach(story.now, ParticipantId(BOB));
    story.settle();
    let back = story.enter_with(Entry::Session { claims, covered: true, recent: true }, standing(Role::Speaker), 41);
    assert!(back.is_ok(), "the session goes on");
    let claims = story.room.claims(ParticipantId(EVE)).unwrap();
    let back = story.enter_with(Entry::Reload { claims, recent: true }, standing(Role::Listener), 42);
    assert_eq!(back.map(|entered| entered.participant), Ok(ParticipantId(EVE)), "the page was loaded again");
}

#[test]
fn lost_right_to_publish_silences_at_once() {
    let mut story = call();
    story.publish(BOB, mic());
    story.publish(BOB, cam());
    story.quiet();
    let own: Vec<_> = story.room.tracks.keys().copied().collect();
    messages(&mut story, BOB);
    assert_eq!(code(story.answer(ADA, assign(BOB, Role::Listener))), None);
    for track in &own {
        let unpublished = Command::Unpublish { participant: ParticipantId(BOB), track: *track };
        assert!(story.commands.contains(&unpublished), "the media plane forwards nothing of it");
    }
    let heard = messages(&mut story, BOB);
    let change = heard.iter().find_map(|message| match message {
        ServerMessage::Role(change) => Some(change.clone()),
        _ => None,
    });
    let change = change.expect("a message");
    assert_eq!((change.role, change.capabilities), (Role::Listener, Role::Listener.capabilities()));
    assert_eq!(change.withdrawn, own);
    story.quiet();
    let seen = messages(&mut story, EVE);
    assert_eq!(entry(&seen, BOB).map(|entry| entry.role), Some(Role::Listener));
    let gone = |message: &ServerMessage| matches!(message, ServerMessage::Tracks(tracks) if tracks.del.len() == 2);
    assert!(seen.iter().any(gone), "{seen:?}");
    assert_eq!(code(story.answer(BOB, ClientMessage::Publish(mic()))), Some(ErrorCode::Forbidden));

    // Nothing is published again by a role.
    assert_eq!(code(story.answer(ADA, assign(BOB, Role::Speaker))), None);
    story.quiet();
    assert!(story.room.tracks.is_empty());
    assert_eq!(code(story.answer(BOB, ClientMessage::Publish(mic()))), None);
}

/// The media plane accepts a track that its publisher may no longer publish.
#[test]
fn publication_under_way_does_not_outrun_a_role() {
    let mut story = call();
    story.room.request(story.now, ParticipantId(BOB), Some(7), ClientMessage::Publish(mic()));
    let published = loop {
        match story.room.poll() {
            Some(Output::Command(Request { id, command: Command::Publish { participant, track, .. } })) => {
                break Event::Published { command: id, participant, track };
            }
            Some(_) => {}
            None => panic!("no command"),
        }
    };
    assert_eq!(code(story.answer(ADA, assign(BOB, Role::Listener))), None);
    story.room.media(story.now, published);
    story.quiet();
    assert!(story.room.tracks.is_empty());
    assert!(matches!(story.commands.last(), Some(Command::Unpublish { .. })));
}

#[test]
fn role_stays_across_a_return_and_a_narrow_token_stays_narrow() {
    let mut story = call();
    assert_eq!(code(story.answer(ADA, assign(BOB, Role::Listener))), None);
    assert_eq!(code(story.answer(ADA, assign(EVE, Role::Moderator))), None);
    let bob = story.room.claims(ParticipantId(BOB)).unwrap();
    let back = story.enter_with(Entry::Reload { claims: bob, recent: true }, standing(Role::Speaker), 70).unwrap();
    assert_eq!(back.role, Role::Listener, "its token says speaker");
    let eve = story.room.claims(ParticipantId(EVE)).unwrap();
    let narrow = Standing { at_most: Capabilities::of(&[Capability::Chat]), ..standing(Role::Listener) };
    let back = story.enter_with(Entry::Reload { claims: eve, recent: true }, narrow, 71).unwrap();
    assert_eq!((back.role, back.capabilities), (Role::Moderator, Capabilities::of(&[Capability::Chat])));

    // As after a restart: the record has the roles.
    let roles = vec![(ParticipantId(BOB), Role::Listener)];
    let record = CallRecord { roles, ..CallRecord::new(bob.call) };
    let mut later = Story::after_restart(RoomLimits::default(), Some(record));
    let claims = Claims { device: Some([BOB as u8; 32]), ..bob };
    let entry = Entry::Session { claims, covered: false, recent: true };
    assert_eq!(later.enter_with(entry, standing(Role::Speaker), 72).unwrap().role, Role::Listener);
}

#[test]
fn those_who_moderate_are_acted_on_by_hosts_alone() {
    let mut story = call();
    let mallory = 4;
    join_as(&mut story, mallory, Role::Moderator);
    for act in [
        ClientMessage::Kick(target(ADA)),
        ClientMessage::Ban(target(ADA)),
        ClientMessage::MuteRequest(target(ADA)),
        assign(ADA, Role::Listener),
        assign(BOB, Role::Moderator),
        assign(mallory, Role::Host),
        ClientMessage::End(Empty {}),
    ] {
        assert_eq!(code(story.answer(mallory, act.clone())), Some(ErrorCode::Forbidden), "{act:?}");
    }
    for act in [ClientMessage::Kick(target(mallory)), ClientMessage::Ban(target(mallory))] {
        assert_eq!(code(story.answer(mallory, act)), Some(ErrorCode::BadMessage), "itself");
    }
    assert_eq!(code(story.answer(mallory, ClientMessage::Kick(target(77)))), Some(ErrorCode::NoParticipant));
    assert!(story.changes.is_empty() && story.closed.is_empty() && story.ends == 0);
    assert_eq!(code(story.answer(mallory, assign(mallory, Role::Speaker))), None, "it may step down");
    assert_eq!(code(story.answer(mallory, assign(mallory, Role::Moderator))), Some(ErrorCode::Forbidden));
    assert_eq!(code(story.answer(ADA, assign(BOB, Role::Host))), None);
    assert_eq!(code(story.answer(BOB, ClientMessage::Kick(target(ADA)))), None, "hosts are equal");
    story.ask(BOB, ClientMessage::End(Empty {}));
    assert_eq!(story.ends, 1);
}

/// There is no message that unmutes another, and a request to mute changes nothing by itself.
#[test]
fn mute_is_asked_for_and_never_done() {
    let mut story = call();
    story.publish(BOB, mic());
    story.quiet();
    messages(&mut story, BOB);
    let commands = story.commands.len();
    assert_eq!(code(story.answer(ADA, ClientMessage::MuteRequest(target(BOB)))), None);
    assert_eq!(
        messages(&mut story, BOB),
        [ServerMessage::MuteRequest(tacet_proto::server::MuteRequest { by: ParticipantId(ADA) })]
    );
    let track = *story.room.tracks.keys().next().unwrap();
    assert!(!story.room.tracks[&track].track.muted && story.commands.len() == commands);
    story.ask(BOB, ClientMessage::Mute(TrackRef { track }));
    for who in [ADA, EVE] {
        assert_eq!(code(story.answer(who, ClientMessage::Unmute(TrackRef { track }))), Some(ErrorCode::NoTrack));
    }
    assert!(story.room.tracks[&track].track.muted);
}

#[test]
fn hand_is_on_the_roster() {
    let mut story = call();
    assert_eq!(code(story.answer(EVE, ClientMessage::Hand(Hand { raised: true }))), None);
    story.quiet();
    assert_eq!(entry(&messages(&mut story, ADA), EVE).map(|entry| entry.hand), Some(true));
    join_as(&mut story, 8, Role::Listener);
    let joined = messages(&mut story, 8).into_iter().find_map(|message| match message {
        ServerMessage::Joined(joined) => Some(joined),
        _ => None,
    });
    let entries = joined.unwrap().roster;
    assert!(entries.iter().any(|entry| entry.participant == ParticipantId(EVE) && entry.hand), "{entries:?}");
    messages(&mut story, ADA);
    assert_eq!(code(story.answer(EVE, ClientMessage::Hand(Hand { raised: true }))), None);
    story.quiet();
    assert_eq!(messages(&mut story, ADA), [], "nothing is new");
}

/// As fast as its own rates allow, for five seconds.
#[test]
fn busy_moderator_sends_others_thirty_messages_a_second_at_most() {
    use crate::rate::{TypeRates, Window};
    use tacet_proto::{MessageType, limits::MESSAGES_PER_WINDOW};
    let mut story = call();
    story.publish(BOB, mic());
    story.quiet();
    messages(&mut story, BOB);
    let (mut rates, mut window) = (TypeRates::default(), Window::new(MESSAGES_PER_WINDOW, Duration::from_secs(1)));
    let mut times = Vec::new();
    for step in 0..500 {
        let act = match step % 3 {
            0 => assign(BOB, if step % 2 == 0 { Role::Listener } else { Role::Speaker }),
            1 => ClientMessage::MuteRequest(target(BOB)),
            _ => ClientMessage::Lock(Lock { locked: step % 2 == 0 }),
        };
        let accepted = window.accept(story.now).is_ok() && rates.accept(MessageType::from(&act), story.now).is_ok();
        if accepted {
            story.ask(ADA, act);
        }
        story.pass(Duration::from_millis(10));
        let heard = story.take(BOB).len();
        times.extend(std::iter::repeat_n(story.now, heard));
    }
    assert!(times.len() > MESSAGES_PER_WINDOW, "{}", times.len());
    for pair in times.windows(MESSAGES_PER_WINDOW + 1) {
        let [first, .., last] = pair else { panic!("two at least") };
        assert!(*last - *first >= Duration::from_secs(1));
    }
}
