//! The tables of both databases.
//!
//! Numbers are part of what is sealed: they never change, and those of removed tables are not used again.

/// One of the two databases. No transaction spans them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Verifiers, wrapped keys, devices.
    Keys = 1,
    /// Content, queues, audit.
    Vault = 2,
}

impl Space {
    /// Its number in sealed records.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Its name in files and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Vault => "vault",
        }
    }
}

/// What a data key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Rows of the owner in [`Space::Keys`].
    Identity = 1,
    /// Rows of the owner in [`Space::Vault`].
    Content = 2,
    /// MACs and signatures of the store itself, which must stay the same: never rotated.
    Stable = 3,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Identity, Self::Content, Self::Stable];

    /// Its number in sealed records.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The purpose with a number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.number() == number)
    }

    /// The table of the lowest version with which rows may be written.
    #[must_use]
    pub fn floor(self) -> Table {
        match self {
            Self::Content => Table::VaultFloor,
            Self::Identity | Self::Stable => Table::KeysFloor,
        }
    }
}

/// What the values of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Records that this crate makes: sealed by themselves, or nothing secret.
    Own,
    /// Rows sealed under a data key of their owner. Their keys begin with its id.
    Sealed(Purpose),
}

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $sql:literal, $space:ident, $contents:expr;)*) => {
        /// A table. In SQL: `k`, the primary key, and `v`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Table { $($(#[$doc])* $name = $number,)* }

        impl Table {
            /// All tables of both databases.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The database that it is in.
            #[must_use]
            pub fn space(self) -> Space {
                match self { $(Self::$name => Space::$space,)* }
            }

            /// Its name in SQL.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $sql,)* }
            }

            /// What its values are.
            #[must_use]
            pub fn contents(self) -> Contents {
                match self { $(Self::$name => $contents,)* }
            }
        }
    };
}

tables! {
    /// Facts on the store: `name` → value.
    KeysMeta = 1, "keys_meta", Keys, Contents::Own;
    /// Wrapped data keys: owner16 purpose1 version4.
    DataKey = 2, "data_key", Keys, Contents::Own;
    /// Lowest versions for writing: owner16 purpose1 → version4.
    KeysFloor = 3, "keys_floor", Keys, Contents::Own;
    /// MACs of deleted accounts → day4.
    Tombstone = 4, "tombstone", Keys, Contents::Own;
    /// When rows end: day4 table1 key.
    KeysExpiry = 5, "keys_expiry", Keys, Contents::Own;
    /// Events on their way to the vault: owner16 id16.
    Outbox = 6, "outbox", Keys, Contents::Sealed(Purpose::Identity);
    /// Random keys that stand for accounts in the audit log: owner16.
    Subject = 7, "subject", Keys, Contents::Sealed(Purpose::Identity);
    /// Verifiers and wraps of accounts.
    Account = 16, "account", Keys, Contents::Sealed(Purpose::Identity);
    /// Devices of accounts.
    Device = 17, "device", Keys, Contents::Sealed(Purpose::Identity);
    /// Prekeys that wait for use.
    Prekey = 18, "prekey", Keys, Contents::Sealed(Purpose::Identity);
    /// Ids of prekeys that were used.
    UsedPrekey = 19, "used_prekey", Keys, Contents::Sealed(Purpose::Identity);
    /// Refresh families.
    Session = 20, "session", Keys, Contents::Sealed(Purpose::Identity);
    /// As [`Self::KeysMeta`].
    VaultMeta = 64, "vault_meta", Vault, Contents::Own;
    /// As [`Self::KeysFloor`].
    VaultFloor = 65, "vault_floor", Vault, Contents::Own;
    /// As [`Self::KeysExpiry`].
    VaultExpiry = 66, "vault_expiry", Vault, Contents::Own;
    /// Marks of events that came out of the outbox: id16.
    Event = 67, "event", Vault, Contents::Own;
    /// Entries of the audit log: owner16 (the day) seq8.
    Audit = 68, "audit", Vault, Contents::Sealed(Purpose::Content);
    /// Leaves of the log of audited days and heads: index8.
    AuditLeaf = 69, "audit_leaf", Vault, Contents::Own;
    /// Calls whose records are still exact: seconds8 owner16 name16.
    ExactCall = 70, "exact_call", Vault, Contents::Own;
    /// Content of accounts.
    Content = 80, "content", Vault, Contents::Sealed(Purpose::Content);
    /// Envelopes that wait for delivery.
    Envelope = 81, "envelope", Vault, Contents::Sealed(Purpose::Content);
    /// Records of calls in rooms of accounts.
    Call = 82, "call", Vault, Contents::Sealed(Purpose::Content);
}

impl Table {
    /// Its number in sealed records and archives.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The table with a number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|table| table.number() == number)
    }

    /// The tables of a database.
    pub fn of(space: Space) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |table| table.space() == space)
    }

    /// The tables with rows under data keys of one purpose.
    pub fn sealed_for(purpose: Purpose) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |table| table.contents() == Contents::Sealed(purpose))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_and_names_are_unique() {
        let numbers: BTreeSet<_> = Table::ALL.iter().map(|table| table.number()).collect();
        let names: BTreeSet<_> = Table::ALL.iter().map(|table| table.name()).collect();
        assert_eq!((numbers.len(), names.len()), (Table::ALL.len(), Table::ALL.len()));
        assert!(Table::ALL.iter().all(|table| Table::from_number(table.number()) == Some(*table)));
        assert!(Purpose::ALL.iter().all(|purpose| Purpose::from_number(purpose.number()) == Some(*purpose)));
    }

    /// A data key's floor must be read in the transaction that writes rows under it.
    #[test]
    fn purposes_stay_in_one_database() {
        for purpose in Purpose::ALL {
            assert!(Table::sealed_for(purpose).all(|table| table.space() == purpose.floor().space()));
        }
    }
}
