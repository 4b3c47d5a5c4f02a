//! How sessions begin, cross, are lost and are replaced.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod world;

use e2ee_messages::{Fetched, Message, MessageId, OpenError, SealError};
use world::{CHECKPOINT, DAY, World};

const ADA: usize = 0;
const BEN: usize = 1;

/// Ada has two devices, Ben three. Each of Ben's shows the message, and so does Ada's other device.
#[test]
fn message_reaches_all_devices_of_both() {
    let mut world = World::new(1, &[2, 3]);
    world.write((ADA, 0), BEN, "hello").unwrap();
    world.write((ADA, 0), ADA, "hello").unwrap();
    assert_eq!(world.server.queue.len(), 4);
    let blobs: Vec<_> = world.server.queue.iter().map(|delivery| &delivery.blob).collect();
    assert!(blobs[0] == blobs[1] && blobs[0] != blobs[3], "one blob an account, and no two accounts share one");
    world.settle();
    for device in world.devices.iter().flatten().skip(1) {
        assert_eq!(device.texts(), ["hello"]);
    }
    // The answer goes the same way, in the sessions that there are.
    assert!(world.devices[BEN][2].messenger.bundles_needed(&world.accounts[ADA].id, world.now).unwrap().len() == 1);
    world.write((BEN, 2), ADA, "hi").unwrap();
    world.settle();
    assert_eq!(world.devices[ADA][0].texts(), ["hi"]);
}

#[test]
fn bundles_are_asked_for_and_nothing_is_sent_without() {
    let mut world = World::new(2, &[1, 2]);
    let ben = world.accounts[BEN].id;
    let message = Message { id: MessageId([1; 16]), body: b"hello", checkpoint: &CHECKPOINT, durable: true };
    let ada = &mut world.devices[ADA][0].messenger;
    let needed = ada.bundles_needed(&ben, world.now).unwrap();
    assert_eq!(needed.len(), 2);
    let refused = ada.seal(&ben, &message, &[], world.now, &mut world.random);
    assert_eq!(refused.err(), Some(SealError::BundlesNeeded(needed.clone())));
    // A device without a bundle is left out only by name.
    let mut fetched = world.server.fetch(&needed[..1], world.now);
    fetched.push((needed[1], Fetched::Unusable));
    let sealed = ada.seal(&ben, &message, &fetched, world.now, &mut world.random).unwrap();
    assert_eq!((sealed.outers.len(), sealed.left_out), (1, vec![needed[1]]));
}

/// Both write first, at the same time. Both sessions open, and both go on in the same one.
#[test]
fn simultaneous_first_messages_end_in_one_session() {
    for seed in 0..4 {
        let mut world = World::new(100 + seed, &[1, 1]);
        world.write((ADA, 0), BEN, "from ada").unwrap();
        world.write((BEN, 0), ADA, "from ben").unwrap();
        world.settle();
        assert_eq!(world.devices[BEN][0].texts(), ["from ada"]);
        assert_eq!(world.devices[ADA][0].texts(), ["from ben"]);
        // No matter who writes next, no opening goes along after one exchange: outers are short.
        for round in 0..2 {
            for (from, to) in [(ADA, BEN), (BEN, ADA)] {
                world.write((from, 0), to, "again").unwrap();
                let length = world.server.queue[0].outer.len();
                world.settle();
                assert!(round == 0 || length < 600, "{length} bytes");
            }
        }
        assert_eq!(world.devices[ADA][0].shown.len() + world.devices[BEN][0].shown.len(), 6);
    }
}

/// Sizes that decide how many devices one request reaches.
#[test]
fn outers_have_the_documented_sizes() {
    let mut world = World::new(3, &[1, 1]);
    world.write((ADA, 0), BEN, "hello").unwrap();
    assert_eq!(world.server.queue[0].outer.len(), 1_578);
    world.settle();
    world.write((BEN, 0), ADA, "hello").unwrap();
    world.settle();
    world.write((ADA, 0), BEN, "hello").unwrap();
    assert_eq!((world.server.queue[0].outer.len(), world.server.queue[0].blob.len()), (339, 272));
}

/// Messages come late, twice and in another order, and each device restarts between any two.
#[test]
fn restarts_and_disorder_lose_and_repeat_nothing() {
    let mut world = World::new(4, &[1, 2]);
    for n in 0..12 {
        let (from, to) = if n % 3 == 2 { ((BEN, n % 2), ADA) } else { ((ADA, 0), BEN) };
        world.write(from, to, &format!("{n}")).unwrap();
        if n % 5 == 4 {
            world.settle();
        }
        world.server.queue.reverse();
        let again = world.server.queue.clone();
        world.server.queue.extend(again);
        let contacts = world.contacts();
        world.devices.iter_mut().flatten().for_each(|device| device.restart(&contacts));
    }
    world.settle();
    let mut shown = world.devices[ADA][0].texts();
    shown.sort();
    assert_eq!(shown, ["11", "2", "5", "8"]);
    for device in &world.devices[BEN] {
        let mut shown = device.texts();
        shown.sort();
        assert_eq!(shown, ["0", "1", "10", "3", "4", "6", "7", "9"]);
    }
}

/// Ben's device loses its sessions. What Ada writes does not open; a new session follows, and all of it comes again, once.
#[test]
fn lost_sessions_are_replaced_and_messages_sent_again() {
    let mut world = World::new(5, &[1, 1]);
    world.write((ADA, 0), BEN, "first").unwrap();
    world.settle();
    world.write((BEN, 0), ADA, "answer").unwrap();
    world.settle();

    let contacts = world.contacts();
    let ben = &mut world.devices[BEN][0];
    ben.stored.retain(|row, _| matches!(row, e2ee_messages::Row::Prekeys));
    ben.restart(&contacts);
    world.write((ADA, 0), BEN, "lost").unwrap();
    let delivery = world.server.queue[0].clone();
    assert!(matches!(&world.read(BEN, 0)[..], [Err(OpenError::Desync { .. })]));
    assert_eq!(world.devices[BEN][0].messenger.resets_due(world.now).len(), 1);
    world.settle();
    // "first" comes again, too: the device has lost that it had it, and its history with that.
    assert_eq!(world.devices[BEN][0].texts(), ["first", "first", "lost"]);
    // Replayed, the outer that started the reset starts no other.
    world.server.queue.push(delivery);
    assert!(matches!(&world.read(BEN, 0)[..], [Err(OpenError::Duplicate)]));
    assert!(world.devices[BEN][0].messenger.resets_due(world.now).is_empty());
    world.write((ADA, 0), BEN, "after").unwrap();
    world.settle();
    assert_eq!(world.devices[BEN][0].texts().last().unwrap(), "after");
}

/// The first slip of a session that replaces a lost one does not arrive. The next one says the same, and only one counts.
#[test]
fn replacement_is_announced_until_it_is_answered() {
    let mut world = World::new(11, &[1, 1]);
    world.write((BEN, 0), ADA, "to be sent again").unwrap();
    world.server.queue.clear();
    world.write((ADA, 0), BEN, "hello").unwrap();
    world.settle();
    world.devices[ADA][0].messenger.distrust_state();
    for text in ["does not arrive", "arrives", "arrives, too"] {
        world.write((ADA, 0), BEN, text).unwrap();
    }
    world.server.queue.remove(0);
    let replaces: Vec<_> = world.read(BEN, 0).into_iter().map(|read| read.unwrap().replaces_session).collect();
    assert_eq!(replaces, [true, false]);
    world.settle();
    assert_eq!(world.devices[ADA][0].texts(), ["to be sent again"]);
    assert_eq!(world.devices[BEN][0].texts(), ["hello", "arrives", "arrives, too", "does not arrive"]);
}

/// Ada's storage is replaced by yesterday's copy, and Ada does not know. The next message that does not open heals it.
#[test]
fn restored_copy_heals_with_the_next_message() {
    for ada_writes_first in [true, false] {
        let mut world = World::new(6, &[1, 1]);
        let exchange = |world: &mut World, n: u32| {
            world.write((BEN, 0), ADA, &format!("ben {n}")).unwrap();
            world.settle();
            world.write((ADA, 0), BEN, &format!("ada {n}")).unwrap();
            world.settle();
        };
        (0..2).for_each(|n| exchange(&mut world, n));
        let copy = world.devices[ADA][0].stored.clone();
        // Ada is in the middle of a chain.
        world.write((ADA, 0), BEN, "once more").unwrap();
        world.settle();
        (2..4).for_each(|n| exchange(&mut world, n));
        world.now = world.now + DAY;
        world.devices[ADA][0].stored = copy;
        let contacts = world.contacts();
        world.devices[ADA][0].restart(&contacts);

        let seen = world.devices[BEN][0].shown.len();
        if ada_writes_first {
            // Under a number that Ben has seen: a duplicate, and no desync.
            world.write((ADA, 0), BEN, "dropped").unwrap();
            assert!(matches!(&world.read(BEN, 0)[..], [Err(OpenError::Duplicate)]));
            assert!(world.devices[BEN][0].messenger.resets_due(world.now).is_empty());
        }
        world.write((BEN, 0), ADA, "healing").unwrap();
        assert!(matches!(&world.read(ADA, 0)[..], [Err(OpenError::Desync { .. })]));
        world.settle();
        assert_eq!(world.devices[ADA][0].texts().last().unwrap(), "healing");
        let expected: &[&str] = if ada_writes_first { &["dropped"] } else { &[] };
        assert_eq!(world.devices[BEN][0].texts()[seen..], *expected, "what was dropped comes again");
        exchange(&mut world, 5);
        assert_eq!(world.devices[BEN][0].texts().last().unwrap(), "ada 5");
    }
}

/// A device that knows that its state is old loses nothing.
#[test]
fn distrusted_sessions_are_replaced_before_use() {
    let mut world = World::new(7, &[1, 1]);
    world.write((ADA, 0), BEN, "one").unwrap();
    world.settle();
    let copy = world.devices[ADA][0].stored.clone();
    world.write((ADA, 0), BEN, "two").unwrap();
    world.settle();
    world.devices[ADA][0].stored = copy;
    let contacts = world.contacts();
    world.devices[ADA][0].restart(&contacts);
    world.devices[ADA][0].messenger.distrust_state();
    world.write((ADA, 0), BEN, "three").unwrap();
    world.settle();
    assert_eq!(world.devices[BEN][0].texts(), ["one", "two", "three"]);
}

/// More than 1,000 messages of a chain are lost: the session is replaced.
#[test]
fn gap_of_more_than_a_thousand_is_a_desync() {
    let mut world = World::new(8, &[1, 1]);
    world.write((ADA, 0), BEN, "hello").unwrap();
    world.settle();
    world.write((BEN, 0), ADA, "hello").unwrap();
    world.settle();
    for n in 0..1_002 {
        world.write((ADA, 0), BEN, &format!("{n}")).unwrap();
    }
    let last = world.server.queue.pop().unwrap();
    world.server.queue = vec![last];
    assert!(matches!(&world.read(BEN, 0)[..], [Err(OpenError::Desync { .. })]));
    world.settle();
    assert_eq!(world.devices[BEN][0].texts().len(), 1 + 50, "the newest fifty come again");
}

/// Without one-time prekeys a session begins with signed and last-resort ones, and the first answer starts another.
#[test]
fn session_without_one_time_prekeys_is_renewed_at_its_first_answer() {
    let mut world = World::new(9, &[1, 1]);
    let ben = world.devices[BEN][0].id();
    let shelf = world.server.shelves.get_mut(&ben).unwrap();
    shelf.one_time.clear();
    shelf.one_time_kem.clear();
    world.write((ADA, 0), BEN, "hello").unwrap();
    world.settle();
    let ada = world.accounts[ADA].id;
    assert_eq!(world.devices[BEN][0].messenger.bundles_needed(&ada, world.now).unwrap().len(), 1);
    world.write((BEN, 0), ADA, "hi").unwrap();
    assert!(world.server.queue[0].outer.len() > 1_400, "a session is opened");
    world.settle();
    assert!(world.devices[BEN][0].messenger.bundles_needed(&ada, world.now).unwrap().is_empty());
    world.write((ADA, 0), BEN, "how are you").unwrap();
    assert!(world.server.queue[0].outer.len() < 600, "the new session is the one in use");
    world.settle();
    assert_eq!(world.devices[BEN][0].texts(), ["hello", "how are you"]);
}

/// Ben reads after two weeks, and Ada writes on for months: prekeys and sessions live as long as they must.
#[test]
fn prekeys_outlive_the_queue() {
    let mut world = World::new(10, &[1, 1]);
    // The bundle is seven days old when Ada uses it, the message waits for fourteen.
    world.now = world.now + 20 * DAY;
    world.write((ADA, 0), BEN, "late").unwrap();
    world.now = world.now + 14 * DAY;
    world.settle();
    assert_eq!(world.devices[BEN][0].texts(), ["late"]);
    for week in 0..10 {
        (0..2).for_each(|account| world.renew_prekeys(account, 0));
        world.write((ADA, 0), BEN, &format!("week {week}")).unwrap();
        world.write((BEN, 0), ADA, &format!("week {week}")).unwrap();
        world.settle();
        world.now = world.now + 7 * DAY;
    }
    assert_eq!(world.devices[BEN][0].texts().len(), 11);
    // The sealing prekey that goes along in slips makes bundles unnecessary.
    let ben = world.accounts[BEN].id;
    assert!(world.devices[ADA][0].messenger.bundles_needed(&ben, world.now).unwrap().is_empty());
    // After three weeks of silence it is too old.
    world.now = world.now + 22 * DAY;
    assert_eq!(world.devices[ADA][0].messenger.bundles_needed(&ben, world.now).unwrap().len(), 1);
}
