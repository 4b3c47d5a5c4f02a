//! X25519, for agreements whose result enters a key derivation together with others.

use crate::state::Writer;
use alloc::boxed::Box;
use e2ee_core::{Random, Reader, SecretBytes};
use e2ee_identity::AgreementPublic;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroize;

/// The private half of an X25519 key, with its public half: computing that costs as much as an agreement.
pub(crate) struct AgreementSecret {
    seed: SecretBytes<32>,
    public: AgreementPublic,
}

impl AgreementSecret {
    pub(crate) fn draw(random: &mut (impl Random + ?Sized)) -> Self {
        let mut seed = SecretBytes::zeros();
        random.fill(&mut *seed);
        Self::new(seed)
    }

    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        Self::new(SecretBytes::copy_of(seed))
    }

    /// Writes both halves, so that reading costs no computation.
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.bytes(&*self.seed);
        writer.bytes(&self.public.0);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { seed: SecretBytes::copy_of(reader.chunk()?), public: AgreementPublic(reader.array()?) })
    }

    fn new(seed: SecretBytes<32>) -> Self {
        let public = AgreementPublic(PublicKey::from(&*expand(&seed)).to_bytes());
        Self { seed, public }
    }

    pub(crate) fn duplicate(&self) -> Self {
        Self { seed: SecretBytes::copy_of(&self.seed), public: self.public }
    }

    #[cfg(test)]
    pub(crate) fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    pub(crate) fn public(&self) -> AgreementPublic {
        self.public
    }

    /// The shared secret. `None` for a point of low order, with which everyone agrees on the same.
    pub(crate) fn agree(&self, peer: &AgreementPublic) -> Option<SecretBytes<32>> {
        let shared = expand(&self.seed).diffie_hellman(&PublicKey::from(peer.0));
        shared.was_contributory().then(|| SecretBytes::copy_of(shared.as_bytes()))
    }
}

/// Whether a public half contributes to an agreement: a point of low order does not, with any private half.
pub(crate) fn contributes(public: &AgreementPublic) -> bool {
    StaticSecret::from([1; 32]).diffie_hellman(&PublicKey::from(public.0)).was_contributory()
}

/// The key that the library computes with. It erases itself, here on the heap.
fn expand(seed: &SecretBytes<32>) -> Box<StaticSecret> {
    let mut copy = **seed;
    let secret = Box::new(StaticSecret::from(copy));
    copy.zeroize();
    secret
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_agree_and_weak_points_do_not() {
        let (ada, bob) = (AgreementSecret::from_seed(&[1; 32]), AgreementSecret::from_seed(&[2; 32]));
        let (ours, theirs) = (ada.agree(&bob.public()).unwrap(), bob.agree(&ada.public()).unwrap());
        assert_eq!(*ours, *theirs);
        assert!(contributes(&ada.public()));
        let mut one = [0; 32];
        one[0] = 1;
        for weak in [[0; 32], one] {
            assert!(ada.agree(&AgreementPublic(weak)).is_none() && !contributes(&AgreementPublic(weak)));
        }
    }
}
