use super::*;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use std::collections::BTreeSet;

const NOW: Time = Time(1_800_000_000_000);
const PREFIX: &[u8] = b"session";

fn random(seed: u64) -> impl FnMut(&mut [u8]) + Send {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    move |bytes: &mut [u8]| rng.fill_bytes(bytes)
}

/// Ada, who writes first, and Bob.
fn pair(random: &mut impl Random) -> (Ratchet, Ratchet) {
    let signed = AgreementSecret::draw(random);
    let ada = Ratchet::initiator(SecretBytes::copy_of(&[7; 32]), signed.public(), random).unwrap();
    (ada, Ratchet::responder(SecretBytes::copy_of(&[7; 32]), signed))
}

fn copy(ratchet: &Ratchet) -> Ratchet {
    let mut writer = Writer::default();
    ratchet.write(&mut writer);
    let bytes = writer.finish();
    let mut reader = Reader::new(&bytes);
    let copy = Ratchet::read(&mut reader).unwrap();
    reader.end().unwrap();
    copy
}

fn open(ratchet: &mut Ratchet, sealed: &[u8]) -> Result<Vec<u8>, RatchetOpenError> {
    let (text, step) = ratchet.open(PREFIX, sealed, NOW)?;
    ratchet.commit(step, NOW);
    Ok(text.to_vec())
}

#[test]
fn texts_open_in_any_order_once() {
    let mut random = random(1);
    let (mut ada, mut bob) = pair(&mut random);
    let mut sealed = Vec::new();
    for round in 0..6u8 {
        let (from, to) = if round % 2 == 0 { (&mut ada, &mut bob) } else { (&mut bob, &mut ada) };
        let texts: Vec<_> = (0..5).map(|n| from.seal(PREFIX, &[round, n], &mut random).unwrap()).collect();
        // Two of each round arrive at once, out of order; the others after all rounds.
        assert_eq!(open(to, &texts[3]).unwrap(), [round, 3]);
        assert_eq!(open(to, &texts[1]).unwrap(), [round, 1]);
        sealed.push(texts);
    }
    for (round, texts) in sealed.iter().enumerate().rev() {
        let to = if round % 2 == 0 { &mut bob } else { &mut ada };
        for n in [0, 2, 4] {
            assert_eq!(open(to, &texts[n]).unwrap(), [round as u8, n as u8]);
        }
        assert!(texts.iter().all(|text| open(to, text) == Err(RatchetOpenError::Consumed)), "round {round}");
    }
}

#[test]
fn refused_texts_change_nothing() {
    let mut random = random(2);
    let (mut ada, mut bob) = pair(&mut random);
    let sealed = ada.seal(PREFIX, b"hello", &mut random).unwrap();
    for bit in (0..sealed.len() * 8).step_by(3) {
        let mut altered = sealed.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open(&mut bob, &altered), Err(RatchetOpenError::NotAuthentic), "bit {bit}");
    }
    for length in 0..sealed.len() {
        assert_eq!(open(&mut bob, &sealed[..length]), Err(RatchetOpenError::NotAuthentic));
    }
    assert_eq!(bob.open(b"another", &sealed, NOW).err(), Some(RatchetOpenError::NotAuthentic));
    // Opened and not committed, as when the blob that belongs to it is missing.
    assert!(bob.open(PREFIX, &sealed, NOW).is_ok());
    assert_eq!(open(&mut bob, &sealed).unwrap(), b"hello");
    // A text that returns to its sender.
    assert_eq!(open(&mut ada, &sealed), Err(RatchetOpenError::NotAuthentic));
}

#[test]
fn skipped_keys_are_bounded() {
    let mut random = random(3);
    let (mut ada, mut bob) = pair(&mut random);
    let mut texts: Vec<_> = (0..1_002).map(|_| ada.seal(PREFIX, b"", &mut random).unwrap()).collect();
    assert_eq!(open(&mut bob, &texts[1_001]), Err(RatchetOpenError::NotAuthentic), "1,001 skipped");
    open(&mut bob, &texts[1_000]).unwrap();
    assert_eq!(bob.skipped.len(), 1_000);
    // A second and third gap in the same chain: the oldest keys go.
    texts.extend((0..2_010).map(|_| ada.seal(PREFIX, b"", &mut random).unwrap()));
    open(&mut bob, &texts[2_001]).unwrap();
    open(&mut bob, &texts[3_002]).unwrap();
    assert_eq!(bob.skipped.len(), MAX_SKIPPED);
    assert_eq!(open(&mut bob, &texts[999]), Err(RatchetOpenError::Consumed));
    open(&mut bob, &texts[1_001]).unwrap();
    // And all of them after a week.
    bob.forget(NOW + SKIPPED_FOR);
    assert_eq!(bob.skipped.len(), MAX_SKIPPED - 1);
    bob.forget(NOW + SKIPPED_FOR + Duration::from_millis(1));
    assert!(bob.skipped.is_empty());
}

/// Mallory copies Ada's state. One exchange later the copy opens nothing, and it never opened what came before.
#[test]
fn stolen_state_opens_nothing_before_or_after_an_exchange() {
    let mut random = random(4);
    let (mut ada, mut bob) = pair(&mut random);
    let hello = ada.seal(PREFIX, b"hello", &mut random).unwrap();
    open(&mut bob, &hello).unwrap();
    let before = bob.seal(PREFIX, b"before", &mut random).unwrap();
    open(&mut ada, &before).unwrap();

    let mut thief = copy(&ada);
    assert!(open(&mut thief, &before).is_err());
    // Until Ada writes, the thief reads along.
    let during = bob.seal(PREFIX, b"during", &mut random).unwrap();
    assert_eq!(open(&mut copy(&thief), &during).unwrap(), b"during");
    open(&mut ada, &during).unwrap();
    let healing = ada.seal(PREFIX, b"healing", &mut random).unwrap();
    open(&mut bob, &healing).unwrap();
    let after = bob.seal(PREFIX, b"after", &mut random).unwrap();
    assert_eq!(open(&mut thief, &after), Err(RatchetOpenError::NotAuthentic));
    assert_eq!(open(&mut ada, &after).unwrap(), b"after");
}

/// A browser's storage comes back as it was: the same chain keys, but never a key and nonce twice.
#[test]
fn restored_copy_repeats_no_key_and_nonce() {
    let mut random = random(5);
    let (mut ada, mut bob) = pair(&mut random);
    let first = ada.seal(PREFIX, b"first", &mut random).unwrap();
    open(&mut bob, &first).unwrap();
    let mut restored = copy(&ada);
    let chain_keys = [&ada, &restored].map(|ratchet| *ratchet.sending.as_ref().unwrap().key);
    assert_eq!(chain_keys[0], chain_keys[1]);
    let (message_key, _) = ada.sending.as_ref().unwrap().step().unwrap();
    let mut used = BTreeSet::new();
    for ratchet in [&mut ada, &mut restored] {
        let sealed = ratchet.seal(PREFIX, b"the same text", &mut random).unwrap();
        let parts = Sealed::read(&sealed).unwrap();
        let (key, nonce) = cipher_key(&message_key, &parts.salt);
        assert!(used.insert((*key, nonce)), "key and nonce repeat");
        assert!(used.insert((*key, [0; 12])), "the key repeats");
        assert_eq!(parts.n, 1);
    }
}

/// Random partners in random order, with losses and copies of the state: what opens is what was sealed, once.
#[test]
fn random_exchanges_open_each_text_once() {
    for seed in 0..20 {
        let mut random = random(seed);
        let (mut ada, mut bob) = pair(&mut random);
        let mut wire: Vec<(bool, u32, Vec<u8>)> = Vec::new();
        let mut opened = BTreeSet::new();
        for number in 0..60u32 {
            let [choice, pick] = random.array::<2>();
            let to_bob = choice % 2 == 0;
            // Bob cannot write before he has read.
            let from = if to_bob || bob.peer.is_none() { &mut ada } else { &mut bob };
            let sealed = from.seal(PREFIX, &number.to_be_bytes(), &mut random).unwrap();
            wire.push((to_bob || bob.peer.is_none(), number, sealed));
            if choice & 2 != 0 {
                let (to_bob, number, sealed) = wire[usize::from(pick) % wire.len()].clone();
                let to = if to_bob { &mut bob } else { &mut ada };
                match open(to, &sealed) {
                    Ok(text) => {
                        assert_eq!(text, number.to_be_bytes());
                        assert!(opened.insert(number), "seed {seed}: {number} opens twice");
                    }
                    Err(error) => {
                        assert_eq!(error, RatchetOpenError::Consumed, "seed {seed}");
                        assert!(opened.contains(&number));
                    }
                }
                if choice & 4 != 0 {
                    (ada, bob) = (copy(&ada), copy(&bob));
                }
            }
        }
        for (to_bob, number, sealed) in wire {
            let text = open(if to_bob { &mut bob } else { &mut ada }, &sealed);
            assert_eq!(text.is_ok(), opened.insert(number), "seed {seed}: {number}");
        }
    }
}
