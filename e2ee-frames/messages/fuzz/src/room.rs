//! Rooms: lists that are accepted were signed by their admin, messages by a member's chain, each shown once.

use crate::scene::{NOW, cert, counting, identity};
use e2ee_messages::{Member, Room, RoomId, RoomList};
use std::{collections::BTreeSet, sync::LazyLock};
use tacet_fuzz::Script;

struct Scene {
    lists: [Vec<u8>; 2],
    key: Vec<u8>,
    messages: Vec<Vec<u8>>,
    /// Ben's chains, after the first message.
    stored: Vec<u8>,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let member = |person: u8| Member { account: cert(person).account, identity: cert(person).identity };
    let (id, mut random) = (RoomId([0x70; 16]), counting(7));
    let first = RoomList::sign(&identity(1), id, None, &[member(1), member(2)]).unwrap();
    let list = RoomList::parse(&first).unwrap();
    let second = RoomList::sign(&identity(1), id, Some(&list), &[member(2)]).unwrap();
    let (mut ada, mut ben) = (Room::new(cert(1).device, list.clone()), Room::new(cert(2).device, list));
    ada.start_chain(NOW, &mut random);
    let key = ada.sender_key(cert(2).device).unwrap().to_vec();
    let mut seal = |body: &[u8]| ada.seal(body, &[cert(1), cert(2)], NOW, &mut random).unwrap();
    let messages: Vec<_> = [&b"one"[..], b"two", b"three"].into_iter().map(&mut seal).collect();
    ben.take_sender_key(cert(1).account, cert(1).device, &key).unwrap();
    ben.open(&messages[2]).unwrap();
    Scene { lists: [first, second], key, messages, stored: ben.to_bytes().to_vec() }
});

/// The target: edits of lists, sender keys, messages and stored chains, or bytes as they are.
pub fn run(data: &[u8]) {
    let scene = &*SCENE;
    let mut script = Script(data);
    let edited = script.edit(&scene.lists.each_ref().map(Vec::as_slice));
    for bytes in [data, &edited] {
        if RoomList::parse(bytes).is_ok() {
            assert!(scene.lists.iter().any(|list| list == bytes), "a forged list");
        }
    }
    let list = RoomList::parse(&scene.lists[0]).unwrap();
    // Ada's device hands over a key with any contents: it is hers to choose. Nothing panics.
    let mut other = Room::new(cert(2).device, list.clone());
    let key = script.edit(&[&scene.key]);
    let _ = other.take_sender_key(cert(1).account, cert(1).device, &key);
    scene.messages.iter().for_each(|message| drop(other.open(message)));
    if let Some(mut restored) = Room::from_bytes(cert(2).device, list.clone(), &script.edit(&[&scene.stored])) {
        scene.messages.iter().for_each(|message| drop(restored.open(message)));
        drop(restored.to_bytes());
    }

    let mut ben = Room::new(cert(2).device, list);
    ben.take_sender_key(cert(1).account, cert(1).device, &scene.key).unwrap();
    let messages: Vec<_> = scene.messages.iter().map(Vec::as_slice).collect();
    let mut shown = BTreeSet::new();
    for round in 0..6 {
        let message = if round == 0 { data.to_vec() } else { script.edit(&messages) };
        if let Ok(opened) = ben.open(&message) {
            assert!(messages.contains(&&message[..]) && shown.insert(opened.body.to_vec()), "forged, or shown twice");
        }
    }
    for message in messages {
        ben.open(message).into_iter().for_each(|opened| assert!(shown.insert(opened.body.to_vec())));
    }
    assert_eq!(shown.len(), 3);
}
