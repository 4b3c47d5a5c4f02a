//! What a device pays for messages: a session once a pair of devices, an outer a device, a blob an account.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use e2ee_identity::{AccountId, AccountName, DeviceCert, DeviceKeys, DeviceKind, DeviceList, IdentityKey};
use e2ee_messages::{
    Bundle, Contact, Fetched, FileSealer, Message, MessageId, Messenger, Sealed, Stock, Time, file::CHUNK_BYTES,
};
use std::{error::Error, hint::black_box};

const NOW: Time = Time(1_800_000_000_000);
const CHECKPOINT: [u8; 40] = [0; 40];
const TEXT: Message<'static> =
    Message { id: MessageId([7; 16]), body: &[b'a'; 200], checkpoint: &CHECKPOINT, durable: false };

fn random(bytes: &mut [u8]) {
    if getrandom::fill(bytes).is_err() {
        panic!("no randomness");
    }
}

/// Devices of one account, and the account.
fn account(name: &str, devices: u8) -> Result<(Vec<Messenger>, Contact), Box<dyn Error>> {
    let (id, name) = (AccountId([devices; 16]), AccountName::new("https://call.example", name)?);
    let identity = IdentityKey::draw(&mut random);
    let keys: Vec<_> = (0..devices).map(|_| DeviceKeys::draw(&mut random)).collect();
    let cert = |keys: &DeviceKeys| keys.certify(&id, &identity.public(), NOW.day(), DeviceKind::NATIVE, &[0; 32]);
    let certs = keys.iter().map(|keys| DeviceCert::parse(&cert(keys))).collect::<Result<Vec<_>, _>>()?;
    let list = DeviceList::parse(&identity.sign_devices(&id, &name, None, &certs)?, &name)?;
    let contact = Contact::new(&name, list, certs)?;
    let messengers = keys.into_iter().map(|keys| Messenger::new(keys, contact.clone())).collect::<Result<_, _>>()?;
    Ok((messengers, contact))
}

/// What the server hands out for a device.
fn bundle(messenger: &mut Messenger) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut prekeys = messenger.renew_prekeys(Stock::default(), NOW, &mut random).prekeys;
    prekeys.sort_by_key(|prekey| prekey.get(1).copied());
    prekeys.dedup_by_key(|prekey| prekey.get(1).copied());
    prekeys.retain(|prekey| prekey.get(1) != Some(&4));
    Ok(prekeys.concat())
}

/// Ada with a device, and Ben with some, who know each other; and Ben's bundles.
#[allow(clippy::type_complexity)]
fn world(devices: u8) -> Result<(Messenger, Vec<Messenger>, Vec<Vec<u8>>, [Contact; 2]), Box<dyn Error>> {
    let ((mut ada, ada_contact), (mut ben, ben_contact)) = (account("ada", 1)?, account("ben", devices.max(2))?);
    let mut ada = ada.remove(0);
    ada.update(ben_contact.clone(), &[])?;
    ada.renew_prekeys(Stock::default(), NOW, &mut random);
    let mut bundles = Vec::new();
    for device in &mut ben {
        device.update(ada_contact.clone(), &[])?;
        bundles.push(bundle(device)?);
    }
    Ok((ada, ben, bundles, [ada_contact, ben_contact]))
}

fn fetched(
    ben: &[Messenger],
    bundles: &[Vec<u8>],
) -> Result<Vec<(e2ee_identity::DevicePublic, Fetched)>, Box<dyn Error>> {
    let read = |(device, bytes): (&Messenger, &Vec<u8>)| {
        Ok((*device.device(), Fetched::Bundle(Bundle::parse(bytes, device.device(), NOW.day())?)))
    };
    ben.iter().zip(bundles).map(read).collect()
}

fn sessions(c: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let (_, mut ben, bundles, _) = world(2)?;
    let (device, bytes) = (*ben.first().ok_or("no device")?.device(), bundles.first().ok_or("no bundle")?.clone());
    c.bench_function("bundle: verify", |b| b.iter(|| black_box(Bundle::parse(&bytes, &device, NOW.day())).is_ok()));
    c.bench_function("prekeys of a week: 50 X25519, 16 ML-KEM", |b| {
        b.iter_batched(
            || account("cleo", 1),
            |made| made.map(|(mut device, _)| device.iter_mut().map(bundle).count()).ok(),
            BatchSize::PerIteration,
        );
    });
    let first = || -> Result<_, Box<dyn Error>> {
        let (ada, ben, bundles, contacts) = world(2)?;
        let fetched = fetched(&ben, &bundles)?;
        Ok((ada, ben, fetched, contacts))
    };
    let mut group = c.benchmark_group("first message, two devices");
    group.sample_size(20);
    group.bench_function("seal", |b| {
        b.iter_batched(
            first,
            |world| {
                world.map(|(mut ada, ben, fetched, [_, contact])| {
                    (ada.seal(&contact.account(), &TEXT, &fetched, NOW, &mut random).is_ok(), ben, ada)
                })
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("open on one", |b| {
        b.iter_batched(
            || {
                let (mut ada, ben, fetched, [_, contact]) = first()?;
                let sealed = ada.seal(&contact.account(), &TEXT, &fetched, NOW, &mut random)?;
                Ok::<_, Box<dyn Error>>((ben, sealed))
            },
            |world| world.map(|(mut ben, sealed)| (deliver(&sealed, &mut ben), ben)),
            BatchSize::PerIteration,
        );
    });
    group.finish();
    ben.clear();
    Ok(())
}

/// Opens what is for the first device.
fn deliver(sealed: &Sealed, ben: &mut [Messenger]) -> bool {
    let device = ben.first_mut();
    let outer = device.as_ref().and_then(|device| sealed.outers.iter().find(|(to, _)| to == device.device()));
    device.zip(outer).is_some_and(|(device, (_, outer))| device.open(outer, &sealed.blob, NOW).is_ok())
}

fn conversation(c: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let (mut ada, mut ben, bundles, [ada_contact, ben_contact]) = world(2)?;
    let bundles = fetched(&ben, &bundles)?;
    let sealed = ada.seal(&ben_contact.account(), &TEXT, &bundles, NOW, &mut random)?;
    if !deliver(&sealed, &mut ben) {
        return Err("not opened".into());
    }
    // Each message has another id, as each has in a conversation.
    let mut count = 0u128;
    let mut next = move || {
        count += 1;
        MessageId(count.to_be_bytes())
    };
    c.bench_function("exchange: two messages, two ratchet steps", |b| {
        b.iter(|| {
            let answer = Message { id: next(), ..TEXT };
            let first = ben.first_mut().and_then(|ben| {
                let sealed = ben.seal(&ada_contact.account(), &answer, &[], NOW, &mut random).ok()?;
                sealed.outers.first().and_then(|(_, outer)| ada.open(outer, &sealed.blob, NOW).ok())
            });
            let text = Message { id: next(), ..TEXT };
            let second = ada.seal(&ben_contact.account(), &text, &[], NOW, &mut random);
            (first.is_some(), second.is_ok_and(|sealed| deliver(&sealed, &mut ben)))
        });
    });
    for devices in [2, 10] {
        let (mut ada, ben, bundles, [_, contact]) = world(devices)?;
        let bundles = fetched(&ben, &bundles)?;
        let _ = ada.seal(&contact.account(), &TEXT, &bundles, NOW, &mut random)?;
        c.bench_function(&format!("text to {devices} devices: seal"), |b| {
            b.iter(|| ada.seal(&contact.account(), &TEXT, &[], NOW, &mut random).is_ok());
        });
    }
    Ok(())
}

fn files(c: &mut Criterion) {
    let chunk = vec![7; CHUNK_BYTES];
    let mut group = c.benchmark_group("file");
    group.throughput(Throughput::Bytes(CHUNK_BYTES as u64));
    group.bench_function("seal a chunk", |b| {
        b.iter_batched(
            || FileSealer::new(2 * CHUNK_BYTES as u64, &mut random),
            |sealer| sealer.and_then(|mut sealer| sealer.seal(&chunk)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn all(c: &mut Criterion) {
    for run in [sessions, conversation] {
        if let Err(error) = run(c) {
            panic!("{error}");
        }
    }
    files(c);
}

criterion_group!(benches, all);
criterion_main!(benches);
