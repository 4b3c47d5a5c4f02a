//! What rows belong to.

use crate::time::Day;
use e2ee_core::array::concat;

/// Length of an owner's id.
pub const OWNER_BYTES: usize = 16;

/// How the id of a day of the audit log begins: random ids do not.
const AUDIT_DAY: &[u8] = b"audit day   ";

/// The owner of rows and data keys: an account, a room, a day of the audit log, or the store. Deleting its data keys
/// makes all of its rows unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner([u8; OWNER_BYTES]);

impl Owner {
    /// The store itself.
    pub const STORE: Self = Self([0; OWNER_BYTES]);

    /// An account or a room, whose id is random.
    #[must_use]
    pub const fn from_id(id: [u8; OWNER_BYTES]) -> Self {
        Self(id)
    }

    /// A day of the audit log.
    #[must_use]
    pub fn audit(day: Day) -> Self {
        Self(concat(&[AUDIT_DAY, &day.to_bytes()]))
    }

    /// The first key after all rows of days of the audit log.
    pub(crate) fn audit_end() -> Vec<u8> {
        [AUDIT_DAY, &[u8::MAX; 5]].concat()
    }

    /// The id, with which keys of its rows begin.
    #[must_use]
    pub const fn id(&self) -> &[u8; OWNER_BYTES] {
        &self.0
    }

    /// Whether it is a person's or a room's, which may be deleted.
    #[must_use]
    pub fn can_be_deleted(&self) -> bool {
        *self != Self::STORE && !self.is_audit_day()
    }

    /// Whether it is a day of the audit log, whose entries are chained by their ciphertext.
    #[must_use]
    pub fn is_audit_day(&self) -> bool {
        self.0.starts_with(AUDIT_DAY)
    }
}
