//! The ideal twin of the primitives, for simulations: functions of the same shape that mix instead of encrypting.
//!
//! Different inputs give different outputs but for chance, tags fail where the real ones fail, and nothing is secret:
//! whoever lacks a key is a device that does not know it, not an attacker who computes.

use super::{Aead, BoxKey, Output, Primitives, Secret, Signing};
use crate::sframe::backend::Unauthentic;

/// Mixing in place of cryptography.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ideal;

/// Four lanes that take eight bytes at a time.
#[derive(Clone)]
struct Mix([u64; 4], u64);

impl Mix {
    fn new(purpose: u64) -> Self {
        Self([purpose, 0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0], 0)
    }

    fn word(&mut self, word: u64) {
        let lane = (self.1 % 4) as usize;
        let neighbour = self.0[(lane + 1) % 4];
        let mixed = (self.0[lane] ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0[lane] = mixed.rotate_left(31) ^ neighbour.wrapping_mul(0xd6e8_feb8_6659_fd93);
        self.1 += 1;
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.word(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
        self.word(bytes.len() as u64);
        self
    }

    fn words(mut self) -> [u64; 4] {
        (0..8).for_each(|round| self.word(round));
        self.0
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
    data.iter_mut().zip(pad.iter().cycle()).for_each(|(byte, pad)| *byte ^= pad);
}

fn tag(mix: Mix) -> [u8; 16] {
    *mix.array().first_chunk().unwrap()
}

impl Primitives for Ideal {
    type Aead = IdealAead;
    type Signing = IdealSigning;
    type Secret = IdealSecret;

    fn hash(parts: &[&[u8]]) -> [u8; 32] {
        parts.iter().fold(Mix::new(1), |mix, part| mix.bytes(part)).array()
    }

    fn derive(salt: &[u8], secret: &[u8], outputs: &mut [Output<'_>]) {
        let prk = Mix::new(2).bytes(salt).bytes(secret);
        for (info, out) in outputs {
            let bytes = info.iter().fold(prk.clone(), |mix, part| mix.bytes(part)).array();
            out.iter_mut().zip(bytes.iter().cycle()).for_each(|(slot, byte)| *slot = *byte);
        }
    }

    fn mac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
        Mix::new(3).bytes(key).bytes(message).array()
    }

    fn verify(device: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        signature.starts_with(&Mix::new(4).bytes(device).bytes(message).array())
    }
}

/// The public half of a seed.
fn public(seed: &[u8; 32]) -> [u8; 32] {
    Mix::new(5).bytes(seed).array()
}

pub(crate) struct IdealSigning([u8; 32]);

impl Signing for IdealSigning {
    fn from_seed(seed: &[u8; 32]) -> Self {
        Self(public(seed))
    }

    fn public(&self) -> [u8; 32] {
        self.0
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&Mix::new(4).bytes(&self.0).bytes(message).array());
        signature
    }
}

pub(crate) struct IdealSecret([u8; 32]);

impl Secret for IdealSecret {
    type Box = IdealBox;

    fn from_seed(seed: &[u8; 32]) -> Self {
        Self(public(seed))
    }

    fn public(&self) -> [u8; 32] {
        self.0
    }

    fn contributes(&self, theirs: &[u8; 32]) -> bool {
        *theirs != [0; 32]
    }

    fn agree(&self, theirs: &[u8; 32]) -> IdealBox {
        let (low, high) = (self.0.min(*theirs), self.0.max(*theirs));
        IdealBox(Mix::new(6).bytes(&low).bytes(&high).array())
    }
}

pub(crate) struct IdealBox([u8; 32]);

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

pub(crate) struct IdealAead([u8; 32]);

impl Aead for IdealAead {
    fn new(key: &[u8]) -> Option<Self> {
        Some(Self(key.try_into().ok()?))
    }

    fn seal(&self, nonce: &[u8; 12], aad: &[u8], data: &mut [u8]) -> Result<[u8; 16], Unauthentic> {
        let mix = Mix::new(8).bytes(&self.0).bytes(nonce);
        pad(mix.clone().words(), data);
        Ok(tag(mix.bytes(aad).bytes(data)))
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
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_as_the_real_ones_do(key: [u8; 32], other: [u8; 32], nonce: [u8; 24], data: [u8; 40], flip in 0usize..40) {
            let (ada, bob) = (IdealSecret::from_seed(&key), IdealSecret::from_seed(&other));
            let mut sealed = data;
            let tag = ada.agree(&bob.public()).seal(&nonce, &mut sealed).unwrap();
            prop_assert_ne!(sealed, data);
            let mut broken = sealed;
            broken[flip] ^= 1;
            prop_assert!(bob.agree(&ada.public()).open(&nonce, &mut broken, &tag).is_none());
            prop_assert!(bob.agree(&ada.public()).open(&nonce, &mut sealed, &tag).is_some());
            prop_assert_eq!(sealed, data);

            let signing = IdealSigning::from_seed(&key);
            let signature = signing.sign(&data);
            prop_assert!(Ideal::verify(&signing.public(), &data, &signature));
            prop_assert!(!Ideal::verify(&signing.public(), &broken, &signature));
        }
    }
}
