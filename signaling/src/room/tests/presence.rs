//! Who is there, who is away, and when a place is free.

use super::*;
use crate::room::presence::{AWAY, DEPARTURE_HOLD, HOLD, MEDIA_HOLD};

const SECOND: Duration = Duration::from_secs(1);

/// Two members; only the first shows signs of life.
fn story() -> Story {
    let mut story = Story::new();
    story.join(1);
    story.join(2);
    story.take(1);
    story.silent.insert(ParticipantId(2));
    story
}

/// What participant 1 learns of participant 2 in this time: changes of presence, and leaves.
fn seen(story: &mut Story, time: Duration) -> (Vec<bool>, usize) {
    story.pass(time);
    story.quiet();
    let (mut away, mut left) = (Vec::new(), 0);
    for message in story.messages(1) {
        if let ServerMessage::Roster(roster) = message {
            away.extend(roster.upd.iter().map(|entry| entry.away));
            left += roster.del.len();
        }
    }
    (away, left)
}

#[test]
fn silent_member_is_away_within_three_seconds_and_leaves_after_thirty() {
    let mut story = story();
    assert_eq!(seen(&mut story, AWAY - SECOND), (vec![], 0));
    assert_eq!(seen(&mut story, Duration::from_millis(1_400)), (vec![true], 0));
    assert_eq!(seen(&mut story, HOLD - 4 * SECOND), (vec![], 0));
    assert_eq!(seen(&mut story, 2 * SECOND), (vec![], 1));
    assert_eq!(story.closed, [(ParticipantId(2), CloseCode::IdleOrSlow)], "although its socket was open");
    assert!(story.commands.contains(&Command::RemoveParticipant { participant: ParticipantId(2) }));
}

#[test]
fn any_message_brings_a_member_back() {
    let mut story = story();
    assert_eq!(seen(&mut story, 10 * SECOND), (vec![true], 0));
    story.ask(2, ClientMessage::Heartbeat(Empty {}));
    assert_eq!(seen(&mut story, SECOND), (vec![false], 0));
    assert_eq!(seen(&mut story, HOLD - 2 * SECOND), (vec![true], 0), "the hold begins again");
    story.binary(2, &key_batch(&[0]));
    assert_eq!(seen(&mut story, SECOND), (vec![false], 0));
}

#[test]
fn media_keep_a_member_there() {
    let mut story = story();
    let (track, participant) = (story.publish(2, mic()), ParticipantId(2));
    let active = |active| Event::TrackActivity { participant, track, active };
    story.room.media(story.now, active(true));
    story.room.detach(story.now, participant);
    assert_eq!(seen(&mut story, HOLD + SECOND), (vec![], 0), "its media flow while its connection is lost");
    story.room.media(story.now, active(false));
    assert_eq!(seen(&mut story, SECOND), (vec![true], 0));
    story.room.media(story.now, active(true));
    assert_eq!(seen(&mut story, SECOND), (vec![false], 0));
    assert_eq!(seen(&mut story, MEDIA_HOLD - HOLD), (vec![], 1), "not for ever");
}

#[test]
fn departure_is_seen_at_once_and_ends_after_ten_seconds() {
    for closed in [false, true] {
        let mut story = story();
        let participant = ParticipantId(2);
        if closed {
            let state = sfu_api::TransportState::Closed;
            story.room.media(story.now, Event::TransportState { participant, state });
        } else {
            story.ask(2, ClientMessage::Away(Empty {}));
        }
        assert_eq!(seen(&mut story, Duration::from_millis(100)), (vec![true], 0));
        assert_eq!(seen(&mut story, DEPARTURE_HOLD - SECOND), (vec![], 0));
        assert_eq!(seen(&mut story, SECOND), (vec![], 1));
    }
}

#[test]
fn goodbye_ends_the_hold_at_once() {
    let mut story = story();
    story.ask(2, ClientMessage::Leave(Empty {}));
    assert_eq!(seen(&mut story, Duration::ZERO), (vec![], 1));
    assert_eq!(story.goodbyes, [ParticipantId(2)]);
}

#[test]
fn guest_that_has_not_joined_has_no_hold() {
    let mut story = Story::new();
    let call = story.enter(1);
    story.room.detach(story.now, ParticipantId(1));
    story.settle();
    assert_eq!((story.room.is_empty(), &story.ended[..]), (true, &[call][..]));
}

#[test]
fn joiner_sees_who_is_away() {
    let mut story = story();
    story.pass(5 * SECOND);
    story.enter(3);
    let ServerMessage::Joined(joined) = story.answer(3, join(3)) else { panic!("did not join") };
    assert_eq!(joined.roster.iter().map(|entry| entry.away).collect::<Vec<_>>(), [false, true]);
    let ServerMessage::Roster(roster) = story.answer(3, ClientMessage::Resync(Empty {})) else { panic!() };
    assert_eq!(roster.add.iter().map(|entry| entry.away).collect::<Vec<_>>(), [false, true]);
}

/// Changes wait for a member without a connection, and come together.
#[test]
fn backlog_of_a_detached_member_waits() {
    let mut story = story();
    story.take(2);
    story.room.detach(story.now, ParticipantId(2));
    for who in 3..=6 {
        story.join(who);
        story.publish(who, mic());
    }
    story.leave(3);
    story.binary(4, &key_batch(&[1]));
    story.pass(SECOND);
    assert!(story.take(2).is_empty());
    let claims = story.room.claims(ParticipantId(2)).unwrap();
    story.enter_as(Entry::Session { claims, covered: true, recent: true }, 99).unwrap();
    story.quiet();
    let heard = story.take(2);
    let rosters = heard.iter().filter(|o| matches!(o, Outgoing::Message { message: ServerMessage::Roster(_), .. }));
    assert_eq!((rosters.count(), heard.len()), (1, 4), "roster, announces, keys and tracks: {heard:?}");
}

/// A server that is stopped and goes on, as in a suspended machine, does not take its own silence for that of its clients.
#[test]
fn pause_of_the_server_is_no_silence_of_the_clients() {
    let mut story = story();
    story.now += 600 * SECOND;
    story.room.tick(story.now);
    story.settle();
    assert!(story.closed.is_empty() && story.ended.is_empty());
    story.pass(29 * SECOND);
    assert!(story.room.has(ParticipantId(2)));
    story.pass(SECOND);
    assert!(!story.room.has(ParticipantId(2)), "it was silent since");
}

/// What waits for members without a connection is overdue for long, which says nothing about the server.
#[test]
fn silent_members_leave_in_spite_of_traffic() {
    let mut story = story();
    for who in 3..=4 {
        story.join(who);
        story.silent.insert(ParticipantId(who));
    }
    for who in 2..=4 {
        story.room.detach(story.now, ParticipantId(who));
        story.pass(Duration::from_millis(400));
    }
    for who in 10..18 {
        story.join(who);
        story.publish(who, mic());
        story.pass(2 * SECOND);
        story.leave(who);
        story.pass(2 * SECOND);
    }
    for who in 2..=4 {
        assert!(!story.room.has(ParticipantId(who)), "{who} was silent for 32 s");
    }
}
