//! The Double Ratchet of one session, with salted message keys.
//!
//! ```text
//! sealed  ratchet32 previous4 n4 salt16 ct tag16                                AAD: session id and slip head || the first 56
//!
//! root, chain = HKDF("e2ee-messages/1 root", root || DH(own, peer's ratchet key), "root" | "chain")     at each new ratchet key
//! message key = HMAC-SHA-256(chain, 1);   next chain = HMAC-SHA-256(chain, 2)                           at each message
//! key, nonce  = HKDF(salt16, message key, "e2ee-messages/1 message")                                    AES-256-GCM
//! ```
//! * Each side draws a new ratchet key when it first writes after the other has: who stole the state of before reads no
//!   further, and who steals that of afterwards reads nothing from before.
//! * Why the salt: a browser's storage that is restored from a copy repeats its chain keys. With a random salt it still
//!   never seals two texts under one key and nonce.
//! * Nothing changes before the tag has authenticated and the caller commits: [`Ratchet::open`] returns the text and the
//!   [`Step`] that [`Ratchet::commit`] takes.

use crate::{
    agreement::AgreementSecret,
    cipher::{self, CipherError, KEY_BYTES, NONCE_BYTES, TAG_BYTES},
    label,
    state::{Writer, read_list, read_option},
    time::{DAY, Time},
};
use alloc::vec::Vec;
use core::time::Duration;
use e2ee_core::{Primitives, Random, Reader, SecretBytes, Standard};
use e2ee_identity::AgreementPublic;
use zeroize::Zeroizing;

/// Maximum number of messages of a chain that are skipped at once.
pub(crate) const MAX_SKIP: u32 = 1_000;
/// Maximum number of message keys that a session keeps for messages that have not come.
pub(crate) const MAX_SKIPPED: usize = 2_000;
/// For how long it keeps them.
const SKIPPED_FOR: Duration = Duration::from_secs(7 * DAY.as_secs());
/// How many of the peer's former ratchet keys are known, to tell a message that came before from one that does not open.
const MAX_RETIRED: usize = 32;
/// Bytes before the ciphertext.
const HEADER_BYTES: usize = 56;

/// A chain of message keys.
struct Chain {
    key: SecretBytes<32>,
    /// Number of the next message.
    next: u32,
}

/// The key of a message that has not come.
struct Skipped {
    ratchet: AgreementPublic,
    n: u32,
    key: SecretBytes<32>,
    since: Time,
}

/// One side of a session.
pub(crate) struct Ratchet {
    root: SecretBytes<32>,
    own: AgreementSecret,
    peer: Option<AgreementPublic>,
    /// `None` before the first message and after the peer's ratchet key has changed: a new own one is due.
    sending: Option<Chain>,
    receiving: Option<Chain>,
    /// Length of the sending chain before this one.
    previous: u32,
    /// Oldest first.
    skipped: Vec<Skipped>,
    /// The peer's former ratchet keys and the lengths of their chains, oldest first.
    retired: Vec<(AgreementPublic, u32)>,
}

/// Why a text was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RatchetSealError {
    /// 2³² messages, or a peer whose ratchet key contributes nothing.
    Exhausted,
    Cipher(CipherError),
}

/// Why a text does not open. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RatchetOpenError {
    /// Altered, of another session, or too far ahead.
    NotAuthentic,
    /// Its key has been used, or was dropped.
    Consumed,
}

/// What a text that has opened changes.
pub(crate) enum Step {
    /// It was one of the skipped.
    Skipped(usize),
    /// It was ahead.
    Advance(Advance),
}

pub(crate) struct Advance {
    renewal: Option<Renewal>,
    receiving: Chain,
    skipped: Vec<Skipped>,
}

/// The peer's ratchet key was new.
struct Renewal {
    root: SecretBytes<32>,
    peer: AgreementPublic,
    /// The former one, and the length of its chain.
    retired: Option<(AgreementPublic, u32)>,
}

impl Chain {
    /// The key of the next message, and the chain behind it. `None` after 2³² messages.
    fn step(&self) -> Option<(SecretBytes<32>, Self)> {
        let next = self.next.checked_add(1)?;
        let derive = |purpose| SecretBytes::copy_of(&Zeroizing::new(Standard::mac(&self.key, &[purpose])));
        Some((derive(1), Self { key: derive(2), next }))
    }

    /// Steps up to message `n`, and keeps the keys that are skipped. `None` if that is too far.
    fn skip(self, n: u32, ratchet: AgreementPublic, since: Time, skipped: &mut Vec<Skipped>) -> Option<Self> {
        if n.saturating_sub(self.next) > MAX_SKIP {
            return None;
        }
        let mut chain = self;
        while chain.next < n {
            let (key, behind) = chain.step()?;
            skipped.push(Skipped { ratchet, n: chain.next, key, since });
            chain = behind;
        }
        Some(chain)
    }

    fn duplicate(&self) -> Self {
        Self { key: SecretBytes::copy_of(&self.key), next: self.next }
    }
}

/// The next root key, and the first key of the chain that belongs to it.
fn next_root(root: &SecretBytes<32>, shared: &SecretBytes<32>) -> (SecretBytes<32>, SecretBytes<32>) {
    let mut secret = SecretBytes::<64>::zeros();
    let (head, tail) = e2ee_core::array::split_mut::<32, 32, 64>(&mut secret);
    head.copy_from_slice(&**root);
    tail.copy_from_slice(&**shared);
    let (mut root, mut chain) = (SecretBytes::zeros(), SecretBytes::zeros());
    let (root_info, chain_info): (&[&[u8]], &[&[u8]]) = (&[b"root"], &[b"chain"]);
    Standard::derive(label::ROOT.as_bytes(), &*secret, &mut [(root_info, &mut *root), (chain_info, &mut *chain)]);
    (root, chain)
}

/// Draws a ratchet key, and starts the chain that belongs to it. `None` if the peer's key contributes nothing.
fn start_chain(
    root: &SecretBytes<32>,
    peer: &AgreementPublic,
    random: &mut (impl Random + ?Sized),
) -> Option<(SecretBytes<32>, AgreementSecret, Chain)> {
    let own = AgreementSecret::draw(random);
    let (root, key) = next_root(root, &own.agree(peer)?);
    Some((root, own, Chain { key, next: 0 }))
}

/// Key and nonce of a message.
pub(crate) fn cipher_key(message_key: &[u8; 32], salt: &[u8; 16]) -> (SecretBytes<KEY_BYTES>, [u8; NONCE_BYTES]) {
    salted(message_key, salt, &label::MESSAGE)
}

/// Key and nonce from a message key and a salt, for one purpose.
pub(crate) fn salted(
    message_key: &[u8; 32],
    salt: &[u8; 16],
    purpose: &e2ee_core::Label,
) -> (SecretBytes<KEY_BYTES>, [u8; NONCE_BYTES]) {
    let mut both = SecretBytes::<{ KEY_BYTES + NONCE_BYTES }>::zeros();
    let info: &[&[u8]] = &[purpose.as_bytes()];
    Standard::derive(salt, message_key, &mut [(info, &mut *both)]);
    let (key, nonce) = e2ee_core::array::split::<KEY_BYTES, NONCE_BYTES, { KEY_BYTES + NONCE_BYTES }>(&both);
    (SecretBytes::copy_of(key), *nonce)
}

/// A sealed text, taken apart.
struct Sealed<'a> {
    header: &'a [u8; HEADER_BYTES],
    ratchet: AgreementPublic,
    previous: u32,
    n: u32,
    salt: [u8; 16],
    contents: &'a [u8],
    tag: &'a [u8; TAG_BYTES],
}

impl<'a> Sealed<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let (contents, tag) = rest.split_last_chunk()?;
        let mut reader = Reader::new(header);
        let (ratchet, previous, n) = (AgreementPublic(reader.array()?), reader.u32()?, reader.u32()?);
        Some(Self { header, ratchet, previous, n, salt: reader.array()?, contents, tag })
    }

    fn open(&self, message_key: &[u8; 32], prefix: &[u8]) -> Result<Zeroizing<Vec<u8>>, RatchetOpenError> {
        let (key, nonce) = cipher_key(message_key, &self.salt);
        let mut text = Zeroizing::new(self.contents.to_vec());
        let aad = [prefix, self.header].concat();
        cipher::open(&key, &nonce, &aad, text.as_mut_slice(), self.tag).ok_or(RatchetOpenError::NotAuthentic)?;
        Ok(text)
    }
}

impl Ratchet {
    /// The side that writes first, to the signed prekey of the other. `None` if that contributes nothing.
    pub(crate) fn initiator(
        root: SecretBytes<32>,
        peer: AgreementPublic,
        random: &mut (impl Random + ?Sized),
    ) -> Option<Self> {
        let (root, own, chain) = start_chain(&root, &peer, random)?;
        Some(Self { sending: Some(chain), ..Self::new(root, own, Some(peer)) })
    }

    /// The side that answers, with the signed prekey to which the other has written.
    pub(crate) fn responder(root: SecretBytes<32>, signed: AgreementSecret) -> Self {
        Self::new(root, signed, None)
    }

    fn new(root: SecretBytes<32>, own: AgreementSecret, peer: Option<AgreementPublic>) -> Self {
        let (skipped, retired) = (Vec::new(), Vec::new());
        Self { root, own, peer, sending: None, receiving: None, previous: 0, skipped, retired }
    }

    /// Seals a text. The state that remains must be stored before the result leaves the device.
    pub(crate) fn seal(
        &mut self,
        prefix: &[u8],
        text: &[u8],
        random: &mut (impl Random + ?Sized),
    ) -> Result<Vec<u8>, RatchetSealError> {
        if self.sending.is_none() {
            let peer = self.peer.ok_or(RatchetSealError::Exhausted)?;
            let (root, own, chain) = start_chain(&self.root, &peer, random).ok_or(RatchetSealError::Exhausted)?;
            (self.root, self.own, self.sending) = (root, own, Some(chain));
        }
        let chain = self.sending.as_mut().ok_or(RatchetSealError::Exhausted)?;
        let (message_key, behind) = chain.step().ok_or(RatchetSealError::Exhausted)?;
        let mut salt = [0; 16];
        random.fill(&mut salt);
        let header: [u8; HEADER_BYTES] = e2ee_core::array::concat(&[
            &self.own.public().0,
            &self.previous.to_be_bytes(),
            &chain.next.to_be_bytes(),
            &salt,
        ]);
        *chain = behind;
        let (key, nonce) = cipher_key(&message_key, &salt);
        let mut contents = Zeroizing::new(text.to_vec());
        let aad = [prefix, &header].concat();
        let tag = cipher::seal(&key, &nonce, &aad, contents.as_mut_slice()).map_err(RatchetSealError::Cipher)?;
        Ok([&header[..], &contents, &tag].concat())
    }

    /// Opens a text, and returns what that changes once it is committed.
    pub(crate) fn open(
        &self,
        prefix: &[u8],
        bytes: &[u8],
        now: Time,
    ) -> Result<(Zeroizing<Vec<u8>>, Step), RatchetOpenError> {
        use RatchetOpenError::{Consumed, NotAuthentic};
        let sealed = Sealed::read(bytes).ok_or(NotAuthentic)?;
        let is_it = |skipped: &Skipped| skipped.ratchet == sealed.ratchet && skipped.n == sealed.n;
        if let Some((index, skipped)) = self.skipped.iter().enumerate().find(|(_, skipped)| is_it(skipped)) {
            return Ok((sealed.open(&skipped.key, prefix)?, Step::Skipped(index)));
        }
        if let Some((_, length)) = self.retired.iter().find(|(ratchet, _)| *ratchet == sealed.ratchet) {
            return Err(if sealed.n < *length { Consumed } else { NotAuthentic });
        }
        let mut skipped = Vec::new();
        let current = self.receiving.as_ref().filter(|_| self.peer == Some(sealed.ratchet));
        let (chain, renewal) = match current {
            Some(chain) if sealed.n < chain.next => return Err(Consumed),
            Some(chain) => (chain.duplicate(), None),
            None => {
                let mut retired = None;
                if let (Some(peer), Some(chain)) = (self.peer, &self.receiving) {
                    let rest = chain.duplicate().skip(sealed.previous, peer, now, &mut skipped);
                    retired = Some((peer, rest.ok_or(NotAuthentic)?.next));
                }
                let shared = self.own.agree(&sealed.ratchet).ok_or(NotAuthentic)?;
                let (root, key) = next_root(&self.root, &shared);
                (Chain { key, next: 0 }, Some(Renewal { root, peer: sealed.ratchet, retired }))
            }
        };
        let chain = chain.skip(sealed.n, sealed.ratchet, now, &mut skipped).ok_or(NotAuthentic)?;
        let (message_key, receiving) = chain.step().ok_or(NotAuthentic)?;
        let text = sealed.open(&message_key, prefix)?;
        Ok((text, Step::Advance(Advance { renewal, receiving, skipped })))
    }

    /// Takes the step of a text that has just been opened.
    pub(crate) fn commit(&mut self, step: Step, now: Time) {
        match step {
            Step::Skipped(index) if index < self.skipped.len() => drop(self.skipped.remove(index)),
            Step::Skipped(_) => {}
            Step::Advance(Advance { renewal, receiving, skipped }) => {
                if let Some(Renewal { root, peer, retired }) = renewal {
                    (self.root, self.peer) = (root, Some(peer));
                    self.retired.extend(retired);
                    if let Some(sent) = self.sending.take() {
                        self.previous = sent.next;
                    }
                }
                self.receiving = Some(receiving);
                self.skipped.extend(skipped);
            }
        }
        self.forget(now);
    }

    /// Drops what is kept for too long, or is too much.
    pub(crate) fn forget(&mut self, now: Time) {
        self.skipped.retain(|skipped| now.since(skipped.since) <= SKIPPED_FOR);
        self.skipped.drain(..self.skipped.len().saturating_sub(MAX_SKIPPED));
        self.retired.drain(..self.retired.len().saturating_sub(MAX_RETIRED));
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        let chain = |writer: &mut Writer, chain: &Chain| {
            writer.bytes(&*chain.key);
            writer.u32(chain.next);
        };
        writer.bytes(&*self.root);
        self.own.write(writer);
        writer.option(self.peer.as_ref(), |writer, peer| writer.bytes(&peer.0));
        writer.option(self.sending.as_ref(), chain);
        writer.option(self.receiving.as_ref(), chain);
        writer.u32(self.previous);
        writer.list(&self.skipped, |writer, skipped| {
            writer.bytes(&skipped.ratchet.0);
            writer.u32(skipped.n);
            writer.bytes(&*skipped.key);
            writer.u64(skipped.since.0);
        });
        writer.list(&self.retired, |writer, (ratchet, length)| {
            writer.bytes(&ratchet.0);
            writer.u32(*length);
        });
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let secret = |reader: &mut Reader<'_>| Some(SecretBytes::copy_of(reader.chunk()?));
        let public = |reader: &mut Reader<'_>| Some(AgreementPublic(reader.array()?));
        let chain = |reader: &mut Reader<'_>| Some(Chain { key: secret(reader)?, next: reader.u32()? });
        Some(Self {
            root: secret(reader)?,
            own: AgreementSecret::read(reader)?,
            peer: read_option(reader, public)?,
            sending: read_option(reader, chain)?,
            receiving: read_option(reader, chain)?,
            previous: reader.u32()?,
            skipped: read_list(reader, MAX_SKIPPED, |reader| {
                Some(Skipped {
                    ratchet: public(reader)?,
                    n: reader.u32()?,
                    key: secret(reader)?,
                    since: Time(reader.u64()?),
                })
            })?,
            retired: read_list(reader, MAX_RETIRED, |reader| Some((public(reader)?, reader.u32()?)))?,
        })
    }
}

#[cfg(test)]
mod tests {
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
}
