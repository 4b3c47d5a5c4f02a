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

#[cfg(test)]
mod tests;

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
