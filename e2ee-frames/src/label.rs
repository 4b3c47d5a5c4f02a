//! The labels of this protocol. Each hash, salt and signature has its own.

use e2ee_core::{Domain, Label};

/// Names protocol and version; its number changes with the meaning of any field.
const DOMAIN: Domain = Domain::new("e2ee-frames/1");

/// Salt of the key schedule, whose outputs name their purpose in the info string.
pub(crate) const KEY_SCHEDULE: Label = DOMAIN.root();
/// Signature of an announce.
pub(crate) const ANNOUNCE: Label = DOMAIN.label("announce");
/// Metadata of chat messages.
pub(crate) const APP_DATA: Label = DOMAIN.label("app data");
/// Salt of the call code.
pub(crate) const CALL_CODE: Label = DOMAIN.label("call code");
/// Hash of the fields that every holder of a session key agrees on.
pub(crate) const KEY_CONTEXT: Label = DOMAIN.label("ctx");
/// Salt of the keys that are derived from the invite secret.
pub(crate) const INVITE: Label = DOMAIN.label("invite");
/// Hash that is a join id.
pub(crate) const JOIN_ID: Label = DOMAIN.label("join");
/// Hash that binds an entry of a key batch to its header and its two ends.
pub(crate) const KEY_BATCH: Label = DOMAIN.label("key");
/// Hash of a roster.
pub(crate) const ROSTER: Label = DOMAIN.label("roster");

#[cfg(test)]
mod tests {
    use super::*;
    use e2ee_core::resume;

    /// Every label that something is signed under, in this protocol and beside it, is here, with those of hashes and salts.
    #[test]
    fn no_label_is_a_prefix_of_another() {
        let hashes = [APP_DATA, CALL_CODE, KEY_CONTEXT, INVITE, JOIN_ID, KEY_BATCH, ROSTER];
        let signed = [ANNOUNCE, resume::LABEL, tacet_tlog::COSIGNATURE_LABEL];
        let labels = [&signed[..], &hashes, &e2ee_identity::label::ALL].concat();
        assert_eq!(Label::overlap(&labels), None);
    }

    /// The text of a log's checkpoint is signed without a label, as C2SP has it. It has a line break before any space
    /// (`tacet_tlog`), so it must be the other way round here.
    #[test]
    fn labels_that_sign_have_a_space_and_no_line_break() {
        for label in [ANNOUNCE, resume::LABEL] {
            assert!(label.as_bytes().contains(&b' ') && !label.as_bytes().contains(&b'\n'), "{label:?}");
        }
    }
}
