//! Sealing: for which devices, whether bundles are needed, and what is sent again.

use super::Messenger;
use crate::{
    blob::{self, BlobSealError, MessageId},
    cipher::CipherError,
    outer::{self, OuterSealError, Sender},
    peer::PeerSealError,
    pqxdh::Own,
    prekey::Bundle,
    ratchet::RatchetSealError,
    slip::{CHECKPOINT_BYTES, Payload},
    state::Row,
    time::Time,
};
use alloc::{string::String, vec::Vec};
use e2ee_core::{Random, SecretBytes};
use e2ee_identity::{AccountId, DeviceCert, DevicePublic};

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

impl Messenger {
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
    pub(super) fn own_sender(&self) -> Sender {
        Sender {
            account: self.cert.account,
            cert: self.cert.hash,
            name: String::from(self.name.name()),
            list_seq: self.contacts.get(&self.cert.account).map_or(0, |own| own.list.seq),
        }
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
