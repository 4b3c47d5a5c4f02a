//! The labels of this protocol. Each hash, salt, derivation, authenticated header and signature has its own.

use e2ee_core::{Domain, Label};

/// Names protocol and version; its number changes with the meaning of any field.
const DOMAIN: Domain = Domain::new("e2ee-identity/1");

/// Hash that is the Argon2 salt of a password.
pub(crate) const SALT: Label = DOMAIN.label("salt");
/// Salt of the keys that are derived from a stretched password.
pub(crate) const PASSWORD: Label = DOMAIN.label("password");
/// Info of the secret by which a password signs in.
pub(crate) const AUTH: Label = DOMAIN.label("auth");
/// Info of the key by which a password opens the vault key.
pub(crate) const VAULT: Label = DOMAIN.label("vault");
/// Salt of the keys that are derived from a backup code.
pub(crate) const CODE: Label = DOMAIN.label("code");
/// Hash that is the PRF input of every passkey of a server.
pub(crate) const PRF: Label = DOMAIN.label("prf");
/// Salt of the key that is derived from a passkey's PRF output.
pub(crate) const PASSKEY: Label = DOMAIN.label("passkey");
/// Hash of a WebAuthn credential id.
pub(crate) const CREDENTIAL: Label = DOMAIN.label("credential");
/// AAD of a wrapped vault key.
pub(crate) const WRAP: Label = DOMAIN.label("wrap");
/// Salt of the keys of blobs.
pub(crate) const ARCHIVE: Label = DOMAIN.label("archive");
/// AAD of a blob.
pub(crate) const BLOB: Label = DOMAIN.label("blob");
/// Hash of the name that a person chooses for a device.
pub(crate) const DEVICE_NAME: Label = DOMAIN.label("name");
/// Salt of a safety number.
pub(crate) const SAFETY: Label = DOMAIN.label("safety");
/// Signature of a device certificate, by the device.
pub(crate) const DEVICE: Label = DOMAIN.label("device");
/// Signature of a device list, by the identity. Not "devices", of which "device" is a prefix.
pub(crate) const LIST: Label = DOMAIN.label("list");
/// Signatures of a succession, by both identities.
pub(crate) const SUCCESSION: Label = DOMAIN.label("succession");
/// Signature of a device proof, by the device.
pub(crate) const PROOF: Label = DOMAIN.label("proof");

/// All of them, for the test that no label of any protocol is a prefix of another.
pub const ALL: [Label; 17] = [
    SALT,
    PASSWORD,
    AUTH,
    VAULT,
    CODE,
    PRF,
    PASSKEY,
    CREDENTIAL,
    WRAP,
    ARCHIVE,
    BLOB,
    DEVICE_NAME,
    SAFETY,
    DEVICE,
    LIST,
    SUCCESSION,
    PROOF,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_is_a_prefix_of_another() {
        assert_eq!(Label::overlap(&ALL), None);
    }
}
