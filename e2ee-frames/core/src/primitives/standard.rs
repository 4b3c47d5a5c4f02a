//! The real primitives: RustCrypto and dalek, and AES-GCM by the backend that is compiled in.

use super::{AgreementKey, BoxKey, Output, Primitives, SigningKey};
use crate::{aead, label::Label};
use crypto_box::{PublicKey, SalsaBox, SecretKey, aead::AeadInPlace};
use ed25519_dalek::{Signature, Signer, VerifyingKey};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use x25519_dalek::StaticSecret;
use zeroize::Zeroize;

/// AES-256-GCM, Ed25519, X25519 with XSalsa20-Poly1305, HKDF-SHA-512, SHA-256.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standard;

impl Primitives for Standard {
    type Aead = aead::Default;
    type Signing = ed25519_dalek::SigningKey;
    type Agreement = StaticSecret;

    fn digest(bytes: &[u8]) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }

    fn hash(label: &Label, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(label.as_bytes());
        parts.iter().for_each(|part| hash.update(part));
        hash.finalize().into()
    }

    fn derive(salt: &[u8], secret: &[u8], outputs: &mut [Output<'_>]) {
        let (mut prk, hkdf) = Hkdf::<Sha512>::extract(Some(salt), secret);
        prk.as_mut_slice().zeroize();
        for (info, out) in outputs {
            let expanded = hkdf.expand_multi_info(info, out);
            debug_assert!(expanded.is_ok(), "outputs are far shorter than the limit");
        }
    }

    fn mac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
        // HMAC accepts keys of every length, so there is no other case.
        <Hmac<Sha256> as KeyInit>::new_from_slice(key)
            .map_or([0; 32], |mac| mac.chain_update(message).finalize().into_bytes().into())
    }

    fn verify(device: &[u8; 32], label: &Label, message: &[u8], signature: &[u8; 64]) -> bool {
        let message = [label.as_bytes(), message].concat();
        VerifyingKey::from_bytes(device)
            .is_ok_and(|device| device.verify_strict(&message, &Signature::from_bytes(signature)).is_ok())
    }
}

impl SigningKey for ed25519_dalek::SigningKey {
    fn from_seed(seed: &[u8; 32]) -> Self {
        Self::from_bytes(seed)
    }

    fn public(&self) -> [u8; 32] {
        self.verifying_key().to_bytes()
    }

    fn sign(&self, label: &Label, message: &[u8]) -> [u8; 64] {
        Signer::sign(self, &[label.as_bytes(), message].concat()).to_bytes()
    }
}

impl AgreementKey for StaticSecret {
    type Box = SalsaBox;

    fn from_seed(seed: &[u8; 32]) -> Self {
        Self::from(*seed)
    }

    fn public(&self) -> [u8; 32] {
        x25519_dalek::PublicKey::from(self).to_bytes()
    }

    fn contributes(&self, peer: &[u8; 32]) -> bool {
        self.diffie_hellman(&x25519_dalek::PublicKey::from(*peer)).was_contributory()
    }

    fn agree(&self, peer: &[u8; 32]) -> SalsaBox {
        SalsaBox::new(&PublicKey::from(*peer), &SecretKey::from(self.to_bytes()))
    }
}

impl BoxKey for SalsaBox {
    fn seal(&self, nonce: &[u8; 24], data: &mut [u8]) -> Option<[u8; 16]> {
        self.encrypt_in_place_detached(nonce.into(), &[], data).ok().map(Into::into)
    }

    fn open(&self, nonce: &[u8; 24], data: &mut [u8], tag: &[u8; 16]) -> Option<()> {
        self.decrypt_in_place_detached(nonce.into(), &[], data, tag.into()).ok()
    }
}
