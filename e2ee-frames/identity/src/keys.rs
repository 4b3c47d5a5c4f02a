//! The keys of a person and of a device, and their public halves.

use crate::label;
use e2ee_core::{AgreementKey, Label, Primitives, Random, SecretBytes, SigningKey, Standard};

/// The public half of an identity key: it stands for the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityPublic(pub [u8; 32]);

/// The public half of a device's signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DevicePublic(pub [u8; 32]);

/// The public half of a device's X25519 key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgreementPublic(pub [u8; 32]);

/// The identity key: Ed25519. It lies in the archive and in the memory of signed-in devices, and signs device lists.
///
/// A removed device may still hold it, so a removal draws a new one ([`Succession`](crate::Succession)).
pub struct IdentityKey(SecretBytes<32>);

/// The keys that a device makes for itself and that never leave it: Ed25519 and X25519.
pub struct DeviceKeys {
    signing: SecretBytes<32>,
    agreement: SecretBytes<32>,
}

type Signing = <Standard as Primitives>::Signing;
type Agreement = <Standard as Primitives>::Agreement;

/// Signs under a label of this crate. The key is expanded for each signature: no expanded copy stays in memory.
fn sign(seed: &[u8; 32], label: &Label, message: &[u8]) -> [u8; 64] {
    Signing::from_seed(seed).sign(label, message)
}

fn drawn(random: &mut (impl Random + ?Sized)) -> SecretBytes<32> {
    let mut seed = SecretBytes::zeros();
    random.fill(&mut *seed);
    seed
}

impl IdentityKey {
    /// Draws the key of a person.
    #[must_use]
    pub fn draw(random: &mut (impl Random + ?Sized)) -> Self {
        Self(drawn(random))
    }

    /// The key that was stored in the archive.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SecretBytes::copy_of(seed))
    }

    /// The bytes to be stored in a blob of the archive, and nowhere else.
    #[must_use]
    pub fn seed(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> IdentityPublic {
        IdentityPublic(Signing::from_seed(&self.0).public())
    }

    pub(crate) fn sign_list(&self, fields: &[u8]) -> [u8; 64] {
        sign(&self.0, &label::LIST, fields)
    }

    pub(crate) fn sign_succession(&self, fields: &[u8]) -> [u8; 64] {
        sign(&self.0, &label::SUCCESSION, fields)
    }
}

impl DeviceKeys {
    /// Draws the keys of a device.
    #[must_use]
    pub fn draw(random: &mut (impl Random + ?Sized)) -> Self {
        Self { signing: drawn(random), agreement: drawn(random) }
    }

    /// The keys that the device has stored.
    #[must_use]
    pub fn from_seeds(signing: &[u8; 32], agreement: &[u8; 32]) -> Self {
        Self { signing: SecretBytes::copy_of(signing), agreement: SecretBytes::copy_of(agreement) }
    }

    /// The seed of the signing key, for the device's own storage.
    #[must_use]
    pub fn signing_seed(&self) -> &[u8; 32] {
        &self.signing
    }

    /// The X25519 secret, for the device's own storage and for messages.
    #[must_use]
    pub fn agreement_seed(&self) -> &[u8; 32] {
        &self.agreement
    }

    /// The public half of the signing key.
    #[must_use]
    pub fn public(&self) -> DevicePublic {
        DevicePublic(Signing::from_seed(&self.signing).public())
    }

    /// The public half of the X25519 key.
    #[must_use]
    pub fn agreement_public(&self) -> AgreementPublic {
        AgreementPublic(Agreement::from_seed(&self.agreement).public())
    }

    pub(crate) fn sign_certificate(&self, fields: &[u8]) -> [u8; 64] {
        sign(&self.signing, &label::DEVICE, fields)
    }

    pub(crate) fn sign_proof(&self, statement: &[u8]) -> [u8; 64] {
        sign(&self.signing, &label::PROOF, statement)
    }
}

impl AgreementPublic {
    /// Whether an agreement with this key depends on the other one: points of low order do not contribute.
    pub(crate) fn contributes(&self) -> bool {
        Agreement::from_seed(&[1; 32]).contributes(&self.0)
    }
}
