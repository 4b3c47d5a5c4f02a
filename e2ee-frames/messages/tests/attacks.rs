//! What a hostile server, a stranger, a thief and a removed device get: nothing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod world;

use e2ee_identity::{AccountName, DeviceKeys, DeviceList, IdentityKey, Succession};
use e2ee_messages::{Bundle, Contact, Fetched, Message, MessageId, OpenError, PrekeyError, SealError};
use world::{Account, CHECKPOINT, DAY, Delivery, World};

const ADA: usize = 0;
const BEN: usize = 1;
const CLEO: usize = 2;

/// Ada's first message to Ben, not delivered yet.
fn first_message(seed: u64) -> (World, Delivery) {
    let mut world = World::new(seed, &[1, 1, 1]);
    world.write((ADA, 0), BEN, "hello").unwrap();
    let delivery = world.server.queue.pop().unwrap();
    (world, delivery)
}

fn open(world: &mut World, account: usize, delivery: &Delivery) -> Result<String, OpenError> {
    let now = world.now;
    let received = world.devices[account][0].open(delivery, now)?;
    Ok(String::from_utf8(received.body.to_vec()).unwrap())
}

#[test]
fn altered_outers_and_blobs_change_nothing() {
    let (mut world, delivery) = first_message(1);
    for bit in (0..delivery.outer.len() * 8).step_by(67) {
        let mut altered = delivery.clone();
        altered.outer[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open(&mut world, BEN, &altered), Err(OpenError::Unopenable), "bit {bit}");
    }
    for length in (0..delivery.outer.len()).step_by(97) {
        let cut = Delivery { outer: delivery.outer[..length].to_vec(), ..delivery.clone() };
        assert_eq!(open(&mut world, BEN, &cut), Err(OpenError::Unopenable));
    }
    let mut blob = delivery.clone();
    blob.blob[7] ^= 1;
    assert_eq!(open(&mut world, BEN, &blob), Err(OpenError::OtherBlob));
    // Nothing of that has spent a key, a prekey or the message.
    assert!(world.devices[BEN][0].messenger.take_changes().is_empty());
    assert_eq!(open(&mut world, BEN, &delivery).unwrap(), "hello");
}

#[test]
fn outer_opens_on_its_device_only() {
    let (mut world, delivery) = first_message(2);
    for other in [ADA, CLEO] {
        assert_eq!(open(&mut world, other, &delivery), Err(OpenError::Unopenable));
    }
}

/// The server keeps everything and delivers it again, in every order.
#[test]
fn replays_are_shown_once_and_start_nothing() {
    let mut world = World::new(3, &[1, 1]);
    for n in 0..6 {
        world.write((n % 2, 0), 1 - n % 2, &format!("{n}")).unwrap();
        world.settle();
    }
    let recorded = world.server.recorded.clone();
    for _ in 0..3 {
        for delivery in recorded.iter().rev() {
            let account = usize::from(delivery.to == world.devices[BEN][0].id());
            assert_eq!(open(&mut world, account, delivery), Err(OpenError::Duplicate));
        }
    }
    assert!(world.devices.iter().flatten().all(|device| device.shown.len() == 3));
    assert!(world.devices.iter().flatten().all(|device| device.messenger.resets_due(world.now).is_empty()));
    // Weeks later the sealing prekeys are erased: nothing even shows who wrote it.
    world.now = world.now + 36 * DAY;
    (0..2).for_each(|account| world.renew_prekeys(account, 0));
    for delivery in &recorded {
        let account = usize::from(delivery.to == world.devices[BEN][0].id());
        assert_eq!(open(&mut world, account, delivery), Err(OpenError::Unopenable));
    }
}

/// A first message with last-resort keys could make its session again when that is gone, if it were delivered again, or if
/// its sender were restored from a copy: its opening is remembered.
#[test]
fn replayed_opening_makes_no_second_session() {
    let mut world = World::new(4, &[1, 1]);
    let ben = world.devices[BEN][0].id();
    world.server.shelves.get_mut(&ben).unwrap().one_time.clear();
    world.server.shelves.get_mut(&ben).unwrap().one_time_kem.clear();
    world.write((ADA, 0), BEN, "first").unwrap();
    let first = world.server.queue[0].clone();
    let copy = world.devices[ADA][0].stored.clone();
    world.settle();
    // Seven sessions later the first one is gone.
    for n in 0..7 {
        world.devices[ADA][0].messenger.distrust_state();
        world.write((ADA, 0), BEN, &format!("{n}")).unwrap();
        world.settle();
        world.now = world.now + DAY;
    }
    assert_eq!(open(&mut world, BEN, &first), Err(OpenError::Duplicate));
    let contacts = world.contacts();
    world.devices[ADA][0].stored = copy;
    world.devices[ADA][0].restart(&contacts);
    world.write((ADA, 0), BEN, "in the first session").unwrap();
    assert!(matches!(&world.read(BEN, 0)[..], [Err(OpenError::Duplicate)]));
}

#[test]
fn prekeys_pass_only_as_what_they_are() {
    let mut world = World::new(5, &[1, 1, 1]);
    let (ben, cleo) = (world.devices[BEN][0].id(), world.devices[CLEO][0].id());
    let today = world.now.day();
    let good = world.server.shelves.get_mut(&ben).unwrap().bundle();
    let other = world.server.shelves.get_mut(&cleo).unwrap().bundle();
    assert!(Bundle::parse(&good, &ben, today).unwrap().has_one_time_keys());
    // signed 106, one-time 106, one-time kem 1,258, sealing 106.
    let (signed, one_time, kem, sealing) = (&good[..106], &good[106..212], &good[212..1_470], &good[1_470..]);
    let parse = |parts: &[&[u8]]| Bundle::parse(&parts.concat(), &ben, today).map(|bundle| bundle.has_one_time_keys());
    assert_eq!(parse(&[signed, kem, sealing]), Ok(false), "the server may have none left");
    assert_eq!(parse(&[signed, one_time, kem]), Err(PrekeyError::Malformed));
    assert_eq!(parse(&[one_time, one_time, kem, sealing]), Err(PrekeyError::Malformed));
    assert_eq!(parse(&[signed, one_time, kem, signed]), Err(PrekeyError::Malformed));
    assert_eq!(parse(&[signed, one_time, kem, sealing, &[0]]), Err(PrekeyError::Malformed));
    assert_eq!(parse(&[signed, one_time, kem, &other[1_470..]]), Err(PrekeyError::NotSigned));
    // Another kind in place of the signed one: the label is another.
    let renamed = [&[1, 1], &one_time[2..]].concat();
    assert_eq!(parse(&[&renamed, kem, sealing]), Err(PrekeyError::NotSigned));
    for bit in (0..good.len() * 8).step_by(113) {
        let mut altered = good.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(Bundle::parse(&altered, &ben, today).is_err(), "bit {bit}");
    }
    assert_eq!(Bundle::parse(&good, &ben, today + 22), Err(PrekeyError::TooOld));
    assert_eq!(Bundle::parse(&good, &ben, today - 2), Err(PrekeyError::DatedAhead));
    assert!(Bundle::parse(&good, &ben, today + 21).is_ok() && Bundle::parse(&good, &ben, today - 1).is_ok());
}

/// The server hands the same one-time prekeys to Ada and Cleo. Who comes second starts over, with others.
#[test]
fn one_time_prekeys_handed_out_twice_serve_once() {
    let mut world = World::new(6, &[1, 1, 1]);
    let (ben, id) = (world.devices[BEN][0].id(), world.accounts[BEN].id);
    let bundle = world.server.bundle(&ben, world.now).unwrap();
    for (account, text) in [(ADA, "from ada"), (CLEO, "from cleo")] {
        let message = Message { id: world.random.id(), body: text.as_bytes(), checkpoint: &CHECKPOINT, durable: true };
        let fetched = [(ben, Fetched::Bundle(bundle.clone()))];
        let from = &mut world.devices[account][0].messenger;
        let sealed = from.seal(&id, &message, &fetched, world.now, &mut world.random).unwrap();
        world.server.post(&sealed);
    }
    let opened = world.read(BEN, 0);
    assert!(matches!(&opened[..], [Ok(_), Err(OpenError::Desync { .. })]));
    world.settle();
    assert_eq!(world.devices[BEN][0].texts(), ["from ada", "from cleo"]);
}

#[test]
fn strangers_cause_nothing() {
    let mut world = World::new(7, &[1, 1, 1]);
    let (ada, contact) = (world.accounts[ADA].id, world.accounts[ADA].contact());
    world.devices[BEN][0].messenger.remove_contact(&ada);
    world.devices[BEN][0].store(&mut world.random);
    world.write((ADA, 0), BEN, "hello").unwrap();
    let delivery = world.server.queue[0].clone();
    let refused = open(&mut world, BEN, &delivery);
    assert_eq!(refused, Err(OpenError::Stranger { account: ada, name: "ada".into() }));
    assert!(world.devices[BEN][0].messenger.take_changes().is_empty());
    // Ben asks the directory who that is, and wants to hear it.
    world.devices[BEN][0].messenger.update(contact, &[]).unwrap();
    assert_eq!(open(&mut world, BEN, &delivery).unwrap(), "hello");
}

/// Mallory names Ada's certificate in an outer, but has not Ada's key: only the holder of `dh_A` can seal the slip.
#[test]
fn sender_is_proven_by_its_key() {
    let mut world = World::new(8, &[1, 1, 1]);
    // Cleo's device, on a list that calls itself Ada's account: its own identity, its own keys.
    let ada = &world.accounts[ADA];
    let mut mallory = Account::new("ada", &mut world.random);
    mallory.id = ada.id;
    let keys = DeviceKeys::draw(&mut world.random);
    let cert = mallory.certify(&keys);
    mallory.publish(vec![cert]);
    let mut device = e2ee_messages::Messenger::new(keys, mallory.contact()).unwrap();
    device.update(world.accounts[BEN].contact(), &[]).unwrap();
    let (ben, id) = (world.devices[BEN][0].id(), world.accounts[BEN].id);
    let fetched = world.server.fetch(&[ben], world.now);
    let message = Message { id: MessageId([1; 16]), body: b"I am ada", checkpoint: &CHECKPOINT, durable: false };
    let sealed = device.seal(&id, &message, &fetched, world.now, &mut world.random).unwrap();
    let delivery = Delivery { to: ben, outer: sealed.outers[0].1.clone(), blob: sealed.blob };
    assert_eq!(open(&mut world, BEN, &delivery), Err(OpenError::NotListed { account: world.accounts[ADA].id }));
    // And such a list is not believed.
    let refused = world.devices[BEN][0].messenger.update(mallory.contact(), &[]);
    assert!(refused.is_err());
}

/// Ada removes a stolen phone. Ben hears of the list before he writes, and the phone reads nothing more.
#[test]
fn removed_device_neither_reads_nor_is_heard() {
    let mut world = World::new(9, &[2, 1]);
    world.write((BEN, 0), ADA, "hello both").unwrap();
    world.settle();
    let mut stolen = world.remove_device(ADA, 1);
    assert_eq!(stolen.texts(), ["hello both"]);
    world.write((BEN, 0), ADA, "without the phone").unwrap();
    let delivery = world.server.queue[0].clone();
    assert!(world.server.queue.iter().all(|delivery| delivery.to != stolen.id()));
    assert!(stolen.open(&delivery, world.now).is_err());
    world.settle();
    // It writes on: no one listens.
    let ben = world.accounts[BEN].id;
    let message = Message { id: MessageId([1; 16]), body: b"still here", checkpoint: &CHECKPOINT, durable: false };
    let needed = stolen.messenger.bundles_needed(&ben, world.now).unwrap();
    let fetched = world.server.fetch(&needed, world.now);
    let sealed = stolen.messenger.seal(&ben, &message, &fetched, world.now, &mut world.random).unwrap();
    world.server.post(&sealed);
    assert_eq!(world.read(BEN, 0).remove(0).err(), Some(OpenError::NotListed { account: world.accounts[ADA].id }));
}

/// The server withholds Ada's newer list. Her messages name its number, and wait until Ben has it.
#[test]
fn withheld_list_is_noticed() {
    let mut world = World::new(10, &[1, 1]);
    let known = world.accounts[ADA].contact();
    world.write((ADA, 0), BEN, "before").unwrap();
    world.settle();
    let ada = &mut world.accounts[ADA];
    let certs = ada.certs.clone();
    ada.publish(certs);
    let newer = ada.contact();
    world.devices[ADA][0].messenger.update(newer.clone(), &[]).unwrap();
    world.write((ADA, 0), BEN, "after").unwrap();
    let delivery = world.server.queue.pop().unwrap();
    let account = world.accounts[ADA].id;
    assert_eq!(open(&mut world, BEN, &delivery), Err(OpenError::NewerList { account, seq: 2 }));
    world.devices[BEN][0].messenger.update(newer, &[]).unwrap();
    assert_eq!(open(&mut world, BEN, &delivery).unwrap(), "after");
    assert!(world.devices[BEN][0].messenger.update(known, &[]).is_err(), "and the older one is refused");
}

/// Ada's identity changes. Nothing goes to the new one, and nothing of it is read, before Ben agrees.
#[test]
fn new_identity_waits_for_the_person() {
    let mut world = World::new(11, &[1, 1]);
    world.write((BEN, 0), ADA, "hello").unwrap();
    world.settle();
    let (keys, id) = (world.devices[ADA][0].keys(), world.accounts[ADA].id);
    let new = IdentityKey::draw(&mut world.random);
    let account = &mut world.accounts[ADA];
    let old = std::mem::replace(&mut account.identity, new);
    let succession = Succession::parse(&Succession::sign(&old, &account.identity, &id, 2)).unwrap();
    let cert = account.certify(&keys);
    account.publish(vec![cert]);
    let contact = account.contact();

    let ben = &mut world.devices[BEN][0].messenger;
    assert!(ben.update(contact.clone(), &[]).is_err(), "without the old identity's word");
    ben.update(contact.clone(), &[succession]).unwrap();
    world.devices[ADA][0].messenger.update(contact, &[succession]).unwrap();
    assert_eq!(world.write((BEN, 0), ADA, "too early"), Err(SealError::IdentityChanged));
    world.write((ADA, 0), BEN, "it is me").unwrap();
    let delivery = world.server.queue[0].clone();
    assert_eq!(open(&mut world, BEN, &delivery), Err(OpenError::IdentityChanged { account: id }));
    world.devices[BEN][0].messenger.accept_identity(&id);
    world.settle();
    assert_eq!(world.devices[BEN][0].texts(), ["it is me"]);
    world.write((BEN, 0), ADA, "so I see").unwrap();
    world.settle();
    assert_eq!(world.devices[ADA][0].texts(), ["hello", "so I see"]);
}

/// A device whose state is copied again and again, or whose messages a server alters, starts few resets.
#[test]
fn resets_are_few() {
    let mut world = World::new(12, &[1, 1]);
    world.write((ADA, 0), BEN, "hello").unwrap();
    world.settle();
    let contacts = world.contacts();
    let copy = world.devices[BEN][0].stored.clone();
    let mut bundles = 0;
    for minute in 0..24 * 60 {
        world.now = world.now + core::time::Duration::from_secs(60);
        if minute % 7 == 0 {
            world.write((ADA, 0), BEN, "lost").unwrap();
        }
        let _ = world.read(BEN, 0);
        bundles += world.devices[BEN][0].messenger.resets_due(world.now).len();
        world.heal(BEN, 0);
        let _ = world.read(ADA, 0);
        world.server.queue.clear();
        if minute % 7 == 0 {
            let ben = &mut world.devices[BEN][0];
            let rows = ben.stored.clone();
            ben.stored.clone_from(&copy);
            ben.restart(&contacts);
            ben.stored = rows;
        }
    }
    assert!(bundles <= 24 * 60 / 7 + 1, "{bundles}");
}

/// All that the server sees of 20 conversations: no byte string names a sender.
#[test]
fn recorded_traffic_names_no_sender() {
    let mut world = World::new(13, &[2, 2, 2, 2, 2]);
    for from in 0..5 {
        for to in (0..5).filter(|to| *to != from) {
            world.write((from, 0), to, "a text that no one finds").unwrap();
            world.settle();
        }
    }
    let mut names: Vec<Vec<u8>> = vec![b"a text that no one finds".to_vec(), CHECKPOINT.to_vec()];
    for account in &world.accounts {
        names.extend([account.id.0.to_vec(), account.identity.public().0.to_vec()]);
        names.push([&[3], account.name.name().as_bytes(), &[0; 7]].concat());
        for cert in &account.certs {
            names.extend([cert.device.0.to_vec(), cert.agreement.0.to_vec(), cert.hash.to_vec()]);
        }
    }
    assert!(world.server.recorded.len() >= 20);
    let mut ephemerals = std::collections::BTreeSet::new();
    for delivery in &world.server.recorded {
        for part in [&delivery.outer, &delivery.blob] {
            for name in &names {
                assert!(!part.windows(name.len()).any(|window| window == &name[..]));
            }
        }
        assert!(ephemerals.insert(delivery.outer[..32].to_vec()), "a key that links two outers");
    }
}

/// A contact's certificates must be those of the list.
#[test]
fn contact_has_the_listed_devices() {
    let world = World::new(14, &[2]);
    let account = &world.accounts[ADA];
    let list = || DeviceList::parse(account.list.as_ref().unwrap(), &account.name).unwrap();
    let certs = &account.certs;
    assert!(Contact::new(&account.name, list(), certs.iter().rev().cloned().collect()).is_ok());
    assert!(Contact::new(&account.name, list(), certs[..1].to_vec()).is_err());
    assert!(Contact::new(&account.name, list(), [&certs[..], &certs[..1]].concat()).is_err());
    let other = AccountName::new("https://call.example", "mallory").unwrap();
    assert!(Contact::new(&other, list(), certs.clone()).is_err());
}
