//! What a participant that comes back still has.

use super::*;
use crate::room::gathering::GATHERING;
use tacet_proto::resume::{Continues, Expected};

const SECOND: Duration = Duration::from_secs(1);

fn session(claims: Claims) -> Entry {
    Entry::Session { claims, covered: true, recent: true }
}

fn reload(claims: Claims) -> Entry {
    Entry::Reload { claims, recent: true }
}

/// Two members, and what a token says of the second.
fn story() -> (Story, Claims) {
    let mut story = Story::new();
    story.join(1);
    story.join(2);
    let claims = story.room.claims(ParticipantId(2)).unwrap();
    story.silent.insert(ParticipantId(2));
    story.take(1);
    (story, claims)
}

/// Joins and leaves that participant 1 has seen, in order.
fn seen(story: &mut Story) -> Vec<(&'static str, u32)> {
    story.quiet();
    let mut seen = Vec::new();
    for message in story.messages(1) {
        if let ServerMessage::Roster(roster) = message {
            seen.extend(roster.del.iter().map(|gone| ("leave", gone.0)));
            seen.extend(roster.add.iter().map(|entry| ("join", entry.participant.0)));
        }
    }
    seen
}

fn seat(story: &mut Story, who: u32) -> Seat {
    match story.answer(who, join(who as u8)) {
        ServerMessage::Joined(joined) => joined.seat,
        other => panic!("{other:?}"),
    }
}

#[test]
fn held_session_goes_on_unnoticed() {
    let (mut story, claims) = story();
    story.room.detach(story.now, ParticipantId(2));
    story.pass(20 * SECOND);
    let entered = story.enter_as(session(claims), 50).unwrap();
    assert_eq!((entered.continues, entered.participant), (Continues::Session, ParticipantId(2)));
    assert_eq!(entered.session, claims.session);
    assert_eq!(seen(&mut story), []);
    assert!(!story.commands.contains(&Command::RemoveParticipant { participant: ParticipantId(2) }));
}

#[test]
fn returning_member_of_a_full_room_needs_no_other_place() {
    let mut story = Story::with(RoomLimits { participants: 2, ..RoomLimits::default() });
    story.join(1);
    story.join(2);
    let claims = story.room.claims(ParticipantId(2)).unwrap();
    assert_eq!(
        story.enter_as(session(claims), 50).unwrap().continues,
        Continues::Session,
        "its socket is not dead yet"
    );
    assert_eq!(story.enter_as(reload(claims), 51).unwrap().continues, Continues::Participant);
    seat(&mut story, 2);
    story.enter(3);
    assert_eq!(story.refused(3, join(3)), ErrorCode::RoomFull);
}

#[test]
fn lost_messages_cost_the_session_but_not_the_participant() {
    let (mut story, claims) = story();
    let entered = story.enter_as(Entry::Session { claims, covered: false, recent: true }, 50).unwrap();
    assert_eq!((entered.continues, entered.participant), (Continues::Participant, ParticipantId(2)));
    assert_ne!(entered.session, claims.session);
    assert_ne!(seat(&mut story, 2), claims.seat);
    assert_eq!(seen(&mut story), [("leave", 2), ("join", 2)]);
}

#[test]
fn same_process_after_the_hold_is_the_same_participant() {
    let (mut story, claims) = story();
    story.room.detach(story.now, ParticipantId(2));
    story.pass(40 * SECOND);
    assert_eq!(seen(&mut story), [("leave", 2)]);
    let entered = story.enter_as(session(claims), 50).unwrap();
    assert_eq!((entered.continues, entered.participant), (Continues::Participant, ParticipantId(2)));
    assert_ne!(seat(&mut story, 2), claims.seat);
    assert_eq!(seen(&mut story), [("join", 2)]);
    assert_eq!(story.enter_as(session(claims), 51), Err(NotEntered::NotResumable), "another session has its place");
}

#[test]
fn reload_is_one_leave_and_one_join() {
    for seconds in [1, 9, 11, 29] {
        let (mut story, claims) = story();
        story.ask(2, ClientMessage::Away(Empty {}));
        story.pass(seconds * SECOND);
        let entered = story.enter_as(reload(claims), 50).unwrap();
        assert_eq!((entered.continues, entered.participant), (Continues::Participant, ParticipantId(2)));
        // Its connection breaks before it has joined, and it tries again.
        let entered = story.enter_as(reload(claims), 51).unwrap();
        assert_eq!(entered.continues, Continues::Participant);
        assert_ne!(seat(&mut story, 2), claims.seat);
        assert_eq!(seen(&mut story), [("leave", 2), ("join", 2)], "after {seconds} s");
        assert_eq!(story.enter_as(reload(claims), 52), Err(NotEntered::NotResumable), "one use");
    }
}

/// What the network or a busy device makes of the time between `hello` and `join` is no one else's concern.
#[test]
fn reload_that_joins_late_is_one_leave_and_one_join() {
    let (mut story, claims) = story();
    story.enter_as(reload(claims), 50).unwrap();
    story.pass(5 * SECOND);
    assert_eq!(seen(&mut story), []);
    story.room.detach(story.now, ParticipantId(2));
    story.quiet();
    let away = |message: &ServerMessage| matches!(message, ServerMessage::Roster(roster) if roster.del.is_empty());
    assert!(story.messages(1).iter().any(away), "its connection broke");
    story.enter_as(reload(claims), 51).unwrap();
    story.pass(4 * SECOND);
    assert_eq!(seen(&mut story), []);
    seat(&mut story, 2);
    assert_eq!(seen(&mut story), [("leave", 2), ("join", 2)]);
    story.pass(20 * SECOND);
    assert_eq!(seen(&mut story), []);
}

#[test]
fn reload_that_never_joins_has_left_after_ten_seconds() {
    let (mut story, claims) = story();
    story.enter_as(reload(claims), 50).unwrap();
    story.room.detach(story.now, ParticipantId(2));
    story.pass(9 * SECOND);
    assert!(!seen(&mut story).contains(&("leave", 2)));
    story.pass(SECOND);
    assert_eq!(seen(&mut story), [("leave", 2)]);
}

#[test]
fn goodbye_before_joining_again_is_seen_at_once() {
    let (mut story, claims) = story();
    story.enter_as(reload(claims), 50).unwrap();
    story.ask(2, ClientMessage::Leave(Empty {}));
    assert_eq!(seen(&mut story), [("leave", 2)]);
}

#[test]
fn reload_after_half_a_minute_is_refused() {
    let (mut story, claims) = story();
    story.ask(2, ClientMessage::Away(Empty {}));
    story.pass(31 * SECOND);
    assert_eq!(story.enter_as(reload(claims), 50), Err(NotEntered::NotResumable));
    assert_eq!(story.enter_as(session(claims), 50).unwrap().continues, Continues::Participant, "with a proof it may");
}

#[test]
fn refused_are_other_calls_goodbyes_and_other_devices() {
    let (mut story, claims) = story();
    let other_call = Claims { call: CallId(Fixed([9; 16])), ..claims };
    let other_device = Claims { device: Some([9; 32]), ..claims };
    let other_session = Claims { session: SessionId(Fixed([9; 16])), ..claims };
    for claims in [other_call, other_device, other_session] {
        assert_eq!(story.enter_as(session(claims), 50), Err(NotEntered::NotResumable));
    }
    for claims in [other_call, other_session] {
        assert_eq!(story.enter_as(reload(claims), 50), Err(NotEntered::NotResumable));
    }
    story.ask(2, ClientMessage::Leave(Empty {}));
    assert_eq!(story.enter_as(session(claims), 50), Err(NotEntered::NotResumable));
    assert_eq!(story.enter_as(reload(claims), 50), Err(NotEntered::NotResumable));
    story.leave(1);
    assert_eq!(story.ended.len(), 1);
    story.enter(3);
    assert_eq!(story.enter_as(session(claims), 50), Err(NotEntered::NotResumable), "in another call");
}

/// A restarted server: the first story's call goes on in a second one.
fn restarted(participants: &[u32]) -> (Story, Vec<Claims>) {
    let mut story = Story::new();
    for &who in participants {
        story.join(who);
    }
    let claims: Vec<_> = participants.iter().map(|who| story.room.claims(ParticipantId(*who)).unwrap()).collect();
    let record = CallRecord {
        gone: story.goodbyes.clone(),
        departed: story.departed.clone(),
        ..CallRecord::new(claims[0].call)
    };
    let after = Story::after_restart(RoomLimits::default(), Some(record));
    (after, claims)
}

fn expected(claims: &[Claims], me: ParticipantId) -> Vec<Expected> {
    let others = claims.iter().filter(|claims| claims.participant != me);
    others.map(|claims| Expected { participant: claims.participant, seat: claims.seat }).collect()
}

fn rejoin(story: &mut Story, all: &[Claims], claims: Claims) -> Joined {
    let entered = story.enter_as(session(claims), 77).unwrap();
    assert_eq!((entered.continues, entered.participant), (Continues::Seat, claims.participant));
    assert_eq!((entered.session, entered.call), (claims.session, claims.call));
    let who = claims.participant.0;
    let ClientMessage::Join(join) = join(who as u8) else { unreachable!() };
    let expects = expected(all, claims.participant);
    match story.answer(who, ClientMessage::Join(Join { expects, ..join })) {
        ServerMessage::Joined(joined) => joined,
        other => panic!("{other:?}"),
    }
}

/// Rosters that a participant was sent.
fn rosters(story: &mut Story, who: u32) -> Vec<tacet_proto::server::Roster> {
    let roster = |message| match message {
        ServerMessage::Roster(roster) => Some(roster),
        _ => None,
    };
    story.messages(who).into_iter().filter_map(roster).collect()
}

#[test]
fn gathering_ends_when_all_are_back_and_no_one_left() {
    let (mut story, claims) = restarted(&[1, 2, 3]);
    for (who, claimed) in claims.iter().enumerate() {
        story.pass(SECOND);
        assert!(story.room.is_gathering());
        let joined = rejoin(&mut story, &claims, *claimed);
        assert_eq!((joined.seat, joined.gathering, joined.roster.len()), (claimed.seat, true, who));
    }
    assert!(!story.room.is_gathering());
    story.quiet();
    for who in 1..=3 {
        let rosters = rosters(&mut story, who);
        assert!(rosters.iter().all(|roster| roster.del.is_empty()), "{rosters:?}");
        // The last to return had its full roster in the answer that `rejoin` took, and once more.
        assert!(rosters.iter().filter(|roster| roster.full).all(|roster| roster.add.len() == 2));
    }
    assert_eq!(story.commands.iter().filter(|c| matches!(c, Command::RemoveParticipant { .. })).count(), 0);
}

#[test]
fn those_who_do_not_return_are_missing_from_a_full_roster() {
    let (mut story, claims) = restarted(&[1, 2, 3]);
    rejoin(&mut story, &claims, claims[0]);
    rejoin(&mut story, &claims, claims[1]);
    story.pass(GATHERING - 2 * SECOND);
    assert!(rosters(&mut story, 1).iter().all(|roster| !roster.full && roster.del.is_empty()));
    story.pass(2 * SECOND);
    story.quiet();
    let rosters = rosters(&mut story, 1);
    let full: Vec<_> = rosters.iter().filter(|roster| roster.full).collect();
    assert_eq!(full.len(), 1);
    assert_eq!(full[0].add.iter().map(|entry| entry.participant.0).collect::<Vec<_>>(), [2]);
    assert_eq!(full[0].del, [ParticipantId(3)], "also for those who never knew it");
    assert_eq!(
        story.enter_as(session(claims[2]), 50).unwrap().continues,
        Continues::Participant,
        "too late for its seat"
    );
    assert_ne!(seat(&mut story, 3), claims[2].seat);
}

#[test]
fn newcomers_do_not_sit_on_awaited_seats() {
    let (mut story, claims) = restarted(&[1, 2]);
    rejoin(&mut story, &claims, claims[0]);
    story.enter(9);
    assert_eq!(seat(&mut story, 9), Seat::MAX);
    assert_eq!(rejoin(&mut story, &claims, claims[1]).seat, claims[1].seat);
    story.pass(60 * SECOND);
    story.enter(10);
    assert_eq!(seat(&mut story, 10), Seat(Seat::MAX.0 - 1), "also some time after gathering");
    story.pass(120 * SECOND);
    story.enter(11);
    assert_eq!(seat(&mut story, 11), Seat(2));
}

#[test]
fn reload_during_gathering_takes_another_seat() {
    let (mut story, claims) = restarted(&[1, 2]);
    rejoin(&mut story, &claims, claims[0]);
    assert_eq!(story.enter_as(reload(claims[1]), 50).unwrap().continues, Continues::Participant);
    assert_ne!(seat(&mut story, 2), claims[1].seat);
    assert!(!story.room.is_gathering(), "it is back");
}

#[test]
fn seat_is_granted_to_its_device_again_and_again_until_it_joins() {
    let (mut story, claims) = restarted(&[1, 2]);
    for _ in 0..2 {
        assert_eq!(story.enter_as(session(claims[1]), 50).unwrap().continues, Continues::Seat);
    }
    story.room.detach(story.now, ParticipantId(2));
    assert_eq!(story.enter_as(session(claims[1]), 50).unwrap().continues, Continues::Seat);
    assert_eq!(story.refused(2, join(99)), ErrorCode::NotYours, "an announce of another device");
    assert_eq!(seat(&mut story, 2), claims[1].seat);
}

#[test]
fn old_token_names_no_seat_after_a_restart() {
    let (mut story, claims) = restarted(&[1, 2]);
    let old = |claims| Entry::Session { claims, covered: false, recent: false };
    assert_eq!(story.enter_as(old(claims[0]), 50).unwrap().continues, Continues::Participant);
    assert_eq!(story.enter_as(Entry::Reload { claims: claims[1], recent: false }, 51), Err(NotEntered::NotResumable));
}

/// The others have replaced the keys of a session that ended, and would not open its frames.
#[test]
fn session_that_ended_before_a_restart_has_no_seat_after_it() {
    let mut story = Story::new();
    story.join(1);
    story.join(2);
    let [kept, ended] = [1, 2].map(|who| story.room.claims(ParticipantId(who)).unwrap());
    story.silent.insert(ParticipantId(2));
    story.room.detach(story.now, ParticipantId(2));
    story.pass(30 * SECOND);
    assert_eq!(story.departed, [ended.session]);
    let record = CallRecord { departed: story.departed.clone(), ..CallRecord::new(kept.call) };
    let mut story = Story::after_restart(RoomLimits::default(), Some(record));
    assert_eq!(story.enter_as(session(ended), 50).unwrap().continues, Continues::Participant);
    assert_eq!(story.enter_as(session(kept), 51).unwrap().continues, Continues::Seat);
}

#[test]
fn call_without_anyone_back_ends() {
    let (mut story, claims) = restarted(&[1, 2]);
    assert!(!story.room.is_empty());
    story.pass(GATHERING);
    assert!(story.room.is_empty());
    assert_eq!(story.ended, [claims[0].call]);
    assert_eq!(story.enter_as(session(claims[0]), 50), Err(NotEntered::NotResumable));
}
