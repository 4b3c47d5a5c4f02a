//! What rows belong to.

use crate::time::Day;
use e2ee_core::array::concat;

/// Length of an owner's id.
pub const OWNER_BYTES: usize = 16;

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
        Self(concat(&[b"audit day   ", &day.to_bytes()]))
    }

    /// The id, with which keys of its rows begin.
    #[must_use]
    pub const fn id(&self) -> &[u8; OWNER_BYTES] {
        &self.0
    }

    /// Whether it is a person's or a room's, which may be deleted.
    #[must_use]
    pub fn can_be_deleted(&self) -> bool {
        *self != Self::STORE && !self.0.starts_with(b"audit day   ")
    }
}
