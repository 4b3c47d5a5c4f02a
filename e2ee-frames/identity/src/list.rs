//! A device list: which devices a person has, signed by the identity.
//!
//! ```text
//! DeviceList  ver1 account16 identity32 origin8 len1 name seq8 previous32 count1 { cert_hash32 } × ≤ 16 sig64
//!             sig by the identity over "e2ee-identity/1 list" || all before
//! ```
//! `origin8` is the start of SHA-256 of the origin: a list of one server, or of another name, is none here. `previous` is
//! SHA-256 of the list before, zeros for the first (`seq` 1). Hashes ascend, so a set of devices has one encoding.
//!
//! A valid signature says that the holder of the identity key made the list, and no more: [`ListMark::check`] and
//! [`check_own_history`](crate::check_own_history) say whether it is to be believed.

use crate::{
    account::{AccountId, AccountName, MAX_NAME_BYTES},
    certificate::DeviceCert,
    keys::{IdentityKey, IdentityPublic},
    label,
    succession::Succession,
};
use alloc::{string::String, vec::Vec};
use e2ee_core::{Primitives, Reader, Standard};

/// Maximum number of devices.
pub const MAX_DEVICES: usize = 16;
/// Maximum length of a list, bytes.
pub const MAX_LIST_BYTES: usize = 1 + 16 + 32 + 8 + 1 + MAX_NAME_BYTES + 8 + 32 + 1 + 32 * MAX_DEVICES + 64;
/// Version of the format.
const VERSION: u8 = 1;

/// A list that its identity has signed, for the name and origin at which it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceList {
    /// The account.
    pub account: AccountId,
    /// The person.
    pub identity: IdentityPublic,
    /// The name, in its one form.
    pub name: String,
    /// Number of the list, from 1. It goes on when the identity changes.
    pub seq: u64,
    /// SHA-256 of the list before; zeros before the first.
    pub previous: [u8; 32],
    /// SHA-256 of each certificate, ascending.
    pub certs: Vec<[u8; 32]>,
    /// SHA-256 of the list with its signature.
    pub hash: [u8; 32],
}

/// Why a list was not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListSignError {
    /// More than [`MAX_DEVICES`].
    #[error("an account has at most {MAX_DEVICES} devices: remove one first")]
    TooManyDevices,
    /// A certificate of another account or identity.
    #[error("the certificate of a device is not for this account and identity")]
    OtherCertificate,
    /// 2⁶⁴ lists.
    #[error("the account has no number left for a list")]
    NoNumber,
}

/// Why bytes are no list of this account name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Another length, version or form.
    #[error("not a device list")]
    Malformed,
    /// A list of another name or server.
    #[error("the device list is of another name or server")]
    OtherName,
    /// The identity has not signed it.
    #[error("the identity has not signed the device list")]
    NotSigned,
}

impl IdentityKey {
    /// Signs the list that follows `previous` (`None`: the first), with these devices.
    ///
    /// # Errors
    /// If there are too many devices, or one is certified for another account or identity.
    pub fn sign_devices(
        &self,
        account: &AccountId,
        name: &AccountName,
        previous: Option<&ListMark>,
        devices: &[DeviceCert],
    ) -> Result<Vec<u8>, ListSignError> {
        let identity = self.public();
        if devices.iter().any(|cert| cert.account != *account || cert.identity != identity) {
            return Err(ListSignError::OtherCertificate);
        }
        let mut certs: Vec<_> = devices.iter().map(|cert| cert.hash).collect();
        certs.sort_unstable();
        certs.dedup();
        let count = u8::try_from(certs.len()).ok().filter(|count| usize::from(*count) <= MAX_DEVICES);
        let count = count.ok_or(ListSignError::TooManyDevices)?;
        let seq = previous.map_or(0, |mark| mark.seq).checked_add(1).ok_or(ListSignError::NoNumber)?;

        let mut bytes = Vec::with_capacity(MAX_LIST_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&account.0);
        bytes.extend_from_slice(&identity.0);
        bytes.extend_from_slice(&name.origin_hash());
        // A name has at most 64 bytes.
        bytes.push(u8::try_from(name.name().len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(name.name().as_bytes());
        bytes.extend_from_slice(&seq.to_be_bytes());
        bytes.extend_from_slice(&previous.map_or([0; 32], |mark| mark.hash));
        bytes.push(count);
        certs.iter().for_each(|hash| bytes.extend_from_slice(hash));
        let signature = self.sign_list(&bytes);
        bytes.extend_from_slice(&signature);
        Ok(bytes)
    }
}

/// A list, its hash of the origin, and what is signed with its signature; not verified yet.
type Parts<'a> = (DeviceList, &'a [u8; 8], &'a [u8], &'a [u8; 64]);

impl DeviceList {
    /// Reads the list of a name at a server, and verifies the identity's signature.
    ///
    /// # Errors
    /// If the bytes have another form, are of another name, or the signature is not the identity's.
    pub fn parse(bytes: &[u8], name: &AccountName) -> Result<Self, ListError> {
        let (list, origin_hash, signed, signature) = Self::read(bytes).ok_or(ListError::Malformed)?;
        if list.name != name.name() || *origin_hash != name.origin_hash() {
            return Err(ListError::OtherName);
        }
        Standard::verify(&list.identity.0, &label::LIST, signed, signature).then_some(list).ok_or(ListError::NotSigned)
    }

    fn read(bytes: &[u8]) -> Option<Parts<'_>> {
        let (signed, signature) = bytes.split_last_chunk::<64>()?;
        let mut reader = Reader::new(signed);
        (reader.u8()? == VERSION).then_some(())?;
        let (account, identity) = (AccountId(reader.array()?), IdentityPublic(reader.array()?));
        let origin_hash = reader.chunk()?;
        let length = usize::from(reader.u8()?);
        let name = reader.take(length).filter(|name| (1..=MAX_NAME_BYTES).contains(&name.len()))?;
        let name = String::from(core::str::from_utf8(name).ok()?);
        let (seq, previous) = (reader.u64()?, reader.array()?);
        // The first list, and no other, follows none.
        (seq > 0 && (seq == 1) == (previous == [0; 32])).then_some(())?;
        let count = usize::from(reader.u8()?);
        let hashes = reader.take(32 * Some(count).filter(|count| *count <= MAX_DEVICES)?)?;
        reader.end()?;
        let certs = hashes.as_chunks::<32>().0.to_vec();
        certs.is_sorted_by(|a, b| a < b).then_some(())?;
        let list = Self { account, identity, name, seq, previous, certs, hash: Standard::digest(bytes) };
        Some((list, origin_hash, signed, signature))
    }

    /// Whether the person has this device.
    #[must_use]
    pub fn has(&self, cert: &DeviceCert) -> bool {
        cert.account == self.account && cert.identity == self.identity && self.certs.binary_search(&cert.hash).is_ok()
    }

    /// What to remember of the list.
    #[must_use]
    pub fn mark(&self) -> ListMark {
        ListMark { account: self.account, identity: self.identity, seq: self.seq, hash: self.hash }
    }
}

/// What a device remembers of the newest list of an account that it has accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListMark {
    /// The account.
    pub account: AccountId,
    /// The person.
    pub identity: IdentityPublic,
    /// Number of the list.
    pub seq: u64,
    /// SHA-256 of the list.
    pub hash: [u8; 32],
}

/// How a list relates to the one that was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListChange {
    /// It is the same.
    Same,
    /// Newer, of the same identity.
    Newer,
    /// Newer, of an identity that the known one has named as its successor, as at the removal of a device. A thief of the
    /// old key can do that, too: nothing is sealed to it, and no verified mark survives, before the person agrees.
    Succeeded,
}

/// Why a list is not to be believed. Each is loud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListRefusal {
    /// The name belongs to another account now.
    #[error("the name belongs to another account")]
    OtherAccount,
    /// An older list: the server replays it.
    #[error("the device list is older than one that was seen")]
    Older,
    /// Another list of the same number, or one that does not follow the known one.
    #[error("there are two device lists with one number")]
    Forked,
    /// Another identity, which the known one has not named.
    #[error("the identity has changed")]
    OtherIdentity,
}

impl ListMark {
    /// Judges a list by the one that was known. `successions` lead from the known identity to the list's, oldest first.
    ///
    /// # Errors
    /// If the list is older, another of the same number, or of an account or identity that does not follow.
    pub fn check(&self, list: &DeviceList, successions: &[Succession]) -> Result<ListChange, ListRefusal> {
        if list.account != self.account {
            return Err(ListRefusal::OtherAccount);
        }
        if list.seq < self.seq {
            return Err(ListRefusal::Older);
        }
        if list.seq == self.seq {
            return if list.mark() == *self { Ok(ListChange::Same) } else { Err(ListRefusal::Forked) };
        }
        if list.seq - 1 == self.seq && list.previous != self.hash {
            return Err(ListRefusal::Forked);
        }
        if list.identity == self.identity {
            return Ok(ListChange::Newer);
        }
        let (mut identity, mut seq) = (self.identity, self.seq);
        for succession in successions {
            let follows = succession.account == self.account
                && succession.old == identity
                && (seq.saturating_add(1)..=list.seq).contains(&succession.seq);
            if !follows {
                return Err(ListRefusal::OtherIdentity);
            }
            (identity, seq) = (succession.new, succession.seq);
        }
        if identity == list.identity { Ok(ListChange::Succeeded) } else { Err(ListRefusal::OtherIdentity) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{certificate::DeviceKind, keys::DeviceKeys};
    use proptest::prelude::*;

    pub(crate) const ACCOUNT: AccountId = AccountId([9; 16]);

    pub(crate) fn name() -> AccountName {
        AccountName::new("https://call.example", "ada").unwrap()
    }

    pub(crate) fn identity(byte: u8) -> IdentityKey {
        IdentityKey::from_seed(&[byte; 32])
    }

    pub(crate) fn cert(device: u8, identity: &IdentityKey) -> DeviceCert {
        let keys = DeviceKeys::from_seeds(&[device; 32], &[device.wrapping_add(1); 32]);
        let bytes = keys.certify(&ACCOUNT, &identity.public(), 20_000, DeviceKind::NATIVE, &[0; 32]);
        DeviceCert::parse(&bytes).unwrap()
    }

    pub(crate) fn list(identity: &IdentityKey, previous: Option<&ListMark>, devices: &[u8]) -> DeviceList {
        DeviceList::parse(&bytes(identity, previous, devices), &name()).unwrap()
    }

    fn bytes(identity: &IdentityKey, previous: Option<&ListMark>, devices: &[u8]) -> Vec<u8> {
        let devices: Vec<_> = devices.iter().map(|device| cert(*device, identity)).collect();
        identity.sign_devices(&ACCOUNT, &name(), previous, &devices).unwrap()
    }

    #[test]
    fn list_has_its_devices_and_no_others() {
        let ada = identity(1);
        let list = list(&ada, None, &[3, 1, 2, 1]);
        assert_eq!((list.seq, list.certs.len(), list.name.as_str()), (1, 3, "ada"));
        assert!(list.has(&cert(1, &ada)) && list.has(&cert(2, &ada)) && list.has(&cert(3, &ada)));
        assert!(!list.has(&cert(4, &ada)));
        // The same device, certified for another identity.
        assert!(!list.has(&cert(1, &identity(2))));
        assert_eq!(
            ada.sign_devices(&ACCOUNT, &name(), None, &[cert(1, &identity(2))]),
            Err(ListSignError::OtherCertificate)
        );
    }

    #[test]
    fn list_has_at_most_16_devices() {
        let ada = identity(1);
        let devices: Vec<u8> = (1..=16).collect();
        let longest = AccountName::new("https://call.example", &"a".repeat(MAX_NAME_BYTES)).unwrap();
        let certs: Vec<_> = devices.iter().map(|device| cert(*device, &ada)).collect();
        assert_eq!(ada.sign_devices(&ACCOUNT, &longest, None, &certs).unwrap().len(), MAX_LIST_BYTES);
        let more = [&certs[..], &[cert(17, &ada)]].concat();
        assert_eq!(ada.sign_devices(&ACCOUNT, &name(), None, &more), Err(ListSignError::TooManyDevices));
    }

    #[test]
    fn list_of_another_name_or_server_is_refused() {
        let list = bytes(&identity(1), None, &[1]);
        for (origin, name) in [("https://call.example", "bob"), ("https://other.example", "ada")] {
            let other = AccountName::new(origin, name).unwrap();
            assert_eq!(DeviceList::parse(&list, &other), Err(ListError::OtherName));
        }
    }

    #[test]
    fn replayed_and_forked_lists_are_refused() {
        let ada = identity(1);
        let first = list(&ada, None, &[1]);
        let second = list(&ada, Some(&first.mark()), &[1, 2]);
        let third = list(&ada, Some(&second.mark()), &[2]);
        assert_eq!(first.mark().check(&second, &[]), Ok(ListChange::Newer));
        assert_eq!(first.mark().check(&third, &[]), Ok(ListChange::Newer), "lists in between need not be seen");
        assert_eq!(second.mark().check(&second, &[]), Ok(ListChange::Same));
        assert_eq!(second.mark().check(&first, &[]), Err(ListRefusal::Older));
        let fork = list(&ada, Some(&first.mark()), &[1, 3]);
        assert_eq!(second.mark().check(&fork, &[]), Err(ListRefusal::Forked));
        assert_eq!(second.mark().check(&list(&ada, Some(&fork.mark()), &[1]), &[]), Err(ListRefusal::Forked));
        assert_eq!(
            second.mark().check(&list(&identity(2), Some(&second.mark()), &[1]), &[]),
            Err(ListRefusal::OtherIdentity)
        );
        let other = ListMark { account: AccountId([1; 16]), ..first.mark() };
        assert_eq!(other.check(&second, &[]), Err(ListRefusal::OtherAccount));
    }

    type Edit<'a> = &'a dyn Fn(&mut Vec<u8>);

    #[test]
    fn forms_that_are_not_the_one_form_are_malformed() {
        let ada = identity(1);
        let good = bytes(&ada, None, &[1, 2]);
        let signed = |edit: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good[..good.len() - 64].to_vec();
            edit(&mut bytes);
            let signature = ada.sign_list(&bytes);
            DeviceList::parse(&[&bytes[..], &signature].concat(), &name())
        };
        assert!(signed(&|_| ()).is_ok());
        let edits: [Edit<'_>; 8] = [
            &|bytes| bytes[0] = 2,
            &|bytes| bytes[57] = 0,
            &|bytes| bytes[57] = 200,
            &|bytes| bytes[68] = 0, // number 0
            &|bytes| bytes[68] = 2, // number 2 after none
            &|bytes| bytes[69] = 1, // number 1 after one
            &|bytes| bytes[101] = 17,
            &|bytes| bytes[102..].rotate_left(32), // descending
        ];
        for (index, edit) in edits.into_iter().enumerate() {
            assert_eq!(signed(edit), Err(ListError::Malformed), "edit {index}");
        }
        assert_eq!(signed(&|bytes| bytes.push(0)), Err(ListError::Malformed));
        assert_eq!(signed(&|bytes| bytes.copy_within(102..134, 134)), Err(ListError::Malformed), "a device twice");
    }

    proptest! {
        #[test]
        fn flipped_bit_is_refused(bit: usize, cut: usize) {
            let mut list = bytes(&identity(1), None, &[1, 2]);
            prop_assert!(DeviceList::parse(&list[..cut % list.len()], &name()).is_err());
            let bit = bit % (list.len() * 8);
            list[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(DeviceList::parse(&list, &name()).is_err());
        }
    }
}
