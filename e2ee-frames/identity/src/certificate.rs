//! A device certificate: which keys a device has, and for which account it holds them, signed by the device itself.
//!
//! ```text
//! DeviceCert  ver1 account16 identity32 device32 agreement32 added_day4 kind1 label_hash32 sig64            214 bytes
//!             sig by the device over "e2ee-identity/1 device" || all before
//! ```
//! The signature is a proof of possession: no one can list a device under an account or identity that it has not chosen.
//! The person vouches for it by the hash in a [device list](crate::list).

use crate::{
    account::AccountId,
    keys::{AgreementPublic, DeviceKeys, DevicePublic, IdentityPublic},
    label,
};
use e2ee_core::{Primitives, Reader, Standard, array};

/// Bytes of a certificate.
pub const CERT_BYTES: usize = 214;
const SIGNED_BYTES: usize = CERT_BYTES - 64;
/// Version of the format.
const VERSION: u8 = 1;

/// What a device is. Others may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceKind(pub u8);

impl DeviceKind {
    /// A browser.
    pub const BROWSER: Self = Self(1);
    /// The native client.
    pub const NATIVE: Self = Self(2);
}

/// A certificate whose device has signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceCert {
    /// The account.
    pub account: AccountId,
    /// The person.
    pub identity: IdentityPublic,
    /// The device, by its signing key.
    pub device: DevicePublic,
    /// The device's X25519 key, which contributes to agreements.
    pub agreement: AgreementPublic,
    /// Days since 1970 at which it was added, as it says.
    pub added_day: u32,
    /// What it is, as it says.
    pub kind: DeviceKind,
    /// [`device_name_hash`] of the name that the person gave it.
    pub label_hash: [u8; 32],
    /// SHA-256 of the certificate, by which a list names it.
    pub hash: [u8; 32],
}

/// Why bytes are no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertError {
    /// Another length, version or form.
    #[error("not a device certificate")]
    Malformed,
    /// An X25519 key with which everyone agrees on the same secret.
    #[error("the device's key contributes nothing to an agreement")]
    WeakKey,
    /// The device has not signed it.
    #[error("the device has not signed its certificate")]
    NotSigned,
}

/// The salted hash of a device's name, so that only those who hold name and salt can read it.
#[must_use]
pub fn device_name_hash(salt: &[u8; 16], name: &str) -> [u8; 32] {
    Standard::hash(&label::DEVICE_NAME, &[salt, name.as_bytes()])
}

impl DeviceKeys {
    /// Certifies these keys for an account and its person.
    #[must_use]
    pub fn certify(
        &self,
        account: &AccountId,
        identity: &IdentityPublic,
        added_day: u32,
        kind: DeviceKind,
        label_hash: &[u8; 32],
    ) -> [u8; CERT_BYTES] {
        let signed: [u8; SIGNED_BYTES] = array::concat(&[
            &[VERSION],
            &account.0,
            &identity.0,
            &self.public().0,
            &self.agreement_public().0,
            &added_day.to_be_bytes(),
            &[kind.0],
            label_hash,
        ]);
        array::concat(&[&signed, &self.sign_certificate(&signed)])
    }
}

impl DeviceCert {
    /// Reads a certificate and verifies the device's signature.
    ///
    /// # Errors
    /// If the bytes have another form, a key is weak, or the signature is not the device's.
    pub fn parse(bytes: &[u8]) -> Result<Self, CertError> {
        let (cert, signed, signature) = Self::read(bytes).ok_or(CertError::Malformed)?;
        if !cert.agreement.contributes() {
            return Err(CertError::WeakKey);
        }
        Standard::verify(&cert.device.0, &label::DEVICE, signed, signature).then_some(cert).ok_or(CertError::NotSigned)
    }

    fn read(bytes: &[u8]) -> Option<(Self, &[u8], &[u8; 64])> {
        let bytes: &[u8; CERT_BYTES] = bytes.try_into().ok()?;
        let (signed, signature) = array::split::<SIGNED_BYTES, 64, CERT_BYTES>(bytes);
        let mut reader = Reader::new(signed);
        (reader.u8()? == VERSION).then_some(())?;
        let cert = Self {
            account: AccountId(reader.array()?),
            identity: IdentityPublic(reader.array()?),
            device: DevicePublic(reader.array()?),
            agreement: AgreementPublic(reader.array()?),
            added_day: reader.u32()?,
            kind: DeviceKind(reader.u8()?),
            label_hash: reader.array()?,
            hash: Standard::digest(bytes),
        };
        reader.end()?;
        Some((cert, signed, signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(byte: u8) -> DeviceKeys {
        DeviceKeys::from_seeds(&[byte; 32], &[byte + 1; 32])
    }

    fn cert() -> [u8; CERT_BYTES] {
        keys(1).certify(&AccountId([9; 16]), &IdentityPublic([8; 32]), 20_000, DeviceKind::BROWSER, &[7; 32])
    }

    #[test]
    fn certificate_round_trips() {
        let read = DeviceCert::parse(&cert()).unwrap();
        assert_eq!((read.account, read.identity), (AccountId([9; 16]), IdentityPublic([8; 32])));
        assert_eq!((read.device, read.agreement), (keys(1).public(), keys(1).agreement_public()));
        assert_eq!((read.added_day, read.kind, read.label_hash), (20_000, DeviceKind::BROWSER, [7; 32]));
        assert_eq!(read.hash, Standard::digest(&cert()));
    }

    /// Mallory takes Ada's device key into a certificate of Mallory's account: only Ada's device can sign it.
    #[test]
    fn certificate_needs_possession_of_the_device_key() {
        let mut stolen: [u8; CERT_BYTES] =
            keys(5).certify(&AccountId([3; 16]), &IdentityPublic([4; 32]), 20_000, DeviceKind::BROWSER, &[7; 32]);
        stolen[49..81].copy_from_slice(&keys(1).public().0);
        let signature = keys(5).sign_certificate(&stolen[..SIGNED_BYTES]);
        stolen[SIGNED_BYTES..].copy_from_slice(&signature);
        assert_eq!(DeviceCert::parse(&stolen), Err(CertError::NotSigned));
        // Nor does a signature for another purpose.
        let proof = keys(1).sign_proof(&stolen[..SIGNED_BYTES]);
        stolen[SIGNED_BYTES..].copy_from_slice(&proof);
        assert_eq!(DeviceCert::parse(&stolen), Err(CertError::NotSigned));
    }

    #[test]
    fn weak_keys_are_refused() {
        let device = keys(1);
        for weak in [[0; 32], array::concat(&[&[1], &[0; 31]])] {
            let mut bytes = cert();
            bytes[81..113].copy_from_slice(&weak);
            let signature = device.sign_certificate(&bytes[..SIGNED_BYTES]);
            bytes[SIGNED_BYTES..].copy_from_slice(&signature);
            assert_eq!(DeviceCert::parse(&bytes), Err(CertError::WeakKey));
            // A small-order signing key, under which everything verifies unless strictly.
            let mut bytes = cert();
            bytes[49..81].copy_from_slice(&array::concat::<32>(&[&[1], &[0; 31]]));
            bytes[SIGNED_BYTES..].copy_from_slice(&array::concat::<64>(&[&[1], &[0; 63]]));
            assert_eq!(DeviceCert::parse(&bytes), Err(CertError::NotSigned));
        }
    }

    proptest! {
        #[test]
        fn flipped_bit_is_refused(bit in 0..CERT_BYTES * 8) {
            let mut bytes = cert();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(DeviceCert::parse(&bytes).is_err());
        }
    }

    #[test]
    fn other_lengths_are_malformed() {
        for length in 0..CERT_BYTES {
            assert_eq!(DeviceCert::parse(&cert()[..length]), Err(CertError::Malformed));
        }
        assert_eq!(DeviceCert::parse(&[&cert()[..], &[0]].concat()), Err(CertError::Malformed));
    }
}
