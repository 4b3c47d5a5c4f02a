//! Chat: sealed under the sender's key, opened once, and attributed to the owner of that key.

use super::world::World;
use crate::{
    Action, ChatContent, ChatId, ChatKind, Event, EventError, ParticipantId, Problem, StreamId, session::chat::LINGER,
};
use alloc::{string::String, vec::Vec};

const MIC: StreamId = StreamId::MICROPHONE;

fn id(number: u64) -> ChatId {
    ChatId::new(ChatKind::Message, number)
}

fn say(world: &mut World, who: ParticipantId, number: u64, text: &str) {
    let content = ChatContent::Text(String::from(text));
    world.event(who, Event::SendChat { id: id(number), content: &content });
}

/// Sealed messages that a device sent, in order.
fn sent(world: &World, who: ParticipantId) -> Vec<(ChatId, Vec<u8>)> {
    let sent = |action: &Action| match action {
        Action::SendChat { id, sealed } => Some((*id, sealed.clone())),
        _ => None,
    };
    world.devices[&who].log.iter().filter_map(sent).collect()
}

/// Texts that a device received, in order.
fn received(world: &World, who: ParticipantId) -> Vec<(ParticipantId, String)> {
    let received = |action: &Action| match action {
        Action::ChatReceived { participant, content, .. } => Some((*participant, String::from(content.parts().1))),
        _ => None,
    };
    world.devices[&who].log.iter().filter_map(received).collect()
}

/// The server passes a message on, as one of this participant.
fn pass_on(world: &mut World, from: ParticipantId, to: ParticipantId, (id, sealed): &(ChatId, Vec<u8>)) {
    let body = [&from.0.to_be_bytes()[..], &id.to_bytes(), sealed].concat();
    world.event(to, Event::Chat(&body));
}

fn call(seed: u64) -> (World, ParticipantId, ParticipantId) {
    let mut world = World::new(seed);
    let (ada, bob) = (world.join("Ada"), world.join("Bob"));
    world.run(1_000);
    (world, ada, bob)
}

#[test]
fn first_message_makes_and_distributes_a_key() {
    let mut world = World::new(1);
    let people: Vec<_> = (0..70).map(|_| world.join("Ada")).collect();
    world.run(1_000);
    say(&mut world, people[0], 1, "hello");
    assert!(!world.devices[&people[0]].log.iter().any(|action| matches!(action, Action::StreamReady { .. })));
    world.run(100);
    let message = sent(&world, people[0]).remove(0);
    for other in &people[1..] {
        pass_on(&mut world, people[0], *other, &message);
        assert_eq!(received(&world, *other), [(people[0], String::from("hello"))]);
    }
}

/// What is written at once after a join is read by those who were there, although their announces come later.
#[test]
fn message_written_before_the_others_are_known_is_read_by_them() {
    let mut world = World::new(13);
    let (bob, ada) = (world.join("Bob"), world.join("Ada"));
    say(&mut world, ada, 1, "hello");
    assert_eq!(sent(&world, ada), []);
    world.run(1_100);
    let message = sent(&world, ada).remove(0);
    pass_on(&mut world, ada, bob, &message);
    assert_eq!(received(&world, bob), [(ada, String::from("hello"))]);
}

#[test]
fn who_has_written_once_in_a_large_room_replaces_no_keys_later() {
    let mut world = World::new(2);
    let people: Vec<_> = (0..70).map(|_| world.join("Ada")).collect();
    world.run(1_000);
    say(&mut world, people[0], 1, "hello");
    world.run(100);
    world.event(people[0], Event::ChatAnswered { id: id(1) });
    world.run(LINGER.as_millis() as u64 - 1);
    let batches = world.batches(people[0]).len();
    world.leave(people[1]);
    world.run(10);
    assert!(world.batches(people[0]).len() > batches, "the stream is still open");
    world.run(5_000);
    let batches = world.batches(people[0]).len();
    world.leave(people[2]);
    world.join("Eve");
    world.run(5_000);
    assert_eq!(world.batches(people[0]).len(), batches);
    say(&mut world, people[0], 2, "again");
    world.run(100);
    let message = sent(&world, people[0]).pop().unwrap();
    pass_on(&mut world, people[0], people[5], &message);
    assert_eq!(received(&world, people[5]), [(people[0], String::from("again"))]);
}

#[test]
fn relabelled_message_is_refused_and_shown_under_no_name() {
    let (mut world, ada, bob) = call(3);
    let cy = world.join("Cy");
    world.run(1_000);
    say(&mut world, ada, 1, "I agree");
    world.run(100);
    let message = sent(&world, ada).remove(0);
    pass_on(&mut world, bob, cy, &message);
    assert_eq!((received(&world, cy), world.problems(cy)), (Vec::new(), [(bob, Problem::ChatRefused)].to_vec()));
}

/// A server that seats two devices alike cannot make a message of one that of the other.
#[test]
fn relabelled_message_on_a_shared_seat_is_refused() {
    let mut world = World::new(4);
    let cy = world.join("Cy");
    let (ada, bob) = (world.session_with("Ada", super::world::INVITE), world.session_with("Bob", super::world::INVITE));
    let (ada, bob) = (world.seat(ada, crate::Seat(9)), world.seat(bob, crate::Seat(9)));
    world.run(1_000);
    say(&mut world, ada, 1, "I agree");
    world.run(100);
    let message = sent(&world, ada).remove(0);
    let problems = world.problems(cy).len();
    pass_on(&mut world, bob, cy, &message);
    assert_eq!(received(&world, cy), []);
    assert_eq!(world.problems(cy)[problems..], [(bob, Problem::ChatRefused)]);
}

#[test]
fn repeated_message_is_received_once() {
    let (mut world, ada, bob) = call(5);
    say(&mut world, ada, 1, "one");
    say(&mut world, ada, 2, "two");
    world.run(100);
    let messages = sent(&world, ada);
    // Reordered, and each twice.
    for index in [1, 0, 1, 0] {
        pass_on(&mut world, ada, bob, &messages[index]);
    }
    assert_eq!(received(&world, bob), [(ada, String::from("two")), (ada, String::from("one"))]);
    assert_eq!(world.problems(bob), []);
}

#[test]
fn unanswered_message_is_sealed_again_and_received_once() {
    let (mut world, ada, bob) = call(6);
    say(&mut world, ada, 1, "one");
    world.run(100);
    world.detach(ada);
    say(&mut world, ada, 2, "two");
    world.run(1_000);
    assert_eq!(sent(&world, ada).len(), 1, "nothing is sent without a connection");
    world.attach(ada, false);
    world.run(100);
    let messages = sent(&world, ada);
    assert_eq!(messages.iter().map(|(id, _)| id.number()).collect::<Vec<_>>(), [1, 1, 2]);
    assert_ne!(messages[0].1, messages[1].1, "another counter");
    // A server that does not recognise the first one passes on both.
    for message in &messages {
        pass_on(&mut world, ada, bob, message);
    }
    assert_eq!(received(&world, bob), [(ada, String::from("one")), (ada, String::from("two"))]);
    for number in [1, 2] {
        world.event(ada, Event::ChatAnswered { id: id(number) });
    }
    world.detach(ada);
    world.attach(ada, true);
    world.run(100);
    assert_eq!(sent(&world, ada).len(), 3, "what was answered is not sent again");
}

#[test]
fn message_that_overtakes_its_key_is_held_and_order_is_kept() {
    let mut world = World::new(7);
    let (ada, bob) = (world.join("Ada"), world.join("Bob"));
    world.withheld_from.insert(bob);
    world.run(1_000);
    say(&mut world, ada, 1, "one");
    say(&mut world, ada, 2, "two");
    world.run(100);
    for message in sent(&world, ada) {
        pass_on(&mut world, ada, bob, &message);
    }
    assert_eq!(received(&world, bob), []);
    // Its key comes by request.
    world.withheld_from.clear();
    world.run(3_000);
    assert_eq!(received(&world, bob), [(ada, String::from("one")), (ada, String::from("two"))]);
}

#[test]
fn message_whose_key_never_comes_is_reported() {
    let mut world = World::new(8);
    let (ada, bob) = (world.join("Ada"), world.join("Bob"));
    world.withheld_from.insert(bob);
    world.run(6_000);
    say(&mut world, ada, 1, "one");
    world.run(100);
    let message = sent(&world, ada).remove(0);
    pass_on(&mut world, ada, bob, &message);
    world.run(10_001);
    assert!(world.problems(bob).contains(&(ada, Problem::ChatRefused)), "{:?}", world.problems(bob));
    assert_eq!(received(&world, bob), []);
}

#[test]
fn newcomer_reads_nothing_of_before() {
    let (mut world, ada, bob) = call(9);
    say(&mut world, ada, 1, "before");
    world.run(100);
    let before = sent(&world, ada).remove(0);
    pass_on(&mut world, ada, bob, &before);
    let cy = world.join("Cy");
    world.run(1_000);
    pass_on(&mut world, ada, cy, &before);
    say(&mut world, ada, 2, "after");
    world.run(100);
    let after = sent(&world, ada).pop().unwrap();
    pass_on(&mut world, ada, cy, &after);
    world.run(20_000);
    assert_eq!((received(&world, cy), world.problems(cy)), ([(ada, String::from("after"))].to_vec(), Vec::new()));
}

#[test]
fn changed_bit_of_id_or_message_is_refused() {
    let (mut world, ada, bob) = call(10);
    say(&mut world, ada, 1, "one");
    world.run(100);
    let (id, sealed) = sent(&world, ada).remove(0);
    let body = [&ada.0.to_be_bytes()[..], &id.to_bytes(), &sealed].concat();
    for bit in 4 * 8..body.len() * 8 {
        let mut changed = body.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let clock = world.clock();
        let _ = world.device(bob).session.handle(clock, Event::Chat(&changed));
        while let Some(action) = world.device(bob).session.poll() {
            assert!(!matches!(action, Action::ChatReceived { .. }), "bit {bit}");
        }
    }
    // Some named keys that do not exist, and were held.
    world.run(11_000);
    pass_on(&mut world, ada, bob, &(id, sealed));
    assert_eq!(received(&world, bob).len(), 1);
}

#[test]
fn media_frame_is_no_message_and_a_message_no_media_frame() {
    let (mut world, ada, bob) = call(11);
    world.open_stream(ada, MIC);
    say(&mut world, ada, 1, "one");
    world.run(1_000);
    let frame = world.seal(ada, MIC, b"audio").unwrap();
    pass_on(&mut world, ada, bob, &(id(7), frame));
    assert_eq!((received(&world, bob), world.problems(bob)), (Vec::new(), [(ada, Problem::ChatRefused)].to_vec()));
    let (_, sealed) = sent(&world, ada).remove(0);
    assert!(world.open(bob, &sealed).is_err());
    let clock = world.clock();
    let mut bare = sealed.clone();
    assert!(world.device(bob).session.open_bare(clock, &mut bare).is_err());
}

#[test]
fn own_message_needs_a_growing_number_of_its_kind_and_space() {
    let (mut world, ada, _) = call(12);
    let clock = world.clock();
    let session = &mut world.device(ada).session;
    let text = ChatContent::Text(String::from("x"));
    let mut say = |id| session.handle(clock, Event::SendChat { id, content: &text });
    assert_eq!(say(ChatId::new(ChatKind::Reaction, 1)), Err(EventError::Malformed));
    assert_eq!((say(id(0)), say(id(5)), say(id(5))), (Err(EventError::Malformed), Ok(()), Err(EventError::Malformed)));
    for number in 6..69 {
        assert_eq!(say(id(number)), Ok(()));
    }
    assert_eq!(say(id(69)), Err(EventError::ChatFull));
    let opened = session.handle(clock, Event::StreamOpened(StreamId::DATA));
    assert_eq!(opened, Err(EventError::Malformed), "the session opens it");
}
