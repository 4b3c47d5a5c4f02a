//! The published vectors `vectors/v1.json`: everything that an independent implementation needs to compare with, secrets
//! included.
//!
//! `make vectors` writes the file, and the test here fails when it is stale: then the protocol has changed.

use crate::{
    blob::{self, MessageId},
    contact::Contact,
    file::{FileSealer, padded_size},
    kem,
    messenger::{Fetched, Message, Messenger},
    prekey::{Bundle, PrekeyKind},
    prekeys::Stock,
    room::Room,
    room_list::{Member, RoomId, RoomList},
    slip::CHECKPOINT_BYTES,
    state::{Row, StateKey},
    time::Time,
};
use alloc::{
    string::String,
    vec::{self, Vec},
};
use data_encoding::HEXLOWER;
use e2ee_core::{Primitives, Standard};
use e2ee_identity::{
    AccountId, AccountName, DeviceCert, DeviceKeys, DeviceKind, DeviceList, DevicePublic, IdentityKey,
};
use serde_json::{Value, json};

const ORIGIN: &str = "https://call.example";
const NOW: Time = Time(1_800_000_000_000);
const CHECKPOINT: [u8; CHECKPOINT_BYTES] = [0xc4; CHECKPOINT_BYTES];

fn hex(bytes: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(bytes.as_ref())
}

fn seed(first: u8) -> [u8; 32] {
    core::array::from_fn(|index| first.wrapping_add(index as u8))
}

/// "Random" bytes: SHA-256 of the number of the draw, repeated. Remembers what was drawn.
#[derive(Default)]
struct Draws {
    count: u32,
    since: Vec<Vec<u8>>,
}

impl Draws {
    /// What was drawn since the last call.
    fn take(&mut self) -> Vec<String> {
        core::mem::take(&mut self.since).into_iter().map(hex).collect()
    }
}

impl e2ee_core::Random for Draws {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.count += 1;
        let block = Standard::digest(&self.count.to_be_bytes());
        buffer.iter_mut().zip(block.iter().cycle()).for_each(|(slot, byte)| *slot = *byte);
        self.since.push(buffer.to_vec());
    }
}

/// A person with one device.
struct Person {
    name: &'static str,
    first: u8,
}

const ADA: Person = Person { name: "ada", first: 0x10 };
const BEN: Person = Person { name: "ben", first: 0x20 };

impl Person {
    fn account(&self) -> AccountId {
        AccountId([self.first; 16])
    }

    fn identity(&self) -> IdentityKey {
        IdentityKey::from_seed(&seed(self.first))
    }

    fn keys(&self) -> DeviceKeys {
        DeviceKeys::from_seeds(&seed(self.first + 1), &seed(self.first + 2))
    }

    fn cert(&self) -> DeviceCert {
        let identity = self.identity().public();
        let bytes = self.keys().certify(&self.account(), &identity, NOW.day(), DeviceKind::NATIVE, &[0; 32]);
        DeviceCert::parse(&bytes).unwrap()
    }

    fn contact(&self) -> Contact {
        let name = AccountName::new(ORIGIN, self.name).unwrap();
        let certs = vec::Vec::from([self.cert()]);
        let list = self.identity().sign_devices(&self.account(), &name, None, &certs).unwrap();
        Contact::new(&name, DeviceList::parse(&list, &name).unwrap(), certs).unwrap()
    }

    fn messenger(&self) -> Messenger {
        let mut messenger = Messenger::new(self.keys(), self.contact()).unwrap();
        for other in [ADA, BEN] {
            messenger.update(other.contact(), &[]).unwrap();
        }
        messenger
    }

    fn to_json(&self) -> Value {
        let cert = self.cert();
        json!({
            "name": self.name, "account": hex(cert.account.0), "list_seq": 1,
            "identity_seed": hex(seed(self.first)), "identity": hex(cert.identity.0),
            "signing_seed": hex(seed(self.first + 1)), "device": hex(cert.device.0),
            "agreement_seed": hex(seed(self.first + 2)), "agreement": hex(cert.agreement.0),
            "cert_hash": hex(cert.hash),
        })
    }
}

/// The seed of a prekey's private half.
fn half_seed(messenger: &Messenger, kind: u8, id: crate::prekey::PrekeyId) -> Vec<u8> {
    let prekeys = messenger.prekeys();
    match PrekeyKind::from_byte(kind).unwrap() {
        PrekeyKind::Signed => prekeys.signed(id).unwrap().seed().to_vec(),
        PrekeyKind::OneTime => prekeys.one_time(id).unwrap().seed().to_vec(),
        PrekeyKind::Sealing => prekeys.sealing().next().unwrap().seed().to_vec(),
        kem => prekeys.kem(kem, id).unwrap().seed().to_vec(),
    }
}

/// One prekey of each kind, the first of each that was uploaded, in order of kind.
fn prekeys(messenger: &Messenger, mut uploaded: Vec<Vec<u8>>) -> (Vec<Vec<u8>>, Value) {
    uploaded.sort_by_key(|prekey| prekey[1]);
    uploaded.dedup_by_key(|prekey| prekey[1]);
    let fields = |prekey: &Vec<u8>| {
        let number = |at: usize| u32::from_be_bytes(prekey[at..at + 4].try_into().unwrap());
        let id = crate::prekey::PrekeyId(number(2));
        json!({"kind": prekey[1], "id": id.0, "day": number(6), "seed": hex(half_seed(messenger, prekey[1], id)),
            "bytes": hex(prekey)})
    };
    let values = uploaded.iter().map(fields).collect();
    (uploaded, values)
}

/// Seven messages: two that open a session, an answer, two ratchet steps, and a session that replaces the first one.
fn conversation() -> (Value, Value) {
    let mut draws = Draws::default();
    let (mut ada, mut ben) = (ADA.messenger(), BEN.messenger());
    let of_ada = ada.renew_prekeys(Stock::default(), NOW, &mut draws).prekeys;
    let of_ben = ben.renew_prekeys(Stock::default(), NOW, &mut draws).prekeys;
    let (of_ada, ada_prekeys) = prekeys(&ada, of_ada);
    let (of_ben, ben_prekeys) = prekeys(&ben, of_ben);
    assert_eq!((of_ada.len(), of_ben.len()), (5, 5));
    let bundle = |kinds: &[usize]| kinds.iter().flat_map(|kind| of_ben[kind - 1].clone()).collect::<Vec<u8>>();
    let (full, last_resort) = (bundle(&[1, 2, 3, 5]), bundle(&[1, 4, 5]));
    draws.take();

    let mut messages = Vec::new();
    let mut send = |from_ada: bool, body: &[u8], bundle: Option<&[u8]>, deliver: &[usize]| {
        let (from, to, name, account) = if from_ada {
            (&mut ada, BEN.keys(), "ada", BEN.account())
        } else {
            (&mut ben, ADA.keys(), "ben", ADA.account())
        };
        if bundle.is_some_and(|bundle| bundle == last_resort) {
            from.distrust_state();
        }
        let id = MessageId([messages.len() as u8 + 1; 16]);
        let message = Message { id, body, checkpoint: &CHECKPOINT, durable: false };
        let read = |bytes: &[u8]| Fetched::Bundle(Bundle::parse(bytes, &to.public(), NOW.day()).unwrap());
        let fetched: Vec<_> = bundle.map(|bundle| (to.public(), read(bundle))).into_iter().collect();
        let sealed = from.seal(&account, &message, &fetched, NOW, &mut draws).unwrap();
        let (outer, drawn) = (sealed.outers[0].1.clone(), draws.take());
        // The third draw is what the KEM encapsulates: not every library can be given it.
        let kem_secret = fetched.first().map(|(_, fetched)| {
            let Fetched::Bundle(bundle) = fetched else { unreachable!("a bundle was made") };
            let message = HEXLOWER.decode(drawn[2].as_bytes()).unwrap();
            let mut again = |bytes: &mut [u8]| bytes.copy_from_slice(&message);
            hex(*kem::encapsulate(&bundle.kem.key, &mut again).unwrap().1)
        });
        messages.push((
            from_ada,
            (outer.clone(), sealed.blob.clone(), body.to_vec()),
            json!({"from": name, "id": hex(id.0), "body": hex(body), "checkpoint": hex(CHECKPOINT),
                "bundle": bundle.map(hex), "kem_secret": kem_secret, "drawn": drawn, "blob": hex(&sealed.blob), "outer": hex(&outer)}),
        ));
        for index in deliver {
            let (from_ada, (outer, blob, body), _) = &messages[*index];
            let to = if *from_ada { &mut ben } else { &mut ada };
            assert_eq!(*to.open(outer, blob, NOW).unwrap().body, *body);
        }
    };
    send(true, b"Lunch?", Some(&full), &[]);
    send(true, b"Hello?", None, &[1, 0]);
    send(false, b"Yes!", None, &[2]);
    send(true, b"12:30", None, &[]);
    send(true, &[b'a'; 300], None, &[4]);
    send(false, b"", None, &[5, 3]);
    send(true, b"I had lost it", Some(&last_resort), &[6]);
    // The order in which they are opened above.
    let opened = json!([1, 0, 2, 4, 5, 3, 6]);
    let messages: Vec<_> = messages.into_iter().map(|(_, _, value)| value).collect();
    (json!({"ada": ada_prekeys, "ben": ben_prekeys}), json!({"messages": messages, "opened": opened}))
}

fn blobs() -> Value {
    [0usize, 1, 236, 237, 5_000]
        .into_iter()
        .map(|length| {
            let mut draws = Draws::default();
            let body: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let sealed = blob::seal(MessageId([7; 16]), &body, &mut draws).unwrap();
            json!({"id": hex([7; 16]), "body": hex(&body), "key": draws.take()[0], "size": sealed.bytes.len(),
                "hash": hex(sealed.hash)})
        })
        .collect()
}

fn room() -> Value {
    let mut draws = Draws::default();
    let id = RoomId([0x70; 16]);
    let member = |person: &Person| Member { account: person.account(), identity: person.identity().public() };
    let sign = |previous: Option<&RoomList>, members: &[Member]| {
        RoomList::sign(&ADA.identity(), id, previous, members).unwrap()
    };
    let first = sign(None, &[member(&ADA)]);
    let second = sign(Some(&RoomList::parse(&first).unwrap()), &[member(&BEN), member(&ADA)]);
    let list = RoomList::parse(&second).unwrap();
    let lists: Value = [(&first, 1), (&second, 2)]
        .map(|(bytes, seq)| {
            let list = RoomList::parse(bytes).unwrap();
            let members: Vec<_> = list.members.iter().map(|it| json!({"account": hex(it.account.0), "identity": hex(it.identity.0)})).collect();
            json!({"seq": seq, "previous": hex(list.previous), "members": members, "hash": hex(list.hash), "bytes": hex(bytes)})
        })
        .into_iter()
        .collect();
    let certs = [ADA.cert(), BEN.cert()];
    let (mut ada, mut ben) = (Room::new(certs[0].device, list.clone()), Room::new(certs[1].device, list));
    ada.start_chain(NOW, &mut draws);
    let chain = draws.take();
    let key = ada.sender_key(certs[1].device).unwrap();
    ben.take_sender_key(certs[0].account, certs[0].device, &*key).unwrap();
    let messages: Vec<_> = [&b"to all"[..], b"", b"third"]
        .into_iter()
        .map(|body| {
            let bytes = ada.seal(body, &certs, NOW, &mut draws).unwrap();
            assert_eq!(&ben.open(&bytes).unwrap().body[..], body);
            json!({"body": hex(body), "salt": draws.take()[0], "bytes": hex(bytes)})
        })
        .collect();
    json!({"room": hex(id.0), "admin": "ada", "lists": lists,
        "chain": {"id": chain[0], "key": chain[1], "signing_seed": chain[2]}, "sender_key": hex(*key), "messages": messages})
}

fn files() -> Value {
    [0usize, 300, 65_536, 140_000]
        .into_iter()
        .map(|size| {
            let mut draws = Draws::default();
            let file: Vec<u8> = (0..size).map(|index| (index / 3) as u8).collect();
            let mut sealer = FileSealer::new(size as u64, &mut draws).unwrap();
            let (mut rest, mut chunks) = (&file[..], Vec::new());
            while let Some(wanted) = sealer.wanted() {
                let (clear, behind) = rest.split_at(wanted);
                let sealed = sealer.seal(clear).unwrap();
                chunks.push(json!({"bytes": sealed.len(), "hash": hex(Standard::digest(&sealed))}));
                rest = behind;
            }
            let drawn = draws.take();
            json!({"size": size, "key": drawn[0], "prefix": drawn[1], "padded": padded_size(size as u64), "chunks": chunks,
                "file_key": hex(*sealer.finish().unwrap().to_bytes())})
        })
        .collect()
}

fn state() -> Value {
    let key = StateKey::from_bytes(&seed(0x60));
    let rows = [Row::Prekeys, Row::Peer(DevicePublic([0x61; 32])), Row::Outbox(AccountId([0x62; 16]))].map(|row| {
        let mut draws = Draws::default();
        let sealed = key.seal(row, b"contents", &mut draws).unwrap();
        let name = match row {
            Row::Prekeys => Vec::from([1]),
            Row::Peer(device) => [&[2], &device.0[..]].concat(),
            Row::Outbox(account) => [&[3], &account.0[..]].concat(),
        };
        json!({"row": hex(name), "contents": hex(b"contents"), "nonce": draws.take()[0], "sealed": hex(sealed)})
    });
    json!({"key": hex(seed(0x60)), "rows": rows})
}

fn document() -> Value {
    let (prekeys, conversation) = conversation();
    json!({
        "protocol": "e2ee-messages/1",
        "origin": ORIGIN,
        "people": [ADA.to_json(), BEN.to_json()],
        "prekeys": prekeys,
        "conversation": conversation,
        "blobs": blobs(),
        "room": room(),
        "files": files(),
        "state": state(),
    })
}

#[test]
fn published_vectors_match() {
    let document = document();
    if std::env::var_os("UPDATE").is_some() {
        let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/v1.json"), text).unwrap();
        return;
    }
    let published: Value = serde_json::from_str(include_str!("../vectors/v1.json")).unwrap();
    assert!(published == document, "the protocol has changed, or run `make vectors`");
}
