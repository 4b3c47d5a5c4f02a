//! An account to which one writes: its device list and the certificates of those devices.

use alloc::vec::Vec;
use e2ee_identity::{AccountId, AccountName, DeviceCert, DeviceList, DevicePublic, ListMark};

/// An account with all of its devices, as the directory shows it. Verified by [`DeviceList::parse`] and
/// [`DeviceCert::parse`]; whether the list is to be believed is for [`ListMark::check`] and the directory's proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    pub(crate) name: AccountName,
    pub(crate) list: DeviceList,
    pub(crate) certs: Vec<DeviceCert>,
    /// The identity has changed, and the person has not agreed yet.
    pub(crate) held: bool,
}

/// Why an account is no contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContactError {
    /// The list is of another name.
    #[error("the device list is of another name")]
    OtherName,
    /// A certificate is not on the list, or one that is on it is missing.
    #[error("the certificates are not those of the device list")]
    OtherCertificates,
}

impl Contact {
    /// Joins a list and the certificates that it names, in any order.
    ///
    /// # Errors
    /// If one is missing, or one too many.
    pub fn new(name: &AccountName, list: DeviceList, mut certs: Vec<DeviceCert>) -> Result<Self, ContactError> {
        if list.name != name.name() {
            return Err(ContactError::OtherName);
        }
        certs.sort_by_key(|cert| cert.hash);
        // The list ascends, too.
        let same = certs.iter().map(|cert| &cert.hash).eq(list.certs.iter());
        if !same || !certs.iter().all(|cert| list.has(cert)) {
            return Err(ContactError::OtherCertificates);
        }
        Ok(Self { name: name.clone(), list, certs, held: false })
    }

    /// The account.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.list.account
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &AccountName {
        &self.name
    }

    /// Number and hash of its list.
    #[must_use]
    pub fn mark(&self) -> ListMark {
        self.list.mark()
    }

    /// Its devices.
    #[must_use]
    pub fn devices(&self) -> &[DeviceCert] {
        &self.certs
    }

    pub(crate) fn device(&self, device: &DevicePublic) -> Option<&DeviceCert> {
        self.certs.iter().find(|cert| cert.device == *device)
    }

    pub(crate) fn by_hash(&self, hash: &[u8; 32]) -> Option<&DeviceCert> {
        self.certs.iter().find(|cert| cert.hash == *hash)
    }
}
