//! Labels of everything that the store hashes, derives, signs or authenticates.

use e2ee_core::{Domain, Label};

const DOMAIN: Domain = Domain::new("tacet-store/1");

/// Key and AAD of a row.
pub(crate) const ROW: Label = DOMAIN.label("row");
/// AAD of a wrapped data key.
pub(crate) const DATA_KEY: Label = DOMAIN.label("dek");
/// AAD of a wrap key.
pub(crate) const WRAP: Label = DOMAIN.label("wrap");
/// Hash by which a master key is named.
pub(crate) const MASTER: Label = DOMAIN.label("mek");

/// Key of tombstones.
pub(crate) const TOMBSTONE: Label = DOMAIN.label("tombstone");
/// Key of receipts, and their signature.
pub(crate) const RECEIPT: Label = DOMAIN.label("receipt");
/// Hash of an entry of the audit log.
pub(crate) const AUDIT: Label = DOMAIN.label("audit");
/// Leaf of the log of audited days.
pub(crate) const ANCHOR: Label = DOMAIN.label("anchor");

/// How an archive begins.
pub(crate) const ARCHIVE: Label = DOMAIN.label("archive");

/// All of them, for the test that no label of any protocol is a prefix of another.
pub const ALL: &[Label] = &[ROW, DATA_KEY, WRAP, MASTER, TOMBSTONE, RECEIPT, AUDIT, ANCHOR, ARCHIVE];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_is_a_prefix_of_another() {
        assert_eq!(Label::overlap(ALL), None);
    }
}
