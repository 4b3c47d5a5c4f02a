use super::*;
use crate::outer::{self, Sender};
use alloc::{string::String, vec};
use e2ee_identity::{DeviceKind, DeviceList, IdentityKey};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

const NOW: Time = Time(1_800_000_000_000);

fn random() -> impl FnMut(&mut [u8]) + Send {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    move |bytes: &mut [u8]| rng.fill_bytes(bytes)
}

fn person(n: u8, name: &str) -> Messenger {
    let (id, name) = (AccountId([n; 16]), AccountName::new("https://call.example", name).unwrap());
    let (identity, keys) = (IdentityKey::from_seed(&[n; 32]), DeviceKeys::from_seeds(&[n + 50; 32], &[n + 100; 32]));
    let cert = keys.certify(&id, &identity.public(), NOW.day(), DeviceKind::NATIVE, &[0; 32]);
    let certs = vec![DeviceCert::parse(&cert).unwrap()];
    let list = identity.sign_devices(&id, &name, None, &certs).unwrap();
    Messenger::new(keys, Contact::new(&name, DeviceList::parse(&list, &name).unwrap(), certs).unwrap()).unwrap()
}

fn own_contact(messenger: &Messenger) -> Contact {
    messenger.contact(&messenger.account()).unwrap().clone()
}

/// Mallory, a contact of Ben, seals an outer in Ada's name. Ada's certificate is no secret; her key is.
#[test]
fn certificate_without_its_key_is_refused() {
    let mut random = random();
    let (ada, mut ben, mallory) = (person(1, "ada"), person(2, "ben"), person(3, "mallory"));
    ben.update(own_contact(&ada), &[]).unwrap();
    ben.update(own_contact(&mallory), &[]).unwrap();
    ben.renew_prekeys(Stock::default(), NOW, &mut random);
    ben.take_changes();
    let sealing = ben.prekeys.sealing().next().unwrap().public();
    let mut open = |own: &AgreementSecret, sender: &Sender| {
        let outer = outer::seal(own, sender, &ben.cert, sealing, &[1, 2, 0, 0, 0, 1], &mut random).unwrap();
        let error = ben.open(&outer, b"", NOW).err();
        (error, ben.take_changes().len(), ben.resets_due(NOW).len())
    };
    let unopenable = (Some(OpenError::Unopenable), 0, 0);
    assert_eq!(open(&mallory.agreement, &ada.own_sender()), unopenable);
    // With Ada's public key in the outer, and not her private one.
    let halves = [&mallory.agreement.seed()[..], &ada.cert.agreement.0].concat();
    let forged = AgreementSecret::read(&mut e2ee_core::Reader::new(&halves)).unwrap();
    assert_eq!(open(&forged, &ada.own_sender()), unopenable);
    // Under another name, or with the account of another.
    let renamed = Sender { name: String::from("mallory"), ..ada.own_sender() };
    assert_eq!(open(&ada.agreement, &renamed), unopenable);
    let moved = Sender { account: mallory.account(), ..ada.own_sender() };
    let not_listed = OpenError::NotListed { account: mallory.account() };
    assert_eq!(open(&ada.agreement, &moved), (Some(not_listed), 0, 0));
    // Ada herself is heard, though nothing opens the slip: only that is a desync.
    let desync = OpenError::Desync { account: ada.account(), device: ada.cert.device };
    assert_eq!(open(&ada.agreement, &ada.own_sender()), (Some(desync), 1, 1));
}

/// An outer for one device of Ben's names it: on a device with the same sealing prekey it does not open.
#[test]
fn outer_names_its_recipient() {
    let mut random = random();
    let (ada, mut ben) = (person(1, "ada"), person(2, "ben"));
    ben.update(own_contact(&ada), &[]).unwrap();
    ben.renew_prekeys(Stock::default(), NOW, &mut random);
    let sealing = ben.prekeys.sealing().next().unwrap().public();
    let outer = outer::seal(&ada.agreement, &ada.own_sender(), &ben.cert, sealing, b"", &mut random).unwrap();
    assert!(outer::open(&outer, &ben.cert, ben.prekeys.sealing()).is_some());
    let edits: [fn(&mut DeviceCert); 3] = [
        |cert| cert.account = AccountId([9; 16]),
        |cert| cert.device = DevicePublic([9; 32]),
        |cert| cert.agreement = e2ee_identity::AgreementPublic([9; 32]),
    ];
    for edit in edits {
        let mut other = ben.cert.clone();
        edit(&mut other);
        assert!(outer::open(&outer, &other, ben.prekeys.sealing()).is_none());
    }
}

/// The bundle of a device, from what it uploads.
fn bundle(messenger: &mut Messenger, random: &mut impl Random) -> (DevicePublic, Fetched) {
    let mut prekeys = messenger.renew_prekeys(Stock::default(), NOW, random).prekeys;
    prekeys.sort_by_key(|prekey| prekey[1]);
    prekeys.dedup_by_key(|prekey| prekey[1]);
    prekeys.retain(|prekey| prekey[1] != 4);
    let device = *messenger.device();
    (device, Fetched::Bundle(crate::Bundle::parse(&prekeys.concat(), &device, NOW.day()).unwrap()))
}

/// Both write first, and what they write crosses: both go on in the same session, that of the lower device key.
#[test]
fn crossing_sessions_are_ranked_alike() {
    let mut random = random();
    let (mut ada, mut ben) = (person(1, "ada"), person(2, "ben"));
    ada.update(own_contact(&ben), &[]).unwrap();
    ben.update(own_contact(&ada), &[]).unwrap();
    let (of_ada, of_ben) = (bundle(&mut ada, &mut random), bundle(&mut ben, &mut random));
    let message =
        |n: u8| Message { id: crate::MessageId([n; 16]), body: b"hello", checkpoint: &[0; 40], durable: false };
    let from_ada = ada.seal(&ben.account(), &message(1), &[of_ben], NOW, &mut random).unwrap();
    let from_ben = ben.seal(&ada.account(), &message(2), &[of_ada], NOW, &mut random).unwrap();
    let active = |on: &Messenger, with: &Messenger| on.peers.get(with.device()).unwrap().active_id().unwrap();
    let before = [active(&ada, &ben), active(&ben, &ada)];
    assert!(before[0] != before[1]);
    ada.open(&from_ben.outers[0].1, &from_ben.blob, NOW).unwrap();
    ben.open(&from_ada.outers[0].1, &from_ada.blob, NOW).unwrap();
    let lower = if ada.device() < ben.device() { before[0] } else { before[1] };
    assert_eq!([active(&ada, &ben), active(&ben, &ada)], [lower, lower]);
}
