//! A succession: the identity changes because a device was removed, which still holds the old key.
//!
//! ```text
//! Succession  ver1 old_identity32 new_identity32 account16 seq8 sig_old64 sig_new64                         217 bytes
//!             both sign "e2ee-identity/1 succession" || all before the signatures
//! ```
//! `seq` is the number of the first device list of the new identity, with which it is published. It tells contacts that the
//! change is no surprise to the old key. It does not tell them who holds that key: they are asked.

use crate::{
    account::AccountId,
    keys::{IdentityKey, IdentityPublic},
    label,
};
use e2ee_core::{Primitives, Reader, Standard, array};

/// Bytes of a succession.
pub const SUCCESSION_BYTES: usize = 217;
const SIGNED_BYTES: usize = SUCCESSION_BYTES - 128;
/// Version of the format.
const VERSION: u8 = 1;

/// A succession that both identities have signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Succession {
    /// The identity that ends.
    pub old: IdentityPublic,
    /// The identity that follows.
    pub new: IdentityPublic,
    /// The account.
    pub account: AccountId,
    /// Number of the first list of the new identity.
    pub seq: u64,
}

/// Why bytes are no succession.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuccessionError {
    /// Another length, version or form, or an identity that follows itself.
    #[error("not a change of identity")]
    Malformed,
    /// One of the two has not signed it.
    #[error("the change of identity is not signed by both identities")]
    NotSigned,
}

impl Succession {
    /// Signs with both keys that `new` follows `old` from list `seq` on.
    #[must_use]
    pub fn sign(old: &IdentityKey, new: &IdentityKey, account: &AccountId, seq: u64) -> [u8; SUCCESSION_BYTES] {
        let signed: [u8; SIGNED_BYTES] =
            array::concat(&[&[VERSION], &old.public().0, &new.public().0, &account.0, &seq.to_be_bytes()]);
        array::concat(&[&signed, &old.sign_succession(&signed), &new.sign_succession(&signed)])
    }

    /// Reads a succession and verifies both signatures.
    ///
    /// # Errors
    /// If the bytes have another form, or a signature is missing.
    pub fn parse(bytes: &[u8]) -> Result<Self, SuccessionError> {
        let bytes: &[u8; SUCCESSION_BYTES] = bytes.try_into().map_err(|_| SuccessionError::Malformed)?;
        let (signed, signatures) = array::split::<SIGNED_BYTES, 128, SUCCESSION_BYTES>(bytes);
        let (of_old, of_new) = array::split::<64, 64, 128>(signatures);
        let succession = Self::read(signed).ok_or(SuccessionError::Malformed)?;
        let verify = |key: &IdentityPublic, signature| Standard::verify(&key.0, &label::SUCCESSION, signed, signature);
        let both = verify(&succession.old, of_old) && verify(&succession.new, of_new);
        both.then_some(succession).ok_or(SuccessionError::NotSigned)
    }

    fn read(signed: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(signed);
        (reader.u8()? == VERSION).then_some(())?;
        let succession = Self {
            old: IdentityPublic(reader.array()?),
            new: IdentityPublic(reader.array()?),
            account: AccountId(reader.array()?),
            seq: reader.u64()?,
        };
        reader.end()?;
        // The first list has no identity before it.
        (succession.old != succession.new && succession.seq > 1).then_some(succession)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::{ListChange, ListRefusal, tests::*};
    use proptest::prelude::*;

    fn succession(old: u8, new: u8, seq: u64) -> Succession {
        Succession::parse(&Succession::sign(&identity(old), &identity(new), &ACCOUNT, seq)).unwrap()
    }

    /// A device is removed: a contact who knew the old identity is asked, and what the removed device signs is refused.
    #[test]
    fn removed_device_signs_no_list_that_is_believed() {
        let (old, new) = (identity(1), identity(2));
        let before = list(&old, None, &[1, 2]);
        let after = list(&new, Some(&before.mark()), &[2]);
        let change = succession(1, 2, 2);
        assert_eq!(before.mark().check(&after, &[change]), Ok(ListChange::Succeeded));
        assert_eq!(before.mark().check(&after, &[]), Err(ListRefusal::OtherIdentity));
        // With the old key it adds itself again, on its own or after the new list.
        let known = after.mark();
        assert_eq!(known.check(&list(&old, Some(&before.mark()), &[1, 2]), &[]), Err(ListRefusal::Forked));
        assert_eq!(known.check(&list(&old, Some(&known), &[1]), &[]), Err(ListRefusal::OtherIdentity));
        // With a succession that it made, the old key no longer leads anywhere.
        let theirs = list(&identity(66), Some(&known), &[1]);
        assert_eq!(known.check(&theirs, &[succession(1, 66, 3)]), Err(ListRefusal::OtherIdentity));
        assert!(!after.has(&cert(1, &old)) && !after.has(&cert(1, &new)));
    }

    #[test]
    fn contact_who_was_away_follows_several_successions() {
        let first = list(&identity(1), None, &[1]);
        let second = list(&identity(2), Some(&first.mark()), &[1]);
        let third = list(&identity(3), Some(&second.mark()), &[1]);
        let chain = [succession(1, 2, 2), succession(2, 3, 3)];
        assert_eq!(first.mark().check(&third, &chain), Ok(ListChange::Succeeded));
        for broken in
            [&chain[..1], &chain[1..], &[chain[1], chain[0]], &[succession(1, 3, 4)], &[succession(1, 2, 3), chain[1]]]
        {
            assert_eq!(first.mark().check(&third, broken), Err(ListRefusal::OtherIdentity));
        }
        let bytes = Succession::sign(&identity(1), &identity(3), &AccountId([1; 16]), 2);
        let elsewhere = Succession::parse(&bytes).unwrap();
        assert_eq!(first.mark().check(&third, &[elsewhere]), Err(ListRefusal::OtherIdentity));
    }

    #[test]
    fn succession_needs_both_signatures() {
        let good = Succession::sign(&identity(1), &identity(2), &ACCOUNT, 2);
        let (signed, signatures) = good.split_at(SIGNED_BYTES);
        let (of_old, of_new) = signatures.split_at(64);
        for parts in [[of_old, of_old], [of_new, of_new], [of_new, of_old]] {
            assert_eq!(Succession::parse(&[signed, parts[0], parts[1]].concat()), Err(SuccessionError::NotSigned));
        }
        for (new, seq) in [(1, 2), (2, 1), (2, 0)] {
            let bytes = Succession::sign(&identity(1), &identity(new), &ACCOUNT, seq);
            assert_eq!(Succession::parse(&bytes), Err(SuccessionError::Malformed));
        }
    }

    proptest! {
        #[test]
        fn flipped_bit_is_refused(bit in 0..SUCCESSION_BYTES * 8) {
            let mut bytes = Succession::sign(&identity(1), &identity(2), &ACCOUNT, 2);
            prop_assert!(Succession::parse(&bytes[..bit / 8]).is_err());
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Succession::parse(&bytes).is_err());
        }
    }
}
