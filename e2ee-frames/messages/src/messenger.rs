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

use crate::{
    agreement::AgreementSecret,
    blob::{self, BlobSealError, MessageId},
    cipher::CipherError,
    contact::Contact,
    outbox::Outbox,
    outer::{self, OuterSealError, Sender},
    peer::{Peer, PeerOpenError, PeerSealError},
    pqxdh::Own,
    prekey::{Bundle, CURVE_PREKEY_BYTES, PrekeyId},
    prekeys::{Prekeys, Stock, Upload},
    ratchet::RatchetSealError,
    slip::{CHECKPOINT_BYTES, Payload},
    state::Row,
    time::Time,
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use e2ee_core::{Primitives, Random, SecretBytes, Standard};
use e2ee_identity::{
    AccountId, AccountName, DeviceCert, DeviceKeys, DevicePublic, ListChange, ListRefusal, Succession,
};
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

/// A message, before it is sealed.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// Drawn at random; the same for the recipient and the own other devices, and when it is sent again.
    pub id: MessageId,
    /// The content.
    pub body: &'a [u8],
    /// What the sender last saw of the directory, in short, so that both can compare.
    pub checkpoint: &'a [u8; CHECKPOINT_BYTES],
    /// Whether it is worth sending again to a device that has missed it. A ring is not.
    pub durable: bool,
}

/// What the server answered to the question for a device's prekeys.
pub enum Fetched {
    /// Its bundle.
    Bundle(Bundle),
    /// Nothing of use: the device has been away for too long. It is written to in the session that there is, or left out.
    Unusable,
}

/// A message for an account. The changes of the sender's state must be stored before any of it leaves the device.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The content, for all devices.
    pub blob: Vec<u8>,
    /// What each device needs to open it.
    pub outers: Vec<(DevicePublic, Vec<u8>)>,
    /// Devices that cannot be reached: no session, and no bundle that could be used.
    pub left_out: Vec<DevicePublic>,
}

/// Why nothing was sealed. Only sessions may have been started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// No contact.
    #[error("the account is not a contact")]
    UnknownAccount,
    /// Nothing is sent to another identity before the person has agreed to it.
    #[error("the identity of the account has changed: the person must agree first")]
    IdentityChanged,
    /// Ask the server for the bundles of these devices.
    #[error("prekeys are needed for some devices")]
    BundlesNeeded(Vec<DevicePublic>),
    /// The body does not fit.
    #[error("a message has at most {} bytes", blob::MAX_BODY_BYTES)]
    TooLong,
    /// A key with which everyone agrees on the same; or 2³² messages without an answer.
    #[error("the session with a device cannot go on")]
    Session,
    /// The cipher failed.
    #[error(transparent)]
    Cipher(#[from] CipherError),
}

/// A message that has come.
pub struct Received {
    /// The account that wrote it.
    pub account: AccountId,
    /// The device that wrote it.
    pub device: DevicePublic,
    /// The message's id.
    pub id: MessageId,
    /// The content. Empty: nothing to show.
    pub body: Zeroizing<Vec<u8>>,
    /// What the sender last saw of the directory, in short.
    pub checkpoint: [u8; CHECKPOINT_BYTES],
    /// The session replaces one that the sender has lost: a quiet line to the person. [`Messenger::resends_due`] names it.
    pub replaces_session: bool,
}

/// Why an outer does not yield a message. Nothing has changed, except at [`OpenError::Desync`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// For another device, altered, or not in the form. To be skipped.
    #[error("not a message for this device")]
    Unopenable,
    /// From an account that is no contact. If the person wants to hear from it, the caller adds the contact by the
    /// directory's proof and opens the outer again.
    #[error("a message from a stranger")]
    Stranger {
        /// The account that the sender says it is.
        account: AccountId,
        /// The name that the sender says it has.
        name: String,
    },
    /// The sender knows a newer list of its account. It is to be fetched first.
    #[error("the sender has a newer device list")]
    NewerList {
        /// The sender's account.
        account: AccountId,
        /// Number of that list.
        seq: u64,
    },
    /// The device is not on its account's list: it was removed, or never was.
    #[error("the sending device is not on the list of its account")]
    NotListed {
        /// The account that the sender says it is.
        account: AccountId,
    },
    /// The identity has changed, and the person has not agreed. The outer waits.
    #[error("the identity of the sender has changed: the person must agree first")]
    IdentityChanged {
        /// The sender's account.
        account: AccountId,
    },
    /// It came before.
    #[error("the message came before")]
    Duplicate,
    /// The blob is not the one that the sender sealed. The server may still have that one.
    #[error("the content is not what the sender sealed")]
    OtherBlob,
    /// No session opens it: one of the two has lost its state. A new session is due ([`Messenger::resets_due`]).
    #[error("no session with the device opens the message")]
    Desync {
        /// The sender's account.
        account: AccountId,
        /// The sender's device.
        device: DevicePublic,
    },
    /// The device has started too many sessions today. The outer waits.
    #[error("the device has started too many sessions today")]
    TooManySessions {
        /// The sender's device.
        device: DevicePublic,
    },
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

    /// A slip of any bytes, in an outer of this device: what a hostile contact can send.
    ///
    /// # Errors
    /// If the device is not one of a contact, or its sealing prekey is not known.
    #[cfg(any(test, feature = "unstable-testing"))]
    pub fn seal_any_slip(
        &self,
        device: &DevicePublic,
        slip: &[u8],
        now: Time,
        random: &mut (impl Random + ?Sized),
    ) -> Result<Vec<u8>, SealError> {
        let cert =
            self.contacts.values().find_map(|contact| contact.device(device)).ok_or(SealError::UnknownAccount)?;
        let sealing = self.peers.get(device).and_then(|peer| peer.sealing(now)).ok_or(SealError::Session)?;
        outer::seal(&self.agreement, &self.own_sender(), cert, sealing, slip, random).map_err(outer_error)
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

    /// The devices of an account to which one writes: all but this one.
    fn recipients(&self, account: &AccountId) -> Result<Vec<DeviceCert>, SealError> {
        let contact = self.contacts.get(account).ok_or(SealError::UnknownAccount)?;
        if contact.held {
            return Err(SealError::IdentityChanged);
        }
        Ok(contact.certs.iter().filter(|cert| cert.device != self.cert.device).cloned().collect())
    }

    /// The devices of an account whose bundles are needed before [`Self::seal`].
    ///
    /// # Errors
    /// If the account is no contact, or its identity has changed.
    pub fn bundles_needed(&self, account: &AccountId, now: Time) -> Result<Vec<DevicePublic>, SealError> {
        Ok(self.needing_bundles(&self.recipients(account)?, now))
    }

    fn needing_bundles(&self, recipients: &[DeviceCert], now: Time) -> Vec<DevicePublic> {
        let needs = |device: &DevicePublic| self.peers.get(device).is_none_or(|peer| peer.wants_bundle(now));
        recipients.iter().map(|cert| cert.device).filter(needs).collect()
    }

    /// Devices with which a session is lost and may be replaced now: [`Self::seal_to`] does, even with an empty body.
    #[must_use]
    pub fn resets_due(&self, now: Time) -> Vec<(AccountId, DevicePublic)> {
        let due = |cert: &&DeviceCert| self.peers.get(&cert.device).is_some_and(|peer| peer.reset_is_due(now));
        let contacts = self.contacts.values().filter(|contact| !contact.held);
        contacts.flat_map(|contact| contact.certs.iter().filter(due)).map(|cert| (cert.account, cert.device)).collect()
    }

    /// The stored state may be an old copy: every session is replaced before it is written in.
    ///
    /// A device that does not know writes under numbers that it has used, which its peers take for duplicates, until one of
    /// them writes what it cannot open.
    pub fn distrust_state(&mut self) {
        for (device, peer) in &mut self.peers {
            peer.distrust();
            self.changed.insert(Row::Peer(*device));
        }
    }

    /// Devices with which a lost session was replaced, and that may have missed messages: [`Self::resend`].
    #[must_use]
    pub fn resends_due(&self) -> Vec<(AccountId, DevicePublic)> {
        let due = |cert: &&DeviceCert| self.peers.get(&cert.device).is_some_and(|peer| peer.resend);
        let contacts = self.contacts.values().filter(|contact| !contact.held);
        contacts.flat_map(|contact| contact.certs.iter().filter(due)).map(|cert| (cert.account, cert.device)).collect()
    }

    /// Seals the durable messages of the last day again, to one device.
    ///
    /// # Errors
    /// As [`Self::seal_to`].
    pub fn resend(
        &mut self,
        (account, device): (&AccountId, &DevicePublic),
        checkpoint: &[u8; CHECKPOINT_BYTES],
        fetched: &[(DevicePublic, Fetched)],
        now: Time,
        random: &mut (impl Random + ?Sized),
    ) -> Result<Vec<Sealed>, SealError> {
        let outbox = self.outboxes.remove(account).unwrap_or_default();
        let message = |(id, body)| Message { id, body, checkpoint, durable: false };
        let sealed: Result<Vec<_>, _> = outbox
            .recent(now)
            .map(message)
            .map(|message| self.seal_to((account, device), &message, fetched, now, random))
            .collect();
        self.outboxes.insert(*account, outbox);
        if let (Ok(_), Some(peer)) = (&sealed, self.peers.get_mut(device)) {
            peer.resend = false;
            self.changed.insert(Row::Peer(*device));
        }
        sealed
    }

    /// Seals a message to all devices of an account; if it is the own one, to the other devices.
    ///
    /// # Errors
    /// If the account is no contact, its identity has changed, bundles are missing, or the body is too long.
    pub fn seal(
        &mut self,
        account: &AccountId,
        message: &Message<'_>,
        fetched: &[(DevicePublic, Fetched)],
        now: Time,
        random: &mut (impl Random + ?Sized),
    ) -> Result<Sealed, SealError> {
        let recipients = self.recipients(account)?;
        let sealed = self.seal_for(&recipients, message, fetched, now, random)?;
        if message.durable {
            self.outboxes.entry(*account).or_default().put(message.id, message.body, now);
            self.changed.insert(Row::Outbox(*account));
        }
        Ok(sealed)
    }

    /// Seals a message to one device, as with an empty body to replace a session.
    ///
    /// # Errors
    /// As [`Self::seal`]; the device must be one of the account.
    pub fn seal_to(
        &mut self,
        (account, device): (&AccountId, &DevicePublic),
        message: &Message<'_>,
        fetched: &[(DevicePublic, Fetched)],
        now: Time,
        random: &mut (impl Random + ?Sized),
    ) -> Result<Sealed, SealError> {
        let mut recipients = self.recipients(account)?;
        recipients.retain(|cert| cert.device == *device);
        if recipients.is_empty() {
            return Err(SealError::UnknownAccount);
        }
        self.seal_for(&recipients, message, fetched, now, random)
    }

    fn seal_for(
        &mut self,
        recipients: &[DeviceCert],
        message: &Message<'_>,
        fetched: &[(DevicePublic, Fetched)],
        now: Time,
        random: &mut (impl Random + ?Sized),
    ) -> Result<Sealed, SealError> {
        let answer =
            |device: &DevicePublic| fetched.iter().find(|(other, _)| other == device).map(|(_, answer)| answer);
        let mut needed = self.needing_bundles(recipients, now);
        needed.retain(|device| answer(device).is_none());
        if !needed.is_empty() {
            return Err(SealError::BundlesNeeded(needed));
        }
        let blob = blob::seal(message.id, message.body, random).map_err(|error| match error {
            BlobSealError::TooLong => SealError::TooLong,
            BlobSealError::Cipher(error) => SealError::Cipher(error),
        })?;
        let (mut outers, mut left_out) = (Vec::new(), Vec::new());
        for cert in recipients {
            let payload = Payload {
                replaces: false,
                key: SecretBytes::copy_of(&blob.key),
                hash: blob.hash,
                checkpoint: *message.checkpoint,
                sealing: None,
            };
            let bundle = match answer(&cert.device) {
                Some(Fetched::Bundle(bundle)) => Some(bundle),
                Some(Fetched::Unusable) | None => None,
            };
            match self.outer(cert, payload, bundle, now, random)? {
                Some(outer) => outers.push((cert.device, outer)),
                None => left_out.push(cert.device),
            }
        }
        Ok(Sealed { blob: blob.bytes, outers, left_out })
    }

    /// The outer for one device; `None` if it cannot be reached.
    fn outer(
        &mut self,
        cert: &DeviceCert,
        payload: Payload,
        bundle: Option<&Bundle>,
        now: Time,
        random: &mut (impl Random + ?Sized),
    ) -> Result<Option<Vec<u8>>, SealError> {
        let own = Own { secret: &self.agreement, cert: &self.cert, origin: self.name.origin() };
        let peer = self.peers.entry(cert.device).or_default();
        self.changed.insert(Row::Peer(cert.device));
        if let Some(bundle) = bundle {
            peer.take_bundle(own, cert, bundle, now, random).map_err(seal_error)?;
        }
        let Some(sealing) = peer.sealing(now) else { return Ok(None) };
        let slip = match peer.seal(payload, self.own_sealing, now, random) {
            Err(PeerSealError::NoSession) => return Ok(None),
            slip => slip.map_err(seal_error)?,
        };
        let outer = outer::seal(&self.agreement, &self.own_sender(), cert, sealing, &slip, random);
        outer.map(Some).map_err(outer_error)
    }

    /// How this device names itself in outers.
    fn own_sender(&self) -> Sender {
        Sender {
            account: self.cert.account,
            cert: self.cert.hash,
            name: String::from(self.name.name()),
            list_seq: self.contacts.get(&self.cert.account).map_or(0, |own| own.list.seq),
        }
    }

    /// Opens what the server delivered to this device.
    ///
    /// # Errors
    /// If it yields no message, with what to do about it.
    pub fn open(&mut self, outer: &[u8], blob: &[u8], now: Time) -> Result<Received, OpenError> {
        let opened = outer::open(outer, &self.cert, self.prekeys.sealing()).ok_or(OpenError::Unopenable)?;
        let cert = self.sender(&opened)?.clone();
        let account = cert.account;
        let peer = self.peers.entry(cert.device).or_default();
        if peer.has_seen(outer) {
            return Err(OpenError::Duplicate);
        }
        let own = Own { secret: &self.agreement, cert: &self.cert, origin: self.name.origin() };
        let (payload, change) = match peer.open(own, &cert, opened.slip(), &self.prekeys, now) {
            Ok(opened) => opened,
            Err(PeerOpenError::Malformed) => return Err(OpenError::Unopenable),
            Err(PeerOpenError::Consumed) => return Err(OpenError::Duplicate),
            Err(PeerOpenError::TooManySessions) => return Err(OpenError::TooManySessions { device: cert.device }),
            Err(PeerOpenError::Desync) => {
                peer.lose(outer, opened.slip(), now);
                self.changed.insert(Row::Peer(cert.device));
                return Err(OpenError::Desync { account, device: cert.device });
            }
        };
        if Standard::digest(blob) != payload.hash {
            return Err(OpenError::OtherBlob);
        }
        let content = blob::open(blob, &payload.key).ok_or(OpenError::Unopenable)?;
        let is_new = !peer.has_message(&content.id);
        let committed = peer.commit(change, (outer, &payload, content.id), (&cert, &mut self.prekeys), now);
        self.changed.insert(Row::Peer(cert.device));
        if committed.prekeys_used {
            self.changed.insert(Row::Prekeys);
        }
        // A message that was sent again after a reset, and had come; the reset itself still counts.
        if !is_new && !committed.replaces {
            return Err(OpenError::Duplicate);
        }
        let body = if is_new { content.body } else { Zeroizing::default() };
        Ok(Received {
            account,
            device: cert.device,
            id: content.id,
            body,
            checkpoint: payload.checkpoint,
            replaces_session: committed.replaces,
        })
    }

    /// The certificate of the device that has sealed an outer, if it is one to be heard.
    fn sender(&self, opened: &outer::Opened) -> Result<&DeviceCert, OpenError> {
        let sender = &opened.sender;
        let account = sender.account;
        let Some(contact) = self.contacts.get(&account) else {
            return Err(OpenError::Stranger { account, name: sender.name.clone() });
        };
        if contact.held {
            return Err(OpenError::IdentityChanged { account });
        }
        if sender.list_seq > contact.list.seq {
            return Err(OpenError::NewerList { account, seq: sender.list_seq });
        }
        let cert = contact.by_hash(&sender.cert).ok_or(OpenError::NotListed { account })?;
        let is_sender = cert.agreement == opened.agreement && contact.name.name() == sender.name;
        if !is_sender || cert.device == self.cert.device {
            return Err(OpenError::Unopenable);
        }
        Ok(cert)
    }
}

fn seal_error(error: PeerSealError) -> SealError {
    match error {
        PeerSealError::NoSession | PeerSealError::WeakBundle => SealError::Session,
        PeerSealError::Ratchet(RatchetSealError::Exhausted) => SealError::Session,
        PeerSealError::Ratchet(RatchetSealError::Cipher(error)) => SealError::Cipher(error),
    }
}

fn outer_error(error: OuterSealError) -> SealError {
    match error {
        OuterSealError::Weak => SealError::Session,
        OuterSealError::Cipher(error) => SealError::Cipher(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use e2ee_identity::{DeviceKind, DeviceList, IdentityKey};
    use rand_chacha::{
        ChaCha8Rng,
        rand_core::{RngCore, SeedableRng},
    };

    const NOW: Time = Time(1_800_000_000_000);

    fn random() -> impl FnMut(&mut [u8]) + Send {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        move |bytes: &mut [u8]| rng.fill_bytes(bytes)
    }

    fn person(n: u8, name: &str) -> Messenger {
        let (id, name) = (AccountId([n; 16]), AccountName::new("https://call.example", name).unwrap());
        let (identity, keys) =
            (IdentityKey::from_seed(&[n; 32]), DeviceKeys::from_seeds(&[n + 50; 32], &[n + 100; 32]));
        let cert = keys.certify(&id, &identity.public(), NOW.day(), DeviceKind::NATIVE, &[0; 32]);
        let certs = vec![DeviceCert::parse(&cert).unwrap()];
        let list = identity.sign_devices(&id, &name, None, &certs).unwrap();
        Messenger::new(keys, Contact::new(&name, DeviceList::parse(&list, &name).unwrap(), certs).unwrap()).unwrap()
    }

    fn own_contact(messenger: &Messenger) -> Contact {
        messenger.contact(&messenger.account()).unwrap().clone()
    }

    /// Mallory, a contact of Ben, seals an outer in Ada's name. Ada's certificate is no secret; her key is.
    #[test]
    fn certificate_without_its_key_is_refused() {
        let mut random = random();
        let (ada, mut ben, mallory) = (person(1, "ada"), person(2, "ben"), person(3, "mallory"));
        ben.update(own_contact(&ada), &[]).unwrap();
        ben.update(own_contact(&mallory), &[]).unwrap();
        ben.renew_prekeys(Stock::default(), NOW, &mut random);
        ben.take_changes();
        let sealing = ben.prekeys.sealing().next().unwrap().public();
        let mut open = |own: &AgreementSecret, sender: &Sender| {
            let outer = outer::seal(own, sender, &ben.cert, sealing, &[1, 2, 0, 0, 0, 1], &mut random).unwrap();
            let error = ben.open(&outer, b"", NOW).err();
            (error, ben.take_changes().len(), ben.resets_due(NOW).len())
        };
        let unopenable = (Some(OpenError::Unopenable), 0, 0);
        assert_eq!(open(&mallory.agreement, &ada.own_sender()), unopenable);
        // With Ada's public key in the outer, and not her private one.
        let halves = [&mallory.agreement.seed()[..], &ada.cert.agreement.0].concat();
        let forged = AgreementSecret::read(&mut e2ee_core::Reader::new(&halves)).unwrap();
        assert_eq!(open(&forged, &ada.own_sender()), unopenable);
        // Under another name, or with the account of another.
        let renamed = Sender { name: String::from("mallory"), ..ada.own_sender() };
        assert_eq!(open(&ada.agreement, &renamed), unopenable);
        let moved = Sender { account: mallory.account(), ..ada.own_sender() };
        let not_listed = OpenError::NotListed { account: mallory.account() };
        assert_eq!(open(&ada.agreement, &moved), (Some(not_listed), 0, 0));
        // Ada herself is heard, though nothing opens the slip: only that is a desync.
        let desync = OpenError::Desync { account: ada.account(), device: ada.cert.device };
        assert_eq!(open(&ada.agreement, &ada.own_sender()), (Some(desync), 1, 1));
    }

    /// An outer for one device of Ben's names it: on a device with the same sealing prekey it does not open.
    #[test]
    fn outer_names_its_recipient() {
        let mut random = random();
        let (ada, mut ben) = (person(1, "ada"), person(2, "ben"));
        ben.update(own_contact(&ada), &[]).unwrap();
        ben.renew_prekeys(Stock::default(), NOW, &mut random);
        let sealing = ben.prekeys.sealing().next().unwrap().public();
        let outer = outer::seal(&ada.agreement, &ada.own_sender(), &ben.cert, sealing, b"", &mut random).unwrap();
        assert!(outer::open(&outer, &ben.cert, ben.prekeys.sealing()).is_some());
        let edits: [fn(&mut DeviceCert); 3] = [
            |cert| cert.account = AccountId([9; 16]),
            |cert| cert.device = DevicePublic([9; 32]),
            |cert| cert.agreement = e2ee_identity::AgreementPublic([9; 32]),
        ];
        for edit in edits {
            let mut other = ben.cert.clone();
            edit(&mut other);
            assert!(outer::open(&outer, &other, ben.prekeys.sealing()).is_none());
        }
    }
}
