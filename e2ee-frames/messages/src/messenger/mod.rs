//! A device that writes to accounts and reads what their devices write.
//!
//! ```text
//!              ┌ blob, once an account
//!  seal ───────┤
//!              └ outer, once a device: sender ‖ slip                  ──► server ──► open ──► Received
//!                                       └ sealed by the Peer's session
//! ```
//! Every method takes the time and randomness that it needs. What changes is stored by the caller, row by row: see
//! [`Messenger::take_changes`].

mod open;
mod seal;
#[cfg(test)]
mod tests;

use crate::{
    agreement::AgreementSecret,
    contact::Contact,
    outbox::Outbox,
    peer::Peer,
    prekey::{CURVE_PREKEY_BYTES, PrekeyId},
    prekeys::{Prekeys, Stock, Upload},
    state::Row,
    time::Time,
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use e2ee_core::Random;
use e2ee_identity::{
    AccountId, AccountName, DeviceCert, DeviceKeys, DevicePublic, ListChange, ListRefusal, Succession,
};
pub use open::{OpenError, Received};
pub use seal::{Fetched, Message, SealError, Sealed};
use zeroize::Zeroizing;

/// One device's keys, contacts and sessions.
pub struct Messenger {
    keys: DeviceKeys,
    agreement: AgreementSecret,
    cert: DeviceCert,
    name: AccountName,
    prekeys: Prekeys,
    /// The own account is one of them.
    contacts: BTreeMap<AccountId, Contact>,
    peers: BTreeMap<DevicePublic, Peer>,
    outboxes: BTreeMap<AccountId, Outbox>,
    /// The device's newest sealing prekey, signed.
    own_sealing: Option<(PrekeyId, [u8; CURVE_PREKEY_BYTES])>,
    changed: BTreeSet<Row>,
}

/// Why a device cannot write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessengerError {
    /// The account's list has no device with these keys.
    #[error("this device is not on the list of its account")]
    NotListed,
}

/// The stored bytes are no such row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored state is damaged")]
pub struct RowError;

impl Messenger {
    /// A device of the account `own`, without any state.
    ///
    /// # Errors
    /// If the device is not on the account's list.
    pub fn new(keys: DeviceKeys, own: Contact) -> Result<Self, MessengerError> {
        let listed = own.device(&keys.public()).filter(|cert| cert.agreement == keys.agreement_public());
        let cert = listed.ok_or(MessengerError::NotListed)?.clone();
        let agreement = AgreementSecret::from_seed(keys.agreement_seed());
        let name = own.name.clone();
        let contacts = BTreeMap::from([(own.account(), own)]);
        Ok(Self {
            keys,
            agreement,
            cert,
            name,
            prekeys: Prekeys::default(),
            contacts,
            peers: BTreeMap::new(),
            outboxes: BTreeMap::new(),
            own_sealing: None,
            changed: BTreeSet::new(),
        })
    }

    /// Takes a row that was stored. Contacts are added first: a peer that is none of their devices is dropped.
    ///
    /// # Errors
    /// If the bytes are not those of the row.
    pub fn restore(&mut self, row: Row, bytes: &[u8]) -> Result<(), RowError> {
        match row {
            Row::Prekeys => {
                self.prekeys = Prekeys::from_bytes(bytes).ok_or(RowError)?;
                self.refresh_own_sealing();
            }
            Row::Peer(device) => {
                let peer = Peer::from_bytes(bytes).ok_or(RowError)?;
                if self.contacts.values().any(|contact| contact.device(&device).is_some()) {
                    self.peers.insert(device, peer);
                }
            }
            Row::Outbox(account) => {
                let outbox = Outbox::from_bytes(bytes).ok_or(RowError)?;
                if self.contacts.contains_key(&account) {
                    self.outboxes.insert(account, outbox);
                }
            }
        }
        Ok(())
    }

    /// The rows that have changed since the last call, with their bytes; `None`: the row is to be deleted. To be stored
    /// together, before anything that was sealed leaves the device.
    pub fn take_changes(&mut self) -> Vec<(Row, Option<Zeroizing<Vec<u8>>>)> {
        let rows = core::mem::take(&mut self.changed);
        let bytes = |row: &Row| match row {
            Row::Prekeys => Some(self.prekeys.to_bytes()),
            Row::Peer(device) => self.peers.get(device).map(Peer::to_bytes),
            Row::Outbox(account) => self.outboxes.get(account).map(Outbox::to_bytes),
        };
        rows.into_iter().map(|row| (row, bytes(&row))).collect()
    }

    #[cfg(test)]
    pub(crate) fn prekeys(&self) -> &Prekeys {
        &self.prekeys
    }

    /// This device.
    #[must_use]
    pub fn device(&self) -> &DevicePublic {
        &self.cert.device
    }

    /// The account of this device.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.cert.account
    }

    /// A contact, or the own account.
    #[must_use]
    pub fn contact(&self, account: &AccountId) -> Option<&Contact> {
        self.contacts.get(account)
    }

    /// Adds a contact whose list the directory has proven, or takes a newer list of one.
    ///
    /// Devices that are no longer on the list lose their sessions, and those with another certificate start new ones.
    /// After a succession nothing is sent or read before [`Self::accept_identity`]. `successions` lead to the list's
    /// identity, oldest first.
    ///
    /// # Errors
    /// If the list is older, another of the same number, of another identity, or no longer has this device.
    pub fn update(&mut self, mut contact: Contact, successions: &[Succession]) -> Result<ListChange, ListRefusal> {
        let account = contact.account();
        let change = match self.contacts.get(&account) {
            Some(known) => known.mark().check(&contact.list, successions)?,
            None => ListChange::Newer,
        };
        if change == ListChange::Same {
            return Ok(change);
        }
        let is_own = account == self.cert.account;
        let known = self.contacts.get(&account);
        // The own new identity was drawn by an own device; others must look at it.
        contact.held = !is_own && (change == ListChange::Succeeded || known.is_some_and(|known| known.held));
        for old in known.map(|known| known.certs.as_slice()).unwrap_or_default() {
            match contact.device(&old.device) {
                Some(cert) if cert.hash == old.hash => continue,
                Some(_) => self.peers.entry(old.device).or_default().end_sessions(),
                None => drop(self.peers.remove(&old.device)),
            }
            self.changed.insert(Row::Peer(old.device));
        }
        if let Some(cert) = contact.device(&self.cert.device).filter(|cert| is_own && cert.hash != self.cert.hash) {
            self.cert = cert.clone();
            // Sessions are bound to both certificates.
            self.peers.values_mut().for_each(Peer::end_sessions);
            self.changed.extend(self.peers.keys().copied().map(Row::Peer));
        }
        self.contacts.insert(account, contact);
        Ok(change)
    }

    /// The person has seen that a contact's identity has changed, and agrees.
    pub fn accept_identity(&mut self, account: &AccountId) {
        if let Some(contact) = self.contacts.get_mut(account) {
            contact.held = false;
        }
    }

    /// Forgets a contact: its messages are those of a stranger. The own account stays.
    pub fn remove_contact(&mut self, account: &AccountId) {
        if *account == self.cert.account {
            return;
        }
        for cert in self.contacts.remove(account).map(|contact| contact.certs).unwrap_or_default() {
            self.peers.remove(&cert.device);
            self.changed.insert(Row::Peer(cert.device));
        }
        self.outboxes.remove(account);
        self.changed.insert(Row::Outbox(*account));
    }

    /// Makes the prekeys that are due and erases those whose time is over: daily, and when the server says that few are
    /// left. Messages that wait at the server are opened first.
    pub fn renew_prekeys(&mut self, stock: Stock, now: Time, random: &mut (impl Random + ?Sized)) -> Upload {
        let upload = self.prekeys.renew(&self.keys, stock, now.day(), random);
        self.changed.insert(Row::Prekeys);
        self.refresh_own_sealing();
        upload
    }

    fn refresh_own_sealing(&mut self) {
        let newest = self.prekeys.newest_sealing(&self.keys);
        self.own_sealing = newest.and_then(|(id, prekey)| Some((id, prekey.try_into().ok()?)));
    }
}
