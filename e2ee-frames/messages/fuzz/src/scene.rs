//! Ada and Ben with a device each, in the middle of a conversation, made once.

use e2ee_identity::{AccountId, AccountName, DeviceCert, DeviceKeys, DeviceKind, DeviceList, IdentityKey};
use e2ee_messages::{Bundle, Contact, Fetched, Message, MessageId, Messenger, Row, Sealed, Stock, Time};
use std::sync::LazyLock;

pub(crate) const NOW: Time = Time(1_800_000_000_000);
pub(crate) const CHECKPOINT: [u8; 40] = [0xc4; 40];

/// An outer and its blob, on their way to Ben, with what they hold.
pub(crate) struct Delivery {
    pub(crate) outer: Vec<u8>,
    pub(crate) blob: Vec<u8>,
    pub(crate) id: MessageId,
}

pub(crate) struct Scene {
    /// The prekeys that Ben has uploaded, one of each kind in order.
    pub(crate) prekeys: Vec<Vec<u8>>,
    /// Ben's stored rows, before the messages are opened.
    pub(crate) ben: Vec<(Row, Vec<u8>)>,
    /// Ada's, after she has sent them.
    pub(crate) ada: Vec<(Row, Vec<u8>)>,
    /// Two of a session that is there, and one that opens another.
    pub(crate) messages: Vec<Delivery>,
}

pub(crate) static SCENE: LazyLock<Scene> = LazyLock::new(Scene::new);

/// Bytes that depend on how many were drawn.
pub(crate) fn counting(mut count: u64) -> impl FnMut(&mut [u8]) + Send {
    move |bytes: &mut [u8]| {
        for byte in bytes {
            count = count.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (count >> 56) as u8;
        }
    }
}

pub(crate) fn keys(person: u8) -> DeviceKeys {
    DeviceKeys::from_seeds(&[person; 32], &[person + 100; 32])
}

pub(crate) fn identity(person: u8) -> IdentityKey {
    IdentityKey::from_seed(&[person + 50; 32])
}

pub(crate) fn cert(person: u8) -> DeviceCert {
    let (account, identity) = (AccountId([person; 16]), identity(person).public());
    let bytes = keys(person).certify(&account, &identity, NOW.day(), DeviceKind::NATIVE, &[0; 32]);
    DeviceCert::parse(&bytes).unwrap()
}

fn contact(person: u8) -> Contact {
    let name = AccountName::new("https://call.example", ["ada", "ben"][usize::from(person - 1)]).unwrap();
    let list = identity(person).sign_devices(&AccountId([person; 16]), &name, None, &[cert(person)]).unwrap();
    Contact::new(&name, DeviceList::parse(&list, &name).unwrap(), vec![cert(person)]).unwrap()
}

/// The device of Ada (1) or Ben (2), with these rows.
pub(crate) fn messenger(person: u8, rows: &[(Row, Vec<u8>)]) -> Messenger {
    let mut messenger = Messenger::new(keys(person), contact(person)).unwrap();
    messenger.update(contact(3 - person), &[]).unwrap();
    rows.iter().for_each(|(row, bytes)| messenger.restore(*row, bytes).unwrap());
    messenger
}

pub(crate) fn rows(messenger: &mut Messenger) -> Vec<(Row, Vec<u8>)> {
    let changes = messenger.take_changes().into_iter();
    changes.filter_map(|(row, bytes)| bytes.map(|bytes| (row, bytes.to_vec()))).collect()
}

impl Scene {
    fn new() -> Self {
        let mut random = counting(1);
        let (mut ada, mut ben) = (messenger(1, &[]), messenger(2, &[]));
        ada.renew_prekeys(Stock::default(), NOW, &mut random);
        let mut prekeys = ben.renew_prekeys(Stock::default(), NOW, &mut random).prekeys;
        prekeys.sort_by_key(|prekey| prekey[1]);
        prekeys.dedup_by_key(|prekey| prekey[1]);
        let bundle = |kinds: &[usize]| {
            let bytes: Vec<u8> = kinds.iter().flat_map(|kind| prekeys[kind - 1].clone()).collect();
            vec![(keys(2).public(), Fetched::Bundle(Bundle::parse(&bytes, &keys(2).public(), NOW.day()).unwrap()))]
        };
        let mut seal = |from: &mut Messenger, to: u8, n: u8, fetched: &[_]| -> Sealed {
            let message = Message { id: MessageId([n; 16]), body: b"hello", checkpoint: &CHECKPOINT, durable: true };
            from.seal(&AccountId([to; 16]), &message, fetched, NOW, &mut random).unwrap()
        };
        let first = seal(&mut ada, 2, 1, &bundle(&[1, 2, 3, 5]));
        ben.open(&first.outers[0].1, &first.blob, NOW).unwrap();
        let answer = seal(&mut ben, 1, 2, &[]);
        ada.open(&answer.outers[0].1, &answer.blob, NOW).unwrap();
        let mut messages: Vec<_> = [3, 4].into_iter().map(|n| (n, seal(&mut ada, 2, n, &[]))).collect();
        ada.distrust_state();
        messages.push((5, seal(&mut ada, 2, 5, &bundle(&[1, 4, 5]))));
        let delivery = |(n, sealed): (u8, Sealed)| Delivery {
            outer: sealed.outers[0].1.clone(),
            blob: sealed.blob,
            id: MessageId([n; 16]),
        };
        let messages = messages.into_iter().map(delivery).collect();
        Self { prekeys, ben: rows(&mut ben), ada: rows(&mut ada), messages }
    }
}
