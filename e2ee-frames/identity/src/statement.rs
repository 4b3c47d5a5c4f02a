//! A key statement: what the directory commits to for a name.
//!
//! ```text
//! KeyStatement  ver1 account16 identity32 list_seq8 list_hash32 flags1 (1: closed)        90 bytes; value = its SHA-256
//! ```

use crate::{
    account::AccountId,
    keys::IdentityPublic,
    list::{DeviceList, ListMark},
};
use e2ee_core::{Primitives, Reader, Standard, array};

/// Bytes of a statement.
pub const STATEMENT_BYTES: usize = 90;
/// Version of the format.
const VERSION: u8 = 1;

/// Whose keys a name has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyStatement {
    /// The newest list.
    pub list: ListMark,
    /// The account is deleted, and the name is never given again.
    pub closed: bool,
}

impl KeyStatement {
    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; STATEMENT_BYTES] {
        let ListMark { account, identity, seq, hash } = &self.list;
        array::concat(&[&[VERSION], &account.0, &identity.0, &seq.to_be_bytes(), hash, &[u8::from(self.closed)]])
    }

    /// The value in the directory's map.
    #[must_use]
    pub fn value(&self) -> [u8; 32] {
        Standard::digest(&self.to_bytes())
    }

    /// Reads a statement; `None` for bytes of another form.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        (reader.u8()? == VERSION).then_some(())?;
        let list = ListMark {
            account: AccountId(reader.array()?),
            identity: IdentityPublic(reader.array()?),
            seq: reader.u64()?,
            hash: reader.array()?,
        };
        let closed = reader.u8().filter(|flags| *flags <= 1)? == 1;
        reader.end().map(|()| Self { list, closed })
    }

    /// Whether the statement commits to this list.
    #[must_use]
    pub fn names(&self, list: &DeviceList) -> bool {
        self.list == list.mark()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::tests::{identity, list};

    #[test]
    fn statement_names_one_list() {
        let (first, other) = (list(&identity(1), None, &[1]), list(&identity(1), None, &[2]));
        let statement = KeyStatement { list: first.mark(), closed: false };
        assert_eq!(KeyStatement::parse(&statement.to_bytes()), Some(statement));
        assert!(statement.names(&first) && !statement.names(&other));
        assert_ne!(statement.value(), KeyStatement { closed: true, ..statement }.value());
        let mut flags = statement.to_bytes();
        flags[89] = 2;
        assert_eq!(KeyStatement::parse(&flags), None);
        assert_eq!(KeyStatement::parse(&flags[..89]), None);
        assert_eq!(KeyStatement::parse(&[&statement.to_bytes()[..], &[0]].concat()), None);
    }
}
