//! The labels of this protocol. Each hash, salt, derivation, authenticated header and signature has its own.

use e2ee_core::{Domain, Label};

/// Names protocol and version; its number changes with the meaning of any field.
const DOMAIN: Domain = Domain::new("e2ee-messages/1");

/// Signature of a signed prekey, by the device.
pub(crate) const SIGNED_PREKEY: Label = DOMAIN.label("signed prekey");
/// Signature of a one-time X25519 prekey, by the device.
pub(crate) const ONE_TIME_PREKEY: Label = DOMAIN.label("one-time prekey");
/// Signature of a one-time ML-KEM prekey, by the device.
pub(crate) const ONE_TIME_KEM: Label = DOMAIN.label("one-time kem");
/// Signature of a last-resort ML-KEM prekey, by the device.
pub(crate) const LAST_RESORT_KEM: Label = DOMAIN.label("last-resort kem");
/// Signature of a sealing prekey, to which outers are sealed, by the device.
pub(crate) const SEALING_PREKEY: Label = DOMAIN.label("sealing prekey");
/// Hash of all that both sides of a new session have agreed on: its id.
pub(crate) const TRANSCRIPT: Label = DOMAIN.label("transcript");
/// Salt of a session's first root key.
pub(crate) const PQXDH: Label = DOMAIN.label("pqxdh");
/// Salt of the next root and chain key of a session.
pub(crate) const ROOT: Label = DOMAIN.label("root");
/// Info of the cipher key of a slip.
pub(crate) const MESSAGE: Label = DOMAIN.label("message");
/// AAD of the blob with the content.
pub(crate) const BLOB: Label = DOMAIN.label("blob");
/// Salt of the keys of an outer.
pub(crate) const OUTER: Label = DOMAIN.label("outer");
/// Signature of the list of a room's members, by its admin.
pub(crate) const ROOM_LIST: Label = DOMAIN.label("room list");
/// AAD and signature of a message to a room. Not "room", of which "room list" would be a continuation.
pub(crate) const ROOM_MESSAGE: Label = DOMAIN.label("room message");
/// Info of the cipher key of a message to a room.
pub(crate) const ROOM_KEY: Label = DOMAIN.label("room key");
/// AAD of a file's chunks.
pub(crate) const FILE: Label = DOMAIN.label("file");
/// AAD of stored state.
pub(crate) const STATE: Label = DOMAIN.label("state");

/// All of them, for the test that no label of any protocol is a prefix of another.
pub const ALL: [Label; 16] = [
    SIGNED_PREKEY,
    ONE_TIME_PREKEY,
    ONE_TIME_KEM,
    LAST_RESORT_KEM,
    SEALING_PREKEY,
    TRANSCRIPT,
    PQXDH,
    ROOT,
    MESSAGE,
    BLOB,
    OUTER,
    ROOM_LIST,
    ROOM_MESSAGE,
    ROOM_KEY,
    FILE,
    STATE,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_is_a_prefix_of_another() {
        let all = [&ALL[..], &e2ee_identity::label::ALL].concat();
        assert_eq!(Label::overlap(&all), None);
    }
}
