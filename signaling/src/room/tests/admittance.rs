//! Who is kept out, at whichever step they are.

use super::*;
use tacet_proto::{Capabilities, Capability, resume::Continues};

const HOST: u32 = 1;
const GUEST: u32 = 9;
const SECOND: Duration = Duration::from_secs(1);

/// Someone with a token of this number.
fn holding(role: Role, token: u8) -> Standing {
    let holder = Holder { token: [token; 16], identity: Some(format!("user {token}")) };
    Standing { role, at_most: Capabilities::ALL, holder: Some(holder), earlier: Vec::new() }
}

/// A call with a host.
fn hosted() -> Story {
    let mut story = Story::new();
    story.enter_with(Entry::Newcomer, holding(Role::Host, 1), HOST).unwrap();
    story.ask(HOST, join(HOST as u8));
    story.quiet();
    story
}

fn lock(story: &mut Story, locked: bool) {
    assert!(matches!(story.answer(HOST, ClientMessage::Lock(Lock { locked })), ServerMessage::Ok(_)));
}

fn joins(story: &mut Story, who: u32) {
    let answer = story.answer(who, join(who as u8));
    assert!(matches!(answer, ServerMessage::Joined(_)), "{answer:?}");
}

#[test]
fn who_has_entered_and_not_joined_is_a_newcomer_still() {
    let mut story = hosted();
    story.enter(GUEST);
    lock(&mut story, true);
    assert_eq!(story.refused(GUEST, join(GUEST as u8)), ErrorCode::RoomLocked);
    lock(&mut story, false);
    story.room.set_policy(story.now, RoomPolicy { guests: None, locked: false });
    assert_eq!(story.refused(GUEST, join(GUEST as u8)), ErrorCode::Forbidden);
    story.room.set_policy(story.now, RoomPolicy::default());
    joins(&mut story, GUEST);

    for ban in [Ban::Token([20; 16]), Ban::Identity("user 20".to_owned())] {
        let mut story = hosted();
        story.enter_with(Entry::Newcomer, holding(Role::Moderator, 20), 20).unwrap();
        story.room.admittance.bans.insert(ban);
        assert_eq!(story.refused(20, join(20)), ErrorCode::Banned);
    }
}

#[test]
fn those_who_may_come_in_join_whatever_happens_before() {
    let mut story = hosted();
    story.join(2);
    let claims = story.room.claims(ParticipantId(2)).unwrap();
    let back = story.enter_as(Entry::Reload { claims, recent: true }, 50).unwrap();
    assert_eq!(back.continues, Continues::Participant);
    story.enter_with(Entry::Newcomer, holding(Role::Moderator, 30), 30).unwrap();
    story.enter_with(Entry::Newcomer, holding(Role::Speaker, 31), 31).unwrap();
    story.room.set_policy(story.now, RoomPolicy { guests: None, locked: false });
    joins(&mut story, 31);
    lock(&mut story, true);
    joins(&mut story, 2);
    joins(&mut story, 30);

    // The seat of a server that forgot it.
    let claims = story.room.claims(ParticipantId(2)).unwrap();
    let mut later = Story::after_restart(RoomLimits::default(), Some(CallRecord::new(claims.call)));
    let back = later.enter_as(Entry::Session { claims, covered: false, recent: true }, 51).unwrap();
    assert_eq!(back.continues, Continues::Seat);
    later.room.set_policy(later.now, RoomPolicy { guests: None, locked: true });
    joins(&mut later, 2);
}

#[test]
fn who_does_not_join_in_time_is_closed_and_keeps_no_call() {
    let mut story = hosted();
    story.pass(SECOND);
    story.enter(GUEST);
    story.ask(HOST, ClientMessage::Leave(Empty {}));
    story.closed.clear();
    for _ in 0..29 {
        story.pass(SECOND);
        story.ask(GUEST, ClientMessage::Ping(Ping { ms: 1 }));
    }
    assert!(story.closed.is_empty() && story.ended.is_empty());
    story.pass(SECOND);
    assert_eq!(story.closed, [(ParticipantId(GUEST), CloseCode::IdleOrSlow)]);
    assert_eq!(story.ended.len(), 1);

    let mut story = hosted();
    story.join(GUEST);
    story.pass(100 * SECOND);
    assert!(story.closed.is_empty(), "those who have joined stay");
}

#[test]
fn token_of_someone_who_never_joined_is_no_way_past_a_lock() {
    let mut story = hosted();
    story.enter(GUEST);
    let claims = story.room.claims(ParticipantId(GUEST)).unwrap();
    let reload = Entry::Reload { claims, recent: true };
    story.room.detach(story.now, ParticipantId(GUEST));
    story.settle();
    lock(&mut story, true);
    assert_eq!(story.enter_as(reload, 50), Err(NotEntered::NotResumable));
    assert_eq!(story.enter_as(Entry::Newcomer, 51), Err(NotEntered::Locked));

    // Nor while it is connected, nor on a server that has started again.
    lock(&mut story, false);
    story.enter(52);
    let claims = story.room.claims(ParticipantId(52)).unwrap();
    lock(&mut story, true);
    assert_eq!(story.enter_as(Entry::Reload { claims, recent: true }, 53), Err(NotEntered::NotResumable));
    let mut later = Story::after_restart(RoomLimits::default(), Some(CallRecord::new(claims.call)));
    assert_eq!(later.enter_as(Entry::Reload { claims, recent: true }, 54), Err(NotEntered::NotResumable));
}

/// A speaker that may chat alone, whatever it becomes, is made moderator.
#[test]
fn narrow_token_stays_narrow_with_every_other_credential() {
    let mut story = hosted();
    let only = Capabilities::of(&[Capability::Chat]);
    story.enter_with(Entry::Newcomer, Standing { at_most: only, ..holding(Role::Speaker, 2) }, 2).unwrap();
    joins(&mut story, 2);
    let role = Role::Moderator;
    story.ask(HOST, ClientMessage::Role(Assign { participant: ParticipantId(2), role }));
    for (fresh, credential) in [(50, Standing::guest(Role::Speaker)), (51, holding(Role::Host, 5))] {
        let claims = story.room.claims(ParticipantId(2)).unwrap();
        let back = story.enter_with(Entry::Reload { claims, recent: true }, credential, fresh).unwrap();
        assert_eq!((back.role, back.capabilities), (role, only));
        joins(&mut story, 2);
        assert_eq!(
            story.refused(2, ClientMessage::Kick(Target { participant: ParticipantId(HOST) })),
            ErrorCode::Forbidden
        );
    }
    let claims = story.room.claims(ParticipantId(2)).unwrap();
    story.leave(2);
    story.pass(40 * SECOND);
    let back = story.enter_as(Entry::Session { claims, covered: false, recent: true }, 52).unwrap();
    assert_eq!((back.role, back.capabilities), (role, only), "also when its place was free");
}

#[test]
fn ban_concerns_every_token_that_a_participant_has_shown() {
    let mut story = hosted();
    story.enter_with(Entry::Newcomer, holding(Role::Speaker, 2), 2).unwrap();
    joins(&mut story, 2);
    for (fresh, credential) in [(50, holding(Role::Speaker, 3)), (51, Standing::guest(Role::Speaker))] {
        let claims = story.room.claims(ParticipantId(2)).unwrap();
        story.enter_with(Entry::Reload { claims, recent: true }, credential, fresh).unwrap();
        joins(&mut story, 2);
    }
    let claims = story.room.claims(ParticipantId(2)).unwrap();
    let banned = story.answer(HOST, ClientMessage::Ban(Target { participant: ParticipantId(2) }));
    assert!(matches!(banned, ServerMessage::Ok(_)), "{banned:?}");
    for token in [2, 3] {
        let back = story.enter_with(Entry::Newcomer, holding(Role::Moderator, token), 52);
        assert_eq!(back, Err(NotEntered::Banned));
    }
    assert!(story.enter_as(Entry::Reload { claims, recent: true }, 53).is_err());

    // Someone of that identity who was in the call does not return by link.
    let mut story = hosted();
    story.enter_with(Entry::Newcomer, holding(Role::Speaker, 4), 4).unwrap();
    joins(&mut story, 4);
    let claims = story.room.claims(ParticipantId(4)).unwrap();
    story.leave(4);
    story.room.admittance.bans.insert(Ban::Identity("user 4".to_owned()));
    for entry in [Entry::Reload { claims, recent: true }, Entry::Session { claims, covered: true, recent: true }] {
        assert_eq!(story.enter_as(entry, 54), Err(NotEntered::Banned));
    }
}

#[test]
fn participant_is_known_by_a_few_tokens() {
    let mut story = hosted();
    story.join(2);
    let mut shown = 0;
    let refused = loop {
        let claims = story.room.claims(ParticipantId(2)).unwrap();
        let entry = Entry::Reload { claims, recent: true };
        match story.enter_with(entry, holding(Role::Speaker, 10 + shown), 100) {
            Ok(_) => joins(&mut story, 2),
            Err(refused) => break refused,
        }
        shown += 1;
    };
    assert_eq!((shown, refused), (32, NotEntered::NotResumable));
    let claims = story.room.claims(ParticipantId(2)).unwrap();
    let known = story.enter_with(Entry::Reload { claims, recent: true }, holding(Role::Speaker, 10), 101);
    assert!(known.is_ok(), "with one that it has shown");
}
