use super::*;
use crate::room_list::{Member, tests::ROOM};
use alloc::vec;
use e2ee_identity::{DeviceKeys, DeviceKind, IdentityKey};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

const NOW: Time = Time(1_800_000_000_000);

fn random() -> impl FnMut(&mut [u8]) + Send {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    move |bytes: &mut [u8]| rng.fill_bytes(bytes)
}

fn identity(person: u8) -> IdentityKey {
    IdentityKey::from_seed(&[person; 32])
}

fn cert(person: u8, device: u8) -> DeviceCert {
    let keys = DeviceKeys::from_seeds(&[device; 32], &[device + 100; 32]);
    let bytes = keys.certify(&AccountId([person; 16]), &identity(person).public(), 1, DeviceKind::NATIVE, &[0; 32]);
    DeviceCert::parse(&bytes).unwrap()
}

fn list(previous: Option<&RoomList>, people: &[u8]) -> RoomList {
    let member = |person: &u8| Member { account: AccountId([*person; 16]), identity: identity(*person).public() };
    let members: Vec<_> = people.iter().map(member).collect();
    RoomList::parse(&RoomList::sign(&identity(1), ROOM, previous, &members).unwrap()).unwrap()
}

/// Hands the chain of a room to another device, as a message would.
fn share(from: &mut Room, sender: &DeviceCert, to: &mut Room) -> Result<(), RoomOpenError> {
    let key = from.sender_key(to.device).unwrap();
    to.take_sender_key(sender.account, sender.device, &*key)
}

/// Ada (device 11) and Ben (device 21), who has Ada's chain.
fn pair(random: &mut impl Random) -> (Room, Room, [DeviceCert; 2]) {
    let certs = [cert(1, 11), cert(2, 21)];
    let first = list(None, &[1, 2]);
    let (mut ada, mut ben) = (Room::new(certs[0].device, first.clone()), Room::new(certs[1].device, first));
    ada.start_chain(NOW, random);
    share(&mut ada, &certs[0], &mut ben).unwrap();
    (ada, ben, certs)
}

#[test]
fn messages_open_in_any_order_once() {
    let mut random = random();
    let (mut ada, mut ben, certs) = pair(&mut random);
    let messages: Vec<_> = (0..6u8).map(|n| ada.seal(&[n], &certs, NOW, &mut random).unwrap()).collect();
    assert_eq!(messages[0].len(), 1 + ROOM_OVERHEAD);
    for n in [4, 0, 5, 2] {
        let opened = ben.open(&messages[n]).unwrap();
        assert_eq!(
            (&opened.body[..], opened.account, opened.device),
            (&[n as u8][..], certs[0].account, certs[0].device)
        );
        assert_eq!(ben.open(&messages[n]).err(), Some(RoomOpenError::Duplicate));
    }
    ben.start_chain(NOW, &mut random);
    let mut ben = Room::from_bytes(certs[1].device, ben.list().clone(), &ben.to_bytes()).unwrap();
    assert_eq!(ben.seal(b"", &certs, NOW, &mut random), Err(RoomSealError::ChainDue), "a new one at every start");
    for n in [1, 3] {
        assert_eq!(&ben.open(&messages[n]).unwrap().body[..], [n as u8]);
        assert_eq!(ben.open(&messages[n]).err(), Some(RoomOpenError::Duplicate));
    }
}

/// A recipient has the chain's key, and still cannot write in the sender's name.
#[test]
fn altered_messages_and_those_of_another_reader_are_refused() {
    let mut random = random();
    let (mut ada, mut ben, certs) = pair(&mut random);
    let message = ada.seal(b"hello", &certs, NOW, &mut random).unwrap();
    for bit in (0..message.len() * 8).step_by(5) {
        let mut altered = message.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(ben.open(&altered).is_err(), "bit {bit}");
    }
    for length in (0..message.len()).step_by(7) {
        assert!(ben.open(&message[..length]).is_err());
    }
    // Ben seals with Ada's chain key, and signs with a key that is not hers.
    let chain = ben.receiving.get(&certs[0].device).unwrap();
    let forged = Sending {
        id: chain[0].0,
        key: SecretBytes::copy_of(&chain[0].1.key),
        next: chain[0].1.next,
        signing: SecretBytes::copy_of(&[9; 32]),
        since: NOW,
        readers: BTreeSet::from([certs[1].device]),
    };
    let mut mallory = Room::new(certs[0].device, ada.list().clone());
    mallory.sending = Some(forged);
    let forged = mallory.seal(b"I owe you", &certs, NOW, &mut random).unwrap();
    assert_eq!(ben.open(&forged).err(), Some(RoomOpenError::NotAuthentic));
    assert_eq!(&ben.open(&message).unwrap().body[..], b"hello");
}

#[test]
fn chains_end_after_500_messages_or_a_week() {
    let mut random = random();
    let (mut ada, mut ben, certs) = pair(&mut random);
    let last = (0..500).map(|_| ada.seal(b"", &certs, NOW, &mut random).unwrap()).last().unwrap();
    assert_eq!(ada.seal(b"", &certs, NOW, &mut random), Err(RoomSealError::ChainDue));
    ben.open(&last).unwrap();
    assert_eq!(ben.receiving[&certs[0].device][0].1.skipped.len(), 499);
    ada.start_chain(NOW, &mut random);
    assert_eq!(ada.seal(b"", &certs, NOW, &mut random), Err(RoomSealError::KeyMissing(vec![certs[1].device])));
    share(&mut ada, &certs[0], &mut ben).unwrap();
    let later = NOW + CHAIN_FOR;
    assert!(ada.seal(b"", &certs, NOW, &mut random).is_ok());
    assert_eq!(ada.seal(b"", &certs, later, &mut random), Err(RoomSealError::ChainDue));
    // Four chains open, the older ones not.
    for _ in 0..3 {
        ada.start_chain(NOW, &mut random);
        share(&mut ada, &certs[0], &mut ben).unwrap();
    }
    assert_eq!(ben.receiving[&certs[0].device].len(), MAX_CHAINS);
    assert_eq!(ben.open(&last).err(), Some(RoomOpenError::UnknownChain));
}

#[test]
fn newcomer_reads_nothing_from_before_and_leaver_nothing_after() {
    let mut random = random();
    let (mut ada, mut ben, certs) = pair(&mut random);
    let before = ada.seal(b"before", &certs, NOW, &mut random).unwrap();
    ben.open(&before).unwrap();

    // Cleo comes.
    let second = list(Some(ada.list()), &[1, 2, 3]);
    ada.update(second.clone()).unwrap();
    ben.update(second.clone()).unwrap();
    let (cleo_cert, mut cleo) = (cert(3, 31), Room::new(cert(3, 31).device, second.clone()));
    let all = [&certs[..], core::slice::from_ref(&cleo_cert)].concat();
    assert_eq!(ada.seal(b"", &all, NOW, &mut random), Err(RoomSealError::KeyMissing(vec![cleo_cert.device])));
    share(&mut ada, &certs[0], &mut cleo).unwrap();
    let during = ada.seal(b"during", &all, NOW, &mut random).unwrap();
    assert_eq!(cleo.open(&before).err(), Some(RoomOpenError::OtherList), "a list that it has not seen");
    assert!(cleo.open(&during).is_ok() && ben.open(&during).is_ok());

    // Ben leaves: Ada's chain ends with him.
    let third = list(Some(&second), &[1, 3]);
    ada.update(third.clone()).unwrap();
    assert_eq!(ada.seal(b"", &all, NOW, &mut random), Err(RoomSealError::NotMember(certs[1].device)));
    let rest = [certs[0].clone(), cleo_cert.clone()];
    assert_eq!(ada.seal(b"", &rest, NOW, &mut random), Err(RoomSealError::ChainDue));
    ada.start_chain(NOW, &mut random);
    // Cleo, who was not shown the new list, asks for it, and sends nothing until then.
    let refused = share(&mut ada, &certs[0], &mut cleo);
    assert_eq!(refused, Err(RoomOpenError::ListOutdated { seq: 3 }));
    cleo.start_chain(NOW, &mut random);
    assert_eq!(cleo.seal(b"", &all, NOW, &mut random), Err(RoomSealError::ListOutdated { seq: 3 }));
    cleo.update(third).unwrap();
    share(&mut ada, &certs[0], &mut cleo).unwrap();
    let after = ada.seal(b"after", &rest, NOW, &mut random).unwrap();
    assert_eq!(&cleo.open(&after).unwrap().body[..], b"after");
    assert_eq!(ben.open(&after).err(), Some(RoomOpenError::UnknownChain));
    // And Ben is not heard any more.
    ben.start_chain(NOW, &mut random);
    assert_eq!(share(&mut ben, &certs[1], &mut cleo), Err(RoomOpenError::NotMember));
}

/// A device is taken off a member's list: the chain that it was given ends.
#[test]
fn removed_device_ends_the_chain() {
    let mut random = random();
    let (mut ada, _, certs) = pair(&mut random);
    let phone = cert(2, 22);
    let all = [&certs[..], core::slice::from_ref(&phone)].concat();
    let _ = ada.sender_key(phone.device);
    assert!(ada.seal(b"", &all, NOW, &mut random).is_ok());
    assert_eq!(ada.seal(b"", &certs, NOW, &mut random), Err(RoomSealError::ChainDue));
}

/// The server shows two members different lists of one number.
#[test]
fn other_list_of_the_same_number_is_noticed() {
    let mut random = random();
    let (mut ada, mut ben, certs) = pair(&mut random);
    ada.update(list(Some(ada.list()), &[1, 2, 3])).unwrap();
    ben.update(list(Some(ben.list()), &[1, 2, 4])).unwrap();
    let message = ada.seal(b"hello", &certs, NOW, &mut random).unwrap();
    assert_eq!(ben.open(&message).err(), Some(RoomOpenError::OtherList));
    assert_eq!(share(&mut ada, &certs[0], &mut ben), Err(RoomOpenError::OtherList));
}

/// Two members' devices under one identity change: the list names people, not only accounts.
#[test]
fn member_with_another_identity_is_none() {
    let mut random = random();
    let (mut ada, _, certs) = pair(&mut random);
    let keys = DeviceKeys::from_seeds(&[21; 32], &[121; 32]);
    let other = keys.certify(&AccountId([2; 16]), &identity(9).public(), 1, DeviceKind::NATIVE, &[0; 32]);
    let devices = [certs[0].clone(), DeviceCert::parse(&other).unwrap()];
    assert_eq!(ada.seal(b"", &devices, NOW, &mut random), Err(RoomSealError::NotMember(devices[1].device)));
}
