//! Ideal primitives for simulations: functions of the same shape that mix instead of encrypting.
//!
//! Different inputs yield different outputs except by chance, and tags fail where the real ones fail. Nothing is secret:
//! a device without a key merely does not know it; an attacker could compute it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "only in tests")]

use super::{AgreementKey, BoxKey, Output, Primitives, SigningKey};
use crate::{
    aead::{Aead, Unauthentic},
    label::Label,
};

/// Mixing in place of cryptography.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ideal;

/// Two lanes that each take half of 32 bytes at a time.
#[derive(Clone)]
struct Mix(u64, u64);

/// Digits of pi, none of which occurs as data.
const PI: [u64; 4] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89];

/// Both halves of a product, which depend on all bits of the factors.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

impl Mix {
    fn new(purpose: u64) -> Self {
        Self(fold(purpose ^ PI[0], PI[1]), fold(purpose ^ PI[2], PI[3]))
    }

    fn block(&mut self, [a, b, c, d]: [u64; 4]) {
        *self = Self(fold(a ^ PI[0], b ^ self.0), fold(c ^ PI[1], d ^ self.1));
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.1 = self.1.rotate_left(1).wrapping_add(bytes.len() as u64);
        let (blocks, rest) = bytes.as_chunks::<32>();
        let words = |block: &[u8; 32]| core::array::from_fn(|index| u64::from_le_bytes(block.as_chunks().0[index]));
        blocks.iter().for_each(|block| self.block(words(block)));
        if !rest.is_empty() {
            let (words, tail) = rest.as_chunks::<8>();
            let mut last = [0; 4];
            last.iter_mut().zip(words).for_each(|(slot, word)| *slot = u64::from_le_bytes(*word));
            last[words.len()] |= tail.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.block(last);
        }
        self
    }

    fn words(self) -> [u64; 4] {
        PI.map(|word| fold(self.0 ^ word, self.1 ^ word.rotate_left(32)))
    }

    fn array(self) -> [u8; 32] {
        let mut out = [0; 32];
        out.as_chunks_mut::<8>().0.iter_mut().zip(self.words()).for_each(|(slot, word)| *slot = word.to_le_bytes());
        out
    }
}

/// Adds a pad to the data, as a stream cipher would.
fn pad(words: [u64; 4], data: &mut [u8]) {
    let mut pad = [0; 32];
    pad.as_chunks_mut::<8>().0.iter_mut().zip(words).for_each(|(slot, word)| *slot = word.to_le_bytes());
    for block in data.chunks_mut(pad.len()) {
        block.iter_mut().zip(pad).for_each(|(byte, pad)| *byte ^= pad);
    }
}

fn tag(mix: Mix) -> [u8; 16] {
    *mix.array().first_chunk().unwrap()
}

impl Primitives for Ideal {
    type Aead = IdealAead;
    type Signing = IdealSigning;
    type Agreement = IdealAgreement;

    fn digest(bytes: &[u8]) -> [u8; 32] {
        Mix::new(1).bytes(bytes).array()
    }

    fn hash(label: &Label, parts: &[&[u8]]) -> [u8; 32] {
        parts.iter().fold(Mix::new(1).bytes(label.as_bytes()), |mix, part| mix.bytes(part)).array()
    }

    fn derive(salt: &[u8], secret: &[u8], outputs: &mut [Output<'_>]) {
        let prk = Mix::new(2).bytes(salt).bytes(secret);
        for (info, out) in outputs {
            let bytes = info.iter().fold(prk.clone(), |mix, part| mix.bytes(part)).array();
            for block in out.chunks_mut(bytes.len()) {
                block.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = byte);
            }
        }
    }

    fn mac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
        Mix::new(3).bytes(key).bytes(message).array()
    }

    fn verify(device: &[u8; 32], label: &Label, message: &[u8], signature: &[u8; 64]) -> bool {
        signature.starts_with(&signature_of(device, label, message))
    }
}

fn signature_of(device: &[u8; 32], label: &Label, message: &[u8]) -> [u8; 32] {
    Mix::new(4).bytes(device).bytes(label.as_bytes()).bytes(message).array()
}

/// The public half of a seed.
fn public(seed: &[u8; 32]) -> [u8; 32] {
    Mix::new(5).bytes(seed).array()
}

pub struct IdealSigning([u8; 32]);

impl SigningKey for IdealSigning {
    fn from_seed(seed: &[u8; 32]) -> Self {
        Self(public(seed))
    }

    fn public(&self) -> [u8; 32] {
        self.0
    }

    fn sign(&self, label: &Label, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&signature_of(&self.0, label, message));
        signature
    }
}

pub struct IdealAgreement([u8; 32]);

impl AgreementKey for IdealAgreement {
    type Box = IdealBox;

    fn from_seed(seed: &[u8; 32]) -> Self {
        Self(public(seed))
    }

    fn public(&self) -> [u8; 32] {
        self.0
    }

    fn contributes(&self, peer: &[u8; 32]) -> bool {
        *peer != [0; 32]
    }

    fn agree(&self, peer: &[u8; 32]) -> IdealBox {
        let (low, high) = (self.0.min(*peer), self.0.max(*peer));
        IdealBox(Mix::new(6).bytes(&low).bytes(&high).array())
    }
}

pub struct IdealBox([u8; 32]);

impl BoxKey for IdealBox {
    fn seal(&self, nonce: &[u8; 24], data: &mut [u8]) -> Option<[u8; 16]> {
        let mix = Mix::new(7).bytes(&self.0).bytes(nonce);
        pad(mix.clone().words(), data);
        Some(tag(mix.bytes(data)))
    }

    fn open(&self, nonce: &[u8; 24], data: &mut [u8], expected: &[u8; 16]) -> Option<()> {
        let mix = Mix::new(7).bytes(&self.0).bytes(nonce);
        (tag(mix.clone().bytes(data)) == *expected).then(|| pad(mix.words(), data))
    }
}

pub struct IdealAead([u8; 32]);

impl Aead for IdealAead {
    fn new(key: &[u8]) -> Option<Self> {
        Some(Self(key.try_into().ok()?))
    }

    fn seal(&self, nonce: &[u8; 12], aad: &[u8], data: &mut [u8]) -> Result<[u8; 16], Unauthentic> {
        let mix = Mix::new(8).bytes(&self.0).bytes(nonce);
        pad(mix.clone().words(), data);
        Ok(tag(mix.bytes(aad).bytes(data)))
    }

    fn seal_into(&self, nonce: &[u8; 12], aad: &[u8], plain: &[u8], out: &mut [u8]) -> Result<[u8; 16], Unauthentic> {
        out.copy_from_slice(plain);
        self.seal(nonce, aad, out)
    }

    fn open(&self, nonce: &[u8; 12], aad: &[u8], data: &mut [u8], expected: &[u8; 16]) -> Result<(), Unauthentic> {
        let mix = Mix::new(8).bytes(&self.0).bytes(nonce);
        if tag(mix.clone().bytes(aad).bytes(data)) != *expected {
            return Err(Unauthentic);
        }
        pad(mix.words(), data);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Domain;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ideal_rejects_what_real_primitives_reject(key: [u8; 32], other: [u8; 32], nonce: [u8; 24], data: [u8; 40], flip in 0usize..40) {
            let (ada, bob) = (IdealAgreement::from_seed(&key), IdealAgreement::from_seed(&other));
            let mut sealed = data;
            let tag = ada.agree(&bob.public()).seal(&nonce, &mut sealed).unwrap();
            prop_assert_ne!(sealed, data);
            let mut broken = sealed;
            broken[flip] ^= 1;
            prop_assert!(bob.agree(&ada.public()).open(&nonce, &mut broken, &tag).is_none());
            prop_assert!(bob.agree(&ada.public()).open(&nonce, &mut sealed, &tag).is_some());
            prop_assert_eq!(sealed, data);

            let signing = IdealSigning::from_seed(&key);
            let label = Domain::new("test/1").label("data");
            let signature = signing.sign(&label, &data);
            prop_assert!(Ideal::verify(&signing.public(), &label, &data, &signature));
            prop_assert!(!Ideal::verify(&signing.public(), &label, &broken, &signature));
        }
    }
}
